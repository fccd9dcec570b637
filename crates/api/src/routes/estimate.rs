//! What a job may cost, before it is posted.

use crate::caller::Caller;
use crate::errors::{ApiError, Code};
use crate::extract::JsonBody;
use crate::responses::{Problems, codes};
use crate::state::AppState;
use crate::wire::{JobEstimate, JobPost};
use crate::{data, reading, sources};
use axum::Json;
use axum::extract::State;
use frugal_intake::estimate;

/// Estimate what a job may cost
///
/// Takes the body of `POST /jobs` and refuses what that would refuse. Nothing is stored, and nothing is sent to an endpoint: the
/// prompts are rendered here, and their tokens counted with `o200k_base`. These counts are
/// estimates, and so is all that follows from them. Where the data hold out a share of the rows
/// and the job names no seed, the job that is posted will hold out other rows.
#[utoipa::path(
    post,
    path = "/jobs/estimate",
    tag = "jobs",
    request_body(content = JobPost, content_type = "application/json"),
    responses(
        (status = 200, description = "What the job may cost.", body = JobEstimate),
        Problems<{
            codes(&[
                Code::InvalidJson,
                Code::BodyTimeout,
                Code::BodyTooLarge,
                Code::UnsupportedMediaType,
                Code::InvalidJob,
            ])
        }>
    )
)]
pub(super) async fn estimate_job(
    State(state): State<AppState>,
    Caller { access, .. }: Caller,
    JsonBody(document): JsonBody,
) -> Result<Json<JobEstimate>, ApiError> {
    let catalog = state.catalog().clone();
    let (datasets, _turn) = data::datasets(&state, &access, &document).await?;
    let earlier = sources::earlier(&state, &access, &document).await?;
    reading::in_turn(move || estimate::of_document(&document, datasets, earlier, &catalog))
        .await?
        .map(|estimated| Json(estimated.into()))
        .map_err(ApiError::invalid_job)
}
