//! The books of one job: its ledger, what is kept for the held-out rows, the best trial.

use crate::trial::Ended;
use frugal_domain::id::TrialNumber;
use frugal_domain::job::JobSpec;
use frugal_domain::money::Spend;
use frugal_domain::request::Purpose;
use frugal_domain::spend::SpendByCategory;
use frugal_evaluation::{Ledger, Reservation};

/// What a job has spent and found so far.
pub struct Books {
    ledger: Ledger,
    kept: Option<Reservation>,
    best: Option<Best>,
}

/// Less is better; of equal losses the lower cost, then the earlier trial.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
struct Best {
    loss: f64,
    cost: f64,
    trial: TrialNumber,
}

impl Best {
    /// What a trial is compared by; nothing where it is not valid.
    fn of(spec: &JobSpec, ended: &Ended) -> Option<Self> {
        let evaluation = ended.evaluation().filter(|found| found.valid)?;
        Some(Self {
            loss: spec.objective.direction.loss(evaluation.utility.mean),
            cost: evaluation.inference_cost.estimate.mean,
            trial: ended.number,
        })
    }
}

impl Books {
    /// Empty books, but for what is kept back for the held-out rows.
    pub fn new(spec: &JobSpec, held_out: usize) -> Self {
        let mut ledger = Ledger::new(Some(spec.optimization_budget));
        let kept = spec.kept_for_holdout(held_out as u64);
        let kept = kept.and_then(|budget| ledger.reserve(budget.whole()).ok());
        Self {
            ledger,
            kept,
            best: None,
        }
    }

    /// Makes what was kept back available.
    pub fn release_kept(&mut self) {
        if let Some(kept) = self.kept.take() {
            self.ledger.release(kept);
        }
    }

    /// Sets a worst case aside, if it fits.
    pub fn reserve(&mut self, worst: Spend) -> Option<Reservation> {
        self.ledger.reserve(worst).ok()
    }

    /// Books what a request cost.
    pub fn settle(&mut self, reservation: Reservation, actual: Spend, purpose: Purpose) {
        self.ledger.settle(reservation, actual, purpose.into());
    }

    /// Gives back the reservation of a request that was refused.
    pub fn release(&mut self, reservation: Reservation) {
        self.ledger.release(reservation);
    }

    /// Takes note of a trial that has ended.
    pub fn count(&mut self, spec: &JobSpec, ended: &Ended) {
        if let Some(candidate) = Best::of(spec, ended)
            && self.best.is_none_or(|best| candidate < best)
        {
            self.best = Some(candidate);
        }
    }

    /// The best valid trial so far.
    pub fn best(&self) -> Option<TrialNumber> {
        self.best.map(|best| best.trial)
    }

    /// What was spent, by purpose.
    pub fn by_category(&self) -> SpendByCategory {
        self.ledger.by_category().clone()
    }
}
