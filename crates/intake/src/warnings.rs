//! What is taken and is probably a mistake all the same.

mod aims;

use crate::configurations::is_setting;
use crate::estimate::{self, Basis};
use frugal_domain::endpoint::Catalog;
use frugal_domain::fault::Fault;
use frugal_domain::job::{Data, EvaluationSpec, JobSpec};
use frugal_domain::prompt::Prompt;
use frugal_domain::scoring::ScorerSpec;
use frugal_scoring::{CompiledPrompt, ROW, Template};
use rapidfuzz::distance::levenshtein;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Settings of Frugal's own whose names are long enough to be mistyped.
const OWN: [&str; 4] = ["temperature", "top_p", "max_tokens", "stop"];

/// Names that endpoints know, and that are no misspellings of these.
const OTHERS: [&str; 8] = [
    "top_a",
    "top_k",
    "top_n",
    "min_p",
    "min_tokens",
    "max_completion_tokens",
    "typical_p",
    "step",
];

/// The most fields that are told.
const MOST_TOLD: usize = 5;

/// How many letters a misspelling may be off.
const NEAR: usize = 2;

/// The most prompts that are rendered to tell what the cheapest configuration costs: few, since a job
/// waits for them as it is posted.
const MOST_RENDERED: usize = 200;

/// What may be wrong with a job that was read, each with a pointer into its document and the remedy.
#[must_use]
pub fn warnings(document: &Value, spec: &JobSpec, data: &Data, catalog: &Catalog) -> Vec<Fault> {
    // Only what is said of money takes the tokens of the prompts.
    let basis = document
        .get("budgets")
        .map(|_| estimate::basis(spec, data, catalog, MOST_RENDERED));
    warnings_over(document, spec, data, basis.as_ref())
}

/// The same where the tokens of its prompts are known.
pub(crate) fn warnings_over(
    document: &Value,
    spec: &JobSpec,
    data: &Data,
    basis: Option<&Basis>,
) -> Vec<Fault> {
    let rows = data.tuning.iter().chain(&data.holdout);
    let fields: BTreeSet<&str> = rows
        .flat_map(|row| row.keys().map(String::as_str))
        .collect();
    let is_field = |name: &String| name == ROW || fields.contains(name.as_str());
    let mut found = Vec::new();
    // One that shows demonstrations stands for the posted one in each way of showing them.
    let mut posted: Vec<&Prompt> = spec.prompts.iter().collect();
    posted.dedup_by(|one, before| one.demonstrations.is_some() && one.body == before.body);
    let pool = spec.pool.as_slice().into();
    for (index, prompt) in posted.into_iter().enumerate() {
        let Ok(compiled) = CompiledPrompt::of_job(prompt, &pool) else {
            continue;
        };
        if compiled.variables().iter().any(&is_field) {
            continue;
        }
        let pointer = match document.get("prompt").filter(|only| !only.is_null()) {
            Some(_) if index == 0 => "/prompt".to_owned(),
            _ => format!("/prompts/{index}"),
        };
        // One that a configuration of a job brings along was warned of there.
        let Some(at_hand) = document.pointer(&pointer) else {
            continue;
        };
        found.push(Fault {
            detail: format!(
                "the prompt uses no field of the rows, so every row asks the same; {}",
                remedy(&at_hand.to_string(), &fields)
            ),
            pointer,
        });
    }
    if let Some(expected) = spec.scorer.0.get("expected").and_then(Value::as_str)
        && let Ok(template) = Template::compile(expected)
        && !template.variables().iter().any(is_field)
    {
        found.push(Fault {
            pointer: "/scoring/scorer/expected".to_owned(),
            detail: format!(
                "uses no field of the rows, so every row has the same right answer; {}",
                remedy(expected, &fields)
            ),
        });
    }
    found.extend(sees_what_is_right(spec, &fields));
    if let Some(Value::Object(space)) = document.get("search_space") {
        found.extend(settings(space, "/search_space"));
    }
    let models = document.get("models").and_then(Value::as_array);
    for (index, model) in models.into_iter().flatten().enumerate() {
        if let Some(Value::Object(space)) = model.get("search_space") {
            found.extend(settings(space, &format!("/models/{index}/search_space")));
        }
    }
    match &spec.evaluation {
        None => found.extend(aims::aims(document, spec, data, basis)),
        Some(evaluation) => found.extend(of_configurations(document, spec, evaluation)),
    }
    found
}

/// Where the selector looks at the field that holds the right answer, which nobody knows in use.
fn sees_what_is_right(spec: &JobSpec, fields: &BTreeSet<&str>) -> Option<Fault> {
    let used = |scorer: &ScorerSpec| -> BTreeSet<String> {
        let parts = frugal_scoring::parts(scorer);
        let scorers = parts.unwrap_or_else(|| vec![scorer.clone()]);
        let templates = scorers
            .iter()
            .filter_map(|one| Template::compile(one.0.get("expected")?.as_str()?).ok());
        templates.flat_map(|one| one.variables().clone()).collect()
    };
    let right = used(&spec.scorer);
    let of_selector = used(spec.selector.as_ref()?);
    let field = of_selector
        .intersection(&right)
        .find(|field| fields.contains(field.as_str()))?;
    Some(Fault {
        pointer: "/scoring/selector".to_owned(),
        detail: format!(
            "chooses by `{field}`, which holds what is right and is not known in use, so `best_of_n` is \
             better here than it will be there; choose by what the response and the prompt say"
        ),
    })
}

/// What may be wrong with the configurations of an evaluation: a setting that looks like another, a model
/// or a prompt that none of them uses.
fn of_configurations(document: &Value, spec: &JobSpec, evaluation: &EvaluationSpec) -> Vec<Fault> {
    let mut found = Vec::new();
    let posted = document.get("configurations").and_then(Value::as_array);
    for (index, configuration) in posted.into_iter().flatten().enumerate() {
        let members = configuration.as_object().into_iter().flatten();
        for (name, _) in members.filter(|(name, value)| is_setting(name, value)) {
            found.extend(misspelt(name, &format!("/configurations/{index}")));
        }
    }
    let named = evaluation.configurations.iter();
    let used: Vec<_> = named
        .filter_map(|named| spec.settings(&named.configuration).ok())
        .map(|settings| (settings.sampling.model, settings.sampling.prompt))
        .collect();
    let unused = |list: &str, count: usize, is_used: &dyn Fn(usize) -> bool| -> Vec<Fault> {
        let listed = document.get(list).and_then(Value::as_array);
        let listed = listed.map_or(0, Vec::len).min(count);
        let unused = (0..listed).filter(|index| !is_used(*index));
        unused
            .map(|index| Fault {
                pointer: format!("/{list}/{index}"),
                detail: "no configuration uses it; name it in one, or leave it out".to_owned(),
            })
            .collect()
    };
    let models = spec.models.len();
    found.extend(unused("models", models, &|model| {
        used.iter().any(|(used, _)| *used == model)
    }));
    // One that shows demonstrations stands for several.
    if spec
        .prompts
        .iter()
        .all(|prompt| prompt.demonstrations.is_none())
    {
        found.extend(unused("prompts", spec.prompts.len(), &|prompt| {
            used.iter().any(|(_, used)| *used == prompt)
        }));
    }
    found
}

/// How to use a field: the one that stands there in another notation, or those that there are.
fn remedy(text: &str, fields: &BTreeSet<&str>) -> String {
    let noted = fields.iter().find(|field| {
        let notations = [
            format!("{{{field}}}"),
            format!("${field}"),
            format!("%({field})"),
        ];
        notations.iter().any(|notation| text.contains(notation))
    });
    if let Some(field) = noted {
        return format!("write `{}` for it", placeholder(field));
    }
    let some = fields.iter().take(MOST_TOLD);
    let some: Vec<String> = some
        .map(|field| format!("`{}`", placeholder(field)))
        .collect();
    match some.is_empty() {
        true => "the rows have no fields".to_owned(),
        false => format!("fields are used as in {}", some.join(", ")),
    }
}

/// How a template takes a field, whatever its name.
fn placeholder(field: &str) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins = field.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    match begins && field.chars().all(is_name) {
        true => format!("{{{{ {field} }}}}"),
        false => format!("{{{{ {ROW}[{field:?}] }}}}"),
    }
}

/// Settings that go to the endpoint as they are and look as if they were not meant to.
fn settings(space: &Map<String, Value>, pointer: &str) -> Vec<Fault> {
    let unknown = space
        .iter()
        .filter(|(name, _)| !OWN.contains(&name.as_str()) && !OTHERS.contains(&name.as_str()));
    let mut found = Vec::new();
    for (name, value) in unknown {
        found.extend(misspelt(name, pointer));
        if is_like_a_range(value) {
            found.push(Fault {
                pointer: place(name, pointer),
                detail: format!(
                    "is the constant {value}, sent as it is; a range is written \
                     {{\"float\": [0, 1]}} or {{\"int\": [1, 8]}}, a list {{\"choice\": […]}}"
                ),
            });
        }
    }
    found
}

/// The place of a setting.
fn place(name: &str, pointer: &str) -> String {
    let escaped = name.replace('~', "~0").replace('/', "~1");
    format!("{pointer}/{escaped}")
}

/// That a setting which goes to the endpoint as it is looks like one of Frugal's own.
fn misspelt(name: &str, pointer: &str) -> Option<Fault> {
    let near =
        |own: &&&str| name.len() > 3 && levenshtein::distance(own.chars(), name.chars()) <= NEAR;
    if OWN.contains(&name) || OTHERS.contains(&name) {
        return None;
    }
    let own = OWN.iter().find(near)?;
    Some(Fault {
        pointer: place(name, pointer),
        detail: format!("goes to the endpoint under this name; if `{own}` is meant, write that"),
    })
}

/// Whether a constant looks as if it stood for the values between two.
fn is_like_a_range(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.len() == 2 && items.iter().all(Value::is_number),
        Value::Object(members) => ["min", "low", "lower", "range", "uniform"]
            .iter()
            .any(|name| members.contains_key(*name)),
        _ => false,
    }
}
