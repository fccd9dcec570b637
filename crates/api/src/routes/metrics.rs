//! What is known of models, for Prometheus.
//!
//! The figures of jobs and models are those of the database, over all workers, so that every server tells the
//! same of them and a restart sets nothing back. Beside them are those of this server. Names follow OpenTelemetry's semantic conventions for generative AI where
//! these have one: <https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/>.

use crate::errors::{ApiError, Code};
use crate::responses::{Problems, codes};
use crate::routes::endpoints;
use crate::routes::queue_metrics::{Jobs, Open};
use crate::state::AppState;
use crate::wire::Known;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use chrono::{DateTime, Utc};
use frugal_domain::endpoint::Catalog;
use frugal_domain::histogram::{Buckets, DURATION_BOUNDS_MS, TOKEN_BOUNDS};
use frugal_domain::money::Usd;
use frugal_domain::waits::{WaitCause, Waited};
use frugal_store::endpoint_models::{EndpointModel, Sightings};
use frugal_store::queue;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use std::collections::BTreeMap;
use std::fmt;

/// The content type of what is served.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The model under which all count that the operator does not list, since jobs may name any.
const OTHER: &str = "_OTHER";

/// Get the metrics of jobs, endpoints and models
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
    let jobs = Jobs {
        depth: queue::depth(&mut connection).await?,
        by_state: queue::by_state(&mut connection).await?,
        budgets: queue::budgets(&mut connection).await?,
    };
    drop(connection);
    let pool = state.pool();
    let idle = u64::try_from(pool.num_idle()).unwrap_or(u64::MAX);
    let open = Open {
        streams: state.streams().count(),
        used: u64::from(pool.size()).saturating_sub(idle),
        idle,
        most: pool.options().get_max_connections().into(),
    };
    let mut registry = Registry::default();
    state.traffic().register(&mut registry);
    registry.register_collector(Box::new(open));
    let text = metrics
        .written(registry, jobs)
        .map_err(|error| ApiError::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text))
}

/// The figures by endpoint and model.
#[derive(Debug, Default)]
struct Metrics(BTreeMap<(String, String), Figures>);

/// The figures of one model, or of several together.
#[derive(Debug, Clone, Default)]
struct Figures {
    seen: Sightings,
    in_flight: u64,
    wait_ms: u64,
    out_of_order: bool,
}

impl Figures {
    fn add(&mut self, known: &Known, now: DateTime<Utc>) {
        if let Some(EndpointModel { seen, .. }) = &known.seen {
            self.seen.add(seen.clone());
        }
        let now = now.timestamp_millis();
        self.in_flight += known.scope.in_flight(now);
        let wait = known.scope.waits_until(now).map_or(0, |until| until - now);
        self.wait_ms = self.wait_ms.max(u64::try_from(wait).unwrap_or(0));
        self.out_of_order |= known.scope.outage().is_some();
    }

    fn waited(&self, cause: WaitCause) -> Waited {
        self.seen.waits.get(&cause).copied().unwrap_or_default()
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

    fn written(self, mut registry: Registry, jobs: Jobs) -> Result<String, fmt::Error> {
        registry.register_collector(Box::new(jobs));
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        text::encode(&mut text, &registry)?;
        Ok(text)
    }

    /// Writes a counter with one value for each model.
    fn counter<N: EncodeCounterValue>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help, unit): (&str, &str, Option<&Unit>),
        value: impl Fn(&Figures) -> N,
    ) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(name, help, unit, MetricType::Counter)?;
        for (key, figures) in &self.0 {
            let labels = labels(key);
            let mut metric = metric.encode_family(&labels)?;
            metric.encode_counter::<NoLabelSet, _, u64>(&value(figures), None)?;
        }
        Ok(())
    }

    /// Writes a gauge with one value for each model.
    fn gauge<N: EncodeGaugeValue>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help, unit): (&str, &str, Option<&Unit>),
        value: impl Fn(&Figures) -> N,
    ) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        for (key, figures) in &self.0 {
            metric
                .encode_family(&labels(key))?
                .encode_gauge(&value(figures))?;
        }
        Ok(())
    }

    fn requests(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut requests = encoder.encode_descriptor(
            "frugal_requests",
            "Requests that ended, by outcome",
            None,
            MetricType::Counter,
        )?;
        for (key, Figures { seen, .. }) in &self.0 {
            let [endpoint, model] = labels(key);
            let outcomes = [
                ("answered", seen.answered),
                ("refused", seen.refused),
                ("failed", seen.failed),
            ];
            for (outcome, count) in outcomes {
                let labels = [endpoint, model, ("outcome", outcome)];
                let mut metric = requests.encode_family(&labels)?;
                metric.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
            }
        }
        Ok(())
    }

    fn durations(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut durations = encoder.encode_descriptor(
            "gen_ai_client_operation_duration",
            "How long the attempts took that were answered",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for (key, Figures { seen, .. }) in &self.0 {
            let labels = labels(key);
            let mut metric = durations.encode_family(&labels)?;
            let bounds = DURATION_BOUNDS_MS.map(seconds);
            let sum = seconds(seen.latency_ms_total);
            histogram(&mut metric, bounds, &seen.latency_buckets, sum)?;
        }
        Ok(())
    }

    fn tokens(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut tokens = encoder.encode_descriptor(
            "gen_ai_client_token_usage",
            "Tokens of answered requests, by type",
            None,
            MetricType::Histogram,
        )?;
        for (key, Figures { seen, .. }) in &self.0 {
            let [endpoint, model] = labels(key);
            let types = [
                ("input", &seen.input_token_buckets, seen.input_tokens),
                ("output", &seen.output_token_buckets, seen.output_tokens),
            ];
            for (name, buckets, sum) in types {
                let labels = [endpoint, model, ("gen_ai_token_type", name)];
                let mut metric = tokens.encode_family(&labels)?;
                histogram(&mut metric, TOKEN_BOUNDS.map(float), buckets, float(sum))?;
            }
        }
        self.counter(
            encoder,
            (
                "frugal_cached_input_tokens",
                "Those of the input tokens that the endpoint had in a cache",
                None,
            ),
            |figures| figures.seen.cached_input_tokens,
        )?;
        self.counter(
            encoder,
            (
                "frugal_reasoning_output_tokens",
                "Those of the output tokens that are reasoning and no text",
                None,
            ),
            |figures| figures.seen.reasoning_output_tokens,
        )
    }

    fn spend(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let usd = Unit::Other("usd".to_owned());
        self.counter(
            encoder,
            (
                "frugal_spend",
                "What answered requests cost, in US dollars",
                Some(&usd),
            ),
            |figures| Usd::from_pico(figures.seen.spend_pico_usd).dollars(),
        )?;
        self.counter(
            encoder,
            (
                "frugal_uncertain_spend",
                "What attempts without an answer may have cost at most, in US dollars",
                Some(&usd),
            ),
            |figures| Usd::from_pico(figures.seen.uncertain_spend_pico_usd).dollars(),
        )
    }

    fn waits(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut waits = encoder.encode_descriptor(
            "frugal_waits",
            "Times that an attempt began to wait before it was sent, by reason",
            None,
            MetricType::Counter,
        )?;
        for (labels, figures, cause) in self.by_cause() {
            let waited = figures.waited(cause);
            let mut metric = waits.encode_family(&labels)?;
            metric.encode_counter::<NoLabelSet, _, u64>(&waited.waits, None)?;
        }
        let mut waited = encoder.encode_descriptor(
            "frugal_waited",
            "How long attempts waited before they were sent, by reason",
            Some(&Unit::Seconds),
            MetricType::Counter,
        )?;
        for (labels, figures, cause) in self.by_cause() {
            let span = seconds(figures.waited(cause).waited_ms);
            let mut metric = waited.encode_family(&labels)?;
            metric.encode_counter::<NoLabelSet, _, u64>(&span, None)?;
        }
        Ok(())
    }

    fn by_cause(&self) -> impl Iterator<Item = ([(&'static str, &str); 3], &Figures, WaitCause)> {
        self.0.iter().flat_map(|(key, figures)| {
            let [endpoint, model] = labels(key);
            let causes = WaitCause::ALL.iter();
            causes.map(move |cause| {
                let labels = [endpoint, model, ("reason", cause.as_str())];
                (labels, figures, *cause)
            })
        })
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        self.durations(encoder)?;
        self.tokens(encoder)?;
        self.requests(encoder)?;
        self.counter(
            encoder,
            (
                "frugal_usage_estimated_requests",
                "Answered requests whose tokens had to be estimated",
                None,
            ),
            |figures| figures.seen.usage_estimated,
        )?;
        self.spend(encoder)?;
        self.waits(encoder)?;
        self.gauge(
            encoder,
            (
                "frugal_requests_in_flight",
                "Requests in flight, as workers told within the last second or so",
                None,
            ),
            |figures| figures.in_flight,
        )?;
        self.gauge(
            encoder,
            (
                "frugal_model_wait",
                "How long the endpoint asks that nothing be sent to the model",
                Some(&Unit::Seconds),
            ),
            |figures| seconds(figures.wait_ms),
        )?;
        self.gauge(
            encoder,
            (
                "frugal_model_out_of_order",
                "Whether the model answers nobody: 1 while it lasts",
                None,
            ),
            |figures| i64::from(figures.out_of_order),
        )
    }
}

/// Writes a histogram, the bucket without a bound last. It counts as many values as its buckets do.
fn histogram<const BOUNDS: usize>(
    metric: &mut MetricEncoder<'_>,
    bounds: [f64; BOUNDS],
    buckets: &Buckets,
    sum: f64,
) -> fmt::Result {
    let bounds = bounds.into_iter().chain([f64::INFINITY]);
    let each: Vec<(f64, u64)> = bounds.zip(*buckets.counts()).collect();
    metric.encode_histogram::<NoLabelSet>(sum, buckets.count(), &each, None)
}

fn labels((endpoint, model): &(String, String)) -> [(&'static str, &str); 2] {
    [
        ("frugal_endpoint", endpoint),
        ("gen_ai_request_model", model),
    ]
}

fn seconds(millis: u64) -> f64 {
    float(millis) / 1_000.0
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of centuries fit in 53 bits, and so do the tokens of all jobs"
)]
fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_domain::state::JobState;
    use frugal_domain::waits::Waits;
    use frugal_store::queue::{Budgets, Depth, InState};
    use serde_json::json;

    #[test]
    fn what_is_known_is_written_for_the_models_of_the_catalogue_alone() {
        let catalog = json!({"endpoints": {
            "open": {"base_url": "http://127.0.0.1:1/v1", "allow_unlisted_models": true},
            "closed": {"base_url": "http://127.0.0.1:1/v1", "models": {"m": {}}}
        }});
        let catalog: Catalog = serde_json::from_value(catalog).unwrap();
        let mut metrics = Metrics::of(&catalog);
        let waited = |waits, waited_ms| Waited { waits, waited_ms };
        *metrics.model(&catalog, "closed", "m").unwrap() = Figures {
            seen: Sightings {
                answered: 4,
                refused: 2,
                failed: 1,
                usage_estimated: 3,
                latency_ms_total: 91_802,
                latency_buckets: Buckets::new([0, 1, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
                input_tokens: 40,
                input_token_buckets: Buckets::new([0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
                output_tokens: 8,
                output_token_buckets: Buckets::new([0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
                cached_input_tokens: 16,
                reasoning_output_tokens: 5,
                spend_pico_usd: 1_250_000_000,
                uncertain_spend_pico_usd: 500_000_000_000,
                waits: Waits::from([
                    (WaitCause::Outage, waited(2, 61_500)),
                    (WaitCause::Exchange, waited(4, 20)),
                ]),
                ..Sightings::default()
            },
            in_flight: 3,
            wait_ms: 1_500,
            out_of_order: true,
        };
        let one = |waited_ms| Known {
            seen: Some(EndpointModel {
                seen: Sightings {
                    answered: 1,
                    waits: Waits::from([(WaitCause::Pace, waited(1, waited_ms))]),
                    ..Sightings::default()
                },
                abilities_found_at: None,
            }),
            ..Known::default()
        };
        for (model, known) in [("a", one(1_000)), ("b", one(500))] {
            let model = metrics.model(&catalog, "open", model).unwrap();
            model.add(&known, Utc::now());
        }
        assert!(metrics.model(&catalog, "closed", "unlisted").is_none());
        assert!(metrics.model(&catalog, "gone", "m").is_none());
        let jobs = Jobs {
            depth: Depth {
                queued: 5,
                leased: 2,
            },
            by_state: vec![InState {
                state: JobState::Running,
                jobs: 2,
                overdue: 1,
            }],
            budgets: Budgets {
                usd: 2.5,
                usd_spent: 0.5,
                ..Budgets::default()
            },
        };
        insta::assert_snapshot!(
            "metrics",
            metrics.written(Registry::default(), jobs).unwrap()
        );
    }
}
