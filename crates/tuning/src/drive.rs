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

/// Drives a job to its end.
///
/// # Errors
/// The job cannot go on.
pub fn drive(
    tuning: &mut Tuning,
    answers: &mut (impl Answers + ?Sized),
) -> Result<JobEnding, TuningError> {
    while let Some(step) = tuning.next_step()? {
        match step {
            Step::Send(request) => {
                let end = answers.send(&request);
                tuning.request_ended(request.key, end)?;
            }
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
            Step::Finish => break,
        }
    }
    Ok(tuning.ending())
}
