//! Everything in PostgreSQL: the only crate with SQL.
//!
//! Functions take a connection; the caller owns the transaction, and none is open across a call
//! of an endpoint. Each function says which invariant its statement keeps. Three matter most:
//!
//! - the events of a job are numbered 1, 2, 3, … under the lock of its row ([`events::append`]);
//! - a worker's write names its attempt, and touches no row once another worker has taken over
//!   ([`Error::LeaseLost`]);
//! - a request is here before it is sent, and its answer before anything is derived from it
//!   ([`requests`]); a score is observed once and stored ([`scores`]).
//!
//! Start with [`jobs`] and [`queue`].

pub mod admission;
pub mod attempts;
pub mod audit;
pub mod books;
pub mod changes;
mod claim;
mod claiming;
pub mod counted;
pub mod datasets;
pub mod draws;
pub mod endpoint_models;
pub mod enqueued;
pub mod events;
pub mod exports;
pub mod instances;
pub mod jobs;
pub mod keys;
pub mod leases;
pub mod listen;
pub mod positions;
pub mod queue;
pub mod requests;
pub mod responses;
pub mod retention;
pub mod reuse;
pub mod scores;
pub mod steering;
pub mod summaries;
pub mod terms;
pub mod trials;
pub mod webhooks;

use frugal_domain::id::TrialNumber;
use frugal_domain::money::{Spend, Usd};
use frugal_domain::request::RequestKey;
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
pub use sqlx::{PgConnection, PgPool};
use std::sync::Arc;
use std::time::Duration;

/// What can go wrong between Frugal and its database.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another worker has taken the job over, or it has ended: the caller must stop.
    #[error("the lease of the job is lost")]
    LeaseLost,
    /// A row holds what this version of Frugal cannot read.
    #[error("stored {what} cannot be read")]
    Corrupt {
        /// Which value.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A number that does not fit into its column.
    #[error("{0} is too large to be stored")]
    TooLarge(&'static str),
    /// The database refused or is away.
    #[error("database error")]
    Database(#[from] sqlx::Error),
    /// The statement that a write shared with others has failed; none of them is stored, as far as
    /// is known.
    #[error("a write failed together with others")]
    Group(#[source] Arc<Error>),
    /// The schema could not be brought up to date.
    #[error("database migration failed")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The schema is a later version's.
    #[error(
        "the database's schema is of a later version of Frugal (it has the migration {0}, which this \
         program does not know): run that version, or a later one"
    )]
    NewerSchema(i64),
    /// The schema is an earlier version's.
    #[error("the database's schema is not current: run `frugal migrate`")]
    OlderSchema,
}

impl Error {
    /// Whether the same may succeed later: the database is out of reach, or broke a deadlock, or
    /// the lease went to another worker.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        let deadlock = |error: &sqlx::Error| {
            let error = error.as_database_error();
            // Class 40: transaction rollback; 55P03: a lock was not to be had in time.
            error
                .and_then(|error| error.code())
                .is_some_and(|code| code.starts_with("40") || code == "55P03")
        };
        match self {
            Self::LeaseLost => true,
            Self::Group(error) => error.may_pass(),
            Self::Database(error) if deadlock(error) => true,
            other => other.is_unavailable(),
        }
    }

    /// Whether the database is out of reach, or takes nothing for the moment (it is full, or read-only as
    /// a standby is), so that trying again later may help.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        let error = match self {
            Self::Database(error) => error,
            Self::Group(error) => return error.is_unavailable(),
            _ => return false,
        };
        match error {
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => true,
            // Class 08: the connection broke; 25006: read-only; 25P03: a transaction stood still; class 53: no disk, memory or connection
            // is left; class 57P: the server is shutting down or starting up; class 58: its system fails.
            sqlx::Error::Database(error) => error.code().is_some_and(|code| {
                let classes = ["08", "53", "57P", "58"];
                code == "25006"
                    || code == "25P03"
                    || classes.iter().any(|class| code.starts_with(class))
            }),
            _ => false,
        }
    }
}

/// The result of a store function.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// How long a connection may take to be had.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long after its last use a connection is taken to be there without asking it.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// The schema's migrations, embedded in the program.
static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations");

/// Opens a pool of connections. It connects on first use.
///
/// # Errors
/// The URL cannot be read.
pub fn connect(url: &str, max_connections: u32) -> Result<PgPool> {
    let options: PgConnectOptions = url.parse()?;
    Ok(PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(CONNECT_TIMEOUT)
        // One that was of use a moment ago most likely is, and each question to it is a round trip.
        .test_before_acquire(false)
        .before_acquire(|connection, known| {
            Box::pin(async move {
                if known.idle_for >= TRUSTED_FOR {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(|connection, _| Box::pin(async move { bound_locks(connection).await }))
        .connect_lazy_with(options.application_name("frugal")))
}

/// Ends transactions that stand still, by the database's own word: what is frozen or cut off in the middle
/// of one would else keep its locks, and with them the job, or the limits of an endpoint, from all others.
async fn bound_locks(connection: &mut PgConnection) -> sqlx::Result<()> {
    // Not checked at build time: it has no rows and no parameters.
    sqlx::query("SET idle_in_transaction_session_timeout = '10s'")
        .execute(connection)
        .await?;
    Ok(())
}

/// A connection of its own for statements over arrays, outside of the pool: whoever has all of the
/// pool's connections keeps it from nothing.
///
/// Their plans are made anew each time: one that was made while a table was empty would go on reading
/// all of it when it has become large. Where many rows share a statement, planning costs little.
///
/// # Errors
/// The database is away.
pub async fn connect_for_groups(pool: &PgPool) -> Result<PgConnection> {
    let options = pool.connect_options();
    let connecting = PgConnection::connect_with(&options);
    let mut connection = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
        .await
        .map_err(|_| sqlx::Error::PoolTimedOut)??;
    // Not checked at build time: it has no rows and no parameters.
    sqlx::query("SET plan_cache_mode = force_custom_plan")
        .execute(&mut connection)
        .await?;
    Ok(connection)
}

/// Brings the schema up to date. Where several processes do so at once, one of them does, under a lock,
/// and the others wait for it.
///
/// # Errors
/// The database is away, or holds a newer or a changed schema.
pub async fn migrate(pool: &PgPool) -> Result<()> {
    match MIGRATIONS.run(pool).await {
        Err(sqlx::migrate::MigrateError::VersionMissing(version)) => {
            Err(Error::NewerSchema(version))
        }
        migrated => Ok(migrated?),
    }
}

/// Checks that the schema is the one that this program knows, for one that does not migrate.
///
/// # Errors
/// [`Error::NewerSchema`], [`Error::OlderSchema`], or the database is away.
pub async fn check_schema(pool: &PgPool) -> Result<()> {
    let known = MIGRATIONS.iter().map(|migration| migration.version).max();
    match newest_migration(pool).await {
        Ok(applied) if applied == known => Ok(()),
        Ok(Some(applied)) if Some(applied) > known => Err(Error::NewerSchema(applied)),
        Ok(_) => Err(Error::OlderSchema),
        // PostgreSQL's code for a table that is not there.
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => {
            Err(Error::OlderSchema)
        }
        Err(error) => Err(error.into()),
    }
}

/// The version of the newest migration that was applied.
async fn newest_migration(pool: &PgPool) -> sqlx::Result<Option<i64>> {
    // Not checked at build time: the table is the migrator's own, not one of the migrations'.
    sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations WHERE success")
        .fetch_one(pool)
        .await
}

/// Whether the database answers and its schema is the one that this program knows.
///
/// # Errors
/// The database is away.
pub async fn is_ready(pool: &PgPool) -> Result<bool> {
    let wanted = MIGRATIONS.iter().map(|migration| migration.version).max();
    let applied = newest_migration(pool).await?;
    Ok(applied == wanted)
}

/// Reads a value that was stored as JSON.
fn read_json<T: serde::de::DeserializeOwned>(
    what: &'static str,
    value: serde_json::Value,
) -> Result<T> {
    serde_json::from_value(value).map_err(|error| Error::Corrupt {
        what,
        source: Box::new(error),
    })
}

/// A value as JSON, for storing. PostgreSQL's `jsonb` has no NUL character, so it is replaced.
fn write_json<T: serde::Serialize>(what: &'static str, value: &T) -> Result<serde_json::Value> {
    let mut json = serde_json::to_value(value).map_err(|error| Error::Corrupt {
        what,
        source: Box::new(error),
    })?;
    replace_nul(&mut json);
    Ok(json)
}

/// Replaces NUL characters, which PostgreSQL cannot hold, by U+FFFD.
fn replace_nul(json: &mut serde_json::Value) {
    use serde_json::Value;
    match json {
        Value::String(text) if text.contains('\0') => *text = text.replace('\0', "\u{FFFD}"),
        Value::Array(items) => items.iter_mut().for_each(replace_nul),
        Value::Object(members) => {
            if members.keys().any(|key| key.contains('\0')) {
                *members = std::mem::take(members)
                    .into_iter()
                    .map(|(key, value)| (key.replace('\0', "\u{FFFD}"), value))
                    .collect();
            }
            members.values_mut().for_each(replace_nul);
        }
        _ => {}
    }
}

/// Reads one of a closed set of names.
fn read_name<T>(what: &'static str, name: &str) -> Result<T>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    name.parse().map_err(|error: T::Err| Error::Corrupt {
        what,
        source: Box::new(error),
    })
}

/// An unsigned number as a `bigint`.
fn to_bigint(what: &'static str, number: u64) -> Result<i64> {
    i64::try_from(number).map_err(|_| Error::TooLarge(what))
}

/// An unsigned number as an `integer`.
fn to_integer(what: &'static str, number: u32) -> Result<i32> {
    i32::try_from(number).map_err(|_| Error::TooLarge(what))
}

/// An `integer` that is never negative.
fn to_u32(what: &'static str, number: i32) -> Result<u32> {
    u32::try_from(number).map_err(|error| Error::Corrupt {
        what,
        source: Box::new(error),
    })
}

/// A `bigint` that is never negative.
fn to_u64(what: &'static str, number: i64) -> Result<u64> {
    u64::try_from(number).map_err(|error| Error::Corrupt {
        what,
        source: Box::new(error),
    })
}

/// Which request, from the columns that say so.
fn to_request_key(purpose: &str, trial: i32, ordinal: i32) -> Result<RequestKey> {
    Ok(RequestKey {
        purpose: read_name("purpose", purpose)?,
        trial: TrialNumber(to_u32("trial number", trial)?),
        ordinal: to_u32("ordinal", ordinal)?,
    })
}

/// A spend from its two columns.
fn to_spend(usd_pico: i64, tokens: i64) -> Result<Spend> {
    Ok(Spend {
        usd: Usd::from_pico(to_u64("spend", usd_pico)?),
        tokens: to_u64("spend", tokens)?,
    })
}
