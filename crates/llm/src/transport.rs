//! One exchange over HTTP, within bounds of time and size.

use crate::error::ClientError;
use crate::key::ApiKey;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Response, Url, redirect};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The most bytes of an answer that are read.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// The most bytes of an error that are read; what follows is of no interest.
const MOST_ERROR_BYTES: usize = 64 * 1024;

/// How long it may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The connections to one endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    http: reqwest::Client,
    base: Url,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Why there is no whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    /// No connection came about, so nothing was sent.
    #[error("cannot connect to the endpoint")]
    Connect,
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
        key: Option<&ApiKey>,
    ) -> Result<Self, ClientError> {
        install_crypto_provider();
        let url = || ClientError::Url {
            endpoint: name.to_owned(),
        };
        // With a slash at the end, so that joining appends.
        let base =
            Url::parse(&format!("{}/", base_url.trim_end_matches('/'))).map_err(|_| url())?;
        let host = base.host_str().ok_or_else(url)?;
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            headers.insert(AUTHORIZATION, key.header()?);
        }
        let mut builder = reqwest::Client::builder()
            .default_headers(headers)
            .user_agent(concat!("frugal/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT);
        if is_loopback(host) {
            // A proxy cannot reach this machine's own servers.
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|source| ClientError::Http {
            endpoint: name.to_owned(),
            source,
        })?;
        Ok(Self { http, base })
    }

    /// Posts a JSON body and reads the whole answer, until `end`.
    pub(crate) async fn post(
        &self,
        path: &str,
        body: Vec<u8>,
        end: Instant,
    ) -> Result<HttpAnswer, Broken> {
        let url = self.base.join(path).map_err(|_| Broken::Connect)?;
        let request = self
            .http
            .post(url)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(body);
        let exchange = async {
            let response = request.send().await.map_err(|error| {
                // A time-out of its own can only be the one of connecting.
                let unsent = error.is_connect() || error.is_timeout() || error.is_builder();
                if unsent {
                    Broken::Connect
                } else {
                    Broken::Exchange
                }
            })?;
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
            })
        };
        timeout_at(end, exchange)
            .await
            .unwrap_or(Err(Broken::TimedOut))
    }
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
