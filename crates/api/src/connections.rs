//! Connections: taken in, bounded, and let go where the other end is silent, slow or gone.
//!
//! Whoever sends no whole head in time, takes nothing of what is sent, or vanishes without a word is let go,
//! so that no number of such clients keeps others out for long. A client that waits for an answer, follows
//! events or sends a body has its own times (`extract.rs`, `upload.rs`, `sse.rs`).

use crate::forwarded::Peer;
use crate::traffic::Traffic;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long to wait before taking connections in again where the system has none to give.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_secs(1);

/// How connections are served.
#[derive(Debug, Clone)]
pub struct Connections {
    /// The most at the same time; others wait to be taken in.
    pub most: usize,
    /// How long the head of a request may take, also the first, and the next on a connection that is kept.
    pub head_timeout: Duration,
    /// How long the other end may take none of what is sent, or not answer to being there.
    pub silence_timeout: Duration,
    /// The certificate and its key, where the server speaks TLS itself.
    pub tls: Option<Arc<ServerConfig>>,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            most: 10_000,
            head_timeout: Duration::from_secs(20),
            silence_timeout: Duration::from_secs(60),
            tls: None,
        }
    }
}

/// Takes connections in until `shutdown`, then lets requests under way end within the grace.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Router,
    connections: Connections,
    traffic: &Traffic,
    grace: Duration,
    shutdown: &CancellationToken,
) {
    let room = Arc::new(Semaphore::new(connections.most));
    let mut served = JoinSet::new();
    let taking_in = async {
        loop {
            let permit = free(&room, connections.most).await;
            let (stream, peer) = accept(&listener).await;
            while served.try_join_next().is_some() {}
            let serving = connection(
                stream,
                peer,
                app.clone(),
                connections.clone(),
                shutdown.clone(),
            );
            let held = (permit, traffic.connection());
            served.spawn(async move {
                serving.await;
                drop(held);
            });
        }
    };
    let _: Option<std::convert::Infallible> = shutdown.run_until_cancelled(taking_in).await;
    drop(listener);
    let ending = async { while served.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, ending).await.is_err() {
        tracing::warn!("requests are broken off: the grace is over");
        served.shutdown().await;
    }
}

/// Waits for room for one more connection.
async fn free(room: &Arc<Semaphore>, most: usize) -> Option<OwnedSemaphorePermit> {
    if let Ok(permit) = room.clone().try_acquire_owned() {
        return Some(permit);
    }
    tracing::warn!(
        most,
        "as many connections as may be: others wait; see `max_connections`"
    );
    room.clone().acquire_owned().await.ok()
}

/// The next connection.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(taken) => return taken,
            // Gone before it was taken in: the next one.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionRefused
                        | io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::ConnectionReset
                ) => {}
            Err(error) => {
                tracing::error!(%error, "cannot take connections in; trying again");
                tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
            }
        }
    }
}

/// Serves a connection to its end.
async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    app: Router,
    connections: Connections,
    shutdown: CancellationToken,
) {
    if let Err(error) = watch(&stream, connections.silence_timeout) {
        tracing::debug!(%error, "a connection cannot be watched");
    }
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(connections.silence_timeout));
    let stream = Box::pin(stream);
    let ended = match &connections.tls {
        None => requests(stream, peer, app, &connections, &shutdown).await,
        // Apart: a connection without needs no room for it.
        Some(tls) => {
            let tls = TlsAcceptor::from(tls.clone());
            Box::pin(requests_over_tls(
                stream,
                tls,
                peer,
                app,
                &connections,
                &shutdown,
            ))
            .await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "a connection broke off");
    }
}

/// Serves the requests of a connection over TLS.
async fn requests_over_tls(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    tls: TlsAcceptor,
    peer: SocketAddr,
    app: Router,
    connections: &Connections,
    shutdown: &CancellationToken,
) -> hyper::Result<()> {
    let greeting = tls.accept(stream);
    match tokio::time::timeout(connections.head_timeout, greeting).await {
        Ok(Ok(stream)) => requests(stream, peer, app, connections, shutdown).await,
        Ok(Err(error)) => {
            tracing::debug!(%error, %peer, "no TLS came about");
            Ok(())
        }
        Err(_) => Ok(()),
    }
}

/// Serves the requests of a connection until it ends, or the server stops and the one under way is answered.
async fn requests(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    app: Router,
    connections: &Connections,
    shutdown: &CancellationToken,
) -> hyper::Result<()> {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer.ip()));
        app.clone().oneshot(request)
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(connections.head_timeout)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        ended = serving.as_mut() => return ended,
        () = shutdown.cancelled() => serving.as_mut().graceful_shutdown(),
    }
    serving.await
}

/// Has the kernel find out whether the other end is still there: whoever vanished never says so.
fn watch(stream: &TcpStream, silence: Duration) -> io::Result<()> {
    // Frames of streams are small and wanted at once.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let probes = TcpKeepalive::new().with_time(silence / 2);
    socket.set_tcp_keepalive(&probes.with_interval(silence / 4))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(silence))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_held_for_a_connection() {
        fn size_of_answer<A, B, C, D, E, Answer>(_: fn(A, B, C, D, E) -> Answer) -> usize {
            size_of::<Answer>()
        }
        let held = size_of_answer(connection);
        assert!(held <= 2_048, "{held} bytes");
    }
}
