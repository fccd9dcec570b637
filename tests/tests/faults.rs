//! Short forms of what breaks everything; programs of this crate run longer ones (`faults`, `breaks`,
//! `blackbox`, `soak`).

use frugal_tests::blackbox;
use frugal_tests::breakpoints;
use frugal_tests::campaign::{self, Plan};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_paid_for_twice_when_things_break() {
    let plan = Plan {
        seed: 7,
        kills: 3,
        crashes: 1,
        workers: 2,
        jobs_at_once: 2,
        faults: 0.1,
        lease_seconds: 2,
    };
    let outcome = campaign::run(plan).await;
    assert!(outcome.violations.is_empty(), "{plan:?}\n{outcome}");
    assert_eq!((outcome.kills, outcome.crashes), (3, 1));
    assert!(outcome.faults > 0 && outcome.trials > 0, "{outcome}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_may_break_anywhere() {
    let plan = breakpoints::Plan {
        seed: 812_459,
        count: Some(8),
        at_once: 3,
    };
    let outcome = breakpoints::run(plan).await;
    assert!(outcome.violations.is_empty(), "{plan:?}\n{outcome}");
    assert!(outcome.places > 200 && outcome.trials > 0, "{outcome}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_contradicts_what_a_job_may_be() {
    let plan = blackbox::Plan {
        seed: 11,
        steps: 250,
        clients: 4,
        kills: 3,
        cut_one_in: Some(150),
    };
    let outcome = blackbox::run(plan).await;
    assert!(outcome.violations.is_empty(), "{plan:?}\n{outcome}");
    assert!(
        outcome.steps() >= 250 && outcome.servers_killed == 1,
        "{outcome}"
    );
}
