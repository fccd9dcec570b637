//! One trial: the evaluation of one configuration, step by step.

use crate::evaluated::{EvaluatedInstance, Pricing};
use crate::exchange::{Answer, Exchange, NotExpected, Reply, RequestFailure, RequestPlan};
use crate::plan::TrialPlan;
use crate::pool::{Draw, Held, Offered, ResponseId, Source};
use crate::prompt_tokens::PromptTokens;
use crate::reference::ReferenceSchedule;
use crate::schedule::{Ask, Schedule, Turn};
use crate::sharing::share_out;
use crate::supply::{Cut, CutPlan, Supply};
use crate::validity::Finding;
use frugal_domain::money::{Spend, Usage};
use frugal_domain::trial::PruneReason;
use serde::{Deserialize, Serialize};

/// What a trial wants.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Before anything is requested: cut these responses of earlier trials, score what is left
    /// of them and [say](Trial::receive_cuts) how good it is.
    Cut(Vec<CutPlan>),
    /// Send these, all at once if possible.
    Request(Vec<RequestPlan>),
    /// Some requests of the last batch are not answered, or the cuts are not delivered.
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
    /// Over the inference budget, or significantly worse than the best.
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
    supply: Supply,
    supplied: Supplied,
    bought: Vec<(usize, Held)>,
    spend: Spend,
    responses: u64,
    ending: Option<Ending>,
}

/// How far the trial is with what the pool has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Supplied {
    /// Nothing was looked at; more may be offered.
    NotYet,
    /// Some responses are being cut.
    Cutting,
    /// The schedule has what serves.
    Done,
}

impl Trial {
    pub(crate) fn new(
        plan: TrialPlan,
        prompts: PromptTokens,
        course: Result<Course, Ending>,
        supply: Supply,
    ) -> Self {
        Self {
            plan,
            prompts,
            exchange: Exchange::default(),
            course,
            supply,
            supplied: Supplied::NotYet,
            bought: Vec::new(),
            spend: Spend::default(),
            responses: 0,
            ending: None,
        }
    }

    /// Responses of other jobs that serve as well as one's own. They are of use before the first
    /// [step](Self::step) alone; later ones are ignored, and so are those that are known.
    pub fn offer(&mut self, offered: impl IntoIterator<Item = Offered>) {
        if self.supplied != Supplied::NotYet {
            return;
        }
        for offered in offered {
            // It answers the same prompt, so that is as long here.
            self.prompts.learn(offered.instance, offered.prompt_tokens);
            self.supply.offer(offered);
        }
    }

    /// What to do next. A batch of requests is given once; after it comes
    /// [`Step::Wait`] until every one of them is [received](Self::receive).
    pub fn step(&mut self) -> Step {
        if let Some(ending) = &self.ending {
            return Step::Ended(ending.clone());
        }
        if self.exchange.waiting() || self.supplied == Supplied::Cutting {
            return Step::Wait;
        }
        if self.supplied == Supplied::NotYet
            && let Ok(Course::Own(_)) = self.course
        {
            let wanted = self.supply.wanted();
            if !wanted.is_empty() {
                self.supplied = Supplied::Cutting;
                return Step::Cut(wanted);
            }
            self.take_supply();
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

    /// Takes the responses that were cut, all at once. What cannot be cut is left out, and then
    /// does not serve.
    pub fn receive_cuts(&mut self, cuts: impl IntoIterator<Item = Cut>) {
        if self.supplied == Supplied::Cutting {
            self.supply.receive(cuts);
            self.take_supply();
        }
    }

    fn take_supply(&mut self) {
        self.supplied = Supplied::Done;
        if let Ok(Course::Own(schedule)) = &mut self.course {
            schedule.supply(self.supply.held());
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
            Err(_) => ((self.plan.settings.extent.n, 0), 0),
        };
        TrialProgress {
            n,
            configured_n: self.plan.settings.extent.n,
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

    /// Responses that the trial took from the pool and did not have to buy.
    #[must_use]
    pub fn pooled_responses(&self) -> u64 {
        match &self.course {
            Ok(Course::Own(schedule)) => schedule.pooled_used(),
            Ok(Course::Reference(_)) | Err(_) => 0,
        }
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
                Course::Own(schedule) => schedule.used(instance, self.plan.settings.extent.n),
                Course::Reference(schedule) => schedule.used(instance),
            };
            Some(self.evaluated(instance, used))
        });
        Some(found.collect())
    }

    fn evaluated(&self, instance: usize, used: &[Held]) -> EvaluatedInstance {
        let TrialPlan { prices, .. } = self.plan;
        let n = self.plan.settings.extent.n;
        let most_per_request = match self.course {
            Ok(Course::Own(_)) => self.plan.most_per_request,
            Ok(Course::Reference(_)) | Err(_) => None,
        };
        let pricing = Pricing {
            prices,
            most_per_request,
            n,
        };
        pricing.evaluated(instance, self.prompts.upper(instance), used)
    }

    pub(crate) fn findings(&self) -> &[Finding] {
        match &self.course {
            Ok(Course::Own(schedule)) => schedule.findings(),
            Ok(Course::Reference(schedule)) => schedule.findings(),
            Err(_) => &[],
        }
    }

    /// What later trials may use: what was offered to this one, and what it bought.
    pub(crate) fn draws(&self) -> impl Iterator<Item = Draw> {
        let bought = self.bought.iter().map(|(instance, response)| Draw {
            instance: *instance,
            max_tokens: self.plan.settings.extent.max_tokens,
            response: response.clone(),
        });
        self.supply.offered().iter().cloned().chain(bought)
    }

    pub(crate) fn cuts(&self) -> impl Iterator<Item = (ResponseId, f64)> {
        self.supply.new_cuts()
    }

    pub(crate) fn prompts(&self) -> &PromptTokens {
        &self.prompts
    }

    fn request(&self, ordinal: u32, ask: Ask) -> RequestPlan {
        let usage = Usage {
            prompt_tokens: self.prompts.upper(ask.instance),
            completion_tokens: u64::from(ask.n)
                .saturating_mul(self.plan.settings.extent.max_tokens.into()),
        };
        RequestPlan {
            ordinal,
            instance: ask.instance,
            n: ask.n,
            max_tokens: self.plan.settings.extent.max_tokens,
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
                    source: Source::This,
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
