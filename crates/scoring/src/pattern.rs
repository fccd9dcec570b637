//! Regular expressions whose size and work are bounded.

use crate::scorer_error::ScorerError;
use regex::{Regex, RegexBuilder};

/// The longest regular expression, in bytes.
pub const MAX_PATTERN_BYTES: usize = 4096;

/// The largest compiled regular expression, in bytes. A search takes time in proportion to
/// this times the length of the response, at worst.
const MAX_COMPILED_PATTERN_BYTES: usize = 1024 * 1024;

/// Compiles the pattern of a field.
pub(crate) fn compile(field: &'static str, pattern: &str) -> Result<Regex, ScorerError> {
    let fault = |detail: String| ScorerError { field, detail };
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(fault(format!(
            "the pattern is {} bytes long; at most {MAX_PATTERN_BYTES} are allowed",
            pattern.len()
        )));
    }
    RegexBuilder::new(pattern)
        .size_limit(MAX_COMPILED_PATTERN_BYTES)
        .dfa_size_limit(2 * MAX_COMPILED_PATTERN_BYTES)
        .nest_limit(100)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => fault(
                "the pattern is too large once compiled; use smaller repetition counts".to_owned(),
            ),
            error => {
                // The message shows the pattern with a mark over several lines; its last one
                // says what is wrong.
                let message = error.to_string();
                let last = message.lines().last().unwrap_or_default();
                fault(format!(
                    "not a regular expression: {}",
                    last.trim_start_matches("error: ")
                ))
            }
        })
}
