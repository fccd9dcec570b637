//! The clients of all endpoints of a catalogue.

use crate::client::Client;
use crate::error::ClientError;
use crate::key::{ApiKey, Secrets};
use frugal_domain::endpoint::{Catalog, Endpoint, HeaderSource};
use std::collections::BTreeMap;

/// One client per endpoint, by the endpoint's name.
#[derive(Debug, Clone, Default)]
pub struct Clients(BTreeMap<String, Client>);

impl Clients {
    /// Clients for a whole catalogue. `variable` looks up an environment variable by name;
    /// it is asked for the `api_key_env` of each endpoint and for the headers that name one. A key
    /// that an `api_key_file` holds is read here.
    ///
    /// # Errors
    /// An entry makes no sense, or its key is not there.
    pub fn new(
        catalog: &Catalog,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ClientError> {
        let mut clients = BTreeMap::new();
        for (name, endpoint) in &catalog.endpoints {
            let all = endpoint.every_deployment();
            let all = all.map(|(_, own)| secrets(name, &own, &variable));
            let mut all = all
                .collect::<Result<Vec<Secrets>, ClientError>>()?
                .into_iter();
            let first = all.next().unwrap_or_default();
            let secrets = Secrets {
                deployments: all.collect(),
                ..first
            };
            clients.insert(name.clone(), Client::new(name, endpoint, secrets)?);
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

fn secrets(
    name: &str,
    endpoint: &Endpoint,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<Secrets, ClientError> {
    let set = |variable_name: &str| {
        variable(variable_name).ok_or_else(|| ClientError::MissingKey {
            endpoint: name.to_owned(),
            variable: variable_name.to_owned(),
        })
    };
    let read = |file: &str| {
        std::fs::read_to_string(file).map_err(|source| ClientError::KeyFile {
            endpoint: name.to_owned(),
            file: file.to_owned(),
            source,
        })
    };
    let key = |text: &str, origin: String| {
        ApiKey::new(text).map_err(|_| ClientError::UnusableKey {
            endpoint: name.to_owned(),
            variable: origin,
        })
    };
    let key = match (&endpoint.api_key_env, &endpoint.api_key_file) {
        (Some(env), _) => Some(key(&set(env)?, format!("environment variable {env}"))?),
        (None, Some(file)) => Some(key(&read(file)?, format!("file {file}"))?),
        (None, None) => None,
    };
    let headers = endpoint.headers.iter().map(|(header, source)| {
        let value = match source {
            HeaderSource::Value(value) => value.clone(),
            HeaderSource::Variable { env } => set(env)?,
        };
        Ok((header.clone(), value))
    });
    Ok(Secrets {
        key,
        headers: headers.collect::<Result<_, ClientError>>()?,
        deployments: Vec::new(),
    })
}
