//! What a simulator is started with.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::faults::Faults;
use crate::script::Script;

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
    /// The answers, in place of recorded ones.
    pub script: Option<Script>,
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
            script: None,
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
            .field("script", &self.script)
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
    /// The same for every answer, however long.
    #[must_use]
    pub const fn constant(base: Duration) -> Self {
        Self {
            base,
            per_token: Duration::ZERO,
        }
    }

    pub(crate) fn of(&self, longest: u32) -> Duration {
        self.base
            .saturating_add(self.per_token.saturating_mul(longest))
    }
}
