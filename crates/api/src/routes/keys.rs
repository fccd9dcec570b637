//! Keys: made, listed, revoked. For admins; `frugal keys` does the same at the database.

use crate::change::Change;
use crate::errors::{ApiError, Code};
use crate::extract::{JsonBody, NamePath};
use crate::keys;
use crate::responses::{Problems, codes};
use crate::state::AppState;
use crate::wire::{Key, KeyPost, Keys, NewKey, Scope};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use frugal_store::keys as stored;

/// Make a key
///
/// Its text is in this answer and nowhere else. The first key is made with `frugal keys create`.
#[utoipa::path(
    post,
    path = "/keys",
    tag = "keys",
    request_body(content = KeyPost, content_type = "application/json"),
    responses(
        (status = 201, description = "The key, with its text.", body = NewKey, headers(
            ("Location" = String, description = "The path of the key.")
        )),
        Problems<{ codes(&[
            Code::InvalidJson, Code::BodyTimeout, Code::BodyTooLarge, Code::UnsupportedMediaType,
            Code::InvalidKey, Code::KeyNameTaken,
        ]) }>
    )
)]
pub(super) async fn create_key(
    State(state): State<AppState>,
    change: Change,
    JsonBody(document): JsonBody,
) -> Result<Response, ApiError> {
    let post: KeyPost = serde_json::from_value(document).map_err(|error| {
        ApiError::new(Code::InvalidKey, format!("the key makes no sense: {error}"))
    })?;
    let scopes = post
        .scopes
        .unwrap_or_else(|| vec![Scope::Read, Scope::Write]);
    let new = keys::NewKey {
        name: post.name,
        owner: post.owner,
        scopes: scopes.into_iter().map(Scope::into).collect(),
        expires_at: post.expires_at,
    };
    let mut transaction = state.transaction().await?;
    let issued = keys::issue(&mut transaction, new, Utc::now()).await?;
    let location = format!("/keys/{}", issued.key.id);
    change.note_made(&mut transaction, &location).await?;
    transaction.commit().await?;
    let key = NewKey {
        about: issued.key.into(),
        key: issued.text,
    };
    let mut response = (StatusCode::CREATED, Json(key)).into_response();
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::from_str(&location) {
        headers.insert(header::LOCATION, location);
    }
    Ok(response)
}

/// List the keys
///
/// Newest first, those that were revoked as well.
#[utoipa::path(
    get,
    path = "/keys",
    tag = "keys",
    responses((status = 200, description = "All keys.", body = Keys))
)]
pub(super) async fn list_keys(State(state): State<AppState>) -> Result<Json<Keys>, ApiError> {
    let mut connection = state.connection().await?;
    let keys = stored::list(&mut connection).await?;
    Ok(Json(Keys {
        object: "list",
        data: keys.into_iter().map(Key::from).collect(),
    }))
}

/// Revoke a key
///
/// For good, and at once; other servers of the same database know of it within two seconds. Event streams that were
/// opened with it, or with a stream token of it, end. What belongs to its owner stays.
#[utoipa::path(
    delete,
    path = "/keys/{name}",
    tag = "keys",
    params(("name" = String, Path, description = "Its id or its name.")),
    responses(
        (status = 204, description = "It is of no use any more."),
        Problems<{ codes(&[Code::NotFound]) }>
    )
)]
pub(super) async fn revoke_key(
    State(state): State<AppState>,
    change: Change,
    NamePath(name): NamePath,
) -> Result<StatusCode, ApiError> {
    let mut transaction = state.transaction().await?;
    let Some(revoked) = stored::revoke(&mut transaction, &name, Utc::now()).await? else {
        let detail = format!("there is no key `{name}` that is not revoked");
        return Err(ApiError::new(Code::NotFound, detail));
    };
    change.note(&mut transaction).await?;
    transaction.commit().await?;
    state.known_keys().forget();
    state.streams().end(revoked.id);
    Ok(StatusCode::NO_CONTENT)
}
