//! What to request next, what is known valid, and what it all costs: the pure evaluator.
//!
//! A trial is the evaluation of one configuration on the job's instances. This crate decides
//! which requests that takes, when enough is known to end it early, what its responses say,
//! and what may still be spent. It is asked and told; somebody else sends, stores and scores.
//!
//! It never does I/O, reads no clock, and knows nothing of texts, prompts or endpoints. It draws
//! random numbers for the intervals of [`statistics`] alone, from a seed that it is given. The
//! same answers always lead to the same requests and endings, whatever the order in which they
//! arrive, so that a job is rebuilt by telling it again what it was told before.
//!
//! ```
//! use frugal_evaluation::{Cut, CutPlan, Ending, Evaluator, RequestFailure, Step, TrialPlan};
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
//!     mut cut: impl FnMut(&CutPlan) -> Cut,
//! ) -> Result<Option<Ending>, Error> {
//!     let mut trial = evaluator.begin(plan)?;
//!     loop {
//!         match trial.step() {
//!             Step::Cut(plans) => trial.receive_cuts(plans.iter().map(&mut cut)),
//!             Step::Request(batch) => {
//!                 for request in &batch {
//!                     trial.receive(request.ordinal, send(request))?;
//!                 }
//!             }
//!             Step::Wait | Step::Ended(_) => break,
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

mod bootstrap;
mod evaluated;
mod evaluator;
mod exchange;
mod inference_cost;
mod ledger;
pub mod metrics;
mod plan;
mod pool;
mod prompt_tokens;
pub mod pruning;
mod quantiles;
mod reference;
mod rival;
mod schedule;
pub mod sharing;
mod speculation;
pub mod statistics;
mod supply;
mod trial;
mod validity;

pub use evaluated::{EvaluatedInstance, UsedResponse};
pub use evaluator::{DEFAULT_MISSING_SHARE, Evaluator, EvaluatorOptions, ReferenceOptions};
pub use exchange::{Answer, NotExpected, RequestFailure, RequestPlan, Response};
pub use ledger::{DoesNotFit, Ledger, Reservation};
pub use plan::{InvalidPlan, Mode, TrialPlan};
pub use pool::{MOST_UNSERVED_SHARE, Offered, ResponseId, Source};
pub use rival::{FEWEST_COMPARED, INFERIOR_LEVEL, Objective, Rival};
pub use speculation::WASTED_SHARE;
pub use supply::{Cut, CutPlan};
pub use trial::{Ending, Step, Trial, TrialProgress};
pub use validity::{Known, RegionTables, Validity, Violation};
