//! What is kept of a hook: a service of the operator's that is told and asks nothing of its own.

use super::{CatalogError, authority_and_rest, is_variable_name};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// A hook that jobs may name. Its secret is named by an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where messages are posted to.
    pub url: String,
    /// The name of the environment variable that holds the secret which messages are signed with: `whsec_`
    /// and base64. Where it holds several, between spaces, each signs, so that one can take the place of another.
    pub secret_env: String,
    /// How long an attempt may take.
    #[serde(default = "timeout_seconds")]
    pub timeout_seconds: u32,
    /// The most items of one message.
    #[serde(default = "batch_size")]
    pub batch_size: u32,
    /// The most messages of one process that are under way at once.
    #[serde(default = "concurrency")]
    pub concurrency: u32,
    /// How often a message is sent before it counts as undeliverable.
    #[serde(default = "attempts")]
    pub attempts: u32,
}

const fn timeout_seconds() -> u32 {
    30
}

const fn batch_size() -> u32 {
    32
}

const fn concurrency() -> u32 {
    4
}

const fn attempts() -> u32 {
    5
}

impl Webhook {
    /// Checks what the shape alone does not.
    ///
    /// # Errors
    /// The first field that makes no sense, named relative to the hook.
    pub fn validate(&self) -> Result<(), CatalogError> {
        check_url(&self.url).map_err(|problem| CatalogError::new("url", problem))?;
        if !is_variable_name(&self.secret_env) {
            return Err(CatalogError::new(
                "secret_env",
                "must be the name of an environment variable (letters, digits, underscores), not the \
                 secret itself",
            ));
        }
        let fields: [(&str, u32, RangeInclusive<u32>); 4] = [
            ("timeout_seconds", self.timeout_seconds, 1..=600),
            ("batch_size", self.batch_size, 1..=1_000),
            ("concurrency", self.concurrency, 1..=256),
            ("attempts", self.attempts, 1..=20),
        ];
        for (field, value, range) in fields {
            if !range.contains(&value) {
                let (low, high) = (range.start(), range.end());
                let problem = format!("must be from {low} to {high}, not {value}");
                return Err(CatalogError::new(field, &problem));
            }
        }
        Ok(())
    }
}

/// The parts of a URL that matter here. Whether the host resolves is found out on the way.
fn check_url(url: &str) -> Result<(), &'static str> {
    let (authority, rest) = authority_and_rest(url)?;
    if authority.contains('@') {
        return Err("must not hold credentials; messages are signed");
    }
    if authority.is_empty() || authority.starts_with(':') {
        return Err("has no host, as in https://grader.example.com/score");
    }
    if rest.contains(['#', '\\']) {
        return Err("must not hold a fragment");
    }
    if rest.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("must not hold white space");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::endpoint::Catalog;
    use serde_json::{Value, json};

    /// What is wrong with a catalogue of a hook that is changed in this field.
    fn fault(field: &str, value: Value) -> String {
        let mut hook = json!({
            "url": "https://grader.example.com/score?by=team", "secret_env": "GRADER_SECRET"
        });
        hook[field] = value;
        let catalog = json!({"webhooks": {"grader": hook}});
        let catalog: Catalog = serde_json::from_value(catalog).unwrap();
        let fault = catalog.validate().err();
        fault.map_or_else(String::new, |fault| fault.to_string())
    }

    #[test]
    fn hooks_are_checked_with_the_catalogue() {
        assert_eq!(fault("attempts", json!(3)), "");
        for (field, value, told) in [
            ("url", json!("grader"), "must begin with https://"),
            ("url", json!("http://a:b@c"), "must not hold credentials"),
            ("url", json!("http:///score"), "has no host"),
            (
                "secret_env",
                json!("whsec_abc="),
                "must be the name of an environment variable",
            ),
            ("batch_size", json!(0), "must be from 1 to 1000, not 0"),
            ("attempts", json!(21), "must be from 1 to 20, not 21"),
        ] {
            let fault = fault(field, value);
            let told = format!("webhooks.grader.{field}: {told}");
            assert!(fault.starts_with(&told), "{fault}");
        }
    }
}
