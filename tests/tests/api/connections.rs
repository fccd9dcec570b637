//! Connections that are silent, slow or gone: they are let go, and keep nobody out.

use crate::{catalog, job};
use frugal::config::TlsFiles;
use frugal_api::Connections;
use frugal_tests::app::{Limits, TestApp};
use frugal_tests::client::ApiClient;
use futures::future::join_all;
use futures::stream::{self, StreamExt};
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a server may take to let go of what it should, before the test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

async fn start(connections: Connections) -> TestApp {
    let limits = Limits {
        connections,
        ..Limits::default()
    };
    TestApp::with_limits(catalog(), limits).await
}

/// Impatient ones, so that tests are short.
fn impatient() -> Connections {
    Connections {
        head_timeout: Duration::from_secs(1),
        silence_timeout: Duration::from_secs(2),
        ..Connections::default()
    }
}

/// Reads until the other end closes; how long that took.
async fn until_closed(stream: &mut TcpStream) -> Duration {
    let begun = Instant::now();
    let mut bytes = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    // A reset ends it as well.
    assert!(ended.is_ok(), "the server keeps the connection");
    begun.elapsed()
}

#[tokio::test]
async fn half_open_connections_are_let_go_and_keep_nobody_out() {
    let app = start(impatient()).await;
    // A few at a time: what does not fit into the kernel's queue is open at this end alone.
    let connects = stream::iter(0..2_000).map(|_| TcpStream::connect(app.address()));
    let silent: Vec<_> = connects.buffer_unordered(50).collect().await;
    let mut silent: Vec<_> = silent.into_iter().map(Result::unwrap).collect();
    // Half of them begin and say no more.
    for stream in silent.iter_mut().step_by(2) {
        stream
            .write_all(b"GET /jobs HTTP/1.1\r\nhost: local")
            .await
            .unwrap();
    }
    let begun = Instant::now();
    assert_eq!(app.api.json("/healthz").await["status"], "ok");
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    join_all(silent.iter_mut().map(until_closed)).await;
    // Over a connection of its own: the one that is kept is let go at about this time too.
    let api = ApiClient::new(&format!("http://{}", app.address()));
    let metrics = api.get("/metrics").await.text().await.unwrap();
    let open = metrics
        .lines()
        .find_map(|line| line.strip_prefix("frugal_http_connections "));
    let open: u64 = open.unwrap().parse().unwrap();
    assert!(open < 10, "{open} are open");
    app.end().await;
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_not_waited_for() {
    let app = start(impatient()).await;
    let mut slow = TcpStream::connect(app.address()).await.unwrap();
    let begun = Instant::now();
    let head = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-slow: ".iter();
    let mut written = 0;
    for byte in head.chain(std::iter::repeat(&b'a')) {
        if slow.write_all(&[*byte]).await.is_err() || begun.elapsed() > PATIENCE {
            break;
        }
        written += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let took = begun.elapsed();
    assert!(
        took < Duration::from_secs(8),
        "{written} bytes were taken in {took:?}"
    );
    app.end().await;
}

#[tokio::test]
async fn a_connection_that_is_kept_and_not_used_is_let_go() {
    let app = start(impatient()).await;
    let mut kept = TcpStream::connect(app.address()).await.unwrap();
    for _ in 0..3 {
        kept.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .await
            .unwrap();
        let mut answer = [0; 4_096];
        let read = kept.read(&mut answer).await.unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 200 OK"));
    }
    let took = until_closed(&mut kept).await;
    assert!(took < Duration::from_secs(8), "{took:?}");
    app.end().await;
}

#[tokio::test]
async fn who_asks_and_never_reads_is_let_go() {
    let app = start(impatient()).await;
    let mut deaf = TcpStream::connect(app.address()).await.unwrap();
    // More than sockets hold.
    let request = b"GET /openapi.yaml HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(1_000);
    let begun = Instant::now();
    deaf.write_all(&request).await.unwrap();
    let refused = loop {
        assert!(begun.elapsed() < PATIENCE, "the server keeps it");
        match deaf.try_write(b"\r\n") {
            Err(error) if error.kind() != ErrorKind::WouldBlock => break error,
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let gone = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    assert!(gone.contains(&refused.kind()), "{refused}");
    app.end().await;
}

#[tokio::test]
async fn more_connections_than_may_be_wait_for_their_turn() {
    let connections = Connections {
        most: 2,
        ..impatient()
    };
    let app = start(connections).await;
    let _first = TcpStream::connect(app.address()).await.unwrap();
    let _second = TcpStream::connect(app.address()).await.unwrap();
    // Those two are let go, and then it is this one's turn.
    let path = app.api.submit(&job()).await;
    assert_eq!(app.api.json(&path).await["state"], "queued");
    app.end().await;
}

#[tokio::test]
async fn streams_and_long_polls_outlive_these_times() {
    let app = start(impatient()).await;
    let path = app.api.submit(&job()).await;
    let polling = async {
        let begun = Instant::now();
        let job = app.api.json(&format!("{path}?wait=4")).await;
        assert_eq!(job["state"], "queued");
        assert!(begun.elapsed() >= Duration::from_secs(4));
    };
    let following = async {
        let answer = app
            .api
            .request(reqwest::Method::GET, &format!("{path}/events"));
        let answer = answer
            .header("accept", "text/event-stream")
            .send()
            .await
            .unwrap();
        let mut stream = answer;
        let first = stream.chunk().await.unwrap().unwrap();
        assert!(String::from_utf8_lossy(&first).contains("job.queued"));
        let more = tokio::time::timeout(Duration::from_secs(5), stream.chunk()).await;
        assert!(more.is_err(), "the stream is open and quiet: {more:?}");
    };
    tokio::join!(polling, following);
    app.end().await;
}

#[tokio::test]
async fn it_speaks_tls_with_the_operators_certificate() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tls"));
    let files = TlsFiles {
        certificate: folder.join("certificate.pem"),
        key: folder.join("key.pem"),
    };
    let connections = Connections {
        tls: Some(frugal::tls::load(&files).unwrap()),
        ..impatient()
    };
    let app = start(connections).await;
    let url = format!("https://localhost:{}/healthz", app.address().port());
    let root = std::fs::read(&files.certificate).unwrap();
    let root = reqwest::Certificate::from_pem(&root).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([root]);
    let answer = client.build().unwrap().get(&url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    // Whoever does not know the certificate does not trust it.
    assert!(reqwest::get(&url).await.is_err());

    // Who speaks no TLS is not answered, and who says nothing is let go.
    let mut plain = TcpStream::connect(app.address()).await.unwrap();
    plain
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, plain.read_to_end(&mut answer))
        .await
        .unwrap();
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    let mut silent = TcpStream::connect(app.address()).await.unwrap();
    assert!(until_closed(&mut silent).await < Duration::from_secs(8));

    // Files that do not belong together are refused in words.
    let wrong = TlsFiles {
        key: files.certificate.clone(),
        ..files
    };
    let refused = frugal::tls::load(&wrong).unwrap_err().to_string();
    assert!(
        refused.starts_with("tls_key: cannot read a private key"),
        "{refused}"
    );
    app.end().await;
}
