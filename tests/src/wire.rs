//! A wire between a program and its PostgreSQL that can be cut, or end the program, at a chosen moment:
//! before a write or a commit gets through, or after it got through and before the program hears so.
//!
//! It reads what goes along it, as PostgreSQL's protocol has it: what is sent up to a `Sync` or a simple
//! query is an exchange, which the server ends with `ReadyForQuery`. Exchanges go on one at a time, also
//! where the program sends several ahead. So a moment has a name that is the same in each run: what tables
//! are written there, and the how-manieth time.
#![expect(
    clippy::expect_used,
    reason = "a test without its wire fails here, as it would at an assertion"
)]

mod exchange;
mod relay;

pub use exchange::Moment;

use relay::Relay;
use sqlx::postgres::PgConnectOptions;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

/// What happens at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks before it gets through, and the program does not know.
    CutBefore,
    /// It gets through, and the connection breaks before the program hears of it.
    CutAfter,
    /// The process of this id is killed before it gets through.
    KillBefore(u32),
    /// It gets through, and the process of this id is killed before it hears of it.
    KillAfter(u32),
}

impl Fault {
    const fn lets_through(self) -> bool {
        matches!(self, Self::CutAfter | Self::KillAfter(_))
    }
}

/// What is to happen when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    /// At what.
    pub at: Moment,
    /// The how-manieth time, from 1.
    pub nth: u64,
    /// What happens.
    pub fault: Fault,
}

/// A wire to a database. Dropped, all that goes along it is cut.
#[derive(Debug)]
pub struct Wire {
    url: String,
    shared: Arc<Shared>,
    _listening: AbortOnDropHandle<()>,
}

/// Where the database is.
#[derive(Debug)]
enum Upstream {
    Socket(PathBuf),
    Address(String, u16),
}

/// What all connections of a wire share.
#[derive(Debug)]
struct Shared {
    upstream: Upstream,
    seen: Mutex<BTreeMap<Moment, u64>>,
    ahead: Mutex<Option<Break>>,
    /// Of a thousand commits, so many are cut, half of them before they get through.
    cuts: Mutex<Option<Box<dyn Dice>>>,
    faults: AtomicU64,
    struck: Notify,
}

/// Decides at random, from a seed.
trait Dice: Send + std::fmt::Debug {
    fn fault(&mut self) -> Option<Fault>;
}

/// One in so many.
#[derive(Debug)]
struct OneIn<R> {
    count: u32,
    rng: R,
}

impl<R: rand::Rng + Send + std::fmt::Debug> Dice for OneIn<R> {
    fn fault(&mut self) -> Option<Fault> {
        use rand::RngExt;
        let strikes = self.rng.random_ratio(1, self.count);
        let after = self.rng.random_bool(0.5);
        match (strikes, after) {
            (false, _) => None,
            (true, false) => Some(Fault::CutBefore),
            (true, true) => Some(Fault::CutAfter),
        }
    }
}

impl Wire {
    /// A wire to the database of this URL, which is reached without TLS.
    ///
    /// # Panics
    /// If the URL is none, or no port is free.
    pub async fn to(database_url: &str) -> Self {
        let options: PgConnectOptions = database_url.parse().expect("the database has a URL");
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port is free");
        let port = listener.local_addr().expect("it has a port").port();
        let upstream = match options.get_socket() {
            Some(directory) => {
                let name = format!(".s.PGSQL.{}", options.get_port());
                Upstream::Socket(directory.join(name))
            }
            None if options.get_host().starts_with('/') => {
                let name = format!(".s.PGSQL.{}", options.get_port());
                Upstream::Socket(PathBuf::from(options.get_host()).join(name))
            }
            None => Upstream::Address(options.get_host().to_owned(), options.get_port()),
        };
        let shared = Arc::new(Shared {
            upstream,
            seen: Mutex::default(),
            ahead: Mutex::default(),
            cuts: Mutex::default(),
            faults: AtomicU64::new(0),
            struck: Notify::new(),
        });
        let listening = listen(listener, Arc::clone(&shared));
        Self {
            url: format!(
                "postgres://{}@127.0.0.1:{port}/{}?sslmode=disable",
                credentials(database_url, &options),
                options.get_database().unwrap_or("postgres")
            ),
            shared,
            _listening: AbortOnDropHandle::new(tokio::spawn(listening)),
        }
    }

    /// The database's URL for whoever is to reach it along this wire.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How often each moment has come so far.
    #[must_use]
    pub fn seen(&self) -> BTreeMap<Moment, u64> {
        lock(&self.shared.seen).clone()
    }

    /// Says what is to happen when. The count goes from the beginning of the wire.
    pub fn break_at(&self, ahead: Break) {
        *lock(&self.shared.ahead) = Some(ahead);
    }

    /// From now on cuts one in so many commits, half of them before they get through.
    pub fn cut_one_in(&self, count: u32, rng: impl rand::Rng + Send + std::fmt::Debug + 'static) {
        *lock(&self.shared.cuts) = Some(Box::new(OneIn { count, rng }));
    }

    /// Cuts nothing at random any more.
    pub fn cut_no_more(&self) {
        *lock(&self.shared.cuts) = None;
    }

    /// How many faults there were.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.shared.faults.load(Ordering::Relaxed)
    }

    /// Waits until there was a fault that was not waited for yet.
    pub async fn struck(&self) {
        self.shared.struck.notified().await;
    }
}

impl Shared {
    /// Counts a moment, and tells what happens at it.
    fn at(&self, moment: &Moment) -> Option<Fault> {
        let count = {
            let mut seen = lock(&self.seen);
            let count = seen.entry(moment.clone()).or_default();
            *count += 1;
            *count
        };
        let mut ahead = lock(&self.ahead);
        if ahead
            .as_ref()
            .is_some_and(|ahead| ahead.at == *moment && ahead.nth == count)
        {
            return ahead.take().map(|ahead| ahead.fault);
        }
        match moment {
            Moment::Commit(_) => lock(&self.cuts).as_mut()?.fault(),
            Moment::Write(_) => None,
        }
    }

    fn strikes(&self) {
        self.faults.fetch_add(1, Ordering::Relaxed);
        self.struck.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who connects, as the URL has it: a password is kept.
fn credentials(url: &str, options: &PgConnectOptions) -> String {
    let authority = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = authority.split(['/', '?']).next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((credentials, _)) => credentials.to_owned(),
        None => options.get_username().to_owned(),
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    // Dropped with this, all that they carry is cut.
    let mut relays = tokio::task::JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        relays.spawn(async move {
            // A database that is away is one that does not answer.
            match &shared.upstream {
                Upstream::Socket(path) => {
                    if let Ok(server) = UnixStream::connect(path).await {
                        relay(&shared, client, server).await;
                    }
                }
                Upstream::Address(host, port) => {
                    if let Ok(server) = TcpStream::connect((host.as_str(), *port)).await {
                        relay(&shared, client, server).await;
                    }
                }
            }
        });
        while relays.try_join_next().is_some() {}
    }
}

async fn relay(
    shared: &Shared,
    client: TcpStream,
    server: impl AsyncRead + AsyncWrite + Unpin + Send,
) {
    // Statements are small, and each waits for the one before.
    let _ = client.set_nodelay(true);
    // However it ends, both ends are closed with it.
    let _ = Relay::new(shared, client, server).run().await;
}
