//! Scorers, tried before a job is posted.

use crate::errors::{ApiError, Code};
use crate::extract::JsonBody;
use crate::reading;
use crate::responses::{Problems, codes};
use crate::state::AppState;
use crate::wire::{Validation, ValidationPost};
use axum::Json;
use axum::extract::State;

/// Try a scorer
///
/// Scores responses that are posted with it, and says why each has its score: what was extracted, which
/// answer that is, and what was expected. Prompts are rendered where there are any. A request may hold 100
/// rows and 1,000 responses of 1 MiB in all. Programs are run, and the operator's webhooks asked, about 100
/// responses at most and for a minute; what is not done by then has no score. Nothing is stored, and nothing is
/// sent to an endpoint, so a judge is refused.
#[utoipa::path(
    post,
    path = "/scorers/validate",
    tag = "scorers",
    request_body(content = ValidationPost, content_type = "application/json"),
    responses(
        (status = 200, description = "What the scorer says of each response.", body = Validation),
        Problems<{
            codes(&[
                Code::InvalidJson,
                Code::BodyTimeout,
                Code::BodyTooLarge,
                Code::UnsupportedMediaType,
                Code::InvalidValidation,
            ])
        }>
    )
)]
pub(super) async fn validate_scorer(
    State(state): State<AppState>,
    JsonBody(document): JsonBody,
) -> Result<Json<Validation>, ApiError> {
    let catalog = state.catalog().clone();
    let assessed = reading::in_turn(move || frugal_intake::validate(&document, &catalog)).await?;
    let mut assessed = assessed.map_err(ApiError::invalid_validation)?;
    state.outside().see_to(assessed.assessments()).await?;
    let found = reading::in_turn(move || assessed.validation()).await?;
    Ok(Json(found.into()))
}
