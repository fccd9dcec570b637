use super::*;
use serde_json::json;

fn outcome(pruning_on: bool) -> Outcome {
    let baseline = json!({
        "trial": 0,
        "configuration": {
            "endpoint": "demo", "model": "gemma-3-270m", "prompt": "cot", "temperature": 1.0,
            "max_tokens": 128, "n": 1, "stop": ["\n\n"],
        },
        "utility": {"mean": 0.125, "standard_error": 0.05295740910852021, "count": 40},
        "metrics": {},
        "inference_cost": {
            "unit": "usd", "mean": 0.000026908, "standard_error": 1.25e-6, "count": 40,
        },
        "valid": true,
        "utility_interval": {"low": 0.0507, "high": 0.2661},
    });
    let winner = json!({
        "trial": 61,
        "configuration": {
            "endpoint": "demo", "model": "smollm2-135m-instruct", "prompt": "cot",
            "temperature": 0.5673333, "max_tokens": 51, "n": 6, "stop": ["\n\n"],
        },
        "utility": {"mean": 0.4384, "standard_error": 0.061, "count": 40},
        "metrics": {},
        "inference_cost": {
            "unit": "usd", "mean": 0.0000487, "standard_error": 1e-6, "count": 40,
        },
        "valid": true,
        "utility_interval": {"low": 0.3159, "high": 0.5641},
    });
    let (before, way, full) = if pruning_on {
        (31, 9, 0.34567)
    } else {
        (0, 0, 0.0589)
    };
    let report = json!({
        "objective": {"metric": "expected_success", "direction": "maximize"},
        "objective": {"metric": "expected_success", "direction": "maximize"},
        "stop_reason": "budget_exhausted",
        "baseline": baseline,
        "winner": winner,
        "difference": {"mean": 0.3134, "standard_error": 0.0577, "count": 40},
        "holdout": null,
        "improvement": "not_significant",
        "improvement_detail": "no held-out instances: its lead is too hopeful",
        "nearly_as_good": {
            "trial": 12, "margin": 0.025, "cost_ratio": 0.34,
            "detail": "trial 12 is as good as the winner within 0.015 (95 % interval of the \
                       difference -0.061 to +0.032) at a third of the cost",
        },
        "trials": {
            "running": 0, "evaluated": if pruning_on { 85 } else { 28 },
            "pruned_before_requests": before, "pruned_on_the_way": way,
            "infeasible": 0, "failed": 0, "stopped": 4, "requests": 3400, "responses": 9000,
        },
        "budgets": {"inference": {"usd": 0.00005}, "optimization": {"usd": 0.06}},
        "spend": {"usd": 0.05998, "tokens": 400_000},
        "spend_by_role": {},
        "savings": {
            "spent": {"usd": 0.0589, "tokens": 390_000},
            "full_evaluation": {"usd": full, "tokens": 2_000_000},
        },
        "front": [], "feasible": [], "diagnostics": {},
        "notes": [{
            "code": "never_tried", "setting": "prompt", "values": ["plain"],
            "reason": "optimization_budget",
            "detail": "no trial used the prompt `plain`: the optimization budget of $0.06 was spent \
                       before; raise `budgets.optimization`",
        }],
    });
    let job = json!({
        "id": "019356aa", "state": "succeeded", "stop_reason": "budget_exhausted",
        "detail": null, "budgets": report["budgets"], "search": {"extent": "searched"},
    });
    Outcome {
        job: serde_json::from_value(job).unwrap(),
        report: serde_json::from_value(report).unwrap(),
    }
}

#[test]
fn the_default_and_the_winner_side_by_side() {
    insta::assert_snapshot!(found(&outcome(true)), @r#"

    ┌───────────────────┬────────────────┬───────────────────────┐
    │                   ┆        default ┆                winner │
    ╞═══════════════════╪════════════════╪═══════════════════════╡
    │ model             ┆   gemma-3-270m ┆ smollm2-135m-instruct │
    │ prompt            ┆            cot ┆                   cot │
    │ temperature       ┆          1.000 ┆                 0.567 │
    │ max_tokens        ┆            128 ┆                    51 │
    │ n                 ┆              1 ┆                     6 │
    │ utility           ┆  0.125 ± 0.053 ┆         0.438 ± 0.061 │
    │ 95 % interval     ┆ 0.051 to 0.266 ┆        0.316 to 0.564 │
    │ cost per instance ┆     $0.0000269 ┆            $0.0000487 │
    └───────────────────┴────────────────┴───────────────────────┘
    the same in both: endpoint demo, stop ["\n\n"]
    utility: the chance that at least one of an instance's n answers is right, mean of 40 instances ± standard error
    cost per instance: one prompt and its n answers; at most $0.00005 is allowed
    winner less default, instance by instance: +0.313 ± 0.058
    The winner is the best of 124 on these instances.
    verdict: not significant; no held-out instances: its lead is too hopeful
    nearly as good: trial 12 is as good as the winner within 0.015 (95 % interval of the difference -0.061 to +0.032) at a third of the cost
    "#);
}

#[test]
fn what_the_search_took() {
    insta::assert_snapshot!(spent(&outcome(true)), @r"

    ┌────────────────────────────────────────────┬───────────────────┐
    │                                            ┆        the search │
    ╞════════════════════════════════════════════╪═══════════════════╡
    │ trials evaluated in full                   ┆                84 │
    │ pruned before any request                  ┆                31 │
    │ pruned on the way                          ┆                 9 │
    │ cut off by the end                         ┆                 4 │
    │ money spent                                ┆           $0.0600 │
    │ money that full evaluation would have cost ┆ $0.347 (estimate) │
    └────────────────────────────────────────────┴───────────────────┘
    pruned: given up as over the allowed inference cost, or as clearly worse than the best
    full evaluation: of the same configurations, on every instance
    The search ended because its budget of $0.06 was spent, or too little of it left to bring anything.
    ");
}

#[test]
fn what_a_profiled_search_took() {
    let mut outcome = outcome(true);
    outcome.job.search.extent = ExtentChoice::Profiled;
    outcome.report.stop_reason = StopReason::Converged;
    insta::assert_snapshot!(spent(&outcome));
}

#[test]
fn with_and_without_pruning() {
    insta::assert_snapshot!(compared(&outcome(false), &outcome(true)), @r"

    ┌────────────────────────────────────────────┬───────────────┬───────────────┐
    │                                            ┆   pruning off ┆    pruning on │
    ╞════════════════════════════════════════════╪═══════════════╪═══════════════╡
    │ configurations tried                       ┆            27 ┆           124 │
    │   evaluated in full                        ┆            27 ┆            84 │
    │   pruned before any request                ┆             0 ┆            31 │
    │   pruned on the way                        ┆             0 ┆             9 │
    │ money spent                                ┆       $0.0600 ┆       $0.0600 │
    │ money that full evaluation would have cost ┆       $0.0600 ┆        $0.347 │
    │ winner's utility                           ┆ 0.438 ± 0.061 ┆ 0.438 ± 0.061 │
    └────────────────────────────────────────────┴───────────────┴───────────────┘
    Under the same budget of $0.06, pruning tries 4.6 times as many configurations.
    ");
}

#[test]
fn where_to_look_further() {
    insta::assert_snapshot!(links("http://127.0.0.1:8080", "019356aa"), @r"

    In a browser: http://127.0.0.1:8080/#/jobs/019356aa
    From another terminal:
      curl http://127.0.0.1:8080/jobs/019356aa
      curl http://127.0.0.1:8080/jobs/019356aa/report
      curl http://127.0.0.1:8080/jobs/019356aa/trials
      curl -N -H 'Accept: text/event-stream' http://127.0.0.1:8080/jobs/019356aa/events
      curl http://127.0.0.1:8080/openapi.yaml
    Ctrl-C stops everything.
    ");
}

#[test]
fn no_winner_is_said_to_be_none() {
    let mut nothing = outcome(true);
    nothing.report.winner = None;
    nothing.report.difference = None;
    assert!(found(&nothing).contains("No configuration was found within the inference budget."));
    let mut same = outcome(true);
    same.report.winner = same.report.baseline.clone();
    assert!(found(&same).contains("Nothing was found to be better than the default."));
}

#[test]
fn without_one_that_is_nearly_as_good_none_is_spoken_of() {
    let mut outcome = outcome(true);
    outcome.report.nearly_as_good = None;
    assert!(!found(&outcome).contains("nearly as good"));
}

#[test]
fn what_is_not_shown_has_a_line_each() {
    let mut outcome = outcome(true);
    assert_eq!(
        notes(&outcome),
        "note: no trial used the prompt `plain`: the optimization budget of $0.06 was spent \
         before; raise `budgets.optimization`\n"
    );
    outcome.report.notes.clear();
    assert_eq!(notes(&outcome), "");
}

#[test]
fn the_verdict_is_one_line() {
    let mut outcome = outcome(true);
    let lines = |outcome: &Outcome| -> Vec<String> {
        let text = found(outcome);
        let lines = text.lines().filter(|line| line.starts_with("verdict: "));
        lines.map(str::to_owned).collect()
    };
    outcome.report.improvement = Improvement::Significant;
    outcome.report.improvement_detail = "better on 20 held-out instances".to_owned();
    assert_eq!(
        lines(&outcome),
        ["verdict: significantly better; better on 20 held-out instances"]
    );
    outcome.report.improvement = Improvement::None;
    outcome.report.improvement_detail = "not better on them".to_owned();
    assert_eq!(
        lines(&outcome),
        ["verdict: no improvement; not better on them"]
    );
}

#[test]
fn amounts_have_three_digits_and_cents() {
    for (amount, expected) in [
        (0.0, "$0"),
        (0.000026908, "$0.0000269"),
        (0.00005, "$0.0000500"),
        (0.0599812, "$0.0600"),
        (0.5, "$0.500"),
        (1.0, "$1.00"),
        (1234.5, "$1234.50"),
        (1e-12, "$0.00000000000100"),
    ] {
        assert_eq!(dollars(amount), expected);
    }
    assert_eq!(amount(Unit::Tokens, 300), "300 tokens");
}
