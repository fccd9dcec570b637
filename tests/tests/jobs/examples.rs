//! The jobs in `examples/`, as a newcomer runs them.

use crate::World;
use frugal_simulator::{Script, SimulatorOptions};
use frugal_tests::client::ApiClient;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// The names of the examples, in order.
fn names() -> Vec<String> {
    let folders = std::fs::read_dir(examples()).unwrap();
    let folders = folders.map(Result::unwrap);
    // Not the clients, whose tests are their own.
    let folders = folders.filter(|entry| entry.path().join("answers.jsonl").is_file());
    let mut names: Vec<String> = folders
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Runs an example against its answers. What it found, in few words.
async fn found(name: &str) -> Value {
    let folder = examples().join(name);
    let answers = std::fs::read_to_string(folder.join("answers.jsonl")).unwrap();
    let mut world = World::with(SimulatorOptions {
        script: Some(Script::parse(&answers).unwrap()),
        ..SimulatorOptions::default()
    })
    .await;
    let configuration = std::fs::read_to_string(examples().join("frugal.toml")).unwrap();
    let local = "http://127.0.0.1:8081/v1";
    assert!(configuration.contains(local));
    world.setting.endpoints = configuration.replace(local, &world.simulator.base_url());
    // The programs are the examples' own, so they are run where the kernel has no namespaces too.
    world.setting.endpoints += "\n[sandbox]\nmode = \"off\"\n";
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).ok();
    let path = match (read("job.json"), read("evaluation.json")) {
        (Some(job), None) => api.submit(&serde_json::from_str(&job).unwrap()).await,
        (None, Some(evaluation)) => {
            api.evaluate(&serde_json::from_str(&evaluation).unwrap())
                .await
        }
        _ => unreachable!("{name} has one of the two"),
    };
    api.follow(&path, None).await;
    let job = api.json(&path).await;
    assert_eq!(job["state"], "succeeded", "{name}: {job}");
    let report = api.json(&format!("{path}/report")).await;
    if let Some(verdict) = report.get("verdict") {
        let found = json!({"verdict": verdict, "ranking": report["ranking"]});
        assert!(server.stop().await);
        world.end().await;
        return found;
    }
    let winner = &report["winner"];
    assert!(!winner.is_null(), "{name}: {report}");
    let rounded = |value: &Value| (value.as_f64().unwrap() * 100.0).round() / 100.0;
    let found = json!({
        "metric": job["objective"]["metric"],
        "model": winner["configuration"]["model"],
        "prompt": winner["configuration"]["prompt"],
        "n": winner["configuration"]["n"],
        "utility": rounded(&winner["utility"]["mean"]),
        "baseline": rounded(&report["baseline"]["utility"]["mean"]),
        "trials": report["trials"]["evaluated"],
    });
    assert!(server.stop().await);
    world.end().await;
    found
}

#[tokio::test]
async fn every_example_finds_what_its_task_is_about() {
    let mut all = serde_json::Map::new();
    for name in names() {
        let found = found(&name).await;
        all.insert(name, found);
    }
    insta::assert_json_snapshot!(all);
}

#[test]
fn every_example_is_told_of() {
    let told = std::fs::read_to_string(examples().join("README.md")).unwrap();
    for name in names() {
        assert!(told.contains(&format!("| `{name}` |")), "{name}");
    }
}
