//! What this server is asked, and what it has open: figures of the process, beside those of the database.
//! Names follow OpenTelemetry's semantic conventions where these have one:
//! <https://opentelemetry.io/docs/specs/semconv/http/http-metrics/>.

use axum::http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// The bounds of OpenTelemetry's histogram of how long requests take, in seconds.
const BOUNDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// What this server is asked. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Traffic {
    durations: Family<Labels, Histogram, fn() -> Histogram>,
    connections: Gauge<u64, AtomicU64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    http_request_method: String,
    http_route: String,
    http_response_status_code: u16,
}

fn histogram() -> Histogram {
    Histogram::new(BOUNDS)
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            durations: Family::new_with_constructor(histogram),
            connections: Gauge::default(),
        }
    }
}

impl Traffic {
    /// Counts a request to a route, with how long it took until its answer began.
    pub(crate) fn count(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        let labels = Labels {
            http_request_method: method.to_string(),
            http_route: route.to_owned(),
            http_response_status_code: status.as_u16(),
        };
        self.durations
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }

    /// Counts a connection, as long as what is returned lives.
    pub(crate) fn connection(&self) -> Connected {
        self.connections.inc();
        Connected(self.connections.clone())
    }

    /// Puts the figures where they are written from.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "http_server_request_duration",
            "How long requests to this server took until their answers began",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register(
            "frugal_http_connections",
            "Connections of clients that this server has open",
            self.connections.clone(),
        );
    }
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connected(Gauge<u64, AtomicU64>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_connections_are_counted() {
        let traffic = Traffic::default();
        let route = "/jobs/{id}";
        traffic.count(
            &Method::GET,
            route,
            StatusCode::OK,
            Duration::from_millis(7),
        );
        let open = traffic.connection();
        let written = || {
            let mut registry = Registry::default();
            traffic.register(&mut registry);
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            text
        };
        let text = written();
        let labels = "http_request_method=\"GET\",http_route=\"/jobs/{id}\",http_response_status_code=\"200\"";
        let count = format!("http_server_request_duration_seconds_count{{{labels}}} 1");
        assert!(text.contains(&count), "{text}");
        assert!(text.contains("frugal_http_connections 1"), "{text}");
        drop(open);
        assert!(written().contains("frugal_http_connections 0"));
    }
}
