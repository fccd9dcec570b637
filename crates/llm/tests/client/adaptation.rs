//! Parameters that a model does not take, or takes under another name, or not so many of.

use crate::server::{Asked, Server, Turn, client, endpoint, request};
use frugal_domain::endpoint::Model;
use frugal_llm::{Abilities, CompletionRequest, RequestError};
use serde_json::{Value, json};

fn refusal(body: Value) -> Turn {
    Turn::Json(400, body)
}

/// As many completions as were asked for.
fn answer(asked: &Asked) -> Turn {
    let n = asked.body.get("n").and_then(Value::as_u64).unwrap_or(1);
    let choices: Vec<Value> = (0..n)
        .map(|index| json!({"index": index, "text": "one", "finish_reason": "stop"}))
        .collect();
    let usage = json!({"prompt_tokens": 2, "completion_tokens": n});
    Turn::Json(200, json!({"choices": choices, "usage": usage}))
}

#[tokio::test]
async fn the_cap_is_sent_under_its_other_name_and_that_is_remembered() {
    let server = Server::by_rule(|asked| match asked.body.get("max_tokens") {
        Some(_) => refusal(json!({"error": {
            "message": "this model takes no max_tokens; send max_completion_tokens",
            "type": "invalid_request_error",
            "param": "max_tokens",
            "code": "unsupported_parameter"
        }})),
        None => answer(asked),
    })
    .await;
    let client = server.client();
    let first = client.complete(&request(1), None).await.unwrap();
    let attempts = first.attempts;
    assert_eq!((attempts.made, attempts.possibly_billed), (2, 0));
    assert_eq!(first.diagnostics.adaptations, 1);
    let second = client.complete(&request(1), None).await.unwrap();
    assert_eq!(second.attempts.made, 1);
    assert_eq!(server.asked()[2].body["max_completion_tokens"], 16);
    let learned = client.learned("m");
    assert_eq!(
        learned.max_tokens_name.as_deref(),
        Some("max_completion_tokens")
    );
    // What was learned can be handed to another client.
    let other = server.client();
    other.set_learned("m", learned);
    let third = other.complete(&request(1), None).await.unwrap();
    assert_eq!(third.attempts.made, 1);
    // The operator can say so as well.
    let mut told = endpoint(&server.base_url);
    let model = Model {
        max_tokens_name: Some("max_completion_tokens".to_owned()),
        ..Model::default()
    };
    told.models.insert("m".to_owned(), model);
    let told = crate::server::client(&told, None);
    assert_eq!(
        told.complete(&request(1), None)
            .await
            .unwrap()
            .attempts
            .made,
        1
    );
    assert_eq!(told.learned("m"), Abilities::default());
}

#[tokio::test]
async fn a_seed_is_left_out_where_it_is_refused() {
    for refused in [
        json!({"error": {"message": "Unrecognized request argument supplied: seed", "type": "invalid_request_error"}}),
        json!({"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}),
        json!({"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": "{\"message\": \"`seed` must be at most 100\"}"}}}),
    ] {
        let server = Server::by_rule(move |asked| match asked.body.get("seed") {
            Some(_) => refusal(refused.clone()),
            None => answer(asked),
        })
        .await;
        let client = server.client();
        let seeded = CompletionRequest {
            seed: Some(7),
            ..request(1)
        };
        assert_eq!(
            client.complete(&seeded, None).await.unwrap().attempts.made,
            2
        );
        assert_eq!(
            client.complete(&seeded, None).await.unwrap().attempts.made,
            1
        );
        assert!(client.learned("m").omit.contains("seed"));
    }
}

#[tokio::test]
async fn a_tuned_setting_is_never_left_out() {
    let server = Server::by_rule(|_| {
        refusal(json!({"error": {
            "message": "Unsupported parameter: 'temperature' is not supported with this model.",
            "param": "temperature",
            "code": "unsupported_parameter"
        }}))
    })
    .await;
    let tuned = CompletionRequest {
        temperature: Some(0.5),
        ..request(1)
    };
    let client = server.client();
    let error = client.complete(&tuned, None).await.unwrap_err();
    let RequestError::Infeasible { parameter, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(parameter.as_deref(), Some("temperature"));
    assert_eq!(error.attempts().made, 1);
    assert_eq!(client.learned("m"), Abilities::default());
}

#[tokio::test]
async fn where_both_names_are_refused_the_cap_is_to_blame_and_nothing_is_learned() {
    let server = Server::by_rule(|asked| {
        let name = match asked.body.get("max_tokens") {
            Some(_) => "max_tokens",
            None => "max_completion_tokens",
        };
        refusal(
            json!({"error": {"message": format!("Unsupported parameter: {name}"), "param": name}}),
        )
    })
    .await;
    let client = server.client();
    let error = client.complete(&request(1), None).await.unwrap_err();
    let RequestError::Infeasible { parameter, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(parameter.as_deref(), Some("max_tokens"));
    assert_eq!(error.attempts().made, 2);
    assert_eq!(client.learned("m"), Abilities::default());
}

/// A server that refuses more responses at once than so many, in these words.
async fn limited_to(most: u64, words: &'static str) -> Server {
    Server::by_rule(move |asked| match asked.body["n"].as_u64() {
        Some(n) if n > most => refusal(json!({"error": {"message": words}})),
        _ => answer(asked),
    })
    .await
}

#[tokio::test]
async fn as_many_responses_are_asked_for_as_are_given() {
    for (most, words, learned, attempts) in [
        (4, "n must be between 1 and 4", 4, 2),
        (1, "n > 1 is not supported", 1, 2),
        (1, "n must be 1", 1, 2),
        (4, "Value must be between 1 <= value <= 4, but got 10", 4, 2),
        // Without a number: 10, 5, 2.
        (3, "n is too large for this server", 2, 3),
    ] {
        let server = limited_to(most, words).await;
        let client = server.client();
        let completion = client.complete(&request(10), None).await.unwrap();
        assert_eq!(completion.attempts.made, attempts, "{words}");
        assert_eq!(completion.attempts.possibly_billed, 0, "{words}");
        assert_eq!(completion.choices.len(), learned, "{words}");
        assert_eq!(
            client.learned("m").max_n,
            u32::try_from(learned).ok(),
            "{words}"
        );
        let again = client.complete(&request(10), None).await.unwrap();
        assert_eq!(
            (again.attempts.made, again.choices.len()),
            (1, learned),
            "{words}"
        );
    }
}

#[tokio::test]
async fn fewer_are_asked_for_where_fewer_came_time_and_again() {
    let server = Server::by_rule(|asked| {
        let mut one = asked.clone();
        one.body["n"] = json!(2);
        answer(&one)
    })
    .await;
    let client = server.client();
    for already in [None, None, Some(2), Some(2)] {
        let completion = client.complete(&request(8), None).await.unwrap();
        assert_eq!(completion.choices.len(), 2);
        assert_eq!(client.learned("m").max_n, already);
    }
    let asked = server.asked();
    let asked: Vec<_> = asked.iter().map(|asked| asked.body["n"].as_u64()).collect();
    assert_eq!(asked, [Some(8), Some(8), Some(8), Some(2)]);
}

#[tokio::test]
async fn a_server_that_knows_no_n_is_asked_without() {
    let server = Server::by_rule(|asked| match asked.body.get("n") {
        Some(_) => refusal(json!({"error": {"message": "Unknown parameter: 'n'", "param": "n"}})),
        None => answer(asked),
    })
    .await;
    let client = server.client();
    let completion = client.complete(&request(3), None).await.unwrap();
    assert_eq!(completion.choices.len(), 1);
    assert_eq!(completion.attempts.made, 3);
    assert_eq!(
        client
            .complete(&request(3), None)
            .await
            .unwrap()
            .attempts
            .made,
        1
    );
    let abilities = client.abilities("m").unwrap();
    assert!(abilities.max_n == Some(1) && abilities.omit.contains("n"));
}

#[tokio::test]
async fn greedy_sampling_is_no_limit_of_the_model() {
    let server = limited_to(1, "n must be 1 when using greedy sampling, got 2.").await;
    let client = server.client();
    let error = client.complete(&request(2), None).await.unwrap_err();
    assert!(
        matches!(error, RequestError::Infeasible { .. }),
        "{error:?}"
    );
    assert_eq!(client.learned("m"), Abilities::default());
}

#[tokio::test]
async fn what_the_operator_left_out_is_not_sent() {
    let server = Server::by_rule(answer).await;
    let mut endpoint = endpoint(&server.base_url);
    let model = Model {
        omit: ["seed", "temperature"].map(str::to_owned).into(),
        ..Model::default()
    };
    endpoint.models.insert("m".to_owned(), model);
    let client = client(&endpoint, None);
    let seeded = CompletionRequest {
        seed: Some(7),
        ..request(1)
    };
    client.complete(&seeded, None).await.unwrap();
    assert!(server.asked()[0].body.get("seed").is_none());
    let tuned = CompletionRequest {
        temperature: Some(0.5),
        ..request(1)
    };
    let error = client.complete(&tuned, None).await.unwrap_err();
    let RequestError::Infeasible { parameter, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(parameter.as_deref(), Some("temperature"));
    assert_eq!((error.attempts().made, server.asked().len()), (0, 1));
}
