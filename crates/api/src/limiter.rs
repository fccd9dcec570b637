//! How often a key may ask, and an address may try keys; how many streams an owner may have open.

use crate::errors::{ApiError, Code};
use axum::body::Body;
use axum::http::header;
use axum::response::Response;
use frugal_domain::access::Access;
use frugal_store::keys::Key;
use futures::StreamExt;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// How often an address may present what is no key in a minute, before it has to wait.
const FAILURES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(60).unwrap();
/// How many addresses are remembered before those are let go that may try again.
const MANY_ADDRESSES: usize = 10_000;
/// After how many seconds a client may try again that has too much open.
const TRY_AGAIN: u64 = 10;

/// Counts requests and failures.
#[derive(Debug)]
pub(crate) struct Limiter {
    clock: DefaultClock,
    requests: Option<DefaultKeyedRateLimiter<Uuid>>,
    failures: DefaultKeyedRateLimiter<IpAddr>,
    /// Addresses whose failures are used up.
    barred: Mutex<HashMap<IpAddr, std::time::Instant>>,
}

impl Limiter {
    pub(crate) fn new(requests_per_minute: Option<NonZeroU32>) -> Self {
        let requests = requests_per_minute.map(|number| {
            let quota = Quota::per_minute(number);
            RateLimiter::keyed(quota)
        });
        Self {
            clock: DefaultClock::default(),
            requests,
            failures: RateLimiter::keyed(Quota::per_minute(FAILURES_PER_MINUTE)),
            barred: Mutex::default(),
        }
    }

    /// Counts a request of a key.
    pub(crate) fn admit(&self, key: Option<&Key>) -> Result<(), ApiError> {
        let (Some(requests), Some(key)) = (&self.requests, key) else {
            return Ok(());
        };
        requests.check_key(&key.id).map_err(|until| {
            let wait = until.wait_time_from(self.clock.now());
            let seconds = wait.as_secs() + 1;
            let detail = format!(
                "the key `{}` makes more requests than it may; try again in {seconds} s, or wait for changes with \
                 `?wait=` or a stream rather than ask for them",
                key.name
            );
            ApiError::new(Code::RateLimited, detail).retry_after(seconds)
        })
    }

    /// Whether an address may present a key: one that presents many that are none may not, for a while.
    pub(crate) fn may_try(&self, address: Option<IpAddr>) -> Result<(), ApiError> {
        let Some(address) = address else {
            return Ok(());
        };
        let mut barred = self.barred();
        let Some(until) = barred.get(&address) else {
            return Ok(());
        };
        let left = until.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() {
            barred.remove(&address);
            return Ok(());
        }
        let seconds = left.as_secs() + 1;
        let detail =
            format!("too many keys that are none came from this address; try again in {seconds} s");
        Err(ApiError::new(Code::RateLimited, detail).retry_after(seconds))
    }

    /// Counts a key that is none.
    pub(crate) fn note_failure(&self, address: Option<IpAddr>) {
        let Some(address) = address else { return };
        if self.failures.len() > MANY_ADDRESSES {
            self.failures.retain_recent();
        }
        if let Err(until) = self.failures.check_key(&address) {
            let wait = until.wait_time_from(self.clock.now());
            let now = std::time::Instant::now();
            let mut barred = self.barred();
            barred.retain(|_, until| *until > now);
            barred.insert(address, now + wait);
        }
    }

    /// The map. A panic while it was locked leaves it whole: every change to it is one step.
    fn barred(&self) -> MutexGuard<'_, HashMap<IpAddr, std::time::Instant>> {
        self.barred.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The streams that are open, by owner.
#[derive(Debug, Clone, Default)]
pub(crate) struct Streams(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    most: Option<u32>,
    open: Mutex<HashMap<Option<String>, u32>>,
}

impl Streams {
    pub(crate) fn new(most: Option<u32>) -> Self {
        Self(Arc::new(Inner {
            most,
            open: Mutex::default(),
        }))
    }

    /// How many are open.
    pub(crate) fn count(&self) -> u64 {
        self.open_ones()
            .values()
            .map(|count| u64::from(*count))
            .sum()
    }

    /// Opens one more of an owner's.
    pub(crate) fn open(&self, access: &Access) -> Result<Permit, ApiError> {
        let mut open = self.open_ones();
        let count = open.entry(access.owner.clone()).or_default();
        if let Some(most) = self.0.most.filter(|most| *count >= *most) {
            let detail = format!(
                "{most} event streams are open already, which is the most on this server; close one, or try \
                 again later"
            );
            return Err(ApiError::new(Code::TooManyStreams, detail).retry_after(TRY_AGAIN));
        }
        *count += 1;
        Ok(Permit {
            streams: self.clone(),
            owner: access.owner.clone(),
        })
    }

    /// The map. A panic while it was locked leaves it whole: every change to it is one step.
    fn open_ones(&self) -> MutexGuard<'_, HashMap<Option<String>, u32>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open stream, as long as it lives.
#[derive(Debug)]
pub(crate) struct Permit {
    streams: Streams,
    owner: Option<String>,
}

impl Permit {
    /// The answer, which has the permit until its body has ended or was let go, if it is a stream.
    pub(crate) fn held_by(self, response: Response) -> Response {
        let kind = response.headers().get(header::CONTENT_TYPE);
        let is_stream = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        if !is_stream {
            return response;
        }
        response.map(|body| {
            Body::from_stream(body.into_data_stream().map(move |chunk| {
                let _held = &self;
                chunk
            }))
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.streams.open_ones();
        if let Some(count) = open.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(owner: &str) -> Access {
        Access {
            owner: Some(owner.to_owned()),
            everything: false,
        }
    }

    #[test]
    fn streams_are_counted_by_owner_and_given_back() {
        let streams = Streams::new(Some(2));
        let first = streams.open(&access("a")).unwrap();
        let _second = streams.open(&access("a")).unwrap();
        let refused = streams.open(&access("a")).unwrap_err();
        assert_eq!(refused.code(), Code::TooManyStreams);
        let _other = streams.open(&access("b")).unwrap();
        assert_eq!(streams.count(), 3);
        drop(first);
        assert!(streams.open(&access("a")).is_ok());
        assert_eq!(streams.count(), 2);
    }

    #[test]
    fn a_permit_lives_as_long_as_the_stream() {
        let streams = Streams::new(None);
        let plain = streams.open(&access("a")).unwrap();
        drop(plain.held_by(Response::new(Body::empty())));
        assert_eq!(streams.count(), 0);
        let mut stream = Response::new(Body::empty());
        let kind = "text/event-stream".parse().unwrap();
        stream.headers_mut().insert(header::CONTENT_TYPE, kind);
        let held = streams.open(&access("a")).unwrap().held_by(stream);
        assert_eq!(streams.count(), 1);
        drop(held);
        assert_eq!(streams.count(), 0);
    }

    #[test]
    fn an_address_that_guesses_has_to_wait() {
        let limiter = Limiter::new(None);
        let address = Some(IpAddr::from([192, 0, 2, 1]));
        for _ in 0..60 {
            assert!(limiter.may_try(address).is_ok());
            limiter.note_failure(address);
        }
        limiter.note_failure(address);
        assert_eq!(
            limiter.may_try(address).unwrap_err().code(),
            Code::RateLimited
        );
        assert!(limiter.may_try(Some(IpAddr::from([192, 0, 2, 2]))).is_ok());
    }
}
