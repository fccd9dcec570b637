//! Answers are drawn from the recorded ones as the settings ask, and depend on the request alone.

use std::collections::BTreeSet;

use crate::support::{
    CELL, CHAT, COMPLETIONS, GEMMA, chat, endpoint, get, post, prompt_of, request, request_to,
    tally,
};
use frugal_simulator::{Cut, FinishReason, Recordings, SimulatorOptions};
use proptest::prelude::*;
use serde_json::{Value, json};

#[tokio::test]
async fn answers_have_the_shape_of_openai_completions() {
    let endpoint = endpoint(SimulatorOptions::default());
    let reply = post(
        &endpoint,
        COMPLETIONS,
        &request(json!({"temperature": 0, "max_tokens": 128})),
    )
    .await;
    assert_eq!(reply.status, 200);
    let body = reply.json();
    let recordings = Recordings::embedded().unwrap();
    let [recorded] = recordings.responses(&CELL, 0.0) else {
        panic!("one greedy answer is recorded")
    };
    assert_eq!(body["object"], "text_completion");
    assert_eq!(body["model"], GEMMA);
    assert_eq!(
        body["choices"],
        json!([{"index": 0, "text": recorded.text, "logprobs": null, "finish_reason": "stop"}])
    );
    let (prompt, completion) = (
        recordings.prompt_tokens(&CELL).unwrap(),
        u64::from(recorded.completion_tokens),
    );
    assert_eq!(
        body["usage"],
        json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion})
    );
    assert!(body["id"].as_str().unwrap().starts_with("cmpl-"));
}

#[tokio::test]
async fn chat_answers_what_completions_answer() {
    let endpoint = endpoint(SimulatorOptions::default());
    let prompt = prompt_of(&CELL);
    let settings = json!({"n": 5, "max_tokens": 60, "seed": 3, "temperature": 0.8});
    let plain = post(&endpoint, COMPLETIONS, &request(settings.clone())).await;
    let (system, user) = prompt.split_at(100);
    let forms = [
        json!([{"role": "user", "content": prompt}]),
        json!([{"role": "user", "content": [{"type": "text", "text": prompt}]}]),
        json!([{"role": "system", "content": system}, {"role": "user", "content": user}]),
    ];
    for messages in forms {
        let reply = post(&endpoint, CHAT, &chat(messages, settings.clone())).await;
        let body = reply.json();
        assert_eq!(reply.texts(), plain.texts());
        assert_eq!(body["usage"], plain.json()["usage"]);
        assert_eq!(body["object"], "chat.completion");
        assert_eq!(body["choices"][4]["index"], 4);
        assert_eq!(body["choices"][0]["message"]["role"], "assistant");
    }
    let alias = json!({"n": 5, "max_completion_tokens": 60, "seed": 3, "temperature": 0.8});
    let reply = post(
        &endpoint,
        CHAT,
        &chat(json!([{"role": "user", "content": prompt}]), alias),
    )
    .await;
    assert_eq!(reply.texts(), plain.texts());
}

#[tokio::test]
async fn every_cell_answers_at_every_temperature() {
    let endpoint = endpoint(SimulatorOptions::default());
    let recordings = Recordings::embedded().unwrap();
    let keys = recordings.cell_keys();
    assert_eq!(keys.len(), 2 * (40 * 2 + 30 + 40));
    for key in keys {
        for &temperature in recordings.temperatures(key.task, key.model, key.prompt) {
            let reply = post(
                &endpoint,
                COMPLETIONS,
                &request_to(
                    &key,
                    json!({"temperature": temperature, "max_tokens": 128, "n": 2}),
                ),
            )
            .await;
            let recorded: BTreeSet<&str> = recordings
                .responses(&key, temperature)
                .iter()
                .map(|response| response.text.as_str())
                .collect();
            let texts = reply.texts();
            assert_eq!(texts.len(), 2);
            assert!(
                texts.iter().all(|text| recorded.contains(text.as_str())),
                "{key:?} {temperature}: {texts:?}"
            );
        }
    }
}

#[tokio::test]
async fn usage_adds_up_over_the_choices() {
    let endpoint = endpoint(SimulatorOptions::default());
    let recordings = Recordings::embedded().unwrap();
    let body = request(json!({"temperature": 1, "max_tokens": 128, "n": 32, "seed": 5}));
    let reply = post(&endpoint, COMPLETIONS, &body).await;
    let texts = reply.texts();
    assert_eq!(texts.len(), 32);
    // Texts that were recorded with one count only, which all of this cell are.
    let count_of = |text: &String| {
        let counts: BTreeSet<u32> = recordings
            .responses(&CELL, 1.0)
            .iter()
            .map(|response| response.cut(128, &[]))
            .filter(|cut| cut.text == *text)
            .map(|cut| cut.completion_tokens)
            .collect();
        assert_eq!(counts.len(), 1, "{text:?}: {counts:?}");
        u64::from(counts.into_iter().next().unwrap())
    };
    let completion: u64 = texts.iter().map(count_of).sum();
    assert_eq!(reply.json()["usage"]["completion_tokens"], completion);

    let billed = endpoint.statistics().billed();
    assert_eq!((billed.requests, billed.responses), (1, 32));
    assert_eq!(billed.completion_tokens, completion);
    assert_eq!(
        billed.prompt_tokens,
        recordings.prompt_tokens(&CELL).unwrap()
    );
}

/// Share of the responses of 40 requests of 128 that stem from the upper temperature, told by the
/// texts that one of the two temperatures alone has.
async fn shares(seed: u64, temperature: f64) -> (f64, f64) {
    let endpoint = endpoint(SimulatorOptions {
        seed,
        ..SimulatorOptions::default()
    });
    let recordings = Recordings::embedded().unwrap();
    let (lower, upper) = (
        tally(recordings.responses(&CELL, 0.7)),
        tally(recordings.responses(&CELL, 1.0)),
    );
    let (mut lower_only, mut upper_only, mut drawn) = (0_u32, 0_u32, 0_u32);
    for request_seed in 0..40 {
        let body = request(
            json!({"temperature": temperature, "max_tokens": 128, "n": 128, "seed": request_seed}),
        );
        for text in post(&endpoint, COMPLETIONS, &body).await.texts() {
            let (in_lower, in_upper) = (
                lower.contains_key(text.as_str()),
                upper.contains_key(text.as_str()),
            );
            assert!(in_lower || in_upper, "{text:?}");
            lower_only += u32::from(in_lower && !in_upper);
            upper_only += u32::from(in_upper && !in_lower);
            drawn += 1;
        }
    }
    (
        f64::from(lower_only) / f64::from(drawn),
        f64::from(upper_only) / f64::from(drawn),
    )
}

#[tokio::test]
async fn responses_come_from_both_temperatures_in_proportion_to_their_distance() {
    let recordings = Recordings::embedded().unwrap();
    let (lower, upper) = (
        tally(recordings.responses(&CELL, 0.7)),
        tally(recordings.responses(&CELL, 1.0)),
    );
    let own_share = |own: &std::collections::BTreeMap<&str, usize>,
                     other: &std::collections::BTreeMap<&str, usize>| {
        let total: usize = own.values().sum();
        let alone: usize = own
            .iter()
            .filter(|(text, _)| !other.contains_key(*text))
            .map(|(_, count)| count)
            .sum();
        alone as f64 / total as f64
    };
    let (lower_own, upper_own) = (own_share(&lower, &upper), own_share(&upper, &lower));
    assert!(
        lower_own > 0.2 && upper_own > 0.2,
        "{lower_own} {upper_own}"
    );
    for (temperature, weight) in [
        (0.7, 0.0),
        (0.75, 1.0 / 6.0),
        (0.85, 0.5),
        (0.97, 0.9),
        (1.0, 1.0),
    ] {
        let seed = 20;
        let (lower_only, upper_only) = shares(seed, temperature).await;
        // 5120 draws: four standard deviations are at most 0.028.
        assert!(
            (upper_only - weight * upper_own).abs() < 0.03,
            "seed {seed}, {temperature}: {upper_only}"
        );
        assert!(
            (lower_only - (1.0 - weight) * lower_own).abs() < 0.03,
            "seed {seed}, {temperature}: {lower_only}"
        );
    }
}

#[tokio::test]
async fn answers_depend_on_seeds_and_settings_not_on_order() {
    let (first, second) = (
        endpoint(SimulatorOptions::default()),
        endpoint(SimulatorOptions::default()),
    );
    let other = endpoint(SimulatorOptions {
        seed: 1,
        ..SimulatorOptions::default()
    });
    let bodies: Vec<Value> = (0..12)
        .map(|seed| request(json!({"n": 8, "max_tokens": 128, "seed": seed})))
        .collect();
    let mut answers = Vec::new();
    for body in &bodies {
        answers.push(post(&first, COMPLETIONS, body).await.text);
    }
    for (body, answer) in bodies.iter().zip(&answers).rev() {
        assert_eq!(&post(&second, COMPLETIONS, body).await.text, answer);
        assert_eq!(
            &post(&first, COMPLETIONS, body).await.text,
            answer,
            "asked again"
        );
        assert_ne!(
            &post(&other, COMPLETIONS, body).await.text,
            answer,
            "another seed of the simulator"
        );
    }
    let distinct: BTreeSet<&String> = answers.iter().collect();
    assert_eq!(
        distinct.len(),
        answers.len(),
        "each seed of a request draws anew"
    );
    // Another temperature in the same bracket draws anew, and so does a request without a seed.
    let texts = async |settings: Value| post(&first, COMPLETIONS, &request(settings)).await.texts();
    let base = texts(json!({"n": 32, "max_tokens": 128, "seed": 0, "temperature": 0.8})).await;
    assert_ne!(
        texts(json!({"n": 32, "max_tokens": 128, "seed": 0, "temperature": 0.81})).await,
        base
    );
    assert_ne!(
        texts(json!({"n": 32, "max_tokens": 128, "temperature": 0.8})).await,
        base
    );
}

#[tokio::test]
async fn defaults_are_those_of_completions() {
    let endpoint = endpoint(SimulatorOptions::default());
    let bare = post(&endpoint, COMPLETIONS, &request(json!({}))).await.text;
    let nulls = json!({"n": null, "stop": null, "top_p": null, "logprobs": null, "temperature": null, "unknown": null});
    let spelled = json!({"temperature": 1.0, "max_tokens": 16, "n": 1, "top_p": 1, "stop": [], "stream": false,
        "presence_penalty": 0, "frequency_penalty": 0.0, "logit_bias": {}, "echo": false, "user": "someone",
        "top_k": 0, "min_p": 0});
    assert_eq!(
        post(&endpoint, COMPLETIONS, &request(nulls)).await.text,
        bare
    );
    assert_eq!(
        post(&endpoint, COMPLETIONS, &request(spelled)).await.text,
        bare
    );
}

#[tokio::test]
async fn stop_strings_reach_the_answer() {
    let endpoint = endpoint(SimulatorOptions::default());
    let texts = post(
        &endpoint,
        COMPLETIONS,
        &request(json!({"temperature": 0, "max_tokens": 128})),
    )
    .await
    .texts();
    assert!(texts[0].contains("The answer"), "{texts:?}");
    for stop in [json!("The answer"), json!(["never seen", "The answer"])] {
        let body = request(json!({"temperature": 0, "max_tokens": 128, "stop": stop}));
        let answer = post(&endpoint, COMPLETIONS, &body).await.json();
        assert_eq!(
            answer["choices"][0]["text"],
            texts[0].split("The answer").next().unwrap()
        );
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
        let recordings = Recordings::embedded().unwrap();
        let cut: Cut = recordings.responses(&CELL, 0.0)[0].cut(128, &["The answer".to_owned()]);
        assert_eq!(answer["usage"]["completion_tokens"], cut.completion_tokens);
        assert_eq!(cut.finish_reason, FinishReason::Stop);
    }
}

#[tokio::test]
async fn lists_tell_what_there_is() {
    let endpoint = endpoint(SimulatorOptions::default());
    let models = get(&endpoint, "/v1/models").await.json();
    assert_eq!(models["object"], "list");
    let ids: Vec<&str> = models["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, [GEMMA, "smollm2-135m-instruct"]);

    let listed = get(&endpoint, "/v1/recordings").await.json();
    let tasks: Vec<&str> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["task"].as_str().unwrap())
        .collect();
    assert_eq!(tasks, ["arithmetic", "capitals", "extraction"]);
    assert_eq!(listed["limits"]["max_tokens"], 128);
    assert_eq!(
        listed["data"][0]["prompts"][0]["temperatures"][GEMMA],
        json!([0.0, 0.3, 0.7, 1.0, 1.3])
    );
    assert_eq!(
        listed["data"][2]["prompts"][0]["temperatures"][GEMMA],
        json!([0.0, 0.3, 0.7, 1.0])
    );
    assert_eq!(
        get(&endpoint, "/healthz").await.json(),
        json!({"status": "ok"})
    );
    assert_eq!(endpoint.statistics().requests, 0, "only generation counts");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A larger n begins with the same responses; a larger cap cuts the same ones later.
    #[test]
    fn requests_of_one_seed_are_nested(
        seed in any::<i64>(),
        temperature in 0.0_f64..=1.3,
        n in (1_u32..64).prop_flat_map(|large| (1..=large, Just(large))),
        cap in (1_u32..=128).prop_flat_map(|large| (1..=large, Just(large))),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let ask = |n: u32, cap: u32, stop: Value| {
            let endpoint = endpoint(SimulatorOptions::default());
            let settings = json!({"n": n, "max_tokens": cap, "seed": seed, "temperature": temperature, "stop": stop});
            runtime.block_on(async { post(&endpoint, COMPLETIONS, &request(settings)).await.texts() })
        };
        let (few, many) = (ask(n.0, cap.1, Value::Null), ask(n.1, cap.1, Value::Null));
        prop_assert_eq!(&few[..], &many[..few.len()]);
        for (short, long) in ask(n.1, cap.0, Value::Null).iter().zip(&many) {
            prop_assert!(long.starts_with(short.as_str()), "{:?} {:?}", short, long);
        }
        for (stopped, long) in ask(n.1, cap.1, json!(["."])).iter().zip(&many) {
            prop_assert_eq!(stopped.as_str(), long.split('.').next().unwrap());
        }
    }
}
