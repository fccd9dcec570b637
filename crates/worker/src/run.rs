//! The worker process: slots for jobs, one look-out for all of them, one listener.

use crate::admission::Admission;
use crate::clock::{Clock, SystemClock};
use crate::drive;
use crate::heartbeat::Leases;
use crate::options::Options;
use crate::shared::Shared;
use crate::sightings::Watch;
use crate::writes::Writes;
use chrono::Utc;
use frugal_domain::id::JobId;
use frugal_store::listen::{Listener, Notice};
use frugal_store::queue::{self, Claimant, Claimed};
use frugal_store::{Error, PgPool, events};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, broadcast};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

/// How long to wait at most before the next look for jobs although no notification came.
const POLL: Duration = Duration::from_secs(2);
/// How long to wait at least: what is due may be held by another claim that is under way.
const SHORTEST_POLL: Duration = Duration::from_millis(20);
/// How often jobs are woken whose moment has come while there are others to take.
const WAKE: Duration = Duration::from_secs(1);
/// How often to look for jobs of other versions at least.
const LOOK_FOR_OTHERS: Duration = Duration::from_secs(60);
/// How long to wait before listening again after the database went away.
const RELISTEN: Duration = Duration::from_secs(1);

/// Claims and drives jobs until `shutdown`. Jobs under way are then given back, so that another
/// worker takes them at once.
pub async fn run(options: Options, shutdown: CancellationToken) {
    let (notices, _) = broadcast::channel(1024);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let leases = match Leases::start(&options.pool, &options.terms, notices.subscribe()) {
        Ok(leases) => leases,
        Err(error) => {
            tracing::error!(%error, "leases cannot be kept; no job is driven");
            return;
        }
    };
    let admission = Admission::new(&options.pool, &options.catalog, &options.name, &clock);
    let admission = Arc::new(admission);
    let watch = Arc::new(Watch::new(&options.pool, &admission));
    let shared = Shared {
        admission: Arc::clone(&admission),
        watch: Arc::clone(&watch),
        writes: Arc::new(Writes::new(&options.pool)),
        leases,
        notices: notices.clone(),
    };
    // They outlive the jobs, whose last requests count too.
    let closing = CancellationToken::new();
    let admitting = {
        let closing = closing.clone();
        AbortOnDropHandle::new(tokio::spawn(async move { admission.run(&closing).await }))
    };
    let watching = {
        let closing = closing.clone();
        AbortOnDropHandle::new(tokio::spawn(async move { watch.run(&closing).await }))
    };
    let listening = listen(options.pool.clone(), notices.clone(), shutdown.clone());
    let listening = AbortOnDropHandle::new(tokio::spawn(listening));
    fill_slots(options, shared, &notices, &shutdown).await;
    drop(listening);
    closing.cancel();
    if let Err(error) = admitting.await {
        tracing::error!(%error, "admission broke down; what it holds will run out");
    }
    if let Err(error) = watching.await {
        tracing::error!(%error, "what was seen of endpoints last is not told");
    }
}

/// Passes notifications on. They are hints: when the listener is away, slots go on polling.
async fn listen(pool: PgPool, notices: broadcast::Sender<Notice>, shutdown: CancellationToken) {
    let forward = async {
        loop {
            if let Err(error) = forward(&pool, &notices).await {
                tracing::debug!(%error, "not listening");
            }
            tokio::time::sleep(RELISTEN).await;
        }
    };
    shutdown.run_until_cancelled(forward).await;
}

async fn forward(pool: &PgPool, notices: &broadcast::Sender<Notice>) -> Result<(), Error> {
    let mut listener = Listener::connect(pool, queue::CHANNEL).await?;
    // Whatever came before the listener was there may have been missed.
    let mut notice = Notice::Missed;
    loop {
        // Nobody listening is no error: every slot may be between two waits.
        let _ = notices.send(notice);
        notice = listener.next().await?;
    }
}

/// What a look for jobs found.
enum Found {
    Job(Claimed),
    /// Nothing; with the time after which a job may be there without a notification.
    Nothing(Option<Duration>),
}

/// Claims a job whenever a slot is free, until `shutdown`, and waits for all of them in the end.
async fn fill_slots(
    options: Options,
    shared: Shared,
    notices: &broadcast::Sender<Notice>,
    shutdown: &CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(options.slots as usize));
    let (options, shared) = (Arc::new(options), Arc::new(shared));
    let mut jobs = JoinSet::new();
    let mut look_out = LookOut {
        woke: None,
        looked_for_others: None,
    };
    loop {
        let free = Arc::clone(&slots).acquire_owned();
        let Some(Ok(slot)) = shutdown.run_until_cancelled(free).await else {
            break;
        };
        while let Some(ended) = jobs.try_join_next() {
            log_breakdown(ended);
        }
        // Listen first, look afterwards: a job queued between the two is not missed.
        let mut hints = notices.subscribe();
        let begun = Instant::now();
        // Not broken off: a job that is claimed and not driven would wait for its lease to run out.
        match look_out.look(&options, &shared.leases).await {
            Ok(Found::Job(claimed)) => {
                let claim = claimed.claim;
                let span = tracing::info_span!(
                    "job",
                    id = %claim.job,
                    attempt = claim.attempt,
                    state = tracing::field::Empty
                );
                let (options, shared) = (Arc::clone(&options), Arc::clone(&shared));
                let shutdown = shutdown.clone();
                let driving = async move {
                    drive::drive(&options, &shared, claimed, begun, &shutdown).await;
                    drop(slot);
                };
                jobs.spawn(driving.instrument(span));
            }
            Ok(Found::Nothing(due)) => {
                let pause = due.unwrap_or(POLL).clamp(SHORTEST_POLL, POLL);
                let hint = tokio::time::timeout(pause, hints.recv());
                let _ = shutdown.run_until_cancelled(hint).await;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot look for jobs; trying again");
                shared.leases.cut_off();
                let pause = tokio::time::sleep(RELISTEN);
                shutdown.run_until_cancelled(pause).await;
            }
        }
    }
    while let Some(ended) = jobs.join_next().await {
        log_breakdown(ended);
    }
}

fn log_breakdown(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a worker slot broke down; its job's lease will run out");
    }
}

/// Looks for jobs, and now and then for those that nobody else sees to.
struct LookOut {
    /// When jobs were woken last whose moment has come.
    woke: Option<Instant>,
    /// When it was looked for jobs of other versions last.
    looked_for_others: Option<Instant>,
}

impl LookOut {
    async fn look(&mut self, options: &Options, leases: &Leases) -> Result<Found, Error> {
        let terms = &options.terms;
        let claimant = Claimant {
            takes_overdue: leases.take_overdue(),
            most_running_per_owner: terms.most_running_per_owner,
            decisions: frugal_tuning::DECISIONS,
            only: options.only,
            ..Claimant::new(&options.name, terms.lease_seconds)
        };
        let mut transaction = options.pool.begin().await?;
        let is_due = |last: Option<Instant>, pause| last.is_none_or(|last| last.elapsed() >= pause);
        if is_due(self.woke, WAKE) {
            queue::wake(&mut transaction).await?;
            self.woke = Some(Instant::now());
        }
        let mut claimed = None;
        let pause = (terms.other_version / 4).clamp(WAKE, LOOK_FOR_OTHERS);
        if is_due(self.looked_for_others, pause) {
            let waited = terms.other_version;
            claimed =
                queue::claim_of_others(&mut transaction, &claimant, waited, Utc::now()).await?;
            self.looked_for_others = Some(Instant::now());
        }
        if claimed.is_none() {
            claimed = queue::claim(&mut transaction, &claimant, Utc::now()).await?;
        }
        let found = match claimed {
            Some(claimed) => Found::Job(claimed),
            None => {
                // What is due by then is to be woken first.
                self.woke = None;
                Found::Nothing(queue::next_due(&mut transaction, &claimant).await?)
            }
        };
        transaction.commit().await?;
        if let Found::Job(claimed) = &found {
            tell(&options.pool, claimed.claim.job).await;
        }
        Ok(found)
    }
}

/// Tells those who follow a job that it is driven. Where that fails they see it by themselves, a little later.
async fn tell(pool: &PgPool, job: JobId) {
    let told = async { events::tell(&mut *pool.acquire().await?, job).await };
    if let Err(error) = told.await {
        tracing::debug!(%job, %error, "nobody is told that the job runs");
    }
}
