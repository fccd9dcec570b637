//! Reading how a job's search is run: the algorithm with its options, and the limits.

use super::{example, faults, read};
use frugal_domain::configuration::Configuration;
use frugal_domain::job::Algorithm;
use frugal_domain::job::algorithm::{
    BlendsearchOptions, CfoOptions, GlobalSearcher, GridOptions, GridOrder, RandomOptions,
    Sequence, TpeOptions,
};
use frugal_domain::job::{ExtentChoice, JobSpec, Limits, Pruning};
use frugal_domain::space::{Domain, Space};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The job of the example with another search.
fn with(search: Value) -> JobSpec {
    let mut body = example();
    body["search"] = search;
    read(&body).unwrap().0
}

/// The faults of the example with another search.
fn refused(search: Value) -> Vec<(String, String)> {
    faults(|body| body["search"] = search)
}

#[test]
fn each_algorithm_has_default_options() {
    for algorithm in Algorithm::all() {
        let name = algorithm.as_str();
        for search in [
            json!({"algorithm": name}),
            json!({"algorithm": name, "options": null}),
            json!({"algorithm": name, "options": {}}),
        ] {
            assert_eq!(with(search).search.algorithm, algorithm);
        }
    }
    assert_eq!(
        with(json!({})).search.algorithm,
        Algorithm::Blendsearch(BlendsearchOptions {
            low_cost_starts: false,
            global: GlobalSearcher::Tpe,
            startup_trials: 10,
            candidates: 24,
            step_size: 0.1,
        })
    );
    assert_eq!(
        with(json!({"algorithm": "grid"})).search.algorithm,
        Algorithm::Grid(GridOptions {
            points: 5,
            order: GridOrder::Shuffled,
        })
    );
}

#[test]
fn each_option_is_read_and_stored() {
    for (algorithm, options, expected) in [
        (
            "blendsearch",
            json!({
                "low_cost_starts": true, "global": "random", "startup_trials": 1,
                "candidates": 1000, "step_size": 0.001
            }),
            Algorithm::Blendsearch(BlendsearchOptions {
                low_cost_starts: true,
                global: GlobalSearcher::Random,
                startup_trials: 1,
                candidates: 1000,
                step_size: 0.001,
            }),
        ),
        (
            "cfo",
            json!({"low_cost_starts": true, "step_size": 1}),
            Algorithm::Cfo(CfoOptions {
                low_cost_starts: true,
                step_size: 1.0,
            }),
        ),
        (
            "tpe",
            json!({"low_cost_starts": true, "startup_trials": 1000, "candidates": 1}),
            Algorithm::Tpe(TpeOptions {
                low_cost_starts: true,
                startup_trials: 1000,
                candidates: 1,
            }),
        ),
        (
            "random",
            json!({"low_cost_starts": true, "sequence": "halton"}),
            Algorithm::Random(RandomOptions {
                low_cost_starts: true,
                sequence: Sequence::Halton,
            }),
        ),
        (
            "random",
            json!({"sequence": "sobol"}),
            Algorithm::Random(RandomOptions {
                low_cost_starts: false,
                sequence: Sequence::Sobol,
            }),
        ),
        (
            "grid",
            json!({"points": 3, "order": "sequential"}),
            Algorithm::Grid(GridOptions {
                points: 3,
                order: GridOrder::Sequential,
            }),
        ),
    ] {
        let spec = with(json!({"algorithm": algorithm, "options": options}));
        assert_eq!(spec.search.algorithm, expected);
        let stored: JobSpec = serde_json::from_value(json!(spec)).unwrap();
        assert_eq!(stored, spec);
    }
}

#[test]
fn options_of_another_algorithm_are_faults() {
    let all = json!({
        "low_cost_starts": true, "global": "tpe", "startup_trials": 5, "candidates": 5,
        "step_size": 0.5, "sequence": "sobol", "points": 2, "order": "shuffled"
    });
    for (algorithm, others) in [
        ("blendsearch", ["sequence", "points", "order"].as_slice()),
        (
            "cfo",
            &[
                "global",
                "startup_trials",
                "candidates",
                "sequence",
                "points",
                "order",
            ],
        ),
        (
            "tpe",
            &["global", "step_size", "sequence", "points", "order"],
        ),
        (
            "random",
            &[
                "global",
                "startup_trials",
                "candidates",
                "step_size",
                "points",
                "order",
            ],
        ),
        (
            "grid",
            &[
                "low_cost_starts",
                "global",
                "startup_trials",
                "candidates",
                "step_size",
                "sequence",
            ],
        ),
    ] {
        let found = refused(json!({"algorithm": algorithm, "options": all}));
        let places: Vec<_> = found.iter().map(|(place, _)| place.as_str()).collect();
        let expected: Vec<_> = others
            .iter()
            .map(|name| format!("/search/options/{name}"))
            .collect();
        assert_eq!(sorted(&places), sorted(&expected), "{algorithm}");
    }
    let found = refused(json!({"algorithm": "grid", "options": {"step_size": 0.5}}));
    assert_eq!(
        found,
        [(
            "/search/options/step_size".to_owned(),
            "is not a known field; known here: `order`, `points`".to_owned()
        )]
    );
}

fn sorted<T: AsRef<str>>(names: &[T]) -> Vec<&str> {
    let mut names: Vec<_> = names.iter().map(AsRef::as_ref).collect();
    names.sort_unstable();
    names
}

#[test]
fn options_out_of_range_are_faults() {
    for (algorithm, option, value, detail) in [
        (
            "tpe",
            "startup_trials",
            json!(0),
            "must be from 1 to 1000, not 0",
        ),
        (
            "blendsearch",
            "startup_trials",
            json!(1001),
            "must be from 1 to 1000, not 1001",
        ),
        (
            "tpe",
            "candidates",
            json!(-1),
            "must be from 1 to 1000, not -1",
        ),
        (
            "blendsearch",
            "candidates",
            json!(2.5),
            "must be an integer",
        ),
        (
            "cfo",
            "step_size",
            json!(0),
            "must be from 0.001 to 1, not 0",
        ),
        (
            "blendsearch",
            "step_size",
            json!(1.01),
            "must be from 0.001 to 1, not 1.01",
        ),
        ("grid", "points", json!(0), "must be from 1 to 1000, not 0"),
        (
            "grid",
            "points",
            json!(1001),
            "must be from 1 to 1000, not 1001",
        ),
        (
            "grid",
            "order",
            json!("random"),
            "`random` is not known; use `shuffled`, `sequential`",
        ),
        (
            "random",
            "sequence",
            json!("latin"),
            "`latin` is not known; use `uniform`, `halton`, `sobol`",
        ),
        (
            "blendsearch",
            "global",
            json!("grid"),
            "`grid` is not known; use `tpe`, `random`",
        ),
        (
            "cfo",
            "low_cost_starts",
            json!(1),
            "must be true or false, not a number",
        ),
    ] {
        let found = refused(json!({"algorithm": algorithm, "options": {option: value}}));
        let expected = (format!("/search/options/{option}"), detail.to_owned());
        assert_eq!(found, [expected], "{algorithm}");
    }
    let found = refused(json!({"options": [1]}));
    assert_eq!(
        found,
        [(
            "/search/options".to_owned(),
            "must be an object, not an array".to_owned()
        )]
    );
}

#[test]
fn the_options_of_an_unknown_algorithm_are_not_judged() {
    let found = refused(json!({"algorithm": "luck", "options": {"points": -1}}));
    let expected = "`luck` is not known; use `blendsearch`, `cfo`, `tpe`, `random`, `grid`";
    assert_eq!(
        found,
        [("/search/algorithm".to_owned(), expected.to_owned())]
    );
}

/// Over the example, a grid of p points has (1 + p) models with the setting that only one of
/// them has, 2 prompts, 2p temperatures or `top_p`, p² of `max_tokens` and `n`, 2 stop texts.
#[test]
fn a_grid_that_is_too_large_is_a_fault() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str, &str); 3] = [
        (
            |body| body["search"]["options"] = json!({"points": 6}),
            "/search/options",
            "12096",
        ),
        (
            |body| body["search_space"]["min_k"] = json!({"int": [1, 2]}),
            "/search/algorithm",
            "12000",
        ),
        (
            |body| {
                body["search_space"]["min_k"] = json!({"float": [0, 1], "step": 1e-300});
                body["search"]["options"] = json!({});
            },
            "/search/options",
            "far too many",
        ),
    ];
    for (change, place, size) in cases {
        let found = faults(|body| {
            body["search"] = json!({"algorithm": "grid"});
            change(body);
        });
        let detail = format!(
            "the grid over this search space has {size} configurations, and at most 10000 are \
             allowed; lower `search.options.points`, give settings a larger `step`, or list fewer \
             values"
        );
        assert_eq!(found, [(place.to_owned(), detail)]);
    }
}

#[test]
fn a_grid_of_the_permitted_size_is_read() {
    let mut body = example();
    body["models"] = json!([{"endpoint": "local", "model": "gemma-3-270m"}]);
    body["prompts"] = json!(["{{ question }}"]);
    body["search_space"] = json!({"max_tokens": {"int": [1, 10_000], "step": 1}});
    body["search"] = json!({"algorithm": "grid"});
    read(&body).unwrap();
    body["search_space"]["max_tokens"]["int"][1] = json!(10_001);
    let found = read(&body).unwrap_err();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].pointer, "/search/algorithm");
}

#[test]
fn trials_without_improvement_are_limited_on_request() {
    let limits = |limits: Value| -> Limits {
        let mut body = example();
        body["limits"] = limits;
        read(&body).unwrap().0.limits
    };
    assert_eq!(limits(json!({})).trials_without_improvement, None);
    let read = limits(json!({"trials_without_improvement": 30}));
    assert_eq!(
        (read.trials, read.trials_without_improvement),
        (100, Some(30))
    );
    for (value, detail) in [
        (json!(0), "must be from 1 to 100000, not 0"),
        (json!(100_001), "must be from 1 to 100000, not 100001"),
        (json!("30"), "must be an integer, not a string"),
    ] {
        let found = faults(|body| body["limits"]["trials_without_improvement"] = value);
        let place = "/limits/trials_without_improvement".to_owned();
        assert_eq!(found, [(place, detail.to_owned())]);
    }
}

#[test]
fn a_job_has_a_priority_and_a_moment_before_which_it_is_not_begun() {
    let spec = read(&example()).unwrap().0;
    assert_eq!((spec.priority.get(), spec.not_before), (0, None));
    let mut body = example();
    body["priority"] = json!(-9);
    body["not_before"] = json!("2030-01-31T22:00:00+02:00");
    let spec = read(&body).unwrap().0;
    assert_eq!(spec.priority.get(), -9);
    let moment = spec.not_before.unwrap().to_rfc3339();
    assert_eq!(moment, "2030-01-31T20:00:00+00:00");
    for (field, value, detail) in [
        ("priority", json!(10), "must be from -9 to 9, not 10"),
        ("priority", json!(0.5), "must be an integer"),
        (
            "not_before",
            json!("tomorrow"),
            "must be a time as RFC 3339 writes it, with its offset, such as 2030-01-31T22:00:00Z",
        ),
        ("not_before", json!(7), "must be a string, not a number"),
    ] {
        let found = faults(|body| body[field] = value);
        assert_eq!(found, [(format!("/{field}"), detail.to_owned())]);
    }
}

/// The configuration of a grid that has the first value of everything, or the last.
fn corner(grid: &Space, last: bool, into: &mut Configuration) {
    for dimension in &grid.dimensions {
        let value = match &dimension.domain {
            Domain::Choice { values, .. } => {
                let value = if last { values.last() } else { values.first() };
                value.unwrap().clone()
            }
            Domain::Int {
                low, high, step, ..
            } => {
                let steps = (high - low) / step.unwrap_or(1);
                json!(if last {
                    low + steps * step.unwrap_or(1)
                } else {
                    *low
                })
            }
            Domain::Float { low, .. } => json!(low),
            Domain::OneOf { branches } => {
                let index = if last { branches.len() - 1 } else { 0 };
                corner(&branches[index], last, into);
                json!(index)
            }
            Domain::Constant { value } => value.clone(),
        };
        into.0.insert(dimension.name.clone(), value);
    }
}

proptest! {
    /// Whatever the ranges, a grid can be counted, and its corners are points of the space.
    #[test]
    fn grids_lie_in_the_space(
        points in 1_u32..=1000,
        low in -1e300_f64..1e300, width in 0.0_f64..1e300, step in prop::option::of(1e-12_f64..1e300),
        least in 1e-300_f64..1.0, ratio in 1.0_f64..1e300,
        (one, other) in any::<(i32, i32)>(), stride in prop::option::of(1_i64..1_000_000),
    ) {
        let mut body = example();
        body["search_space"]["x"] = json!({"float": [low, low + width], "step": step});
        body["search_space"]["y"] = json!({"float": [least, least * ratio], "scale": "log"});
        body["search_space"]["z"] = json!({"int": [one.min(other), one.max(other)], "step": stride});
        let (spec, _) = read(&body).unwrap();
        let grid = spec.space.grid(points);
        prop_assert!(grid.size().is_none_or(|size| size >= 16));
        for last in [false, true] {
            let mut configuration = Configuration::default();
            corner(&grid, last, &mut configuration);
            prop_assert!(spec.space.contains(&configuration), "{:?}", configuration);
        }
    }
}

#[test]
fn extents_are_profiled_unless_each_configuration_is_evaluated_apart() {
    for (search, expected) in [
        (json!({}), ExtentChoice::Profiled),
        (json!({"extent": "searched"}), ExtentChoice::Searched),
        (json!({"pruning": "off"}), ExtentChoice::Searched),
        (json!({"pruning": "reference"}), ExtentChoice::Searched),
        (json!({"algorithm": "random"}), ExtentChoice::Profiled),
    ] {
        assert_eq!(with(search).search.extent, expected);
    }
    for pruning in ["off", "reference"] {
        let search = json!({"extent": "profiled", "pruning": pruning});
        let faults = refused(search);
        assert_eq!(faults.len(), 1);
        let (pointer, detail) = &faults[0];
        assert_eq!(pointer, "/search/extent");
        assert!(detail.contains(pruning), "{detail}");
    }
}

#[test]
fn where_latency_counts_each_configuration_is_evaluated_apart() {
    let about_latency = [
        (
            "objective",
            json!({"metric": "latency_ms", "direction": "minimize"}),
        ),
        (
            "constraints",
            json!([{"metric": "latency_ms", "at_most": 2000}]),
        ),
    ];
    for (part, value) in about_latency {
        let mut body = example();
        body["search"] = json!({});
        body[part] = value.clone();
        let search = read(&body).unwrap().0.search;
        assert_eq!(
            (search.extent, search.pruning, search.requests_in_flight),
            (ExtentChoice::Searched, Pruning::On, 1)
        );
        // The load is the client's choice, and so is the published schedule.
        body["search"] = json!({"requests_in_flight": 8, "pruning": "reference"});
        let search = read(&body).unwrap().0.search;
        assert_eq!(
            (search.pruning, search.requests_in_flight),
            (Pruning::Reference, 8)
        );
        for (choice, told) in [
            (json!({"extent": "profiled"}), "/search/extent"),
            (json!({"reuse": "owner"}), "/search/reuse"),
        ] {
            let found = faults(|body| {
                body[part] = value.clone();
                body["search"] = choice.clone();
            });
            let [(pointer, detail)] = found.as_slice() else {
                panic!("{found:?}")
            };
            assert_eq!(pointer, told);
            assert!(detail.contains("leave it out"), "{detail}");
        }
    }
    let search = with(json!({})).search;
    assert_eq!(
        (search.extent, search.requests_in_flight),
        (ExtentChoice::Profiled, 32)
    );
}
