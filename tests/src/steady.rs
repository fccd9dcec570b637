//! What programs say, without what is another in each run.
#![expect(
    clippy::expect_used,
    reason = "a pattern that is none fails here, as it would at an assertion"
)]

use regex::Regex;

/// An id of a job, of a dataset or of whatever else has one.
pub const ID: &str = "[0-9a-f]{8}-[0-9a-f-]{27}";
/// A moment to the second or finer.
pub const MOMENT: &str = r"\d{4}-\d\d-\d\dT[0-9:.]+Z";
/// An address of this machine with a port.
pub const LOCAL_ADDRESS: &str = r"127\.0\.0\.1:\d+";

/// A text in which each pattern, one after the other, gives way to something that stays.
///
/// # Panics
/// Where a pattern is no regular expression.
#[must_use]
pub fn replaced(text: &str, patterns: &[(&str, &str)]) -> String {
    let replace = |text: String, (pattern, instead): &(&str, &str)| {
        let pattern = Regex::new(pattern).expect("the pattern is one");
        pattern.replace_all(&text, *instead).into_owned()
    };
    patterns.iter().fold(text.to_owned(), replace)
}
