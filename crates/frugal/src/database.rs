//! The database that a command works on: a named one, or the embedded default.

use crate::config::Config;
use crate::embedded_postgres::{EmbeddedPostgres, Options};
use anyhow::{Context, bail};
use frugal_store::PgPool;

/// Connections of one process.
const MAX_CONNECTIONS: u32 = 20;

/// A pool, and the server behind it where it is our own.
pub struct Database {
    pool: PgPool,
    embedded: Option<EmbeddedPostgres>,
}

impl Database {
    /// Opens the named database, or starts the embedded one in the data directory.
    ///
    /// # Errors
    /// The URL makes no sense, or the embedded server does not start.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let embedded = Options {
            binaries: config.postgres_bin.clone(),
            ..Options::kept(&config.data_dir)
        };
        Self::open_or(config, embedded).await
    }

    /// Opens the named database, or the embedded one: where a server runs it already, beside that server.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub async fn open_beside(config: &Config) -> anyhow::Result<Self> {
        if config.database_url.is_none()
            && let Some(url) = EmbeddedPostgres::running(&config.data_dir).await
        {
            let pool = frugal_store::connect(&url, MAX_CONNECTIONS)
                .context("the database URL cannot be read")?;
            return Ok(Self {
                pool,
                embedded: None,
            });
        }
        Self::open(config).await
    }

    /// Opens the named database, or starts one that leaves nothing behind.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub async fn open_for_demo(config: &Config) -> anyhow::Result<Self> {
        let embedded = Options {
            binaries: config.postgres_bin.clone(),
            ..Options::ephemeral()
        };
        Self::open_or(config, embedded).await
    }

    async fn open_or(config: &Config, options: Options) -> anyhow::Result<Self> {
        let embedded = match &config.database_url {
            Some(_) => None,
            None => Some(EmbeddedPostgres::start(options).await?),
        };
        let named = config.database_url.as_ref().map(|url| url.as_str());
        let url = embedded
            .as_ref()
            .map(EmbeddedPostgres::url)
            .or(named)
            .unwrap_or_default();
        let pool = frugal_store::connect(url, MAX_CONNECTIONS)
            .context("the database URL cannot be read")?;
        Ok(Self { pool, embedded })
    }

    /// The connections.
    #[must_use]
    pub const fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Waits until the embedded server has ended by itself; for ever where the database is not
    /// our own, since then it may come back.
    ///
    /// # Errors
    /// Always: a program without its database has nothing left to do.
    pub async fn lost(&self) -> anyhow::Result<()> {
        let Some(embedded) = &self.embedded else {
            return std::future::pending().await;
        };
        let status = embedded.ended().await;
        bail!(
            "the embedded PostgreSQL has ended ({status}): {}",
            embedded.log_tail()
        );
    }

    /// Closes the connections and stops the embedded server.
    pub async fn close(self) {
        self.pool.close().await;
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }
}
