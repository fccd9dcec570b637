//! How much of an experiment is run.

use crate::parallel;
use std::path::Path;

/// How much of an experiment is run.
#[derive(Debug, Clone, Copy)]
pub struct Effort<'p> {
    /// Seeds of everything that is drawn.
    pub seeds: u64,
    /// The least of everything.
    pub short: bool,
    /// The folder of HumanEval's labelled answers, where it is at hand.
    pub humaneval: Option<&'p Path>,
}

impl Effort<'_> {
    /// So many where it is not to be short, otherwise one.
    pub const fn count(&self, all: usize) -> usize {
        if self.short { 1 } else { all }
    }

    /// What each of so many things comes to by every seed from 0: the first thing by all of them, then the
    /// second.
    ///
    /// # Errors
    /// The first error of any.
    pub fn by_seed<T: Send>(
        &self,
        things: usize,
        one: impl Fn(usize, u64) -> anyhow::Result<T> + Sync,
    ) -> anyhow::Result<Vec<T>> {
        parallel::each(things as u64 * self.seeds, |index| {
            one(usize::try_from(index / self.seeds)?, index % self.seeds)
        })
    }

    /// The first of some things where it is to be short, otherwise all of them.
    pub fn some<'t, T>(&self, all: &'t [T], short: usize) -> &'t [T] {
        match self.short {
            true => &all[..short.min(all.len())],
            false => all,
        }
    }
}
