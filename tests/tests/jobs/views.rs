//! What may be seen of a job on the way and afterwards: the responses of its trials, row by row.

use crate::World;
use frugal_simulator::Recordings;
use frugal_tests::client::ApiClient;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A job on the first recorded questions for capitals, of which some are held out, with every configuration
/// evaluated by itself.
fn grid() -> Value {
    let recordings = Recordings::embedded().unwrap();
    let rows: Vec<_> = recordings.instances("capitals").iter().take(16).collect();
    json!({
        "data": {"instances": rows, "holdout": {"share": 0.25}},
        "models": [
            {"endpoint": "local", "model": "gemma-3-270m"},
            {"endpoint": "local", "model": "smollm2-135m-instruct"}
        ],
        "prompt": recordings.prompts("capitals")[0].template,
        "search_space": {
            "temperature": 0.7,
            "n": {"choice": [1, 4]},
            "max_tokens": {"choice": [32, 4]}
        },
        "scoring": {
            "scorer": {"type": "contains", "expected": "{{ answer }}"},
            "reduce": "mean"
        },
        "budgets": {"optimization": {"usd": 0.1}},
        "search": {"algorithm": "grid", "seed": 5, "pruning": "off"}
    })
}

fn numbers(rows: &[Value], field: &str) -> Vec<f64> {
    rows.iter().filter_map(|row| row[field].as_f64()).collect()
}

#[tokio::test]
async fn what_a_trial_drew_is_seen_row_by_row() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let path = api.submit(&grid()).await;
    api.follow(&path, None).await;
    let job = api.json(&path).await;
    assert_eq!(job["state"], "succeeded", "{job}");

    let trials = api.all(&format!("{path}/trials")).await;
    let mut seen = 0;
    for trial in trials.iter().filter(|trial| trial["state"] == "evaluated") {
        let responses = trial["links"]["responses"].as_str().unwrap();
        let rows = api.all(responses).await;
        let n = trial["configuration"]["n"].as_u64().unwrap();
        let limit = trial["configuration"]["max_tokens"].as_u64().unwrap();
        // Their mean is what the trial says.
        let values = numbers(&rows, "value");
        assert_eq!(trial["utility"]["count"], values.len(), "{trial}");
        let mean = values.iter().sum::<f64>() / f64::from(u32::try_from(values.len()).unwrap());
        let told = trial["utility"]["mean"].as_f64().unwrap();
        assert!((mean - told).abs() < 1e-9, "{mean} is not that of {trial}");
        for row in &rows {
            seen += 1;
            let answer = row["fields"]["answer"].as_str().unwrap();
            let prompt = row["prompt"]["text"].as_str().unwrap();
            assert!(
                prompt.contains(row["fields"]["question"].as_str().unwrap()),
                "{row}"
            );
            let responses = row["responses"].as_array().unwrap();
            assert_eq!(responses.len() as u64, n);
            for response in responses {
                let text = response["text"].as_str().unwrap();
                let tokens = response["completion_tokens"].as_u64().unwrap();
                assert!(tokens <= limit, "{response}");
                if text.contains(answer) {
                    assert_eq!(response["score"], 1.0, "{response}");
                }
                assert_eq!(response["expected"], answer);
                let why = response["why"].as_str().unwrap();
                assert!(why.contains("expected"), "{why}");
                if response["cut"] == true {
                    assert_eq!(response["finish_reason"], "length", "{response}");
                }
            }
        }
    }
    assert!(seen > 0);

    the_job_is_one_picture(&api, &path, &job).await;
    trials_are_seen_together(&api, &path, &job, &trials).await;
    the_winner_is_taken_away(&api, &path, &job).await;
    the_baseline_stands_beside(&api, &path, &job).await;
    one_row_and_what_was_held_out(&api, &path, &job).await;
    assert!(server.stop().await);
    world.end().await;
}

async fn the_baseline_stands_beside(api: &ApiClient, path: &str, job: &Value) {
    let best = &job["best"]["trial"];
    let beside = format!("{path}/trials/{best}/responses?beside=baseline");
    let mut rows = Vec::new();
    let mut query = String::new();
    loop {
        let page = api.json(&format!("{beside}&limit=5{query}")).await;
        assert_eq!((&page["trial"], &page["beside"]), (best, &json!(0)));
        assert_eq!(page["metric"], "mean");
        rows.extend(page["data"].as_array().unwrap().iter().cloned());
        if page["has_more"] == false {
            break;
        }
        query = format!("&cursor={}", page["next"].as_str().unwrap());
    }
    let positions: BTreeSet<_> = rows
        .iter()
        .map(|row| row["row"].as_u64().unwrap())
        .collect();
    assert_eq!((positions.len(), rows.len()), (12, 12));
    let differences = numbers(&rows, "difference");
    assert!(differences.is_sorted(), "worst first: {differences:?}");
    for row in rows.iter().filter(|row| row["difference"].is_number()) {
        let other = row["beside"]["value"].as_f64().unwrap();
        let difference = row["value"].as_f64().unwrap() - other;
        assert!((difference - row["difference"].as_f64().unwrap()).abs() < 1e-12);
        assert!(!row["beside"]["responses"].as_array().unwrap().is_empty());
    }
    let page = api
        .json(&format!("{beside}&sort=-difference&limit=100"))
        .await;
    let best_first = numbers(page["data"].as_array().unwrap(), "difference");
    assert!(best_first.iter().rev().is_sorted(), "{best_first:?}");
}

async fn one_row_and_what_was_held_out(api: &ApiClient, path: &str, job: &Value) {
    let responses = format!("{path}/trials/{}/responses", job["best"]["trial"]);
    let one = api.json(&format!("{responses}?row=3")).await;
    assert_eq!(one["data"].as_array().unwrap().len(), 1);
    assert_eq!(one["data"][0]["row"], 3);
    let held_out = api.json(&format!("{responses}?split=holdout")).await;
    let rows = held_out["data"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|row| row["split"] == "holdout"));
    let report = api.json(&format!("{path}/report")).await;
    let mean = numbers(rows, "value").iter().sum::<f64>() / 4.0;
    let told = report["holdout"]["winner"]["mean"].as_f64().unwrap();
    assert!((mean - told).abs() < 1e-9, "{mean} {told}");
    for (query, status) in [
        ("?sort=difference", 400),
        ("?beside=best", 400),
        ("?beside=99", 404),
        ("?cursor=r00000001", 400),
    ] {
        let answer = api.get(&format!("{responses}{query}")).await;
        assert_eq!(answer.status().as_u16(), status, "{query}");
    }
}

async fn the_job_is_one_picture(api: &ApiClient, path: &str, job: &Value) {
    let best = &job["best"];
    let (mean, interval) = (&best["utility"]["mean"], &best["utility_interval"]);
    let mean = mean.as_f64().unwrap();
    assert!(interval["low"].as_f64().unwrap() <= mean, "{best}");
    assert!(interval["high"].as_f64().unwrap() >= mean, "{best}");
    let standing = &job["standing"];
    let used = standing["budget_used"].as_f64().unwrap();
    let spent = job["spend"]["usd"].as_f64().unwrap();
    assert!((used - spent / 0.1).abs() < 1e-9, "{standing}");
    assert!(standing["waits_for"].is_null() && standing["rate"].is_null());
    // What comes after the picture is what it does not show.
    let events = api.all(&format!("{path}/events")).await;
    assert_eq!(job["last_seq"], events.last().unwrap()["seq"]);
    let updated = events
        .iter()
        .filter(|event| event["type"] == "best.updated");
    for event in updated {
        assert!(
            event["data"]["spend"]["tokens"].as_u64().unwrap() > 0,
            "{event}"
        );
    }
}

async fn trials_are_seen_together(api: &ApiClient, path: &str, job: &Value, trials: &[Value]) {
    let evaluated = trials.iter().filter(|trial| trial["state"] == "evaluated");
    let pareto = api.json(job["links"]["pareto"].as_str().unwrap()).await;
    let points = pareto["trials"].as_array().unwrap();
    assert_eq!(points.len(), evaluated.clone().count());
    let front = api.json(&format!("{path}/report")).await["front"].clone();
    let front: Vec<_> = front
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["trial"].clone())
        .collect();
    let on_front = points.iter().filter(|point| point["on_front"] == true);
    let on_front: Vec<_> = on_front.map(|point| point["trial"].clone()).collect();
    assert_eq!(on_front, front, "the report says the same");

    let importance = api.json(job["links"]["importance"].as_str().unwrap()).await;
    assert_eq!(importance["trials"], points.len());
    let settings = importance["settings"].as_array().unwrap();
    let names: BTreeSet<_> = settings
        .iter()
        .map(|it| it["setting"].as_str().unwrap())
        .collect();
    assert!(
        names.contains("model") && !names.contains("prompt"),
        "{importance}"
    );

    let best = &job["best"]["trial"];
    let compared = api.json(&format!("{path}/compare?trials=0,{best}")).await;
    let differences = &compared["trials"][0]["metrics"];
    let baseline = api.json(&format!("{path}/trials/0")).await;
    for metric in ["mean", "inference_cost", "completion_tokens"] {
        let of = |trial: &Value| trial["metrics"][metric]["mean"].as_f64().unwrap();
        let winner = api.json(&format!("{path}/trials/{best}")).await;
        let difference = &differences[metric];
        let mean = difference["mean"].as_f64().unwrap();
        let wanted = of(&winner) - of(&baseline);
        assert!(
            (mean - wanted).abs() <= 1e-9 * wanted.abs().max(1.0),
            "{metric}: {difference}"
        );
        let low = difference["interval"]["low"].as_f64().unwrap();
        assert!(low <= mean, "{difference}");
    }
    for (query, status) in [
        ("", 400),
        ("?trials=0", 400),
        ("?trials=0,0", 400),
        ("?trials=0,99", 404),
    ] {
        let answer = api.get(&format!("{path}/compare{query}")).await;
        assert_eq!(answer.status().as_u16(), status, "{query}");
    }

    for (accept, lines) in [
        ("text/csv", trials.len() + 1),
        ("application/jsonl", trials.len()),
    ] {
        let request = api.request(reqwest::Method::GET, &format!("{path}/trials"));
        let table = api.send(request.header("accept", accept)).await;
        let text = table.text().await.unwrap();
        assert_eq!(text.lines().count(), lines, "{text}");
    }
}

async fn the_winner_is_taken_away(api: &ApiClient, path: &str, job: &Value) {
    let link = job["links"]["winner"].as_str().unwrap();
    let winner = api.json(link).await;
    assert_eq!(winner["trial"], job["best"]["trial"]);
    let body: Value = serde_json::from_str(winner["text"].as_str().unwrap()).unwrap();
    let best = &job["best"]["configuration"];
    for setting in ["model", "temperature", "n", "max_tokens"] {
        assert_eq!(body[setting], best[setting], "{setting}");
    }
    // The endpoint takes completions.
    assert!(
        body["prompt"].as_str().unwrap().contains("{{ question }}"),
        "{body}"
    );
    let baseline = api.json(&format!("{path}/winner?form=curl&trial=0")).await;
    assert!(
        baseline["text"].as_str().unwrap().starts_with("curl "),
        "{baseline}"
    );
    let none = api.get(&format!("{path}/winner?trial=99")).await;
    assert_eq!(none.status().as_u16(), 404);
}
