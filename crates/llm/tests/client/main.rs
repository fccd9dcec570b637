//! The client against a small server of its own on loopback.
#![cfg(test)]

mod admission;
mod attempts;
mod catalog;
mod refusals;
mod requests;
mod server;
