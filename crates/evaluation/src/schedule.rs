//! Frugal's own schedule: everything that was paid for is kept and used.

use crate::demand::{Demand, Ending, ScheduleStep, Task};
use crate::draw::ScoredResponse;
use crate::evaluated::EvaluatedInstance;
use crate::inference_cost::InferenceCost;
use crate::prompt_tokens::PromptTokens;
use crate::pruning::{self, BudgetPosition};
use crate::rival::{Comparison, Rival};
use crate::speculation;
use crate::validity::{Finding, KnownLimits};
use frugal_domain::money::Budget;
use frugal_domain::trial::PruneReason;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The most requests in one batch; what is left to ask for comes in the next. Only a large n
/// with an endpoint that gives few responses at a time gets there.
const MOST_REQUESTS: usize = 10_000;

/// How many instances a schedule with an allowance begins with, and by how much it grows at most.
const FIRST_BOUNDED: usize = 2;
const BOUNDED_GROWTH: usize = 8;

/// Either all instances at the configuration's n at once, or growing numbers of both with a
/// look at the cost, and at the best trial so far, after each step.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    task: Task,
    missing_share: f64,
    stepwise: bool,
    /// The most that it may cost, if it goes on for as many instances as that pays for.
    allowance: Option<Budget>,
    /// It goes on within the allowance once it is surely over the inference budget.
    beyond_budget: bool,
    /// What a trial that goes step by step is compared with, if anything.
    rival: Option<Rival>,
    /// By instance, those of the pool first.
    held: Vec<Vec<ScoredResponse>>,
    /// How many of them are the pool's, by instance.
    pooled: Vec<usize>,
    /// Instances with a failed request, and why.
    missing: BTreeMap<usize, String>,
    /// Those of them whose prompts the endpoint refuses, whatever the configuration.
    left_out: BTreeSet<usize>,
    n: u32,
    limit: usize,
    /// The most responses that any answer had.
    largest_answer: u32,
    /// Some answer had fewer responses than were asked for.
    answers_fall_short: bool,
    findings: Vec<Finding>,
}

impl Schedule {
    /// All instances at the configuration's n, in one batch.
    pub(crate) fn full(task: Task, missing_share: f64) -> Self {
        Self {
            n: task.n,
            limit: task.instances,
            missing_share,
            stepwise: false,
            allowance: None,
            beyond_budget: false,
            rival: None,
            held: vec![Vec::new(); task.instances],
            pooled: vec![0; task.instances],
            missing: BTreeMap::new(),
            left_out: BTreeSet::new(),
            largest_answer: 1,
            answers_fall_short: false,
            findings: Vec::new(),
            task,
        }
    }

    /// The instances of the task's order, which need not be all of them, at the configuration's n and in
    /// one batch, however many of them have no answer.
    pub(crate) fn of_rows(task: Task) -> Self {
        Self {
            limit: task.order.len(),
            ..Self::full(task, f64::INFINITY)
        }
    }

    /// As many instances as an allowance pays for, at the configuration's n: few first, then as many
    /// as these leave room for. One instance is looked at whatever it costs.
    /// Where it is not to go `beyond_budget`, it ends once it is surely over the inference budget.
    pub(crate) fn bounded(
        task: Task,
        missing_share: f64,
        allowance: Budget,
        beyond_budget: bool,
    ) -> Self {
        Self {
            limit: task.instances.min(FIRST_BOUNDED),
            allowance: Some(allowance),
            beyond_budget,
            ..Self::full(task, missing_share)
        }
    }

    /// Few instances first, and few responses on each where they may be asked for `in_parts`. The
    /// ending where nothing needs to be asked, as the configuration is known to be over the budget.
    pub(crate) fn stepwise(
        task: Task,
        missing_share: f64,
        in_parts: bool,
        known: KnownLimits,
        prompts: &PromptTokens,
        rival: Option<Rival>,
    ) -> Result<Self, Ending> {
        if task.cost.is_none() && rival.is_none() {
            return Ok(Self::full(task, missing_share));
        }
        let mut n = task.n;
        if let Some(cost) = task.cost {
            let sure = cost.sure_to_fit(task.n, task.max_tokens, prompts);
            let fits = sure.max(known.max_valid_n.unwrap_or(0));
            // Where an n is known both valid and invalid, the assumption behind the tables
            // does not hold, and measuring decides.
            let invalid = task.n > fits && known.invalid(task.n);
            if invalid || cost.prompts_exceed(task.n, prompts) {
                return Err(Ending::Pruned(PruneReason::KnownInvalid));
            }
            if in_parts {
                n = pruning::first_n(task.n, fits);
            }
        }
        Ok(Self {
            n,
            limit: task.instances.min(1),
            stepwise: true,
            rival,
            ..Self::full(task, missing_share)
        })
    }

    /// The instances, in the order in which they are looked at.
    pub(crate) fn order(&self) -> &[usize] {
        &self.task.order
    }

    /// Takes what the pool has for them, by instance, before anything is asked for.
    pub(crate) fn supply(&mut self, held: Vec<Vec<ScoredResponse>>) {
        self.pooled = held.iter().map(Vec::len).collect();
        self.held = held;
    }

    /// Goes on without an instance whose prompt the endpoint refuses.
    pub(crate) fn leave_out(&mut self, instance: usize, reason: String) {
        self.left_out.insert(instance);
        self.missing.entry(instance).or_insert(reason);
    }

    pub(crate) fn receive(&mut self, demand: Demand, outcome: Result<Vec<ScoredResponse>, String>) {
        match outcome {
            Ok(responses) => {
                let count = u32::try_from(responses.len()).unwrap_or(u32::MAX);
                self.largest_answer = self.largest_answer.max(count);
                self.answers_fall_short |= count < demand.n;
                if let Some(held) = self.held.get_mut(demand.instance) {
                    held.extend(responses);
                }
            }
            Err(detail) => {
                self.missing.entry(demand.instance).or_insert(detail);
            }
        }
    }

    pub(crate) fn next(&mut self, prompts: &PromptTokens) -> ScheduleStep {
        loop {
            if let Some(ending) = self.too_many_missing() {
                return ScheduleStep::End(ending);
            }
            let demands = self.demands(prompts);
            if !demands.is_empty() {
                return ScheduleStep::Demand(demands);
            }
            if let Some(ending) = self.conclude(prompts) {
                return ScheduleStep::End(ending);
            }
        }
    }

    /// Looks at a step whose responses are all there: ends, or moves on.
    fn conclude(&mut self, prompts: &PromptTokens) -> Option<Ending> {
        let task_n = self.task.n;
        let position = match self.task.cost {
            Some(cost) => self.position(cost, prompts),
            None => BudgetPosition::Within,
        };
        if let Some(allowance) = self.allowance
            && (self.beyond_budget || position != BudgetPosition::Above)
        {
            let next = self.payable(allowance, prompts);
            if next > self.limit {
                self.limit = next;
                return None;
            }
        }
        if !self.stepwise {
            let within_budget = position != BudgetPosition::Above;
            self.find(within_budget);
            return Some(Ending::Evaluated { within_budget });
        }
        if position == BudgetPosition::Above {
            self.find(false);
            return Some(Ending::Pruned(PruneReason::OverBudget {
                n: self.n,
                instances: u32::try_from(self.present().count()).unwrap_or(u32::MAX),
            }));
        }
        let all = self.limit == self.task.instances;
        if all && self.n == task_n {
            self.find(true);
            return Some(Ending::Evaluated {
                within_budget: true,
            });
        }
        if position == BudgetPosition::Below && self.n < task_n {
            self.find(true);
            self.next_n();
        } else if let Some(inferior) = self.inferior(prompts) {
            return Some(Ending::Pruned(inferior));
        } else if !all {
            self.limit = pruning::next_limit(self.limit, self.task.instances);
        } else {
            // Once all are seen the band is closed; this is for completeness.
            self.next_n();
        }
        None
    }

    /// How many instances an allowance pays for in all, those seen being like the others. No more
    /// than a few times as many as were seen, since few tell little.
    fn payable(&self, allowance: Budget, prompts: &PromptTokens) -> usize {
        let seen: Vec<usize> = self.present().collect();
        let unit = allowance.unit();
        let spent = seen.iter().fold(0_u64, |spent, &instance| {
            let used = self.used(instance, self.n);
            let pricing = self.task.pricing();
            let one = pricing.evaluated(instance, prompts.upper(instance), used);
            spent.saturating_add(unit.of(one.inference_cost))
        });
        if spent == 0 {
            return self.task.instances;
        }
        let paid = u128::from(allowance.amount()) * seen.len() as u128 / u128::from(spent);
        let most = self.limit.saturating_mul(BOUNDED_GROWTH);
        usize::try_from(paid)
            .unwrap_or(usize::MAX)
            .min(most)
            .min(self.task.instances)
    }

    fn next_n(&mut self) {
        self.n = pruning::next_n(self.n, self.task.n);
        self.limit = 1;
    }

    /// Why the trial ends, where it is significantly worse than its rival.
    fn inferior(&self, prompts: &PromptTokens) -> Option<PruneReason> {
        let rival = self.rival.as_ref()?;
        let comparison = self.compare(self.limit, prompts)?;
        comparison.is_inferior().then_some(PruneReason::Inferior {
            than: rival.trial,
            difference: comparison.difference,
        })
    }

    /// How the trial stands to its rival on the first so many instances, as far as they have all
    /// their responses. Nothing before it has come to its own n.
    fn compare(&self, limit: usize, prompts: &PromptTokens) -> Option<Comparison> {
        let rival = self.rival.as_ref().filter(|_| self.n == self.task.n)?;
        let seen: Vec<EvaluatedInstance> = self
            .first(limit)
            .filter(|&instance| self.count(instance) >= self.n)
            .map(|instance| {
                let used = self.used(instance, self.n);
                let pricing = self.task.pricing();
                pricing.evaluated(instance, prompts.upper(instance), used)
            })
            .collect();
        rival.compare(&seen, self.task.instances - self.missing.len())
    }

    /// Notes what was found of the present n, if there is a budget to hold it against.
    fn find(&mut self, valid: bool) {
        if self.task.cost.is_none() {
            return;
        }
        self.findings.push(Finding {
            n: self.n,
            valid,
            measured: true,
        });
    }

    /// Where the mean cost of the instances seen stands against the budget.
    fn position(&self, cost: InferenceCost, prompts: &PromptTokens) -> BudgetPosition {
        let present: Vec<usize> = self.present().collect();
        let population = self.task.instances - self.missing.len();
        if present.is_empty() {
            return BudgetPosition::Within;
        }
        if present.len() == population {
            let total = present.iter().fold(0_u128, |total, &instance| {
                let tokens = self.tokens(instance);
                total.saturating_add(cost.of(self.n, prompts.upper(instance), tokens))
            });
            return if cost.covers(total, population) {
                BudgetPosition::Below
            } else {
                BudgetPosition::Above
            };
        }
        let tokens: u128 = present.iter().map(|&i| u128::from(self.tokens(i))).sum();
        #[expect(
            clippy::cast_precision_loss,
            reason = "held against a band; the last word is exact"
        )]
        let mean_output = tokens as f64 / present.len() as f64 * cost.prices().output_pico as f64;
        let left = cost.left_for_output(self.n, prompts.estimated_mean());
        pruning::position(mean_output, left, pruning::band(present.len(), population))
    }

    /// Instances within the current step that have not failed.
    fn present(&self) -> impl Iterator<Item = usize> {
        self.first(self.limit)
    }

    /// The first so many instances, but for those that have failed.
    fn first(&self, limit: usize) -> impl Iterator<Item = usize> {
        let first = self.task.order.iter().take(limit).copied();
        first.filter(|instance| !self.missing.contains_key(instance))
    }

    fn tokens(&self, instance: usize) -> u64 {
        self.used(instance, self.n)
            .iter()
            .fold(0, |sum, held| sum.saturating_add(held.tokens))
    }

    /// What is missing to have n responses on each instance of the step, and on those of the
    /// steps after it that are all but sure to come.
    fn demands(&self, prompts: &PromptTokens) -> Vec<Demand> {
        let demands = self.demands_of(self.limit);
        if demands.is_empty() || !self.stepwise {
            return demands;
        }
        match self.horizon(prompts) {
            horizon if horizon > self.limit => self.demands_of(horizon),
            _ => demands,
        }
    }

    /// What is missing on the first so many instances. An endpoint that once gave fewer
    /// responses than asked for is asked for no more than it ever gave, in as many requests as
    /// that takes.
    fn demands_of(&self, limit: usize) -> Vec<Demand> {
        let most = match self.task.most_per_request {
            Some(most) => most.max(1),
            None => u32::MAX,
        };
        let most = if self.answers_fall_short {
            most.min(self.largest_answer)
        } else {
            most
        };
        let mut demands = Vec::new();
        for instance in self.first(limit) {
            let mut lacking = self.n.saturating_sub(self.count(instance));
            while lacking > 0 && demands.len() < MOST_REQUESTS {
                let n = lacking.min(most);
                demands.push(Demand { instance, n });
                lacking -= n;
            }
        }
        demands
    }

    /// Up to which instance requests go out together with those of the present step.
    fn horizon(&self, prompts: &PromptTokens) -> usize {
        let n = self.n;
        let sure = self
            .task
            .cost
            .is_none_or(|cost| cost.sure_to_fit(n, self.task.max_tokens, prompts) >= n);
        let complete: Vec<f64> = (0..self.task.instances)
            .filter(|&instance| self.count(instance) >= n && !self.is_missing(instance))
            .map(|instance| real(self.tokens(instance)))
            .collect();
        let population = self.task.instances - self.missing.len();
        let output_price = |cost: InferenceCost| real(cost.prices().output_pico);
        let chance_of_end = |limit: usize| {
            let over = match self.task.cost {
                Some(cost) if !sure => speculation::chance_over(
                    &complete,
                    limit,
                    cost.left_for_output(n, prompts.estimated_mean())
                        * (1.0 + pruning::band(limit, population))
                        / output_price(cost),
                ),
                _ => 0.0,
            };
            let inferior = match &self.rival {
                Some(_) if n == self.task.n => {
                    speculation::chance_inferior(self.compare(limit, prompts), limit)
                }
                _ => 0.0,
            };
            over + inferior
        };
        let response_tokens = self.mean_response_tokens();
        let weights = speculation::Weights::of(self.task.prices);
        let cost_of = |instance: usize, lacking: u32| {
            weights.cost(
                prompts.upper(instance),
                f64::from(lacking) * response_tokens,
            )
        };
        let bought = |instance: usize| {
            let pooled = self.pooled.get(instance).copied().unwrap_or(0);
            let pooled = u32::try_from(pooled).unwrap_or(u32::MAX);
            self.count(instance).saturating_sub(pooled)
        };
        let lacking = |instance: usize| n.saturating_sub(self.count(instance));
        let cost = |instances: &[usize], of: &dyn Fn(usize) -> u32| -> f64 {
            let counts = instances.iter().map(|&instance| (instance, of(instance)));
            let some = counts.filter(|(_, count)| *count > 0);
            some.map(|(instance, count)| cost_of(instance, count)).sum()
        };
        let order = |step: Range<usize>| self.task.order.get(step).unwrap_or_default();
        let so_far = cost(&self.task.order, &bought) + cost(order(0..self.limit), &lacking);
        speculation::horizon(
            self.limit,
            self.task.instances,
            so_far,
            chance_of_end,
            |step| cost(order(step), &lacking),
        )
    }

    /// The mean length of a response so far; the limit where there is none.
    fn mean_response_tokens(&self) -> f64 {
        let all = || self.held.iter().flatten();
        let tokens: u128 = all().map(|held| u128::from(held.tokens)).sum();
        match all().count() {
            0 => f64::from(self.task.max_tokens),
            count => tokens as f64 / count as f64,
        }
    }

    /// Whether too many instances have no answer. Those whose prompts are refused say nothing of the
    /// configuration and are judged apart: one may be whatever their number.
    fn too_many_missing(&self) -> Option<Ending> {
        let (missing, instances) = (self.missing.len(), self.task.instances);
        let left_out = self.left_out.len();
        let most = |of: usize| self.missing_share * real(of as u64);
        let too_many_left_out = real(left_out as u64) > most(instances).max(1.0);
        let failed = real((missing - left_out) as u64);
        let none_is_left = missing == instances && self.missing_share.is_finite();
        let too_many = too_many_left_out || failed > most(instances) || none_is_left;
        let mut reasons = self.missing.iter();
        let blamed = reasons.find(|(instance, _)| {
            self.left_out.contains(instance) == too_many_left_out || left_out == missing
        });
        let detail = blamed.map(|(_, reason)| reason).filter(|_| too_many)?;
        Some(Ending::Failed(format!(
            "{missing} of {instances} instances have no answer: {detail}"
        )))
    }

    fn count(&self, instance: usize) -> u32 {
        let held = self.held.get(instance).map_or(0, Vec::len);
        u32::try_from(held).unwrap_or(u32::MAX)
    }

    /// The first n responses of an instance, or as many as there are.
    pub(crate) fn used(&self, instance: usize, n: u32) -> &[ScoredResponse] {
        let held = self.held.get(instance).map_or(&[][..], Vec::as_slice);
        let n = usize::try_from(n).unwrap_or(usize::MAX);
        &held[..n.min(held.len())]
    }

    /// Whether the schedule came to an instance.
    pub(crate) fn has_seen(&self, instance: usize) -> bool {
        let seen = self.task.order.get(..self.limit).unwrap_or_default();
        seen.contains(&instance)
    }

    /// Those that it came to and that have n responses.
    pub(crate) fn complete(&self) -> impl Iterator<Item = usize> {
        let seen = self.first(self.limit);
        seen.filter(|&instance| self.count(instance) >= self.n)
    }

    /// Those that it came to and that have no answer: why, and whether their prompts are refused
    /// whatever the configuration.
    pub(crate) fn unanswered(&self) -> impl Iterator<Item = (usize, &str, bool)> {
        let seen = self.task.order.iter().take(self.limit);
        seen.filter_map(|instance| {
            let reason = self.missing.get(instance)?;
            let is_left_out = self.left_out.contains(instance);
            Some((*instance, reason.as_str(), is_left_out))
        })
    }

    pub(crate) fn is_missing(&self, instance: usize) -> bool {
        self.missing.contains_key(&instance)
    }

    pub(crate) fn missing(&self) -> usize {
        self.missing.len()
    }

    pub(crate) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Responses of the pool that the trial has made use of: those within its n on the instances
    /// that it has come to.
    pub(crate) fn pooled_used(&self) -> u64 {
        let n = usize::try_from(self.n).unwrap_or(usize::MAX);
        let used = self.first(self.limit).filter_map(|i| self.pooled.get(i));
        used.map(|pooled| (*pooled).min(n) as u64).sum()
    }

    /// The current n, and how many instances have that many responses.
    pub(crate) fn reached(&self) -> (u32, usize) {
        let complete = (0..self.task.instances).filter(|&i| self.count(i) >= self.n);
        (self.n, complete.count())
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "an estimate of what is to come; the last word is exact"
)]
fn real(count: u64) -> f64 {
    count as f64
}
