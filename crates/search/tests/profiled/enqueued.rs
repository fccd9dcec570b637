//! Arms that the job's owner puts in while the search goes on.

use crate::{ROWS, Run, drive_with, new_search, spec, winner};
use frugal_domain::configuration::Configuration;
use frugal_domain::job::JobSpec;
use frugal_search::Origin;
use frugal_search::profiled::{Heat, Over};
use serde_json::{Value, json};

fn point(temperature: f64) -> Configuration {
    serde_json::from_value(
        json!({"model": 0, "temperature": temperature, "max_tokens": 100, "n": 1}),
    )
    .unwrap()
}

/// Runs a search that a temperature is put into once so many batches were decided. Answers are right with one
/// chance near this temperature, and with another elsewhere.
fn with(job: &JobSpec, after: usize, temperature: f64, (near, elsewhere): (f64, f64)) -> Run {
    let mut is_done = false;
    let chance = |at: crate::Settings<'_>| match (at.temperature - temperature).abs() < 0.05 {
        true if at.model == 0 => near,
        _ => elsewhere,
    };
    let enqueue = |search: &mut frugal_search::profiled::Profiled, batches: usize| {
        if batches >= after && !std::mem::replace(&mut is_done, true) {
            search.enqueue(&point(temperature));
        }
    };
    let search = new_search(job, ROWS, None);
    drive_with(job, search, 0, chance, |_, told| told, enqueue)
}

fn arm_at(run: &Run, temperature: f64) -> Option<usize> {
    let mut arms = (0..).map_while(|arm| Some((arm, run.search.place(arm)?)));
    let (arm, _) =
        arms.find(|(_, place)| place.model == 0 && place.heat == Heat::Temperature(temperature))?;
    Some(arm)
}

#[test]
fn what_the_owner_puts_in_is_looked_at_next_and_wins_where_it_is_the_best() {
    // The search itself does not come so far.
    let job = spec(&[("/inference_budget", json!({"usd": 0.000_02}))]);
    for after in [0, 1, 3, 6] {
        let run = with(&job, after, 1.45, (0.95, 0.1));
        let arm = arm_at(&run, 1.45).unwrap();
        assert_eq!(run.search.origin(arm), Some(Origin::Owner));
        let first = run.batches.iter().position(|batch| batch.arm == arm);
        // The first response of all tells how prompts are counted.
        assert_eq!(first, Some(after.max(1)));
        assert!(run.batches[after.max(1)].rows.len() >= 4);
        assert_eq!(winner(&run), arm, "put in after {after} batches");
        assert!(run.spent <= run.budget);
    }
}

#[test]
fn what_the_owner_puts_in_and_is_bad_costs_a_look() {
    let job = spec(&[]);
    let run = with(&job, 3, 1.45, (0.0, 0.9));
    let arm = arm_at(&run, 1.45).unwrap();
    let looks: Vec<_> = run
        .batches
        .iter()
        .filter(|batch| batch.arm == arm)
        .collect();
    assert!(looks.len() == 1 && looks[0].rows.len() >= 4, "{looks:?}");
    assert_ne!(winner(&run), arm);
}

#[test]
fn what_the_owner_puts_in_does_not_count_in_the_limit_on_trials() {
    let job = spec(&[("/limits/trials", json!(2))]);
    let run = with(&job, 5, 1.45, (0.5, 0.5));
    let arms: std::collections::BTreeSet<usize> = run.batches.iter().map(|one| one.arm).collect();
    assert_eq!(arms.len(), 3);
    assert!(arms.contains(&arm_at(&run, 1.45).unwrap()));
    assert!(matches!(run.over, Over::TrialLimit | Over::BudgetSpent));
}

#[test]
fn what_was_drawn_for_is_not_looked_at_again_and_what_is_no_point_not_at_all() {
    let job = spec(&[]);
    let plain = with(&job, usize::MAX, 0.8, (0.5, 0.5));
    // Every model was drawn for at 0.8 by then.
    let again = with(&job, plain.batches.len() - 1, 0.8, (0.5, 0.5));
    assert_eq!(again.batches, plain.batches);
    let mut search = new_search(&job, ROWS, None);
    search.enqueue(&Configuration::default());
    let elsewhere: Value = json!({"model": 7, "temperature": 0.5, "max_tokens": 100, "n": 1});
    search.enqueue(&serde_json::from_value(elsewhere).unwrap());
    let run = drive_with(&job, search, 0, |_| 0.5, |_, told| told, |_, _| {});
    let of_owner = (0..).map_while(|arm| run.search.origin(arm));
    assert!(of_owner.clone().count() > 1);
    assert!(of_owner.into_iter().all(|origin| origin != Origin::Owner));
}

#[test]
fn there_is_room_for_it_however_many_arms_there_are() {
    let penalty = json!({"name": "presence_penalty", "domain": {"float": {"low": -2.0, "high": 2.0, "scale": "linear", "step": null}}});
    let mut space = json!(spec(&[]).space);
    space.as_array_mut().unwrap().push(penalty);
    let mut job = spec(&[("/space", space)]);
    job.start = (0..80)
        .map(|number| {
            let mut start = point(0.5);
            let penalty = f64::from(number) / 50.0;
            start
                .0
                .insert("presence_penalty".to_owned(), json!(penalty));
            start
        })
        .collect();
    let mut search = new_search(&job, ROWS, None);
    let last = (0..).map_while(|arm| search.place(arm)).count();
    let mut wanted = point(1.2);
    wanted.0.insert("presence_penalty".to_owned(), json!(-1.5));
    search.enqueue(&wanted);
    assert_eq!(search.origin(last), Some(Origin::Owner));
    let run = drive_with(&job, search, 0, |_| 0.5, |_, told| told, |_, _| {});
    assert!(run.batches.iter().any(|batch| batch.arm == last));
}
