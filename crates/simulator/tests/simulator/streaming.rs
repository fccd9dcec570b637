//! Answers as event streams: the same as in one piece, in the chunks that OpenAI sends.

use crate::support::{CELL, CHAT, COMPLETIONS, chat, endpoint, post, prompt_of, request};
use frugal_simulator::SimulatorOptions;
use serde_json::{Value, json};

/// The chunks of an event stream, without the word that ends it.
fn chunks(text: &str) -> Vec<Value> {
    let mut events: Vec<&str> = text.split_terminator("\n\n").collect();
    assert_eq!(events.pop(), Some("data: [DONE]"));
    let parse = |event: &str| serde_json::from_str(event.strip_prefix("data: ")?).ok();
    events
        .into_iter()
        .map(|event| parse(event).unwrap_or_else(|| panic!("{event}")))
        .collect()
}

#[tokio::test]
async fn chunks_add_up_to_the_whole_answer() {
    let endpoint = endpoint(SimulatorOptions::default());
    let settings = json!({"n": 3, "max_tokens": 40, "temperature": 0.7});
    let messages = json!([{"role": "user", "content": prompt_of(&CELL)}]);
    for (path, body) in [
        (COMPLETIONS, request(settings.clone())),
        (CHAT, chat(messages, settings)),
    ] {
        let whole = post(&endpoint, path, &body).await;
        let mut body = body;
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_usage": true});
        let streamed = post(&endpoint, path, &body).await;
        assert_eq!(streamed.headers["content-type"], "text/event-stream");
        let mut chunks = chunks(&streamed.text);
        let last = chunks.pop().unwrap();
        assert_eq!(last["choices"], json!([]));
        assert_eq!(last["usage"], whole.json()["usage"]);
        for (index, text) in whole.texts().iter().enumerate() {
            let choices = chunks.iter().map(|chunk| &chunk["choices"][0]);
            let own: Vec<&Value> = choices.filter(|choice| choice["index"] == index).collect();
            let piece = |choice: &&Value| {
                let piece = choice.get("text").unwrap_or(&choice["delta"]["content"]);
                piece.as_str().unwrap_or_default().to_owned()
            };
            assert_eq!(&own.iter().map(piece).collect::<String>(), text);
            let (end, before) = own.split_last().unwrap();
            assert_eq!(
                end["finish_reason"],
                whole.json()["choices"][index]["finish_reason"]
            );
            assert!(
                before
                    .iter()
                    .all(|choice| choice["finish_reason"].is_null())
            );
            if path == CHAT {
                assert_eq!(own[0]["delta"]["role"], "assistant");
            }
        }
        assert!(chunks.iter().all(|chunk| chunk["usage"].is_null()));
        body["stream_options"] = Value::Null;
        let without = post(&endpoint, path, &body).await;
        assert!(!without.text.contains("usage"), "{}", without.text);
    }
    let billed = endpoint.statistics().billed();
    assert_eq!((billed.requests, billed.responses), (6, 18));
}

#[tokio::test]
async fn stream_options_want_a_stream() {
    let endpoint = endpoint(SimulatorOptions::default());
    let body = request(json!({"stream_options": {"include_usage": true}}));
    let (status, _, parameter) = post(&endpoint, COMPLETIONS, &body).await.error();
    assert_eq!((status, parameter.as_str()), (400, "stream_options"));
    let body = request(json!({"stream": true, "stream_options": {"include_usage": 1}}));
    let (status, code, _) = post(&endpoint, COMPLETIONS, &body).await.error();
    assert_eq!((status, code.as_str()), (400, "invalid_type"));
}
