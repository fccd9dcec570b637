//! The job that a caller names: there, and of the kind that the path is about.

use crate::errors::{ApiError, Code};
use crate::extract::{no_evaluation, no_job};
use crate::wire::path_of;
use frugal_domain::id::JobId;
use frugal_domain::job::JobKind;
use frugal_store::PgConnection;
use frugal_store::jobs::{self, Job, Mark};

/// What a job of a kind is called.
pub(crate) const fn what(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Tuning => "job",
        JobKind::Evaluation => "evaluation",
    }
}

/// The answer for a job of a kind that is not there.
pub(crate) fn none(kind: JobKind, id: JobId) -> ApiError {
    match kind {
        JobKind::Tuning => no_job(id),
        JobKind::Evaluation => no_evaluation(id),
    }
}

/// A job of a kind.
///
/// # Errors
/// There is none; where there is one of another kind, the answer says where.
pub(crate) async fn job(
    connection: &mut PgConnection,
    kind: JobKind,
    id: JobId,
) -> Result<Job, ApiError> {
    let found = jobs::find(connection, id).await?;
    of_kind(kind, id, found, |job| job.spec.kind())
}

/// What the picture of a job of a kind can be told by.
///
/// # Errors
/// There is none; where there is one of another kind, the answer says where.
pub(crate) async fn mark(
    connection: &mut PgConnection,
    kind: JobKind,
    id: JobId,
) -> Result<Mark, ApiError> {
    let found = jobs::mark(connection, id).await?;
    of_kind(kind, id, found, |mark| mark.kind)
}

/// A job of a kind, whose row stays as it is until the transaction ends.
///
/// # Errors
/// There is none; where there is one of another kind, the answer says where.
pub(crate) async fn locked(
    transaction: &mut PgConnection,
    kind: JobKind,
    id: JobId,
) -> Result<Job, ApiError> {
    let found = jobs::lock(transaction, id).await?;
    of_kind(kind, id, found, |job| job.spec.kind())
}

fn of_kind<T>(
    kind: JobKind,
    id: JobId,
    found: Option<T>,
    kind_of: impl Fn(&T) -> JobKind,
) -> Result<T, ApiError> {
    let Some(job) = found else {
        return Err(none(kind, id));
    };
    let found = kind_of(&job);
    if found == kind {
        return Ok(job);
    }
    let path = path_of(found, id);
    let detail = match kind {
        JobKind::Tuning => format!("`{id}` is an evaluation and no tuning job; it is at `{path}`"),
        JobKind::Evaluation => {
            format!("`{id}` is a tuning job and no evaluation; it is at `{path}`")
        }
    };
    Err(ApiError::new(Code::NotFound, detail))
}
