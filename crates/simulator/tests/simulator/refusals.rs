//! What cannot be replayed is refused as OpenAI's endpoints refuse it, and nothing panics.

use crate::support::{
    CELL, CHAT, COMPLETIONS, chat, endpoint, get, post, post_text, prompt_of, request, request_to,
    send,
};
use axum::body::Body;
use axum::http::Request;
use frugal_simulator::{SimulatorOptions, Usage};
use proptest::prelude::*;
use serde_json::{Value, json};

async fn refused(path: &str, body: Value, status: u16, code: &str, param: &str) {
    let endpoint = endpoint(SimulatorOptions::default());
    let reply = post(&endpoint, path, &body).await;
    assert_eq!(
        reply.error(),
        (status, code.to_owned(), param.to_owned()),
        "{body} {}",
        reply.text
    );
    let statistics = endpoint.statistics();
    assert_eq!(statistics.statuses, [(status, 1)].into());
    assert_eq!(statistics.billed(), Usage::default());
}

#[tokio::test]
async fn settings_without_recordings_are_refused() {
    let cases = [
        (json!({"temperature": 1.31}), "invalid_value", "temperature"),
        (json!({"temperature": -0.1}), "invalid_value", "temperature"),
        (json!({"temperature": "hot"}), "invalid_type", "temperature"),
        (json!({"max_tokens": 129}), "invalid_value", "max_tokens"),
        (json!({"max_tokens": 0}), "invalid_value", "max_tokens"),
        (json!({"max_tokens": -3}), "invalid_value", "max_tokens"),
        (json!({"max_tokens": 1.5}), "invalid_type", "max_tokens"),
        (json!({"n": 0}), "invalid_value", "n"),
        (json!({"n": 129}), "invalid_value", "n"),
        (json!({"n": u64::MAX}), "invalid_value", "n"),
        (json!({"n": "2"}), "invalid_type", "n"),
        (
            json!({"stop": ["a", "b", "c", "d", "e"]}),
            "array_above_max_length",
            "stop",
        ),
        (json!({"stop": ""}), "invalid_value", "stop"),
        (json!({"stop": ["a", ""]}), "invalid_value", "stop"),
        (json!({"stop": [1]}), "invalid_type", "stop"),
        (json!({"stop": 1}), "invalid_type", "stop"),
        (json!({"seed": 0.5}), "invalid_type", "seed"),
        (json!({"stream": "yes"}), "unsupported_parameter", "stream"),
        (json!({"top_p": 0.9}), "unsupported_parameter", "top_p"),
        (
            json!({"presence_penalty": 0.1}),
            "unsupported_parameter",
            "presence_penalty",
        ),
        (
            json!({"frequency_penalty": -1}),
            "unsupported_parameter",
            "frequency_penalty",
        ),
        (json!({"logprobs": 0}), "unsupported_parameter", "logprobs"),
        (json!({"best_of": 3}), "unsupported_parameter", "best_of"),
        (
            json!({"logit_bias": {"50256": -100}}),
            "unsupported_parameter",
            "logit_bias",
        ),
        (json!({"top_k": 40}), "unsupported_parameter", "top_k"),
        (
            json!({"max_completion_tokens": 5}),
            "unsupported_parameter",
            "max_completion_tokens",
        ),
        (json!({"messages": []}), "unsupported_parameter", "messages"),
        (
            json!({"flavour": "sour"}),
            "unsupported_parameter",
            "flavour",
        ),
        (
            json!({"prompt": "Who is there?"}),
            "unknown_prompt",
            "prompt",
        ),
        (json!({"prompt": ["a", "b"]}), "invalid_type", "prompt"),
        (
            json!({"prompt": null}),
            "missing_required_parameter",
            "prompt",
        ),
        (
            json!({"model": null}),
            "missing_required_parameter",
            "model",
        ),
        (json!({"model": 7}), "invalid_type", "model"),
    ];
    for (further, code, param) in cases {
        refused(COMPLETIONS, request(further), 400, code, param).await;
    }
    refused(
        COMPLETIONS,
        request(json!({"model": "gpt-9"})),
        404,
        "model_not_found",
        "model",
    )
    .await;
}

#[tokio::test]
async fn the_highest_temperature_is_the_cells_own() {
    let extraction = frugal_simulator::CellKey {
        task: "extraction",
        prompt: "fewshot",
        instance: "json-0",
        ..CELL
    };
    refused(
        COMPLETIONS,
        request_to(&extraction, json!({"temperature": 1.1})),
        400,
        "invalid_value",
        "temperature",
    )
    .await;
    let endpoint = endpoint(SimulatorOptions::default());
    assert_eq!(
        post(
            &endpoint,
            COMPLETIONS,
            &request(json!({"temperature": 1.1}))
        )
        .await
        .status,
        200
    );
}

#[tokio::test]
async fn chats_of_another_form_are_refused() {
    let user = json!({"role": "user", "content": prompt_of(&CELL)});
    let cases = [
        (json!([user, user]), json!({}), "unknown_prompt"),
        (json!([]), json!({}), "unknown_prompt"),
        (
            json!([{"role": "assistant", "content": prompt_of(&CELL)}]),
            json!({}),
            "unknown_prompt",
        ),
        (
            json!([{"role": "system", "content": "Be brief."}, user]),
            json!({}),
            "unknown_prompt",
        ),
        (json!([{"role": "user"}]), json!({}), "invalid_type"),
        (json!([{"content": "x"}]), json!({}), "invalid_type"),
        (json!(["x"]), json!({}), "invalid_type"),
        (
            json!([{"role": "user", "content": [{"type": "image_url"}]}]),
            json!({}),
            "invalid_type",
        ),
        (json!("x"), json!({}), "invalid_type"),
        (Value::Null, json!({}), "missing_required_parameter"),
    ];
    for (messages, further, code) in cases {
        refused(CHAT, chat(messages, further), 400, code, "messages").await;
    }
    let contradiction = json!({"max_tokens": 5, "max_completion_tokens": 6});
    refused(
        CHAT,
        chat(json!([user]), contradiction),
        400,
        "invalid_value",
        "max_tokens",
    )
    .await;
    let long = json!({"max_completion_tokens": 129});
    refused(
        CHAT,
        chat(json!([user]), long),
        400,
        "invalid_value",
        "max_completion_tokens",
    )
    .await;
    refused(
        CHAT,
        chat(json!([user]), json!({"prompt": "x"})),
        400,
        "unsupported_parameter",
        "prompt",
    )
    .await;
}

#[tokio::test]
async fn the_key_is_asked_for_where_one_is_set() {
    let endpoint = endpoint(SimulatorOptions {
        api_key: Some("open sesame".to_owned()),
        ..SimulatorOptions::default()
    });
    assert!(!format!("{endpoint:?}").contains("sesame"));
    let ask = async |key: Option<&str>, request: axum::http::request::Builder, body: &Value| {
        let request = match key {
            Some(key) => request.header("authorization", key),
            None => request,
        };
        send(
            &endpoint,
            request.body(Body::from(body.to_string())).unwrap(),
        )
        .await
    };
    let body = request(json!({}));
    assert_eq!(
        ask(None, Request::post(COMPLETIONS), &body).await.error().0,
        401
    );
    assert_eq!(
        ask(Some("Basic open sesame"), Request::post(COMPLETIONS), &body)
            .await
            .error()
            .0,
        401
    );
    let wrong = ask(
        Some("Bearer open barley"),
        Request::post(COMPLETIONS),
        &body,
    )
    .await;
    assert_eq!(
        wrong.error(),
        (401, "invalid_api_key".to_owned(), String::new())
    );
    assert_eq!(
        ask(
            Some("Bearer open sesame"),
            Request::post(COMPLETIONS),
            &body
        )
        .await
        .status,
        200
    );
    for path in ["/v1/models", "/v1/recordings"] {
        assert_eq!(
            ask(None, Request::get(path), &Value::Null).await.error().0,
            401
        );
        assert_eq!(
            ask(Some("bearer open sesame"), Request::get(path), &Value::Null)
                .await
                .status,
            200
        );
    }
    assert_eq!(get(&endpoint, "/healthz").await.status, 200);
    assert_eq!(endpoint.statistics().statuses, [(200, 1), (401, 3)].into());
}

#[tokio::test]
async fn bodies_and_urls_out_of_shape_are_refused() {
    let endpoint = endpoint(SimulatorOptions::default());
    let deep = "[".repeat(100_000);
    for body in [
        "",
        "{",
        "[]",
        "null",
        "\"x\"",
        "1e999",
        "{\"n\": 1e999}",
        deep.as_str(),
    ] {
        assert_eq!(
            post_text(&endpoint, COMPLETIONS, body).await.error().0,
            400,
            "{body:.20}"
        );
    }
    let large = format!("{{\"prompt\": \"{}\"}}", "x".repeat(2 << 20));
    assert_eq!(
        post_text(&endpoint, COMPLETIONS, &large).await.error().0,
        413
    );
    assert_eq!(get(&endpoint, COMPLETIONS).await.error().0, 405);
    assert_eq!(
        get(&endpoint, "/v1/embeddings").await.error(),
        (404, "unknown_url".to_owned(), String::new())
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(Value::from("user")),
        Just(Value::from(prompt_of(&CELL))),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let name = prop_oneof![
            Just("role"),
            Just("content"),
            Just("type"),
            Just("text"),
            Just("x")
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.prop_map(str::to_owned), inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_json_is_answered_or_refused(
        value in any_json(),
        name in prop::sample::select(vec![
            "model", "prompt", "messages", "temperature", "n", "max_tokens", "max_completion_tokens", "stop", "seed",
            "stream", "top_p", "logprobs", "user", "logit_bias", "top_k",
        ]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let endpoint = endpoint(SimulatorOptions::default());
        let of_chat = json!([{"role": "user", "content": prompt_of(&CELL)}]);
        for (path, body) in [
            (COMPLETIONS, request(json!({name: value}))),
            (CHAT, chat(of_chat, json!({name: value}))),
            (CHAT, value),
        ] {
            let reply = runtime.block_on(post(&endpoint, path, &body));
            prop_assert!([200, 400, 404].contains(&reply.status.as_u16()), "{} {:?}", body, reply);
            if reply.status != 200 {
                prop_assert!(reply.json()["error"].is_object(), "{} {:?}", body, reply);
            } else if body["stream"] == true {
                prop_assert!(reply.text.ends_with("data: [DONE]\n\n"), "{} {:?}", body, reply);
            } else {
                prop_assert!(reply.json()["choices"].is_array(), "{} {:?}", body, reply);
            }
        }
    }
}
