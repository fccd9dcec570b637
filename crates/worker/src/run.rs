//! The worker process: slots that claim jobs, one listener for all of them.

use crate::admission::Admission;
use crate::clock::{Clock, SystemClock};
use crate::drive;
use crate::options::Options;
use crate::sightings::Watch;
use crate::writes::Writes;
use chrono::Utc;
use frugal_store::listen::{Listener, Notice};
use frugal_store::queue::{self, Claimed};
use frugal_store::{PgPool, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

/// How long a slot waits before it looks for a job although no notification came.
const POLL: Duration = Duration::from_secs(2);
/// How long to wait before listening again after the database went away.
const RELISTEN: Duration = Duration::from_secs(1);

/// Claims and drives jobs until `shutdown`. Jobs under way are then given back, so that another
/// worker takes them at once.
pub async fn run(options: Options, shutdown: CancellationToken) {
    let (notices, _) = broadcast::channel(1024);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let admission = Admission::new(&options.pool, &options.catalog, &options.name, &clock);
    let admission = Arc::new(admission);
    let watch = Arc::new(Watch::new(&options.pool, &admission));
    let writes = Arc::new(Writes::new(&options.pool));
    // They outlive the slots, whose last requests count too.
    let closing = CancellationToken::new();
    let admitting = {
        let (admission, closing) = (Arc::clone(&admission), closing.clone());
        AbortOnDropHandle::new(tokio::spawn(async move { admission.run(&closing).await }))
    };
    let watching = {
        let (watch, closing) = (Arc::clone(&watch), closing.clone());
        AbortOnDropHandle::new(tokio::spawn(async move { watch.run(&closing).await }))
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(listen(
        options.pool.clone(),
        notices.clone(),
        shutdown.clone(),
    ));
    for slot in 0..options.slots {
        let name = format!("{}/{slot}", options.name);
        let options = Options {
            name,
            ..options.clone()
        };
        tasks.spawn(fill_slot(
            options,
            Arc::clone(&admission),
            Arc::clone(&watch),
            Arc::clone(&writes),
            notices.clone(),
            shutdown.clone(),
        ));
    }
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a worker slot broke down; its job's lease will run out");
        }
    }
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

async fn forward(pool: &PgPool, notices: &broadcast::Sender<Notice>) -> Result<()> {
    let mut listener = Listener::connect(pool, queue::CHANNEL).await?;
    // Whatever came before the listener was there may have been missed.
    let mut notice = Notice::Missed;
    loop {
        // Nobody listening is no error: every slot may be between two waits.
        let _ = notices.send(notice);
        notice = listener.next().await?;
    }
}

/// Claims a job, drives it to its end, and so on.
async fn fill_slot(
    options: Options,
    admission: Arc<Admission>,
    watch: Arc<Watch>,
    writes: Arc<Writes>,
    notices: broadcast::Sender<Notice>,
    shutdown: CancellationToken,
) {
    while !shutdown.is_cancelled() {
        // Listen first, look afterwards: a job queued between the two is not missed.
        let mut hints = notices.subscribe();
        match claim(&options).await {
            Ok(Some(claimed)) => {
                let claim = claimed.claim;
                let span = tracing::info_span!("job", id = %claim.job, attempt = claim.attempt);
                let hints = notices.subscribe();
                drive::drive(
                    &options, &admission, &watch, &writes, claimed, hints, &shutdown,
                )
                .instrument(span)
                .await;
            }
            Ok(None) => {
                let hint = tokio::time::timeout(POLL, hints.recv());
                let _ = shutdown.run_until_cancelled(hint).await;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot look for jobs; trying again");
                shutdown.run_until_cancelled(tokio::time::sleep(POLL)).await;
            }
        }
    }
}

async fn claim(options: &Options) -> Result<Option<Claimed>> {
    let mut transaction = options.pool.begin().await?;
    let claimed = queue::claim(
        &mut transaction,
        &options.name,
        options.lease_seconds,
        Utc::now(),
    )
    .await?;
    transaction.commit().await?;
    Ok(claimed)
}
