//! Reading what a job is after: the metric, and the constraints on the others.

use super::{any_json, example, faults, read};
use frugal_domain::job::{Direction, JobSpec, NonInferiority, Objective, Reference};
use frugal_domain::metric::{Bound, Constraint, Metric};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The job of the example with another part.
fn with(key: &str, part: Value) -> JobSpec {
    let mut body = example();
    body["scoring"]["selector"] = json!({"type": "regex", "pattern": "."});
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
                cheapest: None,
            };
            assert_eq!(spec.objective, expected);
            assert_eq!(json!(spec.objective), objective, "it is stored as written");
        }
    }
    let found = faults(|body| body["objective"]["metric"] = json!("vibes"));
    let detail = "`vibes` is not known; use `expected_success`, `success`, `mean`, `min`, `majority`, \
                  `best_of_n`, `latency_ms`, `cut_rate`, `completion_tokens`, `inference_cost`";
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
                cheapest: None,
            };
            assert_eq!(read(&body).unwrap().0.objective, expected);
        }
    }
}

#[test]
fn the_cheapest_that_is_as_good_is_an_objective() {
    let mut body = example();
    body["scoring"]["reduce"] = json!("mean");
    let mut read_as = |cheapest: Value| {
        body["objective"] = json!({"cheapest": cheapest});
        read(&body).unwrap().0.objective
    };
    let standard = NonInferiority {
        metric: Metric::Mean,
        as_good_as: Reference::Baseline,
        margin: 0.05,
        confidence: 0.95,
    };
    assert_eq!(read_as(json!({})), Objective::cheapest(standard));
    assert_eq!(
        read_as(json!({"as_good_as": "baseline", "margin": 0.02, "confidence": 0.8})),
        Objective::cheapest(NonInferiority {
            margin: 0.02,
            confidence: 0.8,
            ..standard
        })
    );
    let given = json!({"metric": "success", "as_good_as": 0.7, "margin": 0});
    let found = read_as(given);
    assert_eq!(
        found,
        Objective::cheapest(NonInferiority {
            metric: Metric::Success,
            as_good_as: Reference::Value(0.7),
            margin: 0.0,
            ..standard
        })
    );
    // Without a baseline there may still be a number.
    body["baseline"] = json!(false);
    assert_eq!(read(&body).unwrap().0.objective, found);
}

#[test]
fn each_fault_of_what_is_to_be_as_good_has_its_place() {
    let of_answers = "use `expected_success`, `success`, `mean`, `min`, `majority`, `best_of_n`";
    for (objective, place, detail) in [
        (
            json!({"cheapest": "please"}),
            "/cheapest",
            "must be an object, not a string".to_owned(),
        ),
        (
            json!({"cheapest": {"as_good_as": "gpt"}}),
            "/cheapest/as_good_as",
            "`gpt` is not known; use `baseline`".to_owned(),
        ),
        (
            json!({"cheapest": {"as_good_as": 1.2}}),
            "/cheapest/as_good_as",
            "must be \"baseline\" or a number from 0 to 1, not 1.2".to_owned(),
        ),
        (
            json!({"cheapest": {"as_good_as": {}}}),
            "/cheapest/as_good_as",
            "must be \"baseline\" or a number from 0 to 1, not {}".to_owned(),
        ),
        (
            json!({"cheapest": {"margin": -0.1}}),
            "/cheapest/margin",
            "must be from 0 to below 1, not -0.1: how much lower the metric's mean may be".to_owned(),
        ),
        (
            json!({"cheapest": {"margin": "5 %"}}),
            "/cheapest/margin",
            "must be a number, not a string".to_owned(),
        ),
        (
            json!({"cheapest": {"confidence": 95}}),
            "/cheapest/confidence",
            "must be from 0.5 to 0.999, not 95: how sure it is to be that the margin is kept, such as \
             0.95"
                .to_owned(),
        ),
        (
            json!({"cheapest": {"metric": "latency_ms"}}),
            "/cheapest/metric",
            format!("`latency_ms` is not known; {of_answers}"),
        ),
        (
            json!({"cheapest": {"tolerance": 0.1}}),
            "/cheapest/tolerance",
            "is not a known field; known here: `as_good_as`, `confidence`, `margin`, `metric`"
                .to_owned(),
        ),
        (
            json!({"cheapest": {}, "metric": "mean"}),
            "/metric",
            "does not go with `cheapest`, which is the least `inference_cost`: remove it; what must \
             be as good is `cheapest.metric`"
                .to_owned(),
        ),
    ] {
        let found = faults(|body| body["objective"] = objective.clone());
        assert_eq!(found, [(format!("/objective{place}"), detail)], "{objective}");
    }
}

#[test]
fn a_baseline_that_is_to_be_matched_must_be_there() {
    let detail = "there is no baseline to be as good as, for `baseline` is false: give one, or a \
                  number in its place, such as {\"as_good_as\": 0.8}";
    for (cheapest, place) in [
        (json!({}), ""),
        (json!({"as_good_as": "baseline"}), "/as_good_as"),
    ] {
        let found = faults(|body| {
            body["baseline"] = json!(false);
            body["objective"] = json!({"cheapest": cheapest});
        });
        let pointer = format!("/objective/cheapest{place}");
        assert_eq!(found, [(pointer, detail.to_owned())]);
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

#[test]
fn the_majority_needs_a_scorer_that_tells_answers_apart() {
    let of_contains = |change: fn(&mut Value)| {
        faults(|body| {
            body["scoring"] = json!({"scorer": {"type": "contains", "expected": "{{ answer }}"}});
            body["objective"] = json!({});
            change(body);
        })
    };
    let detail = "`majority` counts responses that give the same answer, which the scorer `contains` \
                  cannot tell; score by `exact`, `regex`, `choice`, `numeric`, `math` or `json`, or take \
                  another one, such as `mean`";
    for (place, change) in [
        (
            "/scoring/reduce",
            (|body| body["scoring"]["reduce"] = json!("majority")) as fn(&mut Value),
        ),
        ("/objective/metric", |body| {
            body["objective"] = json!({"metric": "majority"});
        }),
        ("/objective/cheapest/metric", |body| {
            body["objective"] = json!({"cheapest": {"metric": "majority"}});
        }),
        ("/constraints/0/metric", |body| {
            body["constraints"] = json!([{"metric": "majority", "at_least": 0.5}]);
        }),
    ] {
        assert_eq!(of_contains(change), [(place.to_owned(), detail.to_owned())]);
    }
}

#[test]
fn a_metric_of_all_rows_together_is_no_objective() {
    let detail = "`corpus_bleu` is of all rows together and no mean over them, so that nothing can go by it \
                  from row to row: take `mean`, which is of the scores of the rows; trials and reports show \
                  `corpus_bleu` beside it, with intervals and differences, wherever the scorer counts what it \
                  takes";
    for (place, change) in [
        (
            "/scoring/reduce",
            (|body| body["scoring"]["reduce"] = json!("corpus_bleu")) as fn(&mut Value),
        ),
        ("/objective/metric", |body| {
            body["objective"] = json!({"metric": "corpus_bleu"});
        }),
        ("/objective/cheapest/metric", |body| {
            body["objective"] = json!({"cheapest": {"metric": "corpus_bleu"}});
        }),
        ("/constraints/0/metric", |body| {
            body["constraints"] = json!([{"metric": "corpus_bleu", "at_least": 0.5}]);
        }),
    ] {
        assert_eq!(faults(change), [(place.to_owned(), detail.to_owned())]);
    }
}

#[test]
fn the_best_of_n_needs_a_selector() {
    let detail = "`best_of_n` counts the response that a selector prefers, and there is none: give \
                  `scoring.selector`, a scorer such as {\"type\": \"json\"}";
    for (place, change) in [
        (
            "/scoring/reduce",
            (|body| body["scoring"]["reduce"] = json!("best_of_n")) as fn(&mut Value),
        ),
        ("/objective/metric", |body| {
            body["objective"] = json!({"metric": "best_of_n"});
        }),
        ("/objective/cheapest/metric", |body| {
            body["objective"] = json!({"cheapest": {"metric": "best_of_n"}});
        }),
        ("/constraints/0/metric", |body| {
            body["constraints"] = json!([{"metric": "best_of_n", "at_least": 0.5}]);
        }),
    ] {
        assert_eq!(faults(change), [(place.to_owned(), detail.to_owned())]);
    }
    // With one it is what is sought, unless the job says otherwise.
    let scorer = json!({"type": "exact", "expected": "{{ answer }}"});
    let scoring = json!({"scorer": scorer, "selector": {"type": "regex", "pattern": "^[A-Z]"}});
    let mut body = example();
    body.as_object_mut().unwrap().remove("objective");
    body["scoring"] = scoring;
    let spec = read(&body).unwrap().0;
    assert_eq!(spec.objective.metric, Metric::BestOfN);
    assert_eq!(spec.selector.as_ref().unwrap().0["pattern"], "^[A-Z]");
    let stored: JobSpec = serde_json::from_value(json!(spec)).unwrap();
    assert_eq!(stored, spec);
    body["scoring"]["reduce"] = json!("mean");
    assert_eq!(read(&body).unwrap().0.objective.metric, Metric::Mean);
}

#[test]
fn a_selector_only_reads_and_can_read_every_row() {
    for (selector, place, detail) in [
        (
            json!({"type": "judge", "endpoint": "e", "model": "m", "rubric": "Good?"}),
            "/type",
            "`judge` asks a model for each response, and a selector only reads them: choose by \
             another scorer, such as `json`, `regex` or `composite`, and leave `judge` to `scorer`",
        ),
        (
            json!({"type": "code", "tests": "{{ test }}"}),
            "/type",
            "`code` runs programs for each response, and a selector only reads them: choose by \
             another scorer, such as `json`, `regex` or `composite`, and leave `code` to `scorer`",
        ),
        (
            json!({"type": "composite", "parts": [{"scorer": {"type": "code", "tests": "x"}}]}),
            "/parts/0/scorer/type",
            "`code` runs programs for each response, and a selector only reads them: choose by \
             another scorer, such as `json`, `regex` or `composite`, and leave `code` to `scorer`",
        ),
        (
            json!({"type": "regex", "pattern": "("}),
            "/pattern",
            "not a regular expression: unclosed group",
        ),
        (
            json!({"type": "numeric", "expected": "none"}),
            "/expected",
            "row 0 of the data: expected: `none` holds 0 numbers; it must hold one",
        ),
    ] {
        let found = faults(|body| body["scoring"]["selector"] = selector);
        let place = format!("/scoring/selector{place}");
        assert_eq!(found, [(place, detail.to_owned())]);
    }
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
    let others = "use `expected_success`, `success`, `mean`, `min`, `majority`, \
                  `best_of_n`, `latency_ms`, `cut_rate`, `completion_tokens`";
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
    let detail = "must hold at most 16 items, not 17";
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
