//! What Frugal speaks of: jobs, search spaces, configurations, trials, events, money.
//!
//! Plain data and its validation. This crate does no I/O, reads no clock and makes no ids;
//! every other crate may use it and it uses none of them.
//!
//! Start with [`job::JobSpec`] (what a client posts), then [`space::Space`] and
//! [`configuration::Settings`] (what is searched and what a point of it means), then
//! [`event::EventBody`] (what a watcher of a job sees).

pub mod abilities;
pub mod access;
pub mod backoff;
pub mod configuration;
pub mod delivery;
pub mod endpoint;
pub mod event;
pub mod fault;
pub mod grid;
pub mod histogram;
pub mod id;
pub mod job;
pub mod metric;
pub mod money;
pub mod names;
pub mod program;
pub mod prompt;
pub mod rank;
pub mod request;
pub mod scoring;
pub mod secret;
pub mod seed;
pub mod space;
pub mod spend;
pub mod state;
pub mod trial;
pub mod waits;
pub mod warm_start;
