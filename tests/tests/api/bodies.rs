//! Bodies that nobody would write: whatever is posted, the server answers with a job or says what is wrong and where.

use crate::{body, job, start};
use frugal_tests::app::TestApp;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

/// A job with something of everything.
fn rich() -> Value {
    let mut rich = job();
    let more = json!({
        "prompts": [{"name": "plain", "text": "{{ question }}"}, {"name": "more", "text": "{{ question }} Think."}],
        "models": [{"endpoint": "local", "model": "m"}, "m"],
        "constraints": [{"metric": "latency_ms", "at_most": 5000}],
        "limits": {"trials": 5, "seconds": 60},
        "search": {"algorithm": "blendsearch", "requests_in_flight": 4},
        "baseline": {"temperature": 1.0, "n": 1, "max_tokens": 64},
        "seed": 7,
        "priority": 1
    });
    rich.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    rich
}

/// What may stand anywhere.
fn value() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec![
            json!(0),
            json!(-1),
            json!(0.5),
            json!(1e308),
            json!(-0.0),
            json!(5e-324)
        ]),
    ];
    let text = prop_oneof![
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "\0",
            "{{ question }}",
            "{{",
            "{% for x in y %}",
            "é\u{202e}",
            "m",
            "numeric",
            "auto"
        ])
        .prop_map(Value::from),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number,
        text
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let name = prop_oneof![
            "[a-z_]{0,8}",
            prop::sample::select(vec![
                "float", "int", "choice", "scale", "usd", "tokens", "type", "parts", "~1/0"
            ])
            .prop_map(str::to_owned),
        ];
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            btree_map(name, inner, 0..5).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// A change at a place: a value in its stead or none, or what stands at another place.
#[derive(Debug, Clone)]
enum Mutation {
    Put(prop::sample::Index, Value),
    Drop(prop::sample::Index),
    Copy(prop::sample::Index, prop::sample::Index),
    Rename(prop::sample::Index, String),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let place = any::<prop::sample::Index>;
    prop_oneof![
        4 => (place(), value()).prop_map(|(at, value)| Mutation::Put(at, value)),
        2 => place().prop_map(Mutation::Drop),
        2 => (place(), place()).prop_map(|(from, to)| Mutation::Copy(from, to)),
        1 => (place(), "[a-z~/]{1,6}").prop_map(|(at, name)| Mutation::Rename(at, name)),
    ]
}

/// The pointers of all that is in a value.
fn pointers(value: &Value) -> Vec<String> {
    let mut found = vec![String::new()];
    let children: Vec<(String, &Value)> = match value {
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(at, item)| (at.to_string(), item))
            .collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| (name.replace('~', "~0").replace('/', "~1"), member))
            .collect(),
        _ => Vec::new(),
    };
    for (name, child) in children {
        found.extend(pointers(child).iter().map(|rest| format!("/{name}{rest}")));
    }
    found
}

fn remove(document: &mut Value, pointer: &str) -> Option<Value> {
    let (parent, name) = pointer.rsplit_once('/')?;
    let name = name.replace("~1", "/").replace("~0", "~");
    match document.pointer_mut(parent)? {
        Value::Object(members) => members.remove(&name),
        Value::Array(items) => name
            .parse()
            .ok()
            .filter(|at| *at < items.len())
            .map(|at: usize| items.remove(at)),
        _ => None,
    }
}

/// The pointer that an index chooses.
fn chosen<'a>(index: &prop::sample::Index, places: &'a [String]) -> &'a str {
    index.get::<String>(places)
}

fn mutated(mut document: Value, mutations: Vec<Mutation>) -> Value {
    for mutation in mutations {
        let places = pointers(&document);
        match mutation {
            Mutation::Put(at, value) => {
                if let Some(place) = document.pointer_mut(chosen(&at, &places)) {
                    *place = value;
                }
            }
            Mutation::Drop(at) => _ = remove(&mut document, chosen(&at, &places)),
            Mutation::Copy(from, to) => {
                let copy = document.pointer(chosen(&from, &places)).cloned();
                if let (Some(place), Some(copy)) =
                    (document.pointer_mut(chosen(&to, &places)), copy)
                {
                    *place = copy;
                }
            }
            Mutation::Rename(at, name) => {
                let pointer = chosen(&at, &places);
                let moved = remove(&mut document, pointer);
                let parent = pointer
                    .rsplit_once('/')
                    .and_then(|(parent, _)| document.pointer_mut(parent));
                if let (Some(Value::Object(members)), Some(moved)) = (parent, moved) {
                    members.insert(name, moved);
                }
            }
        }
    }
    document
}

/// Whether a pointer leads to something in a document, or to where something is missing in something.
fn leads_somewhere(document: &Value, pointer: &str) -> bool {
    let of_parent = || {
        let (parent, _) = pointer.rsplit_once('/')?;
        document.pointer(parent)
    };
    document.pointer(pointer).is_some() || of_parent().is_some()
}

async fn holds(app: &TestApp, path: &str, document: &Value) -> Result<(), TestCaseError> {
    let answer = app.api.post(path, document).await;
    let status = answer.status().as_u16();
    if matches!(status, 200 | 201) {
        return Ok(());
    }
    prop_assert!((400..500).contains(&status), "{status}: {document}");
    let problem = body(answer, status).await;
    prop_assert!(
        status != 422 || !problem["errors"].as_array().unwrap().is_empty(),
        "{problem}"
    );
    for fault in problem["errors"].as_array().unwrap() {
        let pointer = fault["pointer"].as_str().unwrap();
        prop_assert!(leads_somewhere(document, pointer), "{fault} in {document}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_posted_makes_a_job_or_is_told_what_is_wrong_and_where() {
    let app = start().await;
    let base = prop_oneof![3 => Just(rich()), 2 => Just(job()), 1 => value()];
    let case = (base, vec(mutation(), 0..6)).prop_map(|(base, mutations)| mutated(base, mutations));
    // The same bodies each time, as for all that must pass before a change goes in.
    let config = Config {
        cases: 400,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]));
    let runtime = tokio::runtime::Handle::current();
    let ran = tokio::task::block_in_place(|| {
        runner.run(&case, |document| {
            runtime.block_on(async {
                holds(&app, "/jobs", &document).await?;
                holds(&app, "/jobs/estimate", &document).await
            })
        })
    });
    if let Err(error) = ran {
        panic!("{error}");
    }
    app.end().await;
}
