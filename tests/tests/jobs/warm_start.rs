//! Jobs that begin with what an earlier one knows.

use crate::{World, job};
use frugal_tests::client::ApiClient;
use serde_json::{Value, json};

fn warm(mut body: Value, path: &str) -> Value {
    body["warm_start"] = json!({"job": path.trim_start_matches("/jobs/")});
    body
}

/// How much of the earlier job the answer says is not taken over.
fn told(posted: &Value) -> usize {
    let warnings = posted["warnings"].as_array().into_iter().flatten();
    let of_it = warnings.filter(|warning| warning["pointer"] == "/warm_start/job");
    of_it.count()
}

#[tokio::test]
async fn a_job_takes_over_what_an_earlier_one_knows_and_says_so() {
    for extent in ["profiled", "searched"] {
        let world = World::new().await;
        let (server, url) = world.setting.serve(1).await;
        let api = ApiClient::new(&url);
        let mut body = job(10, 6);
        body["search"]["extent"] = json!(extent);
        let cold = api.submit(&body).await;
        api.follow(&cold, None).await;
        let asked = world.simulator.gate().progress().arrived;

        let posted = api.post("/jobs", &warm(body.clone(), &cold)).await;
        assert_eq!(posted.status(), 201);
        let path = posted.headers()["location"].to_str().unwrap().to_owned();
        let posted: Value = posted.json().await.unwrap();
        let taken = &posted["warm_start"];
        assert_eq!(taken["job"], api.json(&cold).await["id"]);
        assert_eq!(
            (&taken["rows"], &taken["scores"]),
            (&json!(10), &json!(true))
        );
        let trials = api.all(&format!("{cold}/trials")).await.len() as u64;
        let configurations = taken["configurations"].as_u64().unwrap();
        assert!((1..=trials).contains(&configurations), "{taken}");
        assert_eq!(told(&posted), 0, "both agree in all");

        let events = api.follow(&path, None).await;
        assert_eq!(events[1].name, "job.warm_started");
        let (first, second) = (api.json(&cold).await, api.json(&path).await);
        assert_eq!(second["warm_start"], *taken);
        let report = api.json(&format!("{path}/report")).await;
        assert_eq!(report["warm_start"]["job"], taken["job"]);
        let responses = report["warm_start"]["responses"].as_u64().unwrap();
        assert!(responses > 0, "{report}");
        // The baseline is known in full, and the winner is no worse for it.
        let baseline = api.json(&format!("{path}/trials/0")).await;
        assert_eq!(baseline["requests"], 0, "{extent}");
        let spent = |job: &Value| job["spend"]["tokens"].as_u64().unwrap();
        assert!(spent(&second) < spent(&first), "{extent}");
        let again = world.simulator.gate().progress().arrived - asked;
        assert!(again < asked, "{again} of {asked}");
        assert!(server.stop().await);
        world.end().await;
    }
}

#[tokio::test]
async fn what_does_not_agree_is_refused_or_told() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let cold = api.submit(&job(10, 2)).await;
    api.follow(&cold, None).await;

    // A part of it agrees: what does not is told, and the rest is taken.
    let mut body = job(12, 2);
    body["prompts"][0]["text"] = json!("{{ question }} The answer is");
    body["scoring"]["scorer"]["extract"] = json!("last_number");
    let posted: Value = api
        .post("/jobs", &warm(body, &cold))
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(posted["warm_start"]["rows"], 10, "{posted}");
    assert_eq!(posted["warm_start"]["scores"], false);
    assert_eq!(told(&posted), 3, "{posted}");

    let nobody = "/jobs/019abf3e-5f00-7000-8000-000000000000";
    let mut other_rows = job(10, 2);
    let rows = other_rows["data"]["instances"].as_array_mut().unwrap();
    for row in rows {
        row["question"] = json!("What is 1 + 1?");
    }
    let mut other_model = job(10, 2);
    other_model["models"] = json!([other_model["models"][0]]);
    let one_model = api.submit(&other_model).await;
    api.follow(&one_model, None).await;
    let mut model = job(10, 2);
    model["models"] = json!([model["models"][1]]);
    let mut prompt = job(10, 2);
    prompt["prompts"] = json!([{"name": "other", "text": "Q: {{ question }} A:"}]);
    let waiting = job(10, 2);
    let mut later = job(10, 2);
    later["not_before"] = json!("2100-01-01T00:00:00Z");
    let later = api.submit(&later).await;
    for (body, job, says) in [
        (job(10, 2), nobody, "there is no job"),
        (waiting, later.as_str(), "wait for its end"),
        (other_rows, cold.as_str(), "other rows"),
        (model, one_model.as_str(), "other models"),
        (prompt, cold.as_str(), "other prompts"),
    ] {
        let refused = api.post("/jobs", &warm(body, job)).await;
        assert_eq!(refused.status(), 422);
        let problem: Value = refused.json().await.unwrap();
        let error = &problem["errors"][0];
        assert_eq!(error["pointer"], "/warm_start/job");
        assert!(error["detail"].as_str().unwrap().contains(says), "{error}");
    }
    assert!(server.stop().await);
    world.end().await;
}
