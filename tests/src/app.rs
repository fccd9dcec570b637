//! The API served in the test's own process, on a database of the test's own. No worker drives
//! its jobs: they stay as the test puts them.
#![expect(
    clippy::expect_used,
    reason = "an API that does not start fails here, as it would at an assertion"
)]

use crate::client::ApiClient;
use crate::postgres::TestDatabase;
use chrono::Utc;
use frugal_api::keys::{self, NewKey};
use frugal_api::{AppState, Connections, DatasetLimits, Guard, Options};
use frugal_domain::access::Scope;
use frugal_domain::endpoint::Catalog;
use frugal_store::PgPool;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How large posted bodies may be, who is let in, and how connections are served.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The most bytes of a job.
    pub body: usize,
    /// The size of a dataset.
    pub dataset: DatasetLimits,
    /// Who is let in.
    pub guard: Guard,
    /// How connections are served.
    pub connections: Connections,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: Options::BODY_LIMIT,
            dataset: Options::DATASET_LIMITS,
            guard: Guard::default(),
            connections: Connections::default(),
        }
    }
}

/// A served API and its client.
#[derive(Debug)]
pub struct Server {
    /// The client. It holds every answer against openapi.yaml.
    pub api: ApiClient,
    /// Where it listens.
    pub address: SocketAddr,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

impl Server {
    /// Serves on a free port of the loopback interface.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start(pool: PgPool, catalog: Catalog, limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("there is a free port");
        let address = listener.local_addr().expect("the listener has an address");
        let shutdown = CancellationToken::new();
        let state = AppState::new(Options {
            pool,
            catalog: Arc::new(catalog),
            body_limit: limits.body,
            dataset_limits: limits.dataset,
            outside: frugal_api::Outside::default(),
            guard: limits.guard,
            shutdown: shutdown.clone(),
            grace: Duration::from_secs(5),
            adopt_span: None,
        });
        let serving = tokio::spawn(frugal_api::serve(listener, state, limits.connections));
        Self {
            address,
            api: ApiClient::new(&format!("http://{address}")),
            shutdown,
            serving,
        }
    }

    /// Stops the server and waits until it has stopped.
    ///
    /// # Panics
    /// If it panicked.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.serving.await.expect("the server does not panic");
    }
}

/// A served API on a migrated database.
#[derive(Debug)]
pub struct TestApp {
    /// The client. It holds every answer against openapi.yaml.
    pub api: ApiClient,
    /// Connections to the database that the API serves from.
    pub pool: PgPool,
    database: TestDatabase,
    server: Server,
}

impl TestApp {
    /// Serves with this catalogue and the default limit on bodies.
    pub async fn start(catalog: Catalog) -> Self {
        Self::with_limits(catalog, Limits::default()).await
    }

    /// Serves with this catalogue and bodies of at most so many bytes.
    pub async fn with_body_limit(catalog: Catalog, body: usize) -> Self {
        let limits = Limits {
            body,
            ..Limits::default()
        };
        Self::with_limits(catalog, limits).await
    }

    /// Serves with this catalogue and datasets of at most this size.
    pub async fn with_dataset_limits(catalog: Catalog, dataset: DatasetLimits) -> Self {
        let limits = Limits {
            dataset,
            ..Limits::default()
        };
        Self::with_limits(catalog, limits).await
    }

    /// Serves with this catalogue, to those whom this lets in.
    pub async fn guarded(catalog: Catalog, guard: Guard) -> Self {
        let limits = Limits {
            guard,
            ..Limits::default()
        };
        Self::with_limits(catalog, limits).await
    }

    /// Makes a key and gives a client that sends it.
    ///
    /// # Panics
    /// If the key cannot be made.
    pub async fn client_of(&self, owner: &str, scopes: &[Scope]) -> ApiClient {
        let name = format!("{owner} {scopes:?}");
        let new = NewKey {
            name,
            owner: Some(owner.to_owned()),
            scopes: scopes.to_vec(),
            expires_at: None,
        };
        let mut connection = self.pool.acquire().await.expect("the database is there");
        let issued = keys::issue(&mut connection, new, Utc::now()).await;
        self.api.with_key(&issued.expect("a key is made").text)
    }

    /// Where the server listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Serves with this catalogue and these limits.
    ///
    /// # Panics
    /// If there is no database.
    pub async fn with_limits(catalog: Catalog, limits: Limits) -> Self {
        let database = TestDatabase::create().await;
        let pool = frugal_store::connect(database.url(), 8).expect("the URL is one");
        let migrated = frugal_store::migrate(&pool).await;
        migrated.expect("an empty database can be migrated");
        let server = Server::start(pool.clone(), catalog, limits).await;
        Self {
            api: server.api.clone(),
            pool,
            database,
            server,
        }
    }

    /// Stops the server and drops the database.
    pub async fn end(self) {
        self.server.stop().await;
        self.pool.close().await;
        self.database.drop().await;
    }
}
