//! What happened to a job before, from the database.

use frugal_domain::event::EventBody;
use frugal_domain::id::JobId;
use frugal_domain::money::Spend;
use frugal_evaluation::{OfferedResponse, Receipt, ReceivedResponse, RequestFailure, ScoreKey};
use frugal_store::changes::OwnerChange;
use frugal_store::counted::{self, Counted};
use frugal_store::requests::{self, FailureKind, Settled};
use frugal_store::reuse::{self, Adopted};
use frugal_store::{PgConnection, Result, enqueued, events, scores, terms, trials};
use frugal_tuning::{
    EarlierValidation, EnqueuedTrial, Judgement, Past, PastRequest, PastTrial, Question,
    SettledRequest, Tally, TermsChange,
};
use std::collections::BTreeMap;

/// The event that tells that held-out rows were scored.
const VALIDATION_COMPLETED: &str = "validation.completed";

/// What parts of a composite came to, by their numbers.
pub(crate) type Parts = BTreeMap<(ScoreKey, u32), scores::Score>;

/// Loads all that happened to a job, which had ended so often before and been changed so.
pub(crate) async fn load(
    connection: &mut PgConnection,
    job: JobId,
    earlier_runs: u32,
    changes: &[OwnerChange],
) -> Result<Past> {
    let trials = trials::load(connection, job).await?;
    let looked_up = reuse::load(connection, job).await?;
    let requests = counted::load(connection, job).await?;
    let scores = scores::load(connection, job).await?;
    let of_trial = |trial: trials::StoredTrial| {
        let tally = Tally {
            spend: trial.spend,
            requests: trial.requests,
            responses: trial.responses,
        };
        let past = PastTrial {
            configuration: trial.configuration,
            shown: tally,
            end: trial
                .outcome
                .filter(|_| trial.finished_at.is_some())
                .map(|outcome| (outcome, tally)),
        };
        (trial.number, past)
    };
    let of_request = |request: requests::Request, counted: Counted| PastRequest {
        instance: request.instance as usize,
        n: request.n,
        max_tokens: request.max_tokens,
        settled: as_counted(&request.settled, request.latency_ms, counted),
    };
    let mut judgements = BTreeMap::new();
    let mut own = BTreeMap::new();
    for (key, (request, counted)) in requests {
        let Some(question) = request.question else {
            own.insert(key, of_request(request, counted));
            continue;
        };
        let question = Question {
            score: ScoreKey {
                response: question.response,
                max_tokens: question.max_tokens,
                instance: request.instance as usize,
            },
            number: question.number,
        };
        let settled = as_counted(&request.settled, request.latency_ms, counted);
        judgements.insert(question, Judgement { key, settled });
    }
    let validations = events::of_type(connection, job, VALIDATION_COMPLETED).await?;
    Ok(Past {
        trials: trials.into_iter().map(of_trial).collect(),
        looked_up: looked_up
            .into_iter()
            .map(|(trial, adopted)| (trial, adopted.iter().map(offered).collect()))
            .collect(),
        requests: own,
        judgements,
        judge_ordinals: requests::next_questions(connection, job).await?,
        scores: scores
            .into_iter()
            .map(|(key, score)| (key_of(key), score))
            .collect(),
        lost: requests::lost(connection, job).await?,
        validation_completed: validations.iter().any(|(later, _)| *later == 0),
        earlier_runs,
        earlier_validations: validations
            .iter()
            .filter(|(later, _)| *later > 0)
            .map(|(later, event)| earlier_validation(earlier_runs.saturating_sub(*later), event))
            .collect(),
        changes: terms_changes(changes).map(terms_change).collect(),
        enqueued: changes
            .iter()
            .filter_map(|change| match change {
                OwnerChange::Terms(_) => None,
                OwnerChange::Trial(enqueued) => Some(enqueued_trial(enqueued)),
            })
            .collect(),
    })
}

fn earlier_validation(run: u32, event: &EventBody) -> EarlierValidation {
    let winner = match event {
        EventBody::ValidationCompleted { trial, extent, .. } => trial.zip(*extent),
        _ => None,
    };
    EarlierValidation { run, winner }
}

/// Those of the changes that are about the terms.
pub(crate) fn terms_changes(changes: &[OwnerChange]) -> impl Iterator<Item = &terms::TermsChange> {
    changes.iter().filter_map(|change| match change {
        OwnerChange::Terms(change) => Some(change),
        OwnerChange::Trial(_) => None,
    })
}

/// A configuration that was put in, as the job's loop hears of it.
pub(crate) fn enqueued_trial(trial: &enqueued::EnqueuedTrial) -> EnqueuedTrial {
    EnqueuedTrial {
        number: trial.number,
        configuration: trial.configuration.clone(),
        place: trial.place,
    }
}

/// A change of the terms, as the job's loop hears of it.
pub(crate) fn terms_change(change: &terms::TermsChange) -> TermsChange {
    TermsChange {
        number: change.number,
        terms: change.terms,
        place: change.place,
        unaffordable: change.unaffordable.iter().copied().collect(),
        continues: change.continues,
        told: change.told,
    }
}

/// What parts of a composite came to, of responses that have no score.
pub(crate) async fn parts(connection: &mut PgConnection, job: JobId, past: &Past) -> Result<Parts> {
    let stored = scores::load_parts(connection, job).await?.into_iter();
    let parts = stored.map(|((key, part), score)| ((key_of(key), part), score));
    let open = parts.filter(|((key, _), _)| !past.scores.contains_key(key));
    Ok(open.collect())
}

fn key_of(key: scores::ScoreKey) -> ScoreKey {
    ScoreKey {
        response: key.response,
        max_tokens: key.max_tokens,
        instance: key.instance as usize,
    }
}

/// What came of a request, as the job's loop hears of it.
pub(crate) fn settled(settled: &Settled, latency_ms: u64) -> SettledRequest {
    let counted = match settled {
        Settled::Answered(answer) => Counted::of(&answer.responses),
        Settled::Failed { .. } => Counted::default(),
    };
    as_counted(settled, latency_ms, counted)
}

/// The same where its responses were counted before.
fn as_counted(settled: &Settled, latency_ms: u64, counted: Counted) -> SettledRequest {
    match settled {
        Settled::Answered(answer) => SettledRequest {
            cost: answer.cost,
            uncertain: answer.uncertain,
            usage_estimated: answer.usage_estimated,
            empty_responses: counted.empty,
            longest_text: counted.longest,
            result: Ok(Receipt {
                usage: answer.usage,
                latency_ms,
                responses: counted
                    .responses
                    .into_iter()
                    .map(|(estimated_tokens, is_cut)| ReceivedResponse {
                        estimated_tokens,
                        ended: !is_cut,
                    })
                    .collect(),
            }),
        },
        Settled::Failed { failure, uncertain } => {
            let detail = failure.detail.clone();
            SettledRequest {
                cost: Spend::default(),
                uncertain: *uncertain,
                usage_estimated: false,
                empty_responses: 0,
                longest_text: 0,
                result: Err(match (failure.kind, failure.scope) {
                    (FailureKind::Infeasible, _) => RequestFailure::Infeasible(detail),
                    (FailureKind::Failed, Some(scope)) => RequestFailure::Refused {
                        scope,
                        reason: detail,
                    },
                    (FailureKind::Failed, None) => RequestFailure::Failed(detail),
                }),
            }
        }
    }
}

/// A response of another job, as the job's loop hears of it.
pub(crate) fn offered(adopted: &Adopted) -> OfferedResponse {
    OfferedResponse {
        id: adopted.id(),
        instance: adopted.instance as usize,
        max_tokens: adopted.max_tokens,
        prompt_tokens: adopted.prompt_tokens,
        tokens: adopted.completion_tokens,
        ended: !adopted.response.finish_reason.is_cut(),
        latency_ms: adopted.latency_ms,
        bytes: adopted.response.text.len() as u64,
    }
}
