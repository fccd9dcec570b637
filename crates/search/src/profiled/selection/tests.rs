use super::*;
use frugal_domain::seed::mix;

fn row(answers: &[(f64, f64)]) -> Row {
    Row {
        scores: answers.iter().map(|(score, _)| *score).collect(),
        preferences: answers
            .iter()
            .map(|(_, preference)| Some(*preference))
            .collect(),
        ..Row::default()
    }
}

fn near(found: f64, expected: f64, by: f64) -> bool {
    (found - expected).abs() < by
}

fn level(right: f64, wrong: f64) -> Level {
    Level { right, wrong }
}

/// A number from 0 to 1.
fn lot(seed: u64) -> f64 {
    (mix(seed) % 1_000_000) as f64 / 1_000_000.0
}

#[test]
fn what_the_selector_sees_decides_what_many_are_worth() {
    let worth = |levels: &[Level], chance, n| Selection::new(levels.to_vec()).worth(chance, n);
    let knows = [level(0.0, 1.0), level(1.0, 0.0)];
    let errs = [level(1.0, 0.0), level(0.0, 1.0)];
    let tells_nothing = [level(0.4, 0.4), level(0.6, 0.6)];
    let blind = [level(1.0, 1.0)];
    for n in [1.0, 2.0, 7.0, 50.0] {
        for chance in [0.0_f64, 0.05, 0.3, 0.9, 1.0] {
            let any = 1.0 - (1.0 - chance).powf(n);
            assert!(near(worth(&knows, chance, n), any, 2e-3), "{chance} {n}");
            let all = chance.powf(n);
            assert!(near(worth(&errs, chance, n), all, 2e-3), "{chance} {n}");
            assert!(near(worth(&tells_nothing, chance, n), chance, 1e-9));
            assert!(near(worth(&blind, chance, n), chance, 1e-12));
        }
    }
    // Two of three right ones are valid and one of three wrong ones: counted out for two.
    let half = [level(1.0 / 3.0, 2.0 / 3.0), level(2.0 / 3.0, 1.0 / 3.0)];
    let (chance, valid) = (0.5_f64, 0.5_f64);
    let any_valid = 1.0 - (1.0 - valid) * (1.0 - valid);
    let expected = any_valid * chance * (2.0 / 3.0) / valid
        + (1.0 - any_valid) * chance * (1.0 / 3.0) / (1.0 - valid);
    assert!(near(worth(&half, chance, 2.0), expected, 1e-3));
}

/// Arms that a mean is taken over.
const ARMS: u64 = 12;

/// An answer to a row, right with the row's chance: its score, and how highly a selector thinks of it.
fn answer(row: usize, rows: usize, salt: u64, preference: &Preference<'_>) -> (f64, f64) {
    let right = lot(salt) < 0.1 + 0.8 * row as f64 / rows as f64;
    (
        f64::from(u8::from(right)),
        preference(row, right, mix(salt ^ 1)),
    )
}

/// How highly a selector thinks of an answer to a row, right or not, by a lot.
type Preference<'p> = dyn Fn(usize, bool, u64) -> f64 + 'p;

fn salt(seed: u64, row: usize, at: usize, what: u64) -> u64 {
    mix(seed ^ mix(what ^ mix(row as u64 ^ mix(at as u64))))
}

/// What so many answers to each row are.
fn seen(rows: usize, answers: usize, preference: &Preference<'_>, seed: u64) -> Vec<Row> {
    let of_row = |number: usize| {
        let answers =
            (0..answers).map(|at| answer(number, rows, salt(seed, number, at, 1), preference));
        row(&answers.collect::<Vec<_>>())
    };
    (0..rows).map(of_row).collect()
}

/// What the preferred one of n comes to, by drawing.
fn drawn(rows: usize, preference: &Preference<'_>, n: usize, seed: u64) -> f64 {
    let worlds = 300;
    let mut sum = 0.0;
    for world in 0..worlds {
        for number in 0..rows {
            let all = (0..n).map(|at| {
                answer(
                    number,
                    rows,
                    salt(seed, number, world * n + at, 2),
                    preference,
                )
            });
            let all: Vec<(f64, f64)> = all.collect();
            let most = all.iter().map(|one| one.1).fold(0.0, f64::max);
            let first: Vec<f64> = all
                .iter()
                .filter(|one| one.1 >= most)
                .map(|one| one.0)
                .collect();
            sum += first.iter().sum::<f64>() / first.len() as f64;
        }
    }
    sum / (worlds * rows) as f64
}

/// What the estimate says of the same rows, their chances being known.
fn estimated(rows: &[Row], n: usize) -> f64 {
    let mut arm = Arm::new(crate::profiled::arm::tests::place(), rows.len());
    arm.rows = rows.iter().cloned().map(Some).collect();
    let selection = Selection::of(&arm, std::slice::from_ref(&arm));
    let worth = |row: usize| {
        let chance = 0.1 + 0.8 * row as f64 / rows.len() as f64;
        selection.worth(chance, n as f64)
    };
    (0..rows.len()).map(worth).sum::<f64>() / rows.len() as f64
}

#[test]
fn the_estimate_meets_what_drawing_comes_to() {
    let seed = 7;
    let valid = |_: usize, right: bool, salt: u64| {
        let share = if right { 0.95 } else { 0.4 };
        f64::from(u8::from(lot(salt) < share))
    };
    // Finer, and of another height on each row: what is compared lies within a row.
    let fine = |row: usize, right: bool, salt: u64| {
        let height = lot(mix(row as u64)) * 0.5;
        // Nearly normal, with a deviation of 0.058; right ones are higher by 1.2 deviations.
        let own = (0..4).map(|at| lot(mix(salt ^ at))).sum::<f64>() * 0.1;
        height + own + if right { 0.07 } else { 0.0 }
    };
    // The selector likes easy rows, and nothing else.
    let likes_easy = |row: usize, _: bool, salt: u64| row as f64 / 200.0 + 0.4 * lot(salt);
    // What one arm says is off by the luck of its draws; the mean of several is not.
    let mean_of_arms = |answers: usize, preference: &Preference<'_>, n: usize| {
        let arms = (0..ARMS).map(|arm| estimated(&seen(80, answers, preference, seed + arm), n));
        arms.sum::<f64>() / ARMS as f64
    };
    let selectors: [(&str, &Preference<'_>, f64); 3] = [
        ("two levels", &valid, 0.02),
        ("finer", &fine, 0.03),
        ("blind", &likes_easy, 0.06),
    ];
    for (name, preference, most) in selectors {
        for n in [2, 5, 20] {
            let truth = drawn(80, preference, n, seed);
            for answers in [4, 16] {
                let found = mean_of_arms(answers, preference, n);
                println!("{name}: {n} of {answers}: {found:.3} for {truth:.3} with seed {seed}");
                assert!(
                    near(found, truth, most),
                    "{name}: {n} of {answers}: {found} for {truth}"
                );
            }
        }
    }
}

#[test]
fn without_a_comparison_the_guess_stands() {
    let one_each = [row(&[(1.0, 0.2)]), row(&[(0.0, 0.3)]), row(&[(0.5, 0.9)])];
    let preferred = Preferred::sum(one_each.iter());
    assert!(near(preferred.all, 0.0, 1e-12));
    assert!(near(preferred.towards(0.7, 2.0), 0.7, 1e-12));
    let pair = row(&[(1.0, 0.9), (0.0, 0.1), (0.0, 0.9)]);
    let preferred = Preferred::sum([&pair].into_iter());
    assert!(near(preferred.right / preferred.all, 0.75, 1e-12));
    // All of one level: nothing is chosen by it.
    let same = [row(&[(1.0, 0.5), (0.0, 0.5)]), row(&[(0.0, 0.5)])];
    assert!(near(estimated(&same, 9), (0.1 + 0.5) / 2.0, 1e-12));
}

#[test]
fn more_are_worth_more_where_right_ones_are_preferred() {
    for preferred in [0.6, 0.8, 0.99] {
        let selection = Selection::new(finer(preferred));
        for chance in [0.05, 0.3, 0.8] {
            let worths = [1.0, 2.0, 4.0, 8.0, 16.0].map(|n| selection.worth(chance, n));
            assert!(worths.is_sorted(), "{preferred} {chance}: {worths:?}");
            let any = 1.0 - (1.0 - chance).powi(16);
            assert!(worths[4] <= any + 1e-3);
        }
        let fair = Selection::new(finer(0.5));
        assert!(near(fair.worth(0.3, 16.0), 0.3, 1e-9));
    }
}
