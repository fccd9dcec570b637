//! The OpenAPI document as text.

use std::error::Error;
use utoipa::openapi::OpenApi;

/// A document as YAML.
///
/// # Errors
/// The document cannot be written as YAML.
pub(crate) fn write(document: &OpenApi) -> Result<String, Box<dyn Error + Send + Sync>> {
    Ok(quote_switches(&document.to_yaml()?))
}

/// Quotes the texts `on` and `off` where they are values: many readers still follow YAML 1.1,
/// in which they would be `true` and `false`.
fn quote_switches(yaml: &str) -> String {
    let mut quoted = String::with_capacity(yaml.len());
    for line in yaml.split_inclusive('\n') {
        let text = line.trim_end();
        let value = ["on", "off"].into_iter().find_map(|word| {
            let before = text.strip_suffix(word)?;
            // An item of a list or a member of an object, and no word within a description.
            let name = before.trim_start().strip_suffix(' ')?;
            let is_value = name == "-"
                || name.strip_suffix(':').is_some_and(|name| {
                    name.bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                });
            is_value.then_some((before, word))
        });
        match value {
            Some((before, word)) => {
                quoted.push_str(&format!("{before}'{word}'"));
                quoted.push_str(line.strip_prefix(text).unwrap_or_default());
            }
            None => quoted.push_str(line),
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_texts_in_every_yaml() {
        assert_eq!(
            quote_switches("enum:\n- on\n- off\n  pruning: on\n  text: turns it on\nolder - on"),
            "enum:\n- 'on'\n- 'off'\n  pruning: 'on'\n  text: turns it on\nolder - on"
        );
    }
}
