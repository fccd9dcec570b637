//! How long a profiled search takes to decide, by arms and rows.

use frugal_domain::job::JobSpec;
use frugal_domain::seed::mix;
use frugal_search::profiled::{Decision, Drawn, DrawnResponse, Problem, Profiled, Told};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

/// Decisions that are timed, from the moment on that every pair of a model and a prompt is open.
const DECISIONS: usize = 150;

/// Prints the times of decisions for 60 pairs and two numbers of rows.
pub fn print(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    writeln!(out, "A profiled search's decisions, in milliseconds:")?;
    writeln!(
        out,
        "{:>6} {:>6} {:>8} {:>8} {:>8}",
        "pairs", "rows", "mean", "median", "largest"
    )?;
    for (models, prompts, rows) in [(3, 4, 50), (6, 10, 50), (6, 10, 200)] {
        let mut times = decisions(models, prompts, rows)?;
        times.sort_unstable();
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let total: Duration = times.iter().sum();
        writeln!(
            out,
            "{:>6} {:>6} {:>8.2} {:>8.2} {:>8.2}",
            models * prompts,
            rows,
            milliseconds(total) / times.len() as f64,
            milliseconds(times[times.len() / 2]),
            milliseconds(times[times.len() - 1]),
        )?;
    }
    Ok(())
}

/// The time of each decision of a search over so many models, prompts and rows. Batches are told in
/// turn, and their answers are a function of arm and row.
fn decisions(models: usize, prompts: usize, rows: usize) -> Result<Vec<Duration>, Box<dyn Error>> {
    let spec = spec(models, prompts)?;
    let bounds = vec![vec![400.0; rows]; prompts];
    // A hundred times what one row may cost, for each row.
    let available = 2e8 * 100.0 * rows as f64;
    let problem = Problem::for_job(&spec, rows, &[], bounds, available);
    let mut search = Profiled::new(&spec, problem)?;
    let mut times = Vec::new();
    let mut in_air = VecDeque::new();
    while times.len() < DECISIONS {
        let begun = Instant::now();
        let decision = search.decide();
        times.push(begun.elapsed());
        match decision {
            Decision::Draw(batch) => in_air.push_back(batch),
            Decision::Wait => {
                if let Some(batch) = in_air.pop_front() {
                    search.tell(answers(&batch));
                }
            }
            Decision::Over(_) => break,
        }
    }
    Ok(times)
}

fn answers(batch: &frugal_search::profiled::Batch) -> Told {
    let row = |row: &usize| {
        let one = |position: u32| {
            let lot = mix(batch.arm as u64) ^ mix(*row as u64) ^ u64::from(position);
            let hard = mix(*row as u64) % 100;
            let tokens = 50 + mix(lot) % 100;
            DrawnResponse {
                tokens,
                enough: tokens,
                ended: true,
                observed: f64::from(u8::from(mix(lot + 1) % 100 > hard)).into(),
                latency_ms: 1,
            }
        };
        Drawn {
            row: *row,
            prompt_tokens: Some(100),
            responses: (0..batch.responses).map(one).collect(),
        }
    };
    let tokens = batch.rows.len() as f64 * (100.0 + 100.0 * f64::from(batch.responses));
    Told {
        drawn: batch.rows.iter().map(row).collect(),
        cost: tokens * 1e5,
        ..Told::default()
    }
}

fn spec(models: usize, prompts: usize) -> Result<JobSpec, serde_json::Error> {
    let model = |index: usize| {
        json!({"endpoint": "e", "model": format!("m{index}"),
               "prices": {"input_pico": 100_000, "output_pico": 100_000, "request_pico": 0}})
    };
    let prompt = |index: usize| json!({"name": format!("p{index}"), "body": {"text": "{{ q }}"}});
    let names: Vec<String> = (0..prompts).map(|index| format!("p{index}")).collect();
    let float = json!({"low": 0.0, "high": 1.0, "scale": "linear", "step": null});
    let int = |high: i64| json!({"low": 1, "high": high, "scale": "log", "step": null});
    serde_json::from_value(json!({
        "name": null, "labels": {},
        "models": (0..models).map(model).collect::<Vec<Value>>(),
        "prompts": (0..prompts).map(prompt).collect::<Vec<Value>>(),
        "space": [
            {"name": "model", "domain": {"one_of": {"branches": vec![json!([]); models]}}},
            {"name": "prompt", "domain": {"choice": {"values": names, "ordered": false}}},
            {"name": "temperature", "domain": {"float": float}},
            {"name": "max_tokens", "domain": {"int": int(500)}},
            {"name": "n", "domain": {"int": int(50)}},
        ],
        "scorer": {"type": "exact", "expected": "{{ a }}"},
        "objective": {"metric": "expected_success", "direction": "maximize"},
        "constraints": [],
        "inference_budget": {"usd": 0.000_2},
        "optimization_budget": {"usd": 10},
        "limits": {"trials": 1000, "seconds": null, "trials_without_improvement": null},
        "search": {"algorithm": "blendsearch", "seed": 7, "extent": "profiled", "pruning": "on",
                   "reuse": "job", "parallel_trials": 4, "requests_in_flight": 64},
        "baseline": null,
        "start": [],
    }))
}
