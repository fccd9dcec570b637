//! Jobs that are paused: their states, their clock, and what was in flight.

use crate::{Store, claimant};
use chrono::{DateTime, TimeDelta, Utc};
use frugal_domain::id::JobId;
use frugal_domain::state::{JobState, StopReason};
use frugal_store::queue::{self, Claim};
use frugal_store::steering::{self, Steered};
use frugal_store::{Error, PgConnection, events, jobs, leases, requests};

async fn job(connection: &mut PgConnection, id: JobId) -> jobs::Job {
    jobs::find(connection, id).await.unwrap().unwrap()
}

async fn names(connection: &mut PgConnection, id: JobId) -> Vec<&'static str> {
    let events = events::after(connection, id, 0, 100).await.unwrap();
    events.iter().map(|event| event.body.name()).collect()
}

/// A moment so many seconds after one long past.
fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

async fn claim_at(connection: &mut PgConnection, seconds: i64) -> Claim {
    let claimed = queue::claim(connection, &claimant(60), at(seconds)).await;
    claimed.unwrap().unwrap().claim
}

#[tokio::test]
async fn the_clock_stands_still_from_the_request_to_pause_to_the_one_to_resume() {
    let store = Store::new().await;
    let id = store.create_job().await;
    let mut held = store.pool.acquire().await.unwrap();
    let connection = &mut *held;
    let used = |job: &jobs::Job, seconds| job.time_used(at(seconds)).as_secs();

    // A pause before the first start is none of its time.
    assert_eq!(
        steering::pause(connection, id, at(0)).await.unwrap(),
        Steered::Accepted
    );
    assert_eq!(job(connection, id).await.state, JobState::Paused);
    assert_eq!(store.claim(60).await, None, "nobody takes a paused job");
    steering::resume(connection, id, at(50)).await.unwrap();
    let claim = claim_at(connection, 100).await;
    assert_eq!(used(&job(connection, id).await, 110), 10);

    // Asked for at 120 and done at 125; asked again in between.
    for seconds in [120, 123] {
        steering::pause(connection, id, at(seconds)).await.unwrap();
    }
    let pausing = job(connection, id).await;
    assert_eq!(
        (pausing.state, used(&pausing, 124)),
        (JobState::Pausing, 20)
    );
    let state = steering::set_aside(connection, claim, at(125))
        .await
        .unwrap();
    assert_eq!(state, JobState::Paused);
    assert_eq!(used(&job(connection, id).await, 10_000), 20);
    let beat = leases::extend_one(connection, claim, 60).await;
    assert!(matches!(beat, Err(Error::LeaseLost)), "its lease is let go");
    for seconds in [220, 221] {
        steering::resume(connection, id, at(seconds)).await.unwrap();
    }
    let resumed = job(connection, id).await;
    assert_eq!((resumed.state, used(&resumed, 230)), (JobState::Queued, 30));
    let expected = [
        "job.queued",
        "job.paused",
        "job.resumed",
        "job.running",
        "job.pausing",
        "job.paused",
        "job.resumed",
    ];
    assert_eq!(names(connection, id).await, expected);
    drop(held);
    store.end().await;
}

#[tokio::test]
async fn what_is_in_flight_when_a_job_is_set_aside_counts_as_lost() {
    let store = Store::new().await;
    let id = store.create_job().await;
    let claim = store.claim(60).await.unwrap();
    let request = store.begin_trial(claim).await;
    let mut held = store.pool.acquire().await.unwrap();
    let connection = &mut *held;
    steering::pause(connection, id, Utc::now()).await.unwrap();
    steering::set_aside(connection, claim, Utc::now())
        .await
        .unwrap();
    let paused = job(connection, id).await;
    assert_eq!(
        requests::lost(connection, id).await.unwrap(),
        request.worst_case
    );
    assert_eq!(
        paused
            .spend
            .values()
            .copied()
            .sum::<frugal_domain::money::Spend>(),
        request.worst_case
    );
    assert_eq!(paused.progress.requests, 1);
    drop(held);
    store.end().await;
}

#[tokio::test]
async fn a_pause_that_is_taken_back_before_the_worker_has_stopped_changes_nothing_for_it() {
    let store = Store::new().await;
    let id = store.create_job().await;
    let claim = store.claim(60).await.unwrap();
    let mut held = store.pool.acquire().await.unwrap();
    let connection = &mut *held;
    steering::pause(connection, id, Utc::now()).await.unwrap();
    steering::resume(connection, id, Utc::now()).await.unwrap();
    let state = steering::set_aside(connection, claim, Utc::now())
        .await
        .unwrap();
    assert_eq!(state, JobState::Running);
    assert_eq!(
        leases::extend_one(connection, claim, 60).await.unwrap(),
        JobState::Running
    );
    drop(held);
    store.end().await;
}

#[tokio::test]
async fn a_job_that_ends_is_neither_paused_nor_resumed() {
    let store = Store::new().await;
    let id = store.create_job().await;
    let claim = store.claim(60).await.unwrap();
    let mut held = store.pool.acquire().await.unwrap();
    let connection = &mut *held;
    jobs::cancel(connection, id, Utc::now()).await.unwrap();
    let refused = Steered::Refused(JobState::Cancelling);
    assert_eq!(
        steering::pause(connection, id, Utc::now()).await.unwrap(),
        refused
    );
    assert_eq!(
        steering::resume(connection, id, Utc::now()).await.unwrap(),
        refused
    );
    store
        .finish(claim, JobState::Succeeded, StopReason::TrialLimit)
        .await;
    let refused = Steered::Refused(JobState::Succeeded);
    assert_eq!(
        steering::pause(connection, id, Utc::now()).await.unwrap(),
        refused
    );
    let nobody = JobId(uuid::Uuid::now_v7());
    assert_eq!(
        steering::pause(connection, nobody, Utc::now())
            .await
            .unwrap(),
        Steered::NotFound
    );
    drop(held);
    store.end().await;
}
