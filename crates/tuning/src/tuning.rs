//! The machine: what a job does next, and what it is told.

use crate::active::{Active, RunKey, Surroundings};
use crate::books::Books;
use crate::ended::{BASELINE, EndedTrial, EndedTrials};
use crate::ending::JobEnding;
use crate::error::TuningError;
use crate::findings::Findings;
use crate::job::Job;
use crate::outcome::Utilities;
use crate::past::Past;
use crate::report;
use crate::requests::{NextRequest, Requests};
use crate::search::{self, Circumstances, SearchLoop};
use crate::step::{BegunTrial, Change, Record, RequestEnd, Scored, Step};
use crate::validation::{self, Validation};
use crate::verdict::{self, Compared};
use frugal_domain::configuration::Configuration;
use frugal_domain::event::EventBody;
use frugal_domain::id::TrialNumber;
use frugal_domain::job::{Pruning, Split};
use frugal_domain::request::{Purpose, RequestKey};
use frugal_domain::state::{JobState, StopReason};
use frugal_domain::trial::{Evaluation, TrialOutcome, TrialRole};
use frugal_evaluation::{Evaluator, EvaluatorOptions, OfferedResponse, TrialRun};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// A job under way.
#[derive(Debug)]
pub struct Tuning {
    job: Job,
    past: Past,
    search: SearchLoop,
    evaluator: Evaluator,
    books: Books,
    requests: Requests,
    active: BTreeMap<RunKey, Active>,
    /// Trials under way that may be able to go on.
    ready: BTreeSet<RunKey>,
    ended: EndedTrials,
    phase: Phase,
    validation: Validation,
    compared: Option<Compared>,
    /// Why the search ends, once it does.
    stop: Option<StopReason>,
    /// Why the job is to stop: the end of its time, or, above that, a client's wish.
    halted: Option<StopReason>,
    /// Why no request can succeed any more, in the endpoint's words.
    unusable: Option<String>,
    steps: VecDeque<Step>,
}

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The baseline is evaluated in full and first, over the inference budget or not. The searcher
    /// does not hear of it.
    Baseline,
    /// The searcher's trials.
    Search,
    /// The winner and the baseline on the held-out rows.
    Validation,
    /// Nothing is left to do.
    Over,
    /// The driver knows.
    Finished,
}

impl Tuning {
    /// A job that is about to begin, or to go on from its past.
    ///
    /// # Errors
    /// The specification makes no search.
    pub fn new(job: Job, past: Past) -> Result<Self, TuningError> {
        let spec = &job.spec;
        Ok(Self {
            search: SearchLoop::new(spec)?,
            evaluator: Evaluator::new(job.evaluator_options()),
            books: Books::new(spec, job.rows(Split::Holdout), &past),
            requests: Requests::new(spec.search.requests_in_flight),
            active: BTreeMap::new(),
            ready: BTreeSet::new(),
            ended: EndedTrials::new(),
            phase: Phase::Baseline,
            validation: Validation::default(),
            compared: None,
            stop: None,
            halted: None,
            unusable: None,
            steps: VecDeque::new(),
            past,
            job,
        })
    }

    /// The next thing to do; nothing until something more is told. What the past knows is lived
    /// through within, without a step.
    ///
    /// # Errors
    /// The job cannot go on. It must not be asked again.
    pub fn next_step(&mut self) -> Result<Option<Step>, TuningError> {
        loop {
            if let Some(step) = self.steps.pop_front() {
                return Ok(Some(step));
            }
            match self.requests.next(&mut self.books) {
                NextRequest::Send(request) => return Ok(Some(Step::Send(request))),
                NextRequest::Unaffordable(key) => {
                    self.waiting_for(key)?.unaffordable(key.ordinal)?;
                    self.ready.insert(key.into());
                    continue;
                }
                NextRequest::None => {}
            }
            // All trials that are to be in the air are begun before any of them goes on, so that
            // what one comes to never decides whether another is begun.
            if self.turn()? {
                continue;
            }
            let Some(key) = self.ready.pop_first() else {
                return Ok(None);
            };
            self.advance(key)?;
        }
    }

    /// The beginning of a trial is stored.
    pub fn trial_begun(&mut self, trial: TrialNumber) {
        for purpose in [Purpose::Baseline, Purpose::Search] {
            self.with(RunKey { purpose, trial }, Active::begun);
        }
    }

    /// What other jobs have for a trial. It is stored.
    pub fn looked_up(&mut self, trial: TrialNumber, offered: Vec<OfferedResponse>) {
        let purpose = if trial == BASELINE {
            Purpose::Baseline
        } else {
            Purpose::Search
        };
        self.with(RunKey { purpose, trial }, |active| {
            active.looked_up(offered);
        });
    }

    /// What scorers said of a trial's responses: one score, or the reason why there is none, for
    /// each that was asked for. They are stored.
    pub fn scored(&mut self, purpose: Purpose, trial: TrialNumber, scores: Vec<Scored>) {
        for (key, score) in &scores {
            self.past.scores.insert(*key, score.clone());
        }
        self.with(RunKey { purpose, trial }, |active| {
            active.scores_made(scores);
        });
    }

    /// How a request ended.
    ///
    /// # Errors
    /// It was not in flight.
    pub fn request_ended(&mut self, key: RequestKey, end: RequestEnd) -> Result<(), TuningError> {
        let (requests, books) = (&mut self.requests, &mut self.books);
        let was_in_flight = match &end {
            RequestEnd::Settled { settled, .. } => requests.settle(key, settled, books),
            RequestEnd::NotSent => requests.withdraw(key, books),
            RequestEnd::GivenUp { cost } => requests.give_up(key, *cost, books),
        };
        if !was_in_flight {
            return Err(TuningError::NotExpected { key, source: None });
        }
        let active = self.waiting_for(key)?;
        match end {
            RequestEnd::Settled {
                settled,
                endpoint_unusable,
            } => {
                // What no request can succeed at is no failure of the trial's.
                match endpoint_unusable {
                    None => active.settled(key.ordinal, settled)?,
                    Some(reason) => {
                        active.cut_off(key.ordinal);
                        active.count(&settled);
                        self.endpoint_unusable(reason);
                    }
                }
            }
            RequestEnd::NotSent | RequestEnd::GivenUp { .. } => active.cut_off(key.ordinal),
        }
        self.ready.insert(key.into());
        Ok(())
    }

    /// Whether a request in flight that may have been billed may be sent once more. Its worst case
    /// is then set aside again.
    pub fn may_send_again(&mut self, key: RequestKey) -> bool {
        !self.sends_nothing_for(key.purpose) && self.requests.reserve_again(key, &mut self.books)
    }

    /// The job is to stop: its time is over ([`StopReason::Deadline`]), or its client wants it to
    /// ([`StopReason::Cancelled`], which stands above the other). Only what is new stops: the past
    /// is lived through to its end, and what is in flight may come home. After the end of its time
    /// the winner is still scored on the held-out rows.
    pub fn halt(&mut self, reason: StopReason) {
        if self.halted != Some(StopReason::Cancelled) {
            self.halted = Some(reason);
        }
        self.drop_waiting();
    }

    /// Whether requests for this purpose are not to be sent any more.
    #[must_use]
    pub fn sends_nothing_for(&self, purpose: Purpose) -> bool {
        self.unusable.is_some()
            || match self.halted {
                None => false,
                Some(StopReason::Deadline) => purpose != Purpose::Validation,
                Some(_) => true,
            }
    }

    /// How the job ends, once [`Step::Finish`] has come; if it is [halted](Self::halt) for its
    /// client's sake after that, ask again.
    #[must_use]
    pub fn ending(&self) -> JobEnding {
        let summary = self.books.summary();
        let stop_reason = match self.halted {
            Some(StopReason::Cancelled) => StopReason::Cancelled,
            _ => self.stop.unwrap_or(StopReason::TrialLimit),
        };
        if stop_reason == StopReason::EndpointUnusable {
            let detail = self.unusable.clone().unwrap_or_default();
            return JobEnding {
                state: JobState::Failed,
                stop_reason,
                detail: Some(detail.clone()),
                report: None,
                event: EventBody::JobFailed {
                    stop_reason,
                    detail,
                },
                summary,
            };
        }
        let findings = Findings {
            spec: &self.job.spec,
            books: &self.books,
            evaluator: &self.evaluator,
            ended: &self.ended,
            holdout_rows: self.job.rows(Split::Holdout),
            unusable: self.unusable.as_deref(),
        };
        let (state, event) = match stop_reason {
            StopReason::Cancelled => (JobState::Cancelled, EventBody::JobCancelled {}),
            stop_reason => (JobState::Succeeded, EventBody::JobSucceeded { stop_reason }),
        };
        JobEnding {
            state,
            stop_reason,
            detail: None,
            report: Some(report::build(
                &findings,
                stop_reason,
                self.compared.as_ref(),
            )),
            event,
            summary,
        }
    }

    /// The objective of a trial that was evaluated, on each instance that the search sees, by the
    /// instance's position.
    #[must_use]
    pub fn utilities(&self, trial: TrialNumber) -> Option<&Utilities> {
        let ended = self.ended.get(&trial)?;
        ended.evaluation().map(|_| &ended.utilities)
    }

    /// Does something with a trial under way, which may then be able to go on. One that has ended
    /// meanwhile no longer cares.
    fn with(&mut self, key: RunKey, act: impl FnOnce(&mut Active)) {
        if let Some(active) = self.active.get_mut(&key) {
            act(active);
            self.ready.insert(key);
        }
    }

    fn waiting_for(&mut self, key: RequestKey) -> Result<&mut Active, TuningError> {
        self.active
            .get_mut(&key.into())
            .ok_or(TuningError::NotExpected { key, source: None })
    }

    /// Nothing more can come of the endpoint. A search fails with it; what a finished search has
    /// found stands.
    fn endpoint_unusable(&mut self, reason: String) {
        self.unusable.get_or_insert(reason);
        if self.phase != Phase::Validation {
            self.stop = Some(StopReason::EndpointUnusable);
        }
        self.drop_waiting();
    }

    /// Drops the requests that are not to be sent any more.
    fn drop_waiting(&mut self) {
        let stopped: Vec<Purpose> = Purpose::ALL
            .iter()
            .copied()
            .filter(|purpose| self.sends_nothing_for(*purpose))
            .collect();
        let dropped = self
            .requests
            .drop_waiting(|purpose| stopped.contains(&purpose));
        for key in dropped {
            self.with(key.into(), |active| active.cut_off(key.ordinal));
        }
    }

    /// Moves the job as a whole. Whether anything moved.
    fn turn(&mut self) -> Result<bool, TuningError> {
        match self.phase {
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

    fn baseline_turn(&mut self) -> Result<bool, TuningError> {
        let spec = self.job.spec.clone();
        let under_way = RunKey {
            purpose: Purpose::Baseline,
            trial: BASELINE,
        };
        match &spec.baseline {
            Some(_) if self.active.contains_key(&under_way) => return Ok(false),
            Some(baseline) if !self.ended.contains_key(&BASELINE) => {
                self.begin(BASELINE, TrialRole::Baseline, baseline.clone(), "baseline")?;
            }
            Some(_) => {
                self.commit(BASELINE);
                self.phase = Phase::Search;
            }
            None => self.phase = Phase::Search,
        }
        Ok(true)
    }

    fn search_turn(&mut self) -> Result<bool, TuningError> {
        let spec = self.job.spec.clone();
        let mut around = Circumstances {
            spec: &spec,
            past: &self.past,
            ended: &self.ended,
            stop: &mut self.stop,
            halted: self.halted,
        };
        match self.search.turn(&mut around) {
            search::SearchMove::Wait => return Ok(false),
            search::SearchMove::Begin(number, proposal) => {
                let origin = search::origin(proposal.origin);
                self.begin(number, TrialRole::Search, proposal.configuration, &origin)?;
            }
            search::SearchMove::Tell(number) => {
                self.search.tell(number, &around)?;
                self.commit(number);
            }
            search::SearchMove::Over => {
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
        };
        let plan = self.job.trial_plan(number, key.purpose, &settings);
        let run = plan_error(number, self.evaluator.begin(plan))?;
        self.books.begin();
        let stored = before.is_some();
        let active = Active::new(key, Arc::new(settings.clone()), run, stored);
        // One that the end of the job cut off is not taken up again.
        if let Some((TrialOutcome::Stopped, _)) = before.and_then(|before| before.end.as_ref()) {
            return self.end(active, (TrialOutcome::Stopped, Utilities::new()));
        }
        self.active.insert(key, active);
        if stored {
            self.ready.insert(key);
        } else {
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
        Ok(())
    }

    /// Begins the evaluation of a trial's settings on the held-out rows, in full.
    fn begin_validation(&mut self, trial: TrialNumber) -> Result<(), TuningError> {
        let Some(of) = self.ended.get(&trial) else {
            return Err(TuningError::Stuck(trial));
        };
        let settings = of.settings.clone();
        let key = Validation::key(trial);
        let rows = self.job.rows(Split::Holdout);
        let options = EvaluatorOptions::new(rows, Pruning::Off, self.job.spec.inference_budget);
        let plan = self.job.trial_plan(trial, key.purpose, &settings);
        let run = plan_error(trial, Evaluator::new(options).begin(plan))?;
        self.active
            .insert(key, Active::new(key, settings, run, true));
        self.ready.insert(key);
        Ok(())
    }

    /// Lets a trial go on as far as possible.
    fn advance(&mut self, key: RunKey) -> Result<(), TuningError> {
        let halted = self.sends_nothing_for(key.purpose);
        let Some(mut active) = self.active.remove(&key) else {
            return Ok(());
        };
        let mut around = Surroundings {
            spec: &self.job.spec,
            past: &mut self.past,
            books: &mut self.books,
            requests: &mut self.requests,
            steps: &mut self.steps,
            halted,
        };
        match active.advance(&mut around)? {
            Some(outcome) => self.end(active, outcome),
            None => {
                self.active.insert(key, active);
                Ok(())
            }
        }
    }

    /// Takes in how a trial ended, and has it stored unless it was before.
    fn end(
        &mut self,
        active: Active,
        outcome: (TrialOutcome, Utilities),
    ) -> Result<(), TuningError> {
        let RunKey { purpose, trial } = active.key;
        if purpose == Purpose::Validation {
            self.validation.receive(active.end(outcome, None));
            return Ok(());
        }
        let before = self.past.trials.get_mut(&trial);
        let before = before.and_then(|before| before.end.take());
        if before
            .as_ref()
            .is_some_and(|(stored, _)| stored.state() != outcome.0.state())
        {
            return Err(TuningError::OtherOutcome(trial));
        }
        let stored = before.is_some();
        let ended = active.end(outcome, before.map(|(_, tally)| tally));
        let best = self.books.end(self.job.spec.objective.direction, &ended);
        let updated = best.map(|best| EventBody::BestUpdated {
            trial,
            settings: best.settings.clone(),
            utility: best.utility,
            inference_cost: best.inference_cost,
        });
        if !stored {
            let mut events = vec![event_of(&ended)];
            events.extend(updated);
            events.push(EventBody::BudgetUpdated {
                spend: self.books.ledger.spent(),
            });
            let change = Change::TrialEnded {
                trial,
                outcome: ended.outcome.clone(),
                tally: ended.tally,
            };
            self.record(change, events);
        }
        if ended.outcome == TrialOutcome::Stopped && self.stop.is_none() {
            self.stop = Some(self.halted.unwrap_or(StopReason::BudgetExhausted));
        }
        self.ended.insert(trial, ended);
        Ok(())
    }

    /// What later trials may know of one that has ended.
    fn commit(&mut self, trial: TrialNumber) {
        if let Some(ended) = self.ended.get(&trial) {
            self.evaluator.commit(&ended.run);
            if let Some(rival) = ended.rival(&self.job.spec) {
                self.evaluator.set_rival(rival);
            }
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
                winner: holdout.winner.estimate,
                baseline: holdout.baseline.map(|baseline| baseline.estimate),
            };
            self.record(Change::Validated, vec![completed]);
        }
    }

    fn record(&mut self, change: Change, events: Vec<EventBody>) {
        self.steps.push_back(Step::Record(Box::new(Record {
            change,
            events,
            summary: self.books.summary(),
        })));
    }
}

fn plan_error(
    trial: TrialNumber,
    run: Result<TrialRun, frugal_evaluation::InvalidPlan>,
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
            ..
        }) => EventBody::TrialEvaluated {
            trial,
            utility,
            inference_cost,
            violated,
            valid,
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
