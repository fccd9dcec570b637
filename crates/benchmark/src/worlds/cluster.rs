//! Answers that are alike, of which a row's distribution is made.

/// Answers that are alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cluster {
    /// How likely one is.
    pub probability: f64,
    /// Whether they are right.
    pub right: bool,
    /// Their mean length in tokens.
    pub length: f64,
    /// The deviation of that.
    pub spread: f64,
}
