//! One trial under way: the evaluation says what it wants; the past, the driver or the end of the
//! job answer it, until it has its ending.

use crate::books::Books;
use crate::ended::{EndedTrial, TrialFigures};
use crate::error::TuningError;
use crate::judging::{Around, Inquiry, Judging};
use crate::outcome::Found;
use crate::past::{Past, PastRequest, Question};
use crate::refusals::{EndedRequest, Refusal};
use crate::requests::Requests;
use crate::run_key::RunKey;
use crate::seed;
use crate::step::{
    Change, LookUp, Record, RequestEnd, RequestToSend, ScoreBatch, Scored, ScoredBatch, Step,
};
use crate::tally::{SettledRequest, Tally};
use frugal_domain::configuration::Settings;
use frugal_domain::event::{EventBody, TrialAdvance};
use frugal_domain::job::{JobSpec, Pruning, Reuse};
use frugal_domain::money::Spend;
use frugal_domain::request::{Purpose, RequestKey, ResponseId};
use frugal_domain::scoring::Observation;
use frugal_evaluation::{
    Ending, Evaluator, OfferedResponse, RequestFailure, RequestPlan, ScoreKey, ScorePlan,
    Step as RunStep, TrialRun,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Why a response was not scored though nothing is wrong with it.
const NOT_SCORED: &str = "the job ended before it was scored";

/// A trial under way, or a batch for one: draws for an arm, or a block of rows.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) key: RunKey,
    settings: Arc<Settings>,
    run: TrialRun,
    tally: Tally,
    /// Its requests that have ended, by ordinal.
    ended: BTreeMap<u32, EndedRequest>,
    stage: Stage,
    /// Requests of the current batch that wait to be sent or are in flight.
    outstanding: BTreeSet<u32>,
    /// Scores that are known already of a batch of which others are being made.
    scored: Vec<Scored>,
    /// What is being scored.
    scoring: Vec<ScorePlan>,
    /// Whose word is needed about which answers before they have a score.
    asks: Vec<(ScorePlan, Vec<usize>)>,
    /// What judges are being asked.
    inquiry: Inquiry,
    /// Whether a batch was paid for that no event has told of yet.
    untold: bool,
    /// The end of the job keeps it from something that it needs.
    cut_off: bool,
    /// It is a batch: whatever it brought is taken.
    is_batch: bool,
}

/// How an evaluation ended.
#[derive(Debug, Clone)]
pub(crate) enum RunEnd {
    /// By itself.
    Ended(Ending),
    /// Before anything was asked, since nothing more is asked of its model.
    Refused(Refusal),
    /// The end of the job cut it off.
    CutOff,
}

/// How far a trial is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its beginning is being stored.
    Beginning,
    /// Nothing was asked for yet.
    Begun,
    /// Other jobs' responses are being looked for.
    LookingUp,
    /// It is being evaluated.
    Running,
}

/// What a trial works with.
pub(crate) struct Surroundings<'a> {
    pub(crate) spec: &'a JobSpec,
    pub(crate) past: &'a mut Past,
    pub(crate) evaluator: &'a Evaluator,
    pub(crate) books: &'a mut Books,
    pub(crate) requests: &'a mut Requests,
    /// The judges, where any score.
    pub(crate) judging: Option<&'a mut Judging>,
    pub(crate) steps: &'a mut VecDeque<Step>,
    /// Whether nothing new is to be sent for the trial.
    pub(crate) halted: bool,
}

impl Active {
    /// A trial whose beginning is stored, or is being stored.
    pub(crate) fn new(key: RunKey, settings: Arc<Settings>, run: TrialRun, stored: bool) -> Self {
        Self {
            key,
            settings,
            run,
            tally: Tally::default(),
            ended: BTreeMap::new(),
            stage: if stored {
                Stage::Begun
            } else {
                Stage::Beginning
            },
            outstanding: BTreeSet::new(),
            scored: Vec::new(),
            scoring: Vec::new(),
            asks: Vec::new(),
            inquiry: Inquiry::default(),
            untold: false,
            cut_off: false,
            is_batch: false,
        }
    }

    /// A batch for a trial whose beginning is stored, or is being stored.
    pub(crate) fn batch(key: RunKey, settings: Arc<Settings>, run: TrialRun, stored: bool) -> Self {
        Self {
            is_batch: true,
            ..Self::new(key, settings, run, stored)
        }
    }

    /// The beginning is stored.
    pub(crate) fn begun(&mut self) {
        if self.stage == Stage::Beginning {
            self.stage = Stage::Begun;
        }
    }

    /// Takes what other jobs have for it.
    pub(crate) fn looked_up(&mut self, offered: Vec<OfferedResponse>) {
        if self.stage == Stage::LookingUp {
            self.run.offer(offered);
            self.stage = Stage::Running;
        }
    }

    /// Takes the scores that were asked for, and whose word is needed about others.
    pub(crate) fn scores_made(&mut self, batch: ScoredBatch) {
        let plans = std::mem::take(&mut self.scoring);
        if plans.is_empty() {
            return;
        }
        for (key, _) in &batch.scores {
            self.inquiry.settle(*key);
        }
        self.scored.extend(batch.scores);
        self.cut_off |= !batch.cut_off.is_empty();
        let none = |key: ScoreKey| (key, Err(NOT_SCORED.to_owned()));
        self.scored.extend(batch.cut_off.into_iter().map(none));
        let plan = |key| plans.iter().find(|plan| plan.key == key).copied();
        let asks = batch.asks.into_iter();
        self.asks = asks
            .filter_map(|(key, judges)| Some((plan(key)?, judges)))
            .collect();
        self.hand_over();
    }

    /// Gives the evaluation its scores, once there is one for each response.
    fn hand_over(&mut self) {
        if self.asks.is_empty() {
            self.run.receive_scores(std::mem::take(&mut self.scored));
        }
    }

    /// Takes what came of a request that was sent.
    ///
    /// # Errors
    /// The trial does not wait for it.
    pub(crate) fn settled(
        &mut self,
        ordinal: u32,
        settled: SettledRequest,
    ) -> Result<EndedRequest, TuningError> {
        self.untold = true;
        self.outstanding.remove(&ordinal);
        self.take(ordinal, settled)
    }

    /// Takes what became of a question to a judge.
    pub(crate) fn judged(
        &mut self,
        key: RequestKey,
        question: Question,
        end: &RequestEnd,
        judging: &Judging,
    ) {
        self.untold |= matches!(end, RequestEnd::Settled(_));
        self.inquiry.ended(key, question, end, judging);
    }

    /// The model that it asks, by position.
    pub(crate) fn model(&self) -> usize {
        self.settings.sampling.model
    }

    /// Its requests that have ended, in the order of their ordinals.
    pub(crate) fn ended(&self) -> impl Iterator<Item = &EndedRequest> {
        self.ended.values()
    }

    /// Hears that a request can never be afforded.
    ///
    /// # Errors
    /// The trial does not wait for it.
    pub(crate) fn unaffordable(&mut self, ordinal: u32) -> Result<(), TuningError> {
        self.outstanding.remove(&ordinal);
        self.receive(ordinal, Err(RequestFailure::Unaffordable))
    }

    /// Hears that a request will not be answered, because the job is to stop.
    pub(crate) fn cut_off(&mut self, ordinal: u32) {
        self.outstanding.remove(&ordinal);
        self.cut_off = true;
        // What else a batch has brought is of use.
        if self.is_batch {
            let answered = self.run.receive(ordinal, Err(RequestFailure::Unaffordable));
            debug_assert!(answered.is_ok(), "only what waits is cut off");
        }
    }

    /// Whether a request was settled that the past did not know.
    pub(crate) const fn has_news(&self) -> bool {
        self.untold
    }

    /// Whether it is a batch.
    pub(crate) const fn is_batch(&self) -> bool {
        self.is_batch
    }

    /// The evaluation.
    pub(crate) const fn run(&self) -> &TrialRun {
        &self.run
    }

    /// Whether the end of the job kept something from it.
    pub(crate) const fn was_cut_off(&self) -> bool {
        self.cut_off || self.inquiry.was_cut_off()
    }

    /// What judges were paid for this, and about how many answers they were asked.
    pub(crate) const fn paid_judge(&self) -> (Spend, usize) {
        self.inquiry.paid()
    }

    /// What it has used so far.
    fn tally(&self) -> Tally {
        let mut tally = self.tally;
        tally.add(self.inquiry.tally());
        tally
    }

    /// A batch that has come back, with what it used and the ends of its requests.
    pub(crate) fn into_batch(self) -> (TrialRun, Tally, Vec<EndedRequest>) {
        let tally = self.tally();
        (self.run, tally, self.ended.into_values().collect())
    }

    fn take(&mut self, ordinal: u32, settled: SettledRequest) -> Result<EndedRequest, TuningError> {
        self.count(&settled);
        let plan = self.run.unanswered();
        let plan = plan.into_iter().find(|plan| plan.key.ordinal == ordinal);
        let instance = plan.map_or(0, |plan| plan.instance);
        let ended = EndedRequest::of(self.request_key(ordinal), instance, &settled);
        self.ended.insert(ordinal, ended.clone());
        self.receive(ordinal, settled.result)?;
        Ok(ended)
    }

    /// Counts what a request has used.
    fn count(&mut self, settled: &SettledRequest) {
        self.tally.spend += settled.cost;
        self.tally.requests += 1;
        if let Ok(receipt) = &settled.result {
            let count = u32::try_from(receipt.responses.len()).unwrap_or(u32::MAX);
            self.tally.responses = self.tally.responses.saturating_add(count);
        }
    }

    fn receive(
        &mut self,
        ordinal: u32,
        result: Result<frugal_evaluation::Receipt, RequestFailure>,
    ) -> Result<(), TuningError> {
        self.run
            .receive(ordinal, result)
            .map_err(|source| TuningError::NotExpected {
                key: self.request_key(ordinal),
                source: Some(source),
            })
    }

    fn request_key(&self, ordinal: u32) -> RequestKey {
        RequestKey {
            purpose: self.key.purpose,
            trial: self.key.trial,
            ordinal,
        }
    }

    /// Goes on as far as possible. Returns how it ended, once it has.
    ///
    /// # Errors
    /// The past is another one than this trial's, or the trial cannot go on.
    pub(crate) fn advance(
        &mut self,
        around: &mut Surroundings<'_>,
    ) -> Result<Option<RunEnd>, TuningError> {
        loop {
            match self.stage {
                Stage::Beginning | Stage::LookingUp => return Ok(None),
                Stage::Begun => self.look_up(around),
                Stage::Running => {}
            }
            let is_scoring = !self.scoring.is_empty();
            let waits = is_scoring || self.inquiry.is_open() || !self.outstanding.is_empty();
            if self.stage != Stage::Running || waits {
                return Ok(None);
            }
            if self.was_cut_off() && !self.is_batch {
                return Ok(Some(RunEnd::CutOff));
            }
            if !self.asks.is_empty() {
                self.ask_judges(around);
                continue;
            }
            if self.inquiry.is_unread() {
                self.have_replies_read(around);
                continue;
            }
            match self.run.step() {
                RunStep::Ended(ending) => return Ok(Some(RunEnd::Ended(ending))),
                RunStep::Wait => return Err(TuningError::Stuck(self.key.trial)),
                RunStep::Score(plans) => self.score(plans, around),
                RunStep::Request(batch) => self.request(batch, around)?,
            }
        }
    }

    /// Looks for what other jobs have, if the job wants that.
    fn look_up(&mut self, around: &mut Surroundings<'_>) {
        let search = &around.spec.search;
        let wanted = (search.reuse == Reuse::Owner || around.spec.warm_start.is_some())
            && search.pruning != Pruning::Reference
            && self.key.purpose != Purpose::Validation
            && self.key.first == 0;
        self.stage = Stage::Running;
        if !wanted {
            return;
        }
        match around.past.looked_up.remove(&self.key.trial) {
            Some(offered) => self.run.offer(offered),
            None if around.halted => {}
            None => {
                self.stage = Stage::LookingUp;
                around.steps.push_back(Step::LookUp(LookUp {
                    trial: self.key.trial,
                    settings: self.settings.clone(),
                }));
            }
        }
    }

    /// Has responses scored that were not scored before.
    fn score(&mut self, plans: Vec<ScorePlan>, around: &mut Surroundings<'_>) {
        let mut unknown = Vec::new();
        for plan in plans {
            match self.known_score(&plan.key, around) {
                Some(score) => {
                    self.scored.push((plan.key, score));
                    self.inquiry.recall(self.key, plan.key, around.past);
                }
                None => unknown.push(plan),
            }
        }
        self.have_scored(unknown, BTreeMap::new(), around);
    }

    /// What was said of a response, by the past or, where another trial has had it scored since this one
    /// began, by the pool.
    fn known_score(
        &self,
        key: &ScoreKey,
        around: &Surroundings<'_>,
    ) -> Option<Result<Observation, String>> {
        let past = around.past.scores.get(key);
        let pool = || {
            let arm = around.evaluator.pool().arm(&self.settings.sampling)?;
            arm.score(key).map(Ok)
        };
        past.or_else(pool)
    }

    fn have_scored(
        &mut self,
        plans: Vec<ScorePlan>,
        replies: BTreeMap<ScoreKey, Vec<(u32, ResponseId)>>,
        around: &mut Surroundings<'_>,
    ) {
        if plans.is_empty() {
            return self.hand_over();
        }
        self.scoring.clone_from(&plans);
        around.steps.push_back(Step::Score(ScoreBatch {
            of: self.request_key(self.key.first),
            plans,
            replies,
        }));
    }

    /// Asks the judges whose word is needed. Without any there is nobody to ask, and no score.
    fn ask_judges(&mut self, around: &mut Surroundings<'_>) {
        let asks = std::mem::take(&mut self.asks);
        let Some(judging) = around.judging.as_deref_mut() else {
            let none = |(plan, _): (ScorePlan, _)| (plan.key, Err("there is no judge".to_owned()));
            self.scored.extend(asks.into_iter().map(none));
            return self.hand_over();
        };
        let mut around = Around {
            judging,
            past: around.past,
            requests: around.requests,
            halted: around.halted,
        };
        self.inquiry.ask(self.key, asks, &mut around);
    }

    /// Has the judges' replies read. Answers of which one says nothing have no score.
    fn have_replies_read(&mut self, around: &mut Surroundings<'_>) {
        let Some(judging) = around.judging.as_deref() else {
            return;
        };
        let replied = self.inquiry.replied(judging);
        self.scored.extend(replied.silent);
        self.have_scored(replied.plans, replied.replies, around);
    }

    /// Answers a batch from the past as far as it goes, and lines the rest up to be sent.
    fn request(
        &mut self,
        batch: Vec<RequestPlan>,
        around: &mut Surroundings<'_>,
    ) -> Result<(), TuningError> {
        // Told here and not before: only now has the trial judged the batch before.
        if std::mem::take(&mut self.untold) && !self.is_batch {
            self.tell_progress(around);
        }
        for plan in batch {
            if let Some(before) = around.past.requests.remove(&plan.key) {
                let PastRequest {
                    instance,
                    n,
                    max_tokens,
                    settled,
                } = before;
                if (instance, n, max_tokens) != (plan.instance, plan.n, plan.max_tokens) {
                    return Err(TuningError::OtherRequest(plan.key));
                }
                self.take(plan.key.ordinal, settled)?;
            } else if around.halted {
                self.cut_off(plan.key.ordinal);
            } else {
                self.outstanding.insert(plan.key.ordinal);
                around.requests.push(RequestToSend {
                    key: plan.key,
                    settings: self.settings.clone(),
                    instance: plan.instance,
                    n: plan.n,
                    max_tokens: plan.max_tokens,
                    prompt_tokens: plan.prompt_tokens,
                    prompt_is_counted: plan.prompt_is_counted,
                    worst_case: plan.worst_case,
                    seed: seed::of_request(around.spec.search.seed, plan.key),
                    judged: None,
                });
            }
        }
        Ok(())
    }

    /// How far it is, where it is the evaluation of a trial by itself.
    pub(crate) fn advance_so_far(&self) -> Option<TrialAdvance> {
        if self.is_batch || self.key.purpose == Purpose::Validation {
            return None;
        }
        let reached = self.run.progress();
        let rows = reached.instances as u64;
        Some(TrialAdvance {
            trial: self.key.trial,
            responses: reached.responses,
            of: rows.saturating_mul(reached.configured_n.into()),
        })
    }

    /// Has the summary stored, and an event after a step of the evaluation. Validation is not a
    /// trial of its own, so it only shows in the summary.
    fn tell_progress(&self, around: &mut Surroundings<'_>) {
        let reached = self.run.progress();
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let mut events = Vec::new();
        if self.key.purpose != Purpose::Validation {
            events.push(EventBody::TrialProgress {
                trial: self.key.trial,
                n: reached.n,
                instances: count(reached.seen),
                of: count(reached.instances),
                spend: self.tally().spend,
            });
        }
        events.push(EventBody::BudgetUpdated {
            spend: around.books.ledger.spent(),
        });
        around.steps.push_back(Step::Record(Box::new(Record {
            change: Change::Progressed,
            events,
            summary: around.books.summary(),
        })));
    }

    /// The trial with its ending. A trial that ended before a worker died keeps what it had used by
    /// then.
    pub(crate) fn end(self, found: Found, before: Option<Tally>) -> EndedTrial {
        let tally = before.unwrap_or_else(|| self.tally());
        EndedTrial {
            number: self.key.trial,
            settings: self.settings,
            outcome: found.outcome,
            utilities: found.utilities,
            qualities: found.qualities,
            quality_difference: found.quality_difference,
            corpus: found.corpus,
            tally,
            requests: self.ended.into_values().collect(),
            figures: Some(TrialFigures::of(&self.run)),
            run: Some(self.run),
        }
    }
}
