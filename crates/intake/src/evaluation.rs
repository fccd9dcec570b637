//! A posted evaluation, read with every fault noted: what a job has, but for a search, and in its place
//! configurations.

use crate::configurations::{self, ConfigurationRead, Sources};
use crate::posted::{are_shown, read_labels, read_name};
use crate::rows::{self, Datasets, Rows};
use crate::scoring::{self, Scoring};
use crate::search::{MOST_IN_FLIGHT, MOST_SECONDS, read_reuse};
use crate::taken::{self, Gathered, SourceJobs};
use crate::{budgets, demonstrations, models, nul, objective, prompts, turn};
use frugal_domain::endpoint::Catalog;
use frugal_domain::fault::{Fault, Faults, ObjectReader, Reader};
use frugal_domain::job::{
    Algorithm, Data, EvaluationSpec, ExtentChoice, JobSpec, Limits, Priority, Pruning, Reuse,
    SearchSpec, measures_latency,
};
use frugal_domain::space::Space;
use serde_json::Value;
use std::collections::BTreeMap;

/// Requests under way where nothing is said, and where latency is measured.
const IN_FLIGHT: u32 = 32;
const IN_FLIGHT_MEASURED: u32 = 1;

/// Reads an evaluation with the datasets and the trials that it names, those of [`crate::named_datasets`] and
/// [`crate::named_trials`]. `seed` is used where it names none.
///
/// # Errors
/// Everything that is wrong with it.
pub fn evaluation_over(
    document: &Value,
    datasets: Datasets,
    jobs: &SourceJobs,
    catalog: &Catalog,
    seed: u64,
) -> Result<(JobSpec, Data), Vec<Fault>> {
    let completed = taken::complete(document, jobs);
    let faults = Faults::default();
    let at = Reader::new(&completed.document, &faults);
    nul::refuse(&at);
    let read = read(&at, datasets, jobs, catalog, seed);
    match read {
        Some(read) if faults.is_empty() => Ok(read),
        _ => {
            let faults = faults.into_vec().into_iter();
            Err(faults.map(|fault| completed.place(fault)).collect())
        }
    }
}

/// Reads every part before it gives up on any, so that all faults are found.
fn read(
    at: &Reader<'_>,
    datasets: Datasets,
    jobs: &SourceJobs,
    catalog: &Catalog,
    seed: u64,
) -> Option<(JobSpec, Data)> {
    let document = at.object()?;
    let name = document.get("name").and_then(|at| read_name(&at));
    let labels = document
        .get("labels")
        .map_or_else(BTreeMap::new, |at| read_labels(&at));
    let priority = document
        .get("priority")
        .map_or(Some(Priority::default()), |at| turn::priority(&at));
    let not_before = document
        .get("not_before")
        .map_or(Some(None), |at| turn::moment(&at).map(Some));
    let rows = rows_of(&document, datasets);
    // What configurations of jobs bring along need not be given.
    let brings = taken::any(&document);
    let gives = |one: &str, many: &str| document.has(one) || document.has(many) || !brings;
    let models = match gives("model", "models") {
        true => models::models(&document, catalog),
        false => Vec::new(),
    };
    let demonstrations_at = document.get("demonstrations");
    let demonstrations = demonstrations_at.as_ref();
    let demonstrations = demonstrations.map(|at| demonstrations::read(at).unwrap_or_default());
    // Which model gets which prompt is known of each configuration.
    let prompts = match gives("prompt", "prompts") {
        true => prompts::prompts(&document, &[], demonstrations.as_ref(), rows.as_ref()),
        false => Vec::new(),
    };
    if let Some(at) = &demonstrations_at {
        are_shown(at, &prompts, rows.as_ref());
    }
    let scoring = document
        .require(
            "scoring",
            "say how an answer is scored, such as {\"scorer\": {\"type\": \"exact\", \"expected\": \"{{ answer }}\"}}",
        )
        .and_then(|at| scoring::scoring(&at, rows.as_ref(), catalog));
    let objective_at = document.get("objective");
    let objective = objective::objective(objective_at.clone(), scoring.as_ref());
    let objective = objective.filter(|objective| is_no_search(objective_at.as_ref(), objective));
    let constraints = objective::constraints(document.get("constraints"), scoring.as_ref());
    let mut gathered = Gathered {
        pool: Gathered::own_pool(demonstrations.as_ref(), rows.as_ref()),
        models,
        prompts,
    };
    let sources = Sources {
        jobs,
        rows: rows.as_ref(),
        catalog,
    };
    let configurations = configurations::configurations(&document, &mut gathered, &sources);
    let Gathered {
        models,
        prompts,
        pool,
    } = gathered;
    let budgets = budgets::budgets(
        document.get("budgets"),
        "evaluation",
        &models,
        scoring.as_ref(),
    );
    let reference = configurations::reference(document.get("reference").as_ref(), &configurations);
    let measured = document
        .get("measure_latency")
        .map_or(Some(false), |at| at.boolean());
    let measures_latency = measured? || {
        let asked = objective.as_ref().zip(constraints.as_ref());
        asked.is_some_and(|(objective, constraints)| measures_latency(objective, constraints))
    };
    let reuse = reuse(document.get("reuse"), measures_latency);
    let seed = document.get("seed").map_or(Some(seed), |at| {
        Some(at.integer_within(0, i64::MAX)?.unsigned_abs())
    });
    let limits = limits(document.get("limits"), measures_latency);
    document.finish();

    let configurations: Vec<ConfigurationRead<'_>> =
        configurations.into_iter().collect::<Option<_>>()?;
    let count = u32::try_from(configurations.len()).unwrap_or(u32::MAX);
    let Scoring {
        scorer,
        judges,
        selector,
        ..
    } = scoring?;
    let (inference_budget, optimization_budget) = budgets?;
    let (seconds, requests_in_flight) = limits?;
    let rows = rows?;
    let mut spec = JobSpec {
        name,
        labels,
        priority: priority?,
        not_before: not_before?,
        dataset: rows.dataset.clone(),
        holdout_dataset: None,
        models: models
            .iter()
            .map(|model| Some(model.as_ref()?.choice.clone()))
            .collect::<Option<_>>()?,
        prompts: prompts.iter().cloned().collect::<Option<_>>()?,
        pool,
        space: Space::default(),
        scorer,
        selector,
        judges: judges.into_iter().map(|(judge, _)| judge).collect(),
        objective: objective?,
        constraints: constraints?,
        inference_budget,
        optimization_budget,
        limits: Limits {
            trials: count,
            seconds,
            trials_without_improvement: None,
        },
        search: SearchSpec {
            algorithm: Algorithm::default(),
            seed: seed?,
            extent: ExtentChoice::Searched,
            pruning: Pruning::Off,
            reuse: reuse?,
            parallel_trials: count,
            requests_in_flight,
        },
        baseline: None,
        start: Vec::new(),
        warm_start: None,
        evaluation: None,
    };
    let data = rows.split(spec.search.seed);
    configurations::are_told_apart(&configurations, &spec, data.tuning.len())?;
    spec.evaluation = Some(EvaluationSpec {
        configurations: configurations.into_iter().map(|one| one.named).collect(),
        reference: reference?,
        measures_latency,
    });
    Some((spec, data))
}

/// The rows, of which none may be held out.
fn rows_of(document: &ObjectReader<'_>, datasets: Datasets) -> Option<Rows> {
    let data = document.require(
        "data",
        "give the rows to evaluate on as {\"instances\": [{…}, …]} or {\"dataset\": \"…\"}",
    )?;
    if let Some(holdout) = data.object()?.get("holdout") {
        return holdout.fault(
            "nothing is held out of an evaluation, which chooses nothing by its rows; leave it out, and \
             take the rows that are meant with `data.where` or `data.sample`",
        );
    }
    rows::rows(&data, datasets)
}

/// Refuses an objective that is for a search alone.
fn is_no_search(at: Option<&Reader<'_>>, objective: &frugal_domain::job::Objective) -> bool {
    if objective.cheapest.is_none() {
        return true;
    }
    if let Some(at) = at {
        at.fault_below::<()>(
            "/cheapest",
            "is what a search is after; an evaluation ranks by a `metric`, and tells costs and differences \
             of all configurations anyway",
        );
    }
    false
}

/// Whose responses may be used again.
fn reuse(at: Option<Reader<'_>>, measures_latency: bool) -> Option<Reuse> {
    let Some(at) = at else {
        return Some(Reuse::Job);
    };
    let reuse = read_reuse(&at)?;
    if measures_latency && reuse == Reuse::Owner {
        return at.fault(
            "other jobs' responses came under another load, which tells nothing of how long its own take; \
             leave it out, or do not measure latency",
        );
    }
    Some(reuse)
}

/// The most seconds, and the most requests under way.
fn limits(at: Option<Reader<'_>>, measures_latency: bool) -> Option<(Option<u64>, u32)> {
    let usual = match measures_latency {
        true => IN_FLIGHT_MEASURED,
        false => IN_FLIGHT,
    };
    let Some(at) = at else {
        return Some((None, usual));
    };
    let object = at.object()?;
    let whole = |name: &str, most: i64| {
        let read = object.get(name).map(|at| at.integer_within(1, most));
        read.map(|read| read.map(i64::unsigned_abs))
    };
    let seconds = whole("seconds", MOST_SECONDS);
    let in_flight = whole("requests_in_flight", MOST_IN_FLIGHT);
    object.finish();
    let seconds = match seconds {
        None => None,
        Some(seconds) => Some(seconds?),
    };
    let in_flight = match in_flight {
        None => usual,
        Some(in_flight) => u32::try_from(in_flight?).ok()?,
    };
    Some((seconds, in_flight))
}
