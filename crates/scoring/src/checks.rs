//! What the reading of a job asks of this crate.

use crate::scorer::Scorer;
use crate::template::Template;
use frugal_domain::job::Instance;
use frugal_domain::job::read::Checks;
use frugal_domain::scoring::ScorerSpec;
use std::collections::BTreeSet;

/// Checks templates and scorers by compiling them.
#[derive(Debug, Clone, Copy, Default)]
pub struct JobChecks;

impl Checks for JobChecks {
    fn template(&self, text: &str) -> Result<BTreeSet<String>, String> {
        Template::compile(text)
            .map(|template| template.variables().clone())
            .map_err(|error| error.to_string())
    }

    fn scorer(&self, scorer: &ScorerSpec) -> Result<(), (String, String)> {
        Scorer::compile(scorer)
            .map(|_| ())
            .map_err(|error| (error.field.to_owned(), error.detail))
    }

    fn expectations(
        &self,
        scorer: &ScorerSpec,
        rows: &mut dyn Iterator<Item = &Instance>,
    ) -> Result<(), (usize, String)> {
        // One that cannot be built was reported as such.
        let Ok(scorer) = Scorer::compile(scorer) else {
            return Ok(());
        };
        rows.enumerate().try_for_each(|(position, row)| {
            let expectation = scorer.expectation(row);
            expectation
                .map(|_| ())
                .map_err(|error| (position, error.to_string()))
        })
    }
}
