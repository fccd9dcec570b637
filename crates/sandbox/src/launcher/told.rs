//! What went wrong, in words for the operator.

/// What was tried, and what came of it.
pub(super) fn told(what: &str, error: impl std::fmt::Display) -> String {
    format!("{what}: {error}")
}
