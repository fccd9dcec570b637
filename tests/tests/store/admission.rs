//! The states that workers share: one holds them at a time, and sees what the last one left.

use crate::Store;
use frugal_store::admission;
use serde_json::json;
use std::collections::BTreeMap;

#[tokio::test]
async fn exchanges_come_one_after_the_other_and_none_is_lost() {
    let store = Store::new().await;
    let models = ["".to_owned(), "m".to_owned()];
    let exchange = async || {
        let mut transaction = store.pool.begin().await.unwrap();
        let states = admission::lock(&mut transaction, "local", &models)
            .await
            .unwrap();
        let now = admission::clock(&mut transaction).await.unwrap();
        let mut counted = BTreeMap::new();
        for (model, state) in states {
            let count = state["count"].as_i64().unwrap_or(0) + 1;
            let last = state["last"].as_i64().unwrap_or(i64::MIN);
            let moment = now.timestamp_micros();
            assert!(last <= moment, "moments are in the order of the exchanges");
            counted.insert(model, json!({"count": count, "last": moment}));
        }
        admission::save(&mut transaction, "local", counted)
            .await
            .unwrap();
        transaction.commit().await.unwrap();
    };
    futures::future::join_all((0..30).map(|_| exchange())).await;
    let mut connection = store.pool.acquire().await.unwrap();
    let states = admission::lock(&mut connection, "local", &models)
        .await
        .unwrap();
    assert_eq!(states.len(), 2);
    assert!(states.values().all(|state| state["count"] == 30));
    let elsewhere = admission::lock(&mut connection, "other", &models).await;
    assert_eq!(elsewhere.unwrap()["m"], json!({}));
    drop(connection);
    store.end().await;
}
