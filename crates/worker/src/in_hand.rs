//! A response that is being scored.

use crate::selector::Preference;
use crate::text::Text;
use frugal_evaluation::ScorePlan;
use frugal_scoring::Assessment;

/// A response that is being scored.
pub(crate) struct InHand {
    pub plan: ScorePlan,
    pub text: Text,
    /// What the selector says of it.
    pub preference: Preference,
    /// What is known of its score, or why it cannot have one.
    pub assessed: Result<Assessment, String>,
    /// What parts came to that nobody knew before.
    pub new: Vec<Said>,
    /// Whether its score is stored already.
    pub is_stored: bool,
}

/// What a part came to.
pub(crate) struct Said {
    pub part: usize,
    pub score: Result<f64, String>,
    /// Whether it is stored already.
    pub is_stored: bool,
}
