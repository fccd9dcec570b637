//! What a worker process is made of.

use frugal_domain::endpoint::Catalog;
use frugal_domain::id::JobId;
use frugal_llm::Clients;
use frugal_sandbox::Sandbox;
use frugal_store::PgPool;
use frugal_webhook::Hooks;
use std::sync::Arc;
use std::time::Duration;

/// What a worker process is made of.
#[derive(Clone)]
pub struct Options {
    /// The database.
    pub pool: PgPool,
    /// The operator's endpoints.
    pub catalog: Arc<Catalog>,
    /// Their clients.
    pub clients: Arc<Clients>,
    /// Where programs are run that models wrote; nothing where there is no such place.
    pub sandbox: Option<Sandbox>,
    /// The operator's hooks.
    pub hooks: Hooks,
    /// A name for logs and the job's row.
    pub name: String,
    /// Jobs driven at the same time.
    pub slots: u32,
    /// The only job that is driven; any where none is named.
    pub only: Option<JobId>,
    /// How long what may last, and how often.
    pub terms: Terms,
}

/// How long what may last, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Seconds after which another worker may take a job whose worker says nothing.
    pub lease_seconds: u32,
    /// How long requests under way may take to arrive once a job is to stop.
    pub grace: Duration,
    /// How long the database may be out of reach before a worker lets its jobs go, with the answers
    /// that could not be stored.
    pub outage: Duration,
    /// After so many attempts in a row whose worker was lost with nothing to show for it, a job is set
    /// aside: it would take every worker with it, one after the other. Attempts that settled a request
    /// or ended a trial start the count anew, so that a long job is not set aside for having lived
    /// through many restarts.
    pub most_lost_attempts: u32,
    /// The most jobs of one owner that run at once, over all workers; no limit where there is none.
    pub most_running_per_owner: Option<u32>,
    /// How long a job that another version of Frugal has decided steps of waits for a worker of that
    /// version. After that one of this version tries to live through it, and ends it where it cannot.
    pub other_version: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            lease_seconds: 4,
            grace: Duration::from_secs(10),
            outage: Duration::from_secs(60),
            most_lost_attempts: 5,
            most_running_per_owner: None,
            other_version: Duration::from_secs(3_600),
        }
    }
}
