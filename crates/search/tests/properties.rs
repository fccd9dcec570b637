//! What holds for every searcher on every space, whatever is told.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up fails with its reason"
)]

use frugal_domain::configuration::Configuration;
use frugal_domain::job::Algorithm;
use frugal_domain::job::algorithm::{
    BlendsearchOptions, CfoOptions, GlobalSearcher, GridOptions, GridOrder, RandomOptions,
    Sequence, TpeOptions,
};
use frugal_domain::space::{Dimension, Domain, Scale, Space};
use frugal_search::encoding::Encoding;
use frugal_search::{
    Ask, Exhausted, Observation, Origin, Outcome, Proposal, Search, SearchError, SearchOptions,
    Searcher, TellError,
};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

fn dimension(name: String, domain: Domain) -> Dimension {
    Dimension { name, domain }
}

fn leaf() -> impl Strategy<Value = Domain> {
    let scale = prop_oneof![Just(Scale::Linear), Just(Scale::Log)];
    prop_oneof![
        3 => (1.0..5.0_f64, 0.0..100.0_f64, scale.clone()).prop_map(|(low, width, scale)| {
            Domain::Float { low, high: low + width, scale, step: None }
        }),
        1 => (-3.0..3.0_f64, 0.0..9.0_f64, 0.1..2.0_f64).prop_map(|(low, width, step)| {
            Domain::Float { low, high: low + width, scale: Scale::Linear, step: Some(step) }
        }),
        3 => (1..5_i64, 0..60_i64, scale).prop_map(|(low, width, scale)| {
            Domain::Int { low, high: low + width, scale, step: None }
        }),
        1 => (-9..9_i64, 0..60_i64, 1..7_i64).prop_map(|(low, width, step)| {
            Domain::Int { low, high: low + width, scale: Scale::Linear, step: Some(step) }
        }),
        2 => (1..5_usize, any::<bool>()).prop_map(|(count, ordered)| {
            Domain::Choice { values: (0..count).map(|i| json!(format!("v{i}"))).collect(), ordered }
        }),
        1 => Just(Domain::Constant { value: json!({"kept": true}) }),
    ]
}

/// Spaces with up to three levels; names differ wherever both can be active.
fn space(depth: u32, prefix: &'static str) -> BoxedStrategy<Space> {
    let domain = if depth == 0 {
        leaf().boxed()
    } else {
        let branch = space(depth - 1, if depth == 2 { "b" } else { "c" });
        prop_oneof![
            4 => leaf(),
            1 => vec(branch, 1..4).prop_map(|branches| Domain::OneOf { branches }),
        ]
        .boxed()
    };
    vec(domain, 0..4)
        .prop_map(move |domains| Space {
            dimensions: domains
                .into_iter()
                .enumerate()
                .map(|(i, domain)| dimension(format!("{prefix}{i}"), domain))
                .collect(),
        })
        .boxed()
}

/// A space whose branches never share a name with what is active beside them. Two `one_of` on
/// one level would, so the later ones become constants.
fn whole_space() -> impl Strategy<Value = Space> {
    fn thin(space: &mut Space) {
        let mut seen = false;
        for dimension in &mut space.dimensions {
            if let Domain::OneOf { branches } = &mut dimension.domain {
                if seen {
                    dimension.domain = Domain::Constant { value: json!(1) };
                } else {
                    branches.iter_mut().for_each(thin);
                }
                seen = true;
            }
        }
    }
    space(2, "a").prop_map(|mut space| {
        thin(&mut space);
        space
    })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        6 => (-5.0..5.0_f64).prop_map(|loss| Outcome::Evaluated { loss }),
        1 => prop_oneof![
            Just(0.0), Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY),
            Just(f64::MAX), Just(f64::MIN),
        ].prop_map(|loss| Outcome::Evaluated { loss }),
        1 => Just(Outcome::Pruned),
        1 => Just(Outcome::Infeasible),
        1 => Just(Outcome::Failed),
    ]
}

fn observation() -> impl Strategy<Value = Observation> {
    let cost = prop_oneof![
        4 => 0.0..10.0_f64,
        2 => Just(0.0),
        1 => prop_oneof![Just(f64::NAN), Just(-1.0), Just(f64::INFINITY), Just(1e300)],
    ];
    (outcome(), cost).prop_map(|(outcome, cost)| Observation { outcome, cost })
}

/// Every algorithm with options of all kinds.
fn algorithm() -> impl Strategy<Value = Algorithm> {
    let blend = (
        any::<bool>(),
        any::<bool>(),
        1..20_u32,
        1..30_u32,
        0.001..=1.0_f64,
    )
        .prop_map(
            |(low_cost_starts, tpe, startup_trials, candidates, step_size)| {
                Algorithm::Blendsearch(BlendsearchOptions {
                    low_cost_starts,
                    global: if tpe {
                        GlobalSearcher::Tpe
                    } else {
                        GlobalSearcher::Random
                    },
                    startup_trials,
                    candidates,
                    step_size,
                })
            },
        );
    let cfo = (any::<bool>(), 0.001..=1.0_f64).prop_map(|(low_cost_starts, step_size)| {
        Algorithm::Cfo(CfoOptions {
            low_cost_starts,
            step_size,
        })
    });
    let tpe = (any::<bool>(), 1..20_u32, 1..30_u32).prop_map(
        |(low_cost_starts, startup_trials, candidates)| {
            Algorithm::Tpe(TpeOptions {
                low_cost_starts,
                startup_trials,
                candidates,
            })
        },
    );
    let sequence = prop_oneof![
        Just(Sequence::Uniform),
        Just(Sequence::Halton),
        Just(Sequence::Sobol)
    ];
    let random = (any::<bool>(), sequence).prop_map(|(low_cost_starts, sequence)| {
        Algorithm::Random(RandomOptions {
            low_cost_starts,
            sequence,
        })
    });
    prop_oneof![
        1 => Just(Algorithm::default()),
        2 => blend,
        1 => cfo,
        1 => tpe,
        1 => random,
        1 => grid(),
    ]
}

fn grid() -> impl Strategy<Value = Algorithm> {
    (1..4_u32, any::<bool>()).prop_map(|(points, shuffled)| {
        Algorithm::Grid(GridOptions {
            points,
            order: if shuffled {
                GridOrder::Shuffled
            } else {
                GridOrder::Sequential
            },
        })
    })
}

prop_compose! {
    fn options()(
        algorithm in algorithm(),
        space in whole_space(),
        seed in any::<u64>(),
        starts in 0..3_usize,
        cheap in 0..3_usize,
        cost_budget in prop_oneof![Just(None), (1.0..500.0_f64).prop_map(Some)],
        patience in prop_oneof![3 => Just(None), 1 => (1..30_u32).prop_map(Some)],
    ) -> SearchOptions {
        // Starts are drawn from the space itself.
        let encoding = Encoding::new(space.clone()).unwrap();
        let mut draws = frugal_search::draws::Draws::seeded(seed ^ 1);
        let mut draw = |count| -> Vec<Configuration> {
            (0..count).map(|_| encoding.random(&mut draws)).collect()
        };
        let (start, low_cost) = (draw(starts), draw(cheap));
        let algorithm = match algorithm {
            // One that is refused is no search.
            Algorithm::Grid(grid)
                if space.grid(grid.points).size() > Some(GridOptions::LARGEST_GRID) =>
            {
                Algorithm::default()
            }
            algorithm => algorithm,
        };
        SearchOptions {
            low_cost_starts: start.iter().rev().cloned().collect(),
            algorithm, space, seed, start, low_cost, cost_budget, cost_floor: None, patience,
        }
    }
}

/// A loss and a cost made from a configuration alone.
fn evaluate(configuration: &Configuration) -> Observation {
    let key = configuration.canonical_key();
    let hash = key
        .bytes()
        .fold(17_u64, |hash, byte| hash.wrapping_mul(31) ^ u64::from(byte));
    let outcome = match hash % 8 {
        0 => Outcome::Pruned,
        1 => Outcome::Infeasible,
        _ => Outcome::Evaluated {
            loss: (hash % 1009) as f64 / 100.0,
        },
    };
    let cost = (hash % 13) as f64;
    Observation { outcome, cost }
}

/// Runs a search with up to `parallel` proposals open. `completed` picks which of them completes
/// next; results are told in the order of proposal, with asks in between, as the worker does.
fn run(
    options: SearchOptions,
    parallel: usize,
    trials: usize,
    mut completed: impl FnMut(usize) -> usize,
) -> Vec<Proposal> {
    let mut search = Search::new(options).unwrap();
    let (mut proposals, mut pending) = (Vec::new(), Vec::new());
    let mut results: BTreeMap<u32, Observation> = BTreeMap::new();
    let mut told = 0;
    loop {
        while proposals.len() < trials && proposals.len() - told < parallel {
            let Ask::Propose(proposal) = search.ask() else {
                break;
            };
            pending.push(proposal.clone());
            proposals.push(proposal);
        }
        let Some(oldest) = proposals.get(told) else {
            return proposals;
        };
        while !results.contains_key(&oldest.number) {
            let done = pending.remove(completed(pending.len()));
            results.insert(done.number, evaluate(&done.configuration));
        }
        search.tell(oldest.number, results[&oldest.number]).unwrap();
        told += 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn proposals_are_in_the_space_and_new_and_a_replay_gives_the_same(
        options in options(),
        parallel in 1..=8_usize,
        plan in vec((any::<bool>(), observation()), 60),
    ) {
        let space = options.space.clone();
        let mut search = Search::new(options.clone()).unwrap();
        // Is given the log of the other one's asks and tells, entry by entry.
        let mut replayed = Search::new(options).unwrap();
        let mut seen = BTreeSet::new();
        let mut open = VecDeque::new();
        let mut next = 0;
        for (prefers_ask, observation) in plan {
            if open.is_empty() || (prefers_ask && open.len() < parallel) {
                let ask = search.ask();
                match &ask {
                    Ask::Propose(proposal) => {
                        prop_assert!(space.contains(&proposal.configuration), "{proposal:?}");
                        let key = proposal.configuration.canonical_key();
                        prop_assert!(seen.insert(key), "proposed twice: {proposal:?}");
                        prop_assert_eq!(proposal.number, next);
                        next += 1;
                        open.push_back(proposal.number);
                    }
                    Ask::Wait => prop_assert!(!open.is_empty(), "waits for nothing"),
                    Ask::Exhausted(_) => {}
                }
                prop_assert_eq!(replayed.ask(), ask);
            } else if let Some(number) = open.pop_front() {
                search.tell(number, observation).unwrap();
                replayed.tell(number, observation).unwrap();
            }
            // After every prefix of the log the states are the same.
            prop_assert_eq!(format!("{replayed:?}"), format!("{search:?}"));
        }
    }

    #[test]
    fn the_order_of_completion_does_not_matter(
        options in options(),
        parallel in 1..=8_usize,
        picks in vec(any::<prop::sample::Index>(), 40),
    ) {
        let in_order = run(options.clone(), parallel, 40, |_| 0);
        let mut picks = picks.into_iter();
        let shuffled = run(options.clone(), parallel, 40, |open| {
            picks.next().map_or(0, |pick| pick.index(open))
        });
        prop_assert_eq!(&shuffled, &in_order);
        let latest_first = run(options, parallel, 40, |open| open - 1);
        prop_assert_eq!(&latest_first, &in_order);
    }

    #[test]
    fn a_grid_has_as_many_configurations_as_its_size_says(
        space in whole_space(),
        points in 1..6_u32,
    ) {
        let grid = space.grid(points);
        let encoding = Encoding::new(grid.clone()).unwrap();
        prop_assert_eq!(grid.size(), encoding.count());
        prop_assert!(grid.size().is_some());
        let original = Encoding::new(space).unwrap();
        for index in 0..grid.size().unwrap().min(200) {
            let configuration = encoding.nth(index);
            prop_assert!(original.space().contains(&configuration), "{configuration:?}");
        }
    }

    #[test]
    fn a_finite_space_is_proposed_whole_and_then_used_up(
        algorithm in algorithm().prop_map(|algorithm| match algorithm {
            // A grid of a few points leaves values out.
            Algorithm::Grid(grid) => Algorithm::Grid(GridOptions { points: 5, ..grid }),
            algorithm => algorithm,
        }),
        seed in any::<u64>(),
        widths in vec(1..5_i64, 1..4),
        branches in 1..4_i64,
        parallel in 1..=8_usize,
        losses in vec(outcome(), 7),
    ) {
        let ints = |prefix: &str, widths: &[i64]| -> Vec<Dimension> {
            widths.iter().enumerate().map(|(i, width)| dimension(
                format!("{prefix}{i}"),
                Domain::Int { low: 1, high: *width, scale: Scale::Linear, step: None },
            )).collect()
        };
        let branches: Vec<Space> =
            (1..=branches).map(|width| Space { dimensions: ints("b", &[width]) }).collect();
        let size = widths.iter().product::<i64>()
            * (1..=i64::try_from(branches.len()).unwrap()).sum::<i64>();
        let mut dimensions = ints("a", &widths);
        dimensions.push(dimension("kind".into(), Domain::OneOf { branches }));
        let mut search = Search::new(SearchOptions {
            algorithm,
            space: Space { dimensions },
            seed,
            start: vec![],
            low_cost_starts: vec![],
            low_cost: vec![],
            cost_budget: None,
            cost_floor: None,
            patience: None,
        }).unwrap();
        let mut open = VecDeque::new();
        let mut proposed = 0_i64;
        loop {
            let ask = if open.len() < parallel { search.ask() } else { Ask::Wait };
            match ask {
                Ask::Propose(proposal) => {
                    proposed += 1;
                    open.push_back(proposal.number);
                }
                Ask::Wait => {
                    let number: u32 = open.pop_front().unwrap();
                    let outcome = losses[usize::try_from(number).unwrap() % losses.len()];
                    search.tell(number, Observation { outcome, cost: 1.0 }).unwrap();
                }
                Ask::Exhausted(reason) => {
                    prop_assert_eq!(reason, Exhausted::SpaceUsedUp);
                    break;
                }
            }
        }
        prop_assert_eq!(proposed, size);
    }
}

fn searcher(algorithm: Algorithm, dimensions: Vec<Dimension>) -> Search {
    Search::new(options_for(algorithm, dimensions)).unwrap()
}

fn options_for(algorithm: Algorithm, dimensions: Vec<Dimension>) -> SearchOptions {
    SearchOptions {
        algorithm,
        space: Space { dimensions },
        seed: 3,
        start: vec![],
        low_cost_starts: vec![],
        low_cost: vec![],
        cost_budget: None,
        cost_floor: None,
        patience: None,
    }
}

fn unit(name: &str) -> Dimension {
    dimension(
        name.into(),
        Domain::Float {
            low: 0.0,
            high: 2.0,
            scale: Scale::Linear,
            step: None,
        },
    )
}

fn configuration(value: serde_json::Value) -> Configuration {
    serde_json::from_value(value).unwrap()
}

const GOOD: Observation = Observation {
    outcome: Outcome::Evaluated { loss: 1.0 },
    cost: 1.0,
};

#[test]
fn a_space_of_one_point_is_proposed_once() {
    for algorithm in Algorithm::all() {
        let constant = Domain::Constant { value: json!(7) };
        for dimensions in [vec![], vec![dimension("x".into(), constant)]] {
            let mut search = searcher(algorithm, dimensions);
            assert!(matches!(search.ask(), Ask::Propose(_)));
            assert_eq!(search.ask(), Ask::Wait);
            search.tell(0, GOOD).unwrap();
            assert_eq!(search.ask(), Ask::Exhausted(Exhausted::SpaceUsedUp));
        }
    }
}

#[test]
fn tells_come_in_the_order_of_proposal() {
    let mut search = searcher(Algorithm::default(), vec![unit("x")]);
    assert_eq!(search.tell(0, GOOD), Err(TellError::NoneOpen { told: 0 }));
    search.ask();
    search.ask();
    let error = TellError::OutOfOrder {
        told: 1,
        expected: 0,
    };
    assert_eq!(search.tell(1, GOOD), Err(error));
    search.tell(0, GOOD).unwrap();
    search.tell(1, GOOD).unwrap();
    assert_eq!(search.tell(1, GOOD), Err(TellError::NoneOpen { told: 1 }));
}

#[test]
fn the_starts_come_first_as_they_are_given() {
    let mut options = options_for(Algorithm::default(), vec![unit("x"), unit("y")]);
    options.start = vec![
        configuration(json!({"x": 1, "y": 0.7})),
        configuration(json!({"x": 0.3, "y": 0.1})),
    ];
    options.low_cost = vec![
        configuration(json!({"x": 0.3, "y": 0.1})),
        configuration(json!({"x": 0.2})),
    ];
    let mut search = Search::new(options).unwrap();
    let mut proposed = Vec::new();
    for _ in 0..3 {
        let Ask::Propose(proposal) = search.ask() else {
            panic!("there are starts left")
        };
        proposed.push(proposal.configuration);
    }
    // The cheap start that was a start already is not proposed again; integers became floats.
    assert_eq!(proposed[0], configuration(json!({"x": 1.0, "y": 0.7})));
    assert_eq!(proposed[1], configuration(json!({"x": 0.3, "y": 0.1})));
    assert_eq!(proposed[2].get("x"), Some(&json!(0.2)));
}

#[test]
fn starts_outside_the_space_are_refused() {
    let mut options = options_for(Algorithm::default(), vec![unit("x"), unit("y")]);
    options.start = vec![configuration(json!({"x": 1.0}))];
    assert_eq!(
        Search::new(options.clone()).unwrap_err(),
        SearchError::StartOutside { index: 0 }
    );
    options.start = vec![];
    for (low_cost, name) in [(json!({"x": 2.5}), "x"), (json!({"z": 1.0}), "z")] {
        options.low_cost = vec![configuration(low_cost)];
        let error = SearchError::LowCostOutside {
            index: 0,
            name: name.into(),
        };
        assert_eq!(Search::new(options.clone()).unwrap_err(), error);
    }
}

#[test]
fn a_spent_budget_ends_the_blend() {
    let mut options = options_for(Algorithm::default(), vec![unit("x")]);
    options.cost_budget = Some(2.5);
    let mut search = Search::new(options).unwrap();
    let mut told = 0;
    while let Ask::Propose(proposal) = search.ask() {
        search.tell(proposal.number, GOOD).unwrap();
        told += 1;
    }
    assert_eq!(told, 3);
    assert_eq!(search.ask(), Ask::Exhausted(Exhausted::BudgetSpent));
}

#[test]
fn temperature_zero_is_one_point_whatever_top_p_says() {
    let choice = |name: &str, values: Vec<serde_json::Value>| {
        let ordered = true;
        dimension(name.into(), Domain::Choice { values, ordered })
    };
    for algorithm in Algorithm::all() {
        let mut search = searcher(
            algorithm,
            vec![
                choice("temperature", vec![json!(0.0), json!(1.0)]),
                choice("top_p", vec![json!(0.5), json!(0.9), json!(1.0)]),
            ],
        );
        let mut count = 0;
        while let Ask::Propose(proposal) = search.ask() {
            search.tell(proposal.number, GOOD).unwrap();
            count += 1;
        }
        assert_eq!(count, 4);
    }
}

#[test]
fn what_has_no_loss_never_becomes_the_best_of_a_thread() {
    // Infeasible above 1; the local searches must settle below.
    let mut options = options_for(Algorithm::default(), vec![unit("x"), unit("y")]);
    options.low_cost = vec![configuration(json!({"x": 0.1, "y": 0.1}))];
    let mut search = Search::new(options).unwrap();
    let mut best = f64::INFINITY;
    for _ in 0..120 {
        let Ask::Propose(proposal) = search.ask() else {
            panic!("a continuum is never used up")
        };
        let number = |name| proposal.configuration.get(name).unwrap().as_f64().unwrap();
        let (x, y) = (number("x"), number("y"));
        let outcome = if x > 1.0 {
            Outcome::Infeasible
        } else {
            let loss = (x - 0.9).powi(2) + (y - 1.5).powi(2) - 10.0;
            best = best.min(loss);
            Outcome::Evaluated { loss }
        };
        search
            .tell(proposal.number, Observation { outcome, cost: 0.0 })
            .unwrap();
    }
    assert!(best < -9.99, "{best}");
}

#[test]
fn patience_ends_a_search_once_its_open_trials_are_told() {
    for algorithm in Algorithm::all() {
        let mut options = options_for(algorithm, vec![unit("x"), unit("y")]);
        options.patience = Some(3);
        let mut search = Search::new(options).unwrap();
        let told = |loss| Observation {
            outcome: Outcome::Evaluated { loss },
            cost: 1.0,
        };
        for number in 0..5 {
            assert!(matches!(search.ask(), Ask::Propose(proposal) if proposal.number == number));
        }
        // A first result, then three that are no better; two are still open.
        for (number, loss) in [(0, 1.0), (1, 1.0), (2, 2.0)] {
            search.tell(number, told(loss)).unwrap();
        }
        assert!(matches!(search.ask(), Ask::Propose(_)), "patience is left");
        let pruned = Observation {
            outcome: Outcome::Pruned,
            cost: 1.0,
        };
        search.tell(3, pruned).unwrap();
        assert_eq!(search.ask(), Ask::Wait);
        // One of the open trials is better after all.
        search.tell(4, told(0.5)).unwrap();
        assert!(matches!(search.ask(), Ask::Propose(_)), "it has improved");
        for number in 5..7 {
            search.tell(number, told(0.5)).unwrap();
        }
        assert!(matches!(search.ask(), Ask::Propose(_)), "patience is left");
        search.tell(7, told(f64::NAN)).unwrap();
        assert_eq!(search.ask(), Ask::Exhausted(Exhausted::NoImprovement));
    }
}

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

#[test]
fn cheap_starts_are_left_out_where_the_options_say_so() {
    for low_cost_starts in [true, false] {
        let algorithm = Algorithm::Tpe(TpeOptions {
            low_cost_starts,
            ..TpeOptions::default()
        });
        let mut options = options_for(algorithm, vec![unit("x")]);
        options.low_cost_starts = vec![configuration(json!({"x": 0.1}))];
        let Ask::Propose(first) = Search::new(options).unwrap().ask() else {
            panic!("there is something to propose")
        };
        assert_eq!(first.origin == Origin::LowCost, low_cost_starts);
        assert_eq!(
            first.configuration.get("x") == Some(&json!(0.1)),
            low_cost_starts
        );
    }
}
