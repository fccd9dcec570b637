//! Reading what a job is after: the metric, and the constraints on the others.

use super::{any_json, example, faults, read};
use frugal_domain::job::{Direction, JobSpec, Objective};
use frugal_domain::metric::{Bound, Constraint, Metric};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The job of the example with another part.
fn with(key: &str, part: Value) -> JobSpec {
    let mut body = example();
    body[key] = part;
    read(&body).unwrap().0
}

/// The faults of the example with these constraints.
fn refused(constraints: Value) -> Vec<(String, String)> {
    faults(|body| body["constraints"] = constraints)
}

#[test]
fn any_metric_can_be_the_objective() {
    for metric in Metric::ALL {
        for (direction, name) in [
            (Direction::Maximize, "maximize"),
            (Direction::Minimize, "minimize"),
        ] {
            let objective = json!({"metric": metric.as_str(), "direction": name});
            let spec = with("objective", objective.clone());
            let expected = Objective {
                metric: *metric,
                direction,
            };
            assert_eq!(spec.objective, expected);
            assert_eq!(json!(spec.objective), objective, "it is stored as written");
        }
    }
    let found = faults(|body| body["objective"]["metric"] = json!("vibes"));
    let detail = "`vibes` is not known; use `expected_success`, `success`, `mean`, `latency_ms`, \
                  `cut_rate`, `completion_tokens`, `inference_cost`";
    assert_eq!(found, [("/objective/metric".to_owned(), detail.to_owned())]);
}

#[test]
fn the_objective_is_by_default_the_most_of_what_the_scoring_makes_of_responses() {
    for (reduce, metric) in [
        ("expected_success", Metric::ExpectedSuccess),
        ("success", Metric::Success),
        ("mean", Metric::Mean),
    ] {
        for objective in [json!(null), json!({}), json!({"metric": null})] {
            let mut body = example();
            body["scoring"]["reduce"] = json!(reduce);
            body["objective"] = objective;
            let expected = Objective {
                metric,
                direction: Direction::Maximize,
            };
            assert_eq!(read(&body).unwrap().0.objective, expected);
        }
    }
}

#[test]
fn constraints_are_read_and_stored() {
    for nothing in [json!(null), json!([])] {
        assert_eq!(with("constraints", nothing).constraints, []);
    }
    let constraints = json!([
        {"metric": "latency_ms", "at_most": 2000},
        {"metric": "cut_rate", "at_most": 0.1, "at_least": null},
        {"metric": "success", "at_least": 1},
        {"metric": "success", "at_most": 1},
        {"metric": "completion_tokens", "at_least": 0}
    ]);
    let spec = with("constraints", constraints);
    let at = |metric, bound| Constraint { metric, bound };
    assert_eq!(
        spec.constraints,
        [
            at(Metric::LatencyMs, Bound::AtMost(2000.0)),
            at(Metric::CutRate, Bound::AtMost(0.1)),
            at(Metric::Success, Bound::AtLeast(1.0)),
            at(Metric::Success, Bound::AtMost(1.0)),
            at(Metric::CompletionTokens, Bound::AtLeast(0.0)),
        ]
    );
    let stored: JobSpec = serde_json::from_value(json!(spec)).unwrap();
    assert_eq!(stored, spec);
}

/// As it was stored when a job had one of the reducers for its objective and no constraints.
#[test]
fn a_job_from_before_there_were_constraints_is_still_read() {
    let spec = with("objective", json!({"metric": "mean"}));
    let mut stored = json!(spec);
    assert_eq!(
        stored["objective"],
        json!({"metric": "mean", "direction": "maximize"})
    );
    assert!(
        stored
            .as_object_mut()
            .unwrap()
            .remove("constraints")
            .is_some()
    );
    assert_eq!(serde_json::from_value::<JobSpec>(stored).unwrap(), spec);
}

#[test]
fn each_fault_of_a_constraint_has_its_place() {
    let others = "use `expected_success`, `success`, `mean`, `latency_ms`, `cut_rate`, \
                  `completion_tokens`";
    let unknown = format!("`speed` is not known; {others}");
    for (constraint, place, detail) in [
        (json!("fast"), "", "must be an object, not a string"),
        (
            json!({"at_most": 5}),
            "/metric",
            "is missing; name what is bounded, such as `latency_ms`",
        ),
        (
            json!({"metric": "speed", "at_most": 5}),
            "/metric",
            unknown.as_str(),
        ),
        (
            json!({"metric": "inference_cost", "at_most": 0.0002}),
            "/metric",
            "is bounded by `budgets.inference`; give that in its place, such as {\"usd\": 0.0002}",
        ),
        (
            json!({"metric": "latency_ms"}),
            "",
            "give exactly one of `at_most` and `at_least`",
        ),
        (
            json!({"metric": "latency_ms", "at_most": 5, "at_least": 1}),
            "",
            "give exactly one of `at_most` and `at_least`",
        ),
        (
            json!({"metric": "latency_ms", "at_most": "5"}),
            "/at_most",
            "must be a number, not a string",
        ),
        (
            json!({"metric": "latency_ms", "at_most": -1}),
            "/at_most",
            "must be 0 or above",
        ),
        (
            json!({"metric": "completion_tokens", "at_least": -0.5}),
            "/at_least",
            "must be 0 or above",
        ),
        (
            json!({"metric": "cut_rate", "at_most": 10}),
            "/at_most",
            "must be from 0 to 1, not 10",
        ),
        (
            json!({"metric": "expected_success", "at_least": 1.01}),
            "/at_least",
            "must be from 0 to 1, not 1.01",
        ),
        (
            json!({"metric": "mean", "at_least": -0.1}),
            "/at_least",
            "must be from 0 to 1, not -0.1",
        ),
        (
            json!({"metric": "success", "at_least": 0.5, "unit": "%"}),
            "/unit",
            "is not a known field; known here: `at_least`, `at_most`, `metric`",
        ),
    ] {
        let kept = json!({"metric": "success", "at_least": 0.5});
        let found = refused(json!([kept, constraint]));
        let expected = (format!("/constraints/1{place}"), detail.to_owned());
        assert_eq!(found, [expected]);
    }
    let found = refused(json!({"metric": "success", "at_least": 0.5}));
    let detail = "must be an array, not an object";
    assert_eq!(found, [("/constraints".to_owned(), detail.to_owned())]);
}

#[test]
fn all_faults_of_the_constraints_are_found_at_once() {
    let found = refused(json!([
        {"metric": "speed", "at_most": "1"},
        {"metric": "cut_rate", "at_most": 2},
        {"metric": "inference_cost"}
    ]));
    let places: Vec<_> = found.iter().map(|(place, _)| place.as_str()).collect();
    assert_eq!(
        places,
        [
            "/constraints/0/metric",
            "/constraints/0/at_most",
            "/constraints/1/at_most",
            "/constraints/2/metric",
            "/constraints/2",
        ]
    );
}

#[test]
fn constraints_are_few() {
    let many = |count| json!(vec![json!({"metric": "latency_ms", "at_most": 5}); count]);
    assert_eq!(with("constraints", many(16)).constraints.len(), 16);
    let detail = "must hold at most 16 constraints";
    assert_eq!(
        refused(many(17)),
        [("/constraints".to_owned(), detail.to_owned())]
    );
}

#[test]
fn constraints_that_contradict_each_other_are_a_fault() {
    let found = refused(json!([
        {"metric": "success", "at_least": 0.5},
        {"metric": "cut_rate", "at_most": 0.25},
        {"metric": "success", "at_most": 0.4},
        {"metric": "cut_rate", "at_least": 0.5}
    ]));
    let expected = [
        (
            "/constraints/2",
            "cannot be kept: another constraint asks for a `success` of at least 0.5",
        ),
        (
            "/constraints/3",
            "cannot be kept: another constraint asks for a `cut_rate` of at most 0.25",
        ),
    ];
    assert_eq!(
        found,
        expected.map(|(place, detail)| (place.to_owned(), detail.to_owned()))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever stands for the constraints, reading ends in a job or in faults of theirs.
    #[test]
    fn no_constraints_are_too_strange(value in any_json(), bound in any::<f64>(), index in 0_usize..7) {
        let metric = Metric::ALL[index].as_str();
        for constraints in [
            value.clone(),
            json!([value]),
            json!([{"metric": value, "at_most": 1}, {"metric": metric, "at_least": value}]),
            json!([{"metric": metric, "at_most": bound}]),
        ] {
            let mut body = example();
            body["constraints"] = constraints;
            match read(&body) {
                Ok((spec, _)) => {
                    for Constraint { metric, bound: Bound::AtMost(bound) | Bound::AtLeast(bound) }
                        in spec.constraints
                    {
                        prop_assert!(bound >= 0.0 && bound <= metric.largest().unwrap_or(f64::MAX));
                        prop_assert!(metric != Metric::InferenceCost);
                    }
                }
                Err(faults) => {
                    prop_assert!(!faults.is_empty());
                    prop_assert!(faults.iter().all(|fault| fault.pointer.starts_with("/constraints")));
                }
            }
        }
    }
}
