use super::*;
use crate::limits::MINUTE;

const LIMITS: ScopeLimits = ScopeLimits {
    in_flight: Some(8),
    requests_per_minute: Some(60),
    tokens_per_minute: Some(1_000),
    is_adaptive: false,
};

fn wants(in_flight: u32, waiting: u32, tokens_each: u64) -> Report {
    Report {
        in_flight,
        waiting,
        jobs: 1,
        wanted: Amounts {
            requests: waiting.into(),
            tokens: tokens_each * u64::from(waiting),
        },
        head_tokens: tokens_each.min(tokens_each * u64::from(waiting)),
        ..Report::default()
    }
}

/// The report after all tickets of a grant were used at once.
fn used(report: Report, grant: &Grant) -> Report {
    Report {
        used: Amounts {
            requests: grant.requests.unwrap_or(0),
            tokens: grant.tokens.unwrap_or(0),
        },
        ..report
    }
}

#[test]
fn a_worker_alone_gets_what_it_wants_and_some_to_spare() {
    let mut scope = Scope::default();
    let grant = scope.exchange(0, "a", &LIMITS, &wants(0, 3, 10));
    assert_eq!(
        (grant.slots, grant.requests, grant.tokens),
        (Some(5), Some(3), Some(30))
    );
    assert!(!grant.is_short && !grant.is_shared);
}

#[test]
fn slots_are_divided_by_jobs_and_given_back_as_requests_end() {
    let mut scope = Scope::default();
    let alone = scope.exchange(0, "a", &LIMITS, &wants(0, 20, 1));
    assert_eq!(alone.slots, Some(8));
    let second = Report {
        jobs: 3,
        ..wants(0, 20, 1)
    };
    let none_yet = scope.exchange(1, "b", &LIMITS, &second);
    assert_eq!(none_yet.slots, Some(0));
    let fewer = scope.exchange(2, "a", &LIMITS, &wants(8, 12, 1));
    assert_eq!(fewer.slots, Some(2), "no further ones until six have ended");
    assert_eq!(scope.exchange(3, "b", &LIMITS, &second).slots, Some(0));
    scope.exchange(4, "a", &LIMITS, &wants(5, 12, 1));
    assert_eq!(scope.exchange(5, "b", &LIMITS, &second).slots, Some(3));
}

/// A worker that has ended all of a wave of so many.
fn between_waves(at_once: u32) -> Report {
    Report {
        at_once,
        expected: Amounts {
            requests: at_once.into(),
            tokens: 0,
        },
        ..wants(0, 0, 0)
    }
}

#[test]
fn between_two_waves_of_requests_a_worker_keeps_its_share_of_slots() {
    let mut scope = Scope::default();
    scope.exchange(0, "a", &LIMITS, &wants(0, 8, 1));
    scope.exchange(1, "b", &LIMITS, &wants(0, 8, 1));
    scope.exchange(2, "a", &LIMITS, &wants(4, 4, 1));
    let b = scope.exchange(3, "b", &LIMITS, &wants(0, 8, 1));
    assert_eq!(b.slots, Some(4));
    let a = scope.exchange(4, "a", &LIMITS, &between_waves(4));
    assert_eq!(a.slots, Some(4));
    let b = scope.exchange(5, "b", &LIMITS, &wants(4, 4, 1));
    assert_eq!(b.slots, Some(4));
    // No waves any more.
    scope.exchange(6, "a", &LIMITS, &between_waves(0));
    let b = scope.exchange(7, "b", &LIMITS, &wants(4, 4, 1));
    assert_eq!(b.slots, Some(8));
}

#[test]
fn a_slot_that_does_not_divide_is_for_those_that_have_use_for_it() {
    let limits = ScopeLimits {
        in_flight: Some(1),
        ..ScopeLimits::default()
    };
    let mut scope = Scope::default();
    scope.exchange(0, "a", &limits, &between_waves(1));
    let b = scope.exchange(1, "b", &limits, &wants(0, 3, 1));
    scope.exchange(2, "a", &limits, &between_waves(1));
    let b_again = scope.exchange(3, "b", &limits, &used(wants(0, 3, 1), &b));
    assert_eq!((b.slots, b_again.slots), (Some(0), Some(1)));
}

#[test]
fn one_slot_goes_round_the_workers() {
    let limits = ScopeLimits {
        in_flight: Some(1),
        ..ScopeLimits::default()
    };
    let mut scope = Scope::default();
    let sent = Report {
        used: Amounts {
            requests: 1,
            tokens: 0,
        },
        ..wants(1, 5, 0)
    };
    assert_eq!(
        scope.exchange(0, "a", &limits, &wants(0, 5, 0)).slots,
        Some(1)
    );
    assert_eq!(
        scope.exchange(10, "b", &limits, &wants(0, 5, 0)).slots,
        Some(0)
    );
    assert_eq!(scope.exchange(20, "a", &limits, &sent).slots, Some(0));
    assert_eq!(
        scope.exchange(30, "b", &limits, &wants(0, 5, 0)).slots,
        Some(0)
    );
    assert_eq!(
        scope.exchange(40, "a", &limits, &wants(0, 5, 0)).slots,
        Some(0)
    );
    assert_eq!(
        scope.exchange(50, "b", &limits, &wants(0, 5, 0)).slots,
        Some(1)
    );
    assert_eq!(scope.exchange(60, "b", &limits, &sent).slots, Some(0));
    scope.exchange(70, "b", &limits, &wants(0, 5, 0));
    assert_eq!(
        scope.exchange(80, "a", &limits, &wants(0, 5, 0)).slots,
        Some(1)
    );
}

#[test]
fn what_a_worker_that_vanished_holds_comes_back() {
    let mut scope = Scope::default();
    let grant = scope.exchange(0, "a", &LIMITS, &wants(0, 40, 1));
    assert_eq!((grant.slots, grant.requests), (Some(8), Some(40)));
    let blocked = scope.exchange(LEASE - 1, "b", &LIMITS, &wants(0, 40, 1));
    // As far as is known it still wants half of the rest.
    assert_eq!((blocked.slots, blocked.requests), (Some(0), Some(10)));
    let slots = scope.exchange(LEASE, "b", &LIMITS, &wants(0, 40, 1));
    assert_eq!(slots.slots, Some(8));
    // Its tickets may have been used until they ended, and count for a minute from then.
    let before = scope.exchange(TICKETS_LAST + MINUTE - 1, "b", &LIMITS, &wants(0, 40, 1));
    assert_eq!((before.requests, before.more_in), (Some(20), None));
    let after = scope.exchange(TICKETS_LAST + MINUTE, "b", &LIMITS, &wants(0, 40, 1));
    assert_eq!(after.requests, Some(40));
}

#[test]
fn a_minutes_allowance_is_there_again_a_minute_after_it_was_used() {
    let mut scope = Scope::default();
    let all = scope.exchange(0, "a", &LIMITS, &wants(0, 100, 1));
    assert_eq!(all.requests, Some(60));
    let report = used(wants(0, 40, 1), &all);
    let none = scope.exchange(
        1_000,
        "a",
        &LIMITS,
        &Report {
            used_ago: 900,
            ..report
        },
    );
    assert_eq!((none.requests, none.is_short), (Some(0), true));
    // Used at 100, which counts as 500.
    assert_eq!(none.more_in, Some(59_500));
    let again = scope.exchange(60_500, "a", &LIMITS, &wants(0, 40, 1));
    assert_eq!(again.requests, Some(40));
}

#[test]
fn tickets_are_kept_while_they_are_wanted_and_cost_nothing_unused() {
    let mut scope = Scope::default();
    scope.exchange(0, "a", &LIMITS, &wants(0, 60, 1));
    for now in [1_000, 2_000, 70_000] {
        let held = Report {
            held: Amounts {
                requests: 60,
                tokens: 60,
            },
            ..wants(0, 60, 1)
        };
        let kept = scope.exchange(now, "a", &LIMITS, &held);
        assert_eq!(kept.requests, Some(60));
    }
    let fewer = scope.exchange(70_100, "a", &LIMITS, &wants(0, 10, 1));
    assert_eq!(fewer.requests, Some(10));
    let other = scope.exchange(70_200, "b", &LIMITS, &wants(0, 50, 1));
    assert_eq!(other.requests, Some(50));
}

#[test]
fn a_large_request_is_saved_up_for_when_its_turn_has_come() {
    let limits = ScopeLimits {
        tokens_per_minute: Some(1_000),
        ..ScopeLimits::default()
    };
    let mut scope = Scope::default();
    scope.exchange(0, "large", &limits, &wants(0, 1, 700));
    let mut small_sent = 0;
    let mut held = 0;
    let mut large_sent_at = None;
    // Small requests take all of a minute's allowance before the large one asks again, and go on
    // asking for ever.
    for step in 1..=400 {
        let now = step * 500;
        let small = scope.exchange(now, "small", &limits, &wants(0, 4, 50));
        let small_used = Report {
            used: Amounts {
                requests: 4,
                tokens: small.tokens.unwrap(),
            },
            ..wants(0, 4, 50)
        };
        small_sent += small.tokens.unwrap();
        scope.exchange(now + 1, "small", &limits, &small_used);
        let report = Report {
            held: Amounts {
                requests: 0,
                tokens: held,
            },
            ..wants(0, 1, 700)
        };
        held = scope
            .exchange(now + 2, "large", &limits, &report)
            .tokens
            .unwrap();
        if held >= 700 {
            large_sent_at = Some(now);
            break;
        }
    }
    assert!(
        large_sent_at.is_some_and(|at| at <= 2 * MINUTE),
        "{large_sent_at:?}"
    );
    assert!(small_sent > 0);
}

#[test]
fn who_has_no_business_holds_nothing() {
    let mut scope = Scope::default();
    scope.exchange(0, "a", &LIMITS, &wants(0, 8, 1));
    let gone = scope.exchange(100, "a", &LIMITS, &Report::default());
    assert_eq!(gone, Grant::default());
    let all = scope.exchange(200, "b", &LIMITS, &wants(0, 60, 1));
    assert_eq!((all.slots, all.requests), (Some(8), Some(60)));
    assert!(!all.is_shared);
}

#[test]
fn a_state_survives_json_and_an_older_one_is_read() {
    let mut scope = Scope::default();
    scope.exchange(
        5,
        "a",
        &LIMITS,
        &used(
            wants(2, 3, 4),
            &Grant {
                requests: Some(2),
                ..Grant::default()
            },
        ),
    );
    let json = serde_json::to_value(&scope).unwrap();
    assert_eq!(serde_json::from_value::<Scope>(json).unwrap(), scope);
    assert_eq!(
        serde_json::from_str::<Scope>("{}").unwrap(),
        Scope::default()
    );
}

#[test]
fn an_adaptive_limit_is_shared_and_grows_within_the_operators() {
    let limits = ScopeLimits {
        in_flight: Some(64),
        is_adaptive: true,
        ..ScopeLimits::default()
    };
    let mut scope = Scope::default();
    let first = scope.exchange(0, "a", &limits, &wants(0, 100, 1));
    assert_eq!(first.slots, Some(8), "what is tried first");
    let none = scope.exchange(1, "b", &limits, &wants(0, 100, 1));
    assert_eq!(none.slots, Some(0));
    scope.exchange(2, "b", &limits, &Report::default());
    // Twenty answers a second under each of eight slots: more slots bring more.
    let mut slots = 8;
    for second in 1..30 {
        let answered = Report {
            answered: Amounts {
                requests: u64::from(slots) * 20,
                tokens: u64::from(slots) * 200,
            },
            ..wants(slots, 100, 1)
        };
        let grant = scope.exchange(second * 1_000, "a", &limits, &answered);
        slots = grant.slots.unwrap();
    }
    assert!((40..=64).contains(&slots), "{slots}");
}

#[test]
fn requests_are_in_flight_as_long_as_their_workers_lease_is_good() {
    let mut scope = Scope::default();
    scope.exchange(0, "a", &LIMITS, &wants(3, 0, 10));
    scope.exchange(4_000, "b", &LIMITS, &wants(2, 1, 10));
    assert_eq!(scope.in_flight(4_000), 5);
    assert_eq!(scope.in_flight(LEASE), 2);
    scope.exchange(LEASE, "b", &LIMITS, &Report::default());
    assert_eq!(scope.in_flight(LEASE), 0);
}
