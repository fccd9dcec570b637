//! Spaces, options and results of all kinds.

use crate::dimension;
use frugal_domain::configuration::Configuration;
use frugal_domain::job::Algorithm;
use frugal_domain::job::algorithm::{
    BlendsearchOptions, CfoOptions, GlobalSearcher, GridOptions, GridOrder, RandomOptions,
    Sequence, TpeOptions,
};
use frugal_domain::space::{Domain, Scale, Space};
use frugal_search::encoding::Encoding;
use frugal_search::{Observation, Outcome, SearchOptions};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

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
pub(crate) fn whole_space() -> impl Strategy<Value = Space> {
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

pub(crate) fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        6 => (-5.0..5.0_f64).prop_map(|loss| Outcome::Evaluated { loss }),
        1 => prop_oneof![
            Just(0.0), Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY),
            Just(f64::MAX), Just(f64::MIN),
        ].prop_map(|loss| Outcome::Evaluated { loss }),
        1 => (-5.0..5.0_f64).prop_map(|loss| Outcome::Inferior { loss }),
        1 => Just(Outcome::Pruned),
        1 => Just(Outcome::Infeasible),
        1 => Just(Outcome::Failed),
    ]
}

pub(crate) fn observation() -> impl Strategy<Value = Observation> {
    let cost = prop_oneof![
        4 => 0.0..10.0_f64,
        2 => Just(0.0),
        1 => prop_oneof![Just(f64::NAN), Just(-1.0), Just(f64::INFINITY), Just(1e300)],
    ];
    (outcome(), cost).prop_map(|(outcome, cost)| Observation { outcome, cost })
}

/// Every algorithm with options of all kinds.
pub(crate) fn algorithm() -> impl Strategy<Value = Algorithm> {
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

pub(crate) fn grid() -> impl Strategy<Value = Algorithm> {
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
    pub(crate) fn options()(
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
