//! When an attempt may be made: asked before each one, told how each one ended.

use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Whoever decides when the attempts of one request may be made. It is asked before the guard is,
/// so that what waits here is not counted as sent.
pub trait Admission: Sync {
    /// Held during an attempt.
    type Permit: Permit;

    /// Waits until an attempt may be made. Dropping the future gives the place in the line up.
    fn admit(&self, is_retry: bool) -> impl Future<Output = Self::Permit> + Send;
}

/// The right to make one attempt. Dropped, it ends without a word on how the attempt did.
pub trait Permit: Send {
    /// The attempt has ended. Says whom to blame where it failed.
    fn ended(self, end: &AttemptEnd) -> Blame;
}

/// How an attempt ended, as far as it concerns others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptEnd {
    /// What the endpoint did.
    pub state: EndpointState,
    /// How long the endpoint asks to wait, unclamped, where it does.
    pub asked_for: Option<Duration>,
    /// From sending the request to its answer, without any wait before it.
    pub latency: Duration,
    /// Tokens of the responses, where there are any.
    pub completion_tokens: u64,
    /// What went wrong, in a line fit for users.
    pub reason: Option<String>,
}

/// What an attempt tells of its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointState {
    /// It works: it answered, or refused this request for a reason.
    Working,
    /// It wants fewer requests (status 429).
    RateLimited,
    /// It is not there, or says that it cannot serve: no connection, or a status such as 503.
    Unavailable,
    /// It broke down over this request: status 500, no answer in time, a connection that broke, an
    /// answer that is none. The request may be what breaks it.
    BrokenDown,
}

/// Whom a failed attempt counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The request: it has one attempt less, and waits before the next one.
    Request,
    /// The endpoint, which serves nobody: the request keeps its attempts, and asks to be admitted
    /// again at once.
    Endpoint,
}

/// A limit on requests in flight and nothing else, for a client that has nobody to share with.
pub(crate) struct InFlight<'a>(pub(crate) &'a Semaphore);

impl<'a> Admission for InFlight<'a> {
    type Permit = Option<SemaphorePermit<'a>>;

    async fn admit(&self, _: bool) -> Self::Permit {
        // Never closed.
        self.0.acquire().await.ok()
    }
}

impl Permit for Option<SemaphorePermit<'_>> {
    fn ended(self, _: &AttemptEnd) -> Blame {
        Blame::Request
    }
}
