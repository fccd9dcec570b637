//! The jobs of a campaign: three kinds by turns.

use frugal_simulator::Recordings;
use serde_json::{Value, json};

/// Rows of each job.
const ROWS: usize = 8;

/// The job of this number: a profiled search, one of every setting with three trials in the air, and one
/// that ends with its money.
pub(super) fn job(number: usize, seed: u64) -> Value {
    let recordings = Recordings::embedded().expect("there are recordings");
    let rows: Vec<_> = recordings
        .instances("arithmetic")
        .iter()
        .take(ROWS)
        .collect();
    let prompts: Vec<_> = recordings
        .prompts("arithmetic")
        .iter()
        .map(|prompt| json!({"name": prompt.name, "text": prompt.template}))
        .collect();
    let (search, budget, trials) = match number % 3 {
        0 => (json!({"seed": seed}), 0.1, 8),
        1 => (
            json!({"seed": seed, "extent": "searched", "parallel_trials": 3}),
            0.1,
            8,
        ),
        _ => (
            json!({"seed": seed, "extent": "searched", "parallel_trials": 1}),
            0.000_6,
            500,
        ),
    };
    json!({
        "name": format!("campaign {number}"),
        "data": {"instances": rows},
        "models": [
            {"endpoint": "local", "model": "gemma-3-270m"},
            {"endpoint": "local", "model": "smollm2-135m-instruct"}
        ],
        "prompts": prompts,
        "search_space": {
            "temperature": {"float": [0, 1.3]},
            "max_tokens": {"int": [8, 128], "scale": "log"},
            "n": {"int": [1, 8], "scale": "log"},
            "stop": ["\n\n"]
        },
        "scoring": {
            "scorer": {"type": "numeric", "expected": "{{ answer }}", "extract": "first_line_last_number"}
        },
        "budgets": {"inference": {"usd": 0.00002}, "optimization": {"usd": budget}},
        "limits": {"trials": trials},
        "search": search
    })
}
