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
use tokio_util::sync::CancellationToken;
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

/// The streams that are open, by owner and by key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Streams(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    most: Option<u32>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    owners: HashMap<Option<String>, u32>,
    /// How many each key has, and what ends them.
    keys: HashMap<Uuid, (u32, CancellationToken)>,
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
            .owners
            .values()
            .map(|count| u64::from(*count))
            .sum()
    }

    /// Opens one more of an owner's, by a key where one is needed.
    pub(crate) fn open(&self, access: &Access, key: Option<&Key>) -> Result<Permit, ApiError> {
        let mut open = self.open_ones();
        let count = open.owners.entry(access.owner.clone()).or_default();
        if let Some(most) = self.0.most.filter(|most| *count >= *most) {
            let detail = format!(
                "{most} event streams are open already, which is the most on this server; close one, or try \
                 again later"
            );
            return Err(ApiError::new(Code::TooManyStreams, detail).retry_after(TRY_AGAIN));
        }
        *count += 1;
        let key = key.map(|key| {
            let (count, end) = open.keys.entry(key.id).or_default();
            *count += 1;
            (key.id, end.clone())
        });
        Ok(Permit {
            streams: self.clone(),
            owner: access.owner.clone(),
            key,
        })
    }

    /// The keys that have streams open.
    pub(crate) fn keys(&self) -> Vec<Uuid> {
        self.open_ones().keys.keys().copied().collect()
    }

    /// Ends all streams of a key, which is of no use any more.
    pub(crate) fn end(&self, key: Uuid) {
        if let Some((_, end)) = self.open_ones().keys.get(&key) {
            end.cancel();
        }
    }

    /// The map. A panic while it was locked leaves it whole: every change to it is one step.
    fn open_ones(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open stream, as long as it lives.
#[derive(Debug)]
pub(crate) struct Permit {
    streams: Streams,
    owner: Option<String>,
    /// Its key, and what ends it.
    key: Option<(Uuid, CancellationToken)>,
}

impl Permit {
    /// The answer, which has the permit until its body has ended or was let go, if it is a stream.
    pub(crate) fn held_by(self, response: Response) -> Response {
        let kind = response.headers().get(header::CONTENT_TYPE);
        let is_stream = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        if !is_stream {
            return response;
        }
        let end = self.key.as_ref().map(|(_, end)| end.clone());
        response.map(|body| {
            let held = body.into_data_stream().map(move |chunk| {
                let _held = &self;
                chunk
            });
            match end {
                // What is sent at once is whole frames, so it ends between two.
                Some(end) => Body::from_stream(held.take_until(end.cancelled_owned())),
                None => Body::from_stream(held),
            }
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.streams.open_ones();
        if let Some(count) = open.owners.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                open.owners.remove(&self.owner);
            }
        }
        let Some((key, _)) = &self.key else { return };
        if let Some((count, _)) = open.keys.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                open.keys.remove(key);
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
        let first = streams.open(&access("a"), None).unwrap();
        let _second = streams.open(&access("a"), None).unwrap();
        let refused = streams.open(&access("a"), None).unwrap_err();
        assert_eq!(refused.code(), Code::TooManyStreams);
        let _other = streams.open(&access("b"), None).unwrap();
        assert_eq!(streams.count(), 3);
        drop(first);
        assert!(streams.open(&access("a"), None).is_ok());
        assert_eq!(streams.count(), 2);
    }

    #[test]
    fn a_permit_lives_as_long_as_the_stream() {
        let streams = Streams::new(None);
        let plain = streams.open(&access("a"), None).unwrap();
        drop(plain.held_by(Response::new(Body::empty())));
        assert_eq!(streams.count(), 0);
        let mut stream = Response::new(Body::empty());
        let kind = "text/event-stream".parse().unwrap();
        stream.headers_mut().insert(header::CONTENT_TYPE, kind);
        let held = streams.open(&access("a"), None).unwrap().held_by(stream);
        assert_eq!(streams.count(), 1);
        drop(held);
        assert_eq!(streams.count(), 0);
    }

    #[tokio::test]
    async fn the_end_of_a_key_ends_its_streams_and_no_others() {
        let streams = Streams::new(None);
        let key = |id| Key {
            id: Uuid::from_u128(id),
            name: String::new(),
            owner: "a".to_owned(),
            hint: String::new(),
            scopes: Vec::new(),
            created_at: chrono::DateTime::UNIX_EPOCH,
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
        };
        let open = |id| {
            let mut endless = Response::new(Body::from_stream(futures::stream::pending::<
                Result<&'static str, std::convert::Infallible>,
            >()));
            let kind = "text/event-stream".parse().unwrap();
            endless.headers_mut().insert(header::CONTENT_TYPE, kind);
            let permit = streams.open(&access("a"), Some(&key(id))).unwrap();
            permit.held_by(endless).into_body().into_data_stream()
        };
        let (mut first, mut other) = (open(1), open(2));
        assert_eq!(streams.keys().len(), 2);
        streams.end(Uuid::from_u128(1));
        assert!(first.next().await.is_none());
        assert!(futures::FutureExt::now_or_never(other.next()).is_none());
        drop(first);
        assert_eq!(streams.keys(), [Uuid::from_u128(2)]);
        // One that is opened later is not ended by what ended earlier ones.
        let mut again = open(1);
        assert!(futures::FutureExt::now_or_never(again.next()).is_none());
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
