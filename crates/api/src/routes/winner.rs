//! The best configuration, ready to be used elsewhere.
#![expect(
    unused_qualifications,
    reason = "the macro that describes query parameters writes paths in full"
)]

use crate::errors::{ApiError, Code};
use crate::extract::{JobPath, Parameters, no_trial};
use crate::found;
use crate::responses::{Problems, codes};
use crate::state::AppState;
use crate::wire::{Form, Winner};
use axum::Json;
use axum::extract::State;
use frugal_domain::endpoint::Api;
use frugal_domain::id::TrialNumber;
use frugal_domain::job::JobKind;
use frugal_store::trials;
use serde::Deserialize;
use utoipa::IntoParams;

/// Which form, of which trial.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct GetWinner {
    /// The form: the body of a request (`openai`, the default), a call of LiteLLM, a model of LangChain with its
    /// prompt, or a command of `curl`.
    #[param(inline)]
    form: Option<Form>,
    /// Another trial than the best one.
    trial: Option<u32>,
}

/// Take the best configuration away
///
/// The best valid configuration so far, or another trial's, in a form that can be pasted. The prompt stands in it
/// as its template.
#[utoipa::path(
    get,
    path = "/jobs/{id}/winner",
    tag = "jobs",
    params(("id" = Uuid, Path, description = "The job."), GetWinner),
    responses(
        (status = 200, description = "The configuration.", body = Winner),
        Problems<{ codes(&[Code::InvalidParameter, Code::NotFound]) }>
    )
)]
pub(super) async fn get_winner(
    State(state): State<AppState>,
    JobPath(id): JobPath,
    Parameters(parameters): Parameters<GetWinner>,
) -> Result<Json<Winner>, ApiError> {
    let mut connection = state.connection().await?;
    let job = found::job(&mut connection, JobKind::Tuning, id).await?;
    let number = match parameters.trial {
        // The database holds trial numbers as signed integers.
        Some(number) if i32::try_from(number).is_err() => return Err(no_trial(number)),
        Some(number) => TrialNumber(number),
        None => job.best_trial.ok_or_else(|| {
            let detail =
                "the job has found no valid configuration (yet); name another one with `trial`";
            ApiError::new(Code::NotFound, detail)
        })?,
    };
    let trial = trials::find(&mut connection, id, number).await?;
    let trial = trial.ok_or_else(|| no_trial(number))?;
    let settings = &trial.settings;
    let model = job.spec.models.get(settings.sampling.model);
    // The operator may have taken it out of the catalogue meanwhile.
    let asked = model.and_then(|choice| {
        let endpoint = state.catalog().endpoint(&choice.endpoint)?;
        let model = endpoint.model(&choice.model)?;
        Some((endpoint.api_of(model), model.max_tokens_name.as_deref()))
    });
    let form = parameters.form.unwrap_or(Form::Openai);
    Ok(Json(Winner::of(
        &job.spec,
        number.0,
        settings,
        asked.unwrap_or((Api::Chat, None)),
        form,
    )))
}
