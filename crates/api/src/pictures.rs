//! Pictures of jobs as they were written a moment ago, so that many who poll a job have it drawn once.

use axum::body::Bytes;
use frugal_domain::id::JobId;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a picture is given again, though nothing has happened: paces and what is left are measured until
/// now.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// A job as one picture, written as its readers get it.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    /// What the job was like.
    pub tag: String,
    /// The JSON.
    pub body: Bytes,
}

/// The latest picture of each job that was asked for within the last moments.
#[derive(Debug, Default)]
pub(crate) struct Pictures(Mutex<HashMap<JobId, (Instant, Picture)>>);

impl Pictures {
    /// The picture of a job that is at a tag, if there is one that is good still.
    pub(crate) fn find(&self, job: JobId, tag: &str, now: Instant) -> Option<Picture> {
        let map = self.map();
        let (drawn, picture) = map.get(&job)?;
        (picture.tag == tag && is_good(*drawn, now)).then(|| picture.clone())
    }

    /// Keeps a picture, and lets go of those that are good no longer.
    pub(crate) fn keep(&self, job: JobId, picture: Picture, now: Instant) {
        let mut map = self.map();
        map.retain(|_, (drawn, _)| is_good(*drawn, now));
        map.insert(job, (now, picture));
    }

    /// The map. A panic while it was locked leaves it whole: every change to it is one step.
    fn map(&self) -> MutexGuard<'_, HashMap<JobId, (Instant, Picture)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_good(drawn: Instant, now: Instant) -> bool {
    now.saturating_duration_since(drawn) < GOOD_FOR
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(tag: &str) -> Picture {
        Picture {
            tag: tag.to_owned(),
            body: Bytes::from(format!("{{\"seen\": {tag}}}")),
        }
    }

    #[test]
    fn a_picture_is_given_for_its_own_tag_and_moment() {
        let (pictures, now) = (Pictures::default(), Instant::now());
        let job = JobId(uuid::Uuid::from_u128(1));
        let other = JobId(uuid::Uuid::from_u128(2));
        pictures.keep(job, picture("3.running"), now);
        let body = |job, tag, at| pictures.find(job, tag, at).map(|picture| picture.body);
        let drawn = picture("3.running").body;
        assert_eq!(body(job, "3.running", now), Some(drawn));
        assert_eq!(body(job, "4.running", now), None);
        assert_eq!(body(other, "3.running", now), None);
        assert_eq!(body(job, "3.running", now + GOOD_FOR), None);
    }

    #[test]
    fn what_is_good_no_longer_is_let_go() {
        let (pictures, now) = (Pictures::default(), Instant::now());
        for number in 1..=3 {
            let job = JobId(uuid::Uuid::from_u128(number));
            pictures.keep(job, picture("1.queued"), now);
        }
        assert_eq!(pictures.map().len(), 3);
        let later = JobId(uuid::Uuid::from_u128(4));
        pictures.keep(later, picture("1.queued"), now + GOOD_FOR);
        assert_eq!(pictures.map().keys().collect::<Vec<_>>(), [&later]);
    }
}
