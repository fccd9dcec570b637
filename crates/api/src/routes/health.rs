//! Whether the server is alive, and whether it can serve.

use crate::errors::{ApiError, Code};
use crate::state::AppState;
use crate::wire::{Health, Problem};
use axum::Json;
use axum::extract::State;

/// Tell whether the process is alive
///
/// It looks at nothing else, so a database that is away does not get the process killed.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "health",
    responses((status = 200, description = "It is.", body = Health))
)]
pub(super) async fn healthz() -> Json<Health> {
    Json(Health::OK)
}

/// Tell whether requests can be served
///
/// They can where the database answers and its schema is the one that this version knows.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    responses(
        (status = 200, description = "They can.", body = Health),
        (status = 503, description = "`unavailable`: the database is away. `schema_not_current`: it must be migrated.", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn readyz(State(state): State<AppState>) -> Result<Json<Health>, ApiError> {
    if frugal_store::is_ready(state.pool()).await? {
        return Ok(Json(Health::OK));
    }
    Err(ApiError::new(
        Code::SchemaNotCurrent,
        "the database's schema is not the one that this version knows; run `frugal migrate`",
    ))
}
