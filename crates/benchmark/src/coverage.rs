//! How often intervals cover a mean that is known, how wide they are, and how often they take for an
//! improvement what is none: those of reports beside what is commonly used.

use crate::bootstrap;
use crate::parallel;
use crate::shapes::{PAIR_SHAPES, PairShape, SHAPES, Shape};
use crate::share::Share;
use crate::table::{self, yes};
use frugal_domain::job::Direction;
use frugal_domain::metric::Metric;
use frugal_domain::seed::mix;
use frugal_domain::trial::{Improvement, Interval};
use frugal_evaluation::quantiles::{NORMAL_975, student};
use frugal_evaluation::statistics::{PairedDifferences, estimate, mean_interval};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::io::Write;

/// How often 95 % intervals are to cover the truth at the least, whatever the shape of the values.
pub const LEAST_COVERAGE: f64 = 0.93;

/// How often two configurations that are alike may be told apart in favour of the one.
pub const MOST_FALSE: f64 = 0.025;

/// How far the mean may be off for the rounding of a sum.
const ROUNDING: f64 = 1e-9;

/// An interval of one sample.
#[derive(Debug, Clone, Copy)]
struct Found {
    covers: bool,
    width: f64,
    significant: bool,
}

impl Found {
    fn of([low, high]: [f64; 2], mean: f64, significant: bool) -> Self {
        Self {
            covers: low - ROUNDING <= mean && mean <= high + ROUNDING,
            width: high - low,
            significant,
        }
    }
}

/// Draws so many samples of every shape and size, and writes what came of them.
///
/// # Errors
/// Nothing can be written.
pub fn print(out: &mut impl Write, sizes: &[usize], samples: u64) -> anyhow::Result<()> {
    writeln!(
        out,
        "{samples} samples of each shape and size: how often 95 % intervals of the mean cover it \
         (at least {:.0} % wanted, up to two standard errors), and their mean width. Of binary values Wilson's interval, which \
         the last column has for the same mean.",
        100.0 * LEAST_COVERAGE
    )?;
    let mut means = table::new([
        "values",
        "rows",
        "mean",
        "covered",
        "enough",
        "width",
        "bootstrap",
        "width",
        "Student",
        "width",
        "Wilson's width",
    ]);
    for shape in &SHAPES {
        for size in sizes {
            means.add_row(mean_row(shape, *size, samples)?);
        }
    }
    writeln!(
        out,
        "{means}\n\nThe same of paired differences, and how often the first is called \
         significantly better (at most {:.1} % wanted where it is not)",
        100.0 * MOST_FALSE
    )?;
    let mut differences = table::new([
        "differences",
        "rows",
        "mean",
        "covered",
        "enough",
        "width",
        "significant",
        "few enough",
        "bootstrap",
        "width",
        "significant",
    ]);
    for shape in &PAIR_SHAPES {
        for size in sizes {
            differences.add_row(difference_row(shape, *size, samples)?);
        }
    }
    writeln!(out, "{differences}")?;
    Ok(())
}

/// How Frugal's interval, the bootstrap's and Student's fare on so many samples of a shape.
///
/// # Errors
/// None of its own.
pub fn of_means(shape: &Shape, size: usize, samples: u64) -> anyhow::Result<[Summary; 3]> {
    let found = parallel::each(samples, |sample| {
        let mut draws = ChaCha8Rng::seed_from_u64(mix(sample));
        let values: Vec<f64> = (0..size).map(|_| (shape.draw)(&mut draws)).collect();
        let own = mean_interval(shape.metric, &values).map(ends);
        let of = |interval| Found::of(interval, shape.mean, false);
        Ok([
            of(own.unwrap_or([f64::NAN; 2])),
            of(bootstrap::interval(&values, sample)),
            of(student_interval(&values)),
        ])
    })?;
    Ok([0, 1, 2].map(|which| Summary::of(&found, which)))
}

fn mean_row(shape: &Shape, size: usize, samples: u64) -> anyhow::Result<Vec<String>> {
    let [own, bootstrap, student] = of_means(shape, size, samples)?;
    let wilson = match shape.metric.largest() {
        Some(_) => format!("{:.3}", wilson_width(shape.mean, size)),
        None => "-".to_owned(),
    };
    Ok(vec![
        shape.name.to_owned(),
        size.to_string(),
        format!("{:.3}", shape.mean),
        own.covered.show(),
        yes(own.covered.reaches(LEAST_COVERAGE)).to_owned(),
        own.width(),
        bootstrap.covered.show(),
        bootstrap.width(),
        student.covered.show(),
        student.width(),
        wilson,
    ])
}

/// How Frugal's interval of paired differences and the bootstrap's fare on so many samples of a shape.
///
/// # Errors
/// A sample has no rows.
pub fn of_differences(
    shape: &PairShape,
    size: usize,
    samples: u64,
) -> anyhow::Result<[Summary; 2]> {
    let direction = match shape.metric {
        Metric::InferenceCost => Direction::Minimize,
        _ => Direction::Maximize,
    };
    let found = parallel::each(samples, |sample| {
        let mut draws = ChaCha8Rng::seed_from_u64(mix(sample));
        let pairs: Vec<[f64; 2]> = (0..size).map(|_| (shape.draw)(&mut draws)).collect();
        let side = |which: usize| -> BTreeMap<usize, f64> {
            pairs.iter().map(|pair| pair[which]).enumerate().collect()
        };
        let paired = PairedDifferences::of(shape.metric, &side(0), &side(1));
        let paired = paired.ok_or_else(|| anyhow::anyhow!("a sample without rows"))?;
        let own = Found::of(
            ends(paired.interval()),
            shape.mean,
            paired.improvement(direction) == Improvement::Significant,
        );
        let resampled = bootstrap::interval(paired.values(), sample);
        let better: Vec<f64> = paired
            .values()
            .iter()
            .map(|one| -direction.loss(*one))
            .collect();
        let of_better = match direction {
            Direction::Maximize => resampled,
            Direction::Minimize => [-resampled[1], -resampled[0]],
        };
        let significant = bootstrap::is_significant(of_better, &better);
        Ok([own, Found::of(resampled, shape.mean, significant)])
    })?;
    Ok([0, 1].map(|which| Summary::of(&found, which)))
}

fn difference_row(shape: &PairShape, size: usize, samples: u64) -> anyhow::Result<Vec<String>> {
    let [own, bootstrap] = of_differences(shape, size, samples)?;
    let few_enough = if shape.mean == 0.0 {
        yes(own.significant.keeps_to(MOST_FALSE))
    } else {
        "-"
    };
    Ok(vec![
        shape.name.to_owned(),
        size.to_string(),
        format!("{:.3}", shape.mean),
        own.covered.show(),
        yes(own.covered.reaches(LEAST_COVERAGE)).to_owned(),
        own.width(),
        own.significant.show(),
        few_enough.to_owned(),
        bootstrap.covered.show(),
        bootstrap.width(),
        bootstrap.significant.show(),
    ])
}

/// The intervals of one kind over all samples.
#[derive(Debug, Clone, Copy)]
pub struct Summary {
    /// Those that cover the mean.
    pub covered: Share,
    /// Those by which the first is significantly better.
    pub significant: Share,
    /// Their mean width.
    pub mean_width: f64,
}

impl Summary {
    fn of<const N: usize>(found: &[[Found; N]], which: usize) -> Self {
        let of_kind = || found.iter().map(|kinds| kinds[which]);
        let covered = Share::of(of_kind().map(|one| one.covers));
        Self {
            covered,
            significant: Share::of(of_kind().map(|one| one.significant)),
            mean_width: of_kind().map(|one| one.width).sum::<f64>() / f64::from(covered.of.max(1)),
        }
    }

    fn width(&self) -> String {
        format!("{:.3}", self.mean_width)
    }
}

const fn ends(interval: Interval) -> [f64; 2] {
    [interval.low, interval.high]
}

/// Mean ± t · standard error.
fn student_interval(values: &[f64]) -> [f64; 2] {
    let Some(found) = estimate(values) else {
        return [f64::NAN; 2];
    };
    let half =
        student(0.975, found.count.saturating_sub(1)) * found.standard_error.unwrap_or(f64::NAN);
    [found.mean - half, found.mean + half]
}

/// The width of Wilson's interval of a share.
fn wilson_width(share: f64, count: usize) -> f64 {
    let count = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let z = NORMAL_975;
    let variance = share * (1.0 - share) / count + (z / (2.0 * count)).powi(2);
    2.0 * z * variance.sqrt() / (1.0 + z * z / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_of_wilson_is_that_of_the_table() {
        // Newcombe (1998), table I: 81 of 263.
        let found = wilson_width(81.0 / 263.0, 263);
        assert!((found - (0.3662 - 0.2553)).abs() < 2e-4, "{found}");
    }

    #[test]
    fn every_shape_has_its_rows() {
        let mut text = Vec::new();
        print(&mut text, &[15], 2).unwrap();
        let text = String::from_utf8(text).unwrap();
        for name in SHAPES.iter().map(|shape| shape.name) {
            assert!(text.contains(name), "{name}");
        }
        for name in PAIR_SHAPES.iter().map(|shape| shape.name) {
            assert!(text.contains(name), "{name}");
        }
    }
}
