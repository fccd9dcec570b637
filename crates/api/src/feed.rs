//! One reader for each job that somebody follows: its events are read from the table once and written as
//! frames once, for all who follow it through this process.
//!
//! What was read lately stays at hand, in a bounded number of bytes. Whoever comes late reads the rest from the
//! table by itself, until it has what the reader has; whoever then falls behind by more than what is at hand
//! is told to come again, so that a slow client costs no more than a quick one.

use crate::broadcast::{Changes, POLL, Subscription};
use crate::wire::Event;
use axum::body::Bytes;
use frugal_domain::event;
use frugal_domain::id::JobId;
use frugal_domain::job::JobSpec;
use frugal_store::jobs::Job;
use frugal_store::{PgPool, events};
use std::collections::{HashMap, VecDeque};
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Events read from the table at once.
pub(crate) const PAGE: u32 = 200;
/// How much of a job's latest frames stays at hand, in bytes; the last page in any case.
const AT_HAND: usize = 256 << 10;

/// The readers of a process.
#[derive(Debug, Clone)]
pub(crate) struct Feeds(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    changes: Changes,
    shutdown: CancellationToken,
    feeds: Mutex<HashMap<JobId, Weak<Feed>>>,
}

impl Feeds {
    /// No readers yet. They read through the pool, when told of changes, until the shutdown.
    pub(crate) fn new(pool: PgPool, changes: Changes, shutdown: CancellationToken) -> Self {
        Self(Arc::new(Inner {
            pool,
            changes,
            shutdown,
            feeds: Mutex::default(),
        }))
    }

    /// The feed of a job, begun after its last event where nobody follows it yet.
    pub(crate) fn follow(&self, job: Job) -> Arc<Feed> {
        // Let go of before a feed may be dropped, which takes itself out of the map.
        let present = self.feeds().get(&job.id).and_then(Weak::upgrade);
        if let Some(feed) = present.filter(|feed| !feed.recent().is_over) {
            return feed;
        }
        let feed = Arc::new(Feed {
            feeds: self.clone(),
            job: job.id,
            recent: Mutex::new(Recent {
                batches: VecDeque::new(),
                bytes: 0,
                first: job.last_seq + 1,
                last: job.last_seq,
                is_over: job.state.is_terminal(),
            }),
            news: watch::Sender::new(()),
            nobody_follows: CancellationToken::new(),
        });
        if job.state.is_terminal() {
            return feed;
        }
        self.feeds().insert(job.id, Arc::downgrade(&feed));
        let reader = Reader {
            // Subscribed before the first look into the table, so that nothing goes by between.
            subscription: self.0.changes.subscribe(job.id),
            feeds: self.clone(),
            feed: Arc::downgrade(&feed),
            nobody_follows: feed.nobody_follows.clone(),
            after: job.last_seq,
            job: job.id,
            spec: job.spec,
        };
        tokio::spawn(reader.run());
        feed
    }

    /// Reads the events of a job after one from the table.
    ///
    /// # Errors
    /// The database is away.
    pub(crate) async fn page(&self, job: JobId, after: i64) -> Result<Page, frugal_store::Error> {
        let mut connection = self.0.pool.acquire().await?;
        let rows = events::after(&mut connection, job, after, PAGE).await?;
        // They are numbered without gaps. Whoever is given one is told so when it asks again; of a job that is
        // deleted nothing comes any more.
        let is_gap = match rows.first() {
            Some(first) => first.seq != after + 1,
            None => events::are_gone(&mut connection, job, after).await?,
        };
        Ok(match is_gap {
            true => Page::Gap,
            false => Page::Events(rows),
        })
    }

    /// The map. A panic while it was locked leaves it whole: every change to it is one step.
    fn feeds(&self) -> MutexGuard<'_, HashMap<JobId, Weak<Feed>>> {
        self.0.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The latest events of one job, as frames.
#[derive(Debug)]
pub(crate) struct Feed {
    feeds: Feeds,
    job: JobId,
    recent: Mutex<Recent>,
    news: watch::Sender<()>,
    nobody_follows: CancellationToken,
}

#[derive(Debug)]
struct Recent {
    batches: VecDeque<Batch>,
    /// Bytes in these.
    bytes: usize,
    /// The number of the first event at hand; where there is none, of the next one.
    first: i64,
    /// The number of the last event that was read.
    last: i64,
    /// Whether nothing more comes: the job has ended, or events are gone or cannot be read, which whoever
    /// asks again is told.
    is_over: bool,
}

/// Events that were read together.
#[derive(Debug)]
pub(crate) struct Batch {
    first: i64,
    /// Where the frame of each event begins.
    starts: Vec<usize>,
    frames: Bytes,
}

/// What there is after an event.
#[derive(Debug)]
pub(crate) enum Next {
    /// Frames, and the number of the last event in them.
    Frames(Bytes, i64),
    /// Nothing yet.
    Nothing,
    /// Nothing, now or later.
    End,
    /// More than what is at hand.
    Behind,
}

impl Batch {
    /// Events in a row, of which there is at least one, as frames. One that cannot be written ends the batch
    /// before it.
    pub(crate) fn of(spec: &JobSpec, events: Vec<event::Event>) -> Option<Self> {
        let first = events.first()?.seq;
        let (mut frames, mut starts) = (Vec::new(), Vec::new());
        for event in events {
            let start = frames.len();
            if let Err(error) = write(&mut frames, event.seq, spec, event) {
                tracing::error!(%error, "an event cannot be written");
                frames.truncate(start);
                break;
            }
            starts.push(start);
        }
        (!starts.is_empty()).then(|| Self {
            first,
            starts,
            frames: frames.into(),
        })
    }

    fn last(&self) -> i64 {
        self.first + i64::try_from(self.starts.len()).unwrap_or(i64::MAX) - 1
    }

    /// The frames after an event, with the number of the last one; nothing where there are none.
    pub(crate) fn after(&self, seq: i64) -> Option<(Bytes, i64)> {
        let skipped = usize::try_from(seq + 1 - self.first).unwrap_or(0);
        let start = self.starts.get(skipped)?;
        Some((self.frames.slice(start..), self.last()))
    }
}

impl Feed {
    /// What there is after an event.
    pub(crate) fn after(&self, seq: i64) -> Next {
        let recent = self.recent();
        if seq + 1 < recent.first {
            return Next::Behind;
        }
        let batch = recent.batches.partition_point(|batch| batch.last() <= seq);
        let batch = recent.batches.get(batch);
        match batch.and_then(|batch| batch.after(seq)) {
            Some((frames, last)) => Next::Frames(frames, last),
            None if recent.is_over => Next::End,
            None => Next::Nothing,
        }
    }

    /// Tells when there is more.
    pub(crate) fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    fn add(&self, batch: Batch) {
        let mut recent = self.recent();
        recent.last = batch.last();
        recent.bytes += batch.frames.len();
        recent.batches.push_back(batch);
        while recent.bytes > AT_HAND && recent.batches.len() > 1 {
            if let Some(gone) = recent.batches.pop_front() {
                recent.bytes -= gone.frames.len();
            }
        }
        recent.first = recent
            .batches
            .front()
            .map_or(recent.last + 1, |it| it.first);
        drop(recent);
        self.news.send_replace(());
    }

    fn end(&self) {
        self.recent().is_over = true;
        self.news.send_replace(());
    }

    /// What is at hand. A panic while it was locked leaves it whole, but for its size.
    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.nobody_follows.cancel();
        let mut feeds = self.feeds.feeds();
        // Another one may have begun meanwhile.
        if feeds
            .get(&self.job)
            .is_some_and(|feed| feed.strong_count() == 0)
        {
            feeds.remove(&self.job);
        }
    }
}

/// What reads the events of a job that somebody follows.
struct Reader {
    feeds: Feeds,
    feed: Weak<Feed>,
    subscription: Subscription,
    nobody_follows: CancellationToken,
    job: JobId,
    spec: JobSpec,
    /// The last event that was read.
    after: i64,
}

impl Reader {
    async fn run(mut self) {
        let (nobody_follows, shutdown) =
            (self.nobody_follows.clone(), self.feeds.0.shutdown.clone());
        let has_ended = while_followed(self.read(), &nobody_follows, &shutdown).await;
        if let Some(feed) = self.feed.upgrade().filter(|_| has_ended) {
            feed.end();
        }
    }

    /// Reads until nothing more comes.
    async fn read(&mut self) {
        let mut has_ended = false;
        loop {
            match self.look(&mut has_ended).await {
                Ok(Look::News) => continue,
                Ok(Look::Nothing) => {}
                Ok(Look::End) => return,
                Err(error) if may_pass(&error) => {}
                Err(_) => return,
            }
            tokio::select! {
                () = self.subscription.changed() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Reads what is new in the table. A job that was continued has events behind a terminal one; whether
    /// that was read as the last of a page shows with the next.
    async fn look(&mut self, has_ended: &mut bool) -> Result<Look, frugal_store::Error> {
        let page = self.feeds.page(self.job, self.after).await?;
        let Page::Events(rows) = page else {
            return Ok(Look::End);
        };
        let is_full = rows.len() == PAGE as usize;
        let Some(last) = rows.last() else {
            return Ok(match has_ended {
                true => Look::End,
                false => Look::Nothing,
            });
        };
        *has_ended = last.body.is_terminal();
        let count = rows.len();
        let Some(batch) = Batch::of(&self.spec, rows) else {
            return Ok(Look::End);
        };
        let is_whole = batch.starts.len() == count;
        self.after = batch.last();
        if let Some(feed) = self.feed.upgrade() {
            feed.add(batch);
        }
        Ok(match is_whole && (is_full || !*has_ended) {
            true => Look::News,
            false => Look::End,
        })
    }
}

enum Look {
    News,
    Nothing,
    End,
}

/// What the table has after an event.
pub(crate) enum Page {
    /// Events in a row; none where there are none yet.
    Events(Vec<event::Event>),
    /// Some are gone.
    Gap,
}

/// Reads as long as somebody follows and the server goes on. Whether the reading came to its end before.
pub(crate) async fn while_followed(
    reading: impl Future<Output = ()>,
    nobody_follows: &CancellationToken,
    shutdown: &CancellationToken,
) -> bool {
    tokio::select! {
        () = reading => true,
        // Whoever follows hears of it too.
        () = shutdown.cancelled() => false,
        () = nobody_follows.cancelled() => false,
    }
}

/// Whether events that could not be read can be read later: what is missed now is still in the table.
pub(crate) fn may_pass(error: &frugal_store::Error) -> bool {
    let may_pass = error.is_unavailable();
    if may_pass {
        tracing::debug!(%error, "events cannot be read for the moment");
    } else {
        tracing::error!(%error, "events cannot be read; streams end");
    }
    may_pass
}

/// Writes an event as a frame with an id.
pub(crate) fn write(
    into: &mut Vec<u8>,
    id: i64,
    spec: &JobSpec,
    event: event::Event,
) -> serde_json::Result<()> {
    let name = event.body.name();
    // Writing into memory does not fail.
    let _ = write!(into, "id: {id}\nevent: {name}\ndata: ");
    serde_json::to_writer(&mut *into, &Event::new(spec, event))?;
    into.extend_from_slice(b"\n\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(last: i64) -> Feed {
        Feed {
            feeds: Feeds::new(
                frugal_store::connect("postgres://nobody@127.0.0.1:1/none", 1).unwrap(),
                Changes::default(),
                CancellationToken::new(),
            ),
            job: JobId(uuid::Uuid::nil()),
            recent: Mutex::new(Recent {
                batches: VecDeque::new(),
                bytes: 0,
                first: last + 1,
                last,
                is_over: false,
            }),
            news: watch::Sender::new(()),
            nobody_follows: CancellationToken::new(),
        }
    }

    /// A batch of events with these sizes.
    fn batch(first: i64, sizes: &[usize]) -> Batch {
        let mut frames = Vec::new();
        let mut starts = Vec::new();
        for (seq, size) in (first..).zip(sizes) {
            starts.push(frames.len());
            let digit = u8::try_from(seq % 10).unwrap() + b'0';
            frames.extend(std::iter::repeat_n(digit, *size));
        }
        Batch {
            first,
            starts,
            frames: frames.into(),
        }
    }

    fn text(next: Next) -> String {
        match next {
            Next::Frames(bytes, last) => format!("{}|{last}", String::from_utf8_lossy(&bytes)),
            Next::Nothing => "nothing".to_owned(),
            Next::End => "end".to_owned(),
            Next::Behind => "behind".to_owned(),
        }
    }

    #[tokio::test]
    async fn everybody_is_given_what_comes_after_what_it_has() {
        let feed = feed(4);
        assert_eq!(text(feed.after(4)), "nothing");
        assert_eq!(text(feed.after(3)), "behind");
        // Read from the table what the reader has not read yet.
        assert_eq!(text(feed.after(9)), "nothing");
        feed.add(batch(5, &[1, 2]));
        feed.add(batch(7, &[1]));
        assert_eq!(text(feed.after(4)), "566|6");
        assert_eq!(text(feed.after(5)), "66|6");
        assert_eq!(text(feed.after(6)), "7|7");
        assert_eq!(text(feed.after(7)), "nothing");
        assert_eq!(text(feed.after(3)), "behind");
        feed.end();
        assert_eq!(text(feed.after(6)), "7|7");
        assert_eq!(text(feed.after(7)), "end");
    }

    #[tokio::test]
    async fn no_more_is_kept_than_there_is_room_for() {
        let feed = feed(0);
        for seq in 1..=100 {
            feed.add(batch(seq, &[AT_HAND / 10]));
            let recent = feed.recent();
            assert!(recent.bytes <= AT_HAND, "{}", recent.bytes);
            assert_eq!(
                recent.bytes,
                recent
                    .batches
                    .iter()
                    .map(|it| it.frames.len())
                    .sum::<usize>()
            );
        }
        assert_eq!(text(feed.after(80)), "behind");
        assert!(matches!(feed.after(95), Next::Frames(_, 96)));
        // A page that is too large by itself is kept until the next one.
        feed.add(batch(101, &[2 * AT_HAND]));
        assert!(matches!(feed.after(100), Next::Frames(_, 101)));
        assert_eq!(text(feed.after(99)), "behind");
    }
}
