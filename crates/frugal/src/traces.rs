//! Traces: spans of requests to the API, of driven jobs, of their steps and of attempts at endpoints, sent to a
//! collector by OTLP over HTTP. Only a build with the feature `otlp` has them, and only where the configuration
//! names a collector.

#[cfg(not(feature = "otlp"))]
mod absent;
#[cfg(feature = "otlp")]
mod conventions;
#[cfg(feature = "otlp")]
mod export;

#[cfg(not(feature = "otlp"))]
pub use absent::{ADOPT, Traces};
#[cfg(feature = "otlp")]
pub use export::{ADOPT, Traces};
