//! The loop over the machine's steps: requests, scores and look-ups side by side, records one after
//! the other in their order.

use crate::context::Context;
use crate::error::DriveError;
use crate::halt::{Cause, at};
use crate::look_up;
use crate::past;
use crate::record;
use crate::score;
use crate::send::{self, Sent};
use crate::steer::News;
use chrono::Utc;
use frugal_domain::id::TrialNumber;
use frugal_domain::request::{Purpose, RequestKey};
use frugal_domain::state::JobState;
use frugal_evaluation::OfferedResponse;
use frugal_store::changes::OwnerChange;
use frugal_store::requests;
use frugal_tuning::{Change, Record, RequestEnd, RequestToSend, ScoredBatch, Step, Summary};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;
use tokio::time::Instant;
use tracing::{Instrument, Span};

/// How long the counts of a job may stand still while answers come in.
const TELL_AFTER: Duration = Duration::from_secs(2);
/// The same as a part of the time for which the job has been driven, one in so many, so that what goes on for
/// days does not fill its list of events.
const TELL_PART: u32 = 300;

/// What became of a step that does not cost money.
enum Done {
    Scored(RequestKey, ScoredBatch),
    LookedUp(TrialNumber, Vec<OfferedResponse>),
}

type Sending<'a> = BoxFuture<'a, Result<Sent, DriveError>>;
type Working<'a> = BoxFuture<'a, Result<Done, DriveError>>;

/// The work under way for a job.
struct Play<'a> {
    context: &'a Context,
    sending: FuturesUnordered<Sending<'a>>,
    /// The requests among these, so that none is forgotten when they are dropped.
    in_flight: BTreeSet<RequestKey>,
    working: FuturesUnordered<Working<'a>>,
    records: VecDeque<Box<Record>>,
    recording: Option<BoxFuture<'a, Result<Box<Record>, DriveError>>>,
    /// What the job's owner changes meanwhile.
    news: News,
    /// The highest cause that the job's loop has heard of.
    halted: Option<Cause>,
    /// What was counted and spent when that was last stored or is about to be.
    told: Option<Summary>,
    /// When the job began to be driven, and when it is to be told next how far it is.
    begun: Instant,
    next_telling: Instant,
    /// When what is in flight is given up.
    grace_over: Option<Instant>,
    finished: bool,
}

/// Drives a job to its end.
///
/// # Errors
/// The job is let go, the database failed, or the job cannot go on. Answers that were under way are
/// stored all the same, as far as they arrive in time.
pub(crate) async fn play(context: &Context, news: News) -> Result<JobState, DriveError> {
    let mut play = Play {
        context,
        sending: FuturesUnordered::new(),
        in_flight: BTreeSet::new(),
        working: FuturesUnordered::new(),
        records: VecDeque::new(),
        recording: None,
        news,
        halted: None,
        told: None,
        begun: Instant::now(),
        next_telling: Instant::now() + TELL_AFTER,
        grace_over: None,
        finished: false,
    };
    match play.run().await {
        Ok(()) => record::finish(context).await,
        Err(error) => {
            let (cause, patience) = match &error {
                error if error.is_lost() => (Cause::Lost, Duration::ZERO),
                // Answers wait for the database.
                DriveError::Store(cause) if cause.is_unavailable() => {
                    (Cause::LetGo, context.grace.max(context.outage))
                }
                _ => (Cause::LetGo, context.grace),
            };
            context.halt.throw(cause);
            play.bring_home(patience).await;
            Err(error)
        }
    }
}

impl<'a> Play<'a> {
    /// Does what the machine asks for until it is finished and everything is stored.
    async fn run(&mut self) -> Result<(), DriveError> {
        loop {
            self.hear_halt()?;
            self.take_steps()?;
            self.next_record();
            if self.finished && self.recording.is_none() {
                return Ok(());
            }
            if self.halted == Some(Cause::Paused) && self.is_idle() {
                return Err(DriveError::Paused);
            }
            let context = self.context;
            tokio::select! {
                Some(sent) = self.sending.next() => self.sent(sent?)?,
                Some(done) = self.working.next() => self.done(done?),
                Some(record) = recorded(&mut self.recording) => {
                    let change = record?.change;
                    if let Change::TrialBegun(begun) = &change {
                        context.tuning().trial_begun(begun.number);
                    }
                    if let Some(number) = change.placed() {
                        context.tuning().change_stored(number);
                    }
                }
                Some(change) = self.news.recv() => self.hear(&change),
                _ = context.halt.above(self.halted) => {}
                () = tokio::time::sleep_until(self.next_telling) => self.tell_progress(),
                () = at(self.grace_over) => self.give_up().await?,
            }
        }
    }

    /// Hands the machine what the job's owner has changed.
    fn hear(&self, change: &OwnerChange) {
        let mut tuning = self.context.tuning();
        match change {
            OwnerChange::Terms(change) => tuning.change_terms(past::terms_change(change)),
            OwnerChange::Trial(enqueued) => tuning.enqueue(past::enqueued_trial(enqueued)),
        }
    }

    /// Hands the machine the reason to stop, if there is a new one.
    fn hear_halt(&mut self) -> Result<(), DriveError> {
        let cause = self.context.halt.cause();
        if cause <= self.halted {
            return Ok(());
        }
        self.halted = cause;
        let stop_reason = cause.and_then(Cause::stop_reason);
        match (cause, stop_reason) {
            (_, Some(reason)) => self.context.tuning().halt(reason),
            (Some(Cause::Paused), _) => self.context.tuning().hold(),
            _ => return Err(DriveError::LetGo),
        }
        self.grace_over = Some(Instant::now() + self.context.grace);
        Ok(())
    }

    /// Whether nothing is under way.
    fn is_idle(&self) -> bool {
        self.sending.is_empty() && self.working.is_empty() && self.recording.is_none()
    }

    /// Takes all steps that there are, and sets to work on them.
    fn take_steps(&mut self) -> Result<(), DriveError> {
        let context = self.context;
        loop {
            let step = context.tuning().next_step()?;
            match step {
                None => return Ok(()),
                Some(Step::Send(request)) => self.send(request),
                Some(Step::Score(batch)) => {
                    let of = batch.of;
                    let scoring = async move {
                        let scores = score::score(context, batch).await?;
                        Ok(Done::Scored(of, scores))
                    };
                    let span = step_span("score", Some(of.trial), Some(of.purpose));
                    self.working.push(Box::pin(scoring.instrument(span)));
                }
                Some(Step::LookUp(wanted)) => {
                    let span = step_span("look_up", Some(wanted.trial), None);
                    let looking = async move {
                        let found = look_up::look_up(context, &wanted).await?;
                        Ok(Done::LookedUp(wanted.trial, found))
                    };
                    self.working.push(Box::pin(looking.instrument(span)));
                }
                Some(Step::Record(record)) => {
                    self.told = Some(record.summary.clone());
                    self.records.push_back(record);
                }
                Some(Step::Finish) => self.finished = true,
            }
        }
    }

    fn send(&mut self, request: RequestToSend) {
        let key = request.key;
        self.in_flight.insert(key);
        let span = step_span("send", Some(key.trial), Some(key.purpose));
        let sending = send::send(self.context, request).instrument(span);
        self.sending.push(Box::pin(sending));
    }

    fn sent(&mut self, sent: Sent) -> Result<(), DriveError> {
        self.in_flight.remove(&sent.key);
        Ok(self.context.tuning().request_ended(sent.key, sent.end)?)
    }

    fn done(&mut self, done: Done) {
        let mut tuning = self.context.tuning();
        match done {
            Done::Scored(of, scores) => tuning.scored(of, scores),
            Done::LookedUp(trial, found) => tuning.looked_up(trial, found),
        }
    }

    /// Begins to store the next record, if none is being stored.
    fn next_record(&mut self) {
        if self.recording.is_none()
            && let Some(record) = self.records.pop_front()
        {
            let context = self.context;
            let storing = async move {
                record::store(context, &record).await?;
                Ok(record)
            };
            let storing = storing.instrument(step_span("record", None, None));
            self.recording = Some(Box::pin(storing));
        }
    }

    /// Has it stored how far the job is, where that is not known by now. It is one record among the others, so
    /// that counts never go back.
    fn tell_progress(&mut self) {
        let now = Instant::now();
        self.next_telling = now + TELL_AFTER.max((now - self.begun) / TELL_PART);
        if self.recording.is_some() || !self.records.is_empty() || self.finished {
            return;
        }
        let record = self.context.tuning().progress();
        if self.told.as_ref() != Some(&record.summary) {
            self.told = Some(record.summary.clone());
            self.records.push_back(Box::new(record));
        }
    }

    /// Gives up what has not come home in time. It may be billed, so it counts as lost, in the
    /// database and on the books.
    async fn give_up(&mut self) -> Result<(), DriveError> {
        self.grace_over = None;
        // Whoever takes a paused job up begins with what is stored.
        if self.halted == Some(Cause::Paused) {
            self.working = FuturesUnordered::new();
        }
        // Either all that is in flight is concerned, or nothing: held-out rows are scored once
        // nothing of the search is in flight.
        let concerned =
            |key: &RequestKey| self.halted.is_some_and(|cause| cause.stops(key.purpose));
        if !self.in_flight.iter().any(concerned) {
            return Ok(());
        }
        self.sending = FuturesUnordered::new();
        let given_up = std::mem::take(&mut self.in_flight);
        let context = self.context;
        // None of them may come to be stored as sent once they are counted.
        context.writes.flush().await;
        let mut connection = context.pool.acquire().await?;
        requests::give_up_all(&mut connection, context.claim, Utc::now()).await?;
        for key in given_up {
            let end = RequestEnd::GivenUp { cost: None };
            context.tuning().request_ended(key, end)?;
        }
        Ok(())
    }

    /// Waits for what is in flight: it is paid for, and is stored. It is not where the lease is
    /// another worker's, which has counted it as lost.
    async fn bring_home(&mut self, patience: Duration) {
        let until = Instant::now() + patience;
        let halt = &self.context.halt;
        let lost = halt.above(Some(Cause::LetGo));
        let sending = &mut self.sending;
        let all = async { while sending.next().await.is_some() {} };
        // Those that do not arrive are found in flight by whoever takes the job up.
        tokio::select! {
            _ = lost => {}
            _ = tokio::time::timeout_at(until, all) => {}
        }
    }
}

/// The span of a step, for traces: lines of the log have that of the job.
fn step_span(kind: &'static str, trial: Option<TrialNumber>, purpose: Option<Purpose>) -> Span {
    tracing::trace_span!(
        "step",
        kind,
        trial = trial.map(|trial| trial.0),
        purpose = purpose.map(Purpose::as_str)
    )
}

/// Waits for a record to be stored; for ever where none is.
async fn recorded(
    recording: &mut Option<BoxFuture<'_, Result<Box<Record>, DriveError>>>,
) -> Option<Result<Box<Record>, DriveError>> {
    let stored = recording.as_mut()?.await;
    *recording = None;
    Some(stored)
}
