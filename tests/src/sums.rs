//! A small job as people write it, its rows in a file beside it, and an endpoint that knows the answers.
#![expect(
    clippy::expect_used,
    reason = "a job that cannot be written fails here, as it would at an assertion"
)]

use frugal_simulator::Script;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// The job. Its rows are in `sums.csv`.
pub const JOB: &str = r#"
name: sums from a file
data:
  file: sums.csv
  holdout: 0.4
model: small
prompts:
  - {name: plain, text: "{{ question }}"}
  - {name: think, text: "{{ question }} Think."}
search_space:
  temperature: {float: [0, 1.5]}
  max_tokens: {int: [8, 64], scale: log}
  n: {int: [1, 8], scale: log}
scoring:
  scorer: {type: numeric, expected: "{{ answer }}"}
  reduce: majority
budgets:
  inference: {usd: 0.0002}
  optimization: {usd: 0.01}
search: {seed: 7}
"#;

const ROWS: u32 = 20;

/// A row's question, and its answer.
fn row(one: u32) -> (String, u32) {
    (
        format!("What is {one} + {}?", 2 * one + 1),
        one + (2 * one + 1),
    )
}

/// What the endpoint answers: most often wrong to the plain prompt, and most often right to the other one.
///
/// # Panics
/// Where the script cannot be read.
#[must_use]
pub fn script() -> Script {
    let answers = (0..ROWS).flat_map(|one| {
        let (question, answer) = row(one);
        let wrong = json!({"text": format!("It is {}.", one + 77), "weight": 0.5});
        let right = format!("First I add them. It is {answer}.");
        let brief = json!({"text": format!("{answer}."), "weight": 0.2});
        [
            json!({"contains": format!("{question} Think."), "answers": [&right, &wrong]}),
            json!({"contains": question, "answers": [&wrong, &brief]}),
        ]
    });
    let answers = Value::Array(answers.collect()).to_string();
    Script::parse(&answers).expect("the script is one")
}

/// The catalogue with the model that the job names, as a part of `frugal.toml`.
#[must_use]
pub fn endpoints(base_url: &str) -> String {
    format!(
        "[endpoints.local]\nbase_url = '{base_url}'\n[endpoints.local.models.small]\n\
         input_usd_per_million = 0.5\noutput_usd_per_million = 1.5\n"
    )
}

/// Writes the job as `job.yaml`, and its rows.
///
/// # Panics
/// Where the folder cannot be written to.
pub fn write_into(folder: &Path) {
    let rows = (0..ROWS).map(row);
    let rows = rows.map(|(question, answer)| format!("{question},{answer}\n"));
    let table: String = std::iter::once("question,answer\n".to_owned())
        .chain(rows)
        .collect();
    for (name, text) in [("job.yaml", JOB), ("sums.csv", &table)] {
        fs::write(folder.join(name), text).expect("the folder can be written to");
    }
}
