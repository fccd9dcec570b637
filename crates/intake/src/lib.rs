//! Reads posted jobs: every fault and where it is, and what a job may cost.
//!
//! A document visits this crate alone on its way to a [`frugal_domain::job::JobSpec`]; nobody else
//! reads one. Templates and scorers are checked by compiling them. The crate does no I/O; a part of
//! the document that is kept elsewhere is fetched between the two steps of [`Posted`].
//!
//! Start with [`job`] (reads a document as a whole), then `posted.rs`, which calls a file for each
//! part; `evaluation.rs` does the same for evaluations; [`dataset`] reads rows that are posted apart from jobs, [`estimate`] counts prompts and costs,
//! [`validate`] tries scorers on responses.

mod budgets;
mod change;
mod choice;
mod configurations;
pub mod dataset;
mod default_model;
mod demonstrations;
mod digits;
mod enqueued;
pub mod estimate;
mod evaluation;
mod instance;
mod limits;
mod models;
mod nul;
mod objective;
mod posted;
mod prompts;
mod rendering;
mod rows;
mod sample;
mod scoring;
mod search;
mod space;
mod taken;
mod template;
mod turn;
mod validation;
mod warm_start;
mod warnings;

pub use change::{Ended, changed, continued};
pub use digits::keep_in_document;
pub use enqueued::enqueued;
pub use evaluation::evaluation_over;
pub use frugal_scoring::{Explained, ExplainedPart};
pub use posted::{Posted, job, job_over};
pub use rows::{Dataset, Datasets, Rows, named_datasets};
pub use taken::{SourceJob, SourceJobs, named_trials};
pub use validation::{Assessed, ValidatedRow, Validation, validate};
pub use warm_start::{EarlierJob, Tried, left_out, named_warm_start};
pub use warnings::warnings;
