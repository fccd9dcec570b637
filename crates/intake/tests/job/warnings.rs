//! What is taken and told of all the same.

use super::{example, read};
use serde_json::{Value, json};

/// The warnings for the example with a change.
fn warnings(change: impl FnOnce(&mut Value)) -> Vec<(String, String)> {
    let mut body = example();
    change(&mut body);
    let (spec, data) = read(&body).unwrap();
    let found = frugal_intake::warnings(&body, &spec, &data);
    for warning in &found {
        assert!(body.pointer(&warning.pointer).is_some(), "{warning:?}");
    }
    found
        .into_iter()
        .map(|warning| (warning.pointer, warning.detail))
        .collect()
}

#[test]
fn a_job_without_oddities_has_none() {
    assert_eq!(warnings(|_| {}), []);
}

#[test]
fn prompts_and_expectations_that_use_no_field_are_told_with_the_notation() {
    let found = warnings(|body| {
        body["data"] = json!({"instances": [{"question": "1 + 1", "The Answer": "2"}]});
        body["prompts"] = json!([
            {"name": "dollar", "text": "Q: $question"},
            {"name": "right", "text": "Q: {{ question }}"},
            {"name": "any", "text": "What is the answer?"}
        ]);
        body["scoring"] = json!({"scorer": {"type": "exact", "expected": "{The Answer}"}});
    });
    let pointers: Vec<_> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(
        pointers,
        ["/prompts/0", "/prompts/2", "/scoring/scorer/expected"]
    );
    insta::assert_snapshot!(found[0].1, @"the prompt uses no field of the rows, so every row asks the same; write `{{ question }}` for it");
    insta::assert_snapshot!(found[1].1, @r#"the prompt uses no field of the rows, so every row asks the same; fields are used as in `{{ row["The Answer"] }}`, `{{ question }}`"#);
    insta::assert_snapshot!(found[2].1, @r#"uses no field of the rows, so every row has the same right answer; write `{{ row["The Answer"] }}` for it"#);
    let by_row = warnings(|body| {
        body["data"] = json!({"instances": [{"question": "1 + 1", "The Answer": "2"}]});
        body["prompts"] = json!([{"name": "right", "text": "{{ row['question'] }}"}]);
        body["scoring"] =
            json!({"scorer": {"type": "exact", "expected": "{{ row['The Answer'] }}"}});
    });
    assert_eq!(by_row, []);
}

#[test]
fn settings_that_look_like_others_or_like_ranges_are_told() {
    let found = warnings(|body| {
        body["search_space"] = json!({
            "temprature": {"float": [0, 1]}, "penalty": [0, 1], "a/b": {"min": 0, "max": 1},
            "top_k": 5, "presence_penalty": {"float": [0, 1]}
        });
    });
    let pointers: Vec<_> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/search_space/a~1b",
            "/search_space/penalty",
            "/search_space/temprature"
        ]
    );
    assert!(found[0].1.contains("{\"float\": [0, 1]}"), "{found:?}");
    assert!(found[2].1.contains("`temperature`"), "{found:?}");
}
