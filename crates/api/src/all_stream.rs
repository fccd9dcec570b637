//! Event streams over many jobs: what one client is sent of the events that it reaches.

use crate::all_events::{Next, Tail, Wanted};
use crate::sse::{self, KEEP_ALIVE, SERVER_STOPS};
use crate::state::AppState;
use axum::body::{Body, Bytes};
use axum::response::Response;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::Instant;

/// One client that follows jobs.
struct Follower {
    state: AppState,
    tail: Arc<Tail>,
    news: watch::Receiver<()>,
    wanted: Wanted,
    /// Up to where it has everything.
    after: i64,
    /// Up to where it knows that it has everything, should it come again.
    told: i64,
    /// When it was sent something last.
    heard_at: Instant,
    /// Whether it reads the table, as long as it has less than what is at hand.
    is_late: bool,
    /// A frame that goes before all others.
    first: Option<Bytes>,
    ended: bool,
}

/// The events that somebody wants after a position, as they come, with a frame before them where one is given.
/// It ends with the server alone.
pub(crate) fn stream(
    state: AppState,
    tail: Arc<Tail>,
    wanted: Wanted,
    after: i64,
    first: Option<Bytes>,
) -> Response {
    let follower = Follower {
        news: tail.news(),
        state,
        tail,
        wanted,
        after,
        told: after,
        heard_at: Instant::now(),
        is_late: true,
        first,
        ended: false,
    };
    let frames = futures::stream::unfold(follower, |mut follower| async move {
        let frames = follower.next().await?;
        Some((Ok::<_, Infallible>(frames), follower))
    });
    sse::answer(Body::from_stream(frames))
}

impl Follower {
    /// The next frames; nothing once the client was told to come again.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        while !self.ended {
            let frames = match self.tail.next(&self.wanted, self.after) {
                Next::Frames(frames, through) => {
                    self.is_late = false;
                    self.take(frames, through)
                }
                // Apart, as a stream lasts for much longer than this, and would hold the room that it takes.
                Next::Behind if self.is_late => Box::pin(self.read_table()).await,
                Next::Behind => self.bid_farewell("the client is too slow"),
                Next::End => return None,
                Next::Nothing => {
                    // From here on everything comes from what is at hand.
                    self.is_late = false;
                    self.wait().await
                }
            };
            if frames.is_some() {
                return frames;
            }
        }
        None
    }

    fn take(&mut self, frames: Vec<u8>, through: i64) -> Option<Bytes> {
        self.after = through;
        if frames.is_empty() {
            return None;
        }
        self.told = through;
        self.heard_at = Instant::now();
        Some(frames.into())
    }

    /// The next frames from the table.
    async fn read_table(&mut self) -> Option<Bytes> {
        let range = (self.after, self.tail.through());
        let earlier = self.state.all_events().earlier(&self.wanted, range).await;
        match earlier {
            Ok((frames, through)) => self.take(frames, through),
            Err(error) => {
                let (ended, frame) = sse::unread(&error, &self.state).await;
                self.ended = ended;
                frame
            }
        }
    }

    /// Waits for something to tell: nothing where there may be something, else a sign of life or a farewell.
    async fn wait(&mut self) -> Option<Bytes> {
        tokio::select! {
            biased;
            () = self.state.shutdown().cancelled() => {}
            // Before the news, which may be of others all the time.
            () = tokio::time::sleep_until(self.heard_at + KEEP_ALIVE) => return Some(self.sign_of_life()),
            () = sse::more(&mut self.news) => return None,
        }
        self.bid_farewell(SERVER_STOPS)
    }

    /// A frame without an event. Where others' events have come since the client was told an id, it has the
    /// position up to which there is nothing more for it, so that it comes again after these.
    fn sign_of_life(&mut self) -> Bytes {
        self.heard_at = Instant::now();
        if self.told == self.after {
            return Bytes::from_static(b":\n\n");
        }
        self.told = self.after;
        format!("id: {}\n\n", self.after).into()
    }

    fn bid_farewell(&mut self, why: &str) -> Option<Bytes> {
        self.ended = true;
        Some(sse::farewell(why))
    }
}
