//! What the jobs of a worker process share.

use crate::admission::Admission;
use crate::heartbeat::Leases;
use crate::sightings::Watch;
use crate::writes::Writes;
use frugal_store::listen::Notice;
use std::sync::Arc;
use tokio::sync::broadcast;

/// What the jobs of a process share.
pub(crate) struct Shared {
    pub admission: Arc<Admission>,
    pub watch: Arc<Watch>,
    pub writes: Arc<Writes>,
    pub leases: Leases,
    /// Where to hear of jobs.
    pub notices: broadcast::Sender<Notice>,
}
