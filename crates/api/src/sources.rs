//! The jobs that a posted document refers to, loaded for its reading: those that an evaluation takes configurations
//! from, and the one that a job takes over from.

use crate::errors::ApiError;
use crate::state::AppState;
use frugal_domain::access::Access;
use frugal_domain::id::JobId;
use frugal_domain::job::Direction;
use frugal_domain::rank::Rank;
use frugal_intake::{EarlierJob, SourceJob, SourceJobs, Tried, named_trials, named_warm_start};
use frugal_store::trials::StoredTrial;
use frugal_store::{instances, jobs, trials};
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The jobs that a document names, of those that are reached, with the trials that it names and their best ones. What is not there is
/// left out: that it is missing is a fault of the document.
pub(crate) async fn jobs(
    state: &AppState,
    access: &Access,
    document: &Value,
) -> Result<SourceJobs, ApiError> {
    let named = named_trials(document);
    let mut loaded = SourceJobs::new();
    if named.is_empty() {
        return Ok(loaded);
    }
    let mut connection = state.connection().await?;
    for (name, numbers) in named {
        let Ok(id) = name.parse::<JobId>() else {
            continue;
        };
        if !jobs::is_reached(&mut connection, access, id).await? {
            continue;
        }
        let Some(job) = jobs::find(&mut connection, id).await? else {
            continue;
        };
        let mut settings = BTreeMap::new();
        for number in numbers.into_iter().chain(job.best_trial) {
            let trial = trials::find(&mut connection, id, number).await?;
            // What a trial that goes on asks may still change.
            if let Some(trial) = trial.filter(|trial| trial.finished_at.is_some()) {
                settings.insert(number, trial.settings);
            }
        }
        let source = SourceJob {
            id,
            state: job.state,
            best: job.best_trial,
            trials: settings,
            spec: job.spec,
        };
        loaded.insert(name, source);
    }
    Ok(loaded)
}

/// The job that a document takes over from; none where it names none, or none that is there
/// for whoever posts it.
pub(crate) async fn earlier(
    state: &AppState,
    access: &Access,
    document: &Value,
) -> Result<Option<EarlierJob>, ApiError> {
    let Some(id) = named_warm_start(document).and_then(|name| name.parse::<JobId>().ok()) else {
        return Ok(None);
    };
    let mut connection = state.connection().await?;
    if !jobs::is_reached(&mut connection, access, id).await? {
        return Ok(None);
    }
    let Some(job) = jobs::find(&mut connection, id).await? else {
        return Ok(None);
    };
    let rows = instances::load(&mut connection, id).await?.tuning;
    let mut tried = trials::load(&mut connection, id).await?;
    tried.retain(|trial| trial.finished_at.is_some());
    let direction = job.spec.objective.direction;
    tried.sort_by(|one, other| better_first(direction, one, other));
    let tried = tried.into_iter().map(|trial| Tried {
        configuration: trial.configuration,
        settings: trial.settings,
    });
    Ok(Some(EarlierJob {
        id,
        state: job.state,
        is_pruned: job.responses_pruned_at.is_some(),
        rows,
        tried: tried.collect(),
        spec: job.spec,
    }))
}

/// Those with a rank come before those without, which have the order of their numbers.
fn better_first(direction: Direction, one: &StoredTrial, other: &StoredTrial) -> Ordering {
    let rank = |trial: &StoredTrial| Rank::of(trial.number, trial.outcome.as_ref()?, direction);
    match (rank(one), rank(other)) {
        (Some(first), Some(second)) if first.beats(&second) => Ordering::Less,
        (Some(first), Some(second)) if second.beats(&first) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        _ => one.number.cmp(&other.number),
    }
}
