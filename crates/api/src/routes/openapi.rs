//! The API's description of itself.

use crate::errors::ApiError;
use crate::yaml;
use axum::Extension;
use axum::http::header;
use axum::response::IntoResponse;
use std::sync::Arc;
use utoipa::openapi::OpenApi;

/// Get this document
#[utoipa::path(
    get,
    path = "/openapi.yaml",
    tag = "health",
    responses((status = 200, description = "The OpenAPI document.", body = serde_json::Value, content_type = "application/yaml"))
)]
pub(super) async fn get_openapi(
    Extension(document): Extension<Arc<OpenApi>>,
) -> Result<impl IntoResponse, ApiError> {
    let document = yaml::write(&document).map_err(|error| ApiError::internal(error.as_ref()))?;
    Ok(([(header::CONTENT_TYPE, "application/yaml")], document))
}
