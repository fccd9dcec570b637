//! How long to wait before the next attempt.

use chrono::{DateTime, Utc};
use rand::{Rng, RngExt};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use std::time::Duration;

/// Waits between attempts: exponential with full jitter, or what the endpoint asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The upper end of the first wait; it doubles with every attempt.
    pub base: Duration,
    /// The upper end of any wait of the client's own.
    pub most: Duration,
    /// The longest wait that an endpoint may ask for; what is longer is cut to this.
    pub most_asked_for: Duration,
}

impl Default for Backoff {
    /// Half a second, doubling up to 30 seconds; up to 60 seconds where the endpoint asks.
    fn default() -> Self {
        Self {
            base: Duration::from_millis(500),
            most: Duration::from_secs(30),
            most_asked_for: Duration::from_secs(60),
        }
    }
}

impl Backoff {
    /// The wait after the `made`-th attempt (1, 2, …). Where the endpoint asked for a wait, it
    /// is at least that, up to the stated limit, with the jitter of a first attempt on top so
    /// that not all requests come back at the same moment.
    pub(crate) fn wait(
        &self,
        made: u32,
        asked_for: Option<Duration>,
        random: &mut impl Rng,
    ) -> Duration {
        let jitter = |upper: Duration, random: &mut dyn Rng| upper.mul_f64(random.random::<f64>());
        match asked_for {
            Some(asked_for) => {
                asked_for.min(self.most_asked_for) + jitter(self.base.min(self.most), random)
            }
            None => {
                let doubled = 2_u32.saturating_pow(made.saturating_sub(1));
                jitter(self.base.saturating_mul(doubled).min(self.most), random)
            }
        }
    }
}

/// Waits longer than this are taken for this; nobody waits longer, and sums stay small.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long the endpoint asks to wait: `retry-after-ms` or `Retry-After`, else the later of the
/// `x-ratelimit-reset-*` whose quota is not known to have something left. What is 0, negative,
/// past or unreadable is as good as missing.
pub(crate) fn asked_for(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let milliseconds = text("retry-after-ms").and_then(|value| seconds(value, 0.001));
    let retry_after = || text(RETRY_AFTER.as_str()).and_then(|value| delay(value, now));
    let reset = |quota: &str| {
        let remaining = text(&format!("x-ratelimit-remaining-{quota}"));
        let left = remaining.and_then(|value| value.trim().parse::<f64>().ok());
        if left.is_some_and(|left| left > 0.0) {
            return None;
        }
        text(&format!("x-ratelimit-reset-{quota}")).and_then(|value| delay(value, now))
    };
    milliseconds
        .or_else(retry_after)
        .or_else(|| reset("requests").max(reset("tokens")))
}

/// A wait as servers write it: seconds, a duration such as `1m30.5s` or `20ms`, a date of HTTP
/// or RFC 3339, or a Unix time.
fn delay(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    let text = text.trim();
    if let Some(number) = number(text) {
        #[expect(clippy::cast_precision_loss, reason = "Unix times are far below 2^53")]
        let now = now.timestamp_millis() as f64 / 1000.0;
        // No wait is thirty years long: such numbers are points in time.
        return match number {
            number if number >= 1e12 => positive(number / 1000.0 - now),
            number if number >= 1e9 => positive(number - now),
            number => positive(number),
        };
    }
    let date = DateTime::parse_from_rfc2822(text).or_else(|_| DateTime::parse_from_rfc3339(text));
    match date {
        Ok(date) => {
            let wait = date.with_timezone(&Utc).signed_duration_since(now);
            wait.to_std()
                .ok()
                .filter(|wait| !wait.is_zero())
                .map(|wait| wait.min(LONGEST))
        }
        Err(_) => units(text),
    }
}

fn seconds(text: &str, unit: f64) -> Option<Duration> {
    positive(number(text.trim())? * unit)
}

/// A number that is one: `f64` also reads `NaN` and `inf`.
fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

fn positive(seconds: f64) -> Option<Duration> {
    let wait = Duration::try_from_secs_f64(seconds.min(LONGEST.as_secs_f64())).ok()?;
    (!wait.is_zero()).then_some(wait)
}

/// A duration in units, the largest first: `1h2m3s`, `6m0s`, `12ms`.
fn units(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let end = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit = match unit {
            "d" => 86_400.0,
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * unit;
        rest = after;
    }
    positive(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use reqwest::header::{HeaderName, HeaderValue};

    fn now() -> DateTime<Utc> {
        DateTime::parse_from_rfc3339("2026-01-02T03:04:05Z")
            .unwrap()
            .to_utc()
    }

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn retry_after_is_read_in_all_its_forms() {
        for (value, expected) in [
            ("7", Some(7_000)),
            (" 1.5 ", Some(1_500)),
            ("86400", Some(86_400_000)),
            ("Fri, 02 Jan 2026 03:04:35 GMT", Some(30_000)),
            ("Fri, 02 Jan 2026 03:04:00 GMT", None),
            ("2026-01-02T03:05:05Z", Some(60_000)),
            ("1767323055", Some(10_000)),
            ("1767323055000", Some(10_000)),
            ("20s", Some(20_000)),
            ("6m0s", Some(360_000)),
            ("1h2m3.5s", Some(3_723_500)),
            ("12ms", Some(12)),
            ("0", None),
            ("-1", None),
            ("0s", None),
            ("", None),
            ("soon", None),
            ("5 minutes", None),
            ("NaN", None),
            ("inf", None),
            ("1e300", Some(604_800_000)),
            ("5.5.5s", None),
            ("s", None),
        ] {
            let found = asked_for(&headers(&[("retry-after", value)]), now());
            assert_eq!(found, expected.map(Duration::from_millis), "{value:?}");
        }
    }

    #[test]
    fn resets_of_rate_limits_stand_in_for_a_missing_retry_after() {
        let reset = |name: &str| format!("x-ratelimit-reset-{name}");
        let (requests, tokens) = (reset("requests"), reset("tokens"));
        for (pairs, expected) in [
            (
                vec![(requests.as_str(), "1s"), (tokens.as_str(), "6s")],
                Some(6_000),
            ),
            (
                vec![("retry-after", "2"), (tokens.as_str(), "6s")],
                Some(2_000),
            ),
            (
                vec![("retry-after-ms", "250"), ("retry-after", "2")],
                Some(250),
            ),
            (
                vec![("retry-after", "-1"), (tokens.as_str(), "6")],
                Some(6_000),
            ),
            // The quota of tokens has something left, so its reset is not what to wait for.
            (
                vec![
                    (requests.as_str(), "1s"),
                    (tokens.as_str(), "6m0s"),
                    ("x-ratelimit-remaining-tokens", "149984"),
                    ("x-ratelimit-remaining-requests", "0"),
                ],
                Some(1_000),
            ),
            (
                vec![
                    (tokens.as_str(), "0"),
                    ("x-ratelimit-remaining-tokens", "-1"),
                ],
                None,
            ),
            (vec![], None),
        ] {
            let found = asked_for(&headers(&pairs), now());
            assert_eq!(found, expected.map(Duration::from_millis), "{pairs:?}");
        }
    }

    #[test]
    fn a_day_is_cut_to_the_stated_limit() {
        let backoff = Backoff::default();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let wait = backoff.wait(1, Some(Duration::from_secs(86_400)), &mut random);
        assert!(wait >= backoff.most_asked_for && wait <= backoff.most_asked_for + backoff.base);
    }

    proptest! {
        #[test]
        fn waits_stay_within_their_bounds(seed: u64, made in 1_u32..100, asked: Option<u16>) {
            let backoff = Backoff::default();
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let asked = asked.map(|seconds| Duration::from_secs(seconds.into()));
            let wait = backoff.wait(made, asked, &mut random);
            match asked {
                Some(asked) => {
                    let floor = asked.min(backoff.most_asked_for);
                    prop_assert!(wait >= floor && wait <= floor + backoff.base);
                }
                None => {
                    let doubled = backoff.base.saturating_mul(2_u32.saturating_pow(made - 1));
                    prop_assert!(wait <= doubled.min(backoff.most));
                }
            }
        }

        #[test]
        fn the_same_seed_waits_the_same(seed: u64) {
            let waits = || {
                let mut random = ChaCha8Rng::seed_from_u64(seed);
                (1..6).map(|made| Backoff::default().wait(made, None, &mut random)).collect::<Vec<_>>()
            };
            prop_assert_eq!(waits(), waits());
        }

        #[test]
        fn any_header_is_read_without_panic(value in "[ -~]{0,40}") {
            let wait = asked_for(&headers(&[("retry-after", &value)]), now());
            prop_assert!(wait.is_none_or(|wait| wait <= LONGEST && !wait.is_zero()));
        }
    }
}
