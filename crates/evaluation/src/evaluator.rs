//! What a job's trials share: known n, prompt tokens, responses.

use crate::demand::{Ending, Task};
use crate::draw_schedule::DrawSchedule;
use crate::inference_cost::InferenceCost;
use crate::plan::{InvalidPlan, Mode, TrialPlan};
use crate::pool::Pool;
use crate::prompt_tokens::PromptTokens;
use crate::reference::{ReferenceSchedule, Spending};
use crate::rival::Rival;
use crate::schedule::Schedule;
use crate::supply::Supply;
use crate::trial_run::{Scheme, TrialRun};
use crate::validity::Validity;
use frugal_domain::configuration::Extent;
use frugal_domain::job::Pruning;
use frugal_domain::money::{Budget, Spend};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The share of the instances that may have failed requests in a trial that is evaluated.
pub const DEFAULT_MISSING_SHARE: f64 = 0.2;

/// How the trials of a job are evaluated.
#[derive(Debug, Clone)]
pub struct EvaluatorOptions {
    /// Instances that every trial is evaluated on, numbered from 0. Held-out instances need an
    /// evaluator of their own.
    pub instances: usize,
    /// The order in which they are looked at: each of them once, best in a random order, since
    /// the first few stand for all. [`Pruning::Reference`] takes them as they are numbered, and
    /// so does everything where this is not such an order.
    pub order: Vec<usize>,
    /// The schedule.
    pub pruning: Pruning,
    /// The most that one instance may cost under a configuration. Without it nothing can be
    /// pruned, and every trial is evaluated in full.
    pub inference_budget: Option<Budget>,
    /// The share of the instances that may have failed requests in a trial that is evaluated
    /// nevertheless; a trial with more has failed. See [`DEFAULT_MISSING_SHARE`].
    pub missing_share: f64,
    /// Whether trials use responses again that others drew under the same sampling settings, and ask
    /// for those of an instance in parts. Where the time that requests take counts, only requests of a
    /// trial's own `n` and `max_tokens` tell it.
    pub is_shared: bool,
    /// For [`Pruning::Reference`] alone.
    pub reference: ReferenceOptions,
}

impl EvaluatorOptions {
    /// The default options for so many instances.
    #[must_use]
    pub fn new(instances: usize, pruning: Pruning, inference_budget: Option<Budget>) -> Self {
        Self {
            instances,
            order: (0..instances).collect(),
            pruning,
            inference_budget,
            missing_share: DEFAULT_MISSING_SHARE,
            is_shared: true,
            reference: ReferenceOptions::default(),
        }
    }
}

/// What the reference's schedule needs besides.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReferenceOptions {
    /// The mean prompt tokens over the instances, if known from the start. The reference
    /// learns it from its first evaluated trial, and prunes none before that.
    pub mean_prompt_tokens: Option<f64>,
    /// The reference's optimization budget, which it holds what it has spent against after
    /// each answer: the request that reaches it is its last. With it requests go one by one,
    /// otherwise in batches of the same order.
    pub optimization_budget: Option<Budget>,
}

/// The state that a job's trials share. A trial takes what it needs when it
/// [begins](Self::begin) and gives back what it learned when it is [committed](Self::commit);
/// these two, in the same order, make the same state again.
#[derive(Debug, Clone)]
pub struct Evaluator {
    options: EvaluatorOptions,
    order: Arc<[usize]>,
    rival: Option<Rival>,
    validity: Validity,
    pool: Pool,
    prompt_tokens: BTreeMap<PromptKey, Vec<Option<u64>>>,
    /// Rows whose prompts the endpoint refuses, and why.
    left_out: BTreeMap<PromptKey, BTreeMap<usize, String>>,
    mean_prompt_tokens: Option<f64>,
    spend: Spend,
}

impl Evaluator {
    /// An evaluator that knows nothing yet.
    #[must_use]
    pub fn new(options: EvaluatorOptions) -> Self {
        Self {
            order: order(&options),
            rival: None,
            mean_prompt_tokens: options.reference.mean_prompt_tokens,
            options,
            validity: Validity::default(),
            pool: Pool::default(),
            prompt_tokens: BTreeMap::new(),
            left_out: BTreeMap::new(),
            spend: Spend::default(),
        }
    }

    /// Begins a trial with what is known now. Later commits do not touch it.
    ///
    /// # Errors
    /// The plan makes no sense.
    pub fn begin(&self, plan: TrialPlan) -> Result<TrialRun, InvalidPlan> {
        self.begin_at(plan, 0)
    }

    /// Begins a trial whose requests are numbered from `first_ordinal` on.
    ///
    /// # Errors
    /// The plan makes no sense.
    pub fn begin_at(&self, plan: TrialPlan, first_ordinal: u32) -> Result<TrialRun, InvalidPlan> {
        self.check(&plan)?;
        let prompts = self.prompt_tokens_of(&plan);
        let scheme = self.scheme(&plan, &prompts);
        let supply = self.supply(&plan);
        Ok(TrialRun::starting_at(
            first_ordinal,
            plan,
            prompts,
            scheme,
            supply,
        ))
    }

    /// Begins a batch of draws for an arm: so many responses for each of these rows, and no verdict
    /// on the arm. Its requests are numbered from `first_ordinal` on; the plan's `n` is what each row
    /// is to get. Responses that score are scored again cut to these `limits`, in rising order, to
    /// see how much of them is [enough](crate::ScoredDraw::enough).
    ///
    /// # Errors
    /// The plan makes no sense.
    pub fn begin_draws(
        &self,
        plan: TrialPlan,
        first_ordinal: u32,
        rows: Vec<usize>,
        limits: Vec<u32>,
    ) -> Result<TrialRun, InvalidPlan> {
        self.check(&plan)?;
        let prompts = self.prompt_tokens_of(&plan);
        let schedule =
            DrawSchedule::new(rows, plan.settings.extent.n, plan.most_per_request, limits);
        // Of the pool nothing is taken: what is drawn comes on top of it.
        let supply = Supply::new(
            self.options.instances,
            u32::MAX,
            plan.settings.extent.max_tokens,
            Arc::default(),
        );
        let scheme = Ok(Scheme::Draw(schedule));
        Ok(TrialRun::starting_at(
            first_ordinal,
            plan,
            prompts,
            scheme,
            supply,
        ))
    }

    /// Begins the evaluation of a configuration on some of the rows, at its n and in full; of what the
    /// pool has it takes what serves. Its requests are numbered from `first_ordinal` on, and there are at
    /// most n for each row. Nothing that it comes to ends it but a refusal and the end of the budget, and
    /// what it found is [what is complete](TrialRun::complete).
    ///
    /// # Errors
    /// The plan makes no sense.
    pub fn begin_rows(
        &self,
        plan: TrialPlan,
        first_ordinal: u32,
        rows: Vec<usize>,
    ) -> Result<TrialRun, InvalidPlan> {
        self.check(&plan)?;
        let prompts = self.prompt_tokens_of(&plan);
        let mut schedule = Schedule::of_rows(Task {
            instances: self.options.instances,
            n: plan.settings.extent.n,
            max_tokens: plan.settings.extent.max_tokens,
            most_per_request: plan.most_per_request,
            cost: None,
            prices: plan.prices,
            order: rows.into(),
        });
        for (row, reason) in self.left_out.get(&prompt_key(&plan)).into_iter().flatten() {
            schedule.leave_out(*row, reason.clone());
        }
        let supply = self.supply(&plan);
        let scheme = Ok(Scheme::Own(schedule));
        Ok(TrialRun::starting_at(
            first_ordinal,
            plan,
            prompts,
            scheme,
            supply,
        ))
    }

    /// Trials that begin from now on are evaluated under this optimization budget, which
    /// [`Pruning::Reference`] reckons with.
    pub const fn set_optimization_budget(&mut self, budget: Budget) {
        self.options.reference.optimization_budget = Some(budget);
    }

    /// Holds the trials that begin from now on against this one, if it is better than the one so
    /// far, and ends them early where they are significantly worse. [`Pruning::Reference`] takes
    /// no notice of it.
    pub fn set_rival(&mut self, rival: Rival) {
        if self.rival.as_ref().is_none_or(|best| rival.beats(best)) {
            self.rival = Some(rival);
        }
    }

    /// What is known of the tokens of a plan's prompts.
    fn prompt_tokens_of(&self, plan: &TrialPlan) -> PromptTokens {
        let known = self.prompt_tokens.get(&prompt_key(plan)).cloned();
        PromptTokens::new(known.unwrap_or_default(), plan.prompt_token_bounds.clone())
    }

    /// What the pool has for a trial.
    fn supply(&self, plan: &TrialPlan) -> Supply {
        let Extent { max_tokens, n } = plan.settings.extent;
        let arm = self.pool.snapshot(&plan.settings.sampling);
        Supply::new(self.options.instances, n, max_tokens, arm)
    }

    /// Takes in what a trial learned. Call it in the order of proposal, once for each trial
    /// that has ended or was abandoned (of a batch that is not fully answered nothing is
    /// taken).
    pub fn commit(&mut self, trial: &TrialRun) {
        let plan = trial.plan();
        let region = plan.settings.sampling.region();
        for &finding in trial.findings() {
            self.validity.record(
                plan.number,
                &region,
                plan.settings.extent.max_tokens,
                finding,
            );
        }
        let known = self.prompt_tokens.entry(prompt_key(plan)).or_default();
        known.resize(self.options.instances, None);
        for (known, learned) in known.iter_mut().zip(trial.prompts().known()) {
            *known = known.or(*learned);
        }
        for (row, reason) in trial.left_out() {
            let of_pair = self.left_out.entry(prompt_key(plan)).or_default();
            of_pair.entry(*row).or_insert_with(|| reason.clone());
        }
        if self.has_pool() {
            let arm = self.pool.arm_mut(&plan.settings.sampling);
            for draw in trial.draws() {
                arm.add(draw);
            }
            arm.remember(trial.scores());
        }
        self.spend += trial.spend();
        // As the reference does: one mean, from the first trial that gets to its end.
        if let Some(Ending::Evaluated { .. }) = trial.ending()
            && self.mean_prompt_tokens.is_none()
        {
            self.mean_prompt_tokens = Some(trial.prompts().estimated_mean());
        }
    }

    /// The tokens of an instance's prompt under a model and a prompt, where the endpoint has counted
    /// them.
    #[must_use]
    pub fn counted_prompt_tokens(
        &self,
        model: usize,
        prompt: usize,
        instance: usize,
    ) -> Option<u64> {
        let known = self.prompt_tokens.get(&(model, prompt))?;
        known.get(instance).copied().flatten()
    }

    /// The tokens of each instance's prompt under a model and a prompt: the true number where it is
    /// known, else an estimate from the bounds and what is known of other instances.
    #[must_use]
    pub fn prompt_token_estimates(
        &self,
        model: usize,
        prompt: usize,
        bounds: Arc<[u64]>,
    ) -> Vec<u64> {
        let known = self.prompt_tokens.get(&(model, prompt)).cloned();
        PromptTokens::new(known.unwrap_or_default(), bounds).estimates()
    }

    /// By model and prompt, the rows whose prompts the endpoint refuses, and why. No trial asks for
    /// them again.
    #[must_use]
    pub const fn left_out(&self) -> &BTreeMap<(usize, usize), BTreeMap<usize, String>> {
        &self.left_out
    }

    /// What is known of valid and invalid n.
    #[must_use]
    pub const fn validity(&self) -> &Validity {
        &self.validity
    }

    /// What the committed trials spent.
    #[must_use]
    pub const fn spend(&self) -> Spend {
        self.spend
    }

    /// Whether what trials learned of responses and their scores goes into the pool.
    #[must_use]
    pub fn has_pool(&self) -> bool {
        self.options.pruning != Pruning::Reference && self.options.is_shared
    }

    /// Every response that was paid for or taken over, by sampling settings.
    #[must_use]
    pub const fn pool(&self) -> &Pool {
        &self.pool
    }

    fn check(&self, plan: &TrialPlan) -> Result<(), InvalidPlan> {
        let instances = self.options.instances;
        let given = plan.prompt_token_bounds.len();
        if instances == 0 {
            Err(InvalidPlan::NoInstances)
        } else if plan.settings.extent.n == 0 {
            Err(InvalidPlan::NoResponses)
        } else if plan.settings.extent.max_tokens == 0 {
            Err(InvalidPlan::NoTokens)
        } else if given != instances {
            Err(InvalidPlan::Bounds { given, instances })
        } else {
            Ok(())
        }
    }

    fn scheme(&self, plan: &TrialPlan, prompts: &PromptTokens) -> Result<Scheme, Ending> {
        let EvaluatorOptions {
            instances,
            pruning,
            inference_budget,
            missing_share,
            ..
        } = self.options;
        // The reference knows of no request that yields fewer responses than asked for.
        let reference = plan.mode == Mode::Scheduled && pruning == Pruning::Reference;
        let most_per_request = plan.most_per_request.filter(|_| !reference);
        let task = Task {
            instances,
            n: plan.settings.extent.n,
            max_tokens: plan.settings.extent.max_tokens,
            most_per_request,
            cost: inference_budget
                .map(|budget| InferenceCost::new(budget, plan.prices, most_per_request)),
            prices: plan.prices,
            order: self.order.clone(),
        };
        let region = plan.settings.sampling.region();
        let known = self
            .validity
            .known(&region, plan.settings.extent.max_tokens);
        if reference {
            let spending = Spending {
                budget: self.options.reference.optimization_budget,
                so_far: self.spend,
            };
            return ReferenceSchedule::new(task, self.mean_prompt_tokens, known, spending)
                .map(Scheme::Reference);
        }
        let mut schedule = if plan.mode == Mode::Scheduled && pruning == Pruning::On {
            let in_parts = self.options.is_shared;
            let rival = self.rival.clone();
            Schedule::stepwise(task, missing_share, in_parts, known, prompts, rival)?
        } else if let Mode::Bounded {
            allowance,
            beyond_budget,
        } = plan.mode
        {
            Schedule::bounded(task, missing_share, allowance, beyond_budget)
        } else {
            Schedule::full(task, missing_share)
        };
        for (row, reason) in self.left_out.get(&prompt_key(plan)).into_iter().flatten() {
            schedule.leave_out(*row, reason.clone());
        }
        Ok(Scheme::Own(schedule))
    }
}

/// What fixes the tokens of an instance's prompt: the model and the prompt, by position.
type PromptKey = (usize, usize);

fn prompt_key(plan: &TrialPlan) -> PromptKey {
    let sampling = &plan.settings.sampling;
    (sampling.model, sampling.prompt)
}

/// The order of the instances as the options have it, if it has each of them once.
fn order(options: &EvaluatorOptions) -> Arc<[usize]> {
    let all: BTreeSet<usize> = (0..options.instances).collect();
    let given: BTreeSet<usize> = options.order.iter().copied().collect();
    if options.pruning == Pruning::Reference
        || options.order.len() != options.instances
        || given != all
    {
        return all.into_iter().collect();
    }
    options.order.as_slice().into()
}
