//! What a report of an evaluation says besides its numbers.

use super::fact::{Fact, Note};
use super::{bills, failures};
use crate::findings::Findings;
use crate::judging::Heard;
use crate::side_by_side::SideBySide;
use frugal_domain::state::StopReason;

/// All that is to be said, in the order of the variants of [`Fact`].
pub(crate) fn of_evaluation(
    findings: &Findings<'_>,
    side: &SideBySide,
    stop_reason: StopReason,
) -> Vec<Note> {
    let mut notes = Vec::new();
    notes.extend(failures::models_refused(findings));
    notes.extend(failures::rows_left_out(findings));
    notes.extend(failures::requests_failed(findings));
    notes.extend(failures::uncertain_spend(findings));
    notes.extend(super::judge_agreements(findings));
    notes.extend(super::judge_silent(findings));
    notes.extend(super::judge_share(findings));
    notes.extend(super::latency_load(findings));
    notes.extend(super::responses_cut(findings));
    notes.extend(bills::overheads(findings));
    notes.extend(bills::estimated_usage(findings));
    notes.extend(rows_not_seen(findings, side, stop_reason));
    notes.extend(responses_shared(side));
    notes
}

/// That the evaluation ended before every configuration was seen on every row.
fn rows_not_seen(
    findings: &Findings<'_>,
    side: &SideBySide,
    stop_reason: StopReason,
) -> Option<Note> {
    let of = findings.rows;
    let open = side.standings.iter().filter(|one| one.refused.is_none());
    let least = open
        .map(|one| one.instances() + one.unanswered.len())
        .min()?;
    if least >= of {
        return None;
    }
    let seen = side.seen_by_all();
    let is_used_up = |heard: &Heard| !heard.used_up.is_empty();
    let remedy = match stop_reason {
        StopReason::BudgetExhausted if findings.judged.is_some_and(is_used_up) => {
            "the judge's share of the budget ended there: raise `share`, or take fewer rows"
        }
        StopReason::BudgetExhausted => {
            "the budget ended there: raise `budgets.evaluation`, or take fewer rows"
        }
        StopReason::Deadline => "the time was over: raise `limits.seconds`, or take fewer rows",
        StopReason::Cancelled => "it was cancelled there",
        _ => "it ended there",
    };
    Some(Note {
        detail: format!(
            "{seen} of {of} rows were seen under every configuration; {remedy}. The rows are taken in an \
             order that was drawn, so those seen stand for all, and comparisons rest on rows that both \
             were seen on"
        ),
        fact: Fact::RowsNotSeen { seen, of },
    })
}

/// That configurations used the same responses.
fn responses_shared(side: &SideBySide) -> Option<Note> {
    let responses: u64 = side.standings.iter().map(|one| one.shared_responses).sum();
    (responses > 0).then(|| Note {
        detail: format!(
            "{responses} responses were used by a configuration that did not ask for them: those with the \
             same model, prompt and sampling settings share theirs, cut to each one's `max_tokens`, and \
             each is paid for once. What an instance costs is counted as if every configuration had asked \
             for its own"
        ),
        fact: Fact::ResponsesShared { responses },
    })
}
