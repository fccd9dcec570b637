//! What sums of products come to, in floating point: for what cannot be decided exactly.

use super::exact::{Atom, Product, Quotient, Sum};
use super::syntax::Rational;
use num_complex::Complex64;
use num_traits::{Signed, ToPrimitive, Zero};
use std::collections::BTreeSet;

/// Values that symbols are given in turn. They are no numbers that a formula would be made for.
const VALUES: [f64; 7] = [
    0.737_1, 1.391_7, 2.173_3, 0.291_3, 1.873_9, 3.317_1, 0.563_9,
];
/// How often they are given: with these signs, so that a root of a square is not taken for what is squared.
const SIGNS: [[f64; 2]; 5] = [
    [1.0, 1.0],
    [1.0, -1.0],
    [-1.0, 1.0],
    [-1.0, -1.0],
    [1.0, 1.0],
];
/// The share of its largest part up to which a sum may be nothing but rounding.
const ROUNDING: f64 = 1e-11;
/// Beyond this, an angle is not known well enough.
const LARGEST_ANGLE: f64 = 1e6;

/// The values of symbols.
#[derive(Debug, Clone)]
pub(super) struct Point {
    symbols: Vec<String>,
    turn: usize,
}

impl Point {
    /// Where there are no symbols.
    pub(super) const NONE: Self = Self {
        symbols: Vec::new(),
        turn: 0,
    };

    fn value(&self, symbol: &str) -> Option<f64> {
        let place = self.symbols.iter().position(|known| known == symbol)?;
        let value = VALUES[(place + 2 * self.turn) % VALUES.len()];
        let shift = 0.017 * f64::from(u32::try_from(place).unwrap_or(0));
        Some((value + shift) * SIGNS[self.turn % SIGNS.len()][place % 2])
    }
}

/// Whether a sum is 0 as far as floating point can tell: at several points where it has symbols.
pub(super) fn is_nothing(sum: &Sum) -> bool {
    let mut symbols = BTreeSet::new();
    collect(sum, &mut symbols);
    let turns = if symbols.is_empty() { 1 } else { SIGNS.len() };
    let symbols: Vec<String> = symbols.into_iter().collect();
    let mut seen = 0;
    for turn in 0..turns {
        let point = Point {
            symbols: symbols.clone(),
            turn,
        };
        let (mut total, mut largest) = (Complex64::zero(), 0.0_f64);
        for term in &sum.0 {
            let part = term_at(term, &point);
            largest = largest.max(part.norm());
            total += part;
        }
        if !total.is_finite() {
            continue;
        }
        if total.norm() > ROUNDING * largest {
            return false;
        }
        seen += 1;
    }
    seen > turns / 2
}

/// The value of what has no symbols, where it is a real number.
pub(super) fn real(quotient: &Quotient) -> Option<f64> {
    let value = quotient_at(quotient, &Point::NONE);
    let is_real = value.im.abs() <= 1e-12 * value.re.abs().max(1e-300);
    (value.is_finite() && is_real).then_some(value.re)
}

/// The symbols in it.
fn collect(sum: &Sum, symbols: &mut BTreeSet<String>) {
    for product in sum.0.keys() {
        collect_product(product, symbols);
    }
}

fn collect_product(product: &Product, symbols: &mut BTreeSet<String>) {
    for atom in product.keys() {
        match atom {
            Atom::Symbol(name) => {
                symbols.insert(name.clone());
            }
            Atom::Sum(sum) => collect(sum, symbols),
            Atom::Function(_, arguments) => {
                for argument in arguments {
                    collect(&argument.above, symbols);
                    collect(&argument.below, symbols);
                }
            }
            Atom::Power(base, exponent) => {
                collect(&base.above, symbols);
                collect(&base.below, symbols);
                collect_product(exponent, symbols);
            }
            _ => {}
        }
    }
}

/// Whether it has symbols.
pub(super) fn has_symbols(quotient: &Quotient) -> bool {
    let mut symbols = BTreeSet::new();
    collect(&quotient.above, &mut symbols);
    collect(&quotient.below, &mut symbols);
    !symbols.is_empty()
}

fn float(value: &Rational) -> f64 {
    value.to_f64().unwrap_or(f64::NAN)
}

fn quotient_at(quotient: &Quotient, point: &Point) -> Complex64 {
    sum_at(&quotient.above, point) / sum_at(&quotient.below, point)
}

fn sum_at(sum: &Sum, point: &Point) -> Complex64 {
    sum.0.iter().map(|term| term_at(term, point)).sum()
}

fn term_at((product, coefficient): (&Product, &Rational), point: &Point) -> Complex64 {
    product_at(product, point) * float(coefficient)
}

fn product_at(product: &Product, point: &Point) -> Complex64 {
    let power = |(atom, exponent): (&Atom, &Rational)| raised(atom_at(atom, point), exponent);
    product.iter().map(power).product()
}

fn raised(base: Complex64, exponent: &Rational) -> Complex64 {
    if exponent.is_integer()
        && let Some(power) = exponent.to_integer().to_i32()
    {
        return base.powi(power);
    }
    let power = float(exponent);
    if base.im == 0.0 && base.re >= 0.0 {
        return Complex64::from(base.re.powf(power));
    }
    if base.im == 0.0 && exponent.denom().bit(0) {
        // An odd root of a negative number is the real one.
        let value = base.re.abs().powf(power);
        return Complex64::from(if exponent.numer().bit(0) {
            -value
        } else {
            value
        });
    }
    base.powf(power)
}

fn atom_at(atom: &Atom, point: &Point) -> Complex64 {
    let real = match atom {
        Atom::Infinity => f64::NAN,
        Atom::Pi => std::f64::consts::PI,
        Atom::Euler => std::f64::consts::E,
        Atom::Imaginary => return Complex64::i(),
        Atom::Integer(value) => value.to_f64().unwrap_or(f64::NAN),
        Atom::Symbol(name) => point.value(name).unwrap_or(f64::NAN),
        Atom::Logarithm(value) => value.to_f64().unwrap_or(f64::NAN).ln(),
        Atom::Function(name, arguments) => {
            let values: Vec<Complex64> = arguments
                .iter()
                .map(|argument| quotient_at(argument, point))
                .collect();
            return function(name, &values);
        }
        Atom::Sum(sum) => return sum_at(sum, point),
        Atom::Power(base, exponent) => {
            let base = quotient_at(base, point);
            let exponent = product_at(exponent, point);
            return if base.im == 0.0 && exponent.im == 0.0 && base.re > 0.0 {
                Complex64::from(base.re.powf(exponent.re))
            } else {
                base.powc(exponent)
            };
        }
    };
    Complex64::from(real)
}

fn function(name: &str, arguments: &[Complex64]) -> Complex64 {
    let nothing = Complex64::from(f64::NAN);
    let [first, others @ ..] = arguments else {
        return nothing;
    };
    let z = *first;
    let is_angle = matches!(name, "sin" | "cos" | "tan" | "cot" | "sec" | "csc");
    if is_angle && z.norm() > LARGEST_ANGLE {
        return nothing;
    }
    let of_real = |value: f64| match z.im == 0.0 {
        true => Complex64::from(value),
        false => nothing,
    };
    match (name, others) {
        ("value", []) => z,
        ("sin", []) => z.sin(),
        ("cos", []) => z.cos(),
        ("tan", []) => z.tan(),
        ("cot", []) => z.cos() / z.sin(),
        ("sec", []) => z.cos().inv(),
        ("csc", []) => z.sin().inv(),
        ("arcsin", []) if z.re.abs() <= 1.0 => of_real(z.re.asin()),
        ("arccos", []) if z.re.abs() <= 1.0 => of_real(z.re.acos()),
        ("arctan", []) => of_real(z.re.atan()),
        ("sinh", []) => z.sinh(),
        ("cosh", []) => z.cosh(),
        ("tanh", []) => z.tanh(),
        ("ln", []) if z.norm() > 0.0 => z.ln(),
        ("abs", []) => Complex64::from(z.norm()),
        ("floor", []) => of_real(z.re.floor()),
        ("ceil", []) => of_real(z.re.ceil()),
        _ => nothing,
    }
}

/// Whether a real number and a fraction are the same once rounded to so many decimals. What rounds to 0 is
/// the same as nothing.
pub(super) fn rounds_to(value: f64, fraction: &Rational, decimals: u32) -> bool {
    let scale = 10_f64.powi(i32::try_from(decimals).unwrap_or(0));
    let (left, right) = (value * scale, float(fraction) * scale);
    // Half a unit is given up to what floating point cannot tell.
    let unit = 1e-12 * left.abs();
    (left.round() == right.round() || (left - right).abs() <= unit)
        && right.round() != 0.0
        && left.is_finite()
}

/// Whether two fractions are the same once rounded to so many decimals.
pub(super) fn round_alike(left: &Rational, right: &Rational, decimals: u32) -> bool {
    let scale = Rational::from_integer(num_bigint::BigInt::from(10).pow(decimals));
    let (left, right) = ((left * &scale).round(), (right * scale).round());
    left == right && !left.is_zero() && left.is_negative() == right.is_negative()
}
