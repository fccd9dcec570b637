//! The scorer `math` beside the Python package math-verify, the field's reference tool: how often they agree,
//! and where they do not.
//!
//! They are asked about the table of `scoring/tests/math`, whose truth is known, about recorded answers to
//! arithmetic, and, where a folder of data is at hand, about GSM8K's solutions and the exam questions of Renze
//! and Guven (2024): answers of models, and each choice held against the right one.

use crate::table;
use anyhow::{Context, bail};
use flate2::read::GzDecoder;
use frugal_domain::scoring::ScorerSpec;
use frugal_scoring::Scorer;
use frugal_simulator::Recordings;
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// The table of what is the same in mathematics.
const TABLE: &str = include_str!("../../scoring/tests/math/pairs.txt");
/// What asks math-verify.
const SCRIPT: &str = include_str!("ask_math_verify.py");
/// Responses of each recorded cell at each temperature.
const OF_EACH: usize = 2;
/// Files of model answers among the exam questions.
const EXAMS: [&str; 3] = [
    "gpt-35-turbo.chain_of_thought",
    "gpt-35-turbo.composite",
    "llama-2-7b-chat.chain_of_thought",
];

/// An answer and what is expected; whether it is right, where that is known.
struct Pair {
    expected: String,
    response: String,
    truth: Option<bool>,
}

/// Prints how often they agree, and every pair on which they do not.
///
/// # Errors
/// Python or the package is not there, or the data is not what it should be.
pub fn print(out: &mut dyn Write, python: &Path, data: Option<&Path>) -> anyhow::Result<()> {
    let mut sets = vec![("table", table()?), ("arithmetic", arithmetic()?)];
    if let Some(data) = data {
        sets.push(("gsm8k", gsm8k(&data.join("gsm8k"))?));
        sets.push(("exams, choices", choices(&data.join("jhu"))?));
        sets.push(("exams, answers", exams(&data.join("jhu"))?));
    }
    let mut rows = table::new([
        "answers",
        "pairs",
        "agree, %",
        "math right, %",
        "math-verify right, %",
    ]);
    for (name, pairs) in &sets {
        let ours = ours(pairs)?;
        let theirs = theirs(python, pairs)?;
        let agree = ours
            .iter()
            .zip(&theirs)
            .map(|(ours, theirs)| ours == theirs);
        let agree: Vec<bool> = agree.collect();
        let right = |verdicts: &[bool]| {
            let known = pairs.iter().zip(verdicts);
            let known: Vec<bool> = known
                .filter_map(|(pair, verdict)| Some(pair.truth? == *verdict))
                .collect();
            match known.is_empty() {
                true => "—".to_owned(),
                false => format!("{:.1}", share(&known)),
            }
        };
        rows.add_row([
            (*name).to_owned(),
            pairs.len().to_string(),
            format!("{:.1}", share(&agree)),
            right(&ours),
            right(&theirs),
        ]);
        for ((pair, ours), theirs) in pairs.iter().zip(&ours).zip(&theirs) {
            if ours != theirs {
                let truth = pair.truth.map_or("—".to_owned(), |truth| truth.to_string());
                writeln!(
                    out,
                    "{name}: expected {:?}, response {:?}: math {ours}, math-verify {theirs}, truth {truth}",
                    pair.expected,
                    end(&pair.response),
                )?;
            }
        }
    }
    writeln!(out, "{rows}")?;
    Ok(())
}

/// How many of them are so, in percent.
fn share(are_so: &[bool]) -> f64 {
    let count = are_so.iter().filter(|is_so| **is_so).count();
    100.0 * count as f64 / are_so.len().max(1) as f64
}

/// The end of a text.
fn end(text: &str) -> String {
    const LENGTH: usize = 160;
    let skipped = text.chars().count().saturating_sub(LENGTH);
    text.chars().skip(skipped).collect()
}

fn ours(pairs: &[Pair]) -> anyhow::Result<Vec<bool>> {
    let spec: ScorerSpec =
        serde_json::from_value(json!({"type": "math", "expected": "{{ answer }}"}))?;
    let scorer = Scorer::compile(&spec)?;
    let verdict = |pair: &Pair| {
        let row = Map::from_iter([("answer".to_owned(), json!(pair.expected))]);
        Ok(scorer.score(&row, &pair.response)? == 1.0)
    };
    pairs.iter().map(verdict).collect()
}

fn theirs(python: &Path, pairs: &[Pair]) -> anyhow::Result<Vec<bool>> {
    let mut child = Command::new(python)
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} does not start", python.display()))?;
    let mut asked = child.stdin.take().context("no way to ask")?;
    let answers = child.stdout.take().context("no way to hear")?;
    let mut answers = BufReader::new(answers).lines();
    let mut verdicts = Vec::new();
    // One by one: neither side waits for a pipe that is full.
    for pair in pairs {
        let question = json!({"expected": pair.expected, "response": pair.response});
        if writeln!(asked, "{question}").is_err() {
            break;
        }
        match answers.next().transpose()?.as_deref() {
            Some("true") => verdicts.push(true),
            Some("false") => verdicts.push(false),
            _ => break,
        }
    }
    drop(asked);
    child.wait()?;
    if verdicts.len() < pairs.len() {
        bail!("math-verify is not there; give a Python that has it as FRUGAL_PYTHON");
    }
    Ok(verdicts)
}

fn table() -> anyhow::Result<Vec<Pair>> {
    let lines = TABLE
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pair = |line: &str| {
        let (sides, truth) = match line.split_once(" == ") {
            Some(sides) => (sides, true),
            None => (line.split_once(" != ").context("no pair")?, false),
        };
        Ok(Pair {
            expected: sides.0.to_owned(),
            response: sides.1.replace('⏎', "\n"),
            truth: Some(truth),
        })
    };
    lines.map(pair).collect()
}

fn arithmetic() -> anyhow::Result<Vec<Pair>> {
    let recordings = Recordings::embedded()?;
    let rows = recordings.instances("arithmetic");
    let mut pairs = Vec::new();
    for key in recordings.cell_keys() {
        let row = rows.iter().find(|row| row["id"] == key.instance);
        let Some(row) = row.filter(|_| key.task == "arithmetic") else {
            continue;
        };
        let expected = match &row["answer"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        for temperature in recordings.temperatures(key.task, key.model, key.prompt) {
            for response in recordings
                .responses(&key, *temperature)
                .iter()
                .take(OF_EACH)
            {
                pairs.push(Pair {
                    expected: expected.clone(),
                    response: response.cut(u32::MAX, recordings.stop()).text,
                    truth: None,
                });
            }
        }
    }
    Ok(pairs)
}

/// The rows of a file, which is packed where its name says so.
fn lines(path: &Path) -> anyhow::Result<Vec<Value>> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let mut text = String::new();
    match path.extension().is_some_and(|end| end == "gz") {
        true => GzDecoder::new(file).read_to_string(&mut text)?,
        false => BufReader::new(file).read_to_string(&mut text)?,
    };
    let rows = text.lines().map(serde_json::from_str);
    Ok(rows.collect::<Result<_, _>>()?)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Each solution as it is, without its mark, and with the answer of the next problem.
fn gsm8k(folder: &Path) -> anyhow::Result<Vec<Pair>> {
    let rows = lines(&folder.join("test300.jsonl.gz"))?;
    let solutions: Vec<String> = rows.iter().map(|row| text(&row["answer"])).collect();
    let answer = |solution: &str| {
        let parts = solution.rsplit_once("####");
        let (work, answer) = parts.context("a solution without an answer")?;
        anyhow::Ok((work.trim().to_owned(), answer.trim().to_owned()))
    };
    let mut pairs = Vec::new();
    for (place, solution) in solutions.iter().enumerate() {
        let (work, expected) = answer(solution)?;
        let (_, other) = answer(&solutions[(place + 1) % solutions.len()])?;
        for (response, truth) in [
            (solution.clone(), Some(true)),
            (work.clone(), None),
            (format!("{work}\n#### {other}"), Some(expected == other)),
        ] {
            pairs.push(Pair {
                expected: expected.clone(),
                response,
                truth,
            });
        }
    }
    Ok(pairs)
}

/// The right choice of each question, held against every choice of it.
fn choices(folder: &Path) -> anyhow::Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    for row in lines(&folder.join("problems.jsonl"))? {
        let choices = row["choices"]
            .as_object()
            .context("a question without choices")?;
        let has_digit = |choice: &Value| text(choice).contains(|c: char| c.is_ascii_digit());
        let is_short = |choice: &Value| text(choice).len() < 40;
        if !choices
            .values()
            .all(|choice| has_digit(choice) && is_short(choice))
        {
            continue;
        }
        let answer = text(&row["answer"]);
        let expected = choices.get(&answer).map(text).unwrap_or_default();
        for (letter, choice) in choices {
            pairs.push(Pair {
                expected: expected.clone(),
                response: text(choice),
                truth: Some(*letter == answer),
            });
        }
    }
    Ok(pairs)
}

/// The first answer of each model to each question at each temperature, held against the right letter.
fn exams(folder: &Path) -> anyhow::Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    for name in EXAMS {
        for row in lines(&folder.join(format!("{name}.jsonl.gz")))? {
            let sample = &row["samples"][0];
            pairs.push(Pair {
                expected: text(&row["correct_answer"]),
                response: text(&sample["text"]),
                truth: sample["correct"].as_bool(),
            });
        }
    }
    Ok(pairs)
}
