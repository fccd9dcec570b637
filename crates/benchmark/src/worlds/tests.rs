use super::*;
use crate::endpoint::Endpoint;
use frugal_domain::configuration::{Extent, Settings};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

fn world(name: &str) -> (World, f64) {
    let worlds = load(None, FreeSettings::Temperature).unwrap();
    worlds
        .into_iter()
        .find(|(world, _)| world.name == name)
        .unwrap()
}

fn way(name: &str) -> Way {
    let mut ways = ways().into_iter();
    ways.find(|way| way.name == name).unwrap()
}

fn settings(
    (model, prompt): (usize, usize),
    temperature: f64,
    top_p: Option<f64>,
    (max_tokens, n): (u32, u32),
) -> Settings {
    Settings {
        sampling: space::sampling(model, prompt, Some(temperature), top_p),
        extent: Extent { max_tokens, n },
    }
}

/// What another implementation of the worlds computes: utility and cost in dollars.
#[test]
fn the_truth_is_that_of_another_implementation() {
    let cases = [
        (
            "g100",
            (0, 0),
            0.8,
            None,
            (400, 5),
            0.676_690_905_956_572_8,
            0.003_891_531_575_686_514_7,
        ),
        (
            "g100",
            (1, 1),
            0.3,
            None,
            (150, 20),
            0.402_994_618_252_304_26,
            0.002_076_371_457_908_778,
        ),
        (
            "g100",
            (1, 2),
            1.2,
            None,
            (1000, 3),
            0.193_606_610_234_355_24,
            0.002_125_198_878_568_280_6,
        ),
        (
            "g100",
            (1, 0),
            1.0,
            Some(0.7),
            (300, 4),
            0.368_396_135_735_095_1,
            0.000_853_352_171_647_55,
        ),
        (
            "g101",
            (0, 0),
            0.8,
            None,
            (400, 5),
            0.746_945_221_253_394_1,
            0.018_127_671_226_901_166,
        ),
        (
            "g101",
            (1, 1),
            0.3,
            None,
            (150, 20),
            0.315_606_475_465_640_1,
            0.026_649_651_829_541_782,
        ),
        (
            "g101",
            (1, 2),
            1.2,
            None,
            (1000, 3),
            0.717_161_465_477_823_7,
            0.007_889_907_964_129_259,
        ),
    ];
    for (name, place, temperature, top_p, extent, utility, cost) in cases {
        let (world, _) = world(name);
        let (found, paid) = world.truth(&settings(place, temperature, top_p, extent));
        assert!(
            (found - utility).abs() < 1e-9,
            "{name} {place:?}: {found} for {utility}"
        );
        // Prices are rounded to a millionth of a dollar per million tokens.
        assert!(
            (paid / cost - 1.0).abs() < 1e-6,
            "{name} {place:?}: {paid} for {cost}"
        );
    }
}

#[test]
fn draws_are_right_as_often_as_the_truth_says() {
    for name in ["g100", "g101"] {
        let (world, _) = world(name);
        let settings = settings((1, 1), 0.6, None, (200, 1));
        let mut generator = ChaCha8Rng::seed_from_u64(5);
        let (mut right, mut expected) = (0.0, 0.0);
        const DRAWS: u32 = 400;
        for row in 0..world.rows() {
            expected += world.chance(&settings, row) * f64::from(DRAWS);
            for _ in 0..DRAWS {
                let draw = world.draw(&settings, row, &mut generator).unwrap();
                right += world.response(&settings, row, draw, 200).score;
            }
        }
        // Five deviations, at most.
        let error = (f64::from(DRAWS) * world.rows() as f64 / 4.0).sqrt();
        assert!(
            (right - expected).abs() < 5.0 * error,
            "{name}: {right} for {expected}"
        );
    }
}

#[test]
fn the_grid_finds_what_is_written_down_as_the_best() {
    for name in ["g108", "g103"] {
        let (world, best) = world(name);
        let found = optimum::best(&world);
        assert!((found - best).abs() < 0.01, "{name}: {found} for {best}");
    }
}

#[test]
fn a_job_keeps_its_budget_and_is_told_apart_by_its_seed() {
    let (world, best) = world("g108");
    let once = |seed| job::run(&world, 2.0, seed, &ways()[0], None).unwrap();
    let (one, again, other) = (once(1), once(1), once(2));
    assert_eq!(one, again);
    assert_ne!(one, other);
    assert!(one.winner.won && one.spent <= 1.0 && one.winner.utility > 0.3 * best);
}

#[test]
fn settings_at_their_defaults_change_nothing() {
    let (bare, _) = world("g108");
    let bare_truth = bare.truth(&settings((0, 1), 0.7, None, (300, 4)));
    for free in [FreeSettings::Few, FreeSettings::Many] {
        let overlaid = world("g108").0.with(free, OVERLAY_SEED);
        let defaults = overlaid.overlay.as_ref().unwrap().defaults();
        let mut settings = settings((0, 1), 0.7, None, (300, 4));
        for (name, value) in defaults.as_object().unwrap() {
            settings.sampling.extra.insert(name.clone(), value.clone());
        }
        settings.sampling.extra.remove("top_p");
        let (utility, cost) = overlaid.truth(&settings);
        assert!((utility - bare_truth.0).abs() < 1e-12);
        assert!((cost - bare_truth.1).abs() < 1e-12);
    }
}

#[test]
fn of_many_settings_some_matter_some_do_not_and_reasoning_costs() {
    let overlaid = world("g108").0.with(FreeSettings::Many, OVERLAY_SEED);
    let truth = |name: &str, value: Value| {
        let mut settings = settings((0, 1), 0.7, None, (1000, 4));
        settings.sampling.extra.insert(name.to_owned(), value);
        overlaid.truth(&settings)
    };
    let (usual, cost) = truth("reasoning_steps", json!(0));
    let (first, more) = truth("reasoning_steps", json!(2));
    assert!(first > usual && more > cost);
    for penalty in [
        "presence_penalty",
        "frequency_penalty",
        "repetition_penalty",
    ] {
        let far = if penalty == "repetition_penalty" {
            1.6
        } else {
            2.0
        };
        assert_ne!(truth(penalty, json!(far)).0, usual, "{penalty}");
    }
    assert_eq!(truth("min_p", json!(0.4)).0, usual);
    assert_eq!(truth("format", json!("format 2")).0, usual);
}

#[test]
fn draws_of_an_overlaid_world_are_right_as_often_as_its_truth_says() {
    for name in ["g100", "g101"] {
        let overlaid = world(name).0.with(FreeSettings::Many, OVERLAY_SEED);
        let mut settings = settings((1, 1), 0.6, None, (200, 1));
        for (name, value) in [
            ("presence_penalty", json!(1.1)),
            ("reasoning_steps", json!(3)),
            ("style", json!("style 2")),
        ] {
            settings.sampling.extra.insert(name.to_owned(), value);
        }
        let mut generator = ChaCha8Rng::seed_from_u64(5);
        let (mut right, mut expected) = (0.0, 0.0);
        const DRAWS: u32 = 300;
        for row in 0..overlaid.rows() {
            expected += overlaid.chance(&settings, row) * f64::from(DRAWS);
            for _ in 0..DRAWS {
                let draw = overlaid.draw(&settings, row, &mut generator).unwrap();
                right += overlaid.response(&settings, row, draw, 200).score;
            }
        }
        let error = (f64::from(DRAWS) * overlaid.rows() as f64 / 4.0).sqrt();
        assert!(
            (right - expected).abs() < 5.0 * error,
            "{name}: {right} for {expected}"
        );
    }
}

/// Where many settings are free, what the search proposes is worth more than arms drawn at random,
/// and than leaving the settings as they are.
#[test]
fn of_many_settings_proposals_beat_random_arms_and_the_simple_rule() {
    let world = world("g108").0.with(FreeSettings::Many, OVERLAY_SEED);
    let utility = |name: &str| {
        let one = |seed| {
            job::run(&world, 10.0, seed, &way(name), None)
                .unwrap()
                .winner
                .utility
        };
        (1..=3).map(one).sum::<f64>() / 3.0
    };
    let proposed = utility("profiled");
    let (random, simple) = (
        utility("profiled, random arms"),
        utility("profiled, simple rule"),
    );
    assert!(
        proposed > random && proposed > simple,
        "{proposed}; random arms {random}, simple rule {simple}"
    );
}

/// Where nothing but the model, the prompt and the temperature is free, the search is the simple rule.
#[test]
fn of_the_temperature_alone_nothing_is_proposed() {
    let (world, _) = world("g108");
    let found = |name: &str| job::run(&world, 5.0, 3, &way(name), None).unwrap();
    assert_eq!(found("profiled"), found("profiled, simple rule"));
}
