//! What the answer that most of n give to a row is worth.
//!
//! The chance p that an answer is right does not say it: where wrong answers are all different, a p of a
//! third wins nearly always, and where they are all the same it nearly never does. So of each row it is
//! estimated how wrong answers spread: the share of them that gives none, and of the others that of its
//! rivals, some wrong answers that are about as frequent as one another. The rest is taken to be each one of
//! a kind.
//!
//! How many rivals there are and how frequent is not known, so every way is weighed by how likely it brings
//! about the votes that were seen: on the row, and on others of the arm and of its model and prompt.
//!
//! Right answers, the rivals and the rest of n are then multinomial, and the right one wins where it has
//! more votes than any rival and more than one; where it has as many, or one among others that have one,
//! one of these is drawn.

use super::arm::{Arm, Row};
use super::chance_table::ChanceTable;
use super::standard::normal;
use frugal_domain::scoring::AnswerKey;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// How finely spreads are told apart: the share of all rivals, and of those without an answer.
const SHARE_STEPS: u8 = 8;
const SILENT_STEPS: u8 = 4;
/// How many rivals there may be.
const RIVALS: [u32; 6] = [1, 2, 3, 5, 9, 20];
/// The share of wrong answers that give none, before any was seen.
const SILENT: f64 = 0.1;
/// How many rows what is known of a model and a prompt counts for in an arm, and a guess for these; and of the
/// share without an answer, how many wrong answers.
const WEIGHT: f64 = 2.0;
/// Rounds of expectation maximisation.
const ROUNDS: usize = 8;
/// No wrong answer is less likely to be one of a kind.
const LEAST_SINGLE: f64 = 0.01;
/// A way is left out that is so much less likely than the likeliest.
const HARDLY: f64 = 0.05;
/// Up to so many answers the chances are computed one by one, and by a normal distribution beyond.
const MOST_COUNTED: usize = 64;
/// The chances of a right answer that they are computed at, the closer the smaller.
const POINTS: usize = 33;

/// How the wrong answers to a row spread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spread {
    /// How many rivals there are, by the place in [`RIVALS`].
    rivals: u8,
    /// Of those that give an answer, the share that gives one of the rivals, in steps.
    share: u8,
    /// The share that gives none, in steps.
    silent: u8,
}

/// How many spreads there are.
const SPREADS: usize = RIVALS.len() * (SHARE_STEPS as usize + 1) * (SILENT_STEPS as usize + 1);

/// How the wrong answers to a row may spread, with the chance of each.
pub(super) type Spreads = Vec<(Spread, f64)>;

/// What was seen of the wrong answers to a row.
#[derive(Debug, Clone, Default, PartialEq)]
struct Wrong {
    /// The votes of those that were given more than once, the most frequent first.
    repeated: Vec<u32>,
    /// Those that were given once.
    once: u32,
    /// Responses that give none.
    silent: u32,
}

/// A way in which wrong answers may spread: the rivals, and the share of all of them.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Way {
    rivals: u8,
    share: u8,
}

/// What is known of the ways of some rows.
#[derive(Debug, Clone)]
struct Known {
    /// How likely each of [`ways`] is.
    chances: Vec<f64>,
    /// The share of wrong answers that are none.
    silent: f64,
}

/// All ways.
fn ways() -> Vec<Way> {
    let shares = |rivals: u8| (1..=SHARE_STEPS).map(move |share| Way { rivals, share });
    let none = Way {
        rivals: 0,
        share: 0,
    };
    let places = (0_u8..).take(RIVALS.len());
    std::iter::once(none)
        .chain(places.flat_map(shares))
        .collect()
}

impl Known {
    /// Before any answer was seen.
    fn guess(ways: &[Way]) -> Self {
        Self {
            chances: vec![1.0 / ways.len() as f64; ways.len()],
            silent: SILENT,
        }
    }

    /// Of rows, pulled towards what is usual: by expectation maximisation with a Dirichlet prior.
    fn of(rows: &[Wrong], ways: &[Way], usual: &Self) -> Self {
        let likelihoods: Vec<Vec<f64>> = rows.iter().map(|row| row.likelihoods(ways)).collect();
        let mut chances = usual.chances.clone();
        for _ in 0..ROUNDS {
            let mut sums: Vec<f64> = usual.chances.iter().map(|one| WEIGHT * one).collect();
            for likelihood in &likelihoods {
                for (sum, chance) in sums.iter_mut().zip(posterior(&chances, likelihood)) {
                    *sum += chance;
                }
            }
            let all: f64 = sums.iter().sum();
            chances = sums.into_iter().map(|sum| sum / all).collect();
        }
        let silent: u32 = rows.iter().map(|row| row.silent).sum();
        let all: u32 = rows.iter().map(Wrong::all).sum();
        Self {
            chances,
            silent: pulled(silent, all, usual.silent),
        }
    }
}

/// A share of responses, pulled towards another.
fn pulled(some: u32, all: u32, usual: f64) -> f64 {
    (f64::from(some) + WEIGHT * usual) / (f64::from(all) + WEIGHT)
}

/// How likely each way is, once a row was seen.
fn posterior(chances: &[f64], likelihood: &[f64]) -> Vec<f64> {
    let both = chances.iter().zip(likelihood);
    let weights: Vec<f64> = both
        .map(|(chance, likelihood)| chance * likelihood)
        .collect();
    let all: f64 = weights.iter().sum();
    weights
        .into_iter()
        .map(|weight| weight / all.max(1e-300))
        .collect()
}

impl Spread {
    /// Of each row of an arm. Few answers say little, so these are pulled towards what the arm's other
    /// rows say, and that towards what its model and prompt do.
    pub(super) fn of_rows(arm: &Arm, arms: &[Arm]) -> Vec<Spreads> {
        let group = arms.iter().filter(|other| {
            (other.place.model, other.place.prompt) == (arm.place.model, arm.place.prompt)
        });
        let ways = ways();
        let of_group: Vec<Wrong> = group
            .flat_map(Arm::data)
            .map(|(_, row)| Wrong::of(row))
            .collect();
        let of_arm: Vec<Wrong> = arm.data().map(|(_, row)| Wrong::of(row)).collect();
        let of_group = Known::of(&of_group, &ways, &Known::guess(&ways));
        let usual = Known::of(&of_arm, &ways, &of_group);
        let of_row = |row: &Option<Row>| {
            let wrong = row.as_ref().map(Wrong::of).unwrap_or_default();
            wrong.spreads(&ways, &usual)
        };
        arm.rows.iter().map(of_row).collect()
    }

    /// A number of its own.
    fn place(self) -> usize {
        let shares = usize::from(SHARE_STEPS) + 1;
        let silents = usize::from(SILENT_STEPS) + 1;
        let first = usize::from(self.rivals) * shares + usize::from(self.share);
        first * silents + usize::from(self.silent)
    }
}

impl Wrong {
    fn of(row: &Row) -> Self {
        let mut votes: BTreeMap<AnswerKey, u32> = BTreeMap::new();
        let mut wrong = Self::default();
        for (score, answer) in row.scores.iter().zip(&row.answers) {
            match answer {
                _ if *score >= 0.5 => {}
                Some(answer) => *votes.entry(*answer).or_default() += 1,
                None => wrong.silent += 1,
            }
        }
        let (once, mut repeated): (Vec<u32>, _) =
            votes.into_values().partition(|votes| *votes == 1);
        repeated.sort_unstable_by(|one, other| other.cmp(one));
        wrong.once = u32::try_from(once.len()).unwrap_or(u32::MAX);
        wrong.repeated = repeated;
        wrong
    }

    /// All of them, with those that are none.
    fn all(&self) -> u32 {
        self.repeated.iter().sum::<u32>() + self.once + self.silent
    }

    /// How likely each way brings about these votes, up to a factor that is the same for all.
    fn likelihoods(&self, ways: &[Way]) -> Vec<f64> {
        let logs: Vec<f64> = ways.iter().map(|way| self.log_likelihood(*way)).collect();
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        logs.into_iter().map(|log| (log - most).exp()).collect()
    }

    /// The log of how likely a way brings about these votes in one order. What was given more than once is a
    /// rival; what was given once is another of these, or one of a kind.
    fn log_likelihood(&self, way: Way) -> f64 {
        let rivals = RIVALS[usize::from(way.rivals)];
        let share = f64::from(way.share) / f64::from(SHARE_STEPS);
        // No answer is surely a rival.
        let single = (1.0 - share).max(LEAST_SINGLE);
        let rival = (1.0 - single) / f64::from(rivals);
        let votes: u32 = self.repeated.iter().sum();
        // More than any way has rivals count as those of the way with most.
        let most = RIVALS.iter().copied().fold(0, u32::max);
        let found = u32::try_from(self.repeated.len()).unwrap_or(most).min(most);
        if found > rivals || found > 0 && rival <= 0.0 {
            return f64::NEG_INFINITY;
        }
        // So many rivals may be taken for these votes, one after the other.
        let taken =
            |count: u32| -> f64 { (0..count).map(|one| f64::from(rivals - one).ln()).sum() };
        let most_more = match rival > 0.0 {
            true => self.once.min(rivals - found),
            false => 0,
        };
        let mut choose = 0.0_f64;
        let terms = (0..=most_more).map(|more| {
            let of_rivals = f64::from(votes + more);
            let of_rivals = if of_rivals > 0.0 {
                of_rivals * rival.ln()
            } else {
                0.0
            };
            let of_singles = f64::from(self.once - more) * single.ln();
            let term = taken(found + more) + choose + of_rivals + of_singles;
            choose += (f64::from(self.once - more) / f64::from(more + 1)).ln();
            term
        });
        let terms: Vec<f64> = terms.collect();
        let most = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        most + terms
            .iter()
            .map(|term| (term - most).exp())
            .sum::<f64>()
            .ln()
    }

    /// The ways of a row, once it was seen, those left out that are hardly likely.
    fn spreads(&self, ways: &[Way], usual: &Known) -> Spreads {
        let silent = step(pulled(self.silent, self.all(), usual.silent), SILENT_STEPS);
        let chances = posterior(&usual.chances, &self.likelihoods(ways));
        let most = chances.iter().copied().fold(0.0, f64::max);
        let likely = ways
            .iter()
            .zip(chances)
            .filter(|(_, chance)| *chance >= HARDLY * most);
        let mut spreads: Spreads = likely
            .map(|(way, chance)| {
                let Way { rivals, share } = *way;
                let spread = Spread {
                    rivals,
                    share,
                    silent,
                };
                (spread, chance)
            })
            .collect();
        let all: f64 = spreads.iter().map(|(_, chance)| chance).sum();
        for (_, chance) in &mut spreads {
            *chance /= all;
        }
        spreads
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

/// The chance that the answer which most of n give is right, each being right with this chance and the wrong
/// ones spread in one of these ways.
pub(super) fn weighed(chance: f64, n: f64, spreads: &[(Spread, f64)]) -> f64 {
    let ways = spreads.iter();
    ways.map(|(spread, weight)| weight * majority(chance, n, *spread))
        .sum()
}

/// The same where they spread so.
fn majority(chance: f64, n: f64, spread: Spread) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number"
    )]
    let counted = n as usize;
    match counted {
        0 | 1 => chance,
        2..=MOST_COUNTED => table(counted, spread).at(chance),
        _ => far(counted, spread).at(chance),
    }
}

/// The same by normal distributions: of the votes of right answers, and given these of each rival's.
fn approximate(chance: f64, n: f64, spread: Spread) -> f64 {
    /// Values that the votes of right answers may take, in deviations to either side.
    const NODES: i32 = 80;
    const REACH: f64 = 4.0;
    let chance = chance.clamp(0.0, 1.0);
    let kinds = Kinds::of(spread);
    let (mut ahead, mut all) = (0.0, 0.0);
    for node in -NODES..=NODES {
        let at = REACH * f64::from(node) / f64::from(NODES);
        let weight = (-0.5 * at * at).exp();
        let right = n * chance + at * (n * chance * (1.0 - chance)).sqrt();
        let others = (n - right).max(0.0);
        let deviation = (others * kinds.rival * (1.0 - kinds.rival))
            .sqrt()
            .max(1e-9);
        let lead = (right - others * kinds.rival) / deviation;
        ahead += weight * normal(lead).powf(f64::from(kinds.rivals));
        all += weight;
    }
    let (none, one) = (
        (1.0 - chance).powf(n),
        n * chance * (1.0 - chance).powf(n - 1.0),
    );
    ahead / all * (1.0 - none - one).clamp(0.0, 1.0)
}

/// How likely a wrong answer is of each kind.
#[derive(Debug, Clone, Copy)]
struct Kinds {
    rivals: u32,
    /// One of them.
    rival: f64,
    single: f64,
    silent: f64,
}

impl Kinds {
    fn of(spread: Spread) -> Self {
        let rivals = RIVALS[usize::from(spread.rivals).min(RIVALS.len() - 1)];
        let silent = f64::from(spread.silent) / f64::from(SILENT_STEPS);
        let all = (1.0 - silent) * f64::from(spread.share) / f64::from(SHARE_STEPS);
        Self {
            rivals,
            rival: all / f64::from(rivals),
            single: 1.0 - silent - all,
            silent,
        }
    }
}

/// The chances for one n and spread, at some chances of a right answer.
type Table = ChanceTable<POINTS>;

/// The table of an n and a spread. It is a function of these alone, and made when it is first asked for.
fn table(n: usize, spread: Spread) -> &'static Table {
    static TABLES: [[OnceLock<Table>; SPREADS]; MOST_COUNTED + 1] =
        [const { [const { OnceLock::new() }; SPREADS] }; MOST_COUNTED + 1];
    TABLES[n][spread.place()].get_or_init(|| {
        let wins = wins(spread);
        Table::of(|chance| counted(chance, n, wins))
    })
}

/// The same of more answers than are counted one by one.
fn far(n: usize, spread: Spread) -> Arc<Table> {
    static TABLES: Mutex<BTreeMap<(usize, usize), Arc<Table>>> = Mutex::new(BTreeMap::new());
    let mut tables = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
    let table = tables
        .entry((n, spread.place()))
        .or_insert_with(|| Arc::new(Table::of(|chance| approximate(chance, n as f64, spread))));
    Arc::clone(table)
}

/// The chance that right answers win, one number of their votes after the other.
fn counted(chance: f64, n: usize, wins: &Wins) -> f64 {
    if chance <= 0.0 || chance >= 1.0 {
        return chance;
    }
    // From the likeliest number of votes outwards, so that nothing vanishes that matters.
    let odds = chance / (1.0 - chance);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of votes"
    )]
    let mode = ((n as f64 * chance) as usize).min(n);
    let mut chances = vec![0.0; n + 1];
    chances[mode] = 1.0;
    for votes in mode..n {
        chances[votes + 1] = chances[votes] * odds * (n - votes) as f64 / (votes + 1) as f64;
    }
    for votes in (0..mode).rev() {
        chances[votes] = chances[votes + 1] * (votes + 1) as f64 / (odds * (n - votes) as f64);
    }
    let all: f64 = chances.iter().sum();
    let won = |(votes, chance): (usize, &f64)| chance * wins.of(votes, n - votes);
    let won: f64 = chances.iter().enumerate().skip(1).map(won).sum();
    (won / all).clamp(0.0, 1.0)
}

/// How likely so many right answers win against so many wrong ones, ties shared.
#[derive(Debug)]
struct Wins(Vec<f64>);

/// Those of a spread, made when they are first asked for.
fn wins(spread: Spread) -> &'static Wins {
    static WINS: [OnceLock<Wins>; SPREADS] = [const { OnceLock::new() }; SPREADS];
    WINS[spread.place()].get_or_init(|| Wins::new(Kinds::of(spread)))
}

impl Wins {
    fn of(&self, right: usize, wrong: usize) -> f64 {
        self.0[right * (MOST_COUNTED + 1) + wrong]
    }

    /// By generating functions: the votes of w wrong answers are distributed as those of independent Poisson
    /// variables that add up to w.
    fn new(kinds: Kinds) -> Self {
        let size = MOST_COUNTED + 1;
        let mut values = vec![0.0; size * size];
        let rival = poisson(kinds.rival);
        let singles = poisson(kinds.single);
        let silent = poisson(kinds.silent);
        let rest = poisson(kinds.single + kinds.silent);
        let all = poisson(1.0);
        for right in 1..size {
            // All rivals with fewer votes, then one more of them with as many, and so on.
            let mut fewer = vec![0.0; size];
            fewer[..right].copy_from_slice(&rival[..right]);
            let mut powers = vec![one()];
            for _ in 0..kinds.rivals {
                let next = product(powers.last().unwrap_or(&one()), &fewer);
                powers.push(next);
            }
            let (mut ways, mut tied) = (1.0, 1.0);
            for ties in 0..=kinds.rivals {
                let taken = ties as usize * right;
                if taken >= size {
                    break;
                }
                let power = &powers[(kinds.rivals - ties) as usize];
                if right == 1 {
                    // Each one of a kind has as many votes as the right one.
                    for (single, weight) in singles.iter().enumerate().take(size - taken) {
                        let share = ways * tied * power[0] * weight;
                        let share = share / (1 + ties as usize + single) as f64;
                        let first = size + taken + single;
                        let others = &mut values[first..2 * size];
                        for (value, quiet) in others.iter_mut().zip(&silent) {
                            *value += share * quiet;
                        }
                    }
                } else {
                    let share = ways * tied / f64::from(1 + ties);
                    let others = product(power, &rest);
                    for (wrong, chance) in others.iter().enumerate().take(size - taken) {
                        values[right * size + taken + wrong] += share * chance;
                    }
                }
                ways *= f64::from(kinds.rivals - ties) / f64::from(ties + 1);
                tied *= rival[right];
            }
            let of_right = &mut values[right * size..(right + 1) * size];
            for (value, all) in of_right.iter_mut().zip(&all) {
                *value /= all;
            }
        }
        Self(values)
    }
}

/// The weights of 0, 1, 2, … events of a Poisson variable with this mean, but for a common factor.
fn poisson(mean: f64) -> Vec<f64> {
    let mut weights = one();
    for number in 1..weights.len() {
        weights[number] = weights[number - 1] * mean / number as f64;
    }
    weights
}

/// Nothing for sure.
fn one() -> Vec<f64> {
    let mut weights = vec![0.0; MOST_COUNTED + 1];
    weights[0] = 1.0;
    weights
}

/// The weights of the sum of two numbers of events.
fn product(one: &[f64], other: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; one.len()];
    for (at, weight) in one.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
        for (sum, further) in sums[at..].iter_mut().zip(other) {
            *sum += weight * further;
        }
    }
    sums
}

#[cfg(test)]
mod tests;
