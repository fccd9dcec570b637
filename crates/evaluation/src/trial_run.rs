//! One trial: the evaluation of one configuration, step by step.

use crate::demand::{Demand, Ending, ScheduleStep};
use crate::draw::{DrawnResponse, OfferedResponse, ScoredDraw, ScoredResponse};
use crate::draw_schedule::DrawSchedule;
use crate::evaluated::{EvaluatedInstance, Pricing};
use crate::exchange::{Exchange, NotExpected, Receipt, Reply, RequestFailure, RequestPlan};
use crate::plan::TrialPlan;
use crate::prompt_tokens::PromptTokens;
use crate::reference::ReferenceSchedule;
use crate::schedule::Schedule;
use crate::scores::{ScoreKey, ScorePlan};
use crate::sharing::share_out;
use crate::supply::Supply;
use crate::validity::Finding;
use frugal_domain::money::{Spend, Usage};
use frugal_domain::request::{RequestKey, ResponseId, Scope};
use frugal_domain::scoring::Observation;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a trial wants.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Score these responses, each as it is or cut to a limit first, and
    /// [say](TrialRun::receive_scores) how good they are.
    Score(Vec<ScorePlan>),
    /// Send these, all at once if possible.
    Request(Vec<RequestPlan>),
    /// Some requests of the last batch are not answered, or the scores are not delivered.
    Wait,
    /// Nothing more.
    Ended(Ending),
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

/// By which schedule a trial is evaluated.
#[derive(Debug, Clone)]
pub(crate) enum Scheme {
    Own(Schedule),
    Reference(ReferenceSchedule),
    Draw(DrawSchedule),
}

/// A trial under way. It works on what was known when it began, so that what it decides never
/// depends on others that end meanwhile.
#[derive(Debug, Clone)]
pub struct TrialRun {
    plan: TrialPlan,
    prompts: PromptTokens,
    exchange: Exchange,
    /// Or, at once, the ending where nothing needs to be requested.
    scheme: Result<Scheme, Ending>,
    supply: Supply,
    supplied: Supplied,
    /// A batch that has come back and is being scored.
    unscored: Option<Batch>,
    /// The same with its scores.
    scored: Option<(Batch, Scores)>,
    bought: Vec<(usize, ScoredResponse)>,
    spend: Spend,
    responses: u64,
    left_out: BTreeMap<usize, String>,
    ending: Option<Ending>,
}

/// Requests with what came back, in the order of their ordinals.
type Batch = Vec<(RequestPlan, Reply)>;

/// What scorers said.
type Scores = BTreeMap<ScoreKey, Result<Observation, String>>;

/// How far the trial is with what the pool has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Supplied {
    /// Nothing was looked at; more may be offered.
    NotYet,
    /// Some responses are being scored.
    Scoring,
    /// The schedule has what serves.
    Done,
}

impl TrialRun {
    /// A trial whose first request has this ordinal.
    pub(crate) fn starting_at(
        first_ordinal: u32,
        plan: TrialPlan,
        prompts: PromptTokens,
        scheme: Result<Scheme, Ending>,
        supply: Supply,
    ) -> Self {
        Self {
            plan,
            prompts,
            exchange: Exchange::starting_at(first_ordinal),
            scheme,
            supply,
            supplied: Supplied::NotYet,
            unscored: None,
            scored: None,
            bought: Vec::new(),
            spend: Spend::default(),
            responses: 0,
            left_out: BTreeMap::new(),
            ending: None,
        }
    }

    /// Responses of other jobs that serve as well as one's own. They are of use before the first
    /// [step](Self::step) alone; later ones are ignored, and so are those that are known.
    pub fn offer(&mut self, offered: impl IntoIterator<Item = OfferedResponse>) {
        if self.supplied != Supplied::NotYet {
            return;
        }
        for offered in offered {
            // It answers the same prompt, so that is as long here.
            self.prompts.learn(offered.instance, offered.prompt_tokens);
            self.supply.offer(offered);
        }
    }

    /// What to do next. A batch of requests, or of responses to score, is given once; after it
    /// comes [`Step::Wait`] until every one of them is [received](Self::receive), or
    /// [scored](Self::receive_scores).
    pub fn step(&mut self) -> Step {
        if let Some(ending) = &self.ending {
            return Step::Ended(ending.clone());
        }
        let scoring = self.supplied == Supplied::Scoring
            || self.unscored.is_some()
            || matches!(&self.scheme, Ok(Scheme::Draw(schedule)) if schedule.is_shortening());
        if scoring || self.exchange.waiting() {
            return Step::Wait;
        }
        if self.supplied == Supplied::NotYet
            && let Ok(Scheme::Own(_) | Scheme::Draw(_)) = self.scheme
        {
            let wanted = self.supply.wanted();
            if !wanted.is_empty() {
                self.supplied = Supplied::Scoring;
                return Step::Score(wanted);
            }
            self.take_supply();
        }
        if let Some((batch, scores)) = self.scored.take() {
            return self.go_on(batch, &scores);
        }
        let batch = self.exchange.close();
        let wanted: Vec<ScorePlan> = batch
            .iter()
            .flat_map(|(plan, reply)| score_plans(plan, reply))
            .collect();
        if !wanted.is_empty() {
            self.unscored = Some(batch);
            return Step::Score(wanted);
        }
        self.go_on(batch, &Scores::new())
    }

    /// Takes in a batch with its scores, and says what comes next.
    fn go_on(&mut self, batch: Batch, scores: &Scores) -> Step {
        let next = match self.absorb(batch, scores) {
            Some(ending) => ScheduleStep::End(ending),
            None => match &mut self.scheme {
                Ok(Scheme::Own(schedule)) => schedule.next(&self.prompts),
                Ok(Scheme::Reference(schedule)) => schedule.next(&self.prompts),
                Ok(Scheme::Draw(schedule)) => schedule.next(),
                Err(ending) => ScheduleStep::End(ending.clone()),
            },
        };
        match next {
            ScheduleStep::Demand(demands) => {
                let first = self.exchange.next_ordinal();
                let batch: Vec<RequestPlan> = (first..)
                    .zip(demands)
                    .map(|(ordinal, demand)| self.request(ordinal, demand))
                    .collect();
                self.exchange.open(batch.clone());
                Step::Request(batch)
            }
            ScheduleStep::End(ending) => {
                if let (Ending::Drawn, Ok(Scheme::Draw(schedule))) = (&ending, &mut self.scheme) {
                    let wanted = schedule.shorten(&self.bought);
                    if !wanted.is_empty() {
                        return Step::Score(wanted);
                    }
                }
                self.ending = Some(ending.clone());
                Step::Ended(ending)
            }
        }
    }

    /// Takes the scores of the responses of the last [`Step::Score`], all at once: how good each
    /// is, or why that cannot be said. A response that cannot be scored is left out, and a request without any other has failed;
    /// what was there before and cannot be scored is left out and does not serve.
    pub fn receive_scores<O: Into<Observation>>(
        &mut self,
        scores: impl IntoIterator<Item = (ScoreKey, Result<O, String>)>,
    ) {
        let scores = scores.into_iter();
        let scores: Scores = scores.map(|(key, said)| (key, said.map(O::into))).collect();
        if self.supplied == Supplied::Scoring {
            let known = scores.into_iter();
            let known = known.filter_map(|(key, score)| Some((key, score.ok()?)));
            self.supply.receive(known);
            self.take_supply();
        } else if let Some(batch) = self.unscored.take() {
            self.scored = Some((batch, scores));
        } else if let Ok(Scheme::Draw(schedule)) = &mut self.scheme {
            let known = scores.into_iter();
            schedule.receive_cut_scores(known.filter_map(|(key, score)| Some((key, score.ok()?))));
        }
    }

    fn take_supply(&mut self) {
        self.supplied = Supplied::Done;
        if let Ok(Scheme::Own(schedule)) = &mut self.scheme {
            schedule.supply(self.supply.held(schedule.order()));
        }
        self.supply.let_go();
    }

    /// Takes the answer to a request, in any order within its batch.
    ///
    /// # Errors
    /// The request is not of the current batch, or answered already; nothing changes then.
    pub fn receive(
        &mut self,
        ordinal: u32,
        result: Result<Receipt, RequestFailure>,
    ) -> Result<(), NotExpected> {
        let paid = result.as_ref().ok().map(|receipt| {
            let spend = Spend::of(receipt.usage, self.plan.prices);
            (spend, receipt.responses.len() as u64)
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
        let ((n, seen), missing) = match &self.scheme {
            Ok(Scheme::Own(schedule)) => (schedule.reached(), schedule.missing()),
            Ok(Scheme::Reference(schedule)) => (schedule.reached(), 0),
            Ok(Scheme::Draw(schedule)) => (schedule.reached(), schedule.failed().len()),
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
        match &self.scheme {
            Ok(Scheme::Own(schedule)) => schedule.pooled_used(),
            Ok(Scheme::Reference(_) | Scheme::Draw(_)) | Err(_) => 0,
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
        let scheme = self.scheme.as_ref().ok()?;
        let instances = 0..self.prompts.known().len();
        let found = instances.filter_map(|instance| {
            let used = match scheme {
                Scheme::Own(schedule)
                    if schedule.is_missing(instance) || !schedule.has_seen(instance) =>
                {
                    return None;
                }
                Scheme::Own(schedule) => schedule.used(instance, self.plan.settings.extent.n),
                Scheme::Reference(schedule) => schedule.used(instance),
                Scheme::Draw(_) => return None,
            };
            Some(self.evaluated(instance, used))
        });
        Some(found.collect())
    }

    /// What an evaluation of [some rows](crate::Evaluator::begin_rows) found on those that have all their
    /// responses, in the order in which it looked at them, however it ended.
    #[must_use]
    pub fn complete(&self) -> Vec<EvaluatedInstance> {
        let Ok(Scheme::Own(schedule)) = &self.scheme else {
            return Vec::new();
        };
        let n = self.plan.settings.extent.n;
        let complete = schedule.complete();
        complete
            .map(|instance| self.evaluated(instance, schedule.used(instance, n)))
            .collect()
    }

    /// The rows that an evaluation of some rows got no answer for: which, why, and whether their
    /// prompts are refused whatever the configuration.
    pub fn without_answer(&self) -> impl Iterator<Item = (usize, &str, bool)> {
        let schedule = match &self.scheme {
            Ok(Scheme::Own(schedule)) => Some(schedule),
            _ => None,
        };
        schedule.into_iter().flat_map(Schedule::unanswered)
    }

    fn evaluated(&self, instance: usize, used: &[ScoredResponse]) -> EvaluatedInstance {
        let TrialPlan { prices, .. } = self.plan;
        let n = self.plan.settings.extent.n;
        let most_per_request = match self.scheme {
            Ok(Scheme::Own(_)) => self.plan.most_per_request,
            Ok(Scheme::Reference(_) | Scheme::Draw(_)) | Err(_) => None,
        };
        let pricing = Pricing {
            prices,
            most_per_request,
            n,
        };
        pricing.evaluated(instance, self.prompts.upper(instance), used)
    }

    pub(crate) fn findings(&self) -> &[Finding] {
        match &self.scheme {
            Ok(Scheme::Own(schedule)) => schedule.findings(),
            Ok(Scheme::Reference(schedule)) => schedule.findings(),
            Ok(Scheme::Draw(_)) | Err(_) => &[],
        }
    }

    /// What later trials may use: what was offered to this one, and what it bought.
    pub(crate) fn draws(&self) -> impl Iterator<Item = DrawnResponse> {
        let bought = self
            .bought
            .iter()
            .map(|(instance, response)| DrawnResponse {
                id: response.id,
                instance: *instance,
                max_tokens: self.plan.settings.extent.max_tokens,
                tokens: response.tokens,
                ended: response.ended,
                latency_ms: response.latency_ms,
            });
        self.supply.offered().iter().copied().chain(bought)
    }

    /// What scorers said of what it bought, and of what was there before and had to be scored.
    pub(crate) fn scores(&self) -> impl Iterator<Item = (ScoreKey, Observation)> {
        let bought = self.bought.iter();
        let bought =
            bought.map(|(instance, held)| (ScoreKey::whole(held.id, *instance), held.observed));
        let cut = match &self.scheme {
            Ok(Scheme::Draw(schedule)) => Some(schedule.cut_scores()),
            _ => None,
        };
        let scores = self.supply.new_scores().chain(bought);
        scores.chain(cut.into_iter().flatten())
    }

    /// What it had scored, and was told, of responses that later trials may use.
    pub fn scored(&self) -> impl Iterator<Item = ScoreKey> {
        self.scores().map(|(key, _)| key)
    }

    /// What a batch of draws brought: every response that other jobs offered or its own requests
    /// got, with its score; those that could not be scored are left out.
    pub fn drawn(&self) -> impl Iterator<Item = ScoredDraw> {
        let offered = self.supply.offered_with_scores();
        let offered = offered.map(|(response, said)| ScoredDraw::whole(response, said));
        let bought = self.bought.iter().map(|(instance, held)| {
            let response = DrawnResponse {
                id: held.id,
                instance: *instance,
                max_tokens: self.plan.settings.extent.max_tokens,
                tokens: held.tokens,
                ended: held.ended,
                latency_ms: held.latency_ms,
            };
            let enough = match &self.scheme {
                Ok(Scheme::Draw(schedule)) => schedule.enough(*instance, held),
                _ => held.tokens,
            };
            ScoredDraw {
                response,
                observed: held.observed,
                enough,
            }
        });
        offered.chain(bought)
    }

    /// Rows of a batch of draws whose requests failed for good.
    #[must_use]
    pub fn failed_rows(&self) -> Vec<usize> {
        match &self.scheme {
            Ok(Scheme::Draw(schedule)) => schedule.failed().iter().copied().collect(),
            _ => Vec::new(),
        }
    }

    /// The tokens of an instance's prompt, where the endpoint has counted them.
    #[must_use]
    pub fn counted_prompt_tokens(&self, instance: usize) -> Option<u64> {
        self.prompts.known().get(instance).copied().flatten()
    }

    pub(crate) fn prompts(&self) -> &PromptTokens {
        &self.prompts
    }

    fn request(&self, ordinal: u32, demand: Demand) -> RequestPlan {
        let max_tokens = self.plan.settings.extent.max_tokens;
        let counted = self.counted_prompt_tokens(demand.instance);
        let prompt_tokens = counted.unwrap_or_else(|| self.prompts.bound(demand.instance));
        let usage = Usage {
            prompt_tokens,
            completion_tokens: u64::from(demand.n).saturating_mul(max_tokens.into()),
        };
        RequestPlan {
            key: RequestKey {
                purpose: self.plan.purpose,
                trial: self.plan.number,
                ordinal,
            },
            instance: demand.instance,
            n: demand.n,
            max_tokens,
            prompt_tokens,
            prompt_is_counted: counted.is_some(),
            worst_case: Spend::of(usage, self.plan.prices),
        }
    }

    /// Takes in a batch that has come back. The ending where the batch itself tells it.
    fn absorb(&mut self, batch: Batch, scores: &Scores) -> Option<Ending> {
        let mut refused = None;
        let mut unaffordable = false;
        for (plan, reply) in batch {
            match &reply {
                Err(RequestFailure::Infeasible(reason)) => {
                    refused.get_or_insert_with(|| refusal(Scope::Configuration, reason));
                    continue;
                }
                Err(RequestFailure::Refused {
                    scope: Scope::Row,
                    reason,
                }) => {
                    self.leave_out(plan.instance, reason);
                }
                Err(RequestFailure::Refused { scope, reason }) => {
                    refused.get_or_insert_with(|| refusal(*scope, reason));
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
                |receipt| Spend::of(receipt.usage, self.plan.prices),
            );
            let outcome = self.outcome(plan, reply, scores);
            let demand = Demand {
                instance: plan.instance,
                n: plan.n,
            };
            match &mut self.scheme {
                Ok(Scheme::Own(schedule)) => schedule.receive(demand, outcome),
                Ok(Scheme::Reference(schedule)) => schedule.receive(demand, spend, outcome),
                Ok(Scheme::Draw(schedule)) => {
                    if outcome.is_err() {
                        schedule.fail(demand.instance);
                    }
                }
                Err(_) => {}
            }
        }
        refused.or(unaffordable.then_some(Ending::BudgetExhausted))
    }

    /// Goes on without a row whose prompt is refused.
    fn leave_out(&mut self, instance: usize, reason: &str) {
        if let Ok(Scheme::Own(schedule)) = &mut self.scheme {
            schedule.leave_out(instance, reason.to_owned());
        }
        self.left_out
            .entry(instance)
            .or_insert_with(|| reason.to_owned());
    }

    /// Rows whose prompts the endpoint refused in this trial, and why.
    #[must_use]
    pub const fn left_out(&self) -> &BTreeMap<usize, String> {
        &self.left_out
    }

    /// The responses of a reply that have a score, or why none has.
    fn outcome(
        &mut self,
        plan: RequestPlan,
        reply: Reply,
        scores: &Scores,
    ) -> Result<Vec<ScoredResponse>, String> {
        let receipt = match reply {
            Ok(receipt) => receipt,
            Err(
                RequestFailure::Failed(reason)
                | RequestFailure::Infeasible(reason)
                | RequestFailure::Refused { reason, .. },
            ) => return Err(reason),
            Err(RequestFailure::Unaffordable) => return Err("not sent".to_owned()),
        };
        self.prompts
            .learn(plan.instance, receipt.usage.prompt_tokens);
        if receipt.responses.is_empty() {
            return Err("the answer held no response".to_owned());
        }
        let lengths: Vec<u64> = receipt
            .responses
            .iter()
            .map(|response| response.estimated_tokens)
            .collect();
        let shares = share_out(receipt.usage.completion_tokens, &lengths);
        let held = (0..).zip(receipt.responses.iter().zip(shares));
        let mut unscored = None;
        let held = held.filter_map(|(position, (response, tokens))| {
            let id = response_id(&plan, position);
            let observed = match scores.get(&ScoreKey::whole(id, plan.instance)) {
                Some(Ok(observation)) => *observation,
                // A score that is missing is no bad one.
                Some(Err(reason)) => {
                    unscored.get_or_insert_with(|| format!("scoring failed: {reason}"));
                    return None;
                }
                None => {
                    unscored.get_or_insert_with(|| "scoring failed: there is no score".to_owned());
                    return None;
                }
            };
            Some(ScoredResponse {
                id,
                observed,
                tokens,
                ended: response.ended,
                latency_ms: receipt.latency_ms,
            })
        });
        let held: Vec<ScoredResponse> = held.collect();
        if let (true, Some(why)) = (held.is_empty(), unscored) {
            return Err(why);
        }
        self.bought
            .extend(held.iter().map(|held| (plan.instance, held.clone())));
        Ok(held)
    }
}

/// How a trial ends whose configuration, model, endpoint or key is refused.
fn refusal(scope: Scope, reason: &str) -> Ending {
    match scope {
        Scope::Row | Scope::Configuration | Scope::Model => Ending::Infeasible(reason.to_owned()),
        Scope::Endpoint | Scope::Key => Ending::Failed(reason.to_owned()),
    }
}

fn response_id(plan: &RequestPlan, position: u32) -> ResponseId {
    ResponseId {
        job: None,
        request: plan.key,
        position,
    }
}

/// What is to be scored of a reply: every response, whole.
fn score_plans(plan: &RequestPlan, reply: &Reply) -> Vec<ScorePlan> {
    let count = reply.as_ref().map_or(0, |receipt| receipt.responses.len());
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let one = |position| ScorePlan {
        key: ScoreKey::whole(response_id(plan, position), plan.instance),
        cut: None,
    };
    (0..count).map(one).collect()
}
