//! How urgent a job is.

use serde::{Deserialize, Serialize};

/// How urgent a job is among those that wait: from -9 to 9, higher ones go first.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "i16", into = "i16")]
pub struct Priority(i16);

impl Priority {
    /// The least urgent.
    pub const LOWEST: Self = Self(-9);
    /// The most urgent.
    pub const HIGHEST: Self = Self(9);

    /// The priority of this number, where there is one.
    #[must_use]
    pub fn new(number: i16) -> Option<Self> {
        let priority = Self(number);
        (Self::LOWEST..=Self::HIGHEST)
            .contains(&priority)
            .then_some(priority)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> i16 {
        self.0
    }
}

/// A number that is no priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no priority: they go from -9 to 9")]
pub struct NoPriority(i16);

impl TryFrom<i16> for Priority {
    type Error = NoPriority;

    fn try_from(number: i16) -> Result<Self, Self::Error> {
        Self::new(number).ok_or(NoPriority(number))
    }
}

impl From<Priority> for i16 {
    fn from(priority: Priority) -> Self {
        priority.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_whole_numbers_within_their_range() {
        assert_eq!(Priority::default().get(), 0);
        assert_eq!(Priority::new(9), Some(Priority::HIGHEST));
        assert_eq!(Priority::try_from(-9), Ok(Priority::LOWEST));
        for outside in [-10, 10] {
            assert_eq!(Priority::new(outside), None);
            let read: Result<Priority, _> = serde_json::from_value(serde_json::json!(outside));
            assert!(read.is_err(), "{outside}");
        }
        assert_eq!(serde_json::json!(Priority::LOWEST), serde_json::json!(-9));
    }
}
