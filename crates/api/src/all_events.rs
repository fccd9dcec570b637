//! One reader of the events of all jobs, for all who follow theirs through this process: it reads what is new
//! once and writes it as frames once, and each follower takes those that it reaches and asked for.
//!
//! What was read lately stays at hand, in a bounded number of bytes. Whoever comes late reads the rest from the
//! table by itself, until it has what the reader has; whoever then falls behind by more than what is at hand
//! is told to come again.

use crate::broadcast::{Changes, POLL};
use crate::feed;
use axum::body::Bytes;
use frugal_domain::access::Access;
use frugal_domain::id::JobId;
use frugal_domain::job::JobSpec;
use frugal_store::positions::{self, Positioned, Selection};
use frugal_store::{PgConnection, PgPool};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Events read from the table at once.
const PAGE: u32 = 200;
/// Positions looked through at once for those of one follower.
const WINDOW: i64 = 10_000;
/// How much of the latest frames stays at hand, in bytes.
const AT_HAND: usize = 4 << 20;
/// How many jobs' specifications are remembered, to write events with.
const JOBS_REMEMBERED: usize = 64;
/// How long to wait before looking again where somebody was writing: the hint may have come a moment too soon.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The events of all jobs, as this process reads them.
#[derive(Debug, Clone)]
pub(crate) struct AllEvents(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    changes: Changes,
    shutdown: CancellationToken,
    tail: Mutex<Weak<Tail>>,
    specs: Mutex<HashMap<JobId, Arc<JobSpec>>>,
}

/// The latest events, as frames.
#[derive(Debug)]
pub(crate) struct Tail {
    recent: Mutex<Recent>,
    news: watch::Sender<()>,
    nobody_follows: CancellationToken,
}

#[derive(Debug)]
struct Recent {
    items: VecDeque<Item>,
    /// Bytes in these.
    bytes: usize,
    /// All after this position is at hand.
    from: i64,
    /// All up to this one was read.
    through: i64,
    /// Whether nothing more is read.
    is_over: bool,
}

/// An event's frame, and what followers go by: no more of the event than that is kept.
#[derive(Debug)]
pub(crate) struct Item {
    position: i64,
    /// To whom the job belongs.
    owner: Option<String>,
    /// The job's labels.
    labels: BTreeMap<String, String>,
    /// The name of the event's type.
    r#type: &'static str,
    frame: Bytes,
}

/// What there is after a position.
#[derive(Debug)]
pub(crate) enum Next {
    /// Frames, of which there may be none, and up to where they go.
    Frames(Vec<u8>, i64),
    /// Nothing yet.
    Nothing,
    /// Nothing, now or later.
    End,
    /// More than what is at hand.
    Behind,
}

/// Whose events somebody follows, and which.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Whose.
    pub access: Access,
    /// Which of these.
    pub selection: Selection,
}

impl Wanted {
    fn has(&self, item: &Item) -> bool {
        self.access.reaches(item.owner.as_deref()) && self.selection.has(item.r#type, &item.labels)
    }
}

impl AllEvents {
    /// No reader yet. It reads through the pool, when told of changes, until the shutdown.
    pub(crate) fn new(pool: PgPool, changes: Changes, shutdown: CancellationToken) -> Self {
        Self(Arc::new(Inner {
            pool,
            changes,
            shutdown,
            tail: Mutex::default(),
            specs: Mutex::default(),
        }))
    }

    /// The latest events, read from this moment on where nobody followed them yet.
    ///
    /// # Errors
    /// The database is away.
    pub(crate) async fn follow(&self) -> Result<Arc<Tail>, frugal_store::Error> {
        let present = going_on(&locked(&self.0.tail));
        if let Some(tail) = present {
            return Ok(tail);
        }
        // Subscribed before the first look into the table, so that nothing goes by between.
        let news = self.0.changes.subscribe_to_all();
        let settled = positions::settled(&mut *self.0.pool.acquire().await?).await?;
        let mut present = locked(&self.0.tail);
        // Another one may have begun meanwhile.
        if let Some(tail) = going_on(&present) {
            return Ok(tail);
        }
        let tail = Arc::new(Tail::after(settled.through));
        *present = Arc::downgrade(&tail);
        drop(present);
        let reader = Reader {
            events: self.clone(),
            tail: Arc::downgrade(&tail),
            nobody_follows: tail.nobody_follows.clone(),
            news,
            after: settled.through,
        };
        tokio::spawn(reader.run());
        Ok(tail)
    }

    /// The specifications of the jobs of some events.
    ///
    /// # Errors
    /// The database is away.
    pub(crate) async fn specs(
        &self,
        connection: &mut PgConnection,
        rows: &[Positioned],
    ) -> Result<HashMap<JobId, Arc<JobSpec>>, frugal_store::Error> {
        let mut specs = HashMap::new();
        let mut unknown = Vec::new();
        {
            let mut known = locked(&self.0.specs);
            if known.len() > JOBS_REMEMBERED {
                known.clear();
            }
            for row in rows {
                let job = row.event.job_id;
                match known.get(&job) {
                    Some(spec) => _ = specs.insert(job, spec.clone()),
                    None if unknown.contains(&job) => {}
                    None => unknown.push(job),
                }
            }
        }
        if !unknown.is_empty() {
            let found = positions::specifications(connection, &unknown).await?;
            let found = found.into_iter().map(|(job, spec)| (job, Arc::new(spec)));
            specs.extend(found);
            let learnt = unknown.iter().filter_map(|job| {
                let spec = specs.get(job)?;
                Some((*job, spec.clone()))
            });
            locked(&self.0.specs).extend(learnt);
        }
        Ok(specs)
    }

    /// Events as frames. Those of a job that is deleted by now are left out.
    ///
    /// # Errors
    /// The database is away.
    async fn frames(
        &self,
        connection: &mut PgConnection,
        rows: Vec<Positioned>,
    ) -> Result<Vec<Item>, frugal_store::Error> {
        let specs = self.specs(connection, &rows).await?;
        let items = rows.into_iter().filter_map(|row| {
            let spec = specs.get(&row.event.job_id)?;
            let r#type = row.event.body.name();
            let mut frame = Vec::new();
            match feed::write(&mut frame, row.position, spec, row.event) {
                Ok(()) => Some(Item {
                    position: row.position,
                    owner: row.owner,
                    labels: row.labels,
                    r#type,
                    frame: frame.into(),
                }),
                Err(error) => {
                    tracing::error!(%error, "an event cannot be written");
                    None
                }
            }
        });
        Ok(items.collect())
    }

    /// Frames from the table after a position and through another, and up to where they go.
    ///
    /// # Errors
    /// The database is away.
    pub(crate) async fn earlier(
        &self,
        wanted: &Wanted,
        range: (i64, i64),
    ) -> Result<(Vec<u8>, i64), frugal_store::Error> {
        let mut connection = self.0.pool.acquire().await?;
        let (rows, through) = page(&mut connection, wanted, range, PAGE).await?;
        let items = self.frames(&mut connection, rows).await?;
        Ok((joined(items.iter()), through))
    }
}

/// Events from the table after a position, and up to where all of them are among these: no further than another, nor
/// than a bounded number of positions.
///
/// # Errors
/// The database is away.
pub(crate) async fn page(
    connection: &mut PgConnection,
    wanted: &Wanted,
    (after, through): (i64, i64),
    limit: u32,
) -> Result<(Vec<Positioned>, i64), frugal_store::Error> {
    let through = through.min(after.saturating_add(WINDOW));
    let (access, selection) = (&wanted.access, &wanted.selection);
    let range = (after, through);
    let rows = positions::between(connection, access, selection, range, limit).await?;
    let is_full = rows.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let last = rows.last().filter(|_| is_full).map(|row| row.position);
    Ok((rows, last.unwrap_or(through.max(after))))
}

/// Frames one after the other.
fn joined<'a>(items: impl Iterator<Item = &'a Item>) -> Vec<u8> {
    items.fold(Vec::new(), |mut frames, item| {
        frames.extend_from_slice(&item.frame);
        frames
    })
}

/// The latest events, where a reader still adds to them.
fn going_on(tail: &Weak<Tail>) -> Option<Arc<Tail>> {
    tail.upgrade().filter(|tail| !tail.recent().is_over)
}

/// What is behind a lock. A panic while it was locked leaves it whole: every change to it is one step.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tail {
    fn after(position: i64) -> Self {
        Self {
            recent: Mutex::new(Recent {
                items: VecDeque::new(),
                bytes: 0,
                from: position,
                through: position,
                is_over: false,
            }),
            news: watch::Sender::new(()),
            nobody_follows: CancellationToken::new(),
        }
    }

    /// What there is after a position.
    pub(crate) fn next(&self, wanted: &Wanted, after: i64) -> Next {
        let recent = self.recent();
        if after < recent.from {
            return Next::Behind;
        }
        if after >= recent.through {
            return match recent.is_over {
                true => Next::End,
                false => Next::Nothing,
            };
        }
        let seen = recent.items.partition_point(|item| item.position <= after);
        let later = recent.items.range(seen..);
        Next::Frames(
            joined(later.filter(|item| wanted.has(item))),
            recent.through,
        )
    }

    /// Up to where all was read.
    pub(crate) fn through(&self) -> i64 {
        self.recent().through
    }

    /// Tells when there is more.
    pub(crate) fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    fn add(&self, items: Vec<Item>, through: i64) {
        let mut recent = self.recent();
        recent.through = through;
        for item in items {
            recent.bytes += item.frame.len();
            recent.items.push_back(item);
        }
        while recent.bytes > AT_HAND && recent.items.len() > 1 {
            if let Some(gone) = recent.items.pop_front() {
                recent.bytes -= gone.frame.len();
                recent.from = gone.position;
            }
        }
        drop(recent);
        self.news.send_replace(());
    }

    fn end(&self) {
        self.recent().is_over = true;
        self.news.send_replace(());
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        locked(&self.recent)
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.nobody_follows.cancel();
    }
}

/// What reads the events of all jobs while somebody follows them.
struct Reader {
    events: AllEvents,
    tail: Weak<Tail>,
    nobody_follows: CancellationToken,
    news: watch::Receiver<()>,
    /// Up to where all was read.
    after: i64,
}

impl Reader {
    async fn run(mut self) {
        let (nobody_follows, shutdown) =
            (self.nobody_follows.clone(), self.events.0.shutdown.clone());
        let has_ended = feed::while_followed(self.read(), &nobody_follows, &shutdown).await;
        if let Some(tail) = self.tail.upgrade().filter(|_| has_ended) {
            tail.end();
        }
    }

    /// Reads until it cannot.
    async fn read(&mut self) {
        loop {
            let wait = match self.look().await {
                Ok(wait) => wait,
                Err(error) if feed::may_pass(&error) => POLL,
                Err(_) => return,
            };
            // The sender lives as long as the state does, which has this reader.
            _ = tokio::time::timeout(wait, self.news.changed()).await;
        }
    }

    /// Reads what is new in the table, and says when to look again without a hint.
    async fn look(&mut self) -> Result<Duration, frugal_store::Error> {
        let mut connection = self.events.0.pool.acquire().await?;
        let settled = positions::settled(&mut connection).await?;
        let all = Wanted {
            access: Access::OPEN,
            selection: Selection::default(),
        };
        while self.after < settled.through {
            let range = (self.after, settled.through);
            let (rows, through) = page(&mut connection, &all, range, PAGE).await?;
            let items = self.events.frames(&mut connection, rows).await?;
            self.after = through;
            if let Some(tail) = self.tail.upgrade() {
                tail.add(items, through);
            }
        }
        Ok(match settled.is_held_back {
            true => LOOK_AGAIN,
            false => POLL,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_domain::event::EventBody;

    fn item(position: i64, owner: &str, bytes: usize) -> Item {
        let digit = u8::try_from(position % 10).unwrap() + b'0';
        Item {
            position,
            owner: Some(owner.to_owned()),
            labels: BTreeMap::from([("team".to_owned(), owner.to_uppercase())]),
            r#type: EventBody::JobQueued {}.name(),
            frame: vec![digit; bytes].into(),
        }
    }

    fn wanted(owner: Option<&str>, selection: Selection) -> Wanted {
        Wanted {
            access: Access {
                owner: owner.map(str::to_owned),
                everything: owner.is_none(),
            },
            selection,
        }
    }

    fn text(next: Next) -> String {
        match next {
            Next::Frames(bytes, through) => {
                format!("{}|{through}", String::from_utf8_lossy(&bytes))
            }
            Next::Nothing => "nothing".to_owned(),
            Next::End => "end".to_owned(),
            Next::Behind => "behind".to_owned(),
        }
    }

    #[test]
    fn everybody_is_given_what_is_theirs_and_passes_over_the_rest() {
        let tail = Tail::after(4);
        let (ada, eve) = (
            wanted(Some("ada"), Selection::default()),
            wanted(Some("eve"), Selection::default()),
        );
        let all = wanted(None, Selection::default());
        assert_eq!(text(tail.next(&ada, 4)), "nothing");
        assert_eq!(text(tail.next(&ada, 3)), "behind");
        // Between 6 and 8 is one that came to nothing.
        tail.add(
            vec![item(5, "ada", 1), item(6, "eve", 2), item(8, "ada", 1)],
            9,
        );
        assert_eq!(text(tail.next(&ada, 4)), "58|9");
        assert_eq!(text(tail.next(&ada, 5)), "8|9");
        assert_eq!(text(tail.next(&eve, 4)), "66|9");
        assert_eq!(text(tail.next(&eve, 6)), "|9");
        assert_eq!(text(tail.next(&all, 4)), "5668|9");
        assert_eq!(text(tail.next(&all, 9)), "nothing");
        tail.end();
        assert_eq!(text(tail.next(&all, 8)), "|9");
        assert_eq!(text(tail.next(&all, 9)), "end");
    }

    #[test]
    fn labels_and_types_choose() {
        let tail = Tail::after(0);
        tail.add(vec![item(1, "ada", 1), item(2, "eve", 1)], 2);
        let labelled = |value: &str| Selection {
            labels: BTreeMap::from([("team".to_owned(), value.to_owned())]),
            ..Selection::default()
        };
        let typed = |name: &str| Selection {
            types: vec![name.to_owned()],
            ..Selection::default()
        };
        assert_eq!(text(tail.next(&wanted(None, labelled("EVE")), 0)), "2|2");
        // A label opens nothing.
        let other = wanted(Some("ada"), labelled("EVE"));
        assert_eq!(text(tail.next(&other, 0)), "|2");
        assert_eq!(
            text(tail.next(&wanted(None, typed("job.queued")), 0)),
            "12|2"
        );
        assert_eq!(text(tail.next(&wanted(None, typed("job.failed")), 0)), "|2");
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let tail = Tail::after(0);
        for position in 1..=100 {
            tail.add(vec![item(position, "ada", AT_HAND / 10)], position);
            assert!(tail.recent().bytes <= AT_HAND);
        }
        let all = wanted(None, Selection::default());
        assert_eq!(text(tail.next(&all, 80)), "behind");
        assert!(matches!(tail.next(&all, 95), Next::Frames(_, 100)));
    }
}
