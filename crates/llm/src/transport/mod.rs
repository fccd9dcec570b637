//! One exchange over HTTP, within bounds of time and size.

mod reuse;

use crate::decode::coding;
use crate::error::ClientError;
use crate::key::Secrets;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use reqwest::{Response, Url, redirect};
use reuse::UsedConnections;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The most bytes of an answer that are read.
pub(crate) const MOST_BYTES: usize = 32 * 1024 * 1024;

/// The most bytes of an error that are read; what follows is of no interest.
pub(crate) const MOST_ERROR_BYTES: usize = 64 * 1024;

/// How long it may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How soon a connection that idled shows that it is closed: within a round trip. What breaks later
/// may have been worked on.
const CLOSED_WITHIN: Duration = Duration::from_secs(1);

/// The connections to one endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    http: reqwest::Client,
    /// Opens a connection for every request; made when it is first needed.
    unpooled: Arc<OnceLock<reqwest::Client>>,
    used: Arc<UsedConnections>,
    headers: HeaderMap,
    base: Url,
    query: Vec<(String, String)>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// As it came, in whatever coding.
    pub(crate) body: Vec<u8>,
    /// Whether it was sent anew, since the first connection was closed while it idled.
    pub(crate) reconnected: bool,
}

impl HttpAnswer {
    /// A header, where it is text.
    pub(crate) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Why an exchange came to nothing, and whether its connection, which had carried another one before,
/// was closed before any of an answer came.
struct Unanswered {
    broken: Broken,
    closed_after_use: bool,
}

impl From<Broken> for Unanswered {
    fn from(broken: Broken) -> Self {
        Self {
            broken,
            closed_after_use: false,
        }
    }
}

/// Why there is no whole answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    /// No connection came about, so nothing was sent; why.
    #[error("cannot connect to the endpoint: {0}")]
    Connect(String),
    /// The connection broke after the request was on its way.
    #[error("the connection to the endpoint broke before the answer was complete")]
    Exchange,
    /// The time was up after the request was on its way.
    #[error("the endpoint did not answer in time")]
    TimedOut,
    /// The answer is larger than anything that was asked for.
    #[error("the endpoint's answer is larger than 32 MiB")]
    TooLarge,
}

/// Gives TLS its cryptography, once for the whole process; a client of any server needs it.
pub fn install_crypto_provider() {
    // Whoever installs first wins; any provider will do.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
}

impl Transport {
    pub(crate) fn new(
        name: &str,
        base_url: &str,
        query: impl IntoIterator<Item = (String, String)>,
        secrets: &Secrets,
    ) -> Result<Self, ClientError> {
        install_crypto_provider();
        let url = || ClientError::Url {
            endpoint: name.to_owned(),
        };
        // With a slash at the end, so that joining appends.
        let base =
            Url::parse(&format!("{}/", base_url.trim_end_matches('/'))).map_err(|_| url())?;
        base.host_str().ok_or_else(url)?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(coding::ACCEPTED));
        if let Some(key) = &secrets.key {
            headers.insert(AUTHORIZATION, key.header()?);
        }
        for (header, value) in &secrets.headers {
            let unusable = || ClientError::Header {
                endpoint: name.to_owned(),
                header: header.clone(),
            };
            let mut sent = HeaderValue::from_str(value.trim()).map_err(|_| unusable())?;
            sent.set_sensitive(true);
            let header = HeaderName::from_bytes(header.as_bytes()).map_err(|_| unusable())?;
            headers.insert(header, sent);
        }
        let http = client(&headers, &base, true).map_err(|source| ClientError::Http {
            endpoint: name.to_owned(),
            source,
        })?;
        Ok(Self {
            http,
            unpooled: Arc::default(),
            used: Arc::default(),
            headers,
            base,
            query: query.into_iter().collect(),
        })
    }

    /// Whether the base URL names a version of the API, as in `/v1`.
    pub(crate) fn has_version(&self) -> bool {
        self.base.path().split('/').any(|part| {
            let digits = part.strip_prefix('v').unwrap_or_default();
            digits.starts_with(|c: char| c.is_ascii_digit())
        })
    }

    /// Where a redirect leads, without what may be secret about it.
    pub(crate) fn target(&self, location: &str) -> Option<String> {
        let mut target = self.base.join(location).ok()?;
        target.set_query(None);
        target.set_fragment(None);
        target.set_username("").ok()?;
        target.set_password(None).ok()?;
        Some(target.into())
    }

    /// Posts a JSON body and reads the whole answer, until `end`.
    ///
    /// Where a connection turns out to have been closed while it idled, the request is sent anew on
    /// one of its own, once.
    pub(crate) async fn post(
        &self,
        path: &str,
        body: Vec<u8>,
        end: Instant,
    ) -> Result<HttpAnswer, Broken> {
        let url = self.base.join(path);
        let mut url = url.map_err(|error| Broken::Connect(error.to_string()))?;
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        let exchanges = async {
            let begun = Instant::now();
            let first = self.exchange(&self.http, url.clone(), body.clone()).await;
            match first {
                Err(unanswered)
                    if unanswered.closed_after_use && begun.elapsed() < CLOSED_WITHIN =>
                {
                    let unpooled = self.unpooled().map_err(|error| cannot_connect(&error))?;
                    let again = self.exchange(unpooled, url, body).await;
                    again.map(|answer| HttpAnswer {
                        reconnected: true,
                        ..answer
                    })
                }
                first => first,
            }
        };
        match timeout_at(end, exchanges).await {
            Ok(answer) => answer.map_err(|unanswered| unanswered.broken),
            Err(_) => Err(Broken::TimedOut),
        }
    }

    async fn exchange(
        &self,
        http: &reqwest::Client,
        url: Url,
        body: Vec<u8>,
    ) -> Result<HttpAnswer, Unanswered> {
        let request = http
            .post(url)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(body);
        let response = request.send().await.map_err(|error| {
            // A time-out of its own can only be the one of connecting.
            let unsent = error.is_connect() || error.is_timeout() || error.is_builder();
            if unsent {
                Unanswered::from(cannot_connect(&error))
            } else {
                Unanswered {
                    broken: Broken::Exchange,
                    closed_after_use: self.used.is_closed_after_use(&error),
                }
            }
        })?;
        self.used.note(&response);
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let success = response.status().is_success();
        let body = if success {
            read(response, MOST_BYTES).await?
        } else {
            read_what_comes(response).await
        };
        Ok(HttpAnswer {
            status,
            headers,
            body,
            reconnected: false,
        })
    }

    fn unpooled(&self) -> Result<&reqwest::Client, reqwest::Error> {
        if let Some(client) = self.unpooled.get() {
            return Ok(client);
        }
        let made = client(&self.headers, &self.base, false)?;
        Ok(self.unpooled.get_or_init(|| made))
    }
}

/// The innermost cause, which says most: a name that does not resolve, a certificate.
fn cannot_connect(error: &reqwest::Error) -> Broken {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Broken::Connect(cause.to_string())
}

fn client(
    headers: &HeaderMap,
    base: &Url,
    pooled: bool,
) -> Result<reqwest::Client, reqwest::Error> {
    let mut builder = reqwest::Client::builder()
        .default_headers(headers.clone())
        .user_agent(concat!("frugal/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(reuse::KEPT);
    if !pooled {
        builder = builder.pool_max_idle_per_host(0);
    }
    if base.host_str().is_some_and(is_loopback) {
        // A proxy cannot reach this machine's own servers.
        builder = builder.no_proxy();
        if base.scheme() == "http" {
            // Nothing will ask for the system's root certificates, which take their time to read.
            builder = builder.tls_certs_only([]);
        }
    }
    builder.build()
}

async fn read(mut response: Response, most: usize) -> Result<Vec<u8>, Broken> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| Broken::Exchange)? {
        if body.len() + chunk.len() > most {
            return Err(Broken::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The beginning of an error's body, as much as comes: the status says enough.
async fn read_what_comes(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() >= MOST_ERROR_BYTES {
            body.truncate(MOST_ERROR_BYTES);
            break;
        }
    }
    body
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
