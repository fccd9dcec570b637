//! What is printed in the end: what was found, what it took, where to look further.

use super::report::{Outcome, Report, Scored};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use frugal_domain::job::ExtentChoice;
use frugal_domain::money::{Budget, Spend, Unit, Usd};
use frugal_domain::state::StopReason;
use frugal_domain::trial::{CostEstimate, Estimate, Improvement, Interval};
use serde_json::Value;
use std::fmt::Write;

/// What a setting that a configuration does not have is shown as.
pub const ABSENT: &str = "-";

/// The default configuration and the winner side by side.
#[must_use]
pub fn found(outcome: &Outcome) -> String {
    let Report {
        baseline, winner, ..
    } = &outcome.report;
    let sides = [baseline.as_ref(), winner.as_ref()];
    let mut table = new_table(["", "default", "winner"]);
    let mut names: Vec<&str> = Vec::new();
    let mut same: Vec<String> = Vec::new();
    for side in sides.into_iter().flatten() {
        for (name, value) in &side.configuration {
            if names.contains(&name.as_str()) {
                continue;
            }
            let is_same = sides
                .iter()
                .all(|side| side.is_none_or(|side| side.configuration.get(name) == Some(value)));
            // Which endpoint it is, and which texts stop an answer, is seldom what was searched.
            if is_same && matches!(name.as_str(), "endpoint" | "stop") {
                let line = format!("{name} {}", setting(Some(value)));
                if !same.contains(&line) {
                    same.push(line);
                }
            } else {
                names.push(name);
            }
        }
    }
    let row = |name: &str, show: &dyn Fn(&Scored) -> String| -> [String; 3] {
        let [left, right] = sides.map(|side| side.map_or_else(|| ABSENT.to_owned(), show));
        [name.to_owned(), left, right]
    };
    for name in ["model", "prompt", "temperature", "max_tokens", "n"] {
        if let Some(position) = names.iter().position(|other| *other == name) {
            names.remove(position);
            table.add_row(row(name, &|side| setting(side.configuration.get(name))));
        }
    }
    for name in names {
        table.add_row(row(name, &|side| setting(side.configuration.get(name))));
    }
    table.add_row(row("utility", &|side| estimate(&side.utility)));
    table.add_row(row("95 % interval", &|side| {
        side.utility_interval
            .map_or_else(|| ABSENT.to_owned(), interval)
    }));
    if let Some(held_out) = &outcome.report.holdout {
        let shown = |side: Option<&Estimate>| side.map_or_else(|| ABSENT.to_owned(), estimate);
        table.add_row([
            format!("on {} held out", held_out.winner.count),
            shown(held_out.baseline.as_ref()),
            shown(Some(&held_out.winner)),
        ]);
    }
    table.add_row(row("cost per instance", &|side| cost(&side.inference_cost)));
    let summary = outcome.report.summary.as_deref();
    let summary = summary.map(|summary| format!("\n{summary}\n"));
    let mut text = format!("{}\n{table}\n", summary.unwrap_or_default());
    let instances = sides.into_iter().flatten().map(|side| side.utility.count);
    let instances = instances.max().unwrap_or(0);
    if !same.is_empty() {
        let _ = writeln!(text, "the same in both: {}", same.join(", "));
    }
    let _ = writeln!(
        text,
        "utility: {}, mean of {instances} instances ± standard error",
        meaning(&outcome.report.objective.metric)
    );
    let _ = writeln!(
        text,
        "cost per instance: one prompt and its n answers; {}",
        match outcome.job.budgets.inference {
            Some(budget) => format!("at most {} is allowed", budget_amount(budget)),
            None => "there is no limit on it".to_owned(),
        }
    );
    match (&outcome.report.difference, winner, baseline) {
        (_, None, _) => text.push_str("No configuration was found within the inference budget.\n"),
        (_, Some(winner), Some(baseline)) if winner.trial == baseline.trial => {
            text.push_str("Nothing was found to be better than the default.\n");
        }
        (Some(difference), Some(_), Some(_)) => {
            let held_out = outcome.report.holdout.as_ref();
            let held_out = held_out.and_then(|held_out| held_out.difference.as_ref());
            let _ = writeln!(
                text,
                "winner less default, instance by instance: {}\n\
                 The winner is the best of {} on these instances.",
                signed(difference),
                outcome.report.configurations_tried(),
            );
            if let Some(difference) = held_out {
                let _ = writeln!(
                    text,
                    "the same on the instances held out: {}",
                    signed(difference)
                );
            }
            let _ = writeln!(text, "{}", verdict(&outcome.report));
        }
        _ => {}
    }
    if let Some(found) = &outcome.report.nearly_as_good {
        let _ = writeln!(text, "nearly as good: {}", found.detail);
    }
    text
}

/// What a metric is, in words.
fn meaning(metric: &str) -> String {
    match metric {
        "expected_success" => {
            "the chance that at least one of an instance's n answers is right".to_owned()
        }
        "majority" => "whether the answer that most of an instance's n give is right".to_owned(),
        "mean" => "the mean score of an instance's n answers".to_owned(),
        other => format!("the metric `{other}`"),
    }
}

/// Whether the winner is better than the default, in one line.
fn verdict(report: &Report) -> String {
    let improvement = match report.improvement {
        Improvement::Significant => "significantly better",
        Improvement::NotSignificant => "not significant",
        Improvement::None => "no improvement",
    };
    format!("verdict: {improvement}; {}", report.improvement_detail)
}

/// What the search took and what it saved.
#[must_use]
pub fn spent(outcome: &Outcome) -> String {
    if outcome.job.search.extent == ExtentChoice::Profiled {
        return profiled(outcome);
    }
    let report = &outcome.report;
    let budget = outcome.job.budgets.optimization;
    let mut table = new_table(["", "the search"]);
    table.add_row([
        "trials evaluated in full",
        &report.configurations_evaluated().to_string(),
    ]);
    table.add_row([
        "pruned before any request",
        &report.trials.pruned_before_requests.to_string(),
    ]);
    table.add_row([
        "pruned on the way",
        &report.trials.pruned_on_the_way.to_string(),
    ]);
    let lost = [
        ("refused by the endpoint", report.trials.infeasible),
        ("failed for want of answers", report.trials.failed),
        ("cut off by the end", report.trials.stopped),
    ];
    for (name, count) in lost.into_iter().filter(|(_, count)| *count > 0) {
        table.add_row([name, &count.to_string()]);
    }
    let money = money(budget);
    table.add_row([&format!("{money} spent"), &spend(budget, report.spend)]);
    table.add_row([
        &format!("{money} that full evaluation would have cost"),
        &format!("{} (estimate)", spend(budget, full_evaluation(report))),
    ]);
    format!(
        "\n{table}\npruned: given up as over the allowed inference cost, or as clearly \
         worse than the best\nfull evaluation: of the same configurations, on every instance\n{}\n",
        ending(outcome)
    )
}

/// What a profiled search took.
fn profiled(outcome: &Outcome) -> String {
    let report = &outcome.report;
    let budget = outcome.job.budgets.optimization;
    let mut table = new_table(["", "the search"]);
    let mut row = |name: &str, shown: String| {
        table.add_row([name.to_owned(), shown]);
    };
    row(
        "sampling settings drawn for",
        report.configurations_tried().to_string(),
    );
    row("requests", report.trials.requests.to_string());
    row("responses", report.trials.responses.to_string());
    row(
        &format!("{} spent", money(budget)),
        spend(budget, report.spend),
    );
    format!(
        "\n{table}\nsampling settings: model, prompt, temperature; n and max_tokens are read from \
         the responses\n{}\n",
        ending(outcome)
    )
}

/// What the report says of what it does not show, a line each; nothing where it says nothing.
#[must_use]
pub fn notes(outcome: &Outcome) -> String {
    let mut text = String::new();
    for note in &outcome.report.notes {
        let _ = writeln!(text, "note: {}", note.detail);
    }
    text
}

/// The same job without pruning and with it.
#[must_use]
pub fn compared(off: &Outcome, on: &Outcome) -> String {
    let budget = on.job.budgets.optimization;
    let mut table = new_table(["", "pruning off", "pruning on"]);
    let mut row = |name: &str, show: &dyn Fn(&Report) -> String| {
        table.add_row([name.to_owned(), show(&off.report), show(&on.report)]);
    };
    row("configurations tried", &|report| {
        report.configurations_tried().to_string()
    });
    row("  evaluated in full", &|report| {
        report.configurations_evaluated().to_string()
    });
    row("  pruned before any request", &|report| {
        report.trials.pruned_before_requests.to_string()
    });
    row("  pruned on the way", &|report| {
        report.trials.pruned_on_the_way.to_string()
    });
    let money = money(budget);
    row(&format!("{money} spent"), &|report| {
        spend(budget, report.spend)
    });
    row(
        &format!("{money} that full evaluation would have cost"),
        &|report| spend(budget, full_evaluation(report)),
    );
    row("winner's utility", &|report| {
        let winner = report.winner.as_ref();
        winner.map_or_else(|| ABSENT.to_owned(), |winner| estimate(&winner.utility))
    });
    let tried = [off, on].map(|outcome| f64::from(outcome.report.configurations_tried()));
    let ratio = if tried[0] > 0.0 {
        format!("{:.1} times as many configurations", tried[1] / tried[0])
    } else {
        format!("{} configurations instead of none", tried[1])
    };
    format!(
        "\n{table}\nUnder the same budget of {}, pruning tries {ratio}.\n",
        budget_amount(budget)
    )
}

/// Where to look further while the server is up.
#[must_use]
pub fn links(api_url: &str, job: &str) -> String {
    format!(
        "\nIn a browser: {api_url}/#/jobs/{job}\n\
         From another terminal:\n  \
         curl {api_url}/jobs/{job}\n  \
         curl {api_url}/jobs/{job}/report\n  \
         curl {api_url}/jobs/{job}/trials\n  \
         curl -N -H 'Accept: text/event-stream' {api_url}/jobs/{job}/events\n  \
         curl {api_url}/openapi.yaml\n\
         Ctrl-C stops everything.\n"
    )
}

/// Why the search ended.
fn ending(outcome: &Outcome) -> String {
    match outcome.report.stop_reason {
        StopReason::BudgetExhausted => format!(
            "The search ended because its budget of {} was spent, or too little of it left to bring anything.",
            budget_amount(outcome.job.budgets.optimization)
        ),
        StopReason::Converged => {
            "The search ended because nothing more was to be gained on these instances.".to_owned()
        }
        reason => format!("The search ended for this reason: {reason}."),
    }
}

/// What full evaluation of the same configurations would have cost, everything else being equal.
fn full_evaluation(report: &Report) -> Spend {
    report.spend.saturating_sub(report.savings.spent) + report.savings.full_evaluation
}

/// A table with this header, its numbers on the right.
#[must_use]
pub fn new_table<'a>(header: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_header(header.into_iter().collect::<Vec<_>>());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A setting's value for people.
#[must_use]
pub fn setting(value: Option<&Value>) -> String {
    match value {
        None => ABSENT.to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
            (None, Some(float)) => format!("{float:.3}"),
            _ => number.to_string(),
        },
        Some(other) => other.to_string(),
    }
}

/// A mean and its standard error.
#[must_use]
pub fn estimate(estimate: &Estimate) -> String {
    match estimate.standard_error {
        Some(error) => format!("{:.3} ± {error:.3}", estimate.mean),
        None => format!("{:.3}", estimate.mean),
    }
}

/// From its lower to its upper end.
fn interval(interval: Interval) -> String {
    format!("{:.3} to {:.3}", interval.low, interval.high)
}

fn signed(difference: &Estimate) -> String {
    let sign = if difference.mean > 0.0 { "+" } else { "" };
    format!("{sign}{}", estimate(difference))
}

/// What one instance costs, without its error, which the number of digits hides anyway.
#[must_use]
pub fn cost(cost: &CostEstimate) -> String {
    match cost.unit {
        Unit::Usd => dollars(cost.estimate.mean),
        Unit::Tokens => format!("{:.1} tokens", cost.estimate.mean),
    }
}

/// A spend in the unit of a budget.
fn spend(budget: Budget, spend: Spend) -> String {
    amount(budget.unit(), budget.unit().of(spend))
}

/// What a budget is in.
const fn money(budget: Budget) -> &'static str {
    match budget {
        Budget::Usd(_) => "money",
        Budget::Tokens(_) => "tokens",
    }
}

/// A budget's amount, as it was given.
#[must_use]
pub fn budget_amount(budget: Budget) -> String {
    match budget {
        Budget::Usd(usd) => usd.to_string(),
        Budget::Tokens(tokens) => amount(Unit::Tokens, tokens),
    }
}

/// An amount in pico-dollars or tokens.
#[must_use]
pub fn amount(unit: Unit, amount: u64) -> String {
    match unit {
        Unit::Usd => dollars(Usd::from_pico(amount).dollars()),
        Unit::Tokens => format!("{amount} tokens"),
    }
}

/// Dollars to three significant digits, and to the cent at least.
fn dollars(dollars: f64) -> String {
    if dollars == 0.0 {
        return "$0".to_owned();
    }
    let magnitude = dollars.abs().log10().floor();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 2 and 15"
    )]
    let decimals = (2.0 - magnitude).clamp(2.0, 15.0) as usize;
    format!("${dollars:.decimals$}")
}

#[cfg(test)]
mod tests;
