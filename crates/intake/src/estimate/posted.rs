//! The estimate of a posted document.

use super::prompts::{MOST_RENDERED, basis, of_catalog};
use super::{Basis, Estimate, EvaluationEstimate, estimate, side_by_side};
use crate::posted::Posted;
use crate::rows::Datasets;
use crate::taken::SourceJobs;
use crate::warm_start::EarlierJob;
use crate::warnings::warnings_over;
use frugal_domain::endpoint::Catalog;
use frugal_domain::fault::Fault;
use frugal_domain::job::{Data, JobSpec};
use serde_json::Value;

/// The seed of a job that names none. It chooses the rows that are held out by a share; the job
/// that is posted will have a seed of its own.
const SEED: u64 = 0;

/// A posted job with what it may cost.
#[derive(Debug, Clone)]
pub struct Estimated {
    /// The job.
    pub spec: JobSpec,
    /// What the estimate rests on.
    pub basis: Basis,
    /// What the job may cost.
    pub estimate: Estimate,
    /// Whether the operator gave prices, by the model's position.
    pub has_price: Vec<bool>,
    /// What is probably a mistake, as [`crate::warnings`] finds it.
    pub warnings: Vec<Fault>,
}

/// Reads a posted job as [`Posted`] does, renders its prompts, counts their tokens, and says what
/// it may cost. Nothing is sent anywhere.
///
/// # Errors
/// Everything that is wrong with the document.
pub fn of_document(
    document: &Value,
    datasets: Datasets,
    earlier: Option<EarlierJob>,
    catalog: &Catalog,
) -> Result<Estimated, Vec<Fault>> {
    let posted = Posted::open(document).behind(earlier);
    let rows = posted.rows(datasets);
    let (spec, data) = posted.read(rows, catalog, SEED)?;
    let basis = basis(&spec, &data, catalog, MOST_RENDERED);
    let estimate = estimate(&spec, &basis).map_err(|missing| {
        vec![Fault {
            pointer: "/search_space".to_owned(),
            detail: format!("{missing} in some branch of `one_of`; give it in every branch"),
        }]
    })?;
    Ok(Estimated {
        has_price: has_price(&spec, catalog),
        warnings: warnings_over(document, &spec, &data, Some(&basis)),
        spec,
        basis,
        estimate,
    })
}

/// Whether the operator gave prices, by the model's position.
fn has_price(spec: &JobSpec, catalog: &Catalog) -> Vec<bool> {
    let has_price = spec.models.iter().map(|choice| {
        let model = of_catalog(choice, catalog);
        model.is_some_and(|(_, model)| model.prices.is_some())
    });
    has_price.collect()
}

/// A posted evaluation with what it may cost.
#[derive(Debug, Clone)]
pub struct EvaluationEstimated {
    /// The evaluation.
    pub spec: JobSpec,
    /// Its rows.
    pub data: Data,
    /// What the estimate rests on.
    pub basis: Basis,
    /// What the evaluation may cost.
    pub estimate: EvaluationEstimate,
    /// Whether the operator gave prices, by the model's position.
    pub has_price: Vec<bool>,
    /// What is probably a mistake, and that the budget is not expected to pay for all.
    pub warnings: Vec<Fault>,
}

/// Reads a posted evaluation as [`crate::evaluation_over`] does, renders its prompts, counts their tokens,
/// and says what it may cost. Nothing is sent anywhere. `seed` is used where it names none.
///
/// # Errors
/// Everything that is wrong with the document.
pub fn of_evaluation(
    document: &Value,
    datasets: Datasets,
    jobs: &SourceJobs,
    catalog: &Catalog,
    seed: u64,
) -> Result<EvaluationEstimated, Vec<Fault>> {
    let (spec, data) = crate::evaluation_over(document, datasets, jobs, catalog, seed)?;
    let basis = basis(&spec, &data, catalog, MOST_RENDERED);
    let estimate = side_by_side(&spec, &basis).map_err(|missing| {
        vec![Fault {
            pointer: "/configurations".to_owned(),
            detail: missing.to_string(),
        }]
    })?;
    let mut warnings = warnings_over(document, &spec, &data, Some(&basis));
    warnings.extend(estimate.warning(&spec));
    Ok(EvaluationEstimated {
        has_price: has_price(&spec, catalog),
        warnings,
        spec,
        data,
        basis,
        estimate,
    })
}
