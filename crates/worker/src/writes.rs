//! Group commit: the two writes of each request, that it is sent and what became of it, go to the
//! database together with those of other requests, whichever job they are of.
//!
//! Each kind has a lane. A write goes at once when none of its lane is under way; those that come in
//! meanwhile go together in the next statement. So an idle worker waits for nothing, and the busier
//! it is, the less a write costs. Whoever hands a write in goes on when it is committed, so what
//! follows from it, such as the answer from the request, is always in a later statement.

use frugal_store::requests::{self, Sending, Settled, Settling};
use frugal_store::{Error, PgConnection, PgPool, Result};
use sqlx::Connection;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

/// The most writes in one statement: enough that its own cost vanishes among them.
const MOST_WRITES: usize = 256;

/// The most bytes of text in one statement, unless a single write has more.
const MOST_BYTES: usize = 4 << 20;

/// A connection that was not used for so long is tried before it is trusted: its server may have been
/// started anew.
const TRUSTED: Duration = Duration::from_secs(1);

/// The writes of a worker process. What waits when it is dropped is not written.
pub(crate) struct Writes {
    sent: Lane<Sending>,
    settled: Lane<Settling>,
}

impl Writes {
    pub(crate) fn new(pool: &PgPool) -> Self {
        Self {
            sent: Lane::new(pool),
            settled: Lane::new(pool),
        }
    }

    /// Stores a request that is about to be sent. Dropped before it is under way, it is not stored.
    ///
    /// # Errors
    /// The lease of its job is lost, or the database is away.
    pub(crate) async fn send(&self, sending: Sending) -> Result<()> {
        self.sent.write(sending).await
    }

    /// Stores what became of a request. Dropped before it is under way, it is not stored.
    ///
    /// # Errors
    /// Another worker has counted it as lost, or the database is away.
    pub(crate) async fn settle(&self, settling: Settling) -> Result<()> {
        self.settled.write(settling).await
    }

    /// Waits until no write is under way any more that was handed in before. A job whose requests were
    /// dropped is sure then that nothing more of it comes to be stored.
    pub(crate) async fn flush(&self) {
        tokio::join!(self.sent.flush(), self.settled.flush());
    }
}

/// Something that is stored together with others of its kind.
trait Write: Sized + Send + Sync + 'static {
    /// About how much text it has, in bytes.
    fn bytes(&self) -> usize;

    /// Stores a group in one statement, and tells of each whether its job's lease is held.
    fn store(
        connection: &mut PgConnection,
        group: &[Self],
    ) -> impl Future<Output = Result<Vec<bool>>> + Send;
}

impl Write for Sending {
    fn bytes(&self) -> usize {
        size_of::<Self>()
    }

    async fn store(connection: &mut PgConnection, group: &[Self]) -> Result<Vec<bool>> {
        requests::send_group(connection, group).await
    }
}

impl Write for Settling {
    fn bytes(&self) -> usize {
        match &*self.settled {
            Settled::Answered(answer) => {
                let texts = answer.responses.iter().map(|response| response.text.len());
                texts.sum()
            }
            Settled::Failed { failure, .. } => failure.detail.len(),
        }
    }

    async fn store(connection: &mut PgConnection, group: &[Self]) -> Result<Vec<bool>> {
        requests::settle_group(connection, group).await
    }
}

/// What a lane is handed.
enum Entry<W> {
    /// Something to store, and whom to tell.
    Write(W, oneshot::Sender<Result<()>>),
    /// Whom to tell when all before is done.
    Flush(oneshot::Sender<()>),
}

impl<W: Write> Entry<W> {
    fn bytes(&self) -> usize {
        match self {
            Self::Write(write, _) => write.bytes(),
            Self::Flush(_) => 0,
        }
    }
}

/// Writes of one kind, a group at a time.
struct Lane<W> {
    entries: mpsc::UnboundedSender<Entry<W>>,
    _storing: AbortOnDropHandle<()>,
}

impl<W: Write> Lane<W> {
    fn new(pool: &PgPool) -> Self {
        let (entries, arriving) = mpsc::unbounded_channel();
        let storing = run(pool.clone(), arriving);
        Self {
            entries,
            // In a task of its own: a group is not broken off when one of its jobs is.
            _storing: AbortOnDropHandle::new(tokio::spawn(storing)),
        }
    }

    async fn write(&self, write: W) -> Result<()> {
        let (told, done) = oneshot::channel();
        // What cannot be handed in, or is never told of, has met a lane that broke down.
        let _ = self.entries.send(Entry::Write(write, told));
        done.await
            .unwrap_or(Err(Error::Database(sqlx::Error::WorkerCrashed)))
    }

    async fn flush(&self) {
        let (told, done) = oneshot::channel();
        let _ = self.entries.send(Entry::Flush(told));
        let _ = done.await;
    }
}

/// Stores what arrives, until nobody is left to hand anything in.
async fn run<W: Write>(pool: PgPool, mut arriving: mpsc::UnboundedReceiver<Entry<W>>) {
    let mut line = Line {
        pool,
        connection: None,
    };
    let mut waiting = VecDeque::new();
    loop {
        if waiting.is_empty() {
            match arriving.recv().await {
                Some(entry) => waiting.push_back(entry),
                None => return,
            }
        }
        while let Ok(entry) = arriving.try_recv() {
            waiting.push_back(entry);
        }
        let group = next_group(&mut waiting, Entry::bytes);
        let (mut writes, mut writers, mut flushed) = (Vec::new(), Vec::new(), Vec::new());
        for entry in group {
            match entry {
                // Nobody waits for it any more, so nothing may come of it.
                Entry::Write(_, told) if told.is_closed() => {}
                Entry::Write(write, told) => {
                    writes.push(write);
                    writers.push(told);
                }
                Entry::Flush(told) => flushed.push(told),
            }
        }
        let results = line.store(&writes).await;
        // The writers may take back what they share with these.
        drop(writes);
        for (told, result) in writers.into_iter().zip(results) {
            let _ = told.send(result);
        }
        for told in flushed {
            let _ = told.send(());
        }
    }
}

/// Takes the next group from the front: as many as the bounds allow, and one in any case.
fn next_group<T>(waiting: &mut VecDeque<T>, bytes: impl Fn(&T) -> usize) -> Vec<T> {
    let mut total = 0_usize;
    let fits = |entry: &T| {
        total = total.saturating_add(bytes(entry));
        total <= MOST_BYTES
    };
    let count = waiting.iter().take(MOST_WRITES).map(fits);
    let count = count.take_while(|fits| *fits).count().max(1);
    waiting.drain(..count.min(waiting.len())).collect()
}

/// The connection of a lane.
struct Line {
    pool: PgPool,
    /// With the time when it was last used.
    connection: Option<(PgConnection, Instant)>,
}

impl Line {
    /// Stores a group and tells of each write what became of it.
    async fn store<W: Write>(&mut self, group: &[W]) -> Vec<Result<()>> {
        if group.is_empty() {
            return Vec::new();
        }
        match self.attempt(group).await {
            Ok(stored) => stored.into_iter().map(held).collect(),
            Err(error) if group.len() == 1 => vec![Err(error)],
            Err(error) if error.is_unavailable() => {
                let error = Arc::new(error);
                let failed = |_: &W| Err(Error::Group(Arc::clone(&error)));
                group.iter().map(failed).collect()
            }
            // One of them is at fault, and the others shall not suffer from it.
            Err(_) => {
                let mut results = Vec::with_capacity(group.len());
                for write in group.chunks(1) {
                    let stored = self.attempt(write).await;
                    results.push(stored.and_then(|stored| held(!stored.contains(&false))));
                }
                results
            }
        }
    }

    /// Stores a group, over a new connection where the one at hand breaks meanwhile: whether anything was
    /// stored is not known then, and storing the same once more changes nothing.
    async fn attempt<W: Write>(&mut self, group: &[W]) -> Result<Vec<bool>> {
        match self.attempt_once(group).await {
            Err(error) if error.is_unavailable() => self.attempt_once(group).await,
            attempted => attempted,
        }
    }

    async fn attempt_once<W: Write>(&mut self, group: &[W]) -> Result<Vec<bool>> {
        let mut connection = self.take().await?;
        let stored = W::store(&mut connection, group).await;
        if stored.as_ref().is_ok() || stored.as_ref().is_err_and(|error| !error.is_unavailable()) {
            self.connection = Some((connection, Instant::now()));
        }
        stored
    }

    /// The connection, made where there is none. What uses it gives it back if it is still good.
    async fn take(&mut self) -> Result<PgConnection> {
        if let Some((mut connection, used)) = self.connection.take()
            && (used.elapsed() < TRUSTED || connection.ping().await.is_ok())
        {
            return Ok(connection);
        }
        frugal_store::connect_for_groups(&self.pool).await
    }
}

/// The result of a write whose job's lease is held, or not.
fn held(is_held: bool) -> Result<()> {
    if is_held {
        Ok(())
    } else {
        Err(Error::LeaseLost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn groups_keep_the_order_and_the_bounds_and_leave_nothing_out(
            sizes in prop::collection::vec(0..2 * MOST_BYTES, 0..40),
            small in 0..3 * MOST_WRITES,
        ) {
            let sizes: Vec<usize> = sizes.into_iter().chain(vec![1; small]).collect();
            let mut waiting: VecDeque<(usize, usize)> = sizes.into_iter().enumerate().collect();
            let all: Vec<_> = waiting.iter().copied().collect();
            let mut seen = Vec::new();
            while !waiting.is_empty() {
                let group = next_group(&mut waiting, |(_, bytes)| *bytes);
                let total: usize = group.iter().map(|(_, bytes)| bytes).sum();
                prop_assert!(!group.is_empty() && group.len() <= MOST_WRITES);
                prop_assert!(total <= MOST_BYTES || group.len() == 1);
                // It is as large as may be.
                if let Some((_, next)) = waiting.front() {
                    prop_assert!(group.len() == MOST_WRITES || total + next > MOST_BYTES);
                }
                seen.extend(group);
            }
            prop_assert_eq!(seen, all);
        }
    }

    #[test]
    fn nothing_waits_for_company() {
        let mut waiting = VecDeque::from([7]);
        assert_eq!(next_group(&mut waiting, |bytes| *bytes), [7]);
        assert!(waiting.is_empty());
        assert!(next_group(&mut waiting, |bytes| *bytes).is_empty());
    }
}
