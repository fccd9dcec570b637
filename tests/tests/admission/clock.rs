//! A clock that goes when the test says so, for the processes and the database alike.

use chrono::{DateTime, TimeDelta, Utc};
use frugal_worker::Clock;
use futures::future::BoxFuture;
use tokio::sync::watch;

/// A clock that stands still until it is moved.
pub(crate) struct ManualClock {
    begun: DateTime<Utc>,
    now: watch::Sender<i64>,
}

impl ManualClock {
    pub(crate) fn new() -> Self {
        Self {
            begun: DateTime::UNIX_EPOCH + TimeDelta::days(20_000),
            now: watch::Sender::new(0),
        }
    }

    /// Moves it on by some milliseconds.
    pub(crate) fn advance(&self, by: i64) {
        self.now.send_modify(|now| *now += by);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> i64 {
        *self.now.borrow()
    }

    fn sleep_until(&self, moment: i64) -> BoxFuture<'static, ()> {
        let mut now = self.now.subscribe();
        Box::pin(async move {
            if now.wait_for(|now| *now >= moment).await.is_err() {
                // The clock is gone, and nothing comes any more.
                std::future::pending::<()>().await;
            }
        })
    }

    fn in_place_of_the_databases(&self) -> Option<DateTime<Utc>> {
        Some(self.begun + TimeDelta::milliseconds(self.now()))
    }
}
