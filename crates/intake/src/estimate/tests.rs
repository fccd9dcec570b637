//! Numbers worked by hand.

use super::*;
use frugal_domain::endpoint::Catalog;
use frugal_domain::job::Data;
use serde_json::{Value, json};

/// `plain` at 3 and 7 pico-dollars a token, `fee` at 1 and 2 with 1000 a request, `free`.
fn read(body: &Value) -> (JobSpec, Data) {
    let catalog: Catalog = serde_json::from_value(json!({"endpoints": {"e": {
        "base_url": "http://127.0.0.1:1/v1",
        "models": {
            "plain": {"input_usd_per_million": 0.000_003, "output_usd_per_million": 0.000_007},
            "fee": {"input_usd_per_million": 0.000_001, "output_usd_per_million": 0.000_002, "usd_per_request": 0.000_000_001},
            "free": {}
        }
    }}}))
    .unwrap();
    crate::job(body, &catalog, 7).unwrap()
}

/// A job of two rows, changed.
fn spec(change: impl FnOnce(&mut Value)) -> JobSpec {
    let mut body = json!({
        "data": {"instances": [{"q": 1}, {"q": 2}]},
        "model": {"endpoint": "e", "model": "plain"},
        "prompt": "p",
        "search_space": {
            "temperature": {"float": [0, 1]},
            "n": {"int": [1, 7]},
            "max_tokens": {"int": [4, 100], "scale": "log"}
        },
        "scoring": {"scorer": {"type": "exact", "expected": "x"}},
        "budgets": {"optimization": {"usd": 0.000_000_1}}
    });
    change(&mut body);
    read(&body).0
}

/// One model and one prompt with 10 and 20 tokens on the two rows.
fn basis(max_n: Option<u32>) -> Basis {
    Basis {
        tuning_rows: 2,
        holdout_rows: 0,
        models: vec![ModelBasis {
            max_n,
            prompt_allowance: 0,
            prompts: vec![PromptTokens::new(&[10, 20], &[])],
        }],
        judge_prompts: Vec::new(),
    }
}

#[test]
fn a_judge_costs_besides() {
    let ruled = spec(|_| {});
    let judged = spec(|body| {
        body["scoring"]["scorer"] = json!({
            "type": "judge", "endpoint": "e", "model": "fee", "rubric": "Good?", "max_tokens": 10
        });
    });
    let basis = Basis {
        judge_prompts: vec![50],
        ..basis(None)
    };
    let (ruled, judged) = (
        estimate(&ruled, &basis).unwrap(),
        estimate(&judged, &basis).unwrap(),
    );
    // 2 rows, 4 responses: 8 questions of 50 and 10 tokens with replies of 5, then of 50 and 20 with 10.
    let middle = |estimate: &Estimate| estimate.mid_space.clone();
    let more = |one: Spend, other: Spend| one.saturating_sub(other);
    assert_eq!(
        middle(&judged).settings.extent,
        Extent {
            max_tokens: 20,
            n: 4
        }
    );
    assert_eq!(
        more(middle(&judged).expected, middle(&ruled).expected),
        spend(8 * 1000 + 480 + 80, 520)
    );
    assert_eq!(
        more(middle(&judged).at_most, middle(&ruled).at_most),
        spend(8 * 1000 + 560 + 160, 640)
    );
    assert_eq!(
        middle(&judged).within_inference_budget,
        middle(&ruled).within_inference_budget
    );
    assert!(judged.trials.expected < ruled.trials.expected);
}

#[test]
fn a_judges_share_bounds_what_the_budget_buys() {
    let basis = Basis {
        judge_prompts: vec![50],
        ..basis(None)
    };
    let trials = |share: Option<f64>| {
        let judged = spec(|body| {
            body["scoring"]["scorer"] = json!({
                "type": "judge", "endpoint": "e", "model": "fee", "rubric": "Good?", "max_tokens": 10
            });
            if let Some(share) = share {
                body["scoring"]["scorer"]["share"] = json!(share);
            }
        });
        estimate(&judged, &basis).unwrap().trials.expected
    };
    let (all, most, little) = (trials(None), trials(Some(1.0)), trials(Some(0.05)));
    assert_eq!(all, most);
    assert!(little < all, "{little} < {all}");
}

fn spend(pico: u64, tokens: u64) -> Spend {
    Spend {
        usd: Usd::from_pico(pico),
        tokens,
    }
}

#[test]
fn a_point_costs_its_prompts_and_its_responses() {
    let estimate = estimate(&spec(|_| {}), &basis(None)).unwrap();

    // The middle: n = 4, max_tokens = √(4 · 100) = 20.
    let middle = estimate.mid_space;
    assert_eq!(
        (middle.settings.extent.n, middle.settings.extent.max_tokens),
        (4, 20)
    );
    assert_eq!(middle.settings.sampling.temperature, Some(0.5));
    // 30 tokens of prompts at 3; 2 · 4 · 10 or 2 · 4 · 20 of responses at 7.
    assert_eq!(middle.expected, spend(90 + 560, 30 + 80));
    assert_eq!(middle.at_most, spend(90 + 1120, 30 + 160));

    // The default: n = 1, max_tokens = 100.
    let baseline = estimate.baseline.unwrap();
    assert_eq!(
        (
            baseline.settings.extent.n,
            baseline.settings.extent.max_tokens
        ),
        (1, 100)
    );
    assert_eq!(baseline.expected, spend(90 + 700, 30 + 100));
    assert_eq!(baseline.at_most, spend(90 + 1400, 30 + 200));

    let most = estimate.most_expensive;
    assert_eq!(
        (most.settings.extent.n, most.settings.extent.max_tokens),
        (7, 100)
    );
    assert_eq!(most.expected, spend(90 + 4900, 30 + 700));
    assert_eq!(most.at_most, spend(90 + 9800, 30 + 1400));
    assert_eq!(most.within_inference_budget, None);
}

#[test]
fn a_request_that_yields_few_responses_pays_the_prompt_and_the_fee_again() {
    let fee = spec(|job| job["model"]["model"] = json!("fee"));
    let most = estimate(&fee, &basis(Some(3))).unwrap().most_expensive;
    // 7 responses take 3 requests, each with 30 tokens at 1 and 1000 on each row.
    let prompts = 3 * (30 + 2 * 1000);
    assert_eq!(most.at_most, spend(prompts + 2 * 1400, 3 * 30 + 1400));
    let once = estimate(&fee, &basis(None)).unwrap().most_expensive;
    assert_eq!(once.at_most, spend(2030 + 2 * 1400, 30 + 1400));
}

#[test]
fn what_a_chat_template_may_add_is_in_what_a_request_costs_at_most() {
    let allowing = |prompt_allowance| {
        let mut basis = basis(Some(3));
        basis.models[0].prompt_allowance = prompt_allowance;
        estimate(&spec(|_| {}), &basis).unwrap().mid_space
    };
    let (bare, allowed) = (allowing(0), allowing(32));
    assert_eq!(allowed.expected, bare.expected);
    let n = u64::from(bare.settings.extent.n);
    // Two rows, three responses to a request.
    let more = 2 * n.div_ceil(3) * 32;
    assert_eq!(allowed.at_most.tokens, bare.at_most.tokens + more);
}

#[test]
fn half_a_response_is_rounded_up_over_all_of_them() {
    let odd = spec(|job| {
        job["search_space"] = json!({"n": 1, "max_tokens": 5});
        job["data"]["instances"] = json!([{}, {}, {}]);
    });
    let rows = Basis {
        tuning_rows: 3,
        ..basis(None)
    };
    // Half of 3 · 5 tokens; and prompts of 15 tokens in the mean over the two rows counted.
    let expected = estimate(&odd, &rows).unwrap().mid_space.expected;
    assert_eq!(expected.tokens, 45 + 8);
}

#[test]
fn the_inference_budget_is_held_against_the_mean_of_the_rows() {
    // The middle costs 45 a row for its prompt and 560 for full responses.
    for (pico, within) in [
        (605, Within::Likely),
        (604, Within::Possible),
        (45, Within::Possible),
        (44, Within::Impossible),
    ] {
        let usd = Usd::from_pico(pico);
        let job = spec(|job| job["budgets"]["inference"] = json!({"usd": usd}));
        let middle = estimate(&job, &basis(None)).unwrap().mid_space;
        assert_eq!(middle.within_inference_budget, Some(within), "{pico}");
    }
    // In tokens 15 and 80.
    for (tokens, within) in [
        (95, Within::Likely),
        (94, Within::Possible),
        (14, Within::Impossible),
    ] {
        let job = spec(|job| job["budgets"]["inference"] = json!({"tokens": tokens}));
        let middle = estimate(&job, &basis(None)).unwrap().mid_space;
        assert_eq!(middle.within_inference_budget, Some(within), "{tokens}");
    }
}

#[test]
fn trials_are_what_is_left_after_the_baseline() {
    // 100,000 less 790 by 650; less 1490 by 1210.
    let estimate = estimate(&spec(|_| {}), &basis(None)).unwrap();
    assert_eq!(
        estimate.trials,
        Trials {
            expected: 100,
            at_least: 81,
            at_least_within_budget: None
        }
    );
    let many = spec(|job| job["limits"] = json!({"trials": 1000}));
    assert_eq!(
        super::estimate(&many, &basis(None))
            .unwrap()
            .trials
            .expected,
        152
    );
    let alone = spec(|job| {
        job["limits"] = json!({"trials": 1000});
        job["baseline"] = json!(false);
    });
    let estimate = super::estimate(&alone, &basis(None)).unwrap();
    assert_eq!(estimate.baseline, None);
    // 100,000 by 650.
    assert_eq!(estimate.trials.expected, 153);
    let poor = spec(|job| job["budgets"]["optimization"]["usd"] = json!(Usd::from_pico(1000)));
    let trials = super::estimate(&poor, &basis(None)).unwrap().trials;
    assert_eq!((trials.expected, trials.at_least), (0, 0));
}

#[test]
fn the_inference_budget_bounds_what_a_valid_trial_costs() {
    let job = |inference: Value| {
        let job = spec(|job| {
            job["budgets"]["inference"] = inference;
            job["limits"] = json!({"trials": 1000});
        });
        let rows = Basis {
            holdout_rows: 5,
            ..basis(None)
        };
        estimate(&job, &rows).unwrap()
    };
    // Kept: 2 · 5 · 300 of 100,000. The rest less 1490 by 2 · 300.
    let estimate = job(json!({"usd": Usd::from_pico(300)}));
    let kept = Budget::Usd(Usd::from_pico(3000));
    assert_eq!(estimate.kept_for_holdout, Some(kept));
    assert_eq!(estimate.trials.at_least_within_budget, Some(159));
    // The rest less 790 by 650.
    assert_eq!(estimate.trials.expected, 148);
    // At most a quarter is kept: 75,000 less 1490 by 2 · 3000.
    let estimate = job(json!({"usd": Usd::from_pico(3000)}));
    let kept = Budget::Usd(Usd::from_pico(25_000));
    assert_eq!(estimate.kept_for_holdout, Some(kept));
    assert_eq!(estimate.trials.at_least_within_budget, Some(12));
    // Budgets in different units have nothing to say of one another.
    let estimate = job(json!({"tokens": 3000}));
    assert_eq!(estimate.kept_for_holdout, None);
    assert_eq!(estimate.trials.at_least_within_budget, None);
}

#[test]
fn tokens_are_the_unit_of_a_model_without_prices() {
    let free = spec(|job| {
        job["model"]["model"] = json!("free");
        job["budgets"] = json!({"inference": {"tokens": 100}, "optimization": {"tokens": 5000}});
    });
    let estimate = estimate(&free, &basis(None)).unwrap();
    assert_eq!(estimate.mid_space.at_most, spend(0, 190));
    // 5000 less 130 by 110; less 230 by 190; less 230 by 2 · 100.
    assert_eq!(
        estimate.trials,
        Trials {
            expected: 44,
            at_least: 25,
            at_least_within_budget: Some(23)
        }
    );
}

#[test]
fn where_nothing_is_paid_the_limit_on_trials_is_all_there_is() {
    let free = spec(|job| {
        job["model"]["model"] = json!("free");
        job["budgets"] = json!({"optimization": {"tokens": 1}});
        job["baseline"] = json!(false);
        job["limits"] = json!({"trials": 9});
    });
    let mut priceless = free;
    priceless.optimization_budget = Budget::Usd(Usd::from_pico(1));
    let trials = estimate(&priceless, &basis(None)).unwrap().trials;
    assert_eq!((trials.expected, trials.at_least), (9, 9));
}

#[test]
fn the_most_expensive_has_the_model_and_the_prompt_that_cost_most() {
    let job = spec(|job| {
        let job = job.as_object_mut().unwrap();
        job.remove("model");
        job.remove("prompt");
        let model = |name: &str, most: u32| {
            let space = json!({"n": {"int": [1, most]}});
            json!({"endpoint": "e", "model": name, "search_space": space})
        };
        job.insert(
            "models".to_owned(),
            json!([model("fee", 9), model("plain", 5)]),
        );
        job.insert("prompts".to_owned(), json!(["short", "long"]));
        job.insert("search_space".to_owned(), json!({"max_tokens": 10}));
    });
    let prompts = |tokens: [u64; 2]| {
        let prompt = |tokens: u64| PromptTokens::new(&[tokens; 2], &[]);
        tokens.map(prompt).to_vec()
    };
    let mut basis = Basis {
        judge_prompts: Vec::new(),
        tuning_rows: 2,
        holdout_rows: 0,
        models: [[10, 30], [10, 30]]
            .map(|tokens| ModelBasis {
                max_n: None,
                prompt_allowance: 0,
                prompts: prompts(tokens),
            })
            .to_vec(),
    };
    // A row: 1000 + 30 + 90 · 2 for the first model, 90 + 50 · 7 for the second.
    let most = estimate(&job, &basis).unwrap().most_expensive;
    let settings = &most.settings;
    assert_eq!(
        (
            settings.sampling.model,
            settings.sampling.prompt,
            settings.extent.n
        ),
        (0, 1, 9)
    );
    assert_eq!(most.at_most.usd.pico(), 2 * 1210);
    // With 1000 tokens in the first prompt: 3000 + 350 for the second model.
    basis.models[1].prompts = prompts([1000, 30]);
    let most = estimate(&job, &basis).unwrap().most_expensive;
    let settings = &most.settings;
    assert_eq!(
        (
            settings.sampling.model,
            settings.sampling.prompt,
            settings.extent.n
        ),
        (1, 0, 5)
    );
    assert_eq!(most.at_most.usd.pico(), 2 * 3350);
}

#[test]
fn every_branch_with_a_largest_number_is_looked_at() {
    let branches = |prices: &str| {
        let job = spec(|job| {
            job["model"]["model"] = json!(prices);
            job["search_space"] = json!({
                "shape": {"one_of": [
                    {"n": {"int": [1, 8]}, "max_tokens": {"choice": [5, 10, 7]}},
                    {"n": {"int": [1, 10], "step": 4}, "max_tokens": {"int": [1, 10]}},
                    {"n": 1, "max_tokens": {"int": [16, 200], "scale": "log"}},
                    {"n": 2, "max_tokens": 3}
                ]},
                "temperature_or_top_p": {"one_of": [{"temperature": 0.5}, {"top_p": 0.5}]}
            });
        });
        let most = estimate(&job, &basis(Some(1))).unwrap().most_expensive;
        assert_eq!(most.settings.sampling.temperature, Some(0.5));
        (most.settings.extent.n, most.settings.extent.max_tokens)
    };
    // Responses cost more than prompts do: 1 · 200 tokens.
    assert_eq!(branches("plain"), (1, 200));
    // Each response is a request with a fee: 9 of them.
    assert_eq!(branches("fee"), (9, 10));
}

#[test]
fn a_space_without_n_has_no_point_to_estimate() {
    let mut job = spec(|job| job["baseline"] = json!(false));
    // The reader refuses such a space; a job that was stored before it did may have one.
    job.space
        .dimensions
        .retain(|dimension| dimension.name != "n");
    let refused = estimate(&job, &basis(None)).unwrap_err();
    assert_eq!(refused, NotAPoint("n".to_owned()));
}

#[test]
fn the_middle_is_on_the_steps_and_in_the_space() {
    for (domain, middle) in [
        (json!({"int": [1, 7]}), json!(4)),
        (json!({"int": [1, 100]}), json!(51)),
        (json!({"int": [10, 1000], "scale": "log"}), json!(100)),
        (json!({"int": [10, 21], "step": 4}), json!(14)),
        (json!({"int": [3, 3]}), json!(3)),
        (json!({"float": [0, 1]}), json!(0.5)),
        (json!({"float": [0.01, 1], "scale": "log"}), json!(0.1)),
        (json!({"float": [0, 0.3], "step": 0.1}), json!(0.2)),
        (json!({"float": [0.25, 0.5], "step": 1}), json!(0.25)),
        (json!({"choice": ["b", "a"]}), json!("b")),
        (json!([1, 2]), json!([1, 2])),
    ] {
        let job = spec(|job| job["search_space"]["x"] = domain.clone());
        let found: Configuration = points::middle(&job.space);
        assert!(job.space.contains(&found), "{domain}");
        assert_eq!(found.get("x"), Some(&middle), "{domain}");
    }
}

#[test]
fn prompt_tokens_are_summed_up() {
    let tokens = PromptTokens::new(&[10, 20, 33], &[50, 2]);
    assert_eq!(
        (tokens.mean(), tokens.largest(), tokens.counted()),
        (21.0, 50, 3)
    );
    // 63 tokens on 3 rows are 210 on 10, and 147 on 7; 64 on 3 are 149.3 on 7.
    assert_eq!((tokens.over(10), tokens.over(7)), (210, 147));
    assert_eq!(PromptTokens::new(&[10, 20, 34], &[]).over(7), 150);
    assert_eq!(PromptTokens::new(&[], &[5]).mean(), 0.0);
}
