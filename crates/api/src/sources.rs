//! The jobs that a posted evaluation takes configurations from, loaded for its reading.

use crate::errors::ApiError;
use crate::state::AppState;
use frugal_domain::access::Access;
use frugal_domain::id::JobId;
use frugal_intake::{SourceJob, SourceJobs, named_trials};
use frugal_store::{jobs, trials};
use serde_json::Value;
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
