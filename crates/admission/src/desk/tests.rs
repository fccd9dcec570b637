use super::*;
use frugal_domain::waits::Waited;
use uuid::Uuid;

fn job(number: u128) -> JobId {
    JobId(Uuid::from_u128(number))
}

fn desk(slots: u32) -> (Desk, Place) {
    let mut desk = Desk::new(ScopeLimits {
        in_flight: Some(slots),
        ..ScopeLimits::default()
    });
    let place = desk.place("m", ScopeLimits::default());
    (desk, place)
}

fn ask(desk: &mut Desk, job: JobId, place: Place) -> WaitId {
    desk.ask(attempt(job, place))
}

fn attempt(job: JobId, place: Place) -> Attempt {
    Attempt {
        job,
        place,
        tokens: 10,
        is_retry: false,
    }
}

/// An exchange that gives so many slots.
fn exchange(desk: &mut Desk, now: Millis, slots: u32) {
    let reports = desk.begin_exchange(now);
    let grants: Vec<_> = reports
        .into_iter()
        .map(|(model, limits, report)| {
            let grant = Grant {
                slots: limits.in_flight.map(|_| slots),
                requests: limits.requests_per_minute.map(u64::from),
                tokens: limits.tokens_per_minute,
                ..Grant::default()
            };
            (model, report, grant)
        })
        .collect();
    desk.end_exchange(now, now, &grants);
}

#[test]
fn jobs_come_in_turn_however_many_requests_each_has() {
    let (mut desk, place) = desk(100);
    for _ in 0..5 {
        ask(&mut desk, job(1), place);
    }
    for number in [2, 3] {
        ask(&mut desk, job(number), place);
        ask(&mut desk, job(number), place);
    }
    assert_eq!(desk.grant(0), [], "nothing is known yet");
    exchange(&mut desk, 0, 6);
    let jobs: Vec<_> = desk
        .grant(0)
        .iter()
        .map(|granted| granted.admitted.attempt.job)
        .collect();
    assert_eq!(jobs, [1, 2, 3, 1, 2, 3].map(job));
    exchange(&mut desk, 1, 100);
    assert_eq!(desk.grant(1).len(), 3);
}

#[test]
fn a_retry_goes_before_the_first_attempts_of_its_job() {
    let (mut desk, place) = desk(1);
    ask(&mut desk, job(1), place);
    let retry = desk.ask(Attempt {
        is_retry: true,
        ..attempt(job(1), place)
    });
    exchange(&mut desk, 0, 1);
    assert_eq!(desk.grant(0)[0].wait, retry);
}

#[test]
fn slots_end_with_their_lease_and_tickets_before_them() {
    let mut desk = Desk::new(ScopeLimits {
        in_flight: Some(4),
        requests_per_minute: Some(60),
        tokens_per_minute: None,
        is_adaptive: false,
    });
    let place = desk.place("m", ScopeLimits::default());
    for _ in 0..4 {
        ask(&mut desk, job(1), place);
    }
    exchange(&mut desk, 0, 1);
    let first = desk.grant(TICKETS_LAST - 1);
    assert_eq!(first.len(), 1);
    desk.ended(&first[0].admitted);
    assert_eq!(desk.grant(TICKETS_LAST), []);
    let (mut desk, place) = self::desk(4);
    ask(&mut desk, job(1), place);
    exchange(&mut desk, 0, 1);
    assert_eq!(desk.grant(LEASE), []);
    assert_eq!(desk.grant(LEASE - 1).len(), 1);
}

#[test]
fn nothing_is_granted_while_an_exchange_is_under_way_or_after_it_failed() {
    let (mut desk, place) = desk(4);
    ask(&mut desk, job(1), place);
    exchange(&mut desk, 0, 4);
    let reports = desk.begin_exchange(1);
    assert_eq!(desk.grant(1), []);
    desk.fail_exchange(1, &reports);
    assert_eq!(desk.grant(1), []);
    exchange(&mut desk, 2, 4);
    assert_eq!(desk.grant(2).len(), 1);
}

#[test]
fn a_model_that_is_full_does_not_hold_up_another() {
    let mut desk = Desk::new(ScopeLimits {
        in_flight: Some(10),
        ..ScopeLimits::default()
    });
    let narrow = desk.place(
        "narrow",
        ScopeLimits {
            in_flight: Some(1),
            ..ScopeLimits::default()
        },
    );
    let wide = desk.place("wide", ScopeLimits::default());
    for place in [narrow, narrow, wide, wide] {
        ask(&mut desk, job(1), place);
    }
    let reports = desk.begin_exchange(0);
    let grants: Vec<_> = reports
        .into_iter()
        .map(|(model, limits, report)| {
            let grant = Grant {
                slots: limits.in_flight,
                ..Grant::default()
            };
            (model, report, grant)
        })
        .collect();
    desk.end_exchange(0, 0, &grants);
    let places: Vec<_> = desk
        .grant(0)
        .iter()
        .map(|granted| granted.admitted.attempt.place)
        .collect();
    assert_eq!(places.iter().filter(|place| **place == narrow).count(), 1);
    assert_eq!(places.iter().filter(|place| **place == wide).count(), 2);
}

#[test]
fn exchanges_come_with_the_beat_and_end_with_the_work() {
    let (mut desk, place) = desk(4);
    assert_eq!(desk.exchange_due(), None);
    ask(&mut desk, job(1), place);
    assert!(desk.exchange_due().is_some_and(|due| due < 0));
    exchange(&mut desk, 0, 4);
    let granted = desk.grant(0);
    for now in [BEAT, 2 * BEAT] {
        assert_eq!(
            desk.exchange_due(),
            Some(now),
            "no exchange for each request"
        );
        ask(&mut desk, job(1), place);
        assert_eq!(desk.grant(now - 1).len(), 1);
        desk.ended(&granted[0].admitted);
        exchange(&mut desk, now, 4);
    }
    desk.ended(&granted[0].admitted);
    assert!(desk.is_idle());
    let mut exchanges = 0;
    while let Some(due) = desk.exchange_due() {
        exchange(&mut desk, due, 4);
        exchanges += 1;
    }
    assert!(exchanges <= 3, "{exchanges}");
}

#[test]
fn a_withdrawn_request_is_not_granted() {
    let (mut desk, place) = desk(4);
    let wait = ask(&mut desk, job(1), place);
    desk.withdraw(&attempt(job(1), place), wait);
    exchange(&mut desk, 0, 4);
    assert_eq!(desk.grant(0), []);
    assert!(desk.is_idle());
}

/// Exchanges with a scope that all share, like a worker alone does.
struct Alone {
    desk: Desk,
    place: Place,
    scopes: BTreeMap<String, crate::scope::Scope>,
    now: Millis,
}

impl Alone {
    fn new() -> Self {
        let (desk, place) = desk(4);
        Self {
            desk,
            place,
            scopes: BTreeMap::new(),
            now: 0,
        }
    }

    /// Moves the clock to a moment and makes what exchanges are due until then.
    fn until(&mut self, moment: Millis) -> Vec<Granted> {
        let mut granted = self.desk.grant(self.now);
        while let Some(due) = self.desk.exchange_due()
            && due <= moment
        {
            self.now = self.now.max(due);
            let reports = self.desk.begin_exchange(self.now);
            let grants: Vec<_> = reports
                .into_iter()
                .map(|(model, limits, report)| {
                    let scope = self.scopes.entry(model.clone()).or_default();
                    let grant = scope.exchange(self.now, "a", &limits, &report);
                    (model, report, grant)
                })
                .collect();
            self.desk.end_exchange(self.now, self.now, &grants);
            granted.extend(self.desk.grant(self.now));
        }
        self.now = moment;
        granted.extend(self.desk.grant(self.now));
        granted
    }

    fn end(&mut self, granted: &Granted, outcome: Outcome<'_>) -> bool {
        let mut seen = 0;
        let blames_endpoint = self
            .desk
            .learn(self.now, &granted.admitted, outcome, &mut seen);
        self.desk.ended(&granted.admitted);
        blames_endpoint
    }
}

#[test]
fn a_wait_that_the_endpoint_asks_for_is_waited_by_all() {
    let mut alone = Alone::new();
    for number in 1..4 {
        ask(&mut alone.desk, job(number), alone.place);
    }
    let granted = alone.until(0);
    assert_eq!(granted.len(), 3);
    assert!(alone.end(&granted[0], Outcome::RateLimited(Some(20_000))));
    ask(&mut alone.desk, job(1), alone.place);
    assert_eq!(alone.until(19_999), []);
    assert_eq!(alone.until(20_100).len(), 1);
}

#[test]
fn a_refusal_without_a_wait_slows_down_and_is_the_endpoints_while_it_serves_nobody() {
    let mut alone = Alone::new();
    for _ in 0..40 {
        ask(&mut alone.desk, job(1), alone.place);
    }
    let granted = alone.until(0);
    assert_eq!(granted.len(), 4);
    assert!(
        granted
            .iter()
            .all(|one| alone.end(one, Outcome::RateLimited(None)))
    );
    // It goes on refusing, and is asked once or twice a second, in spans of five seconds.
    let mut sent = [0; 6];
    for (round, sent) in sent.iter_mut().enumerate() {
        let outcome = match round {
            0..3 => Outcome::RateLimited(None),
            _ => Outcome::Working(10),
        };
        for step in 1..=20 {
            let moment = Millis::try_from(round * 20 + step).unwrap() * 250;
            for one in alone.until(moment) {
                alone.end(&one, outcome);
                ask(&mut alone.desk, job(1), alone.place);
                *sent += 1;
            }
        }
    }
    assert!(sent.iter().all(|sent| (4..=12).contains(sent)), "{sent:?}");
    ask(&mut alone.desk, job(1), alone.place);
    let one = alone.until(60_000).remove(0);
    assert!(
        !alone.end(&one, Outcome::RateLimited(None)),
        "others were served in the meantime"
    );
}

#[test]
fn an_outage_is_probed_by_one_request_and_is_over_with_its_answer() {
    let mut alone = Alone::new();
    for _ in 0..30 {
        ask(&mut alone.desk, job(1), alone.place);
    }
    let mut failed = 0;
    let mut blamed = Vec::new();
    for granted in alone.until(0) {
        blamed.push(alone.end(&granted, Outcome::Unavailable("down")));
        failed += 1;
    }
    while blamed.last() == Some(&false) {
        for granted in alone.until(alone.now) {
            blamed.push(alone.end(&granted, Outcome::Unavailable("down")));
            failed += 1;
        }
    }
    assert!((TRIP..TRIP + 4).contains(&failed));
    assert_eq!(
        u32::try_from(blamed.iter().filter(|is_endpoints| !**is_endpoints).count()).unwrap(),
        TRIP - 1
    );
    let probes = alone.until(900);
    assert_eq!(probes, []);
    let probes = alone.until(1_500);
    assert_eq!(probes.len(), 1);
    assert!(alone.end(&probes[0], Outcome::Unavailable("down")));
    let since = alone.now;
    assert_eq!(alone.until(since + 1_900), []);
    let probes = alone.until(since + 2_600);
    assert_eq!(probes.len(), 1);
    assert_eq!(alone.until(since + 20_000), [], "one at a time");
    alone.end(&probes[0], Outcome::Working(10));
    assert_eq!(alone.until(since + 20_100).len(), 4, "all at once again");
}

#[test]
fn a_request_that_breaks_the_endpoint_down_is_blamed_in_the_end() {
    let mut alone = Alone::new();
    ask(&mut alone.desk, job(1), alone.place);
    let first = alone.until(0).remove(0);
    alone.end(&first, Outcome::Working(10));
    ask(&mut alone.desk, job(1), alone.place);
    let mut blamed = Vec::new();
    let mut moment = 0;
    while moment < 2 * PATIENCE {
        for granted in alone.until(moment) {
            let is_endpoints = alone.end(&granted, Outcome::BrokenDown("crash"));
            blamed.push((moment, is_endpoints));
            ask(&mut alone.desk, job(1), alone.place);
        }
        moment += 100;
    }
    let late = blamed
        .iter()
        .filter(|(at, _)| *at > 1_000 && *at < PATIENCE);
    assert!(late.clone().count() > 10 && late.clone().all(|(_, is_endpoints)| *is_endpoints));
    let last = blamed.iter().filter(|(at, _)| *at > PATIENCE + 2_000);
    assert!(last.clone().count() > 10 && last.clone().all(|(_, is_endpoints)| !is_endpoints));
}

#[test]
fn what_never_worked_and_breaks_down_is_no_outage() {
    let mut alone = Alone::new();
    for _ in 0..30 {
        ask(&mut alone.desk, job(1), alone.place);
    }
    let mut sent = 0;
    while sent < 30 {
        for granted in alone.until(alone.now) {
            assert!(!alone.end(&granted, Outcome::BrokenDown("cut")));
            sent += 1;
        }
    }
    assert!(alone.now < MINUTE);
}

#[test]
fn what_is_not_there_is_waited_for_and_then_let_through_to_fail() {
    for (has_worked, longest) in [(false, MINUTE), (true, 60 * MINUTE)] {
        let mut alone = Alone::new();
        ask(&mut alone.desk, job(1), alone.place);
        if has_worked {
            let first = alone.until(0).remove(0);
            alone.end(&first, Outcome::Working(10));
            ask(&mut alone.desk, job(1), alone.place);
        }
        let mut blamed = Vec::new();
        while alone.now < longest + MINUTE {
            for granted in alone.until(alone.now + 500) {
                blamed.push((alone.now, alone.end(&granted, Outcome::Unavailable("gone"))));
                ask(&mut alone.desk, job(1), alone.place);
            }
        }
        let is_counted = |from: Millis, to: Millis| {
            let within = blamed.iter().filter(|(at, _)| (from..to).contains(at));
            within
                .map(|(_, is_endpoints)| !is_endpoints)
                .collect::<Vec<_>>()
        };
        let during = is_counted(10_000, longest);
        assert!(!during.contains(&true) && during.len() <= 200, "{during:?}");
        let after = is_counted(longest + 5_000, longest + MINUTE);
        assert!(!after.contains(&false) && after.len() >= 50, "{after:?}");
    }
}

#[test]
fn waits_are_counted_by_what_they_are_for() {
    let (mut desk, place) = desk(2);
    for _ in 0..3 {
        ask(&mut desk, job(1), place);
    }
    assert_eq!(desk.grant(0), []);
    exchange(&mut desk, 200, 2);
    let granted = desk.grant(200);
    assert_eq!(granted.len(), 2);
    // One that goes first and one that gives up: each counts while it waits.
    desk.ask(Attempt {
        is_retry: true,
        ..attempt(job(1), place)
    });
    let impatient = ask(&mut desk, job(1), place);
    assert_eq!(desk.grant(300), []);
    desk.withdraw(&attempt(job(1), place), impatient);
    desk.count_waits(400);
    for one in &granted {
        desk.ended(&one.admitted);
    }
    assert_eq!(desk.grant(700).len(), 2);
    let waited = |waits, waited_ms| Waited { waits, waited_ms };
    let expected = Waits::from([
        (WaitCause::Exchange, waited(3, 600)),
        // One from 200 to 700, one from 300 to 700, one from 300 to 400.
        (WaitCause::RequestsInFlight, waited(3, 1_000)),
    ]);
    assert_eq!(desk.take_waits(9_000), [("m".to_owned(), expected)]);
    assert_eq!(desk.take_waits(9_000), []);
}

#[test]
fn what_was_in_flight_at_once_is_told_until_the_exchange_after_the_next() {
    let (mut desk, place) = desk(8);
    for _ in 0..6 {
        ask(&mut desk, job(1), place);
    }
    exchange(&mut desk, 0, 4);
    for granted in desk.grant(0) {
        desk.ended(&granted.admitted);
    }
    let told = [1, 2, 3].map(|now| {
        let told = desk.report(now, 0).at_once;
        exchange(&mut desk, now, 0);
        told
    });
    assert_eq!(told, [4, 4, 0]);
}
