//! Templates, held against the rows that they are rendered for.

use crate::rows::Rows;
use frugal_domain::fault::Reader;
use frugal_scoring::{ROW, Template};

/// Checks that a template compiles and that every row has the variables that it needs.
pub(crate) fn check(at: &Reader<'_>, text: &str, rows: Option<&Rows>) -> Option<()> {
    check_with(at, text, rows, &[])
}

/// The same of a template that has these variables besides the fields of the rows.
pub(crate) fn check_with(
    at: &Reader<'_>,
    text: &str,
    rows: Option<&Rows>,
    given: &[&str],
) -> Option<()> {
    let variables = match Template::compile(text) {
        Ok(template) => template.variables().clone(),
        Err(error) => {
            let hint = rows.and_then(|rows| unnameable(text, rows));
            return at.fault(format!("{error}{}", hint.unwrap_or_default()));
        }
    };
    let rows = rows?;
    let mut complete = Some(());
    let of_rows = variables.into_iter();
    for variable in of_rows.filter(|name| !given.contains(&name.as_str())) {
        let mut lacking = rows
            .numbered()
            .filter(|(_, row)| variable != ROW && !row.contains_key(&variable));
        if let Some((first, row)) = lacking.next() {
            let others = lacking.count();
            let more = if others == 0 {
                String::new()
            } else {
                format!(" and {others} more")
            };
            let has: Vec<_> = row.keys().map(|key| format!("`{key}`")).collect();
            let has = if has.is_empty() {
                "no fields".to_owned()
            } else {
                has.join(", ")
            };
            at.fault::<()>(format!(
                "the variable `{variable}` is absent from row {first}{more} of the data, which has {has}"
            ));
            complete = None;
        }
    }
    complete
}

/// A hint at a field that the template seems to be after, whose name does not stand for it by itself.
fn unnameable(text: &str, rows: &Rows) -> Option<String> {
    let is_name = |name: &str| {
        let mut chars = name.chars();
        let first = chars.next();
        first.is_some_and(|c| c.is_alphabetic() || c == '_')
            && chars.all(|c| c.is_alphanumeric() || c == '_')
    };
    let mut fields = rows.all().next()?.keys();
    let field = fields.find(|field| !is_name(field) && text.contains(field.as_str()))?;
    Some(format!(
        "; the name of the field `{field}` is no identifier: write `{{{{ {ROW}[{field:?}] }}}}`"
    ))
}
