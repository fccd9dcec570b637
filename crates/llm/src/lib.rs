//! The client of OpenAI-compatible endpoints: one request in, its responses, usage and
//! attempts out, with time-outs, retries and a limit on requests in flight.
//!
//! The only crate that speaks HTTP to endpoints. It never reads the environment (keys are
//! handed in, or read from the file that the catalogue names), never stores anything, never makes up
//! an answer for a request that failed, and never puts a key or a prompt into a log, an error or a
//! `Debug` output.
//!
//! Start with [`Client::complete`] in `client.rs`; then `encode.rs` (the JSON of requests),
//! `decode/` (replies, however they come), `finish.rs` (why a response ended), `usage.rs` (tokens
//! where the endpoint is silent or wrong), `classify/` (what a refusal means and how far it reaches),
//! `abilities.rs` (what is learned from refusals), `asked_wait.rs` (how long the endpoint says to wait),
//! `deployments.rs` (several places behind one name), `admission.rs` (who else has a say in when an
//! attempt is made).

mod abilities;
mod admission;
mod asked_wait;
mod attempt;
mod calibration;
mod classify;
mod client;
mod clients;
mod decode;
mod deployments;
mod encode;
mod error;
mod finish;
mod guard;
mod key;
mod redact;
mod request;
mod span;
mod transport;
mod usage;

pub use abilities::Abilities;
pub use admission::{Admission, AttemptEnd, Blame, EndpointState, Permit};
pub use client::Client;
pub use clients::Clients;
pub use error::{Attempts, ClientError, RequestError, Scope};
pub use frugal_domain::backoff::Backoff;
pub use guard::{Permission, SendGuard};
pub use key::{ApiKey, Secrets};
pub use request::{Choice, Completion, CompletionRequest, Diagnostics, PromptInput};
pub use transport::install_crypto_provider;
