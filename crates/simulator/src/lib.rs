//! An OpenAI-compatible endpoint that replays recorded answers of real models: for the demo, the
//! end-to-end tests and benchmarks.
//!
//! It answers `POST /v1/completions` and `POST /v1/chat/completions` for the prompts that it has
//! recordings of, and draws from them as the settings ask: temperature, `n`, `max_tokens`, `stop`
//! and `seed` have the effect that they had on the recorded model. What it answers depends on the
//! request and the simulator's seed alone, never on the order of arrival. On demand it also
//! misbehaves, in the ways that public reports tell of ([`Faults`]).
//!
//! In place of recordings it answers from a [`Script`] where one is given: answers that its user wrote.
//!
//! What it never does: make an answer up, call out to any network, or read a clock (an answer's
//! `created` is the day of the recording; latency, where asked for, is a timer).
//!
//! Start with [`serve`] and [`Simulator`], then [`Recordings`] (what there is to replay), then the
//! `replay` module (how a response is drawn) and [`RecordedResponse::cut`] (how it is cut).
//!
//! ```
//! # async fn example() -> Result<(), frugal_simulator::SimulatorError> {
//! use frugal_simulator::{SimulatorOptions, serve};
//! let simulator = serve(SimulatorOptions::default()).await?;
//! assert!(simulator.base_url().starts_with("http://127.0.0.1:"));
//! simulator.shutdown().await
//! # }
//! ```

mod connection;
mod cut;
mod endpoint;
mod error;
mod fault_kinds;
mod faults;
mod gate;
mod options;
mod payload;
mod recordings;
mod refusal;
mod replay;
mod request;
mod script;
mod server;
mod statistics;
mod wire;

pub use cut::Cut;
pub use endpoint::Endpoint;
pub use error::SimulatorError;
pub use fault_kinds::{FaultKind, faults_by_name, parse_faults};
pub use faults::{Fault, FaultRate, Faults};
pub use gate::{Gate, Progress};
pub use options::{Latency, SimulatorOptions};
pub use recordings::{
    CellKey, FinishReason, Place, Prompt, RecordedResponse, Recordings, RecordingsError,
};
pub use refusal::Refusal;
pub use replay::Bracket;
pub use request::{DEFAULT_MAX_TOKENS, MAX_N, MAX_STOP_STRINGS};
pub use script::{SCRIPT_FORM, Script, ScriptError};
pub use server::{Simulator, serve, serve_recordings};
pub use statistics::{ModelStatistics, Statistics, Usage};
