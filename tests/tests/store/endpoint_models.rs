//! What processes saw of models adds up, whoever tells first.

use crate::Store;
use chrono::{DateTime, TimeDelta, Utc};
use frugal_domain::abilities::Abilities;
use frugal_domain::histogram::{Buckets, TOKEN_BOUNDS};
use frugal_domain::waits::{WaitCause, Waited, Waits};
use frugal_store::endpoint_models::{self, EndpointModel, Sightings};
use std::collections::BTreeSet;

async fn add(store: &Store, seen: &[Sightings], now: DateTime<Utc>) {
    let mut connection = store.pool.acquire().await.unwrap();
    endpoint_models::add(&mut connection, seen, now)
        .await
        .unwrap();
}

async fn load(store: &Store, now: DateTime<Utc>) -> Vec<EndpointModel> {
    let mut connection = store.pool.acquire().await.unwrap();
    endpoint_models::load(&mut connection, now).await.unwrap()
}

fn seen(model: &str) -> Sightings {
    Sightings {
        endpoint: "local".to_owned(),
        model: model.to_owned(),
        ..Sightings::default()
    }
}

fn takes(max_n: Option<u32>, omit: &[&str]) -> Option<Abilities> {
    let omit = omit.iter().map(|name| (*name).to_owned());
    Some(Abilities {
        max_n,
        omit: omit.collect(),
        ..Abilities::default()
    })
}

#[tokio::test]
async fn counts_add_up_and_the_latest_word_stands() {
    let store = Store::new().await;
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let later = now + TimeDelta::seconds(10);
    let newer = Sightings {
        last_success_at: Some(later),
        last_failure_at: Some(later),
        last_failure: Some("no capacity\0".to_owned()),
        answered: 3,
        failed: 1,
        usage_estimated: 2,
        latency_ms_total: 300,
        last_latency_ms: Some(90),
        ..seen("m")
    };
    let older = Sightings {
        last_failure_at: Some(now),
        last_failure: Some("older".to_owned()),
        answered: 1,
        refused: 4,
        latency_ms_total: 100,
        ..seen("m")
    };
    add(&store, std::slice::from_ref(&newer), later).await;
    add(&store, &[seen("b"), older], later).await;
    let found = load(&store, later).await;
    let names: Vec<_> = found.iter().map(|it| it.seen.model.as_str()).collect();
    assert_eq!(names, ["b", "m"]);
    let expected = Sightings {
        answered: 4,
        refused: 4,
        latency_ms_total: 400,
        last_failure: Some("no capacity\u{FFFD}".to_owned()),
        ..newer
    };
    assert_eq!(found[1].seen, expected);
    assert_eq!(found[1].abilities_found_at, None);

    // From many at once, in whatever order each names the models, none is lost.
    let one = |model: &str| Sightings {
        answered: 1,
        ..seen(model)
    };
    let both = [[one("b"), one("m")], [one("m"), one("b")]];
    futures::future::join_all((0..20).map(|turn| add(&store, &both[turn % 2], later))).await;
    let counts = load(&store, later).await;
    let counts: Vec<_> = counts.iter().map(|it| it.seen.answered).collect();
    assert_eq!(counts, [20, 24]);
    store.end().await;
}

#[tokio::test]
async fn what_requests_used_and_waited_for_adds_up() {
    let store = Store::new().await;
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let buckets = |values: &[u64]| {
        let mut buckets = Buckets::default();
        for value in values {
            buckets.record(&TOKEN_BOUNDS, *value);
        }
        buckets
    };
    let waited = |waits, waited_ms| Waited { waits, waited_ms };
    let first = Sightings {
        answered: 2,
        latency_ms_total: 90_000,
        latency_buckets: buckets(&[1, u64::MAX]),
        input_tokens: 30,
        input_token_buckets: buckets(&[10, 20]),
        output_tokens: 5,
        output_token_buckets: buckets(&[2, 3]),
        cached_input_tokens: 8,
        reasoning_output_tokens: 4,
        spend_pico_usd: 7_000,
        uncertain_spend_pico_usd: 1_000,
        waits: Waits::from([
            (WaitCause::Pace, waited(1, 500)),
            (WaitCause::Outage, waited(2, 60_000)),
        ]),
        ..seen("m")
    };
    let second = Sightings {
        answered: 1,
        latency_buckets: buckets(&[1]),
        waits: Waits::from([
            (WaitCause::Outage, waited(1, 1_000)),
            (WaitCause::RetryAfter, waited(3, 3)),
        ]),
        ..first.clone()
    };
    add(&store, std::slice::from_ref(&first), now).await;
    let found = load(&store, now).await;
    assert_eq!(found[0].seen, first);
    add(&store, std::slice::from_ref(&second), now).await;
    add(&store, &[seen("silent")], now).await;
    let found = load(&store, now).await;
    // As a process adds up what it could not tell.
    let mut both = second;
    both.add(first);
    assert_eq!(both.latency_buckets, buckets(&[1, 1, u64::MAX]));
    assert_eq!(both.waits[&WaitCause::Outage], waited(3, 61_000));
    assert_eq!(found[0].seen, both);
    assert_eq!(found[1].seen, seen("silent"));

    // A cause of a later version is left aside, and the others are read.
    sqlx::query("UPDATE endpoint_waits SET cause = 'weather' WHERE cause = 'pace'")
        .execute(&store.pool)
        .await
        .unwrap();
    let found = load(&store, now).await;
    both.waits.remove(&WaitCause::Pace);
    assert_eq!(found[0].seen, both);
    store.end().await;
}

#[tokio::test]
async fn what_was_found_adds_up_and_holds_for_a_week() {
    let store = Store::new().await;
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let found = |max_n, omit: &[&str]| {
        [Sightings {
            abilities: takes(max_n, omit),
            ..seen("m")
        }]
    };
    add(&store, &found(Some(4), &[]), now).await;
    add(&store, &[seen("m")], now + TimeDelta::days(1)).await;
    let one = load(&store, now + TimeDelta::days(1)).await;
    assert_eq!(one[0].seen.abilities, takes(Some(4), &[]));
    assert_eq!(one[0].abilities_found_at, Some(now));

    let second = now + TimeDelta::days(2);
    add(&store, &found(None, &["seed"]), second).await;
    let both = load(&store, second).await;
    assert_eq!(both[0].seen.abilities, takes(Some(4), &["seed"]));
    assert_eq!(both[0].abilities_found_at, Some(second));

    // What is older is found out anew, and nothing of it comes back.
    let over = second + TimeDelta::days(8);
    assert_eq!(load(&store, over).await[0].seen.abilities, None);
    add(&store, &found(None, &["n"]), over).await;
    let anew = load(&store, over).await;
    let omit = anew[0].seen.abilities.as_ref().map(|it| it.omit.clone());
    assert_eq!(omit, Some(BTreeSet::from(["n".to_owned()])));
    assert_eq!(anew[0].seen.abilities, takes(None, &["n"]));
    store.end().await;
}

#[tokio::test]
async fn what_a_job_is_begun_with_stands() {
    let store = Store::new().await;
    let id = store.create_job().await;
    let first = store.claim(30).await.unwrap();
    let mut connection = store.pool.acquire().await.unwrap();
    let kept = frugal_store::jobs::most_per_request(&mut connection, id).await;
    assert_eq!(kept.unwrap(), None);
    for most in [vec![None, Some(4)], vec![Some(1), Some(1)]] {
        frugal_store::jobs::keep_most_per_request(&mut connection, first, &most)
            .await
            .unwrap();
        let kept = frugal_store::jobs::most_per_request(&mut connection, id).await;
        assert_eq!(kept.unwrap(), Some(vec![None, Some(4)]));
    }
    let overtaken = frugal_store::queue::Claim {
        attempt: first.attempt + 1,
        ..first
    };
    let kept = frugal_store::jobs::keep_most_per_request(&mut connection, overtaken, &[]).await;
    assert!(matches!(kept, Err(frugal_store::Error::LeaseLost)));
    drop(connection);
    store.end().await;
}
