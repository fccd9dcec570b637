//! The embedded PostgreSQL against the real programs: they must be installed.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what the tests share fails like a test does"
)]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use frugal::embedded_postgres::{EmbeddedPostgres, EmbeddedPostgresError, Options};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

/// A directory that the server's account can reach when the tests run as root.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

/// Kept, but not made to wait for the disk.
fn options(data_dir: &Path) -> Options {
    Options {
        durable: false,
        ..Options::kept(data_dir)
    }
}

async fn count(url: &str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let count = sqlx::query_scalar("SELECT count(*) FROM note")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    count
}

#[tokio::test]
async fn data_survive_a_restart() {
    let directory = directory();
    let data_dir = directory.path().join("data");

    let server = EmbeddedPostgres::start(options(&data_dir)).await.unwrap();
    let mut connection = PgConnection::connect(server.url()).await.unwrap();
    sqlx::raw_sql("CREATE TABLE note (text text); INSERT INTO note VALUES ('kept')")
        .execute(&mut connection)
        .await
        .unwrap();
    // Left open on purpose: a fast shutdown does not wait for clients.
    assert!(server.stop().await.success());
    drop(connection);
    assert!(!data_dir.join("postgres/postmaster.pid").exists());

    let server = EmbeddedPostgres::start(options(&data_dir)).await.unwrap();
    assert_eq!(count(server.url()).await, 1);
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn the_only_way_in_is_a_socket_that_is_closed_to_others() {
    let directory = directory();
    let server = EmbeddedPostgres::start(options(directory.path()))
        .await
        .unwrap();
    let mut connection = PgConnection::connect(server.url()).await.unwrap();
    let addresses: String = sqlx::query_scalar("SHOW listen_addresses")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(addresses, "");
    for name in ["socket", "postgres"] {
        let metadata = std::fs::metadata(directory.path().join(name)).unwrap();
        assert_eq!(metadata.mode() & 0o777, 0o700, "{name}");
        let ours = std::fs::metadata(directory.path()).unwrap().uid();
        assert_eq!(metadata.uid() == ours, ours != 0, "{name}: never root's");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_second_start_on_the_same_directory_is_refused() {
    let directory = directory();
    let server = EmbeddedPostgres::start(options(directory.path()))
        .await
        .unwrap();
    let refused = EmbeddedPostgres::start(options(directory.path()))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, EmbeddedPostgresError::InUse { .. }),
        "{refused}"
    );
    let message = refused.to_string();
    assert!(
        message.contains(&format!("(process {})", std::process::id())),
        "{message}"
    );
    // The refusal has not disturbed the first.
    PgConnection::connect(server.url()).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn missing_programs_are_named() {
    let directory = directory();
    let refused = EmbeddedPostgres::start(Options {
        binaries: Some(directory.path().to_owned()),
        ..options(directory.path())
    })
    .await
    .unwrap_err();
    assert!(refused.to_string().contains("has no initdb and postgres"));
    let left = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(left, 0, "nothing was made before that");
}

#[tokio::test]
async fn a_cluster_of_another_version_is_refused() {
    let directory = directory();
    let cluster = directory.path().join("postgres");
    std::fs::create_dir(&cluster).unwrap();
    std::fs::write(cluster.join("PG_VERSION"), "8\n").unwrap();
    let refused = EmbeddedPostgres::start(options(directory.path()))
        .await
        .unwrap_err();
    assert!(
        matches!(
            refused,
            EmbeddedPostgresError::OtherVersion { cluster: 8, .. }
        ),
        "{refused}"
    );
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why_and_lets_go() {
    let directory = directory();
    let server = EmbeddedPostgres::start(options(directory.path()))
        .await
        .unwrap();
    server.stop().await;
    let settings = directory.path().join("postgres/postgresql.conf");
    let good = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, format!("{good}\nno_such_setting = 1\n")).unwrap();
    let refused = EmbeddedPostgres::start(options(directory.path()))
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("no_such_setting"), "{refused}");

    std::fs::write(&settings, good).unwrap();
    let server = EmbeddedPostgres::start(options(directory.path()))
        .await
        .unwrap();
    server.stop().await;
}

#[tokio::test]
async fn an_unfinished_cluster_is_made_anew() {
    let directory = directory();
    let unfinished = directory.path().join("postgres.new");
    std::fs::create_dir(&unfinished).unwrap();
    std::fs::write(unfinished.join("PG_VERSION"), "15\n").unwrap();
    let server = EmbeddedPostgres::start(options(directory.path()))
        .await
        .unwrap();
    assert!(!unfinished.exists());
    server.stop().await;
}

#[tokio::test]
async fn an_ephemeral_server_leaves_nothing() {
    let server = EmbeddedPostgres::start(Options::ephemeral()).await.unwrap();
    let mut connection = PgConnection::connect(server.url()).await.unwrap();
    let cluster: String = sqlx::query_scalar("SHOW data_directory")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert!(Path::new(&cluster).is_dir());
    drop(connection);
    // Drop is the way of a program that was not asked to stop in order.
    drop(server);
    assert!(!Path::new(&cluster).parent().unwrap().exists());
}

#[tokio::test]
async fn a_long_path_is_no_obstacle() {
    let directory = directory();
    let data_dir = directory.path().join("long".repeat(30)).join("data");
    let server = EmbeddedPostgres::start(options(&data_dir)).await.unwrap();
    PgConnection::connect(server.url()).await.unwrap();
    assert!(!data_dir.join("socket").exists());
    server.stop().await;
}

#[tokio::test]
async fn an_end_of_its_own_is_noticed() {
    let server = EmbeddedPostgres::start(Options::ephemeral()).await.unwrap();
    let pid = i32::try_from(server.process_id()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert!(server.ended().await.success());
    assert!(server.log_tail().contains("database system is shut down"));
}

#[tokio::test]
async fn a_directory_that_the_account_cannot_reach_is_named() {
    if !rustix::process::geteuid().is_root() {
        return; // Others run the server as themselves.
    }
    let closed = tempfile::tempdir().unwrap();
    std::fs::set_permissions(closed.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let refused = EmbeddedPostgres::start(options(&closed.path().join("data")))
        .await
        .unwrap_err()
        .to_string();
    let named = format!("({} is closed to it)", closed.path().display());
    assert!(refused.contains(&named), "{refused}");
}

/// The program that the two tests below start: it holds a server until it is killed.
const HOLDER: &str = "hold_a_server_for_another_test";
const HOLDER_DIRECTORY: &str = "FRUGAL_TEST_HOLD_DIRECTORY";

#[tokio::test]
async fn hold_a_server_for_another_test() {
    let Some(directory) = std::env::var_os(HOLDER_DIRECTORY) else {
        return; // Run as a test among others: there is nobody to hold one for.
    };
    let server = EmbeddedPostgres::start(options(Path::new(&directory)))
        .await
        .unwrap();
    println!("\nREADY {}", server.url());
    // Until the other end of the pipe goes, or we are killed.
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    assert!(server.stop().await.success());
}

/// A process that holds a server.
struct Holder {
    process: Child,
    /// Kept open: the holder's own test harness has something to say at its end.
    _output: BufReader<ChildStdout>,
    url: String,
}

/// Starts the holder, as another user where one is given, and waits until its server is ready.
fn hold(directory: &Path, user: Option<u32>) -> Holder {
    let mut program = std::env::current_exe().unwrap();
    if user.is_some() {
        // Where it was built may be closed to the user.
        let copy = directory.parent().unwrap().join("holder");
        std::fs::copy(&program, &copy).unwrap();
        program = copy;
    }
    let mut command = Command::new(program);
    command
        .args(["--exact", HOLDER, "--nocapture"])
        .env(HOLDER_DIRECTORY, directory)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    let mut process = command.spawn().unwrap();
    let mut output = BufReader::new(process.stdout.take().unwrap());
    let url = output
        .by_ref()
        .lines()
        .map_while(Result::ok)
        .find_map(|line| Some(line.strip_prefix("READY ")?.to_owned()))
        .expect("the holder's server is ready");
    Holder {
        process,
        _output: output,
        url,
    }
}

#[tokio::test]
async fn a_killed_owner_takes_its_server_along() {
    let setpriv = Command::new("setpriv")
        .args(["--pdeathsig", "INT", "true"])
        .stderr(Stdio::null())
        .status();
    if !setpriv.is_ok_and(|status| status.success()) {
        return; // The machine has no means to it; the module's head says so.
    }
    let directory = directory();
    let data_dir = directory.path().join("data");
    let mut owner = hold(&data_dir, None);
    let mut connection = PgConnection::connect(&owner.url).await.unwrap();
    let waiting = tokio::spawn(async move {
        sqlx::raw_sql("SELECT pg_sleep(3600)")
            .execute(&mut connection)
            .await
    });
    owner.process.kill().unwrap();
    owner.process.wait().unwrap();
    // The query ends because the server does. The limit is there to fail rather than to hang.
    let answer = tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .expect("the server ends when its owner is killed")
        .unwrap();
    answer.unwrap_err();

    // The next start waits for the rest of the shutdown.
    let server = EmbeddedPostgres::start(options(&data_dir)).await.unwrap();
    PgConnection::connect(server.url()).await.unwrap();
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn an_unprivileged_user_runs_it_as_itself() {
    const USER: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        return; // All the other tests show it then.
    }
    let directory = directory();
    let data_dir = directory.path().join("data");
    std::fs::create_dir(&data_dir).unwrap();
    chown(&data_dir, Some(USER), Some(USER)).unwrap();
    let mut owner = hold(&data_dir, Some(USER));
    PgConnection::connect(&owner.url).await.unwrap();
    let cluster = std::fs::metadata(data_dir.join("postgres")).unwrap();
    assert_eq!(cluster.uid(), USER);
    drop(owner.process.stdin.take());
    assert!(owner.process.wait().unwrap().success());

    // Root takes it over under its owner's account.
    let server = EmbeddedPostgres::start(options(&data_dir)).await.unwrap();
    PgConnection::connect(server.url()).await.unwrap();
    server.stop().await;
}
