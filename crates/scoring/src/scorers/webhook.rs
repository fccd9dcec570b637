//! `webhook`: a service of the operator's says how good a response is.

use super::{Common, Kind, Outside};
use crate::extract::Extractor;
use crate::hook::HookItem;
use crate::scorer_error::{ScoreError, ScorerError};
use crate::verdict::{Pending, Verdict};
use frugal_domain::fault::ObjectReader;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The compiled scorer.
#[derive(Debug, Clone)]
pub(crate) struct Hooked {
    name: String,
}

/// Its own fields.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Fields {
    /// The operator's name of the hook.
    name: String,
}

/// What the hook is told besides the response.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    instance: Map<String, Value>,
    expected: Option<String>,
}

impl Kind for Hooked {
    type Fields = Fields;
    type Wanted = Told;
    const NAME: &'static str = "webhook";
    const IS_GRADED: bool = true;
    const OUTSIDE: Option<Outside> = Some(Outside::Webhook);

    fn without_expected() -> Option<Told> {
        Some(Told {
            instance: Map::new(),
            expected: None,
        })
    }

    fn read(object: &ObjectReader<'_>) -> Option<Fields> {
        let at = object.require("name", "name a webhook that this server's operator lists");
        let name = at.and_then(|at| at.filled_string().map(str::to_owned))?;
        Some(Fields { name })
    }

    fn compile(Fields { name }: Fields, _: &Common) -> Result<Self, ScorerError> {
        Ok(Self { name })
    }

    fn wanted(&self, expected: &str) -> Result<Told, ScoreError> {
        Ok(Told {
            instance: Map::new(),
            expected: Some(expected.to_owned()),
        })
    }

    fn wanted_of(
        &self,
        instance: &Map<String, Value>,
        expected: Option<&str>,
    ) -> Result<Told, ScoreError> {
        Ok(Told {
            instance: instance.clone(),
            expected: expected.map(str::to_owned),
        })
    }

    fn verdict(&self, told: &Told, extractor: &Extractor, response: &str) -> Verdict {
        let Some(response) = extractor.apply(response) else {
            return Verdict::Score(0.0.into());
        };
        Verdict::Pending(Pending::Webhook(HookItem {
            hook: self.name.clone(),
            instance: told.instance.clone(),
            response: response.into_owned(),
            expected: told.expected.clone(),
        }))
    }
}
