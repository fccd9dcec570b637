//! What can go wrong with a hook.

/// Why there is no hook of a catalogue's entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
    /// The variable with its secret is not set.
    #[error(
        "webhook `{hook}`: the environment variable {variable} is not set; it must hold the secret that messages are signed with"
    )]
    MissingSecret {
        /// The hook's name.
        hook: String,
        /// The variable.
        variable: String,
    },
    /// What it holds is no secret.
    #[error(
        "webhook `{hook}`: the environment variable {variable} holds no secret; it must be `whsec_` and at least 24 bytes in base64, such as `whsec_$(openssl rand -base64 32)`"
    )]
    UnusableSecret {
        /// The hook's name.
        hook: String,
        /// The variable.
        variable: String,
    },
    /// No client of HTTP can be made for it.
    #[error("webhook `{hook}`: no HTTP client can be made: {reason}")]
    Client {
        /// The hook's name.
        hook: String,
        /// Why not.
        reason: String,
    },
}

/// Why a message was not delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the webhook `{hook}` cannot be used: {reason}{}", attempted(*.attempts))]
pub struct Undelivered {
    /// The hook's name.
    pub hook: String,
    /// What came of the last attempt.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
}

fn attempted(attempts: u32) -> String {
    match attempts {
        0 | 1 => String::new(),
        several => format!(" (after {several} attempts)"),
    }
}
