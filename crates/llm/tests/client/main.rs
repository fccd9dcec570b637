//! The client against a small server of its own on loopback.
#![cfg(test)]

mod adaptation;
mod admission;
mod attempts;
mod catalog;
mod connections;
mod deployments;
mod oddities;
mod refusals;
mod requests;
mod server;
