//! Jobs that seek the cheapest configuration that is as good as a reference, where the truth is known.

use crate::world::spec;
use frugal_domain::money::{Spend, Usage};
use frugal_domain::request::{RequestKey, ResponseId};
use frugal_domain::seed::mix;
use frugal_domain::trial::Improvement;
use frugal_evaluation::{Receipt, ReceivedResponse, RequestFailure};
use frugal_tuning::notes::{Fact, Note};
use frugal_tuning::{
    Answers, Job, PromptTokenBounds, Report, RequestEnd, RequestToSend, ScoreBatch, Scored,
    ScoredBatch, SettledRequest, Tuning, drive,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const TUNING: usize = 100;
const HOLDOUT: usize = 150;
const SMALL: usize = 0;
const LARGE: usize = 1;

/// An endpoint with two models, of which the small one costs a tenth of the large one.
struct Endpoint {
    job: Job,
    /// How much likelier the large model is to be right, on average.
    deficit: f64,
    /// The large model is not to be had.
    refuses_large: bool,
    models: BTreeMap<RequestKey, usize>,
}

impl Endpoint {
    /// The chance of a right answer. Three rows of four are easy, and hard ones are so for both.
    fn chance(&self, model: usize, instance: usize) -> f64 {
        let large = if mix(instance as u64).is_multiple_of(4) {
            0.7
        } else {
            0.97
        };
        let loss = if model == SMALL { self.deficit } else { 0.0 };
        f64::max(large - loss, 0.0)
    }
}

impl Answers for Endpoint {
    fn send(&mut self, request: &RequestToSend) -> RequestEnd {
        let model = request.settings.sampling.model;
        self.models.insert(request.key, model);
        let length =
            |position: u64| u64::from(20 + (mix(u64::from(request.seed) ^ position) % 21) as u32);
        let responses: Vec<ReceivedResponse> = (0..u64::from(request.n))
            .map(|position| ReceivedResponse {
                estimated_tokens: length(position),
                ended: true,
            })
            .collect();
        let usage = Usage {
            prompt_tokens: 20,
            completion_tokens: responses.iter().map(|one| one.estimated_tokens).sum(),
        };
        let (result, cost) = if self.refuses_large && model == LARGE {
            let refused = RequestFailure::Infeasible("no such model".to_owned());
            (Err(refused), Spend::default())
        } else {
            let receipt = Receipt {
                usage,
                latency_ms: 10,
                responses,
            };
            (
                Ok(receipt),
                Spend::of(usage, self.job.spec.models[model].prices),
            )
        };
        RequestEnd::Settled(SettledRequest {
            result,
            cost,
            uncertain: Spend::default(),
            usage_estimated: false,
            empty_responses: 0,
            longest_text: 0,
        })
    }

    fn score(&mut self, batch: &ScoreBatch) -> ScoredBatch {
        let score = |plan: &frugal_evaluation::ScorePlan| {
            let ResponseId {
                request, position, ..
            } = plan.key.response;
            let place = (u64::from(request.trial.0) << 40)
                ^ (u64::from(request.ordinal) << 20)
                ^ (u64::from(position) << 10)
                ^ self.job.spec.search.seed;
            let lot = (mix(place ^ mix(request.purpose as u64)) % 1_000) as f64 / 1_000.0;
            let right = lot < self.chance(self.models[&request], plan.key.instance);
            (plan.key, Ok(f64::from(u8::from(right)).into()))
        };
        let scores: Vec<Scored> = batch.plans.iter().map(score).collect();
        scores.into()
    }
}

/// A job whose baseline is the large model, with the endpoint that it is run against.
fn endpoint(extent: &str, cheapest: &Value, deficit: f64, changes: &[(&str, Value)]) -> Endpoint {
    let objective =
        json!({"metric": "inference_cost", "direction": "minimize", "cheapest": cheapest});
    let mut all = vec![
        ("/objective", objective),
        ("/inference_budget", Value::Null),
        ("/optimization_budget", json!({"usd": 0.05})),
        ("/limits/trials", json!(16)),
        ("/search/extent", json!(extent)),
        ("/models/0/prices/input_pico", json!(20_000)),
        ("/models/0/prices/output_pico", json!(80_000)),
        ("/space/3/domain", json!({"constant": {"value": 64}})),
        ("/space/4/domain", json!({"constant": {"value": 1}})),
        ("/baseline/model", json!(LARGE)),
    ];
    all.extend_from_slice(changes);
    let bounds = |rows: usize| vec![vec![40; rows].into(); 2];
    let job = Job {
        spec: Arc::new(spec(&all)),
        most_per_request: vec![None; 2],
        prompt_token_bounds: PromptTokenBounds {
            tuning: bounds(TUNING),
            holdout: bounds(HOLDOUT),
            ..PromptTokenBounds::default()
        },
        labels: Vec::new(),
    };
    Endpoint {
        job,
        deficit,
        refuses_large: false,
        models: BTreeMap::new(),
    }
}

fn run(mut endpoint: Endpoint) -> Report {
    let mut tuning = Tuning::new(endpoint.job.clone(), frugal_tuning::Past::default()).unwrap();
    drive(&mut tuning, &mut endpoint).unwrap().report.unwrap()
}

fn standard(margin: f64) -> Value {
    json!({"metric": "mean", "as_good_as": "baseline", "margin": margin, "confidence": 0.95})
}

fn model_of(report: &Report) -> Option<&str> {
    let winner = report.winner.as_ref()?;
    winner.configuration["model"].as_str()
}

fn nothing_as_good(report: &Report) -> Option<&Note> {
    let mut notes = report.notes.iter();
    notes.find(|note| matches!(note.fact, Fact::NothingAsGood { .. }))
}

#[test]
fn a_cheaper_model_that_is_as_good_wins_and_the_held_out_rows_show_it() {
    for extent in ["profiled", "searched"] {
        let mut significant = 0;
        for seed in 0..2 {
            let changes = [("/search/seed", json!(seed))];
            let report = run(endpoint(extent, &standard(0.12), 0.0, &changes));
            assert_eq!(model_of(&report), Some("small"), "{extent} {seed}");
            assert_eq!(nothing_as_good(&report), None);
            let found = report.as_good.unwrap();
            let seen = found.difference.unwrap();
            assert!(seen.lower_bound >= -0.12 && seen.lower_bound < seen.mean);
            let saving = found.saving.unwrap();
            assert!(
                saving.held_out && (saving.share - 0.9).abs() < 0.02,
                "{saving:?}"
            );
            let held_out = found.holdout.unwrap();
            assert_eq!(held_out.estimate.count as usize, HOLDOUT);
            let shown = held_out.bounds.low >= -0.12;
            assert_eq!(
                report.verdict.improvement == Improvement::Significant,
                shown
            );
            significant += usize::from(shown);
            let detail = &report.verdict.improvement_detail;
            assert!(
                detail.starts_with("the winner saves $") && detail.contains("an instance, 90 % of"),
                "{detail}"
            );
            assert!(detail.contains("on 150 held-out instances"), "{detail}");
            // The front is of quality and cost: the baseline is on it only where it is the better.
            let costs: Vec<f64> = report
                .front
                .iter()
                .map(|one| one.evaluation.inference_cost.estimate.mean)
                .collect();
            assert!(costs.is_sorted() && !costs.is_empty());
        }
        assert!(significant > 0, "{extent}");
    }
}

#[test]
fn one_that_is_nearly_as_good_is_left_where_the_margin_excludes_it() {
    for extent in ["profiled", "searched"] {
        for seed in 0..2 {
            let changes = [("/search/seed", json!(seed))];
            let report = run(endpoint(extent, &standard(0.08), 0.15, &changes));
            assert_eq!(model_of(&report), Some("large"), "{extent} {seed}");
            assert_eq!(report.winner.as_ref().unwrap().trial.0, 0, "the baseline");
            assert_eq!(report.verdict.improvement, Improvement::None);
            assert_eq!(
                report.verdict.improvement_detail,
                "no cheaper configuration was found that is as good as the baseline with 95 % \
                 confidence: the baseline stays"
            );
            let note = nothing_as_good(&report).unwrap();
            let Fact::NothingAsGood {
                trial: Some(trial),
                lower_bound: Some(bound),
                cost_ratio: Some(ratio),
                ..
            } = note.fact
            else {
                panic!("{note:?}");
            };
            assert!(trial.0 > 0 && bound < -0.08 && ratio < 1.0, "{note:?}");
            for words in [
                "no cheaper configuration is as good as the baseline with 95 % confidence: trial ",
                "% of the baseline's cost, and its `mean` is 0.",
                "where 0.08 below is allowed",
            ] {
                assert!(note.detail.contains(words), "{}", note.detail);
            }
            // A margin that takes it in.
            let report = run(endpoint(extent, &standard(0.3), 0.15, &changes));
            assert_eq!(model_of(&report), Some("small"), "{extent} {seed}");
        }
    }
}

#[test]
fn where_nothing_is_as_good_that_may_win_there_is_no_winner() {
    for extent in ["profiled", "searched"] {
        // The large model is over the inference budget, and so is the baseline.
        let changes = [("/inference_budget", json!({"usd": 0.000_01}))];
        let report = run(endpoint(extent, &standard(0.1), 0.5, &changes));
        assert!(report.winner.is_none());
        let baseline = report.baseline.as_ref().unwrap();
        assert!(!baseline.evaluation.valid && baseline.evaluation.violated.is_empty());
        assert!(
            baseline.evaluation.coverage.unwrap().complete,
            "it is looked at on all rows all the same"
        );
        let reference = report.as_good.unwrap().reference.unwrap();
        assert!((reference - 0.9).abs() < 0.08);
        assert_eq!(
            report.verdict.improvement_detail,
            "no valid configuration was found that is as good as the baseline with 95 % confidence"
        );
        let note = nothing_as_good(&report).unwrap();
        assert!(
            note.detail
                .starts_with("no configuration is as good as the baseline")
                && note.detail.ends_with("allow a larger `margin`"),
            "{}",
            note.detail
        );
        let of_small = report.notes.iter().find_map(|note| match &note.fact {
            Fact::NoValidConfiguration {
                model, violated, ..
            } if model == "small" => Some((violated.as_slice(), &note.detail)),
            _ => None,
        });
        let (violated, detail) = of_small.unwrap();
        assert_eq!(violated, ["mean"]);
        assert!(detail.contains("is as good as it must be"), "{detail}");
    }
}

#[test]
fn a_value_may_be_what_answers_must_be_as_good_as() {
    for extent in ["profiled", "searched"] {
        let against = |value: f64| json!({"metric": "mean", "as_good_as": value, "margin": 0.05, "confidence": 0.9});
        // The small model is right with 0.8 or so, the large one with 0.9.
        let enough = run(endpoint(extent, &against(0.75), 0.1, &[]));
        assert_eq!(model_of(&enough), Some("small"));
        let found = enough.as_good.unwrap();
        assert_eq!(found.reference, Some(0.75));
        let detail = enough.verdict.improvement_detail;
        assert!(detail.contains("that of a `mean` of 0.75"), "{detail}");
        let too_little = run(endpoint(extent, &against(0.95), 0.1, &[]));
        assert_ne!(model_of(&too_little), Some("small"));
        let beyond = run(endpoint(extent, &against(1.0), 0.1, &[]));
        assert!(beyond.winner.is_none());
        let note = nothing_as_good(&beyond).unwrap();
        assert!(
            note.detail
                .starts_with("no configuration is as good as a `mean` of 1 with 90 % confidence"),
            "{}",
            note.detail
        );
    }
}

#[test]
fn nothing_is_sought_that_could_be_held_against_nothing() {
    for extent in ["profiled", "searched"] {
        let mut endpoint = endpoint(extent, &standard(0.1), 0.0, &[]);
        endpoint.refuses_large = true;
        let report = run(endpoint);
        assert!(report.winner.is_none());
        assert_eq!(report.trials.trials(), 1, "the baseline alone");
        assert_eq!(
            report.verdict.improvement_detail,
            "the baseline was not evaluated, so nothing can be held against it"
        );
        let note = nothing_as_good(&report).unwrap();
        assert!(
            note.detail
                .starts_with("nothing can be as good as the baseline"),
            "{}",
            note.detail
        );
    }
}
