//! The texts of single responses, for those who have lost sight of them.

use crate::requests::{Response, request_key};
use crate::{Result, to_integer, to_u32};
use frugal_domain::id::JobId;
use frugal_domain::request::RequestKey;
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

/// The columns of many places.
#[derive(Default)]
struct Columns {
    role: Vec<String>,
    trial: Vec<i32>,
    ordinal: Vec<i32>,
    position: Vec<i32>,
}

impl Columns {
    fn of<'p>(places: impl Iterator<Item = &'p ResponsePlace>) -> Result<Self> {
        let mut columns = Self::default();
        for ResponsePlace { request, position } in places {
            columns.role.push(request.purpose.as_str().to_owned());
            columns
                .trial
                .push(to_integer("trial number", request.trial.0)?);
            columns
                .ordinal
                .push(to_integer("ordinal", request.ordinal)?);
            columns.position.push(to_integer("position", *position)?);
        }
        Ok(columns)
    }
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
    let columns = Columns::of(places.iter())?;
    let rows = sqlx::query!(
        r#"
        SELECT role, trial, ordinal, position, text, finish_reason, estimated_tokens
        FROM responses
        JOIN unnest($2::text[], $3::integer[], $4::integer[], $5::integer[])
             AS place (role, trial, ordinal, position) USING (role, trial, ordinal, position)
        WHERE job_id = $1
        "#,
        job.0,
        &columns.role,
        &columns.trial,
        &columns.ordinal,
        &columns.position
    )
    .fetch_all(connection)
    .await?;
    let mut found = BTreeMap::new();
    for row in rows {
        let place = ResponsePlace {
            request: request_key(&row.role, row.trial, row.ordinal)?,
            position: to_u32("position", row.position)?,
        };
        let response = Response::stored(row.text, row.finish_reason, row.estimated_tokens)?;
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
    let source: Vec<_> = places.iter().map(|foreign| foreign.job.0).collect();
    let columns = Columns::of(places.iter().map(|foreign| &foreign.place))?;
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
        &columns.role,
        &columns.trial,
        &columns.ordinal,
        &columns.position
    )
    .fetch_all(connection)
    .await?;
    let mut found = BTreeMap::new();
    for row in rows {
        let place = ForeignPlace {
            job: JobId(row.source_job),
            place: ResponsePlace {
                request: request_key(&row.source_role, row.source_trial, row.source_ordinal)?,
                position: to_u32("position", row.source_position)?,
            },
        };
        let response = Response::stored(row.text, row.finish_reason, row.estimated_tokens)?;
        found.insert(place, response);
    }
    Ok(found)
}
