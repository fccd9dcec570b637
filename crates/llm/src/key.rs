//! The key of an endpoint and what else it is told in confidence, shown to nobody but the endpoint.

use crate::error::ClientError;
use reqwest::header::HeaderValue;
use std::collections::BTreeMap;
use std::fmt;

/// What an endpoint is told with every request, beside what is asked.
#[derive(Clone, Default)]
pub struct Secrets {
    /// The key.
    pub key: Option<ApiKey>,
    /// Further headers, by name. They go after the key, so that one may stand in its place.
    pub headers: BTreeMap<String, String>,
    /// What the further deployments are told, in the order of the endpoint's entry. One that is left
    /// out is told nothing.
    pub deployments: Vec<Secrets>,
}

impl Secrets {
    /// The texts that must not show.
    pub(crate) fn reveal(&self) -> Vec<&str> {
        let key = self.key.iter().map(ApiKey::reveal);
        let own = key.chain(self.headers.values().map(|value| value.trim()));
        let further = self.deployments.iter().flat_map(Self::reveal);
        own.chain(further).collect()
    }
}

impl From<Option<ApiKey>> for Secrets {
    fn from(key: Option<ApiKey>) -> Self {
        Self {
            key,
            ..Self::default()
        }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("key", &self.key)
            .field("headers", &self.headers.keys())
            .field("deployments", &self.deployments)
            .finish()
    }
}

/// The key of an endpoint, sent as a bearer token.
#[derive(Clone)]
pub struct ApiKey(String);

impl ApiKey {
    /// A key, without the white space that files and shells leave around it.
    ///
    /// # Errors
    /// The key is empty or holds what no HTTP header may hold.
    pub fn new(key: &str) -> Result<Self, ClientError> {
        let key = key.trim();
        let fits = !key.is_empty() && key.chars().all(|c| c.is_ascii_graphic());
        if fits {
            Ok(Self(key.to_owned()))
        } else {
            Err(ClientError::Key)
        }
    }

    /// The value of the `Authorization` header, marked so that it is not printed.
    pub(crate) fn header(&self) -> Result<HeaderValue, ClientError> {
        let mut value =
            HeaderValue::from_str(&format!("Bearer {}", self.0)).map_err(|_| ClientError::Key)?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// The text itself, for removing it from what an endpoint sends back.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_trimmed_and_never_printed() {
        let key = ApiKey::new(" sk-hunter2\n").unwrap();
        assert_eq!(key.reveal(), "sk-hunter2");
        assert!(!format!("{key:?}").contains("hunter2"));
        assert!(!format!("{:?}", key.header().unwrap()).contains("hunter2"));
    }

    #[test]
    fn what_is_no_key_is_refused_without_repeating_it() {
        for text in ["", "  ", "two words", "line\nbreak", "schlüssel"] {
            let error = ApiKey::new(text).unwrap_err().to_string();
            assert!(!error.contains("words") && !error.contains("schl"));
        }
    }
}
