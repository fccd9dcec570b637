//! The operator's endpoints.

use crate::errors::{ApiError, Code};
use crate::etag;
use crate::extract::NamePath;
use crate::responses::{Problems, codes};
use crate::state::AppState;
use crate::wire::{Endpoint, Known, List};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use frugal_store::{PgConnection, admission, endpoint_models};
use serde::Serialize;
use std::collections::BTreeMap;

/// What is known of models, by the endpoint and the model.
pub(super) type ByModel = BTreeMap<String, BTreeMap<String, Known>>;

/// List the endpoints that jobs may name
///
/// With their models, prices and limits, what the models take, and how they have been doing. How they
/// are paid for is not told.
#[utoipa::path(
    get,
    path = "/endpoints",
    tag = "endpoints",
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of an answer before.")),
    responses(
        (status = 200, description = "All endpoints, on one page.", body = List<Endpoint>, headers(("ETag" = String, description = "What the endpoints are like now."))),
        (status = 304, description = "The endpoints are as the client knows them."),
        Problems<{ codes(&[Code::InvalidParameter]) }>
    )
)]
pub(super) async fn list_endpoints(
    State(state): State<AppState>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let seen = etag::Seen::read(&headers)?;
    let now = Utc::now();
    let known = known(&state, now).await?;
    let nothing = BTreeMap::new();
    let endpoints = state.catalog().endpoints.iter();
    let endpoints = endpoints.map(|(name, endpoint)| {
        let known = known.get(name).unwrap_or(&nothing);
        Endpoint::new(name, endpoint, known, now)
    });
    answer(
        seen.as_ref(),
        &List::new(endpoints.collect::<Vec<_>>(), false, None),
    )
}

/// Get an endpoint
#[utoipa::path(
    get,
    path = "/endpoints/{name}",
    tag = "endpoints",
    params(
        ("name" = String, Path, description = "The name that jobs use."),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an answer before.")
    ),
    responses(
        (status = 200, description = "The endpoint.", body = Endpoint, headers(("ETag" = String, description = "What the endpoint is like now."))),
        (status = 304, description = "The endpoint is as the client knows it."),
        Problems<{ codes(&[Code::InvalidParameter, Code::NotFound]) }>
    )
)]
pub(super) async fn get_endpoint(
    State(state): State<AppState>,
    NamePath(name): NamePath,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let seen = etag::Seen::read(&headers)?;
    let endpoint = state.catalog().endpoint(&name).ok_or_else(|| {
        let names: Vec<_> = state.catalog().names().collect();
        let detail = match names.as_slice() {
            [] => format!("there is no endpoint `{name}`; this server has none"),
            names => format!(
                "there is no endpoint `{name}`; this server has `{}`",
                names.join("`, `")
            ),
        };
        ApiError::new(Code::NotFound, detail)
    })?;
    let now = Utc::now();
    let known = known(&state, now).await?.remove(&name).unwrap_or_default();
    answer(seen.as_ref(), &Endpoint::new(&name, endpoint, &known, now))
}

/// What is known of all models; nothing while the database is away, since the operator's word is worth
/// having without it.
async fn known(state: &AppState, now: DateTime<Utc>) -> Result<ByModel, ApiError> {
    let read = async {
        let mut connection = state.pool().acquire().await?;
        load(&mut connection, now).await
    };
    match read.await {
        Ok(known) => Ok(known),
        Err(error) if error.is_unavailable() => Ok(ByModel::new()),
        Err(error) => Err(error.into()),
    }
}

/// What is known of all models.
pub(super) async fn load(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
) -> frugal_store::Result<ByModel> {
    let seen = endpoint_models::load(connection, now).await?;
    let scopes = admission::load(connection).await?;
    let mut known = ByModel::new();
    for model in seen {
        let (endpoint, name) = (model.seen.endpoint.clone(), model.seen.model.clone());
        let of_endpoint = known.entry(endpoint).or_default();
        of_endpoint.entry(name).or_default().seen = Some(model);
    }
    for ((endpoint, name), scope) in scopes {
        // The empty name is the endpoint as a whole.
        if !name.is_empty() {
            let of_endpoint = known.entry(endpoint).or_default();
            // Soft as it is, a state that another version wrote says nothing.
            let scope = serde_json::from_value(scope).unwrap_or_default();
            of_endpoint.entry(name).or_default().scope = scope;
        }
    }
    Ok(known)
}

/// An answer with its tag, or word that the client has it.
fn answer(seen: Option<&etag::Seen>, body: &impl Serialize) -> Result<Response, ApiError> {
    let tag = etag::of_content(body).map_err(|error| ApiError::internal(&error))?;
    let mut response = match seen.is_some_and(|seen| seen.holds(&tag)) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => Json(body).into_response(),
    };
    response
        .headers_mut()
        .insert(header::ETAG, etag::header(&tag));
    Ok(response)
}
