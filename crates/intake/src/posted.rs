//! A posted job, read with every fault noted.

use crate::default_model::default_model;
use crate::limits::MAX_CHOICES;
use crate::rows::{self, Datasets, Rows};
use crate::scoring::{self, Scoring};
use crate::warm_start::{self, EarlierJob};
use crate::{budgets, demonstrations, models, nul, objective, prompts, search, space, turn};
use frugal_domain::configuration::Configuration;
use frugal_domain::endpoint::Catalog;
use frugal_domain::fault::{Fault, Faults, ObjectReader, Reader};
use frugal_domain::job::{Data, JobSpec, Priority, measures_latency};
use frugal_domain::prompt::Prompt;
use frugal_scoring::DEMONSTRATIONS;
use serde_json::Value;
use std::collections::BTreeMap;

/// A posted document: its parts are at hand, and nothing is checked but that it can be stored.
///
/// It is read in two steps, so that what a part refers to can be fetched between them: first the
/// rows of the data, wherever they are, then everything else, which is held against the rows.
#[derive(Debug)]
pub struct Posted<'a> {
    document: &'a Value,
    faults: Faults,
    earlier: Option<EarlierJob>,
}

impl<'a> Posted<'a> {
    /// Opens a document.
    #[must_use]
    pub fn open(document: &'a Value) -> Self {
        let faults = Faults::default();
        nul::refuse(&Reader::new(document, &faults));
        Self {
            document,
            faults,
            earlier: None,
        }
    }

    /// With the job that the document takes over from ([`crate::named_warm_start`]), where it is there.
    #[must_use]
    pub fn behind(self, earlier: Option<EarlierJob>) -> Self {
        Self { earlier, ..self }
    }

    /// The rows that the document holds, or names among these datasets; nothing where they have faults.
    #[must_use]
    pub fn rows(&self, datasets: Datasets) -> Option<Rows> {
        let job = Reader::new(self.document, &self.faults);
        let Value::Object(_) = self.document else {
            return None;
        };
        let data = job.object()?.require(
            "data",
            "give the rows to tune on as {\"instances\": [{…}, …]} or {\"dataset\": \"…\"}",
        )?;
        rows::rows(&data, datasets)
    }

    /// Reads the job over these rows. `seed` is used where the job names none.
    ///
    /// # Errors
    /// Everything that is wrong with the document, what [`Self::rows`] found included.
    pub fn read(
        self,
        rows: Option<Rows>,
        catalog: &Catalog,
        seed: u64,
    ) -> Result<(JobSpec, Data), Vec<Fault>> {
        let read = read_job(
            &Reader::new(self.document, &self.faults),
            rows,
            self.earlier.as_ref(),
            catalog,
            seed,
        );
        match read {
            Some(read) if self.faults.is_empty() => Ok(read),
            None if self.faults.is_empty() => Err(vec![Fault {
                pointer: "/data".to_owned(),
                detail: "the rows could not be had".to_owned(),
            }]),
            _ => Err(self.faults.into_vec()),
        }
    }
}

/// Reads a job that holds all of its parts. `seed` is used where the job names none.
///
/// # Errors
/// Everything that is wrong with it.
pub fn job(document: &Value, catalog: &Catalog, seed: u64) -> Result<(JobSpec, Data), Vec<Fault>> {
    job_over(document, Datasets::new(), catalog, seed)
}

/// Reads a job with the datasets that it names, those of [`crate::named_datasets`]. `seed` is used
/// where the job names none.
///
/// # Errors
/// Everything that is wrong with it.
pub fn job_over(
    document: &Value,
    datasets: Datasets,
    catalog: &Catalog,
    seed: u64,
) -> Result<(JobSpec, Data), Vec<Fault>> {
    let posted = Posted::open(document);
    let rows = posted.rows(datasets);
    posted.read(rows, catalog, seed)
}

/// Reads every part before it gives up on any, so that all faults are found.
fn read_job(
    document: &Reader<'_>,
    rows: Option<Rows>,
    earlier: Option<&EarlierJob>,
    catalog: &Catalog,
    seed: u64,
) -> Option<(JobSpec, Data)> {
    let job = document.object()?;
    let name = job.get("name").and_then(|at| read_name(&at));
    let labels = job
        .get("labels")
        .map_or_else(BTreeMap::new, |at| read_labels(&at));
    let priority = job
        .get("priority")
        .map_or(Some(Priority::default()), |at| turn::priority(&at));
    let not_before = job
        .get("not_before")
        .map_or(Some(None), |at| turn::moment(&at).map(Some));
    // Read before; only its name is still to be known.
    let _ = job.get("data");
    let models = models::models(&job, catalog);
    let demonstrations_at = job.get("demonstrations");
    // Where they have faults, prompts are read as if there were none in the way of showing them.
    let demonstrations = demonstrations_at.as_ref();
    let demonstrations = demonstrations.map(|at| demonstrations::read(at).unwrap_or_default());
    let prompts = prompts::prompts(&job, &models, demonstrations.as_ref(), rows.as_ref());
    if let Some(at) = &demonstrations_at {
        are_shown(at, &prompts, rows.as_ref());
    }
    let space = space::space(&job, &models, &prompts);
    let scoring = job
        .require(
            "scoring",
            "say how an answer is scored, such as {\"scorer\": {\"type\": \"exact\", \"expected\": \"{{ answer }}\"}}",
        )
        .and_then(|at| scoring::scoring(&at, rows.as_ref(), catalog));
    let objective_at = job.get("objective");
    let objective = objective::objective(objective_at.clone(), scoring.as_ref());
    let budgets = budgets::budgets(
        job.get("budgets"),
        "optimization",
        &models,
        scoring.as_ref(),
    );
    let constraints = objective::constraints(job.get("constraints"), scoring.as_ref());
    let limits = search::limits(job.get("limits"));
    let search_at = job.get("search");
    let measures_latency = objective
        .as_ref()
        .zip(constraints.as_ref())
        .is_some_and(|(objective, constraints)| measures_latency(objective, constraints));
    let search = search::search(search_at.as_ref(), seed, measures_latency);
    if let (Some(search), Some(space)) = (&search, &space) {
        search::grid_fits(search_at.as_ref(), search, space);
    }
    let start = job.get("start").map_or_else(Vec::new, |at| read_start(&at));
    let baseline = job.get("baseline");
    let warm_start = warm_start::read(&job);
    job.finish();

    let search = search?;
    let Scoring {
        scorer,
        judges,
        selector,
        ..
    } = scoring?;
    let (inference_budget, optimization_budget) = budgets?;
    let mut spec = JobSpec {
        name,
        labels,
        priority: priority?,
        not_before: not_before?,
        dataset: rows.as_ref().and_then(|rows| rows.dataset.clone()),
        holdout_dataset: rows.as_ref().and_then(|rows| rows.holdout_dataset.clone()),
        models: models
            .into_iter()
            .map(|model| Some(model?.choice))
            .collect::<Option<_>>()?,
        prompts: prompts.into_iter().collect::<Option<_>>()?,
        space: space?,
        pool: match (&demonstrations, &rows) {
            (Some(read), Some(rows)) => read.pool_of(rows.all()),
            _ => Vec::new(),
        },
        scorer,
        selector,
        judges: judges.into_iter().map(|(judge, _)| judge).collect(),
        objective: objective?,
        constraints: constraints?,
        inference_budget,
        optimization_budget,
        limits: limits?,
        search,
        baseline: None,
        start: Vec::new(),
        warm_start: None,
        evaluation: None,
    };
    // Over all rows, held out or not: an estimate and the job that follows it may split them by
    // different seeds, and are to agree.
    let model = match &rows {
        Some(rows) => default_model(&spec, &rows.all().collect::<Vec<_>>(), catalog),
        None => 0,
    };
    let data = rows.map(|rows| rows.split(search.seed));
    // What is held out is shown to nobody.
    if let (Some(read), Some(data)) = (&demonstrations, &data) {
        spec.pool = read.pool_of(data.tuning.iter());
    }
    spec.baseline = match baseline {
        Some(at) if at.value == &Value::Bool(false) => None,
        Some(at) => {
            let read = |settings: &_| spec.baseline_of(settings, model);
            Some(read_point(&at.object()?, read)?)
        }
        None => Some(spec.default_configuration_of(model)),
    };
    objective::has_its_baseline(objective_at.as_ref(), &spec)?;
    spec.start = start
        .iter()
        .map(|row| read_point(row, |settings| spec.configuration_of(settings, model)))
        .collect::<Option<_>>()?;
    let data = data?;
    if let Some((at, id)) = warm_start? {
        warm_start::take(&at, &id, earlier, &mut spec, &data)?;
    }
    Some((spec, data))
}

/// Refuses demonstrations that no prompt shows, or that a field of the rows hides.
pub(crate) fn are_shown(at: &Reader<'_>, prompts: &[Option<Prompt>], rows: Option<&Rows>) {
    let mut all = rows.into_iter().flat_map(Rows::all);
    if all.any(|row| row.contains_key(DEMONSTRATIONS)) {
        at.fault::<()>(format!(
            "the rows have a field `{DEMONSTRATIONS}`; rename it"
        ));
        return;
    }
    let sound = prompts.iter().all(Option::is_some);
    let shown = prompts.iter().flatten();
    if sound && shown.clone().all(|prompt| prompt.demonstrations.is_none()) {
        at.fault::<()>(format!(
            "no prompt shows them; loop over `{DEMONSTRATIONS}` in one, such as {{% for one in \
             {DEMONSTRATIONS} %}}{{{{ one.question }}}} {{{{ one.answer }}}} {{% endfor %}}"
        ));
    }
}

/// A name for people.
pub(crate) fn read_name(at: &Reader<'_>) -> Option<String> {
    let name = at.filled_string()?;
    if name.chars().count() > 200 {
        return at.fault("must have at most 200 characters");
    }
    Some(name.to_owned())
}

/// Labels for people and tools.
pub(crate) fn read_labels(at: &Reader<'_>) -> BTreeMap<String, String> {
    let Some(labels) = at.object() else {
        return BTreeMap::new();
    };
    let labels = labels.members_within(MAX_CHOICES).unwrap_or_default();
    labels
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value.string()?.to_owned())))
        .collect()
}

fn read_start<'a>(at: &Reader<'a>) -> Vec<ObjectReader<'a>> {
    let rows = at.array_within(MAX_CHOICES).unwrap_or_default();
    rows.iter().filter_map(Reader::object).collect()
}

/// A configuration given by the user: settings by name, which are read by `read`.
pub(crate) fn read_point(
    row: &ObjectReader<'_>,
    read: impl FnOnce(&BTreeMap<String, Value>) -> Result<Configuration, (String, String)>,
) -> Option<Configuration> {
    let settings = row
        .members()
        .map(|(name, at)| (name.to_owned(), at.value.clone()))
        .collect();
    match read(&settings) {
        Ok(configuration) => Some(configuration),
        Err((name, detail)) => {
            let at = row.get(&name).unwrap_or_else(|| row.at.clone());
            at.fault(detail)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn catalog() -> Catalog {
        let model = json!({"input_usd_per_million": 1, "output_usd_per_million": 1});
        let endpoint = json!({"base_url": "http://127.0.0.1:1/v1", "models": {"m": model}});
        serde_json::from_value(json!({"endpoints": {"e": endpoint}})).unwrap()
    }

    fn document(data: Value) -> Value {
        json!({
            "data": data,
            "model": {"endpoint": "e", "model": "m"},
            "prompt": "{{ q }}",
            "scoring": {"scorer": {"type": "exact", "expected": "{{ a }}"}},
        })
    }

    #[test]
    fn rows_may_come_from_elsewhere() {
        let held = document(json!({"instances": [{"q": 1, "a": 2}, {"q": 3, "a": 4}]}));
        let rows = Posted::open(&held).rows(Datasets::new());
        // The document that is read need not hold them.
        let elsewhere = document(json!({"kept": "elsewhere"}));
        let read = Posted::open(&elsewhere).read(rows, &catalog(), 1);
        assert_eq!(read.unwrap().1.tuning.len(), 2);
    }

    #[test]
    fn everything_is_held_against_the_rows() {
        let held = document(json!({"instances": [{"q": 1}]}));
        let rows = Posted::open(&held).rows(Datasets::new());
        let faults = Posted::open(&held).read(rows, &catalog(), 1).unwrap_err();
        assert_eq!(faults[0].pointer, "/scoring/scorer/expected");
    }

    #[test]
    fn rows_that_could_not_be_had_are_a_fault() {
        let document = document(json!({"kept": "elsewhere"}));
        let faults = Posted::open(&document)
            .read(None, &catalog(), 1)
            .unwrap_err();
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].pointer, "/data");
    }
}
