//! Scores: stored once, under what names a response, its cap and its row.

use crate::Store;
use chrono::Utc;
use frugal_domain::id::{JobId, TrialNumber};
use frugal_domain::request::{Purpose, RequestKey, ResponseId};
use frugal_domain::scoring::{AnswerKey, CorpusCounts, Observation};
use frugal_store::Error;
use frugal_store::scores::{self, NewScore, Score, ScoreKey};
use std::collections::BTreeMap;
use uuid::Uuid;

fn key(ordinal: u32, job: Option<JobId>, max_tokens: Option<u32>, instance: u32) -> ScoreKey {
    ScoreKey {
        response: ResponseId {
            job,
            request: RequestKey {
                purpose: Purpose::Search,
                trial: TrialNumber(3),
                ordinal,
            },
            position: 1,
        },
        max_tokens,
        instance,
    }
}

fn new(scores: &[(ScoreKey, Score)]) -> Vec<NewScore> {
    scores
        .iter()
        .map(|(key, score)| NewScore {
            key: *key,
            part: None,
            score: score.clone(),
        })
        .collect()
}

#[tokio::test]
async fn a_score_is_what_was_said_first_of_a_response_a_cap_and_a_row() {
    let store = Store::new().await;
    let job = store.create_job().await;
    let first = store.claim(0).await.unwrap();
    let other = JobId(Uuid::now_v7());
    // They differ in one thing each.
    let said = [
        (key(0, None, None, 0), Ok(1.0.into())),
        (key(1, None, None, 0), Ok((0.1 + 0.2).into())),
        (key(0, Some(other), None, 0), Ok(0.25.into())),
        (key(0, Some(other), None, 1), Ok(0.75.into())),
        (key(0, None, Some(8), 0), Ok(0.0.into())),
        (key(0, None, Some(9), 0), Err("no\0number".to_owned())),
        (
            key(2, None, None, 0),
            Ok(Observation {
                score: 1.0,
                answer: Some(AnswerKey(u64::MAX - 7)),
                preference: Some(0.1 + 0.2),
                counts: Some(CorpusCounts::Overlap {
                    common: 0,
                    response: 4_000,
                    reference: 3,
                }),
            }),
        ),
        (
            key(3, None, None, 0),
            Ok(Observation {
                counts: Some(CorpusCounts::Bleu {
                    common: [4, 3, 2, 1],
                    all: [9, 8, 7, 6],
                    length: 9,
                    reference: 11,
                }),
                ..0.25.into()
            }),
        ),
    ];
    let mut stored: BTreeMap<_, _> = said.iter().cloned().collect();
    stored.insert(said[5].0, Err("no\u{FFFD}number".to_owned()));
    let now = Utc::now();
    let mut connection = store.pool.acquire().await.unwrap();
    scores::insert(&mut connection, first, 1, &new(&said), now)
        .await
        .unwrap();
    let found = scores::load(&mut connection, job).await.unwrap();
    assert_eq!(found, stored);

    // Said again, and twice at once: what was said first stays.
    let later = (key(7, None, None, 0), Ok(0.5.into()));
    let again: Vec<_> = said
        .iter()
        .map(|(key, _)| (*key, Ok(0.9.into())))
        .chain([later.clone(), (later.0, Ok(0.6.into()))])
        .collect();
    for _ in 0..2 {
        scores::insert(&mut connection, first, 1, &new(&again), now)
            .await
            .unwrap();
    }
    stored.insert(later.0, later.1);
    let found = scores::load(&mut connection, job).await.unwrap();
    assert_eq!(found, stored);

    // Another worker has taken over.
    let second = store.claim(60).await.unwrap();
    let late = new(&[(key(8, None, None, 0), Ok(1.0.into()))]);
    let refused = scores::insert(&mut connection, first, 1, &late, now).await;
    assert!(matches!(refused, Err(Error::LeaseLost)));
    let refused = scores::insert(&mut connection, first, 1, &[], now).await;
    assert!(matches!(refused, Err(Error::LeaseLost)));
    assert_eq!(scores::load(&mut connection, job).await.unwrap(), stored);
    scores::insert(&mut connection, second, 1, &late, now)
        .await
        .unwrap();
    let found = scores::load(&mut connection, job).await.unwrap();
    assert_eq!(found.len(), stored.len() + 1);
    assert_eq!(
        scores::load(&mut connection, other).await.unwrap(),
        BTreeMap::new()
    );
    drop(connection);
    store.end().await;
}

#[tokio::test]
async fn what_parts_say_is_kept_apart_from_the_whole() {
    let store = Store::new().await;
    let job = store.create_job().await;
    let claim = store.claim(0).await.unwrap();
    let place = key(0, None, None, 0);
    let said = [
        (None, Ok(0.5.into())),
        (Some(0), Ok(1.0.into())),
        (Some(2), Err("it broke down".to_owned())),
    ];
    let stored = said.clone().map(|(part, score)| NewScore {
        key: place,
        part,
        score,
    });
    let mut connection = store.pool.acquire().await.unwrap();
    for _ in 0..2 {
        scores::insert(&mut connection, claim, 1, &stored, Utc::now())
            .await
            .unwrap();
    }
    let whole = scores::load(&mut connection, job).await.unwrap();
    assert_eq!(whole, BTreeMap::from([(place, Ok(0.5.into()))]));
    let parts = scores::load_parts(&mut connection, job).await.unwrap();
    let said = said.into_iter();
    let said = said.filter_map(|(part, score)| Some(((place, part?), score)));
    assert_eq!(parts, said.collect());
    drop(connection);
    store.end().await;
}

#[tokio::test]
async fn loading_a_jobs_scores_reads_no_others() {
    let store = Store::new().await;
    let mut jobs = Vec::new();
    for _ in 0..20 {
        store.create_job().await;
        jobs.push(store.claim(60).await.unwrap());
    }
    let mut connection = store.pool.acquire().await.unwrap();
    let count = 500;
    for claim in &jobs {
        let all: Vec<_> = (0..count)
            .map(|ordinal| (key(ordinal, None, None, 0), Ok(0.5.into())))
            .collect();
        scores::insert(&mut connection, *claim, 1, &new(&all), Utc::now())
            .await
            .unwrap();
    }
    let analyze = sqlx::query("ANALYZE scores");
    analyze.execute(&mut *connection).await.unwrap();
    drop(connection);
    let mut transaction = store.pool.begin().await.unwrap();
    let found = scores::load(&mut transaction, jobs[0].job).await.unwrap();
    let read: i64 = sqlx::query_scalar(
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables
         WHERE relname = 'scores'",
    )
    .fetch_one(&mut *transaction)
    .await
    .unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!((found.len(), read), (count as usize, i64::from(count)));
    store.end().await;
}
