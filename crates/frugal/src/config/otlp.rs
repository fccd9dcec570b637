//! Where traces go.

use reqwest::Url;

/// The standard's variable for the address of a collector, which all programs of a machine may have.
pub const STANDARD: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// The standard's variable for where traces alone go, which goes before it: no path comes after what it says.
pub const STANDARD_OF_TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
/// Where a collector takes traces, below its address.
const PATH: &str = "/v1/traces";

/// A collector that takes traces by OTLP over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpEndpoint {
    /// Where it takes traces, such as `http://127.0.0.1:4318/v1/traces`.
    pub url: String,
    /// The variable, or the key and its file, that names it.
    pub origin: String,
    /// Whether that is a variable of the standard, which may be meant for others alone.
    pub is_standard: bool,
}

impl OtlpEndpoint {
    /// Reads an address; what is wrong with it otherwise.
    pub(super) fn parse(origin: &str, text: &str) -> Result<Self, String> {
        let url = Url::parse(text).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let Some(url) = url else {
            return Err(
                "the address of a collector is needed, such as http://127.0.0.1:4318".to_owned(),
            );
        };
        if !url.username().is_empty() || url.password().is_some() {
            // It is logged where the collector is away.
            return Err(
                "leave the user and the password out; OTEL_EXPORTER_OTLP_HEADERS can hold what lets \
                 a client in, such as authorization=Bearer%20…"
                    .to_owned(),
            );
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(
                "leave out what begins with ? or #; a collector's address has neither".to_owned(),
            );
        }
        let is_of_traces = origin == STANDARD_OF_TRACES;
        if !is_of_traces && url.path().trim_end_matches('/').ends_with(PATH) {
            return Err(format!("leave {PATH} out; it is added"));
        }
        Ok(Self {
            url: match is_of_traces {
                true => text.to_owned(),
                false => format!("{}{PATH}", text.trim_end_matches('/')),
            },
            origin: origin.to_owned(),
            is_standard: is_of_traces || origin == STANDARD,
        })
    }
}
