//! What holds for every searcher on every space, whatever is told.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up fails with its reason"
)]

use frugal_domain::configuration::Configuration;
use frugal_domain::space::{Dimension, Domain, Scale, Space};
use frugal_search::encoding::Encoding;
use frugal_search::{
    Algorithm, Ask, Exhausted, Observation, Outcome, Search, SearchError, SearchOptions, Searcher,
    TellError,
};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;
use std::collections::{BTreeSet, VecDeque};

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

fn algorithm() -> impl Strategy<Value = Algorithm> {
    prop_oneof![
        3 => Just(Algorithm::BlendSearch),
        1 => Just(Algorithm::Cfo),
        1 => Just(Algorithm::Tpe),
        1 => Just(Algorithm::Random),
    ]
}

prop_compose! {
    fn options()(
        algorithm in algorithm(),
        space in whole_space(),
        seed in any::<u64>(),
        starts in 0..3_usize,
        cheap in 0..3_usize,
        cost_budget in prop_oneof![Just(None), (1.0..500.0_f64).prop_map(Some)],
    ) -> SearchOptions {
        // Starts are drawn from the space itself.
        let encoding = Encoding::new(space.clone()).unwrap();
        let mut draws = frugal_search::draws::Draws::seeded(seed ^ 1);
        let mut draw = |count| (0..count).map(|_| encoding.random(&mut draws)).collect();
        let (start, low_cost) = (draw(starts), draw(cheap));
        SearchOptions { algorithm, space, seed, start, low_cost, cost_budget, cost_floor: None }
    }
}

/// What was done to a search.
#[derive(Debug, Clone, Copy)]
enum Step {
    Ask,
    Tell(u32, Observation),
}

fn apply(search: &mut Search, steps: &[Step]) -> Vec<Ask> {
    let mut asks = Vec::new();
    for step in steps {
        match step {
            Step::Ask => asks.push(search.ask()),
            Step::Tell(number, observation) => search.tell(*number, *observation).unwrap(),
        }
    }
    asks
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
        let mut steps: Vec<Step> = Vec::new();
        let mut asks: Vec<Ask> = Vec::new();
        let mut seen = BTreeSet::new();
        let mut open = VecDeque::new();
        let mut next = 0;
        for (index, (prefers_ask, observation)) in plan.into_iter().enumerate() {
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
                steps.push(Step::Ask);
                asks.push(ask);
            } else if let Some(number) = open.pop_front() {
                search.tell(number, observation).unwrap();
                steps.push(Step::Tell(number, observation));
            }
            // After a prefix: the replayed search is in the same state, so it goes on alike.
            if index % 12 == 11 {
                let mut replayed = Search::new(options.clone()).unwrap();
                prop_assert_eq!(&apply(&mut replayed, &steps), &asks);
                prop_assert_eq!(format!("{replayed:?}"), format!("{search:?}"));
                let mut copy = search.clone();
                for _ in 0..3 {
                    prop_assert_eq!(replayed.ask(), copy.ask());
                }
            }
        }
    }

    #[test]
    fn a_finite_space_is_proposed_whole_and_then_used_up(
        algorithm in algorithm(),
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
            low_cost: vec![],
            cost_budget: None,
            cost_floor: None,
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
        low_cost: vec![],
        cost_budget: None,
        cost_floor: None,
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
    for algorithm in [
        Algorithm::BlendSearch,
        Algorithm::Cfo,
        Algorithm::Tpe,
        Algorithm::Random,
    ] {
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
    let mut search = searcher(Algorithm::BlendSearch, vec![unit("x")]);
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
    let mut options = options_for(Algorithm::BlendSearch, vec![unit("x"), unit("y")]);
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
    let mut options = options_for(Algorithm::BlendSearch, vec![unit("x"), unit("y")]);
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
    let mut options = options_for(Algorithm::BlendSearch, vec![unit("x")]);
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
    for algorithm in [Algorithm::BlendSearch, Algorithm::Tpe, Algorithm::Random] {
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
    let mut options = options_for(Algorithm::BlendSearch, vec![unit("x"), unit("y")]);
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
