//! The texts of single responses, for those who have lost sight of them.

use crate::requests::{RequestKey, Response, request_key};
use crate::{Result, read_name, to_integer, to_u32, to_u64};
use frugal_domain::id::{JobId, TrialNumber};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// Where the text of a response is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResponsePlace {
    /// Its request.
    pub request: RequestKey,
    /// The position in that request's answer.
    pub position: u32,
}

/// Responses of a job by their places. Places without any are left out.
///
/// # Errors
/// The database is away.
pub async fn own(
    connection: &mut PgConnection,
    job: JobId,
    places: &[ResponsePlace],
) -> Result<BTreeMap<ResponsePlace, Response>> {
    let (mut role, mut trial, mut ordinal, mut position) = (vec![], vec![], vec![], vec![]);
    for place in places {
        role.push(place.request.role.as_str().to_owned());
        trial.push(to_integer("trial number", place.request.trial.0)?);
        ordinal.push(to_integer("ordinal", place.request.ordinal)?);
        position.push(to_integer("position", place.position)?);
    }
    let rows = sqlx::query!(
        r#"
        SELECT role, trial, ordinal, position, text, finish_reason, estimated_tokens
        FROM responses
        JOIN unnest($2::text[], $3::integer[], $4::integer[], $5::integer[])
             AS place (role, trial, ordinal, position) USING (role, trial, ordinal, position)
        WHERE job_id = $1
        "#,
        job.0,
        &role,
        &trial,
        &ordinal,
        &position
    )
    .fetch_all(connection)
    .await?;
    let mut found = BTreeMap::new();
    for row in rows {
        let place = ResponsePlace {
            request: request_key(&row.role, row.trial, row.ordinal)?,
            position: to_u32("position", row.position)?,
        };
        let response = Response {
            text: row.text,
            finish_reason: row.finish_reason,
            estimated_tokens: to_u64("estimated tokens", row.estimated_tokens)?,
        };
        found.insert(place, response);
    }
    Ok(found)
}

/// Which response of another job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ForeignPlace {
    /// The job that bought it.
    pub job: JobId,
    /// Where it is there.
    pub place: ResponsePlace,
}

/// Responses that a job took over from others, by where they are from. Places without any are
/// left out.
///
/// # Errors
/// The database is away.
pub async fn adopted(
    connection: &mut PgConnection,
    job: JobId,
    places: &[ForeignPlace],
) -> Result<BTreeMap<ForeignPlace, Response>> {
    let (mut source, mut role, mut trial) = (vec![], vec![], vec![]);
    let (mut ordinal, mut position) = (vec![], vec![]);
    for ForeignPlace { job, place } in places {
        source.push(job.0);
        role.push(place.request.role.as_str().to_owned());
        trial.push(to_integer("trial number", place.request.trial.0)?);
        ordinal.push(to_integer("ordinal", place.request.ordinal)?);
        position.push(to_integer("position", place.position)?);
    }
    let rows = sqlx::query!(
        r#"
        SELECT DISTINCT ON (source_job, source_role, source_trial, source_ordinal, source_position)
               source_job, source_role, source_trial, source_ordinal, source_position, text,
               finish_reason, estimated_tokens
        FROM adopted_responses
        JOIN unnest($2::uuid[], $3::text[], $4::integer[], $5::integer[], $6::integer[])
             AS place (source_job, source_role, source_trial, source_ordinal, source_position)
             USING (source_job, source_role, source_trial, source_ordinal, source_position)
        WHERE job_id = $1
        "#,
        job.0,
        &source,
        &role,
        &trial,
        &ordinal,
        &position
    )
    .fetch_all(connection)
    .await?;
    let mut found = BTreeMap::new();
    for row in rows {
        let request = RequestKey {
            role: read_name("role", &row.source_role)?,
            trial: TrialNumber(to_u32("trial number", row.source_trial)?),
            ordinal: to_u32("ordinal", row.source_ordinal)?,
        };
        let place = ForeignPlace {
            job: JobId(row.source_job),
            place: ResponsePlace {
                request,
                position: to_u32("position", row.source_position)?,
            },
        };
        let response = Response {
            text: row.text,
            finish_reason: row.finish_reason,
            estimated_tokens: to_u64("estimated tokens", row.estimated_tokens)?,
        };
        found.insert(place, response);
    }
    Ok(found)
}
