//! Trials as a table (RFC 4180) or as lines of JSON, for programs that read these.

use crate::wire::Trial;
use axum::http::{HeaderMap, header};
use frugal_store::jobs::Job;
use frugal_store::trials::StoredTrial;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The columns that every trial has, before those of its settings.
const COLUMNS: &[&str] = &[
    "trial",
    "role",
    "origin",
    "state",
    "valid",
    "utility",
    "utility_standard_error",
    "utility_low",
    "utility_high",
    "instances",
    "inference_cost",
    "inference_cost_unit",
    "spend_usd",
    "spend_tokens",
    "requests",
    "responses",
    "started_at",
    "finished_at",
];

/// A form of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    /// Values separated by commas.
    Csv,
    /// A line of JSON for each row.
    JsonLines,
}

impl Table {
    /// The form that a client asks for before JSON; nothing where it asks for none.
    pub(crate) fn wanted(headers: &HeaderMap) -> Option<Self> {
        let accepted = headers.get_all(header::ACCEPT).iter();
        let accepted = accepted.filter_map(|value| value.to_str().ok());
        let kinds = accepted.flat_map(|value| value.split(','));
        let known = |kind: &str| {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            match kind.to_ascii_lowercase().as_str() {
                "text/csv" => Some(Some(Self::Csv)),
                "application/jsonl" | "application/x-ndjson" => Some(Some(Self::JsonLines)),
                "application/json" => Some(None),
                _ => None,
            }
        };
        let mut kinds = kinds.filter_map(known);
        kinds.next().flatten()
    }

    /// What it is called.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::JsonLines => "application/jsonl",
        }
    }

    /// Trials in this form.
    pub(crate) fn write(self, job: &Job, trials: Vec<StoredTrial>) -> serde_json::Result<String> {
        let settings: Vec<Map<String, Value>> = trials
            .iter()
            .map(|trial| job.spec.describe(&trial.settings))
            .collect();
        let trials: Vec<Trial> = trials
            .into_iter()
            .map(|trial| Trial::new(job, trial))
            .collect();
        match self {
            Self::Csv => Ok(csv(&trials, &settings)),
            Self::JsonLines => {
                let mut lines = String::new();
                for trial in trials {
                    lines.push_str(&serde_json::to_string(&trial)?);
                    lines.push('\n');
                }
                Ok(lines)
            }
        }
    }
}

fn csv(trials: &[Trial], settings: &[Map<String, Value>]) -> String {
    let names: BTreeSet<&String> = settings.iter().flat_map(Map::keys).collect();
    let mut text = String::new();
    let header = COLUMNS.iter().map(ToString::to_string);
    line(
        &mut text,
        header.chain(names.iter().map(ToString::to_string)),
    );
    for (trial, settings) in trials.iter().zip(settings) {
        let own = columns(trial).into_iter();
        let of_settings = names.iter().map(|name| settings.get(*name).cloned());
        let cells = own.chain(of_settings.map(Option::unwrap_or_default));
        line(&mut text, cells.map(|cell| cell_text(&cell)));
    }
    text
}

/// The values of a trial, in the order of the columns.
fn columns(trial: &Trial) -> Vec<Value> {
    let utility = trial.utility;
    let interval = trial.utility_interval;
    let cost = trial.inference_cost;
    vec![
        json!(trial.number),
        json!(trial.role),
        json!(trial.origin),
        json!(trial.state),
        json!(trial.valid),
        json!(utility.map(|it| it.mean)),
        json!(utility.and_then(|it| it.standard_error)),
        json!(interval.map(|it| it.low)),
        json!(interval.map(|it| it.high)),
        json!(utility.map(|it| it.count)),
        json!(cost.map(|it| it.mean)),
        json!(cost.map(|it| it.unit)),
        json!(trial.spend.usd),
        json!(trial.spend.tokens),
        json!(trial.requests),
        json!(trial.responses),
        json!(trial.started_at),
        json!(trial.finished_at),
    ]
}

/// A value as a table has it: texts as they are, nothing for what is not there, and JSON for lists.
fn cell_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// Writes a line. A cell with a comma, a quote or a line break is quoted.
fn line(into: &mut String, cells: impl Iterator<Item = String>) {
    for (position, cell) in cells.enumerate() {
        if position > 0 {
            into.push(',');
        }
        if cell.contains([',', '"', '\n', '\r']) {
            into.push('"');
            into.push_str(&cell.replace('"', "\"\""));
            into.push('"');
        } else {
            into.push_str(&cell);
        }
    }
    into.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn the_form_that_is_named_first_is_given() {
        for (accept, table) in [
            ("text/csv", Some(Table::Csv)),
            ("Application/JSONL; q=1", Some(Table::JsonLines)),
            ("application/json, text/csv", None),
            ("text/html, text/csv, */*", Some(Table::Csv)),
            ("*/*", None),
        ] {
            let value = HeaderValue::from_static(accept);
            let headers = HeaderMap::from_iter([(header::ACCEPT, value)]);
            assert_eq!(Table::wanted(&headers), table, "{accept}");
        }
    }

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let mut text = String::new();
        let cells = ["a", "b,c", "say \"d\"", "e\nf", ""].map(str::to_owned);
        line(&mut text, cells.into_iter());
        assert_eq!(text, "a,\"b,c\",\"say \"\"d\"\"\",\"e\nf\",\r\n");
    }
}
