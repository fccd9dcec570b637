//! What is checked of each trial of a random job.

use crate::world::{Job, Record, Reply};
use frugal_domain::configuration::Extent;
use frugal_domain::job::Pruning;
use frugal_domain::money::Spend;
use frugal_domain::request::ResponseId;
use frugal_domain::trial::PruneReason;
use frugal_evaluation::sharing::share_out;
use frugal_evaluation::{
    DEFAULT_MISSING_SHARE, Ending, MOST_UNSERVED_SHARE, Mode, RequestPlan, ScoreKey, TrialPlan,
};
use std::collections::{BTreeMap, BTreeSet};

/// A response as the endpoint gave it, to this job or to another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given {
    instance: usize,
    max_tokens: u32,
    tokens: u64,
    ended: bool,
}

/// What the requests of a trial gave: the responses that have a score.
pub(crate) fn given(job: &Job, record: &Record) -> BTreeMap<ResponseId, Given> {
    let mut all = BTreeMap::new();
    for (request, reply) in record.batches.iter().flatten().zip(&record.replies) {
        let Ok(receipt) = reply else { continue };
        let lengths: Vec<u64> = receipt
            .responses
            .iter()
            .map(|r| r.estimated_tokens)
            .collect();
        let shares = share_out(receipt.usage.completion_tokens, &lengths);
        for (position, (response, tokens)) in (0..).zip(receipt.responses.iter().zip(shares)) {
            let id = ResponseId {
                job: None,
                request: request.key,
                position,
            };
            if job.score(ScoreKey::whole(id, request.instance)).is_err() {
                continue;
            }
            all.insert(
                id,
                Given {
                    instance: request.instance,
                    max_tokens: request.max_tokens,
                    tokens,
                    ended: response.ended,
                },
            );
        }
    }
    all
}

/// What another job gave.
pub(crate) fn offered(record: &Record) -> BTreeMap<ResponseId, Given> {
    let given = record.offered.iter().map(|offered| {
        let given = Given {
            instance: offered.instance,
            max_tokens: offered.max_tokens,
            tokens: offered.tokens,
            ended: offered.ended,
        };
        (offered.id, given)
    });
    given.collect()
}

/// What may be taken from responses drawn under the same sampling settings.
pub(crate) fn servable(drawn: &[Given], max_tokens: u32) -> Vec<Given> {
    // What was drawn under a larger limit can be cut to this one.
    let serves =
        |g: &Given| g.max_tokens >= max_tokens || g.ended && g.tokens <= u64::from(max_tokens);
    let fair = |cap: u32| {
        let group: Vec<_> = drawn.iter().filter(|g| g.max_tokens == cap).collect();
        let useless = group.iter().filter(|g| !serves(g)).count();
        useless as f64 <= MOST_UNSERVED_SHARE * group.len() as f64
    };
    drawn
        .iter()
        .filter(|g| serves(g) && fair(g.max_tokens))
        .copied()
        .collect()
}

/// Failed requests, by instance.
pub(crate) fn failed(job: &Job, record: &Record) -> BTreeSet<usize> {
    let requests = record.batches.iter().flatten().zip(&record.replies);
    requests
        .filter(|(request, reply)| is_failed(job, request, reply))
        .map(|(request, _)| request.instance)
        .collect()
}

/// The responses of a request that have a score.
fn scored(job: &Job, request: &RequestPlan, reply: &Reply) -> u32 {
    let Ok(receipt) = reply else { return 0 };
    let responses = (0..)
        .zip(&receipt.responses)
        .map(|(position, _)| ResponseId {
            job: None,
            request: request.key,
            position,
        });
    let scores = responses.map(|id| job.score(ScoreKey::whole(id, request.instance)));
    scores.filter(Result::is_ok).count() as u32
}

/// Whether a request brought no response that can be scored.
fn is_failed(job: &Job, request: &RequestPlan, reply: &Reply) -> bool {
    scored(job, request, reply) == 0
}

/// Every response of a batch is scored once, whole, when all of the batch has come back; before
/// the first request, what the trial was offered and what must be cut.
pub(crate) fn check_scores(plan: &TrialPlan, record: &Record) {
    let mut wanted = BTreeSet::new();
    for (requests, plans) in &record.scored {
        let batch = requests.checked_sub(1).map(|last| &record.batches[last]);
        for scored in plans {
            assert!(wanted.insert(scored.key), "scored twice");
            let cut = scored.cut.map(|cut| cut.max_tokens);
            assert_eq!(scored.key.max_tokens, cut);
            let response = scored.key.response;
            let Some(batch) = batch else {
                assert!(cut.is_none_or(|cut| cut == plan.settings.extent.max_tokens));
                assert!(cut.is_some() || response.job.is_some());
                continue;
            };
            let request = batch.iter().find(|r| r.key == response.request).unwrap();
            assert_eq!((request.instance, cut), (scored.key.instance, None));
        }
        let Some(batch) = batch else { continue };
        let replies = batch
            .iter()
            .map(|r| &record.replies[r.key.ordinal as usize]);
        let brought: usize = replies.flatten().map(|r| r.responses.len()).sum();
        assert_eq!(plans.len(), brought, "some response is not scored");
    }
}

pub(crate) fn check_requests(
    job: &Job,
    plan: &TrialPlan,
    record: &Record,
    pooled: &[Given],
    own: bool,
) {
    let mut held: BTreeMap<usize, u32> = BTreeMap::new();
    for response in pooled {
        *held.entry(response.instance).or_default() += 1;
    }
    let mut failed = BTreeSet::new();
    let mut replies = record.replies.iter();
    for batch in &record.batches {
        let mut asked = held.clone();
        for request in batch {
            assert!(
                !failed.contains(&request.instance),
                "a failed instance is asked again"
            );
            let asked = asked.entry(request.instance).or_default();
            *asked += request.n;
            assert!(
                !own || *asked <= plan.settings.extent.n,
                "bought what the pool or the trial has"
            );
            assert!(!own || plan.most_per_request.is_none_or(|most| request.n <= most));
        }
        for (request, reply) in batch.iter().zip(replies.by_ref()) {
            if is_failed(job, request, reply) {
                failed.insert(request.instance);
            } else {
                *held.entry(request.instance).or_default() += scored(job, request, reply);
            }
            if let Ok(receipt) = reply {
                let actual = Spend::of(receipt.usage, plan.prices);
                let worst = request.worst_case;
                assert!(actual.usd <= worst.usd && actual.tokens <= worst.tokens);
            }
        }
    }
}

pub(crate) fn check_evaluation(
    job: &Job,
    plan: &TrialPlan,
    record: &Record,
    known: &BTreeMap<ResponseId, Given>,
) {
    let Some(evaluation) = &record.evaluation else {
        assert!(!matches!(record.ending, Ending::Evaluated { .. }));
        return;
    };
    let failed = failed(job, record);
    let Extent { n, max_tokens } = plan.settings.extent;
    let present: Vec<usize> = evaluation.iter().map(|e| e.instance).collect();
    let expected: Vec<usize> = (0..job.instances).filter(|i| !failed.contains(i)).collect();
    assert_eq!(present, expected, "failures are left out, and nothing else");
    assert!(failed.len() as f64 <= DEFAULT_MISSING_SHARE * job.instances as f64);

    let reference = job.pruning == Pruning::Reference && plan.mode == Mode::Scheduled;
    let requests = match plan.most_per_request {
        Some(most) if !reference => n.div_ceil(most),
        _ => 1,
    };
    let mut ids = BTreeSet::new();
    let mut total = Spend::default();
    for found in evaluation {
        // The reference takes short answers as they are.
        let count = found.responses.len() as u32;
        assert!(count == n || reference && 0 < count && count < n);
        for used in &found.responses {
            let given = known[&used.id];
            assert_eq!(given.instance, found.instance);
            let fits = given.ended && given.tokens <= u64::from(max_tokens);
            let expected = if given.max_tokens > max_tokens && !fits {
                let key = ScoreKey {
                    max_tokens: Some(max_tokens),
                    ..ScoreKey::whole(used.id, found.instance)
                };
                (job.score(key).unwrap(), max_tokens.into(), false)
            } else {
                let score = job.score(ScoreKey::whole(used.id, found.instance)).unwrap();
                (score, given.tokens, given.ended)
            };
            assert_eq!(
                (used.observed.score, used.completion_tokens, used.ended),
                expected
            );
            assert!(ids.insert(used.id), "a response is used twice");
        }
        let prompt_tokens = job.prompts[plan.settings.sampling.prompt][found.instance];
        assert_eq!(found.prompt_tokens, prompt_tokens);
        let completion: u64 = found.responses.iter().map(|r| r.completion_tokens).sum();
        let cost = found.inference_cost;
        assert_eq!(
            cost.tokens,
            u64::from(requests) * prompt_tokens + completion
        );
        let prompts = plan.prices.request_pico + plan.prices.input_pico * prompt_tokens;
        assert_eq!(
            cost.usd.pico(),
            u64::from(requests) * prompts + plan.prices.output_pico * completion
        );
        total += cost;
    }
    let Some(budget) = job.inference_budget else {
        assert_eq!(
            record.ending,
            Ending::Evaluated {
                within_budget: true
            }
        );
        return;
    };
    let within = budget.unit().of(total) <= budget.amount() * evaluation.len() as u64;
    if !reference {
        assert_eq!(
            record.ending,
            Ending::Evaluated {
                within_budget: within
            }
        );
        let pruned = job.pruning == Pruning::On && plan.mode == Mode::Scheduled;
        assert!(within || !pruned, "over the budget and not pruned");
    }
}

pub(crate) fn check_ending(job: &Job, plan: &TrialPlan, record: &Record) {
    let scheduled = plan.mode == Mode::Scheduled && job.pruning != Pruning::Off;
    match &record.ending {
        Ending::Pruned(reason) => {
            let inferior = matches!(reason, PruneReason::Inferior { .. });
            assert!(scheduled);
            assert!(if inferior {
                job.rivals
            } else {
                job.inference_budget.is_some()
            });
            // The pool alone may show that a configuration is over the budget.
            assert!(record.batches.is_empty() || *reason != PruneReason::KnownInvalid);
        }
        Ending::Evaluated { .. } | Ending::Drawn => {}
        Ending::Failed(_) => assert!(!failed(job, record).is_empty()),
        Ending::Infeasible(_) => {
            assert!(record.replies.iter().any(|reply| matches!(
                reply,
                Err(frugal_evaluation::RequestFailure::Infeasible(_))
            )));
        }
        Ending::BudgetExhausted => assert!(job.optimization_budget.is_some()),
    }
}
