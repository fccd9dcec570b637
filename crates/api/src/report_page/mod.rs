//! What a job has found as a page: one file of HTML without scripts, to be read, printed or sent.
//!
//! [`render`] reads the stored report, the trials and the bests as they came, and fills `report.html`, which
//! escapes whatever comes from outside. `plot.rs` says where things lie in the pictures.

mod figures;
mod plot;

use crate::wire::Trial;
use base64::prelude::{BASE64_STANDARD, Engine};
use frugal_domain::money::{Budget, Spend, Unit, Usd};
use frugal_domain::trial::{CostEstimate, Estimate, Interval};
use frugal_store::jobs::Job;
use minijinja::{AutoEscape, Environment};
use plot::{Dot, Line, Plot};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

const TEMPLATE: &str = include_str!("report.html");
const STYLE: &str = include_str!("report.css");
/// Configurations beside the baseline and the winner.
const MOST_OTHERS: usize = 3;
/// Trials in the table.
const MOST_TRIALS: usize = 100;
/// What stands where there is nothing.
const NOTHING: &str = "–";

/// The best of a job as it came to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lead {
    /// What was spent by then.
    pub spend: Spend,
    /// How good it was.
    pub utility: f64,
}

/// What is read of a stored report.
#[derive(Debug, Deserialize)]
struct Found {
    /// Absent in reports of earlier versions.
    summary: Option<String>,
    improvement_detail: String,
    baseline: Option<Scored>,
    winner: Option<Scored>,
    difference: Option<Difference>,
    holdout: Option<Holdout>,
    front: Vec<Scored>,
    nearly_as_good: Option<NearlyAsGood>,
    spend: Spend,
    spend_by_role: BTreeMap<String, Spend>,
    savings: Savings,
    #[serde(default)]
    notes: Vec<Note>,
}

#[derive(Debug, Clone, Deserialize)]
struct Scored {
    trial: u32,
    configuration: Map<String, Value>,
    utility: Estimate,
    utility_interval: Option<Interval>,
    inference_cost: CostEstimate,
}

#[derive(Debug, Deserialize)]
struct Difference {
    mean: f64,
    count: u32,
    interval: Interval,
}

#[derive(Debug, Deserialize)]
struct Holdout {
    winner: Difference,
    baseline: Option<Difference>,
    difference: Option<Difference>,
}

#[derive(Debug, Deserialize)]
struct NearlyAsGood {
    trial: u32,
    detail: String,
}

#[derive(Debug, Deserialize)]
struct Savings {
    spent: Spend,
    full_evaluation: Spend,
    reused_responses: u64,
}

#[derive(Debug, Deserialize)]
struct Note {
    detail: String,
}

/// A row of a table.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    cells: Vec<String>,
}

impl Row {
    fn new(name: impl Into<String>, cells: impl IntoIterator<Item = String>) -> Self {
        Self {
            name: name.into(),
            cells: cells.into_iter().collect(),
        }
    }
}

/// The name above a column.
#[derive(Debug, Serialize)]
struct Column {
    name: String,
    is_winner: bool,
}

/// All that the page shows.
#[derive(Debug, Serialize)]
struct Page {
    policy: &'static str,
    style: &'static str,
    title: String,
    standing: String,
    lead: String,
    metric: String,
    meaning: String,
    columns: Vec<Column>,
    rows: Vec<Row>,
    certainty: Vec<String>,
    scatter: Option<Plot>,
    scatter_words: String,
    curve: Option<Plot>,
    curve_words: String,
    spend: Vec<Row>,
    spend_words: String,
    notes: Vec<String>,
    trials: Vec<Row>,
    trials_header: Vec<String>,
    trials_words: String,
}

/// What the page may do (Content Security Policy Level 3): have its own style, and nothing else.
pub(crate) static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        BASE64_STANDARD.encode(Sha256::digest(STYLE))
    )
});

/// The page of a job that has ended.
///
/// # Errors
/// The stored report is of no version that is known, or the template breaks.
pub(crate) fn render(
    job: &Job,
    report: &Value,
    trials: &[Trial],
    leads: &[Lead],
    warnings: &[String],
) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let found = Found::deserialize(report)?;
    let mut templates = Environment::new();
    templates.set_auto_escape_callback(|_| AutoEscape::Html);
    templates.add_template("report", TEMPLATE)?;
    let page = Page::new(job, &found, trials, leads, warnings);
    Ok(templates
        .get_template("report")?
        .render(minijinja::value::Serde(&page))?)
}

impl Page {
    fn new(
        job: &Job,
        found: &Found,
        trials: &[Trial],
        leads: &[Lead],
        warnings: &[String],
    ) -> Self {
        let spec = &job.spec;
        let unit = spec.optimization_budget.unit();
        let metric = spec.objective.metric.as_str().replace('_', " ");
        let (columns, rows) = side_by_side(found);
        let (trials_header, shown) = table(found, trials, spec.objective.direction.loss(1.0) > 0.0);
        let left_out = trials.len().saturating_sub(shown.len());
        Self {
            policy: &POLICY,
            style: STYLE,
            title: spec
                .name
                .clone()
                .unwrap_or_else(|| "A job without a name".to_owned()),
            standing: standing(job),
            lead: found
                .summary
                .clone()
                .unwrap_or_else(|| found.improvement_detail.clone()),
            meaning: format!(
                "{metric}: the mean over rows ± its standard error. Cost: one prompt and all n answers."
            ),
            columns,
            rows,
            certainty: certainty(found),
            scatter: scatter(job, found, trials),
            scatter_words: scatter_words(job, trials),
            curve: curve(unit, leads),
            curve_words: curve_words(leads, unit),
            spend: found
                .spend_by_role
                .iter()
                .map(|(role, spend)| money(role, *spend))
                .chain([money("all", found.spend)])
                .collect(),
            spend_words: spend_words(job, found),
            notes: found
                .notes
                .iter()
                .map(|note| note.detail.clone())
                .chain(warnings.iter().cloned())
                .collect(),
            trials_words: match left_out {
                0 => format!("All {} of them, the best first.", shown.len()),
                left_out => format!(
                    "The best {} of them; {left_out} more are in the job's list of trials.",
                    shown.len()
                ),
            },
            trials_header,
            trials: shown,
            metric,
        }
    }
}

/// Which job it is, how it ended, and within which bounds.
fn standing(job: &Job) -> String {
    let mut parts = vec![format!("Job {}", job.id)];
    let reason = job
        .stop_reason
        .map(|reason| reason.as_str().replace('_', " "));
    let ended = job
        .finished_at
        .map(|at| at.format(" on %-d %B %Y at %H:%M UTC").to_string());
    parts.push(format!(
        "{}{}{}",
        job.state,
        ended.unwrap_or_default(),
        reason
            .map(|reason| format!(" ({reason})"))
            .unwrap_or_default()
    ));
    if let Some(budget) = job.spec.inference_budget {
        parts.push(format!("at most {budget} a row"));
    }
    parts.push(format!("at most {} in all", job.spec.optimization_budget));
    parts.join(" · ")
}

/// The baseline, the winner and those that come next, with their settings and numbers.
fn side_by_side(found: &Found) -> (Vec<Column>, Vec<Row>) {
    let (baseline, winner) = (found.baseline.as_ref(), found.winner.as_ref());
    let shown: BTreeSet<u32> = [baseline, winner]
        .into_iter()
        .flatten()
        .map(|one| one.trial)
        .collect();
    let stays = baseline
        .zip(winner)
        .is_some_and(|(one, other)| one.trial == other.trial);
    let mut sides: Vec<(String, &Scored)> = Vec::new();
    if let Some(baseline) = baseline {
        let name = if stays {
            "baseline, and winner"
        } else {
            "baseline"
        };
        sides.push((name.to_owned(), baseline));
    }
    if let Some(winner) = winner.filter(|_| !stays) {
        sides.push((format!("winner (trial {})", winner.trial), winner));
    }
    let nearly = found.nearly_as_good.as_ref().map(|nearly| nearly.trial);
    let mut others: Vec<&Scored> = found
        .front
        .iter()
        .filter(|one| !shown.contains(&one.trial))
        .collect();
    // The front goes from the cheapest to the best; what is nearly as good comes first of all.
    others.reverse();
    others.sort_by_key(|one| Some(one.trial) != nearly);
    sides.extend(others.into_iter().take(MOST_OTHERS).map(|one| {
        let name = match Some(one.trial) == nearly {
            true => format!("nearly as good (trial {})", one.trial),
            false => format!("trial {}", one.trial),
        };
        (name, one)
    }));
    let names: BTreeSet<&String> = sides
        .iter()
        .flat_map(|(_, one)| one.configuration.keys())
        .collect();
    let each = |show: &dyn Fn(&Scored) -> String| {
        sides.iter().map(|(_, one)| show(one)).collect::<Vec<_>>()
    };
    let mut rows: Vec<Row> = names
        .into_iter()
        .map(|name| {
            let cells = each(&|one| {
                one.configuration
                    .get(name)
                    .map_or_else(|| NOTHING.to_owned(), figures::setting)
            });
            Row::new(name.replace('_', " "), cells)
        })
        .collect();
    rows.push(Row::new("how good", each(&|one| mean(&one.utility))));
    rows.push(Row::new(
        "95 % interval",
        each(&|one| {
            one.utility_interval
                .map_or_else(|| NOTHING.to_owned(), interval)
        }),
    ));
    if let Some(held_out) = &found.holdout {
        let of = |one: &Scored| {
            let is = |other: Option<&Scored>| other.is_some_and(|other| other.trial == one.trial);
            match (is(winner), is(baseline)) {
                (true, _) => Some(&held_out.winner),
                (_, true) => held_out.baseline.as_ref(),
                _ => None,
            }
        };
        let cells =
            each(&|one| of(one).map_or_else(|| NOTHING.to_owned(), |it| figures::number(it.mean)));
        rows.push(Row::new(
            format!("on {} rows held out", held_out.winner.count),
            cells,
        ));
    }
    rows.push(Row::new(
        "cost of a row",
        each(&|one| cost(&one.inference_cost)),
    ));
    let columns = sides
        .iter()
        .map(|(name, one)| Column {
            name: name.clone(),
            is_winner: winner.is_some_and(|winner| winner.trial == one.trial),
        })
        .collect();
    (columns, rows)
}

/// What the improvement rests on.
fn certainty(found: &Found) -> Vec<String> {
    let mut lines = vec![sentence(&found.improvement_detail)];
    let tell = |difference: &Difference, rows: &str| {
        format!(
            "Winner less baseline, row by row, on {} {rows}: {} (95 % interval {}).",
            difference.count,
            signed(difference.mean),
            interval(difference.interval)
        )
    };
    if let Some(difference) = found
        .holdout
        .as_ref()
        .and_then(|held_out| held_out.difference.as_ref())
    {
        lines.push(tell(difference, "rows that the search never saw"));
    }
    if let Some(difference) = &found.difference {
        lines.push(format!(
            "{} The search chose the winner by these, so this lead is as a rule too large.",
            tell(difference, "rows that the search saw")
        ));
    }
    if let Some(nearly) = &found.nearly_as_good {
        lines.push(sentence(&nearly.detail));
    }
    lines
}

/// Every evaluated trial by its cost and its utility, with the front and the budget.
fn scatter(job: &Job, found: &Found, trials: &[Trial]) -> Option<Plot> {
    let winner = found.winner.as_ref().map(|winner| winner.trial);
    let mut dots: Vec<Dot> = trials
        .iter()
        .filter_map(|trial| {
            let (utility, cost) = (trial.utility.as_ref()?, trial.inference_cost.as_ref()?);
            let kind = match trial.number {
                number if Some(number) == winner => "winner",
                0 => "baseline",
                _ if trial.valid == Some(true) => "valid",
                _ => "invalid",
            };
            Some(Dot {
                x: cost.mean,
                y: utility.mean,
                title: format!(
                    "trial {}: {} at {}",
                    trial.number,
                    figures::number(utility.mean),
                    figures::amount(job.spec.cost_unit(), cost.mean)
                ),
                kind,
            })
        })
        .collect();
    // What matters most is drawn last, on top.
    dots.sort_by_key(|dot| matches!(dot.kind, "baseline" | "winner"));
    let front: Vec<(f64, f64)> = found
        .front
        .iter()
        .map(|one| (one.inference_cost.estimate.mean, one.utility.mean))
        .collect();
    let budget = job.spec.inference_budget.map(bound);
    Plot::new(
        job.spec.cost_unit(),
        &dots,
        (Line::Straight, &front),
        budget.filter(|_| !dots.is_empty()),
    )
}

/// A budget in dollars or tokens.
fn bound(budget: Budget) -> f64 {
    of_unit(budget.unit(), budget.amount())
}

/// An amount of the books in dollars or tokens.
#[expect(clippy::cast_precision_loss, reason = "for display, not for books")]
fn of_unit(unit: Unit, amount: u64) -> f64 {
    match unit {
        Unit::Usd => Usd::from_pico(amount).dollars(),
        Unit::Tokens => amount as f64,
    }
}

fn scatter_words(job: &Job, trials: &[Trial]) -> String {
    let evaluated = trials
        .iter()
        .filter(|trial| trial.utility.is_some())
        .count();
    let valid = trials
        .iter()
        .filter(|trial| trial.utility.is_some() && trial.valid == Some(true))
        .count();
    match job.spec.inference_budget {
        Some(budget) => {
            format!("{valid} of {evaluated} configurations fit {budget} a row.")
        }
        None => format!("{evaluated} configurations were evaluated; no budget bounds a row."),
    }
}

fn curve(unit: Unit, leads: &[Lead]) -> Option<Plot> {
    let line: Vec<(f64, f64)> = leads
        .iter()
        .map(|lead| (of_unit(unit, unit.of(lead.spend)), lead.utility))
        .collect();
    // A single point is no curve.
    (line.len() > 1).then(|| Plot::new(unit, &[], (Line::Steps, &line), None))?
}

/// How good the best was in the end, and since when.
fn curve_words(leads: &[Lead], unit: Unit) -> String {
    let Some(last) = leads.last() else {
        return String::new();
    };
    // Estimates still move in digits that are not shown.
    let shown = figures::number(last.utility);
    let same = leads
        .iter()
        .rev()
        .take_while(|lead| figures::number(lead.utility) == shown);
    let first = same.last().unwrap_or(last);
    format!(
        "{shown} from {} on.",
        figures::amount(unit, of_unit(unit, unit.of(first.spend)))
    )
}

fn money(name: &str, spend: Spend) -> Row {
    Row::new(
        name.replace('_', " "),
        [
            figures::amount(Unit::Usd, spend.usd.dollars()),
            spend.tokens.to_string(),
        ],
    )
}

fn spend_words(job: &Job, found: &Found) -> String {
    let budget = job.spec.optimization_budget;
    let unit = budget.unit();
    let of = |spend: Spend| of_unit(unit, unit.of(spend));
    let mut words = format!(
        "{} of {budget} were spent.",
        figures::amount(unit, of(found.spend))
    );
    let Savings {
        spent,
        full_evaluation,
        reused_responses,
    } = found.savings;
    if of(full_evaluation) > 1.05 * of(spent) {
        words.push_str(&format!(
            " Looking at every configuration in full would have cost the search {} in place of {}.",
            figures::amount(unit, of(full_evaluation)),
            figures::amount(unit, of(spent))
        ));
    }
    if reused_responses > 0 {
        words.push_str(&format!(
            " {reused_responses} answers served more than one configuration."
        ));
    }
    words
}

/// The best trials as a table: those within the budgets first, then by their worth.
fn table(found: &Found, trials: &[Trial], less_is_better: bool) -> (Vec<String>, Vec<Row>) {
    let sign = if less_is_better { -1.0 } else { 1.0 };
    let mut sorted: Vec<&Trial> = trials.iter().collect();
    let worth = |trial: &Trial| {
        trial
            .utility
            .as_ref()
            .map_or(f64::NEG_INFINITY, |utility| sign * utility.mean)
    };
    sorted.sort_by(|a, b| {
        let valid = |trial: &Trial| trial.valid == Some(true);
        valid(b).cmp(&valid(a)).then(worth(b).total_cmp(&worth(a)))
    });
    let configurations: Vec<Map<String, Value>> = sorted
        .iter()
        .take(MOST_TRIALS)
        .map(|trial| match serde_json::to_value(&trial.configuration) {
            Ok(Value::Object(settings)) => settings,
            _ => Map::new(),
        })
        .collect();
    // What is the same in all of them says nothing.
    let names: BTreeSet<&String> = configurations.iter().flat_map(Map::keys).collect();
    let varies = |name: &str| {
        configurations
            .iter()
            .any(|one| one.get(name) != configurations.first().and_then(|first| first.get(name)))
    };
    let names: Vec<&String> = names.into_iter().filter(|name| varies(name)).collect();
    let winner = found.winner.as_ref().map(|winner| winner.trial);
    let rows = sorted
        .iter()
        .zip(&configurations)
        .map(|(trial, configuration)| {
            let name = match trial.number {
                0 => "0, the baseline".to_owned(),
                number if Some(number) == winner => format!("{number}, the winner"),
                number => number.to_string(),
            };
            let settings = names.iter().map(|name| {
                configuration
                    .get(*name)
                    .map_or_else(|| NOTHING.to_owned(), figures::setting)
            });
            let settings: Vec<String> = settings.collect();
            let utility = trial.utility.as_ref().map_or_else(
                || trial_state(trial),
                |utility| figures::number(utility.mean),
            );
            let cost = trial
                .inference_cost
                .as_ref()
                .map_or_else(|| NOTHING.to_owned(), |cost| figures::number(cost.mean));
            let fits = match trial.valid {
                Some(true) => "yes",
                Some(false) => "no",
                None => NOTHING,
            };
            Row::new(
                name,
                settings.into_iter().chain([utility, cost, fits.to_owned()]),
            )
        });
    let rows = rows.collect();
    let header = std::iter::once("trial".to_owned())
        .chain(names.iter().map(|name| name.replace('_', " ")))
        .chain(["how good", "cost of a row", "fits"].map(str::to_owned));
    (header.collect(), rows)
}

/// What became of a trial that has no estimate.
fn trial_state(trial: &Trial) -> String {
    match serde_json::to_value(trial.state) {
        Ok(Value::String(state)) => state.replace('_', " "),
        _ => NOTHING.to_owned(),
    }
}

fn mean(estimate: &Estimate) -> String {
    match estimate.standard_error {
        Some(error) => format!(
            "{} ± {}",
            figures::number(estimate.mean),
            figures::number(error)
        ),
        None => figures::number(estimate.mean),
    }
}

fn interval(interval: Interval) -> String {
    format!(
        "{} to {}",
        figures::number(interval.low),
        figures::number(interval.high)
    )
}

fn signed(value: f64) -> String {
    let sign = if value > 0.0 { "+" } else { "" };
    format!("{sign}{}", figures::number(value))
}

fn cost(cost: &CostEstimate) -> String {
    figures::amount(cost.unit, cost.estimate.mean)
}

/// Words as a sentence.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters
        .next()
        .map(|letter| letter.to_uppercase().to_string());
    let whole = format!("{}{}", first.unwrap_or_default(), letters.as_str());
    match whole.ends_with(['.', '!', '?']) {
        true => whole,
        false => format!("{whole}."),
    }
}
