//! The flags that set something here, in the groups that commands take them in.

use clap::Args;
use std::path::PathBuf;

/// What flags say. All is text: what it may be is checked in one place for flags, environment and file.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// The address to listen on.
    pub listen: Option<String>,
    /// Whether every request needs a key.
    pub require_keys: bool,
    /// Whether others may reach the server although nobody needs a key.
    pub allow_unauthenticated_public_listen: bool,
    /// The database.
    pub database_url: Option<String>,
    /// Where frugal's own PostgreSQL keeps its data.
    pub data_dir: Option<String>,
    /// Jobs to drive at once.
    pub workers: Option<String>,
    /// What is logged.
    pub log: Option<String>,
    /// How log lines look.
    pub log_format: Option<String>,
}

/// What every command takes that reads the configuration.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings")]
pub struct FileFlags {
    /// Configuration file [default: frugal.toml, if it is there; environment: FRUGAL_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Log level or filter [default: info; environment: FRUGAL_LOG]
    #[arg(long, global = true, value_name = "FILTER")]
    pub log: Option<String>,
    /// Log lines: auto, human or json [default: auto; environment: FRUGAL_LOG_FORMAT]
    #[arg(long, global = true, value_name = "FORMAT")]
    pub log_format: Option<String>,
}

/// What a command takes that works on a database, which may be frugal's own.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings")]
pub struct DatabaseFlags {
    /// What every such command takes.
    #[command(flatten)]
    pub file: FileFlags,
    /// PostgreSQL to use [default: one of frugal's own; environment: DATABASE_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub database_url: Option<String>,
    /// Where frugal's own PostgreSQL keeps its data [environment: FRUGAL_DATA_DIR]
    #[arg(long, global = true, value_name = "DIRECTORY")]
    pub data_dir: Option<String>,
}

/// What `frugal serve` takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings")]
pub struct ServeFlags {
    /// The database.
    #[command(flatten)]
    pub database: DatabaseFlags,
    /// Address to listen on [default: 127.0.0.1:8080; environment: FRUGAL_LISTEN]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// Serve only requests that carry a key of `frugal keys create` [environment: FRUGAL_REQUIRE_KEYS]
    #[arg(long)]
    pub require_keys: bool,
    /// Listen on an address that others can reach although nobody needs a key
    #[arg(long)]
    pub allow_unauthenticated_public_listen: bool,
    /// Jobs to drive at once [default: 2; environment: FRUGAL_WORKERS]
    #[arg(long, value_name = "NUMBER")]
    pub workers: Option<String>,
}

/// What `frugal worker` takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings")]
pub struct WorkerFlags {
    /// What every such command takes.
    #[command(flatten)]
    pub file: FileFlags,
    /// The server's PostgreSQL [environment: DATABASE_URL]
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// Jobs to drive at once [default: 2; environment: FRUGAL_WORKERS]
    #[arg(long, value_name = "NUMBER")]
    pub workers: Option<String>,
}

/// What `frugal demo` takes of all this.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings")]
pub struct DemoFlags {
    /// What every such command takes.
    #[command(flatten)]
    pub file: FileFlags,
    /// PostgreSQL to use [default: one that leaves nothing behind; environment: DATABASE_URL]
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// Address to listen on [default: 127.0.0.1:8080, or another port where it is taken; environment: FRUGAL_LISTEN]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
}

impl From<&FileFlags> for Flags {
    fn from(flags: &FileFlags) -> Self {
        let FileFlags {
            config,
            log,
            log_format,
        } = flags.clone();
        Self {
            config,
            log,
            log_format,
            ..Self::default()
        }
    }
}

impl From<&DatabaseFlags> for Flags {
    fn from(flags: &DatabaseFlags) -> Self {
        Self {
            database_url: flags.database_url.clone(),
            data_dir: flags.data_dir.clone(),
            ..Self::from(&flags.file)
        }
    }
}

impl From<&ServeFlags> for Flags {
    fn from(flags: &ServeFlags) -> Self {
        Self {
            listen: flags.listen.clone(),
            require_keys: flags.require_keys,
            allow_unauthenticated_public_listen: flags.allow_unauthenticated_public_listen,
            workers: flags.workers.clone(),
            ..Self::from(&flags.database)
        }
    }
}

impl From<&WorkerFlags> for Flags {
    fn from(flags: &WorkerFlags) -> Self {
        Self {
            database_url: flags.database_url.clone(),
            workers: flags.workers.clone(),
            ..Self::from(&flags.file)
        }
    }
}

impl From<&DemoFlags> for Flags {
    fn from(flags: &DemoFlags) -> Self {
        Self {
            database_url: flags.database_url.clone(),
            listen: flags.listen.clone(),
            ..Self::from(&flags.file)
        }
    }
}
