//! Whether a request went out on a connection that had carried another one before.
//!
//! A server may close a connection that idles at the very moment at which a request is put on it.
//! It has then read nothing, so nothing ran and nothing is billed. The HTTP client does not say
//! whether it used a connection before, but it tells connections apart by their local address.

use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpInfo;
use reqwest::Response;
use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the HTTP client keeps a connection that idles. After that, an address that is seen again
/// is another connection's.
pub(crate) const KEPT: Duration = Duration::from_secs(90);

/// The connections that have carried an answer, by their local addresses, each with the time of the
/// last one.
#[derive(Debug, Default)]
pub(crate) struct UsedConnections(Mutex<HashMap<SocketAddr, Instant>>);

impl UsedConnections {
    /// Notes that an answer came.
    pub(crate) fn note(&self, response: &Response) {
        if let Some(info) = response.extensions().get::<HttpInfo>() {
            let now = Instant::now();
            let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            used.retain(|_, last| now.duration_since(*last) < KEPT);
            used.insert(info.local_addr(), now);
        }
    }

    /// Whether an error says that a connection which had carried an answer before was closed before
    /// any of another one came.
    pub(crate) fn is_closed_after_use(&self, error: &reqwest::Error) -> bool {
        if !is_closed_without_answer(error) {
            return false;
        }
        let Some(address) = local_address(error) else {
            return false;
        };
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = used.remove(&address);
        last.is_some_and(|last| last.elapsed() < KEPT)
    }
}

/// The local address of the connection that an error is about. Requests that share a connection are
/// not told apart, so for these there is none.
fn local_address(error: &reqwest::Error) -> Option<SocketAddr> {
    let mut causes = causes(error);
    let client = causes.find_map(|cause| cause.downcast_ref::<legacy::Error>())?;
    let connection = client.connect_info()?;
    if connection.is_negotiated_h2() {
        return None;
    }
    let mut extras = hyper::http::Extensions::new();
    connection.get_extras(&mut extras);
    extras.get::<HttpInfo>().map(HttpInfo::local_addr)
}

fn is_closed_without_answer(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| {
        let http = cause.downcast_ref::<hyper::Error>();
        let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        http.is_some_and(|http| http.is_incomplete_message() || http.is_canceled())
            || matches!(
                io,
                Some(
                    io::ErrorKind::ConnectionReset
                        | io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::BrokenPipe
                )
            )
    })
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let mut next = error.source();
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}
