//! What to request next, what is known valid, and what it all costs: the pure evaluator.
//!
//! A trial is the evaluation of one configuration on the job's instances. This crate decides
//! which requests that takes, when enough is known to end it early, what its responses say,
//! and what may still be spent. It is asked and told; somebody else sends, stores and scores.
//!
//! It never does I/O, reads no clock, draws no random number, and knows nothing of texts,
//! prompts or endpoints. The same answers always lead to the same requests and endings,
//! whatever the order in which they arrive, so that a job is rebuilt by telling it again what
//! it was told before.
//!
//! ```
//! use frugal_evaluation::{Ending, Evaluator, RequestFailure, Step, TrialPlan};
//! # use frugal_evaluation::{Answer, InvalidPlan, NotExpected, RequestPlan};
//! # #[derive(Debug, thiserror::Error)]
//! # enum Error {
//! #     #[error(transparent)] Plan(#[from] InvalidPlan),
//! #     #[error(transparent)] Answer(#[from] NotExpected),
//! # }
//!
//! /// One trial after the other; several may as well be open at the same time.
//! fn evaluate(
//!     evaluator: &mut Evaluator,
//!     plan: TrialPlan,
//!     mut send: impl FnMut(&RequestPlan) -> Result<Answer, RequestFailure>,
//! ) -> Result<Option<Ending>, Error> {
//!     let mut trial = evaluator.begin(plan)?;
//!     while let Step::Request(batch) = trial.step() {
//!         for request in &batch {
//!             trial.receive(request.ordinal, send(request))?;
//!         }
//!     }
//!     evaluator.commit(&trial);
//!     Ok(trial.ending().cloned())
//! }
//! ```
//!
//! Start with [`Evaluator`] (what is kept from one trial to the next) and [`Trial`] (one
//! evaluation, step by step); [`pruning`] has the rules of the schedule, [`Validity`] what is
//! known of the inference budget, [`Ledger`] the optimization budget.

mod evaluator;
mod exchange;
mod inference_cost;
mod ledger;
mod pool;
mod prompt_tokens;
pub mod pruning;
mod reference;
mod schedule;
pub mod sharing;
pub mod statistics;
mod trial;
mod validity;

pub use evaluator::{DEFAULT_MISSING_SHARE, Evaluator, EvaluatorOptions, ReferenceOptions};
pub use exchange::{Answer, NotExpected, RequestFailure, RequestPlan, Response};
pub use ledger::{DoesNotFit, Ledger, Reservation};
pub use pool::{MOST_UNSERVED_SHARE, ResponseId};
pub use trial::{
    Ending, EvaluatedInstance, InvalidPlan, Mode, Step, Trial, TrialPlan, TrialProgress,
    UsedResponse,
};
pub use validity::{Known, RegionTables, Validity, Violation};
