//! What the endpoint itself says, or fails to: waits, refusals, outages.

use crate::world::World;
use frugal_simulator::{Fault, Faults, SimulatorOptions};
use serde_json::json;

#[tokio::test]
async fn a_wait_that_one_worker_was_asked_for_is_waited_by_the_other() {
    let options = SimulatorOptions {
        faults: Faults::script([(1, Fault::rate_limited(Some("30")))]),
        ..SimulatorOptions::default()
    };
    let world = World::new(json!({}), options).await;
    let (first, second) = (world.worker(), world.worker());
    let both = [&first, &second];
    let refused = world.send(&first, 1, 0);
    world.pass(250, &both).await;
    assert_eq!(world.admitted(), 1);
    let sending: Vec<_> = (0..4).map(|row| world.send(&second, 2, row)).collect();
    world.pass(29_000, &both).await;
    assert_eq!(world.admitted(), 1, "nobody sends before");
    world.pass(60_000, &both).await;
    refused.await.unwrap().unwrap();
    for request in sending {
        request.await.unwrap().unwrap();
    }
    assert_eq!(world.admitted(), 6);
    first.stop().await;
    second.stop().await;
    world.end().await;
}

#[tokio::test]
async fn refusals_slow_all_workers_down_and_no_request_fails_for_them() {
    // Of a burst, all is refused.
    let options = SimulatorOptions {
        faults: Faults::script((1..=16).map(|k| (k, Fault::rate_limited(None)))),
        ..SimulatorOptions::default()
    };
    let world = World::new(json!({"requests_in_flight": 8}), options).await;
    let (first, second) = (world.worker(), world.worker());
    let both = [&first, &second];
    let mut sending = Vec::new();
    for row in 0..10 {
        sending.push(world.send(&first, 1, row));
        sending.push(world.send(&second, 2, row));
    }
    world.pass(2_000, &both).await;
    let soon = world.admitted();
    world.pass(10_000, &both).await;
    let later = world.admitted() - soon;
    assert!(
        later <= soon,
        "{soon} at first, {later} in the ten seconds after"
    );
    world.pass(300_000, &both).await;
    for request in sending {
        request.await.unwrap().unwrap();
    }
    assert_eq!(world.admitted(), 36);
    first.stop().await;
    second.stop().await;
    world.end().await;
}

#[tokio::test]
async fn an_outage_is_waited_out_by_all_and_costs_no_request_its_attempts() {
    // 25 attempts fail, however they are spread.
    let options = SimulatorOptions {
        faults: Faults::script((1..=25).map(|k| (k, Fault::unavailable()))),
        ..SimulatorOptions::default()
    };
    // The attempts of one request would not do.
    let limits = json!({"requests_in_flight": 8, "max_attempts": 6});
    let world = World::new(limits, options).await;
    let (first, second) = (world.worker(), world.worker());
    let both = [&first, &second];
    let mut sending = Vec::new();
    for row in 0..8 {
        sending.push(world.send(&first, 1, row));
        sending.push(world.send(&second, 2, row));
    }
    world.pass(2_000, &both).await;
    let at_first = world.admitted();
    assert!(at_first < 25, "{at_first}");
    world.pass(25_000, &both).await;
    let probes = world.admitted() - at_first;
    assert!((2..=5).contains(&probes), "{probes} probes in 25 seconds");
    world.pass(900_000, &both).await;
    for request in sending {
        request.await.unwrap().unwrap();
    }
    assert_eq!(world.admitted(), 25 + 16);
    first.stop().await;
    second.stop().await;
    world.end().await;
}
