//! What a scorer says of a response.

use crate::run::Run;
use frugal_domain::scoring::Observation;

/// What a scorer says of a response.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Its score, from 0 for wrong to 1 for right, with the answer that it gives.
    Score(Observation),
    /// Something has to be done outside of this crate first.
    Pending(Pending),
}

/// What has to be done for a score, by its kind. Each knows what its outcome is worth.
#[derive(Debug, Clone, PartialEq)]
pub enum Pending {
    /// Programs have to be run.
    Run(Run),
    /// A [judge](crate::Scorer::judge) has to be asked.
    Ask,
}
