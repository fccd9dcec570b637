//! The clients of all endpoints of a catalogue.

use crate::client::Client;
use crate::error::ClientError;
use crate::key::ApiKey;
use frugal_domain::endpoint::Catalog;
use std::collections::BTreeMap;

/// One client per endpoint, by the endpoint's name.
#[derive(Debug, Clone, Default)]
pub struct Clients(BTreeMap<String, Client>);

impl Clients {
    /// Clients for a whole catalogue. `variable` looks up an environment variable by name;
    /// it is asked for the `api_key_env` of each endpoint.
    ///
    /// # Errors
    /// An entry makes no sense, or its key is not there.
    pub fn new(
        catalog: &Catalog,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ClientError> {
        let mut clients = BTreeMap::new();
        for (name, endpoint) in &catalog.endpoints {
            let key = endpoint.api_key_env.as_ref().map(|key_variable| {
                let text = variable(key_variable).ok_or_else(|| ClientError::MissingKey {
                    endpoint: name.clone(),
                    variable: key_variable.clone(),
                })?;
                ApiKey::new(&text).map_err(|_| ClientError::UnusableKey {
                    endpoint: name.clone(),
                    variable: key_variable.clone(),
                })
            });
            clients.insert(name.clone(), Client::new(name, endpoint, key.transpose()?)?);
        }
        Ok(Self(clients))
    }

    /// The client of an endpoint.
    #[must_use]
    pub fn get(&self, endpoint: &str) -> Option<&Client> {
        self.0.get(endpoint)
    }

    /// The names of the endpoints, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
