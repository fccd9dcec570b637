//! The tuning loop as a whole: any order of arrival, any moment of a crash, any moment of a halt.

#![expect(
    clippy::unwrap_used,
    reason = "what the tests need and do not get ends them, in helpers as in the tests themselves"
)]

mod as_good;
mod enqueued;
mod evaluation;
mod halting;
mod nearly_as_good;
mod notes;
mod overheads;
mod refusals;
mod replay;
mod steering;
mod world;
