//! What the answer that most of n give to a row is worth.
//!
//! The chance p that an answer is right does not say it: where wrong answers are all different, a p of a
//! third wins nearly always, and where they are all the same it nearly never does. So of each row it is
//! estimated how wrong answers spread: the share of them that gives none, and of the others the share that
//! gives the most frequent one, its rival. The rest is taken to be each one of a kind.
//!
//! Right answers, the rival and the rest of n are then multinomial, and the right one wins where it has
//! more votes than the rival and more than one; where it has as many, or one among others that have one,
//! one of these is drawn.

use super::arm::{Arm, Row};
use frugal_domain::scoring::AnswerKey;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// How finely spreads are told apart: the share of the rival, and of those without an answer.
const RIVAL_STEPS: u8 = 8;
const SILENT_STEPS: u8 = 4;
/// The chance that two wrong answers are the same, before any was seen.
const ALIKE: f64 = 0.3;
/// The share of wrong answers that give none, before any was seen.
const SILENT: f64 = 0.1;
/// How many wrong answers what is known of an arm counts for on each row, what is known of its model and
/// prompt for the arm, and the guess for these.
const WEIGHT: f64 = 2.0;
/// Up to so many answers the chances are computed one by one, and by a normal distribution beyond.
const MOST_COUNTED: usize = 64;
/// The chances of a right answer that they are computed at, the closer the smaller.
const POINTS: usize = 33;

/// How the wrong answers to a row spread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spread {
    /// Of those that give an answer, the share that gives the most frequent one, in steps.
    rival: u8,
    /// The share that gives none, in steps.
    silent: u8,
}

/// What was seen of wrong answers.
#[derive(Debug, Clone, Copy, Default)]
struct Wrong {
    /// Answers besides the first of a row, and how many of them are like one of the row's, which may be
    /// a fraction: as large a share as of all pairs. One answer alone does not say how many are like it.
    others: f64,
    alike: f64,
    /// All of them, and those that give no answer.
    all: f64,
    silent: f64,
}

/// The shares that a spread is made of.
#[derive(Debug, Clone, Copy)]
struct Shares {
    /// The chance that two answers are the same.
    alike: f64,
    silent: f64,
}

impl Spread {
    /// Of each row of an arm. Few answers say little, so these are pulled towards what the arm's other
    /// rows say, and that towards what its model and prompt do.
    pub(super) fn of_rows(arm: &Arm, arms: &[Arm]) -> Vec<Self> {
        let group = arms.iter().filter(|other| {
            (other.place.model, other.place.prompt) == (arm.place.model, arm.place.prompt)
        });
        let guess = Shares {
            alike: ALIKE,
            silent: SILENT,
        };
        let of_group = Wrong::sum(group.flat_map(|one| one.data().map(|(_, row)| row)));
        let of_arm = Wrong::sum(arm.data().map(|(_, row)| row));
        let usual = of_arm.towards(of_group.towards(guess));
        let of_row = |row: &Option<Row>| {
            let wrong = row.as_ref().map(Wrong::of).unwrap_or_default();
            wrong.towards(usual).spread()
        };
        arm.rows.iter().map(of_row).collect()
    }
}

impl Wrong {
    fn of(row: &Row) -> Self {
        let mut votes: BTreeMap<AnswerKey, f64> = BTreeMap::new();
        let mut wrong = Self::default();
        for (score, answer) in row.scores.iter().zip(&row.answers) {
            if *score >= 0.5 {
                continue;
            }
            wrong.all += 1.0;
            match answer {
                Some(answer) => *votes.entry(*answer).or_default() += 1.0,
                None => wrong.silent += 1.0,
            }
        }
        let voting = wrong.all - wrong.silent;
        let pairs: f64 = votes.values().map(|votes| votes * (votes - 1.0)).sum();
        wrong.alike = pairs / voting.max(1.0);
        wrong.others = (voting - 1.0).max(0.0);
        wrong
    }

    fn sum<'a>(rows: impl Iterator<Item = &'a Row>) -> Self {
        rows.map(Self::of).fold(Self::default(), |sum, one| Self {
            others: sum.others + one.others,
            alike: sum.alike + one.alike,
            all: sum.all + one.all,
            silent: sum.silent + one.silent,
        })
    }

    /// The shares, pulled towards others.
    fn towards(self, usual: Shares) -> Shares {
        Shares {
            alike: (self.alike + WEIGHT * usual.alike) / (self.others + WEIGHT),
            silent: (self.silent + WEIGHT * usual.silent) / (self.all + WEIGHT),
        }
    }
}

impl Shares {
    /// The share of the most frequent answer. Where all are as frequent it is the chance that two are the
    /// same, and where one is and the others are each one of a kind, the root of that. Between the two,
    /// since several rivals that are as frequent beat the right answer more often than one of them does.
    fn rival(self) -> f64 {
        f64::midpoint(self.alike, self.alike.sqrt())
    }

    fn spread(self) -> Spread {
        Spread {
            rival: step(self.rival(), RIVAL_STEPS),
            silent: step(self.silent, SILENT_STEPS),
        }
    }
}

fn step(share: f64, steps: u8) -> u8 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a few steps"
    )]
    let step = (share * f64::from(steps)).round() as u8;
    step.min(steps)
}

/// The chance that the answer which most of n give is right, each being right with this chance.
pub(super) fn majority(chance: f64, n: f64, spread: Spread) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number"
    )]
    let counted = n as usize;
    match counted {
        0 | 1 => chance,
        2..=MOST_COUNTED => table(counted).at(chance, spread),
        _ => approximate(chance, n, spread),
    }
}

/// The same by a normal distribution of how many more votes right answers have than the rival.
fn approximate(chance: f64, n: f64, spread: Spread) -> f64 {
    let chance = chance.clamp(0.0, 1.0);
    let rival = Kinds::of(chance, spread).rival;
    let lead = chance - rival;
    let deviation = ((chance + rival - lead * lead) / n).sqrt().max(1e-9);
    let ahead = 0.5 * libm::erfc(-lead / deviation / std::f64::consts::SQRT_2);
    let (none, one) = (
        (1.0 - chance).powf(n),
        n * chance * (1.0 - chance).powf(n - 1.0),
    );
    ahead * (1.0 - none - one).clamp(0.0, 1.0)
}

/// How likely an answer is of each kind.
struct Kinds {
    right: f64,
    rival: f64,
    single: f64,
    silent: f64,
}

impl Kinds {
    fn of(chance: f64, spread: Spread) -> Self {
        let wrong = 1.0 - chance;
        let silent = wrong * f64::from(spread.silent) / f64::from(SILENT_STEPS);
        let rival = (wrong - silent) * f64::from(spread.rival) / f64::from(RIVAL_STEPS);
        Self {
            right: chance,
            rival,
            single: wrong - silent - rival,
            silent,
        }
    }
}

/// The chances for one n, at some chances of a right answer and every spread.
#[derive(Debug)]
struct Table(Vec<f64>);

/// The table of an n. It is a function of n alone, and made when it is first asked for.
fn table(n: usize) -> &'static Table {
    static TABLES: [OnceLock<Table>; MOST_COUNTED + 1] =
        [const { OnceLock::new() }; MOST_COUNTED + 1];
    TABLES[n].get_or_init(|| Table::new(n))
}

impl Table {
    fn new(n: usize) -> Self {
        let mut logs = vec![0.0];
        for number in 1..=n {
            logs.push(logs[number - 1] + (number as f64).ln());
        }
        let mut values = Vec::new();
        for rival in 0..=RIVAL_STEPS {
            for silent in 0..=SILENT_STEPS {
                let spread = Spread { rival, silent };
                let point = |point: usize| (point as f64 / (POINTS - 1) as f64).powi(2);
                let points = (0..POINTS).map(|at| Kinds::of(point(at), spread));
                values.extend(points.map(|kinds| counted(&kinds, n, &logs)));
            }
        }
        Self(values)
    }

    /// Between two points by their distance.
    fn at(&self, chance: f64, spread: Spread) -> f64 {
        let row = usize::from(spread.rival) * usize::from(SILENT_STEPS + 1);
        let first = (row + usize::from(spread.silent)) * POINTS;
        let chance = chance.clamp(0.0, 1.0);
        let last = POINTS - 2;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place among the points"
        )]
        let below = ((chance.sqrt() * (POINTS - 1) as f64) as usize).min(last);
        let [low, high] = [below, below + 1].map(|at| (at as f64 / (POINTS - 1) as f64).powi(2));
        let (from, to) = (self.0[first + below], self.0[first + below + 1]);
        from + (to - from) * (chance - low) / (high - low)
    }
}

/// The chance that right answers win, one number of votes after the other. `logs` are those of factorials.
fn counted(kinds: &Kinds, n: usize, logs: &[f64]) -> f64 {
    let power = |chance: f64, times: usize| match times {
        0 => 0.0,
        _ => times as f64 * chance.ln(),
    };
    let chance = |right: usize, rival: usize| {
        let rest = n - right - rival;
        let ways = logs[n] - logs[right] - logs[rival] - logs[rest];
        let kinds = power(kinds.right, right)
            + power(kinds.rival, rival)
            + power(kinds.single + kinds.silent, rest);
        (ways + kinds).exp()
    };
    let mut won = 0.0;
    for right in 2..=n {
        for rival in 0..=right.min(n - right) {
            let share = if rival == right { 0.5 } else { 1.0 };
            won += share * chance(right, rival);
        }
    }
    // With one vote, the right answer is one of as many as have one.
    let voting = kinds.single / (kinds.single + kinds.silent).max(1e-300);
    for rival in 0..=1.min(n - 1) {
        let rest = n - 1 - rival;
        let of_singles = |singles: usize| {
            let ways = logs[rest] - logs[singles] - logs[rest - singles];
            let kinds = power(voting, singles) + power(1.0 - voting, rest - singles);
            (ways + kinds).exp() / (1 + rival + singles) as f64
        };
        won += chance(1, rival) * (0..=rest).map(of_singles).sum::<f64>();
    }
    won.clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn spread(rival: u8, silent: u8) -> Spread {
        Spread { rival, silent }
    }

    fn near(found: f64, expected: f64, by: f64) -> bool {
        (found - expected).abs() < by
    }

    #[test]
    fn few_answers_are_counted_out() {
        // All wrong ones alike: two of three must be right.
        let found = majority(0.25, 3.0, spread(8, 0));
        assert!(
            near(found, 3.0 * 0.0625 * 0.75 + 0.015_625, 1e-12),
            "{found}"
        );
        // Each of a kind: one right of three is drawn with a third.
        let found = majority(0.25, 3.0, spread(0, 0));
        let two = 3.0 * 0.0625 * 0.75 + 0.015_625;
        assert!(
            near(found, two + 3.0 * 0.25 * 0.5625 / 3.0, 1e-12),
            "{found}"
        );
        // Those without an answer have no vote: one right answer is enough.
        let found = majority(0.25, 3.0, spread(0, 4));
        assert!(near(found, 1.0 - 0.75_f64.powi(3), 1e-12), "{found}");
        for all in [spread(0, 0), spread(8, 0), spread(3, 2)] {
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
            assert!(majority(0.3, n, spread(1, 0)) > 0.95, "{n}");
            assert!(majority(0.3, n, spread(8, 0)) < 0.01, "{n}");
        }
        // The two ways to compute it meet.
        for (chance, spread) in [
            (0.3, spread(3, 1)),
            (0.45, spread(8, 0)),
            (0.1, spread(1, 0)),
        ] {
            let exact = table(MOST_COUNTED).at(chance, spread);
            let normal = approximate(chance, MOST_COUNTED as f64, spread);
            assert!(near(exact, normal, 0.03), "{exact} {normal}");
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
        let alike = Wrong::of(&row(&[(1.0, 1), (0.0, 2), (0.0, 2), (0.0, 2), (0.0, 0)]));
        assert_eq!((alike.alike, alike.others), (2.0, 2.0));
        let most = Wrong::of(&row(&[(0.0, 2), (0.0, 3), (0.0, 2), (0.0, 2)]));
        assert_eq!((most.alike, most.others), (1.5, 3.0));
        assert_eq!((alike.silent, alike.all), (1.0, 4.0));
        let apart = Wrong::of(&row(&[(0.0, 2), (0.0, 3), (0.0, 4)]));
        assert_eq!((apart.alike, apart.others), (0.0, 2.0));
        // One wrong answer says nothing of others.
        let one = Wrong::of(&row(&[(0.0, 2)]));
        assert_eq!((one.alike, one.others), (0.0, 0.0));
        let usual = Shares {
            alike: ALIKE,
            silent: SILENT,
        };
        assert!((one.towards(usual).alike - ALIKE).abs() < 1e-12);
        assert!(alike.towards(usual).alike > ALIKE && apart.towards(usual).alike < ALIKE);
        let shares = |alike| Shares { alike, silent: 0.0 }.rival();
        assert_eq!((shares(1.0), shares(0.25), shares(0.0)), (1.0, 0.375, 0.0));
    }
}
