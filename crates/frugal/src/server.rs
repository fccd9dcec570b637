//! The API and workers in one process, and what both are made of.

use crate::config::{Config, QueueConfig, RetentionConfig};
use crate::retention;
use crate::tls;
use crate::traces;
use anyhow::{Context, bail};
use frugal_api::{Connections, DatasetLimits, Guard, Outside};
use frugal_domain::endpoint::Catalog;
use frugal_llm::Clients;
use frugal_sandbox::Sandbox;
use frugal_store::PgPool;
use frugal_webhook::Hooks;
use frugal_worker::Terms;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// The API and workers in one process.
pub struct Server {
    /// The database.
    pub pool: PgPool,
    /// The endpoints that jobs may name.
    pub catalog: Arc<Catalog>,
    /// Where programs are run that models wrote; nothing where there is no such place.
    pub sandbox: Option<Sandbox>,
    /// Jobs that are driven at once; 0 for the API alone.
    pub workers: u32,
    /// How patient workers are.
    pub terms: Terms,
    /// The longest request body, in bytes.
    pub body_limit: usize,
    /// How large a dataset may be.
    pub dataset_limits: DatasetLimits,
    /// How long what jobs leave is kept; absent where this process removes nothing.
    pub retention: Option<RetentionConfig>,
    /// Who is let in, and how much they may do.
    pub guard: Guard,
    /// How connections are served.
    pub connections: Connections,
}

impl Server {
    /// A server for this process alone, which asks nobody for a key and removes nothing. Another server's webhooks may
    /// be in the database: what they may reach is the operator's word here too.
    #[must_use]
    pub fn for_itself(config: &Config, pool: &PgPool, catalog: Arc<Catalog>) -> Self {
        Self {
            pool: pool.clone(),
            catalog,
            sandbox: None,
            workers: config.workers.max(1),
            terms: terms(config),
            body_limit: config.body_limit_bytes,
            dataset_limits: dataset_limits(config),
            retention: None,
            guard: Guard {
                webhooks: config.api.webhook_targets.clone(),
                ..Guard::default()
            },
            connections: Connections::default(),
        }
    }

    /// Runs both until `shutdown`, or until one of them breaks down.
    ///
    /// # Errors
    /// A part does not start, or breaks down.
    pub async fn run(
        self,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let address = listener.local_addr()?;
        let hooks = Hooks::new(&self.catalog, variable)?;
        let state = frugal_api::AppState::new(frugal_api::Options {
            pool: self.pool.clone(),
            catalog: self.catalog.clone(),
            body_limit: self.body_limit,
            dataset_limits: self.dataset_limits,
            outside: Outside {
                sandbox: self.sandbox.clone(),
                hooks: hooks.clone(),
            },
            guard: self.guard,
            shutdown: shutdown.clone(),
            grace: self.terms.grace,
            adopt_span: traces::ADOPT,
        });
        let mut parts = JoinSet::new();
        if self.workers > 0 {
            let options = frugal_worker::Options {
                sandbox: self.sandbox,
                hooks,
                ..worker_options(&self.pool, &self.catalog, self.workers, self.terms.clone())?
            };
            let shutdown = shutdown.clone();
            parts.spawn(async move {
                frugal_worker::run(options, shutdown).await;
                Ok(())
            });
        }
        let connections = self.connections;
        let scheme = match connections.tls.is_some() {
            true => "https",
            false => "http",
        };
        parts.spawn(async move {
            frugal_api::serve(listener, state, connections).await;
            Ok(())
        });
        let keeping = {
            let (pool, limits, shutdown) = (self.pool.clone(), self.retention, shutdown.clone());
            async move {
                if let Some(limits) = limits {
                    retention::keep(&pool, limits, &shutdown).await;
                }
            }
        };
        let keeping = AbortOnDropHandle::new(tokio::spawn(keeping));
        tracing::info!(
            %address,
            dashboard = %format_args!("{scheme}://{address}/"),
            workers = self.workers,
            "serving"
        );
        let mut result = Ok(());
        while let Some(ended) = parts.join_next().await {
            // One part without the other is no server: both stop.
            shutdown.cancel();
            result = result.and(
                ended
                    .context("a part of the server broke down")
                    .and_then(|r| r),
            );
        }
        if let Err(error) = keeping.await {
            tracing::error!(%error, "retention broke down");
        }
        result
    }
}

/// The endpoints of a configuration that have their keys. Says which ones do not, and which models have no
/// prices: a job that budgets dollars cannot use them.
#[must_use]
pub fn usable(config: &Config) -> Catalog {
    let catalog = config
        .endpoints
        .clone()
        .usable(|name| variable(name).is_some_and(|value| !value.is_empty()));
    for (endpoint, unset) in &catalog.switched_off {
        tracing::warn!(
            endpoint,
            variable = unset,
            "the endpoint is switched off, since its environment variable is not set"
        );
    }
    tell_of_prices(&catalog);
    catalog
}

/// Refuses to drive jobs where one that has not ended asks an endpoint that is switched off: a worker would have it
/// fail.
///
/// # Errors
/// There is such a job, or the database is away.
pub async fn check_jobs(pool: &PgPool, catalog: &Catalog) -> anyhow::Result<()> {
    for (endpoint, unset) in &catalog.switched_off {
        let mut connection = pool.acquire().await.context("the database is away")?;
        let asking = frugal_store::jobs::unfinished_at(&mut connection, endpoint).await?;
        if let Some(first) = asking.first() {
            bail!(
                "the endpoint `{endpoint}` is switched off, since {unset} is not set, and jobs that have not ended ask it ({} in all, among them {first}): set {unset}; or take the endpoint out of the configuration, which has them fail; or start with --workers 0, which drives no job",
                asking.len()
            );
        }
    }
    Ok(())
}

/// Says which models have no prices: a job that budgets dollars cannot use them.
pub fn tell_of_prices(catalog: &Catalog) {
    for (endpoint, model) in catalog.unpriced() {
        tracing::warn!(
            endpoint,
            model,
            "the model has no price, so only jobs that budget tokens can use it"
        );
    }
}

/// Who is let in, and how much they may do.
#[must_use]
pub fn guard(config: &Config) -> Guard {
    let idempotency_keys = config.retention.idempotency_keys;
    config.api.guard(config.require_keys, idempotency_keys)
}

/// How connections are served.
///
/// # Errors
/// The files for TLS are not to be had.
pub fn connections(config: &Config) -> anyhow::Result<Connections> {
    let api = &config.api;
    Ok(Connections {
        most: api.connections,
        head_timeout: api.head_timeout,
        silence_timeout: api.silence_timeout,
        tls: api.tls.as_ref().map(tls::load).transpose()?,
    })
}

/// Binds an address.
///
/// # Errors
/// It is not to be had.
pub async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; is another server there? choose one with --listen")
    })
}

/// What a worker is made of that drives so many jobs at once, without a sandbox.
///
/// # Errors
/// An endpoint's or a hook's secret is not there.
pub fn worker_options(
    pool: &PgPool,
    catalog: &Arc<Catalog>,
    slots: u32,
    terms: Terms,
) -> anyhow::Result<frugal_worker::Options> {
    let clients = Clients::new(catalog, variable)?;
    Ok(frugal_worker::Options {
        pool: pool.clone(),
        catalog: catalog.clone(),
        clients: Arc::new(clients),
        sandbox: None,
        hooks: Hooks::new(catalog, variable)?,
        name: format!(
            "{}/{}",
            rustix::system::uname().nodename().to_string_lossy(),
            std::process::id()
        ),
        slots,
        only: None,
        terms,
    })
}

/// How patient workers are.
#[must_use]
pub fn terms(config: &Config) -> Terms {
    let QueueConfig {
        grace,
        outage,
        most_lost_attempts,
        most_running_per_owner,
        other_version,
    } = config.queue;
    Terms {
        lease_seconds: u32::try_from(config.lease.as_secs()).unwrap_or(u32::MAX),
        grace,
        outage,
        most_lost_attempts,
        most_running_per_owner,
        other_version,
    }
}

/// A variable of the environment.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// How large a dataset may be.
#[must_use]
pub const fn dataset_limits(config: &Config) -> DatasetLimits {
    DatasetLimits {
        bytes: config.dataset_limit_bytes,
        rows: config.dataset_limit_rows,
    }
}
