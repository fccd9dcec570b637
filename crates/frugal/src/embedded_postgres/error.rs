//! Why the embedded server cannot run, each with what the operator can do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// Why the embedded server could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedPostgresError {
    /// Neither PATH nor the distributions' places have the server's programs.
    #[error(
        "PostgreSQL is not installed: install it (Debian, Ubuntu: apt-get install postgresql), name the directory of its programs with FRUGAL_POSTGRES_BIN, or name a running database with DATABASE_URL"
    )]
    NotInstalled,
    /// The directory named by the operator lacks the programs.
    #[error("{} has no initdb and postgres: FRUGAL_POSTGRES_BIN must name the directory that holds both", .0.display())]
    NotThere(PathBuf),
    /// Only versions that lack what Frugal's SQL uses are installed.
    #[error("PostgreSQL {found} in {} is too old: version {minimum} or newer is needed", .directory.display())]
    TooOld {
        /// The newest major version found.
        found: u32,
        /// The oldest major version that will do.
        minimum: u32,
        /// Where it was found.
        directory: PathBuf,
    },
    /// The cluster was made by a major version that is not installed.
    #[error(
        "the data in {} were written by PostgreSQL {cluster}, and PostgreSQL {installed} cannot read them: install version {cluster} (Debian, Ubuntu: apt-get install postgresql-{cluster}), move the data with pg_upgrade, or choose another data directory", .directory.display()
    )]
    OtherVersion {
        /// The cluster's directory.
        directory: PathBuf,
        /// The major version that wrote it.
        cluster: u32,
        /// The major version that is installed.
        installed: u32,
    },
    /// There is something in the cluster's place that is not a cluster.
    #[error("{} holds files but no PostgreSQL cluster: move them away or choose another data directory", .0.display())]
    NotACluster(PathBuf),
    /// Another `frugal` has the data directory.
    #[error("the data directory {} is in use by another frugal{holder}: stop that one, choose another data directory, or share a database with DATABASE_URL", .directory.display())]
    InUse {
        /// The data directory.
        directory: PathBuf,
        /// ` (process N)` where it is known, else empty.
        holder: String,
    },
    /// A server that is not ours runs on the cluster.
    #[error("another PostgreSQL server still runs on {}, perhaps left behind by a killed frugal; stop it first: {log}", .directory.display())]
    Occupied {
        /// The cluster's directory.
        directory: PathBuf,
        /// What our server said of it; it names the process.
        log: String,
    },
    /// Root runs us, and there is no account to run the server as.
    #[error(
        "PostgreSQL does not run as root, and there is neither an account postgres nor nobody to run it as: run frugal as another user, or name a running database with DATABASE_URL"
    )]
    NoAccount,
    /// The cluster belongs to an account that we cannot run the server as.
    #[error("{} belongs to user {owner}, and frugal runs as user {ours}: run frugal as that user or choose another data directory", .directory.display())]
    OtherOwner {
        /// The cluster's directory.
        directory: PathBuf,
        /// The owner's user id.
        owner: u32,
        /// Our effective user id.
        ours: u32,
    },
    /// The server's account may not pass one of the directories above the data.
    #[error("the user {account}, whom PostgreSQL runs as, cannot reach {}{closed}: choose another data directory", .directory.display())]
    Unreachable {
        /// The account's name.
        account: String,
        /// The data directory.
        directory: PathBuf,
        /// `: PATH is closed to it` where that is known, else empty.
        closed: String,
    },
    /// `initdb` failed.
    #[error("initdb could not make a cluster in {}: {log}", .directory.display())]
    Initialise {
        /// The cluster's directory.
        directory: PathBuf,
        /// What initdb printed.
        log: String,
    },
    /// The server ended before it was ready.
    #[error("PostgreSQL ended while starting ({status}): {log}")]
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// Its last words.
        log: String,
    },
    /// The server did not answer in time.
    #[error("PostgreSQL did not answer within {seconds} s: {log}")]
    NotReady {
        /// How long was waited.
        seconds: u64,
        /// The server's last words.
        log: String,
        /// The last failure to connect.
        source: Option<sqlx::Error>,
    },
    /// The database could not be made.
    #[error("cannot create the database frugal")]
    Create(#[source] sqlx::Error),
    /// A file, directory or process could not be handled.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl EmbeddedPostgresError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}
