//! One row of data, however it was posted.

use frugal_domain::fault::Reader;
use frugal_domain::job::Instance;
use serde_json::{Number, Value};

/// A row as the database will give it back.
pub(crate) fn read(at: &Reader<'_>) -> Option<Instance> {
    match at.value {
        Value::Object(row) => Some(row.iter().map(as_stored).collect()),
        _ => at.object().and(None),
    }
}

/// A field as the database gives it back, so that what is rendered here is what will be rendered: it
/// writes numbers out, and a large one such as 1e17 comes back as an integer.
fn as_stored((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), stored(value))
}

fn stored(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            let written_out = number.as_f64().filter(|number| number.abs() >= 1e16);
            let whole = written_out.map(|number| format!("{number:.0}"));
            let whole = whole.and_then(|digits| digits.parse::<Number>().ok());
            Value::Number(whole.unwrap_or_else(|| number.clone()))
        }
        Value::Array(items) => items.iter().map(stored).collect(),
        Value::Object(fields) => Value::Object(fields.iter().map(as_stored).collect()),
        _ => value.clone(),
    }
}
