//! Several workers with desks of their own and one shared state: whatever comes and goes, they keep
//! the limits together, and use what these allow.

use frugal_admission::{Admitted, Desk, MINUTE, Millis, Place, Scope, ScopeLimits};
use frugal_domain::id::JobId;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A worker process on a clock that is some way off the database's.
struct Worker {
    name: String,
    desk: Desk,
    place: Place,
    /// Its clock less the database's.
    ahead: Millis,
    in_flight: Vec<(Admitted, Millis)>,
    is_alive: bool,
}

struct World {
    limits: ScopeLimits,
    scopes: BTreeMap<String, Scope>,
    workers: Vec<Worker>,
    /// What was sent: when, by which worker, tokens.
    sent: Vec<(Millis, usize, u64)>,
    random: ChaCha8Rng,
    exchanges: usize,
}

impl World {
    fn new(limits: ScopeLimits, workers: usize, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let workers = (0..workers).map(|number| {
            let mut desk = Desk::new(limits);
            let place = desk.place("m", ScopeLimits::default());
            Worker {
                name: format!("worker-{number}"),
                desk,
                place,
                ahead: random.random_range(-1_000_000..1_000_000),
                in_flight: Vec::new(),
                is_alive: true,
            }
        });
        let workers = workers.collect();
        Self {
            limits,
            scopes: BTreeMap::new(),
            workers,
            sent: Vec::new(),
            random,
            exchanges: 0,
        }
    }

    fn ask(&mut self, worker: usize, job: u128, tokens: u64) {
        let worker = &mut self.workers[worker];
        worker.desk.ask(frugal_admission::Attempt {
            job: JobId(Uuid::from_u128(job)),
            place: worker.place,
            tokens,
            is_retry: false,
        });
    }

    /// One moment: requests end, what may be sent is sent, exchanges that are due are made.
    fn step(&mut self, now: Millis, latency: Millis) {
        for at in 0..self.workers.len() {
            let worker = &mut self.workers[at];
            let ended: Vec<_> = worker
                .in_flight
                .extract_if(.., |(_, until)| *until <= now)
                .collect();
            for (admitted, _) in ended {
                worker.desk.ended(&admitted);
            }
            if !worker.is_alive {
                continue;
            }
            self.send(now, at, latency);
            if self.exchange(now, at) {
                self.send(now, at, latency);
            }
        }
    }

    fn exchange(&mut self, now: Millis, at: usize) -> bool {
        let worker = &mut self.workers[at];
        let own = now + worker.ahead;
        if worker.desk.exchange_due().is_none_or(|due| due > own) {
            return false;
        }
        self.exchanges += 1;
        let mut grants = Vec::new();
        for (model, limits, report) in worker.desk.begin_exchange(own) {
            let scope = self.scopes.entry(model.clone()).or_default();
            let grant = scope.exchange(now, &worker.name, &limits, &report);
            grants.push((model, report, grant));
        }
        worker.desk.end_exchange(own, own, &grants);
        true
    }

    fn send(&mut self, now: Millis, at: usize, latency: Millis) {
        let worker = &mut self.workers[at];
        for granted in worker.desk.grant(now + worker.ahead) {
            let tokens = self.limits.charge(granted.admitted.attempt.tokens);
            self.sent.push((now, at, tokens));
            let took = self.random.random_range(latency / 2..=latency * 3 / 2);
            worker.in_flight.push((granted.admitted, now + took));
        }
    }

    fn in_flight(&self) -> usize {
        self.workers
            .iter()
            .map(|worker| worker.in_flight.len())
            .sum()
    }

    /// The most requests and tokens that were sent within any minute.
    fn busiest_minute(&self) -> (u64, u64) {
        let mut busiest = (0, 0);
        for (at, (from, _, _)) in self.sent.iter().enumerate() {
            let within = self.sent[at..]
                .iter()
                .take_while(|(when, _, _)| *when < from + MINUTE);
            let (mut requests, mut tokens) = (0, 0);
            for (_, _, of_one) in within {
                requests += 1;
                tokens += of_one;
            }
            busiest = (busiest.0.max(requests), busiest.1.max(tokens));
        }
        busiest
    }
}

#[test]
fn two_workers_with_sixty_a_minute_between_them_send_sixty() {
    let limits = ScopeLimits {
        in_flight: Some(64),
        requests_per_minute: Some(60),
        tokens_per_minute: None,
        is_adaptive: false,
    };
    let mut world = World::new(limits, 2, 1);
    for _ in 0..400 {
        world.ask(0, 1, 100);
        world.ask(1, 2, 100);
    }
    for now in (0..5 * MINUTE).step_by(20) {
        world.step(now, 800);
    }
    assert_eq!(world.busiest_minute().0, 60);
    // Five minutes' worth but for what exchanges cost.
    assert!(world.sent.len() >= 290, "{}", world.sent.len());
    let of_first = world
        .sent
        .iter()
        .filter(|(_, worker, _)| *worker == 0)
        .count();
    let share = of_first * 100 / world.sent.len();
    assert!((40..=60).contains(&share), "{share} %");
}

#[test]
fn slots_are_shared_by_how_many_jobs_each_worker_has() {
    let limits = ScopeLimits {
        in_flight: Some(12),
        ..ScopeLimits::default()
    };
    let mut world = World::new(limits, 2, 2);
    for number in 0..3_000 {
        world.ask(0, 1, 1);
        world.ask(1, 10 + number % 3, 1);
    }
    for now in (0..MINUTE).step_by(10) {
        world.step(now, 500);
        assert!(world.in_flight() <= 12);
    }
    // Twelve slots, half a second each: 1440 in a minute.
    assert!(world.sent.len() > 1_300, "{}", world.sent.len());
    let of_first = world
        .sent
        .iter()
        .filter(|(_, worker, _)| *worker == 0)
        .count();
    let share = of_first * 100 / world.sent.len();
    assert!(
        (20..=32).contains(&share),
        "{share} % for a quarter of the jobs"
    );
}

#[test]
fn a_worker_alone_makes_an_exchange_a_second_however_much_it_sends() {
    let limits = ScopeLimits {
        in_flight: Some(32),
        requests_per_minute: Some(100_000),
        tokens_per_minute: Some(100_000_000),
        is_adaptive: false,
    };
    let mut world = World::new(limits, 1, 3);
    for now in (0..MINUTE).step_by(10) {
        world.ask(0, 1, 50);
        world.step(now, 60);
    }
    assert!(world.sent.len() > 5_900);
    assert!(world.exchanges < 80, "{} exchanges", world.exchanges);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_limits_hold_whatever_comes_and_goes(
        seed: u64,
        count in 1_usize..5,
        in_flight in 1_u32..20,
        requests in 1_u32..120,
        tokens in 50_u64..5_000,
    ) {
        let limits = ScopeLimits {
            in_flight: Some(in_flight),
            requests_per_minute: Some(requests),
            tokens_per_minute: Some(tokens),
            is_adaptive: false,
        };
        let mut world = World::new(limits, count, seed);
        let mut choose = ChaCha8Rng::seed_from_u64(seed ^ 1);
        let mut now = 0;
        while now < 3 * MINUTE {
            now += choose.random_range(1..500);
            for worker in 0..count {
                if choose.random_bool(0.4) {
                    let job = choose.random_range(0..3);
                    let tokens = choose.random_range(1..tokens);
                    world.ask(worker, job + 10 * worker as u128, tokens);
                }
            }
            // One of several dies at last, with what it holds.
            if count > 1 && choose.random_bool(0.002) {
                world.workers[0].is_alive = false;
            }
            world.step(now, 1_000);
            let alive: usize = world.workers.iter().filter(|worker| worker.is_alive).map(|worker| worker.in_flight.len()).sum();
            prop_assert!(alive <= in_flight as usize);
        }
        let (most_requests, most_tokens) = world.busiest_minute();
        prop_assert!(most_requests <= requests.into());
        prop_assert!(most_tokens <= tokens);
        prop_assert!(!world.sent.is_empty());
    }

    #[test]
    fn every_request_is_sent_in_the_end(seed: u64, count in 1_usize..4) {
        let limits = ScopeLimits {
            in_flight: Some(3),
            requests_per_minute: Some(30),
            tokens_per_minute: Some(2_000),
            is_adaptive: false,
        };
        let mut world = World::new(limits, count, seed);
        let mut choose = ChaCha8Rng::seed_from_u64(seed);
        let asked = 40 * count;
        for number in 0..asked {
            let tokens = if choose.random_bool(0.1) { 1_500 } else { choose.random_range(1..60) };
            world.ask(number % count, number as u128 % 7, tokens);
        }
        let mut now = 0;
        while world.sent.len() < asked && now < 60 * MINUTE {
            now += 100;
            world.step(now, 700);
        }
        prop_assert_eq!(world.sent.len(), asked);
    }
}
