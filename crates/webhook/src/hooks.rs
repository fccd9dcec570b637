//! The hooks of a catalogue.

use crate::error::HookError;
use crate::hook::Hook;
use crate::signer::Signer;
use frugal_domain::endpoint::Catalog;
use std::collections::BTreeMap;

/// Every hook of a catalogue, by its name. A clone is the same hooks.
#[derive(Debug, Clone, Default)]
pub struct Hooks(BTreeMap<String, Hook>);

impl Hooks {
    /// The hooks of a catalogue. `variable` looks up an environment variable by name; it is asked for the
    /// `secret_env` of each.
    ///
    /// # Errors
    /// A secret is not there, or none.
    pub fn new(
        catalog: &Catalog,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, HookError> {
        let hooks = catalog.webhooks.iter().map(|(name, entry)| {
            let secret = variable(&entry.secret_env).ok_or_else(|| HookError::MissingSecret {
                hook: name.clone(),
                variable: entry.secret_env.clone(),
            })?;
            let signer = Signer::new(&secret).map_err(|_| HookError::UnusableSecret {
                hook: name.clone(),
                variable: entry.secret_env.clone(),
            })?;
            Ok((name.clone(), Hook::new(name, entry, signer)?))
        });
        Ok(Self(hooks.collect::<Result<_, _>>()?))
    }

    /// A hook by name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Hook> {
        self.0.get(name)
    }
}
