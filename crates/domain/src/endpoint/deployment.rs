//! Several deployments behind the name of one endpoint: other keys, other regions.

use super::{CatalogError, Endpoint, HeaderSource, check_base_url, check_path};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The name of the deployment that the endpoint's own entry describes.
pub const FIRST: &str = "first";

/// A further deployment of the same models as its endpoint's, at the same prices. What it leaves out
/// is as the endpoint has it; only a key and headers do not go where another `base_url` leads.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// What it is called in words to the operator.
    pub name: String,
    /// Its own base URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Its own path, for all models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Parameters of the query, above those of the endpoint.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// Further headers, above those of the endpoint.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, HeaderSource>,
    /// The name of the environment variable that holds its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// The file that holds its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<String>,
}

impl Deployment {
    /// The deployment as an endpoint of its own.
    fn resolved(&self, endpoint: &Endpoint) -> Endpoint {
        let mut resolved = Endpoint {
            deployments: Vec::new(),
            ..endpoint.clone()
        };
        if let Some(base_url) = &self.base_url {
            base_url.clone_into(&mut resolved.base_url);
            resolved.headers.clear();
            resolved.api_key_env = None;
            resolved.api_key_file = None;
        }
        if self.path.is_some() {
            resolved.path.clone_from(&self.path);
            for model in resolved.models.values_mut() {
                model.path = None;
            }
        }
        resolved.query.extend(self.query.clone());
        resolved.headers.extend(self.headers.clone());
        if self.api_key_env.is_some() || self.api_key_file.is_some() {
            resolved.api_key_env.clone_from(&self.api_key_env);
            resolved.api_key_file.clone_from(&self.api_key_file);
        }
        resolved
    }

    fn validate(&self) -> Result<(), CatalogError> {
        if self.name.is_empty()
            || self
                .name
                .chars()
                .any(|c| c.is_whitespace() || c.is_control())
        {
            let problem = "must not be empty or hold white space";
            return Err(CatalogError::new("name", problem));
        }
        // What else may be wrong shows in the whole of it; these are told by their own names.
        if let Some(base_url) = &self.base_url {
            check_base_url(base_url).map_err(|problem| CatalogError::new("base_url", problem))?;
        }
        check_path(self.path.as_deref()).map_err(|problem| CatalogError::new("path", problem))?;
        let is_same = Self {
            name: self.name.clone(),
            ..Self::default()
        };
        if *self == is_same {
            let problem = "is the endpoint's own once more; give it an api_key_env, a base_url or a path of its own";
            return Err(CatalogError::new("name", problem));
        }
        Ok(())
    }
}

impl Endpoint {
    /// All its deployments, each as an endpoint of its own with its name before it: the one that the
    /// entry itself describes ([`FIRST`]), then the further ones.
    pub fn every_deployment(&self) -> impl Iterator<Item = (&str, Self)> {
        let own = Self {
            deployments: Vec::new(),
            ..self.clone()
        };
        let further = self.deployments.iter();
        let further = further.map(|one| (one.name.as_str(), one.resolved(self)));
        std::iter::once((FIRST, own)).chain(further)
    }

    /// Checks the further deployments.
    pub(super) fn check_deployments(&self) -> Result<(), CatalogError> {
        let mut names = BTreeSet::from([FIRST]);
        for (index, deployment) in self.deployments.iter().enumerate() {
            let field = format!("deployments.{index}");
            deployment
                .validate()
                .and_then(|()| deployment.resolved(self).validate())
                .map_err(|fault| fault.within(&field))?;
            if !names.insert(&deployment.name) {
                let problem = format!(
                    "there is a {} already; the endpoint's own is called {FIRST}",
                    deployment.name
                );
                return Err(CatalogError::new(&format!("{field}.name"), &problem));
            }
        }
        Ok(())
    }
}
