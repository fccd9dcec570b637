//! BlendSearch held to the reference traces, turn by turn.

use crate::trace::{
    TracedSpace, assert_close, assert_configuration, assert_drawn, feed, further_traces, space,
    traces,
};
use frugal_domain::configuration::Configuration;
use frugal_search::Origin;
use frugal_search::blend_search::{BlendOptions, BlendSearch, GLOBAL};
use frugal_search::draws::{Draws, Recorded};
use frugal_search::encoding::Encoding;
use frugal_search::global::Global;
use frugal_search::known::Told;
use frugal_search::search_thread::SearchThread;
use frugal_search::strategy::{SearchState, Start, TurnOutcome};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};

#[derive(Deserialize)]
struct Trace {
    space: TracedSpace,
    low_cost_start: Option<Configuration>,
    first_points: Vec<Configuration>,
    cost_budget: Option<f64>,
    trials: Vec<Trial>,
}

#[derive(Deserialize)]
struct Trial {
    draws: Vec<Value>,
    global_proposal: Option<Configuration>,
    proposed: Option<Configuration>,
    thread: Option<u32>,
    loss: Option<f64>,
    cost: Option<f64>,
    threads_after: Option<BTreeMap<u32, Thread>>,
    bounds_after: Option<Bounds>,
}

#[derive(Deserialize)]
struct Thread {
    best_loss: Option<f64>,
    cost_total: f64,
    speed: f64,
    eci: f64,
    priority: f64,
}

#[derive(Deserialize)]
struct Bounds {
    min: BTreeMap<String, Value>,
    max: BTreeMap<String, Value>,
}

/// A start goes through [0, 1] and back in the reference, which costs it some last digits.
fn through_the_unit_cube(encoding: &Encoding, configuration: &Configuration) -> Configuration {
    let mut moved = configuration.clone();
    for index in encoding.active(configuration).slots {
        let slot = &encoding.slots()[index];
        if !slot.axis.is_unordered() {
            let place = encoding.place(index, configuration).unwrap();
            moved
                .0
                .insert(slot.name.clone(), slot.axis.decode(place, true));
        }
    }
    moved
}

fn set_up(trace: &Trace) -> (SearchState, BlendSearch) {
    let encoding = Encoding::exact(space(&trace.space)).unwrap();
    let low_cost: Vec<Configuration> = trace
        .low_cost_start
        .iter()
        .filter(|start| !start.0.is_empty())
        .cloned()
        .collect();
    // The reference starts from the first points where there are any, else from the cheap one.
    let starts = if trace.first_points.is_empty() {
        &low_cost
    } else {
        &trace.first_points
    };
    let starts = starts
        .iter()
        .map(|start| Start {
            configuration: through_the_unit_cube(&encoding, start),
            origin: Origin::Start,
        })
        .collect();
    let options = BlendOptions {
        starts,
        low_cost,
        cost_budget: trace.cost_budget,
        // The reference's floor without a time budget.
        cost_floor: 1.0,
        // The reference's constant.
        step_size: 0.1,
    };
    let ground = SearchState::new(encoding, Draws::Recorded(Recorded::default()));
    let blend = BlendSearch::new(&ground, options, Global::Scripted(VecDeque::new()));
    (ground, blend)
}

#[test]
fn blend_search_follows_the_reference() {
    follow(traces("blendsearch.json"));
}

#[test]
fn blend_search_follows_the_reference_in_further_spaces() {
    follow(further_traces());
}

fn follow(traces: Vec<Trace>) {
    for (number, trace) in traces.into_iter().enumerate() {
        let (mut ground, mut blend) = set_up(&trace);
        assert!(!trace.trials.is_empty());
        for (turn, trial) in trace.trials.iter().enumerate() {
            let at = format!("trace {number}, turn {turn}");
            feed(&mut ground.draws, &trial.draws, &at);
            script(&mut blend, &ground.encoding, trial);
            let came = blend.turn(&mut ground);
            assert_drawn(&ground.draws, &at);
            let Global::Scripted(left) = blend.global_mut() else {
                panic!("the global searcher is scripted")
            };
            assert!(left.is_empty(), "{at}: the global searcher was not asked");
            match (came, &trial.proposed) {
                (TurnOutcome::Proposed { configuration, .. }, Some(expected)) => {
                    assert_configuration(&configuration, expected, &at);
                    assert_eq!(
                        blend.thread_of(&configuration),
                        trial.thread,
                        "{at}, thread"
                    );
                    let told = Told {
                        loss: trial.loss.unwrap(),
                        cost: trial.cost.unwrap(),
                    };
                    blend.complete(&mut ground, &configuration, told);
                }
                (TurnOutcome::Nothing | TurnOutcome::BudgetSpent, None) => {}
                (came, expected) => panic!("{at}: {came:?}, but the trace has {expected:?}"),
            }
            if let Some(threads) = &trial.threads_after {
                assert_threads(&blend, threads, &at);
            }
            if let Some(bounds) = &trial.bounds_after {
                assert_bounds(&ground.encoding, &blend, bounds, &at);
            }
        }
    }
}

fn script(blend: &mut BlendSearch, encoding: &Encoding, trial: &Trial) {
    if let (Some(proposal), Global::Scripted(script)) = (&trial.global_proposal, blend.global_mut())
    {
        script.push_back(encoding.normal_form(proposal).unwrap());
    }
}

fn assert_threads(blend: &BlendSearch, expected: &BTreeMap<u32, Thread>, at: &str) {
    let actual: BTreeMap<u32, &SearchThread> = std::iter::once((GLOBAL, blend.global_thread()))
        .chain(
            blend
                .local_threads()
                .iter()
                .map(|(number, local)| (*number, &local.statistics)),
        )
        .collect();
    assert_eq!(
        actual.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>(),
        "{at}: threads alive"
    );
    for (number, thread) in expected {
        let own = actual[number];
        let what = |name: &str| format!("{at}, thread {number}, {name}");
        assert_close(
            own.best_loss,
            thread.best_loss.unwrap_or(f64::INFINITY),
            &what("best loss"),
        );
        assert_close(own.cost_total, thread.cost_total, &what("total cost"));
        assert_close(own.speed, thread.speed, &what("speed"));
        assert_close(own.eci, thread.eci, &what("eci"));
        assert_close(own.priority, thread.priority, &what("priority"));
    }
}

fn assert_bounds(encoding: &Encoding, blend: &BlendSearch, expected: &Bounds, at: &str) {
    let bounded: BTreeMap<&str, (f64, f64)> = encoding
        .slots()
        .iter()
        .enumerate()
        .filter_map(|(slot, named)| Some((named.name.as_str(), blend.region().bounds(slot)?)))
        .collect();
    assert_eq!(
        bounded.keys().copied().collect::<Vec<_>>(),
        expected.min.keys().map(String::as_str).collect::<Vec<_>>(),
        "{at}: settings with bounds"
    );
    for (name, (low, high)) in bounded {
        let number = |value: &Value| value.as_f64().unwrap();
        assert_close(
            low,
            number(&expected.min[name]),
            &format!("{at}, least {name}"),
        );
        assert_close(
            high,
            number(&expected.max[name]),
            &format!("{at}, most {name}"),
        );
    }
}
