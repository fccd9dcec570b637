//! What leaves of a span, under the names of OpenTelemetry's conventions. Spans and fields that are not named here
//! stay within: a field that somebody adds to a span for the log is not sent to others by that.

use opentelemetry::trace::{SpanKind, Status};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use tracing::Metadata;

/// Methods by their own names; whatever else a client makes up is another.
const METHODS: [&str; 9] = [
    "GET", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "PUT", "CONNECT", "TRACE",
];
const OTHER_METHOD: &str = "_OTHER";

/// The spans that leave.
const TOLD: [Told; 4] = [
    Told {
        span: "request",
        kind: SpanKind::Server,
        named_by: &["method", "path"],
        fields: &[
            ("method", "http.request.method"),
            ("path", "http.route"),
            ("status", "http.response.status_code"),
            ("id", "frugal.request.id"),
        ],
        failed: |fields| matches!(fields.integer("status"), Some(500..)),
    },
    Told {
        span: "job",
        kind: SpanKind::Internal,
        named_by: &[],
        fields: &[
            ("id", "frugal.job.id"),
            ("attempt", "frugal.job.attempt"),
            ("state", "frugal.job.state"),
        ],
        failed: |fields| fields.text("state").as_deref() == Some("failed"),
    },
    Told {
        span: "step",
        kind: SpanKind::Internal,
        named_by: &["kind"],
        fields: &[
            ("kind", "frugal.step.kind"),
            ("trial", "frugal.trial.number"),
            ("purpose", "frugal.request.purpose"),
        ],
        failed: |_| false,
    },
    Told {
        span: "attempt",
        kind: SpanKind::Client,
        named_by: &["api", "model"],
        fields: &[
            ("api", "gen_ai.operation.name"),
            ("model", "gen_ai.request.model"),
            ("n", "gen_ai.request.choice.count"),
            ("max_tokens", "gen_ai.request.max_tokens"),
            ("prompt_tokens", "gen_ai.usage.input_tokens"),
            ("completion_tokens", "gen_ai.usage.output_tokens"),
            ("status", "http.response.status_code"),
            ("fault", "error.type"),
            ("endpoint", "frugal.endpoint"),
            ("deployment", "frugal.deployment"),
            ("number", "frugal.attempt.number"),
        ],
        failed: |fields| fields.text("fault").is_some(),
    },
];

/// A span that leaves.
struct Told {
    /// Its name within.
    span: &'static str,
    kind: SpanKind,
    /// The fields whose values are its name without; where there are none, its name within.
    named_by: &'static [&'static str],
    /// Its fields, and what they are called.
    fields: &'static [(&'static str, &'static str)],
    failed: fn(&Fields<'_>) -> bool,
}

/// Whether a span may leave. Events never do: what they say is for the log.
pub(super) fn is_told(metadata: &Metadata<'_>) -> bool {
    metadata.is_span()
        && metadata.target().starts_with("frugal")
        && TOLD.iter().any(|told| told.span == metadata.name())
}

/// A span as it leaves, if it does.
pub(super) fn told(span: SpanData) -> Option<SpanData> {
    let told = TOLD.iter().find(|told| told.span == span.name)?;
    let fields = Fields(&span.attributes);
    let named: Vec<String> = told
        .named_by
        .iter()
        .filter_map(|field| fields.text(field))
        .collect();
    let name = match named.as_slice() {
        [] => told.span.to_owned(),
        named => named.join(" "),
    };
    let attributes = told.fields.iter().filter_map(|(field, name)| {
        let value = fields.value(field)?;
        Some(KeyValue::new(*name, value))
    });
    Some(SpanData {
        attributes: attributes.collect(),
        status: match (told.failed)(&fields) {
            // In no words: those of an error may be somebody else's.
            true => Status::error(""),
            false => Status::Unset,
        },
        name: name.into(),
        span_kind: told.kind.clone(),
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        ..span
    })
}

/// What a span says within.
struct Fields<'a>(&'a [KeyValue]);

impl Fields<'_> {
    fn value(&self, field: &str) -> Option<Value> {
        let mut all = self.0.iter();
        let found = all.find(|pair| pair.key.as_str() == field)?;
        let value = match (field, found.value.as_str().as_ref()) {
            ("method", method) if !METHODS.contains(&method) => OTHER_METHOD.into(),
            ("api", "chat/completions") => "chat".into(),
            ("api", _) => "text_completion".into(),
            // Unsigned numbers come as texts.
            (_, text) => match text.parse::<i64>() {
                Ok(number) if NUMBERS.contains(&field) => number.into(),
                _ => found.value.clone(),
            },
        };
        Some(value)
    }

    fn text(&self, field: &str) -> Option<String> {
        self.value(field).map(|value| value.as_str().into_owned())
    }

    fn integer(&self, field: &str) -> Option<i64> {
        match self.value(field)? {
            Value::I64(number) => Some(number),
            _ => None,
        }
    }
}

/// Fields that are numbers.
const NUMBERS: [&str; 8] = [
    "status",
    "attempt",
    "trial",
    "n",
    "max_tokens",
    "prompt_tokens",
    "completion_tokens",
    "number",
];
