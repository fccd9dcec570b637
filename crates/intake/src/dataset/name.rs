//! The name of a dataset.

use frugal_domain::id::DatasetId;

/// The most characters of a name.
const MAX_LENGTH: usize = 200;

/// Whether a text may name a dataset.
///
/// # Errors
/// It may not: what is wrong with it, and the remedy.
pub fn name(text: &str) -> Result<(), String> {
    let is_forbidden = |c: char| c.is_control() || c == '/';
    if text.trim().is_empty() {
        return Err("must not be empty".to_owned());
    }
    if text.chars().count() > MAX_LENGTH {
        return Err(format!("must have at most {MAX_LENGTH} characters"));
    }
    if text.trim() != text || text.contains(is_forbidden) {
        return Err(
            "must not hold `/` or control characters, nor space at its ends; take them out"
                .to_owned(),
        );
    }
    // Paths and jobs name a dataset by either.
    if text.parse::<DatasetId>().is_ok() {
        return Err("must not look like an id; choose another".to_owned());
    }
    Ok(())
}
