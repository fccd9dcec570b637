//! What the `frugal` program is made of: its configuration, its logging and its embedded database.
//!
//! The program itself is `main.rs`, which wires these and the other crates together; they are a
//! library so that tests can use them. No SQL is written here, no HTTP is served, and nothing
//! is decided about jobs.
//!
//! Start with [`config::Config`] (all that an operator can set), then
//! [`embedded_postgres::EmbeddedPostgres`] (what runs where no database is named).

#[cfg(test)]
mod captured;
pub mod check;
pub mod cli;
pub mod commands;
pub mod config;
pub mod database;
pub mod datasets;
pub mod demo;
pub mod embedded_postgres;
pub mod init;
pub mod jobs;
pub mod keys;
pub mod retention;
pub mod sandbox;
pub mod server;
pub mod signals;
pub mod telemetry;
pub mod tls;
pub mod traces;
pub mod tune;
pub mod welcome;
