//! What every handler shares.

use crate::all_events::AllEvents;
use crate::broadcast::Changes;
use crate::errors::ApiError;
use crate::feed::Feeds;
use crate::guard::Guard;
use crate::known_keys::KnownKeys;
use crate::limiter::{Limiter, Streams};
use crate::outside::Outside;
use crate::pictures::Pictures;
use crate::traffic::Traffic;
use axum::http::HeaderMap;
use frugal_domain::endpoint::Catalog;
use frugal_intake::dataset::Limits;
use frugal_store::PgPool;
use sqlx::pool::PoolConnection;
use sqlx::{Postgres, Transaction};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::Span;

/// Puts the span of a request below the one of its client that the headers name.
pub type AdoptSpan = fn(&HeaderMap, &Span);

/// What the API is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Connections to the database. One of them listens for notifications all the time.
    pub pool: PgPool,
    /// The endpoints that jobs may name.
    pub catalog: Arc<Catalog>,
    /// The most bytes that a request's body may have.
    pub body_limit: usize,
    /// How large a dataset may be.
    pub dataset_limits: Limits,
    /// What can be done for scores that take more than reading.
    pub outside: Outside,
    /// Who is let in, and how much they may do.
    pub guard: Guard,
    /// Ends event streams and long polls, and with them the server.
    pub shutdown: CancellationToken,
    /// How long requests under way may then take to end.
    pub grace: Duration,
    /// Puts requests into the traces of their clients; absent where nobody exports any.
    pub adopt_span: Option<AdoptSpan>,
}

impl Options {
    /// The body limit of an operator who names none: 32 MiB.
    pub const BODY_LIMIT: usize = 32 * 1024 * 1024;

    /// The limits on datasets of an operator who names none: 64 MiB, and as many rows as a job may have.
    pub const DATASET_LIMITS: Limits = Limits {
        bytes: 64 * 1024 * 1024,
        rows: 100_000,
    };
}

/// What every handler shares. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AppState(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: Options,
    changes: Changes,
    feeds: Feeds,
    all_events: AllEvents,
    known_keys: KnownKeys,
    pictures: Pictures,
    limiter: Limiter,
    streams: Streams,
    traffic: Traffic,
}

impl AppState {
    /// The state of one server.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let changes = Changes::default();
        let feeds = Feeds::new(
            options.pool.clone(),
            changes.clone(),
            options.shutdown.clone(),
        );
        let all_events = AllEvents::new(
            options.pool.clone(),
            changes.clone(),
            options.shutdown.clone(),
        );
        let guard = &options.guard;
        Self(Arc::new(Inner {
            changes,
            feeds,
            all_events,
            known_keys: KnownKeys::default(),
            pictures: Pictures::default(),
            limiter: Limiter::new(guard.requests_per_minute),
            streams: Streams::new(guard.streams_per_owner),
            traffic: Traffic::default(),
            options,
        }))
    }

    /// The connections to the database.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.0.options.pool
    }

    /// The endpoints that jobs may name.
    pub(crate) fn catalog(&self) -> &Arc<Catalog> {
        &self.0.options.catalog
    }

    /// The most bytes that a request's body may have.
    pub(crate) fn body_limit(&self) -> usize {
        self.0.options.body_limit
    }

    /// How large a dataset may be.
    pub(crate) fn dataset_limits(&self) -> Limits {
        self.0.options.dataset_limits
    }

    /// What can be done for scores that take more than reading.
    pub(crate) fn outside(&self) -> &Outside {
        &self.0.options.outside
    }

    /// Who is let in, and how much they may do.
    pub(crate) fn guard(&self) -> &Guard {
        &self.0.options.guard
    }

    /// Keys that were looked up a moment ago.
    pub(crate) fn known_keys(&self) -> &KnownKeys {
        &self.0.known_keys
    }

    /// Pictures of jobs that were drawn a moment ago.
    pub(crate) fn pictures(&self) -> &Pictures {
        &self.0.pictures
    }

    /// How often who may ask.
    pub(crate) fn limiter(&self) -> &Limiter {
        &self.0.limiter
    }

    /// What this server is asked.
    pub(crate) fn traffic(&self) -> &Traffic {
        &self.0.traffic
    }

    /// The event streams that are open.
    pub(crate) fn streams(&self) -> &Streams {
        &self.0.streams
    }

    /// Ends event streams and long polls.
    pub(crate) fn shutdown(&self) -> &CancellationToken {
        &self.0.options.shutdown
    }

    /// How long requests under way may take to end once the server stops.
    pub(crate) fn grace(&self) -> Duration {
        self.0.options.grace
    }

    /// Puts requests into the traces of their clients.
    pub(crate) fn adopt_span(&self) -> Option<AdoptSpan> {
        self.0.options.adopt_span
    }

    /// Hints that a job has something new.
    pub(crate) fn changes(&self) -> &Changes {
        &self.0.changes
    }

    /// The readers of jobs that somebody follows.
    pub(crate) fn feeds(&self) -> &Feeds {
        &self.0.feeds
    }

    /// The reader of the events of all jobs, while somebody follows these.
    pub(crate) fn all_events(&self) -> &AllEvents {
        &self.0.all_events
    }

    /// A connection for reading.
    pub(crate) async fn connection(&self) -> Result<PoolConnection<Postgres>, ApiError> {
        Ok(self.pool().acquire().await?)
    }

    /// A transaction for writing.
    pub(crate) async fn transaction(&self) -> Result<Transaction<'static, Postgres>, ApiError> {
        Ok(self.pool().begin().await?)
    }
}
