//! End-to-end tests of Frugal against real PostgreSQL and the simulator.
//!
//! Here stands what the tests share: databases, processes, an API in the test's own process, a
//! client, and the contract that every answer is held against. The tests themselves are in
//! `tests/tests/`.

pub mod app;
pub mod bench;
pub mod blackbox;
pub mod breakpoints;
pub mod campaign;
mod checks;
pub mod client;
pub mod contract;
pub mod drain;
pub mod load;
pub mod pages;
pub mod postgres;
pub mod processes;
pub mod soak;
pub mod steady;
pub mod streams;
pub mod sums;
pub mod times;
pub mod wire;
