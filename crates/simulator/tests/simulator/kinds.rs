//! What a client sees of the kinds of faults that spoil an answer or its connection, and what
//! `GET /stats` says of them.

use crate::support::{
    CHAT, COMPLETIONS, GEMMA, Reply, chat, endpoint, get, post, post_text, prompt_of, request_to,
};
use axum::http::header;
use frugal_simulator::{CellKey, Recordings, SimulatorOptions, parse_faults, serve};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn with(spec: &str) -> SimulatorOptions {
    SimulatorOptions {
        faults: parse_faults(spec).unwrap(),
        ..SimulatorOptions::default()
    }
}

fn body() -> Value {
    crate::support::request(json!({"n": 2, "max_tokens": 8, "seed": 3}))
}

async fn under(spec: &str) -> Reply {
    post(&endpoint(with(spec)), COMPLETIONS, &body()).await
}

#[tokio::test]
async fn finish_reasons_are_spoilt() {
    for (spec, reason) in [
        ("null_finish_reason=1", Value::Null),
        ("interrupted=1", json!("insufficient_system_resource")),
    ] {
        let reply = under(spec).await.json();
        for choice in reply["choices"].as_array().unwrap() {
            assert_eq!(choice["finish_reason"], reason, "{spec}");
            assert!(choice["text"].is_string());
        }
    }
}

#[tokio::test]
async fn usage_is_spoilt() {
    let right = post(&endpoint(SimulatorOptions::default()), COMPLETIONS, &body()).await;
    let right = right.json()["usage"].clone();
    assert!(under("no_usage=1").await.json().get("usage").is_none());
    let impossible = under("impossible_usage=1").await.json()["usage"].clone();
    assert_eq!(impossible["completion_tokens"], 1000 * 2 * 8);
    assert_eq!(impossible["total_tokens"], 0);

    let reasoning = endpoint(with("reasoning_apart=1"));
    let usage = post(&reasoning, COMPLETIONS, &body()).await.json()["usage"].clone();
    let tokens = right["completion_tokens"].as_u64().unwrap();
    assert_eq!(usage["completion_tokens"], tokens);
    assert_eq!(
        usage["completion_tokens_details"]["reasoning_tokens"],
        tokens
    );
    assert_eq!(
        usage["total_tokens"],
        right["prompt_tokens"].as_u64().unwrap() + 2 * tokens
    );
    let billed = reasoning.statistics().billed();
    assert_eq!(billed.completion_tokens, 2 * tokens, "reasoning is billed");
}

#[tokio::test]
async fn bodies_are_not_what_was_asked_for() {
    let whole = post(&endpoint(SimulatorOptions::default()), COMPLETIONS, &body()).await;
    let stream = under("event_stream=1").await;
    assert_eq!(stream.headers[header::CONTENT_TYPE], "text/event-stream");
    assert!(stream.text.starts_with("data: {"), "{}", stream.text);
    assert!(stream.text.ends_with("data: [DONE]\n\n"), "{}", stream.text);
    let page = under("502=1").await;
    assert_eq!(page.status, 502);
    assert!(page.text.starts_with("<!DOCTYPE html>"), "{}", page.text);
    let half = under("lone_surrogate=1").await.text;
    assert_eq!(half.matches("\\ud83d\"").count(), 2, "{half}");
    assert_eq!(half.replace("\\ud83d\"", "\"").len(), whole.text.len());
}

#[tokio::test]
async fn what_a_request_has_is_refused_beside_other_faults() {
    let endpoint = endpoint(with("refused_seed=1,refused_max_tokens=1,503=1"));
    let messages = json!([{"role": "user", "content": prompt_of(&crate::support::CELL)}]);
    let mut refused = Vec::new();
    for further in [json!({"seed": 1}), json!({"max_tokens": 4}), json!({})] {
        let reply = post(&endpoint, CHAT, &chat(messages.clone(), further)).await;
        let (status, _, parameter) = reply.error();
        refused.push((status, parameter));
    }
    let expected = [(400, "seed"), (400, "max_tokens"), (503, "")];
    assert_eq!(
        refused,
        expected.map(|(status, name)| (status, name.to_owned()))
    );
}

#[tokio::test]
async fn the_same_prompts_are_refused_whatever_else_is_asked() {
    let endpoint = endpoint(with("refused_prompt=0.3"));
    let recordings = Recordings::embedded().unwrap();
    let keys = recordings.cell_keys();
    let cells: Vec<&CellKey<'_>> = keys.iter().filter(|key| key.model == GEMMA).collect();
    let mut refused = 0_usize;
    for key in &cells {
        let mut statuses = Vec::new();
        for further in [json!({}), json!({}), json!({"n": 2})] {
            statuses.push(
                post(&endpoint, COMPLETIONS, &request_to(key, further))
                    .await
                    .status,
            );
        }
        assert!(
            statuses.iter().all(|status| *status == statuses[0]),
            "{key:?}"
        );
        refused += usize::from(statuses[0] == 403);
    }
    assert!(
        refused > 0 && refused < cells.len(),
        "{refused} of {}",
        cells.len()
    );
}

/// Sends a request on a connection that is to be kept.
async fn ask(connection: &mut TcpStream) {
    let body = body().to_string();
    let length = body.len();
    let text = format!(
        "POST {COMPLETIONS} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    connection.write_all(text.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn a_connection_is_reset_before_any_byte() {
    let simulator = serve(with("reset=1")).await.unwrap();
    let mut connection = TcpStream::connect(simulator.address()).await.unwrap();
    ask(&mut connection).await;
    let mut bytes = Vec::new();
    let error = connection.read_to_end(&mut bytes).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(bytes.is_empty());
    let statistics = simulator.statistics();
    assert!(statistics.statuses.is_empty(), "no status was sent");
    assert_eq!(statistics.faults["reset"], 1);
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_kept_connection_closes_unannounced() {
    let simulator = serve(with("idle_closed=1")).await.unwrap();
    let mut connection = TcpStream::connect(simulator.address()).await.unwrap();
    ask(&mut connection).await;
    let mut text = String::new();
    // Ends without an error only where the server closes a connection that it had kept.
    connection.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(!head.contains("connection: close"), "{head}");
    assert!(serde_json::from_str::<Value>(body).unwrap()["choices"].is_array());
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_answer_is_gzipped_for_whoever_did_not_ask() {
    let simulator = serve(with("gzip=1")).await.unwrap();
    let mut connection = TcpStream::connect(simulator.address()).await.unwrap();
    ask(&mut connection).await;
    let mut bytes = Vec::new();
    let is_gzip = |bytes: &[u8]| bytes.windows(6).any(|six| six == b"\r\n\r\n\x1f\x8b");
    while !is_gzip(&bytes) {
        assert!(
            connection.read_buf(&mut bytes).await.unwrap() > 0,
            "no gzip"
        );
    }
    assert!(String::from_utf8_lossy(&bytes).contains("content-encoding: gzip"));
    drop(connection);
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn stats_tell_what_was_asked_and_what_is_billed() {
    let endpoint = endpoint(with("refused_n=1"));
    let good = crate::support::request(json!({"n": 1}));
    let answered = post(&endpoint, COMPLETIONS, &good).await.json();
    assert_eq!(post(&endpoint, COMPLETIONS, &body()).await.status, 400);
    assert_eq!(post_text(&endpoint, CHAT, "{}").await.status, 400);
    let usage = json!({
        "requests": 1,
        "responses": 1,
        "prompt_tokens": answered["usage"]["prompt_tokens"],
        "completion_tokens": answered["usage"]["completion_tokens"],
    });
    let none = json!({"requests": 0, "responses": 0, "prompt_tokens": 0, "completion_tokens": 0});
    assert_eq!(
        get(&endpoint, "/stats").await.json(),
        json!({
            "requests": 3,
            "in_flight": 0,
            "most_in_flight": 1,
            "abandoned": 0,
            "repeated": 0,
            "statuses": {"200": 1, "400": 2},
            "faults": {"refused_n": 1},
            "models": {GEMMA: {"delivered": usage, "undelivered": none, "billed": usage}},
            "billed": usage,
        })
    );
}

#[tokio::test]
async fn answers_that_are_given_again_are_counted() {
    let endpoint = endpoint(SimulatorOptions::default());
    let mut other = body();
    other["seed"] = json!(77);
    for request in [&body(), &other, &body(), &body()] {
        assert_eq!(post(&endpoint, COMPLETIONS, request).await.status, 200);
    }
    assert_eq!(get(&endpoint, "/stats").await.json()["repeated"], 2);
}
