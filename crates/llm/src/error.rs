//! Which error belongs where: [`ClientError`] where a client cannot be made of the operator's
//! catalogue, [`RequestError`] where a request has no completion.

use frugal_domain::money::Spend;
use std::time::Duration;

pub use frugal_domain::request::Scope;

/// A client cannot be made. The operator has to mend the catalogue or the environment.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The key cannot be sent.
    #[error("the key is empty or holds characters that an HTTP header cannot carry")]
    Key,
    /// The variable that should hold the key is not set.
    #[error(
        "endpoint {endpoint}: environment variable {variable} is not set; set it, or remove it from the endpoint's entry"
    )]
    MissingKey {
        /// The endpoint's name.
        endpoint: String,
        /// The variable's name.
        variable: String,
    },
    /// The key of an endpoint cannot be sent.
    #[error(
        "endpoint {endpoint}: the key in {variable} is empty or holds characters that an HTTP header cannot carry"
    )]
    UnusableKey {
        /// The endpoint's name.
        endpoint: String,
        /// The name of the variable or the file.
        variable: String,
    },
    /// The file that should hold the key cannot be read.
    #[error("endpoint {endpoint}: cannot read the key from {file}")]
    KeyFile {
        /// The endpoint's name.
        endpoint: String,
        /// The file.
        file: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A header cannot be sent.
    #[error(
        "endpoint {endpoint}: header {header} holds characters that an HTTP header cannot carry"
    )]
    Header {
        /// The endpoint's name.
        endpoint: String,
        /// The header's name.
        header: String,
    },
    /// The endpoint's entry makes no sense.
    #[error("endpoint {endpoint}: {source}")]
    Endpoint {
        /// The endpoint's name.
        endpoint: String,
        /// What is wrong with the entry.
        source: frugal_domain::endpoint::CatalogError,
    },
    /// The base URL cannot be parsed.
    #[error("endpoint {endpoint}: base_url is not a URL")]
    Url {
        /// The endpoint's name.
        endpoint: String,
    },
    /// The HTTP client does not start, for instance without any root certificates.
    #[error("endpoint {endpoint}: the HTTP client does not start")]
    Http {
        /// The endpoint's name.
        endpoint: String,
        /// Why.
        source: reqwest::Error,
    },
}

/// How often a request was sent, and how often that may cost money without an answer to show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Attempts in all, the last one included. 0 where the request was never sent.
    pub made: u32,
    /// Attempts that yielded nothing usable but may be billed: time-outs, connections that
    /// broke after the request was sent, gateway errors behind which a model may have worked,
    /// and replies with status 200 that hold no response though a model may have given one. The
    /// ledger has to count each of them at the request's worst case.
    pub possibly_billed: u32,
}

impl Attempts {
    /// What those that brought nothing may have cost, each at most `worst_case`.
    #[must_use]
    pub fn uncertain(self, worst_case: Spend) -> Spend {
        (0..self.possibly_billed).map(|_| worst_case).sum()
    }
}

/// A request has no completion.
///
/// Reasons are single lines of at most about 300 characters, without keys, fit for users.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The endpoint refuses the configuration: a parameter, its value, or the context length.
    #[error("{reason}")]
    Infeasible {
        /// Why, in the endpoint's words where it has any.
        reason: String,
        /// The refused parameter, where it is known.
        parameter: Option<String>,
        /// What was sent.
        attempts: Attempts,
    },
    /// This request failed for good; others may well succeed.
    #[error("{reason}")]
    Failed {
        /// Why, in the endpoint's words where it has any.
        reason: String,
        /// Whether it was a matter of time: attempts or deadline used up.
        transient: bool,
        /// How far the refusal reaches; none where it is a matter of time.
        scope: Option<Scope>,
        /// How long the endpoint last asked to wait, unclamped, where it did.
        retry_after: Option<Duration>,
        /// What was sent.
        attempts: Attempts,
    },
    /// No request of the job can succeed: key refused, model unknown, no credit left.
    #[error("{reason}")]
    Fatal {
        /// How far the refusal reaches: the model, the endpoint or the key.
        scope: Scope,
        /// Why, in the endpoint's words where it has any.
        reason: String,
        /// What was sent.
        attempts: Attempts,
    },
    /// Whoever asked for it did not let it be sent, or not again.
    #[error("the request was withdrawn")]
    Withdrawn {
        /// What was sent before.
        attempts: Attempts,
    },
}

impl RequestError {
    /// How far the refusal reaches, where the request was refused.
    #[must_use]
    pub const fn scope(&self) -> Option<Scope> {
        match self {
            Self::Infeasible { .. } => Some(Scope::Configuration),
            Self::Failed { scope, .. } => *scope,
            Self::Fatal { scope, .. } => Some(*scope),
            Self::Withdrawn { .. } => None,
        }
    }

    /// What was sent before the request was given up.
    #[must_use]
    pub const fn attempts(&self) -> Attempts {
        match self {
            Self::Infeasible { attempts, .. }
            | Self::Failed { attempts, .. }
            | Self::Fatal { attempts, .. }
            | Self::Withdrawn { attempts } => *attempts,
        }
    }
}
