//! Texts that are shown where that is meant, and nowhere else.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A text that no `Debug` output shows, so that it comes into no log and no error by accident. In JSON it is
/// itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_asks_for_it_is_shown_it() {
        let secret = Secret::from("whsec_of_mine".to_owned());
        assert_eq!(format!("{:?}", Some(&secret)), "Some(Secret(hidden))");
        assert_eq!(secret.reveal(), "whsec_of_mine");
        let json = serde_json::to_value(&secret).unwrap();
        assert_eq!(json, "whsec_of_mine");
        assert_eq!(serde_json::from_value::<Secret>(json).unwrap(), secret);
    }
}
