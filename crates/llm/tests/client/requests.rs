//! What is sent, and what is made of answers that are usable.

use crate::server::{Server, Turn, client, completed, endpoint, request};
use frugal_domain::endpoint::Api;
use frugal_domain::prompt::Message;
use frugal_domain::request::FinishReason;
use frugal_llm::{CompletionRequest, PromptInput};
use serde_json::json;

#[tokio::test]
async fn a_completion_is_read() {
    let server = Server::new([completed(&["one", "two"], 7, 5)]).await;
    let completion = server.client().complete(&request(2), None).await.unwrap();
    assert_eq!(completion.usage.prompt_tokens, 7);
    assert_eq!(completion.usage.completion_tokens, 5);
    assert!(!completion.usage_estimated);
    let texts: Vec<&str> = completion
        .choices
        .iter()
        .map(|choice| choice.text.as_str())
        .collect();
    assert_eq!(texts, ["one", "two"]);
    assert_eq!(completion.choices[0].finish_reason, FinishReason::Stop);
    assert_eq!(completion.choices[0].estimated_tokens, 1);
    assert_eq!(
        (
            completion.attempts.made,
            completion.attempts.possibly_billed
        ),
        (1, 0)
    );

    let asked = server.asked();
    assert_eq!(asked[0].path, "/v1/completions");
    assert!(!asked[0].headers.contains_key("authorization"));
    assert_eq!(
        asked[0].body,
        json!({"model": "m", "prompt": "hello world", "n": 2, "max_tokens": 16})
    );
}

#[tokio::test]
async fn a_conversation_goes_to_the_chat_api_with_the_key() {
    let choice =
        json!({"message": {"role": "assistant", "content": "hi"}, "finish_reason": "length"});
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 16});
    let server = Server::new([Turn::Json(
        200,
        json!({"choices": [choice], "usage": usage}),
    )])
    .await;
    let mut endpoint = endpoint(&server.base_url);
    endpoint.api = Api::Chat;
    let request = CompletionRequest {
        prompt: PromptInput::Messages(vec![Message {
            role: "system".to_owned(),
            content: "Be brief.".to_owned(),
        }]),
        ..request(1)
    };
    let completion = client(&endpoint, Some("sk-hunter2"))
        .complete(&request, None)
        .await
        .unwrap();
    assert_eq!(completion.choices[0].text, "hi");
    assert_eq!(completion.choices[0].finish_reason, FinishReason::Length);
    let asked = &server.asked()[0];
    assert_eq!(asked.path, "/v1/chat/completions");
    assert_eq!(asked.headers["authorization"], "Bearer sk-hunter2");
    assert_eq!(
        asked.body["messages"],
        json!([{"role": "system", "content": "Be brief."}])
    );
}

#[tokio::test]
async fn fewer_responses_are_given_as_they_are_and_more_are_cut_but_paid() {
    let server = Server::new([
        completed(&["one"], 2, 1),
        completed(&["one", "two", "three"], 2, 3),
    ])
    .await;
    let client = server.client();
    let fewer = client.complete(&request(2), None).await.unwrap();
    assert_eq!((fewer.choices.len(), fewer.usage.completion_tokens), (1, 1));
    let more = client.complete(&request(2), None).await.unwrap();
    assert_eq!((more.choices.len(), more.usage.completion_tokens), (2, 3));
    assert!(!more.usage_estimated);
}

#[tokio::test]
async fn usage_that_is_missing_or_cannot_be_right_is_estimated() {
    let texts = ["hello world"; 4];
    let choices: Vec<_> = texts
        .iter()
        .map(|text| json!({"text": text, "finish_reason": "stop"}))
        .collect();
    for (usage, expected) in [
        (json!(null), (2, 8, true)),
        (json!({}), (2, 8, true)),
        (
            json!({"prompt_tokens": 0, "completion_tokens": 9}),
            (2, 9, true),
        ),
        // Only one of four responses was counted.
        (
            json!({"prompt_tokens": 3, "completion_tokens": 2}),
            (3, 8, true),
        ),
        (
            json!({"prompt_tokens": 3, "completion_tokens": 9}),
            (3, 9, false),
        ),
    ] {
        let turn = Turn::Json(200, json!({"choices": choices, "usage": usage}));
        let server = Server::new([turn]).await;
        let completion = server.client().complete(&request(4), None).await.unwrap();
        let found = (
            completion.usage.prompt_tokens,
            completion.usage.completion_tokens,
            completion.usage_estimated,
        );
        assert_eq!(found, expected, "{usage}");
    }
}
