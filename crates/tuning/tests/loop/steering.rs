//! Jobs that are steered while they run: what is decided stays a function of what is stored.

use crate::world::{World, spec};
use frugal_domain::configuration::Configuration;
use frugal_domain::job::{JobSpec, Terms};
use frugal_domain::money::{Budget, Usd};
use frugal_domain::state::StopReason;
use frugal_tuning::notes::Fact;
use frugal_tuning::{Past, RequestEnd};
use proptest::prelude::*;
use serde_json::json;

/// A change that a client may ask for.
#[derive(Debug, Clone)]
enum Patch {
    Budget(f64),
    Trials(u32),
    Patience(Option<u32>),
    InFlight(u32),
    /// A configuration is put in.
    Enqueue(Configuration),
}

impl Patch {
    fn make(self, world: &mut World) {
        let change: Box<dyn FnOnce(&mut Terms)> = match self {
            Self::Budget(usd) => Box::new(move |terms| terms.optimization_budget = usd_budget(usd)),
            Self::Trials(trials) => Box::new(move |terms| terms.limits.trials = trials),
            Self::Patience(patience) => {
                Box::new(move |terms| terms.limits.trials_without_improvement = patience)
            }
            Self::InFlight(most) => Box::new(move |terms| terms.requests_in_flight = most),
            Self::Enqueue(configuration) => return world.enqueue(configuration),
        };
        world.change(change);
    }
}

/// A point of the space that an owner may put in.
fn configuration() -> impl Strategy<Value = Configuration> {
    (
        0..2_u64,
        prop::sample::select(vec!["a", "b"]),
        0..=20_u32,
        16..=128_u32,
        1..=8_u32,
    )
        .prop_map(|(model, prompt, twentieths, max_tokens, n)| {
            let temperature = f64::from(twentieths) / 20.0;
            point(model, prompt, temperature, max_tokens, n)
        })
}

fn point(model: u64, prompt: &str, temperature: f64, max_tokens: u32, n: u32) -> Configuration {
    let values = json!({
        "model": model, "prompt": prompt, "temperature": temperature, "max_tokens": max_tokens, "n": n
    });
    serde_json::from_value(values).unwrap()
}

fn usd_budget(usd: f64) -> Budget {
    Budget::Usd(Usd::from_dollars((usd * 1e6).round() / 1e6).unwrap())
}

/// Patches that leave more than what crashes lose.
fn patch() -> impl Strategy<Value = Patch> {
    prop_oneof![
        (2.0..9.0_f64).prop_map(Patch::Budget),
        (1..60_u32).prop_map(Patch::Trials),
        prop::option::of(2..20_u32).prop_map(Patch::Patience),
        (1..40_u32).prop_map(Patch::InFlight),
        configuration().prop_map(Patch::Enqueue),
    ]
}

/// The same job in one go, its changes each at the place that it was given, with answers in another order.
fn at_their_places(spec: JobSpec, order: u64, past: &Past) -> World {
    let changes = Past {
        changes: past.changes.clone(),
        enqueued: past.enqueued.clone(),
        ..Past::default()
    };
    let mut world = World::taken_up(spec, order, changes, Vec::new());
    world.run();
    world
}

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

    #[test]
    fn what_is_found_is_a_function_of_the_changes_and_their_places(
        seed in 0..1_000_u64,
        history in prop::collection::vec((0..400_usize, patch(), prop::bool::weighted(0.4)), 1..4),
        extent in prop::sample::select(vec!["profiled", "searched"]),
        order in 1..1_000_u64,
    ) {
        let job = || spec(&[
            ("/search/seed", json!(seed)),
            ("/search/extent", json!(extent)),
            ("/optimization_budget", json!({"usd": 5})),
        ]);
        let mut world = World::new(job(), order);
        for (moment, patch, crashes) in history {
            for _ in 0..moment {
                world.turn();
            }
            // A job that has ended takes no change.
            if world.finished {
                break;
            }
            patch.make(&mut world);
            if crashes {
                for _ in 0..moment % 7 {
                    world.turn();
                }
                world = world.crash(order + moment as u64);
            }
        }
        world.run();
        let again = at_their_places(job(), order + 1_000, &world.past);
        let unplaced = world.past.changes.iter().any(|change| change.place.is_none())
            || world.past.enqueued.iter().any(|enqueued| enqueued.place.is_none());
        // One that came when all was over has no place, and no bearing.
        prop_assert!(!unplaced || world.past.validation_completed || world.past.trials.values().all(|trial| trial.end.is_some()));
        prop_assert_eq!(world.outcomes(), again.outcomes());
        // Another worker finds the same, and asks for nothing.
        let mut replayed = World::taken_up(job(), order, world.past.clone(), Vec::new());
        replayed.run();
        prop_assert_eq!(replayed.outcomes(), world.outcomes());
        prop_assert!(replayed.sent.is_empty());
    }

    #[test]
    fn a_job_goes_on_after_it_has_ended(
        seed in 0..1_000_u64,
        first in prop_oneof![0.002..0.03_f64, 0.1..0.5_f64],
        trials in 2..12_u32,
        more in 1.2..4.0_f64,
        moment in prop::option::of(0..400_usize),
        extent in prop::sample::select(vec!["profiled", "searched"]),
        order in 1..1_000_u64,
    ) {
        let job = || spec(&[
            ("/search/seed", json!(seed)),
            ("/search/extent", json!(extent)),
            ("/limits/trials", json!(trials)),
            ("/optimization_budget", json!({"usd": (first * 1e6).round() / 1e6})),
        ]);
        let mut ended = World::new(job(), order);
        let before = ended.run();
        let paid = ended.past.requests.clone();
        let sent = ended.sent.len();
        let mut world = ended.go_on(order + 1, |terms| {
            terms.optimization_budget = usd_budget(first * more);
            terms.limits.trials = trials * 3;
        });
        if let Some(moment) = moment {
            for _ in 0..moment {
                world.turn();
            }
            world = world.crash(order + 2);
        }
        let after = world.run();
        // All that was paid for is kept and none of it asked for again.
        for (key, request) in &paid {
            prop_assert_eq!(world.past.requests.get(key).map(|kept| kept.n), Some(request.n));
            prop_assert!(!world.sent.contains(key), "{}", key);
        }
        prop_assert!(sent > 0);
        let (before, after) = (before.report.unwrap(), after.report.unwrap());
        prop_assert!(world.past.changes.iter().all(|change| change.place.is_some()));
        prop_assert!(usd_budget(first * more).covers(after.spend) || moment.is_some());
        prop_assert!(after.trials.evaluated >= before.trials.evaluated, "{:?} {:?}", before.trials, after.trials);
        prop_assert_eq!(after.trials.running, 0);
        // Whoever takes it up finds the same, and asks for nothing.
        let mut replayed = World::taken_up(job(), order, world.past.clone(), Vec::new());
        replayed.run();
        prop_assert_eq!(replayed.outcomes(), world.outcomes());
        prop_assert!(replayed.sent.is_empty(), "{:?}", replayed.sent);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However often a job's budget has run out: what was lived through before is lived through again, up to
    /// the place where it goes on, and nothing that was paid for is asked for again.
    #[test]
    fn a_job_goes_on_again_and_again(
        seed in 0..1_000_u64,
        first in prop_oneof![0.002..0.03_f64, 0.1..0.3_f64],
        extent in prop::sample::select(vec!["profiled", "searched"]),
        times in prop::collection::vec((1.05..2.0_f64, prop::option::of(0..400_usize)), 1..=4),
        order in 1..1_000_u64,
    ) {
        goes_on_again_and_again(seed, first, extent, &times, order);
    }
}

fn goes_on_again_and_again(
    seed: u64,
    first: f64,
    extent: &str,
    times: &[(f64, Option<usize>)],
    order: u64,
) {
    let job = || {
        spec(&[
            ("/search/seed", json!(seed)),
            ("/search/extent", json!(extent)),
            ("/limits/trials", json!(200)),
            (
                "/optimization_budget",
                json!({"usd": (first * 1e6).round() / 1e6}),
            ),
        ])
    };
    let mut world = World::new(job(), order);
    world.run();
    let mut budget = first;
    for (place, (more, moment)) in (0..).zip(times) {
        let paid = world.past.requests.clone();
        budget *= more;
        let order = order + 10 * place;
        world = world.go_on(order + 1, |terms| {
            terms.optimization_budget = usd_budget(budget);
        });
        let mut sent = Vec::new();
        if let Some(moment) = moment {
            for _ in 0..*moment {
                world.turn();
            }
            sent.extend(world.sent.iter().copied());
            world = world.crash(order + 2);
        }
        assert!(world.run().report.is_some());
        sent.extend(world.sent.iter().copied());
        assert!(sent.iter().all(|key| !paid.contains_key(key)));
        let mut replayed = World::taken_up(job(), order + 3, world.past.clone(), Vec::new());
        replayed.run();
        assert_eq!(replayed.outcomes(), world.outcomes());
        assert!(replayed.sent.is_empty(), "{:?}", replayed.sent);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    /// Whatever it had come to when it was cancelled.
    #[test]
    fn a_job_goes_on_after_it_was_cancelled(
        seed in 0..1_000_u64,
        cancelled in prop::collection::vec((0..120_usize, prop::option::of(0..60_usize)), 1..4),
        extent in prop::sample::select(vec!["profiled", "searched"]),
        order in 1..1_000_u64,
    ) {
        let job = || spec(&[
            ("/search/seed", json!(seed)),
            ("/search/extent", json!(extent)),
            ("/limits/trials", json!(4)),
            ("/optimization_budget", json!({"usd": 5})),
        ]);
        let most = if extent == "searched" { 2 } else { 3 };
        let mut world = World::new(job(), order);
        for (number, (moment, crash)) in (1..).zip(cancelled.into_iter().take(most)) {
            for _ in 0..moment {
                world.turn();
            }
            if !world.finished {
                world.tuning().halt(StopReason::Cancelled);
            }
            world.run();
            let order = order + 10 * u64::from(number);
            world = world.go_on(order, |terms| terms.limits.trials += 3 * number);
            if let Some(moment) = crash {
                for _ in 0..moment {
                    world.turn();
                }
                world = world.crash(order + 1);
            }
        }
        let ending = world.run();
        prop_assert_eq!(ending.report.unwrap().trials.running, 0);
        let mut replayed = World::taken_up(job(), order, world.past.clone(), Vec::new());
        replayed.run();
        prop_assert_eq!(replayed.outcomes(), world.outcomes());
        prop_assert!(replayed.sent.is_empty(), "{:?}", replayed.sent);
    }
}

/// What befalls a job, after so many turns.
#[derive(Debug, Clone)]
enum Event {
    /// Its owner puts a configuration in.
    Enqueue(Configuration),
    /// The limit on trials is another.
    Trials(u32),
    /// Its worker dies; the next one may have been told to stop.
    Crash,
    /// It is held, and taken up by another worker; what is in flight comes home or not.
    Hold(bool),
    /// Its owner cancels it, and what is in flight comes home or not. Its worker may die so many turns later;
    /// the next one ends it after so many.
    Cancel(bool, Option<(usize, usize)>),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => configuration().prop_map(Event::Enqueue),
        3 => (1..9_u32).prop_map(Event::Trials),
        2 => Just(Event::Crash),
        1 => any::<bool>().prop_map(Event::Hold),
        2 => (any::<bool>(), prop::option::of((0..30_usize, 0..60_usize)))
            .prop_map(|(comes_home, dies)| Event::Cancel(comes_home, dies)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Each worker lives through what those before it have stored, and comes to the same.
    #[test]
    fn a_job_goes_on_whatever_befalls_it(
        seed in 0..1_000_u64,
        history in prop::collection::vec((0..150_usize, event()), 1..9),
        extent in prop::sample::select(vec!["profiled", "searched"]),
        order in 1..1_000_u64,
    ) {
        befalls(seed, &history, extent, order);
    }
}

/// What is in flight does not come home.
fn give_up(world: &mut World) {
    for request in std::mem::take(&mut world.in_flight) {
        let end = RequestEnd::GivenUp { cost: None };
        world.tuning().request_ended(request.key, end).unwrap();
        world.past.lost += request.worst_case;
    }
}

fn befalls(seed: u64, history: &[(usize, Event)], extent: &str, order: u64) {
    let job = || {
        spec(&[
            ("/search/seed", json!(seed)),
            ("/search/extent", json!(extent)),
            ("/limits/trials", json!(4)),
            ("/optimization_budget", json!({"usd": 5})),
            ("/baseline/max_tokens", json!(128)),
        ])
    };
    let mut world = World::new(job(), order);
    for (number, (moment, event)) in (1..).zip(history) {
        let order = order + 10 * number;
        for _ in 0..*moment {
            world.turn();
        }
        if world.finished {
            world = world.go_on(order, |terms| terms.limits.trials += 2);
            continue;
        }
        match *event {
            Event::Enqueue(ref configuration) => world.enqueue(configuration.clone()),
            Event::Trials(most) => world.change(|terms| terms.limits.trials = most),
            Event::Crash => world = world.crash(order),
            Event::Hold(comes_home) => {
                world.tuning().hold();
                if !comes_home {
                    give_up(&mut world);
                }
                world.rest();
                if !world.finished {
                    world = world.crash(order);
                }
            }
            Event::Cancel(comes_home, dies) => {
                world.tuning().halt(StopReason::Cancelled);
                if !comes_home {
                    give_up(&mut world);
                }
                if let Some((before, after)) = dies {
                    for _ in 0..before {
                        world.turn();
                    }
                    if !world.finished {
                        world = world.crash(order);
                        for _ in 0..after {
                            world.turn();
                        }
                    }
                    if !world.finished {
                        world.tuning().halt(StopReason::Cancelled);
                    }
                }
                world.run();
            }
        }
    }
    let mut ending = world.run();
    if ending.stop_reason == StopReason::Cancelled {
        // Whoever took it up would go on.
        world = world.go_on(order + 1_000, |terms| terms.limits.trials += 2);
        ending = world.run();
    }
    let report = ending.report.unwrap();
    assert_eq!(report.trials.running, 0);
    // What was put in has one trial, or it is told that it has none.
    let enqueued = world.past.enqueued.iter();
    let (with, without): (Vec<_>, Vec<_>) = enqueued
        .map(|enqueued| world.trials_of(&enqueued.configuration))
        .partition(|trials| !trials.is_empty());
    assert!(with.iter().all(|trials| trials.len() == 1), "{with:?}");
    let told = report.notes.iter().find_map(|note| match note.fact {
        Fact::EnqueuedUntried { configurations } => Some(configurations),
        _ => None,
    });
    assert_eq!(told.unwrap_or(0), without.len());
    let mut replayed = World::taken_up(job(), order, world.past.clone(), Vec::new());
    replayed.run();
    assert_eq!(replayed.outcomes(), world.outcomes());
    assert!(replayed.sent.is_empty(), "{:?}", replayed.sent);
}

/// Of a trial that was begun, nothing may have arrived when its worker died: it keeps its number all the same when
/// the next one is to end the job, and what the end begins besides gets the one behind.
#[test]
fn a_trial_that_was_begun_keeps_its_number_where_the_job_is_cancelled_before_it_is_lived_through() {
    for (seed, extent) in [(3, "profiled"), (4, "profiled"), (3, "searched")] {
        let job = || {
            spec(&[
                ("/search/seed", json!(seed)),
                ("/search/extent", json!(extent)),
                ("/optimization_budget", json!({"usd": 5})),
                // What it has drawn is the search's as well, which may end with it.
                ("/baseline/max_tokens", json!(128)),
            ])
        };
        for moment in 30..90 {
            let mut world = World::new(job(), seed);
            for _ in 0..moment {
                world.turn();
            }
            let begun = world.past.trials.iter();
            let begun: Vec<_> = begun
                .map(|(number, trial)| (*number, trial.configuration.clone()))
                .collect();
            let mut next = world.crash(seed + 1);
            next.tuning().halt(StopReason::Cancelled);
            let ending = next.run();
            assert_eq!(ending.stop_reason, StopReason::Cancelled);
            for (number, configuration) in begun {
                assert_eq!(next.past.trials[&number].configuration, configuration);
            }
        }
    }
}

/// A budget that is raised by so little that what the end cut off is cut off again, before the search has come to the
/// place where it goes on: it must not go on behind a trial that it never hears of.
#[test]
fn a_trial_that_is_cut_off_again_ends_the_search_again() {
    let times = [(1.1, None), (1.85, None), (1.1, None), (1.5, None)];
    goes_on_again_and_again(557, 0.002, "searched", &times, 7);
    let times = [
        (1.669_703_467_602_107, Some(56)),
        (1.088_641_625_977_150_8, Some(163)),
        (1.874_407_455_634_932_2, Some(323)),
    ];
    goes_on_again_and_again(
        324_750,
        0.002_296_592_924_128_054_5,
        "searched",
        &times,
        339,
    );
}

/// What the end of the budget refused to a profiled search is refused again by whoever lives through it after its
/// trials have ended, though what was kept for the held-out rows is free by then.
#[test]
fn what_was_refused_at_the_end_is_not_asked_for_afterwards() {
    goes_on_again_and_again(
        356_662,
        0.013_069_565_137_551_83,
        "profiled",
        &[(1.249_088_510_913_845, None)],
        553,
    );
}

#[test]
fn more_trials_are_those_of_a_job_that_had_as_many_from_the_start() {
    let job = |trials: u32| {
        spec(&[
            ("/search/extent", json!("searched")),
            ("/limits/trials", json!(trials)),
            ("/optimization_budget", json!({"usd": 5})),
        ])
    };
    let mut few = World::new(job(6), 3);
    assert_eq!(few.run().stop_reason, StopReason::TrialLimit);
    let sent = few.sent.len();
    let mut more = few.go_on(4, |terms| terms.limits.trials = 15);
    let found = more.run();
    let mut many = World::new(job(15), 5);
    let expected = many.run();
    assert_eq!(more.outcomes(), many.outcomes());
    assert_eq!(
        found.report.unwrap().winner.unwrap().trial,
        expected.report.unwrap().winner.unwrap().trial
    );
    // Held-out rows that judged the first winner may not be those of the second.
    assert!(sent + more.sent.len() >= many.sent.len());
}

#[test]
fn a_job_whose_budget_grows_while_it_runs_spends_it_and_one_whose_budget_shrinks_stops() {
    for extent in ["profiled", "searched"] {
        let job = || {
            spec(&[
                ("/search/extent", json!(extent)),
                ("/limits/trials", json!(200)),
                ("/optimization_budget", json!({"usd": 0.02})),
            ])
        };
        let begun = || {
            let mut world = World::new(job(), 2);
            while world.past.requests.len() < 60 {
                assert!(world.turn());
            }
            world
        };
        let mut grown = begun();
        grown.change(|terms| terms.optimization_budget = usd_budget(0.06));
        let spent = grown.run().report.unwrap().spend;
        assert!(!usd_budget(0.03).covers(spent), "{extent}: {spent:?}");
        assert!(usd_budget(0.06).covers(spent));
        let names: Vec<_> = grown.events.iter().map(|event| event.name()).collect();
        assert!(names.contains(&"job.updated"));

        let mut shrunk = begun();
        let before: frugal_domain::money::Spend = shrunk
            .past
            .requests
            .values()
            .map(|request| request.settled.cost + request.settled.uncertain)
            .chain(shrunk.in_flight.iter().map(|request| request.worst_case))
            .sum();
        // Less than what is spent already: it becomes as much as is spent and on its way.
        shrunk.change(|terms| terms.optimization_budget = usd_budget(0.000_01));
        let ending = shrunk.run();
        let change = &shrunk.past.changes[0];
        assert_eq!(
            change.terms.optimization_budget.unit().of(before),
            change.terms.optimization_budget.amount()
        );
        assert_eq!(ending.stop_reason, StopReason::BudgetExhausted);
        assert!(
            change
                .terms
                .optimization_budget
                .covers(ending.report.unwrap().spend)
        );
    }
}
