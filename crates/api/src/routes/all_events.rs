//! The events of all jobs that a caller reaches: one stream, or pages.
#![expect(
    unused_qualifications,
    reason = "the macro that describes query parameters writes paths in full"
)]

use super::events::{last_event_id, wants_stream};
use super::lists::{labels, listed};
use crate::all_events::{self, Wanted};
use crate::caller::Caller;
use crate::errors::{ApiError, Code};
use crate::extract::Parameters;
use crate::responses::{Problems, codes};
use crate::state::AppState;
use crate::wire::{Event, EventPage, JobSummary, JobsSnapshot};
use crate::{all_stream, pagination, sse};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use frugal_domain::event::EVENT_NAMES;
use frugal_domain::job::JobKind;
use frugal_domain::state::JobState;
use frugal_store::positions::{self, Selection};
use frugal_store::summaries::{self, Filter, Order};
use serde::Deserialize;
use utoipa::IntoParams;

/// How many jobs of a kind a snapshot shows.
const SHOWN: u32 = 100;
/// How often a page looks for more in the table before it is given with what it has.
const LOOKS: u32 = 20;

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListAllEvents {
    /// Only events after this position: an `id` of the stream, or a page's `next`. A `Last-Event-ID` goes before it. Without
    /// either, a stream begins with what comes from now on, and pages with the oldest event that is kept.
    #[param(minimum = 0)]
    after: Option<i64>,
    /// The most events of a page; 20 by default. A stream has no pages.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Whether a stream begins with the jobs that have not ended; not by default. With `after` or a `Last-Event-ID`
    /// the client has seen these, so nothing comes before the next event.
    snapshot: Option<bool>,
    /// Only those of jobs that have this label by now, `key:value`, or all of several that are separated by commas.
    #[param(example = "team:search")]
    label: Option<String>,
    /// Only those of this type, or of one of several that are separated by commas.
    #[param(example = "job.succeeded,job.failed")]
    r#type: Option<String>,
}

/// Follow all jobs' events
///
/// The events of all jobs and evaluations of the key's owner (with the scope `admin`, of everybody) in one order. Asked
/// for `text/event-stream`, the answer is a stream that ends with the server or the key alone. Its frames have the
/// event's `type` as `event` and the event as `data`, as those of one job have; the `id` is the event's position among
/// all, which grows and has gaps. A client that reconnects with `Last-Event-ID` goes on after it, whichever server of the
/// database it reaches, and neither misses nor is sent again anything that is kept. Of each job the events come as they
/// are numbered. With `snapshot=true` the first frame is of the type `snapshot`, with a `JobsSnapshot` as data. Anyone
/// else gets pages, oldest first; `next` goes on after one, at the end of the list too. Where events of a job that is there are gone after the given
/// position, as the server keeps them for a time only, either is refused in words.
#[utoipa::path(
    get,
    path = "/events",
    tag = "events",
    params(
        ("Last-Event-ID" = Option<i64>, Header, minimum = 0, description = "The `id` of the last frame that the client has."),
        ListAllEvents
    ),
    responses(
        (status = 200, description = "A page of events, or a stream of them.", content(
            (EventPage = "application/json"),
            (String = "text/event-stream")
        )),
        Problems<{ codes(&[Code::InvalidParameter, Code::EventsPruned, Code::RateLimited, Code::TooManyStreams]) }>
    )
)]
pub(super) async fn list_all_events(
    State(state): State<AppState>,
    Caller { access, .. }: Caller,
    headers: HeaderMap,
    Parameters(parameters): Parameters<ListAllEvents>,
) -> Result<Response, ApiError> {
    let limit = pagination::limit(parameters.limit)?;
    let after = last_event_id(&headers)?.or(parameters.after);
    let wanted = Wanted {
        access,
        selection: selection(&parameters)?,
    };
    if let Some(after) = after {
        check(&state, &wanted, after).await?;
    }
    if wants_stream(&headers) {
        return follow(state, wanted, after, parameters.snapshot.unwrap_or(false)).await;
    }
    let page = page(&state, &wanted, after.unwrap_or(0), limit).await?;
    let vary = [(header::VARY, HeaderValue::from_static("accept"))];
    Ok((vary, Json(page)).into_response())
}

fn selection(parameters: &ListAllEvents) -> Result<Selection, ApiError> {
    let types = listed(parameters.r#type.as_deref());
    if let Some(unknown) = types
        .iter()
        .find(|name| !EVENT_NAMES.contains(&name.as_str()))
    {
        let detail = format!(
            "`type` is `{unknown}`; it must be one of {}",
            EVENT_NAMES.join(", ")
        );
        return Err(ApiError::new(Code::InvalidParameter, detail));
    }
    Ok(Selection {
        labels: labels(parameters.label.as_deref())?,
        types,
    })
}

/// Whether events go on after a position without a gap.
async fn check(state: &AppState, wanted: &Wanted, after: i64) -> Result<(), ApiError> {
    if after < 0 {
        let detail = format!("positions begin with 1, so go on after 0 or more, not after {after}");
        return Err(ApiError::new(Code::InvalidParameter, detail));
    }
    // From the beginning is from the beginning of what there is.
    if after == 0 {
        return Ok(());
    }
    let mut connection = state.connection().await?;
    match positions::gone_through(&mut connection, &wanted.access, after).await? {
        None => Ok(()),
        Some(gone) => Err(ApiError::new(
            Code::EventsPruned,
            format!(
                "events up to {gone} are gone: this server keeps them for some time after a job has ended; go on \
                 after {gone}, or see `/jobs` for how jobs ended"
            ),
        )),
    }
}

async fn follow(
    state: AppState,
    wanted: Wanted,
    after: Option<i64>,
    snapshot: bool,
) -> Result<Response, ApiError> {
    let tail = state.all_events().follow().await?;
    let now = tail.through();
    let first = match after {
        None if snapshot => {
            let shown = open_jobs(&state, &wanted).await?;
            let frame = sse::snapshot(&shown, now);
            Some(frame.map_err(|error| ApiError::internal(&error))?)
        }
        _ => None,
    };
    Ok(all_stream::stream(
        state,
        tail,
        wanted,
        after.unwrap_or(now),
        first,
    ))
}

/// The jobs that have not ended.
async fn open_jobs(state: &AppState, wanted: &Wanted) -> Result<JobsSnapshot, ApiError> {
    let open = JobState::ALL.iter().filter(|state| !state.is_terminal());
    let filter = Filter {
        states: open.copied().collect(),
        labels: wanted.selection.labels.clone(),
        ..Filter::default()
    };
    let mut connection = state.connection().await?;
    let mut has_more = false;
    let mut shown = async |kind| {
        let (access, order) = (&wanted.access, Order::NewestFirst);
        let list = summaries::list(
            &mut connection,
            access,
            kind,
            &filter,
            order,
            None,
            SHOWN + 1,
        );
        let mut jobs = list.await?;
        let most = usize::try_from(SHOWN).unwrap_or(usize::MAX);
        has_more |= jobs.len() > most;
        jobs.truncate(most);
        let jobs = jobs.into_iter().map(|job| JobSummary::new(kind, job));
        Ok::<Vec<JobSummary>, ApiError>(jobs.collect())
    };
    let jobs = shown(JobKind::Tuning).await?;
    let evaluations = shown(JobKind::Evaluation).await?;
    Ok(JobsSnapshot {
        r#type: "snapshot",
        jobs,
        evaluations,
        has_more,
    })
}

async fn page(
    state: &AppState,
    wanted: &Wanted,
    after: i64,
    limit: u32,
) -> Result<EventPage, ApiError> {
    let mut connection = state.connection().await?;
    let through = positions::settled(&mut connection).await?.through;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let (mut rows, mut next) = (Vec::new(), after);
    for _ in 0..LOOKS {
        if next >= through || rows.len() >= most {
            break;
        }
        let left = u32::try_from(most - rows.len()).unwrap_or(limit);
        let range = (next, through);
        let (found, looked_through) =
            all_events::page(&mut connection, wanted, range, left).await?;
        rows.extend(found);
        next = looked_through;
    }
    let specs = state.all_events().specs(&mut connection, &rows).await?;
    let data = rows.into_iter().filter_map(|row| {
        let spec = specs.get(&row.event.job_id)?;
        Some(Event::new(spec, row.event))
    });
    Ok(EventPage {
        object: "list",
        data: data.collect(),
        has_more: next < through,
        next,
    })
}
