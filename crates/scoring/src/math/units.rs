//! Units, in the form in which they are compared.

/// The ways to write the units that are told apart. The first of a line stands for all.
const KNOWN: &[&[&str]] = &[
    &["mm", "millimeter", "millimetre"],
    &["cm", "centimeter", "centimetre"],
    &["m", "meter", "metre", "mtr"],
    &["km", "kilometer", "kilometre"],
    &["in", "inch", "inches"],
    &["ft", "foot", "feet"],
    &["yd", "yard"],
    &["mi", "mile"],
    &["mg", "milligram"],
    &["g", "gram", "gm"],
    &["kg", "kilogram", "kilo"],
    &["lb", "lbs", "pound"],
    &["oz", "ounce"],
    &["ml", "mL", "milliliter", "millilitre"],
    &["l", "L", "liter", "litre"],
    &["gal", "gallon"],
    &["s", "sec", "second"],
    &["min", "minute"],
    &["h", "hr", "hour"],
    &["day"],
    &["week"],
    &["month"],
    &["yr", "year"],
    &["mph"],
    &["kmh", "kph", "kmph"],
    &["dollar", "usd", "USD"],
    &["cent"],
    &["euro", "eur", "EUR"],
    &["rupee", "rs", "Rs", "INR"],
    &["degree", "deg"],
    &["rad", "radian"],
    &["J", "joule"],
    &["N", "newton"],
    &["W", "watt"],
    &["V", "volt"],
    &["Hz", "hertz"],
    &["Pa", "pascal"],
    &["mol", "mole"],
    &["unit"],
];

/// Units of one letter, which a symbol could be as well.
const LETTERS: &[&str] = &["m", "g", "l", "L", "s", "h"];

/// The unit that a word names, if it is one that is told apart.
fn known(word: &str) -> Option<&'static str> {
    let lower = word.to_lowercase();
    let singular = lower.strip_suffix('s').unwrap_or(&lower);
    let names = |line: &&[&str]| {
        line.iter()
            .any(|name| *name == word || *name == lower || (name.len() > 2 && *name == singular))
    };
    let line = KNOWN.iter().find(|line| names(line))?;
    line.first().copied()
}

/// Whether a word of several letters is a unit.
pub(super) fn is_unit(word: &str) -> bool {
    word.len() > 1 && word != "in" && known(word).is_some()
}

/// Whether a letter behind a number and a space may be a unit.
pub(super) fn is_letter(word: &str) -> bool {
    LETTERS.contains(&word)
}

/// The form in which a unit is compared, such as `cm^2` or `m/s`; nothing where a word in it is no unit that
/// is told apart, so that it is a remark.
pub(super) fn normal(written: &[String]) -> Option<String> {
    let mut unit = String::new();
    let mut power = None;
    let mut words = written.iter().map(String::as_str).peekable();
    while let Some(word) = words.next() {
        match word {
            "square" | "sq" | "squared" => power = Some("2"),
            "cubic" | "cu" | "cubed" => power = Some("3"),
            "per" | "/" => unit.push('/'),
            "^" => {
                unit.push('^');
                unit.push_str(words.next()?);
            }
            "*" => {}
            "." => continue,
            _ => unit.push_str(known(word)?),
        }
        let is_done = !matches!(words.peek(), Some(&"squared" | &"cubed"));
        if let Some(exponent) = power
            && is_done
            && !unit.is_empty()
            && !unit.ends_with('/')
        {
            unit.push('^');
            unit.push_str(exponent);
            power = None;
        }
    }
    let unit = unit.strip_prefix("unit").unwrap_or(&unit);
    match unit {
        "mi/h" => Some("mph".to_owned()),
        "km/h" => Some("kmh".to_owned()),
        _ if unit.is_empty() || unit.starts_with(['^', '/']) => None,
        _ => Some(unit.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_told_apart_however_they_are_written() {
        let of = |text: &str| {
            let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            normal(&words)
        };
        for (text, unit) in [
            ("cm", Some("cm")),
            ("centimeters", Some("cm")),
            ("square centimeters", Some("cm^2")),
            ("cm ^ 2", Some("cm^2")),
            ("cm squared", Some("cm^2")),
            ("m / s", Some("m/s")),
            ("meters per second", Some("m/s")),
            ("miles", Some("mi")),
            ("miles per hour", Some("mph")),
            ("square units", None),
            ("units", None),
            ("apples", None),
            ("apples per day", None),
        ] {
            assert_eq!(of(text).as_deref(), unit, "{text}");
        }
    }
}
