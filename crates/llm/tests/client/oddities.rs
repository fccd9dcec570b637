//! Answers as real servers give them, each from a public report: usage told in part, no reason to
//! end, compressed bodies, streams, halves of characters, overflown counts.

use crate::server::{Asked, Server, Turn, client, endpoint, request};
use flate2::Compression;
use flate2::write::GzEncoder;
use frugal_domain::endpoint::Api;
use frugal_domain::money::UsageDetails;
use frugal_domain::request::FinishReason;
use frugal_llm::{Completion, CompletionRequest, RequestError, Scope};
use serde_json::{Value, json};
use std::io::Write;

const TEXT: &str = "The answer is 4.";

fn chat(base_url: &str) -> frugal_llm::Client {
    let mut endpoint = endpoint(base_url);
    endpoint.api = Api::Chat;
    client(&endpoint, None)
}

/// What the client makes of one answer.
async fn read(turn: Turn, request: &CompletionRequest) -> Completion {
    let server = Server::new([turn]).await;
    let completion = chat(&server.base_url).complete(request, None).await;
    let completion = completion.unwrap();
    assert_eq!(completion.attempts.made, 1);
    assert_eq!(completion.attempts.possibly_billed, 0);
    completion
}

fn asking_for(max_tokens: u32) -> CompletionRequest {
    CompletionRequest {
        max_tokens,
        ..request(1)
    }
}

fn reply(finish_reason: &Value, usage: &Value) -> Value {
    json!({
        "id": "x",
        "choices": [{
            "index": 0,
            "finish_reason": finish_reason,
            "message": {"role": "assistant", "content": TEXT}
        }],
        "usage": usage
    })
}

fn body(bytes: impl Into<Vec<u8>>) -> Turn {
    Turn::Bytes(
        200,
        vec![("content-type", "application/json".to_owned())],
        bytes.into(),
    )
}

#[tokio::test]
async fn reasoning_outside_of_the_completion_tokens_is_paid_for() {
    let usage = json!({
        "prompt_tokens": 12,
        "completion_tokens": 6,
        "total_tokens": 76,
        "completion_tokens_details": {"reasoning_tokens": 58}
    });
    let completion = read(
        Turn::Json(200, reply(&json!("stop"), &usage)),
        &asking_for(64),
    )
    .await;
    assert_eq!(completion.usage.prompt_tokens, 12);
    assert_eq!(completion.usage.completion_tokens, 64);
    assert_eq!(completion.usage_details.reasoning_tokens, 58);
    assert!(!completion.usage_estimated);
    assert_eq!(completion.choices[0].finish_reason, FinishReason::Stop);
}

#[tokio::test]
async fn cached_tokens_are_carried_and_not_counted_twice() {
    let usage = json!({
        "prompt_tokens": 12, "completion_tokens": 6, "total_tokens": 18,
        "prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 4
    });
    let completion = read(
        Turn::Json(200, reply(&json!("stop"), &usage)),
        &asking_for(64),
    )
    .await;
    let details = UsageDetails {
        cached_tokens: 8,
        reasoning_tokens: 0,
    };
    assert_eq!(completion.usage.total(), 18);
    assert_eq!(completion.usage_details, details);
}

#[tokio::test]
async fn an_answer_without_a_reason_to_end_was_cut() {
    let usage = json!({"prompt_tokens": 12, "completion_tokens": 16, "total_tokens": 28});
    for (reason, usage, max_tokens) in [
        (json!(null), &usage, 16),
        (json!(null), &json!(null), 64),
        (json!("model_length"), &usage, 64),
        // It says that it ended by itself, exactly at its cap.
        (json!("stop"), &usage, 16),
    ] {
        let turn = Turn::Json(200, reply(&reason, usage));
        let completion = read(turn, &asking_for(max_tokens)).await;
        assert_eq!(
            completion.choices[0].finish_reason,
            FinishReason::Length,
            "{reason}"
        );
    }
    let whole = Turn::Json(200, reply(&json!("COMPLETE"), &usage));
    let whole = read(whole, &asking_for(64)).await;
    assert_eq!(whole.choices[0].finish_reason, FinishReason::Stop);
}

#[tokio::test]
async fn an_answer_that_the_server_broke_off_is_asked_for_again() {
    let usage = json!({"prompt_tokens": 12, "completion_tokens": 3});
    for reason in ["insufficient_system_resource", "abort"] {
        let server = Server::new([
            Turn::Json(200, reply(&json!(reason), &usage)),
            Turn::Json(200, reply(&json!("stop"), &usage)),
        ])
        .await;
        let completion = chat(&server.base_url).complete(&asking_for(64), None).await;
        let completion = completion.unwrap();
        assert_eq!(completion.choices[0].finish_reason, FinishReason::Stop);
        let attempts = completion.attempts;
        assert_eq!((attempts.made, attempts.possibly_billed), (2, 1));
    }
}

#[tokio::test]
async fn compressed_answers_are_asked_for_and_read() {
    let usage = json!({"prompt_tokens": 12, "completion_tokens": 6});
    let plain = reply(&json!("stop"), &usage).to_string();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(plain.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let coded = vec![("content-encoding", "gzip".to_owned())];
    let server = Server::new([
        Turn::Bytes(200, coded.clone(), gzip),
        Turn::Bytes(200, coded, plain.into_bytes()),
    ])
    .await;
    let client = chat(&server.base_url);
    for _ in 0..2 {
        let completion = client.complete(&asking_for(64), None).await.unwrap();
        assert_eq!(completion.choices[0].text, TEXT);
        assert_eq!(completion.attempts.made, 1);
    }
    let accepted = &server.asked()[0].headers["accept-encoding"];
    assert_eq!(accepted, "gzip, deflate, br, zstd");
}

#[tokio::test]
async fn a_small_body_that_unpacks_to_too_much_is_given_up() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&vec![b' '; 40 * 1024 * 1024]).unwrap();
    let coded = vec![("content-encoding", "gzip".to_owned())];
    let server = Server::new([Turn::Bytes(200, coded, gzip.finish().unwrap())]).await;
    let error = chat(&server.base_url).complete(&asking_for(64), None).await;
    let error = error.unwrap_err();
    assert!(error.to_string().contains("larger than 32 MiB"), "{error}");
    assert_eq!(error.attempts().made, 1);
}

#[tokio::test]
async fn a_stream_of_events_is_read_though_none_was_asked_for() {
    let events = format!(
        "data: {{\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"choices\":[{{\"index\":0,\"delta\":{{\"role\":\"assistant\",\"content\":\"{TEXT}\"}},\"finish_reason\":\"stop\"}}]}}\n\ndata: [DONE]\n\n"
    );
    let headers = vec![("content-type", "text/event-stream".to_owned())];
    let turn = Turn::Bytes(200, headers, events.into_bytes());
    let completion = read(turn, &asking_for(64)).await;
    assert_eq!(completion.choices[0].text, TEXT);
    assert_eq!(completion.choices[0].finish_reason, FinishReason::Stop);
    assert!(completion.usage_estimated && completion.diagnostics.streamed);
}

#[tokio::test]
async fn half_a_character_costs_no_answer() {
    let text = format!(
        r#"{{"id":"x","choices":[{{"index":0,"finish_reason":"length","message":{{"role":"assistant","content":"{TEXT} \ud83d"}}}}],"usage":{{"prompt_tokens":12,"completion_tokens":6,"total_tokens":18}}}}"#
    );
    let completion = read(body(text), &asking_for(64)).await;
    assert_eq!(completion.choices[0].text, format!("{TEXT} \u{fffd}"));
    assert!(completion.diagnostics.mended);
    let latin = b"{\"choices\":[{\"finish_reason\":\"stop\",\"message\":{\"content\":\"caf\xe9\"},\"logprob\":NaN}]}";
    let completion = read(body(latin.to_vec()), &asking_for(64)).await;
    assert_eq!(completion.choices[0].text, "caf\u{fffd}");
}

#[tokio::test]
async fn counts_that_cannot_be_are_estimated() {
    for (prompt, completion_tokens) in [
        (json!(4_294_967_295_u32), json!(6)),
        (json!(-1), json!(6)),
        (json!(12), json!(18_446_744_073_709_551_615_u64)),
        (json!(12), json!(4_294_967_295_u32)),
        (json!("1e30"), json!("6")),
    ] {
        let usage = json!({
            "prompt_tokens": prompt, "completion_tokens": completion_tokens, "total_tokens": 5
        });
        let turn = Turn::Json(200, reply(&json!("stop"), &usage));
        let completion = read(turn, &asking_for(64)).await;
        assert!(completion.usage.prompt_tokens < 100, "{usage}");
        assert!(completion.usage.completion_tokens < 100, "{usage}");
        assert!(completion.usage_estimated, "{usage}");
        assert_eq!(completion.diagnostics.impossible_counts, 1, "{usage}");
    }
}

#[tokio::test]
async fn a_web_page_is_named_and_books_nothing() {
    let page = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>x</body></html>";
    let page = move |_: &Asked| Turn::With(200, ("content-type", "text/html"), page);
    let server = Server::by_rule(page).await;
    let error = chat(&server.base_url).complete(&request(1), None).await;
    let error = error.unwrap_err();
    let RequestError::Fatal { scope, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(scope, Scope::Endpoint);
    assert_eq!(
        error.to_string(),
        "the endpoint answered with an HTML page, \"Sign in\", not JSON; is base_url right?"
    );
    assert_eq!(
        (error.attempts().made, error.attempts().possibly_billed),
        (3, 0)
    );
}
