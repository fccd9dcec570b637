//! What Prometheus is told of a job's requests is what the job and the endpoint say of them.

use crate::{World, job};
use frugal_simulator::{Fault, Faults, SimulatorOptions};
use frugal_tests::client::ApiClient;
use std::collections::BTreeMap;

const MODELS: [&str; 2] = ["gemma-3-270m", "smollm2-135m-instruct"];

/// The value of each series, by its name with its labels.
async fn scrape(api: &ApiClient) -> BTreeMap<String, f64> {
    let text = api.get("/metrics").await.text().await.unwrap();
    let series = text.lines().filter(|line| !line.starts_with('#'));
    let series = series.map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    });
    series.collect()
}

/// The series of a metric and a model that have all of these labels, summed up.
fn sum(series: &BTreeMap<String, f64>, metric: &str, model: &str, label: &str) -> f64 {
    let model = format!(r#"gen_ai_request_model="{model}""#);
    let of_metric = series.iter().filter(|(name, _)| {
        let (is, labels) = name.split_once('{').unwrap_or((name, ""));
        is == metric && labels.contains(&model) && labels.contains(label)
    });
    of_metric.map(|(_, value)| value).sum()
}

#[expect(clippy::cast_precision_loss, reason = "a test's counts are small")]
fn float(count: u64) -> f64 {
    count as f64
}

#[tokio::test]
async fn metrics_agree_with_the_jobs_books_and_the_endpoints() {
    // One request has to be sent again for a refusal that asks to wait.
    let options = SimulatorOptions {
        faults: Faults::script([(3, Fault::rate_limited(Some("1")))]),
        ..SimulatorOptions::default()
    };
    let world = World::with(options).await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let path = api.submit(&job(6, 4)).await;
    api.follow(&path, None).await;
    let job = api.json(&path).await;
    assert_eq!(job["state"], "succeeded", "{job}");
    // The last of it is told when the server stops, and any other one tells it.
    assert!(server.stop().await);
    let (other, url) = world.setting.serve(0).await;
    let series = scrape(&ApiClient::new(&url)).await;

    let statistics = world.simulator.statistics();
    let mut spend = 0.0;
    let (mut exchanges, mut asked, mut asked_seconds) = (0.0, 0.0, 0.0);
    for model in MODELS {
        let of = |metric: &str, label: &str| sum(&series, metric, model, label);
        let billed = statistics.models.get(model).copied().unwrap_or_default();
        let billed = billed.billed();
        let requests = float(billed.requests);
        assert_eq!(
            of("frugal_requests_total", r#"outcome="answered""#),
            requests
        );
        assert_eq!(of("frugal_requests_total", ""), requests);
        let duration = "gen_ai_client_operation_duration_seconds";
        assert_eq!(of(&format!("{duration}_count"), ""), requests);
        let all = of(&format!("{duration}_bucket"), r#"le="+Inf""#);
        assert_eq!(all, requests);
        assert!(of(&format!("{duration}_bucket"), r#"le="81.92""#) <= all);
        let tokens = "gen_ai_client_token_usage";
        for (name, count) in [
            ("input", billed.prompt_tokens),
            ("output", billed.completion_tokens),
        ] {
            let label = format!(r#"gen_ai_token_type="{name}""#);
            assert_eq!(of(&format!("{tokens}_sum"), &label), float(count));
            assert_eq!(of(&format!("{tokens}_count"), &label), requests);
        }
        assert_eq!(of("frugal_requests_in_flight", ""), 0.0);
        assert_eq!(of("frugal_uncertain_spend_usd_total", ""), 0.0);
        spend += of("frugal_spend_usd_total", "");
        exchanges += of("frugal_waits_total", r#"reason="exchange""#);
        asked += of("frugal_waits_total", r#"reason="retry_after""#);
        asked_seconds += of("frugal_waited_seconds_total", r#"reason="retry_after""#);
    }
    let booked = job["spend"]["usd"].as_f64().unwrap();
    assert!((spend - booked).abs() < 1e-12, "{spend} and {booked}");
    assert!(booked > 0.0);
    assert!(exchanges > 0.0, "the first request waits for an exchange");
    assert!(
        asked >= 1.0 && asked_seconds > 0.5,
        "the refused one waits: {asked} for {asked_seconds} s"
    );
    assert!(other.stop().await);
    world.end().await;
}
