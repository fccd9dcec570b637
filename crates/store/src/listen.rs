//! Notifications: hints that a table has something new. Polling stays the truth.

use crate::{PgPool, Result};
use frugal_domain::id::JobId;
use sqlx::postgres::PgListener;

/// A connection that waits for notifications on one channel.
#[derive(Debug)]
pub struct Listener(PgListener);

/// What a wait for notifications brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// Something changed with this job.
    Job(JobId),
    /// The connection broke and is back: anything may have been missed.
    Missed,
}

impl Listener {
    /// Listens on a channel: [`crate::queue::CHANNEL`] or [`crate::events::CHANNEL`]. Listen
    /// first and look into the table afterwards, or a change between the two is missed.
    ///
    /// # Errors
    /// The database is away.
    pub async fn connect(pool: &PgPool, channel: &str) -> Result<Self> {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen(channel).await?;
        Ok(Self(listener))
    }

    /// Waits for the next notice. It reconnects by itself.
    ///
    /// # Errors
    /// The database is away and could not be reached again.
    pub async fn next(&mut self) -> Result<Notice> {
        let notification = self.0.try_recv().await?;
        let job = notification.and_then(|notification| notification.payload().parse().ok());
        Ok(job.map_or(Notice::Missed, Notice::Job))
    }
}
