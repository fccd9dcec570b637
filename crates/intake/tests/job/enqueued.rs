//! Configurations that are put into a job while it goes on.

use super::{example, read};
use frugal_intake::enqueued;
use serde_json::{Value, json};

#[test]
fn it_is_the_point_that_the_start_of_a_job_would_be() {
    let given = json!({"model": "smollm2-135m-instruct", "prompt": "steps", "top_p": 0.5, "n": 8});
    let mut body = example();
    body["start"] = json!([given]);
    let (spec, _) = read(&body).unwrap();
    let read = enqueued(&json!({"configuration": given}), &spec).unwrap();
    assert_eq!(read, spec.start[0]);
    // As trials show it.
    let shown = Value::Object(spec.describe(&spec.settings(&read).unwrap()));
    assert_eq!(
        enqueued(&json!({"configuration": shown}), &spec).unwrap(),
        read
    );
}

#[test]
fn what_is_wrong_with_it_has_its_place() {
    let (spec, _) = read(&example()).unwrap();
    let model = "gemma-3-270m";
    for (document, pointer, reason) in [
        (json!(null), "", "object"),
        (json!({}), "/configuration", "is missing"),
        (json!({"configuration": 3}), "/configuration", "object"),
        (
            json!({"configuration": {"model": model}, "origin": "mine"}),
            "/origin",
            "not a known field",
        ),
        (
            json!({"configuration": {"temperature": 0.5}}),
            "/configuration/model",
            "name one of them",
        ),
        (
            json!({"configuration": {"model": "other"}}),
            "/configuration/model",
            "among the job's models",
        ),
        (
            json!({"configuration": {"model": model, "n": 33}}),
            "/configuration/n",
            "outside the search space",
        ),
        (
            json!({"configuration": {"model": model, "frequency": 1}}),
            "/configuration/frequency",
            "not a setting of the search space",
        ),
        (
            json!({"configuration": {"model": model, "prompt": "a\u{0}"}}),
            "/configuration/prompt",
            "NUL",
        ),
    ] {
        let faults = enqueued(&document, &spec).unwrap_err();
        assert_eq!(faults[0].pointer, pointer, "{document}: {faults:?}");
        assert!(faults[0].detail.contains(reason), "{document}: {faults:?}");
    }
}
