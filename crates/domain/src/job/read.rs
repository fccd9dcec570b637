//! The wire form of a job, read with every fault noted.

use super::read_data::{self, Rows};
use super::read_models::{self, ModelRead};
use super::read_objective;
use super::read_scoring::{self, Scoring};
use super::read_search;
use super::read_space;
use super::{Data, Instance, JobSpec};
use crate::configuration::Configuration;
use crate::endpoint::{Api, Catalog};
use crate::fault::{Fault, Faults, ObjectReader, Reader};
use crate::money::{Budget, Usd};
use crate::prompt::{Message, Prompt, PromptBody};
use crate::scoring::ScorerSpec;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The most models, prompts, labels and start points of one job, each.
pub(super) const MAX_CHOICES: usize = 64;
/// The optimization budget of a job that names none, in dollars.
const DEFAULT_BUDGET_USD: f64 = 1.0;
/// The same where a model has no price, in tokens.
const DEFAULT_BUDGET_TOKENS: u64 = 1_000_000;

/// What reading a job needs from crates that know more than plain data.
pub trait Checks {
    /// The variables that a template needs.
    ///
    /// # Errors
    /// Why it does not compile, in words, with the line.
    fn template(&self, text: &str) -> Result<BTreeSet<String>, String>;

    /// Whether a scorer can be built.
    ///
    /// # Errors
    /// The field of the scorer that is at fault (empty for the whole) and the reason in words.
    fn scorer(&self, scorer: &ScorerSpec) -> Result<(), (String, String)>;

    /// Whether a row has a right answer that the scorer, which can be built, could use.
    ///
    /// # Errors
    /// The position of the first row that has none, and the reason in words.
    fn expectations(
        &self,
        scorer: &ScorerSpec,
        rows: &mut dyn Iterator<Item = &Instance>,
    ) -> Result<(), (usize, String)>;
}

/// Reads a job. `seed` is used where the job names none.
///
/// # Errors
/// Everything that is wrong with it.
pub fn job(
    document: &Value,
    catalog: &Catalog,
    checks: &dyn Checks,
    seed: u64,
) -> Result<(JobSpec, Data), Vec<Fault>> {
    let faults = Faults::default();
    refuse_nul(&Reader::new(document, &faults));
    let read = read_job(&Reader::new(document, &faults), catalog, checks, seed);
    match read {
        Some(read) if faults.is_empty() => Ok(read),
        _ => Err(faults.into_vec()),
    }
}

/// Notes a fault for each text with a NUL character, which cannot be stored.
fn refuse_nul(at: &Reader<'_>) {
    match at.value {
        Value::String(text) if text.contains('\0') => {
            at.fault::<()>("holds a NUL character; remove it");
        }
        Value::Array(_) => at
            .array()
            .into_iter()
            .flatten()
            .for_each(|item| refuse_nul(&item)),
        Value::Object(map) => {
            if map.keys().any(|key| key.contains('\0')) {
                at.fault::<()>("has a key with a NUL character; remove it");
            }
            if let Some(object) = at.object() {
                object.members().for_each(|(_, member)| refuse_nul(&member));
            }
        }
        _ => {}
    }
}

/// Reads every part before it gives up on any, so that all faults are found.
fn read_job(
    document: &Reader<'_>,
    catalog: &Catalog,
    checks: &dyn Checks,
    seed: u64,
) -> Option<(JobSpec, Data)> {
    let job = document.object()?;
    let name = job.get("name").and_then(|at| read_name(&at));
    let labels = job
        .get("labels")
        .map_or_else(BTreeMap::new, |at| read_labels(&at));
    let rows = job
        .require(
            "data",
            "give the rows to tune on as {\"instances\": [{…}, …]}",
        )
        .and_then(|at| read_data::rows(&at));
    let models = read_models::models(&job, catalog);
    let prompts = read_prompts(&job, &models, rows.as_ref(), checks);
    let space = read_space::space(&job, &models, &prompts);
    let scoring = job
        .require(
            "scoring",
            "say how an answer is scored, such as {\"scorer\": {\"type\": \"exact\", \"expected\": \"{{ answer }}\"}}",
        )
        .and_then(|at| read_scoring::scoring(&at, rows.as_ref(), checks));
    let objective = read_objective::objective(job.get("objective"), scoring.as_ref());
    let constraints = read_objective::constraints(job.get("constraints"));
    let budgets = read_budgets(job.get("budgets"), &models);
    let limits = read_search::limits(job.get("limits"));
    let search_at = job.get("search");
    let search = read_search::search(search_at.as_ref(), seed);
    if let (Some(search), Some(space)) = (&search, &space) {
        read_search::grid_fits(search_at.as_ref(), search, space);
    }
    let start = job.get("start").map_or_else(Vec::new, |at| read_start(&at));
    let baseline = job.get("baseline");
    job.finish();

    let search = search?;
    let Scoring { scorer, .. } = scoring?;
    let (inference_budget, optimization_budget) = budgets?;
    let mut spec = JobSpec {
        name,
        labels,
        models: models
            .into_iter()
            .map(|model| Some(model?.choice))
            .collect::<Option<_>>()?,
        prompts: prompts.into_iter().collect::<Option<_>>()?,
        space: space?,
        scorer,
        objective: objective?,
        constraints: constraints?,
        inference_budget,
        optimization_budget,
        limits: limits?,
        search,
        baseline: None,
        start: Vec::new(),
    };
    spec.baseline = match baseline {
        Some(at) if at.value == &Value::Bool(false) => None,
        Some(at) => Some(read_point(&spec, &at.object()?)?),
        None => Some(spec.default_configuration()),
    };
    spec.start = start
        .iter()
        .map(|row| read_point(&spec, row))
        .collect::<Option<_>>()?;
    Some((spec, rows?.split(search.seed)))
}

fn read_name(at: &Reader<'_>) -> Option<String> {
    let name = at.filled_string()?;
    if name.chars().count() > 200 {
        return at.fault("must have at most 200 characters");
    }
    Some(name.to_owned())
}

fn read_labels(at: &Reader<'_>) -> BTreeMap<String, String> {
    let Some(labels) = at.object() else {
        return BTreeMap::new();
    };
    let read: BTreeMap<_, _> = labels
        .members()
        .filter_map(|(key, value)| Some((key.to_owned(), value.string()?.to_owned())))
        .collect();
    if read.len() > MAX_CHOICES {
        at.fault::<()>(format!("must hold at most {MAX_CHOICES} labels"));
    }
    read
}

/// The prompts; `None` for one with a fault.
fn read_prompts(
    job: &ObjectReader<'_>,
    models: &[Option<ModelRead<'_>>],
    rows: Option<&Rows>,
    checks: &dyn Checks,
) -> Vec<Option<Prompt>> {
    let places = match (job.get("prompts"), job.get("prompt")) {
        (Some(many), Some(one)) => {
            one.fault::<()>("give either `prompt` or `prompts`, not both");
            many.filled_array("prompt").unwrap_or_default()
        }
        (Some(many), None) => many.filled_array("prompt").unwrap_or_default(),
        (None, Some(one)) => vec![one],
        (None, None) => job
            .require(
                "prompts",
                "give at least one {\"text\": …} or {\"messages\": […]}",
            )
            .into_iter()
            .collect(),
    };
    if places.len() > MAX_CHOICES {
        job.at
            .fault::<()>(format!("`prompts` must hold at most {MAX_CHOICES}"));
    }
    let completions_only = models
        .iter()
        .flatten()
        .find(|model| model.api == Api::Completions)
        .map(|model| model.choice.model.as_str());
    let mut names = BTreeSet::new();
    places
        .iter()
        .enumerate()
        .map(|(index, at)| {
            let prompt = read_prompt(at, index, completions_only, rows, checks)?;
            if !names.insert(prompt.name.clone()) {
                return at.fault(format!(
                    "the name `{}` is taken by another prompt",
                    prompt.name
                ));
            }
            Some(prompt)
        })
        .collect()
}

fn read_prompt(
    at: &Reader<'_>,
    index: usize,
    completions_only: Option<&str>,
    rows: Option<&Rows>,
    checks: &dyn Checks,
) -> Option<Prompt> {
    let default_name = format!("prompt-{index}");
    if let Value::String(text) = at.value {
        read_data::check_template(at, text, rows, checks)?;
        return Some(Prompt {
            name: default_name,
            body: PromptBody::Text(text.clone()),
        });
    }
    let object = at.object()?;
    let name = object
        .get("name")
        .map(|at| at.filled_string().map(str::to_owned));
    let text = object.get("text").map(|at| {
        let text = at.filled_string()?;
        read_data::check_template(&at, text, rows, checks)?;
        Some(text.to_owned())
    });
    let messages = object.get("messages").map(|at| {
        if let Some(model) = completions_only {
            at.fault::<()>(format!(
                "the model `{model}` takes no messages; give the prompt as `text`"
            ));
        }
        let places = at.filled_array("message")?;
        let messages: Vec<_> = places
            .iter()
            .map(|at| read_message(at, rows, checks))
            .collect();
        messages.into_iter().collect::<Option<Vec<_>>>()
    });
    object.finish();
    let body = match (text, messages) {
        (Some(text), None) => PromptBody::Text(text?),
        (None, Some(messages)) => PromptBody::Messages(messages?),
        _ => return at.fault("give exactly one of `text` and `messages`"),
    };
    Some(Prompt {
        name: name.unwrap_or(Some(default_name))?,
        body,
    })
}

fn read_message(at: &Reader<'_>, rows: Option<&Rows>, checks: &dyn Checks) -> Option<Message> {
    let object = at.object()?;
    let role = object
        .require("role", "use `system`, `user` or `assistant`")
        .and_then(|at| {
            at.one_of(&[
                ("system", "system"),
                ("developer", "developer"),
                ("user", "user"),
                ("assistant", "assistant"),
            ])
        });
    let content = object
        .require("content", "give the message's text")
        .and_then(|at| {
            let text = at.string()?;
            read_data::check_template(&at, text, rows, checks)?;
            Some(text.to_owned())
        });
    object.finish();
    Some(Message {
        role: role?.to_owned(),
        content: content?,
    })
}

/// The inference budget, if any, and the optimization budget.
fn read_budgets(
    at: Option<Reader<'_>>,
    models: &[Option<ModelRead<'_>>],
) -> Option<(Option<Budget>, Budget)> {
    let unpriced = models.iter().flatten().find(|model| !model.priced);
    let default = match unpriced {
        Some(_) => Budget::Tokens(DEFAULT_BUDGET_TOKENS),
        None => Budget::Usd(Usd::from_dollars(DEFAULT_BUDGET_USD).ok()?),
    };
    let Some(at) = at else {
        return Some((None, default));
    };
    let object = at.object()?;
    let inference = object.get("inference").map(|at| read_budget(&at, unpriced));
    let optimization = object
        .get("optimization")
        .map(|at| read_budget(&at, unpriced));
    object.finish();
    let inference = match inference {
        None => None,
        Some(read) => Some(read?),
    };
    Some((inference, optimization.unwrap_or(Some(default))?))
}

fn read_budget(at: &Reader<'_>, unpriced: Option<&ModelRead<'_>>) -> Option<Budget> {
    let object = at.object()?;
    let usd = object.get("usd");
    let tokens = object.get("tokens");
    object.finish();
    match (usd, tokens) {
        (Some(at), None) => {
            let dollars = at.number()?;
            if let Some(model) = unpriced {
                return at.fault(format!(
                    "the model `{}` has no known price; budget in tokens, or ask the operator for its price",
                    model.choice.model
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

fn read_start<'a>(at: &Reader<'a>) -> Vec<ObjectReader<'a>> {
    let rows = at.array().unwrap_or_default();
    if rows.len() > MAX_CHOICES {
        at.fault::<()>(format!("must hold at most {MAX_CHOICES} configurations"));
    }
    rows.iter().filter_map(Reader::object).collect()
}

/// A configuration given by the user: settings by name, the model as its name or
/// `endpoint/model`; what it leaves out is taken from the default configuration.
fn read_point(spec: &JobSpec, row: &ObjectReader<'_>) -> Option<Configuration> {
    let settings = row
        .members()
        .map(|(name, at)| (name.to_owned(), at.value.clone()))
        .collect();
    match spec.configuration_of(&settings) {
        Ok(configuration) => Some(configuration),
        Err((name, detail)) => {
            let at = row.get(&name).unwrap_or_else(|| row.at.clone());
            at.fault(detail)
        }
    }
}
