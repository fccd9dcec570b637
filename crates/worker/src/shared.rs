//! What the jobs of a worker process share.

use crate::admission::Admission;
use crate::heartbeat::Leases;
use crate::sightings::Watch;
use crate::writes::Writes;
use std::sync::Arc;

/// What the jobs of a process share.
pub(crate) struct Shared {
    pub admission: Arc<Admission>,
    pub watch: Arc<Watch>,
    pub writes: Arc<Writes>,
    pub leases: Leases,
}
