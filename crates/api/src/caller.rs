//! Who calls, as far as it is known: made by the door, asked for by handlers and extractors.

use crate::errors::ApiError;
use crate::state::AppState;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use frugal_domain::access::Access;
use frugal_store::keys::Key;
use std::net::IpAddr;
use std::sync::Arc;

/// Who calls.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Whose things they reach.
    pub access: Access,
    /// With which key; nothing where none is needed.
    pub key: Option<Arc<Key>>,
    /// From where, as far as the proxies before us are believed.
    pub address: Option<IpAddr>,
}

impl Caller {
    /// The one whose request this is.
    ///
    /// # Errors
    /// The request came past the door.
    pub(crate) fn of(parts: &Parts) -> Result<&Self, ApiError> {
        parts
            .extensions
            .get()
            .ok_or_else(|| ApiError::internal(&Unknown))
    }
}

/// A request that nobody let in is a fault of ours, and is not served.
#[derive(Debug, thiserror::Error)]
#[error("a request came past the door: nobody knows whose it is")]
struct Unknown;

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, ApiError> {
        Self::of(parts).cloned()
    }
}
