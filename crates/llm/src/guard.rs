//! Who decides whether a request may be sent.

use crate::error::Attempts;

/// Whoever answers for the money. It is asked before every attempt, when nothing else is in the
/// way of it any more.
pub trait SendGuard: Sync {
    /// Whether the request may be sent. `before` counts the attempts so far. Where the last of them
    /// may have been billed, sending it once more may cost its worst case once more.
    fn may_send(
        &self,
        before: Attempts,
        last_possibly_billed: bool,
    ) -> impl Future<Output = Permission> + Send;

    /// Comes to its end once nothing more is to be sent. Requests that wait are then withdrawn at
    /// once.
    fn withdrawn(&self) -> impl Future<Output = ()> + Send;
}

/// What a guard says to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// It may be made.
    Granted,
    /// It may not, and the request has failed with what went wrong before.
    GivenUp,
    /// It may not, as the answer is not wanted any more.
    Withdrawn,
}

/// Lets everything pass.
pub(crate) struct Unguarded;

impl SendGuard for Unguarded {
    async fn may_send(&self, _: Attempts, _: bool) -> Permission {
        Permission::Granted
    }

    async fn withdrawn(&self) {
        std::future::pending::<()>().await;
    }
}
