//! What is seen while a job runs: a bar on a terminal, a line now and then elsewhere.

use super::Way;
use super::client::Event;
use super::report::Job;
use super::table::{amount, budget_amount, cost, estimate};
use frugal_domain::money::{Budget, Spend, Usd};
use frugal_domain::trial::{CostEstimate, Estimate};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// Trials between two lines, where there is no bar.
const TRIALS_PER_LINE: u32 = 25;
/// How often the bar is drawn although nothing happened.
const TICK: Duration = Duration::from_millis(200);
/// The trial of the default configuration.
const BASELINE: u32 = 0;

/// Shows how far a job is.
pub struct Progress {
    display: Display,
    tally: Tally,
}

enum Display {
    Bar(Option<ProgressBar>),
    /// A line that cannot be written is no reason to give up the job.
    Lines(Box<dyn Write + Send>),
}

impl Progress {
    /// On standard error: a bar where that is a terminal, lines elsewhere.
    #[must_use]
    pub fn on_standard_error() -> Self {
        match std::io::stderr().is_terminal() {
            true => Self::bar(),
            false => Self::lines(Box::new(std::io::stderr())),
        }
    }

    /// A bar on standard error.
    #[must_use]
    pub const fn bar() -> Self {
        Self {
            display: Display::Bar(None),
            tally: Tally::NOTHING,
        }
    }

    /// Lines of text.
    #[must_use]
    pub const fn lines(to: Box<dyn Write + Send>) -> Self {
        Self {
            display: Display::Lines(to),
            tally: Tally::NOTHING,
        }
    }

    /// Begins with a job that was just accepted.
    pub fn begin(&mut self, job: &Job, way: Way) {
        let optimization = job.budgets.optimization;
        self.tally = Tally {
            budget: Some(optimization),
            ..Tally::NOTHING
        };
        let within = job
            .budgets
            .inference
            .map(|budget| format!("{} per instance, ", budget_amount(budget)))
            .unwrap_or_default();
        let title = format!(
            "Job {}{}: {within}{} in all.",
            job.id,
            match way {
                Way::Default => String::new(),
                Way::Searched(pruning) => format!(", pruning {pruning}"),
            },
            budget_amount(optimization)
        );
        match &mut self.display {
            Display::Bar(bar) => {
                let new = ProgressBar::new(optimization.amount());
                // Two lines, so that the best is in sight on a narrow terminal too.
                let template = "{bar:40.green} {elapsed:>3}  {prefix}\n{wide_msg}";
                let style = ProgressStyle::with_template(template);
                new.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                new.println(title);
                new.enable_steady_tick(TICK);
                *bar = Some(new);
            }
            Display::Lines(to) => {
                let _ = writeln!(to, "{title}");
            }
        }
    }

    /// Takes an event in and shows what it changes.
    pub fn see(&mut self, event: &Event) {
        let Some(notable) = self.tally.add(event) else {
            return;
        };
        match &mut self.display {
            Display::Bar(Some(bar)) => {
                bar.set_position(self.tally.spent());
                bar.set_prefix(self.tally.money());
                bar.set_message(self.tally.standing());
            }
            Display::Bar(None) => {}
            Display::Lines(to) if notable => {
                let _ = writeln!(to, "{}", self.tally.line());
            }
            Display::Lines(_) => {}
        }
    }

    /// Takes the bar away; a line stays in its place.
    pub fn end(&mut self) {
        match &mut self.display {
            Display::Bar(bar) => {
                if let Some(bar) = bar.take() {
                    bar.println(self.tally.line());
                    bar.finish_and_clear();
                }
            }
            Display::Lines(to) => {
                let _ = writeln!(to, "{}", self.tally.line());
            }
        }
    }
}

/// What the events so far add up to. Trials are those of the search.
#[derive(Debug, Clone, PartialEq)]
struct Tally {
    budget: Option<Budget>,
    evaluated: u32,
    pruned_before_requests: u32,
    pruned_on_the_way: u32,
    spend: Spend,
    best: Option<BestUpdated>,
}

impl Tally {
    const NOTHING: Self = Self {
        budget: None,
        evaluated: 0,
        pruned_before_requests: 0,
        pruned_on_the_way: 0,
        spend: Spend {
            usd: Usd::ZERO,
            tokens: 0,
        },
        best: None,
    };

    /// Counts an event. Nothing where it does not change what is shown, else whether it is
    /// worth a line.
    fn add(&mut self, event: &Event) -> Option<bool> {
        match event.kind.as_str() {
            "trial.evaluated" => {
                let ended: TrialEnded = data(event)?;
                if ended.trial == BASELINE {
                    return None;
                }
                self.evaluated += 1;
            }
            "trial.pruned" => {
                let ended: TrialEnded = data(event)?;
                match ended.reason.as_deref() {
                    Some("known_invalid") => self.pruned_before_requests += 1,
                    _ => self.pruned_on_the_way += 1,
                }
            }
            "budget.updated" => {
                let updated: BudgetUpdated = data(event)?;
                self.spend = updated.spend;
                return Some(false);
            }
            "best.updated" => {
                self.best = Some(data(event)?);
                return Some(true);
            }
            _ => return None,
        }
        Some(self.trials().is_multiple_of(TRIALS_PER_LINE))
    }

    const fn trials(&self) -> u32 {
        self.evaluated + self.pruned_before_requests + self.pruned_on_the_way
    }

    /// What was spent, in the unit of the budget.
    fn spent(&self) -> u64 {
        self.budget.map_or(0, |budget| budget.unit().of(self.spend))
    }

    /// What was spent of the budget.
    fn money(&self) -> String {
        self.budget.map_or_else(String::new, |budget| {
            let spent = amount(budget.unit(), self.spent());
            format!("{spent} of {}", budget_amount(budget))
        })
    }

    /// Trials, and the best so far.
    fn standing(&self) -> String {
        let pruned = self.pruned_before_requests + self.pruned_on_the_way;
        let trials = format!("{} trials ({pruned} pruned)", self.trials());
        match &self.best {
            None => trials,
            Some(best) => format!(
                "{trials}, best {} at {}",
                estimate(&best.utility),
                cost(&best.inference_cost)
            ),
        }
    }

    /// Both in a line.
    fn line(&self) -> String {
        format!("{}: {}", self.money(), self.standing())
    }
}

/// The part of an event that is read, if it is there.
fn data<T: DeserializeOwned>(event: &Event) -> Option<T> {
    serde_json::from_value(event.data.clone()).ok()
}

#[derive(Deserialize)]
struct TrialEnded {
    trial: u32,
    reason: Option<String>,
}

#[derive(Deserialize)]
struct BudgetUpdated {
    spend: Spend,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct BestUpdated {
    utility: Estimate,
    inference_cost: CostEstimate,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn event(kind: &str, data: Value) -> Event {
        Event {
            seq: 1,
            kind: kind.to_owned(),
            data,
        }
    }

    #[test]
    fn lines_tell_of_trials_spend_and_the_best() {
        let page = Page::default();
        let mut progress = Progress::lines(Box::new(page.clone()));
        let job: Job = serde_json::from_value(json!({
            "id": "7", "state": "queued", "stop_reason": null, "detail": null,
            "budgets": {"inference": {"usd": 0.00005}, "optimization": {"usd": 0.06}},
            "search": {"extent": "searched"},
        }))
        .unwrap();
        progress.begin(&job, Way::Searched(frugal_domain::job::Pruning::On));
        let utility = json!({"mean": 0.125, "standard_error": 0.0529, "count": 40});
        let cost = json!({"unit": "usd", "mean": 0.0000269, "standard_error": 1e-6, "count": 40});
        let spend = json!({"usd": 0.00108, "tokens": 9000});
        progress.see(&event(
            "trial.evaluated",
            json!({"trial": 0, "spend": spend}),
        ));
        progress.see(&event(
            "best.updated",
            json!({"trial": 0, "utility": utility, "inference_cost": cost}),
        ));
        progress.see(&event("budget.updated", json!({"spend": spend})));
        progress.see(&event("something.new", json!({"trial": 1})));
        for trial in 1..=TRIALS_PER_LINE {
            let reason = if trial == 3 {
                "over_budget"
            } else {
                "known_invalid"
            };
            progress.see(&event(
                "trial.pruned",
                json!({"trial": trial, "reason": reason}),
            ));
        }
        progress.see(&event(
            "trial.evaluated",
            json!({"trial": 26, "valid": true}),
        ));
        progress.end();
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        insta::assert_snapshot!(text, @r"
        Job 7, pruning on: $0.00005 per instance, $0.06 in all.
        $0 of $0.06: 0 trials (0 pruned), best 0.125 ± 0.053 at $0.0000269
        $0.00108 of $0.06: 25 trials (25 pruned), best 0.125 ± 0.053 at $0.0000269
        $0.00108 of $0.06: 26 trials (25 pruned), best 0.125 ± 0.053 at $0.0000269
        ");
    }
}
