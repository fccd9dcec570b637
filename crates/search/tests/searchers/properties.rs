//! What holds for every searcher on every space, whatever is told.

use crate::dimension;
use crate::strategies::{algorithm, observation, options, outcome, whole_space};
use frugal_domain::configuration::Configuration;
use frugal_domain::job::Algorithm;
use frugal_domain::job::algorithm::GridOptions;
use frugal_domain::space::{Dimension, Domain, Scale, Space};
use frugal_search::draws::Draws;
use frugal_search::encoding::Encoding;
use frugal_search::{
    Ask, Exhausted, Observation, Outcome, Proposal, Search, SearchOptions, Searcher,
};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

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
        enqueued in vec((0..60_usize, any::<u64>()), 0..4),
    ) {
        let space = options.space.clone();
        let encoding = Encoding::new(space.clone()).unwrap();
        let mut search = Search::new(options.clone()).unwrap();
        // Is given the log of the other one's asks and tells, entry by entry.
        let mut replayed = Search::new(options).unwrap();
        let mut seen = BTreeSet::new();
        let mut open = VecDeque::new();
        let mut next = 0;
        for (moment, (prefers_ask, observation)) in plan.into_iter().enumerate() {
            for (_, seed) in enqueued.iter().filter(|(place, _)| *place == moment) {
                let configuration = encoding.random(&mut Draws::seeded(*seed));
                search.enqueue(&configuration);
                replayed.enqueue(&configuration);
            }
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
