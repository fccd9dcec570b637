//! Prompts over instances.

#![expect(
    clippy::unwrap_used,
    reason = "what tests build by hand is well formed"
)]

use frugal_domain::prompt::{Message, Prompt, PromptBody};
use frugal_scoring::{CompiledPrompt, PromptError, RenderedPrompt};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn instance() -> Map<String, Value> {
    json!({"question": "2 < 3?", "hint": "é"})
        .as_object()
        .unwrap()
        .clone()
}

fn message(role: &str, content: &str) -> Message {
    Message {
        role: role.to_owned(),
        content: content.to_owned(),
    }
}

fn compile(body: PromptBody) -> Result<CompiledPrompt, PromptError> {
    CompiledPrompt::compile(&Prompt {
        name: "direct".to_owned(),
        body,
        demonstrations: None,
    })
}

#[test]
fn a_text_is_rendered() {
    let prompt = compile(PromptBody::Text(
        "Question: {{ question }}\nAnswer:\n".to_owned(),
    ))
    .unwrap();
    assert_eq!(
        prompt.variables().into_iter().collect::<Vec<_>>(),
        ["question"]
    );
    assert_eq!(
        prompt.render(&instance()),
        Ok(RenderedPrompt::Text(
            "Question: 2 < 3?\nAnswer:\n".to_owned()
        ))
    );
}

#[test]
fn messages_are_rendered_each() {
    let prompt = compile(PromptBody::Messages(vec![
        message("system", "Be brief. {{ hint }}"),
        message("user", "{{ question }}"),
    ]))
    .unwrap();
    assert_eq!(
        prompt.variables().into_iter().collect::<Vec<_>>(),
        ["hint", "question"]
    );
    assert_eq!(
        prompt.render(&instance()),
        Ok(RenderedPrompt::Messages(vec![
            message("system", "Be brief. é"),
            message("user", "2 < 3?")
        ]))
    );
}

#[test]
fn faults_name_the_field() {
    let fault = |body| {
        compile(body)
            .and_then(|prompt| prompt.render(&instance()))
            .unwrap_err()
            .to_string()
    };
    insta::assert_snapshot!(fault(PromptBody::Text("a\n{{ question".to_owned())), @"/text: line 2: unexpected end of input, expected end of variable block");
    insta::assert_snapshot!(
        fault(PromptBody::Messages(vec![message("user", "a"), message("user", "{{ x }}")])), @"/messages/1/content: line 1: `x` is undefined in this instance"
    );
    let long = message(
        "user",
        "{% for i in range(10) %}{{ 'a' * 100000 }}{% endfor %}",
    );
    insta::assert_snapshot!(fault(PromptBody::Messages(vec![long; 5])), @"the rendered messages are 5000000 bytes long; at most 4194304 are allowed");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_bound_of_tokens_covers_every_byte(texts in prop::collection::vec(any::<String>(), 1..4)) {
        let bytes: usize = texts.iter().map(String::len).sum();
        let messages = RenderedPrompt::Messages(texts.iter().map(|text| message("user", text)).collect());
        let text = RenderedPrompt::Text(texts.concat());
        for prompt in [messages, text] {
            prop_assert!(prompt.token_bound() > bytes as u64);
        }
    }

    #[test]
    fn any_text_compiles_and_renders_or_is_refused(text in any::<String>()) {
        let _outcome = compile(PromptBody::Text(text)).and_then(|prompt| prompt.render(&instance()));
    }
}
