//! What is known of models, for Prometheus.
//!
//! The figures are those of the database, over all workers, so that every server tells the same and a
//! restart sets nothing back. Names follow OpenTelemetry's semantic conventions for generative AI where
//! these have one: <https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/>.

use crate::errors::{ApiError, Code};
use crate::responses::{Problems, codes};
use crate::routes::endpoints;
use crate::state::AppState;
use crate::wire::Known;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use chrono::{DateTime, Utc};
use frugal_domain::endpoint::Catalog;
use frugal_store::endpoint_models::EndpointModel;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use std::collections::BTreeMap;
use std::fmt;

/// The content type of what is served.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The model under which all count that the operator does not list, since jobs may name any.
const OTHER: &str = "_OTHER";

/// Get the metrics of endpoints and models
///
/// In the OpenMetrics text format, over all workers of the database.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "health",
    responses(
        (status = 200, description = "The metrics.", body = String, content_type = "application/openmetrics-text"),
        Problems<{ codes(&[Code::Unavailable]) }>
    )
)]
pub(super) async fn get_metrics(
    State(state): State<AppState>,
) -> Result<impl IntoResponse, ApiError> {
    let now = Utc::now();
    let mut connection = state.connection().await?;
    let known = endpoints::load(&mut connection, now).await?;
    let mut metrics = Metrics::of(state.catalog());
    for (endpoint, models) in &known {
        for (name, known) in models {
            if let Some(model) = metrics.model(state.catalog(), endpoint, name) {
                model.add(known, now);
            }
        }
    }
    let text = metrics
        .written()
        .map_err(|error| ApiError::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text))
}

/// The figures by endpoint and model.
#[derive(Debug, Default)]
struct Metrics(BTreeMap<(String, String), Figures>);

/// The figures of one model.
#[derive(Debug, Clone, Copy, Default)]
struct Figures {
    answered: u64,
    refused: u64,
    failed: u64,
    usage_estimated: u64,
    /// Of all answering attempts together.
    latency_ms: u64,
    wait_ms: u64,
    out_of_order: bool,
}

impl Figures {
    fn add(&mut self, known: &Known, now: DateTime<Utc>) {
        if let Some(EndpointModel { seen, .. }) = &known.seen {
            self.answered += seen.answered;
            self.refused += seen.refused;
            self.failed += seen.failed;
            self.usage_estimated += seen.usage_estimated;
            self.latency_ms += seen.latency_ms_total;
        }
        let now = now.timestamp_millis();
        let wait = known.scope.waits_until(now).map_or(0, |until| until - now);
        self.wait_ms = self.wait_ms.max(u64::try_from(wait).unwrap_or(0));
        self.out_of_order |= known.scope.outage().is_some();
    }
}

impl Metrics {
    /// Zeros for every model of the catalogue, so that a rate is there from the first request on.
    fn of(catalog: &Catalog) -> Self {
        let endpoints = catalog.endpoints.iter();
        let models = endpoints.flat_map(|(name, endpoint)| {
            let models = endpoint.models.keys();
            models.map(|model| ((name.clone(), model.clone()), Figures::default()))
        });
        Self(models.collect())
    }

    /// The figures that a model counts under; none where the endpoint is not in the catalogue, or
    /// takes no model that is not listed.
    fn model(&mut self, catalog: &Catalog, endpoint: &str, model: &str) -> Option<&mut Figures> {
        let entry = catalog.endpoint(endpoint)?;
        let name = match entry.models.contains_key(model) {
            true => model,
            false => entry.allow_unlisted_models.then_some(OTHER)?,
        };
        let key = (endpoint.to_owned(), name.to_owned());
        Some(self.0.entry(key).or_default())
    }

    fn written(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        text::encode(&mut text, &registry)?;
        Ok(text)
    }

    /// Writes one value for each model.
    fn each(
        &self,
        mut metric: MetricEncoder<'_>,
        value: impl Fn(MetricEncoder<'_>, &Figures) -> fmt::Result,
    ) -> fmt::Result {
        for (key, figures) in &self.0 {
            value(metric.encode_family(&labels(key))?, figures)?;
        }
        Ok(())
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let duration = encoder.encode_descriptor(
            "gen_ai_client_operation_duration",
            "How long the attempts took that were answered",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        self.each(duration, |mut metric, figures| {
            // Sum and count are what the database has: everything is in the one bucket without a bound.
            let all = [(f64::INFINITY, figures.answered)];
            let sum = seconds(figures.latency_ms);
            metric.encode_histogram::<NoLabelSet>(sum, figures.answered, &all, None)
        })?;
        let mut requests = encoder.encode_descriptor(
            "frugal_requests",
            "Requests that ended, by outcome",
            None,
            MetricType::Counter,
        )?;
        for (key, figures) in &self.0 {
            let [endpoint, model] = labels(key);
            let outcomes = [
                ("answered", figures.answered),
                ("refused", figures.refused),
                ("failed", figures.failed),
            ];
            for (outcome, count) in outcomes {
                let labels = [endpoint, model, ("outcome", outcome)];
                let mut metric = requests.encode_family(&labels)?;
                metric.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
            }
        }
        let estimated = encoder.encode_descriptor(
            "frugal_usage_estimated_requests",
            "Answered requests whose tokens had to be estimated",
            None,
            MetricType::Counter,
        )?;
        self.each(estimated, |mut metric, figures| {
            metric.encode_counter::<NoLabelSet, _, u64>(&figures.usage_estimated, None)
        })?;
        let wait = encoder.encode_descriptor(
            "frugal_model_wait",
            "How long the endpoint asks that nothing be sent to the model",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        self.each(wait, |mut metric, figures| {
            metric.encode_gauge(&seconds(figures.wait_ms))
        })?;
        let outage = encoder.encode_descriptor(
            "frugal_model_out_of_order",
            "Whether the model answers nobody: 1 while it lasts",
            None,
            MetricType::Gauge,
        )?;
        self.each(outage, |mut metric, figures| {
            metric.encode_gauge(&i64::from(figures.out_of_order))
        })
    }
}

fn labels((endpoint, model): &(String, String)) -> [(&'static str, &str); 2] {
    [
        ("frugal_endpoint", endpoint),
        ("gen_ai_request_model", model),
    ]
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of centuries fit in 53 bits"
)]
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_known_is_written_for_the_models_of_the_catalogue_alone() {
        let catalog = json!({"endpoints": {
            "open": {"base_url": "http://127.0.0.1:1/v1", "allow_unlisted_models": true},
            "closed": {"base_url": "http://127.0.0.1:1/v1", "models": {"m": {}}}
        }});
        let catalog: Catalog = serde_json::from_value(catalog).unwrap();
        let mut metrics = Metrics::of(&catalog);
        *metrics.model(&catalog, "closed", "m").unwrap() = Figures {
            answered: 4,
            refused: 2,
            failed: 1,
            usage_estimated: 3,
            latency_ms: 802,
            wait_ms: 1_500,
            out_of_order: true,
        };
        metrics.model(&catalog, "open", "a").unwrap().answered += 1;
        metrics.model(&catalog, "open", "b").unwrap().answered += 1;
        assert!(metrics.model(&catalog, "closed", "unlisted").is_none());
        assert!(metrics.model(&catalog, "gone", "m").is_none());
        insta::assert_snapshot!("metrics", metrics.written().unwrap());
    }
}
