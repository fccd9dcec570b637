//! A server whose traces go to a collector: what arrives there, and what does not.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what the tests need and do not get ends them, in helpers as in the tests themselves"
)]

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use frugal_simulator::{Script, Simulator, SimulatorOptions};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStderr, Command};

/// What must not leave: of a prompt, of an answer, of the data, and the keys of an endpoint and of the collector.
const PROMPT: &str = "Reckon with care";
const ANSWER: &str = "Surely it is";
const ROW: &str = "seventeen apples";
const ENDPOINT_KEY: &str = "sk-of-the-endpoint";
const COLLECTOR_KEY: &str = "Bearer of-the-collector";

/// The span of the client that a request is from.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// Everything that may be said of a span.
const ATTRIBUTES: [&str; 18] = [
    "error.type",
    "frugal.attempt.number",
    "frugal.deployment",
    "frugal.endpoint",
    "frugal.job.attempt",
    "frugal.job.id",
    "frugal.job.state",
    "frugal.request.id",
    "frugal.request.purpose",
    "frugal.step.kind",
    "frugal.trial.number",
    "gen_ai.operation.name",
    "gen_ai.request.choice.count",
    "gen_ai.request.max_tokens",
    "gen_ai.request.model",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "http.request.method",
];
const OF_REQUESTS: [&str; 2] = ["http.response.status_code", "http.route"];

/// What a collector was sent.
#[derive(Debug, Clone, Default)]
struct Collected(Arc<Mutex<Vec<(HeaderMap, Bytes)>>>);

async fn collect(State(collected): State<Collected>, headers: HeaderMap, body: Bytes) {
    collected.0.lock().unwrap().push((headers, body));
}

/// A collector on loopback, and its address.
async fn collector() -> (String, Collected) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let collected = Collected::default();
    let app = axum::Router::new()
        .route("/v1/traces", post(collect))
        .with_state(collected.clone());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (url, collected)
}

/// A server with one worker, a PostgreSQL of its own and an endpoint of known answers.
struct Server {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    url: String,
    _folder: TempDir,
    _simulator: Simulator,
}

impl Server {
    async fn start(otlp_endpoint: &str) -> Self {
        let script = json!([{"contains": PROMPT, "answers": [format!("{ANSWER} 17.")]}]);
        let simulator = frugal_simulator::serve(SimulatorOptions {
            script: Some(Script::parse(&script.to_string()).unwrap()),
            ..SimulatorOptions::default()
        });
        let simulator = simulator.await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        // The database's account comes by where the tests run as root.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let config = folder.path().join("frugal.toml");
        let text = format!(
            "otlp_endpoint = '{otlp_endpoint}'\n[endpoints.local]\nbase_url = '{}'\napi_key_env = 'OF_THE_ENDPOINT'\n\
             [endpoints.local.models.small]\ninput_usd_per_million = 0.5\noutput_usd_per_million = 1.5\n",
            simulator.base_url()
        );
        std::fs::write(&config, text).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_frugal"))
            .args(["serve", "--listen", "127.0.0.1:0", "--workers", "1"])
            .args(["--log", "info", "--log-format", "json", "--config"])
            .arg(&config)
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .env_remove("DATABASE_URL")
            .env("OF_THE_ENDPOINT", ENDPOINT_KEY)
            .env(
                "OTEL_EXPORTER_OTLP_HEADERS",
                format!("authorization={}", COLLECTOR_KEY.replace(' ', "%20")),
            )
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let address = loop {
            let line = log.next_line().await.unwrap();
            let Some(line) = line else {
                panic!("the server ended:\n{said}")
            };
            let entry: Value = serde_json::from_str(&line).unwrap_or_default();
            if entry["message"] == "serving" {
                break entry["address"].as_str().unwrap().to_owned();
            }
            said.push_str(&line);
        };
        Self {
            child,
            log,
            url: format!("http://{address}"),
            _folder: folder,
            _simulator: simulator,
        }
    }

    /// Posts a job under a client's span, and waits until it has ended.
    async fn run_job(&self) -> String {
        let job = json!({
            "data": {"instances": [{"question": ROW, "answer": 17}, {"question": "another", "answer": 17}]},
            "model": "small",
            "prompt": format!("{PROMPT}: {{{{ question }}}}?"),
            "search_space": {"temperature": {"float": [0, 1]}, "max_tokens": 16},
            "scoring": {"scorer": {"type": "numeric", "expected": "{{ answer }}"}},
            "budgets": {"optimization": {"usd": 0.01}},
            "limits": {"trials": 2},
            "search": {"seed": 1}
        });
        let posted = http()
            .post(format!("{}/jobs", self.url))
            .header("traceparent", format!("00-{TRACE}-{PARENT}-01"))
            .json(&job)
            .send()
            .await
            .unwrap();
        let status = posted.status();
        let posted: Value = posted.json().await.unwrap();
        assert_eq!(status, 201, "{posted}");
        let id = posted["id"].as_str().unwrap().to_owned();
        let watched = Command::new(env!("CARGO_BIN_EXE_frugal"))
            .args(["watch", &id, "--url", &self.url])
            .output()
            .await
            .unwrap();
        assert!(watched.status.success(), "{watched:?}");
        id
    }

    /// Stops the server, which must end well, and gives what it logged since it served.
    async fn stop(mut self) -> Vec<String> {
        let id = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().await;
        assert!(sent.unwrap().success());
        let mut lines = Vec::new();
        while let Some(line) = self.log.next_line().await.unwrap() {
            lines.push(line);
        }
        let ended = self.child.wait().await.unwrap();
        assert!(ended.success(), "{lines:?}");
        lines
    }
}

fn http() -> reqwest::Client {
    frugal_llm::install_crypto_provider();
    reqwest::Client::new()
}

/// A span as a collector reads it.
#[derive(Debug)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    name: String,
    kind: u64,
    attributes: BTreeMap<String, Value>,
    events: usize,
}

/// A field of a protobuf message: a number, or bytes.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a protobuf message, by their numbers.
fn fields(mut message: &[u8]) -> Vec<(u64, Field<'_>)> {
    fn varint(message: &mut &[u8]) -> u64 {
        let mut value = 0;
        for place in 0.. {
            let (byte, rest) = message.split_first().unwrap();
            *message = rest;
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut all = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let length = match key & 7 {
            0 => {
                all.push((key >> 3, Field::Number(varint(&mut message))));
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut message)).unwrap(),
            5 => 4,
            other => panic!("no wire type: {other}"),
        };
        let (bytes, rest) = message.split_at(length);
        message = rest;
        all.push((key >> 3, Field::Bytes(bytes)));
    }
    all
}

/// The messages or bytes of a field that may be there several times.
fn bytes(message: &[u8], number: u64) -> Vec<&[u8]> {
    let fields = fields(message).into_iter();
    let found = fields.filter_map(|(of, field)| match field {
        Field::Bytes(bytes) if of == number => Some(bytes),
        _ => None,
    });
    found.collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The attributes of a span (`KeyValue`s, of texts and whole numbers).
fn attributes(message: &[u8], number: u64) -> BTreeMap<String, Value> {
    let pairs = bytes(message, number).into_iter().map(|pair| {
        let value = bytes(pair, 2)[0];
        let value = match fields(value).remove(0) {
            (1, Field::Bytes(said)) => json!(text(said)),
            (3, Field::Number(number)) => json!(number),
            (kind, _) => panic!("an attribute is of another kind: {kind}"),
        };
        (text(bytes(pair, 1)[0]), value)
    });
    pairs.collect()
}

/// The spans of an `ExportTraceServiceRequest`, whose resource must be this program.
fn spans(request: &[u8]) -> Vec<Span> {
    let mut all = Vec::new();
    for of_resource in bytes(request, 1) {
        let resource = attributes(bytes(of_resource, 1)[0], 1);
        assert_eq!(resource["service.name"], "frugal");
        assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
        for of_scope in bytes(of_resource, 2) {
            all.extend(bytes(of_scope, 2).into_iter().map(|span| {
                let only = |number| bytes(span, number).first().copied().unwrap_or_default();
                let kind = fields(span).into_iter().find_map(|field| match field {
                    (6, Field::Number(kind)) => Some(kind),
                    _ => None,
                });
                Span {
                    trace: hex(only(1)),
                    id: hex(only(2)),
                    parent: hex(only(4)),
                    name: text(only(5)),
                    kind: kind.unwrap_or_default(),
                    attributes: attributes(span, 9),
                    events: bytes(span, 11).len(),
                }
            }));
        }
    }
    all
}

#[tokio::test]
async fn traces_of_a_job_arrive_and_no_text_of_it() {
    let (url, collected) = collector().await;
    let server = Server::start(&url).await;
    let id = server.run_job().await;
    let nothing = http().get(format!("{}/nowhere", server.url)).send().await;
    assert_eq!(nothing.unwrap().status(), 404);
    server.stop().await;

    let sent = collected.0.lock().unwrap().clone();
    let mut all = Vec::new();
    for (headers, body) in &sent {
        assert_eq!(headers["content-type"], "application/x-protobuf");
        assert_eq!(headers["authorization"], COLLECTOR_KEY);
        for secret in [PROMPT, ANSWER, ROW, ENDPOINT_KEY, COLLECTOR_KEY] {
            let mut places = body.windows(secret.len());
            assert!(!places.any(|place| place == secret.as_bytes()), "{secret}");
        }
        all.extend(spans(body));
    }
    let known = ATTRIBUTES.iter().chain(&OF_REQUESTS).copied();
    let known: BTreeSet<&str> = known.collect();
    for span in &all {
        let unknown = span
            .attributes
            .keys()
            .find(|key| !known.contains(key.as_str()));
        assert_eq!(unknown, None, "{span:?}");
        assert_eq!(span.events, 0, "{span:?}");
    }

    let named = |name: &str| {
        let found = all.iter().find(|span| span.name == name);
        found.unwrap_or_else(|| panic!("no span {name}: {all:#?}"))
    };
    let posted = named("POST /jobs");
    assert_eq!(
        (posted.trace.as_str(), posted.parent.as_str()),
        (TRACE, PARENT)
    );
    assert_eq!(posted.kind, 2);
    assert_eq!(posted.attributes["http.response.status_code"], 201);
    // Without a route a path may be anything, and is not told.
    let nowhere = named("GET");
    assert_eq!(nowhere.attributes["http.response.status_code"], 404);
    assert_eq!(nowhere.attributes.get("http.route"), None);

    let job = named("job");
    assert_eq!((job.parent.as_str(), job.kind), ("", 1));
    assert_eq!(job.attributes["frugal.job.id"], id.as_str());
    assert_eq!(job.attributes["frugal.job.attempt"], 1);
    assert_eq!(job.attributes["frugal.job.state"], "succeeded");
    for kind in ["send", "score", "record"] {
        let step = named(kind);
        assert_eq!((&step.trace, &step.parent), (&job.trace, &job.id), "{kind}");
    }
    let attempts = all.iter().filter(|span| span.name == "chat small");
    let mut count = 0;
    for attempt in attempts {
        let step = all.iter().find(|span| span.id == attempt.parent).unwrap();
        assert_eq!((step.name.as_str(), attempt.kind), ("send", 3));
        let said = |key: &str| &attempt.attributes[key];
        assert_eq!(said("gen_ai.operation.name"), "chat");
        assert_eq!(said("frugal.endpoint"), "local");
        assert_eq!(said("http.response.status_code"), 200);
        assert_eq!(said("gen_ai.request.max_tokens"), 16);
        assert!(said("gen_ai.usage.output_tokens").as_u64() > Some(0));
        count += 1;
    }
    assert!(count >= 2, "{count} attempts");
}

#[tokio::test]
async fn traces_without_a_collector_cost_a_warning() {
    // Nothing listens there once the listener is gone.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let server = Server::start(&url).await;
    let id = server.run_job().await;
    let lines = server.stop().await;
    let warnings: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("spans do not reach their collector"))
        .collect();
    assert_eq!(warnings.len(), 1, "{lines:#?}");
    assert!(warnings[0].contains(&url) && warnings[0].contains("\"WARN\""));
    // The log is as without traces: its lines have the span of the job, whatever else there is for the collector.
    let ended = lines.iter().find(|line| line.contains("the job has ended"));
    let ended: Value = serde_json::from_str(ended.unwrap()).unwrap();
    assert_eq!(ended["span"]["name"], "job", "{ended}");
    assert_eq!(ended["span"]["id"], id.as_str(), "{ended}");
    assert!(!lines.concat().contains(COLLECTOR_KEY), "{lines:#?}");
}

#[tokio::test]
async fn traces_that_nobody_takes_do_not_keep_a_server_from_stopping() {
    // Connections are taken by the kernel, and answered by nobody.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = Server::start(&url).await;
    let ready = http().get(format!("{}/readyz", server.url)).send().await;
    assert_eq!(ready.unwrap().status(), 200);
    let begun = Instant::now();
    server.stop().await;
    // Three seconds for the spans, and generously what a server takes without any.
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    drop(listener);
}
