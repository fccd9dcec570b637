//! Templates, held against the rows that they are rendered for.

use crate::rows::Rows;
use frugal_domain::fault::Reader;
use frugal_scoring::Template;

/// Checks that a template compiles and that every row has the variables that it needs.
pub(crate) fn check(at: &Reader<'_>, text: &str, rows: Option<&Rows>) -> Option<()> {
    let variables = match Template::compile(text) {
        Ok(template) => template.variables().clone(),
        Err(error) => return at.fault(error.to_string()),
    };
    let rows = rows?;
    let mut complete = Some(());
    for variable in variables {
        let mut lacking = rows
            .all()
            .enumerate()
            .filter(|(_, row)| !row.contains_key(&variable));
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
