//! Lists in pages.

use crate::{body, claim, job, start};
use frugal_tests::app::TestApp;
use serde_json::{Value, json};

async fn submit(app: &TestApp, name: &str) -> String {
    let mut job = job();
    job["name"] = json!(name);
    app.api.submit(&job).await
}

fn names(page: &Value) -> Vec<&str> {
    let rows = page["data"].as_array().unwrap();
    rows.iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn jobs_come_newest_first_and_once_each() {
    let app = start().await;
    for number in 0..7 {
        submit(&app, &number.to_string()).await;
    }
    let first = app.api.json("/jobs?limit=3").await;
    assert_eq!(names(&first), ["6", "5", "4"]);
    assert_eq!(first["has_more"], true);

    // One that comes in between is before all pages, and moves none of them.
    submit(&app, "new").await;
    let next = first["next"].as_str().unwrap();
    let second = app.api.json(&format!("/jobs?limit=3&cursor={next}")).await;
    assert_eq!(names(&second), ["3", "2", "1"]);
    let next = second["next"].as_str().unwrap();
    let third = app.api.json(&format!("/jobs?limit=3&cursor={next}")).await;
    assert_eq!(names(&third), ["0"]);
    assert_eq!(
        (&third["has_more"], &third["next"]),
        (&json!(false), &Value::Null)
    );

    // A last page that is full is known to be the last one.
    let all = app.api.json("/jobs?limit=8").await;
    assert_eq!(names(&all), ["new", "6", "5", "4", "3", "2", "1", "0"]);
    assert_eq!(all["has_more"], false);
    app.end().await;
}

#[tokio::test]
async fn without_a_limit_a_page_has_20_rows() {
    let app = start().await;
    for number in 0..21 {
        submit(&app, &number.to_string()).await;
    }
    let page = app.api.json("/jobs").await;
    assert_eq!(names(&page).len(), 20);
    assert_eq!(page["has_more"], true);
    app.end().await;
}

#[tokio::test]
async fn one_state_can_be_asked_for() {
    let app = start().await;
    for name in ["a", "b", "c"] {
        submit(&app, name).await;
    }
    claim(&app).await;
    assert_eq!(names(&app.api.json("/jobs?state=running").await), ["a"]);
    assert_eq!(names(&app.api.json("/jobs?state=failed").await), [""; 0]);
    let page = app.api.json("/jobs?state=queued&limit=1").await;
    assert_eq!(names(&page), ["c"]);
    let next = page["next"].as_str().unwrap();
    let page = app
        .api
        .json(&format!("/jobs?state=queued&limit=1&cursor={next}"))
        .await;
    assert_eq!(names(&page), ["b"]);
    assert_eq!(page["has_more"], false);
    app.end().await;
}

#[tokio::test]
async fn jobs_are_found_by_name_label_state_and_time() {
    let app = start().await;
    for (name, team, prio) in [
        ("Sums", "a", "x"),
        ("sums of SUMS", "a", "y"),
        ("100% more_", "b", "y"),
    ] {
        let mut job = job();
        job["name"] = json!(name);
        job["labels"] = json!({"team": team, "prio": prio});
        app.api.submit(&job).await;
    }
    claim(&app).await;
    let found = async |query: &str| {
        let page = app.api.json(&format!("/jobs?{query}")).await;
        names(&page)
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(found("name=sums").await, ["sums of SUMS", "Sums"]);
    assert_eq!(found("name=SUMS%20OF").await, ["sums of SUMS"]);
    // What stands for something in a pattern stands for itself.
    assert_eq!(found("name=0%25%20more_").await, ["100% more_"]);
    assert_eq!(found("name=%25s").await, [""; 0]);
    assert_eq!(found("label=team:a").await, ["sums of SUMS", "Sums"]);
    assert_eq!(found("label=team:a,prio:y").await, ["sums of SUMS"]);
    assert_eq!(found("label=team:c").await, [""; 0]);
    assert_eq!(found("state=running,failed").await, ["Sums"]);
    assert_eq!(
        found("state=running,queued&sort=created_at").await,
        ["Sums", "sums of SUMS", "100% more_"]
    );
    assert_eq!(found("created_from=2100-01-01T00:00:00Z").await, [""; 0]);
    assert_eq!(found("created_before=2100-01-01T00:00:00Z").await.len(), 3);

    let first = app.api.json("/jobs?sort=created_at&limit=2").await;
    let next = first["next"].as_str().unwrap();
    let second = app
        .api
        .json(&format!("/jobs?sort=created_at&limit=2&cursor={next}"))
        .await;
    assert_eq!(names(&second), ["100% more_"]);
    for query in [
        "state=idle",
        "label=team",
        "sort=name",
        "created_from=today",
        "state=running,",
    ] {
        let refused = body(app.api.get(&format!("/jobs?{query}")).await, 400).await;
        assert_eq!(refused["code"], "invalid_parameter", "{query}");
    }
    app.end().await;
}

#[tokio::test]
async fn a_cursor_that_is_none_is_refused() {
    let app = start().await;
    let problem = body(app.api.get("/jobs?cursor=42").await, 400).await;
    insta::assert_json_snapshot!("bad_cursor", problem);
    app.end().await;
}
