//! What an operator can set, and where: `frugal.toml`, the environment, flags; later ones win.
//!
//! | file | environment | flag | default |
//! | --- | --- | --- | --- |
//! | - | `FRUGAL_CONFIG` | `--config` | `frugal.toml`, if it is there |
//! | `listen` | `FRUGAL_LISTEN` | `--listen` | `127.0.0.1:8080` |
//! | `api.require_keys` | `FRUGAL_REQUIRE_KEYS` | `--require-keys` | `false` |
//! | `allow_unauthenticated_public_listen` | `FRUGAL_ALLOW_UNAUTHENTICATED_PUBLIC_LISTEN` | `--allow-unauthenticated-public-listen` | `false` |
//! | `database_url` | `DATABASE_URL` | `--database-url` | the embedded PostgreSQL |
//! | `data_dir` | `FRUGAL_DATA_DIR` | `--data-dir` | see [`default_data_dir`] |
//! | `postgres_bin` | `FRUGAL_POSTGRES_BIN` | - | looked for |
//! | `workers` | `FRUGAL_WORKERS` | `--workers` | 2 |
//! | `lease_seconds` | `FRUGAL_LEASE_SECONDS` | - | 4 |
//! | `body_limit_bytes` | `FRUGAL_BODY_LIMIT_BYTES` | - | 33554432 (32 MiB) |
//! | `dataset_limit_bytes` | `FRUGAL_DATASET_LIMIT_BYTES` | - | 67108864 (64 MiB), unpacked |
//! | `dataset_limit_rows` | `FRUGAL_DATASET_LIMIT_ROWS` | - | 100000 |
//! | `price_file` | `FRUGAL_PRICE_FILE` | - | none |
//! | `log` | `FRUGAL_LOG` | `--log` | `info` |
//! | `log_format` | `FRUGAL_LOG_FORMAT` | `--log-format` | `auto` |
//! | `otlp_endpoint` | `FRUGAL_OTLP_ENDPOINT`, else `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, else `OTEL_EXPORTER_OTLP_ENDPOINT` | - | none |
//! | `[api]` | - | - | [`ApiConfig::default`] |
//! | `[endpoints.NAME]` | - | - | none |
//! | `[queue]` | - | - | [`QueueConfig::default`] |
//! | `[webhooks.NAME]` | - | - | none |
//! | `[sandbox]` | - | - | [`SandboxConfig::default`] |
//! | `[retention]` | - | - | [`RetentionConfig::default`] |
//!
//! An empty environment variable counts as not set.

mod api;
mod flags;
mod number;
mod otlp;
mod prices;
mod queue;
mod retention;
mod sandbox;

pub use api::{ApiConfig, TlsFiles};
pub use flags::{DatabaseFlags, DemoFlags, FileFlags, Flags, ServeFlags, WorkerFlags};
pub use otlp::OtlpEndpoint;
pub use prices::PriceListError;
pub use queue::QueueConfig;
pub use retention::{RetentionConfig, kept};
pub use sandbox::SandboxConfig;

use api::ApiKeys;
use prices::PriceList;
use queue::QueueKeys;
use retention::RetentionKeys;
use sandbox::SandboxKeys;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use frugal_domain::endpoint::{Catalog, CatalogError, Endpoint, Webhook};
use serde::Deserialize;

use crate::telemetry::{self, LogFormat};

/// The file that is read where none is named.
const DEFAULT_FILE: &str = "frugal.toml";
const DEFAULT_LISTEN: &str = "127.0.0.1:8080";

/// Everything that can be set, with its final value.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where the API listens.
    pub listen: SocketAddr,
    /// Whether every request to the API needs a key.
    pub require_keys: bool,
    /// Who may use the API, from where, and how much of it.
    pub api: ApiConfig,
    /// The database; none means the embedded PostgreSQL.
    pub database_url: Option<DatabaseUrl>,
    /// Where the embedded PostgreSQL keeps its data.
    pub data_dir: PathBuf,
    /// The directory of the embedded PostgreSQL's programs; none means that they are looked for.
    pub postgres_bin: Option<PathBuf>,
    /// How many jobs one process drives at once.
    pub workers: u32,
    /// How long a worker may stay silent before its job goes to another.
    pub lease: Duration,
    /// The longest request body that the API takes, in bytes.
    pub body_limit_bytes: usize,
    /// The most bytes of a dataset, unpacked.
    pub dataset_limit_bytes: u64,
    /// The most rows of a dataset.
    pub dataset_limit_rows: usize,
    /// The list of prices for models that have none of their own.
    pub price_file: Option<PathBuf>,
    /// Which events are logged, in the form of tracing's filters.
    pub log: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Where traces go; none means that there are none.
    pub otlp_endpoint: Option<OtlpEndpoint>,
    /// The endpoints and the hooks that jobs may name.
    pub endpoints: Catalog,
    /// How jobs are shared among workers, and how patient these are.
    pub queue: QueueConfig,
    /// How programs are run that models wrote.
    pub sandbox: SandboxConfig,
    /// How long what jobs leave is kept.
    pub retention: RetentionConfig,
}

/// A database's URL. It may hold a password, so it is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// The URL itself, to connect with.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DatabaseUrl(…)")
    }
}

/// A configuration file that has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFile {
    /// Where it was, for messages.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The named file cannot be read.
    #[error("cannot read the configuration file {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is not TOML, or a key or value is not one that belongs there.
    #[error("{}, line {line}: {message}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// A value makes no sense.
    #[error("{origin}: {problem}")]
    Value {
        /// The flag, the variable, or the key and its file.
        origin: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// The list of prices makes no sense, or does not have what is asked of it.
    #[error(transparent)]
    Prices(#[from] PriceListError),
    /// The catalogue of endpoints makes no sense.
    #[error("{}: {fault}", .path.display())]
    Endpoints {
        /// The file.
        path: PathBuf,
        /// The field and what is wrong with it.
        fault: CatalogError,
    },
}

/// The file's keys. Numbers and truth values become text again, to be checked like the others.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileKeys {
    listen: Option<String>,
    allow_unauthenticated_public_listen: Option<bool>,
    database_url: Option<String>,
    data_dir: Option<String>,
    postgres_bin: Option<String>,
    workers: Option<i64>,
    lease_seconds: Option<i64>,
    body_limit_bytes: Option<i64>,
    dataset_limit_bytes: Option<i64>,
    dataset_limit_rows: Option<i64>,
    price_file: Option<String>,
    log: Option<String>,
    log_format: Option<String>,
    otlp_endpoint: Option<String>,
    #[serde(default)]
    api: ApiKeys,
    #[serde(default)]
    endpoints: BTreeMap<String, Endpoint>,
    #[serde(default)]
    queue: QueueKeys,
    #[serde(default)]
    webhooks: BTreeMap<String, Webhook>,
    #[serde(default)]
    sandbox: SandboxKeys,
    #[serde(default)]
    retention: RetentionKeys,
}

/// A value and where it comes from.
struct Given {
    origin: String,
    text: String,
}

impl Given {
    fn refuse(&self, problem: impl Into<String>) -> ConfigError {
        ConfigError::Value {
            origin: self.origin.clone(),
            problem: problem.into(),
        }
    }

    fn number(&self, range: RangeInclusive<u64>) -> Result<u64, ConfigError> {
        let number = self
            .text
            .trim()
            .parse()
            .ok()
            .filter(|number| range.contains(number));
        number.ok_or_else(|| {
            self.refuse(format!(
                "`{}` will not do; give a whole number from {} to {}",
                self.text,
                range.start(),
                range.end()
            ))
        })
    }
}

impl Config {
    /// Reads the file and the process's environment, and resolves them with the flags.
    ///
    /// # Errors
    /// If a named file cannot be read, or whatever [`Config::resolve`] refuses, or the list of prices
    /// makes no sense.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        let env = |name: &str| std::env::var(name).ok();
        let named = flags
            .config
            .clone()
            .or_else(|| set(env("FRUGAL_CONFIG")).map(PathBuf::from));
        let is_named = named.is_some();
        let path = named.unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => Some(ConfigFile { path, text }),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_named => None,
            Err(source) => return Err(ConfigError::Read { path, source }),
        };
        let is_root = rustix::process::geteuid().is_root();
        let mut config = Self::resolve(file.as_ref(), env, flags, is_root)?;
        match &config.price_file {
            Some(path) => PriceList::read(path)?.price(&mut config.endpoints)?,
            None => prices::without_list(&config.endpoints)?,
        }
        Ok(config)
    }

    /// Puts file, environment and flags together; the later ones win. `is_root` decides where the
    /// data go by default. The list of prices is not read.
    ///
    /// # Errors
    /// The first thing that makes no sense, with its place and the remedy.
    pub fn resolve(
        file: Option<&ConfigFile>,
        env: impl Fn(&str) -> Option<String>,
        flags: &Flags,
        is_root: bool,
    ) -> Result<Self, ConfigError> {
        let (path, keys) = match file {
            Some(file) => (file.path.as_path(), parse(file)?),
            None => (Path::new(DEFAULT_FILE), FileKeys::default()),
        };
        // The last place that says something, with the name it says it under.
        let given = |flag: Option<(&str, &Option<String>)>,
                     variable: &str,
                     key: &str,
                     in_file: Option<String>| {
            if let Some((name, Some(text))) = flag {
                return Some(Given {
                    origin: name.to_owned(),
                    text: text.clone(),
                });
            }
            if let Some(text) = set(env(variable)) {
                return Some(Given {
                    origin: variable.to_owned(),
                    text,
                });
            }
            in_file.map(|text| Given {
                origin: format!("{}: {key}", path.display()),
                text,
            })
        };

        let listen = given(
            Some(("--listen", &flags.listen)),
            "FRUGAL_LISTEN",
            "listen",
            keys.listen,
        )
        .unwrap_or_else(|| Given {
            origin: "listen".to_owned(),
            text: DEFAULT_LISTEN.to_owned(),
        });
        let public_flag = flags
            .allow_unauthenticated_public_listen
            .then(|| true.to_string());
        let public = given(
            Some(("--allow-unauthenticated-public-listen", &public_flag)),
            "FRUGAL_ALLOW_UNAUTHENTICATED_PUBLIC_LISTEN",
            "allow_unauthenticated_public_listen",
            keys.allow_unauthenticated_public_listen
                .map(|allowed| allowed.to_string()),
        );
        let public = public.as_ref().map_or(Ok(false), truth)?;
        let keys_flag = flags.require_keys.then(|| true.to_string());
        let require_keys = given(
            Some(("--require-keys", &keys_flag)),
            "FRUGAL_REQUIRE_KEYS",
            "api.require_keys",
            keys.api.require_keys.map(|required| required.to_string()),
        );
        let require_keys = require_keys.as_ref().map_or(Ok(false), truth)?;
        let listen = address(&listen, require_keys || public)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let api = keys
            .api
            .resolve(folder)
            .map_err(|(key, problem)| ConfigError::Value {
                origin: format!("{}: api.{key}", path.display()),
                problem,
            })?;

        let database_url = given(
            Some(("--database-url", &flags.database_url)),
            "DATABASE_URL",
            "database_url",
            keys.database_url,
        );
        let data_dir = given(
            Some(("--data-dir", &flags.data_dir)),
            "FRUGAL_DATA_DIR",
            "data_dir",
            keys.data_dir,
        );
        let postgres_bin = given(
            None,
            "FRUGAL_POSTGRES_BIN",
            "postgres_bin",
            keys.postgres_bin,
        );
        let workers = given(
            Some(("--workers", &flags.workers)),
            "FRUGAL_WORKERS",
            "workers",
            keys.workers.map(|number| number.to_string()),
        );
        let lease_seconds = given(
            None,
            "FRUGAL_LEASE_SECONDS",
            "lease_seconds",
            keys.lease_seconds.map(|number| number.to_string()),
        );
        let body_limit = given(
            None,
            "FRUGAL_BODY_LIMIT_BYTES",
            "body_limit_bytes",
            keys.body_limit_bytes.map(|number| number.to_string()),
        );
        let dataset_limit_bytes = given(
            None,
            "FRUGAL_DATASET_LIMIT_BYTES",
            "dataset_limit_bytes",
            keys.dataset_limit_bytes.map(|number| number.to_string()),
        );
        let dataset_limit_rows = given(
            None,
            "FRUGAL_DATASET_LIMIT_ROWS",
            "dataset_limit_rows",
            keys.dataset_limit_rows.map(|number| number.to_string()),
        );
        let price_file = given(None, "FRUGAL_PRICE_FILE", "price_file", keys.price_file);
        let log = given(Some(("--log", &flags.log)), "FRUGAL_LOG", "log", keys.log);
        let log_format = given(
            Some(("--log-format", &flags.log_format)),
            "FRUGAL_LOG_FORMAT",
            "log_format",
            keys.log_format,
        );
        let otlp_endpoint = given(
            None,
            "FRUGAL_OTLP_ENDPOINT",
            "otlp_endpoint",
            keys.otlp_endpoint,
        )
        .or_else(|| given(None, otlp::STANDARD_OF_TRACES, "", None))
        .or_else(|| given(None, otlp::STANDARD, "", None));

        let endpoints = Catalog {
            endpoints: keys.endpoints,
            webhooks: keys.webhooks,
            ..Catalog::default()
        };
        endpoints
            .validate()
            .map_err(|fault| ConfigError::Endpoints {
                path: path.to_owned(),
                fault,
            })?;

        let sandbox = keys.sandbox.resolve().map_err(|fault| ConfigError::Value {
            origin: format!("{}: sandbox.{}", path.display(), fault.key),
            problem: fault.problem,
        })?;
        let retention = keys
            .retention
            .resolve()
            .map_err(|fault| ConfigError::Value {
                origin: format!("{}: retention.{}", path.display(), fault.key),
                problem: fault.problem,
            })?;

        let queue = keys
            .queue
            .resolve()
            .map_err(|(key, problem)| ConfigError::Value {
                origin: format!("{}: queue.{key}", path.display()),
                problem,
            })?;

        Ok(Self {
            listen,
            require_keys,
            api,
            database_url: database_url.as_ref().map(database).transpose()?,
            data_dir: match &data_dir {
                Some(given) => directory(given)?,
                None => default_data_dir(&env, is_root),
            },
            postgres_bin: postgres_bin.as_ref().map(directory).transpose()?,
            workers: small(workers.as_ref(), 0..=256, 2)?,
            lease: Duration::from_secs(u64::from(small(lease_seconds.as_ref(), 2..=3_600, 4)?)),
            body_limit_bytes: small(body_limit.as_ref(), 1_024..=1 << 30, 32 << 20)? as usize,
            dataset_limit_bytes: small(dataset_limit_bytes.as_ref(), 1_024..=1 << 30, 64 << 20)?
                .into(),
            dataset_limit_rows: small(dataset_limit_rows.as_ref(), 1..=1_000_000, 100_000)?
                as usize,
            price_file: match &price_file {
                Some(given) if given.text.is_empty() => {
                    return Err(given.refuse("a file is needed; leave it out where there is none"));
                }
                // In the file's own folder, wherever the program is started.
                Some(given) if given.origin != "FRUGAL_PRICE_FILE" => {
                    Some(folder.join(&given.text))
                }
                given => given.as_ref().map(|given| PathBuf::from(&given.text)),
            },
            log: match &log {
                Some(given) => filter(given)?,
                None => "info".to_owned(),
            },
            log_format: log_format
                .as_ref()
                .map_or(Ok(LogFormat::Auto), parse_log_format)?,
            otlp_endpoint: otlp_endpoint.map(otlp_at).transpose()?,
            endpoints,
            queue,
            sandbox,
            retention,
        })
    }
}

/// `/var/lib/frugal` for root, since the account that PostgreSQL then runs as has to reach it;
/// else `$XDG_DATA_HOME/frugal`, else `~/.local/share/frugal`, else `frugal-data` in the working
/// directory.
pub fn default_data_dir(env: impl Fn(&str) -> Option<String>, is_root: bool) -> PathBuf {
    if is_root {
        return PathBuf::from("/var/lib/frugal");
    }
    // The XDG specification has relative paths ignored.
    let absolute = |name| {
        set(env(name))
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map_or_else(
            || PathBuf::from("frugal-data"),
            |share| share.join("frugal"),
        )
}

fn set(value: Option<String>) -> Option<String> {
    value.filter(|text| !text.is_empty())
}

fn parse(file: &ConfigFile) -> Result<FileKeys, ConfigError> {
    toml::from_str(&file.text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let before = file.text.get(..start).unwrap_or_default();
        ConfigError::File {
            path: file.path.clone(),
            line: before.matches('\n').count() + 1,
            message: error.message().to_owned(),
        }
    })
}

fn address(given: &Given, public_is_allowed: bool) -> Result<SocketAddr, ConfigError> {
    let text = match given.text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => given.text.clone(),
    };
    let address = SocketAddr::from_str(&text).map_err(|_error| {
        given.refuse(format!(
            "`{}` is no address with a port; write 127.0.0.1:8080 or [::1]:8080",
            given.text
        ))
    })?;
    if !address.ip().to_canonical().is_loopback() && !public_is_allowed {
        return Err(given.refuse(format!(
            "{address} can be reached from other machines, and whoever reaches it can spend your \
             money; make a key with `frugal keys create` and set require_keys = true under [api], or listen \
             on 127.0.0.1 behind a proxy that authenticates, or set allow_unauthenticated_public_listen = true"
        )));
    }
    Ok(address)
}

fn truth(given: &Given) -> Result<bool, ConfigError> {
    match given.text.as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        other => Err(given.refuse(format!("`{other}` will not do; give true or false"))),
    }
}

fn database(given: &Given) -> Result<DatabaseUrl, ConfigError> {
    // The text may hold a password, so no message repeats it.
    let known = ["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| given.text.starts_with(scheme));
    if !known {
        return Err(given.refuse(
            "a PostgreSQL URL is needed, such as postgres://user:password@host/database; leave it out for frugal's own PostgreSQL",
        ));
    }
    sqlx::postgres::PgConnectOptions::from_str(&given.text)
        .map_err(|_error| {
            given.refuse("the URL cannot be parsed; write special characters in it as %XX")
        })
        .map(|_options| DatabaseUrl(given.text.clone()))
}

fn directory(given: &Given) -> Result<PathBuf, ConfigError> {
    if given.text.is_empty() {
        return Err(given.refuse("a directory is needed; leave it out for the default"));
    }
    Ok(PathBuf::from(&given.text))
}

fn small(
    given: Option<&Given>,
    range: RangeInclusive<u32>,
    default: u32,
) -> Result<u32, ConfigError> {
    let Some(given) = given else {
        return Ok(default);
    };
    let wide = u64::from(*range.start())..=u64::from(*range.end());
    let number = given.number(wide)?;
    u32::try_from(number).map_err(|error| given.refuse(error.to_string()))
}

fn filter(given: &Given) -> Result<String, ConfigError> {
    telemetry::filter(&given.text)
        .map(|_filter| given.text.clone())
        .map_err(|error| given.refuse(error.to_string()))
}

fn otlp_at(given: Given) -> Result<OtlpEndpoint, ConfigError> {
    OtlpEndpoint::parse(&given.origin, &given.text).map_err(|problem| given.refuse(problem))
}

fn parse_log_format(given: &Given) -> Result<LogFormat, ConfigError> {
    match given.text.as_str() {
        "auto" => Ok(LogFormat::Auto),
        "human" => Ok(LogFormat::Human),
        "json" => Ok(LogFormat::Json),
        other => Err(given.refuse(format!("`{other}` will not do; give auto, human or json"))),
    }
}

#[cfg(test)]
mod tests;
