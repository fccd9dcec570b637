//! What a job's trials say together: what is traded for what, which settings mattered, how trials differ.
#![expect(
    unused_qualifications,
    reason = "the macro that describes query parameters writes paths in full"
)]

use super::trial_responses::not_pruned;
use crate::drawn::{Seen, quality};
use crate::errors::{ApiError, Code};
use crate::extract::{JobPath, Parameters, no_trial};
use crate::found;
use crate::responses::{Problems, codes};
use crate::state::AppState;
use crate::wire::{Importance, Pareto, TrialsCompared};
use axum::Json;
use axum::extract::State;
use frugal_domain::id::TrialNumber;
use frugal_domain::job::{JobKind, Split};
use frugal_domain::metric::Metric;
use frugal_store::trials;
use serde::Deserialize;
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// The most trials that are compared at once.
const MOST_COMPARED: usize = 10;

/// See what is traded for what
///
/// The trials that were evaluated, by quality and cost, with those on the front: which no other beats in both. Of
/// a job under way too.
#[utoipa::path(
    get,
    path = "/jobs/{id}/pareto",
    tag = "jobs",
    params(("id" = Uuid, Path, description = "The job.")),
    responses(
        (status = 200, description = "The trials, cheapest first.", body = Pareto),
        Problems<{ codes(&[Code::NotFound]) }>
    )
)]
pub(super) async fn get_pareto(
    State(state): State<AppState>,
    JobPath(id): JobPath,
) -> Result<Json<Pareto>, ApiError> {
    let mut connection = state.connection().await?;
    let job = found::job(&mut connection, JobKind::Tuning, id).await?;
    let trials = trials::load(&mut connection, id).await?;
    Ok(Json(Pareto::of(&job.spec, trials)))
}

/// See which settings mattered
///
/// How much of what the evaluated trials differ in each setting explains by itself, by a random forest. It is
/// about the trials that there are: a search tries good configurations more often than others, and settings that
/// it always chose together cannot be told apart.
#[utoipa::path(
    get,
    path = "/jobs/{id}/importance",
    tag = "jobs",
    params(("id" = Uuid, Path, description = "The job.")),
    responses(
        (status = 200, description = "The settings, those that explain the most first.", body = Importance),
        Problems<{ codes(&[Code::NotFound]) }>
    )
)]
pub(super) async fn get_importance(
    State(state): State<AppState>,
    JobPath(id): JobPath,
) -> Result<Json<Importance>, ApiError> {
    let mut connection = state.connection().await?;
    let job = found::job(&mut connection, JobKind::Tuning, id).await?;
    let trials = trials::load(&mut connection, id).await?;
    drop(connection);
    let made = tokio::task::spawn_blocking(move || Importance::of(&job.spec, &trials));
    made.await
        .map(Json)
        .map_err(|error| ApiError::internal(&error))
}

/// Which trials.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CompareTrials {
    /// Their numbers, separated by commas: two to ten. The others are held against the first.
    #[param(example = "0,4,7")]
    trials: String,
    /// Which part of the data; `tuning` by default.
    #[param(inline)]
    split: Option<SplitName>,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum SplitName {
    Tuning,
    Holdout,
}

/// Compare trials
///
/// Each trial held against the first one named, metric by metric, on the rows that both have: the mean
/// difference with its interval. On rows that the search saw, one that was chosen for its mean looks better than it
/// is; the report's verdict rests on the held-out rows.
#[utoipa::path(
    get,
    path = "/jobs/{id}/compare",
    tag = "jobs",
    params(("id" = Uuid, Path, description = "The job."), CompareTrials),
    responses(
        (status = 200, description = "The differences.", body = TrialsCompared),
        Problems<{ codes(&[Code::InvalidParameter, Code::NotFound, Code::ResponsesPruned]) }>
    )
)]
pub(super) async fn compare_trials(
    State(state): State<AppState>,
    JobPath(id): JobPath,
    Parameters(parameters): Parameters<CompareTrials>,
) -> Result<Json<TrialsCompared>, ApiError> {
    let numbers = numbers(&parameters.trials)?;
    let split = match parameters.split {
        Some(SplitName::Holdout) => Split::Holdout,
        Some(SplitName::Tuning) | None => Split::Tuning,
    };
    let mut connection = state.connection().await?;
    let job = found::job(&mut connection, JobKind::Tuning, id).await?;
    not_pruned(&job)?;
    let spec = &job.spec;
    let metrics = [quality(spec), spec.objective.metric].into_iter();
    let metrics = metrics.chain([
        Metric::InferenceCost,
        Metric::CompletionTokens,
        Metric::CutRate,
        Metric::LatencyMs,
    ]);
    let mut metrics: Vec<Metric> = metrics.collect();
    metrics.sort_unstable();
    metrics.dedup();
    let mut values = Vec::with_capacity(numbers.len());
    for number in numbers {
        let trial = trials::find(&mut connection, id, number).await?;
        let trial = trial.ok_or_else(|| no_trial(number))?;
        let seen = Seen::load(&mut connection, &job, &trial, split).await?;
        let of = metrics
            .iter()
            .map(|metric| (*metric, seen.values(spec, *metric)));
        values.push((number, of.collect::<BTreeMap<_, _>>()));
    }
    drop(connection);
    let compare = move || TrialsCompared::of(&job.spec, split, &metrics, &values);
    let compared = tokio::task::spawn_blocking(compare).await;
    let compared = compared.map_err(|error| ApiError::internal(&error))?;
    compared.map(Json).ok_or_else(|| {
        ApiError::new(
            Code::InvalidParameter,
            "`trials` must name two to ten trials",
        )
    })
}

fn numbers(text: &str) -> Result<Vec<TrialNumber>, ApiError> {
    let number = |part: &str| {
        let number = part.trim().parse::<i32>().ok();
        number
            .and_then(|number| u32::try_from(number).ok())
            .map(TrialNumber)
    };
    let numbers: Option<Vec<_>> = text.split(',').map(number).collect();
    let distinct = |numbers: &Vec<TrialNumber>| {
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        sorted.dedup();
        sorted.len() == numbers.len() && (2..=MOST_COMPARED).contains(&numbers.len())
    };
    numbers.filter(distinct).ok_or_else(|| {
        let detail = format!(
            "`trials` is `{text}`; it must name two to {MOST_COMPARED} different trials by their numbers, separated by commas, such as `0,4,7`"
        );
        ApiError::new(Code::InvalidParameter, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_are_named_by_different_numbers() {
        let of = |text| {
            numbers(text)
                .ok()
                .map(|all| all.iter().map(|it| it.0).collect())
        };
        assert_eq!(of("0,4, 7"), Some(vec![0, 4, 7]));
        for text in ["", "3", "1,1", "1,two", "1,-2", "0,1,2,3,4,5,6,7,8,9,10"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
