//! From what was read to exact arithmetic: a formula as a quotient of sums of products.

use super::exact::{Atom, Product, Quotient, Sum, Work, integer, rational_factors};
use super::numeric;
use super::syntax::{Node, Rational};
use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{FromPrimitive, One, Signed, ToPrimitive, Zero};

/// The largest number whose factorial is multiplied out.
const MAX_FACTORIAL: u32 = 300;

/// Which sign is taken where both are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    First,
    Second,
}

/// Reckons formulas.
pub(super) struct Reckoner<'w> {
    pub(super) work: &'w mut Work,
    pub(super) sign: Sign,
    /// How many functions it is within: there degrees are angles and not a unit.
    functions: usize,
}

impl<'w> Reckoner<'w> {
    pub(super) const fn new(work: &'w mut Work, sign: Sign) -> Self {
        Self {
            work,
            sign,
            functions: 0,
        }
    }

    /// The formula; nothing where it is none, has no value or is beyond what is reckoned.
    pub(super) fn reckon(&mut self, node: &Node) -> Option<Quotient> {
        self.work.spend(1)?;
        match node {
            Node::Number(value) | Node::Decimal(value) => Some(Quotient::constant(value.clone())),
            Node::Pi => Some(Quotient::atom(Atom::Pi)),
            Node::Euler => Some(Quotient::atom(Atom::Euler)),
            Node::Imaginary => Some(Quotient::atom(Atom::Imaginary)),
            Node::Infinity => Some(Quotient::atom(Atom::Infinity)),
            Node::Symbol(name) => Some(Quotient::atom(Atom::Symbol(name.clone()))),
            Node::Sum(parts) => {
                let mut total = Quotient::constant(Rational::zero());
                for part in parts {
                    let part = self.reckon(part)?;
                    total = total.plus(&part, self.work)?;
                }
                Some(total)
            }
            Node::Product(parts) => {
                let mut total = Quotient::constant(Rational::one());
                for part in parts {
                    let part = self.reckon(part)?;
                    total = total.times(&part, self.work)?;
                }
                Some(total)
            }
            Node::Quotient(above, below) => {
                let (above, below) = (self.reckon(above)?, self.reckon(below)?);
                above.divided_by(&below, self.work)
            }
            Node::Power(base, exponent) => {
                let (base, exponent) = (self.reckon(base)?, self.reckon(exponent)?);
                self.power(&base, &exponent)
            }
            Node::Negative(part) => Some(self.reckon(part)?.negated()),
            Node::PlusMinus(part) => self.signed(part, Sign::First),
            Node::MinusPlus(part) => self.signed(part, Sign::Second),
            Node::Percent(part) => {
                let part = self.reckon(part)?;
                part.divided_by(&Quotient::constant(integer(100)), self.work)
            }
            Node::Degrees(part) if self.functions > 0 => {
                let part = self.reckon(part)?;
                let half_turn = Quotient::constant(integer(180));
                let part = part.times(&Quotient::atom(Atom::Pi), self.work)?;
                part.divided_by(&half_turn, self.work)
            }
            Node::Degrees(part) => self.reckon(part),
            Node::Function(name, arguments) => {
                self.functions += 1;
                let arguments: Option<Vec<Quotient>> = arguments
                    .iter()
                    .map(|argument| self.reckon(argument))
                    .collect();
                self.functions -= 1;
                self.function(name, arguments?)
            }
            Node::Text(_)
            | Node::Ordered(..)
            | Node::Set(_)
            | Node::Union(_)
            | Node::Without(..)
            | Node::Matrix(..)
            | Node::Related(..)
            | Node::List(_)
            | Node::Measured(..) => None,
        }
    }

    fn signed(&mut self, part: &Node, positive: Sign) -> Option<Quotient> {
        let part = self.reckon(part)?;
        Some(if self.sign == positive {
            part
        } else {
            part.negated()
        })
    }

    fn power(&mut self, base: &Quotient, exponent: &Quotient) -> Option<Quotient> {
        if let Some(power) = exponent.rational() {
            return base.raised(&power, self.work);
        }
        if exponent.below.rational()? != integer(1) {
            return self.opaque_power(base, exponent);
        }
        let mut total = Quotient::constant(Rational::one());
        for (product, coefficient) in &exponent.above.0 {
            let part = if product.is_empty() {
                base.raised(coefficient, self.work)?
            } else {
                self.symbolic_power(base, product, coefficient)?
            };
            total = total.times(&part, self.work)?;
        }
        Some(total)
    }

    /// A power whose exponent is itself a quotient that cannot be taken apart.
    fn opaque_power(&mut self, base: &Quotient, exponent: &Quotient) -> Option<Quotient> {
        self.work.spend(1)?;
        let exponent = Atom::Function("value", vec![exponent.clone()]);
        let power = Atom::Power(
            Box::new(base.clone()),
            Product::from([(exponent, integer(1))]),
        );
        Some(Quotient::atom(power))
    }

    /// A base to the power of a product that is no number.
    fn symbolic_power(
        &mut self,
        base: &Quotient,
        product: &Product,
        coefficient: &Rational,
    ) -> Option<Quotient> {
        let to = |base: Quotient, power: Rational| {
            let atom = Atom::Power(Box::new(base), product.clone());
            Quotient::from_sum(Sum::term(Product::from([(atom, power)]), integer(1)))
        };
        let single = base.above.single().filter(|_| base.is_sum());
        let Some((own, factor)) = single.filter(|(_, factor)| factor.is_positive()) else {
            return Some(to(base.clone(), coefficient.clone()));
        };
        let is_euler = own.len() == 1 && own.get(&Atom::Euler).is_some_and(One::is_one);
        if is_euler && factor.is_one() && is_half_turns(product) {
            let quarter_turns = coefficient * integer(2);
            if quarter_turns.is_integer() {
                return Quotient::atom(Atom::Imaginary).raised(&quarter_turns, self.work);
            }
        }
        let mut total = Quotient::constant(Rational::one());
        for (prime, power) in rational_factors(factor, self.work)? {
            let prime = Quotient::constant(Rational::from_integer(prime));
            let power = Rational::from_integer(power) * coefficient;
            total = total.times(&to(prime, power), self.work)?;
        }
        for (atom, power) in own {
            let part = to(Quotient::atom(atom.clone()), power * coefficient);
            total = total.times(&part, self.work)?;
        }
        Some(total)
    }

    fn function(&mut self, name: &'static str, mut arguments: Vec<Quotient>) -> Option<Quotient> {
        let work = &mut *self.work;
        let numbers: Option<Vec<Rational>> = arguments.iter().map(Quotient::rational).collect();
        match (name, arguments.as_slice()) {
            ("exp", [power]) => {
                let power = power.clone();
                return self.power(&Quotient::atom(Atom::Euler), &power);
            }
            ("log", [base, of]) => {
                let (base, of) = (base.clone(), of.clone());
                let of = self.function("ln", vec![of])?;
                let base = self.function("ln", vec![base])?;
                return of.divided_by(&base, self.work);
            }
            ("ln", [of]) => {
                if let Some(logarithm) = logarithm(of, work) {
                    return Some(logarithm);
                }
            }
            ("abs", [of]) if !numeric::has_symbols(of) => {
                if let Some(value) = numeric::real(of).filter(|value| *value != 0.0) {
                    return Some(if value < 0.0 {
                        of.negated()
                    } else {
                        of.clone()
                    });
                }
            }
            ("sin" | "tan" | "arcsin" | "arctan" | "sinh" | "tanh", [of]) if of.above.is_zero() => {
                return arguments.pop();
            }
            ("cos" | "cosh", [of]) if of.above.is_zero() => {
                return Some(Quotient::constant(Rational::one()));
            }
            ("floor" | "ceil", [of]) if !numeric::has_symbols(of) && numbers.is_none() => {
                let value = numeric::real(of)?;
                // So near to an integer floating point does not tell on which side it is.
                if value.abs() < 1e9 && (value - value.round()).abs() > 1e-6 {
                    let value = if name == "floor" {
                        value.floor()
                    } else {
                        value.ceil()
                    };
                    return Some(Quotient::constant(Rational::from_integer(
                        BigInt::from_f64(value)?,
                    )));
                }
            }
            _ => {}
        }
        if let Some(value) = numbers.and_then(|numbers| of_numbers(name, &numbers)) {
            return Some(Quotient::constant(value));
        }
        Some(Quotient::atom(Atom::Function(name, arguments)))
    }
}

/// Whether it is i · π.
fn is_half_turns(product: &Product) -> bool {
    let once = |atom: &Atom| product.get(atom).is_some_and(One::is_one);
    product.len() == 2 && once(&Atom::Imaginary) && once(&Atom::Pi)
}

/// The natural logarithm of a product of what is surely positive.
fn logarithm(of: &Quotient, work: &mut Work) -> Option<Quotient> {
    let (product, coefficient) = of.above.single().filter(|_| of.is_sum())?;
    if !coefficient.is_positive() {
        return None;
    }
    let mut total = Quotient::constant(Rational::zero());
    let mut add = |part: Atom, times: Rational, work: &mut Work| {
        let part = Quotient::from_sum(Sum::term(Product::from([(part, integer(1))]), times));
        total = total.plus(&part, work)?;
        Some(())
    };
    for (prime, power) in rational_factors(coefficient, work)? {
        add(Atom::Logarithm(prime), Rational::from_integer(power), work)?;
    }
    let mut known = Rational::zero();
    for (atom, power) in product {
        match atom {
            Atom::Euler => known += power,
            Atom::Integer(base) => {
                for (prime, own) in rational_factors(&Rational::from_integer(base.clone()), work)? {
                    let times = Rational::from_integer(own) * power;
                    add(Atom::Logarithm(prime), times, work)?;
                }
            }
            Atom::Pi => {
                let of = Atom::Function("ln", vec![Quotient::atom(Atom::Pi)]);
                add(of, power.clone(), work)?;
            }
            _ => return None,
        }
    }
    total.plus(&Quotient::constant(known), work)
}

/// Functions of numbers whose value is a fraction.
fn of_numbers(name: &str, numbers: &[Rational]) -> Option<Rational> {
    let whole = |number: &Rational| number.is_integer().then(|| number.to_integer());
    Some(match (name, numbers) {
        ("abs", [number]) => number.abs(),
        ("floor", [number]) => number.floor(),
        ("ceil", [number]) => number.ceil(),
        ("factorial", [number]) => {
            let number = whole(number)?.to_u32().filter(|n| *n <= MAX_FACTORIAL)?;
            let product: BigInt = (1..=number).map(BigInt::from).product();
            Rational::from_integer(product)
        }
        ("binom", [of, taken]) => {
            let of = whole(of)?.to_u32().filter(|n| *n <= MAX_FACTORIAL)?;
            let taken = whole(taken)?.to_u32()?;
            if taken > of {
                return Some(Rational::zero());
            }
            let step = |total: BigInt, k: u32| total * (of - k) / (k + 1);
            Rational::from_integer((0..taken).fold(BigInt::one(), step))
        }
        ("max", [first, others @ ..]) => others.iter().fold(first.clone(), |a, b| a.max(b.clone())),
        ("min", [first, others @ ..]) => others.iter().fold(first.clone(), |a, b| a.min(b.clone())),
        ("gcd" | "lcm", [first, others @ ..]) => {
            let mut total = whole(first)?;
            for other in others {
                let other = whole(other)?;
                total = match name {
                    "gcd" => total.gcd(&other),
                    _ if total.bits() + other.bits() > 4_000 => return None,
                    _ => total.lcm(&other),
                };
            }
            Rational::from_integer(total)
        }
        _ => return None,
    })
}
