//! Frugal's own schedule: everything that was paid for is kept and used.

use crate::inference_cost::InferenceCost;
use crate::pool::Held;
use crate::prompt_tokens::PromptTokens;
use crate::pruning::{self, Standing};
use crate::trial::Ending;
use crate::validity::{Finding, Known};
use frugal_domain::trial::PruneReason;
use std::collections::BTreeMap;

/// The most requests in one batch; what is left to ask for comes in the next. Only a large n
/// with an endpoint that gives few responses at a time gets there.
const MOST_REQUESTS: usize = 10_000;

/// Responses to ask an instance for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) instance: usize,
    pub(crate) n: u32,
}

/// What a schedule wants next.
#[derive(Debug)]
pub(crate) enum Turn {
    Ask(Vec<Ask>),
    End(Ending),
}

/// What a schedule is given at the start of a trial.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) instances: usize,
    pub(crate) n: u32,
    pub(crate) max_tokens: u32,
    pub(crate) most_per_request: Option<u32>,
    pub(crate) cost: Option<InferenceCost>,
}

/// Either all instances at the configuration's n at once, or growing numbers of both with a
/// look at the cost after each step.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    task: Task,
    missing_share: f64,
    /// The inference cost that the trial is pruned by, if it is.
    pruning: Option<InferenceCost>,
    /// By instance, those of the pool first.
    held: Vec<Vec<Held>>,
    /// Instances with a failed request, and why.
    missing: BTreeMap<usize, String>,
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
    pub(crate) fn full(task: Task, held: Vec<Vec<Held>>, missing_share: f64) -> Self {
        Self {
            n: task.n,
            limit: task.instances,
            missing_share,
            pruning: None,
            held,
            missing: BTreeMap::new(),
            largest_answer: 1,
            answers_fall_short: false,
            findings: Vec::new(),
            task,
        }
    }

    /// Few responses on few instances first. The ending where nothing needs to be asked, as
    /// the configuration is known to be over the budget.
    pub(crate) fn pruned(
        task: Task,
        held: Vec<Vec<Held>>,
        missing_share: f64,
        known: Known,
        prompts: &PromptTokens,
    ) -> Result<Self, Ending> {
        let Some(cost) = task.cost else {
            return Ok(Self::full(task, held, missing_share));
        };
        let sure = cost.sure_to_fit(task.n, task.max_tokens, prompts);
        let fits = sure.max(known.max_valid_n.unwrap_or(0));
        // Where an n is known both valid and invalid, the assumption behind the tables does
        // not hold, and measuring decides.
        let invalid = task.n > fits && known.invalid(task.n);
        if invalid || cost.prompts_exceed(task.n, prompts) {
            return Err(Ending::Pruned(PruneReason::KnownInvalid));
        }
        Ok(Self {
            n: pruning::first_n(task.n, fits),
            limit: task.instances.min(1),
            pruning: Some(cost),
            ..Self::full(task, held, missing_share)
        })
    }

    pub(crate) fn receive(&mut self, ask: Ask, outcome: Result<Vec<Held>, String>) {
        match outcome {
            Ok(responses) => {
                let count = u32::try_from(responses.len()).unwrap_or(u32::MAX);
                self.largest_answer = self.largest_answer.max(count);
                self.answers_fall_short |= count < ask.n;
                if let Some(held) = self.held.get_mut(ask.instance) {
                    held.extend(responses);
                }
            }
            Err(detail) => {
                self.missing.entry(ask.instance).or_insert(detail);
            }
        }
    }

    pub(crate) fn next(&mut self, prompts: &PromptTokens) -> Turn {
        loop {
            if let Some(ending) = self.too_many_missing() {
                return Turn::End(ending);
            }
            let asks = self.asks();
            if !asks.is_empty() {
                return Turn::Ask(asks);
            }
            if let Some(ending) = self.conclude(prompts) {
                return Turn::End(ending);
            }
        }
    }

    /// Looks at a step whose responses are all there: ends, or moves on.
    fn conclude(&mut self, prompts: &PromptTokens) -> Option<Ending> {
        let task_n = self.task.n;
        let last = self.n == task_n && self.limit == self.task.instances;
        let Some(cost) = self.pruning else {
            let within_budget = self.task.cost.is_none_or(|cost| {
                let valid = self.standing(cost, prompts) != Standing::Above;
                self.find(valid);
                valid
            });
            return Some(Ending::Evaluated { within_budget });
        };
        match self.standing(cost, prompts) {
            Standing::Above => {
                self.find(false);
                return Some(Ending::Pruned(PruneReason::OverBudget {
                    n: self.n,
                    instances: u32::try_from(self.present().count()).unwrap_or(u32::MAX),
                }));
            }
            Standing::Below | Standing::Within if last => {
                self.find(true);
                return Some(Ending::Evaluated {
                    within_budget: true,
                });
            }
            Standing::Below if self.n < task_n => {
                self.find(true);
                self.n = pruning::next_n(self.n, task_n);
                self.limit = 1;
            }
            Standing::Below | Standing::Within if self.limit < self.task.instances => {
                self.limit = pruning::next_limit(self.limit, self.task.instances);
            }
            // Once all are seen the band is closed; this is for completeness.
            Standing::Below | Standing::Within => {
                self.n = pruning::next_n(self.n, task_n);
                self.limit = 1;
            }
        }
        None
    }

    fn find(&mut self, valid: bool) {
        self.findings.push(Finding {
            n: self.n,
            valid,
            measured: true,
        });
    }

    /// Where the mean cost of the instances seen stands against the budget.
    fn standing(&self, cost: InferenceCost, prompts: &PromptTokens) -> Standing {
        let present: Vec<usize> = self.present().collect();
        let population = self.task.instances - self.missing.len();
        if present.is_empty() {
            return Standing::Within;
        }
        if present.len() == population {
            let total = present.iter().fold(0_u128, |total, &instance| {
                let tokens = self.tokens(instance);
                total.saturating_add(cost.of(self.n, prompts.upper(instance), tokens))
            });
            return if cost.covers(total, population) {
                Standing::Below
            } else {
                Standing::Above
            };
        }
        let tokens: u128 = present.iter().map(|&i| u128::from(self.tokens(i))).sum();
        #[expect(
            clippy::cast_precision_loss,
            reason = "held against a band; the last word is exact"
        )]
        let mean_output = tokens as f64 / present.len() as f64 * cost.prices().output_pico as f64;
        let left = cost.left_for_output(self.n, prompts.estimated_mean());
        pruning::stand(mean_output, left, pruning::band(present.len(), population))
    }

    /// Instances within the current step that have not failed.
    fn present(&self) -> impl Iterator<Item = usize> {
        (0..self.limit).filter(|instance| !self.missing.contains_key(instance))
    }

    fn tokens(&self, instance: usize) -> u64 {
        self.used(instance, self.n)
            .iter()
            .fold(0, |sum, held| sum.saturating_add(held.tokens))
    }

    /// What is missing to have n responses on each instance of the step. An endpoint that
    /// once gave fewer responses than asked for is asked for no more than it ever gave, in as
    /// many requests as that takes.
    fn asks(&self) -> Vec<Ask> {
        let most = match self.task.most_per_request {
            Some(most) => most.max(1),
            None => u32::MAX,
        };
        let most = if self.answers_fall_short {
            most.min(self.largest_answer)
        } else {
            most
        };
        let mut asks = Vec::new();
        for instance in self.present() {
            let mut lacking = self.n.saturating_sub(self.count(instance));
            while lacking > 0 && asks.len() < MOST_REQUESTS {
                let n = lacking.min(most);
                asks.push(Ask { instance, n });
                lacking -= n;
            }
        }
        asks
    }

    fn too_many_missing(&self) -> Option<Ending> {
        let (missing, instances) = (self.missing.len(), self.task.instances);
        let detail = self.missing.values().next()?;
        #[expect(
            clippy::cast_precision_loss,
            reason = "counts of instances are far below 2^53"
        )]
        let too_many = missing as f64 > self.missing_share * instances as f64;
        (too_many || missing == instances).then(|| {
            Ending::Failed(format!(
                "{missing} of {instances} instances have no answer: {detail}"
            ))
        })
    }

    fn count(&self, instance: usize) -> u32 {
        let held = self.held.get(instance).map_or(0, Vec::len);
        u32::try_from(held).unwrap_or(u32::MAX)
    }

    /// The first n responses of an instance, or as many as there are.
    pub(crate) fn used(&self, instance: usize, n: u32) -> &[Held] {
        let held = self.held.get(instance).map_or(&[][..], Vec::as_slice);
        let n = usize::try_from(n).unwrap_or(usize::MAX);
        &held[..n.min(held.len())]
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

    /// The current n, and how many instances have that many responses.
    pub(crate) fn reached(&self) -> (u32, usize) {
        let complete = (0..self.task.instances).filter(|&i| self.count(i) >= self.n);
        (self.n, complete.count())
    }
}
