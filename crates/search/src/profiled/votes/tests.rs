use super::*;
use frugal_domain::seed::mix;

/// So many rivals by their place in [`RIVALS`], with a share of the wrong answers in steps, and of these that
/// are none.
const fn spread(rivals: u8, share: u8, silent: u8) -> Spread {
    Spread {
        rivals,
        share,
        silent,
    }
}

fn near(found: f64, expected: f64, by: f64) -> bool {
    (found - expected).abs() < by
}

#[test]
fn few_answers_are_counted_out() {
    // All wrong ones alike: two of three must be right.
    let two = 3.0 * 0.0625 * 0.75 + 0.015_625;
    let found = majority(0.25, 3.0, spread(0, 8, 0));
    assert!(near(found, two, 1e-12), "{found}");
    // Each of a kind: one right of three is drawn with a third.
    let one = 3.0 * 0.25 * 0.5625;
    let found = majority(0.25, 3.0, spread(0, 0, 0));
    assert!(near(found, two + one / 3.0, 1e-12), "{found}");
    // Two that are as frequent: two wrong ones are the same in half of all cases.
    let found = majority(0.25, 3.0, spread(1, 8, 0));
    assert!(near(found, two + one * 0.5 / 3.0, 1e-12), "{found}");
    // Those without an answer have no vote: one right answer is enough.
    let found = majority(0.25, 3.0, spread(0, 0, 4));
    assert!(near(found, 1.0 - 0.75_f64.powi(3), 1e-12), "{found}");
    for all in [
        spread(0, 0, 0),
        spread(0, 8, 0),
        spread(3, 3, 2),
        spread(5, 8, 0),
    ] {
        for n in [1.0, 2.0, 9.0, 64.0, 65.0, 100.0] {
            assert!(near(majority(0.0, n, all), 0.0, 1e-9));
            assert!(near(majority(1.0, n, all), 1.0, 1e-9));
        }
        assert!(near(majority(0.37, 2.0, all), 0.37, 0.02) || all.silent > 0);
    }
}

#[test]
fn the_mode_wins_in_the_long_run() {
    for n in [51.0, 100.0] {
        assert!(majority(0.3, n, spread(0, 1, 0)) > 0.95, "{n}");
        assert!(majority(0.3, n, spread(0, 8, 0)) < 0.01, "{n}");
        assert!(majority(0.3, n, spread(5, 8, 0)) > 0.95, "{n}");
    }
    // The two ways to compute it meet.
    for (chance, spread) in [
        (0.3, spread(0, 3, 1)),
        (0.45, spread(0, 8, 0)),
        (0.1, spread(0, 1, 0)),
        (0.3, spread(2, 8, 0)),
        (0.15, spread(5, 8, 1)),
    ] {
        let exact = table(MOST_COUNTED, spread).at(chance);
        let normal = approximate(chance, MOST_COUNTED as f64, spread);
        assert!(near(exact, normal, 0.06), "{exact} {normal}");
    }
}

fn row(answers: &[(f64, u64)]) -> Row {
    Row {
        scores: answers.iter().map(|(score, _)| *score).collect(),
        answers: answers
            .iter()
            .map(|(_, answer)| (*answer > 0).then_some(AnswerKey(*answer)))
            .collect(),
        ..Row::default()
    }
}

#[test]
fn what_was_seen_says_how_wrong_answers_spread() {
    let wrong = Wrong::of(&row(&[
        (1.0, 1),
        (0.0, 2),
        (0.0, 3),
        (0.0, 3),
        (0.0, 4),
        (0.0, 0),
    ]));
    assert_eq!(
        (&wrong.repeated[..], wrong.once, wrong.silent),
        (&[2][..], 2, 1)
    );
    let ways = ways();
    let likely = |answers: &[u64]| {
        let answers: Vec<(f64, u64)> = answers.iter().map(|answer| (0.0, *answer)).collect();
        let likelihoods = Wrong::of(&row(&answers)).likelihoods(&ways);
        let best =
            (0..ways.len()).max_by(|one, other| likelihoods[*one].total_cmp(&likelihoods[*other]));
        let way = ways[best.unwrap()];
        (RIVALS[usize::from(way.rivals)], way.share)
    };
    assert_eq!(likely(&[2, 2, 2, 2, 2, 2]), (1, 8));
    assert_eq!(likely(&[2, 3, 4, 5, 6, 7]), (1, 0));
    assert_eq!(likely(&[2, 3, 4, 2, 3, 4, 2, 3, 4]), (3, 8));
    assert_eq!(likely(&[2, 2, 2, 2, 3, 4, 5, 6]), (1, 4));
    // More that repeat than any way has rivals.
    let many: Vec<u64> = (2..40).chain(2..40).collect();
    assert_eq!(likely(&many).0, 20);
    // One wrong answer says nothing of others.
    let one = Wrong::of(&row(&[(0.0, 2)])).likelihoods(&ways);
    assert!(one.iter().all(|likelihood| near(*likelihood, 1.0, 1e-9)));
}

#[test]
fn a_likelihood_is_that_of_drawing() {
    // Of two as frequent rivals with half of all wrong answers and others each of a kind, three answers are
    // all the same, two of three, or apart.
    let ways = [Way {
        rivals: 1,
        share: 4,
    }];
    let log = |answers: &[u64]| {
        let answers: Vec<(f64, u64)> = answers.iter().map(|answer| (0.0, *answer)).collect();
        Wrong::of(&row(&answers)).log_likelihood(ways[0]).exp()
    };
    let (same, two, apart) = (2.0 / 64.0, 2.0 / 16.0 * 0.5 + 2.0 / 64.0, {
        // None of them, one, or both of the rivals among three.
        0.125 + 3.0 * 0.5 * 0.25 + 6.0 * 0.5 / 16.0
    });
    assert!(near(log(&[2, 2, 2]), same, 1e-12));
    assert!(near(log(&[2, 2, 3]), two, 1e-12));
    assert!(near(log(&[2, 3, 4]), apart, 1e-12));
    // In one order or another something is seen.
    assert!(near(same + 3.0 * two + apart, 1.0, 1e-12));
}

/// A number from 0 to 1.
fn lot(seed: u64) -> f64 {
    (mix(seed) % 1_000_000) as f64 / 1_000_000.0
}

/// Which answer is given to a row, 1 being right.
type World = fn(row: u64, right: f64, seed: u64) -> u64;

fn one_of(kinds: f64, seed: u64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small number"
    )]
    let kind = (lot(seed) * kinds) as u64;
    2 + kind
}

fn or_right(right: f64, seed: u64, wrong: impl Fn(u64) -> u64) -> u64 {
    if lot(seed) < right {
        1
    } else {
        wrong(mix(seed ^ 77))
    }
}

const WORLDS: [(&str, World); 7] = [
    ("20 as frequent", |_, right, seed| {
        or_right(right, seed, |lot| one_of(20.0, lot))
    }),
    ("3 as frequent", |_, right, seed| {
        or_right(right, seed, |lot| one_of(3.0, lot))
    }),
    ("one of 0.7, the rest once", |_, right, seed| {
        or_right(right, seed, |own| {
            if lot(own) < 0.7 { 2 } else { 3 + mix(own) / 2 }
        })
    }),
    ("each of a kind", |_, right, seed| {
        or_right(right, seed, |own| 2 + mix(own) / 2)
    }),
    ("as 1/k, 8 of them", |_, right, seed| {
        or_right(right, seed, |own| {
            let all: f64 = (1..=8).map(|kind| 1.0 / f64::from(kind)).sum();
            let mut left = lot(own) * all;
            for kind in 1..=8_u32 {
                left -= 1.0 / f64::from(kind);
                if left < 0.0 {
                    return 1 + u64::from(kind);
                }
            }
            9
        })
    }),
    ("1, 3 or 20 by row", |row, right, seed| {
        let kinds = [1.0, 3.0, 20.0][usize::try_from(row % 3).unwrap()];
        or_right(right, seed, |lot| one_of(kinds, lot))
    }),
    ("one of 0.9, the rest another", |_, right, seed| {
        or_right(right, seed, |own| if lot(own) < 0.9 { 2 } else { 3 })
    }),
];

/// The bias of what is estimated, for so many answers seen and so many voting.
fn bias(world: World, seen: u64, voting: u64, seed: u64) -> (f64, f64) {
    const ROWS: u64 = 60;
    const DRAWS: u64 = 150;
    let right = |row: u64| 0.15 + 0.45 * row as f64 / ROWS as f64;
    let salt = |row: u64, at: u64, what: u64| mix(seed ^ mix(row) ^ mix(at ^ (what << 40)));
    let mut truth = 0.0;
    for row in 0..ROWS {
        for draw in 0..DRAWS {
            let mut votes: BTreeMap<u64, u64> = BTreeMap::new();
            for at in 0..voting {
                let answer = world(row, right(row), salt(row, draw * 1_000 + at, 1));
                *votes.entry(answer).or_default() += 1;
            }
            let most = votes.values().copied().max();
            let first = votes.values().filter(|votes| Some(**votes) == most);
            if votes.get(&1).copied() == most {
                truth += 1.0 / first.count() as f64;
            }
        }
    }
    truth /= (ROWS * DRAWS) as f64;
    let mut found = 0.0;
    let arms = 6;
    for number in 0..arms {
        let rows = usize::try_from(ROWS).unwrap();
        let mut arm = Arm::new(crate::profiled::arm::tests::place(), rows);
        arm.rows = (0..ROWS)
            .map(|place| {
                let answer = |at| world(place, right(place), salt(place, number * 1_000 + at, 2));
                let told = (0..seen).map(answer);
                let told = told.map(|answer| (f64::from(u8::from(answer == 1)), answer));
                Some(row(&told.collect::<Vec<_>>()))
            })
            .collect();
        let spreads = Spread::of_rows(&arm, std::slice::from_ref(&arm));
        for (row, spreads) in (0..ROWS).zip(&spreads) {
            found += weighed(right(row), voting as f64, spreads);
        }
    }
    (truth, found / (arms * ROWS) as f64 - truth)
}

#[test]
fn the_estimate_meets_what_drawing_comes_to() {
    let seed = 5;
    for (name, world) in WORLDS {
        for (seen, most) in [(4, 0.1), (16, 0.07)] {
            for voting in [5, 15, 41] {
                let (truth, off) = bias(world, seen, voting, seed);
                println!("{name}: {voting} of {seen}: {truth:.3} {off:+.3} with seed {seed}");
                assert!(
                    off.abs() < most,
                    "{name}: {voting} of {seen}: {truth} {off}"
                );
            }
        }
    }
}
