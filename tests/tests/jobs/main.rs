//! Jobs from POST to report, through the real program, real PostgreSQL and the simulator.
#![expect(
    clippy::unwrap_used,
    reason = "what the tests need and do not get ends them, in helpers as in the tests themselves"
)]

mod abilities;
mod algorithms;
mod attempts;
mod breakdown;
mod cheapest;
mod code;
mod composite;
mod datasets;
mod door;
mod endpoints;
mod enqueued;
mod evaluation_scoring;
mod evaluations;
mod examples;
mod export;
mod judge;
mod keys;
mod latency;
mod life;
mod metrics;
mod outage;
mod pool;
mod prometheus;
mod report;
mod retention;
mod same_loop;
mod scorers;
mod steering;
mod takeover;
mod trouble;
mod views;
mod warm_start;
mod webhook;

use frugal_simulator::{Recordings, Simulator, SimulatorOptions};
use frugal_tests::postgres::TestDatabase;
use frugal_tests::processes::Setting;
use serde_json::{Value, json};

/// A database, an endpoint, and how processes reach them.
struct World {
    database: TestDatabase,
    simulator: Simulator,
    setting: Setting,
}

impl World {
    async fn new() -> Self {
        Self::with(SimulatorOptions::default()).await
    }

    async fn with(options: SimulatorOptions) -> Self {
        let database = TestDatabase::create().await;
        let simulator = frugal_simulator::serve(options).await.unwrap();
        let setting = Setting::local(database.url(), &simulator.base_url());
        Self {
            database,
            simulator,
            setting,
        }
    }

    async fn end(self) {
        self.simulator.shutdown().await.unwrap();
        self.database.drop().await;
    }
}

/// A job on the first recorded word problems, small enough for a test.
fn job(instances: usize, trials: u32) -> Value {
    let recordings = Recordings::embedded().unwrap();
    let rows: Vec<_> = recordings
        .instances("arithmetic")
        .iter()
        .take(instances)
        .collect();
    let prompts: Vec<_> = recordings
        .prompts("arithmetic")
        .iter()
        .map(|prompt| json!({"name": prompt.name, "text": prompt.template}))
        .collect();
    json!({
        "name": "word problems",
        "data": {"instances": rows},
        "models": [
            {"endpoint": "local", "model": "gemma-3-270m"},
            {"endpoint": "local", "model": "smollm2-135m-instruct"}
        ],
        "prompts": prompts,
        "search_space": {
            "temperature": {"float": [0, 1.3]},
            "max_tokens": {"int": [8, 128], "scale": "log"},
            "n": {"int": [1, 16], "scale": "log"},
            "stop": ["\n\n"]
        },
        "scoring": {
            "scorer": {"type": "numeric", "expected": "{{ answer }}", "extract": "first_line_last_number"}
        },
        "budgets": {"inference": {"usd": 0.00002}, "optimization": {"usd": 0.1}},
        "limits": {"trials": trials},
        "search": {"seed": 5, "parallel_trials": 3}
    })
}
