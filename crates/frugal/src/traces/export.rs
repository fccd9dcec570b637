//! Spans on their way to a collector.

use super::conventions;
use crate::config::OtlpEndpoint;
use anyhow::Context;
use async_trait::async_trait;
use frugal_api::AdoptSpan;
use opentelemetry::KeyValue;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HeaderExtractor, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::{self, Filter};
use tracing_subscriber::{Layer, Registry};

/// How long a collector may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long sending what is left may take in the end.
const FLUSH: Duration = Duration::from_secs(3);
/// The most bytes of an answer that are read: it says little.
const MOST_ANSWER_BYTES: usize = 64 << 10;

/// What takes spans up.
pub type SpanLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Puts requests into the traces of their clients, by the header `traceparent`.
pub const ADOPT: Option<AdoptSpan> = Some(|headers, span| {
    let context = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
    // A span that nobody exports needs no parent.
    let _ = span.set_parent(context);
});

/// Traces on their way to a collector.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Begins to collect spans, which are sent from the runtime. What the standard's variables say of the service's
    /// name, of sampling, of batches and of headers holds.
    ///
    /// # Errors
    /// The machine cannot make HTTP clients, or one of the standard's variables makes no sense.
    pub fn start(endpoint: &OtlpEndpoint, runtime: &Handle) -> anyhow::Result<Option<Self>> {
        frugal_llm::install_crypto_provider();
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("the HTTP client for traces does not start")?;
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(Collector {
                http,
                runtime: runtime.clone(),
            })
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint.url.clone())
            .with_timeout(TIMEOUT)
            .build()
            .context("the exporter of traces does not start")?;
        let exporter = Exporter::new(exporter, endpoint.url.clone());
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_batch_exporter(exporter)
            .build();
        Ok(Some(Self { provider }))
    }

    /// What takes up the spans that leave.
    #[must_use]
    pub fn layer(&self) -> SpanLayer {
        spans(&self.provider)
    }

    /// Sends what is left, for a while.
    pub fn end(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FLUSH) {
            tracing::debug!(%error, "the last spans are not sent");
        }
    }
}

/// The same of a provider.
fn spans(provider: &SdkTracerProvider) -> SpanLayer {
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(env!("CARGO_PKG_NAME")))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false)
        .with_filter(Told)
        .boxed()
}

/// Lets spans through that leave.
struct Told;

impl<S> Filter<S> for Told {
    fn enabled(&self, metadata: &Metadata<'_>, _: &layer::Context<'_, S>) -> bool {
        conventions::is_told(metadata)
    }

    /// Never `always`: the subscriber would then not ask before each span, and take what its filters said of
    /// something else before, such as a record of the crate `log`, for what they say of the span.
    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        match conventions::is_told(metadata) {
            true => Interest::sometimes(),
            false => Interest::never(),
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }
}

/// Who says it. The standard's variables win.
fn resource() -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let named = std::env::var_os("OTEL_SERVICE_NAME").is_some();
    let resource = Resource::builder().with_attribute(version);
    match named {
        true => resource.build(),
        false => resource.with_service_name(env!("CARGO_PKG_NAME")).build(),
    }
}

/// Sends what may leave, and says when the collector is away and when it is back: once, not for every batch.
#[derive(Debug)]
struct Exporter<E> {
    inner: E,
    endpoint: String,
    is_cut_off: AtomicBool,
}

impl<E> Exporter<E> {
    fn new(inner: E, endpoint: String) -> Self {
        Self {
            inner,
            endpoint,
            is_cut_off: AtomicBool::new(false),
        }
    }
}

impl<E: SpanExporter> SpanExporter for Exporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let told = batch.into_iter().filter_map(conventions::told).collect();
        let sent = self.inner.export(told).await;
        let was_cut_off = self.is_cut_off.swap(sent.is_err(), Ordering::Relaxed);
        match (&sent, was_cut_off) {
            (Err(error), false) => tracing::warn!(
                endpoint = self.endpoint,
                %error,
                "spans do not reach their collector; they are dropped until it takes them again"
            ),
            (Ok(()), true) => tracing::info!(
                endpoint = self.endpoint,
                "spans reach their collector again"
            ),
            (Err(_), true) | (Ok(()), false) => {}
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// The way to a collector. Spans are batched by a thread outside of the runtime, which the client needs.
#[derive(Debug)]
struct Collector {
    http: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let sending = async move {
            let mut answer = http.execute(request.try_into()?).await?;
            let mut body = Vec::new();
            while body.len() < MOST_ANSWER_BYTES
                && let Some(piece) = answer.chunk().await?
            {
                body.extend_from_slice(&piece);
            }
            let mut response = Response::builder().status(answer.status());
            if let Some(headers) = response.headers_mut() {
                headers.clone_from(answer.headers());
            }
            Ok::<_, HttpError>(response.body(Bytes::from(body))?)
        };
        self.runtime.spawn(sending).await?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::captured::Lines;
    use axum::http::HeaderMap;
    use opentelemetry::trace::{SpanKind, Status};
    use opentelemetry_sdk::error::OTelSdkError;
    use std::sync::{Arc, Mutex};
    use tracing::field::Empty;
    use tracing_subscriber::layer::SubscriberExt;

    /// Keeps what it is to send; where it is told to fail, it does.
    #[derive(Debug, Clone, Default)]
    struct Kept {
        spans: Arc<Mutex<Vec<SpanData>>>,
        fails: Arc<AtomicBool>,
    }

    impl SpanExporter for Kept {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            if self.fails.load(Ordering::Relaxed) {
                return Err(OTelSdkError::InternalFailure("away".to_owned()));
            }
            self.spans.lock().unwrap().extend(batch);
            Ok(())
        }
    }

    /// The spans that leave while something is done.
    fn left(done: impl FnOnce()) -> Vec<SpanData> {
        let kept = Kept::default();
        let exporter = Exporter::new(kept.clone(), String::new());
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter)
            .build();
        let subscriber = tracing_subscriber::registry().with(spans(&provider));
        tracing::subscriber::with_default(subscriber, done);
        let spans = kept.spans.lock().unwrap();
        spans.clone()
    }

    #[test]
    fn what_is_not_named_stays_within() {
        let spans = left(|| {
            let span = tracing::info_span!(
                "request",
                method = "GET",
                path = "/jobs/{id}",
                body = "a prompt",
                status = Empty
            );
            let _within = span.enter();
            tracing::error!(error = "an answer", "something is wrong");
            tracing::info_span!("look", at = "a row").in_scope(|| {});
            tracing::info_span!(target: "sqlx", "job", id = "a query").in_scope(|| {});
            span.record("status", 500_u16);
        });
        let [span] = spans.as_slice() else {
            panic!("{spans:?}")
        };
        assert_eq!(span.name, "GET /jobs/{id}");
        assert_eq!(span.span_kind, SpanKind::Server);
        assert_eq!(span.status, Status::error(""));
        let attributes = [
            KeyValue::new("http.request.method", "GET"),
            KeyValue::new("http.route", "/jobs/{id}"),
            KeyValue::new("http.response.status_code", 500),
        ];
        assert_eq!(span.attributes, attributes);
        assert!(span.events.is_empty());
    }

    #[test]
    fn attempts_are_named_as_the_conventions_have_it() {
        let spans = left(|| {
            let attempt = |api: &str, fault: Option<&str>| {
                tracing::trace_span!("attempt", api, model = "m", n = 4_u32, fault).in_scope(|| {});
            };
            attempt("chat/completions", None);
            attempt("completions", Some("limited"));
            // A method that a client made up says nothing.
            tracing::info_span!("request", method = "A SECRET").in_scope(|| {});
        });
        let told = |span: &SpanData| (span.name.to_string(), span.status.clone());
        let told: Vec<_> = spans.iter().map(told).collect();
        let expected = [
            ("chat m", Status::Unset),
            ("text_completion m", Status::error("")),
            ("_OTHER", Status::Unset),
        ];
        assert_eq!(
            told,
            expected.map(|(name, status)| (name.to_owned(), status))
        );
        let n = KeyValue::new("gen_ai.request.choice.count", 4);
        assert!(spans[0].attributes.contains(&n), "{spans:?}");
    }

    #[test]
    fn a_request_goes_below_the_span_that_it_names() {
        let adopt = ADOPT.unwrap();
        let spans = left(|| {
            for header in [
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
                "no span at all",
            ] {
                let headers = HeaderMap::from_iter([(
                    "traceparent".parse().unwrap(),
                    header.parse().unwrap(),
                )]);
                let span = tracing::info_span!("request", method = "GET");
                adopt(&headers, &span);
                span.in_scope(|| {});
            }
        });
        // What its client does not record is not recorded either.
        let [below, alone] = spans.as_slice() else {
            panic!("{spans:?}")
        };
        assert_eq!(below.parent_span_id.to_string(), "b7ad6b7169203331");
        let trace = below.span_context.trace_id().to_string();
        assert_eq!(trace, "0af7651916cd43dd8448eb211c80319c");
        assert_ne!(alone.span_context.trace_id(), below.span_context.trace_id());
        assert_eq!(alone.parent_span_id.to_string(), "0000000000000000");
    }

    #[tokio::test]
    async fn a_collector_that_is_away_is_told_of_once() {
        let log = Lines::default();
        let lines = tracing_subscriber::fmt()
            .with_ansi(false)
            .without_time()
            .with_writer(log.clone())
            .finish();
        let _logged = tracing::subscriber::set_default(lines);
        let kept = Kept::default();
        let exporter = Exporter::new(kept.clone(), "http://collector".to_owned());
        for fails in [false, true, true, true, false, false] {
            kept.fails.store(fails, Ordering::Relaxed);
            assert_eq!(exporter.export(Vec::new()).await.is_err(), fails);
        }
        insta::assert_snapshot!(log.text(), @r#"
        WARN frugal::traces::export: spans do not reach their collector; they are dropped until it takes them again endpoint="http://collector" error=Operation failed: away
        INFO frugal::traces::export: spans reach their collector again endpoint="http://collector"
        "#);
    }
}
