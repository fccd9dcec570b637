//! Jobs that are to stop: only what is new stops, causes have an order, and nothing that was paid
//! for or set aside is forgotten.

use crate::world::{World, spec};
use frugal_domain::request::Purpose;
use frugal_domain::state::{JobState, StopReason};
use frugal_domain::trial::TrialOutcome;
use frugal_tuning::RequestEnd;
use proptest::prelude::*;
use serde_json::json;

/// A job that has got so far that some of its trials have ended and others are in the air.
fn in_the_middle() -> World {
    let mut world = World::new(
        spec(&[("/limits/trials", json!(200)), ("/search/seed", json!(8))]),
        3,
    );
    while world.outcomes().len() < 20 {
        assert!(world.turn());
    }
    while world.in_flight.is_empty() {
        assert!(world.turn());
    }
    world
}

#[test]
fn a_takeover_after_the_deadline_keeps_every_result() {
    for reason in [StopReason::Deadline, StopReason::Cancelled] {
        let world = in_the_middle();
        let before = world.outcomes();
        let evaluated = |outcome: &TrialOutcome| matches!(outcome, TrialOutcome::Evaluated(_));
        let counted = before.values().filter(|(end, _)| evaluated(end)).count();
        // The worker dies, and its time is over when the next one begins.
        let mut next = world.crash(4);
        next.tuning().halt(reason);
        let ending = next.run();
        let after = next.outcomes();
        for (number, end) in &before {
            assert_eq!(after.get(number), Some(end), "trial {number}");
        }
        let report = ending.report.unwrap();
        assert_eq!(ending.stop_reason, reason);
        assert!(report.trials.evaluated as usize >= counted && counted > 3);
        let best = before
            .values()
            .filter_map(|(end, _)| match end {
                TrialOutcome::Evaluated(found) if found.valid => Some(found.utility.mean),
                _ => None,
            })
            .fold(0.0, f64::max);
        let winner = report.winner.unwrap().evaluation.utility.mean;
        assert!(winner >= best, "{winner} < {best}");
        // Nothing new was sent for the search.
        assert!(
            next.sent
                .iter()
                .all(|key| key.purpose == Purpose::Validation)
        );
    }
}

#[test]
fn a_trial_that_was_cut_off_does_not_keep_a_replay_from_those_beside_it() {
    let mut world = in_the_middle();
    world.tuning().halt(StopReason::Deadline);
    let request = world.in_flight.remove(0);
    let given_up = RequestEnd::GivenUp { cost: None };
    world.tuning().request_ended(request.key, given_up).unwrap();
    let stopped = |end: &TrialOutcome| *end == TrialOutcome::Stopped;
    while !world.outcomes().values().any(|(end, _)| stopped(end)) {
        assert!(world.turn());
    }
    let before = world.outcomes();
    let mut next = world.crash(5);
    next.tuning().halt(StopReason::Deadline);
    next.run();
    for (number, end) in &before {
        assert_eq!(next.outcomes().get(number), Some(end), "trial {number}");
    }
}

#[test]
fn a_cancellation_stands_above_the_end_of_the_time() {
    let mut world = in_the_middle();
    world.tuning().halt(StopReason::Deadline);
    while world
        .sent
        .iter()
        .all(|key| key.purpose != Purpose::Validation)
    {
        assert!(world.turn());
    }
    world.tuning().halt(StopReason::Cancelled);
    assert!(world.tuning().sends_nothing_for(Purpose::Validation));
    let sent = world.sent.len();
    let ending = world.run();
    assert_eq!(world.sent.len(), sent, "nothing more is sent");
    assert_eq!(
        (ending.state, ending.stop_reason),
        (JobState::Cancelled, StopReason::Cancelled)
    );
    // The other way round, the cancellation stands.
    world.tuning().halt(StopReason::Deadline);
    assert_eq!(world.tuning().ending().stop_reason, StopReason::Cancelled);
}

#[test]
fn what_is_given_up_is_lost_and_holds_nothing_back() {
    let mut world = in_the_middle();
    world.tuning().halt(StopReason::Deadline);
    // Nothing of it comes home in time.
    let given_up = std::mem::take(&mut world.in_flight);
    let mut worst = frugal_domain::money::Spend::default();
    for request in given_up {
        worst += request.worst_case;
        let end = RequestEnd::GivenUp { cost: None };
        world.tuning().request_ended(request.key, end).unwrap();
    }
    let ending = world.run();
    let report = ending.report.unwrap();
    let lost = report
        .spend_by_role
        .get(&frugal_domain::spend::SpendCategory::Lost);
    assert_eq!(lost, Some(&worst));
    // The held-out rows get what they need.
    assert!(report.holdout.is_some());
    assert_eq!(report.trials.running, 0);
}

#[test]
fn what_was_never_sent_costs_nothing() {
    let mut world = in_the_middle();
    let requests = |world: &World| world.past.requests.len() as u64;
    world.tuning().halt(StopReason::Cancelled);
    for request in std::mem::take(&mut world.in_flight) {
        world
            .tuning()
            .request_ended(request.key, RequestEnd::NotSent)
            .unwrap();
    }
    let ending = world.run();
    let report = ending.report.unwrap();
    assert_eq!(report.trials.requests, requests(&world));
    assert!(
        !report
            .spend_by_role
            .contains_key(&frugal_domain::spend::SpendCategory::Lost)
    );
}

#[test]
fn a_failure_of_the_endpoint_on_held_out_rows_leaves_the_report() {
    let mut world = World::new(spec(&[]), 2);
    world.unusable_from_validation = Some(1);
    let ending = world.run();
    assert_eq!(ending.state, JobState::Succeeded);
    let report = ending.report.unwrap();
    assert!(report.winner.is_some() && report.holdout.is_none());
    let detail = report.verdict.improvement_detail;
    assert!(detail.contains("no credit left"), "{detail}");
}

#[test]
fn nothing_can_be_told_that_was_not_asked_for() {
    let mut world = in_the_middle();
    let key = world.in_flight[0].key;
    world
        .tuning()
        .request_ended(key, RequestEnd::NotSent)
        .unwrap();
    let again = world.tuning().request_ended(key, RequestEnd::NotSent);
    assert!(again.is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_job_may_be_halted_at_any_moment(
        seed in 0..1_000_u64,
        order in 0..1_000_u64,
        turns in 0..900_usize,
        later in 0..200_usize,
        (extent, reason) in prop::sample::select(vec![
            ("profiled", StopReason::Deadline),
            ("profiled", StopReason::Cancelled),
            ("searched", StopReason::Deadline),
        ]),
        crashes: bool,
    ) {
        let job = spec(&[("/search/seed", json!(seed)), ("/search/extent", json!(extent))]);
        let limit = job.optimization_budget;
        let mut world = World::new(job, order);
        for _ in 0..turns {
            if !world.turn() {
                break;
            }
        }
        if crashes {
            world = world.crash(order + 1);
        }
        world.tuning().halt(reason);
        for _ in 0..later {
            if !world.turn() {
                break;
            }
        }
        // What is still in flight does not come home in time.
        for request in std::mem::take(&mut world.in_flight) {
            let end = RequestEnd::GivenUp { cost: None };
            world.tuning().request_ended(request.key, end).unwrap();
        }
        let ending = world.run();
        let report = ending.report.unwrap();
        prop_assert!(limit.covers(report.spend) || crashes);
        prop_assert_eq!(report.trials.running, 0);
        if reason == StopReason::Cancelled {
            prop_assert_eq!(ending.stop_reason, reason);
        }
    }
}

#[test]
fn a_request_may_be_lost_more_often_where_its_model_works_and_little_was_lost() {
    let often = |world: &mut World| {
        let key = world.in_flight[0].key;
        (0..20)
            .take_while(|_| world.tuning().may_send_again(key))
            .count()
    };
    // Of a model that never answered nothing is known: three attempts in all.
    let mut unknown = World::new(spec(&[]), 3);
    while unknown.in_flight.is_empty() {
        assert!(unknown.turn());
    }
    assert_eq!(often(&mut unknown), 2);
    // Of one that works they end where a twentieth of the budget is uncertain.
    let mut works = in_the_middle();
    let worst = works.in_flight[0].worst_case;
    let mut attempts = 1;
    let budget = works.spec.optimization_budget;
    while budget.unit().of(worst) * attempts <= budget.amount() / 20 {
        attempts += 1;
    }
    assert!(attempts > 3, "the world has room for it");
    assert_eq!(often(&mut works) as u64, (attempts - 1).min(20));
}
