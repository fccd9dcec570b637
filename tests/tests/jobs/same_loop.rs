//! The worker and a driver in memory, over the same answers: the same trials, events and report.

use crate::{World, job};
use frugal_domain::event::EventBody;
use frugal_domain::id::{JobId, TrialNumber};
use frugal_domain::job::Instance;
use frugal_domain::money::Spend;
use frugal_domain::request::RequestKey;
use frugal_domain::trial::TrialOutcome;
use frugal_evaluation::{Receipt, ReceivedResponse, RequestFailure};
use frugal_scoring::CompiledPrompt;
use frugal_store::requests::{self, FailureKind, Request, Settled};
use frugal_store::scores::{self, Score, ScoreKey};
use frugal_store::{PgConnection, events, instances, jobs, trials};
use frugal_tests::client::ApiClient;
use frugal_tuning::{
    Answers, Change, Job, Past, PromptTokenBounds, Record, RequestEnd, RequestToSend, ScoreBatch,
    Scored, ScoredBatch, SettledRequest, Tally, Tuning, drive,
};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

type Ended = BTreeMap<TrialNumber, (TrialOutcome, Tally)>;

/// Answers a job in memory with what another run of it was answered.
struct Stored {
    requests: BTreeMap<RequestKey, Request>,
    scores: BTreeMap<ScoreKey, Score>,
    ended: Ended,
    events: Vec<EventBody>,
}

impl Stored {
    async fn load(connection: &mut PgConnection, job: JobId) -> Self {
        Self {
            requests: requests::load(connection, job).await.unwrap(),
            scores: scores::load(connection, job).await.unwrap(),
            ended: Ended::new(),
            events: Vec::new(),
        }
    }
}

impl Answers for Stored {
    fn send(&mut self, request: &RequestToSend) -> RequestEnd {
        let stored = &self.requests[&request.key];
        let asked = (stored.instance as usize, stored.n, stored.max_tokens);
        assert_eq!(asked, (request.instance, request.n, request.max_tokens));
        let settled = match &stored.settled {
            Settled::Answered(answer) => {
                let empty = |text: &str| u32::from(text.trim().is_empty());
                let responses = answer.responses.iter();
                SettledRequest {
                    cost: answer.cost,
                    uncertain: answer.uncertain,
                    usage_estimated: answer.usage_estimated,
                    empty_responses: responses.clone().map(|one| empty(&one.text)).sum(),
                    longest_text: 0,
                    result: Ok(Receipt {
                        usage: answer.usage,
                        latency_ms: stored.latency_ms,
                        responses: responses
                            .map(|response| ReceivedResponse {
                                estimated_tokens: response.estimated_tokens,
                                ended: !response.finish_reason.is_cut(),
                            })
                            .collect(),
                    }),
                }
            }
            Settled::Failed { failure, uncertain } => SettledRequest {
                cost: Spend::default(),
                uncertain: *uncertain,
                usage_estimated: false,
                empty_responses: 0,
                longest_text: 0,
                result: Err(match (failure.kind, failure.scope) {
                    (FailureKind::Infeasible, _) => {
                        RequestFailure::Infeasible(failure.detail.clone())
                    }
                    (FailureKind::Failed, Some(scope)) => RequestFailure::Refused {
                        scope,
                        reason: failure.detail.clone(),
                    },
                    (FailureKind::Failed, None) => RequestFailure::Failed(failure.detail.clone()),
                }),
            },
        };
        RequestEnd::Settled(settled)
    }

    fn score(&mut self, batch: &ScoreBatch) -> ScoredBatch {
        let stored = |plan: &frugal_evaluation::ScorePlan| {
            let key = ScoreKey {
                response: plan.key.response,
                max_tokens: plan.key.max_tokens,
                instance: u32::try_from(plan.key.instance).unwrap(),
            };
            (plan.key, self.scores[&key].clone())
        };
        let scores: Vec<Scored> = batch.plans.iter().map(stored).collect();
        scores.into()
    }

    fn record(&mut self, record: &Record) {
        self.events.extend(record.events.clone());
        if let Change::TrialEnded {
            trial,
            outcome,
            tally,
            ..
        } = &record.change
        {
            self.ended.insert(*trial, (outcome.clone(), *tally));
        }
    }
}

/// Upper bounds on the prompt tokens of the rows, by prompt.
fn bounds(prompts: &[CompiledPrompt], rows: &[Instance]) -> Vec<Arc<[u64]>> {
    let of = |prompt: &CompiledPrompt| {
        let bound = |row| prompt.render(row).unwrap().token_bound();
        rows.iter().map(bound).collect()
    };
    prompts.iter().map(of).collect()
}

#[tokio::test]
async fn the_worker_and_a_driver_in_memory_do_the_same() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    // One trial at a time, so that their events come in one order.
    let mut body = job(12, 14);
    body["data"]["holdout"] = json!({"share": 0.4});
    body["search"]["parallel_trials"] = json!(1);
    body["search"]["extent"] = json!("searched");
    let path = api.submit(&body).await;
    api.follow(&path, None).await;
    assert!(server.stop().await);

    let id = JobId(path.strip_prefix("/jobs/").unwrap().parse().unwrap());
    let pool = frugal_store::connect(world.database.url(), 1).unwrap();
    let mut connection = pool.acquire().await.unwrap();
    let mut stored = Stored::load(&mut connection, id).await;
    let spec = jobs::find(&mut connection, id).await.unwrap().unwrap().spec;
    let data = instances::load(&mut connection, id).await.unwrap();
    let trials = trials::load(&mut connection, id).await.unwrap();
    let events = events::after(&mut connection, id, 0, 10_000).await.unwrap();
    let report = jobs::report(&mut connection, id).await.unwrap();
    drop(connection);
    pool.close().await;

    let prompts = spec.prompts.iter().map(CompiledPrompt::compile);
    let prompts: Vec<CompiledPrompt> = prompts.collect::<Result<_, _>>().unwrap();
    let tuned = Job {
        most_per_request: vec![None; spec.models.len()],
        prompt_token_bounds: PromptTokenBounds {
            tuning: bounds(&prompts, &data.tuning),
            holdout: bounds(&prompts, &data.holdout),
            ..PromptTokenBounds::default()
        },
        labels: Vec::new(),
        spec: Arc::new(spec),
    };
    let mut tuning = Tuning::new(tuned, Past::default()).unwrap();
    let ending = drive(&mut tuning, &mut stored).unwrap();

    let by_worker: Ended = trials
        .into_iter()
        .map(|trial| {
            let tally = Tally {
                spend: trial.spend,
                requests: trial.requests,
                responses: trial.responses,
            };
            (trial.number, (trial.outcome.unwrap(), tally))
        })
        .collect();
    assert_eq!(by_worker.len(), 15);
    assert_eq!(stored.ended, by_worker);
    let by_worker: Vec<EventBody> = events
        .into_iter()
        .map(|event| event.body)
        .filter(|body| !body.name().starts_with("job."))
        .collect();
    assert_eq!(stored.events, by_worker);
    assert_eq!(json!(ending.report), report.unwrap());
    world.end().await;
}
