//! How long an endpoint asks to wait, in its headers, in its error or in its words. What is 0,
//! negative, past or unreadable is as good as missing.

use crate::decode::json;
use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, HeaderName};
use serde_json::Value;
use std::time::Duration;

/// Waits longer than this are taken for this; nobody waits longer, and sums stay small.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// What gateways put before the names of headers that they pass on.
const PREFIX: &str = "llm_provider-";

/// How deep errors are looked into for a wait.
const MOST_LEVELS: u32 = 6;

/// How long the endpoint asks to wait. In this order: `retry-after-ms`, `Retry-After`, where `limited`
/// the latest of the resets of quotas that are not known to have something left, what the error holds,
/// and what it says.
pub(crate) fn asked_for(
    headers: &HeaderMap,
    body: &[u8],
    limited: bool,
    now: DateTime<Utc>,
) -> Option<Duration> {
    let named = |name: &str| text(headers, name);
    let milliseconds = || named("retry-after-ms").and_then(|value| seconds(value, 0.001));
    let retry_after = || named("retry-after").and_then(|value| delay(value, now));
    let resets = || limited.then(|| latest_reset(headers, now)).flatten();
    milliseconds()
        .or_else(retry_after)
        .or_else(resets)
        .or_else(|| within(body, limited, now))
}

/// A header, as it is or as a gateway passed it on.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let of = |name: &str| headers.get(name)?.to_str().ok();
    of(name).or_else(|| of(&format!("{PREFIX}{name}")))
}

/// The latest of the `x-ratelimit-reset-tokens`, `anthropic-ratelimit-requests-reset`,
/// `ratelimit-reset` and so on.
fn latest_reset(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let reset = |name: &HeaderName| {
        let name = name.as_str();
        let name = name.strip_prefix(PREFIX).unwrap_or(name);
        let is_reset =
            (name.contains("ratelimit") || name.contains("rate-limit")) && name.contains("reset");
        if !is_reset {
            return None;
        }
        let remaining = text(headers, &name.replace("reset", "remaining"));
        let left = remaining.and_then(|value| value.trim().parse::<f64>().ok());
        if left.is_some_and(|left| left > 0.0) {
            return None;
        }
        delay(text(headers, name)?, now)
    };
    headers.keys().filter_map(reset).max()
}

/// A wait that stands in the error: as a field, or in a message.
fn within(body: &[u8], limited: bool, now: DateTime<Utc>) -> Option<Duration> {
    let text = json::text(body);
    match json::parse(&text) {
        Some(parsed) => {
            let error = &parsed.values[0];
            field(error, MOST_LEVELS, now).or_else(|| message(error, MOST_LEVELS, limited))
        }
        None => words(&text, limited),
    }
}

fn field(value: &Value, levels: u32, now: DateTime<Utc>) -> Option<Duration> {
    let levels = levels.checked_sub(1)?;
    match value {
        Value::Array(list) => list.iter().find_map(|inner| field(inner, levels, now)),
        Value::Object(fields) => {
            let own = fields.iter().find_map(|(name, value)| {
                let name: String = name.to_lowercase().replace(['-', '_'], "");
                let unit = match name.as_str() {
                    "retrydelay" | "retryafter" | "retryafterseconds" | "retryin"
                    | "estimatedtime" | "xratelimitreset" => 1.0,
                    "retryafterms" | "retryaftermilliseconds" => 0.001,
                    _ => return None,
                };
                match value {
                    Value::String(text) if unit < 1.0 => seconds(text, unit),
                    Value::String(text) => delay(text, now),
                    Value::Number(number) if unit < 1.0 => positive(number.as_f64()? * unit),
                    Value::Number(number) => delay(&number.to_string(), now),
                    _ => None,
                }
            });
            own.or_else(|| fields.values().find_map(|inner| field(inner, levels, now)))
        }
        _ => None,
    }
}

fn message(value: &Value, levels: u32, limited: bool) -> Option<Duration> {
    let levels = levels.checked_sub(1)?;
    match value {
        Value::String(text) => words(text, limited),
        Value::Array(list) => list
            .iter()
            .find_map(|inner| message(inner, levels, limited)),
        Value::Object(fields) => fields
            .values()
            .find_map(|inner| message(inner, levels, limited)),
        _ => None,
    }
}

/// A wait in words, as in "Please try again in 1.2s" or "retry after 30 seconds".
fn words(text: &str, limited: bool) -> Option<Duration> {
    const BEFORE: [&str; 8] = [
        "try again in ",
        "retry in ",
        "retry after ",
        "again after ",
        "retry-after: ",
        "retrying in ",
        "wait for ",
        "wait ",
    ];
    const OF_LIMITS: [&str; 4] = ["reset in ", "resets in ", "reset after ", "available in "];
    let lower = text.to_lowercase();
    let of_limits = if limited { &OF_LIMITS[..] } else { &[] };
    BEFORE.iter().chain(of_limits).find_map(|words| {
        lower
            .match_indices(words)
            .find_map(|(at, _)| spoken(&lower[at + words.len()..]))
    })
}

/// The duration at the head of a text; a bare number is one of seconds.
fn spoken(text: &str) -> Option<Duration> {
    let mut rest = text.trim_start();
    for word in ["about ", "at least ", "another "] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    let mut total = 0.0;
    let mut any = false;
    while rest.starts_with(|c: char| c.is_ascii_digit()) {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let number: f64 = rest[..digits].trim_end_matches('.').parse().ok()?;
        let after = rest[digits..].trim_start();
        let word = after
            .find(|c: char| !c.is_alphabetic())
            .map_or(after, |end| &after[..end]);
        match unit(word) {
            Some(unit) => total += number * unit,
            None if any => break,
            None => return positive(number),
        }
        any = true;
        rest = after[word.len()..].trim_start_matches([' ', ',']);
        rest = rest.strip_prefix("and ").unwrap_or(rest);
    }
    any.then(|| positive(total)).flatten()
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

/// Seconds in a unit.
fn unit(name: &str) -> Option<f64> {
    Some(match name {
        "d" | "day" | "days" => 86_400.0,
        "h" | "hr" | "hour" | "hours" => 3_600.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "ms" | "millisecond" | "milliseconds" => 1e-3,
        "us" | "µs" => 1e-6,
        "ns" => 1e-9,
        _ => return None,
    })
}

/// A duration in units and nothing else, the largest first: `1h2m3s`, `6m0s`, `12ms`, `5 minutes`.
fn units(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let end = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (name, after) = after.split_at(end);
        total += number.parse::<f64>().ok()? * unit(name.trim())?;
        rest = after;
    }
    positive(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;
    use serde_json::json;

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
            ("5 minutes", Some(300_000)),
            ("NaN", None),
            ("inf", None),
            ("1e300", Some(604_800_000)),
            ("5.5.5s", None),
            ("s", None),
        ] {
            let found = asked_for(&headers(&[("retry-after", value)]), b"", true, now());
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
            let found = asked_for(&headers(&pairs), b"", true, now());
            assert_eq!(found, expected.map(Duration::from_millis), "{pairs:?}");
        }
    }

    #[test]
    fn quotas_of_many_vendors_are_read() {
        for (pairs, expected) in [
            (vec![("llm_provider-retry-after", "3")], Some(3_000)),
            (
                vec![("llm_provider-x-ratelimit-reset-tokens", "1m0s")],
                Some(60_000),
            ),
            (
                vec![("anthropic-ratelimit-requests-reset", "2026-01-02T03:04:15Z")],
                Some(10_000),
            ),
            (
                vec![
                    ("anthropic-ratelimit-tokens-reset", "2026-01-02T03:05:05Z"),
                    ("anthropic-ratelimit-tokens-remaining", "100"),
                    ("anthropic-ratelimit-requests-reset", "2026-01-02T03:04:15Z"),
                    ("anthropic-ratelimit-requests-remaining", "0"),
                ],
                Some(10_000),
            ),
            (vec![("x-ratelimit-reset", "1767323055000")], Some(10_000)),
            (vec![("ratelimit-reset", "4")], Some(4_000)),
            (
                vec![
                    ("x-ratelimit-reset-requests-day", "33011.38"),
                    ("x-ratelimit-remaining-requests-day", "900"),
                    ("x-ratelimit-reset-tokens-minute", "11.4"),
                ],
                Some(11_400),
            ),
            (vec![("x-ratelimit-limit-requests", "60")], None),
        ] {
            let found = asked_for(&headers(&pairs), b"", true, now());
            assert_eq!(found, expected.map(Duration::from_millis), "{pairs:?}");
        }
        // A quota that is reset some time is no wait where it is not what was refused.
        let reset = headers(&[("x-ratelimit-reset-tokens", "6s")]);
        assert_eq!(asked_for(&reset, b"", false, now()), None);
    }

    #[test]
    fn errors_tell_of_waits_too() {
        let google = json!([{"error": {"code": 429, "details": [
            {"@type": "type.googleapis.com/google.rpc.Help"},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "31.5s"}
        ]}}]);
        let said = |words: &str| json!({"error": {"message": words}});
        for (body, expected) in [
            (google, Some(31_500)),
            (json!({"retry_after": 2.5}), Some(2_500)),
            (json!({"error": {"retry_after_ms": 40}}), Some(40)),
            (
                json!({"error": "loading", "estimated_time": 20.0}),
                Some(20_000),
            ),
            (
                json!({"error": {"metadata": {"headers": {"X-RateLimit-Reset": "1767323055000"}}}}),
                Some(10_000),
            ),
            (
                said("Please try again in 1.2s. Visit the page."),
                Some(1_200),
            ),
            (said("Please try again in 6m0s."), Some(360_000)),
            (said("Please try again in 20ms."), Some(20)),
            (said("Try again in 1 minute and 30 seconds."), Some(90_000)),
            (said("Please retry after 30 seconds."), Some(30_000)),
            (said("Please retry in 58.9s."), Some(58_900)),
            (said("retry after 5"), Some(5_000)),
            (said("please wait 10 seconds"), Some(10_000)),
            (said("please wait a moment, or try again in a while"), None),
            (said("try again in 0s"), None),
            (json!({"error": {"retryDelay": -1}}), None),
        ] {
            let found = asked_for(&HeaderMap::new(), body.to_string().as_bytes(), true, now());
            assert_eq!(found, expected.map(Duration::from_millis), "{body}");
        }
        let plain = asked_for(&HeaderMap::new(), b"Too many. Try again in 3s", true, now());
        assert_eq!(plain, Some(Duration::from_secs(3)));
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_panic(value in "[ -~]{0,40}") {
            let wait = asked_for(&headers(&[("retry-after", &value)]), value.as_bytes(), true, now());
            prop_assert!(wait.is_none_or(|wait| wait <= LONGEST && !wait.is_zero()));
        }
    }
}
