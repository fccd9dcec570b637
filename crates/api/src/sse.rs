//! Event streams: what one client is sent of the events of one job.

use crate::feed::{self, Batch, Feed, Next, Page};
use crate::state::AppState;
use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use frugal_domain::id::JobId;
use frugal_domain::job::JobSpec;
use frugal_store::jobs::Job;
use futures::Stream;
use serde::Serialize;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often a quiet stream says that it is alive.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// When a client whose stream ends before the job may reconnect, in milliseconds.
const RECONNECT_AFTER_MS: u32 = 1_000;
/// How long to wait before the table is asked again where it could not be read.
const RETRY_TABLE: Duration = Duration::from_secs(2);
/// Why a stream ends with the server.
pub(crate) const SERVER_STOPS: &str = "the server stops";

/// One client that follows one job.
struct Follower {
    state: AppState,
    job: JobId,
    feed: Arc<Feed>,
    news: watch::Receiver<()>,
    /// What the first events are written with, as long as they are read from the table.
    spec: Option<Box<JobSpec>>,
    /// The last event that was looked at.
    after: i64,
    /// The last event that the client has.
    has: i64,
    /// A frame that goes before all others.
    first: Option<Bytes>,
    ended: bool,
}

/// What a client who has come in the middle is shown first, as a frame.
pub(crate) fn snapshot(shown: &impl Serialize, id: i64) -> serde_json::Result<Bytes> {
    let mut frame = format!("id: {id}\nevent: snapshot\ndata: ").into_bytes();
    serde_json::to_writer(&mut frame, shown)?;
    frame.extend_from_slice(b"\n\n");
    Ok(frame.into())
}

/// The events of a job after a number, as they come, until its last one, with a frame before them where
/// one is given. The number may be one that no event has yet.
pub(crate) fn stream(state: AppState, job: Job, has: i64, first: Option<Bytes>) -> Response {
    let (id, last) = (job.id, job.last_seq);
    // Who has all that there is needs no table, and so no specification of its own.
    let spec = (has < last).then(|| Box::new(job.spec.clone()));
    let feed = state.feeds().follow(job);
    let follower = Follower {
        news: feed.news(),
        state,
        job: id,
        feed,
        spec,
        // Else the last event of a job that ends before that number would never be seen.
        after: has.min(last),
        has,
        first,
        ended: false,
    };
    answer(Body::from_stream(frames(follower)))
}

/// What a follower is sent, and all that is held for it between two events.
fn frames(follower: Follower) -> impl Stream<Item = Result<Bytes, Infallible>> {
    futures::stream::unfold(follower, |mut follower| async move {
        let frames = follower.next().await?;
        Some((Ok(frames), follower))
    })
}

/// Frames, with what a stream of them says of itself.
pub(crate) fn answer(frames: Body) -> Response {
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        // Proxies that gather what they pass on would hold events back.
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    (headers, frames).into_response()
}

/// The last frame of a stream that ends before what it tells of does. It is no event: a client reconnects
/// by itself, and goes on after the last event that it has.
pub(crate) fn farewell(why: &str) -> Bytes {
    format!("retry: {RECONNECT_AFTER_MS}\n: {why}; reconnect with Last-Event-ID\n\n").into()
}

/// What a client is sent where the table could not be read, and whether its stream ends with that: after a while
/// it is tried again.
pub(crate) async fn unread(error: &frugal_store::Error, state: &AppState) -> (bool, Option<Bytes>) {
    if !feed::may_pass(error) {
        return (true, None);
    }
    tokio::select! {
        () = tokio::time::sleep(RETRY_TABLE) => (false, None),
        () = state.shutdown().cancelled() => (true, Some(farewell(SERVER_STOPS))),
    }
}

/// Waits until there may be more at hand. That is kept by whoever waits, so it does not go before.
pub(crate) async fn more(news: &mut watch::Receiver<()>) {
    if news.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl Follower {
    /// The next frames; nothing after the job's last event or once the client was told to come again.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        while !self.ended {
            let frames = match self.feed.after(self.after) {
                Next::Frames(frames, last) => self.unseen(frames, last),
                // Apart, as a stream lasts for much longer than this, and would hold the room that it takes.
                Next::Behind if self.spec.is_some() => Box::pin(self.read_table()).await,
                Next::Behind => self.bid_farewell("the client is too slow"),
                Next::End => return None,
                Next::Nothing => {
                    // From here on everything comes from the feed.
                    self.spec = None;
                    self.wait().await
                }
            };
            if frames.is_some() {
                return frames;
            }
        }
        None
    }

    /// Frames of the feed, but for events that the client has: the next look passes these over.
    fn unseen(&mut self, frames: Bytes, last: i64) -> Option<Bytes> {
        self.spec = None;
        if self.has > self.after {
            self.after = self.has.min(last);
            return None;
        }
        self.after = last;
        Some(frames)
    }

    /// The next frames from the table.
    async fn read_table(&mut self) -> Option<Bytes> {
        let rows = match self.state.feeds().page(self.job, self.after).await {
            Ok(Page::Events(rows)) => rows,
            Ok(Page::Gap) => {
                self.ended = true;
                return None;
            }
            Err(error) => {
                let (ended, frame) = unread(&error, &self.state).await;
                self.ended = ended;
                return frame;
            }
        };
        let batch = self.spec.as_ref().and_then(|spec| Batch::of(spec, rows));
        // A reader that was begun after an event has that event in the table before it.
        let found = batch.and_then(|batch| batch.after(self.after));
        let Some((frames, last)) = found else {
            self.ended = true;
            return None;
        };
        self.after = last;
        Some(frames)
    }

    /// Waits for something to tell: nothing where the feed has something, else a sign of life or a farewell.
    async fn wait(&mut self) -> Option<Bytes> {
        tokio::select! {
            biased;
            () = self.state.shutdown().cancelled() => {}
            () = more(&mut self.news) => return None,
            () = tokio::time::sleep(KEEP_ALIVE) => return Some(Bytes::from_static(b":\n\n")),
        }
        self.bid_farewell(SERVER_STOPS)
    }

    fn bid_farewell(&mut self, why: &str) -> Option<Bytes> {
        self.ended = true;
        Some(farewell(why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_held_for_a_follower_that_waits() {
        fn size_of_answer<Of, Answer>(_: fn(Of) -> Answer) -> usize {
            size_of::<Answer>()
        }
        let held = size_of_answer(frames);
        assert!(held <= 1_024, "{held} bytes");
    }
}
