//! The reference implementation's schedule, request by request.
//!
//! It differs from [Frugal's own](crate::schedule) in what it keeps: responses of an n that it
//! leaves early are dropped, nothing is pooled, one mean stands for all prompts, and where
//! that mean is not known from the start the first trial is not pruned. A failed request ends
//! the trial and makes its n invalid, as there; here the trial has failed and has no utility.
//! Answers with too few responses are taken as they are.

use crate::demand::{Demand, Ending, ScheduleStep, Task};
use crate::draw::ScoredResponse;
use crate::inference_cost::InferenceCost;
use crate::prompt_tokens::PromptTokens;
use crate::pruning::{self, BudgetPosition};
use crate::validity::{Finding, KnownLimits};
use frugal_domain::money::{Budget, Spend};
use frugal_domain::trial::PruneReason;

#[derive(Debug, Clone)]
pub(crate) struct ReferenceSchedule {
    task: Task,
    /// The output tokens per instance that the budget leaves after the mean prompt.
    target: Option<f64>,
    spending: Spending,
    /// Stage: responses per instance, and those that the stage before left.
    n: u32,
    kept_n: u32,
    limit: usize,
    /// The next instance to ask about in this step.
    next: usize,
    /// By instance; emptied where a stage is left early.
    held: Vec<Vec<ScoredResponse>>,
    findings: Vec<Finding>,
    ending: Option<Ending>,
}

/// The reference stops once so much is spent, all trials together, in the middle of a step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spending {
    pub(crate) budget: Option<Budget>,
    pub(crate) so_far: Spend,
}

impl ReferenceSchedule {
    /// `mean_prompt_tokens` is the mean over all instances, if known. Without an inference
    /// budget all instances are asked for the configuration's n, in one step.
    pub(crate) fn new(
        task: Task,
        mean_prompt_tokens: Option<f64>,
        known: KnownLimits,
        spending: Spending,
    ) -> Result<Self, Ending> {
        let target = task
            .cost
            .zip(mean_prompt_tokens)
            .and_then(|(cost, mean)| target_output_tokens(cost, mean));
        // At least one response is taken to be valid; the budget may promise more.
        let mut fits = known.max_valid_n.unwrap_or(1);
        if let Some(target) = target {
            fits = fits.max(whole(target / f64::from(task.max_tokens)));
        }
        let pruning = task.cost.is_some();
        if pruning && task.n > fits && known.invalid(task.n) {
            return Err(Ending::Pruned(PruneReason::KnownInvalid));
        }
        Ok(Self {
            target,
            spending,
            n: if pruning {
                pruning::first_n(task.n, fits)
            } else {
                task.n
            },
            kept_n: 0,
            limit: if pruning { 1 } else { task.instances },
            next: 0,
            held: vec![Vec::new(); task.instances],
            findings: Vec::new(),
            ending: None,
            task,
        })
    }

    pub(crate) fn receive(
        &mut self,
        demand: Demand,
        spend: Spend,
        outcome: Result<Vec<ScoredResponse>, String>,
    ) {
        if self.ending.is_some() {
            return;
        }
        let responses = match outcome {
            Ok(responses) => responses,
            Err(detail) => {
                if self.task.cost.is_some() {
                    self.find(false, false);
                }
                self.ending = Some(Ending::Failed(detail));
                return;
            }
        };
        self.spending.so_far += spend;
        if self.spending.budget.is_some_and(|budget| {
            let unit = budget.unit();
            unit.of(self.spending.so_far) >= budget.amount()
        }) {
            self.ending = Some(Ending::BudgetExhausted);
            return;
        }
        if let Some(held) = self.held.get_mut(demand.instance) {
            held.extend(responses);
        }
        self.next = demand.instance + 1;
    }

    pub(crate) fn next(&mut self, prompts: &PromptTokens) -> ScheduleStep {
        loop {
            if let Some(ending) = &self.ending {
                return ScheduleStep::End(ending.clone());
            }
            if self.next < self.limit {
                // Each request may be the one that exhausts the budget; without one a step
                // is the same whether its requests go one by one or at once.
                let until = if self.spending.budget.is_some() {
                    self.next + 1
                } else {
                    self.limit
                };
                let n = self.n - self.kept_n;
                let demands = (self.next..until).map(|instance| Demand { instance, n });
                return ScheduleStep::Demand(demands.collect());
            }
            self.conclude(prompts);
        }
    }

    /// Looks at a step whose answers are all there.
    fn conclude(&mut self, prompts: &PromptTokens) {
        let all = self.limit == self.task.instances;
        let last_n = self.n == self.task.n;
        let band = pruning::band(self.limit, self.task.instances);
        let position = self
            .target
            .map(|target| pruning::position(self.mean_output_tokens(), target, band));
        if position == Some(BudgetPosition::Above) {
            self.find(false, true);
            self.ending = Some(Ending::Pruned(PruneReason::OverBudget {
                n: self.n,
                instances: u32::try_from(self.limit).unwrap_or(u32::MAX),
            }));
            return;
        }
        let valid = position == Some(BudgetPosition::Below) && (!last_n || all);
        if valid {
            self.find(true, true);
        }
        if valid && !last_n {
            self.held.iter_mut().for_each(Vec::clear);
            self.stage(0);
        } else if !all {
            self.next = self.limit;
            self.limit = pruning::next_limit(self.limit, self.task.instances);
        } else if last_n {
            // Without a target nothing was held against the budget on the way.
            let within_budget = self.target.is_some() || self.within_budget(prompts);
            self.ending = Some(Ending::Evaluated { within_budget });
        } else {
            self.stage(self.n);
        }
    }

    fn within_budget(&self, prompts: &PromptTokens) -> bool {
        let Some(cost) = self.task.cost else {
            return true;
        };
        let total = self
            .held
            .iter()
            .enumerate()
            .fold(0_u128, |total, (i, held)| {
                let tokens = held
                    .iter()
                    .fold(0_u64, |sum, held| sum.saturating_add(held.tokens));
                total.saturating_add(cost.of(self.n, prompts.upper(i), tokens))
            });
        cost.covers(total, self.held.len())
    }

    /// Goes on to the next n, from the first instance, with so many responses kept.
    fn stage(&mut self, kept_n: u32) {
        self.kept_n = kept_n;
        self.n = pruning::next_n(self.n, self.task.n);
        self.limit = 1;
        self.next = 0;
    }

    fn find(&mut self, valid: bool, measured: bool) {
        self.findings.push(Finding {
            n: self.n,
            valid,
            measured,
        });
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "the reference computes in floating point"
    )]
    fn mean_output_tokens(&self) -> f64 {
        let seen = self.held.iter().take(self.limit);
        let tokens: u128 = seen.flatten().map(|held| u128::from(held.tokens)).sum();
        tokens as f64 / self.limit as f64
    }

    pub(crate) fn used(&self, instance: usize) -> &[ScoredResponse] {
        self.held.get(instance).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The current n, and how many instances were asked about at it.
    pub(crate) fn reached(&self) -> (u32, usize) {
        (self.n, self.next)
    }
}

/// The reference's target; none where it is exactly 0, which the reference takes for unknown.
#[expect(
    clippy::cast_precision_loss,
    reason = "the reference computes in floating point"
)]
fn target_output_tokens(cost: InferenceCost, mean_prompt_tokens: f64) -> Option<f64> {
    let target = cost.left_for_output(1, mean_prompt_tokens) / cost.prices().output_pico as f64;
    (target != 0.0 && !target.is_nan()).then_some(target)
}

/// The whole number below, within the range of n.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "conversion saturates, which is what is wanted"
)]
fn whole(value: f64) -> u32 {
    value.floor() as u32
}
