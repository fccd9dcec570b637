//! What a job's selector says of responses: which of a row's is given. It only reads.

use crate::text::Text;
use frugal_domain::job::Instance;
use frugal_domain::scoring::Observation;
use frugal_evaluation::ScorePlan;
use frugal_scoring::Scorer;

/// How highly the selector thinks of a response, from 0 to 1; nothing where there is none. Or why it cannot
/// say.
pub(crate) type Preference = Result<Option<f64>, String>;

/// What was said of a response, with what the selector says of it. Without that it would be unknown which
/// response is given, so it has no score then.
pub(crate) fn with_preference(
    observed: Result<Observation, String>,
    preference: Preference,
) -> Result<Observation, String> {
    Ok(Observation {
        preference: preference?,
        ..observed?
    })
}

/// What the selector says of a response.
pub(crate) fn preference(
    selector: Option<&Scorer>,
    rows: &[Instance],
    plan: &ScorePlan,
    text: &Text,
) -> Preference {
    let Some(selector) = selector else {
        return Ok(None);
    };
    let row = rows
        .get(plan.key.instance)
        .ok_or_else(|| format!("there is no row {}", plan.key.instance))?;
    let preference = selector.score(row, text.as_scored(plan));
    preference.map(Some).map_err(|error| error.to_string())
}
