//! The smallest driver: everything in memory, one thing after the other.

use crate::ending::JobEnding;
use crate::error::TuningError;
use crate::step::{
    Change, LookUp, Record, RequestEnd, RequestToSend, ScoreBatch, ScoredBatch, Step,
};
use crate::tuning::Tuning;
use frugal_evaluation::OfferedResponse;

/// What a job asks, answered in memory.
pub trait Answers {
    /// Sends a request.
    fn send(&mut self, request: &RequestToSend) -> RequestEnd;

    /// Scores responses.
    fn score(&mut self, batch: &ScoreBatch) -> ScoredBatch;

    /// Looks for responses of other jobs; by default there are none.
    fn look_up(&mut self, _: &LookUp) -> Vec<OfferedResponse> {
        Vec::new()
    }

    /// Takes a record; by default nobody reads it.
    fn record(&mut self, _: &Record) {}
}

/// Where a job stands once everything was answered that can be without sending.
#[derive(Debug)]
pub enum Pause {
    /// This request is to be sent.
    Send(RequestToSend),
    /// Nothing is to be done before a request that is under way has ended.
    Wait,
    /// The job is over.
    Finish,
}

/// Answers a job's steps until it has a request to send, waits for one, or is over.
///
/// # Errors
/// The job cannot go on.
pub fn advance(
    tuning: &mut Tuning,
    answers: &mut (impl Answers + ?Sized),
) -> Result<Pause, TuningError> {
    while let Some(step) = tuning.next_step()? {
        match step {
            Step::Send(request) => return Ok(Pause::Send(request)),
            Step::Score(batch) => {
                let scores = answers.score(&batch);
                tuning.scored(batch.of, scores);
            }
            Step::LookUp(wanted) => {
                let offered = answers.look_up(&wanted);
                tuning.looked_up(wanted.trial, offered);
            }
            Step::Record(record) => {
                answers.record(&record);
                if let Change::TrialBegun(begun) = &record.change {
                    tuning.trial_begun(begun.number);
                }
                if let Some(number) = record.change.placed() {
                    tuning.change_stored(number);
                }
            }
            Step::Finish => return Ok(Pause::Finish),
        }
    }
    Ok(Pause::Wait)
}

/// Drives a job to its end, one request after the other.
///
/// # Errors
/// The job cannot go on.
pub fn drive(
    tuning: &mut Tuning,
    answers: &mut (impl Answers + ?Sized),
) -> Result<JobEnding, TuningError> {
    while let Pause::Send(request) = advance(tuning, answers)? {
        let end = answers.send(&request);
        tuning.request_ended(request.key, end)?;
    }
    Ok(tuning.ending())
}
