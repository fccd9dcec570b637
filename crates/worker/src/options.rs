//! What a worker process is made of.

use frugal_domain::endpoint::Catalog;
use frugal_llm::Clients;
use frugal_sandbox::Sandbox;
use frugal_store::PgPool;
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
    /// A name for logs and the job's row.
    pub name: String,
    /// Jobs driven at the same time.
    pub slots: u32,
    /// Seconds after which another worker may take a job whose worker says nothing.
    pub lease_seconds: u32,
    /// How long requests under way may take to arrive once a job is to stop.
    pub grace: Duration,
}
