//! The short form of the campaign of faults; `cargo run -p frugal-tests --bin faults` runs longer ones.

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
    };
    let outcome = campaign::run(plan).await;
    assert!(outcome.violations.is_empty(), "{plan:?}\n{outcome}");
    assert_eq!((outcome.kills, outcome.crashes), (3, 1));
    assert!(outcome.faults > 0 && outcome.trials > 0, "{outcome}");
}
