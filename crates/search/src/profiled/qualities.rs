//! Joint draws of how good the answers of arms are beside those that they must be as good as.
//!
//! The reference is an arm too where the baseline lies in the space: what makes a row hard for both
//! does not count then.

use super::arm::{Arm, Row};
use super::constants::{FEW_ROWS, SAMPLES};
use super::posterior::logistic;
use super::profile::{Known, Profile, Standing};
use super::reduction::{Manner, reduce};
use super::standard::{Standard, deviation, normal};
use super::tokens::{Cost, mean};
use frugal_domain::configuration::Extent;
use frugal_domain::metric::Metric;
use frugal_domain::seed::mix;
use frugal_domain::trial::QualityDifference;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Each draw stands for those around it, so far as this share of their deviation: few of them would
/// otherwise say of a chance near 1 only that it is 1.
const BANDWIDTH: f64 = 0.3;
/// An arm of which next to nothing was seen is as good in at least one of so many draws. That models
/// are alike is no more than a guess, by which the cheap ones might never be looked at.
const HOPE: usize = 10;
/// How far apart chances are that a slope is taken between.
const SLOPE_STEP: f64 = 0.01;
/// The least deviation that a chance is computed with.
const LEAST_DEVIATION: f64 = 1e-6;

/// Joint draws of what the reference and the arms come to.
#[derive(Debug, Clone)]
pub(super) struct Qualities {
    /// The arm that the baseline's responses are of.
    pub(super) arm: Option<usize>,
    /// Draws of the reference's mean.
    pub(super) reference: Vec<f64>,
    /// By arm, the draws of its mean less those of the reference's; none where it is not in question.
    pub(super) differences: Vec<Option<Vec<f64>>>,
    /// By arm, the mean of its draws less the model's estimate.
    pub(super) offsets: Vec<f64>,
    lots: Lots,
}

/// What decides, draw by draw, which rows are out of reach of a model.
#[derive(Debug, Clone)]
pub(super) struct Lots {
    /// The share of rows out of reach, by model and draw.
    pub(super) shares: Vec<Vec<f64>>,
    /// A number from 0 to 1, by model, row and draw.
    pub(super) of_rows: Vec<Vec<f64>>,
}

impl Qualities {
    /// Draws what the reference and each arm come to that is in question: those with a profile here.
    pub(super) fn draw(
        known: &Known<'_>,
        standard: &Standard,
        profiles: &[Option<Profile>],
        lots: Lots,
        generator: &mut ChaCha8Rng,
    ) -> Self {
        let metric = standard.metric();
        let drawable = |arm: usize| !known.posterior.samples[arm].is_empty();
        let reference = match standard.arm().filter(|(arm, _)| drawable(*arm)) {
            Some((arm, extent)) => {
                let profile = at_extent(&known.arms[arm], extent);
                known.quality_draws(arm, &profile, metric, &lots)
            }
            None => {
                let (mean, error) = standard.reference().unwrap_or((f64::INFINITY, 0.0));
                let draw = |_| {
                    let off: f64 = StandardNormal.sample(generator);
                    mean + error * off
                };
                (0..SAMPLES).map(draw).collect()
            }
        };
        let mut offsets = vec![0.0; profiles.len()];
        let differences = profiles.iter().enumerate().map(|(arm, profile)| {
            let profile = profile.as_ref()?;
            let draws = known.quality_draws(arm, profile, metric, &lots);
            offsets[arm] = mean(&draws) - mean(&known.row_values(arm, profile, metric));
            Some(less(&draws, &reference))
        });
        let differences = differences.collect();
        Self {
            arm: standard.arm().map(|(arm, _)| arm),
            differences,
            offsets,
            reference,
            lots,
        }
    }

    /// Leaves of each draw of an arm's worth the part that is likely to be as good.
    pub(super) fn weigh(&self, worths: &mut [Option<Vec<f64>>], arms: &[Arm], standard: &Standard) {
        for ((worths, differences), arm) in worths.iter_mut().zip(&self.differences).zip(arms) {
            let (Some(worths), Some(differences)) = (worths, differences) else {
                continue;
            };
            let width = (BANDWIDTH * deviation(differences)).max(LEAST_DEVIATION);
            let mut falling = differences.clone();
            falling.sort_unstable_by(|one, other| other.total_cmp(one));
            let hoped = if arm.seen < FEW_ROWS.min(arm.rows.len()) {
                falling[SAMPLES / HOPE]
            } else {
                f64::INFINITY
            };
            for (worth, difference) in worths.iter_mut().zip(differences) {
                if *difference < hoped {
                    *worth *= normal((difference + standard.margin()) / width);
                }
            }
        }
    }

    /// An arm at an extent against the reference; none where it has no draws.
    pub(super) fn difference(
        &self,
        known: &Known<'_>,
        standard: &Standard,
        arm: usize,
        profile: &Profile,
    ) -> Option<QualityDifference> {
        self.differences.get(arm)?.as_ref()?;
        let draws = known.quality_draws(arm, profile, standard.metric(), &self.lots);
        let differences = less(&draws, &self.reference);
        let mean = mean(&differences);
        mean.is_finite()
            .then(|| standard.difference_of(mean, deviation(&differences)))
    }

    /// How much of the variance of an arm's worth comes from what is not known of the reference.
    pub(super) fn explained(&self, worths: &[f64]) -> f64 {
        let (of_worth, of_reference) = (mean(worths), mean(&self.reference));
        let both = worths.iter().zip(&self.reference);
        let products: f64 = both
            .map(|(worth, quality)| (worth - of_worth) * (quality - of_reference))
            .sum();
        let squares: f64 = self
            .reference
            .iter()
            .map(|quality| (quality - of_reference).powi(2))
            .sum();
        if squares > 0.0 {
            products * products / squares / (SAMPLES - 1) as f64
        } else {
            0.0
        }
    }
}

impl Known<'_> {
    /// Draws of the mean of a metric of answers of an arm at an extent. Rows with enough responses count
    /// with what these came to, give or take the luck of the draw, and the others with the model's draws:
    /// it pulls arms towards one another, the more the less they were drawn for, and two that were drawn
    /// for unequally would look nearer than they are.
    fn quality_draws(
        &self,
        arm: usize,
        profile: &Profile,
        metric: Metric,
        lots: &Lots,
    ) -> Vec<f64> {
        let place = &self.arms[arm].place;
        let unreachable = self.unreachable(arm);
        let of_group = self.reach.chances(place.model, place.prompt);
        let own: Vec<f64> = unreachable
            .iter()
            .zip(of_group)
            .map(|(all, group)| ((all - group) / (1.0 - group).max(1e-9)).clamp(0.0, 1.0))
            .collect();
        let (shares, of_rows) = (&lots.shares[place.model], &lots.of_rows[place.model]);
        let group = self.reach.group(place.model, place.prompt);
        let odds = &self.posterior.samples[arm];
        let kept = profile.kept.exp();
        let n = match metric {
            Metric::Mean => 1,
            _ => profile.extent.n,
        };
        let chance = |row: usize, sample: usize| {
            let group = group.unreachable(shares[sample], row);
            let out = group + (1.0 - group) * own[row];
            let place = row * SAMPLES + sample;
            if of_rows[place] < out {
                0.0
            } else {
                (kept * logistic(odds[place])).min(1.0 - 1e-9)
            }
        };
        let rows = self.problem.rows();
        let expected = self.row_values(arm, profile, metric);
        let (mut sums, mut off) = (vec![0.0; SAMPLES], 0.0);
        let (mut counted, mut variance) = (0.0, 0.0);
        for (row, expected) in expected.iter().enumerate() {
            let data = self.arms[arm].rows[row].as_ref();
            let manner = self.manner(arm, row, metric);
            let seen = data.and_then(|data| counted_of(metric, data, profile.extent, n, manner));
            let mut of_model = 0.0;
            for (sample, sum) in sums.iter_mut().enumerate() {
                let chance = chance(row, sample);
                if seen.is_none() {
                    let value = reduce(metric, chance, n.into(), manner);
                    *sum += value;
                    of_model += value / SAMPLES as f64;
                } else {
                    let responses = data.map_or(1, Row::responses) as f64;
                    let slope = slope(metric, chance, n, manner);
                    variance += slope * slope * chance * (1.0 - chance) / responses;
                }
            }
            match seen {
                Some(seen) => counted += seen,
                None => off += expected - of_model,
            }
        }
        let deviation = (variance / SAMPLES as f64).sqrt();
        let mut luck = ChaCha8Rng::seed_from_u64(mix(arm as u64));
        sums.into_iter()
            .map(|sum| {
                let luck: f64 = StandardNormal.sample(&mut luck);
                (counted + deviation * luck + sum + off) / rows as f64
            })
            .collect()
    }
}

/// How much more n answers come to, for the chance that one is right.
fn slope(metric: Metric, chance: f64, n: u32, manner: Manner<'_>) -> f64 {
    let others = n.cast_signed() - 1;
    match metric {
        Metric::Min => f64::from(n) * chance.powi(others),
        Metric::Majority | Metric::BestOfN => {
            let [low, high] = [-SLOPE_STEP, SLOPE_STEP].map(|step| (chance + step).clamp(0.0, 1.0));
            let worth = |chance| reduce(metric, chance, n.into(), manner);
            (worth(high) - worth(low)) / (high - low)
        }
        _ => f64::from(n) * (1.0 - chance).powi(others),
    }
}

/// What n answers to a row come to by those that were drawn, where these are as many: for success that
/// not all of n of them are wrong, for the worst that all are right, both without bias; for the majority
/// and the best of n by the share that is right. A graded score counts as that share of a right answer.
fn counted_of(
    metric: Metric,
    row: &Row,
    extent: Extent,
    n: u32,
    manner: Manner<'_>,
) -> Option<f64> {
    let responses = row.responses() as f64;
    if responses < f64::from(n) {
        return None;
    }
    let right = row.right_within(f64::from(extent.max_tokens));
    Some(match metric {
        Metric::Min => all_of(right, responses, n),
        Metric::Majority | Metric::BestOfN => reduce(metric, right / responses, n.into(), manner),
        _ => 1.0 - all_of(responses - right, responses, n),
    })
}

/// The share of the n-subsets of a pool that lie within a part of it.
fn all_of(part: f64, pool: f64, n: u32) -> f64 {
    let factor = |taken: u32| {
        let taken = f64::from(taken);
        ((part - taken) / (pool - taken)).max(0.0)
    };
    (0..n).map(factor).product()
}

/// A profile of an arm at an extent that is given, apart from its cost.
fn at_extent(arm: &Arm, extent: Extent) -> Profile {
    let limit = f64::from(extent.max_tokens);
    let kept = if limit < arm.cap() {
        let right = |within: f64| -> f64 {
            let rows = arm.data();
            rows.map(|(_, row)| row.right_within(within)).sum()
        };
        ((right(limit) + 0.5) / (right(f64::INFINITY) + 0.5)).ln()
    } else {
        0.0
    };
    Profile {
        standing: Standing::Violates,
        extent,
        kept,
        cost: Cost::default(),
    }
}

fn less(left: &[f64], right: &[f64]) -> Vec<f64> {
    left.iter()
        .zip(right)
        .map(|(one, other)| one - other)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn qualities(reference: Vec<f64>, differences: Vec<Option<Vec<f64>>>) -> Qualities {
        let lots = Lots {
            shares: Vec::new(),
            of_rows: Vec::new(),
        };
        Qualities {
            arm: Some(0),
            offsets: vec![0.0; differences.len()],
            reference,
            differences,
            lots,
        }
    }

    /// So many draws, half of them so far below the mean and half above.
    fn around(mean: f64, off: f64) -> Vec<f64> {
        let at = |sample| {
            if sample % 2 == 0 {
                mean - off
            } else {
                mean + off
            }
        };
        (0..SAMPLES).map(at).collect()
    }

    #[test]
    fn what_was_drawn_tells_of_n_answers_without_bias() {
        let mut row = Row::default();
        for score in [1.0, 0.0, 0.0, 1.0, 0.0] {
            row.tokens.push(10.0);
            row.enough.push(10.0);
            row.scores.push(score);
            row.answers.push(None);
        }
        let extent = Extent {
            max_tokens: 20,
            n: 2,
        };
        let of = |metric, extent, n| counted_of(metric, &row, extent, n, Manner::default());
        let found = |n| of(Metric::Success, extent, n);
        // Of ten pairs three have no right answer.
        assert!((found(1).unwrap() - 0.4).abs() < 1e-12);
        assert!((found(2).unwrap() - 0.7).abs() < 1e-12);
        assert_eq!((found(4), found(6)), (Some(1.0), None));
        // Of ten pairs one has no wrong answer, and of ten triples none.
        let worst = |n| of(Metric::Min, extent, n).unwrap();
        assert!((worst(1) - 0.4).abs() < 1e-12 && (worst(2) - 0.1).abs() < 1e-12);
        assert_eq!(worst(3), 0.0);
        let short = Extent {
            max_tokens: 9,
            n: 2,
        };
        assert_eq!(of(Metric::Success, short, 2), Some(0.0));
    }

    #[test]
    fn the_reference_explains_what_follows_it() {
        let found = qualities(around(0.8, 0.02), Vec::new());
        let worths = around(0.5, -0.3);
        let variance = deviation(&worths).powi(2);
        assert!((found.explained(&worths) - variance).abs() < 1e-12);
        let apart: Vec<f64> = (0..SAMPLES).map(|sample| (sample / 2 % 2) as f64).collect();
        assert!(found.explained(&apart) < 1e-12);
        assert!(qualities(vec![0.8; SAMPLES], Vec::new()).explained(&worths) < 1e-12);
    }
}
