//! Tokens for browsers: `EventSource` sends no headers, and a key does not belong into a URL.
#![expect(
    unused_qualifications,
    reason = "the macro that describes query parameters writes paths in full"
)]

use crate::caller::Caller;
use crate::errors::{ApiError, Code};
use crate::extract::Parameters;
use crate::keys;
use crate::responses::{Problems, codes};
use crate::state::AppState;
use crate::wire::StreamToken;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{TimeDelta, Utc};
use frugal_store::keys as stored;
use serde::Deserialize;
use utoipa::IntoParams;

/// How long a token is good where the client does not say, in seconds.
const DEFAULT_SECONDS: i64 = 300;
/// The longest that one may be good: URLs end up in logs.
const MOST_SECONDS: i64 = 3_600;

/// How long the token is to be good.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CreateStreamToken {
    /// For so many seconds; 300 by default.
    #[param(minimum = 1, maximum = 3600)]
    seconds: Option<i64>,
}

/// Get a token for event streams
///
/// For a browser's `EventSource`, which sends no `Authorization`: the token goes to the end of the URL of
/// events, as `?token=…`, and opens streams of the key's owner, and nothing else, until it expires. A page that
/// reconnects later gets another.
#[utoipa::path(
    post,
    path = "/stream-tokens",
    tag = "keys",
    params(CreateStreamToken),
    responses(
        (status = 201, description = "The token.", body = StreamToken),
        Problems<{ codes(&[Code::InvalidParameter]) }>
    )
)]
pub(super) async fn create_stream_token(
    State(state): State<AppState>,
    caller: Caller,
    Parameters(parameters): Parameters<CreateStreamToken>,
) -> Result<(StatusCode, Json<StreamToken>), ApiError> {
    let seconds = parameters.seconds.unwrap_or(DEFAULT_SECONDS);
    if !(1..=MOST_SECONDS).contains(&seconds) {
        let detail = format!("`seconds` is {seconds}; it must be from 1 to {MOST_SECONDS}");
        return Err(ApiError::new(Code::InvalidParameter, detail));
    }
    let now = Utc::now();
    let expires_at = now + TimeDelta::seconds(seconds);
    let token = keys::stream_token()?;
    // Where nobody needs a key, a page that sends a token anyway is served like any other.
    if let Some(key) = &caller.key {
        let mut transaction = state.transaction().await?;
        let hash = keys::hash(&token);
        stored::create_stream_token(&mut transaction, &hash, key.id, expires_at, now).await?;
        transaction.commit().await?;
    }
    Ok((StatusCode::CREATED, Json(StreamToken { token, expires_at })))
}
