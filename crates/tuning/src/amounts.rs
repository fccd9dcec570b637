//! Amounts as people read them.

use frugal_domain::money::Unit;

/// A cost in dollars or tokens, to three significant digits.
pub(crate) fn cost(unit: Unit, amount: f64) -> String {
    match unit {
        Unit::Usd => format!("${}", three_digits(amount)),
        Unit::Tokens => format!("{} tokens", three_digits(amount)),
    }
}

/// How many times something is something else: with a decimal where that tells, and no fewer than
/// it takes to tell it from 1.
pub(crate) fn times(ratio: f64) -> String {
    if ratio >= 10.0 {
        format!("{ratio:.0} times")
    } else if (ratio - 1.0).abs() < 0.05 {
        format!("{ratio:.3} times")
    } else {
        format!("{ratio:.1} times")
    }
}

/// A share in whole per cent.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// A confidence in per cent, with decimals where it has any.
pub(crate) fn confidence(confidence: f64) -> String {
    format!("{} %", three_digits(100.0 * confidence))
}

/// A p-value: to two significant digits, and no smaller than tells something.
pub(crate) fn p_value(p: f64) -> String {
    match p {
        p if p < 0.001 => "p < 0.001".to_owned(),
        p if p < 0.1 => format!("p = {p:.3}"),
        p => format!("p = {p:.2}"),
    }
}

/// A number to three significant digits, without zeros at its end.
pub(crate) fn three_digits(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return number.to_string();
    }
    let magnitude = number.abs().log10().floor();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 15"
    )]
    let decimals = (2.0 - magnitude).clamp(0.0, 15.0) as usize;
    let text = format!("{number:.decimals$}");
    if text.contains('.') {
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_three_digits() {
        assert_eq!(cost(Unit::Usd, 0.004_217), "$0.00422");
        assert_eq!(cost(Unit::Usd, 0.000_2), "$0.0002");
        assert_eq!(cost(Unit::Usd, 0.0), "$0");
        assert_eq!(cost(Unit::Tokens, 1_234.4), "1234 tokens");
        assert_eq!(cost(Unit::Tokens, 12.34), "12.3 tokens");
    }

    #[test]
    fn ratios_tell_more_from_less_than_one() {
        let shown: Vec<String> = [0.4, 1.004, 2.11, 17.8].map(times).to_vec();
        assert_eq!(shown, ["0.4 times", "1.004 times", "2.1 times", "18 times"]);
        assert_eq!(percent(0.625), "62 %");
        let shown: Vec<String> = [1e-9, 0.0123, 0.5, 1.0].map(p_value).to_vec();
        assert_eq!(shown, ["p < 0.001", "p = 0.012", "p = 0.50", "p = 1.00"]);
        assert_eq!(
            [0.95, 0.999, 0.975].map(confidence),
            ["95 %", "99.9 %", "97.5 %"]
        );
    }
}
