//! What a search is to a job: what it is built from, what it hears of a trial, and why it ends.

use crate::ask_tell::{Exhausted, Observation, Outcome};
use crate::search::{Search, SearchOptions};
use frugal_domain::configuration::Configuration;
use frugal_domain::id::TrialNumber;
use frugal_domain::job::{Algorithm, JobSpec, Pruning};
use frugal_domain::money::{Spend, Unit};
use frugal_domain::state::StopReason;
use frugal_domain::trial::{PruneReason, TrialOutcome};

impl SearchOptions {
    /// The search that a job asks for. Costs are counted in the unit of its optimization budget.
    #[must_use]
    pub fn for_job(spec: &JobSpec) -> Self {
        let budget = spec.optimization_budget;
        Self {
            algorithm: spec.search.algorithm,
            space: spec.space.clone(),
            seed: spec.search.seed,
            start: start(spec),
            low_cost_starts: spec.low_cost_starts(),
            low_cost: spec.low_cost_corner().into_iter().collect(),
            cost_budget: Some(plain(budget.unit(), budget.amount())),
            cost_floor: None,
            patience: spec.limits.trials_without_improvement,
        }
    }
}

impl Search {
    /// Goes on under what the job's terms have become.
    pub fn go_by(&mut self, spec: &JobSpec) {
        let budget = spec.optimization_budget;
        let budget = plain(budget.unit(), budget.amount());
        self.change_limits(budget, spec.limits.trials_without_improvement);
    }
}

/// What is evaluated first: what the job gives, else the default configuration of each model. Begun
/// from drawn points, a search under a small budget may find nothing that fits
/// (`docs/blendsearch.md`). The published search draws, and a grid has its own points.
fn start(spec: &JobSpec) -> Vec<Configuration> {
    let published = spec.search.pruning == Pruning::Reference;
    let own = matches!(spec.search.algorithm, Algorithm::Grid(_));
    if !spec.start.is_empty() || published || own || spec.search.algorithm.low_cost_starts() {
        return spec.start.clone();
    }
    (0..spec.models.len())
        .map(|model| spec.default_configuration_of(model))
        .collect()
}

impl Observation {
    /// What the searcher hears of a trial that cost so much; nothing of one that the end of the
    /// job cut off. `utility_of` is the mean utility of a trial that was evaluated.
    #[must_use]
    pub fn of(
        spec: &JobSpec,
        outcome: &TrialOutcome,
        spend: Spend,
        utility_of: impl FnOnce(TrialNumber) -> Option<f64>,
    ) -> Option<Self> {
        let direction = spec.objective.direction;
        let outcome = match outcome {
            TrialOutcome::Evaluated(evaluation) if evaluation.valid => Outcome::Evaluated {
                loss: direction.loss(evaluation.utility.mean),
            },
            TrialOutcome::Pruned {
                reason: PruneReason::Inferior { than, difference },
            } => utility_of(*than).map_or(Outcome::Pruned, |utility| Outcome::Inferior {
                loss: direction.loss(utility + difference.mean),
            }),
            TrialOutcome::Evaluated(_) | TrialOutcome::Pruned { .. } => Outcome::Pruned,
            TrialOutcome::Infeasible { .. } => Outcome::Infeasible,
            TrialOutcome::Failed { .. } => Outcome::Failed,
            TrialOutcome::Stopped => return None,
        };
        let unit = spec.optimization_budget.unit();
        let cost = plain(unit, unit.of(spend));
        Some(Self { outcome, cost })
    }
}

/// An amount as a plain number: costs are compared here, not booked.
fn plain(unit: Unit, amount: u64) -> f64 {
    unit.display(amount as f64)
}

impl From<Exhausted> for StopReason {
    fn from(reason: Exhausted) -> Self {
        match reason {
            Exhausted::SpaceUsedUp => Self::SpaceExhausted,
            Exhausted::BudgetSpent => Self::BudgetExhausted,
            Exhausted::NothingNew => Self::Converged,
            Exhausted::NoImprovement => Self::NoImprovement,
        }
    }
}
