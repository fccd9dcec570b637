//! Keeps the leases of the jobs that this process drives, and hears what their clients want.
//!
//! One statement extends them all. A thread of its own sends it over a connection of its own, so that
//! leases are kept however long the jobs' loops think and whoever has the connections of the pool.
//!
//! While the database is out of reach nobody takes a job over, so a job is not let go when its lease
//! has run out but when the outage has lasted for longer than is to be waited for. Until it is known that
//! the lease holds, no attempt is made of any request ([`Lease::is_held`]).

use crate::halt::{Cause, Halt};
use crate::options::Terms;
use frugal_domain::id::JobId;
use frugal_domain::state::JobState;
use frugal_store::listen::Notice;
use frugal_store::queue::Claim;
use frugal_store::{PgConnection, PgPool, Result, leases};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How often the leases are extended while one of them lasts: three may fail in a row.
const BEATS: u32 = 4;

/// How long to wait before the next try while the database is out of reach.
const RETRY: Duration = Duration::from_millis(250);

/// The most that one try may take: an answer that comes later would come too late for a short lease.
const LONGEST_TRY: Duration = Duration::from_secs(5);

/// The leases of a process. Dropped, they are not extended any more.
pub(crate) struct Leases {
    shared: Arc<Shared>,
    _closing: DropGuard,
}

struct Shared {
    lease: Duration,
    /// How long the database may be out of reach before jobs are let go.
    outage: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: HashMap<JobId, Held>,
    /// When the database was out of reach last.
    cut_off: Option<Instant>,
}

/// A job that is driven here.
struct Held {
    attempt: i32,
    halt: Arc<Halt>,
    /// Until when its lease is known to hold.
    until: watch::Sender<Instant>,
}

/// The lease of one job.
#[derive(Clone)]
pub(crate) struct Lease {
    until: watch::Receiver<Instant>,
    halt: Arc<Halt>,
}

/// Keeps a lease until it is dropped.
pub(crate) struct Keeping {
    shared: Arc<Shared>,
    claim: Claim,
    lease: Lease,
}

impl Leases {
    /// Begins to keep leases.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(crate) fn start(
        pool: &PgPool,
        terms: &Terms,
        notices: Receiver<Notice>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            lease: Duration::from_secs(terms.lease_seconds.into()),
            outage: terms.outage,
            state: Mutex::default(),
        });
        let closing = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let beating = beat(
            Line {
                pool: pool.clone(),
                connection: None,
                lease_seconds: terms.lease_seconds,
            },
            Arc::clone(&shared),
            notices,
        );
        let closed = closing.clone();
        thread::Builder::new()
            .name("leases".to_owned())
            .spawn(move || {
                runtime.block_on(closed.run_until_cancelled(beating));
            })?;
        Ok(Self {
            shared,
            _closing: closing.drop_guard(),
        })
    }

    /// Keeps the lease of a job that was claimed after `begun`.
    pub(crate) fn keep(&self, claim: Claim, begun: Instant, halt: &Arc<Halt>) -> Keeping {
        let (until, known) = watch::channel(begun + self.shared.lease);
        let held = Held {
            attempt: claim.attempt,
            halt: Arc::clone(halt),
            until,
        };
        self.shared.state().held.insert(claim.job, held);
        Keeping {
            shared: Arc::clone(&self.shared),
            claim,
            lease: Lease {
                until: known,
                halt: Arc::clone(halt),
            },
        }
    }

    /// Notes that the database cannot be reached.
    pub(crate) fn cut_off(&self) {
        self.shared.state().cut_off = Some(Instant::now());
    }

    /// Whether jobs may be taken whose lease ran out. Not for one lease after an outage: their workers
    /// may have been cut off too, and extend their leases now.
    pub(crate) fn take_overdue(&self) -> bool {
        let cut_off = self.shared.state().cut_off;
        cut_off.is_none_or(|moment| moment.elapsed() > self.shared.lease)
    }
}

impl Keeping {
    /// The lease that is kept.
    pub(crate) fn lease(&self) -> Lease {
        self.lease.clone()
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        let held = state.held.get(&self.claim.job);
        if held.is_some_and(|held| held.attempt == self.claim.attempt) {
            state.held.remove(&self.claim.job);
        }
    }
}

impl Lease {
    /// Waits until it is known that the lease holds at this moment. `false` where the job is to be let
    /// go instead.
    pub(crate) async fn is_held(&mut self) -> bool {
        loop {
            if self.halt.cause() >= Some(Cause::LetGo) {
                return false;
            }
            if Instant::now() < *self.until.borrow_and_update() {
                return true;
            }
            tokio::select! {
                changed = self.until.changed() => {
                    if changed.is_err() {
                        return false;
                    }
                }
                _ = self.halt.above(self.halt.cause()) => {}
            }
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn claims(&self) -> Vec<Claim> {
        let claim = |(job, held): (&JobId, &Held)| Claim {
            job: *job,
            attempt: held.attempt,
        };
        self.state().held.iter().map(claim).collect()
    }

    /// Takes in what the database said of leases that it was asked about at a moment.
    fn told(&self, asked: Instant, claims: &[Claim], states: &BTreeMap<JobId, JobState>) {
        let state = self.state();
        for claim in claims {
            let held = state.held.get(&claim.job);
            let Some(held) = held.filter(|held| held.attempt == claim.attempt) else {
                continue;
            };
            match states.get(&claim.job) {
                None => {
                    tracing::warn!(job = %claim.job, attempt = claim.attempt, "the lease is lost");
                    held.halt.throw(Cause::Lost);
                }
                Some(wanted) => {
                    held.until.send_replace(asked + self.lease);
                    match wanted {
                        JobState::Cancelling => held.halt.throw(Cause::Cancelled),
                        JobState::Pausing => held.halt.throw(Cause::Paused),
                        _ => {}
                    }
                }
            }
        }
    }

    /// Notes that the database could not be asked, and lets jobs go where this has lasted too long.
    fn not_told(&self) {
        let mut state = self.state();
        let now = Instant::now();
        state.cut_off = Some(now);
        for held in state.held.values() {
            let last_told = *held.until.borrow() - self.lease;
            if now >= last_told + self.outage.max(self.lease) {
                held.halt.throw(Cause::LetGo);
            }
        }
    }
}

/// The connection.
struct Line {
    pool: PgPool,
    connection: Option<PgConnection>,
    lease_seconds: u32,
}

impl Line {
    async fn extend(&mut self, claims: &[Claim]) -> Result<BTreeMap<JobId, JobState>> {
        // Where it is dropped on the way, or fails, the next try makes another one.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => frugal_store::connect_for_groups(&self.pool).await?,
        };
        let states = leases::extend(&mut connection, claims, self.lease_seconds).await?;
        self.connection = Some(connection);
        Ok(states)
    }
}

/// Extends the leases until dropped.
async fn beat(mut line: Line, shared: Arc<Shared>, mut notices: Receiver<Notice>) {
    let longest_try = (shared.lease / 2).min(LONGEST_TRY);
    let mut failing = false;
    loop {
        let asked = Instant::now();
        let claims = shared.claims();
        let mut pause = shared.lease / BEATS;
        if !claims.is_empty() {
            let said = tokio::time::timeout(longest_try, line.extend(&claims)).await;
            let said = said.unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut.into()));
            match said {
                Ok(states) => {
                    shared.told(asked, &claims, &states);
                    if std::mem::take(&mut failing) {
                        tracing::info!("leases are extended again");
                    }
                }
                Err(error) => {
                    shared.not_told();
                    pause = pause.min(RETRY);
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%error, cause = ?std::error::Error::source(&error), "leases cannot be extended; trying on");
                    }
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep_until(asked + pause) => {}
            () = news(&shared, &mut notices) => {}
        }
    }
}

/// Waits for a notice that may be about a job that is driven here.
async fn news(shared: &Shared, notices: &mut Receiver<Notice>) {
    loop {
        match notices.recv().await {
            Ok(Notice::Job(job)) if !shared.state().held.contains_key(&job) => {}
            Ok(_) | Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_domain::id::JobId;
    use uuid::Uuid;

    fn leases(outage: Duration) -> Leases {
        let shared = Shared {
            lease: Duration::from_secs(4),
            outage,
            state: Mutex::default(),
        };
        Leases {
            shared: Arc::new(shared),
            _closing: CancellationToken::new().drop_guard(),
        }
    }

    fn claim(job: u128, attempt: i32) -> Claim {
        Claim {
            job: JobId(Uuid::from_u128(job)),
            attempt,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_lease_stops_its_job_and_no_other() {
        let leases = leases(Duration::from_secs(60));
        let halts = [Arc::new(Halt::new()), Arc::new(Halt::new())];
        let now = Instant::now();
        let _first = leases.keep(claim(1, 1), now, &halts[0]);
        let _second = leases.keep(claim(2, 3), now, &halts[1]);
        let held = BTreeMap::from([(claim(2, 3).job, JobState::Running)]);
        leases.shared.told(now, &[claim(1, 1), claim(2, 3)], &held);
        assert_eq!(halts[0].cause(), Some(Cause::Lost));
        assert_eq!(halts[1].cause(), None);
        // What is said of an attempt before says nothing of this one.
        leases.shared.told(now, &[claim(2, 2)], &BTreeMap::new());
        assert_eq!(halts[1].cause(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_waited_out_and_nothing_is_sent_meanwhile() {
        let leases = leases(Duration::from_secs(60));
        let halt = Arc::new(Halt::new());
        let keeping = leases.keep(claim(1, 1), Instant::now(), &halt);
        let mut lease = keeping.lease();
        assert!(leases.take_overdue() && lease.is_held().await);
        tokio::time::advance(Duration::from_secs(50)).await;
        leases.shared.not_told();
        assert_eq!(halt.cause(), None, "the outage is not over its bound");
        assert!(!leases.take_overdue());
        let waiting = tokio::spawn(async move { lease.is_held().await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "the lease may be another's");
        let now = Instant::now();
        let held = BTreeMap::from([(claim(1, 1).job, JobState::Running)]);
        leases.shared.told(now, &[claim(1, 1)], &held);
        assert!(waiting.await.unwrap());
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(leases.take_overdue());
        tokio::time::advance(Duration::from_secs(55)).await;
        leases.shared.not_told();
        assert_eq!(halt.cause(), Some(Cause::LetGo));
        assert!(!keeping.lease().is_held().await);
    }
}
