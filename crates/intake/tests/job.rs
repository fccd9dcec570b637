//! Reading a job: everything that is wrong with it is said at once, each with its pointer.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "what the tests need and do not get ends them, in helpers as in the tests themselves"
)]

#[path = "job/baseline.rs"]
mod baseline;
#[path = "job/code.rs"]
mod code;
#[path = "job/data.rs"]
mod data;
#[path = "job/demonstrations.rs"]
mod demonstrations;
#[path = "job/enqueued.rs"]
mod enqueued;
#[path = "job/objective.rs"]
mod objective;
#[path = "job/rendering.rs"]
mod rendering;
#[path = "job/search.rs"]
mod search;
#[path = "job/sizes.rs"]
mod sizes;
#[path = "job/warnings.rs"]
mod warnings;

use frugal_domain::configuration::Configuration;
use frugal_domain::endpoint::Catalog;
use frugal_domain::fault::Fault;
use frugal_domain::job::{Algorithm, Data, JobSpec, Pruning};
use frugal_domain::money::{Budget, Unit, Usd};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn catalog() -> Catalog {
    serde_json::from_value(json!({
        "endpoints": {
            "local": {
                "base_url": "http://127.0.0.1:1/v1",
                "models": {
                    "gemma-3-270m": {"input_usd_per_million": 0.02, "output_usd_per_million": 0.04},
                    "smollm2-135m-instruct": {"input_usd_per_million": 0.01, "output_usd_per_million": 0.02},
                    "unpriced": {}
                }
            }
        }
    }))
    .unwrap()
}

fn read(body: &Value) -> Result<(JobSpec, Data), Vec<Fault>> {
    frugal_intake::job(body, &catalog(), 7)
}

/// The example of the documentation, with rows enough to hold some out.
fn example() -> Value {
    let rows: Vec<_> = (0..10)
        .map(|row| json!({"id": format!("arith-{row}"), "question": "1 + 1?", "answer": "2"}))
        .collect();
    json!({
        "name": "arithmetic, cheap and right",
        "labels": {"team": "search-quality"},
        "data": {"instances": rows, "holdout": {"share": 0.3}},
        "models": [
            {"endpoint": "local", "model": "gemma-3-270m"},
            {"endpoint": "local", "model": "smollm2-135m-instruct", "search_space": {"min_p": {"float": [0, 0.5]}}}
        ],
        "prompts": [
            {"name": "direct", "text": "Question: {{ question }}\nAnswer:"},
            {"name": "steps", "messages": [{"role": "user", "content": "{{ question }} Think step by step."}]}
        ],
        "search_space": {
            "temperature_or_top_p": {"one_of": [{"temperature": {"float": [0, 2]}}, {"top_p": {"float": [0, 1]}}]},
            "max_tokens": {"int": [16, 256], "scale": "log"},
            "n": {"int": [1, 32], "scale": "log"},
            "stop": {"choice": [["\n\n"], ["\n"]]},
            "presence_penalty": 0
        },
        "scoring": {
            "scorer": {"type": "numeric", "expected": "{{ answer }}", "extract": "last_number"},
            "reduce": "expected_success"
        },
        "objective": {"metric": "expected_success", "direction": "maximize"},
        "budgets": {"inference": {"usd": 0.0002}, "optimization": {"usd": 0.5}},
        "limits": {"trials": 200, "seconds": 3600},
        "search": {"algorithm": "blendsearch", "seed": 1, "pruning": "on", "parallel_trials": 4, "requests_in_flight": 32}
    })
}

#[test]
fn the_example_is_read() {
    let (spec, data) = read(&example()).unwrap();
    assert_eq!(spec.name.as_deref(), Some("arithmetic, cheap and right"));
    assert_eq!((data.tuning.len(), data.holdout.len()), (7, 3));
    assert_eq!(
        spec.inference_budget,
        Some(Budget::Usd(Usd::from_dollars(0.0002).unwrap()))
    );
    assert_eq!(spec.cost_unit(), Unit::Usd);
    assert_eq!((spec.limits.trials, spec.limits.seconds), (200, Some(3600)));
    assert_eq!((spec.search.seed, spec.search.pruning), (1, Pruning::On));
    let names: Vec<_> = spec
        .space
        .dimensions
        .iter()
        .map(|own| own.name.as_str())
        .collect();
    assert_eq!(names[..2], ["model", "prompt"]);
    let stored: JobSpec = serde_json::from_value(serde_json::to_value(&spec).unwrap()).unwrap();
    assert_eq!(stored, spec);
}

#[test]
fn the_split_depends_on_the_seed_alone_and_keeps_the_order() {
    let (_, data) = read(&example()).unwrap();
    let (_, again) = read(&example()).unwrap();
    assert_eq!(data, again);
    let mut other = example();
    other["search"]["seed"] = json!(2);
    assert_ne!(read(&other).unwrap().1.holdout, data.holdout);
    let ids: Vec<_> = data
        .tuning
        .iter()
        .map(|row| row["id"].to_string())
        .collect();
    assert!(ids.is_sorted());
}

#[test]
fn a_short_job_has_good_defaults() {
    let (spec, data) = read(&json!({
        "data": {"instances": [{"question": "1 + 1?", "answer": 2}]},
        "model": {"endpoint": "local", "model": "gemma-3-270m"},
        "prompt": "{{ question }}",
        "scoring": {"scorer": {"type": "contains", "expected": "{{ answer }}"}}
    }))
    .unwrap();
    assert_eq!((data.tuning.len(), data.holdout.len()), (1, 0));
    assert_eq!(spec.search.algorithm, Algorithm::default());
    assert_eq!(spec.search.seed, 7);
    assert_eq!(
        spec.optimization_budget,
        Budget::Usd(Usd::from_dollars(1.0).unwrap())
    );
    let baseline = spec.settings(spec.baseline.as_ref().unwrap()).unwrap();
    assert_eq!(
        (baseline.sampling.temperature, baseline.sampling.top_p),
        (Some(1.0), None)
    );
    assert_eq!((baseline.extent.max_tokens, baseline.extent.n), (1000, 1));
}

#[test]
fn settings_are_canonical_and_readable() {
    let (spec, _) = read(&example()).unwrap();
    let given = |pairs: &[(&str, Value)]| -> BTreeMap<String, Value> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect()
    };
    let settings = given(&[
        ("model", json!("smollm2-135m-instruct")),
        ("prompt", json!("steps")),
        ("top_p", json!(0.5)),
        ("n", json!(8)),
    ]);
    let configuration = spec.configuration_of(&settings, 0).unwrap();
    let settings = spec.settings(&configuration).unwrap();
    assert_eq!((settings.sampling.model, settings.sampling.prompt), (1, 1));
    assert_eq!(
        (settings.sampling.temperature, settings.sampling.top_p),
        (None, Some(0.5))
    );
    assert_eq!(
        settings.sampling.extra.keys().collect::<Vec<_>>(),
        ["min_p", "presence_penalty"]
    );
    assert_eq!(
        Value::Object(spec.describe(&settings)),
        json!({
            "endpoint": "local", "model": "smollm2-135m-instruct", "prompt": "steps", "top_p": 0.5,
            "max_tokens": 256, "n": 8, "stop": ["\n\n"], "min_p": 0.25, "presence_penalty": 0
        })
    );
    let refused = spec
        .configuration_of(&given(&[("n", json!(33))]), 0)
        .unwrap_err();
    assert_eq!(refused.0, "n");
    let refused = spec
        .configuration_of(&given(&[("frequency", json!(1))]), 0)
        .unwrap_err();
    assert_eq!(refused.0, "frequency");
}

#[test]
fn greedy_settings_fall_together() {
    let greedy = |top_p: f64| {
        let values = BTreeMap::from([
            ("temperature".to_owned(), json!(0.0)),
            ("top_p".to_owned(), json!(top_p)),
        ]);
        Configuration(values).canonical_key()
    };
    assert_eq!(greedy(0.1), greedy(0.9));
}

/// Applies a change to the example and gives the faults found.
fn faults(change: impl FnOnce(&mut Value)) -> Vec<(String, String)> {
    let mut body = example();
    change(&mut body);
    let faults = read(&body).expect_err("the change is a fault");
    faults
        .into_iter()
        .map(|fault| (fault.pointer, fault.detail))
        .collect()
}

#[test]
fn each_fault_has_its_pointer() {
    type Change = fn(&mut Value);
    let cases: &[(Change, &str)] = &[
        (
            |body| body["data"]["instances"] = json!([]),
            "/data/instances",
        ),
        (
            |body| body["data"]["instances"][1]["id"] = json!("arith-0"),
            "/data/instances",
        ),
        (
            |body| body["data"]["holdout"]["share"] = json!(1.5),
            "/data/holdout/share",
        ),
        (|body| body["models"] = json!([]), "/models"),
        (
            |body| body["models"][0]["model"] = json!("gpt-9"),
            "/models/0/model",
        ),
        (
            |body| body["models"][0]["endpoint"] = json!("nowhere"),
            "/models/0/endpoint",
        ),
        (
            |body| body["models"][1] = body["models"][0].clone(),
            "/models/1",
        ),
        (
            |body| body["prompts"][0]["text"] = json!("{{ open"),
            "/prompts/0/text",
        ),
        (
            |body| body["prompts"][0]["text"] = json!("{{ absent }}"),
            "/prompts/0/text",
        ),
        (
            |body| body["prompts"][0]["name"] = json!("steps"),
            "/prompts/1",
        ),
        (
            |body| body["search_space"]["n"]["int"] = json!([32, 1]),
            "/search_space/n/int",
        ),
        (
            |body| {
                let space = body["search_space"].as_object_mut().unwrap();
                space.remove("n");
                body["search_space"]["some"] = json!({"one_of": [{"n": {"int": [1, 4]}}, {}]});
            },
            "/search_space",
        ),
        (
            |body| body["search_space"]["n"]["int"] = Value::Null,
            "/search_space/n/int",
        ),
        (
            |body| body["search_space"]["x"] = json!({"float": null}),
            "/search_space/x/float",
        ),
        (
            |body| body["search_space"]["x"] = json!({"float": [-1.7e308, 1.7e308]}),
            "/search_space/x/float",
        ),
        (
            |body| body["search_space"]["x"] = json!({"choice": null}),
            "/search_space/x/choice",
        ),
        (
            |body| body["search_space"]["x"] = json!({"one_of": null}),
            "/search_space/x/one_of",
        ),
        (
            |body| body["search_space"]["n"]["int"] = json!([0, 1]),
            "/search_space/n/int",
        ),
        (
            |body| body["search_space"]["model"] = json!("x"),
            "/search_space/model",
        ),
        (
            |body| body["search_space"]["top_p"] = json!(1),
            "/search_space/temperature_or_top_p/one_of/1/top_p",
        ),
        (
            |body| body["search_space"]["n"]["scale"] = json!("cubic"),
            "/search_space/n/scale",
        ),
        (
            |body| body["search_space"]["stop"]["choice"][1] = json!(["\n\n"]),
            "/search_space/stop/choice/1",
        ),
        (
            |body| body["search_space"]["a/b"] = json!({"step": 1}),
            "/search_space/a~1b",
        ),
        (
            |body| body["scoring"]["scorer"]["type"] = json!("vibes"),
            "/scoring/scorer/type",
        ),
        (
            |body| body["scoring"]["scorer"] = json!({"type": "regex", "pattern": "("}),
            "/scoring/scorer/pattern",
        ),
        (
            |body| {
                body["scoring"]["scorer"] = json!({"type": "composite", "parts": [
                    {"scorer": {"type": "numeric", "expected": "{{ answer }}"}},
                    {"weight": 0, "scorer": {"type": "exact", "expected": "{{ answer }}"}}
                ]});
            },
            "/scoring/scorer/parts/1/weight",
        ),
        (
            |body| {
                body["scoring"]["scorer"] = json!({"type": "composite", "parts": [
                    {"scorer": {"type": "numeric", "expected": "{{ answer }}"}},
                    {"scorer": {"type": "exact", "expected": "{{ solution }}"}}
                ]});
            },
            "/scoring/scorer/parts/1/scorer/expected",
        ),
        (
            |body| {
                body["scoring"]["scorer"] = json!({"type": "composite", "parts": [
                    {"scorer": {"type": "regex", "pattern": "("}}
                ]});
            },
            "/scoring/scorer/parts/0/scorer/pattern",
        ),
        (
            |body| {
                let inner = json!({"type": "composite", "parts": []});
                body["scoring"]["scorer"] =
                    json!({"type": "composite", "parts": [{"scorer": inner}]});
            },
            "/scoring/scorer/parts/0/scorer/type",
        ),
        (
            |body| body["scoring"]["scorer"] = json!({"type": "composite", "parts": []}),
            "/scoring/scorer/parts",
        ),
        (
            |body| body["scoring"]["reduce"] = json!("max"),
            "/scoring/reduce",
        ),
        (
            |body| body["data"]["instances"][4]["answer"] = json!("many"),
            "/scoring/scorer/expected",
        ),
        (
            |body| body["budgets"]["inference"]["usd"] = json!(0),
            "/budgets/inference/usd",
        ),
        (
            |body| body["budgets"]["optimization"] = json!({"usd": 1, "tokens": 2}),
            "/budgets/optimization",
        ),
        (
            |body| body["models"][0]["model"] = json!("unpriced"),
            "/budgets/inference/usd",
        ),
        (|body| body["limits"]["trials"] = json!(0), "/limits/trials"),
        (
            |body| body["search"]["algorithm"] = json!("luck"),
            "/search/algorithm",
        ),
        (|body| body["baseline"] = json!({"n": 0}), "/baseline/n"),
        (
            |body| body["start"] = json!([{"max_tokens": 8}]),
            "/start/0/max_tokens",
        ),
        (|body| body["serch"] = json!({}), "/serch"),
        (|body| body["name"] = json!("a\u{0}b"), "/name"),
    ];
    for (change, pointer) in cases {
        let found = faults(change);
        assert!(
            found.iter().any(|(at, _)| at == pointer),
            "{pointer} is not among {found:?}"
        );
    }
}

#[test]
fn all_faults_are_found_at_once() {
    let found = faults(|body| {
        body["models"][0]["model"] = json!("gpt-9");
        body["scoring"]["scorer"]["type"] = json!("vibes");
        body["budgets"]["inference"]["usd"] = json!(0);
        body["search_space"]["n"]["int"] = json!([32, 1]);
        body["prompts"][0]["text"] = json!("{{ open");
    });
    assert_eq!(found.len(), 5, "{found:?}");
}

#[test]
fn a_scorer_is_stored_with_every_field_that_it_has() {
    for (extract, stored) in [
        (json!("first_line"), json!("first_line")),
        (json!({"regex": "A: (.*)"}), json!({"regex": "A: (.*)"})),
        (
            json!({"json_path": "$.a[0]"}),
            json!({"json_path": "$.a[0]"}),
        ),
    ] {
        let mut body = example();
        body["scoring"]["scorer"]["extract"] = extract;
        let scorer = read(&body).unwrap().0.scorer;
        assert_eq!(
            json!(scorer),
            json!({"type": "numeric", "expected": "{{ answer }}", "extract": stored,
                   "tolerance": 0.0})
        );
    }
}

#[test]
fn a_path_that_is_none_is_refused() {
    let found = faults(|body| {
        body["scoring"]["scorer"]["extract"] = json!({"json_path": "answer"});
    });
    let detail = "json_path: must begin with `$`, such as `$.answer` or `$.items[0]`";
    assert_eq!(
        found,
        [("/scoring/scorer/extract".to_owned(), detail.to_owned())]
    );
}

#[test]
fn a_composite_is_stored_with_its_parts_and_graded() {
    let mut body = example();
    body["scoring"] = json!({"scorer": {"type": "composite", "parts": [
        {"weight": 2, "required": true, "scorer": {"type": "numeric", "expected": "{{ answer }}"}},
        {"scorer": {"type": "regex", "pattern": "^[0-9]"}}
    ]}});
    body["objective"] = json!({});
    let (spec, _) = read(&body).unwrap();
    assert_eq!(spec.objective.metric.as_str(), "mean");
    let parts = &json!(spec.scorer)["parts"];
    assert_eq!(
        parts[0],
        json!({"weight": 2.0, "required": true, "scorer": {"type": "numeric",
               "expected": "{{ answer }}", "extract": "last_number", "tolerance": 0.0}})
    );
    assert_eq!(
        (&parts[1]["weight"], &parts[1]["required"]),
        (&json!(1.0), &json!(false))
    );
}

/// Any JSON, not too large.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z{} ]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let keys = prop_oneof![
            "[a-z_]{1,8}",
            Just("float".to_owned()),
            Just("int".to_owned())
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(keys, inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever stands in the place of a part, reading ends in a job or in faults.
    #[test]
    fn no_document_is_too_strange(part in 0_usize..12, value in any_json()) {
        let mut body = example();
        let key = body.as_object().unwrap().keys().nth(part % 11).unwrap().clone();
        body[&key] = value.clone();
        if let Err(faults) = read(&body) {
            prop_assert!(!faults.is_empty());
        }
        if let Err(faults) = read(&value) {
            prop_assert!(!faults.is_empty());
        }
    }

    /// The default and the cheap starts are points of the space, whatever its ranges.
    #[test]
    fn starts_lie_in_the_space(
        n in 1_i64..64, more in 0_i64..64, step in 1_i64..9, low in 0.0_f64..3.0, width in 0.0_f64..2.0,
    ) {
        let mut body = example();
        body["search_space"]["n"] = json!({"int": [n, n + more], "step": step});
        body["search_space"]["max_tokens"] = json!({"int": [n, n + more], "step": step});
        body["search_space"]["temperature_or_top_p"] =
            json!({"one_of": [{"temperature": {"float": [low, low + width], "step": 0.1}}, {}]});
        let (spec, _) = read(&body).unwrap();
        let mut points = spec.low_cost_starts();
        prop_assert_eq!(points.len(), 2);
        points.push(spec.default_configuration());
        for point in points {
            prop_assert!(spec.space.contains(&point), "{:?}", point);
            prop_assert!(spec.settings(&point).is_ok());
        }
    }
}
