//! The limit of tokens that responses are drawn under.

use crate::{Run, run, run_with, spec, winner};
use frugal_search::profiled::{Batch, Told};
use serde_json::json;
use std::collections::BTreeMap;

/// The limits of each arm's batches, in the order in which they were decided.
fn limits(run: &Run) -> BTreeMap<usize, Vec<u32>> {
    let mut limits: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for batch in &run.batches {
        limits.entry(batch.arm).or_default().push(batch.max_tokens);
    }
    limits
}

#[test]
fn what_is_much_longer_than_right_answers_is_drawn_no_more_once_they_are_known() {
    // Right answers have 60 tokens at most, where the space allows 200.
    let run = run(&spec(&[]), |_| 0.6);
    let limits = limits(&run);
    assert_eq!(run.batches[0].max_tokens, 200);
    for limits in limits.values() {
        assert!(limits.iter().rev().is_sorted(), "{limits:?}");
    }
    let winner = winner(&run);
    let last = *limits[&winner].last().unwrap();
    assert!((60..=90).contains(&last), "{last}");
    let extent = run.conclusion.arms[&winner].estimate.extent;
    assert!(extent.max_tokens <= last, "{extent:?}");
    // What they are scored at too lies below that.
    let below = |batch: &Batch| batch.limits.iter().all(|limit| *limit < batch.max_tokens);
    assert!(run.batches.iter().all(below));
}

#[test]
fn long_right_answers_keep_the_largest_limit() {
    let stretch = |_: &Batch, mut told: Told| {
        let drawn = told.drawn.iter_mut();
        for response in drawn.flat_map(|drawn| &mut drawn.responses) {
            if response.observed.score > 0.0 {
                response.tokens += 100;
                response.enough = response.tokens;
            }
        }
        told
    };
    let run = run_with(&spec(&[]), |_| 0.6, stretch);
    assert!(run.batches.iter().all(|batch| batch.max_tokens == 200));
}

#[test]
fn where_it_counts_how_many_are_cut_all_are_drawn_under_the_largest_limit() {
    let spec = spec(&[(
        "/constraints",
        json!([{"metric": "cut_rate", "at_most": 0.05}]),
    )]);
    let run = run(&spec, |_| 0.6);
    assert!(run.batches.iter().all(|batch| batch.max_tokens == 200));
}
