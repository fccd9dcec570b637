//! How much of an experiment is run.

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
    /// The first of some things where it is to be short, otherwise all of them.
    pub fn some<'t, T>(&self, all: &'t [T], short: usize) -> &'t [T] {
        match self.short {
            true => &all[..short.min(all.len())],
            false => all,
        }
    }
}
