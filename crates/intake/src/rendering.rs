//! Prompts, rendered for every row: what could not be rendered would end the job halfway.

use crate::rows::Rows;
use frugal_domain::fault::Reader;
use frugal_domain::job::Instance;
use frugal_domain::prompt::{Prompt, PromptBody};
use frugal_scoring::{CompiledPrompt, FUEL, PromptError, TemplateError};
use serde_json::Value;
use std::sync::Arc;

/// The most work of rendering every prompt of a job for every row, in units of [`FUEL`]: ten thousand
/// of the hardest prompts there may be, or some hundred million plain ones.
pub(crate) const MAX_JOB_WORK: u64 = 10_000 * FUEL;

/// Renders a prompt for every row, and notes the first row for which that fails. `work_left` is what
/// all prompts of the job may still take.
pub(crate) fn check(
    at: &Reader<'_>,
    prompt: &Prompt,
    pool: &Arc<[Instance]>,
    rows: &Rows,
    work_left: &mut u64,
) -> Option<()> {
    let compiled = match CompiledPrompt::of_job(prompt, pool) {
        Ok(compiled) => compiled,
        Err(error) => return fault(at, &error, String::new()),
    };
    if let Some(field) = field_in_single_braces(prompt, &compiled, rows) {
        return at.fault(format!(
            "uses no field of the data, and holds `{{{field}}}`, which is plain text; write \
             `{{{{ {field} }}}}` for the field's value"
        ));
    }
    let mut first: Option<(usize, PromptError)> = None;
    let mut others = 0_usize;
    for (index, row) in rows.numbered() {
        let work = match compiled.render_measured(row) {
            Ok((_, work)) => work,
            Err(error) => {
                match first {
                    None => first = Some((index, error)),
                    Some(_) => others += 1,
                }
                FUEL
            }
        };
        let Some(left) = work_left.checked_sub(work) else {
            // What was found before says more.
            if first.is_some() {
                break;
            }
            return at.fault(format!(
                "rendering the prompts for all rows takes too much work (at row {index} of the \
                 data); give fewer rows or prompts, or take loops out of the prompt"
            ));
        };
        *work_left = left;
    }
    let (row, error) = match first {
        None => return Some(()),
        Some(first) => first,
    };
    let more = match others {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    fault(at, &error, format!(" for row {row}{more} of the data"))
}

/// A field that a prompt without any variable names in single braces, as other template languages
/// have it: the same text would be sent for every row.
fn field_in_single_braces<'a>(
    prompt: &Prompt,
    compiled: &CompiledPrompt,
    rows: &'a Rows,
) -> Option<&'a str> {
    if !compiled.variables().is_empty() {
        return None;
    }
    let texts: Vec<&str> = match &prompt.body {
        PromptBody::Text(text) => vec![text],
        PromptBody::Messages(messages) => messages.iter().map(|it| it.content.as_str()).collect(),
    };
    let is_named = |field: &&String| {
        let braced = format!("{{{field}}}");
        texts.iter().any(|text| text.contains(&braced))
    };
    let first = rows.all().next()?;
    first.keys().find(is_named).map(String::as_str)
}

/// Notes that a prompt cannot be rendered, at the text that is to blame.
fn fault(at: &Reader<'_>, error: &PromptError, rows: String) -> Option<()> {
    let (field, reason, remedy) = match error {
        PromptError::Template { field, error } => {
            (field.as_str(), error.to_string(), remedy(error))
        }
        PromptError::TooLong { .. } => (
            "/messages",
            error.to_string(),
            "shorten the messages or the row",
        ),
    };
    let field = match at.value {
        Value::String(_) => "",
        _ => field,
    };
    let detail = format!("cannot be rendered{rows}: {reason}; {remedy}");
    at.fault_below(field, detail)
}

/// What to do about a template that does not go with a row.
fn remedy(error: &TemplateError) -> &'static str {
    match error {
        TemplateError::Undefined { .. } => {
            "give it to the row, or say what takes its place with the filter `default`"
        }
        TemplateError::OutputTooLong { .. } => "shorten the prompt or the row",
        _ => "change the prompt or the row",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{self, Datasets};
    use frugal_domain::fault::Faults;
    use serde_json::json;

    #[test]
    fn the_work_of_all_prompts_and_rows_is_bounded() {
        let data = json!({"instances": [{"q": 1}, {"q": 2}]});
        let place = json!("{% for i in range(50) %}{{ q }}{% endfor %}");
        let prompt = Prompt {
            name: "loops".to_owned(),
            body: PromptBody::Text(place.as_str().unwrap().to_owned()),
            demonstrations: None,
        };
        let faults = Faults::default();
        let rows = rows::rows(&Reader::new(&data, &faults), Datasets::new()).unwrap();
        let at = Reader::new(&place, &faults);
        let mut left = MAX_JOB_WORK;
        assert_eq!(
            check(&at, &prompt, &Arc::default(), &rows, &mut left),
            Some(())
        );
        let both_rows = MAX_JOB_WORK - left;
        assert!((2 * 50..2 * FUEL).contains(&both_rows), "{both_rows}");
        // What is left is for all prompts together.
        let mut left = 2 * both_rows - 1;
        assert_eq!(
            check(&at, &prompt, &Arc::default(), &rows, &mut left),
            Some(())
        );
        assert_eq!(check(&at, &prompt, &Arc::default(), &rows, &mut left), None);
        let found = faults.into_vec();
        assert_eq!(found.len(), 1);
        let told = "rendering the prompts for all rows takes too much work (at row 1 of the data)";
        assert!(found[0].detail.starts_with(told), "{found:?}");
    }
}
