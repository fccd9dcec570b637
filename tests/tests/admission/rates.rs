//! Rates per minute, on a clock of the test's own.

use crate::world::World;
use frugal_simulator::SimulatorOptions;
use serde_json::json;

#[tokio::test]
async fn two_workers_send_sixty_a_minute_between_them() {
    let limits = json!({"requests_in_flight": 8, "requests_per_minute": 60});
    let world = World::new(limits, SimulatorOptions::default()).await;
    let (first, second) = (world.worker(), world.worker());
    let both = [&first, &second];
    let mut sending = Vec::new();
    for row in 0..75 {
        sending.push(world.send(&first, 1, row));
        sending.push(world.send(&second, 2, row));
    }
    world.settle(&both).await;
    world.pass(59_000, &both).await;
    assert_eq!(world.admitted(), 60, "a minute's allowance, and not twice");
    world.pass(60_000, &both).await;
    assert_eq!(world.admitted(), 120);
    world.pass(62_000, &both).await;
    for request in sending {
        request.await.unwrap().unwrap();
    }
    assert_eq!(world.admitted(), 150);
    assert_eq!(world.busiest_minute(), 60);
    assert_eq!(world.simulator.gate().progress().arrived, 150);
    first.stop().await;
    second.stop().await;
    world.end().await;
}

#[tokio::test]
async fn tickets_of_a_worker_that_crashed_count_until_they_would_have_been_used() {
    let limits = json!({"requests_in_flight": 8, "requests_per_minute": 60});
    let world = World::new(limits, SimulatorOptions::default()).await;
    let first = world.worker();
    let mut sending = Vec::new();
    for row in 0..20 {
        sending.push(world.send(&first, 1, row));
    }
    world.pass(1_000, &[&first]).await;
    for request in sending {
        request.await.unwrap().unwrap();
    }
    // What it holds for requests to come is used by nobody, but nobody knows that.
    first.kill().await;
    let second = world.worker();
    let sending: Vec<_> = (0..80).map(|row| world.send(&second, 2, row)).collect();
    world.settle(&[&second]).await;
    world.pass(30_000, &[&second]).await;
    let soon = world.admitted();
    assert!((20..60).contains(&soon), "{soon}");
    world.pass(120_000, &[&second]).await;
    for request in sending {
        request.await.unwrap().unwrap();
    }
    assert_eq!(world.admitted(), 100);
    assert!(world.busiest_minute() <= 60);
    second.stop().await;
    world.end().await;
}

#[tokio::test]
async fn tokens_are_counted_as_they_are_asked_for() {
    let limits = json!({"requests_in_flight": 8, "tokens_per_minute": 1_000});
    let world = World::new(limits, SimulatorOptions::default()).await;
    let (first, second) = (world.worker(), world.worker());
    let both = [&first, &second];
    let mut sending = Vec::new();
    for row in 0..8 {
        sending.push(world.send(&first, 1, row));
        sending.push(world.send(&second, 2, row));
    }
    world.settle(&both).await;
    world.pass(50_000, &both).await;
    assert_eq!(world.admitted(), 10, "a hundred tokens each");
    world.pass(30_000, &both).await;
    for request in sending {
        request.await.unwrap().unwrap();
    }
    first.stop().await;
    second.stop().await;
    world.end().await;
}
