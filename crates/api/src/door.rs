//! The door: who a request is from, whether they may, how often, and what they changed.
//!
//! Every route is behind it. It puts a [`Caller`] into the request, which handlers and extractors go by;
//! without one, nothing of anybody is found.

use crate::caller::Caller;
use crate::change::Change;
use crate::errors::{ApiError, Code};
use crate::keys::{self, is_key, is_stream_token};
use crate::operations::Operations;
use crate::request_id::REQUEST_ID;
use crate::state::AppState;
use crate::{accept, forwarded, scopes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use frugal_domain::access::{Access, Scope};
use frugal_store::audit::Entry;
use frugal_store::keys::Key;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;
use tracing::Instrument;

/// What the door goes by.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    /// What the handlers behind it share.
    pub state: AppState,
    /// The operations that there are.
    pub operations: Arc<Operations>,
}

/// Lets a request in, or refuses it, and counts it.
pub(crate) async fn admit(
    State(Door { state, operations }): State<Door>,
    request: Request,
    next: Next,
) -> Response {
    // Where there is nothing, there is nothing to keep.
    let Some(path) = request.extensions().get::<MatchedPath>().cloned() else {
        return next.run(request).await;
    };
    let method = request.method().clone();
    let traffic = state.traffic().clone();
    let begun = Instant::now();
    let response = answer(state, &operations, (&method, &path), request, next).await;
    traffic.count(&method, path.as_str(), response.status(), begun.elapsed());
    response
}

async fn answer(
    state: AppState,
    operations: &Operations,
    (method, path): (&Method, &MatchedPath),
    mut request: Request,
    next: Next,
) -> Response {
    let address = forwarded::client(&request, &state.guard().trusted_proxies);
    let needed = scopes::needed(method, path.as_str());
    let caller = match caller(&state, &mut request, path.as_str(), needed, address).await {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    if let Err(error) = state.limiter().admit(caller.key.as_deref()) {
        return error.into_response();
    }
    let types = operations.types(method, path.as_str());
    if let Err(error) = accept::check(request.headers(), types) {
        return error.into_response();
    }
    let permit = if scopes::follows_events(method, path.as_str()) && asks_for_stream(&request) {
        match state.streams().open(&caller.access, caller.key.as_deref()) {
            Ok(permit) => Some(permit),
            Err(error) => return error.into_response(),
        }
    } else {
        None
    };
    let changes = matches!(needed, Some(Scope::Write | Scope::Admin))
        && !matches!(*method, Method::GET | Method::HEAD);
    let change = changes.then(|| {
        let action = operations.name(method, path.as_str());
        Change::new(entry(action, &request, &caller))
    });
    request.extensions_mut().insert(caller);
    match (change, permit) {
        (Some(change), _) => changing(state, request, next, change).await,
        (None, Some(permit)) => permit.held_by(next.run(request).await),
        (None, None) => next.run(request).await,
    }
}

/// Who a request is from.
async fn caller(
    state: &AppState,
    request: &mut Request,
    path: &str,
    needed: Option<Scope>,
    address: Option<IpAddr>,
) -> Result<Caller, ApiError> {
    // Taken out in any case: no handler knows it.
    let token = match scopes::follows_events(request.method(), path) {
        true => take_token(request)?,
        false => None,
    };
    let Some(needed) = needed.filter(|_| state.guard().require_keys) else {
        return Ok(Caller {
            access: Access::OPEN,
            key: None,
            address,
        });
    };
    let key = match (bearer(request.headers())?, token) {
        (Some(key), _) => by_key(state, &key, address).await?,
        (None, Some(token)) => by_token(state, &token, address).await?,
        (None, None) => {
            return Err(ApiError::new(
                Code::Unauthorized,
                "this server needs a key; send it as `Authorization: Bearer frugal_…` (its operator makes one \
                 with `frugal keys create`)",
            ));
        }
    };
    if !needed.is_allowed_by(&key.scopes) {
        let has = key.scopes.iter().map(|scope| format!("`{scope}`"));
        let has = has.collect::<Vec<_>>().join(", ");
        return Err(ApiError::new(
            Code::Forbidden,
            format!(
                "the key `{}` allows {has}, and this needs `{needed}`; use a key with that scope",
                key.name
            ),
        ));
    }
    Ok(Caller {
        access: Access {
            owner: Some(key.owner.clone()),
            everything: key.scopes.contains(&Scope::Admin),
        },
        key: Some(key),
        address,
    })
}

/// The key that a request carries in its header.
fn bearer(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    let (scheme, key) = text.split_once(' ').unwrap_or((text, ""));
    match scheme.eq_ignore_ascii_case("bearer") {
        true => Ok(Some(key.trim().to_owned())),
        false => Err(ApiError::new(
            Code::Unauthorized,
            "the header `Authorization` must be of the form `Bearer frugal_…`",
        )),
    }
}

/// The stream token in a request's query, which is taken out of it.
fn take_token(request: &mut Request) -> Result<Option<String>, ApiError> {
    let Some(query) = request.uri().query() else {
        return Ok(None);
    };
    let is_token = |pair: &&str| pair.starts_with("token=");
    let Some(token) = query.split('&').find(is_token) else {
        return Ok(None);
    };
    let token = token.trim_start_matches("token=").to_owned();
    let rest: Vec<_> = query.split('&').filter(|pair| !is_token(pair)).collect();
    let path = request.uri().path();
    let without = match rest.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", rest.join("&")),
    };
    let mut parts = request.uri().clone().into_parts();
    let uri = without.parse().ok().and_then(|path_and_query| {
        parts.path_and_query = Some(path_and_query);
        Uri::from_parts(parts).ok()
    });
    let uri = uri.ok_or_else(|| {
        ApiError::new(
            Code::InvalidParameter,
            "the query cannot be read without its `token`",
        )
    })?;
    *request.uri_mut() = uri;
    Ok(Some(token))
}

async fn by_key(
    state: &AppState,
    text: &str,
    address: Option<IpAddr>,
) -> Result<Arc<Key>, ApiError> {
    let found = match is_key(text) {
        true => {
            // Others at the same address do not keep a key out that was seen to be one.
            if !state.known_keys().has_seen(text) {
                state.limiter().may_try(address)?;
            }
            state.known_keys().find(state.pool(), text).await?
        }
        false => None,
    };
    found.ok_or_else(|| {
        state.limiter().note_failure(address);
        ApiError::new(
            Code::Unauthorized,
            "the key is not one of this server's, or it is revoked or has expired",
        )
    })
}

async fn by_token(
    state: &AppState,
    text: &str,
    address: Option<IpAddr>,
) -> Result<Arc<Key>, ApiError> {
    let found = match is_stream_token(text) {
        true => {
            state.limiter().may_try(address)?;
            let mut connection = state.connection().await?;
            let hash = keys::hash(text);
            frugal_store::keys::find_by_stream_token(&mut connection, &hash, Utc::now()).await?
        }
        false => None,
    };
    found.map(Arc::new).ok_or_else(|| {
        state.limiter().note_failure(address);
        ApiError::new(
            Code::Unauthorized,
            "the stream token is none, or has expired; get another with `POST /stream-tokens`",
        )
    })
}

/// Whether a request asks for a stream of events.
fn asks_for_stream(request: &Request) -> bool {
    let accepted = request.headers().get_all(header::ACCEPT).iter();
    let mut accepted = accepted.filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.to_ascii_lowercase().contains("text/event-stream"))
}

/// What the audit says of a request that changes something.
fn entry(action: &str, request: &Request, caller: &Caller) -> Entry {
    let key = caller.key.as_deref();
    let request_id = request.headers().get(REQUEST_ID);
    let request_id = request_id.and_then(|id| id.to_str().ok());
    Entry {
        at: Utc::now(),
        key_id: key.map(|key| key.id),
        key_name: key.map(|key| key.name.clone()),
        owner: key.map(|key| key.owner.clone()),
        action: action.to_owned(),
        subject: request.uri().path().to_owned(),
        address: caller.address.map(|address| address.to_string()),
        request_id: request_id.map(str::to_owned),
    }
}

/// Carries a change out to its end, whether the client waits for it or not, and notes it where its handler has not.
async fn changing(state: AppState, mut request: Request, next: Next, change: Change) -> Response {
    request.extensions_mut().insert(change.clone());
    let changing = async move {
        let response = next.run(request).await;
        // What was answered before changes nothing.
        let is_replay = response
            .headers()
            .contains_key(crate::idempotency::REPLAYED);
        if response.status().is_success() && !is_replay {
            change.note_afterwards(state.pool()).await;
        }
        response
    };
    match tokio::spawn(changing.in_current_span()).await {
        Ok(response) => response,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => ApiError::internal(&error).into_response(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::http::HeaderValue;

    #[test]
    fn a_token_leaves_the_query_and_nothing_else_does() {
        for (uri, token, rest) in [
            ("/jobs/1/events", None, "/jobs/1/events"),
            ("/jobs/1/events?after=3", None, "/jobs/1/events?after=3"),
            ("/jobs/1/events?token=t", Some("t"), "/jobs/1/events"),
            (
                "/jobs/1/events?after=3&token=t&limit=2",
                Some("t"),
                "/jobs/1/events?after=3&limit=2",
            ),
        ] {
            let mut request = Request::builder().uri(uri).body(Body::empty()).unwrap();
            let taken = take_token(&mut request).unwrap();
            assert_eq!(taken.as_deref(), token, "{uri}");
            assert_eq!(request.uri().to_string(), rest);
        }
    }

    #[test]
    fn a_key_comes_as_a_bearer() {
        let headers = |text| {
            let value = HeaderValue::from_static(text);
            HeaderMap::from_iter([(header::AUTHORIZATION, value)])
        };
        assert_eq!(bearer(&HeaderMap::new()).unwrap(), None);
        for text in ["Bearer k", "bearer  k", "BEARER k "] {
            assert_eq!(bearer(&headers(text)).unwrap().as_deref(), Some("k"));
        }
        assert!(bearer(&headers("Basic a2V5")).is_err());
    }
}
