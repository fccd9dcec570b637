//! A fresh database for each test.
//!
//! `./test` starts one throwaway server for the whole run and names it in
//! `FRUGAL_TEST_DATABASE_URL`. Without that variable (plain `cargo test`) the tests of a process
//! share a server of their own, which lives for as long as one of their databases does.
#![expect(
    clippy::expect_used,
    reason = "a test that cannot have its database fails here, as it would at an assertion"
)]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Weak};

use frugal::embedded_postgres::{EmbeddedPostgres, Options};
use sqlx::migrate::MigrateDatabase;
use sqlx::{PgConnection, Postgres};
use tempfile::TempDir;
use tokio::sync::Mutex;
use uuid::Uuid;

/// Names a server to make databases in: the URL of any database there, under a role that may
/// create more.
const SERVER_VARIABLE: &str = "FRUGAL_TEST_DATABASE_URL";

/// The process's own server. A weak reference, since nothing is dropped from a static.
static OWN_SERVER: Mutex<Weak<EmbeddedPostgres>> = Mutex::const_new(Weak::new());

/// An empty database of the test's own, without Frugal's tables.
///
/// A test that fails leaves it behind for whoever wants to look, until the server goes.
#[derive(Debug)]
pub struct TestDatabase {
    url: String,
    server: Option<Arc<EmbeddedPostgres>>,
}

impl TestDatabase {
    /// Makes a database under a name that no other has.
    ///
    /// # Panics
    /// If there is no server and none can be started, or the database cannot be made.
    pub async fn create() -> Self {
        let named = std::env::var(SERVER_VARIABLE).ok();
        let (server_url, server) = match named.filter(|url| !url.is_empty()) {
            Some(url) => (url, None),
            None => {
                let server = own_server().await;
                (server.url().to_owned(), Some(server))
            }
        };
        let name = format!("frugal_test_{}", Uuid::now_v7().simple());
        let url = with_database(&server_url, &name);
        Postgres::create_database(&url)
            .await
            .expect("the server makes a database for the test");
        Self { url, server }
    }

    /// The database's URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Drops the database, whoever is still connected to it; and the process's own server with
    /// the last of its databases.
    ///
    /// # Panics
    /// If the server refuses.
    pub async fn drop(self) {
        Postgres::force_drop_database(&self.url)
            .await
            .expect("the server drops the test's database");
        if let Some(server) = self.server.and_then(Arc::into_inner) {
            server.stop().await;
        }
    }
}

/// A folder for the data of a server: its account, which is another than root, has to come by.
///
/// # Panics
/// If there can be none.
#[must_use]
pub fn directory() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory for the database");
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o755))
        .expect("the directory can be opened");
    directory
}

/// A server whose data outlive it in a folder.
#[must_use]
pub fn kept(data: &Path) -> Options {
    by_environment(Options::kept(data))
}

/// With the programs that the environment names, if it does.
fn by_environment(options: Options) -> Options {
    Options {
        binaries: std::env::var_os("FRUGAL_POSTGRES_BIN").map(Into::into),
        ..options
    }
}

async fn own_server() -> Arc<EmbeddedPostgres> {
    // Held while the server starts: the others wait for it instead of starting more.
    let mut own = OWN_SERVER.lock().await;
    if let Some(server) = own.upgrade() {
        return server;
    }
    let server = EmbeddedPostgres::start(by_environment(Options::ephemeral()))
        .await
        .expect("PostgreSQL starts for the tests");
    let server = Arc::new(server);
    *own = Arc::downgrade(&server);
    server
}

/// The URL with another database in its path.
fn with_database(url: &str, name: &str) -> String {
    let (address, parameters) = match url.split_once('?') {
        Some((address, parameters)) => (address, format!("?{parameters}")),
        None => (url, String::new()),
    };
    let authority = address.find("://").map_or(0, |at| at + "://".len());
    let path = address
        .get(authority..)
        .and_then(|rest| rest.find('/'))
        .map_or(address.len(), |at| authority + at);
    let server = address.get(..path).unwrap_or(address);
    format!("{server}/{name}{parameters}")
}

/// The tables of a database that have a text in any of their rows.
///
/// # Panics
/// If the database is away.
pub async fn tables_with(connection: &mut PgConnection, text: &str) -> Vec<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT quote_ident(table_name) FROM information_schema.tables
         WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY 1",
    )
    .fetch_all(&mut *connection)
    .await
    .expect("the tables can be listed");
    let mut found = Vec::new();
    for table in tables {
        let query =
            format!("SELECT EXISTS (SELECT FROM {table} one WHERE strpos(one::text, $1) > 0)");
        let has: bool = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .bind(text)
            .fetch_one(&mut *connection)
            .await
            .expect("the table can be read");
        if has {
            found.push(table);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use sqlx::Connection;

    use super::*;

    #[test]
    fn only_the_database_changes() {
        for (url, expected) in [
            ("postgres://u:p@h:1/old?a=b", "postgres://u:p@h:1/new?a=b"),
            ("postgres://h", "postgres://h/new"),
            ("postgres://h/", "postgres://h/new"),
            (
                "postgres:///old?host=%2Ftmp%2Fx&user=u",
                "postgres:///new?host=%2Ftmp%2Fx&user=u",
            ),
        ] {
            assert_eq!(with_database(url, "new"), expected);
        }
    }

    #[tokio::test]
    async fn databases_are_apart_and_go_when_dropped() {
        let one = TestDatabase::create().await;
        let two = TestDatabase::create().await;
        assert_ne!(one.url(), two.url());
        let mut connection = PgConnection::connect(one.url()).await.unwrap();
        sqlx::raw_sql("CREATE TABLE only_here ()")
            .execute(&mut connection)
            .await
            .unwrap();
        let mut other = PgConnection::connect(two.url()).await.unwrap();
        sqlx::raw_sql("CREATE TABLE only_here ()")
            .execute(&mut other)
            .await
            .unwrap();

        // With a client still connected.
        let url = one.url().to_owned();
        one.drop().await;
        assert!(!Postgres::database_exists(&url).await.unwrap());
        other.ping().await.unwrap();
        other.close().await.unwrap();
        two.drop().await;
    }
}
