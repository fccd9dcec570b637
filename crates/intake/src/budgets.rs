//! The budgets of a job.

use crate::models::ModelRead;
use crate::scoring::Scoring;
use frugal_domain::fault::Reader;
use frugal_domain::money::{Budget, Usd};

/// The optimization budget of a job that names none, in dollars.
const DEFAULT_BUDGET_USD: f64 = 1.0;
/// The same where a model has no price, in tokens.
const DEFAULT_BUDGET_TOKENS: u64 = 1_000_000;

/// The inference budget, if any, and that of the whole, which has this name in the document.
pub(crate) fn budgets(
    at: Option<Reader<'_>>,
    whole: &str,
    models: &[Option<ModelRead<'_>>],
    scoring: Option<&Scoring>,
) -> Option<(Option<Budget>, Budget)> {
    let judges = scoring.into_iter().flat_map(|scoring| &scoring.judges);
    let judges = judges.map(|(judge, priced)| (judge.model.model.as_str(), *priced));
    let models = models.iter().flatten();
    let models = models.map(|model| (model.choice.model.as_str(), model.priced));
    let unpriced = models.chain(judges).find(|(_, priced)| !priced);
    let unpriced = unpriced.map(|(model, _)| model);
    let default = match unpriced {
        Some(_) => Budget::Tokens(DEFAULT_BUDGET_TOKENS),
        None => Budget::Usd(Usd::from_dollars(DEFAULT_BUDGET_USD).ok()?),
    };
    let Some(at) = at else {
        return Some((None, default));
    };
    let object = at.object()?;
    let inference = object.get("inference").map(|at| read_budget(&at, unpriced));
    let optimization = object.get(whole).map(|at| read_budget(&at, unpriced));
    object.finish();
    let inference = match inference {
        None => None,
        Some(read) => Some(read?),
    };
    Some((inference, optimization.unwrap_or(Some(default))?))
}

/// A budget in one of the units.
pub(crate) fn read_budget(at: &Reader<'_>, unpriced: Option<&str>) -> Option<Budget> {
    let object = at.object()?;
    let usd = object.get("usd");
    let tokens = object.get("tokens");
    object.finish();
    match (usd, tokens) {
        (Some(at), None) => {
            let dollars = at.number()?;
            if let Some(model) = unpriced {
                return at.fault(format!(
                    "the model `{model}` has no known price; budget in tokens, or ask the operator for its price"
                ));
            }
            match Usd::from_dollars(dollars) {
                Ok(usd) if usd > Usd::ZERO => Some(Budget::Usd(usd)),
                _ => at.fault("must be a number of dollars above 0 and at most 1000000"),
            }
        }
        (None, Some(at)) => {
            let tokens = at.integer()?;
            match u64::try_from(tokens) {
                Ok(tokens) if tokens > 0 => Some(Budget::Tokens(tokens)),
                _ => at.fault("must be a number of tokens above 0"),
            }
        }
        _ => at.fault("give exactly one of `usd` and `tokens`"),
    }
}
