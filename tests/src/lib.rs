//! End-to-end tests of Frugal against real PostgreSQL and the simulator.
//!
//! Here stands what the tests share: databases, processes, a client. The tests themselves are in
//! `tests/tests/`.

pub mod client;
pub mod postgres;
pub mod processes;
