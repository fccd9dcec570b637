//! Configurations that are taken from trials of jobs, with the model and the prompt that they have there, and
//! what else of a job an evaluation takes where it does not say it itself.

use crate::models::{self, Known, ModelRead};
use crate::rows::Rows;
use crate::{demonstrations, rendering};
use frugal_domain::configuration::{Configuration, Settings};
use frugal_domain::endpoint::Catalog;
use frugal_domain::fault::{Fault, ObjectReader, Reader};
use frugal_domain::id::{JobId, TrialNumber};
use frugal_domain::job::{Instance, JobKind, JobSpec, MODEL, ModelChoice, PROMPT, TrialReference};
use frugal_domain::prompt::Prompt;
use frugal_domain::scoring::Reducer;
use frugal_domain::state::JobState;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// A job that configurations are taken from, as far as is known of it.
#[derive(Debug, Clone)]
pub struct SourceJob {
    /// Its id.
    pub id: JobId,
    /// What was posted.
    pub spec: JobSpec,
    /// Where it is in its life.
    pub state: JobState,
    /// Its best trial so far.
    pub best: Option<TrialNumber>,
    /// What trials of it asked of the endpoint: its best one, and those that the document names; of these
    /// those that have ended.
    pub trials: BTreeMap<TrialNumber, Settings>,
}

/// The jobs that a document takes configurations from, by the id as it is written there. Those that are not
/// there are faults of the document.
pub type SourceJobs = BTreeMap<String, SourceJob>;

/// The trials that the configurations of a document name, by the id of the job as it is written there. A
/// job of which none is named is there too: its winner is meant.
#[must_use]
pub fn named_trials(document: &Value) -> BTreeMap<String, BTreeSet<TrialNumber>> {
    let mut named: BTreeMap<String, BTreeSet<TrialNumber>> = BTreeMap::new();
    let configurations = document.get("configurations").and_then(Value::as_array);
    for configuration in configurations.into_iter().flatten() {
        let Some(job) = configuration.get("job").and_then(Value::as_str) else {
            continue;
        };
        let trial = configuration.get("trial").and_then(Value::as_u64);
        let trial = trial.and_then(|trial| u32::try_from(trial).ok());
        let trials = named.entry(job.to_owned()).or_default();
        trials.extend(trial.map(TrialNumber));
    }
    named
}

/// What an evaluation takes of a job where it does not say it itself, by the name of the field.
const PARTS: [&str; 4] = ["scoring", "objective", "constraints", "budgets"];

/// A document with what it takes of the first job that it names.
pub(crate) struct Completed<'a> {
    pub(crate) document: Cow<'a, Value>,
    /// The fields that were taken, and the place of the configuration that names the job.
    taken: Vec<(&'static str, String)>,
}

impl Completed<'_> {
    /// Faults in what was taken are faults of the place that names the job.
    pub(crate) fn place(&self, mut fault: Fault) -> Fault {
        let within = |field: &str| {
            let pointer = match field {
                "budgets" => "/budgets/inference".to_owned(),
                field => format!("/{field}"),
            };
            let rest = fault.pointer.strip_prefix(&pointer);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if let Some((field, place)) = self.taken.iter().find(|(field, _)| within(field)) {
            fault.detail = format!(
                "as nothing else is said, `{}` is that of the job: {}",
                match *field {
                    "budgets" => "budgets.inference",
                    field => field,
                },
                fault.detail
            );
            fault.pointer = place.clone();
        }
        fault
    }
}

/// Puts what is left out in a document to it, as the first job has it that one of its configurations is
/// taken from: how answers are scored, the objective, the constraints, the inference budget.
pub(crate) fn complete<'a>(document: &'a Value, jobs: &SourceJobs) -> Completed<'a> {
    let mut completed = Completed {
        document: Cow::Borrowed(document),
        taken: Vec::new(),
    };
    let configurations = document.get("configurations").and_then(Value::as_array);
    let mut named = configurations.into_iter().flatten().enumerate();
    let first = named.find_map(|(index, configuration)| {
        let id = configuration.get("job")?.as_str()?;
        Some((index, jobs.get(id)?))
    });
    let Some((index, job)) = first else {
        return completed;
    };
    let Value::Object(document) = completed.document.to_mut() else {
        return completed;
    };
    let place = format!("/configurations/{index}/job");
    for part in PARTS {
        let taken = match (part, document.get_mut(part)) {
            ("budgets", Some(Value::Object(budgets))) if !budgets.contains_key("inference") => {
                let budget = job.spec.inference_budget;
                budget.is_some_and(|budget| {
                    budgets.insert("inference".to_owned(), json!(budget));
                    true
                })
            }
            (_, Some(there)) if !there.is_null() => false,
            _ => part_of(&job.spec, part).is_some_and(|value| {
                document.insert(part.to_owned(), value);
                true
            }),
        };
        if taken {
            completed.taken.push((part, place.clone()));
        }
    }
    completed
}

/// A part of a job as it is posted; nothing where it has none.
fn part_of(spec: &JobSpec, part: &str) -> Option<Value> {
    let objective = &spec.objective;
    let quality = objective.quality().as_str();
    Some(match part {
        "scoring" => {
            let mut scoring = Map::new();
            scoring.insert("scorer".to_owned(), json!(spec.scorer));
            if let Some(selector) = &spec.selector {
                scoring.insert("selector".to_owned(), json!(selector));
            }
            if Reducer::ALL
                .iter()
                .any(|reducer| reducer.as_str() == quality)
            {
                scoring.insert("reduce".to_owned(), json!(quality));
            }
            Value::Object(scoring)
        }
        "objective" if objective.cheapest.is_some() => json!({"metric": quality}),
        "objective" => json!({"metric": quality, "direction": objective.direction}),
        "constraints" if spec.constraints.is_empty() => return None,
        "constraints" => json!(spec.constraints),
        _ => json!({"inference": spec.inference_budget?}),
    })
}

/// A configuration of a job.
pub(crate) struct Taken<'a> {
    at: Reader<'a>,
    pub(crate) name: Option<String>,
    pub(crate) source: TrialReference,
    choice: ModelChoice,
    prompt: Prompt,
    pool: Vec<Instance>,
    settings: Settings,
}

/// Whether any configuration of a document is.
pub(crate) fn any(document: &ObjectReader<'_>) -> bool {
    let configurations = document.at.value.get("configurations");
    let configurations = configurations.and_then(Value::as_array);
    let mut all = configurations.into_iter().flatten();
    all.any(|one| one.get("job").is_some_and(|job| !job.is_null()))
}

/// Reads a configuration that is taken from a job: its winner, or the trial that is named.
pub(crate) fn read<'a>(object: &ObjectReader<'a>, jobs: &SourceJobs) -> Option<Taken<'a>> {
    let at = object.get("job")?;
    let name = object
        .get("name")
        .map(|at| at.filled_string().map(str::to_owned));
    let trial = object.get("trial").map(|at| {
        at.integer_within(0, i64::from(i32::MAX))
            .map(|trial| (at, trial))
    });
    object.finish();
    let id = at.filled_string()?;
    let Some(job) = jobs.get(id) else {
        return at.fault(format!(
            "there is no job `{id}`; `GET /jobs` lists those that there are"
        ));
    };
    let number = match trial {
        Some(trial) => {
            let (at, trial) = trial?;
            let number = TrialNumber(u32::try_from(trial).unwrap_or(u32::MAX));
            if !job.trials.contains_key(&number) {
                return at.fault(format!(
                    "the job `{id}` has no trial {trial} that has ended"
                ));
            }
            number
        }
        None => winner(&at, id, job)?,
    };
    let settings = job.trials.get(&number)?.clone();
    let spec = &job.spec;
    let choice = spec.models.get(settings.sampling.model)?.clone();
    let prompt = spec.prompts.get(settings.sampling.prompt)?.clone();
    Some(Taken {
        at,
        name: match name {
            Some(name) => Some(name?),
            None => None,
        },
        source: TrialReference {
            job: job.id,
            trial: number,
        },
        choice,
        prompt,
        pool: spec.pool.clone(),
        settings,
    })
}

/// The best trial of a job that has ended.
fn winner(at: &Reader<'_>, id: &str, job: &SourceJob) -> Option<TrialNumber> {
    if job.spec.kind() == JobKind::Evaluation {
        return at.fault(format!(
            "`{id}` is an evaluation, which has no winner; name one of its trials, as {{\"job\": \"{id}\", \
             \"trial\": 1}}"
        ));
    }
    if !job.state.is_terminal() {
        let state = job.state;
        return at.fault(format!(
            "the job `{id}` is {state}, so it has no winner yet; wait for its end, or name a `trial` of it"
        ));
    }
    let best = job.best.filter(|best| job.trials.contains_key(best));
    best.or_else(|| {
        at.fault(format!(
            "the job `{id}` found no valid configuration, so it has no winner; name a `trial` of it"
        ))
    })
}

/// The models, the prompts and the rows for demonstrations of an evaluation, to which those are put that its
/// configurations bring along.
pub(crate) struct Gathered<'a> {
    pub(crate) models: Vec<Option<ModelRead<'a>>>,
    pub(crate) prompts: Vec<Option<Prompt>>,
    pub(crate) pool: Vec<Instance>,
}

impl Gathered<'_> {
    /// The configuration as one of the evaluation's own.
    pub(crate) fn take(
        &mut self,
        taken: &Taken<'_>,
        rows: Option<&Rows>,
        catalog: &Catalog,
    ) -> Option<Configuration> {
        let model = self.model(taken, catalog)?;
        let prompt = self.prompt(taken, rows)?;
        let Settings { sampling, extent } = &taken.settings;
        let mut values = sampling.extra.clone();
        let mut set = |name: &str, value: Value| values.insert(name.to_owned(), value);
        set(MODEL, json!(model));
        set(PROMPT, json!(prompt));
        set("max_tokens", json!(extent.max_tokens));
        set("n", json!(extent.n));
        if let Some(temperature) = sampling.temperature {
            set("temperature", json!(temperature));
        }
        if let Some(top_p) = sampling.top_p {
            set("top_p", json!(top_p));
        }
        if !sampling.stop.is_empty() {
            set("stop", json!(sampling.stop));
        }
        Some(Configuration(values))
    }

    /// The position of its model.
    fn model(&mut self, taken: &Taken<'_>, catalog: &Catalog) -> Option<usize> {
        let ModelChoice {
            endpoint, model, ..
        } = &taken.choice;
        let is_it = |read: &Option<ModelRead<'_>>| {
            read.as_ref().is_some_and(|read| {
                read.choice.endpoint == *endpoint && read.choice.model == *model
            })
        };
        if let Some(position) = self.models.iter().position(is_it) {
            return Some(position);
        }
        let at = || taken.at.clone();
        let Known {
            choice,
            priced,
            api,
        } = models::known((at(), endpoint), (at(), model), catalog)?;
        self.models.push(Some(ModelRead {
            choice,
            priced,
            api,
            space: None,
        }));
        Some(self.models.len() - 1)
    }

    /// The name of its prompt, which is another one where the name is taken.
    fn prompt(&mut self, taken: &Taken<'_>, rows: Option<&Rows>) -> Option<String> {
        let mut prompt = taken.prompt.clone();
        if prompt.demonstrations.is_some() {
            if !self.pool.is_empty() && self.pool != taken.pool {
                return taken.at.fault(
                    "its prompt shows rows of its job as demonstrations, and other rows are shown here \
                     already; evaluate it by itself",
                );
            }
            self.pool.clone_from(&taken.pool);
        }
        let same = |other: &Prompt| {
            (&other.body, other.demonstrations) == (&prompt.body, prompt.demonstrations)
        };
        if let Some(there) = self.prompts.iter().flatten().find(|other| same(other)) {
            return Some(there.name.clone());
        }
        let is_there = |name: &str| {
            self.prompts
                .iter()
                .flatten()
                .any(|other| other.name == name)
        };
        if is_there(&prompt.name) {
            prompt.name = format!("{} ({})", prompt.name, taken.source.job);
        }
        if let Some(rows) = rows {
            let mut work_left = rendering::MAX_JOB_WORK;
            let pool = self.pool.as_slice().into();
            rendering::check(&taken.at, &prompt, &pool, rows, &mut work_left)?;
        }
        let name = prompt.name.clone();
        self.prompts.push(Some(prompt));
        Some(name)
    }

    /// The rows for demonstrations that an evaluation gives itself.
    pub(crate) fn own_pool(
        demonstrations: Option<&demonstrations::Read>,
        rows: Option<&Rows>,
    ) -> Vec<Instance> {
        match (demonstrations, rows) {
            (Some(read), Some(rows)) => read.pool_of(rows.all()),
            _ => Vec::new(),
        }
    }
}
