//! The recordings of the simulator as data sets: two small models on three tasks.

use crate::corpus::{Cell, Corpus, Sample, Shelf};
use crate::data_set::{self, DataSet, Priced};
use anyhow::Context;
use frugal_domain::job::{Instance, JobSpec};
use frugal_domain::scoring::Observation;
use frugal_scoring::{CompiledPrompt, Expectation, Scorer};
use frugal_simulator::{CellKey, FinishReason, RecordedResponse, Recordings};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The recorded models, at the demo's prices.
const MODELS: [Priced<'static>; 2] = [
    ("gemma-3-270m", 0.05, 0.4),
    ("smollm2-135m-instruct", 0.025, 0.2),
];

/// A recorded task, and the job that is made of it.
struct Task {
    name: &'static str,
    /// By their recorded names, the default first.
    prompts: &'static [&'static str],
    /// The highest temperature that all cells were recorded at.
    hottest: f64,
    /// The fewest tokens of the search space.
    shortest: u32,
    /// What one instance may cost: a few to twenty answers of the first model.
    inference_usd: f64,
}

const TASKS: [Task; 3] = [
    // The demo's job.
    Task {
        name: "arithmetic",
        prompts: &["cot", "direct"],
        hottest: 1.3,
        shortest: 48,
        inference_usd: 0.000_04,
    },
    Task {
        name: "extraction",
        prompts: &["fewshot"],
        hottest: 1.0,
        shortest: 16,
        inference_usd: 0.000_06,
    },
    Task {
        name: "capitals",
        prompts: &["fewshot"],
        hottest: 1.3,
        shortest: 4,
        inference_usd: 0.000_02,
    },
];

/// All recorded tasks.
///
/// # Errors
/// The recordings or the jobs make no sense.
pub fn data_sets() -> anyhow::Result<Vec<DataSet>> {
    TASKS.iter().map(of_task).collect()
}

/// One of them.
///
/// # Errors
/// As [`data_sets`], or there is no task of this name.
pub fn data_set(name: &str) -> anyhow::Result<DataSet> {
    let task = TASKS.iter().find(|task| task.name == name);
    of_task(task.with_context(|| format!("no task {name} was recorded"))?)
}

fn of_task(task: &Task) -> anyhow::Result<DataSet> {
    let recordings = Recordings::embedded()?;
    let rows = recordings.instances(task.name);
    let spec = data_set::spec(body(&recordings, task), &MODELS, task.inference_usd)?;
    let corpus = corpus(&recordings, task, &spec, rows)
        .with_context(|| format!("the recordings of {}", task.name))?;
    Ok(DataSet {
        name: task.name.to_owned(),
        spec,
        corpus,
    })
}

fn body(recordings: &Recordings, task: &Task) -> Value {
    let recorded = recordings.prompts(task.name);
    let prompts: Vec<Value> = task
        .prompts
        .iter()
        .filter_map(|name| recorded.iter().find(|prompt| prompt.name == *name))
        .map(|prompt| json!({"name": prompt.name, "text": prompt.template}))
        .collect();
    json!({
        "data": {"instances": recordings.instances(task.name)},
        "prompts": prompts,
        "search_space": {
            "temperature": {"float": [0, task.hottest]},
            "max_tokens": {"int": [task.shortest, recordings.max_tokens()], "scale": "log"},
            "n": {"int": [1, frugal_simulator::MAX_N]},
            "stop": recordings.stop(),
        },
        "scoring": {"scorer": scorer(task.name), "reduce": "expected_success"},
    })
}

/// How the recordings say that an answer is judged.
fn scorer(task: &str) -> Value {
    match task {
        "arithmetic" => json!({
            "type": "numeric",
            "expected": "{{ answer }}",
            "extract": "first_line_last_number",
        }),
        "extraction" => json!({
            "type": "exact",
            "expected": "{{ answer | tojson }}",
            "extract": "json",
            "ignore_case": true,
        }),
        _ => json!({
            "type": "contains",
            "expected": "{{ answer }}",
            "extract": "first_line",
            "ignore_case": true,
            "ignore_accents": true,
        }),
    }
}

fn corpus(
    recordings: &Recordings,
    task: &Task,
    spec: &JobSpec,
    rows: &[Value],
) -> anyhow::Result<Corpus> {
    let rows: Vec<&Instance> = rows
        .iter()
        .map(|row| row.as_object().context("a row is no object"))
        .collect::<anyhow::Result<_>>()?;
    let scorer = Scorer::compile(&spec.scorer)?;
    let mut shelves = BTreeMap::new();
    for (model, choice) in spec.models.iter().enumerate() {
        for (prompt, name) in task.prompts.iter().enumerate() {
            let temperatures = recordings.temperatures(task.name, &choice.model, name);
            let cells = rows.iter().map(|row| {
                let key = CellKey {
                    task: task.name,
                    model: &choice.model,
                    prompt: name,
                    instance: row["id"].as_str().unwrap_or_default(),
                };
                cell(
                    recordings,
                    task,
                    &key,
                    temperatures,
                    &scorer.expectation(row)?,
                )
            });
            let shelf = Shelf {
                temperatures: temperatures.to_vec(),
                cells: cells.collect::<anyhow::Result<_>>()?,
            };
            shelves.insert((model, prompt), shelf);
        }
    }
    let bounds = |prompt| {
        let compiled = CompiledPrompt::compile(prompt)?;
        rows.iter()
            .map(|row| Ok(compiled.render(row)?.token_bound()))
            .collect()
    };
    Ok(Corpus {
        shelves,
        prompt_token_bounds: spec
            .prompts
            .iter()
            .map(bounds)
            .collect::<anyhow::Result<_>>()?,
    })
}

fn cell(
    recordings: &Recordings,
    task: &Task,
    key: &CellKey<'_>,
    temperatures: &[f64],
    expectation: &Expectation<'_>,
) -> anyhow::Result<Cell> {
    let by_temperature: Vec<(f64, Vec<Sample>)> = temperatures
        .iter()
        .map(|temperature| (*temperature, recordings.responses(key, *temperature)))
        .filter(|(_, responses)| !responses.is_empty())
        .map(|(temperature, responses)| {
            let samples = responses
                .iter()
                .map(|one| sample(one, recordings.stop(), task.shortest, expectation));
            Ok((temperature, samples.collect::<anyhow::Result<_>>()?))
        })
        .collect::<anyhow::Result<_>>()?;
    anyhow::ensure!(!by_temperature.is_empty(), "{key:?} has no responses");
    Ok(Cell {
        prompt_tokens: recordings
            .prompt_tokens(key)
            .with_context(|| format!("{key:?} has no prompt tokens"))?,
        by_temperature,
    })
}

/// A response, scored whole and under every limit from `shortest` on that cuts it.
fn sample(
    recorded: &RecordedResponse,
    stop: &[String],
    shortest: u32,
    expectation: &Expectation<'_>,
) -> anyhow::Result<Sample> {
    let whole = recorded.cut(u32::MAX, stop);
    let mut when_cut: Vec<(u32, Observation)> = Vec::new();
    for max_tokens in shortest..whole.completion_tokens {
        let observed = expectation.observe(&recorded.cut(max_tokens, stop).text)?;
        let before = when_cut
            .last()
            .map_or_else(|| 0.0.into(), |(_, before)| *before);
        if before != observed {
            when_cut.push((max_tokens, observed));
        }
    }
    Ok(Sample {
        tokens: whole.completion_tokens,
        ended: whole.finish_reason == FinishReason::Stop,
        observed: expectation.observe(&whole.text)?,
        when_cut,
    })
}
