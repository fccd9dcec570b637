//! Why a job is to stop before its search is done, told to everything that works on it.

use frugal_domain::request::Purpose;
use frugal_domain::state::StopReason;
use std::sync::OnceLock;
use tokio_util::sync::CancellationToken;

/// Why no further request is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A client cancelled the job, or its time is over. It ends with what it has.
    End(StopReason),
    /// The process is to stop, or the lease is lost. Another worker goes on.
    LetGo,
}

/// A switch that is thrown once. Requests under way may still arrive; none is sent after it.
#[derive(Debug, Default)]
pub(crate) struct Halt {
    cause: OnceLock<Cause>,
    token: CancellationToken,
}

impl Halt {
    /// Throws the switch; the first cause stands.
    pub(crate) fn throw(&self, cause: Cause) {
        if self.cause.set(cause).is_ok() {
            self.token.cancel();
        }
    }

    /// Why it was thrown, if it was.
    pub(crate) fn cause(&self) -> Option<Cause> {
        self.cause.get().copied()
    }

    /// Whether requests of this role are not to be sent any more. The end of a job's time stops
    /// the search; what it found is still scored on the held-out rows.
    pub(crate) fn stops(&self, purpose: Purpose) -> bool {
        match self.cause() {
            None => false,
            Some(Cause::End(StopReason::Deadline)) => purpose != Purpose::Validation,
            Some(_) => true,
        }
    }

    /// Waits until it is thrown and stops this role.
    pub(crate) async fn thrown(&self, purpose: Purpose) {
        self.token.cancelled().await;
        if !self.stops(purpose) {
            std::future::pending::<()>().await;
        }
    }
}
