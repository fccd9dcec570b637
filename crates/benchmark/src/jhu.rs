//! Answers of gpt-35-turbo and llama-2-7b-chat to exam questions, from a folder that is no part of
//! this project: the data of "The Effect of Sampling Temperature on Problem Solving in Large
//! Language Models" (Renze and Guven, 2024), ten answers per model, prompt style, temperature and
//! question, each with its text, its choice and whether that is right.
//!
//! The folder holds `problems.jsonl` and `MODEL.PROMPT.jsonl.gz`. What is not in the data is taken
//! to be so:
//!
//! - A request's tokens are those of all ten answers; they are shared out by the length of texts.
//! - A response that is cut is wrong: these answers end with the choice.
//! - Prompts were not kept, their tokens were. What is known of them beforehand, the bytes of
//!   the text, is taken to be four per token, as in English.
//! - Where a question lacks a temperature, the nearest one stands in.

use crate::corpus::{Cell, Corpus, Sample, Shelf};
use crate::data_set::{self, DataSet, Priced};
use anyhow::Context;
use flate2::read::GzDecoder;
use frugal_domain::job::{JobSpec, MODEL, PROMPT};
use frugal_domain::space::{Dimension, Domain};
use frugal_evaluation::sharing::share_out;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// A recorded model with its prompts.
type Recorded = (Priced<'static>, &'static [&'static str]);

/// The models, with the prices of gpt-3.5-turbo and of a hosted Llama 2 7B, each with the prompt
/// styles that it was recorded with, the default first.
const MODELS: [Recorded; 2] = [
    (
        ("gpt-35-turbo", 0.5, 1.5),
        &[
            "baseline",
            "chain_of_thought",
            "composite",
            "domain_expert",
            "self_recitation",
        ],
    ),
    (("llama-2-7b-chat", 0.2, 0.2), &["chain_of_thought"]),
];

/// The highest temperature that all cells were recorded at.
const HOTTEST: f64 = 1.0;

/// What one instance may cost: four to eight answers of the dearer model with long reasoning.
const INFERENCE_USD: f64 = 0.002;

/// Bytes of prompt text per token.
const BYTES_PER_TOKEN: u64 = 4;

/// One recorded request.
#[derive(Deserialize)]
struct Row {
    temperature: f64,
    problem_id: u64,
    input_tokens: u64,
    output_tokens_all: u64,
    samples: Vec<GradedAnswer>,
}

#[derive(Deserialize)]
struct GradedAnswer {
    text: String,
    correct: bool,
}

/// The data set in a folder.
///
/// # Errors
/// A file is missing or is not what it should be.
pub fn data_set(folder: &Path) -> anyhow::Result<DataSet> {
    let mut rows: BTreeMap<(usize, &str), Vec<Row>> = BTreeMap::new();
    for (model, ((name, ..), prompts)) in MODELS.iter().enumerate() {
        for prompt in *prompts {
            let path = folder.join(format!("{name}.{prompt}.jsonl.gz"));
            let read = read(&path).with_context(|| path.display().to_string())?;
            rows.insert((model, prompt), read);
        }
    }
    // Only questions that every model was asked with every prompt.
    let asked = |rows: &Vec<Row>| -> BTreeSet<u64> {
        let within = rows.iter().filter(|row| usable(row));
        within.map(|row| row.problem_id).collect()
    };
    let problems = rows
        .values()
        .map(asked)
        .reduce(|left, right| &left & &right)
        .unwrap_or_default();
    let problems: Vec<u64> = problems.into_iter().collect();
    let spec = spec(&problems)?;
    let mut corpus = Corpus::default();
    for (position, prompt) in spec.prompts.iter().enumerate() {
        for model in 0..MODELS.len() {
            if let Some(rows) = rows.remove(&(model, prompt.name.as_str())) {
                let shelf = shelf(rows, &problems)?;
                if model == 0 {
                    corpus.prompt_token_bounds.push(
                        shelf
                            .cells
                            .iter()
                            .map(|cell| cell.prompt_tokens * BYTES_PER_TOKEN)
                            .collect(),
                    );
                }
                corpus.shelves.insert((model, position), shelf);
            }
        }
    }
    Ok(DataSet {
        name: "jhu".to_owned(),
        spec,
        corpus,
    })
}

fn usable(row: &Row) -> bool {
    row.temperature <= HOTTEST && !row.samples.is_empty()
}

fn read(path: &Path) -> anyhow::Result<Vec<Row>> {
    let mut text = BufReader::new(GzDecoder::new(File::open(path)?));
    let mut rows = Vec::new();
    let mut line = String::new();
    while text.by_ref().read_line(&mut line)? > 0 {
        rows.push(serde_json::from_str(&line).with_context(|| format!("row {}", rows.len() + 1))?);
        line.clear();
    }
    Ok(rows)
}

/// The job: model and prompt style, temperature, tokens and answers.
fn spec(problems: &[u64]) -> anyhow::Result<JobSpec> {
    let rows: Vec<Value> = problems
        .iter()
        .map(|id| json!({"id": id, "right": "right"}))
        .collect();
    let (_, all) = MODELS[0];
    let prompts: Vec<Value> = all
        .iter()
        .map(|name| json!({"name": name, "text": "{{ id }}"}))
        .collect();
    let body = json!({
        "data": {"instances": rows},
        "prompts": prompts,
        "search_space": {
            "temperature": {"float": [0, HOTTEST]},
            "max_tokens": {"int": [16, 1024], "scale": "log"},
            "n": {"int": [1, 32]},
        },
        // What is right is in the data; this only has to be a scorer.
        "scoring": {"scorer": {"type": "exact", "expected": "{{ right }}"}},
    });
    let models = MODELS.map(|(priced, _)| priced);
    let mut spec = data_set::spec(body, &models, INFERENCE_USD)?;
    let dimensions = &mut spec.space.dimensions;
    dimensions.retain(|dimension| dimension.name != PROMPT);
    // Each model has prompts of its own.
    for dimension in dimensions {
        if let (MODEL, Domain::OneOf { branches }) =
            (dimension.name.as_str(), &mut dimension.domain)
        {
            for (branch, (_, prompts)) in branches.iter_mut().zip(MODELS) {
                branch.dimensions.push(Dimension {
                    name: PROMPT.to_owned(),
                    domain: Domain::Choice {
                        values: prompts.iter().map(|name| json!(name)).collect(),
                        ordered: false,
                    },
                });
            }
        }
    }
    spec.baseline = Some(spec.default_configuration());
    Ok(spec)
}

fn shelf(rows: Vec<Row>, problems: &[u64]) -> anyhow::Result<Shelf> {
    let mut by_problem: BTreeMap<u64, Vec<Row>> = BTreeMap::new();
    for row in rows.into_iter().filter(usable) {
        by_problem.entry(row.problem_id).or_default().push(row);
    }
    let mut temperatures: Vec<f64> = Vec::new();
    let mut cells = Vec::new();
    for problem in problems {
        let mut rows = by_problem
            .remove(problem)
            .with_context(|| format!("problem {problem} is missing"))?;
        rows.sort_by(|left, right| left.temperature.total_cmp(&right.temperature));
        temperatures.extend(rows.iter().map(|row| row.temperature));
        cells.push(Cell {
            prompt_tokens: rows.first().map_or(0, |row| row.input_tokens),
            by_temperature: rows.iter().map(samples).collect::<anyhow::Result<_>>()?,
        });
    }
    temperatures.sort_by(f64::total_cmp);
    temperatures.dedup();
    Ok(Shelf {
        temperatures,
        cells,
    })
}

fn samples(row: &Row) -> anyhow::Result<(f64, Vec<Sample>)> {
    let lengths: Vec<u64> = row
        .samples
        .iter()
        .map(|answer| answer.text.len() as u64)
        .collect();
    let tokens = share_out(row.output_tokens_all, &lengths);
    let samples = row.samples.iter().zip(tokens).map(|(answer, tokens)| {
        Ok(Sample {
            tokens: u32::try_from(tokens)?,
            ended: true,
            observed: f64::from(u8::from(answer.correct)).into(),
            when_cut: Vec::new(),
        })
    });
    Ok((row.temperature, samples.collect::<anyhow::Result<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Endpoint;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    /// Two questions; the second was never answered with one of the prompts.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for ((name, ..), prompts) in MODELS {
            for prompt in prompts {
                let path = folder.path().join(format!("{name}.{prompt}.jsonl.gz"));
                let file = File::create(path).unwrap();
                let mut out = GzEncoder::new(file, Compression::fast());
                for (problem, temperature) in [(4, 1.0), (4, 0.0), (9, 0.0), (4, 1.5)] {
                    if problem == 9 && *prompt == "composite" {
                        continue;
                    }
                    let row = json!({
                        "temperature": temperature,
                        "problem_id": problem,
                        "input_tokens": 30,
                        "output_tokens_all": 60,
                        "samples": [
                            {"text": "ab", "answer": "B", "correct": true},
                            {"text": "abcd", "answer": "A", "correct": false},
                        ],
                    });
                    writeln!(out, "{row}").unwrap();
                }
                out.finish().unwrap();
            }
        }
        folder
    }

    #[test]
    fn a_folder_is_read() {
        let set = data_set(folder().path()).unwrap();
        assert_eq!(set.corpus.rows(), 1);
        assert_eq!(set.corpus.shelves.len(), 6);
        let shelf = &set.corpus.shelves[&(1, 1)];
        assert_eq!(shelf.temperatures, [0.0, 1.0]);
        let (_, samples) = &shelf.cells[0].by_temperature[0];
        let read: Vec<_> = samples
            .iter()
            .map(|one| (one.tokens, one.observed.score))
            .collect();
        assert_eq!(read, [(20, 1.0), (40, 0.0)]);
        assert_eq!(set.corpus.prompt_token_bounds[4], [120]);
    }

    #[test]
    fn every_model_has_its_own_prompts() {
        let set = data_set(folder().path()).unwrap();
        let spec = &set.spec;
        let cheap = spec.low_cost_starts();
        assert_eq!(cheap.len(), 2);
        for (model, configuration) in cheap.iter().enumerate() {
            assert!(spec.space.contains(configuration));
            let settings = spec.settings(configuration).unwrap();
            assert_eq!(settings.sampling.model, model);
            assert_eq!(
                spec.prompts[settings.sampling.prompt].name,
                MODELS[model].1[0]
            );
            assert!(set.corpus.chance(&settings, 0) >= 0.0);
        }
        assert!(spec.space.contains(spec.baseline.as_ref().unwrap()));
    }

    #[test]
    fn a_cut_answer_is_wrong() {
        let set = data_set(folder().path()).unwrap();
        let mut settings = set
            .spec
            .settings(set.spec.baseline.as_ref().unwrap())
            .unwrap();
        assert!((set.corpus.chance(&settings, 0) - 0.5).abs() < 1e-12);
        settings.extent.max_tokens = 19;
        assert_eq!(set.corpus.chance(&settings, 0), 0.0);
    }
}
