//! Numbers as people read them.

use frugal_domain::money::Unit;
use serde_json::Value;

/// A number to three significant digits, without zeros at its end.
pub(super) fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return "0".to_owned();
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 15"
    )]
    let decimals = (2.0 - value.abs().log10().floor()).clamp(0.0, 15.0) as usize;
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// Dollars or tokens.
pub(super) fn amount(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Usd => format!("${}", number(value)),
        Unit::Tokens => format!("{} tokens", number(value)),
    }
}

/// A setting's value.
pub(super) fn setting(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(value) => match (value.as_i64(), value.as_f64()) {
            (None, Some(value)) => number(value),
            _ => value.to_string(),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits() {
        let shown = [0.0, 0.123_456, 12_345.6, 1.0, -0.05].map(number);
        assert_eq!(shown, ["0", "0.123", "12346", "1", "-0.05"]);
        assert_eq!(amount(Unit::Usd, 0.000_123_4), "$0.000123");
        assert_eq!(setting(&Value::from(0.65)), "0.65");
        assert_eq!(setting(&Value::from(8)), "8");
    }
}
