//! What scorers said, by what was scored, as it is kept of very many.

use crate::compact::CompactObservation;
use crate::other_jobs::OtherJobs;
use crate::scores::ScoreKey;
use frugal_domain::request::{RequestKey, ResponseId};
use frugal_domain::scoring::Observation;
use std::collections::BTreeMap;

/// What scorers said of responses, or why one could not say.
#[derive(Debug, Clone, Default)]
pub struct KnownScores {
    said: BTreeMap<CompactKey, Result<CompactObservation, Box<str>>>,
    jobs: OtherJobs,
}

/// A [`ScoreKey`] in less room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct CompactKey {
    job: u32,
    request: RequestKey,
    position: u32,
    /// None where it is whole.
    max_tokens: Option<u32>,
    /// Rows are counted by a `u32` wherever they are stored.
    instance: u32,
}

impl KnownScores {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.said.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.said.is_empty()
    }

    /// What was said, if it is known.
    #[must_use]
    pub fn get(&self, key: &ScoreKey) -> Option<Result<Observation, String>> {
        self.said.get(&self.compact(key)?).map(shown)
    }

    /// Whether it is known.
    #[must_use]
    pub fn contains_key(&self, key: &ScoreKey) -> bool {
        let known = self.compact(key);
        known.is_some_and(|key| self.said.contains_key(&key))
    }

    /// Keeps what was said, in the place of what was known.
    pub fn insert(&mut self, key: ScoreKey, said: Result<Observation, String>) {
        self.jobs.learn(key.response.job);
        if let Some(key) = self.compact(&key) {
            let said = said.map(CompactObservation::from);
            self.said.insert(key, said.map_err(String::into_boxed_str));
        }
    }

    /// Forgets what was said.
    pub fn remove(&mut self, key: &ScoreKey) {
        if let Some(key) = self.compact(key) {
            self.said.remove(&key);
        }
    }

    /// All that is known.
    pub fn iter(&self) -> impl Iterator<Item = (ScoreKey, Result<Observation, String>)> {
        self.said.iter().map(|(key, said)| {
            let response = ResponseId {
                job: self.jobs.job(key.job),
                request: key.request,
                position: key.position,
            };
            let key = ScoreKey {
                response,
                max_tokens: key.max_tokens,
                instance: key.instance as usize,
            };
            (key, shown(said))
        })
    }

    /// None of a job that nothing is known of.
    fn compact(&self, key: &ScoreKey) -> Option<CompactKey> {
        Some(CompactKey {
            job: self.jobs.number(key.response.job)?,
            request: key.response.request,
            position: key.response.position,
            max_tokens: key.max_tokens,
            instance: u32::try_from(key.instance).ok()?,
        })
    }
}

fn shown(said: &Result<CompactObservation, Box<str>>) -> Result<Observation, String> {
    match said {
        Ok(observation) => Ok(observation.into()),
        Err(reason) => Err(reason.as_ref().to_owned()),
    }
}

impl Extend<(ScoreKey, Result<Observation, String>)> for KnownScores {
    fn extend<I: IntoIterator<Item = (ScoreKey, Result<Observation, String>)>>(
        &mut self,
        scores: I,
    ) {
        for (key, said) in scores {
            self.insert(key, said);
        }
    }
}

impl FromIterator<(ScoreKey, Result<Observation, String>)> for KnownScores {
    fn from_iter<I: IntoIterator<Item = (ScoreKey, Result<Observation, String>)>>(
        scores: I,
    ) -> Self {
        let mut known = Self::default();
        known.extend(scores);
        known
    }
}
