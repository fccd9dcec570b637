//! Reads a configuration that the owner of a job puts into it while it goes on.

use crate::nul;
use crate::posted::read_point;
use frugal_domain::configuration::Configuration;
use frugal_domain::fault::{Fault, Faults, Reader};
use frugal_domain::job::{JobSpec, MODEL};
use serde_json::Value;

/// The point of a job's search space that a document names, as `start` does when the job is posted: what is left
/// out is as in the default baseline. Of several models one must be named.
///
/// # Errors
/// Everything that is wrong with the document, with its place in it.
pub fn enqueued(document: &Value, spec: &JobSpec) -> Result<Configuration, Vec<Fault>> {
    let faults = Faults::default();
    let at = Reader::new(document, &faults);
    nul::refuse(&at);
    match read(&at, spec) {
        Some(configuration) if faults.is_empty() => Ok(configuration),
        _ => Err(faults.into_vec()),
    }
}

fn read(document: &Reader<'_>, spec: &JobSpec) -> Option<Configuration> {
    let body = document.object()?;
    let configuration = body.require(
        "configuration",
        "name the settings to try, such as {\"configuration\": {\"temperature\": 0.4}}",
    );
    body.finish();
    let settings = configuration?.object()?;
    if spec.models.len() > 1 && settings.get(MODEL).is_none() {
        return settings
            .require(MODEL, "there are several models; name one of them")
            .and(None);
    }
    read_point(&settings, |given| spec.configuration_of(given, 0))
}
