//! The client of OpenAI-compatible endpoints: one request in, its responses, usage and
//! attempts out, with time-outs, retries and a limit on requests in flight.
//!
//! The only crate that speaks HTTP to endpoints. It never reads the environment (keys are
//! handed in), never stores anything, never makes up an answer for a request that failed, and
//! never puts a key or a prompt into a log, an error or a `Debug` output.
//!
//! Start with [`Client::complete`] in `client.rs`; then `wire.rs` (the JSON of requests and
//! replies), `classify.rs` (what a refusal means), `retry.rs` (how long to wait),
//! `usage.rs` (tokens where the endpoint is silent or wrong), `admission.rs` (who else has a say in
//! when an attempt is made).

mod admission;
mod classify;
mod client;
mod clients;
mod error;
mod key;
mod redact;
mod request;
mod retry;
mod transport;
mod usage;
mod wire;

pub use admission::{Admission, AttemptEnd, Blame, EndpointState, Permit};
pub use client::{Client, Permission, SendGuard};
pub use clients::Clients;
pub use error::{Attempts, ClientError, RequestError};
pub use key::ApiKey;
pub use request::{Choice, Completion, CompletionRequest, PromptInput};
pub use retry::Backoff;
pub use transport::install_crypto_provider;
