use super::*;
use frugal_domain::prompt::Message;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn request() -> CompletionRequest {
    CompletionRequest {
        model: "m".to_owned(),
        prompt: PromptInput::Text("Say hello.".to_owned()),
        n: 2,
        max_tokens: 16,
        temperature: None,
        top_p: None,
        stop: Vec::new(),
        seed: None,
        extra: BTreeMap::new(),
    }
}

fn body(request: &CompletionRequest, model: &Model, api: Api) -> Value {
    serde_json::from_slice(&encode(request, model, api).unwrap().body).unwrap()
}

#[test]
fn a_text_goes_to_either_api() {
    let completions = encode(&request(), &Model::default(), Api::Completions).unwrap();
    assert_eq!(completions.path, "completions");
    assert_eq!(
        body(&request(), &Model::default(), Api::Completions),
        json!({"model": "m", "prompt": "Say hello.", "n": 2, "max_tokens": 16})
    );
    let chat = encode(&request(), &Model::default(), Api::Chat).unwrap();
    assert_eq!(chat.path, "chat/completions");
    assert_eq!(
        body(&request(), &Model::default(), Api::Chat)["messages"],
        json!([{"role": "user", "content": "Say hello."}])
    );
}

#[test]
fn tuned_settings_are_sent_in_so_many_words() {
    let request = CompletionRequest {
        temperature: Some(0.0),
        top_p: Some(0.5),
        stop: vec!["\n".to_owned()],
        seed: Some(-3),
        extra: BTreeMap::from([("top_k".to_owned(), json!(5))]),
        ..request()
    };
    let call = encode(&request, &Model::default(), Api::Completions).unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&call.body).unwrap(),
        json!({"model": "m", "prompt": "Say hello.", "n": 2, "max_tokens": 16, "temperature": 0.0,
               "top_p": 0.5, "stop": ["\n"], "seed": -3, "top_k": 5})
    );
    let expected = [
        "n",
        "max_tokens",
        "temperature",
        "top_p",
        "stop",
        "seed",
        "top_k",
    ];
    assert_eq!(call.settings.len(), expected.len());
    assert!(
        expected
            .iter()
            .all(|name| call.settings.iter().any(|sent| sent == name))
    );
}

#[test]
fn extra_parameters_never_override_named_ones() {
    let extra = |pairs: &[(&str, Value)]| -> BTreeMap<String, Value> {
        let owned = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        owned.collect()
    };
    let request = CompletionRequest {
        extra: extra(&[
            ("n", json!(99)),
            ("model", json!("other")),
            ("messages", json!([])),
            ("top_k", json!(1)),
            ("stream", json!(false)),
        ]),
        ..request()
    };
    let model = Model {
        extra: extra(&[("top_k", json!(2)), ("min_p", json!(0.1))]),
        ..Model::default()
    };
    assert_eq!(
        body(&request, &model, Api::Completions),
        json!({"model": "m", "prompt": "Say hello.", "n": 2, "max_tokens": 16, "top_k": 1, "min_p": 0.1})
    );
}

#[test]
fn no_more_responses_are_asked_for_than_the_model_gives_at_once() {
    let model = Model {
        max_n: Some(1),
        ..Model::default()
    };
    assert_eq!(body(&request(), &model, Api::Chat)["n"], json!(1));
}

#[test]
fn what_cannot_be_sent_is_refused_with_its_setting() {
    let messages = PromptInput::Messages(vec![Message {
        role: "user".to_owned(),
        content: "hi".to_owned(),
    }]);
    let stream = BTreeMap::from([("stream".to_owned(), json!(true))]);
    for (request, setting) in [
        (CompletionRequest { n: 0, ..request() }, "n"),
        (
            CompletionRequest {
                max_tokens: 0,
                ..request()
            },
            "max_tokens",
        ),
        (
            CompletionRequest {
                temperature: Some(f64::NAN),
                ..request()
            },
            "temperature",
        ),
        (
            CompletionRequest {
                extra: stream,
                ..request()
            },
            "stream",
        ),
        (
            CompletionRequest {
                prompt: messages,
                ..request()
            },
            "prompt",
        ),
    ] {
        let refused = encode(&request, &Model::default(), Api::Completions).unwrap_err();
        assert_eq!(refused.setting, setting);
    }
}

fn decoded(reply: Value) -> Result<Reply, Unusable> {
    decode(reply.to_string().as_bytes())
}

#[test]
fn replies_of_both_apis_are_read_in_order() {
    let reply = decoded(json!({
        "choices": [
            {"index": 1, "text": "b", "finish_reason": "length"},
            {"index": 0, "text": "a", "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2.0}
    }))
    .unwrap();
    let texts: Vec<&str> = reply
        .choices
        .iter()
        .map(|choice| choice.text.as_str())
        .collect();
    assert_eq!(texts, ["a", "b"]);
    assert_eq!(reply.choices[1].finish_reason, FinishReason::Length);
    let usage = (reply.usage.prompt_tokens, reply.usage.completion_tokens);
    assert_eq!(usage, (Some(3), Some(2)));

    for (message, text, reasoning) in [
        (json!({"content": "a"}), "a", ""),
        (json!({"content": null}), "", ""),
        (
            json!({"content": [{"type": "text", "text": "a"}, {"text": "b"}]}),
            "ab",
            "",
        ),
        (json!({"content": null, "refusal": "no"}), "no", ""),
        (
            json!({"content": "a", "reasoning_content": "r", "reasoning": "r"}),
            "a",
            "r",
        ),
    ] {
        let choice = json!({"message": message, "finish_reason": "eos_token"});
        let reply = decoded(json!({"choices": [choice], "usage": null, "error": null})).unwrap();
        assert_eq!(reply.choices[0].text, text);
        assert_eq!(reply.choices[0].reasoning, reasoning);
        assert_eq!(reply.choices[0].finish_reason, FinishReason::Stop);
        assert_eq!(reply.usage, RawUsage::default());
    }
}

#[test]
fn reasons_to_end_have_one_meaning_each() {
    for (word, expected) in [
        (Some("stop"), FinishReason::Stop),
        (Some("LENGTH"), FinishReason::Length),
        (Some("content_filter"), FinishReason::ContentFilter),
        (
            Some("tool_calls"),
            FinishReason::Other("tool_calls".to_owned()),
        ),
        (None, FinishReason::Other(String::new())),
    ] {
        assert_eq!(meaning_of(word), expected);
    }
}

#[test]
fn responses_that_failed_on_their_own_are_missing() {
    let failed = json!({"error": {"code": 502, "message": "upstream"}, "message": {"content": ""}});
    let fine = json!({"message": {"content": "a"}, "finish_reason": "stop"});
    let reply = decoded(json!({"choices": [failed, fine]})).unwrap();
    assert_eq!(reply.choices.len(), 1);
    assert!(matches!(
        decoded(json!({"choices": [failed]})),
        Err(Unusable::Error(_))
    ));
}

#[test]
fn successes_without_a_response_are_told_apart() {
    for (body, expected) in [
        ("", "not json"),
        ("<html><body>Welcome</body></html>", "not json"),
        (r#"{"choices": [{"text": "cu"#, "not json"),
        (r#"{"error": {"message": "overloaded"}}"#, "error"),
        (r#"{"object": "error", "message": "overloaded"}"#, "error"),
        (r#"{"choices": []}"#, "no choices"),
        (r#"{"choices": [7, {"message": 3}]}"#, "no choices"),
        ("[]", "no choices"),
        ("null", "no choices"),
    ] {
        let found = match decode(body.as_bytes()).unwrap_err() {
            Unusable::NotJson => "not json",
            Unusable::Error(_) => "error",
            Unusable::NoChoices => "no choices",
        };
        assert_eq!(found, expected, "{body}");
    }
}

#[test]
fn numbers_that_are_no_counts_are_missing() {
    for number in [json!(-1), json!("7"), json!(null), json!(1e300), json!({})] {
        let reply = decoded(json!({
            "choices": [{"text": "a"}], "usage": {"prompt_tokens": number}
        }));
        assert_eq!(reply.unwrap().usage, RawUsage::default());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(decode(&body).is_err());
    }

    #[test]
    fn any_cut_of_a_reply_is_no_json(cut in 0_usize..60) {
        let whole = json!({"choices": [{"text": "a"}], "usage": {"prompt_tokens": 12345}}).to_string();
        prop_assert_eq!(decode(&whole.as_bytes()[..cut.min(whole.len() - 1)]), Err(Unusable::NotJson));
    }
}
