//! Event streams: the table of events, followed.

use crate::broadcast::Subscription;
use crate::state::AppState;
use crate::wait::POLL;
use crate::wire::Event;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use frugal_domain::event;
use frugal_domain::id::JobId;
use frugal_domain::job::JobSpec;
use frugal_store::events;
use frugal_store::jobs::Job;
use std::collections::VecDeque;
use std::time::Duration;

/// How often a quiet stream says that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// When a client whose server stops may reconnect.
const RECONNECT_AFTER: Duration = Duration::from_secs(1);
/// Events read from the table at once.
const PAGE: u32 = 200;

/// One client that follows one job.
struct Follower {
    state: AppState,
    job: JobId,
    spec: JobSpec,
    subscription: Subscription,
    /// The last event that was read from the table.
    after: i64,
    /// The last event that the client has.
    has: i64,
    /// Events read and not sent yet.
    read: VecDeque<event::Event>,
    /// Whether the last one read is terminal.
    ends: bool,
    /// Whether it is the job's last.
    ended: bool,
}

/// The events of a job after a number, as they come, until its last one. The number may be one
/// that no event has yet.
pub(crate) fn stream(state: AppState, job: Job, has: i64) -> Response {
    let follower = Follower {
        // Subscribed before the first look into the table, so that nothing goes by between.
        subscription: state.changes().subscribe(job.id),
        state,
        job: job.id,
        spec: job.spec,
        // Else the last event of a job that ends before that number would never be read.
        after: has.min(job.last_seq),
        has,
        read: VecDeque::new(),
        ends: false,
        ended: false,
    };
    let frames = futures::stream::unfold(follower, |mut follower| async move {
        let frame = match follower.next().await {
            Some(event) => frame(&follower.spec, event),
            // Told once: the next look ends the stream.
            None if !follower.ended && follower.state.shutdown().is_cancelled() => {
                follower.ended = true;
                Ok(farewell())
            }
            None => return None,
        };
        Some((frame, follower))
    });
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Sse::new(frames).keep_alive(keep_alive).into_response()
}

/// An event as a frame. One that cannot be written ends the stream, and the client asks again.
fn frame(spec: &JobSpec, event: event::Event) -> Result<sse::Event, axum::Error> {
    sse::Event::default()
        .id(event.seq.to_string())
        .event(event.body.name())
        .json_data(Event::new(spec, event))
}

/// The last frame of a stream that ends because the server stops. It is no event: a client reconnects
/// by itself, and goes on after the last event that it has.
fn farewell() -> sse::Event {
    sse::Event::default()
        .retry(RECONNECT_AFTER)
        .comment("the server stops; reconnect with Last-Event-ID")
}

impl Follower {
    /// The next event; nothing after the job's last one or once the server stops.
    async fn next(&mut self) -> Option<event::Event> {
        loop {
            if let Some(event) = self.read.pop_front() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            match self.look().await {
                Ok(true) => continue,
                Ok(false) if self.ended => return None,
                Ok(false) => {}
                // The stream stays and tries again; what is missed now is still in the table.
                Err(error) if error.is_unavailable() => {
                    tracing::debug!(%error, "events cannot be read for the moment");
                }
                Err(error) => {
                    tracing::error!(%error, "events cannot be read; the stream ends");
                    return None;
                }
            }
            tokio::select! {
                () = self.subscription.changed() => {}
                () = tokio::time::sleep(POLL) => {}
                () = self.state.shutdown().cancelled() => return None,
            }
        }
    }

    /// Reads what is new in the table, and tells whether anything was.
    async fn look(&mut self) -> Result<bool, frugal_store::Error> {
        let mut connection = self.state.pool().acquire().await?;
        let rows = events::after(&mut connection, self.job, self.after, PAGE).await?;
        let is_news = !rows.is_empty();
        // They are numbered without gaps. Where some went while this one was slow, it is told so when it
        // asks again; of a job that is deleted nothing comes any more.
        let is_gap = match rows.first() {
            Some(first) => first.seq != self.after + 1,
            None => events::are_gone(&mut connection, self.job, self.after).await?,
        };
        if is_gap {
            self.ended = true;
            return Ok(true);
        }
        // A job that was continued has events behind a terminal one; whether that was read as the last of a
        // page shows with the next.
        match rows.last() {
            Some(last) => {
                self.after = last.seq;
                self.ends = last.body.is_terminal();
                self.ended = self.ends && rows.len() < PAGE as usize;
            }
            None => self.ended = self.ends,
        }
        self.read = rows
            .into_iter()
            .filter(|event| event.seq > self.has)
            .collect();
        Ok(is_news)
    }
}
