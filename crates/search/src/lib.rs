//! The optimisers of Frugal, as pure ask/tell state machines.
//!
//! For a search space and what came of the configurations tried so far, they say which
//! configuration to try next. The crate does no I/O, reads no clock, starts no task, and draws
//! at random from a seeded generator alone: the same options and the same sequence of asks and
//! tells give the same state, so a search is rebuilt by replaying them.
//!
//! Start with [`ask_tell::Searcher`] (the one interface) and [`search::Search`] (which builds
//! and runs the optimisers), then [`blend_search::BlendSearch`] and the parts that it blends:
//! [`flow2::Flow2`], [`search_thread::SearchThread`], [`tpe::Tpe`]. The others are in [`cfo`],
//! [`random`] and [`grid`]. All of them see the space through [`encoding::Encoding`]. What each
//! is for, with its options and its source, is said in `docs/`, and at the head of its module.

pub mod ask_tell;
pub mod axis;
pub mod blend_search;
pub mod cfo;
mod counting;
pub mod draws;
pub mod encoding;
pub mod flow2;
pub mod global;
pub mod grid;
mod job;
pub mod known;
mod parzen;
pub mod profiled;
pub mod random;
pub mod region;
pub mod restart;
pub mod search;
pub mod search_thread;
mod sequence;
pub mod strategy;
pub mod tpe;

pub use ask_tell::{Ask, Exhausted, Observation, Origin, Outcome, Proposal, Searcher, TellError};
pub use search::{Search, SearchError, SearchOptions};
