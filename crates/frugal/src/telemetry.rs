//! Logging: lines for people on a terminal, JSON for machines everywhere else.
//!
//! Logs go to standard error, so that what a command prints stays clean.

use std::io::IsTerminal;

use serde::Deserialize;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer};

use crate::traces::Traces;

/// What is always quieter than the rest; the operator's own directives come after and win.
const QUIET: [&str; 6] = [
    "sqlx=warn",
    "hyper=warn",
    "hyper_util=warn",
    "reqwest=warn",
    "rustls=warn",
    "h2=warn",
];

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// `Human` on a terminal, `Json` elsewhere.
    #[default]
    Auto,
    /// One line of text per event.
    Human,
    /// One JSON object per line.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not in the form that tracing takes.
    #[error(
        "the log filter `{filter}` is not understood: write a level (error, warn, info, debug, trace) or directives such as `info,frugal_worker=debug`"
    )]
    Filter {
        /// The filter as given.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Somebody set up logging before.
    #[error("logging is set up already")]
    Twice(#[from] TryInitError),
}

/// Builds the filter from the operator's directives (`info`, `debug,frugal_store=trace`).
///
/// # Errors
/// [`TelemetryError::Filter`] if a directive cannot be parsed.
pub fn filter(directives: &str) -> Result<EnvFilter, TelemetryError> {
    let all = format!("{},{directives}", QUIET.join(","));
    // A later directive for the same target replaces an earlier one.
    EnvFilter::builder()
        .parse(&all)
        .map_err(|source| TelemetryError::Filter {
            filter: directives.to_owned(),
            source,
        })
}

/// Whether log lines are for people to read.
#[must_use]
pub fn is_for_people(format: LogFormat) -> bool {
    match format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    }
}

/// Sets up logging for the whole process, and traces where there are any; to be called once, first of all.
///
/// # Errors
/// If the filter cannot be parsed or logging is set up already.
pub fn initialise(
    format: LogFormat,
    directives: &str,
    traces: Option<&Traces>,
) -> Result<(), TelemetryError> {
    let json = !is_for_people(format);
    let filter = filter(directives)?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_span_events(FmtSpan::NONE);
    let lines = if json {
        lines
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .boxed()
    } else {
        let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        lines.with_ansi(colour).boxed()
    };
    let registry = tracing_subscriber::registry();
    match traces {
        None => registry.with(lines).with(filter).try_init()?,
        // What is exported does not depend on what is logged.
        Some(traces) => {
            let lines = lines.with_filter(filter).boxed();
            registry.with(vec![lines, traces.layer()]).try_init()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::captured::Lines;
    use tracing::{debug, info, warn};

    fn logged(directives: &str) -> String {
        let lines = Lines::default();
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(lines.clone());
        let subscriber = tracing_subscriber::registry()
            .with(filter(directives).unwrap())
            .with(layer);
        tracing::subscriber::with_default(subscriber, || {
            info!(target: "frugal_worker", "worker-info");
            debug!(target: "frugal_worker", "worker-debug");
            info!(target: "sqlx::query", "sqlx-info");
            warn!(target: "sqlx::query", "sqlx-warn");
        });
        lines.text()
    }

    #[test]
    fn noisy_crates_are_quiet_unless_asked_for() {
        let text = logged("info");
        assert!(text.contains("worker-info"));
        assert!(!text.contains("worker-debug"));
        assert!(!text.contains("sqlx-info"));
        assert!(text.contains("sqlx-warn"));

        assert!(logged("info,sqlx=info").contains("sqlx-info"));
        assert!(logged("warn,frugal_worker=debug").contains("worker-debug"));
    }

    #[test]
    fn a_bad_filter_is_named() {
        let message = filter("info,frugal=loud").unwrap_err().to_string();
        assert!(message.contains("`info,frugal=loud`"), "{message}");
        assert!(message.contains("error, warn, info"), "{message}");
    }
}
