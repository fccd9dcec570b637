//! The clock that admission goes by.

use chrono::{DateTime, Utc};
use frugal_admission::Millis;
use futures::future::BoxFuture;
use std::time::Duration;
use tokio::time::Instant;

/// The clock that admission goes by: the machine's and the database's, or a test's.
pub trait Clock: Send + Sync {
    /// Milliseconds since some moment. They never go back.
    fn now(&self) -> Millis;

    /// Waits until a moment of [`Self::now`].
    fn sleep_until(&self, moment: Millis) -> BoxFuture<'static, ()>;

    /// The moment that stands in for the database's; none where the database has the word.
    fn in_place_of_the_databases(&self) -> Option<DateTime<Utc>>;
}

/// The machine's clock between exchanges, the database's in them.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        Millis::try_from(self.0.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }

    fn sleep_until(&self, moment: Millis) -> BoxFuture<'static, ()> {
        let moment = self.0 + Duration::from_millis(u64::try_from(moment).unwrap_or(0));
        Box::pin(tokio::time::sleep_until(moment))
    }

    fn in_place_of_the_databases(&self) -> Option<DateTime<Utc>> {
        None
    }
}
