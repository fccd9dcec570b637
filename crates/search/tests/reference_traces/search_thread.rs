//! The statistics of a search thread held to the reference traces.

use crate::trace::{assert_close, traces};
use frugal_search::search_thread::SearchThread;
use serde::Deserialize;

#[derive(Deserialize)]
struct Trace {
    start_loss: f64,
    start_cost: f64,
    completions: Vec<Completion>,
}

#[derive(Deserialize)]
struct Completion {
    loss: f64,
    cost: f64,
    target_loss: f64,
    max_speed: f64,
    cost_left: f64,
    speed: f64,
    eci: f64,
    priority: f64,
    cost_total: f64,
    cost_best1: f64,
    cost_best2: f64,
    obj_best1: f64,
    obj_best2: f64,
}

#[test]
fn the_statistics_follow_the_reference() {
    for (number, trace) in traces::<Trace>("search_thread.json")
        .into_iter()
        .enumerate()
    {
        // The reference's floor without a time budget.
        let mut thread = SearchThread::local(trace.start_loss, trace.start_cost, 1.0);
        assert!(!trace.completions.is_empty());
        for (step, completion) in trace.completions.iter().enumerate() {
            thread.running += 1;
            thread.complete(completion.loss, completion.cost);
            thread.update_eci(completion.target_loss, completion.max_speed);
            thread.update_priority(completion.cost_left.min(thread.eci));
            for (name, actual, expected) in [
                ("speed", thread.speed, completion.speed),
                ("eci", thread.eci, completion.eci),
                ("priority", thread.priority, completion.priority),
                ("total cost", thread.cost_total, completion.cost_total),
                ("cost at best", thread.cost_at_best, completion.cost_best1),
                (
                    "cost at second best",
                    thread.cost_at_second_best,
                    completion.cost_best2,
                ),
                ("best loss", thread.best_loss, completion.obj_best1),
                (
                    "second best loss",
                    thread.second_best_loss,
                    completion.obj_best2,
                ),
            ] {
                let what = format!("trace {number}, completion {step}, {name}");
                assert_close(actual, expected, &what);
            }
        }
    }
}
