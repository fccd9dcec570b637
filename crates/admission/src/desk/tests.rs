use super::*;
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
        .map(|granted| granted.attempt.job)
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
    });
    let place = desk.place("m", ScopeLimits::default());
    for _ in 0..4 {
        ask(&mut desk, job(1), place);
    }
    exchange(&mut desk, 0, 1);
    let first = desk.grant(TICKETS_LAST - 1);
    assert_eq!(first.len(), 1);
    desk.ended(&first[0].attempt);
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
    desk.begin_exchange(1);
    assert_eq!(desk.grant(1), []);
    desk.fail_exchange(1);
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
        .map(|granted| granted.attempt.place)
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
        desk.ended(&granted[0].attempt);
        exchange(&mut desk, now, 4);
    }
    desk.ended(&granted[0].attempt);
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
