//! Exact arithmetic: quotients of sums of products.
//!
//! A product is a rational coefficient and powers of atoms: of symbols, constants, primes under roots,
//! and what nothing more is known of. Roots of different square-free numbers are independent of each
//! other over the rational numbers, so two sums of such products are the same number only where they are
//! the same sum.

use super::syntax::Rational;
use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::{One, Pow, Signed, ToPrimitive, Zero};
use std::collections::BTreeMap;

/// The most products in a sum.
const MAX_TERMS: usize = 400;
/// The most bits of an integer that a power is expanded to.
const MAX_BITS: u64 = 16_000;
/// The highest power of a sum that is multiplied out.
const MAX_POWER: u32 = 40;
/// The most bits of an integer whose root is simplified.
const MAX_ROOT_BITS: u64 = 1_000;
/// Primes up to here are taken out of an integer under a root.
const LARGEST_PRIME: u32 = 10_000;

/// What may still be done: beyond it nothing is found out.
#[derive(Debug)]
pub(super) struct Work {
    left: usize,
}

impl Work {
    /// Enough for every answer that a person would write.
    pub(super) const fn new() -> Self {
        Self { left: 20_000 }
    }

    /// Takes so much of it; nothing where it is used up.
    pub(super) fn spend(&mut self, steps: usize) -> Option<()> {
        self.left = self.left.checked_sub(steps)?;
        Some(())
    }
}

/// What products are made of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Atom {
    Infinity,
    Pi,
    Euler,
    Imaginary,
    /// A positive integer under a root.
    Integer(BigInt),
    Symbol(String),
    /// The natural logarithm of a prime.
    Logarithm(BigInt),
    /// A function that could not be carried out.
    Function(&'static str, Vec<Quotient>),
    /// A sum, under a root.
    Sum(Sum),
    /// A power whose exponent is no number.
    Power(Box<Quotient>, Product),
}

/// Powers of atoms; no exponent is 0.
pub(super) type Product = BTreeMap<Atom, Rational>;

/// Products with their coefficients, none of which is 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sum(pub(super) BTreeMap<Product, Rational>);

/// A sum over another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Quotient {
    pub(super) above: Sum,
    pub(super) below: Sum,
}

pub(super) fn integer(value: i64) -> Rational {
    Rational::from_integer(BigInt::from(value))
}

/// What arithmetic on a number costs: shortening a fraction takes time with the square of its length.
fn size(value: &Rational) -> usize {
    let bits = value.numer().bits() + value.denom().bits();
    usize::try_from(bits * bits / 250_000).unwrap_or(usize::MAX)
}

/// A product; of integers without looking for what could be shortened.
fn multiplied(left: &Rational, right: &Rational) -> Rational {
    match left.is_integer() && right.is_integer() {
        true => Rational::from_integer(left.numer() * right.numer()),
        false => left * right,
    }
}

/// A sum; of integers without looking for what could be shortened.
fn added(left: &Rational, right: &Rational) -> Rational {
    match left.is_integer() && right.is_integer() {
        true => Rational::from_integer(left.numer() + right.numer()),
        false => left + right,
    }
}

/// A rational number to the power of an integer.
fn whole_power(base: &Rational, power: &BigInt, work: &mut Work) -> Option<Rational> {
    if base.is_one() || power.is_zero() {
        return Some(Rational::one());
    }
    if base.is_zero() {
        return power.is_positive().then(Rational::zero);
    }
    if *base == integer(-1) {
        return Some(if power.is_even() {
            Rational::one()
        } else {
            base.clone()
        });
    }
    let times = power.abs().to_u64()?;
    let bits = base.numer().bits().max(base.denom().bits());
    if bits.checked_mul(times)? > MAX_BITS {
        return None;
    }
    work.spend(100)?;
    let raised: Rational = Pow::pow(base, BigInt::from(times).magnitude());
    Some(if power.is_negative() {
        raised.recip()
    } else {
        raised
    })
}

/// A positive integer as powers of integers above 1: its small primes, and what is left of it.
fn factors(value: &BigInt, work: &mut Work) -> Option<Vec<(BigInt, u32)>> {
    let mut left: BigUint = value.magnitude().clone();
    if left.bits() > MAX_ROOT_BITS {
        return None;
    }
    let mut found = Vec::new();
    let mut divisor = 2_u32;
    while divisor <= LARGEST_PRIME && BigUint::from(divisor * divisor) <= left {
        work.spend(1 + usize::try_from(left.bits() / 256).unwrap_or(0))?;
        let mut power = 0;
        while (&left % divisor).is_zero() {
            left /= divisor;
            power += 1;
        }
        if power > 0 {
            found.push((BigInt::from(divisor), power));
        }
        divisor += if divisor == 2 { 1 } else { 2 };
    }
    if left.is_one() {
        return Some(found);
    }
    // Its least prime is above the divisors that were tried, so its power is below this.
    let most = u32::try_from(left.bits() / 13).unwrap_or(0).max(1);
    for power in (2..=most).rev() {
        work.spend(50)?;
        let root = left.nth_root(power);
        if Pow::pow(&root, power) == left {
            found.push((root.into(), power));
            return Some(found);
        }
    }
    found.push((left.into(), 1));
    Some(found)
}

/// What a positive rational number is made of: integers above 1 with their powers.
pub(super) fn rational_factors(value: &Rational, work: &mut Work) -> Option<Vec<(BigInt, BigInt)>> {
    let above = factors(value.numer(), work)?.into_iter();
    let below = factors(value.denom(), work)?.into_iter();
    let above = above.map(|(prime, power)| (prime, BigInt::from(power)));
    let below = below.map(|(prime, power)| (prime, -BigInt::from(power)));
    Some(above.chain(below).collect())
}

impl Sum {
    pub(super) fn constant(value: Rational) -> Self {
        Self::term(Product::new(), value)
    }

    pub(super) fn term(product: Product, coefficient: Rational) -> Self {
        let mut terms = BTreeMap::new();
        if !coefficient.is_zero() {
            terms.insert(product, coefficient);
        }
        Self(terms)
    }

    pub(super) fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    /// Its only product, if it has no more.
    pub(super) fn single(&self) -> Option<(&Product, &Rational)> {
        let mut terms = self.0.iter();
        terms.next().filter(|_| terms.next().is_none())
    }

    pub(super) fn rational(&self) -> Option<Rational> {
        if self.is_zero() {
            return Some(Rational::zero());
        }
        let (product, coefficient) = self.single()?;
        product.is_empty().then(|| coefficient.clone())
    }

    pub(super) fn plus(&self, other: &Self, work: &mut Work) -> Option<Self> {
        let mut sum = self.clone();
        for (product, coefficient) in &other.0 {
            work.spend(1 + size(coefficient))?;
            sum.add(product.clone(), coefficient);
        }
        (sum.0.len() <= MAX_TERMS).then_some(sum)
    }

    fn add(&mut self, product: Product, coefficient: &Rational) {
        let before = self.0.remove(&product).unwrap_or_else(Rational::zero);
        let total = added(&before, coefficient);
        if !total.is_zero() {
            self.0.insert(product, total);
        }
    }

    pub(super) fn scaled(&self, by: &Rational) -> Self {
        if by.is_zero() {
            return Self::default();
        }
        let scale =
            |(product, coefficient): (&Product, &Rational)| (product.clone(), coefficient * by);
        Self(self.0.iter().map(scale).collect())
    }

    pub(super) fn times(&self, other: &Self, work: &mut Work) -> Option<Self> {
        let mut result = Self::default();
        for (left, left_coefficient) in &self.0 {
            for (right, right_coefficient) in &other.0 {
                work.spend(1 + left.len() + right.len())?;
                work.spend(size(left_coefficient) + size(right_coefficient))?;
                let coefficient = multiplied(left_coefficient, right_coefficient);
                let mut exponents = left.clone();
                for (atom, exponent) in right {
                    *exponents.entry(atom.clone()).or_insert_with(Rational::zero) += exponent;
                }
                for (product, coefficient) in Self::tidy(exponents, coefficient, work)?.0 {
                    result.add(product, &coefficient);
                }
                if result.0.len() > MAX_TERMS {
                    return None;
                }
            }
        }
        Some(result)
    }

    /// A product whose exponents were just added: whole powers of what is under a root come out of it.
    fn tidy(exponents: Product, mut coefficient: Rational, work: &mut Work) -> Option<Self> {
        let mut product = Product::new();
        let mut expanded: Vec<(Self, u32)> = Vec::new();
        for (atom, exponent) in exponents {
            match &atom {
                Atom::Integer(base) => {
                    let whole = exponent.floor().to_integer();
                    let base = Rational::from_integer(base.clone());
                    coefficient *= whole_power(&base, &whole, work)?;
                    let part = exponent.fract();
                    let part = if part.is_negative() {
                        part + integer(1)
                    } else {
                        part
                    };
                    if !part.is_zero() {
                        product.insert(atom, part);
                    }
                }
                Atom::Imaginary if exponent.is_integer() => {
                    let turns = exponent.to_integer().mod_floor(&BigInt::from(4));
                    if turns >= BigInt::from(2) {
                        coefficient = -coefficient;
                    }
                    if turns.is_odd() {
                        product.insert(atom, integer(1));
                    }
                }
                Atom::Sum(sum) if exponent >= integer(1) => {
                    let whole = exponent.floor().to_integer().to_u32()?;
                    expanded.push((sum.clone(), whole));
                    let part = exponent.fract();
                    if !part.is_zero() {
                        product.insert(atom, part);
                    }
                }
                _ if exponent.is_zero() => {}
                _ => {
                    product.insert(atom, exponent);
                }
            }
        }
        let mut result = Self::term(product, coefficient);
        for (sum, power) in expanded {
            result = result.times(&sum.power(power, work)?, work)?;
        }
        Some(result)
    }

    pub(super) fn power(&self, power: u32, work: &mut Work) -> Option<Self> {
        if power > MAX_POWER {
            return None;
        }
        let mut result = Self::constant(Rational::one());
        for _ in 0..power {
            result = result.times(self, work)?;
        }
        Some(result)
    }

    /// Whether nothing in it is of unknown value, so that it is 0 only where it has no terms.
    pub(super) fn is_known(&self) -> bool {
        self.0
            .keys()
            .flat_map(|product| product.keys())
            .all(is_known)
    }
}

/// Whether an atom is independent of the others, as far as anybody knows.
fn is_known(atom: &Atom) -> bool {
    match atom {
        Atom::Function(..) | Atom::Sum(_) => false,
        // `e` to the power of a logarithm or of an angle may come to something else.
        Atom::Power(base, exponent) => {
            let base = base.above.single().filter(|_| base.is_sum());
            base.is_some_and(|(own, _)| own.len() <= 1 && own.keys().all(is_known))
                && exponent.keys().all(|atom| {
                    matches!(
                        atom,
                        Atom::Symbol(_) | Atom::Pi | Atom::Euler | Atom::Integer(_)
                    )
                })
        }
        _ => true,
    }
}

impl Quotient {
    /// Whether it is a sum, over 1.
    pub(super) fn is_sum(&self) -> bool {
        self.below.rational().is_some_and(|below| below.is_one())
    }

    pub(super) fn from_sum(above: Sum) -> Self {
        let below = Sum::constant(Rational::one());
        Self { above, below }
    }

    pub(super) fn constant(value: Rational) -> Self {
        Self::from_sum(Sum::constant(value))
    }

    pub(super) fn atom(atom: Atom) -> Self {
        Self::from_sum(Sum::term(Product::from([(atom, integer(1))]), integer(1)))
    }

    pub(super) fn rational(&self) -> Option<Rational> {
        let below = self.below.rational().filter(|below| !below.is_zero())?;
        Some(self.above.rational()? / below)
    }

    pub(super) fn plus(&self, other: &Self, work: &mut Work) -> Option<Self> {
        if self.below == other.below {
            return Some(Self {
                above: self.above.plus(&other.above, work)?,
                below: self.below.clone(),
            });
        }
        let left = self.above.times(&other.below, work)?;
        let right = other.above.times(&self.below, work)?;
        Some(Self {
            above: left.plus(&right, work)?,
            below: self.below.times(&other.below, work)?,
        })
    }

    pub(super) fn negated(&self) -> Self {
        Self {
            above: self.above.scaled(&integer(-1)),
            below: self.below.clone(),
        }
    }

    pub(super) fn minus(&self, other: &Self, work: &mut Work) -> Option<Self> {
        self.plus(&other.negated(), work)
    }

    pub(super) fn times(&self, other: &Self, work: &mut Work) -> Option<Self> {
        let above = self.above.times(&other.above, work)?;
        let below = self.below.times(&other.below, work)?;
        Self::over(above, below, work)
    }

    pub(super) fn divided_by(&self, other: &Self, work: &mut Work) -> Option<Self> {
        let above = self.above.times(&other.below, work)?;
        let below = self.below.times(&other.above, work)?;
        Self::over(above, below, work)
    }

    /// A quotient; a single product below is taken above.
    fn over(above: Sum, below: Sum, work: &mut Work) -> Option<Self> {
        if below.is_zero() {
            return None;
        }
        let Some((product, coefficient)) = below.single() else {
            return Some(Self { above, below });
        };
        let inverse = product.iter().map(|(atom, power)| (atom.clone(), -power));
        let inverse = Sum::tidy(inverse.collect(), coefficient.recip(), work)?;
        Some(Self::from_sum(above.times(&inverse, work)?))
    }

    /// To the power of a rational number.
    pub(super) fn raised(&self, power: &Rational, work: &mut Work) -> Option<Self> {
        work.spend(10)?;
        if power.is_zero() {
            return Some(Self::constant(Rational::one()));
        }
        if self.above.is_zero() {
            return power.is_positive().then(|| self.clone());
        }
        let above = root(&self.above, power, work)?;
        if self.is_sum() {
            return Some(above);
        }
        above.divided_by(&root(&self.below, power, work)?, work)
    }
}

/// A sum, which is not 0, to the power of a rational number.
fn root(sum: &Sum, power: &Rational, work: &mut Work) -> Option<Quotient> {
    let Some((product, coefficient)) = sum.single() else {
        if power.is_integer() {
            let raised = sum.power(power.to_integer().magnitude().to_u32()?, work)?;
            return match power.is_negative() {
                true => Quotient::over(Sum::constant(Rational::one()), raised, work),
                false => Some(Quotient::from_sum(raised)),
            };
        }
        // What all terms have in common comes out, so that alike sums are the same atom.
        let (_, first) = sum.0.first_key_value()?;
        let content = first.abs();
        let outside = rational_root(&content, power, work)?;
        let inside = Atom::Sum(sum.scaled(&content.recip()));
        let inside = Sum::tidy(Product::from([(inside, power.clone())]), integer(1), work)?;
        return outside.times(&Quotient::from_sum(inside), work);
    };
    if power.is_integer() {
        let raised = product
            .iter()
            .map(|(atom, own)| (atom.clone(), own * power));
        let coefficient = whole_power(coefficient, &power.to_integer(), work)?;
        return Some(Quotient::from_sum(Sum::tidy(
            raised.collect(),
            coefficient,
            work,
        )?));
    }
    let is_even_root = power.denom().is_even();
    // The root of a square is a distance: `x` only where `x` is not negative.
    let splits = |(atom, own): (&Atom, &Rational)| match atom {
        Atom::Pi | Atom::Euler | Atom::Integer(_) | Atom::Logarithm(_) | Atom::Infinity => true,
        Atom::Imaginary => false,
        _ => !is_even_root || !own.is_integer() || own.to_integer().is_odd(),
    };
    let sign = if coefficient.is_positive() {
        Quotient::constant(integer(1))
    } else if !is_even_root {
        // The real root, as in school.
        Quotient::constant(integer(if power.numer().is_odd() { -1 } else { 1 }))
    } else if *power.denom() == BigInt::from(2) {
        let imaginary = Product::from([(
            Atom::Imaginary,
            Rational::from_integer(power.numer().clone()),
        )]);
        Quotient::from_sum(Sum::tidy(imaginary, integer(1), work)?)
    } else {
        return opaque(sum, power);
    };
    if !product.iter().all(splits) {
        return opaque(sum, power);
    }
    let raised = product
        .iter()
        .map(|(atom, own)| (atom.clone(), own * power));
    let raised = Quotient::from_sum(Sum::tidy(raised.collect(), integer(1), work)?);
    let number = rational_root(&coefficient.abs(), power, work)?;
    sign.times(&number, work)?.times(&raised, work)
}

/// A power that is kept as it is.
fn opaque(sum: &Sum, power: &Rational) -> Option<Quotient> {
    let product = Product::from([(Atom::Sum(sum.clone()), power.clone())]);
    Some(Quotient::from_sum(Sum::term(product, integer(1))))
}

/// A positive rational number to the power of another.
fn rational_root(value: &Rational, power: &Rational, work: &mut Work) -> Option<Quotient> {
    let mut product = Product::new();
    for (base, own) in rational_factors(value, work)? {
        let exponent = Rational::from_integer(own) * power;
        *product
            .entry(Atom::Integer(base))
            .or_insert_with(Rational::zero) += exponent;
    }
    Some(Quotient::from_sum(Sum::tidy(product, integer(1), work)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sqrt(value: i64, work: &mut Work) -> Quotient {
        let half = Rational::new(1.into(), 2.into());
        Quotient::constant(integer(value))
            .raised(&half, work)
            .unwrap()
    }

    #[test]
    fn roots_are_simplified() {
        let work = &mut Work::new();
        let twice = Quotient::constant(integer(2));
        assert_eq!(sqrt(12, work), twice.times(&sqrt(3, work), work).unwrap());
        assert_eq!(
            sqrt(2, work).times(&sqrt(3, work), work).unwrap(),
            sqrt(6, work)
        );
        assert_eq!(sqrt(-4, work).above.0.len(), 1);
        let one = Quotient::constant(integer(1));
        let below = one.plus(&sqrt(2, work), work).unwrap();
        let left = one.divided_by(&below, work).unwrap();
        let right = sqrt(2, work).minus(&one, work).unwrap();
        assert!(left.minus(&right, work).unwrap().above.is_zero());
    }

    #[test]
    fn what_would_be_too_large_is_given_up() {
        let work = &mut Work::new();
        let ten = Quotient::constant(integer(10));
        assert!(ten.raised(&integer(1_000), work).is_some());
        assert!(ten.raised(&integer(1_000_000_000), work).is_none());
        let sum = Quotient::atom(Atom::Pi).plus(&ten, work).unwrap();
        assert!(sum.raised(&integer(1_000), work).is_none());
        assert!(Work::new().spend(usize::MAX).is_none());
    }
}
