//! Where traces go.

use reqwest::Url;

/// The standard's variable for it, which all programs of a machine may have.
pub const STANDARD: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// Where a collector takes traces, below its address.
const PATH: &str = "/v1/traces";

/// A collector that takes traces by OTLP over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpEndpoint {
    /// Its address, such as `http://127.0.0.1:4318`; `/v1/traces` comes after it.
    pub url: String,
    /// The variable, or the key and its file, that names it.
    pub origin: String,
    /// Whether that is the variable of the standard, which may be meant for others alone.
    pub is_standard: bool,
}

impl OtlpEndpoint {
    /// Where it takes traces.
    #[must_use]
    pub fn traces_url(&self) -> String {
        format!("{}{PATH}", self.url.trim_end_matches('/'))
    }

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
        if url.path().trim_end_matches('/').ends_with(PATH) {
            return Err(format!("leave {PATH} out; it is added"));
        }
        Ok(Self {
            url: text.to_owned(),
            origin: origin.to_owned(),
            is_standard: origin == STANDARD,
        })
    }
}
