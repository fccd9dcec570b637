//! What a model takes: the names of its parameters, and how many responses at once. The operator
//! may say so; where nobody does, it is learned from refusals.

use crate::endpoint::Model;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The usual name of the most tokens of a response.
pub const MAX_TOKENS: &str = "max_tokens";

/// What is known of the parameters that a model takes. The default is all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Abilities {
    /// The name that the model has for `max_tokens`; none is that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens_name: Option<String>,
    /// The most responses that one request may ask for; none is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_n: Option<u32>,
    /// Parameters that the model does not take. `seed` and `n` are then left out; a request that
    /// sets another is not sent.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub omit: BTreeSet<String>,
}

impl Abilities {
    /// What the operator says of a model.
    #[must_use]
    pub fn stated(model: &Model) -> Self {
        Self {
            max_tokens_name: model.max_tokens_name.clone(),
            max_n: model.max_n,
            omit: model.omit.clone(),
        }
    }

    /// These, and where they say nothing, others. Of two limits on responses the smaller one holds.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            max_tokens_name: self.max_tokens_name.or(others.max_tokens_name),
            max_n: match (self.max_n, others.max_n) {
                (Some(mine), Some(theirs)) => Some(mine.min(theirs)),
                (mine, theirs) => mine.or(theirs),
            },
            omit: self.omit.into_iter().chain(others.omit).collect(),
        }
    }

    /// The name under which the most tokens of a response are sent.
    #[must_use]
    pub fn max_tokens_name(&self) -> &str {
        self.max_tokens_name.as_deref().unwrap_or(MAX_TOKENS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abilities_are_stored_as_what_differs() {
        let abilities = Abilities {
            max_n: Some(4),
            ..Abilities::default()
        };
        let json = serde_json::to_value(&abilities).unwrap();
        assert_eq!(json, serde_json::json!({"max_n": 4}));
        let read: Abilities = serde_json::from_value(json).unwrap();
        assert_eq!(read, abilities);
    }

    #[test]
    fn what_is_known_adds_up() {
        let of = |name: Option<&str>, max_n, omit: &str| Abilities {
            max_tokens_name: name.map(str::to_owned),
            max_n,
            omit: BTreeSet::from([omit.to_owned()]),
        };
        let both = of(Some("a"), Some(8), "seed").or(of(Some("b"), Some(4), "n"));
        assert_eq!((both.max_tokens_name(), both.max_n), ("a", Some(4)));
        assert_eq!(both.omit.len(), 2);
        let none = Abilities::default().or(of(None, None, "n"));
        assert_eq!((none.max_tokens_name(), none.max_n), (MAX_TOKENS, None));
    }
}
