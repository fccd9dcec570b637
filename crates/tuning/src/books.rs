//! The running totals of a job: what was spent and set aside, what was counted, the best trial.

use crate::ended::{BASELINE, EndedTrial};
use crate::past::Past;
use crate::tally::{SettledRequest, Summary};
use crate::validation;
use frugal_domain::configuration::Settings;
use frugal_domain::id::TrialNumber;
use frugal_domain::job::{Direction, JobSpec, Objective};
use frugal_domain::money::Spend;
use frugal_domain::rank::Rank;
use frugal_domain::request::RequestKey;
use frugal_domain::spend::SpendCategory;
use frugal_domain::trial::{CostEstimate, Estimate, Evaluation, Progress, TrialOutcome};
use frugal_evaluation::{DoesNotFit, Ledger, Reservation};

/// What must be saved of the baseline's cost for another to take its place where the cheapest is
/// sought.
pub(crate) const LEAST_SAVING: f64 = 0.05;

/// What part of the budget may be uncertain before requests are given up early: one so manieth.
const LITTLE: u64 = 20;

/// The running totals of a job.
#[derive(Debug)]
pub(crate) struct Books {
    pub(crate) ledger: Ledger,
    /// What is kept back from the search for the held-out instances.
    kept: Option<Reservation>,
    /// What was paid for the held-out instances since the job was begun or continued.
    paid_on_holdout: Spend,
    /// What was given back of the uncertain spend.
    taken_back: Spend,
    pub(crate) progress: Progress,
    pub(crate) counts: Counts,
    best: Option<Best>,
    /// The search has judged the baseline with all else that it knows, so that its own mean counts no
    /// more.
    judges_baseline: bool,
}

/// Counts of what is worth a second look among a job's requests and responses.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) cut: u64,
    pub(crate) empty: u64,
    pub(crate) failed: u64,
    pub(crate) estimated: u64,
}

/// The best valid trial so far.
#[derive(Debug, Clone)]
pub(crate) struct Best {
    pub(crate) trial: TrialNumber,
    pub(crate) settings: Settings,
    pub(crate) utility: Estimate,
    pub(crate) inference_cost: CostEstimate,
    rank: Rank,
}

impl Best {
    /// A trial as the best one, if it is valid.
    fn of(direction: Direction, ended: &EndedTrial) -> Option<Self> {
        let evaluation = ended.evaluation()?;
        Some(Self {
            trial: ended.number,
            settings: ended.settings.as_ref().clone(),
            utility: evaluation.utility,
            inference_cost: evaluation.inference_cost,
            rank: Rank::of(ended.number, &ended.outcome, direction)?,
        })
    }
}

impl Best {
    /// Whether another takes its place. Where the cheapest is sought, the baseline stays against what
    /// saves next to nothing: how costs were estimated may be all the difference.
    fn gives_way(&self, objective: &Objective, rank: &Rank, cost: CostEstimate) -> bool {
        let least = if objective.cheapest.is_some() && self.trial == BASELINE {
            LEAST_SAVING
        } else {
            0.0
        };
        let saves = cost.estimate.mean <= self.inference_cost.estimate.mean * (1.0 - least);
        rank.beats(&self.rank) && (least <= 0.0 || saves)
    }
}

impl Counts {
    fn add(&mut self, settled: &SettledRequest) {
        self.estimated += u64::from(settled.usage_estimated);
        self.empty += u64::from(settled.empty_responses);
        match &settled.result {
            Ok(receipt) => {
                let cut = receipt.responses.iter().filter(|one| !one.ended);
                self.cut += cut.count() as u64;
            }
            Err(_) => self.failed += 1,
        }
    }
}

impl Books {
    /// Books that hold what was paid before, and what is kept back so that the search leaves
    /// enough for the winner and the baseline on so many held-out rows.
    pub(crate) fn new(spec: &JobSpec, holdout_rows: usize, past: &Past) -> Self {
        let mut books = Self {
            ledger: Ledger::new(Some(spec.optimization_budget)),
            kept: None,
            paid_on_holdout: Spend::default(),
            taken_back: Spend::default(),
            progress: Progress::default(),
            counts: Counts::default(),
            best: None,
            judges_baseline: false,
        };
        if past.lost != Spend::default() {
            books.ledger.record(past.lost, SpendCategory::Lost);
        }
        for (key, request) in &past.requests {
            books.settle(*key, &request.settled);
            books.progress.requests += 1;
            books.count(&request.settled);
        }
        for judgement in past.judgements.values() {
            books.settle(judgement.key, &judgement.settled);
            books.progress.requests += 1;
        }
        books.paid_on_holdout = validation::paid(past);
        books.keep(spec, holdout_rows);
        books
    }

    /// Keeps back what the search is to leave for the held-out instances. What was paid for them by now
    /// is a part of it: a search that is lived through again has no more than it had.
    fn keep(&mut self, spec: &JobSpec, holdout_rows: usize) {
        let Some(kept) = spec.kept_for_holdout(holdout_rows as u64) else {
            return;
        };
        let unit = kept.unit();
        let still = kept.amount().saturating_sub(unit.of(self.paid_on_holdout));
        let left = self.ledger.left().unwrap_or(u64::MAX);
        let kept = unit.budget(still.min(left)).whole();
        self.kept = self.ledger.reserve(kept).ok();
    }

    /// Goes on with another budget, of which another part is kept back as long as any is.
    pub(crate) fn set_budget(&mut self, spec: &JobSpec, holdout_rows: usize) {
        self.ledger.set_budget(spec.optimization_budget);
        if let Some(kept) = self.kept.take() {
            self.ledger.release(kept);
            self.keep(spec, holdout_rows);
        }
    }

    /// What is spent, and set aside for requests under way.
    pub(crate) fn committed(&self) -> Spend {
        let kept = self.kept.as_ref().map(Reservation::worst);
        let reserved = self.ledger.reserved();
        self.ledger.spent() + reserved.saturating_sub(kept.unwrap_or_default())
    }

    /// Books what a request cost, and apart from that what it may have cost.
    pub(crate) fn settle(&mut self, key: RequestKey, settled: &SettledRequest) {
        self.ledger.record(settled.cost, key.purpose.into());
        if settled.uncertain != Spend::default() {
            self.ledger
                .record(settled.uncertain, SpendCategory::Uncertain);
        }
    }

    /// Gives back what of the uncertain spend turns out not to have been billed.
    pub(crate) fn take_back(&mut self, not_billed: Spend) {
        let more = not_billed.saturating_sub(self.taken_back);
        if more != Spend::default() {
            self.ledger.take_back(more, SpendCategory::Uncertain);
            self.taken_back = not_billed;
        }
    }

    /// Whether the uncertain spend is little with so much more of it.
    pub(crate) fn is_little(&self, more: Spend) -> bool {
        let by_category = self.ledger.by_category();
        let uncertain = by_category.get(&SpendCategory::Uncertain);
        let all = uncertain.copied().unwrap_or_default() + more;
        self.ledger
            .budget()
            .is_none_or(|budget| budget.unit().of(all) <= budget.amount() / LITTLE)
    }

    /// Makes what was kept back available.
    pub(crate) fn release_kept(&mut self) {
        if let Some(kept) = self.kept.take() {
            self.ledger.release(kept);
        }
    }

    /// Sets a worst case aside.
    ///
    /// # Errors
    /// It does not fit. `fits_alone` then says whether waiting helps: whether it would fit once
    /// the requests under way are settled. What is kept back is not given back for it.
    pub(crate) fn reserve(&mut self, worst: Spend) -> Result<Reservation, DoesNotFit> {
        let kept = self.kept.as_ref().map(Reservation::worst);
        self.ledger.reserve(worst).map_err(|refused| {
            let others_hold = self.ledger.reserved() != kept.unwrap_or_default();
            DoesNotFit {
                fits_alone: refused.fits_alone && others_hold,
                ..refused
            }
        })
    }

    /// Counts what came of a request.
    pub(crate) fn count(&mut self, settled: &SettledRequest) {
        self.counts.add(settled);
        if let Ok(receipt) = &settled.result {
            self.progress.responses += receipt.responses.len() as u64;
        }
    }

    /// Counts the beginning of a trial.
    pub(crate) fn begin(&mut self) {
        self.progress.running += 1;
    }

    /// Counts the end of a trial. Returns the new best, if it is one.
    pub(crate) fn end(&mut self, objective: &Objective, ended: &EndedTrial) -> Option<&Best> {
        self.count_end(&ended.outcome);
        let candidate = Best::of(objective.direction, ended)?;
        if self.best.as_ref().is_some_and(|best| {
            !best.gives_way(objective, &candidate.rank, candidate.inference_cost)
        }) {
            return None;
        }
        Some(self.best.insert(candidate))
    }

    /// Counts the end of a trial, and no more.
    pub(crate) fn count_end(&mut self, outcome: &TrialOutcome) {
        let progress = &mut self.progress;
        progress.running = progress.running.saturating_sub(1);
        progress.count_end(outcome);
    }

    /// A profiled search has the baseline's responses: what it prefers to the baseline is better, as far
    /// as is known. The baseline's mean is what its few responses came to, on some of the rows at times;
    /// held against estimates, which are drawn towards what is usual, it would win by luck.
    pub(crate) fn let_search_judge_baseline(&mut self) {
        self.judges_baseline = true;
    }

    /// Takes the trial that a profiled search holds for the best, which knows more of it than its
    /// numbers tell. The baseline stays where the trial asks the same, or is worse by its numbers and the
    /// search has not judged it. Whether it was not the best before.
    pub(crate) fn lead(
        &mut self,
        objective: &Objective,
        trial: TrialNumber,
        settings: &Settings,
        evaluation: &Evaluation,
    ) -> bool {
        let outcome = TrialOutcome::Evaluated(evaluation.clone());
        let Some(rank) = Rank::of(trial, &outcome, objective.direction) else {
            return false;
        };
        let stays = |best: &Best| {
            let better = !self.judges_baseline || objective.cheapest.is_some();
            best.trial == BASELINE
                && (best.settings == *settings
                    || better && !best.gives_way(objective, &rank, evaluation.inference_cost))
        };
        if self.best.as_ref().is_some_and(stays) {
            return false;
        }
        let new = self.best().is_none_or(|best| best != trial);
        self.best = Some(Best {
            trial,
            settings: settings.clone(),
            utility: evaluation.utility,
            inference_cost: evaluation.inference_cost,
            rank,
        });
        new
    }

    /// Forgets which trial was the best, but for the baseline.
    pub(crate) fn start_over(&mut self, direction: Direction, baseline: Option<&EndedTrial>) {
        self.best = baseline.and_then(|baseline| Best::of(direction, baseline));
    }

    /// The best valid trial so far.
    pub(crate) fn best(&self) -> Option<TrialNumber> {
        self.best.as_ref().map(|best| best.trial)
    }

    /// The job at a glance.
    pub(crate) fn summary(&self) -> Summary {
        Summary {
            progress: self.progress,
            spend: self.ledger.by_category().clone(),
            best: self.best(),
        }
    }
}
