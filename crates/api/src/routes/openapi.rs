//! The API's description of itself.

use crate::errors::ApiError;
use axum::http::header;
use axum::response::IntoResponse;

/// Get this document
#[utoipa::path(
    get,
    path = "/openapi.yaml",
    tag = "health",
    responses((status = 200, description = "The OpenAPI document.", body = String, content_type = "application/yaml"))
)]
pub(super) async fn get_openapi() -> Result<impl IntoResponse, ApiError> {
    let document = crate::openapi_yaml().map_err(|error| ApiError::internal(error.as_ref()))?;
    Ok(([(header::CONTENT_TYPE, "application/yaml")], document))
}
