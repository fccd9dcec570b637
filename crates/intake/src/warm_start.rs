//! What a posted job takes over from an earlier one: where they agree, and what is said where they do not.

use crate::limits::MAX_CHOICES;
use frugal_domain::configuration::{Configuration, Settings};
use frugal_domain::fault::{Fault, ObjectReader, Reader};
use frugal_domain::id::JobId;
use frugal_domain::job::{
    Data, Instance, JobSpec, MODEL, ModelChoice, PROMPT, Pruning, measures_latency,
};
use frugal_domain::state::JobState;
use frugal_domain::warm_start::WarmStart;
use serde_json::{Value, json};
use std::collections::HashSet;

/// The place in the document that is blamed where a job cannot be taken over from.
const POINTER: &str = "/warm_start/job";

/// A job that another takes over from, as far as is known of it.
#[derive(Debug, Clone)]
pub struct EarlierJob {
    /// Its id.
    pub id: JobId,
    /// What was posted.
    pub spec: JobSpec,
    /// Where it is in its life.
    pub state: JobState,
    /// Whether its responses are gone, or going.
    pub is_pruned: bool,
    /// The rows that it was tuned on.
    pub rows: Vec<Instance>,
    /// Its trials of the search, the best first.
    pub tried: Vec<Tried>,
}

/// A trial of such a job.
#[derive(Debug, Clone)]
pub struct Tried {
    /// The point of that job's search space.
    pub configuration: Configuration,
    /// What it asked of the endpoint, at the extent that was best.
    pub settings: Settings,
}

/// The earlier job that a document names, as it is written there.
#[must_use]
pub fn named_warm_start(document: &Value) -> Option<&str> {
    document.get("warm_start")?.get("job")?.as_str()
}

/// Reads which job is taken over from: with its place, nothing where that is not said.
pub(crate) fn read<'a>(job: &ObjectReader<'a>) -> Option<Option<(Reader<'a>, String)>> {
    let Some(at) = job.get("warm_start") else {
        return Some(None);
    };
    let object = at.object()?;
    let named = object.require("job", "name the earlier job by its id, as {\"job\": \"…\"}");
    object.finish();
    let named = named?;
    let id = named.filled_string()?.to_owned();
    Some(Some((named, id)))
}

/// Takes over what both jobs agree about: the earlier job's configurations come behind those that the new one
/// is to start with, and what else there is to take is looked up when trials begin.
pub(crate) fn take(
    at: &Reader<'_>,
    id: &str,
    earlier: Option<&EarlierJob>,
    spec: &mut JobSpec,
    data: &Data,
) -> Option<()> {
    let Some(earlier) = earlier else {
        return at.fault(format!(
            "there is no job `{id}`; `GET /jobs` lists those that there are"
        ));
    };
    if let Some(reason) = refusal(earlier, spec, data) {
        return at.fault(reason);
    }
    let free = MAX_CHOICES.saturating_sub(spec.start.len());
    let mut taken: Vec<Configuration> = Vec::new();
    for tried in &earlier.tried {
        if taken.len() >= free {
            break;
        }
        if let Some(configuration) = own_configuration(tried, &earlier.spec, spec)
            && !spec.start.contains(&configuration)
            && !taken.contains(&configuration)
        {
            taken.push(configuration);
        }
    }
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    spec.warm_start = Some(WarmStart {
        job: earlier.id,
        rows: count(shared_rows(earlier, data)),
        configurations: count(taken.len()),
        scores: scores_alike(&earlier.spec, spec),
    });
    spec.start.extend(taken);
    Some(())
}

/// Why nothing can be taken over, if nothing can.
fn refusal(earlier: &EarlierJob, spec: &JobSpec, data: &Data) -> Option<String> {
    let id = earlier.id;
    if !earlier.state.is_terminal() {
        return Some(format!(
            "the job `{id}` is {}, and what it knows still changes; wait for its end, or cancel it",
            earlier.state
        ));
    }
    if earlier.is_pruned {
        return Some(format!(
            "the responses of the job `{id}` are gone, which this server keeps for some time only; leave \
             `warm_start` out"
        ));
    }
    if spec.search.pruning == Pruning::Reference {
        return Some(
            "a `search.pruning` of `reference` asks for the responses of each trial anew; leave one of them out"
                .to_owned(),
        );
    }
    if measures_latency(&spec.objective, &spec.constraints) {
        return Some(
            "latency is in the objective or a constraint, and the earlier job's responses came under another \
             load; leave one of them out"
                .to_owned(),
        );
    }
    if models_missing(&earlier.spec, spec).len() == spec.models.len() {
        let asked = names(
            earlier
                .spec
                .models
                .iter()
                .map(|one| (&*one.endpoint, &*one.model)),
        );
        return Some(format!(
            "the job `{id}` asked other models ({asked}); give one of them among `models`, with its endpoint"
        ));
    }
    if prompts_missing(&earlier.spec, spec).len() == spec.prompts.len() {
        return Some(format!(
            "the job `{id}` had other prompts, and its responses answer those; give one of them among `prompts`, \
             as it was"
        ));
    }
    if shared_rows(earlier, data) == 0 {
        return Some(format!(
            "the job `{id}` was tuned on other rows, and its responses are about those; give some of them under \
             `data`, with the same fields"
        ));
    }
    None
}

/// What of a job cannot be taken over though something can, each with the remedy.
#[must_use]
pub fn left_out(earlier: &EarlierJob, spec: &JobSpec, data: &Data) -> Vec<Fault> {
    let id = earlier.id;
    let mut left_out = Vec::new();
    let mut tell = |detail: String| {
        left_out.push(Fault {
            pointer: POINTER.to_owned(),
            detail,
        });
    };
    let models = models_missing(&earlier.spec, spec);
    if !models.is_empty() {
        tell(format!(
            "the job `{id}` has nothing of {}, which it did not ask: nothing is taken over for that",
            names(models.into_iter())
        ));
    }
    let prompts = prompts_missing(&earlier.spec, spec);
    if !prompts.is_empty() {
        let named: Vec<String> = prompts.iter().map(|name| format!("`{name}`")).collect();
        tell(format!(
            "the job `{id}` had no prompt like {}: nothing is taken over for that; a prompt must be the same to the \
             letter",
            named.join(", ")
        ));
    }
    let (shared, rows) = (shared_rows(earlier, data), data.tuning.len());
    if shared < rows {
        tell(format!(
            "{shared} of {rows} rows are rows of the job `{id}` too: nothing is taken over for the others"
        ));
    }
    if !scores_alike(&earlier.spec, spec) {
        tell(format!(
            "the job `{id}` scored answers in another way: its responses are taken over and scored anew; give the \
             same `scoring` to take over its scores"
        ));
    }
    left_out
}

/// The models that the earlier job did not ask: endpoint and name.
fn models_missing<'a>(earlier: &JobSpec, spec: &'a JobSpec) -> Vec<(&'a str, &'a str)> {
    let own = spec.models.iter();
    let names = own.map(|own| (own.endpoint.as_str(), own.model.as_str()));
    let asked = |(endpoint, model): &(&str, &str)| {
        let mut all = earlier.models.iter();
        all.any(|one| one.endpoint == *endpoint && one.model == *model)
    };
    names.filter(|own| !asked(own)).collect()
}

fn names<'a>(models: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let named: Vec<String> = models
        .map(|(endpoint, model)| format!("`{model}` at `{endpoint}`"))
        .collect();
    named.join(", ")
}

/// The names of the prompts that the earlier job did not have.
fn prompts_missing<'a>(earlier: &JobSpec, spec: &'a JobSpec) -> Vec<&'a str> {
    let missing = (0..spec.prompts.len()).filter(|own| {
        (0..earlier.prompts.len()).all(|other| !prompts_alike((earlier, other), (spec, *own)))
    });
    missing.map(|own| spec.prompts[own].name.as_str()).collect()
}

/// Whether two prompts ask the same of a row.
fn prompts_alike((one, first): (&JobSpec, usize), (other, second): (&JobSpec, usize)) -> bool {
    let (Some(first), Some(second)) = (one.prompts.get(first), other.prompts.get(second)) else {
        return false;
    };
    first.body == second.body
        && first.demonstrations == second.demonstrations
        && (first.demonstrations.is_none() || one.pool == other.pool)
}

/// Rows to tune on that the earlier job had too.
fn shared_rows(earlier: &EarlierJob, data: &Data) -> usize {
    // Fields have an order of their own, so equal rows are written alike.
    let written = |row: &Instance| json!(row).to_string();
    let theirs: HashSet<String> = earlier.rows.iter().map(written).collect();
    let own = data.tuning.iter();
    own.filter(|row| theirs.contains(&written(row))).count()
}

/// Whether what one job's scorers said of an answer holds in the other.
fn scores_alike(earlier: &JobSpec, spec: &JobSpec) -> bool {
    (&earlier.scorer, &earlier.selector, &earlier.judges)
        == (&spec.scorer, &spec.selector, &spec.judges)
}

/// What a trial of the earlier job asked of the endpoint as a configuration of this one, if it is one.
fn own_configuration(tried: &Tried, earlier: &JobSpec, spec: &JobSpec) -> Option<Configuration> {
    let sampling = &tried.settings.sampling;
    let asked = earlier.models.get(sampling.model)?;
    let is_it = |own: &ModelChoice| own.endpoint == asked.endpoint && own.model == asked.model;
    let model = spec.models.iter().position(is_it)?;
    let same = |own: &usize| prompts_alike((earlier, sampling.prompt), (spec, *own));
    let prompt = (0..spec.prompts.len()).find(same)?;
    let mut values = tried.configuration.0.clone();
    values.insert(MODEL.to_owned(), json!(asked.model));
    values.insert("endpoint".to_owned(), json!(asked.endpoint));
    values.insert(PROMPT.to_owned(), json!(spec.prompts[prompt].name));
    let extent = tried.settings.extent;
    values.insert("max_tokens".to_owned(), json!(extent.max_tokens));
    values.insert("n".to_owned(), json!(extent.n));
    spec.configuration_of(&values, model).ok().or_else(|| {
        // At another extent its responses serve as well.
        values.retain(|name, _| name != "max_tokens" && name != "n");
        spec.configuration_of(&values, model).ok()
    })
}
