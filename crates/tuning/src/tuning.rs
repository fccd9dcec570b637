//! The machine: what a job does next, and what it is told.

mod arms;
mod given;
mod glance;
mod steering;
mod turns;

use crate::active::Active;
use crate::books::Books;
use crate::calibration::Calibration;
use crate::changes::{self, Changes};
use crate::ended::{BASELINE, EndedTrials};
use crate::ending::JobEnding;
use crate::error::TuningError;
use crate::evaluated;
use crate::evaluation_report::EvaluationReport;
use crate::findings::Findings;
use crate::job::Job;
use crate::judging::Judging;
use crate::outcome::Utilities;
use crate::overheads::Overheads;
use crate::past::{Past, Question};
use crate::profiled::ProfiledLoop;
use crate::refusals::{EndedRequest, Refusal, Refusals};
use crate::report;
use crate::requests::{NextRequest, Requests, Share};
use crate::run_key::RunKey;
use crate::search::SearchLoop;
use crate::side_by_side::SideBySide;
use crate::step::{Change, RequestEnd, RequestToSend, ScoredBatch, Step};
use crate::validation::Validation;
use crate::verdict::Compared;
use frugal_domain::configuration::Configuration;
use frugal_domain::event::EventBody;
use frugal_domain::id::TrialNumber;
use frugal_domain::job::{ExtentChoice, JobKind, JobSpec, Split};
use frugal_domain::request::{Purpose, RequestKey};
use frugal_domain::state::{JobState, StopReason};
use frugal_domain::trial::TrialOutcome;
use frugal_evaluation::{Evaluator, OfferedResponse};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A job under way.
#[derive(Debug)]
pub struct Tuning {
    job: Job,
    past: Past,
    /// Responses of the job that this one was to begin with.
    taken_over: u64,
    /// The search had come to its end before: what is not known of it was refused then, and is again.
    had_concluded: bool,
    /// The loop over trials of every setting; none of an evaluation.
    search: Option<SearchLoop>,
    /// Trials of arms whose beginning is being stored.
    beginning: BTreeSet<TrialNumber>,
    /// The loop of a profiled search, which takes the other's place.
    profiled: Option<ProfiledLoop>,
    /// The loop of an evaluation, which takes the place of both.
    side_by_side: Option<SideBySide>,
    evaluator: Evaluator,
    books: Books,
    requests: Requests,
    /// The judges, where any score.
    judging: Option<Judging>,
    /// How far they may be trusted, where people have rated answers.
    calibration: Option<Calibration>,
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
    /// What the job's owner has changed and the search has not come to.
    changes: Changes,
    /// The configurations that the owner has put in and the search has come to.
    enqueued: Vec<Configuration>,
    /// Nothing is sent and nothing begun, since the job is to be taken up again later.
    held: bool,
    /// Requests that were not sent, or given up, because of that.
    withheld: BTreeSet<RequestKey>,
    /// What is known of refusals at once: whether the job as a whole can go on.
    heard: Refusals,
    /// What is known of them from the trials and batches that the search was told of, in their order:
    /// which models it leaves alone.
    told: Refusals,
    /// Why no request can succeed any more, in the endpoint's words.
    unusable: Option<String>,
    steps: VecDeque<Step>,
}

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The judges are tried on answers that people have rated, where there are any.
    Calibration,
    /// The baseline is evaluated in full and first, over the inference budget or not. The searcher
    /// does not hear of it.
    Baseline,
    /// The searcher's trials, or those of the configurations that an evaluation was given.
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
        let heard = heard_before(spec, &past);
        // What is sent is bounded by what the owner wants last, whatever was decided under other terms.
        let wanted = changes::as_wanted(spec, &past);
        let mut books = Books::new(&wanted, job.rows(Split::Holdout), &past);
        books.take_back(heard.not_billed());
        Ok(Self {
            search: match spec.evaluation {
                None => Some(SearchLoop::new(spec)?),
                Some(_) => None,
            },
            side_by_side: SideBySide::new(&job)?,
            taken_over: past
                .looked_up
                .values()
                .map(|offered| taken_over(spec, offered))
                .sum(),
            had_concluded: had_concluded(spec, &past),
            beginning: BTreeSet::new(),
            profiled: None,
            evaluator: Evaluator::new(job.evaluator_options()),
            books,
            judging: Judging::new(&job, &past),
            calibration: Calibration::new(&job),
            requests: Requests::new(
                wanted.search.requests_in_flight,
                Overheads::new(&job, &past),
                changes::refused(spec, &past),
            ),
            changes: Changes::new(spec, &past),
            enqueued: Vec::new(),
            active: BTreeMap::new(),
            ready: BTreeSet::new(),
            ended: EndedTrials::new(),
            phase: Phase::Calibration,
            validation: Validation::default(),
            compared: None,
            stop: None,
            halted: None,
            held: false,
            withheld: BTreeSet::new(),
            unusable: heard.of_all().map(|refusal| refusal.reason),
            heard,
            told: Refusals::new(spec),
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
            match self.next_request() {
                NextRequest::Send(request) => return Ok(Some(Step::Send(request))),
                NextRequest::Unaffordable(key) if key.purpose.is_judging() => {
                    self.changes.not_paid(key);
                    self.judge_not_asked(key);
                    continue;
                }
                NextRequest::Unaffordable(key) => {
                    self.changes.not_paid(key);
                    self.waiting_for(key)?.unaffordable(key.ordinal)?;
                    self.wake(key);
                    continue;
                }
                NextRequest::None => {}
            }
            // All trials that are to be in the air are begun before any of them goes on, so that
            // what one comes to never decides whether another is begun.
            if !self.held && self.turn()? {
                continue;
            }
            let Some(key) = self.ready.pop_first() else {
                return Ok(None);
            };
            self.advance(key)?;
        }
    }

    fn next_request(&mut self) -> NextRequest {
        if self.held {
            return NextRequest::None;
        }
        let judging = &mut self.judging;
        let share = |request: &RequestToSend, worst| match judging {
            Some(judging) => judging.pays(request, worst),
            None => Share::Pays,
        };
        let next = self.requests.next(&mut self.books, share);
        if let (NextRequest::Send(request), Some(judging)) = (&next, &mut self.judging) {
            judging.sent(request);
        }
        next
    }

    /// The beginning of a trial is stored.
    pub fn trial_begun(&mut self, trial: TrialNumber) {
        self.beginning.remove(&trial);
        // Several may wait for it: batches of draws, and the scoring of held-out rows.
        let of_trial = |key: &RunKey| key.trial == trial;
        let waiting: Vec<RunKey> = self.active.keys().copied().filter(of_trial).collect();
        for key in waiting {
            self.with(key, Active::begun);
        }
    }

    /// What other jobs have for a trial. It is stored.
    pub fn looked_up(&mut self, trial: TrialNumber, offered: Vec<OfferedResponse>) {
        self.taken_over += taken_over(&self.job.spec, &offered);
        if let Some(judging) = &mut self.judging {
            judging.looked_up(&offered);
        }
        let mut runs = self.active.keys();
        let run = runs.find(|key| {
            key.trial == trial && key.first == 0 && key.purpose.split() == Split::Tuning
        });
        if let Some(run) = run.copied() {
            self.with(run, |active| active.looked_up(offered));
        }
    }

    /// What scorers said of the responses of a [batch](crate::ScoreBatch::of): for each that was asked for
    /// one score, or the reason why there is none, or which judges have to be asked first. Scores are stored.
    pub fn scored(&mut self, of: RequestKey, batch: impl Into<ScoredBatch>) {
        let mut batch = batch.into();
        let unusable = batch.unusable.take();
        for (key, score) in &batch.scores {
            self.past.scores.insert(*key, score.clone());
            if let Some(judging) = &mut self.judging {
                judging.scored(key, score);
            }
        }
        if of.purpose == Purpose::Labelled {
            if let Some(calibration) = &mut self.calibration {
                calibration.scores_made(batch.scores);
            }
            return;
        }
        self.with(of.into(), |active| active.scores_made(batch));
        // Without scores nothing that is bought is of use.
        if let Some(reason) = unusable {
            self.endpoint_unusable(reason);
        }
    }

    /// How a request ended.
    ///
    /// # Errors
    /// It was not in flight.
    pub fn request_ended(&mut self, key: RequestKey, end: RequestEnd) -> Result<(), TuningError> {
        let (requests, books) = (&mut self.requests, &mut self.books);
        let was_in_flight = match &end {
            RequestEnd::Settled(settled) => requests.settle(key, settled, books),
            RequestEnd::NotSent => requests.withdraw(key, books),
            RequestEnd::GivenUp { cost } => requests.give_up(key, *cost, books),
        };
        if !was_in_flight {
            return Err(TuningError::NotExpected { key, source: None });
        }
        let news = self.requests.overheads_mut().tell(&self.job.spec);
        if !news.is_empty() {
            self.record(Change::Progressed, news);
        }
        if self.held && !matches!(end, RequestEnd::Settled(_)) {
            // Whoever takes the job up asks for it again.
            self.withheld.insert(key);
            return Ok(());
        }
        if key.purpose.is_judging() {
            return self.judge_asked(key, end);
        }
        if let (Some(judging), RequestEnd::Settled(settled)) = (&mut self.judging, &end) {
            judging.answered(key, settled);
        }
        let active = self.waiting_for(key)?;
        match end {
            RequestEnd::Settled(settled) => {
                let model = active.model();
                let ended = active.settled(key.ordinal, settled)?;
                self.hear(model, &ended);
            }
            RequestEnd::NotSent | RequestEnd::GivenUp { .. } => active.cut_off(key.ordinal),
        }
        self.wake(key);
        Ok(())
    }

    /// What became of a question to a judge.
    fn judge_asked(&mut self, key: RequestKey, end: RequestEnd) -> Result<(), TuningError> {
        let Some(judging) = &mut self.judging else {
            return Err(TuningError::NotExpected { key, source: None });
        };
        let Some((run, question)) = judging.end(key) else {
            return Err(TuningError::NotExpected { key, source: None });
        };
        let mut refusal = None;
        if let RequestEnd::Settled(settled) = &end {
            judging.note(key, question, settled);
            refusal = judging.refusal();
        }
        self.judge_ended(run, key, question, &end);
        // Without its word nothing that is bought is of use.
        if let Some(refusal) = refusal {
            self.endpoint_unusable(refusal.reason);
        }
        Ok(())
    }

    /// A question to a judge is not asked.
    fn judge_not_asked(&mut self, key: RequestKey) {
        let ended = self.judging.as_mut().and_then(|judging| judging.end(key));
        if let Some((run, question)) = ended {
            self.judge_ended(run, key, question, &RequestEnd::NotSent);
        }
    }

    /// Tells whoever waits for a question to a judge what became of it.
    fn judge_ended(&mut self, run: RunKey, key: RequestKey, question: Question, end: &RequestEnd) {
        let Some(judging) = &self.judging else {
            return;
        };
        if run.purpose == Purpose::Labelled {
            if let Some(calibration) = &mut self.calibration {
                calibration.judged(key, question, end, judging);
            }
        } else if let Some(active) = self.active.get_mut(&run) {
            active.judged(key, question, end, judging);
            self.ready.insert(run);
        }
    }

    /// Whether a request in flight, each attempt of which may have been billed, may be sent once more.
    /// Its worst case is then set aside again.
    ///
    /// Three attempts are made whatever they may have cost; further ones while the model answers other
    /// requests and what is uncertain of the whole job is at most a twentieth of its budget.
    pub fn may_send_again(&mut self, key: RequestKey) -> bool {
        let judging = self.judging.as_ref().filter(|_| key.purpose.is_judging());
        let works = |model| match judging {
            Some(judging) => judging.has_answered(key),
            None => self.heard.has_answered(model),
        };
        !self.sends_nothing_for(key.purpose)
            && self.requests.reserve_again(key, works, &mut self.books)
    }

    /// How the job ends, once [`Step::Finish`] has come; if it is [halted](Self::halt) for its
    /// client's sake after that, ask again.
    #[must_use]
    pub fn ending(&self) -> JobEnding {
        let summary = self.books.summary();
        let (stop_reason, detail) = self.why_over();
        let enqueued: Vec<&Configuration> = self
            .enqueued
            .iter()
            .chain(self.changes.enqueued())
            .collect();
        let findings = Findings {
            spec: &self.job.spec,
            books: &self.books,
            evaluator: &self.evaluator,
            ended: &self.ended,
            prompt_token_bounds: &self.job.prompt_token_bounds.tuning,
            most_per_request: &self.job.most_per_request,
            rows: self.job.rows(Split::Tuning),
            holdout_rows: self.job.rows(Split::Holdout),
            earlier_validations: &self.past.earlier_validations,
            refusals: &self.heard,
            unusable: self.unusable.as_deref(),
            overheads: self.requests.overheads(),
            calibration: self.calibration.as_ref(),
            judged: self.judging.as_ref().map(Judging::heard),
            taken_over: self.taken_over,
            enqueued: &enqueued,
        };
        let (state, event) = match (stop_reason, detail.clone()) {
            (StopReason::Cancelled, _) => (JobState::Cancelled, EventBody::JobCancelled {}),
            (stop_reason, Some(detail)) => {
                let event = EventBody::JobFailed {
                    stop_reason,
                    detail,
                };
                (JobState::Failed, event)
            }
            (stop_reason, None) => (JobState::Succeeded, EventBody::JobSucceeded { stop_reason }),
        };
        JobEnding {
            state,
            stop_reason,
            detail,
            report: match self.job.spec.kind() {
                JobKind::Tuning => Some(report::build(
                    &findings,
                    stop_reason,
                    self.compared.as_ref(),
                )),
                JobKind::Evaluation => None,
            },
            evaluation: self.evaluated(&findings, stop_reason),
            event,
            summary,
        }
    }

    /// The report of an evaluation, where the job is one.
    fn evaluated(
        &self,
        findings: &Findings<'_>,
        stop_reason: StopReason,
    ) -> Option<EvaluationReport> {
        let (side, spec) = (self.side_by_side.as_ref()?, &self.job.spec);
        let evaluation = spec.evaluation.as_ref()?;
        Some(evaluated::build(findings, evaluation, side, stop_reason))
    }

    /// Why the search ended, and in words where the job has failed with it.
    fn why_over(&self) -> (StopReason, Option<String>) {
        if self.halted == Some(StopReason::Cancelled) {
            return (StopReason::Cancelled, None);
        }
        let stop = self.stop.unwrap_or(StopReason::TrialLimit);
        if stop == StopReason::EndpointUnusable {
            return (stop, Some(self.unusable.clone().unwrap_or_default()));
        }
        match self.nothing_evaluated() {
            Some(detail) => (StopReason::NothingEvaluated, Some(detail)),
            None => (stop, None),
        }
    }

    /// Why no trial could be evaluated, where the endpoints are to blame for that. Trials that the end
    /// of the job cut off leave it open, unless nothing was ever answered.
    fn nothing_evaluated(&self) -> Option<String> {
        let most = self.heard.failures().into_iter().next()?;
        let outcomes = || self.ended.values().map(|ended| &ended.outcome);
        let seen = outcomes().any(|outcome| {
            matches!(
                outcome,
                TrialOutcome::Evaluated(_) | TrialOutcome::Pruned { .. }
            )
        });
        let refused = outcomes().any(|outcome| {
            matches!(
                outcome,
                TrialOutcome::Infeasible { .. } | TrialOutcome::Failed { .. }
            )
        });
        let open = outcomes().any(|outcome| *outcome == TrialOutcome::Stopped);
        let nothing = refused && !seen && (!open || !self.heard.any_answered());
        nothing.then(|| format!("no configuration could be evaluated: {}", most.reason))
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

    /// The evaluation that a request belongs to: of those of its trial, the one that begins last
    /// before it.
    fn run_of(&self, key: RequestKey) -> Option<RunKey> {
        let last = RunKey::from(key);
        let first = RunKey { first: 0, ..last };
        let runs = self.active.range(first..=last);
        runs.map(|(run, _)| *run).next_back()
    }

    fn waiting_for(&mut self, key: RequestKey) -> Result<&mut Active, TuningError> {
        self.run_of(key)
            .and_then(|run| self.active.get_mut(&run))
            .ok_or(TuningError::NotExpected { key, source: None })
    }

    /// Lets the evaluation that a request belongs to go on.
    fn wake(&mut self, key: RequestKey) {
        self.ready.extend(self.run_of(key));
    }

    /// Takes in at once how a request ended. Where that leaves no model to ask, nothing more is sent.
    fn hear(&mut self, model: usize, ended: &EndedRequest) {
        self.heard.note(model, ended);
        self.books.take_back(self.heard.not_billed());
        let refusal = match ended.key.purpose {
            Purpose::Validation => ended.refusal(),
            _ => self.heard.of_all(),
        };
        if let Some(refusal) = refusal {
            self.endpoint_unusable(refusal.reason);
        }
    }

    /// Takes in what the search is told of: requests of a trial, or of a batch, in their order.
    fn told_of(&mut self, model: usize, requests: &[EndedRequest]) {
        for ended in requests {
            self.told.note(model, ended);
        }
    }

    /// Why the search leaves a model alone, if it does.
    fn closed(&self, model: usize) -> Option<Refusal> {
        self.told.of_model(model)
    }

    /// Why the job is to stop, if it is.
    fn reason_to_stop(&self) -> Option<StopReason> {
        match self.halted {
            Some(StopReason::Cancelled) => self.halted,
            _ if self.unusable.is_some() => Some(StopReason::EndpointUnusable),
            halted => halted,
        }
    }

    /// Nothing more can come of the endpoint. A search fails with it; what a finished search has
    /// found stands.
    fn endpoint_unusable(&mut self, reason: String) {
        self.unusable.get_or_insert(reason);
        self.drop_waiting();
    }
}

/// How many of these responses are the earlier job's that this one was to begin with.
fn taken_over(spec: &JobSpec, offered: &[OfferedResponse]) -> u64 {
    let Some(earlier) = spec.warm_start.map(|taken| taken.job) else {
        return 0;
    };
    let theirs = offered.iter().filter(|one| one.id.job == Some(earlier));
    theirs.count() as u64
}

/// Whether a profiled search had come to its end before, with which alone the trials of its arms end.
fn had_concluded(spec: &JobSpec, past: &Past) -> bool {
    let mut trials = past.trials.iter();
    spec.evaluation.is_none()
        && spec.search.extent == ExtentChoice::Profiled
        && trials.any(|(number, trial)| *number != BASELINE && trial.end.is_some())
}

/// What is known from the past of how requests ended.
fn heard_before(spec: &JobSpec, past: &Past) -> Refusals {
    let mut heard = Refusals::new(spec);
    for (key, request) in &past.requests {
        let trial = past.trials.get(&key.trial);
        let settings = trial.and_then(|trial| spec.settings(&trial.configuration).ok());
        if let Some(settings) = settings {
            let ended = EndedRequest::of(*key, request.instance, &request.settled);
            heard.note(settings.sampling.model, &ended);
        }
    }
    heard
}
