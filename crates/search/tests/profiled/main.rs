//! A profiled search on small made-up worlds.

#![expect(
    clippy::unwrap_used,
    reason = "what the tests need and do not get ends them, in helpers as in the tests themselves"
)]

mod arms;
mod drawing;
mod enqueued;

use frugal_domain::job::JobSpec;
use frugal_domain::metric::Metric;
use frugal_domain::scoring::AnswerKey;
use frugal_domain::seed::mix;
use frugal_search::profiled::{
    BaselineEstimate, Batch, Conclusion, Decision, Drawn, DrawnResponse, Feature, Heat, Over,
    Problem, Profiled, Told,
};
use serde_json::{Value, json};
use std::collections::VecDeque;

const ROWS: usize = 24;
/// Rows where small differences are to be told.
const MANY_ROWS: usize = 60;

/// A job over two models, one prompt and a temperature, in its stored form.
fn spec(changes: &[(&str, Value)]) -> JobSpec {
    let model = |name: &str, pico: u64| {
        json!({"endpoint": "e", "model": name,
               "prices": {"input_pico": pico, "output_pico": pico, "request_pico": 0}})
    };
    let float = |low: f64, high: f64| json!({"float": {"low": low, "high": high, "scale": "linear", "step": null}});
    let int = |low: i64, high: i64| json!({"int": {"low": low, "high": high, "scale": "log", "step": null}});
    let mut stored = json!({
        "name": null, "labels": {},
        "models": [model("cheap", 100_000), model("dear", 400_000)],
        "prompts": [{"name": "a", "body": {"text": "{{ q }}"}}],
        "space": [
            {"name": "model", "domain": {"one_of": {"branches": [[], []]}}},
            {"name": "temperature", "domain": float(0.0, 1.5)},
            {"name": "max_tokens", "domain": int(10, 200)},
            {"name": "n", "domain": int(1, 20)},
        ],
        "scorer": {"type": "exact", "expected": "{{ a }}"},
        "selector": null,
        "objective": {"metric": "expected_success", "direction": "maximize"},
        "constraints": [],
        "inference_budget": {"usd": 0.000_2},
        "optimization_budget": {"usd": 0.05},
        "limits": {"trials": 1000, "seconds": null, "trials_without_improvement": null},
        "search": {"algorithm": "blendsearch", "seed": 7, "extent": "profiled", "pruning": "on",
                   "reuse": "job", "parallel_trials": 4, "requests_in_flight": 16},
        "baseline": null,
        "start": [],
    });
    for (pointer, value) in changes {
        *stored.pointer_mut(pointer).unwrap() = value.clone();
    }
    serde_json::from_value(stored).unwrap()
}

/// Where an arm lies, as a world sees it.
#[derive(Clone, Copy)]
struct Settings<'a> {
    row: usize,
    model: usize,
    temperature: f64,
    others: &'a std::collections::BTreeMap<String, Feature>,
}

/// A finished search.
struct Run {
    search: Profiled,
    batches: Vec<Batch>,
    over: Over,
    spent: f64,
    budget: f64,
    conclusion: Conclusion,
}

/// Runs a search whose answers are right with a chance and have 40 tokens on average.
fn run(spec: &JobSpec, chance: impl Fn(Settings<'_>) -> f64) -> Run {
    run_with(spec, chance, |_, told| told)
}

/// The same, with what becomes of each batch changed.
fn run_with(
    spec: &JobSpec,
    chance: impl Fn(Settings<'_>) -> f64,
    change: impl Fn(&Batch, Told) -> Told,
) -> Run {
    drive(spec, new_search(spec, ROWS, None), 0, chance, change)
}

/// A search that is given the baseline's responses, one for each of more rows.
fn run_seeded(spec: &JobSpec, seed: u64, chance: impl Fn(Settings<'_>) -> f64) -> Run {
    let configuration = spec.baseline.clone().unwrap();
    let others = std::collections::BTreeMap::new();
    let right = |row: usize| {
        chance(Settings {
            row,
            model: 1,
            temperature: 1.0,
            others: &others,
        })
    };
    let salt = mix(seed) | 1 << 40;
    let drawn: Vec<Drawn> = (0..MANY_ROWS)
        .map(|row| Drawn {
            row,
            prompt_tokens: Some(20),
            responses: vec![response(salt, row, 0, right(row)).1],
        })
        .collect();
    let scores: Vec<f64> = drawn
        .iter()
        .map(|one| one.responses[0].observed.score)
        .collect();
    let mean = scores.iter().sum::<f64>() / scores.len() as f64;
    let error = (mean * (1.0 - mean) / scores.len() as f64).sqrt();
    let baseline = BaselineEstimate {
        quality: (mean, error),
        cost: 60.0 * spec.models[1].prices.output_pico as f64,
    };
    let mut search = new_search(spec, MANY_ROWS, Some(baseline));
    assert!(search.give(&configuration, drawn));
    drive(spec, search, mix(seed), chance, |_, told| told)
}

fn new_search(spec: &JobSpec, rows: usize, baseline: Option<BaselineEstimate>) -> Profiled {
    let budget = spec.optimization_budget.amount() as f64;
    let bounds = vec![vec![60.0; rows]];
    let mut problem = Problem::for_job(spec, rows, &[], bounds, budget);
    problem.baseline = baseline;
    Profiled::new(spec, problem).unwrap()
}

fn drive(
    spec: &JobSpec,
    search: Profiled,
    seed: u64,
    chance: impl Fn(Settings<'_>) -> f64,
    change: impl Fn(&Batch, Told) -> Told,
) -> Run {
    drive_with(spec, search, seed, chance, change, |_, _| {})
}

/// The same, with something done to the search before each decision, so many batches having been decided.
fn drive_with(
    spec: &JobSpec,
    mut search: Profiled,
    seed: u64,
    chance: impl Fn(Settings<'_>) -> f64,
    change: impl Fn(&Batch, Told) -> Told,
    mut meanwhile: impl FnMut(&mut Profiled, usize),
) -> Run {
    let budget = spec.optimization_budget.amount() as f64;
    let mut in_air = VecDeque::new();
    let (mut batches, mut spent) = (Vec::new(), 0.0);
    let over = loop {
        meanwhile(&mut search, batches.len());
        match search.decide() {
            Decision::Draw(batch) => {
                in_air.push_back(batch.clone());
                batches.push(batch);
            }
            Decision::Wait => {
                let batch = in_air.pop_front().unwrap();
                let told = change(
                    &batch,
                    answers(spec, &search, &batch, &chance, seed + batches.len() as u64),
                );
                spent += told.cost;
                search.tell(told);
            }
            Decision::Over(over) => break over,
        }
    };
    let conclusion = search.conclude();
    Run {
        search,
        batches,
        over,
        spent,
        budget,
        conclusion,
    }
}

fn answers(
    spec: &JobSpec,
    search: &Profiled,
    batch: &Batch,
    chance: &impl Fn(Settings<'_>) -> f64,
    salt: u64,
) -> Told {
    let place = search.place(batch.arm).unwrap();
    let temperature = match place.heat {
        Heat::Temperature(temperature) => temperature,
        Heat::TopP(_) => 1.0,
    };
    let of_row = |row: usize| {
        chance(Settings {
            row,
            model: place.model,
            temperature,
            others: &place.others,
        })
    };
    let price = spec.models[place.model].prices.output_pico as f64;
    let mut cost = 0.0;
    let drawn = batch.rows.iter().map(|row| {
        cost += 20.0 * price;
        let responses = (0..batch.responses).map(|position| {
            let (tokens, response) = response(salt, *row, position, of_row(*row));
            cost += tokens as f64 * price;
            response
        });
        Drawn {
            row: *row,
            prompt_tokens: Some(20),
            responses: responses.collect(),
        }
    });
    let drawn = drawn.collect();
    Told {
        drawn,
        cost,
        ..Told::default()
    }
}

/// A response of 20 to 60 tokens, with its length.
fn response(salt: u64, row: usize, position: u32, chance: f64) -> (u64, DrawnResponse) {
    let lot = mix(mix(mix(salt) ^ row as u64) ^ u64::from(position));
    let tokens = 20 + lot % 41;
    let response = DrawnResponse {
        tokens,
        enough: tokens,
        ended: true,
        observed: f64::from(u8::from((mix(lot) % 1_000) as f64 / 1_000.0 < chance)).into(),
        latency_ms: 10,
    };
    (tokens, response)
}

fn winner(run: &Run) -> usize {
    run.conclusion.winner.unwrap()
}

#[test]
fn what_money_did_not_finish_wins_against_what_is_surely_worse() {
    // The money is enough for some of the rows of the dear model.
    let spec = spec(&[("/optimization_budget/usd", json!(0.000_4))]);
    let baseline = json!({"model": 0, "temperature": 1.0, "max_tokens": 200, "n": 1});
    let wrong = |row| Drawn {
        row,
        prompt_tokens: Some(20),
        responses: vec![response(1, row, 0, 0.0).1],
    };
    let mut search = new_search(&spec, ROWS, None);
    assert!(search.give(
        &serde_json::from_value(baseline).unwrap(),
        (0..ROWS).map(wrong).collect()
    ));
    let chance = |settings: Settings<'_>| if settings.model == 1 { 0.9 } else { 0.0 };
    let run = drive(&spec, search, 0, chance, |_, told| told);
    let mut arms = run.conclusion.arms.values();
    assert!(arms.any(|arm| arm.estimate.complete), "the baseline's arm");
    let won = &run.conclusion.arms[&winner(&run)].estimate;
    assert!(!won.complete && won.rows < ROWS, "{won:?}");
    assert_eq!(run.search.place(winner(&run)).unwrap().model, 1);
}

#[test]
fn the_better_model_wins_within_both_budgets() {
    let run = run(&spec(&[]), |at| if at.model == 1 { 0.6 } else { 0.05 });
    let place = run.search.place(winner(&run)).unwrap();
    assert_eq!(place.model, 1);
    assert!(run.spent <= run.budget, "{} of {}", run.spent, run.budget);
    let estimate = &run.conclusion.arms[&winner(&run)].estimate;
    assert!(estimate.complete && estimate.affordable);
    // 20 tokens of prompt and about 40 a response at 0.4 millionths of a dollar each.
    let cost = 4e-7 * (20.0 + 40.0 * f64::from(estimate.extent.n));
    assert!((estimate.inference_cost.0 - cost).abs() < 0.1 * cost);
    assert!(estimate.inference_cost.0 <= 0.000_2);
    let (worth, error) = estimate.metrics[&Metric::ExpectedSuccess];
    let truth = 1.0 - 0.4_f64.powf(f64::from(estimate.extent.n));
    assert!((worth - truth).abs() < 0.05, "{worth} for {truth}");
    assert!(error.unwrap() < 0.1);
}

#[test]
fn what_lies_beyond_the_coldest_that_leads_is_tried() {
    // One response is all that can be afforded, so that the better the surer it is.
    let once = spec(&[
        ("/inference_budget", json!({"usd": 0.000_03})),
        ("/optimization_budget", json!({"usd": 0.006})),
    ]);
    let run = run(&once, |at| match at.temperature {
        _ if at.model == 0 => 0.02,
        cold if cold < 0.1 => 0.9,
        cool if cool < 0.4 => 0.5,
        _ => 0.1,
    });
    let place = run.search.place(winner(&run)).unwrap();
    assert_eq!(place.heat, Heat::Temperature(0.0), "{place:?}");
}

#[test]
fn as_few_as_may_be_are_taken_where_all_must_be_right() {
    let fixed = json!({"choice": {"values": [3, 9], "ordered": true}});
    let any = spec(&[("/objective/metric", json!("min"))]);
    let at_least_three = spec(&[
        ("/objective/metric", json!("min")),
        ("/space/3/domain", fixed),
    ]);
    for (job, n) in [(any, 1), (at_least_three, 3)] {
        let run = run(&job, |_| 0.8);
        let estimate = &run.conclusion.arms[&winner(&run)].estimate;
        assert_eq!(estimate.extent.n, n);
        let (worth, _) = estimate.metrics[&Metric::Min];
        let truth = 0.8_f64.powf(n.into());
        assert!((worth - truth).abs() < 0.06, "{worth} for {truth}");
    }
}

/// The winner's n and its worth, where the answer that most give counts and wrong answers are one of so
/// many.
fn run_by_majority(chance: f64, wrong_answers: u64) -> (u32, f64) {
    let job = spec(&[("/objective/metric", json!("majority"))]);
    let run = run_with(
        &job,
        |_| chance,
        |batch, mut told| {
            for (place, response) in told.drawn.iter_mut().flat_map(|drawn| {
                let row = mix(drawn.row as u64);
                (row..).zip(&mut drawn.responses)
            }) {
                let wrong = 2 + mix(place ^ mix(batch.arm as u64)) % wrong_answers;
                let answer = if response.observed.score > 0.0 {
                    1
                } else {
                    wrong
                };
                response.observed.answer = Some(AnswerKey(answer));
            }
            told
        },
    );
    let estimate = &run.conclusion.arms[&winner(&run)].estimate;
    (estimate.extent.n, estimate.metrics[&Metric::Majority].0)
}

#[test]
fn many_answers_are_taken_where_the_right_one_is_the_most_frequent() {
    let (n, worth) = run_by_majority(0.5, 20);
    assert!(n > 4 && worth > 0.8, "{worth} with {n}");
}

#[test]
fn one_answer_is_taken_where_a_wrong_one_is_more_frequent() {
    let (n, worth) = run_by_majority(0.3, 1);
    assert!(n == 1 && (worth - 0.3).abs() < 0.06, "{worth} with {n}");
}

/// A selector: which answers it can tell apart, and what its preferences look like.
#[derive(Debug, Clone, Copy)]
struct Selector {
    /// The share of the answers of which it knows whether they are right. Of the others it takes half for right.
    knows: f64,
    /// Whether those that it takes for right differ in how highly it thinks of them, and so do the others.
    is_fine: bool,
}

impl Selector {
    /// What the one of n that it prefers is worth, where one is right with this chance.
    fn worth(self, chance: f64, n: u32) -> f64 {
        let high = |is_right: bool| match is_right {
            true => f64::midpoint(1.0, self.knows),
            false => f64::midpoint(0.0, 1.0 - self.knows),
        };
        let all_high = chance * high(true) + (1.0 - chance) * high(false);
        let none_high = (1.0 - all_high).powf(n.into());
        let right_of = |part: f64, of: f64| if of > 0.0 { part / of } else { 0.0 };
        let right_low = chance * (1.0 - high(true));
        (1.0 - none_high) * right_of(chance * high(true), all_high)
            + none_high * right_of(right_low, 1.0 - all_high)
    }
}

/// The winner's n and its worth, where the response counts that a selector prefers.
fn run_by_selector(chance: f64, selector: Selector, seed: u64) -> (u32, f64) {
    let job = spec(&[
        ("/objective/metric", json!("best_of_n")),
        ("/selector", json!({"type": "json"})),
    ]);
    let search = new_search(&job, ROWS, None);
    let run = drive(
        &job,
        search,
        mix(seed),
        |_| chance,
        |batch, mut told| {
            for (at, response) in told.drawn.iter_mut().flat_map(|drawn| {
                let row = mix(drawn.row as u64 ^ mix(seed));
                (row..).zip(&mut drawn.responses)
            }) {
                // Of another batch it is another answer.
                let lot = mix(at ^ mix(response.tokens ^ mix(batch.arm as u64)));
                let share = |lot: u64| (lot % 1_000) as f64 / 1_000.0;
                let fine = share(lot) / 2.0;
                let knows = share(mix(lot)) < selector.knows;
                let is_high = match knows {
                    true => response.observed.score > 0.0,
                    false => mix(lot + 1).is_multiple_of(2),
                };
                let base = if is_high { 0.5 } else { 0.0 };
                let fine = if selector.is_fine { fine } else { 0.0 };
                response.observed.preference = Some(base + fine);
            }
            told
        },
    );
    let estimate = &run.conclusion.arms[&winner(&run)].estimate;
    (estimate.extent.n, estimate.metrics[&Metric::BestOfN].0)
}

#[test]
fn many_answers_are_taken_where_a_selector_tells_them_apart() {
    let selector = Selector {
        knows: 1.0,
        is_fine: true,
    };
    for seed in 0..3 {
        let (n, worth) = run_by_selector(0.4, selector, seed);
        let truth = selector.worth(0.4, n);
        assert!(
            n > 3 && (worth - truth).abs() < 0.05,
            "{worth} for {truth} with {n}, seed {seed}"
        );
    }
}

#[test]
fn what_a_selector_prefers_is_worth_no_more_than_it_can_tell() {
    // What is left is that of arms which are alike the luckiest wins.
    for (knows, most) in [(0.0, 0.08), (0.5, 0.11)] {
        for is_fine in [false, true] {
            let selector = Selector { knows, is_fine };
            for seed in 0..3 {
                let (n, worth) = run_by_selector(0.4, selector, seed);
                let truth = selector.worth(0.4, n);
                assert!(
                    (worth - truth).abs() < most,
                    "{worth} for {truth} with {n}: {selector:?}, seed {seed}"
                );
            }
        }
    }
}

#[test]
fn a_run_is_a_function_of_what_it_is_told() {
    let once = || run(&spec(&[]), |at| 0.3 + 0.2 * at.temperature.min(1.0));
    let (one, two) = (once(), once());
    assert_eq!(one.batches, two.batches);
    assert_eq!(one.conclusion, two.conclusion);
}

#[test]
fn extents_keep_to_what_the_space_allows() {
    let constant = |value: Value| json!({"constant": {"value": value}});
    let list = |values: Value| json!({"choice": {"values": values, "ordered": true}});
    for (max_tokens, n) in [
        (constant(json!(100)), constant(json!(3))),
        (list(json!([30, 100, 150])), list(json!([1, 4, 9]))),
    ] {
        let job = spec(&[("/space/2/domain", max_tokens), ("/space/3/domain", n)]);
        let run = run(&job, |_| 0.4);
        for result in run.conclusion.arms.values() {
            let extent = result.estimate.extent;
            assert!([30, 100, 150].contains(&extent.max_tokens), "{extent:?}");
            assert!([1, 3, 4, 9].contains(&extent.n), "{extent:?}");
        }
    }
}

#[test]
fn what_the_endpoint_refuses_is_left_alone() {
    let job = spec(&[]);
    let run = run_with(
        &job,
        |_| 0.4,
        |batch, told| {
            // The dear model is the second arm of the first grid.
            if batch.arm == 1 {
                return Told {
                    refused: true,
                    ..Told::default()
                };
            }
            told
        },
    );
    let asked = run.batches.iter().filter(|batch| batch.arm == 1).count();
    assert!(asked <= 2, "asked {asked} times");
    assert_ne!(winner(&run), 1);
}

#[test]
fn rows_that_fail_are_not_asked_again_and_few_of_them_matter_little() {
    let job = spec(&[]);
    let run = run_with(
        &job,
        |_| 0.4,
        |_, mut told| {
            let fails = |drawn: &Drawn| drawn.row.is_multiple_of(8);
            told.failed = told
                .drawn
                .iter()
                .filter(|one| fails(one))
                .map(|one| one.row)
                .collect();
            told.drawn.retain(|one| !fails(one));
            told
        },
    );
    let estimate = &run.conclusion.arms[&winner(&run)].estimate;
    assert!(estimate.complete && !estimate.closed);
    assert_eq!(estimate.rows, ROWS - ROWS / 8);
    let won = winner(&run);
    for row in (0..ROWS).step_by(8) {
        let of_arm = run.batches.iter().filter(|batch| batch.arm == won);
        let asked = of_arm.filter(|batch| batch.rows.contains(&row)).count();
        assert!(asked <= 1, "row {row} was asked for {asked} times");
    }
}

#[test]
fn a_row_that_is_left_out_closes_no_arm_and_is_asked_of_none_of_its_model() {
    let job = spec(&[]);
    let run = run_with(
        &job,
        |_| 0.4,
        |_, mut told| {
            let refused = |drawn: &Drawn| [1, 2, 3].contains(&drawn.row);
            told.failed = told
                .drawn
                .iter()
                .filter(|one| refused(one))
                .map(|one| one.row)
                .collect();
            told.left_out.clone_from(&told.failed);
            told.drawn.retain(|one| !refused(one));
            told
        },
    );
    let estimate = &run.conclusion.arms[&winner(&run)].estimate;
    assert!(estimate.complete && !estimate.closed);
    assert_eq!(estimate.rows, ROWS - 3);
    for row in 1..=3 {
        let asking = run.batches.iter();
        let asking: Vec<usize> = asking
            .filter(|batch| batch.rows.contains(&row))
            .filter_map(|batch| Some(run.search.place(batch.arm)?.model))
            .collect();
        for model in 0..2 {
            let asked = asking.iter().filter(|other| **other == model).count();
            // What was in the air when it was refused first.
            assert!(asked <= 4, "row {row} was asked of {model} {asked} times");
        }
    }
}

#[test]
fn nothing_more_is_asked_of_a_closed_model() {
    let job = spec(&[]);
    let mut search = new_search(&job, ROWS, None);
    search.close_model(0);
    let run = drive(&job, search, 0, |_| 0.4, |_, told| told);
    let of_model = |arm: usize| run.search.place(arm).map(|place| place.model);
    assert!(!run.batches.is_empty());
    assert!(
        run.batches
            .iter()
            .all(|batch| of_model(batch.arm) == Some(1))
    );
    assert_eq!(of_model(winner(&run)), Some(1));
}

#[test]
fn the_cheapest_that_is_good_enough_is_found() {
    let job = spec(&[
        (
            "/objective",
            json!({"metric": "inference_cost", "direction": "minimize"}),
        ),
        (
            "/constraints",
            json!([{"metric": "expected_success", "at_least": 0.7}]),
        ),
    ]);
    // Two answers of the cheap model are not enough, three are: at a third of the dear one's price.
    let run = run(&job, |at| if at.model == 1 { 0.8 } else { 0.36 });
    let place = run.search.place(winner(&run)).unwrap();
    let estimate = &run.conclusion.arms[&winner(&run)].estimate;
    assert_eq!(place.model, 0);
    assert!(
        (3..=4).contains(&estimate.extent.n),
        "{:?}",
        estimate.extent
    );
}

/// The cheapest that is as good as a baseline of one answer of the dear model at temperature 1, right
/// with the second of these chances; each row is as hard for both.
fn cheapest_that_is_as_good(cheap: f64, dear: f64, seed: u64, margin: f64) -> (Run, Option<usize>) {
    let mut job = spec(&[
        (
            "/objective",
            json!({
                "metric": "inference_cost", "direction": "minimize",
                "cheapest": {"metric": "expected_success", "as_good_as": "baseline",
                             "margin": margin, "confidence": 0.95}
            }),
        ),
        ("/inference_budget", Value::Null),
        ("/optimization_budget", json!({"usd": 0.1})),
        ("/search/seed", json!(seed)),
        ("/space/3/domain", json!({"constant": {"value": 1}})),
    ]);
    let baseline = json!({"model": 1, "temperature": 1.0, "max_tokens": 200, "n": 1});
    job.baseline = Some(serde_json::from_value(baseline).unwrap());
    let run = run_seeded(&job, seed, |at| {
        // One row in four is harder than the others.
        let share = if at.row.is_multiple_of(4) { 3.4 } else { 0.2 };
        let mean = if at.model == 1 { dear } else { cheap };
        (1.0 - share * (1.0 - mean)).max(0.0)
    });
    let winner = run.conclusion.winner;
    let model = winner.map(|arm| run.search.place(arm).unwrap().model);
    (run, model)
}

#[test]
fn a_cheaper_model_that_is_as_good_takes_the_place_of_the_baseline() {
    for seed in 0..3 {
        let (run, model) = cheapest_that_is_as_good(0.9, 0.9, seed, 0.06);
        assert_eq!(model, Some(0), "{seed}");
        let estimate = &run.conclusion.arms[&winner(&run)].estimate;
        let difference = estimate.quality_difference.unwrap();
        assert!(difference.lower_bound >= -0.06 && difference.mean > difference.lower_bound);
        assert!(run.spent <= run.budget);
    }
}

#[test]
fn one_that_is_nearly_as_good_does_not_where_the_margin_leaves_it_out() {
    for seed in 0..3 {
        let (_, model) = cheapest_that_is_as_good(0.8, 0.9, seed, 0.05);
        assert_ne!(model, Some(0), "{seed}");
        // A larger margin takes it in.
        let (_, model) = cheapest_that_is_as_good(0.8, 0.9, seed, 0.2);
        assert_eq!(model, Some(0), "{seed}");
    }
}

#[test]
fn where_nothing_cheaper_is_as_good_the_model_of_the_baseline_stays() {
    for seed in 0..3 {
        let (run, model) = cheapest_that_is_as_good(0.5, 0.9, seed, 0.05);
        assert_ne!(model, Some(0), "{seed}");
        let cheap = run.conclusion.arms.iter().find(|(arm, _)| {
            let place = run.search.place(**arm).unwrap();
            place.model == 0
        });
        let (_, cheap) = cheap.unwrap();
        let difference = cheap.estimate.quality_difference.unwrap();
        assert!(difference.lower_bound < -0.05, "{difference:?}");
        // Little is spent on what is hopeless.
        assert!(cheap.estimate.responses <= 8, "{:?}", cheap.estimate);
    }
}

#[test]
fn several_cheap_answers_may_be_as_good_as_a_value() {
    let job = spec(&[(
        "/objective",
        json!({
            "metric": "inference_cost", "direction": "minimize",
            "cheapest": {"metric": "expected_success", "as_good_as": 0.75,
                         "margin": 0.05, "confidence": 0.9}
        }),
    )]);
    // Two answers of the cheap model are not enough, three are, four surely: at a third of the dear
    // one's price.
    let run = run(&job, |at| if at.model == 1 { 0.8 } else { 0.36 });
    let place = run.search.place(winner(&run)).unwrap();
    let estimate = &run.conclusion.arms[&winner(&run)].estimate;
    assert_eq!(place.model, 0);
    assert!(
        (3..=5).contains(&estimate.extent.n),
        "{:?}",
        estimate.extent
    );
    assert!(estimate.quality_difference.unwrap().lower_bound >= -0.05);
}

#[test]
fn what_a_guess_takes_for_too_dear_is_looked_at() {
    // Forty tokens on average where 150 are guessed: one response fits, of the cheap model alone.
    let job = spec(&[
        ("/inference_budget", json!({"usd": 0.000_008})),
        ("/optimization_budget", json!({"usd": 0.000_4})),
    ]);
    for seed in 0..5 {
        let run = drive(
            &job,
            new_search(&job, ROWS, None),
            seed,
            |_| 0.5,
            |_, told| told,
        );
        let place = run.search.place(winner(&run)).unwrap();
        assert_eq!(place.model, 0, "{seed}");
        let estimate = &run.conclusion.arms[&winner(&run)].estimate;
        assert!(
            estimate.affordable && estimate.extent.n == 1,
            "{estimate:?}"
        );
        assert!(run.spent <= run.budget, "{seed}");
    }
    // Where nothing fits that little is spent on seeing it.
    let job = spec(&[("/inference_budget", json!({"usd": 0.000_002}))]);
    let run = run(&job, |_| 0.5);
    assert_eq!(run.conclusion.winner, None);
    assert!(
        run.spent < 0.1 * run.budget,
        "{} of {}",
        run.spent,
        run.budget
    );
}

#[test]
fn the_limit_is_what_is_enough_of_right_answers() {
    // Right answers are so from their eighth token on, and as cheap as four are with the whole.
    let shortened = |batch: &Batch, mut told: Told| {
        for response in told.drawn.iter_mut().flat_map(|row| &mut row.responses) {
            let limit = batch.limits.iter().find(|limit| **limit >= 8);
            if let (true, Some(limit)) = (response.observed.score > 0.0, limit) {
                response.enough = u64::from(*limit).min(response.tokens);
            }
        }
        told
    };
    let job = spec(&[("/inference_budget", json!({"usd": 0.000_02}))]);
    let short = run_with(&job, |_| 0.2, shortened);
    let long = run_with(&job, |_| 0.2, |_, told| told);
    let extent = |run: &Run| run.conclusion.arms[&winner(run)].estimate.extent;
    assert!(extent(&short).max_tokens < 20, "{:?}", extent(&short));
    assert!(extent(&long).max_tokens > 40, "{:?}", extent(&long));
    assert!(extent(&short).n > extent(&long).n);
    // Limits in rising order, below the one that is drawn under; none once all had to be whole.
    let limits = &short.batches[0].limits;
    assert!(limits.is_sorted() && limits.first() == Some(&10) && limits.last() < Some(&200));
    assert!(!short.batches.last().unwrap().limits.is_empty());
    let model = |batch: &Batch| long.search.place(batch.arm).unwrap().model;
    let last = long.batches.iter().rfind(|batch| model(batch) == 0);
    assert!(last.unwrap().limits.is_empty());
}

#[test]
fn without_an_inference_budget_the_most_responses_are_the_best() {
    let run = run(&spec(&[("/inference_budget", Value::Null)]), |_| 0.2);
    let estimate = &run.conclusion.arms[&winner(&run)].estimate;
    assert_eq!(estimate.extent.n, 20);
}
