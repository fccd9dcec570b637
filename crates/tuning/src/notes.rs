//! What a report says besides its numbers: why something is not there, and what would change that.

mod bills;
mod closest;
mod costs;
mod fact;
mod failures;
mod given;
mod untried;

use crate::amounts;
use crate::as_good;
use crate::calibration::Agreement;
use crate::ended::EndedTrial;
use crate::findings::Findings;
use crate::judging::Heard;
use costs::Cheapest;
use fact::share;
pub use fact::{Fact, Note};
use frugal_domain::job::JobKind;
use frugal_domain::metric::{Bound, Constraint};
use frugal_domain::state::StopReason;
use frugal_domain::trial::{Coverage, Evaluation, TrialOutcome};
pub(crate) use given::of_evaluation;

/// The share of all responses from which on it is told that they were cut.
const MANY_CUT: f64 = 0.5;

/// The share of the optimization budget from which on it is told that it was left.
const MUCH_LEFT: f64 = 0.1;

/// All that is to be said, in the order of the variants of [`Fact`].
pub(crate) fn of(findings: &Findings<'_>, stop_reason: StopReason) -> Vec<Note> {
    let mut notes = Vec::new();
    notes.extend(nothing_as_good(findings));
    if findings.winner().is_none() {
        let models = 0..findings.spec.models.len();
        notes.extend(models.map(|model| no_valid_configuration(findings, model)));
    }
    notes.extend(failures::models_refused(findings));
    notes.extend(failures::rows_left_out(findings));
    notes.extend(failures::requests_failed(findings));
    notes.extend(failures::uncertain_spend(findings));
    notes.extend(judge_agreements(findings));
    notes.extend(judge_silent(findings));
    notes.extend(judge_share(findings));
    notes.extend(latency_load(findings));
    notes.extend(baseline_partial(findings));
    notes.extend(never_tried(findings, stop_reason));
    notes.extend(enqueued_untried(findings));
    notes.extend(responses_cut(findings));
    notes.extend(holdout_seen_before(findings));
    notes.extend(bills::overheads(findings));
    notes.extend(bills::estimated_usage(findings));
    notes.extend(budget_left(findings, stop_reason));
    notes
}

/// That nothing is as good as it must be, where the cheapest is sought, or nothing but the baseline.
fn nothing_as_good(findings: &Findings<'_>) -> Option<Note> {
    let standard = findings.spec.objective.cheapest?;
    if findings.winner().is_some() && !as_good::baseline_stays(findings) {
        return None;
    }
    let closest = closest::find(findings, &standard, None);
    Some(Note {
        detail: closest::in_words(findings, &standard, closest.as_ref()),
        fact: Fact::NothingAsGood {
            metric: standard.metric,
            trial: closest.map(|closest| closest.ended.number),
            difference: closest.map(|closest| closest.difference.mean),
            lower_bound: closest.map(|closest| closest.difference.lower_bound),
            margin: standard.margin,
            confidence: standard.confidence,
            inference_cost: closest.map(|closest| closest.cost.estimate.mean),
            cost_ratio: closest.and_then(|closest| closest.cost_ratio),
        },
    })
}

/// How far each judge may be trusted, where people have rated answers.
fn judge_agreements(findings: &Findings<'_>) -> Vec<Note> {
    let judges = &findings.spec.judges;
    let agreements = findings.calibration.into_iter();
    let agreements = agreements.flat_map(|calibration| calibration.agreements());
    let note = |(number, agreement): (usize, Agreement)| {
        let several = judges.get(number).filter(|_| judges.len() > 1);
        let name = several.map(|judge| (number, judge.model.model.as_str()));
        judge_agreement(name, agreement)
    };
    agreements.map(note).collect()
}

/// The same of one; where there are several, with its number and its name.
fn judge_agreement(name: Option<(usize, &str)>, agreement: Agreement) -> Note {
    let Agreement {
        answers,
        silent,
        distance,
        lenience,
        same_order,
    } = agreement;
    let judge = match name {
        Some((number, model)) => format!("judge {number} (`{model}`)"),
        None => "the judge".to_owned(),
    };
    let leans = match lenience {
        higher if higher > 0.005 => format!("; it rates {higher:.2} higher than people"),
        lower if lower < -0.005 => format!("; it rates {:.2} lower than people", -lower),
        _ => String::new(),
    };
    let order = same_order.map_or_else(String::new, |share| {
        format!(
            "; of two answers that people rate differently it prefers the same one in {}",
            amounts::percent(share)
        )
    });
    let mute = match silent {
        0 => String::new(),
        silent => format!("; of {silent} more it says nothing that can be read"),
    };
    Note {
        detail: format!(
            "on {answers} answers that people have rated {judge} is {distance:.2} off in the mean, from 0 \
             to 1{leans}{order}{mute}. Differences between configurations that are smaller than what it is \
             off by may be its own: a clearer rubric, `repeats` or another judge may come closer"
        ),
        fact: Fact::JudgeAgreement {
            judge: name.map(|(number, _)| number),
            answers,
            silent,
            mean_absolute_difference: distance,
            mean_difference: lenience,
            same_order,
        },
    }
}

/// That configurations which the owner has put in have no trial.
fn enqueued_untried(findings: &Findings<'_>) -> Option<Note> {
    let spec = findings.spec;
    let settings = findings.enqueued.iter();
    let settings = settings.filter_map(|configuration| spec.settings(configuration).ok());
    let untried = settings.filter(|wanted| {
        let mut trials = findings.ended.values();
        !trials.any(|trial| spec.is_trial_of(wanted, trial.number, &trial.settings))
    });
    let configurations = untried.count();
    let which = match configurations {
        0 => return None,
        1 => "a configuration that was put in has".to_owned(),
        several => format!("{several} configurations that were put in have"),
    };
    Some(Note {
        detail: format!(
            "{which} no trial: it came when the search was ending, its model was left alone by then, or the \
             optimization budget did not pay for a look at it. Where the job is continued under a larger \
             budget (`POST /jobs/{{id}}/continue`), that comes first"
        ),
        fact: Fact::EnqueuedUntried { configurations },
    })
}

/// That the held-out rows have judged winners before, of a job that was continued.
fn holdout_seen_before(findings: &Findings<'_>) -> Option<Note> {
    let earlier = u32::try_from(findings.earlier_validations.len()).unwrap_or(u32::MAX);
    if earlier == 0 || findings.winner().is_none() {
        return None;
    }
    let looks = earlier + 1;
    let before = match earlier {
        1 => "once before".to_owned(),
        earlier => format!("{earlier} times before"),
    };
    Some(Note {
        fact: Fact::HoldoutSeenBefore { times: earlier },
        detail: format!(
            "the held-out rows have judged a winner of this job {before}. The search never saw them, neither \
             then nor since, so the interval of this verdict holds by itself. But whoever goes on because an \
             earlier verdict was not the one hoped for has looked {looks} times, and then the chance that \
             one of the verdicts calls an improvement significant that is none is up to {looks} times what \
             it is for one. Rows that judged nothing yet, in a job of their own, would settle it"
        ),
    })
}

/// That the judge said nothing of some answers, which have no score then.
fn judge_silent(findings: &Findings<'_>) -> Option<Note> {
    let Heard {
        answers,
        silent,
        reason,
        ..
    } = findings.judged?;
    let share = share(*silent, *answers).filter(|_| *silent > 0)?;
    let reason = reason.as_deref().unwrap_or_default();
    Some(Note {
        detail: format!(
            "{silent} of {answers} answers ({}) have no score: {reason}. They count neither as good nor as \
             bad; a larger `max_tokens` of the judge, `repeats` or another judge may help",
            amounts::percent(share)
        ),
        fact: Fact::JudgeSilent {
            answers: *answers,
            silent: *silent,
        },
    })
}

/// That a judge's share of the budget was used up, which ends the search.
fn judge_share(findings: &Findings<'_>) -> Vec<Note> {
    let judges = &findings.spec.judges;
    let used_up = findings.judged.into_iter().flat_map(|heard| &heard.used_up);
    let note = |number: &usize| {
        let judge = judges.get(*number)?;
        let share = judge.share?;
        let several = (judges.len() > 1).then_some(*number);
        Some(Note {
            detail: match findings.spec.kind() {
                JobKind::Tuning => format!(
                    "the judge `{}` may use {} of the optimization budget, which was used up, but for what was \
                     kept for held-out rows: the search ended with it; raise `share` to go on",
                    judge.model.model,
                    amounts::percent(share)
                ),
                JobKind::Evaluation => format!(
                    "the judge `{}` may use {} of the budget, which was used up: the evaluation ended with it; \
                     raise `share`, or take fewer rows",
                    judge.model.model,
                    amounts::percent(share)
                ),
            },
            fact: Fact::JudgeShare {
                judge: several,
                share,
            },
        })
    };
    used_up.filter_map(note).collect()
}

/// Under which load latency was measured, where it counts.
fn latency_load(findings: &Findings<'_>) -> Option<Note> {
    let most = findings.spec.search.requests_in_flight;
    let requests = match most {
        1 => "one request".to_owned(),
        most => format!("{most} requests"),
    };
    findings.spec.measures_own_latency().then(|| Note {
        detail: format!(
            "latency was measured with at most {requests} of this job in flight, each configuration by \
             requests of its own; what else the endpoint had to do is in it too. To know it under another \
             load, set `{}.requests_in_flight`",
            match findings.spec.kind() {
                JobKind::Tuning => "search",
                JobKind::Evaluation => "limits",
            }
        ),
        fact: Fact::LatencyLoad {
            requests_in_flight: most,
        },
    })
}

/// Why a model has no valid configuration: its price, a constraint, or that none was evaluated.
fn no_valid_configuration(findings: &Findings<'_>, model: usize) -> Note {
    let spec = findings.spec;
    let (choice, unit) = (&spec.models[model], spec.cost_unit());
    let name = untried::model_name(spec, model as u64);
    let cheapest = costs::cheapest_of_model(findings, model);
    let ratio = cheapest
        .zip(costs::inference_budget(findings))
        .map(|(cheapest, budget)| cheapest.cost / budget);
    let over = ratio.filter(|ratio| *ratio > 1.0);
    let missed = if over.is_some() {
        Vec::new()
    } else {
        missed_constraints(findings, model)
    };
    let standard = spec.objective.cheapest.filter(|_| over.is_none());
    let worse = standard.and_then(|standard| {
        let closest = closest::find(findings, &standard, Some(model))?;
        Some((standard, closest))
    });
    let detail = match (cheapest, over, spec.inference_budget) {
        (Some(Cheapest { cost, measured }), Some(over), Some(budget)) => {
            let cost = amounts::cost(unit, cost);
            let (times, budget) = (amounts::times(over), budget);
            if measured {
                format!(
                    "the cheapest configuration of `{name}` costs {cost} an instance, {times} the \
                     inference budget of {budget}: raise `budgets.inference`, lower `max_tokens`, \
                     or give a cheaper model"
                )
            } else {
                format!(
                    "with a response of one token `{name}` costs {cost} an instance already, by \
                     estimate, {times} the inference budget of {budget}: raise \
                     `budgets.inference`, shorten the prompt, or give a cheaper model"
                )
            }
        }
        _ if !missed.is_empty() => {
            let missed: Vec<String> = missed.iter().map(Missed::in_words).collect();
            format!(
                "no configuration of `{name}` that was evaluated keeps all constraints: {}; loosen \
                 `constraints` or widen the search space",
                missed.join("; ")
            )
        }
        _ => match &worse {
            Some((standard, closest)) => format!(
                "no configuration of `{name}` that was evaluated is as good as it must be: the \
                 `{}` of trial {}, which comes closest, is {}; widen the search space, or allow a \
                 larger `margin`",
                standard.metric.as_str(),
                closest.ended.number.0,
                as_good::beside(
                    closest.difference.mean,
                    &as_good::reference_in_words(standard)
                )
            ),
            None => not_evaluated(findings, model, &name),
        },
    };
    let of_answers = worse.map(|(standard, _)| standard.metric.as_str().to_owned());
    Note {
        fact: Fact::NoValidConfiguration {
            endpoint: choice.endpoint.clone(),
            model: choice.model.clone(),
            inference_cost: cheapest.map(|cheapest| cheapest.cost),
            measured: cheapest.is_some_and(|cheapest| cheapest.measured),
            budget_ratio: ratio,
            violated: missed
                .iter()
                .map(|missed| missed.name())
                .chain(of_answers)
                .collect(),
        },
        detail,
    }
}

/// A constraint that evaluated configurations do not keep.
struct Missed {
    constraint: Constraint,
    /// The mean that comes closest to the bound.
    closest: Option<f64>,
}

impl Missed {
    fn name(&self) -> String {
        self.constraint.metric.as_str().to_owned()
    }

    fn in_words(&self) -> String {
        let (bound, allowed) = match self.constraint.bound {
            Bound::AtMost(bound) => ("at most", bound),
            Bound::AtLeast(bound) => ("at least", bound),
        };
        let allowed = amounts::three_digits(allowed);
        let closest = self.closest.map_or_else(String::new, |closest| {
            format!(", and the closest has {}", amounts::three_digits(closest))
        });
        format!(
            "`{}` is to be {bound} {allowed}{closest}",
            self.constraint.metric.as_str()
        )
    }
}

/// The constraints that evaluated configurations of a model within the inference budget do not keep,
/// with the mean that comes closest to each among those that miss it.
fn missed_constraints(findings: &Findings<'_>, model: usize) -> Vec<Missed> {
    let most = costs::inference_budget(findings).unwrap_or(f64::INFINITY);
    let trials = || {
        let all = costs::within_space(findings);
        let own = all.filter(move |ended| ended.settings.sampling.model == model);
        let evaluated = own.filter_map(EndedTrial::evaluation);
        evaluated.filter(move |found| found.inference_cost.estimate.mean <= most)
    };
    let missed = findings.spec.constraints.iter().filter_map(|constraint| {
        let name = constraint.metric.as_str();
        let misses = |found: &&Evaluation| {
            let mean = found.metrics.get(name).map(|estimate| estimate.mean);
            !mean.is_some_and(|mean| constraint.bound.allows(mean))
        };
        let mut missing = trials().filter(misses).peekable();
        missing.peek()?;
        let means = missing.filter_map(|found| Some(found.metrics.get(name)?.mean));
        let closest = match constraint.bound {
            Bound::AtMost(_) => means.min_by(f64::total_cmp),
            Bound::AtLeast(_) => means.max_by(f64::total_cmp),
        };
        Some(Missed {
            constraint: *constraint,
            closest,
        })
    });
    missed.collect()
}

/// What became of a model's trials, none of which shows that it is too dear or misses a constraint.
fn not_evaluated(findings: &Findings<'_>, model: usize, name: &str) -> String {
    let trials = || {
        let all = findings.ended.values();
        all.filter(move |ended| ended.settings.sampling.model == model)
    };
    let reason = trials().find_map(|ended| match &ended.outcome {
        TrialOutcome::Infeasible { detail } => Some(format!("the endpoint refused it: {detail}")),
        TrialOutcome::Failed { detail } => Some(format!("its requests failed: {detail}")),
        _ => None,
    });
    if let Some(reason) = reason {
        return format!("no configuration of `{name}` was evaluated: {reason}");
    }
    let remedy = "raise `budgets.optimization` or `limits`, or lower `n` and `max_tokens`";
    match trials().count() {
        0 => format!("no configuration of `{name}` was tried: {remedy}"),
        count => format!(
            "none of the {count} configurations of `{name}` that were tried is valid, though its \
             cheapest may be: {remedy}"
        ),
    }
}

fn baseline_partial(findings: &Findings<'_>) -> Option<Note> {
    let spec = findings.spec;
    let found = findings.baseline()?.evaluation()?;
    let Coverage {
        instances,
        of,
        complete: false,
        ..
    } = found.coverage?
    else {
        return None;
    };
    let cost = found.inference_cost.estimate.mean;
    let dear = costs::inference_budget(findings).filter(|budget| cost > *budget);
    let seen = format!("the baseline was looked at on {instances} of {of} instances");
    let detail = match (dear, spec.inference_budget) {
        (Some(amount), Some(budget)) => format!(
            "{seen}, as it is over the inference budget: it costs {} an instance, {} the budget of \
             {}; give a cheaper `baseline` or raise `budgets.inference`",
            amounts::cost(spec.cost_unit(), cost),
            amounts::times(cost / amount),
            budget
        ),
        _ => format!(
            "{seen}, as many as its share of the optimization budget paid for ({}); raise \
             `budgets.optimization` to have it looked at on all",
            spec.baseline_allowance()
        ),
    };
    Some(Note {
        fact: Fact::BaselinePartial { instances, of },
        detail,
    })
}

fn never_tried<'a>(
    findings: &'a Findings<'_>,
    stop_reason: StopReason,
) -> impl Iterator<Item = Note> + 'a {
    let untried = untried::find(findings, stop_reason).into_iter();
    untried.map(|untried| Note {
        detail: untried.in_words(findings),
        fact: Fact::NeverTried {
            model: untried
                .model
                .map(|model| untried::model_name(findings.spec, model as u64)),
            setting: untried.setting,
            values: untried.values,
            reason: untried.reason,
        },
    })
}

fn responses_cut(findings: &Findings<'_>) -> Option<Note> {
    let (cut, all) = (findings.books.counts.cut, findings.books.progress.responses);
    let share = share(cut, all).filter(|share| *share > MANY_CUT)?;
    Some(Note {
        fact: Fact::ResponsesCut {
            cut_responses: cut,
            responses: all,
        },
        detail: format!(
            "{cut} of {all} responses ({}) were cut at `max_tokens`, and what would have followed \
             was not scored: raise `max_tokens`{}, or ask for shorter answers",
            amounts::percent(share),
            match findings.spec.kind() {
                JobKind::Tuning => " in the search space",
                JobKind::Evaluation => "",
            }
        ),
    })
}

fn budget_left(findings: &Findings<'_>, stop_reason: StopReason) -> Option<Note> {
    if stop_reason == StopReason::Cancelled {
        return None;
    }
    let budget = findings.spec.optimization_budget;
    let spent = budget.unit().of(findings.books.ledger.spent());
    let left = budget.amount().saturating_sub(spent);
    let share = share(left, budget.amount()).filter(|share| *share > MUCH_LEFT)?;
    let left = budget.unit().budget(left);
    Some(Note {
        fact: Fact::BudgetLeft { left, share },
        detail: format!(
            "{} of the optimization budget ({}) was left: {}",
            left,
            amounts::percent(share),
            match findings.judged {
                Some(heard) if !heard.used_up.is_empty() =>
                    "the judge's share of it ended the search; raise `share` to go on".to_owned(),
                _ => what_would_use_it(findings, stop_reason),
            }
        ),
    })
}

fn what_would_use_it(findings: &Findings<'_>, stop_reason: StopReason) -> String {
    let limits = findings.spec.limits;
    match stop_reason {
        StopReason::TrialLimit => format!(
            "the limit of {} trials ended the search; raise `limits.trials` to go on",
            limits.trials
        ),
        StopReason::Deadline => {
            "the job's time was over; raise `limits.seconds` to go on".to_owned()
        }
        StopReason::NoImprovement => "trials in a row brought nothing better; raise \
             `limits.trials_without_improvement` to go on"
            .to_owned(),
        StopReason::SpaceExhausted => "every configuration of the search space was tried; widen \
             it, or give more rows to know them better"
            .to_owned(),
        StopReason::Converged => "nothing more was to be learned on these rows; more rows would \
             tell more, and a wider search space would give more to try"
            .to_owned(),
        StopReason::BudgetExhausted => "it is less than another request might have cost at most, \
             or was kept for the held-out instances; lower `max_tokens` or `n`, or raise \
             `budgets.optimization`"
            .to_owned(),
        StopReason::Cancelled
        | StopReason::Completed
        | StopReason::EndpointUnusable
        | StopReason::NothingEvaluated
        | StopReason::InternalError
        | StopReason::OtherVersion
        | StopReason::WorkerLost => "the job could not go on".to_owned(),
    }
}
