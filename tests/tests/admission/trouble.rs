//! What the endpoint itself says, or fails to: waits, refusals, outages.

use crate::world::World;
use frugal_domain::event::{EventBody, WaitReason};
use frugal_simulator::{Fault, Faults, SimulatorOptions};
use frugal_worker::Hearing;
use futures::FutureExt;
use serde_json::json;

/// What a job was told so far.
fn told(hearing: &mut Hearing<'_>) -> Vec<EventBody> {
    std::iter::from_fn(|| hearing.next().now_or_never()).collect()
}

#[tokio::test]
async fn a_wait_that_one_worker_was_asked_for_is_waited_by_the_other() {
    let options = SimulatorOptions {
        faults: Faults::script([(1, Fault::rate_limited(Some("30")))]),
        ..SimulatorOptions::default()
    };
    let world = World::new(json!({}), options).await;
    let (first, second) = (world.worker(), world.worker());
    let both = [&first, &second];
    let (mut heard, mut other) = (second.listen(2), second.listen(3));
    let refused = world.send(&first, 1, 0);
    // It is refused in the first step, and in the second one the other worker can hear of it.
    world.pass(500, &both).await;
    assert_eq!(world.admitted(), 1);
    let sending: Vec<_> = (0..4).map(|row| world.send(&second, 2, row)).collect();
    world.pass(29_000, &both).await;
    assert_eq!(world.admitted(), 1, "nobody sends before");
    let events = told(&mut heard);
    let [EventBody::EndpointWaiting { reason, until, .. }] = events.as_slice() else {
        unreachable!("one event for all requests and all of the wait: {events:?}");
    };
    assert_eq!(*reason, WaitReason::RetryAfter);
    assert!(until.is_some());
    assert_eq!(told(&mut other), [], "it waits for nothing");
    drop((heard, other));
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
    let (mut first_heard, mut second_heard) = (first.listen(1), second.listen(2));
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
    for heard in [&mut first_heard, &mut second_heard] {
        let names: Vec<_> = told(heard).iter().map(EventBody::name).collect();
        assert_eq!(names, ["endpoint.degraded", "endpoint.recovered"]);
    }
    drop((first_heard, second_heard));
    first.stop().await;
    second.stop().await;
    world.end().await;
}
