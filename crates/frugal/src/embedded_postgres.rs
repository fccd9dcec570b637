//! The embedded default: a PostgreSQL that `frugal` starts, watches and stops by itself.
//!
//! Used where no database URL is given. The server is the distribution's own PostgreSQL, run in
//! the foreground as our child, with its cluster in the data directory and no way in but a Unix
//! socket. What to know of it:
//!
//! - **One owner.** `frugal.lock` in the data directory is held for as long as the server runs; a
//!   second `frugal` on the same directory is refused at once, and PostgreSQL's own lock file
//!   guards against anything else.
//! - **No orphans.** [`EmbeddedPostgres::stop`] and `Drop` both end the server. When `frugal`
//!   itself is killed without a chance to do so, the kernel sends the server SIGINT (a fast, clean
//!   shutdown) through `setpriv --pdeathsig`, which util-linux has since 2.33. Where that is
//!   missing (macOS, BusyBox) a killed `frugal` leaves its server behind, and the next start says
//!   which process to stop. A next start that finds the server still shutting down waits for it.
//! - **Who may enter.** Authentication is `trust`: whoever can open the socket is let in. That is
//!   safe because the socket's directory has mode 0700 and belongs to the account that owns the
//!   cluster's files, so whoever can open the socket could read the files as well; `reject` is set
//!   for TCP, which is not listened on anyway.
//! - **Never root.** PostgreSQL refuses to run as root, so under root it runs as `postgres`, or as
//!   `nobody` where that account does not exist; a cluster that is there already keeps its owner.
//! - **Never half a cluster.** `initdb` works in a directory of its own, which is renamed when it
//!   is complete.

mod account;
mod binaries;
mod directories;
mod error;
mod process;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use sqlx::migrate::MigrateDatabase;
use sqlx::{Connection, Postgres};
use tempfile::TempDir;
use tokio::time::Instant;

use self::account::Account;
use self::binaries::Binaries;
use self::directories::Lock;
pub use self::error::EmbeddedPostgresError;
use self::process::Process;

/// The role that owns the cluster, and the one that Frugal connects as.
const ROLE: &str = "frugal";
/// The database that Frugal keeps everything in.
const DATABASE: &str = "frugal";
/// Part of the socket's file name only: nothing listens on a port.
const PORT: u16 = 5432;
/// How long a server of a killed run may take to go away before the start is given up.
const PREDECESSOR_PATIENCE: Duration = Duration::from_secs(20);
/// How long another's server may take until it answers.
const BESIDE_PATIENCE: Duration = Duration::from_secs(5);
/// How long the server may take until it answers; crash recovery is part of it.
const READY_PATIENCE: Duration = Duration::from_secs(180);

/// Where the embedded server keeps its data and how careful it is with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The directory that holds the cluster (`postgres/`), the socket (`socket/`) and the lock.
    /// Made if it is missing. Not used by an ephemeral server.
    pub data_dir: PathBuf,
    /// Keep everything in a fresh directory under the temp directory and delete it at the end.
    pub ephemeral: bool,
    /// Flush to disk at each commit. Without it a crash of the machine (not of the server) can
    /// ruin the cluster; meant for tests and demonstrations.
    pub durable: bool,
    /// The directory of `initdb` and `postgres`; by default they are looked for.
    pub binaries: Option<PathBuf>,
}

impl Options {
    /// A durable server whose data in `data_dir` survive restarts.
    #[must_use]
    pub fn kept(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            ephemeral: false,
            durable: true,
            binaries: None,
        }
    }

    /// A server that leaves nothing behind and never waits for the disk.
    #[must_use]
    pub fn ephemeral() -> Self {
        Self {
            data_dir: PathBuf::new(),
            ephemeral: true,
            durable: false,
            binaries: None,
        }
    }
}

/// A running PostgreSQL server of our own. Dropping it ends the server too, but blocks the thread
/// meanwhile; [`EmbeddedPostgres::stop`] is the way that does not.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    // The order matters to Drop: the server ends before its directories and the lock go.
    process: Process,
    url: String,
    _socket: Option<TempDir>,
    _ephemeral: Option<TempDir>,
    _lock: Lock,
}

impl EmbeddedPostgres {
    /// Starts the server, making cluster and database where they are missing, and waits until it
    /// answers. Whatever was started is stopped again when this fails or is dropped midway.
    ///
    /// # Errors
    /// See [`EmbeddedPostgresError`]; each says what the operator can do about it.
    pub async fn start(options: Options) -> Result<Self, EmbeddedPostgresError> {
        let found = binaries::find(options.binaries.as_deref())?;
        let ephemeral = if options.ephemeral {
            Some(directories::fresh_directory("frugal-postgres-")?)
        } else {
            None
        };
        let data_dir = match &ephemeral {
            Some(directory) => directory.path().to_owned(),
            None => std::path::absolute(&options.data_dir).map_err(EmbeddedPostgresError::io(
                "resolve the data directory",
                &options.data_dir,
            ))?,
        };
        let cluster = data_dir.join("postgres");

        let account = account::choose(&cluster)?;
        directories::make_data_directory(&data_dir, account.as_ref())?;
        let lock = Lock::acquire(&data_dir)?;
        account::check_reach(account.as_ref(), &data_dir)?;

        let binaries = match directories::cluster_version(&cluster)? {
            Some(version) => binaries::for_cluster(&found, version, &cluster)?,
            None => {
                let chosen = binaries::for_new_cluster(&found)?;
                initialise(
                    chosen,
                    account.as_ref(),
                    &data_dir,
                    &cluster,
                    options.durable,
                )
                .await?;
                chosen
            }
        };

        let (socket, socket_tempdir) = directories::socket_directory(&data_dir, account.as_ref())?;
        let url = url(&socket, DATABASE);
        let server = Server {
            binaries,
            account: account.as_ref(),
            cluster: &cluster,
            socket: &socket,
            durable: options.durable,
        };
        let process = server.run(&url).await?;
        tracing::info!(data_dir = %data_dir.display(), version = binaries.major, "embedded PostgreSQL is ready");
        Ok(Self {
            process,
            url,
            _socket: socket_tempdir,
            _ephemeral: ephemeral,
            _lock: lock,
        })
    }

    /// The URL of the server that another `frugal` runs in this data directory, if one answers there. It is
    /// that one's, and ends with it.
    pub async fn running(data_dir: &Path) -> Option<String> {
        let socket = std::path::absolute(data_dir).ok()?.join("socket");
        if !socket.join(format!(".s.PGSQL.{PORT}")).exists() {
            return None;
        }
        let url = url(&socket, DATABASE);
        let connecting = sqlx::PgConnection::connect(&url);
        let connected = tokio::time::timeout(BESIDE_PATIENCE, connecting).await;
        connected.ok()?.ok().map(|_connection| url)
    }

    /// The URL of the database `frugal`, in the form that sqlx and libpq take.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The server's process id.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Waits until the server has ended without being asked to, and says how. A program that is
    /// nothing without its database selects on this.
    pub async fn ended(&self) -> ExitStatus {
        self.process.ended().await
    }

    /// The server's last lines of log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }

    /// Ends the server by a fast shutdown: connections are closed, what is committed is written.
    /// Harsher means follow where that takes over half a minute. Returns how the server ended.
    pub async fn stop(self) -> ExitStatus {
        let status = self.process.stop().await;
        tracing::info!(%status, "embedded PostgreSQL has stopped");
        status
    }
}

async fn initialise(
    binaries: &Binaries,
    account: Option<&Account>,
    data_dir: &Path,
    cluster: &Path,
    durable: bool,
) -> Result<(), EmbeddedPostgresError> {
    let unfinished = data_dir.join("postgres.new");
    if unfinished.exists() {
        // What an interrupted run left; the lock says that nobody works on it now.
        fs::remove_dir_all(&unfinished)
            .map_err(EmbeddedPostgresError::io("remove", &unfinished))?;
    }
    directories::make_private_directory(&unfinished, account)?;

    let mut command = server_command(&binaries.initdb, account);
    command
        .arg("--pgdata")
        .arg(&unfinished)
        .args(["--username", ROLE])
        .args(["--auth-local=trust", "--auth-host=reject"])
        .args(["--encoding=UTF8", "--locale=C"]);
    if !durable {
        command.arg("--no-sync");
    }
    let output = tokio::process::Command::from(command)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(EmbeddedPostgresError::io("run", &binaries.initdb))?;
    if !output.status.success() {
        return Err(EmbeddedPostgresError::Initialise {
            directory: cluster.to_owned(),
            log: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    fs::rename(&unfinished, cluster).map_err(EmbeddedPostgresError::io("rename to", cluster))
}

/// A command under the server's account, with nothing of our environment but what programs need:
/// no endpoint's key, and no `PG…` variable that would change what the server does.
fn server_command(program: &Path, account: Option<&Account>) -> Command {
    const KEPT: [&str; 6] = [
        "PATH",
        "TMPDIR",
        "TZDIR",
        "LD_LIBRARY_PATH",
        "DYLD_LIBRARY_PATH",
        "LLVM_PROFILE_FILE",
    ];
    let mut command = Command::new(program);
    command.env_clear();
    for name in KEPT {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    // Messages are recognised by their English wording.
    command.env("LC_ALL", "C");
    // Our own working directory may be closed to the account.
    command.current_dir("/");
    account::run_as(&mut command, account);
    command
}

/// What it takes to run the server once more.
struct Server<'a> {
    binaries: &'a Binaries,
    account: Option<&'a Account>,
    cluster: &'a Path,
    socket: &'a Path,
    durable: bool,
}

impl Server<'_> {
    /// Starts the server, waits until the database is there, and returns the process.
    async fn run(&self, url: &str) -> Result<Process, EmbeddedPostgresError> {
        let dies_with_us = process::can_die_with_parent();
        if !dies_with_us {
            tracing::debug!(
                "no setpriv --pdeathsig here: a killed frugal leaves its PostgreSQL behind"
            );
        }
        let patience_ends = Instant::now() + PREDECESSOR_PATIENCE;
        loop {
            let process = Process::spawn(self.command(dies_with_us))
                .map_err(EmbeddedPostgresError::io("run", &self.binaries.postgres))?;
            match ready(&process, url).await {
                Ok(()) => return Ok(process),
                Err(EmbeddedPostgresError::Ended { log, .. }) if tells_of_another_server(&log) => {
                    // The server of a killed frugal goes away by itself, but not at once.
                    if Instant::now() >= patience_ends {
                        return Err(EmbeddedPostgresError::Occupied {
                            directory: self.cluster.to_owned(),
                            log,
                        });
                    }
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(error) => {
                    process.stop().await;
                    return Err(error);
                }
            }
        }
    }

    fn command(&self, dies_with_us: bool) -> Command {
        let mut command = if dies_with_us {
            let mut command = server_command(Path::new("setpriv"), self.account);
            command
                .args(["--pdeathsig", "INT", "--"])
                .arg(&self.binaries.postgres);
            command
        } else {
            server_command(&self.binaries.postgres, self.account)
        };
        command.arg("-D").arg(self.cluster);
        command.arg("-k").arg(self.socket);
        command.args(["-p", &PORT.to_string()]);
        let settings = [
            "listen_addresses=",
            "unix_socket_permissions=0700",
            "logging_collector=off",
            "log_destination=stderr",
            "timezone=UTC",
            "log_timezone=UTC",
            // Short queries on small tables: compiling them costs more than it gains.
            "jit=off",
            // A process has up to 20 and some more, and several may work beside the one that started the server.
            "max_connections=300",
        ];
        let careless = [
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
        ];
        for setting in settings {
            command.args(["-c", setting]);
        }
        if !self.durable {
            for setting in careless {
                command.args(["-c", setting]);
            }
        }
        command
    }
}

/// Waits until the server takes connections, then makes the database if it is missing.
async fn ready(process: &Process, url: &str) -> Result<(), EmbeddedPostgresError> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(10);
    let mut last = None;
    let exists = loop {
        let answer = tokio::select! {
            biased;
            status = process.ended() => {
                return Err(EmbeddedPostgresError::Ended { status, log: process.log_tail() });
            }
            answer = tokio::time::timeout(Duration::from_secs(10), Postgres::database_exists(url)) => answer,
        };
        match answer {
            Ok(Ok(exists)) => break exists,
            Ok(Err(error)) => last = Some(error),
            Err(_elapsed) => {}
        }
        if started.elapsed() >= READY_PATIENCE {
            return Err(EmbeddedPostgresError::NotReady {
                seconds: READY_PATIENCE.as_secs(),
                log: process.log_tail(),
                source: last,
            });
        }
        tokio::select! {
            _status = process.ended() => {}
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(Duration::from_millis(250));
    };
    if exists {
        return Ok(());
    }
    Postgres::create_database(url)
        .await
        .map_err(EmbeddedPostgresError::Create)
}

/// Whether a server that gave up did so because another one has the cluster or the socket.
fn tells_of_another_server(log: &str) -> bool {
    (log.contains("lock file") && log.contains("already exists"))
        || log.contains("pre-existing shared memory block")
}

/// Everything that `PG…` variables could change is named.
fn url(socket: &Path, database: &str) -> String {
    let mut host = String::new();
    for byte in socket.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(byte) {
            host.push(char::from(*byte));
        } else {
            host.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("postgres:///{database}?host={host}&port={PORT}&user={ROLE}&sslmode=disable")
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use sqlx::postgres::PgConnectOptions;

    use super::*;

    #[test]
    fn the_url_says_the_same_to_sqlx() {
        let socket = Path::new("/var/lib/a b/ü&c/socket");
        let options = PgConnectOptions::from_str(&url(socket, "frugal")).unwrap();
        assert_eq!(options.get_socket().map(PathBuf::as_path), Some(socket));
        assert_eq!(options.get_username(), "frugal");
        assert_eq!(options.get_database(), Some("frugal"));
        assert_eq!(options.get_port(), 5432);
    }
}
