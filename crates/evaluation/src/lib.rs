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
//! use frugal_evaluation::{Ending, Evaluator, RequestFailure, ScorePlan, Step, TrialPlan};
//! # use frugal_evaluation::{InvalidPlan, NotExpected, Receipt, RequestPlan};
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
//!     mut send: impl FnMut(&RequestPlan) -> Result<Receipt, RequestFailure>,
//!     mut score: impl FnMut(&ScorePlan) -> f64,
//! ) -> Result<Option<Ending>, Error> {
//!     let mut trial = evaluator.begin(plan)?;
//!     loop {
//!         match trial.step() {
//!             Step::Score(plans) => {
//!                 let one = |plan: &ScorePlan| (plan.key, Ok(score(plan)));
//!                 trial.receive_scores(plans.iter().map(one));
//!             }
//!             Step::Request(batch) => {
//!                 for request in &batch {
//!                     trial.receive(request.key.ordinal, send(request))?;
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
//! At its centre stands the [`Pool`]: every response that was paid for, by sampling settings and
//! instance. It answers what any extent would be worth and cost ([`Arm::utility`], [`Arm::cost`]).
//!
//! Start with [`Evaluator`] (what is kept from one trial to the next) and [`TrialRun`] (one
//! evaluation, step by step); [`pruning`] has the rules of the schedule, [`Validity`] what is
//! known of the inference budget, [`Ledger`] the optimization budget.

mod arm;
mod compact;
mod corpus;
mod demand;
mod dirichlet_mean;
mod draw;
mod draw_schedule;
mod draws;
mod evaluated;
mod evaluator;
mod exchange;
pub mod importance;
mod inference_cost;
mod interval;
mod known_scores;
mod ledger;
mod majority;
pub mod metrics;
mod non_inferiority;
mod other_jobs;
mod plan;
mod pool;
mod prompt_tokens;
pub mod pruning;
pub mod quantiles;
mod reducer;
mod reference;
mod rival;
mod schedule;
mod scores;
mod selected;
mod share;
pub mod sharing;
mod speculation;
pub mod statistics;
mod supply;
mod trial_run;
mod validity;

pub use arm::{Arm, MOST_UNSERVED_SHARE, Rates, Used};
pub use corpus::{Corpus, CorpusDifference, CorpusEstimate};
pub use demand::Ending;
pub use draw::{DrawnResponse, OfferedResponse, ScoredDraw};
pub use evaluated::{EvaluatedInstance, UsedResponse};
pub use evaluator::{DEFAULT_MISSING_SHARE, Evaluator, EvaluatorOptions, ReferenceOptions};
pub use exchange::{NotExpected, Receipt, ReceivedResponse, RequestFailure, RequestPlan};
pub use known_scores::KnownScores;
pub use ledger::{DoesNotFit, Ledger, Reservation};
pub use majority::{expected_majority, pooled_majority};
pub use non_inferiority::quality_difference;
pub use plan::{InvalidPlan, Mode, TrialPlan};
pub use pool::Pool;
pub use reducer::{expected_success, pooled_best, pooled_worst, reduce, unbiased_success};
pub use rival::{FEWEST_COMPARED, INFERIOR_LEVEL, Objective, Rival};
pub use scores::{Cut, ScoreKey, ScorePlan};
pub use selected::{expected_selected, pooled_selected};
pub use speculation::WASTED_SHARE;
pub use trial_run::{Step, TrialProgress, TrialRun};
pub use validity::{KnownLimits, RegionTables, Validity, Violation};
