//! What must be so of jobs after whatever struck, read from exports and from what the endpoint counted.
#![expect(
    clippy::expect_used,
    reason = "what cannot be read is wrong here, as it would be at an assertion"
)]

use crate::client::ApiClient;
use frugal_simulator::Statistics;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A job's export, whole.
#[derive(Debug)]
pub(crate) struct Exported {
    lines: Vec<(String, Value)>,
}

/// A response or a score, by what names it.
type Key = String;

impl Exported {
    /// Reads a job's export; nothing where the database is away.
    pub(crate) async fn read(api: &ApiClient, path: &str) -> Option<Self> {
        let response = api.get(&format!("{path}/export")).await;
        if !response.status().is_success() {
            return None;
        }
        let text = response.text().await.expect("the export arrives");
        let lines = text.lines().map(|line| {
            let line: Value = serde_json::from_str(line).expect("a line is JSON");
            let name = line["type"].as_str().unwrap_or_default().to_owned();
            (name, line["data"].clone())
        });
        let lines: Vec<_> = lines.collect();
        assert_eq!(lines.last().map(|(name, _)| name.as_str()), Some("end"));
        Some(Self { lines })
    }

    fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Value> {
        let named = self.lines.iter().filter(move |(of, _)| of == name);
        named.map(|(_, data)| data)
    }

    fn job(&self) -> &Value {
        self.of("job").next().unwrap_or(&Value::Null)
    }

    fn in_state<'a>(&'a self, state: &'a str) -> impl Iterator<Item = &'a Value> {
        self.of("request").filter(move |it| it["state"] == state)
    }

    /// What a client may rely on once it has seen it: responses, scores, and trials that have ended.
    fn acknowledged(&self) -> BTreeMap<Key, String> {
        let responses = self.of("response").map(|it| {
            let key = json!([
                "response",
                it["purpose"],
                it["trial"],
                it["ordinal"],
                it["position"]
            ]);
            (key.to_string(), it["text"].to_string())
        });
        let scores = self.of("score").map(|it| {
            let key = json!(["score", it["response"], it["instance"], it["max_tokens"]]);
            (key.to_string(), it["score"].to_string())
        });
        let ended = self.of("trial").filter(|it| !it["finished_at"].is_null());
        // A later attempt writes the same end once more, so times may differ.
        let trials = ended.map(|it| {
            let key = json!(["trial", it["number"]]);
            (
                key.to_string(),
                json!([it["state"], it["utility"]]).to_string(),
            )
        });
        responses.chain(scores).chain(trials).collect()
    }
}

/// Remembers what was seen on the way.
#[derive(Debug, Default)]
pub(crate) struct Witness(BTreeMap<usize, BTreeMap<Key, String>>);

impl Witness {
    pub(crate) fn saw(&mut self, job: usize, export: &Exported) {
        let seen = self.0.entry(job).or_default();
        for (key, value) in export.acknowledged() {
            seen.entry(key).or_insert(value);
        }
    }

    /// What was seen and is not there in the end, or is another.
    pub(crate) fn missing(&self, job: usize, export: &Exported) -> Vec<String> {
        let now = export.acknowledged();
        let seen = self.0.get(&job).into_iter().flatten();
        let gone = seen.filter(|(key, value)| now.get(*key) != Some(*value));
        gone.map(|(key, value)| {
            let now = now.get(key);
            format!("{key} was seen as {value} and is now {now:?}")
        })
        .collect()
    }
}

fn tokens(spend: &Value) -> u64 {
    spend["tokens"].as_u64().unwrap_or(0)
}

/// What must be so of a job by itself.
pub(crate) fn alone(export: &Exported) -> Vec<String> {
    let mut wrong = Vec::new();
    let job = export.job();
    if job["state"] != "succeeded" {
        let (state, why) = (&job["state"], &job["detail"]);
        wrong.push(format!("it ended as {state}: {why}"));
    }
    let numbers: Vec<_> = export.of("event").map(|it| it["seq"].as_u64()).collect();
    if !numbers
        .iter()
        .copied()
        .eq((1..).map(Some).take(numbers.len()))
    {
        wrong.push(format!("its events have gaps: {numbers:?}"));
    }
    let terminal = ["job.succeeded", "job.failed", "job.cancelled"];
    let ends = export
        .of("event")
        .filter(|it| terminal.contains(&it["type"].as_str().unwrap_or_default()));
    if ends.count() != 1 {
        wrong.push("it has not ended once".to_owned());
    }
    let mut settled = BTreeSet::new();
    for request in export.in_state("answered") {
        let key = json!([request["purpose"], request["trial"], request["ordinal"]]).to_string();
        if !settled.insert(key.clone()) {
            wrong.push(format!("the request {key} has two answers"));
        }
    }
    let responses: BTreeSet<_> = export
        .of("response")
        .map(|it| json!([it["purpose"], it["trial"], it["ordinal"]]).to_string())
        .collect();
    if let Some(without) = settled.difference(&responses).next() {
        wrong.push(format!(
            "the request {without} is answered without a response"
        ));
    }
    wrong.extend(books(export));
    wrong
}

/// What must be so of the books of a job that has ended.
fn books(export: &Exported) -> Vec<String> {
    let mut wrong = Vec::new();
    let job = export.job();
    if let Some(sent) = export.in_state("sent").next() {
        let attempts: Vec<_> = export.of("attempt").collect();
        wrong.push(format!(
            "it has ended with requests in flight: {sent}, after the attempts {}",
            json!(attempts)
        ));
    }
    let booked: u64 = export
        .of("request")
        .map(|it| tokens(&it["cost"]) + tokens(&it["uncertain"]))
        .sum();
    let shown = tokens(&job["spend"]);
    if booked != shown {
        wrong.push(format!(
            "its requests cost {booked} tokens and it shows {shown}"
        ));
    }
    let spent = job["spend"]["usd"].as_f64().unwrap_or(f64::INFINITY);
    let budget = job["budgets"]["optimization"]["usd"].as_f64();
    if spent > budget.unwrap_or(0.0) {
        wrong.push(format!("it spent ${spent} of a budget of {budget:?}"));
    }
    wrong
}

/// The same, of a job that is read for it.
pub(crate) async fn books_of(api: &ApiClient, path: &str) -> Vec<String> {
    match Exported::read(api, path).await {
        Some(export) => books(&export),
        None => vec!["it cannot be exported".to_owned()],
    }
}

/// Sums over all jobs.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    /// Requests with an answer on record.
    pub(crate) answered: u64,
    /// Requests that were in flight when their worker was lost.
    pub(crate) lost: u64,
    answered_tokens: u64,
    lost_tokens: u64,
    uncertain_tokens: u64,
}

impl Totals {
    pub(crate) fn of(exports: &[Exported]) -> Self {
        let mut totals = Self::default();
        for export in exports {
            for request in export.of("request") {
                totals.uncertain_tokens += tokens(&request["uncertain"]);
                match request["state"].as_str() {
                    Some("answered") => {
                        totals.answered += 1;
                        totals.answered_tokens += tokens(&request["cost"]);
                    }
                    Some("lost") => {
                        totals.lost += 1;
                        totals.lost_tokens += tokens(&request["cost"]);
                    }
                    _ => {}
                }
            }
        }
        totals
    }

    /// The requests that have an answer on record, and the tokens of these.
    pub(crate) fn answers(&self) -> (u64, u64) {
        (self.answered, self.answered_tokens)
    }

    /// What does not fit together with what the endpoint counted.
    pub(crate) fn against(&self, statistics: &Statistics) -> Vec<String> {
        let mut wrong = Vec::new();
        let delivered = statistics.models.values().map(|model| model.delivered);
        let (answers, delivered) = delivered.fold((0, 0), |(answers, tokens), usage| {
            let of_model = usage.prompt_tokens + usage.completion_tokens;
            (answers + usage.requests, tokens + of_model)
        });
        let billed = statistics.billed();
        let billed = billed.prompt_tokens + billed.completion_tokens;
        let Self {
            answered,
            lost,
            answered_tokens,
            lost_tokens,
            uncertain_tokens,
        } = *self;
        if !(answered..=answered + lost).contains(&answers) {
            wrong.push(format!(
                "the endpoint gave {answers} answers, of which {answered} are on record and {lost} can be lost"
            ));
        }
        let repeated = statistics.repeated;
        if repeated > lost {
            wrong.push(format!(
                "{repeated} answers were given twice, and {lost} requests were in flight when a worker died"
            ));
        }
        if !(answered_tokens..=answered_tokens + lost_tokens).contains(&delivered) {
            wrong.push(format!(
                "the endpoint billed {delivered} tokens for answers; the ledger has {answered_tokens}, and \
                 {lost_tokens} for what was lost"
            ));
        }
        let ledger = answered_tokens + lost_tokens + uncertain_tokens;
        if billed > ledger {
            wrong.push(format!(
                "the endpoint billed {billed} tokens, and the ledger has {ledger}"
            ));
        }
        wrong
    }
}

/// How many trials were compared with those of the undisturbed run, and what is different.
pub(crate) fn against_undisturbed(export: &Exported, quiet: &Exported) -> (usize, Vec<String>) {
    let mut wrong = Vec::new();
    let of = |export: &Exported| -> BTreeMap<u64, Value> {
        let trials = export.of("trial").map(|trial| {
            let mut metrics = trial["metrics"].clone();
            if let Some(metrics) = metrics.as_object_mut() {
                metrics.remove("latency_ms");
            }
            let found = json!({
                "role": trial["role"],
                "origin": trial["origin"],
                "state": trial["state"],
                "configuration": trial["configuration"],
                "coverage": trial["coverage"],
                "utility": trial["utility"],
                "metrics": metrics,
                "inference_cost": trial["inference_cost"],
                "violated": trial["violated"],
                "valid": trial["valid"],
                "pruned": trial["pruned"],
            });
            (trial["number"].as_u64().unwrap_or(u64::MAX), found)
        });
        trials.collect()
    };
    let (found, expected) = (of(export), of(quiet));
    // Where the money ran out, what was lost ended it a little earlier, within the last trial.
    let ran_out = export.job()["stop_reason"] == "budget_exhausted";
    let mut compared = match ran_out {
        true => found.len().saturating_sub(1),
        false => found.len(),
    };
    // A request that met faults again and again may be given up before its job spends too much on it; from its
    // trial on the search goes another way.
    let given_up = export.in_state("failed").map(|it| it["trial"].as_u64());
    if let Some(first) = given_up.min().flatten() {
        compared = found.range(..first).count().min(compared);
        let differ = differences(&found, &expected, compared);
        return (compared, differ);
    }
    wrong.extend(differences(&found, &expected, compared));
    if !ran_out {
        if found.len() != expected.len() {
            wrong.push(format!(
                "it has {} trials, and undisturbed {}",
                found.len(),
                expected.len()
            ));
        }
        for what in ["stop_reason", "best"] {
            let (found, expected) = (&export.job()[what], &quiet.job()[what]);
            if found != expected {
                wrong.push(format!("its {what} is {found}, and undisturbed {expected}"));
            }
        }
    } else if quiet.job()["stop_reason"] != "budget_exhausted" {
        wrong.push("its budget ran out, and not undisturbed".to_owned());
    }
    (compared, wrong)
}

/// What is different of the first trials.
fn differences(
    found: &BTreeMap<u64, Value>,
    expected: &BTreeMap<u64, Value>,
    compared: usize,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for (number, trial) in found.iter().take(compared) {
        match expected.get(number) {
            Some(expected) if expected == trial => {}
            Some(other) => wrong.push(format!(
                "trial {number} is {trial}, and undisturbed {other}"
            )),
            None => wrong.push(format!("trial {number} is {trial}, and undisturbed none")),
        }
    }
    wrong
}

/// What events tell of a job's trials, each as often as it was told. How far a trial is they tell now and then, and
/// what was spent by the time that one led has requests in it that were lost.
pub(crate) fn told_of_trials(export: &Exported) -> BTreeSet<(String, usize)> {
    let mut told = BTreeMap::<String, usize>::new();
    let kinds = ["trial.", "best.", "validation."];
    for event in export.of("event") {
        let kind = event["type"].as_str().unwrap_or_default();
        if kind != "trial.progress" && kinds.iter().any(|prefix| kind.starts_with(prefix)) {
            let mut data = event["data"].clone();
            if kind == "best.updated" {
                data["spend"] = Value::Null;
            }
            let what = json!([kind, data]).to_string();
            *told.entry(what).or_default() += 1;
        }
    }
    told.into_iter().collect()
}

/// Writes what must not be, a line for each, or else that all is well, in these words.
pub(crate) fn write_verdict(
    f: &mut fmt::Formatter<'_>,
    violations: &[String],
    well: &str,
) -> fmt::Result {
    if violations.is_empty() {
        return writeln!(f, "{well}");
    }
    let mut listed = (1..).zip(violations);
    listed.try_for_each(|(number, what)| writeln!(f, "WRONG {number}: {what}"))
}

/// How many workers have had a job.
pub(crate) fn attempts(export: &Exported) -> usize {
    let running = export
        .of("event")
        .filter(|event| event["type"] == "job.running");
    running.count()
}
