//! A build that has no traces, and says so.

use crate::config::OtlpEndpoint;
use anyhow::bail;
use frugal_api::AdoptSpan;
use tokio::runtime::Handle;
use tracing_subscriber::{Layer, Registry};

/// What takes spans up.
pub type SpanLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Puts requests into the traces of their clients: there are none.
pub const ADOPT: Option<AdoptSpan> = None;

/// Traces on their way to a collector: there are none.
#[derive(Debug)]
pub enum Traces {}

impl Traces {
    /// Refuses what was meant for this program. The standard's variables may be there for others alone, so with these
    /// there is nothing, which is worth a warning.
    ///
    /// # Errors
    /// A setting of Frugal's own names a collector.
    pub fn start(endpoint: &OtlpEndpoint, _: &Handle) -> anyhow::Result<Option<Self>> {
        if endpoint.is_standard {
            return Ok(None);
        }
        bail!(
            "{}: this build of frugal exports no traces: build it with `--features otlp`, or leave the setting out",
            endpoint.origin
        )
    }

    /// What takes spans up.
    #[must_use]
    pub fn layer(&self) -> SpanLayer {
        match *self {}
    }

    /// Sends what is left.
    pub fn end(self) {
        match self {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_names_a_collector_is_refused_unless_it_may_be_for_others() {
        let runtime = Handle::current();
        let mut endpoint = OtlpEndpoint {
            url: "http://127.0.0.1:4318/v1/traces".to_owned(),
            origin: "frugal.toml: otlp_endpoint".to_owned(),
            is_standard: false,
        };
        let refused = Traces::start(&endpoint, &runtime).unwrap_err().to_string();
        insta::assert_snapshot!(refused, @"frugal.toml: otlp_endpoint: this build of frugal exports no traces: build it with `--features otlp`, or leave the setting out");
        endpoint.is_standard = true;
        assert!(Traces::start(&endpoint, &runtime).unwrap().is_none());
    }
}
