//! One trial: the evaluation of one configuration, step by step.

use crate::exchange::{Answer, Exchange, NotExpected, Reply, RequestFailure, RequestPlan};
use crate::inference_cost::inference_spend;
use crate::pool::{Held, ResponseId};
use crate::prompt_tokens::PromptTokens;
use crate::reference::ReferenceSchedule;
use crate::schedule::{Ask, Schedule, Turn};
use crate::sharing::share_out;
use crate::validity::Finding;
use frugal_domain::id::TrialNumber;
use frugal_domain::money::{Prices, Spend, Usage};
use frugal_domain::trial::PruneReason;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A configuration to evaluate, as far as the evaluator needs to know it.
#[derive(Debug, Clone)]
pub struct TrialPlan {
    /// The trial's number, which names its responses.
    pub number: TrialNumber,
    /// Model, prompt and stop: what is known of valid and invalid n is shared within it.
    pub region: String,
    /// Model and prompt: prompt tokens are shared within it.
    pub prompt_key: String,
    /// All settings but `n` and `max_tokens`: responses are shared within it.
    pub sampling: String,
    /// The most tokens of one response, at least 1.
    pub max_tokens: u32,
    /// Responses per instance, at least 1.
    pub n: u32,
    /// The most responses that one request yields; no limit where absent. With a limit no
    /// request asks for more, and the inference cost counts the prompt once per request that
    /// n responses take. The reference's schedule takes no notice of it.
    pub most_per_request: Option<u32>,
    /// What the model charges.
    pub prices: Prices,
    /// An upper bound on the prompt tokens of each instance, for worst cases and sure fits
    /// until the endpoint has told the true number.
    pub prompt_token_bounds: Arc<[u64]>,
    /// Whether the trial may be pruned.
    pub mode: Mode,
}

/// Whether a trial may be pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By the evaluator's schedule.
    Scheduled,
    /// Never: all instances at once, for baselines and validation.
    Full,
}

/// A plan that makes no trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPlan {
    /// There is nothing to evaluate on.
    #[error("there are no instances")]
    NoInstances,
    /// `n` is 0.
    #[error("n must be at least 1")]
    NoResponses,
    /// `max_tokens` is 0.
    #[error("max_tokens must be at least 1")]
    NoTokens,
    /// The bounds on prompt tokens are not one per instance.
    #[error("{given} bounds on prompt tokens were given for {instances} instances")]
    Bounds {
        /// Bounds given.
        given: usize,
        /// Instances of the job.
        instances: usize,
    },
}

/// What a trial wants.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Send these, all at once if possible.
    Request(Vec<RequestPlan>),
    /// Some requests of the last batch are not answered.
    Wait,
    /// Nothing more.
    Ended(Ending),
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ending", content = "detail", rename_all = "snake_case")]
pub enum Ending {
    /// All instances but for a tolerated share of failures have n responses.
    Evaluated {
        /// Whether the mean inference cost is within the inference budget, if there is one.
        /// Only a trial that is not pruned can be evaluated and over the budget.
        within_budget: bool,
    },
    /// Over the inference budget.
    Pruned(PruneReason),
    /// The endpoint refuses the configuration.
    Infeasible(String),
    /// Requests failed for good on too many instances.
    Failed(String),
    /// The optimization budget does not allow what is left to do.
    BudgetExhausted,
}

/// Where a trial is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TrialProgress {
    /// Responses per instance at the current stage.
    pub n: u32,
    /// Responses per instance of the configuration.
    pub configured_n: u32,
    /// Instances seen at the current stage.
    pub seen: usize,
    /// Instances of the job.
    pub instances: usize,
    /// Instances with a failed request.
    pub missing: usize,
    /// Requests planned so far.
    pub requests: u32,
    /// Responses received so far.
    pub responses: u64,
}

/// What an evaluated trial found on one instance.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluatedInstance {
    /// The instance, by its index.
    pub instance: usize,
    /// Its n responses (the reference's schedule may have got fewer), those of the pool first.
    pub responses: Vec<UsedResponse>,
    /// Tokens of its prompt.
    pub prompt_tokens: u64,
    /// What it costs under the configuration: the prompt once and these responses, whatever
    /// requests they came from.
    pub inference_cost: Spend,
}

/// A response as a trial's evaluation uses it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UsedResponse {
    /// Which one; of another trial where it came from the pool.
    pub id: ResponseId,
    /// How good it is.
    pub score: f64,
    /// Its share of its request's completion tokens.
    pub completion_tokens: u64,
    /// It ended by itself and was not cut at `max_tokens`.
    pub ended: bool,
    /// How long its request took, in milliseconds.
    pub latency_ms: u64,
}

#[derive(Debug, Clone)]
pub(crate) enum Course {
    Own(Schedule),
    Reference(ReferenceSchedule),
}

/// A trial under way. It works on what was known when it began, so that what it decides never
/// depends on others that end meanwhile.
#[derive(Debug, Clone)]
pub struct Trial {
    plan: TrialPlan,
    prompts: PromptTokens,
    exchange: Exchange,
    /// Or, at once, the ending where nothing needs to be requested.
    course: Result<Course, Ending>,
    bought: Vec<(usize, Held)>,
    spend: Spend,
    responses: u64,
    ending: Option<Ending>,
}

impl Trial {
    pub(crate) fn new(
        plan: TrialPlan,
        prompts: PromptTokens,
        course: Result<Course, Ending>,
    ) -> Self {
        Self {
            plan,
            prompts,
            exchange: Exchange::default(),
            course,
            bought: Vec::new(),
            spend: Spend::default(),
            responses: 0,
            ending: None,
        }
    }

    /// What to do next. A batch of requests is given once; after it comes
    /// [`Step::Wait`] until every one of them is [received](Self::receive).
    pub fn step(&mut self) -> Step {
        if let Some(ending) = &self.ending {
            return Step::Ended(ending.clone());
        }
        if self.exchange.waiting() {
            return Step::Wait;
        }
        let turn = match self.absorb() {
            Some(ending) => Turn::End(ending),
            None => match &mut self.course {
                Ok(Course::Own(schedule)) => schedule.next(&self.prompts),
                Ok(Course::Reference(schedule)) => schedule.next(&self.prompts),
                Err(ending) => Turn::End(ending.clone()),
            },
        };
        match turn {
            Turn::Ask(asks) => {
                let first = self.exchange.next_ordinal();
                let batch: Vec<RequestPlan> = (first..)
                    .zip(asks)
                    .map(|(ordinal, ask)| self.request(ordinal, ask))
                    .collect();
                self.exchange.open(batch.clone());
                Step::Request(batch)
            }
            Turn::End(ending) => {
                self.ending = Some(ending.clone());
                Step::Ended(ending)
            }
        }
    }

    /// Takes the answer to a request, in any order within its batch.
    ///
    /// # Errors
    /// The request is not of the current batch, or answered already; nothing changes then.
    pub fn receive(
        &mut self,
        ordinal: u32,
        result: Result<Answer, RequestFailure>,
    ) -> Result<(), NotExpected> {
        let paid = result.as_ref().ok().map(|answer| {
            let spend = Spend::of(answer.usage, self.plan.prices);
            (spend, answer.responses.len() as u64)
        });
        self.exchange.receive(ordinal, result)?;
        if let Some((spend, responses)) = paid {
            self.spend += spend;
            self.responses += responses;
        }
        Ok(())
    }

    /// The requests of the current batch that are not answered.
    pub fn unanswered(&self) -> impl Iterator<Item = &RequestPlan> {
        self.exchange.unanswered()
    }

    /// The plan.
    #[must_use]
    pub const fn plan(&self) -> &TrialPlan {
        &self.plan
    }

    /// What the requests answered so far cost.
    #[must_use]
    pub const fn spend(&self) -> Spend {
        self.spend
    }

    /// How it ended, once [`Self::step`] has said so.
    #[must_use]
    pub const fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// Where the trial is.
    #[must_use]
    pub fn progress(&self) -> TrialProgress {
        let ((n, seen), missing) = match &self.course {
            Ok(Course::Own(schedule)) => (schedule.reached(), schedule.missing()),
            Ok(Course::Reference(schedule)) => (schedule.reached(), 0),
            Err(_) => ((self.plan.n, 0), 0),
        };
        TrialProgress {
            n,
            configured_n: self.plan.n,
            seen,
            instances: self.prompts.known().len(),
            missing,
            requests: self.exchange.next_ordinal(),
            responses: self.responses,
        }
    }

    /// The completion tokens of the responses that this trial's own requests brought, and how
    /// many responses these were.
    #[must_use]
    pub fn completion_tokens(&self) -> (u64, u64) {
        let tokens = self.bought.iter().map(|(_, held)| held.tokens);
        (
            tokens.fold(0, u64::saturating_add),
            self.bought.len() as u64,
        )
    }

    /// The prompt's tokens on each instance: the true number where it is known, else an
    /// estimate from the bounds and what is known of other instances.
    #[must_use]
    pub fn prompt_token_estimates(&self) -> Vec<u64> {
        self.prompts.estimates()
    }

    /// What an evaluated trial found, by instance in rising order. Instances with a failed
    /// request are left out: they count neither as right nor as wrong. Nothing for a trial
    /// that is not evaluated.
    #[must_use]
    pub fn evaluation(&self) -> Option<Vec<EvaluatedInstance>> {
        let Some(Ending::Evaluated { .. }) = self.ending else {
            return None;
        };
        let course = self.course.as_ref().ok()?;
        let instances = 0..self.prompts.known().len();
        let found = instances.filter_map(|instance| {
            let used = match course {
                Course::Own(schedule) if schedule.is_missing(instance) => return None,
                Course::Own(schedule) => schedule.used(instance, self.plan.n),
                Course::Reference(schedule) => schedule.used(instance),
            };
            Some(self.evaluated(instance, used))
        });
        Some(found.collect())
    }

    fn evaluated(&self, instance: usize, used: &[Held]) -> EvaluatedInstance {
        let prompt_tokens = self.prompts.upper(instance);
        let usage = Usage {
            prompt_tokens,
            completion_tokens: used
                .iter()
                .fold(0, |sum, held| sum.saturating_add(held.tokens)),
        };
        let TrialPlan { n, prices, .. } = self.plan;
        let most_per_request = match self.course {
            Ok(Course::Own(_)) => self.plan.most_per_request,
            Ok(Course::Reference(_)) | Err(_) => None,
        };
        EvaluatedInstance {
            instance,
            responses: used
                .iter()
                .map(|held| UsedResponse {
                    id: held.id,
                    score: held.score,
                    completion_tokens: held.tokens,
                    ended: held.ended,
                    latency_ms: held.latency_ms,
                })
                .collect(),
            prompt_tokens,
            inference_cost: inference_spend(prices, most_per_request, n, usage),
        }
    }

    pub(crate) fn findings(&self) -> &[Finding] {
        match &self.course {
            Ok(Course::Own(schedule)) => schedule.findings(),
            Ok(Course::Reference(schedule)) => schedule.findings(),
            Err(_) => &[],
        }
    }

    pub(crate) fn bought(&self) -> &[(usize, Held)] {
        &self.bought
    }

    pub(crate) fn prompts(&self) -> &PromptTokens {
        &self.prompts
    }

    fn request(&self, ordinal: u32, ask: Ask) -> RequestPlan {
        let usage = Usage {
            prompt_tokens: self.prompts.upper(ask.instance),
            completion_tokens: u64::from(ask.n).saturating_mul(self.plan.max_tokens.into()),
        };
        RequestPlan {
            ordinal,
            instance: ask.instance,
            n: ask.n,
            max_tokens: self.plan.max_tokens,
            worst_case: Spend::of(usage, self.plan.prices),
        }
    }

    /// Takes in a batch that is fully answered. The ending where the batch itself tells it.
    fn absorb(&mut self) -> Option<Ending> {
        let mut refused = None;
        let mut unaffordable = false;
        for (plan, reply) in self.exchange.close() {
            match &reply {
                Err(RequestFailure::Infeasible(reason)) => {
                    refused.get_or_insert_with(|| reason.clone());
                    continue;
                }
                Err(RequestFailure::Unaffordable) => {
                    unaffordable = true;
                    continue;
                }
                Err(RequestFailure::Failed(_)) | Ok(_) => {}
            }
            let spend = reply.as_ref().map_or_else(
                |_| Spend::default(),
                |answer| Spend::of(answer.usage, self.plan.prices),
            );
            let outcome = self.outcome(plan, reply);
            let ask = Ask {
                instance: plan.instance,
                n: plan.n,
            };
            match &mut self.course {
                Ok(Course::Own(schedule)) => schedule.receive(ask, outcome),
                Ok(Course::Reference(schedule)) => schedule.receive(ask, spend, outcome),
                Err(_) => {}
            }
        }
        match refused {
            Some(reason) => Some(Ending::Infeasible(reason)),
            None => unaffordable.then_some(Ending::BudgetExhausted),
        }
    }

    /// The responses of a reply, or why there are none.
    fn outcome(&mut self, plan: RequestPlan, reply: Reply) -> Result<Vec<Held>, String> {
        let answer = match reply {
            Ok(answer) => answer,
            Err(RequestFailure::Failed(reason) | RequestFailure::Infeasible(reason)) => {
                return Err(reason);
            }
            Err(RequestFailure::Unaffordable) => return Err("not sent".to_owned()),
        };
        self.prompts
            .learn(plan.instance, answer.usage.prompt_tokens);
        if answer.responses.is_empty() {
            return Err("the answer held no response".to_owned());
        }
        let lengths: Vec<u64> = answer
            .responses
            .iter()
            .map(|r| r.estimated_tokens)
            .collect();
        let shares = share_out(answer.usage.completion_tokens, &lengths);
        let held: Vec<Held> = (0..)
            .zip(answer.responses.iter().zip(shares))
            .map(|(position, (response, tokens))| Held {
                id: ResponseId {
                    trial: self.plan.number,
                    ordinal: plan.ordinal,
                    position,
                },
                score: response.score,
                tokens,
                ended: response.ended,
                latency_ms: answer.latency_ms,
            })
            .collect();
        self.bought
            .extend(held.iter().map(|held| (plan.instance, held.clone())));
        Ok(held)
    }
}
