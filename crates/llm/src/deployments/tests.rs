//! Who is asked when, on a clock of the tests' own.

use super::*;
use frugal_domain::endpoint::{Deployment as Entry, Endpoint};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn three() -> Deployments {
    let further = |name: &str| Entry {
        name: name.to_owned(),
        api_key_env: Some(name.to_uppercase()),
        ..Entry::default()
    };
    let endpoint = Endpoint {
        base_url: "http://127.0.0.1:1/v1".to_owned(),
        allow_unlisted_models: true,
        deployments: vec![further("two"), further("three")],
        ..Endpoint::default()
    };
    Deployments::new("local", &endpoint, &Secrets::default()).unwrap()
}

/// The places that so many requests go to, one after the other.
fn asked(all: &Deployments, requests: usize, now: Instant) -> Vec<usize> {
    let place = |_| all.choose("small", None, now).place;
    (0..requests).map(place).collect()
}

#[test]
fn requests_go_round_and_to_those_with_less_to_do() {
    let (all, now) = (three(), Instant::now());
    assert_eq!(asked(&all, 4, now), [0, 1, 2, 0]);
    let busy = all.choose("small", None, now);
    assert_eq!(busy.place, 1);
    assert_eq!(asked(&all, 4, now), [2, 0, 2, 2]);
    drop(busy);
    let places = asked(&all, 6, now);
    assert!((0..3).all(|place| places.contains(&place)), "{places:?}");
}

#[test]
fn what_failed_is_tried_elsewhere() {
    let (all, now) = (three(), Instant::now());
    for _ in 0..6 {
        assert_ne!(all.choose("small", Some(1), now).place, 1);
    }
}

#[test]
fn one_that_is_limited_rests_for_its_model_as_long_as_it_asks() {
    let (all, now) = (three(), Instant::now());
    let heard = Heard::Limited(Some(30 * SECOND));
    assert_eq!(all.hear(1, "small", heard, now), Next::Elsewhere);
    assert!(!asked(&all, 6, now + 29 * SECOND).contains(&1));
    assert!(asked(&all, 6, now + 30 * SECOND).contains(&1));
    let place = |_| all.choose("large", None, now).place;
    assert!((0..6).map(place).any(|place| place == 1));
    // Once all of them rest, the first that comes back is what there is to wait for.
    let longer = Heard::Limited(Some(60 * SECOND));
    assert_eq!(all.hear(0, "small", longer, now), Next::Elsewhere);
    let longest = Heard::Limited(Some(90 * SECOND));
    let next = all.hear(2, "small", longest, now + 10 * SECOND);
    assert_eq!(next, Next::After(20 * SECOND));
    assert_eq!(asked(&all, 2, now + 10 * SECOND), [1, 1]);
}

#[test]
fn rests_grow_with_faults_in_a_row_and_end_with_an_answer() {
    let (all, now) = (three(), Instant::now());
    let rests = |from: Instant| {
        let rests = |seconds: &u32| !asked(&all, 3, from + SECOND * *seconds).contains(&1);
        (0..100).take_while(rests).count()
    };
    // Many that were under way together tell of one fault.
    for _ in 0..10 {
        all.hear(1, "small", Heard::Away, now);
    }
    assert_eq!(rests(now), 5);
    let mut later = now;
    for seconds in [10, 20, 40, 60, 60] {
        later += 100 * SECOND;
        all.hear(1, "small", Heard::Away, later);
        assert_eq!(rests(later), seconds);
    }
    all.hear(1, "small", Heard::Working, later);
    assert_eq!(rests(later), 0);
}

#[test]
fn one_break_down_is_no_absence_and_three_are() {
    let (all, now) = (three(), Instant::now());
    for _ in 0..2 {
        assert_eq!(all.hear(1, "small", Heard::BrokenDown, now), Next::Nowhere);
    }
    assert!(asked(&all, 3, now).contains(&1));
    all.hear(1, "small", Heard::BrokenDown, now);
    assert!(!asked(&all, 6, now).contains(&1));
}

#[test]
fn what_all_refuse_is_refused_and_what_one_may_still_do_is_waited_for() {
    let (all, now) = (three(), Instant::now());
    let refused = Heard::Refused(Scope::Key);
    assert_eq!(all.hear(0, "small", refused, now), Next::Elsewhere);
    let limited = Heard::Limited(Some(7 * SECOND));
    assert_eq!(all.hear(1, "small", limited, now), Next::Elsewhere);
    let next = all.hear(2, "small", Heard::Refused(Scope::Model), now);
    assert_eq!(next, Next::After(7 * SECOND));
    let later = now + 7 * SECOND;
    assert_eq!(all.hear(1, "small", refused, later), Next::Nowhere);
    // Another model is still to be had where only this one was refused.
    assert_eq!(all.choose("large", None, later).place, 2);
}

proptest! {
    /// Whatever was heard: a choice never rests while another does not, and a request is sent on only
    /// where there is one that does not rest.
    #[test]
    fn nobody_is_asked_who_rests_while_another_does_not(
        heard in prop::collection::vec((0..3_usize, 0..5_u8, 0..100_u64, 0..20_u64), 1..40)
    ) {
        let all = three();
        let mut now = Instant::now();
        for (place, kind, asked_for, passed) in heard {
            now += Duration::from_secs(passed);
            let heard = match kind {
                0 => Heard::Working,
                1 => Heard::Limited((asked_for > 50).then(|| Duration::from_secs(asked_for))),
                2 => Heard::Away,
                3 => Heard::BrokenDown,
                _ => Heard::Refused(Scope::Key),
            };
            let next = all.hear(place, "small", heard, now);
            let rests = |place: usize| {
                let end = all.standing().rests_until(place, "small");
                end.is_some_and(|end| end > now)
            };
            let free = (0..3).filter(|place| !rests(*place)).count();
            let chosen = all.choose("small", Some(place), now).place;
            prop_assert_eq!(rests(chosen), free == 0);
            match next {
                Next::Elsewhere => prop_assert!(free > 0 && chosen != place),
                Next::After(span) => prop_assert!(free == 0 && span > Duration::ZERO),
                Next::Nowhere => {}
            }
        }
    }
}
