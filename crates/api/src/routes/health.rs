//! Whether the server is alive, and whether it can serve.

use crate::errors::{ApiError, Code};
use crate::responses::{Problems, codes};
use crate::state::AppState;
use crate::wire::Health;
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
        Problems<{ codes(&[Code::Unavailable, Code::SchemaNotCurrent]) }>
    )
)]
pub(super) async fn readyz(State(state): State<AppState>) -> Result<Json<Health>, ApiError> {
    match frugal_store::is_ready(state.pool()).await {
        Ok(true) => return Ok(Json(Health::OK)),
        Ok(false) => {}
        Err(error) if lacks_schema(&error) => {}
        Err(error) => return Err(error.into()),
    }
    Err(ApiError::new(
        Code::SchemaNotCurrent,
        "the database's schema is not the one that this version knows; run `frugal migrate`",
    ))
}

/// Whether the database has never been migrated: it has no table of migrations (PostgreSQL's
/// code for a table that is not there).
fn lacks_schema(error: &frugal_store::Error) -> bool {
    let frugal_store::Error::Database(sqlx::Error::Database(error)) = error else {
        return false;
    };
    error.code().as_deref() == Some("42P01")
}
