//! `[api]`: who may use the API, from where, and how much of it.

use super::number::Number;
use frugal_api::{Connections, Guard};
use frugal_webhook::Reach;
use ipnet::IpNet;
use serde::Deserialize;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many requests a key may make in a minute where the operator says nothing.
const REQUESTS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(6_000).unwrap();

/// Who may use the API, from where, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiConfig {
    /// The names that the server answers to.
    pub hosts: Vec<String>,
    /// The proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The origins whose pages may use the API.
    pub cors_origins: Vec<String>,
    /// The files of the certificate and its key, where the server speaks TLS itself.
    pub tls: Option<TlsFiles>,
    /// How many requests a key may make in a minute.
    pub requests_per_minute: Option<NonZeroU32>,
    /// How many jobs of one owner may be there that have not ended.
    pub jobs_per_owner: Option<u32>,
    /// How many event streams one owner may have open on one server.
    pub streams_per_owner: Option<u32>,
    /// How many bytes the datasets of one owner may have together.
    pub dataset_bytes_per_owner: Option<u64>,
    /// Which addresses webhooks may be at beside public ones.
    pub webhook_targets: Reach,
    /// The most connections at the same time.
    pub connections: usize,
    /// How long the head of a request may take.
    pub head_timeout: Duration,
    /// How long a client may take none of what is sent, or not answer to being there.
    pub silence_timeout: Duration,
}

/// Where a certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, with those between it and a root, as PEM.
    pub certificate: PathBuf,
    /// Its private key, as PEM.
    pub key: PathBuf,
}

impl Default for ApiConfig {
    fn default() -> Self {
        let connections = Connections::default();
        Self {
            hosts: Vec::new(),
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
            tls: None,
            requests_per_minute: Some(REQUESTS_PER_MINUTE),
            jobs_per_owner: None,
            streams_per_owner: None,
            dataset_bytes_per_owner: None,
            webhook_targets: Reach::default(),
            connections: connections.most,
            head_timeout: connections.head_timeout,
            silence_timeout: connections.silence_timeout,
        }
    }
}

impl ApiConfig {
    /// The same for the API.
    #[must_use]
    pub fn guard(&self, require_keys: bool, idempotency_keys: Option<Duration>) -> Guard {
        Guard {
            require_keys,
            hosts: self.hosts.clone(),
            trusted_proxies: self.trusted_proxies.clone(),
            cors_origins: self.cors_origins.clone(),
            requests_per_minute: self.requests_per_minute,
            jobs_per_owner: self.jobs_per_owner,
            streams_per_owner: self.streams_per_owner,
            dataset_bytes_per_owner: self.dataset_bytes_per_owner,
            idempotency_keys,
            webhooks: self.webhook_targets.clone(),
        }
    }
}

/// The table's keys in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiKeys {
    pub(super) require_keys: Option<bool>,
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default)]
    trusted_proxies: Vec<String>,
    #[serde(default)]
    cors_origins: Vec<String>,
    tls_certificate: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    max_requests_per_minute_and_key: Option<i64>,
    max_open_jobs_per_owner: Option<i64>,
    max_streams_per_owner: Option<i64>,
    max_dataset_bytes_per_owner: Option<i64>,
    #[serde(default)]
    webhook_targets: Vec<String>,
    max_connections: Option<i64>,
    head_timeout_seconds: Option<i64>,
    silence_timeout_seconds: Option<i64>,
}

impl ApiKeys {
    /// Checks the values. Files are in the folder of the configuration.
    ///
    /// # Errors
    /// The key, and what is wrong with its value.
    pub(super) fn resolve(self, folder: &Path) -> Result<ApiConfig, (&'static str, String)> {
        let default = ApiConfig::default();
        let number = |key, given: Option<i64>, range| {
            let given = given.map(|given| Number { key, given }.within(range));
            given.transpose()
        };
        let tls = match (self.tls_certificate, self.tls_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(TlsFiles {
                certificate: folder.join(certificate),
                key: folder.join(key),
            }),
            (Some(_), None) => {
                return Err((
                    "tls_key",
                    "a certificate needs its key; name its file".to_owned(),
                ));
            }
            (None, Some(_)) => {
                return Err((
                    "tls_certificate",
                    "a key needs its certificate; name its file".to_owned(),
                ));
            }
        };
        for host in &self.hosts {
            check_host(host).map_err(|problem| ("hosts", problem))?;
        }
        for origin in &self.cors_origins {
            check_origin(origin).map_err(|problem| ("cors_origins", problem))?;
        }
        let proxies = self.trusted_proxies.iter().map(|text| network(text));
        let trusted_proxies = proxies
            .collect::<Result<_, _>>()
            .map_err(|problem| ("trusted_proxies", problem))?;
        let mut webhook_targets = Reach::default();
        for target in self.webhook_targets {
            // What is an address or a network is none of the names.
            match network(&target) {
                Ok(network) => webhook_targets.networks.push(network),
                Err(_) => {
                    check_host(&target).map_err(|problem| ("webhook_targets", problem))?;
                    webhook_targets.hosts.push(target);
                }
            }
        }
        let seconds = |key, given, otherwise| {
            let given = number(key, given, 1..=3_600)?;
            Ok(given.map_or(otherwise, |given| Duration::from_secs(given.into())))
        };
        let connections = number("max_connections", self.max_connections, 1..=1_000_000)?;
        // None is counted where 0 is given.
        let requests = number(
            "max_requests_per_minute_and_key",
            self.max_requests_per_minute_and_key,
            0..=1_000_000,
        )?;
        let bytes = self.max_dataset_bytes_per_owner.map(|given| {
            u64::try_from(given).map_err(|_| {
                let problem = format!("{given} will not do; give a number of bytes");
                ("max_dataset_bytes_per_owner", problem)
            })
        });
        Ok(ApiConfig {
            hosts: self.hosts,
            webhook_targets,
            trusted_proxies,
            cors_origins: self.cors_origins,
            tls,
            requests_per_minute: requests.map_or(default.requests_per_minute, NonZeroU32::new),
            jobs_per_owner: number(
                "max_open_jobs_per_owner",
                self.max_open_jobs_per_owner,
                1..=1_000_000,
            )?,
            streams_per_owner: number(
                "max_streams_per_owner",
                self.max_streams_per_owner,
                1..=1_000_000,
            )?,
            dataset_bytes_per_owner: bytes.transpose()?,
            connections: connections.map_or(default.connections, |given| given as usize),
            head_timeout: seconds(
                "head_timeout_seconds",
                self.head_timeout_seconds,
                default.head_timeout,
            )?,
            silence_timeout: seconds(
                "silence_timeout_seconds",
                self.silence_timeout_seconds,
                default.silence_timeout,
            )?,
        })
    }
}

/// A host is a name without scheme or port.
fn check_host(host: &str) -> Result<(), String> {
    let is_name = !host.is_empty()
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    match is_name {
        true => Ok(()),
        false => Err(format!(
            "`{host}` will not do; give a name without scheme and port, such as \"frugal.example.org\""
        )),
    }
}

/// An origin is a scheme with a host and perhaps a port, and nothing else.
fn check_origin(origin: &str) -> Result<(), String> {
    let rest = ["https://", "http://"]
        .iter()
        .find_map(|scheme| origin.strip_prefix(scheme));
    let is_origin =
        rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['/', '?', '#', '@', ' ']));
    match is_origin || origin == "*" {
        true => Ok(()),
        false => Err(format!(
            "`{origin}` will not do; give an origin such as \"https://dashboard.example.org\", or \"*\" for all"
        )),
    }
}

/// A network, or one address.
fn network(text: &str) -> Result<IpNet, String> {
    let network = text.parse::<IpNet>();
    let network = network.or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| {
        format!(
            "`{text}` will not do; give an address or a network, such as \"10.0.0.7\" or \"10.0.0.0/8\""
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str) -> Result<ApiConfig, (&'static str, String)> {
        let keys: ApiKeys = toml::from_str(text).unwrap();
        keys.resolve(Path::new("/etc/frugal"))
    }

    #[test]
    fn webhooks_may_be_at_names_and_in_networks() {
        let config = resolved("webhook_targets = [\"hooks.internal\", \"10.1.0.0/16\", \"::1\"]");
        let targets = config.unwrap().webhook_targets;
        assert_eq!(targets.hosts, ["hooks.internal"]);
        assert_eq!(targets.networks.len(), 2);
        let refused = resolved("webhook_targets = [\"https://hooks.internal\"]");
        assert_eq!(refused.unwrap_err().0, "webhook_targets");
    }

    #[test]
    fn what_is_said_is_read() {
        let config = resolved(
            "hosts = [\"frugal.example\"]\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]\n\
             cors_origins = [\"https://a.example:8443\"]\ntls_certificate = \"cert.pem\"\ntls_key = \"/k.pem\"\n\
             max_requests_per_minute_and_key = 0\nmax_open_jobs_per_owner = 5\nmax_connections = 7\n",
        );
        let config = config.unwrap();
        assert_eq!(config.webhook_targets, Reach::default());
        let tls = config.tls.unwrap();
        assert_eq!(tls.certificate, Path::new("/etc/frugal/cert.pem"));
        assert_eq!(tls.key, Path::new("/k.pem"));
        assert_eq!(config.requests_per_minute, None);
        assert_eq!(config.jobs_per_owner, Some(5));
        assert_eq!(config.connections, 7);
        assert_eq!(config.trusted_proxies.len(), 2);
        assert_eq!(resolved("").unwrap(), ApiConfig::default());
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (text, key) in [
            ("hosts = [\"https://a\"]", "hosts"),
            ("cors_origins = [\"a.example\"]", "cors_origins"),
            ("cors_origins = [\"https://a.example/\"]", "cors_origins"),
            ("trusted_proxies = [\"proxy\"]", "trusted_proxies"),
            ("tls_key = \"k\"", "tls_certificate"),
            ("tls_certificate = \"c\"", "tls_key"),
            ("max_connections = 0", "max_connections"),
            (
                "max_dataset_bytes_per_owner = -1",
                "max_dataset_bytes_per_owner",
            ),
        ] {
            assert_eq!(resolved(text).unwrap_err().0, key, "{text}");
        }
    }
}
