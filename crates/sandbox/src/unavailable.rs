//! Why programs cannot be run here.

use std::path::PathBuf;

/// Why programs cannot be run here, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// There is no interpreter.
    #[error(
        "{} does not run ({detail}); install Python 3, or name its interpreter as `python` of [sandbox]",
        .python.display()
    )]
    NoPython {
        /// What was tried.
        python: PathBuf,
        /// What came of it.
        detail: String,
    },
    /// The launcher does not start.
    #[error("the launcher of programs does not start: {0}")]
    NoLauncher(String),
    /// The kernel, or what this process is confined by, withholds a means of isolation.
    #[error(
        "programs cannot be isolated here: {0}. A container needs permission for user namespaces; `mode = \"off\"` of [sandbox] runs programs unconfined"
    )]
    NoIsolation(String),
    /// A harmless program did not do what it should, or a harmful one was not held.
    #[error("the sandbox does not do what it should: {0}")]
    Unsound(String),
}
