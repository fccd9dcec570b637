//! Money and tokens, in integers.
//!
//! A price per million tokens with up to six decimals is a whole number of pico-dollars per
//! token, so no sum of costs is ever rounded. The ledger never uses floating point; `f64`
//! appears only where a dollar amount enters or leaves as JSON.

use crate::names::names;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// Pico-dollars in a dollar.
pub const PICO_PER_USD: u64 = 1_000_000_000_000;

/// The largest amount that is accepted from outside, in dollars. It leaves room for sums
/// within a signed 64-bit integer of pico-dollars (about 9.2 million dollars).
pub const MAX_USD: f64 = 1_000_000.0;

/// An amount of money in pico-dollars (10⁻¹² US dollars). As JSON it is a number of dollars.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(u64);

/// A number that is no amount of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a number of dollars from 0 to 1000000")]
pub struct NotAnAmount;

impl Usd {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// An amount given in pico-dollars.
    #[must_use]
    pub const fn from_pico(pico: u64) -> Self {
        Self(pico)
    }

    /// The amount in pico-dollars.
    #[must_use]
    pub const fn pico(self) -> u64 {
        self.0
    }

    /// The nearest amount to a number of dollars.
    ///
    /// # Errors
    /// The number is negative, not finite, or above [`MAX_USD`].
    pub fn from_dollars(dollars: f64) -> Result<Self, NotAnAmount> {
        if !(0.0..=MAX_USD).contains(&dollars) {
            return Err(NotAnAmount);
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range was checked: at most 10^18, never negative"
        )]
        #[expect(clippy::cast_precision_loss, reason = "10^12 is exactly representable")]
        let pico = (dollars * PICO_PER_USD as f64).round() as u64;
        Ok(Self(pico))
    }

    /// The amount in dollars, for people and JSON.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "for display: 15 significant digits are enough"
    )]
    pub fn dollars(self) -> f64 {
        self.0 as f64 / PICO_PER_USD as f64
    }

    /// The difference, or zero where `other` is larger.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Add for Usd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Usd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}", self.dollars())
    }
}

/// As it was given.
impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usd(usd) => usd.fmt(f),
            Self::Tokens(tokens) => write!(f, "{tokens} tokens"),
        }
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.dollars())
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let dollars = f64::deserialize(deserializer)?;
        Self::from_dollars(dollars).map_err(serde::de::Error::custom)
    }
}

/// What a model charges. All amounts are per token, or per request where it says so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prices {
    /// Pico-dollars per prompt token.
    pub input_pico: u64,
    /// Pico-dollars per completion token.
    pub output_pico: u64,
    /// Pico-dollars per request, whatever its size.
    pub request_pico: u64,
    /// Pico-dollars per prompt token that was read from a cache, where these have a price of their
    /// own. What a request may cost never counts on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input_pico: Option<u64>,
}

impl Prices {
    /// Prices from dollars per million tokens and dollars per request. What is finer than a pico-dollar per token
    /// (six decimals per million tokens) is rounded up, so that nothing costs more than is thought.
    ///
    /// # Errors
    /// A price is negative, not finite, or above [`MAX_USD`].
    pub fn per_million(input: f64, output: f64, request: f64) -> Result<Self, NotAnAmount> {
        Ok(Self {
            input_pico: per_token(input)?,
            output_pico: per_token(output)?,
            request_pico: Usd::from_dollars(request)?.pico(),
            cached_input_pico: None,
        })
    }

    /// The same prices with one for prompt tokens read from a cache, in dollars per million.
    ///
    /// # Errors
    /// As for [`Self::per_million`], or the price is above that of other prompt tokens.
    pub fn with_cached_input(self, cached_input: f64) -> Result<Self, NotAnAmount> {
        let cached_input_pico = per_token(cached_input)?;
        if cached_input_pico > self.input_pico {
            return Err(NotAnAmount);
        }
        Ok(Self {
            cached_input_pico: Some(cached_input_pico),
            ..self
        })
    }

    /// What one request with this usage costs, where nothing of it comes from a cache.
    #[must_use]
    pub const fn cost(self, usage: Usage) -> Usd {
        let input = self.input_pico.saturating_mul(usage.prompt_tokens);
        let output = self.output_pico.saturating_mul(usage.completion_tokens);
        Usd(self
            .request_pico
            .saturating_add(input)
            .saturating_add(output))
    }

    /// What one request with this usage costs, with what it had from a cache at its own price.
    #[must_use]
    pub const fn cost_with_cache(self, usage: Usage, details: UsageDetails) -> Usd {
        let Some(cached_pico) = self.cached_input_pico else {
            return self.cost(usage);
        };
        // A cache holds no more than the prompt.
        let cached = if details.cached_tokens < usage.prompt_tokens {
            details.cached_tokens
        } else {
            usage.prompt_tokens
        };
        let uncached = Usage {
            prompt_tokens: usage.prompt_tokens - cached,
            ..usage
        };
        let cached_input = cached_pico.saturating_mul(cached);
        Usd(self.cost(uncached).0.saturating_add(cached_input))
    }
}

/// A price in dollars per million tokens as pico-dollars per token, rounded up.
fn per_token(price: f64) -> Result<u64, NotAnAmount> {
    Ok(Usd::from_dollars(price)?.pico().div_ceil(1_000_000))
}

/// Tokens of one request, all its responses together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt, billed once per request.
    pub prompt_tokens: u64,
    /// Tokens of all responses of the request.
    pub completion_tokens: u64,
}

impl Usage {
    /// All tokens.
    #[must_use]
    pub const fn total(self) -> u64 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }
}

/// Parts of a [`Usage`] that are of interest apart. They are in its numbers already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageDetails {
    /// Those of the prompt's tokens that the endpoint had in a cache.
    pub cached_tokens: u64,
    /// Those of the responses' tokens that are reasoning and no text.
    pub reasoning_tokens: u64,
}

/// What was spent or may be spent, in both units at once.
///
/// Dollars are zero for a model without prices, which only jobs with token budgets may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spend {
    /// Dollars.
    pub usd: Usd,
    /// Prompt and completion tokens.
    pub tokens: u64,
}

impl Spend {
    /// The spend of a request with this usage at these prices.
    #[must_use]
    pub const fn of(usage: Usage, prices: Prices) -> Self {
        Self {
            usd: prices.cost(usage),
            tokens: usage.total(),
        }
    }

    /// The spend of a request with this usage at these prices, what came from a cache at its own.
    #[must_use]
    pub const fn with_cache(usage: Usage, details: UsageDetails, prices: Prices) -> Self {
        Self {
            usd: prices.cost_with_cache(usage, details),
            tokens: usage.total(),
        }
    }

    /// The difference in each unit, or zero where `other` is larger.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self {
            usd: self.usd.saturating_sub(other.usd),
            tokens: self.tokens.saturating_sub(other.tokens),
        }
    }
}

impl Add for Spend {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            usd: self.usd + other.usd,
            tokens: self.tokens.saturating_add(other.tokens),
        }
    }
}

impl AddAssign for Spend {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Spend {
    fn sum<I: Iterator<Item = Self>>(spends: I) -> Self {
        spends.fold(Self::default(), Add::add)
    }
}

/// A limit on spending, in one unit. As JSON: `{"usd": 0.5}` or `{"tokens": 100000}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// At most so many dollars.
    Usd(Usd),
    /// At most so many tokens, prompt and completion together.
    Tokens(u64),
}

impl Budget {
    /// What spending all of it is, in its own unit; nothing in the other one.
    #[must_use]
    pub const fn whole(self) -> Spend {
        match self {
            Self::Usd(usd) => Spend { usd, tokens: 0 },
            Self::Tokens(tokens) => Spend {
                usd: Usd::ZERO,
                tokens,
            },
        }
    }

    /// The budget as a bare integer in [the unit](Budget::unit) of its own: pico-dollars or tokens.
    #[must_use]
    pub const fn amount(self) -> u64 {
        match self {
            Self::Usd(usd) => usd.pico(),
            Self::Tokens(tokens) => tokens,
        }
    }

    /// The unit that the budget is in.
    #[must_use]
    pub const fn unit(self) -> Unit {
        match self {
            Self::Usd(_) => Unit::Usd,
            Self::Tokens(_) => Unit::Tokens,
        }
    }

    /// Whether a spend stays within the budget (equal is within).
    #[must_use]
    pub const fn covers(self, spend: Spend) -> bool {
        self.unit().of(spend) <= self.amount()
    }
}

names! {
    /// The unit in which a budget or a cost is counted.
    #[derive(Default)]
    pub enum Unit: "unit" {
        /// Pico-dollars inside, dollars outside.
        #[default]
        Usd = "usd",
        /// Tokens.
        Tokens = "tokens",
    }
}

impl Unit {
    /// The part of a spend in this unit, as a bare integer (pico-dollars or tokens).
    #[must_use]
    pub const fn of(self, spend: Spend) -> u64 {
        match self {
            Self::Usd => spend.usd.pico(),
            Self::Tokens => spend.tokens,
        }
    }

    /// Prices in this unit: a model's own in dollars; one per token in tokens.
    #[must_use]
    pub const fn prices(self, prices: Prices) -> Prices {
        match self {
            Self::Usd => prices,
            Self::Tokens => Prices {
                input_pico: 1,
                output_pico: 1,
                request_pico: 0,
                cached_input_pico: None,
            },
        }
    }

    /// A budget of this amount.
    #[must_use]
    pub const fn budget(self, amount: u64) -> Budget {
        match self {
            Self::Usd => Budget::Usd(Usd::from_pico(amount)),
            Self::Tokens => Budget::Tokens(amount),
        }
    }

    /// An amount in this unit as people read it: dollars, or tokens.
    #[must_use]
    pub fn display(self, amount: f64) -> f64 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "10^12 is exactly representable")]
            Self::Usd => amount / PICO_PER_USD as f64,
            Self::Tokens => amount,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_price_per_million_is_exact_per_token() {
        let prices = Prices::per_million(0.15, 0.6, 0.0).unwrap();
        let usage = Usage {
            prompt_tokens: 1_000,
            completion_tokens: 500,
        };
        assert_eq!(prices.cost(usage), Usd::from_dollars(0.00045).unwrap());
    }

    #[test]
    fn a_price_finer_than_a_pico_dollar_per_token_is_rounded_up() {
        for (price, pico) in [
            (0.000_001, 1),
            (0.000_000_1, 1),
            (0.756_408_636_797, 756_409),
            (0.15, 150_000),
            (0.0, 0),
        ] {
            let prices = Prices::per_million(price, price, 0.0).unwrap();
            assert_eq!((prices.input_pico, prices.output_pico), (pico, pico));
        }
        assert_eq!(Prices::per_million(-0.1, 0.0, 0.0), Err(NotAnAmount));
    }

    #[test]
    fn what_comes_from_a_cache_has_a_price_of_its_own_where_one_is_given() {
        let prices = Prices::per_million(1.0, 2.0, 0.0).unwrap();
        let usage = Usage {
            prompt_tokens: 100,
            completion_tokens: 10,
        };
        let details = |cached_tokens| UsageDetails {
            cached_tokens,
            reasoning_tokens: 0,
        };
        assert_eq!(
            prices.cost_with_cache(usage, details(60)),
            prices.cost(usage)
        );
        let cheaper = prices.with_cached_input(0.1).unwrap();
        assert_eq!(cheaper.cost(usage), prices.cost(usage));
        for (cached, pico) in [(0, 120_000_000), (60, 66_000_000), (u64::MAX, 30_000_000)] {
            let cost = cheaper.cost_with_cache(usage, details(cached));
            assert_eq!(cost, Usd::from_pico(pico), "{cached}");
        }
        assert_eq!(prices.with_cached_input(1.5), Err(NotAnAmount));
    }

    #[test]
    fn budgets_are_shown_as_they_were_given() {
        let half = Usd::from_dollars(0.5).unwrap();
        assert_eq!(Budget::Usd(half).to_string(), "$0.5");
        assert_eq!(Budget::Tokens(20_000).to_string(), "20000 tokens");
    }

    #[test]
    fn amounts_outside_the_range_are_refused() {
        for dollars in [-0.1, f64::NAN, f64::INFINITY, 1_000_001.0] {
            assert_eq!(Usd::from_dollars(dollars), Err(NotAnAmount));
        }
    }

    proptest! {
        #[test]
        fn dollars_survive_json(pico in 0..=1_000 * PICO_PER_USD) {
            let usd = Usd::from_pico(pico);
            let json = serde_json::to_string(&usd).unwrap();
            prop_assert_eq!(serde_json::from_str::<Usd>(&json).unwrap(), usd);
        }
    }
}
