//! What tests and intervals need of the normal distribution and of Student's t.

use std::f64::consts::{FRAC_2_PI, FRAC_PI_2};

/// The quantile of the standard normal distribution at 0.975: a 95 % interval reaches so many standard
/// errors to either side.
pub const NORMAL_975: f64 = 1.959_963_984_540_054;

/// Halvings of an interval of width π/2: more would not change a double.
const HALVINGS: u32 = 60;

/// The quantile of Student's t with so many degrees of freedom, for a probability between one
/// half and 1. Infinite where there are no degrees of freedom.
///
/// It inverts the closed form of the distribution by halving. Time grows with the degrees of
/// freedom.
#[must_use]
pub fn student(probability: f64, degrees: u32) -> f64 {
    if degrees == 0 {
        return f64::INFINITY;
    }
    let central = 2.0 * probability - 1.0;
    let (mut below, mut above) = (0.0, FRAC_PI_2);
    for _ in 0..HALVINGS {
        let middle = 0.5 * (below + above);
        if student_central(middle, degrees) < central {
            below = middle;
        } else {
            above = middle;
        }
    }
    f64::from(degrees).sqrt() * (0.5 * (below + above)).tan()
}

/// The probability that |t| ≤ √ν·tan θ, after Abramowitz and Stegun (1964), 26.7.3 and 26.7.4.
fn student_central(theta: f64, degrees: u32) -> f64 {
    let (sine, cosine) = theta.sin_cos();
    let odd = degrees % 2 == 1;
    if degrees == 1 {
        return FRAC_2_PI * theta;
    }
    // Odd: cos θ + (2/3)·cos³θ + (2·4)/(3·5)·cos⁵θ + …; even: 1 + (1/2)·cos²θ + (1·3)/(2·4)·cos⁴θ + …;
    // both up to the power ν − 2.
    let mut term = if odd { cosine } else { 1.0 };
    let mut power = u32::from(odd);
    let mut sum = term;
    while power + 2 <= degrees - 2 {
        term *= cosine * cosine * f64::from(power + 1) / f64::from(power + 2);
        sum += term;
        power += 2;
    }
    if odd {
        FRAC_2_PI * (theta + sine * sum)
    } else {
        sine * sum
    }
}

/// The probability that a standard normal variable is below −`z`, for `z` of at least 0, with an
/// error below 7.5e−8: Abramowitz and Stegun (1964), 26.2.17.
#[must_use]
pub fn normal_tail(z: f64) -> f64 {
    const B: [f64; 5] = [
        0.319_381_530,
        -0.356_563_782,
        1.781_477_937,
        -1.821_255_978,
        1.330_274_429,
    ];
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let polynomial = B.iter().rev().fold(0.0, |sum, b| (sum + b) * t);
    let density = (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt();
    density * polynomial
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_student_are_those_of_the_tables() {
        // Upper 2.5 % and 5 % points from the usual tables, to three decimals.
        let table = [
            (0.975, 1, 12.706),
            (0.975, 2, 4.303),
            (0.975, 3, 3.182),
            (0.975, 4, 2.776),
            (0.975, 9, 2.262),
            (0.975, 10, 2.228),
            (0.975, 19, 2.093),
            (0.975, 30, 2.042),
            (0.975, 99, 1.984),
            (0.975, 1_000, 1.962),
            (0.95, 1, 6.314),
            (0.95, 7, 1.895),
            (0.95, 20, 1.725),
            (0.75, 1, 1.0),
        ];
        for (probability, degrees, expected) in table {
            let found = student(probability, degrees);
            assert!(
                (found - expected).abs() < 6e-4,
                "{probability} at {degrees}: {found}"
            );
        }
        assert_eq!(student(0.975, 0), f64::INFINITY);
    }

    #[test]
    fn one_and_two_degrees_have_closed_quantiles() {
        for probability in [0.6, 0.75, 0.9, 0.975, 0.999] {
            let one = (std::f64::consts::PI * (probability - 0.5)).tan();
            assert!((student(probability, 1) / one - 1.0).abs() < 1e-12);
            let spread = 2.0 * probability - 1.0;
            let two = spread * (2.0 / (1.0 - spread * spread)).sqrt();
            assert!((student(probability, 2) / two - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn with_many_degrees_student_is_normal() {
        assert!((student(0.975, 100_000) - 1.959_964).abs() < 1e-4);
        assert!((normal_tail(student(0.975, 1_000_000)) - 0.025).abs() < 1e-6);
    }

    #[test]
    fn the_tail_of_the_normal_is_that_of_the_tables() {
        let table = [
            (0.0, 0.5),
            (1.0, 0.158_655_254),
            (NORMAL_975, 0.025),
            (2.575_829_304, 0.005),
            (4.0, 0.000_031_671),
        ];
        for (z, expected) in table {
            assert!((normal_tail(z) - expected).abs() < 7.5e-8, "{z}");
        }
        assert_eq!(normal_tail(f64::INFINITY), 0.0);
    }
}
