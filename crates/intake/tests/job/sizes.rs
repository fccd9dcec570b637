//! Documents that are large or strange in one place: each ends in bounded time with a fault that says where.

use super::{any_json, catalog, example, faults, read};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Lists of a job, what an item of each may be, and how many there may be.
fn lists() -> Vec<(&'static str, Value, usize)> {
    vec![
        (
            "/data/instances",
            json!({"question": "q", "answer": "a"}),
            100_000,
        ),
        ("/models", json!("unpriced"), 64),
        ("/prompts", json!("p"), 64),
        ("/search_space/stop/choice", json!("x"), 1_000),
        ("/search_space/temperature_or_top_p/one_of", json!({}), 64),
        (
            "/constraints",
            json!({"metric": "success", "at_least": 0}),
            16,
        ),
        ("/start", json!({}), 64),
    ]
}

#[test]
fn a_list_that_is_too_long_is_one_fault_and_not_looked_into() {
    for (pointer, item, most) in lists() {
        let found = faults(|body| {
            body["constraints"] = json!([]);
            body["start"] = json!([]);
            *body.pointer_mut(pointer).unwrap() = Value::Array(vec![item; most + 1]);
        });
        let detail = format!("must hold at most {most} items, not {}", most + 1);
        assert!(
            found.contains(&(pointer.to_owned(), detail)),
            "{pointer}: {found:?}"
        );
        // Not one for each item.
        assert!(found.len() < 5, "{pointer}: {found:?}");
    }
}

#[test]
fn objects_of_names_have_so_many_members() {
    let members = |count: usize| -> Value {
        let members = (0..count).map(|index| (format!("name-{index}"), json!("1")));
        Value::Object(members.collect())
    };
    for pointer in ["/labels", "/search_space"] {
        let found = faults(|body| *body.pointer_mut(pointer).unwrap() = members(65));
        let detail = "must have at most 64 members, not 65".to_owned();
        assert_eq!(found, [(pointer.to_owned(), detail)]);
        let mut body = example();
        *body.pointer_mut(pointer).unwrap() = members(64);
        assert!(read(&body).is_ok(), "{pointer}");
    }
}

#[test]
fn as_many_values_as_a_choice_may_have_are_told_apart() {
    let mut body = example();
    let values: Vec<Value> = (0..1_000)
        .map(|index| json!(format!("stop {index}")))
        .collect();
    body["search_space"]["stop"] = json!({"choice": values});
    assert!(read(&body).is_ok());
    body["search_space"]["stop"]["choice"][999] = json!("stop 0");
    let found = read(&body).unwrap_err();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].pointer, "/search_space/stop/choice/999");
}

#[test]
fn of_many_faults_the_first_are_told() {
    let found = faults(|body| {
        body["search_space"]["n"] = json!({"choice": vec!["many"; 900]});
    });
    assert_eq!(found.len(), 101);
    let (pointer, detail) = found.last().unwrap();
    assert_eq!(pointer, "");
    assert_eq!(detail, "has 1699 more faults; mend these first");
}

#[test]
fn a_value_that_is_long_is_not_told_whole() {
    let found = faults(|body| body["search_space"]["temperature"] = json!("x".repeat(1 << 20)));
    assert!(found.iter().all(|(_, detail)| detail.len() < 500));
}

#[test]
fn a_model_may_be_named_alone_where_one_endpoint_has_it() {
    let mut body = example();
    body["models"] = json!(["unpriced", "gemma-3-270m"]);
    body["budgets"] = json!({});
    let (spec, _) = read(&body).unwrap();
    let names: Vec<_> = spec
        .models
        .iter()
        .map(|model| (&*model.endpoint, &*model.model))
        .collect();
    assert_eq!(names, [("local", "unpriced"), ("local", "gemma-3-270m")]);

    let found = faults(|body| body["models"] = json!(["gemma"]));
    assert_eq!(found[0].0, "/models/0");
    insta::assert_snapshot!(found[0].1, @"`gemma` is not a model of this server; `GET /endpoints` lists those that are");

    let mut both = catalog();
    both.endpoints
        .insert("other".to_owned(), both.endpoints["local"].clone());
    let mut body = example();
    body["models"] = json!(["gemma-3-270m"]);
    let found = frugal_intake::job(&body, &both, 7).unwrap_err();
    assert_eq!(found[0].pointer, "/models/0");
    insta::assert_snapshot!(found[0].detail, @r#"`gemma-3-270m` is a model of several endpoints; say which, as in {"endpoint":"local","model":"gemma-3-270m"}"#);
}

#[test]
fn a_share_of_held_out_rows_may_be_a_number_alone() {
    let mut body = example();
    let with_share = read(&body).unwrap().1;
    body["data"]["holdout"] = json!(0.3);
    assert_eq!(read(&body).unwrap().1, with_share);
    let found = faults(|body| body["data"]["holdout"] = json!(1));
    assert_eq!(
        found,
        [(
            "/data/holdout".to_owned(),
            "must be at least 0 and below 1".to_owned()
        )]
    );
}

#[test]
fn a_range_in_another_notation_is_shown_right() {
    for value in [json!([0, 1]), json!({"min": 0, "max": 1})] {
        let found = faults(|body| body["search_space"] = json!({"temperature": value}));
        assert_eq!(found[0].0, "/search_space/temperature");
        assert!(
            found[0]
                .1
                .contains(r#"{"temperature": {"float": [low, high]}}"#),
            "{found:?}"
        );
        let found = faults(|body| body["search_space"] = json!({"n": value}));
        assert!(
            found[0].1.contains(r#"{"n": {"int": [low, high]}}"#),
            "{found:?}"
        );
    }
}

/// The pointers of all places in a document.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate().take(3) {
                places(item, &format!("{at}/{index}"), all);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                places(member, &format!("{at}/{name}"), all);
            }
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever stands in a place of a job, or is taken from it, what is wrong is said with pointers that lead
    /// somewhere: to a place of the document, or to what is missing in one.
    #[test]
    fn faults_point_into_the_document(place in any::<prop::sample::Index>(), other in any::<prop::sample::Index>(), value in any_json(), taken in any::<bool>()) {
        let mut body = example();
        let mut all = Vec::new();
        places(&body, "", &mut all);
        let place: String = place.get(&all).clone();
        let moved = body.pointer(other.get::<String>(&all)).cloned().unwrap();
        *body.pointer_mut(&place).unwrap() = if taken { moved } else { value };
        let faults = match read(&body) {
            Err(faults) => faults,
            Ok((spec, data)) => frugal_intake::warnings(&body, &spec, &data, &catalog()),
        };
        for fault in faults {
            let parent = fault.pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
            prop_assert!(
                body.pointer(&fault.pointer).is_some() || body.pointer(parent).is_some(),
                "{:?} in {}", fault, body
            );
        }
    }
}
