//! Real worker processes that share an endpoint.

use frugal_simulator::{Fault, Faults, SimulatorOptions};
use frugal_tests::client::ApiClient;
use frugal_tests::postgres::TestDatabase;
use frugal_tests::processes::Setting;
use futures::StreamExt;
use serde_json::{Value, json};

/// A job with far more requests at once than the endpoint takes.
fn job() -> Value {
    let recordings = frugal_simulator::Recordings::embedded().unwrap();
    let rows: Vec<_> = recordings.instances("arithmetic").iter().take(10).collect();
    let prompt = &recordings.prompts("arithmetic")[0].template;
    json!({
        "data": {"instances": rows},
        "model": {"endpoint": "local", "model": "gemma-3-270m"},
        "prompt": prompt,
        "search_space": {"temperature": {"float": [0, 1.3]}, "max_tokens": {"int": [8, 64]}, "n": {"int": [1, 4]}, "stop": ["\n\n"]},
        "scoring": {
            "scorer": {"type": "numeric", "expected": "{{ answer }}", "extract": "first_line_last_number"}
        },
        "budgets": {"inference": {"usd": 0.00002}, "optimization": {"usd": 0.1}},
        "limits": {"trials": 6},
        "search": {"seed": 5, "requests_in_flight": 16}
    })
}

#[tokio::test]
async fn requests_in_flight_are_limited_over_all_processes() {
    let database = TestDatabase::create().await;
    let simulator = frugal_simulator::serve(SimulatorOptions::default())
        .await
        .unwrap();
    let mut setting = Setting::local(database.url(), &simulator.base_url());
    setting
        .endpoints
        .push_str("\n[endpoints.local.limits]\nrequests_in_flight = 3\n");
    let gate = simulator.gate();
    gate.hold_after(0);
    let (server, url) = setting.serve(1).await;
    let worker = setting.worker().await;
    let api = ApiClient::new(&url);
    let paths = [api.submit(&job()).await, api.submit(&job()).await];
    // Of each job, one request goes before the others.
    gate.arrived(2).await;
    for answered in 0..40 {
        gate.until(|progress| progress.arrived > progress.answered)
            .await;
        let progress = gate.progress();
        let in_flight = progress.arrived - progress.answered;
        assert!(in_flight <= 3, "{in_flight} in flight");
        gate.release(1);
        gate.answered(answered + 1).await;
    }
    gate.open();
    for path in paths {
        let events = api.follow(&path, None).await;
        assert_eq!(events.last().unwrap().name, "job.succeeded");
    }
    assert!(worker.stop().await);
    assert!(server.stop().await);
    simulator.shutdown().await.unwrap();
    database.drop().await;
}

#[tokio::test]
async fn a_restart_of_the_endpoint_is_waited_out_and_seen_in_the_job() {
    let database = TestDatabase::create().await;
    // Six attempts in a row fail: more than a request has, but for the endpoint's sake.
    let faults = Faults::script((4..=11).map(|k| (k, Fault::unavailable())));
    let options = SimulatorOptions {
        faults,
        ..SimulatorOptions::default()
    };
    let simulator = frugal_simulator::serve(options).await.unwrap();
    let mut setting = Setting::local(database.url(), &simulator.base_url());
    setting
        .endpoints
        .push_str("\n[endpoints.local.limits]\nrequests_in_flight = 3\nmax_attempts = 6\n");
    let (server, url) = setting.serve(1).await;
    let api = ApiClient::new(&url);
    let path = api.submit(&job()).await;
    let events = api.follow(&path, None).await;
    let of_endpoint: Vec<_> = events
        .iter()
        .filter(|event| event.name.starts_with("endpoint."))
        .collect();
    let names: Vec<_> = of_endpoint
        .iter()
        .map(|event| event.name.as_str())
        .collect();
    assert_eq!(names, ["endpoint.degraded", "endpoint.recovered"]);
    let job = api.json(&path).await;
    assert_eq!(job["state"], "succeeded");
    assert_eq!(job["progress"]["trials"]["failed"], 0);
    assert!(server.stop().await);
    simulator.shutdown().await.unwrap();
    database.drop().await;
}

#[tokio::test]
async fn a_job_that_waits_for_its_endpoint_says_so_and_is_cancelled_at_once() {
    let database = TestDatabase::create().await;
    let faults = Faults::script([(1, Fault::rate_limited(Some("500")))]);
    let options = SimulatorOptions {
        faults,
        ..SimulatorOptions::default()
    };
    let simulator = frugal_simulator::serve(options).await.unwrap();
    let mut setting = Setting::local(database.url(), &simulator.base_url());
    setting
        .endpoints
        .push_str("\n[endpoints.local.limits]\nrequests_in_flight = 1\n");
    let (server, url) = setting.serve(1).await;
    let api = ApiClient::new(&url);
    let path = api.submit(&job()).await;
    let mut stream = api.stream(&path, None).await;
    let waiting = loop {
        let event = stream.next().await.unwrap();
        if event.name == "endpoint.waiting" {
            break event.payload;
        }
    };
    assert_eq!(waiting["data"]["reason"], "retry_after");
    assert!(waiting["data"]["until"].is_string());
    let cancelled = api.post(&format!("{path}/cancel"), &json!({})).await;
    assert_eq!(cancelled.status(), 202);
    let events = api.follow(&path, None).await;
    assert_eq!(events.last().unwrap().name, "job.cancelled");
    let told = events
        .iter()
        .filter(|event| event.name == "endpoint.waiting");
    assert_eq!(told.count(), 1);
    assert_eq!(simulator.gate().progress().arrived, 1);
    assert!(server.stop().await);
    simulator.shutdown().await.unwrap();
    database.drop().await;
}
