//! The events of a job: a stream for those who ask for one, pages for others.
#![expect(
    unused_qualifications,
    reason = "the macro that describes query parameters writes paths in full"
)]

use super::shown;
use crate::errors::{ApiError, Code};
use crate::extract::{JobPath, Parameters};
use crate::responses::{Problems, codes};
use crate::state::AppState;
use crate::wire::{Event, EventPage, Snapshot, path_of};
use crate::{found, pagination, sse};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use frugal_domain::id::JobId;
use frugal_domain::job::JobKind;
use frugal_store::jobs::Job;
use frugal_store::{PgConnection, events};
use serde::Deserialize;
use utoipa::IntoParams;

/// The header by which a client says what it has seen (WHATWG HTML, section 9.2).
const LAST_EVENT_ID: &str = "last-event-id";

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListEvents {
    /// Only events after this number; 0, the default, for all. A `Last-Event-ID` goes before it.
    #[param(minimum = 0)]
    after: Option<i64>,
    /// The most events of a page; 20 by default. A stream has no pages.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Whether a stream begins with the job as it is, and goes on with the events after that; not by default.
    /// With `after` or a `Last-Event-ID` the client has a part of them, so nothing comes before the next one.
    snapshot: Option<bool>,
}

/// Follow a job's events
///
/// Asked for `text/event-stream`, the answer is a stream: events as they come, until the job
/// has ended. Frames that are events have the event's number as `id`, its type as `event` and
/// the event as `data`; comments keep the connection alive. A client that reconnects with
/// `Last-Event-ID` goes on after that event, and gets 204 once nothing more can come. With `snapshot=true` a
/// client that comes in the middle is sent the job as it is first: a frame of the type `snapshot` with the number
/// of its last event as `id` and a `Snapshot` as data. One that takes frames much more slowly than they come is
/// told to reconnect, by a comment and the end of the stream. Anyone
/// else gets pages, oldest first. Where events after the given number are gone, as the server keeps them
/// for a time only after a job has ended, either is refused in words rather than given with a gap.
#[utoipa::path(
    get,
    path = "/jobs/{id}/events",
    tag = "events",
    params(
        ("id" = Uuid, Path, description = "The job."),
        ("Last-Event-ID" = Option<i64>, Header, minimum = 0, description = "The number of the last event that the client has."),
        ListEvents
    ),
    responses(
        (status = 200, description = "A page of events, or a stream of them.", content(
            (EventPage = "application/json"),
            (String = "text/event-stream")
        )),
        (status = 204, description = "The job has ended and the client has seen every event."),
        Problems<{ codes(&[Code::InvalidParameter, Code::NotFound, Code::EventsPruned, Code::RateLimited, Code::TooManyStreams]) }>
    )
)]
pub(super) async fn list_events(
    State(state): State<AppState>,
    JobPath(id): JobPath,
    headers: HeaderMap,
    Parameters(parameters): Parameters<ListEvents>,
) -> Result<Response, ApiError> {
    follow(state, JobKind::Tuning, id, &headers, parameters).await
}

/// The events of a job of a kind.
pub(super) async fn follow(
    state: AppState,
    kind: JobKind,
    id: JobId,
    headers: &HeaderMap,
    parameters: ListEvents,
) -> Result<Response, ApiError> {
    let limit = pagination::limit(parameters.limit)?;
    let resumes = last_event_id(headers)?;
    let after = resumes.or(parameters.after).unwrap_or(0);
    if after < 0 {
        return Err(ApiError::new(
            Code::InvalidParameter,
            format!("events are numbered from 1, so go on after 0 or more, not after {after}"),
        ));
    }
    let mut connection = state.connection().await?;
    let job = found::job(&mut connection, kind, id).await?;
    let gone = job.events_pruned_through;
    let wants_all = !parameters.snapshot.unwrap_or(false) || !wants_stream(headers);
    if after < gone && (wants_all || resumes.or(parameters.after).is_some()) {
        let detail = format!(
            "the events up to {gone} are gone: this server keeps them for some time after a job has \
             ended; go on after {gone}, or see `{}` for how it ended",
            path_of(kind, id)
        );
        return Err(ApiError::new(Code::EventsPruned, detail));
    }
    if wants_stream(headers) {
        if job.state.is_terminal() && after >= job.last_seq {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        let wants_snapshot = parameters.snapshot.unwrap_or(false);
        if wants_snapshot && resumes.or(parameters.after).is_none() {
            let snapshot = snapshot(&mut connection, &job).await?;
            let frame = sse::snapshot(&snapshot, job.last_seq);
            let frame = frame.map_err(|error| ApiError::internal(&error))?;
            let seq = job.last_seq;
            drop(connection);
            return Ok(sse::stream(state, job, seq, Some(frame)));
        }
        drop(connection);
        return Ok(sse::stream(state, job, after, None));
    }
    let mut rows = events::after(&mut connection, id, after, limit + 1).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().map_or(after, |event| event.seq);
    let page = EventPage {
        object: "list",
        data: rows
            .into_iter()
            .map(|event| Event::new(&job.spec, event))
            .collect(),
        has_more,
        next,
    };
    let vary = [(header::VARY, HeaderValue::from_static("accept"))];
    Ok((vary, Json(page)).into_response())
}

/// The job as it is.
async fn snapshot(connection: &mut PgConnection, job: &Job) -> Result<Snapshot, ApiError> {
    let seq = job.last_seq;
    Ok(match job.spec.kind() {
        JobKind::Tuning => Snapshot::of_job(seq, shown::job(connection, job).await?),
        JobKind::Evaluation => {
            Snapshot::of_evaluation(seq, shown::evaluation(connection, job).await?)
        }
    })
}

/// Whether the client asks for a stream before anything else that could be had here.
pub(super) fn wants_stream(headers: &HeaderMap) -> bool {
    let accepted = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut kinds = accepted
        .flat_map(|value| value.split(','))
        .filter_map(|kind| {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            match kind.to_ascii_lowercase().as_str() {
                "text/event-stream" => Some(true),
                "application/json" => Some(false),
                _ => None,
            }
        });
    kinds.next().unwrap_or(false)
}

pub(super) fn last_event_id(headers: &HeaderMap) -> Result<Option<i64>, ApiError> {
    let Some(value) = headers.get(LAST_EVENT_ID) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        ApiError::new(
            Code::InvalidParameter,
            "the header `Last-Event-ID` must be the number of an event",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))])
    }

    #[test]
    fn a_stream_is_for_those_who_ask_for_it_first() {
        for (accept, stream) in [
            ("text/event-stream", true),
            ("Text/Event-Stream; q=1", true),
            ("application/json", false),
            ("application/json, text/event-stream", false),
            ("text/html, text/event-stream, */*", true),
            ("*/*", false),
        ] {
            assert_eq!(wants_stream(&headers("accept", accept)), stream, "{accept}");
        }
        assert!(!wants_stream(&HeaderMap::new()));
    }

    #[test]
    fn the_last_event_is_a_number_or_nothing() {
        assert_eq!(last_event_id(&HeaderMap::new()).unwrap(), None);
        assert_eq!(last_event_id(&headers("last-event-id", "")).unwrap(), None);
        assert_eq!(
            last_event_id(&headers("last-event-id", "12")).unwrap(),
            Some(12)
        );
        assert!(last_event_id(&headers("last-event-id", "twelve")).is_err());
    }
}
