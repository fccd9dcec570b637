//! Reads what the owner of a job changes of it: a merge patch (RFC 7396) of what may be changed.

use crate::budgets::read_budget;
use crate::posted::{read_labels, read_name};
use crate::{search, turn};
use frugal_domain::fault::{Fault, Faults, Reader};
use frugal_domain::job::{JobSpec, Limits, Priority, Terms, measures_latency};
use frugal_domain::money::{Budget, Spend};
use frugal_domain::state::StopReason;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// What can be changed, as faults say it.
const CHANGEABLE: &str = "`name`, `labels`, `priority`, `budgets.optimization`, `limits` and `search.requests_in_flight`";

/// How a job came to its end.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// Why its search ended.
    pub stop_reason: StopReason,
    /// What it has spent.
    pub spent: Spend,
    /// What it has used of its limit on time.
    pub used: Duration,
}

/// A job after a merge patch. What is spent or set aside for requests in flight cannot be taken back.
///
/// # Errors
/// Everything that is wrong with the patch, with its place in it.
pub fn changed(document: &Value, spec: &JobSpec, committed: Spend) -> Result<JobSpec, Vec<Fault>> {
    let faults = Faults::default();
    let new = read(&Reader::new(document, &faults), spec, &faults);
    if let Some(new) = &new
        && new.optimization_budget != spec.optimization_budget
    {
        let unit = new.optimization_budget.unit();
        let least = unit.of(committed);
        if new.optimization_budget.amount() < least {
            let least = in_words(unit.budget(least));
            faults.add(
                "/budgets/optimization",
                format!("must be at least {least}: so much is spent, or set aside for requests in flight"),
            );
        }
    }
    outcome(new, faults)
}

/// A job that has ended and is to go on, after a merge patch that gives it what it ended for the want of.
///
/// # Errors
/// Everything that is wrong with the patch, with its place in it.
pub fn continued(document: &Value, spec: &JobSpec, ended: &Ended) -> Result<JobSpec, Vec<Fault>> {
    let faults = Faults::default();
    let new = read(&Reader::new(document, &faults), spec, &faults);
    if let Some(new) = &new {
        must_be_more(spec, new, ended, &faults);
    }
    outcome(new, faults)
}

fn outcome(new: Option<JobSpec>, faults: Faults) -> Result<JobSpec, Vec<Fault>> {
    match new {
        Some(new) if faults.is_empty() => Ok(new),
        _ => Err(faults.into_vec()),
    }
}

/// Notes what a job needs more of to go on.
fn must_be_more(spec: &JobSpec, new: &JobSpec, ended: &Ended, faults: &Faults) {
    let budget = new.optimization_budget;
    let unit = budget.unit();
    let spent = unit.of(ended.spent);
    let old = spec.optimization_budget.amount();
    // Where more money is what was missing, or is all that could make a difference.
    let needs_money = matches!(
        ended.stop_reason,
        StopReason::BudgetExhausted | StopReason::Converged
    );
    if budget.amount() <= spent || needs_money && budget.amount() <= old {
        let than = in_words(unit.budget(if needs_money { spent.max(old) } else { spent }));
        faults.add(
            "/budgets/optimization",
            format!("must be more than {than}, with which the job has come to its end"),
        );
    }
    let limits = new.limits;
    if ended.stop_reason == StopReason::TrialLimit && limits.trials <= spec.limits.trials {
        faults.add(
            "/limits/trials",
            format!(
                "must be more than {}, at which the job has come to its end",
                spec.limits.trials
            ),
        );
    }
    let used = ended.used.as_secs();
    if limits.seconds.is_some_and(|seconds| seconds <= used) {
        faults.add(
            "/limits/seconds",
            format!("must be more than {used}, so many of which are used, or `null` for no limit"),
        );
    }
    let patience = limits.trials_without_improvement;
    if ended.stop_reason == StopReason::NoImprovement
        && patience.is_some_and(|patience| Some(patience) <= spec.limits.trials_without_improvement)
    {
        faults.add(
            "/limits/trials_without_improvement",
            "must be more than at the end of the job, or `null` for no limit",
        );
    }
}

fn in_words(budget: Budget) -> String {
    match budget {
        Budget::Usd(usd) => usd.to_string(),
        Budget::Tokens(tokens) => format!("{tokens} tokens"),
    }
}

/// Reads a patch against a job.
fn read(patch: &Reader<'_>, spec: &JobSpec, faults: &Faults) -> Option<JobSpec> {
    only_what_may_change(patch)?;
    let mut merged = changeable(spec);
    merge(&mut merged, patch.value);
    let merged = Reader::new(&merged, faults);
    let job = merged.object()?;
    let mut new = spec.clone();
    new.name = match job.get("name") {
        Some(at) => Some(read_name(&at)?),
        None => None,
    };
    new.labels = match job.get("labels") {
        Some(at) => read_labels(&at),
        None => std::collections::BTreeMap::new(),
    };
    let priority = job
        .get("priority")
        .map_or(Some(Priority::default()), |at| turn::priority(&at));
    let budgets = job.require("budgets", "a job has a budget")?.object()?;
    let optimization = budgets.require("optimization", "a job has a budget")?;
    let budget = read_budget(&optimization, None);
    let limits = search::limits(job.get("limits"));
    let in_flight = match job.get("search") {
        Some(at) => at.object()?.get("requests_in_flight"),
        None => None,
    };
    let in_flight = match in_flight {
        Some(at) => at.integer_within(1, search::MOST_IN_FLIGHT),
        None => Some(i64::from(search::default_in_flight(measures_latency(
            &spec.objective,
            &spec.constraints,
        )))),
    };
    new.priority = priority?;
    let budget = budget?;
    if budget.unit() != spec.optimization_budget.unit() {
        return optimization.fault(format!(
            "the job budgets in {}, which cannot be changed",
            spec.optimization_budget.unit().as_str()
        ));
    }
    let terms = Terms {
        optimization_budget: budget,
        limits: limits?,
        requests_in_flight: u32::try_from(in_flight?).ok()?,
    };
    terms.give(&mut new);
    Some(new)
}

/// What may be changed of a job, as it is posted.
fn changeable(spec: &JobSpec) -> Value {
    let Limits {
        trials,
        seconds,
        trials_without_improvement,
    } = spec.limits;
    json!({
        "name": spec.name,
        "labels": spec.labels,
        "priority": spec.priority,
        "budgets": {"optimization": spec.optimization_budget},
        "limits": {
            "trials": trials,
            "seconds": seconds,
            "trials_without_improvement": trials_without_improvement
        },
        "search": {"requests_in_flight": spec.search.requests_in_flight},
    })
}

/// Merges a patch into a document (RFC 7396, section 2).
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else {
        return;
    };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            merge(target.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Notes what a patch names that cannot be changed, and why.
fn only_what_may_change(patch: &Reader<'_>) -> Option<()> {
    let members = patch.object()?;
    let mut fits = true;
    for (name, at) in members.members() {
        let reason = match name {
            "name" | "labels" | "priority" | "limits" => continue,
            "budgets" | "search" if at.value.is_null() => {
                "has parts that cannot be changed; name those that can".to_owned()
            }
            "budgets" => {
                fits &= parts(&at, "optimization", |part| match part {
                    "inference" => {
                        Some("what is valid goes by it, and so does every decision so far")
                    }
                    _ => None,
                })?;
                continue;
            }
            "search" => {
                fits &= parts(&at, "requests_in_flight", |part| {
                    let fixed = [
                        "algorithm",
                        "options",
                        "seed",
                        "extent",
                        "pruning",
                        "reuse",
                        "parallel_trials",
                    ];
                    fixed
                        .contains(&part)
                        .then_some("the decisions so far rest on it")
                })?;
                continue;
            }
            "data" | "demonstrations" => {
                fixed("what was answered and scored stands for these rows")
            }
            "model" | "models" | "prompt" | "prompts" | "search_space" | "start" | "baseline" => {
                fixed("the decisions so far are about what it says")
            }
            "scoring" => fixed("what was scored stands"),
            "objective" | "constraints" => {
                fixed("what was given up and what was kept was decided by it")
            }
            _ => format!("is not a known field; what can be changed: {CHANGEABLE}"),
        };
        at.fault::<()>(reason);
        fits = false;
    }
    fits.then_some(())
}

/// Notes which parts of a member cannot be changed. Whether all can that are named.
fn parts(
    at: &Reader<'_>,
    changeable: &str,
    why_not: impl Fn(&str) -> Option<&'static str>,
) -> Option<bool> {
    let mut fits = true;
    for (name, part) in at.object()?.members() {
        if name == changeable {
            continue;
        }
        fits = false;
        part.fault::<()>(match why_not(name) {
            Some(reason) => fixed(reason),
            None => format!("is not a known field; what can be changed: {CHANGEABLE}"),
        });
    }
    Some(fits)
}

fn fixed(reason: &str) -> String {
    format!("cannot be changed: {reason}; what can be: {CHANGEABLE}. Post a new job")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_merged_as_the_standard_says() {
        // The examples of RFC 7396, appendix A, as far as both are objects.
        for (target, patch, expected) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": "b"}),
                json!({"b": "c"}),
                json!({"a": "b", "b": "c"}),
            ),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (
                json!({"a": [{"b": "c"}]}),
                json!({"a": [1]}),
                json!({"a": [1]}),
            ),
            (
                json!({"e": null}),
                json!({"a": 1}),
                json!({"e": null, "a": 1}),
            ),
            (
                json!({}),
                json!({"a": {"bb": {"ccc": null}}}),
                json!({"a": {"bb": {}}}),
            ),
        ] {
            let mut merged = target;
            merge(&mut merged, &patch);
            assert_eq!(merged, expected, "{patch}");
        }
    }
}
