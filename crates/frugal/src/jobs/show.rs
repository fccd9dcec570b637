//! What the server says of jobs, for people.

use crate::demo::table::{
    ABSENT, amount, budget_amount, cost, estimate as mean, new_table, setting,
};
use comfy_table::Table;
use frugal_domain::money::{Budget, Spend};
use frugal_domain::state::{JobState, StopReason, TrialState};
use frugal_domain::trial::{CostEstimate, Estimate};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::fmt::Write;

#[derive(Deserialize)]
struct Page<T> {
    data: Vec<T>,
}

#[derive(Deserialize)]
struct Job {
    id: String,
    name: Option<String>,
    state: JobState,
    stop_reason: Option<StopReason>,
    detail: Option<String>,
    created_at: String,
    progress: Progress,
    spend: Spend,
    budgets: Budgets,
    best: Option<Best>,
    #[serde(default)]
    warnings: Vec<Fault>,
}

#[derive(Deserialize)]
struct Progress {
    trials: Trials,
    responses: u64,
}

#[derive(Deserialize)]
struct Trials {
    total: u64,
}

#[derive(Deserialize)]
struct Budgets {
    inference: Option<Budget>,
    optimization: Budget,
}

#[derive(Deserialize)]
struct Best {
    trial: u32,
    /// Lists leave it out.
    #[serde(default)]
    configuration: Map<String, Value>,
    utility: Estimate,
    inference_cost: CostEstimate,
}

#[derive(Deserialize)]
struct Fault {
    pointer: String,
    detail: String,
}

#[derive(Deserialize)]
struct Trial {
    number: u32,
    role: String,
    state: TrialState,
    configuration: Map<String, Value>,
    utility: Option<Estimate>,
    inference_cost: Option<CostEstimate>,
    valid: Option<bool>,
}

#[derive(Deserialize)]
struct Enqueued {
    configuration: Map<String, Value>,
    trial: Option<Trial>,
}

#[derive(Deserialize)]
struct JobEstimate {
    rows: Rows,
    budgets: Budgets,
    trials: Reach,
    warnings: Vec<Fault>,
}

#[derive(Deserialize)]
struct Rows {
    tuning: u64,
    holdout: u64,
}

#[derive(Deserialize)]
struct Reach {
    expected: u64,
    at_least: u64,
}

/// The jobs of a page.
pub fn jobs(page: &Value) -> anyhow::Result<String> {
    let page = Page::<Job>::deserialize(page)?;
    if page.data.is_empty() {
        return Ok("There is no such job.\n".to_owned());
    }
    let mut table = new_table([
        "id", "name", "state", "spent", "of", "trials", "best", "posted",
    ]);
    for job in &page.data {
        table.add_row([
            job.id.as_str(),
            job.name.as_deref().unwrap_or(ABSENT),
            job.state.as_str(),
            &spent(job),
            &budget_amount(job.budgets.optimization),
            &job.progress.trials.total.to_string(),
            &job.best
                .as_ref()
                .map_or_else(|| ABSENT.to_owned(), |best| mean(&best.utility)),
            &job.created_at,
        ]);
    }
    Ok(format!("{table}\n"))
}

/// A job that was taken: its id alone on the first line, so that a script can take it.
pub fn posted(job: &Value) -> anyhow::Result<String> {
    let job = Job::deserialize(job)?;
    let mut text = format!("{}\n", job.id);
    warn(&mut text, &job.warnings);
    Ok(text)
}

/// How far a job is.
pub fn job(job: &Value) -> anyhow::Result<String> {
    let job = Job::deserialize(job)?;
    let mut text = format!(
        "{} ({}): {}",
        job.name.as_deref().unwrap_or("a job without a name"),
        job.id,
        job.state
    );
    if let Some(reason) = job.stop_reason {
        let _ = write!(text, ", {}", reason.as_str().replace('_', " "));
    }
    let _ = writeln!(
        text,
        "\nspent {} of {}; {} trials, {} responses",
        spent(&job),
        budget_amount(job.budgets.optimization),
        job.progress.trials.total,
        job.progress.responses
    );
    if let Some(detail) = &job.detail {
        let _ = writeln!(text, "{detail}");
    }
    match &job.best {
        Some(best) => {
            let _ = writeln!(
                text,
                "best: trial {} with {}, {} per instance",
                best.trial,
                mean(&best.utility),
                cost(&best.inference_cost)
            );
            for (name, value) in &best.configuration {
                let _ = writeln!(text, "  {name}: {}", setting(Some(value)));
            }
        }
        None => text.push_str("best: none yet\n"),
    }
    Ok(text)
}

/// The trials of a job: those that are valid first, and of these the best.
pub fn trials(trials: &Value, less_is_better: bool) -> anyhow::Result<String> {
    let mut trials = Vec::<Trial>::deserialize(trials)?;
    let sign = if less_is_better { -1.0 } else { 1.0 };
    let rank = |trial: &Trial| {
        let utility = trial.utility.as_ref();
        let worth = utility.map_or(f64::NEG_INFINITY, |utility| sign * utility.mean);
        (trial.valid == Some(true), worth)
    };
    trials.sort_by(|a, b| {
        let ((a_valid, a), (b_valid, b)) = (rank(a), rank(b));
        b_valid.cmp(&a_valid).then(b.total_cmp(&a))
    });
    let mut names: Vec<&str> = Vec::new();
    for name in trials.iter().flat_map(|trial| trial.configuration.keys()) {
        let differs = trials
            .iter()
            .any(|trial| trial.configuration.get(name) != trials[0].configuration.get(name));
        if differs && !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let mut table = trial_table(&names);
    for trial in &trials {
        table.add_row(trial_row(trial, &names));
    }
    Ok(format!("{table}\n"))
}

/// Configurations that were put into a job, in their order, with the trials that they have so far.
pub fn enqueued(answers: &Value) -> anyhow::Result<String> {
    let all = Vec::<Enqueued>::deserialize(answers)?;
    let mut names: Vec<&str> = Vec::new();
    for name in all.iter().flat_map(|one| one.configuration.keys()) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let mut table = trial_table(&names);
    for one in &all {
        table.add_row(match &one.trial {
            Some(trial) => trial_row(trial, &names),
            None => row(
                [ABSENT.to_owned(), "to be begun".to_owned()],
                &one.configuration,
                &names,
                [ABSENT; 3].map(str::to_owned),
            ),
        });
    }
    Ok(format!("{table}\n"))
}

/// A table of trials that shows these settings.
fn trial_table(names: &[&str]) -> Table {
    let heading = ["trial", "state"].into_iter().chain(names.iter().copied());
    new_table(heading.chain(["utility", "cost per instance", "valid"]))
}

/// A trial as a row of such a table.
fn trial_row(trial: &Trial, names: &[&str]) -> Vec<String> {
    let number = match trial.role.as_str() {
        "baseline" => format!("{} (baseline)", trial.number),
        _ => trial.number.to_string(),
    };
    let found = [
        trial
            .utility
            .as_ref()
            .map_or_else(|| ABSENT.to_owned(), mean),
        trial
            .inference_cost
            .as_ref()
            .map_or_else(|| ABSENT.to_owned(), cost),
        match trial.valid {
            Some(true) => "yes".to_owned(),
            Some(false) => "no".to_owned(),
            None => ABSENT.to_owned(),
        },
    ];
    let state = trial.state.as_str().to_owned();
    row([number, state], &trial.configuration, names, found)
}

/// A row of such a table: what the trial is, its settings and what was found.
fn row(
    is: [String; 2],
    configuration: &Map<String, Value>,
    names: &[&str],
    found: [String; 3],
) -> Vec<String> {
    let settings = names.iter().map(|name| setting(configuration.get(*name)));
    is.into_iter().chain(settings).chain(found).collect()
}

/// What a job may cost.
pub fn estimate(estimate: &Value) -> anyhow::Result<String> {
    let estimate = JobEstimate::deserialize(estimate)?;
    let mut text = format!(
        "rows: {} to search on, {} held out\nat most: {} in all",
        estimate.rows.tuning,
        estimate.rows.holdout,
        budget_amount(estimate.budgets.optimization)
    );
    if let Some(budget) = estimate.budgets.inference {
        let _ = write!(text, ", {} per instance", budget_amount(budget));
    }
    let _ = writeln!(
        text,
        "\nas much as {} configurations from the middle of the space would cost in full, {} if each answer is as long \
         as it may be",
        estimate.trials.expected, estimate.trials.at_least
    );
    warn(&mut text, &estimate.warnings);
    Ok(text)
}

fn warn(text: &mut String, warnings: &[Fault]) {
    for warning in warnings {
        let _ = writeln!(text, "warning: {}: {}", warning.pointer, warning.detail);
    }
}

/// What a job has spent, in the unit of its budget.
fn spent(job: &Job) -> String {
    let unit = job.budgets.optimization.unit();
    amount(unit, unit.of(job.spend))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_put_in_is_shown_with_the_trial_that_it_has() {
        let begun = json!({
            "number": 12,
            "role": "search",
            "state": "evaluated",
            "configuration": {"temperature": 0.25, "n": 4},
            "utility": {"mean": 0.75, "standard_error": 0.05, "count": 20},
            "inference_cost": {"unit": "usd", "mean": 0.00012, "standard_error": 0.00001, "count": 20},
            "valid": true,
        });
        let answers = json!([
            {"number": 1, "configuration": {"temperature": 0.25, "n": 4}, "trial": begun},
            {"number": 2, "configuration": {"temperature": 0.5, "n": 1}, "trial": null},
        ]);
        insta::assert_snapshot!(enqueued(&answers).unwrap());
    }
}
