//! Connections that an answer can end: by a reset before its first byte, or by a close after it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// Requests come and go; every [`Ending`] begins with this.
const OPEN: u8 = 0;
/// Nothing more is written: the connection goes with a reset.
const RESET: u8 = 1;
/// The next answer is the last one.
const LAST_ANSWER: u8 = 2;
/// The last answer has left.
const CLOSED: u8 = 3;

/// How a connection is to end, as its requests decide. Clones are the same connection's.
#[derive(Debug, Clone)]
pub(crate) struct Ending(Arc<AtomicU8>);

impl Default for Ending {
    fn default() -> Self {
        Self(Arc::new(AtomicU8::new(OPEN)))
    }
}

impl Ending {
    /// Ends the connection before another byte is written.
    pub(crate) fn reset(&self) {
        self.0.store(RESET, Ordering::Release);
    }

    /// Ends the connection once the next answer has left, without a word in its head.
    pub(crate) fn close_after_answer(&self) {
        self.0.store(LAST_ANSWER, Ordering::Release);
    }

    fn is(&self, state: u8) -> bool {
        self.0.load(Ordering::Acquire) == state
    }
}

impl Connected<IncomingStream<'_, Connections>> for Ending {
    fn connect_info(stream: IncomingStream<'_, Connections>) -> Self {
        stream.io().ending.clone()
    }
}

/// Accepts [`Connection`]s.
pub(crate) struct Connections(pub(crate) TcpListener);

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // Answers are small: without this a client may wait for a delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let ending = Ending::default();
        (Connection { stream, ending }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A connection that ends as its [`Ending`] says.
pub(crate) struct Connection {
    stream: TcpStream,
    ending: Ending,
}

impl Connection {
    /// The error of a connection that is to be reset.
    fn broken(&self) -> Option<io::Error> {
        self.ending
            .is(RESET)
            .then(|| io::Error::from(io::ErrorKind::ConnectionReset))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The system resets a socket that does not linger, where it would close another in order.
        if self.ending.is(RESET)
            && let Err(error) = self.stream.set_zero_linger()
        {
            tracing::debug!(%error, "cannot set SO_LINGER");
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ending.is(CLOSED) {
            // An end of the stream: the server closes a connection that its client has left.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(error) = self.broken() {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(error) = self.broken() {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(error) = self.broken() {
            return Poll::Ready(Err(error));
        }
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        // The server flushes an answer once the whole of it is written.
        if matches!(flushed, Poll::Ready(Ok(()))) && self.ending.is(LAST_ANSWER) {
            self.ending.0.store(CLOSED, Ordering::Release);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(error) = self.broken() {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
