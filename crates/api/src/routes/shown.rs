//! Jobs of either kind, each as one complete picture.

use crate::errors::ApiError;
use crate::standing;
use crate::wire::{Evaluation, FieldError, Job};
use chrono::Utc;
use frugal_domain::job::JobKind;
use frugal_store::{PgConnection, jobs, trials};

/// A job with its best trial, how it stands, and what was probably a mistake in it.
pub(super) async fn job(connection: &mut PgConnection, job: &jobs::Job) -> Result<Job, ApiError> {
    let best = match job.best_trial {
        Some(number) => trials::find(connection, job.id, number).await?,
        None => None,
    };
    let warnings = jobs::warnings(connection, job.id).await?;
    Ok(Job {
        warnings: warnings.into_iter().map(FieldError::from).collect(),
        standing: Some(standing::load(connection, job, Utc::now()).await?),
        ..Job::new(job.clone(), best.as_ref())
    })
}

/// An evaluation with how it stands, and what was probably a mistake in it.
pub(super) async fn evaluation(
    connection: &mut PgConnection,
    job: &jobs::Job,
) -> Result<Evaluation, ApiError> {
    let warnings = jobs::warnings(connection, job.id).await?;
    Ok(Evaluation {
        warnings: warnings.into_iter().map(FieldError::from).collect(),
        standing: Some(standing::load(connection, job, Utc::now()).await?),
        ..Evaluation::new(job.clone())
    })
}

/// A job of either kind as its readers get it.
pub(super) async fn json(
    connection: &mut PgConnection,
    shown: &jobs::Job,
) -> Result<Vec<u8>, ApiError> {
    let json = match shown.spec.kind() {
        JobKind::Tuning => serde_json::to_vec(&job(connection, shown).await?),
        JobKind::Evaluation => serde_json::to_vec(&evaluation(connection, shown).await?),
    };
    json.map_err(|error| ApiError::internal(&error))
}
