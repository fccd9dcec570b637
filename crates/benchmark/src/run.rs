//! One job in memory, from its baseline to its held-out rows, in the order in which a worker does
//! it: the baseline first and in full, then some trials in the air at a time, one tell of the
//! oldest, then asks. Trials in the air take turns, a batch each, so nothing here depends on time.

use crate::archive::Archive;
use crate::books::Books;
use crate::endpoint::Endpoint;
use crate::trial::{Ended, UnderWay};
use anyhow::Context;
use frugal_domain::configuration::Configuration;
use frugal_domain::id::TrialNumber;
use frugal_domain::job::{JobSpec, Pruning};
use frugal_domain::request::Purpose;
use frugal_domain::spend::SpendByCategory;
use frugal_domain::state::StopReason;
use frugal_domain::trial::TrialOutcome;
use frugal_evaluation::{Evaluator, EvaluatorOptions, Mode, Rival, Trial};
use frugal_scoring::reduce;
use frugal_search::{Ask, Observation, Search, SearchOptions, Searcher};
use std::collections::{BTreeMap, VecDeque};

/// The number of the baseline's trial.
pub const BASELINE: TrialNumber = TrialNumber(0);

/// A job to run.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// What was posted, the seed included.
    pub spec: &'a JobSpec,
    /// What answers it.
    pub endpoint: &'a dyn Endpoint,
    /// The endpoint's rows that the search sees.
    pub tuning: &'a [usize],
    /// The endpoint's rows that are held out.
    pub holdout: &'a [usize],
    /// What an earlier job of the same owner bought, if that is to be used again.
    pub earlier: Option<&'a Archive>,
}

/// What a job found.
#[derive(Debug)]
pub struct Found {
    /// Why the search ended.
    pub stop_reason: StopReason,
    /// Every trial, by number.
    pub ended: BTreeMap<TrialNumber, Ended>,
    /// The best valid trial.
    pub winner: Option<TrialNumber>,
    /// The winner and the baseline on the held-out rows.
    pub holdout: Option<Holdout>,
    /// What was spent.
    pub spend: SpendByCategory,
    /// What was bought.
    pub bought: Archive,
}

/// The winner and the baseline on the held-out rows.
#[derive(Debug)]
pub struct Holdout {
    /// The winner.
    pub winner: Ended,
    /// The baseline, unless it was not evaluated.
    pub baseline: Option<Ended>,
}

impl Found {
    /// The winner's trial.
    pub fn winner(&self) -> Option<&Ended> {
        self.ended.get(&self.winner?)
    }

    /// The trials that the searcher proposed.
    pub fn search(&self) -> impl Iterator<Item = &Ended> {
        self.ended.values().filter(|ended| ended.number != BASELINE)
    }
}

/// Runs a job to its end.
///
/// # Errors
/// The job makes no sense.
pub fn run(job: Job<'_>) -> anyhow::Result<Found> {
    let mut session = Session::new(job)?;
    session.search()?;
    session.books.release_kept();
    let holdout = session.validate()?;
    Ok(Found {
        stop_reason: session.stop.unwrap_or(StopReason::TrialLimit),
        winner: session.books.best(),
        ended: session.ended,
        holdout,
        spend: session.books.by_category(),
        bought: session.bought,
    })
}

struct Session<'a> {
    job: Job<'a>,
    search: Search,
    evaluator: Evaluator,
    books: Books,
    bought: Archive,
    /// Trials that the searcher has proposed.
    proposed: u32,
    /// Those of them not told yet, oldest first.
    open: VecDeque<TrialNumber>,
    running: BTreeMap<TrialNumber, UnderWay>,
    /// Trials that have ended and are not committed.
    uncommitted: BTreeMap<TrialNumber, Trial>,
    ended: BTreeMap<TrialNumber, Ended>,
    stop: Option<StopReason>,
}

impl<'a> Session<'a> {
    fn new(job: Job<'a>) -> anyhow::Result<Self> {
        let spec = job.spec;
        let mut options =
            EvaluatorOptions::new(job.tuning.len(), spec.search.pruning, spec.inference_budget);
        options.order = spec.row_order(job.tuning.len());
        options.reference.optimization_budget = Some(spec.optimization_budget);
        Ok(Self {
            search: Search::new(SearchOptions::for_job(spec))?,
            evaluator: Evaluator::new(options),
            books: Books::new(spec, job.holdout.len()),
            bought: Archive::default(),
            proposed: 0,
            open: VecDeque::new(),
            running: BTreeMap::new(),
            uncommitted: BTreeMap::new(),
            ended: BTreeMap::new(),
            stop: None,
            job,
        })
    }

    /// The baseline, then trials until there is a reason to stop.
    fn search(&mut self) -> anyhow::Result<()> {
        if let Some(baseline) = &self.job.spec.baseline {
            self.begin(BASELINE, baseline, Purpose::Baseline)?;
            while !self.running.is_empty() {
                self.advance()?;
            }
            self.commit(BASELINE);
        }
        while self.fill()? {
            self.tell_oldest()?;
        }
        Ok(())
    }

    /// Asks for trials until enough are in the air. Returns whether any is.
    fn fill(&mut self) -> anyhow::Result<bool> {
        let spec = self.job.spec;
        while self.stop.is_none() && self.open.len() < spec.search.parallel_trials as usize {
            if self.proposed >= spec.limits.trials {
                self.stop = Some(StopReason::TrialLimit);
                break;
            }
            match self.search.ask() {
                Ask::Propose(proposal) => {
                    let number = TrialNumber(proposal.number + 1);
                    self.begin(number, &proposal.configuration, Purpose::Search)?;
                    self.open.push_back(number);
                    self.proposed += 1;
                }
                Ask::Wait => break,
                Ask::Exhausted(reason) => {
                    self.stop = Some(reason.into());
                }
            }
        }
        Ok(!self.open.is_empty())
    }

    fn begin(
        &mut self,
        number: TrialNumber,
        configuration: &Configuration,
        purpose: Purpose,
    ) -> anyhow::Result<()> {
        let settings = self.job.spec.settings(configuration)?;
        let mode = match purpose {
            Purpose::Search => Mode::Scheduled,
            _ => Mode::Full,
        };
        let trial = UnderWay::begin(self.job, &self.evaluator, number, settings, purpose, mode)?;
        self.running.insert(number, trial);
        Ok(())
    }

    /// One turn of every trial in the air.
    fn advance(&mut self) -> anyhow::Result<()> {
        let numbers: Vec<TrialNumber> = self.running.keys().copied().collect();
        for number in numbers {
            let Some(trial) = self.running.get_mut(&number) else {
                continue;
            };
            if !trial.turn(self.job, &mut self.books, &mut self.bought)? {
                continue;
            }
            let Some(trial) = self.running.remove(&number) else {
                continue;
            };
            let (ended, trial) = trial.end(self.job)?;
            if matches!(ended.outcome, TrialOutcome::Stopped) && self.stop.is_none() {
                self.stop = Some(StopReason::BudgetExhausted);
            }
            self.books.count(self.job.spec, &ended);
            self.uncommitted.insert(number, trial);
            self.ended.insert(number, ended);
        }
        Ok(())
    }

    /// Tells the searcher of the oldest open trial, once that has ended.
    fn tell_oldest(&mut self) -> anyhow::Result<()> {
        let Some(oldest) = self.open.pop_front() else {
            return Ok(());
        };
        while !self.ended.contains_key(&oldest) {
            self.advance()?;
        }
        self.commit(oldest);
        let ended = &self.ended[&oldest];
        let utility_of = |number| Some(self.ended.get(&number)?.evaluation()?.utility.mean);
        if self.stop.is_none()
            && let Some(observation) =
                Observation::of(self.job.spec, &ended.outcome, ended.spend, utility_of)
        {
            self.search.tell(oldest.0 - 1, observation)?;
        }
        Ok(())
    }

    fn commit(&mut self, number: TrialNumber) {
        if let Some(trial) = self.uncommitted.remove(&number) {
            self.evaluator.commit(&trial);
        }
        if let Some(ended) = self.ended.get(&number)
            && let Some(rival) = Rival::of(
                self.job.spec,
                number,
                &ended.outcome,
                &ended.utilities,
                reduce,
            )
        {
            self.evaluator.set_rival(rival);
        }
    }

    /// Scores the winner and the baseline on the held-out rows, in full.
    fn validate(&mut self) -> anyhow::Result<Option<Holdout>> {
        let Some(winner) = self.books.best() else {
            return Ok(None);
        };
        if self.job.holdout.is_empty() {
            return Ok(None);
        }
        let winner_ended = self.validate_one(winner)?;
        let baseline = match self.ended.get(&BASELINE) {
            Some(_) if winner == BASELINE => Some(winner_ended.clone()),
            Some(baseline) if baseline.evaluation().is_some() => Some(self.validate_one(BASELINE)?),
            _ => None,
        };
        Ok(Some(Holdout {
            winner: winner_ended,
            baseline,
        }))
    }

    fn validate_one(&mut self, number: TrialNumber) -> anyhow::Result<Ended> {
        let job = self.job;
        let options =
            EvaluatorOptions::new(job.holdout.len(), Pruning::Off, job.spec.inference_budget);
        let evaluator = Evaluator::new(options);
        let settings = self
            .ended
            .get(&number)
            .context("the winner has not ended")?
            .settings
            .clone();
        let mut trial = UnderWay::begin(
            job,
            &evaluator,
            number,
            settings,
            Purpose::Validation,
            Mode::Full,
        )?;
        while !trial.turn(job, &mut self.books, &mut self.bought)? {}
        Ok(trial.end(job)?.0)
    }
}

#[cfg(test)]
mod tests;
