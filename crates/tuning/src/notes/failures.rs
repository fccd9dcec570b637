//! Which models, rows and requests failed or were refused, and why.

use super::fact::{Fact, Note};
use super::untried;
use crate::findings::Findings;
use frugal_domain::job::{JobKind, ModelChoice};
use frugal_domain::spend::SpendCategory;

/// Reasons why requests failed that are told at most: the most frequent ones.
const MOST_REASONS: usize = 8;

/// Rows that are named in words at most; programs find all of them.
const MOST_ROWS: usize = 10;

/// Models that the search left alone.
pub(super) fn models_refused<'a>(findings: &'a Findings<'_>) -> impl Iterator<Item = Note> + 'a {
    let models = findings.spec.models.iter().enumerate();
    models.filter_map(|(model, choice)| {
        let refusal = findings.refusals.of_model(model)?;
        let name = untried::model_name(findings.spec, model as u64);
        Some(Note {
            fact: Fact::ModelRefused {
                endpoint: choice.endpoint.clone(),
                model: choice.model.clone(),
                scope: refusal.scope,
            },
            detail: format!(
                "`{name}` was not asked any more, which its endpoint's operator can mend: {}",
                refusal.reason
            ),
        })
    })
}

/// Rows whose prompts were refused.
pub(super) fn rows_left_out<'a>(findings: &'a Findings<'_>) -> impl Iterator<Item = Note> + 'a {
    let spec = findings.spec;
    let pairs = findings.evaluator.left_out().iter();
    pairs.filter_map(move |((model, prompt), rows)| {
        let (_, reason) = rows.first_key_value()?;
        let ModelChoice {
            endpoint,
            model: of_endpoint,
            ..
        } = &spec.models[*model];
        let name = untried::model_name(spec, *model as u64);
        let all: Vec<usize> = rows.keys().copied().collect();
        let mut named: Vec<String> = all.iter().take(MOST_ROWS).map(usize::to_string).collect();
        if all.len() > named.len() {
            named.push("…".to_owned());
        }
        let what = if all.len() == 1 { "row" } else { "rows" };
        Some(Note {
            detail: format!(
                "{what} {} with the prompt `{}` cannot be asked of `{name}` and did not count for it \
                 (positions among the rows{}, from 0): {reason}",
                named.join(", "),
                spec.prompts[*prompt].name,
                match spec.kind() {
                    JobKind::Tuning => " that the search sees",
                    JobKind::Evaluation => "",
                }
            ),
            fact: Fact::RowsLeftOut {
                endpoint: endpoint.clone(),
                model: of_endpoint.clone(),
                prompt: spec.prompts[*prompt].name.clone(),
                rows: all,
            },
        })
    })
}

/// Why requests failed, whatever became of their trials.
pub(super) fn requests_failed<'a>(findings: &'a Findings<'_>) -> impl Iterator<Item = Note> + 'a {
    let spec = findings.spec;
    let reasons = findings.refusals.failures().into_iter();
    reasons.take(MOST_REASONS).map(move |alike| {
        let choice = &spec.models[alike.model];
        let name = untried::model_name(spec, alike.model as u64);
        let what = match (alike.scope, alike.requests) {
            (Some(_), 1) => "request was refused",
            (Some(_), _) => "requests were refused",
            (None, 1) => "request failed",
            (None, _) => "requests failed",
        };
        Note {
            detail: format!("{} {what} by `{name}`: {}", alike.requests, alike.reason),
            fact: Fact::RequestsFailed {
                endpoint: choice.endpoint.clone(),
                model: choice.model.clone(),
                scope: alike.scope,
                requests: alike.requests,
            },
        }
    })
}

/// What attempts that brought nothing may have cost.
pub(super) fn uncertain_spend(findings: &Findings<'_>) -> Option<Note> {
    let spent = findings.books.ledger.by_category();
    let most = *spent.get(&SpendCategory::Uncertain)?;
    let unit = findings.spec.optimization_budget.unit();
    Some(Note {
        fact: Fact::UncertainSpend { most },
        detail: format!(
            "attempts that brought nothing, such as time-outs, may have been billed with up to {} \
             in all; the endpoint's own bill tells whether they were",
            unit.budget(unit.of(most))
        ),
    })
}
