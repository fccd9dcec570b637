//! Configurations that owners put into jobs: their numbers and their places.

use crate::{Store, release};
use chrono::Utc;
use frugal_domain::id::JobId;
use frugal_domain::job::JobSpec;
use frugal_store::changes::{self, OwnerChange};
use frugal_store::{Error, PgConnection, enqueued, events, jobs, terms};

async fn put(connection: &mut PgConnection, id: JobId) -> u32 {
    let spec = jobs::find(connection, id).await.unwrap().unwrap().spec;
    let configuration = spec.default_configuration();
    let settings = spec.settings(&configuration).unwrap();
    let stored = enqueued::insert(connection, id, &configuration, &settings, Utc::now())
        .await
        .unwrap();
    assert_eq!(
        changes::enqueued(connection, id).await.unwrap().last(),
        Some(&stored)
    );
    stored.number
}

async fn change(connection: &mut PgConnection, id: JobId, change: impl FnOnce(&mut JobSpec)) {
    let job = jobs::find(connection, id).await.unwrap().unwrap();
    let mut spec = job.spec.clone();
    change(&mut spec);
    terms::change(connection, &job, &spec, Utc::now())
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_put_in_gets_one_place_from_whoever_holds_the_job() {
    let store = Store::new().await;
    let id = store.create_job().await;
    let mut held = store.pool.acquire().await.unwrap();
    let connection = &mut *held;
    assert_eq!(put(connection, id).await, 1);
    change(connection, id, |spec| spec.limits.trials = 3).await;
    // What is no decision's concern takes a number too.
    change(connection, id, |spec| spec.name = Some("other".to_owned())).await;
    let claim = store.claim(60).await.unwrap();
    assert_eq!(put(connection, id).await, 4);
    let heard = changes::after(connection, id, 0).await.unwrap();
    let numbers: Vec<_> = heard.iter().map(OwnerChange::number).collect();
    assert_eq!(numbers, [1, 2, 4]);

    enqueued::place(connection, claim, 1, 7).await.unwrap();
    let again = enqueued::place(connection, claim, 1, 8).await;
    assert!(matches!(again, Err(Error::LeaseLost)));
    release(connection, claim).await;
    let late = enqueued::place(connection, claim, 4, 9).await;
    assert!(matches!(late, Err(Error::LeaseLost)));
    let second = store.claim(60).await.unwrap();
    enqueued::place(connection, second, 4, 9).await.unwrap();
    let stored = changes::enqueued(connection, id).await.unwrap();
    let places: Vec<_> = stored.iter().map(|one| (one.number, one.place)).collect();
    assert_eq!(places, [(1, Some(7)), (4, Some(9))]);
    // Each was told of when it was put in.
    let told = events::after(connection, id, 0, 100).await.unwrap();
    let told = told
        .iter()
        .filter(|event| event.body.name() == "trial.enqueued");
    assert_eq!(told.count(), 2);
    drop(held);
    store.end().await;
}

#[tokio::test]
async fn what_is_put_in_is_no_progress_of_a_worker_that_is_lost() {
    let store = Store::new().await;
    let id = store.create_job().await;
    assert_eq!(store.claimed(0).await.unwrap().lost_attempts, 0);
    let mut held = store.pool.acquire().await.unwrap();
    put(&mut held, id).await;
    assert_eq!(store.claimed(0).await.unwrap().lost_attempts, 1);
    drop(held);
    store.end().await;
}
