//! Whether a request went out on a connection that was there before.
//!
//! A server may close a connection that idles at the very moment at which a request is put on it.
//! It has then read nothing, so nothing ran and nothing is billed. The HTTP client does not say
//! whether a connection was reused, so it is noted when one is opened for a request.

use reqwest::Error;
use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tower::{Layer, Service};

tokio::task_local! {
    static OPENED: Arc<AtomicBool>;
}

/// Carries a request out, and says whether a connection was opened for it.
pub(crate) async fn noted<T>(exchange: impl Future<Output = T>) -> (T, bool) {
    let opened = Arc::new(AtomicBool::new(false));
    let outcome = OPENED.scope(Arc::clone(&opened), exchange).await;
    (outcome, opened.load(Ordering::Relaxed))
}

/// Whether an error says that the connection was closed before any of an answer came.
pub(crate) fn is_closed_without_answer(error: &Error) -> bool {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(http) = inner.downcast_ref::<hyper::Error>()
            && (http.is_incomplete_message() || http.is_canceled())
        {
            return true;
        }
        if let Some(io) = inner.downcast_ref::<io::Error>()
            && matches!(
                io.kind(),
                io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe
            )
        {
            return true;
        }
        source = inner.source();
    }
    false
}

/// Notes each connection that is opened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoteOpening;

impl<S> Layer<S> for NoteOpening {
    type Service = Noting<S>;

    fn layer(&self, inner: S) -> Noting<S> {
        Noting(inner)
    }
}

/// A connector whose connections are noted.
#[derive(Debug, Clone)]
pub(crate) struct Noting<S>(S);

impl<R, S: Service<R>> Service<R> for Noting<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, destination: R) -> S::Future {
        // It is called by the request that wants the connection. What opens connections for nobody
        // in particular has nothing to note.
        OPENED
            .try_with(|opened| opened.store(true, Ordering::Relaxed))
            .ok();
        self.0.call(destination)
    }
}
