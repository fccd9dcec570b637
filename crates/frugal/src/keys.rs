//! `frugal keys` and `frugal audit`: who may use the API, and what was changed through it, at the database.

use anyhow::{Context, anyhow, bail};
use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Subcommand};
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use frugal_api::keys::{self, NewKey};
use frugal_domain::access::Scope;
use frugal_store::audit::{self, Entry};
use frugal_store::keys as stored;
use frugal_store::{PgConnection, PgPool};
use std::time::Duration;

/// What to do about keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a key and print it: it is shown once, and stored as a hash
    Create(CreateArgs),
    /// List the keys, newest first, those that were revoked as well
    List,
    /// Revoke a key; servers take it no more within two seconds
    Revoke(RevokeArgs),
}

/// What `frugal keys create` takes.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// What people are to call it
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// To whom belongs what is made with it; keys of one owner reach the same jobs [default: the name]
    #[arg(long, value_name = "OWNER")]
    pub owner: Option<String>,
    /// What it allows: read, write, metrics and admin, which is all of it
    #[arg(
        long,
        value_name = "SCOPE,…",
        value_delimiter = ',',
        default_value = "read,write"
    )]
    pub scopes: Vec<Scope>,
    /// When it ends by itself, from now, such as 90d [default: never]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub expires_in: Option<Duration>,
}

/// What `frugal keys revoke` takes.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// Its name or its id
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// What `frugal audit` takes.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// How many of the last changes to show
    #[arg(long, default_value_t = 50, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub last: u32,
}

/// Carries a command out, and gives what is to be printed.
///
/// # Errors
/// The key makes no sense, there is none of the name, or the database is away.
pub async fn run(pool: &PgPool, command: &KeysCommand) -> anyhow::Result<String> {
    let now = Utc::now();
    let mut transaction = pool.begin().await.context("the database is away")?;
    let said = match command {
        KeysCommand::Create(args) => create(&mut transaction, args, now).await,
        KeysCommand::List => list(&mut transaction, now).await,
        KeysCommand::Revoke(args) => revoke(&mut transaction, &args.name, now).await,
    }?;
    transaction.commit().await.context("the database is away")?;
    Ok(said)
}

async fn create(
    connection: &mut PgConnection,
    args: &CreateArgs,
    now: DateTime<Utc>,
) -> anyhow::Result<String> {
    let expires_at = args.expires_in.map(|lifetime| {
        let lifetime = TimeDelta::from_std(lifetime).ok();
        let expiry = lifetime.and_then(|lifetime| now.checked_add_signed(lifetime));
        expiry.context("--expires-in: give a time that ends some day, such as 90d")
    });
    let new = NewKey {
        name: args.name.clone(),
        owner: args.owner.clone(),
        scopes: args.scopes.clone(),
        expires_at: expires_at.transpose()?,
    };
    let issued = keys::issue(connection, new, now)
        .await
        .map_err(|error| anyhow!("{}", error.detail()))?;
    note(connection, "create_key", &issued.key, now).await?;
    // Alone on its line, so that a script can take it.
    Ok(format!("{}\n", issued.text))
}

async fn revoke(
    connection: &mut PgConnection,
    name: &str,
    now: DateTime<Utc>,
) -> anyhow::Result<String> {
    let revoked = stored::revoke(connection, name, now).await?;
    let Some(key) = revoked else {
        bail!("there is no key `{name}` that is not revoked; `frugal keys list` shows all");
    };
    note(connection, "revoke_key", &key, now).await?;
    Ok(format!("revoked {} ({}…)\n", key.name, key.hint))
}

/// Notes what was done at the database, where no key was needed.
async fn note(
    connection: &mut PgConnection,
    action: &str,
    key: &stored::Key,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let entry = Entry {
        at: now,
        key_id: None,
        key_name: None,
        owner: None,
        action: action.to_owned(),
        subject: format!("/keys/{}", key.id),
        address: None,
        request_id: None,
    };
    Ok(audit::note(connection, &entry).await?)
}

async fn list(connection: &mut PgConnection, now: DateTime<Utc>) -> anyhow::Result<String> {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "name",
        "owner",
        "key",
        "scopes",
        "made",
        "last used",
        "state",
    ]);
    for key in stored::list(connection).await? {
        let scopes: Vec<_> = key.scopes.iter().map(Scope::to_string).collect();
        let state = match (key.revoked_at, key.expires_at) {
            (Some(at), _) => format!("revoked {}", time(at)),
            (None, Some(at)) if at <= now => format!("expired {}", time(at)),
            (None, Some(at)) => format!("until {}", time(at)),
            (None, None) => "good".to_owned(),
        };
        table.add_row([
            key.name,
            key.owner,
            format!("{}…", key.hint),
            scopes.join(", "),
            time(key.created_at),
            key.last_used_at.map_or_else(|| "never".to_owned(), time),
            state,
        ]);
    }
    Ok(format!("{table}\n"))
}

/// The last changes, the newest first, and gives what is to be printed.
///
/// # Errors
/// The database is away.
pub async fn audit(pool: &PgPool, args: &AuditArgs) -> anyhow::Result<String> {
    let mut connection = pool.acquire().await.context("the database is away")?;
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["when", "key", "owner", "action", "what", "from", "request"]);
    for row in audit::list(&mut connection, None, args.last).await? {
        let entry = row.entry;
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        table.add_row([
            time(entry.at),
            or_none(entry.key_name),
            or_none(entry.owner),
            entry.action,
            entry.subject,
            or_none(entry.address),
            or_none(entry.request_id),
        ]);
    }
    Ok(format!("{table}\n"))
}

fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S").to_string()
}
