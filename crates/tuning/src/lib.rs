//! A job's loop as a pure state machine: what to do next, given what happened so far.
//!
//! [`Tuning`] owns everything that a job decides by: the searcher, the evaluator, the ledger, the
//! best trial, the reasons to stop, the scoring of held-out rows, the report and its verdict. It is
//! asked for [steps](Step) (send this request, score these responses, store this record, the job is
//! over) and told what became of them, in any order. It does no I/O, reads no clock, and knows
//! nothing of texts, endpoints or databases; a driver does what the steps say and decides nothing.
//!
//! A job is rebuilt by telling it its [past](Past): what was settled, scored and ended before is
//! taken from there, without a step, until the job comes to what never happened. So there is one
//! path through the code, whether a job begins or goes on.
//!
//! [`drive`] is the smallest driver, in memory; Frugal's worker is another, with a database and a
//! network.
//!
//! Start with `tuning.rs` (the machine and what it is told), then `search.rs` (the loop over trials),
//! `active.rs` (one trial under way), `requests.rs` (what waits to be sent and what is in flight), `changes.rs` (what the owner changes),
//! `overheads.rs` (what models bill beyond the bounds), `refusals.rs` (what endpoints refuse, and how far
//! that reaches), `judging.rs` (questions to a judge), `calibration.rs` (how far it may be trusted), `books.rs` (the running totals), `validation.rs`, `report.rs`, `verdict.rs` and, where
//! the cheapest is sought that is as good, `as_good.rs`. An evaluation of given configurations has
//! `side_by_side.rs` in the place of a search, and `evaluated.rs`, `comparison.rs` and `words.rs` for its report.

mod active;
mod amounts;
pub mod as_good;
mod books;
mod calibration;
mod changes;
mod comparison;
pub mod corpus;
mod drive;
mod ended;
mod ending;
mod error;
mod evaluated;
pub mod evaluation_report;
mod findings;
pub mod interval_estimate;
mod job;
mod judging;
pub mod nearly_as_good;
pub mod notes;
mod outcome;
mod overheads;
mod past;
mod profiled;
mod refusals;
pub mod report;
mod requests;
mod run_key;
mod search;
mod seed;
mod seen_rows;
mod side_by_side;
mod step;
mod summary;
mod tally;
mod tuning;
mod validation;
pub mod verdict;
mod words;

/// The version of what is decided here and in the crates below: raised by one whenever a job that is
/// lived through again would come to other steps than before, whatever else changes. It is stored with
/// each job, and a worker takes no job that another version has decided steps of.
pub const DECISIONS: u32 = 5;

pub use comparison::{Better, Comparison, Correction, Difference};
pub use drive::{Answers, Pause, advance, drive};
pub use ending::JobEnding;
pub use error::TuningError;
pub use evaluation_report::EvaluationReport;
pub use job::{Job, LabelledAnswer, PromptTokenBounds};
pub use past::{
    EarlierValidation, EnqueuedTrial, Judgement, Past, PastRequest, PastTrial, Question,
    TermsChange,
};
pub use refusals::{MOST_REFUSED, MOST_UNANSWERED, without_ids};
pub use report::Report;
pub use step::{
    BegunTrial, Change, Judged, LookUp, Record, RequestEnd, RequestToSend, ScoreBatch, Scored,
    ScoredBatch, Step,
};
pub use tally::{SettledRequest, Summary, Tally};
pub use tuning::Tuning;
