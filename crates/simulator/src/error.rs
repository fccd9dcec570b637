//! Why a simulator does not start, or did not end well.

use std::net::SocketAddr;

use crate::recordings::RecordingsError;

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
