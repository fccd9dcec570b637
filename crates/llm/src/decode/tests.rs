use super::*;
use frugal_domain::request::FinishReason;
use proptest::prelude::*;

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
        assert!(!reply.mended && !reply.streamed);
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
fn what_the_server_broke_off_is_no_response() {
    let broken =
        json!({"message": {"content": "a"}, "finish_reason": "insufficient_system_resource"});
    let fine = json!({"message": {"content": "b"}, "finish_reason": "stop"});
    let reply = decoded(json!({"choices": [broken, fine]})).unwrap();
    assert_eq!(
        (reply.choices.len(), reply.choices[0].text.as_str()),
        (1, "b")
    );
    assert_eq!(
        decoded(json!({"choices": [broken]})),
        Err(Unusable::Interrupted(
            "insufficient_system_resource".to_owned()
        ))
    );
}

#[test]
fn successes_without_a_response_are_told_apart() {
    for (body, expected) in [
        ("", "not json"),
        ("<html><body>Welcome</body></html>", "page"),
        ("\u{feff} <!doctype html><title>Sign in</title>", "page"),
        (r#"{"choices": [{"text": "cu"#, "not json"),
        ("OK", "no reply"),
        ("upstream says no", "no reply"),
        (r#"{"status": "ok"}"#, "no reply"),
        ("\"text\"", "no reply"),
        (r#"{"error": {"message": "overloaded"}}"#, "error"),
        (r#"{"object": "error", "message": "overloaded"}"#, "error"),
        (r#"{"detail": "overloaded"}"#, "error"),
        (
            "data: {\"error\": {\"message\": \"overloaded\"}}\n\n",
            "error",
        ),
        (
            "data: {\"choices\": [{\"delta\": {\"content\": \"a\"}}]}\n\ndata: {\"error\": \"x\"}\n\n",
            "error",
        ),
        (
            "data: {\"choices\": [{\"delta\": {\"content\": \"a\"}}]}\n\n",
            "cut",
        ),
        (r#"{"choices": []}"#, "no choices"),
        (r#"{"choices": [7, {"message": 3}]}"#, "no choices"),
        (r#"{"usage": {"prompt_tokens": 3}}"#, "no choices"),
        ("[]", "no reply"),
        ("null", "no reply"),
    ] {
        let found = match decode(body.as_bytes()).unwrap_err() {
            Unusable::NotJson => "not json",
            Unusable::Page(_) => "page",
            Unusable::NoReply(_) => "no reply",
            Unusable::StreamCut => "cut",
            Unusable::Error(_) => "error",
            Unusable::NoChoices => "no choices",
            fault => panic!("{fault:?}"),
        };
        assert_eq!(found, expected, "{body}");
    }
}

#[test]
fn replies_that_need_mending_are_read() {
    let body = b"\xef\xbb\xbf{\"choices\": [{\"message\": {\"content\": \"caf\xe9 \\ud83d\"}, \"finish_reason\": \"length\",
        \"logprobs\": NaN}], \"usage\": {\"prompt_tokens\": \"12\", \"completion_tokens\": 6.0}}";
    let reply = decode(body).unwrap();
    assert_eq!(reply.choices[0].text, "caf\u{fffd} \u{fffd}");
    assert!(reply.mended);
    assert_eq!(
        (reply.usage.prompt_tokens, reply.usage.completion_tokens),
        (Some(12), Some(6))
    );
}

#[test]
fn streams_are_read_as_replies() {
    let events = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3}}\n\ndata: [DONE]\n\n";
    let lines = "{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3}}\n";
    for body in [events, lines] {
        let reply = decode(body.as_bytes()).unwrap();
        assert!(reply.streamed);
        assert_eq!(
            (reply.choices[0].text.as_str(), reply.usage.prompt_tokens),
            ("a", Some(3))
        );
        assert_eq!(reply.choices[0].finish_reason, FinishReason::Stop);
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
