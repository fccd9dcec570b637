use super::*;
use frugal_domain::prompt::Message;
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

fn encoded(request: &CompletionRequest, model: &Model, api: Api) -> Result<Call, Unsendable> {
    let endpoint = Endpoint {
        api,
        ..Endpoint::default()
    };
    encode(request, model, &endpoint, &Abilities::stated(model))
}

fn body(request: &CompletionRequest, model: &Model, api: Api) -> Value {
    serde_json::from_slice(&encoded(request, model, api).unwrap().body).unwrap()
}

#[test]
fn a_text_goes_to_either_api() {
    let completions = encoded(&request(), &Model::default(), Api::Completions).unwrap();
    assert_eq!(completions.api, "completions");
    assert_eq!(
        body(&request(), &Model::default(), Api::Completions),
        json!({"model": "m", "prompt": "Say hello.", "n": 2, "max_tokens": 16})
    );
    let chat = encoded(&request(), &Model::default(), Api::Chat).unwrap();
    assert_eq!(chat.api, "chat/completions");
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
    let call = encoded(&request, &Model::default(), Api::Completions).unwrap();
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
        let refused = encoded(&request, &Model::default(), Api::Completions).unwrap_err();
        assert_eq!(refused.setting, setting);
    }
}

#[test]
fn what_the_model_does_not_take_is_left_out_or_not_sent() {
    let model = Model {
        max_tokens_name: Some("max_completion_tokens".to_owned()),
        omit: ["seed", "n", "top_p"].map(str::to_owned).into(),
        extra: BTreeMap::from([("top_p".to_owned(), json!(1))]),
        ..Model::default()
    };
    let seeded = CompletionRequest {
        seed: Some(3),
        ..request()
    };
    let call = encoded(&seeded, &model, Api::Completions).unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&call.body).unwrap(),
        json!({"model": "m", "prompt": "Say hello.", "max_completion_tokens": 16})
    );
    assert_eq!(call.settings, ["max_completion_tokens"]);
    let without_extra = Model {
        extra: BTreeMap::new(),
        ..model
    };
    let tuned = CompletionRequest {
        top_p: Some(0.5),
        ..request()
    };
    let refused = encoded(&tuned, &without_extra, Api::Completions).unwrap_err();
    assert_eq!(refused.setting, "top_p");
}

#[test]
fn paths_are_filled_in() {
    let azure = Some("/openai/deployments/{model}/{api}");
    for (template, model, expected) in [
        (None, "m", "chat/completions"),
        (
            azure,
            "my model",
            "openai/deployments/my%20model/chat/completions",
        ),
        (Some("/run/{model}"), "@cf/org/m?", "run/@cf/org/m%3F"),
        (Some("/x"), "m", "x"),
    ] {
        assert_eq!(path(template, "chat/completions", model), expected);
    }
}
