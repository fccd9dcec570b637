//! What a simulator is started with, and why it may not start.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::faults::Faults;
use crate::recordings::RecordingsError;

/// What a simulator is started with. The default answers at once, without faults, and asks for no
/// key, on a free port of the loopback interface.
#[derive(Clone)]
pub struct SimulatorOptions {
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// Decides the draws, together with the request.
    pub seed: u64,
    /// How long an answer takes.
    pub latency: Latency,
    /// What goes wrong on purpose.
    pub faults: Faults,
    /// The bearer key that every request must bring; `None` asks for none.
    pub api_key: Option<String>,
}

impl Default for SimulatorOptions {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seed: 0,
            latency: Latency::default(),
            faults: Faults::default(),
            api_key: None,
        }
    }
}

impl fmt::Debug for SimulatorOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SimulatorOptions")
            .field("address", &self.address)
            .field("seed", &self.seed)
            .field("latency", &self.latency)
            .field("faults", &self.faults)
            .field("api_key", &self.api_key.as_ref().map(|_| "…"))
            .finish()
    }
}

/// How long an answer takes: `base`, and `per_token` for each token of its longest response (the
/// responses of a request are generated side by side). Zero by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latency {
    /// Up to the first token.
    pub base: Duration,
    /// For each completion token.
    pub per_token: Duration,
}

impl Latency {
    pub(crate) fn of(&self, longest: u32) -> Duration {
        self.base
            .saturating_add(self.per_token.saturating_mul(longest))
    }
}

/// Why a simulator does not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The recordings cannot be read.
    #[error("cannot read the recordings")]
    Recordings(#[from] RecordingsError),
    /// The faults asked for make no sense.
    #[error("cannot inject these faults: {0}")]
    Faults(String),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The server stopped with an error.
    #[error("the server stopped with an error")]
    Serve(#[source] std::io::Error),
}
