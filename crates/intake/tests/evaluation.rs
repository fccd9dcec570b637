//! Reading an evaluation: what it stands for, and everything that is wrong with one, each with its
//! pointer.
#![expect(
    clippy::unwrap_used,
    reason = "what the tests need and do not get ends them, in helpers as in the tests themselves"
)]

#[path = "evaluation/taken.rs"]
mod taken;

use frugal_domain::endpoint::Catalog;
use frugal_domain::fault::Fault;
use frugal_domain::job::{Data, ExtentChoice, JobKind, JobSpec, Pruning, Reuse};
use frugal_domain::metric::Metric;
use frugal_domain::money::{Budget, Usd};
use frugal_intake::estimate::{self, EvaluationEstimated, Within};
use frugal_intake::{Datasets, SourceJobs};
use serde_json::{Value, json};

fn catalog() -> Catalog {
    let priced = |usd: f64| json!({"input_usd_per_million": usd, "output_usd_per_million": usd});
    serde_json::from_value(json!({
        "endpoints": {
            "local": {
                "base_url": "http://127.0.0.1:1/v1",
                "models": {
                    "small": priced(1.0),
                    "large": priced(10.0),
                    "base": {"api": "completions", "input_usd_per_million": 1, "output_usd_per_million": 1},
                    "unpriced": {}
                }
            },
            "other": {"base_url": "http://127.0.0.1:2/v1", "models": {"small": priced(2.0)}}
        }
    }))
    .unwrap()
}

/// Two models, two prompts, three configurations, ten rows.
fn example() -> Value {
    let rows: Vec<Value> = (0..10)
        .map(|row| json!({"q": format!("{row} + 1?"), "a": row + 1}))
        .collect();
    json!({
        "name": "today and two candidates",
        "data": {"instances": rows},
        "models": [{"endpoint": "local", "model": "small"}, {"endpoint": "local", "model": "large"}],
        "prompts": [
            {"name": "direct", "text": "{{ q }}"},
            {"name": "steps", "messages": [{"role": "user", "content": "{{ q }} Step by step."}]}
        ],
        "scoring": {"scorer": {"type": "numeric", "expected": "{{ a }}"}},
        "configurations": [
            {"name": "today", "model": "large", "prompt": "direct", "temperature": 0, "max_tokens": 100},
            {"name": "votes", "model": "small", "prompt": "steps", "temperature": 0.7, "n": 5, "max_tokens": 200, "stop": ["\n\n"]},
            {"model": "small", "prompt": "steps", "presence_penalty": 0.5}
        ],
        "budgets": {"evaluation": {"usd": 2}, "inference": {"usd": 0.001}}
    })
}

fn read(body: &Value) -> Result<(JobSpec, Data), Vec<Fault>> {
    frugal_intake::evaluation_over(body, Datasets::new(), &SourceJobs::new(), &catalog(), 7)
}

fn estimated(body: &Value) -> EvaluationEstimated {
    estimate::of_evaluation(body, Datasets::new(), &SourceJobs::new(), &catalog(), 7).unwrap()
}

/// The example with a part changed, or removed where it is null.
fn with(pointer: &str, value: Value) -> Value {
    let mut body = example();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = body.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
        parent => parent[name] = value,
    }
    body
}

fn faults(body: &Value) -> Vec<(String, String)> {
    let faults = read(body).unwrap_err().into_iter();
    faults.map(|fault| (fault.pointer, fault.detail)).collect()
}

#[test]
fn an_evaluation_is_a_job_without_a_search() {
    let (spec, data) = read(&example()).unwrap();
    assert_eq!(spec.kind(), JobKind::Evaluation);
    assert_eq!((data.tuning.len(), data.holdout.len()), (10, 0));
    assert!(spec.space.dimensions.is_empty() && spec.baseline.is_none());
    assert_eq!(
        spec.optimization_budget,
        Budget::Usd(Usd::from_dollars(2.0).unwrap())
    );
    assert_eq!(
        spec.inference_budget,
        Some(Budget::Usd(Usd::from_dollars(0.001).unwrap()))
    );
    assert_eq!(spec.objective.metric, Metric::ExpectedSuccess);
    assert_eq!(
        (spec.search.pruning, spec.search.extent),
        (Pruning::Off, ExtentChoice::Searched)
    );
    assert_eq!(
        (spec.search.requests_in_flight, spec.search.reuse),
        (32, Reuse::Job)
    );
    assert_eq!(spec.search.seed, 7);
    let evaluation = spec.evaluation.as_ref().unwrap();
    assert_eq!(
        (evaluation.reference, evaluation.reference_name()),
        (0, "today")
    );
    let asked: Vec<Value> = evaluation
        .configurations
        .iter()
        .map(|named| json!({"name": named.name, "settings": spec.describe(&spec.settings(&named.configuration).unwrap())}))
        .collect();
    assert_eq!(
        asked,
        [
            json!({"name": "today", "settings": {"endpoint": "local", "model": "large", "prompt": "direct", "temperature": 0.0, "max_tokens": 100, "n": 1}}),
            json!({"name": "votes", "settings": {"endpoint": "local", "model": "small", "prompt": "steps", "temperature": 0.7, "max_tokens": 200, "n": 5, "stop": ["\n\n"]}}),
            // What is not given is not sent, but for `max_tokens` and `n`.
            json!({"name": "configuration-2", "settings": {"endpoint": "local", "model": "small", "prompt": "steps", "max_tokens": 1000, "n": 1, "presence_penalty": 0.5}}),
        ]
    );
    // It is stored and read again as it is.
    let stored: JobSpec = serde_json::from_value(json!(spec)).unwrap();
    assert_eq!(stored, spec);
}

#[test]
fn an_only_model_and_prompt_need_not_be_named() {
    let mut body = example();
    for (many, one) in [("models", "model"), ("prompts", "prompt")] {
        let first = body[many][0].clone();
        body.as_object_mut().unwrap().remove(many);
        body[one] = first;
    }
    body["configurations"] = json!([{"temperature": 0}, {"name": "b", "model": "small", "n": 3}]);
    body["reference"] = json!("b");
    body["limits"] = json!({"seconds": 60, "requests_in_flight": 4});
    body["reuse"] = json!("owner");
    body["seed"] = json!(3);
    let (spec, _) = read(&body).unwrap();
    assert_eq!(spec.evaluation.as_ref().unwrap().reference_name(), "b");
    assert_eq!(
        (spec.limits.seconds, spec.search.requests_in_flight),
        (Some(60), 4)
    );
    assert_eq!((spec.search.reuse, spec.search.seed), (Reuse::Owner, 3));
}

#[test]
fn models_of_one_name_are_told_apart_by_their_endpoints() {
    let models =
        json!([{"endpoint": "local", "model": "small"}, {"endpoint": "other", "model": "small"}]);
    let mut body = with("/models", models);
    body["configurations"] = json!([
        {"model": "small", "prompt": "direct"},
        {"model": "small", "endpoint": "other", "prompt": "direct"}
    ]);
    let (spec, _) = read(&body).unwrap();
    let of = |index: usize| {
        let named = &spec.evaluation.as_ref().unwrap().configurations[index];
        spec.settings(&named.configuration).unwrap().sampling.model
    };
    assert_eq!((of(0), of(1)), (0, 1));
}

#[test]
fn latency_is_measured_where_it_is_asked_for() {
    for body in [
        with("/measure_latency", json!(true)),
        with(
            "/constraints",
            json!([{"metric": "latency_ms", "at_most": 2000}]),
        ),
        with(
            "/objective",
            json!({"metric": "latency_ms", "direction": "minimize"}),
        ),
    ] {
        let (spec, _) = read(&body).unwrap();
        assert!(spec.measures_own_latency());
        assert_eq!(spec.search.requests_in_flight, 1);
    }
    assert!(!read(&example()).unwrap().0.measures_own_latency());
}

#[test]
fn every_fault_has_its_place() {
    let same = "asks the same of the endpoint as `today`, so there is nothing to compare; leave one of them out";
    let today = example()["configurations"][0].clone();
    for (body, pointer, detail) in [
        (
            with("/configurations", json!(null)),
            "/configurations",
            "is missing; give at least one, such as {\"temperature\": 0.7, \"max_tokens\": 256}",
        ),
        (
            with("/configurations", json!([])),
            "/configurations",
            "must hold at least one configuration",
        ),
        (
            with("/configurations/1/name", json!("today")),
            "/configurations/1/name",
            "the name `today` is taken by another configuration",
        ),
        (
            with("/configurations/1", {
                let mut other = today;
                other["name"] = json!("again");
                // At temperature 0 the answer is the likeliest one whatever `top_p` says.
                other["top_p"] = json!(0.5);
                other
            }),
            "/configurations/1",
            same,
        ),
        (
            with("/configurations/0/model", json!("medium")),
            "/configurations/0/model",
            "`medium` is not among the models of the evaluation; there is `small` at `local`, `large` at `local`",
        ),
        (
            with("/configurations/0/model", json!(null)),
            "/configurations/0/model",
            "is missing; there are several models; name one of them",
        ),
        (
            with("/configurations/0/prompt", json!("chain")),
            "/configurations/0/prompt",
            "`chain` is not among the prompts; there is `direct`, `steps`",
        ),
        (
            with("/configurations/0/prompt", json!(null)),
            "/configurations/0/prompt",
            "is missing; there are several prompts; name one of them",
        ),
        (
            with("/configurations/0/n", json!(0)),
            "/configurations/0/n",
            "`n` must be a whole number from 1 to 1024, not 0",
        ),
        (
            with("/configurations/0/temperature", json!("hot")),
            "/configurations/0/temperature",
            "`temperature` must be a number from 0 to 100, not \"hot\"",
        ),
        (
            with("/configurations/0/seed", json!(1)),
            "/configurations/0/seed",
            "is no setting; each request gets a seed of its own from the `seed` of the evaluation",
        ),
        (
            with("/configurations/0", json!("today")),
            "/configurations/0",
            "must be an object, not a string",
        ),
        (
            with("/reference", json!("tomorrow")),
            "/reference",
            "`tomorrow` is the name of no configuration; there is `today`, `votes`, `configuration-2`",
        ),
        (
            with("/data/holdout", json!({"share": 0.3})),
            "/data/holdout",
            "nothing is held out of an evaluation, which chooses nothing by its rows; leave it out, and take the rows that are meant with `data.where` or `data.sample`",
        ),
        (
            with("/objective", json!({"cheapest": {}})),
            "/objective/cheapest",
            "is what a search is after; an evaluation ranks by a `metric`, and tells costs and differences of all configurations anyway",
        ),
        (
            with("/search_space", json!({})),
            "/search_space",
            "is not a known field; known here: `budgets`, `configurations`, `constraints`, `data`, `demonstrations`, `labels`, `limits`, `measure_latency`, `model`, `models`, `name`, `not_before`, `objective`, `priority`, `prompt`, `prompts`, `reference`, `reuse`, `scoring`, `seed`",
        ),
        (
            with("/budgets/optimization", json!({"usd": 1})),
            "/budgets/optimization",
            "is not a known field; known here: `evaluation`, `inference`",
        ),
        (
            with("/budgets/evaluation", json!({"usd": 0})),
            "/budgets/evaluation/usd",
            "must be a number of dollars above 0 and at most 1000000",
        ),
        (
            with("/limits", json!({"requests_in_flight": 0})),
            "/limits/requests_in_flight",
            "must be from 1 to 1024, not 0",
        ),
        (
            with("/limits", json!({"trials": 3})),
            "/limits/trials",
            "is not a known field; known here: `requests_in_flight`, `seconds`",
        ),
        (
            with("/measure_latency", json!("yes")),
            "/measure_latency",
            "must be true or false, not a string",
        ),
        (
            with("/scoring", json!(null)),
            "/scoring",
            "is missing; say how an answer is scored, such as {\"scorer\": {\"type\": \"exact\", \"expected\": \"{{ answer }}\"}}",
        ),
        (
            with("/data", json!(null)),
            "/data",
            "is missing; give the rows to evaluate on as {\"instances\": [{…}, …]} or {\"dataset\": \"…\"}",
        ),
        (
            with("/prompts/0/text", json!("{{ question }}")),
            "/prompts/0/text",
            "the variable `question` is absent from row 0 and 9 more of the data, which has `a`, `q`",
        ),
    ] {
        let found = faults(&body);
        assert!(
            found.contains(&(pointer.to_owned(), detail.to_owned())),
            "{pointer}: {found:#?}"
        );
    }
    let mut body = with("/measure_latency", json!(true));
    body["reuse"] = json!("owner");
    assert_eq!(faults(&body)[0].0, "/reuse");
}

#[test]
fn a_model_that_takes_texts_gets_no_messages() {
    let body = with("/models/1", json!({"endpoint": "local", "model": "base"}));
    // The prompt `direct` is a text.
    let mut sound = body;
    sound["configurations"][0]["model"] = json!("base");
    read(&sound).unwrap();
    sound["configurations"][0]["prompt"] = json!("steps");
    assert_eq!(
        faults(&sound),
        [(
            "/configurations/0".to_owned(),
            "the model `base` takes no messages, and the prompt `steps` is messages; give it as `text`".to_owned()
        )]
    );
}

#[test]
fn faults_of_many_parts_are_told_at_once() {
    let mut body = example();
    body["configurations"][1]["n"] = json!(-1);
    body["configurations"][2]["prompt"] = json!("none");
    body["reference"] = json!(3);
    body["budgets"]["evaluation"] = json!({});
    body["labels"] = json!([]);
    let pointers: Vec<String> = faults(&body)
        .into_iter()
        .map(|(pointer, _)| pointer)
        .collect();
    for expected in [
        "/configurations/1/n",
        "/configurations/2/prompt",
        "/reference",
        "/budgets/evaluation",
        "/labels",
    ] {
        assert!(
            pointers.iter().any(|pointer| pointer == expected),
            "{expected}: {pointers:?}"
        );
    }
}

#[test]
fn what_is_probably_a_mistake_is_told() {
    let mut body = example();
    body["configurations"][2] = json!({"model": "large", "prompt": "direct", "temprature": 1});
    body["configurations"][1]["model"] = json!("large");
    let warnings = estimated(&body).warnings;
    let pointers: Vec<&str> = warnings
        .iter()
        .map(|warning| warning.pointer.as_str())
        .collect();
    assert_eq!(pointers, ["/configurations/2/temprature", "/models/0"]);
    assert!(warnings[0].detail.contains("`temperature`"), "{warnings:?}");
    assert!(estimated(&example()).warnings.is_empty());
}

#[test]
fn the_door_says_what_the_budget_will_not_pay_for() {
    let found = estimated(&example());
    let estimate = &found.estimate;
    assert_eq!(
        (
            estimate.rows.of,
            estimate.rows.expected,
            estimate.rows.at_least
        ),
        (10, 10, 10)
    );
    let sum: u64 = estimate
        .configurations
        .iter()
        .map(|one| one.expected.tokens)
        .sum();
    assert_eq!(estimate.expected.tokens, sum, "nothing is shared");
    // `large` at 100 tokens and $10 a million is at the budget of $0.001 an instance only by its answers.
    assert_eq!(
        estimate.configurations[0].within_inference_budget,
        Some(Within::Possible)
    );

    let poor = with("/budgets/evaluation", json!({"usd": 0.005}));
    let found = estimated(&poor);
    let rows = found.estimate.rows;
    assert!(
        0 < rows.at_least && rows.at_least < rows.expected && rows.expected < rows.of,
        "{rows:?}"
    );
    let [warning] = found.warnings.as_slice() else {
        unreachable!("{:?}", found.warnings)
    };
    assert_eq!(warning.pointer, "/budgets/evaluation");
    assert!(
        warning.detail.starts_with(&format!(
            "$0.005 is expected to pay for {} of 10 rows",
            rows.expected
        )),
        "{}",
        warning.detail
    );
}

#[test]
fn responses_that_are_shared_are_paid_for_once() {
    let alike = |n: u32, max_tokens: u32| json!({"model": "small", "prompt": "direct", "temperature": 1, "n": n, "max_tokens": max_tokens});
    let together = |configurations: Value| {
        let body = with("/configurations", configurations);
        let estimate = estimated(&body).estimate;
        let each: Vec<u64> = estimate
            .configurations
            .iter()
            .map(|one| one.at_most.tokens)
            .collect();
        (each, estimate.at_most.tokens)
    };
    // One of four responses, and shorter: there already.
    let (each, all) = together(json!([alike(1, 50), alike(4, 100)]));
    assert_eq!(all, each[1]);
    // Two of the five are there, and three are asked for, on ten rows.
    let (each, all) = together(json!([alike(5, 50), alike(2, 100)]));
    assert_eq!(all, each[0] + each[1] - 10 * 2 * 50);
    let mut apart = with("/configurations", json!([alike(1, 50), alike(4, 100)]));
    apart["measure_latency"] = json!(true);
    let estimate = estimated(&apart).estimate;
    let sum: u64 = estimate
        .configurations
        .iter()
        .map(|one| one.at_most.tokens)
        .sum();
    assert_eq!(estimate.at_most.tokens, sum);
}
