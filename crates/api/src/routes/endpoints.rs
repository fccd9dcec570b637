//! The operator's endpoints.

use crate::errors::ApiError;
use crate::state::AppState;
use crate::wire::{Endpoint, List};
use axum::Json;
use axum::extract::State;

/// List the endpoints that jobs may name
///
/// With their models and prices. Where they are and how they are paid for is not told.
#[utoipa::path(
    get,
    path = "/endpoints",
    tag = "endpoints",
    responses((status = 200, description = "All endpoints, on one page.", body = List<Endpoint>))
)]
pub(super) async fn list_endpoints(
    State(state): State<AppState>,
) -> Result<Json<List<Endpoint>>, ApiError> {
    let endpoints = state.catalog().endpoints.iter();
    let endpoints = endpoints.map(|(name, endpoint)| Endpoint::new(name, endpoint));
    Ok(Json(List::new(endpoints.collect(), false, None)))
}
