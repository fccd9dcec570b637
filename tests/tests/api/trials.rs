//! Trials, and what is told of them on the way.

use crate::{append, body, claim, job, start};
use chrono::Utc;
use frugal_domain::event::{EventBody, Phase, TrialAdvance};
use frugal_domain::id::TrialNumber;
use frugal_domain::money::{Spend, Unit, Usd};
use frugal_domain::spend::{SpendByCategory, SpendCategory};
use frugal_domain::trial::{
    CostEstimate, Coverage, Estimate, Evaluation, Interval, Progress, PruneReason, TrialOutcome,
    TrialRole,
};
use frugal_store::jobs;
use frugal_store::queue::Claim;
use frugal_store::trials::{self, NewTrial, TrialEnd};
use frugal_tests::app::TestApp;
use serde_json::json;
use std::collections::BTreeMap;

const UTILITY: Estimate = Estimate {
    mean: 0.5,
    standard_error: Some(0.5),
    count: 2,
};

const INTERVAL: Interval = Interval {
    low: 0.1,
    high: 0.9,
};

const COST: CostEstimate = CostEstimate {
    unit: Unit::Usd,
    estimate: Estimate {
        mean: 0.000_25,
        standard_error: None,
        count: 1,
    },
};

fn spend() -> Spend {
    Spend {
        usd: Usd::from_dollars(0.002).unwrap(),
        tokens: 1_500,
    }
}

const COVERAGE: Coverage = Coverage {
    instances: 2,
    of: 2,
    responses: 1,
    complete: true,
};

/// One trial of each outcome, and last one that still runs.
fn outcomes() -> Vec<Option<TrialOutcome>> {
    let evaluated = |violated: &[&str]| {
        Some(TrialOutcome::Evaluated(Evaluation {
            utility: UTILITY,
            metrics: BTreeMap::from([("expected_success".to_owned(), UTILITY)]),
            inference_cost: COST,
            violated: violated.iter().map(ToString::to_string).collect(),
            valid: violated.is_empty(),
            coverage: Some(COVERAGE),
            utility_interval: Some(INTERVAL),
        }))
    };
    let pruned = |reason| Some(TrialOutcome::Pruned { reason });
    vec![
        evaluated(&[]),
        evaluated(&["cut_rate", "latency_ms"]),
        pruned(PruneReason::KnownInvalid),
        pruned(PruneReason::OverBudget { n: 4, instances: 1 }),
        Some(TrialOutcome::Infeasible {
            detail: "the endpoint says no".to_owned(),
        }),
        Some(TrialOutcome::Failed {
            detail: "the endpoint says nothing".to_owned(),
        }),
        Some(TrialOutcome::Stopped),
        None,
    ]
}

/// Begins a trial and, with an outcome, ends it.
async fn carry_out(app: &TestApp, claim: Claim, number: u32, outcome: Option<TrialOutcome>) {
    let mut connection = app.pool.acquire().await.unwrap();
    let job = jobs::find(&mut connection, claim.job)
        .await
        .unwrap()
        .unwrap();
    let configuration = job.spec.default_configuration();
    let number = TrialNumber(number);
    let trial = NewTrial {
        number,
        role: if number.0 == 0 {
            TrialRole::Baseline
        } else {
            TrialRole::Search
        },
        origin: "start".to_owned(),
        settings: job.spec.settings(&configuration).unwrap(),
        configuration,
    };
    trials::begin(&mut connection, claim, &trial, Utc::now())
        .await
        .unwrap();
    if let Some(outcome) = outcome {
        let end = TrialEnd {
            settings: None,
            outcome,
            spend: spend(),
            requests: 2,
            responses: 3,
        };
        trials::finish(&mut connection, claim, number, &end, Utc::now())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn trials_of_every_outcome_are_shown() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let claim = claim(&app).await;
    for (number, outcome) in (0..).zip(outcomes()) {
        carry_out(&app, claim, number, outcome).await;
    }

    let trials = app.api.all(&format!("{path}/trials")).await;
    let states: Vec<_> = trials.iter().map(|trial| &trial["state"]).collect();
    let newest_first = [
        "running",
        "stopped",
        "failed",
        "infeasible",
        "pruned",
        "pruned",
        "evaluated",
        "evaluated",
    ];
    assert_eq!(states, newest_first);
    for trial in &trials {
        let own = trial["links"]["self"].as_str().unwrap();
        assert_eq!(own, format!("{path}/trials/{}", trial["number"]));
        assert_eq!(trial["links"]["job"], path);
        assert_eq!(&app.api.json(own).await, trial);
    }
    for number in [0, 1, 3, 4] {
        let trial = app.api.json(&format!("{path}/trials/{number}")).await;
        insta::assert_json_snapshot!(format!("trial_{number}"), trial, {
            ".started_at" => "[time]",
            ".finished_at" => "[time]",
            ".links" => "[links]",
        });
    }

    let page = app
        .api
        .json(&format!("{path}/trials?state=pruned&limit=1"))
        .await;
    assert_eq!(
        (&page["data"][0]["number"], &page["has_more"]),
        (&json!(3), &json!(true))
    );
    let next = page["next"].as_str().unwrap();
    let page = app
        .api
        .json(&format!("{path}/trials?state=pruned&limit=1&cursor={next}"))
        .await;
    assert_eq!(
        (&page["data"][0]["number"], &page["has_more"]),
        (&json!(2), &json!(false))
    );
    let absent = body(app.api.get(&format!("{path}/trials/8")).await, 404).await;
    assert_eq!(absent["detail"], "the job has no trial `8` (yet)");
    app.end().await;
}

#[tokio::test]
async fn a_job_shows_its_best_trial_and_what_it_has_spent() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let claim = claim(&app).await;
    carry_out(&app, claim, 0, outcomes().remove(0)).await;
    let progress = Progress {
        evaluated: 1,
        requests: 2,
        responses: 3,
        ..Progress::default()
    };
    let by_role = SpendByCategory::from([
        (SpendCategory::Baseline, spend()),
        (SpendCategory::Search, spend()),
    ]);
    let mut connection = app.pool.acquire().await.unwrap();
    let best = Some(TrialNumber(0));
    jobs::update_summary(
        &mut connection,
        claim.job,
        claim.attempt,
        &progress,
        &by_role,
        best,
    )
    .await
    .unwrap();
    drop(connection);

    let job = app.api.json(&path).await;
    insta::assert_json_snapshot!("best", job["best"]);
    insta::assert_json_snapshot!("spend", job["spend"]);
    insta::assert_json_snapshot!("progress", job["progress"]);
    let listed = &app.api.json("/jobs").await["data"][0];
    let same = [
        "id", "name", "labels", "state", "progress", "spend", "budgets", "last_seq", "links",
    ];
    for field in same {
        assert_eq!(listed[field], job[field], "{field}");
    }
    for field in ["trial", "utility", "utility_interval", "inference_cost"] {
        assert_eq!(listed["best"][field], job["best"][field], "{field}");
    }
    assert_eq!(listed["budget_used"], 0.016);
    assert_eq!(job["standing"]["budget_used"], 0.016);

    // A configuration can be posted as it is shown.
    let mut again = crate::job();
    again["baseline"] = job["best"]["configuration"].clone();
    again["start"] = json!([job["best"]["configuration"]]);
    app.api.submit(&again).await;
    app.end().await;
}

/// Every type of event, whose payload the client holds against the description.
#[tokio::test]
async fn events_of_every_type_are_shown() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let claim = claim(&app).await;
    let mut connection = app.pool.acquire().await.unwrap();
    let spec = jobs::find(&mut connection, claim.job)
        .await
        .unwrap()
        .unwrap()
        .spec;
    drop(connection);
    let settings = spec.settings(&spec.default_configuration()).unwrap();
    let (trial, spend) = (TrialNumber(1), spend());
    let over_budget = PruneReason::OverBudget { n: 4, instances: 1 };
    let detail = "the endpoint says no".to_owned();
    let bodies = [
        EventBody::TrialStarted {
            trial,
            role: TrialRole::Search,
            settings: settings.clone(),
        },
        EventBody::TrialProgress {
            trial,
            n: 1,
            instances: 1,
            of: 2,
            spend,
        },
        EventBody::TrialEvaluated {
            trial,
            utility: UTILITY,
            inference_cost: COST,
            violated: Vec::new(),
            valid: true,
            coverage: Some(COVERAGE),
            spend,
        },
        EventBody::TrialEvaluated {
            trial: TrialNumber(2),
            utility: UTILITY,
            inference_cost: COST,
            violated: vec!["latency_ms".to_owned()],
            valid: false,
            coverage: None,
            spend,
        },
        EventBody::BestUpdated {
            trial,
            settings,
            utility: UTILITY,
            inference_cost: COST,
            spend: Some(spend),
        },
        EventBody::JobProgress {
            phase: Phase::Search,
            progress: Progress::default(),
            spend,
            trials: vec![TrialAdvance {
                trial,
                responses: 3,
                of: 8,
            }],
        },
        EventBody::BudgetUpdated { spend },
        EventBody::TrialPruned {
            trial,
            reason: PruneReason::KnownInvalid,
            spend,
        },
        EventBody::TrialPruned {
            trial,
            reason: over_budget,
            spend,
        },
        EventBody::TrialInfeasible {
            trial,
            detail: detail.clone(),
            spend,
        },
        EventBody::TrialFailed {
            trial,
            detail,
            spend,
        },
        EventBody::TrialStopped { trial, spend },
        EventBody::ValidationCompleted {
            trial: None,
            extent: None,
            winner: UTILITY,
            baseline: None,
        },
        EventBody::ValidationCompleted {
            trial: None,
            extent: None,
            winner: UTILITY,
            baseline: Some(UTILITY),
        },
    ];
    append(&app, &path, &bodies).await;
    crate::finish(&app, claim, &crate::success(None)).await;
    let streamed = app.api.follow(&path, Some(2)).await;
    let events: Vec<_> = streamed.into_iter().map(|event| event.payload).collect();
    assert_eq!(app.api.all(&format!("{path}/events")).await[2..], events);
    let told: Vec<_> = events
        .iter()
        .map(|event| json!({"type": event["type"], "data": event["data"]}))
        .collect();
    insta::assert_json_snapshot!("events_of_every_type", told);
    app.end().await;
}
