//! What grids and sequences promise.

use crate::{GOOD, configuration, dimension, options_for, unit};
use frugal_domain::configuration::Configuration;
use frugal_domain::job::Algorithm;
use frugal_domain::job::algorithm::{GridOptions, GridOrder, RandomOptions, Sequence};
use frugal_domain::space::{Domain, Scale};
use frugal_search::{Ask, Exhausted, Search, Searcher};
use serde_json::json;
use std::collections::BTreeSet;

#[test]
fn a_grid_is_walked_whole_each_configuration_once() {
    let choice = |name: &str, ordered| {
        let values = vec![json!("a"), json!("b")];
        dimension(name.into(), Domain::Choice { values, ordered })
    };
    let stepped = Domain::Float {
        low: 0.0,
        high: 0.3,
        scale: Scale::Linear,
        step: Some(0.1),
    };
    let dimensions = vec![
        unit("x"),
        dimension("stepped".into(), stepped),
        choice("kind", false),
    ];
    let walk = |order, seed, start: Vec<Configuration>| -> Vec<Configuration> {
        let algorithm = Algorithm::Grid(GridOptions { points: 3, order });
        let mut options = options_for(algorithm, dimensions.clone());
        (options.seed, options.start) = (seed, start);
        let mut search = Search::new(options).unwrap();
        let mut walked = Vec::new();
        loop {
            match search.ask() {
                Ask::Propose(proposal) => {
                    walked.push(proposal.configuration);
                    search.tell(proposal.number, GOOD).unwrap();
                }
                Ask::Wait => panic!("nothing is open"),
                Ask::Exhausted(reason) => {
                    assert_eq!(reason, Exhausted::SpaceUsedUp);
                    return walked;
                }
            }
        }
    };
    let keys = |walked: &[Configuration]| -> BTreeSet<String> {
        walked.iter().map(Configuration::canonical_key).collect()
    };
    let sequential = walk(GridOrder::Sequential, 1, vec![]);
    assert_eq!((sequential.len(), keys(&sequential).len()), (24, 24));
    for (index, x) in [0.0, 1.0, 2.0, 0.0].into_iter().enumerate() {
        assert_eq!(sequential[index].get("x"), Some(&json!(x)), "{index}");
    }
    assert_eq!(sequential[9].get("stepped"), Some(&json!(0.3)));
    let shuffled = walk(GridOrder::Shuffled, 1, vec![]);
    assert_eq!(keys(&shuffled), keys(&sequential));
    assert_ne!(shuffled, sequential);
    assert_ne!(shuffled, walk(GridOrder::Shuffled, 2, vec![]));
    // A start of one's own comes first, on the grid or beside it, and is not repeated.
    let beside = configuration(json!({"x": 0.25, "stepped": 0.1, "kind": "b"}));
    let on = configuration(json!({"x": 1, "stepped": 0.2, "kind": "a"}));
    let with_starts = walk(GridOrder::Shuffled, 1, vec![beside.clone(), on]);
    assert_eq!(with_starts.len(), 25);
    assert_eq!(with_starts[0], beside);
    assert_eq!(keys(&with_starts).len(), 25);
}

#[test]
fn a_grid_too_large_is_refused_with_its_size() {
    let dimensions = (0..6).map(|index| unit(&format!("x{index}"))).collect();
    let options = options_for(Algorithm::Grid(GridOptions::default()), dimensions);
    let error = Search::new(options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the grid has 15625 configurations; at most 10000 are permitted"
    );
}

#[test]
fn sequences_cover_each_setting_evenly_and_differ_by_seed() {
    // Independent draws would stray from 8 by 2.6 on the average.
    for (sequence, counts) in [(Sequence::Sobol, 8..=8), (Sequence::Halton, 6..=10)] {
        let draw = |seed| -> Vec<Vec<f64>> {
            let algorithm = Algorithm::Random(RandomOptions {
                sequence,
                ..RandomOptions::default()
            });
            let mut options = options_for(algorithm, vec![unit("x"), unit("y"), unit("z")]);
            options.seed = seed;
            let mut search = Search::new(options).unwrap();
            let mut points = Vec::new();
            for _ in 0..64 {
                let Ask::Propose(proposal) = search.ask() else {
                    panic!("a continuum is never used up")
                };
                let at = |name| proposal.configuration.get(name).unwrap().as_f64().unwrap();
                points.push(vec![at("x"), at("y"), at("z")]);
            }
            points
        };
        let points = draw(1);
        for axis in 0..3 {
            for eighth in 0..8_i32 {
                let low = f64::from(eighth) / 4.0;
                let count = points
                    .iter()
                    .filter(|point| (low..low + 0.25).contains(&point[axis]))
                    .count();
                assert!(
                    counts.contains(&count),
                    "{sequence:?}, axis {axis}: {count}"
                );
            }
        }
        assert_ne!(points, draw(2));
    }
}
