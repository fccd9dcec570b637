//! What a job has found, as its report is made from it.

use crate::books::Books;
use crate::calibration::Calibration;
use crate::ended::{BASELINE, EndedTrial, EndedTrials};
use crate::judging::Heard;
use crate::overheads::Overheads;
use crate::past::EarlierValidation;
use crate::refusals::Refusals;
use frugal_domain::configuration::Configuration;
use frugal_domain::job::JobSpec;
use frugal_evaluation::Evaluator;
use std::sync::Arc;

/// What a report is made from.
#[derive(Clone, Copy)]
pub(crate) struct Findings<'a> {
    pub(crate) spec: &'a JobSpec,
    pub(crate) books: &'a Books,
    pub(crate) evaluator: &'a Evaluator,
    pub(crate) ended: &'a EndedTrials,
    /// Upper bounds on the prompt tokens of the instances that the search sees, by prompt.
    pub(crate) prompt_token_bounds: &'a [Arc<[u64]>],
    /// By the model's position, the most responses that one request yields.
    pub(crate) most_per_request: &'a [Option<u32>],
    /// Instances that the search sees, or all of an evaluation.
    pub(crate) rows: usize,
    /// Instances held out from the search.
    pub(crate) holdout_rows: usize,
    /// The winners that were scored on these before the job was continued.
    pub(crate) earlier_validations: &'a [EarlierValidation],
    /// What the endpoints refused, and failed at.
    pub(crate) refusals: &'a Refusals,
    /// Why the endpoint could not be asked any more, in its words.
    pub(crate) unusable: Option<&'a str>,
    /// What models bill beyond the bounds that worst cases rest on.
    pub(crate) overheads: &'a Overheads,
    /// What the judge says of answers that people have rated.
    pub(crate) calibration: Option<&'a Calibration>,
    /// What came of the answers that a judge was asked about.
    pub(crate) judged: Option<&'a Heard>,
    /// Responses of the job that this one was to begin with.
    pub(crate) taken_over: u64,
    /// The configurations that the job's owner has put in.
    pub(crate) enqueued: &'a [&'a Configuration],
}

impl<'a> Findings<'a> {
    /// The best valid trial.
    pub(crate) fn winner(&self) -> Option<&'a EndedTrial> {
        self.ended.get(&self.books.best()?)
    }

    /// The configuration that the winner is compared with, once its trial has ended.
    pub(crate) fn baseline(&self) -> Option<&'a EndedTrial> {
        self.ended.get(&BASELINE)
    }
}
