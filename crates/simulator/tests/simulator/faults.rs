//! Each fault strikes as it says, and the gate holds answers, over a real socket where that matters.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::Duration;

use crate::support::{
    CELL, CHAT, COMPLETIONS, GEMMA, Reply, chat, endpoint, post, post_text, prompt_of, request,
};
use axum::http::header;
use frugal_simulator::{
    Fault, FaultRate, Faults, Latency, Recordings, SimulatorOptions, serve, serve_recordings,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn always(fault: Fault) -> SimulatorOptions {
    SimulatorOptions {
        faults: Faults::rate(fault, 1.0),
        ..SimulatorOptions::default()
    }
}

fn body() -> Value {
    request(json!({"n": 4, "max_tokens": 128, "temperature": 0.7, "seed": 9}))
}

async fn undisturbed() -> Reply {
    post(&endpoint(SimulatorOptions::default()), COMPLETIONS, &body()).await
}

#[tokio::test]
async fn refusals_come_with_their_status_and_headers() {
    let limited = "rate_limit_exceeded";
    let cases = [
        (
            Fault::rate_limited(None),
            429,
            limited,
            None,
            "rate_limited_silent",
        ),
        (
            Fault::rate_limited(Some("1")),
            429,
            limited,
            Some("1"),
            "rate_limited",
        ),
        (
            Fault::rate_limited(Some("-1")),
            429,
            limited,
            Some("-1"),
            "refused_429",
        ),
        (
            Fault::rate_limited_in_words(),
            429,
            limited,
            None,
            "rate_limited_in_words",
        ),
        (
            Fault::insufficient_quota(),
            429,
            "insufficient_quota",
            None,
            "insufficient_quota",
        ),
        (
            Fault::capacity_exceeded(),
            498,
            "capacity_exceeded",
            None,
            "498",
        ),
        (Fault::internal_error(), 500, "", None, "500"),
        (Fault::unavailable(), 503, "", None, "503"),
        (Fault::overloaded(), 529, "", None, "529"),
        (
            Fault::context_length_exceeded(),
            400,
            "context_length_exceeded",
            None,
            "context_length",
        ),
    ];
    for (fault, status, code, retry_after, name) in cases {
        let endpoint = endpoint(always(fault.clone()));
        for path in [COMPLETIONS, CHAT] {
            let reply = post(&endpoint, path, &body()).await;
            let (actual, actual_code, _) = reply.error();
            assert_eq!((actual, actual_code.as_str()), (status, code), "{fault:?}");
            let header = reply
                .headers
                .get(header::RETRY_AFTER)
                .map(|value| value.to_str().unwrap());
            assert_eq!(header, retry_after, "{fault:?}");
        }
        let statistics = endpoint.statistics();
        assert_eq!(statistics.statuses, [(status, 2)].into());
        assert_eq!(statistics.faults, [(name.to_owned(), 2)].into());
        assert!(statistics.models.is_empty(), "nothing is billed");
    }
}

#[tokio::test]
async fn successes_that_are_none() {
    let html = post(&endpoint(always(Fault::Html)), COMPLETIONS, &body()).await;
    assert_eq!(html.status, 200);
    assert!(
        html.headers[header::CONTENT_TYPE]
            .to_str()
            .unwrap()
            .starts_with("text/html")
    );
    assert!(html.text.starts_with("<!DOCTYPE html>"));

    let inside = post(&endpoint(always(Fault::ErrorInside)), COMPLETIONS, &body()).await;
    assert_eq!(inside.error().0, 200);

    let endpoint = endpoint(always(Fault::Truncated));
    let truncated = post(&endpoint, COMPLETIONS, &body()).await;
    assert!(truncated.status == 200 && truncated.whole);
    assert!(serde_json::from_str::<Value>(&truncated.text).is_err());
    assert!(undisturbed().await.text.starts_with(&truncated.text));
    let generated = endpoint.statistics().models[GEMMA];
    assert_eq!(
        (generated.delivered.requests, generated.undelivered.requests),
        (0, 1)
    );
    assert_eq!(
        undisturbed().await.json()["usage"]["completion_tokens"],
        generated.billed().completion_tokens
    );
}

#[tokio::test]
async fn usage_can_be_wrong_or_missing_but_is_billed_right() {
    let right = undisturbed().await.json();
    let (null, under) = (
        endpoint(always(Fault::NullUsage)),
        endpoint(always(Fault::UndercountedUsage)),
    );
    let answer = post(&null, COMPLETIONS, &body()).await.json();
    assert_eq!(
        (&answer["usage"], &answer["choices"]),
        (&Value::Null, &right["choices"])
    );

    let answer = post(&under, COMPLETIONS, &body()).await.json();
    assert_eq!(answer["choices"], right["choices"]);
    let first = request(json!({"n": 1, "max_tokens": 128, "temperature": 0.7, "seed": 9}));
    let first = post(&endpoint(SimulatorOptions::default()), COMPLETIONS, &first)
        .await
        .json();
    assert_eq!(answer["usage"], first["usage"]);
    assert_ne!(answer["usage"], right["usage"]);
    for endpoint in [null, under] {
        assert_eq!(
            right["usage"]["completion_tokens"],
            endpoint.statistics().billed().completion_tokens
        );
    }
}

#[tokio::test]
async fn n_can_be_ignored_or_refused() {
    let right = undisturbed().await;
    let ignoring = endpoint(always(Fault::IgnoredN));
    let reply = post(&ignoring, COMPLETIONS, &body()).await;
    assert_eq!(reply.texts(), right.texts()[..1]);
    assert_eq!(
        reply.json()["usage"]["completion_tokens"],
        ignoring.statistics().billed().completion_tokens
    );

    let refusing = endpoint(always(Fault::RefusedN { largest: 3 }));
    let reply = post(&refusing, COMPLETIONS, &body()).await;
    assert_eq!(
        reply.error(),
        (400, "invalid_value".to_owned(), "n".to_owned())
    );
    assert_eq!(
        post(&refusing, COMPLETIONS, &request(json!({"n": 3})))
            .await
            .status,
        200
    );
    assert_eq!(
        refusing.statistics().faults,
        [("refused_n".to_owned(), 1)].into()
    );
}

#[tokio::test]
async fn max_tokens_can_be_refused_for_its_newer_name() {
    let endpoint = endpoint(always(Fault::RefusedMaxTokens));
    let messages = json!([{"role": "user", "content": prompt_of(&CELL)}]);
    let reply = post(
        &endpoint,
        CHAT,
        &chat(messages.clone(), json!({"max_tokens": 5})),
    )
    .await;
    assert_eq!(
        reply.error(),
        (
            400,
            "unsupported_parameter".to_owned(),
            "max_tokens".to_owned()
        )
    );
    let reply = post(
        &endpoint,
        CHAT,
        &chat(messages, json!({"max_completion_tokens": 5})),
    )
    .await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn the_script_strikes_by_number_and_other_requests_stay_right() {
    let script = Faults::script([
        (2, Fault::internal_error()),
        (3, Fault::rate_limited(Some("0"))),
    ]);
    let endpoint = endpoint(SimulatorOptions {
        faults: script,
        ..SimulatorOptions::default()
    });
    let mut statuses = Vec::new();
    for _ in 0..5 {
        let reply = post(&endpoint, COMPLETIONS, &body()).await;
        statuses.push(reply.status.as_u16());
        if reply.status == 200 {
            assert_eq!(reply.text, undisturbed().await.text);
        }
    }
    assert_eq!(statuses, [200, 500, 429, 200, 200]);
}

#[tokio::test]
async fn rates_strike_the_same_requests_in_any_order() {
    let rates = vec![
        FaultRate {
            fault: Fault::internal_error(),
            rate: 0.3,
        },
        FaultRate {
            fault: Fault::NullUsage,
            rate: 0.2,
        },
    ];
    let faults = Faults {
        rates,
        script: BTreeMap::new(),
    };
    let options = || SimulatorOptions {
        faults: faults.clone(),
        seed: 4,
        ..SimulatorOptions::default()
    };
    let bodies: Vec<Value> = (0..200)
        .map(|seed| request(json!({"seed": seed})))
        .collect();
    let (forward, backward) = (endpoint(options()), endpoint(options()));
    let mut ahead = Vec::new();
    for body in &bodies {
        ahead.push(post(&forward, COMPLETIONS, body).await.text);
    }
    for (body, text) in bodies.iter().zip(&ahead).rev() {
        assert_eq!(&post(&backward, COMPLETIONS, body).await.text, text);
    }
    let struck = forward.statistics().faults;
    assert!((35..85).contains(&struck["500"]), "{struck:?}");
    assert!((20..65).contains(&struck["null_usage"]), "{struck:?}");
    // Trying again is another draw: in the end every request gets through.
    for body in &bodies {
        let mut attempts = 0;
        while post(&forward, COMPLETIONS, body).await.status != 200 {
            attempts += 1;
            assert!(attempts < 50, "{body}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn latency_and_delay_take_their_time() {
    let latency = Latency {
        base: Duration::from_secs(100),
        per_token: Duration::from_secs(7),
    };
    let faults = Faults::script([(2, Fault::Delayed(Duration::from_secs(1000)))]);
    let endpoint = endpoint(SimulatorOptions {
        latency,
        faults,
        ..SimulatorOptions::default()
    });
    let body = request(json!({"max_tokens": 5, "n": 3}));
    for seconds in [100 + 5 * 7, 1000 + 100 + 5 * 7] {
        let start = tokio::time::Instant::now();
        assert_eq!(post(&endpoint, COMPLETIONS, &body).await.status, 200);
        let taken = start.elapsed().as_secs();
        assert_eq!(taken, seconds);
    }
    // A refusal is not generated, and so not waited for.
    let start = tokio::time::Instant::now();
    assert_eq!(post_text(&endpoint, COMPLETIONS, "{}").await.status, 400);
    assert_eq!(start.elapsed().as_secs(), 0);
}

/// An HTTP/1.1 request as text.
fn raw(body: &Value) -> String {
    let body = body.to_string();
    let length = body.len();
    format!(
        "POST {COMPLETIONS} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

async fn connect(address: std::net::SocketAddr, body: &Value) -> TcpStream {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(raw(body).as_bytes()).await.unwrap();
    connection
}

/// Head and body of what comes until the connection ends, by a close or a reset.
async fn read_to_end(mut connection: TcpStream) -> (String, String) {
    let mut bytes = Vec::new();
    loop {
        match connection.read_buf(&mut bytes).await {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error}"),
        }
    }
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no head: {text:?}"));
    (head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn the_connection_closes_in_the_middle_of_the_body() {
    let simulator = serve(always(Fault::Closed)).await.unwrap();
    let (head, received) = read_to_end(connect(simulator.address(), &body()).await).await;
    let whole = undisturbed().await.text;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(
        head.contains(&format!("content-length: {}", whole.len())),
        "{head}"
    );
    assert_eq!(received, whole[..whole.len() / 2]);
    let generated = simulator.statistics().models[GEMMA];
    assert_eq!(
        (generated.delivered.requests, generated.undelivered.requests),
        (0, 1)
    );
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_server_serves_and_stops() {
    let recordings = Recordings::embedded().unwrap();
    let simulator = serve_recordings(recordings, SimulatorOptions::default())
        .await
        .unwrap();
    let address = simulator.address();
    assert_eq!(
        simulator.base_url(),
        format!("http://127.0.0.1:{}/v1", address.port())
    );
    let (head, received) = read_to_end(connect(address, &body()).await).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(received, undisturbed().await.text);
    let taken = serve(SimulatorOptions {
        address,
        ..SimulatorOptions::default()
    })
    .await;
    assert!(
        taken
            .unwrap_err()
            .to_string()
            .contains(&address.to_string())
    );
    // An idle connection does not keep it from stopping.
    let _idle = TcpStream::connect(address).await.unwrap();
    simulator.shutdown().await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn the_gate_holds_answers_until_released() {
    let simulator = serve(SimulatorOptions::default()).await.unwrap();
    let gate = simulator.gate();
    gate.hold_after(1);
    let mut connections = Vec::new();
    for arrived in 1..=4 {
        connections.push(connect(simulator.address(), &body()).await);
        gate.arrived(arrived).await;
    }
    gate.answered(1).await;
    let (head, _) = read_to_end(connections.remove(0)).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(simulator.statistics().billed().requests, 1);

    gate.release(1);
    let (head, _) = read_to_end(connections.remove(0)).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(gate.progress().answered, 2);

    // A client that goes away while it is held is never billed.
    drop(connections.remove(0));
    gate.abandoned(1).await;
    gate.open();
    let (head, _) = read_to_end(connections.remove(0)).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let statistics = simulator.statistics();
    assert_eq!((statistics.requests, statistics.abandoned), (4, 1));
    assert_eq!(statistics.statuses, [(200, 3)].into());
    assert_eq!(statistics.billed().requests, 3);
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_stop_answers_what_is_held() {
    let simulator = serve(SimulatorOptions::default()).await.unwrap();
    simulator.gate().hold();
    let connection = connect(simulator.address(), &body()).await;
    simulator.gate().arrived(1).await;
    simulator.shutdown().await.unwrap();
    let (head, _) = read_to_end(connection).await;
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
}
