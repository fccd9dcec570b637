//! What the pages of the documents show.
#![expect(
    clippy::expect_used,
    reason = "a language that is no name fails here, as it would at an assertion"
)]

use regex::Regex;

/// The fenced blocks of a language in a page of Markdown.
///
/// # Panics
/// The language's name is no regular expression.
#[must_use]
pub fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = Regex::new(&format!(r"(?ms)^```{language}\n(.*?)^```")).expect("a fence");
    let found = fence.captures_iter(page);
    found.map(|block| block[1].to_owned()).collect()
}
