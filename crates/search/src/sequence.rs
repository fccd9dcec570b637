//! Sequences of points that keep away from one another, for random search: Halton's (1960) and
//! Sobol's (1967), each shuffled by the seed.

use crate::draws::Draws;

/// A sequence of points in the unit cube.
#[derive(Debug, Clone)]
pub(crate) enum Points {
    Halton(Halton),
    Sobol(Sobol),
}

impl Points {
    /// The next point: one place from [0, 1) per dimension.
    pub(crate) fn next(&mut self, draws: &mut Draws) -> Vec<f64> {
        match self {
            Self::Halton(halton) => halton.next(),
            Self::Sobol(sobol) => sobol.next(draws),
        }
    }
}

/// Halton's sequence: in dimension d the digits of 0, 1, 2, … to the d-th prime, turned round at
/// the point. Neighbouring large primes go in step for long, so the digits of each dimension are
/// shuffled (Braaten and Weller, 1979), here at random.
#[derive(Debug, Clone)]
pub(crate) struct Halton {
    /// Per dimension: where each digit goes. Their number is the base.
    shuffles: Vec<Vec<u32>>,
    index: u64,
}

impl Halton {
    pub(crate) fn new(dimensions: usize, draws: &mut Draws) -> Self {
        let shuffles = primes(dimensions)
            .into_iter()
            .map(|base| {
                let mut digits: Vec<u32> = (0..base).collect();
                draws.shuffle(&mut digits);
                digits
            })
            .collect();
        Self { shuffles, index: 0 }
    }

    fn next(&mut self) -> Vec<f64> {
        let index = self.index;
        self.index += 1;
        self.shuffles
            .iter()
            .map(|shuffle| radical_inverse(index, shuffle))
            .collect()
    }
}

/// The digits of an index, shuffled and turned round at the point. A zero may become another
/// digit, so the zeros in front count too, as far as a 32-bit index would reach.
fn radical_inverse(mut index: u64, shuffle: &[u32]) -> f64 {
    let base = shuffle.len() as u64;
    let (mut place, mut scale, mut reach) = (0.0, 1.0, 1_u64);
    while reach <= u64::from(u32::MAX) || index > 0 {
        let digit = usize::try_from(index % base).unwrap_or(0);
        index /= base;
        reach = reach.saturating_mul(base);
        scale /= base as f64;
        place += f64::from(shuffle.get(digit).copied().unwrap_or(0)) * scale;
    }
    place
}

fn primes(count: usize) -> Vec<u32> {
    let mut primes: Vec<u32> = Vec::with_capacity(count);
    let mut candidate = 2;
    while primes.len() < count {
        if primes.iter().all(|prime| candidate % prime != 0) {
            primes.push(candidate);
        }
        candidate += 1;
    }
    primes
}

/// Sobol's sequence in base 2, with the direction numbers of Joe and Kuo (2008) and a random
/// digital shift. The first 2ᵏ points have one in each of 2ᵏ equal parts of every dimension.
#[derive(Debug, Clone)]
pub(crate) struct Sobol {
    /// Per dimension: one direction number per bit.
    directions: Vec<[u32; BITS]>,
    shift: Vec<u32>,
    /// Dimensions beyond the table; they are drawn uniformly.
    beyond: usize,
    index: u32,
}

const BITS: usize = 32;

/// What the direction numbers of a dimension are made from.
struct Primitive {
    /// The primitive polynomial's inner coefficients, as bits.
    coefficients: u32,
    /// The first direction numbers; their count is the polynomial's degree.
    first: &'static [u32],
}

const fn primitive(coefficients: u32, first: &'static [u32]) -> Primitive {
    Primitive {
        coefficients,
        first,
    }
}

/// Of the second dimension and those after it; the first one's directions are the bits alone.
const PRIMITIVES: [Primitive; 20] = [
    primitive(0, &[1]),
    primitive(1, &[1, 3]),
    primitive(1, &[1, 3, 1]),
    primitive(2, &[1, 1, 1]),
    primitive(1, &[1, 1, 3, 3]),
    primitive(4, &[1, 3, 5, 13]),
    primitive(2, &[1, 1, 5, 5, 17]),
    primitive(4, &[1, 1, 5, 5, 5]),
    primitive(7, &[1, 1, 7, 11, 19]),
    primitive(11, &[1, 1, 5, 1, 1]),
    primitive(13, &[1, 1, 1, 3, 11]),
    primitive(14, &[1, 3, 5, 5, 31]),
    primitive(1, &[1, 3, 3, 9, 7, 49]),
    primitive(13, &[1, 1, 1, 15, 21, 21]),
    primitive(16, &[1, 3, 1, 13, 27, 49]),
    primitive(19, &[1, 1, 1, 15, 7, 5]),
    primitive(22, &[1, 3, 1, 15, 13, 25]),
    primitive(25, &[1, 1, 5, 5, 19, 61]),
    primitive(1, &[1, 3, 7, 11, 23, 15, 103]),
    primitive(4, &[1, 3, 7, 13, 13, 15, 69]),
];

impl Sobol {
    pub(crate) fn new(dimensions: usize, draws: &mut Draws) -> Self {
        let directions: Vec<_> = std::iter::once(van_der_corput())
            .chain(PRIMITIVES.iter().map(directions))
            .take(dimensions)
            .collect();
        Self {
            shift: directions.iter().map(|_| draws.bits()).collect(),
            beyond: dimensions - directions.len(),
            directions,
            index: 0,
        }
    }

    fn next(&mut self, draws: &mut Draws) -> Vec<f64> {
        // In the order of the Gray code, as usual; the points are the same.
        let gray = self.index ^ (self.index >> 1);
        self.index = self.index.wrapping_add(1);
        let mut point: Vec<f64> = self
            .directions
            .iter()
            .zip(&self.shift)
            .map(|(directions, shift)| {
                let bits = directions
                    .iter()
                    .enumerate()
                    .filter(|(bit, _)| gray >> bit & 1 == 1)
                    .fold(*shift, |sum, (_, direction)| sum ^ direction);
                f64::from(bits) / 2_f64.powi(32)
            })
            .collect();
        point.extend((0..self.beyond).map(|_| draws.uniform()));
        point
    }
}

fn van_der_corput() -> [u32; BITS] {
    std::array::from_fn(|bit| 1 << (BITS - 1 - bit))
}

/// The recurrence of Bratley and Fox (1988), equation 2.
fn directions(primitive: &Primitive) -> [u32; BITS] {
    let Primitive {
        coefficients,
        first,
    } = primitive;
    let degree = first.len();
    let mut directions: [u32; BITS] = [0; BITS];
    for bit in 0..BITS {
        let direction = match first.get(bit) {
            Some(first) => first << (BITS - 1 - bit),
            None => {
                let earlier = |back: usize| {
                    let at = bit.checked_sub(back);
                    at.and_then(|at| directions.get(at)).copied().unwrap_or(0)
                };
                (1..degree)
                    .filter(|back| coefficients >> (degree - 1 - back) & 1 == 1)
                    .fold(
                        earlier(degree) ^ (earlier(degree) >> degree),
                        |sum, back| sum ^ earlier(back),
                    )
            }
        };
        if let Some(own) = directions.get_mut(bit) {
            *own = direction;
        }
    }
    directions
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn cell(place: f64, cells: usize) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the cell of a place in [0, 1)"
        )]
        let cell = (place * cells as f64) as usize;
        cell
    }

    #[test]
    fn sobols_sequence_begins_as_published() {
        let mut draws = Draws::seeded(0);
        let mut sobol = Sobol::new(5, &mut draws);
        sobol.shift = vec![0; 5];
        let points: Vec<Vec<f64>> = (0..6).map(|_| sobol.next(&mut draws)).collect();
        let published = [
            [0.0, 0.0, 0.0, 0.0, 0.0],
            [0.5, 0.5, 0.5, 0.5, 0.5],
            [0.75, 0.25, 0.25, 0.25, 0.75],
            [0.25, 0.75, 0.75, 0.75, 0.25],
            [0.375, 0.375, 0.625, 0.875, 0.375],
            [0.875, 0.875, 0.125, 0.375, 0.875],
        ];
        assert_eq!(points, published);
    }

    #[test]
    fn sobols_points_fill_the_equal_parts_of_every_dimension() {
        for seed in 0..3 {
            let mut draws = Draws::seeded(seed);
            let mut sobol = Sobol::new(23, &mut draws);
            let points: Vec<Vec<f64>> = (0..64).map(|_| sobol.next(&mut draws)).collect();
            assert!(points.iter().all(|point| point.len() == 23));
            for dimension in 0..21 {
                let cells: BTreeSet<usize> = points
                    .iter()
                    .map(|point| cell(point[dimension], 64))
                    .collect();
                assert_eq!(cells.len(), 64, "seed {seed}, dimension {dimension}");
            }
        }
    }

    #[test]
    fn haltons_points_fill_the_equal_parts_of_every_dimension() {
        for seed in 0..3 {
            let mut halton = Halton::new(12, &mut Draws::seeded(seed));
            let points: Vec<Vec<f64>> = (0..37 * 37).map(|_| halton.next()).collect();
            for (dimension, base) in primes(12).into_iter().enumerate() {
                let base = base as usize;
                let cells: BTreeSet<usize> = points[..base * base]
                    .iter()
                    // Half a cell of the finest kind keeps clear of rounding at the border.
                    .map(|point| cell(point[dimension] + 1e-12, base * base))
                    .collect();
                assert_eq!(cells.len(), base * base, "seed {seed}, base {base}");
            }
        }
    }
}
