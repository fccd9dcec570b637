//! What moves a job: its phases, one turn at a time, and the trials within them.

use super::{Phase, Tuning};
use crate::active::{Active, RunEnd, Surroundings};
use crate::calibration::CalibrationMove;
use crate::ended::{BASELINE, EndedTrial};
use crate::error::TuningError;
use crate::judging::Around;
use crate::outcome::{self, Against, Utilities};
use crate::refusals::EndedRequest;
use crate::run_key::RunKey;
use crate::search::{self, Circumstances};
use crate::step::{BegunTrial, Change, Record, Step};
use crate::validation::{self, Validation};
use crate::verdict::{self, Compared};
use frugal_domain::configuration::{Configuration, Settings};
use frugal_domain::event::EventBody;
use frugal_domain::id::TrialNumber;
use frugal_domain::job::{ExtentChoice, Pruning, Split};
use frugal_domain::request::Purpose;
use frugal_domain::state::StopReason;
use frugal_domain::trial::{Evaluation, TrialOutcome, TrialRole};
use frugal_evaluation::{Evaluator, EvaluatorOptions, InvalidPlan, TrialRun};
use std::sync::Arc;

impl Tuning {
    /// Moves the job as a whole. Whether anything moved.
    pub(super) fn turn(&mut self) -> Result<bool, TuningError> {
        if let Some(moved) = self.changes_turn() {
            return Ok(moved);
        }
        match self.phase {
            Phase::Calibration => Ok(self.calibration_turn()),
            Phase::Baseline => self.baseline_turn(),
            Phase::Search => self.search_turn(),
            Phase::Validation => self.validation_turn(),
            Phase::Over if self.requests.none_in_flight() => {
                self.phase = Phase::Finished;
                self.steps.push_back(Step::Finish);
                Ok(true)
            }
            Phase::Over | Phase::Finished => Ok(false),
        }
    }

    /// Tries the judges on answers that people have rated, before anything is paid that rests on their word.
    fn calibration_turn(&mut self) -> bool {
        let halted = self.sends_nothing_for(Purpose::Judge);
        let (Some(calibration), Some(judging)) = (&mut self.calibration, &mut self.judging) else {
            self.phase = Phase::Baseline;
            return true;
        };
        let mut around = Around {
            judging,
            past: &mut self.past,
            requests: &mut self.requests,
            halted,
        };
        match calibration.turn(&mut around) {
            CalibrationMove::Asked => true,
            CalibrationMove::Wait => false,
            CalibrationMove::Score(batch) => {
                self.steps.push_back(Step::Score(batch));
                true
            }
            CalibrationMove::Over => {
                self.phase = Phase::Baseline;
                true
            }
        }
    }

    fn baseline_turn(&mut self) -> Result<bool, TuningError> {
        let spec = self.job.spec.clone();
        match &spec.baseline {
            Some(_) if self.active.contains_key(&RunKey::of_trial(BASELINE)) => return Ok(false),
            Some(baseline) if !self.ended.contains_key(&BASELINE) => {
                self.changes.decisions += 1;
                self.begin(BASELINE, TrialRole::Baseline, baseline.clone(), "baseline")?;
            }
            Some(_) => {
                self.commit(BASELINE);
                self.changes.decisions += 1;
                self.phase = Phase::Search;
                // Nothing can be shown to be as good as what is not known.
                if spec.objective.refers_to_baseline() && self.reference().is_none() {
                    let unusable = self.unusable.is_some();
                    self.stop.get_or_insert(match unusable {
                        true => StopReason::EndpointUnusable,
                        false => StopReason::Converged,
                    });
                    self.books.release_kept();
                    self.phase = Phase::Validation;
                }
            }
            None => {
                self.changes.decisions += 1;
                self.phase = Phase::Search;
            }
        }
        Ok(true)
    }

    fn search_turn(&mut self) -> Result<bool, TuningError> {
        if let Some(side) = self.side_by_side.take() {
            return self.side_by_side_turn(side);
        }
        if self.job.spec.search.extent == ExtentChoice::Profiled {
            return self.profiled_turn();
        }
        let spec = self.job.spec.clone();
        let reason = self.reason_to_stop();
        let Some(search) = &mut self.search else {
            return Err(TuningError::NoSearch);
        };
        let mut around = Circumstances {
            spec: &spec,
            past: &self.past,
            ended: &self.ended,
            stop: &mut self.stop,
            halted: reason,
        };
        let moved = search.turn(&mut around);
        let decided = !matches!(moved, search::SearchMove::Wait | search::SearchMove::Over);
        self.changes.decisions += u64::from(decided);
        match moved {
            search::SearchMove::Wait => return Ok(false),
            search::SearchMove::Await => {}
            search::SearchMove::Begin(number, proposal) => {
                let origin = search::origin(proposal.origin);
                self.begin(number, TrialRole::Search, proposal.configuration, &origin)?;
            }
            search::SearchMove::Tell(number) => {
                search.tell(number, &around)?;
                self.commit(number);
                // Nothing more is asked for: it would be refused.
                if let Some(refusal) = self.told.of_all() {
                    self.endpoint_unusable(refusal.reason);
                }
            }
            search::SearchMove::Over => {
                if self.goes_on_with_other_terms() {
                    return Ok(true);
                }
                self.changes.decisions += 1;
                self.books.release_kept();
                self.phase = Phase::Validation;
            }
        }
        Ok(true)
    }

    fn validation_turn(&mut self) -> Result<bool, TuningError> {
        if self
            .active
            .keys()
            .any(|key| key.purpose == Purpose::Validation)
        {
            return Ok(false);
        }
        let nothing_to_do = self.job.rows(Split::Holdout) == 0
            || self.halted == Some(StopReason::Cancelled)
            || self.unusable.is_some();
        let turn = match self.books.best().filter(|_| !nothing_to_do) {
            Some(winner) => self.validation.turn(winner, &self.ended),
            None => validation::ValidationMove::Over,
        };
        match turn {
            validation::ValidationMove::Evaluate(trial) => self.begin_validation(trial)?,
            validation::ValidationMove::Over => {
                self.compare();
                self.phase = Phase::Over;
            }
        }
        Ok(true)
    }

    /// Begins a trial, or takes up one that was begun before.
    fn begin(
        &mut self,
        number: TrialNumber,
        role: TrialRole,
        configuration: Configuration,
        origin: &str,
    ) -> Result<(), TuningError> {
        let settings = self.job.spec.settings(&configuration).map_err(|source| {
            TuningError::Configuration {
                trial: number,
                source,
            }
        })?;
        let before = self.past.trials.get(&number);
        if before.is_some_and(|before| before.configuration != configuration) {
            return Err(TuningError::OtherConfiguration(number));
        }
        let key = RunKey {
            purpose: role.into(),
            trial: number,
            first: 0,
        };
        let plan = self.job.trial_plan(number, key.purpose, &settings);
        let run = plan_error(number, self.evaluator.begin(plan))?;
        self.books.begin();
        let stored = before.is_some();
        let active = Active::new(key, Arc::new(settings.clone()), run, stored);
        let refused = self.closed(settings.sampling.model);
        // One that the end of the job cut off is not taken up again.
        if let Some((TrialOutcome::Stopped, _)) = before.and_then(|before| before.end.as_ref()) {
            return self.end(active, RunEnd::CutOff);
        }
        if !stored {
            let started = EventBody::TrialStarted {
                trial: number,
                role,
                settings: settings.clone(),
            };
            self.record(
                Change::TrialBegun(BegunTrial {
                    number,
                    role,
                    origin: origin.to_owned(),
                    configuration,
                    settings,
                }),
                vec![started],
            );
        }
        if let Some(refusal) = refused {
            return self.end(active, RunEnd::Refused(refusal));
        }
        self.active.insert(key, active);
        if stored {
            self.ready.insert(key);
        }
        Ok(())
    }

    /// Begins the evaluation of a trial's settings on the held-out rows, in full.
    fn begin_validation(&mut self, trial: TrialNumber) -> Result<(), TuningError> {
        let Some(of) = self.ended.get(&trial) else {
            return Err(TuningError::Stuck(trial));
        };
        let settings = of.settings.clone();
        let key = Validation::key(trial, settings.extent, &self.past);
        let rows = self.job.rows(Split::Holdout);
        let options = EvaluatorOptions::new(rows, Pruning::Off, self.job.spec.inference_budget);
        let plan = self.job.trial_plan(trial, key.purpose, &settings);
        let run = plan_error(trial, Evaluator::new(options).begin_at(plan, key.first))?;
        let stored = !self.beginning.contains(&trial);
        self.active
            .insert(key, Active::new(key, settings, run, stored));
        if stored {
            self.ready.insert(key);
        }
        Ok(())
    }

    /// Lets a trial go on as far as possible.
    pub(super) fn advance(&mut self, key: RunKey) -> Result<(), TuningError> {
        let halted = self.sends_nothing_for(key.purpose)
            || self.had_concluded && key.purpose == Purpose::Search;
        let Some(mut active) = self.active.remove(&key) else {
            return Ok(());
        };
        let mut around = Surroundings {
            spec: &self.job.spec,
            past: &mut self.past,
            evaluator: &self.evaluator,
            books: &mut self.books,
            requests: &mut self.requests,
            judging: self.judging.as_mut(),
            steps: &mut self.steps,
            halted,
        };
        match active.advance(&mut around)? {
            Some(_) if active.is_batch() => {
                self.batch_arrived(active);
                Ok(())
            }
            Some(end) => self.end(active, end),
            None => {
                self.active.insert(key, active);
                Ok(())
            }
        }
    }

    /// Takes in how a trial ended, and has it stored unless it was before.
    fn end(&mut self, active: Active, end: RunEnd) -> Result<(), TuningError> {
        let RunKey { purpose, trial, .. } = active.key;
        let found = match end {
            RunEnd::CutOff => TrialOutcome::Stopped.into(),
            RunEnd::Refused(refusal) => outcome::of_refusal(refusal).into(),
            RunEnd::Ended(ending) => {
                let against = match purpose {
                    Purpose::Baseline => Against::Itself,
                    Purpose::Search => Against::Baseline(self.reference()),
                    // The held-out rows are other ones.
                    _ => Against::Baseline(None),
                };
                outcome::of(&self.job.spec, active.run(), &ending, against)?
            }
        };
        if purpose == Purpose::Validation {
            if let Some(refusal) = active.ended().find_map(EndedRequest::refusal) {
                self.unusable.get_or_insert(refusal.reason);
            }
            let mut ended = active.end(found, None);
            // Nothing is learned of it.
            ended.run = None;
            self.validation.receive(ended);
            return Ok(());
        }
        let before = self.past.trials.get_mut(&trial);
        let before = before.and_then(|before| before.end.take());
        if before
            .as_ref()
            .is_some_and(|(stored, _)| stored.state() != found.outcome.state())
        {
            return Err(TuningError::OtherOutcome(trial));
        }
        let stored = before.is_some();
        let ended = active.end(found, before.map(|(_, tally)| tally));
        self.book_end(ended, stored);
        Ok(())
    }

    /// How good the baseline's answers are on each instance, where it was evaluated.
    fn reference(&self) -> Option<&Utilities> {
        let baseline = self.ended.get(&BASELINE)?;
        baseline.evaluation().map(|_| &baseline.qualities)
    }

    /// Books a trial that has ended, and has it stored unless it was before.
    fn book_end(&mut self, ended: EndedTrial, stored: bool) {
        let trial = ended.number;
        let spent = self.books.ledger.spent();
        let best = self.books.end(&self.job.spec.objective, &ended);
        let updated = best.map(|best| EventBody::BestUpdated {
            trial,
            settings: best.settings.clone(),
            utility: best.utility,
            inference_cost: best.inference_cost,
            spend: Some(spent),
        });
        self.store_end(ended, stored, None, updated);
    }

    /// The same for an arm's trial: which of them is the best, the search has said.
    pub(super) fn end_arm(
        &mut self,
        ended: EndedTrial,
        stored: bool,
        settings: Settings,
        wins: bool,
    ) {
        self.books.count_end(&ended.outcome);
        let spent = self.books.ledger.spent();
        let objective = self.job.spec.objective;
        let updated = ended
            .evaluation()
            .filter(|evaluation| {
                wins && self
                    .books
                    .lead(&objective, ended.number, &settings, evaluation)
            })
            .map(|evaluation| EventBody::BestUpdated {
                trial: ended.number,
                settings: settings.clone(),
                utility: evaluation.utility,
                inference_cost: evaluation.inference_cost,
                spend: Some(spent),
            });
        self.store_end(ended, stored, Some(settings), updated);
    }

    /// Keeps a trial that has ended, and has its end stored unless it was before.
    pub(super) fn store_end(
        &mut self,
        ended: EndedTrial,
        stored: bool,
        settings: Option<Settings>,
        updated: Option<EventBody>,
    ) {
        let trial = ended.number;
        if !stored {
            let mut events = vec![event_of(&ended)];
            events.extend(updated);
            events.push(EventBody::BudgetUpdated {
                spend: self.books.ledger.spent(),
            });
            let change = Change::TrialEnded {
                trial,
                settings,
                outcome: ended.outcome.clone(),
                tally: ended.tally,
            };
            self.record(change, events);
        }
        if ended.outcome == TrialOutcome::Stopped && self.stop.is_none() {
            self.stop = Some(self.reason_to_stop().unwrap_or(StopReason::BudgetExhausted));
        }
        self.ended.insert(trial, ended);
    }

    /// What later trials may know of one that has ended.
    fn commit(&mut self, trial: TrialNumber) {
        if let Some(ended) = self.ended.get_mut(&trial) {
            let requests = std::mem::take(&mut ended.requests);
            let model = ended.settings.sampling.model;
            self.told_of(model, &requests);
        }
        if let Some(run) = self
            .ended
            .get_mut(&trial)
            .and_then(|ended| ended.run.take())
        {
            self.commit_run(&run);
        }
        if let Some(ended) = self.ended.get(&trial)
            && let Some(rival) = ended.rival(&self.job.spec)
        {
            self.evaluator.set_rival(rival);
        }
    }

    /// Takes in what an evaluation has learned. What it scored of the job's own responses is in the pool from
    /// then on, and nowhere else; those of other jobs may be had under other settings too.
    pub(super) fn commit_run(&mut self, run: &TrialRun) {
        self.evaluator.commit(run);
        if !self.evaluator.has_pool() {
            return;
        }
        for key in run.scored().filter(|key| key.response.job.is_none()) {
            self.past.scores.remove(&key);
        }
    }

    /// Compares the winner with the baseline on the held-out rows, where it was scored there.
    fn compare(&mut self) {
        let Some(winner) = self.validation.winner() else {
            return;
        };
        self.compared = verdict::compare(
            &self.job.spec,
            self.job.rows(Split::Holdout),
            winner,
            self.validation.baseline(),
        );
        // A worker before this one may have got as far: the event is written once.
        if let Some(Compared { holdout, .. }) = &self.compared
            && !self.past.validation_completed
        {
            let completed = EventBody::ValidationCompleted {
                trial: Some(winner.number),
                extent: Some(winner.settings.extent),
                winner: holdout.winner.estimate,
                baseline: holdout.baseline.map(|baseline| baseline.estimate),
            };
            self.record(Change::Validated, vec![completed]);
        }
    }

    pub(super) fn record(&mut self, change: Change, events: Vec<EventBody>) {
        self.steps.push_back(Step::Record(Box::new(Record {
            change,
            events,
            summary: self.books.summary(),
        })));
    }
}

pub(super) fn plan_error(
    trial: TrialNumber,
    run: Result<TrialRun, InvalidPlan>,
) -> Result<TrialRun, TuningError> {
    run.map_err(|source| TuningError::Plan { trial, source })
}

/// The event that tells of a trial's end.
fn event_of(ended: &EndedTrial) -> EventBody {
    let (trial, spend) = (ended.number, ended.tally.spend);
    match ended.outcome.clone() {
        TrialOutcome::Evaluated(Evaluation {
            utility,
            inference_cost,
            violated,
            valid,
            coverage,
            ..
        }) => EventBody::TrialEvaluated {
            trial,
            utility,
            inference_cost,
            violated,
            valid,
            coverage,
            spend,
        },
        TrialOutcome::Pruned { reason } => EventBody::TrialPruned {
            trial,
            reason,
            spend,
        },
        TrialOutcome::Infeasible { detail } => EventBody::TrialInfeasible {
            trial,
            detail,
            spend,
        },
        TrialOutcome::Failed { detail } => EventBody::TrialFailed {
            trial,
            detail,
            spend,
        },
        TrialOutcome::Stopped => EventBody::TrialStopped { trial, spend },
    }
}
