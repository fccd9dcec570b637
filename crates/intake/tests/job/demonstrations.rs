//! Demonstrations: which prompts they make, and what is refused.

use crate::{catalog, example};
use frugal_domain::fault::Fault;
use frugal_domain::job::{Data, JobSpec};
use serde_json::{Value, json};

fn read(demonstrations: Value, prompts: Value) -> Result<(JobSpec, Data), Vec<Fault>> {
    let mut body = example();
    let rows: Vec<Value> = (0..10)
        .map(|number| json!({"question": format!("{number} + 1"), "answer": number + 1}))
        .collect();
    body["data"] = json!({"instances": rows, "holdout": {"share": 0.4}});
    body["prompts"] = prompts;
    body["demonstrations"] = demonstrations;
    frugal_intake::job(&body, &catalog(), 7)
}

fn few() -> Value {
    json!({"name": "few", "text":
        "{% for one in demonstrations %}{{ one.question }} = {{ one.answer }}\n{% endfor %}{{ question }} ="})
}

fn names(demonstrations: Value) -> Vec<String> {
    let bare = json!({"name": "bare", "text": "{{ question }}"});
    let (spec, _) = read(demonstrations, json!([bare, few()])).unwrap();
    spec.prompts.into_iter().map(|prompt| prompt.name).collect()
}

fn faults(demonstrations: Value, prompts: Value) -> Vec<(String, String)> {
    let faults = read(demonstrations, prompts).unwrap_err().into_iter();
    faults.map(|fault| (fault.pointer, fault.detail)).collect()
}

#[test]
fn every_way_of_showing_them_is_a_prompt() {
    let usual = [
        "bare",
        "few (no demonstrations)",
        "few (1 similar)",
        "few (2 similar)",
        "few (4 similar)",
    ];
    assert_eq!(names(json!({})), usual);
    let range = json!({"count": {"int": [0, 5]}, "choice": ["first", "random"]});
    assert_eq!(
        names(range),
        [
            "bare",
            "few (no demonstrations)",
            "few (1 first)",
            "few (1 random)",
            "few (2 first)",
            "few (2 random)",
            "few (4 first)",
            "few (4 random)",
            "few (5 first)",
            "few (5 random)"
        ]
    );
    assert_eq!(
        names(json!({"count": 3, "choice": "search"})),
        [
            "bare",
            "few (3 random)",
            "few (3 random, draw 1)",
            "few (3 random, draw 2)",
            "few (3 random, draw 3)"
        ]
    );
}

#[test]
fn a_configuration_names_what_is_shown() {
    let with = |baseline: Value| {
        let mut body = example();
        body["prompts"] = json!([{"name": "bare", "text": "{{ question }}"}, few()]);
        body["demonstrations"] = json!({"count": {"int": [0, 2]}, "choice": ["first", "similar"]});
        body["baseline"] = baseline;
        frugal_intake::job(&body, &catalog(), 7).map(|(spec, _)| {
            let baseline = spec.settings(spec.baseline.as_ref().unwrap()).unwrap();
            spec.describe(&baseline)
        })
    };
    let none = json!({"count": 0});
    for (shown, name, described) in [
        (none.clone(), "few (no demonstrations)", none.clone()),
        (
            json!({"count": 2, "choice": "similar"}),
            "few (2 similar)",
            json!({"count": 2, "choice": "similar"}),
        ),
    ] {
        let found = with(json!({"prompt": "few", "demonstrations": shown})).unwrap();
        assert_eq!(
            (&found["prompt"], &found["demonstrations"]),
            (&json!(name), &described)
        );
        // As it is read, it can be posted.
        let mut again = found.clone();
        again.retain(|name, _| ["prompt", "demonstrations"].contains(&name.as_str()));
        assert_eq!(with(Value::Object(again)).unwrap(), found);
    }
    let bare = with(json!({"prompt": "bare"})).unwrap();
    assert!(!bare.contains_key("demonstrations"));
    for (baseline, pointer, told) in [
        (
            json!({"prompt": "few", "demonstrations": {"count": 2}}),
            "/baseline/demonstrations",
            "says too little of how demonstrations are shown",
        ),
        (
            json!({"prompt": "bare", "demonstrations": none}),
            "/baseline/demonstrations",
            "the prompt shows no demonstrations",
        ),
        (
            json!({"prompt": "few"}),
            "/baseline/prompt",
            "several prompts are meant",
        ),
    ] {
        let faults = with(baseline).unwrap_err();
        assert_eq!(faults[0].pointer, pointer);
        assert!(faults[0].detail.contains(told), "{}", faults[0].detail);
    }
}

#[test]
fn what_is_held_out_is_shown_to_nobody() {
    let (spec, data) = read(json!({"pool": "rows", "count": 9}), json!([few()])).unwrap();
    assert_eq!(data.holdout.len(), 4);
    assert_eq!(spec.pool, data.tuning);
    let own = json!([{"question": "a", "answer": "b"}]);
    let (spec, _) = read(json!({"pool": own, "count": 1}), json!([few()])).unwrap();
    assert_eq!(json!(spec.pool), own);
    let stored = serde_json::to_value(&spec).unwrap();
    assert_eq!(serde_json::from_value::<JobSpec>(stored).unwrap(), spec);
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (demonstrations, pointer, detail) in [
        (
            json!({"count": -1}),
            "/demonstrations/count",
            "must be from 0 to 64, not -1",
        ),
        (
            json!({"count": {"int": [4, 2]}}),
            "/demonstrations/count/int",
            "must begin with the lower end",
        ),
        (
            json!({"choice": "best"}),
            "/demonstrations/choice",
            "`best` is not known; use `first`, `random`, `similar`, `search`",
        ),
        (
            json!({"pool": "holdout"}),
            "/demonstrations/pool",
            "must be a list of rows, or `rows` for those that are tuned on",
        ),
        // Its rows have to hold what the prompt shows of them.
        (
            json!({"pool": [{"question": "a"}], "count": 1}),
            "/prompts/0/text",
            "cannot be rendered for row 0 and 9 more of the data: line 1: `one.answer` is undefined \
             in this instance; give it to the row, or say what takes its place with the filter `default`",
        ),
    ] {
        let found = faults(demonstrations, json!([few()]));
        assert_eq!(found, [(pointer.to_owned(), detail.to_owned())]);
    }
    let unused = faults(
        json!({}),
        json!([{"name": "bare", "text": "{{ question }}"}]),
    );
    assert_eq!(unused[0].0, "/demonstrations");
    assert!(
        unused[0]
            .1
            .starts_with("no prompt shows them; loop over `demonstrations`")
    );
}
