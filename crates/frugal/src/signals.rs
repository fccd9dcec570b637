//! Stopping: Ctrl-C and SIGTERM.

use anyhow::Context;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a program may take beyond the grace to put its things in order: to give jobs back, and to stop a
/// PostgreSQL of its own.
const TO_CLOSE: Duration = Duration::from_secs(10);

/// A token that is cancelled by Ctrl-C or SIGTERM. A second signal ends the program at once; where
/// something hangs, it ends once the grace is over and what comes after it should be done.
///
/// # Errors
/// The signal handlers cannot be installed.
pub fn shutdown(grace: Duration) -> anyhow::Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let cancelled = token.clone();
    // Owned by the runtime: it waits for signals until the program ends.
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping; a second signal stops at once");
        cancelled.cancel();
        let status = tokio::select! {
            _ = interrupt.recv() => 130,
            _ = terminate.recv() => 143,
            () = tokio::time::sleep(grace + TO_CLOSE) => {
                tracing::error!("what was to stop hangs, and is broken off; leases run out by themselves");
                1
            }
        };
        std::process::exit(status);
    });
    Ok(token)
}
