//! Jobs that are steered while they run: what is decided stays a function of what is stored.

use crate::world::{World, spec};
use frugal_domain::state::StopReason;
use frugal_tuning::RequestEnd;
use proptest::prelude::*;
use serde_json::json;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_job_that_was_held_goes_on_as_if_it_had_not_been(
        seed in 0..1_000_u64,
        moments in prop::collection::vec(0..900_usize, 1..4),
        comes_home: bool,
        extent in prop::sample::select(vec!["profiled", "searched"]),
    ) {
        let job = || spec(&[
            ("/search/seed", json!(seed)),
            ("/search/extent", json!(extent)),
            ("/optimization_budget", json!({"usd": 5})),
        ]);
        let mut undisturbed = World::new(job(), 0);
        let expected = undisturbed.run();
        let mut world = World::new(job(), 1);
        let mut sent = 0;
        for (order, moment) in (2..).zip(moments) {
            for _ in 0..moment {
                world.turn();
            }
            let before = world.sent.len();
            world.tuning().hold();
            if !comes_home {
                for request in std::mem::take(&mut world.in_flight) {
                    let end = RequestEnd::GivenUp { cost: None };
                    world.tuning().request_ended(request.key, end).unwrap();
                    world.past.lost += request.worst_case;
                    sent -= 1;
                }
            }
            world.rest();
            prop_assert_eq!(world.sent.len(), before, "nothing is sent");
            sent += i64::try_from(before).unwrap();
            world = world.crash(order);
        }
        let found = world.run();
        sent += i64::try_from(world.sent.len()).unwrap();
        prop_assert_eq!(world.outcomes(), undisturbed.outcomes());
        prop_assert_eq!(found.stop_reason, expected.stop_reason);
        prop_assert_eq!(sent, i64::try_from(undisturbed.sent.len()).unwrap());
    }

    #[test]
    fn a_job_that_is_held_can_be_cancelled(seed in 0..1_000_u64, moment in 0..600_usize) {
        let mut world = World::new(spec(&[("/search/seed", json!(seed))]), seed);
        for _ in 0..moment {
            world.turn();
        }
        world.tuning().hold();
        // One was not sent in the end, another comes home.
        if let Some(request) = world.in_flight.pop() {
            world.tuning().request_ended(request.key, RequestEnd::NotSent).unwrap();
        }
        world.rest();
        world.tuning().halt(StopReason::Cancelled);
        let ending = world.run();
        prop_assert_eq!(ending.stop_reason, StopReason::Cancelled);
        prop_assert_eq!(ending.report.unwrap().trials.running, 0);
    }
}
