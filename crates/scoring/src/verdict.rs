//! What a scorer says of a response by itself.

use crate::hook::HookItem;
use crate::run::Run;
use frugal_domain::scoring::Observation;

/// What a scorer says of a response by itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// Its score, from 0 for wrong to 1 for right, with the answer that it gives.
    Score(Observation),
    /// It has no score, for this reason.
    None(String),
    /// Something has to be done outside of this crate first.
    Pending(Pending),
}

/// What has to be done for a score, by its kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Pending {
    /// Programs have to be run. It knows what their ends are worth.
    Run(Run),
    /// A hook has to be asked, about this.
    Webhook(HookItem),
    /// A [judge](crate::Scorer::judges) has to be asked.
    Ask,
}
