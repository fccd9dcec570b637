//! Serves the endpoint on a socket.

use std::future::IntoFuture;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::DropGuard;

use crate::connection::{Connections, Ending};
use crate::endpoint::Endpoint;
use crate::error::SimulatorError;
use crate::gate::Gate;
use crate::options::SimulatorOptions;
use crate::recordings::Recordings;
use crate::statistics::Statistics;

/// A simulator that is being served. It stops when this is dropped; [`shutdown`](Self::shutdown)
/// waits for the end.
#[derive(Debug)]
pub struct Simulator {
    endpoint: Endpoint,
    address: SocketAddr,
    server: JoinHandle<std::io::Result<()>>,
    stop: DropGuard,
}

/// Serves the embedded recordings.
///
/// # Errors
/// Where the address cannot be listened on or the faults make no sense.
pub async fn serve(options: SimulatorOptions) -> Result<Simulator, SimulatorError> {
    serve_recordings(Recordings::embedded()?, options).await
}

/// Serves other recordings.
///
/// # Errors
/// As for [`serve`].
pub async fn serve_recordings(
    recordings: Arc<Recordings>,
    options: SimulatorOptions,
) -> Result<Simulator, SimulatorError> {
    let address = options.address;
    let endpoint = Endpoint::new(recordings, options)?;
    let listen_error = |source| SimulatorError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen_error)?;
    let address = listener.local_addr().map_err(listen_error)?;
    let stopping = endpoint.stopping().clone();
    let stop = stopping.clone().drop_guard();
    let service = endpoint
        .router()
        .into_make_service_with_connect_info::<Ending>();
    let server = axum::serve(Connections(listener), service)
        .with_graceful_shutdown(stopping.cancelled_owned())
        .into_future();
    Ok(Simulator {
        endpoint,
        address,
        server: tokio::spawn(server),
        stop,
    })
}

impl Simulator {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a client takes for the endpoint's base: `http://127.0.0.1:PORT/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The endpoint that is served.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The gate that can hold answers back, and tells how far things are.
    pub fn gate(&self) -> &Gate {
        self.endpoint.gate()
    }

    /// The counts since the start.
    pub fn statistics(&self) -> Statistics {
        self.endpoint.statistics()
    }

    /// Waits until the server ends, as it does only on an error or a stop.
    ///
    /// # Errors
    /// Where the server ended with an error.
    pub async fn wait(&mut self) -> Result<(), SimulatorError> {
        ended((&mut self.server).await)
    }

    /// Takes no more connections, answers what is held or delayed with 503, and waits for the
    /// connections to close.
    ///
    /// # Errors
    /// Where the server ended with an error.
    pub async fn shutdown(self) -> Result<(), SimulatorError> {
        drop(self.stop);
        ended(self.server.await)
    }
}

fn ended(
    server: Result<std::io::Result<()>, tokio::task::JoinError>,
) -> Result<(), SimulatorError> {
    server
        .map_err(std::io::Error::other)
        .and_then(|served| served)
        .map_err(SimulatorError::Serve)
}
