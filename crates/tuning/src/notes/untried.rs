//! What of the search space no trial used, and why.

use super::costs::{self, Cheapest};
use crate::amounts;
use crate::findings::Findings;
use frugal_domain::configuration::Settings;
use frugal_domain::job::settings::stop_texts;
use frugal_domain::job::{ExtentChoice, JobSpec, MODEL, PROMPT};
use frugal_domain::space::{Domain, Space};
use frugal_domain::state::StopReason;
use frugal_domain::trial::UntriedReason;
use serde_json::{Value, json};

/// The most values that a sentence names.
const MOST_NAMED: usize = 5;

/// Values of a setting that no trial used, all for the same reason.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Untried {
    /// The model that the setting belongs to, where it is one of a model's own.
    pub(super) model: Option<usize>,
    pub(super) setting: String,
    pub(super) values: Vec<Value>,
    pub(super) reason: UntriedReason,
    /// What the cheapest of the values costs at least, where that is the reason.
    pub(super) least: Option<f64>,
}

/// What no trial used, in the order of the space.
pub(super) fn find(findings: &Findings<'_>, stop_reason: StopReason) -> Vec<Untried> {
    let mut found = Vec::new();
    let walk = Walk {
        findings,
        stop_reason,
    };
    walk.space(&findings.spec.space, None, &mut found);
    found
}

/// What is known wherever one is in the space.
struct Walk<'a> {
    findings: &'a Findings<'a>,
    stop_reason: StopReason,
}

impl Walk<'_> {
    fn space(&self, space: &Space, model: Option<usize>, found: &mut Vec<Untried>) {
        let spec = self.findings.spec;
        for dimension in &space.dimensions {
            let name = dimension.name.as_str();
            match &dimension.domain {
                Domain::OneOf { branches } if name == MODEL => {
                    let used = |index: usize| self.used(None, |used| used.sampling.model == index);
                    let untried = (0..branches.len()).filter(|index| !used(*index));
                    self.add(None, MODEL, untried.map(|index| json!(index)), found);
                    for (index, branch) in branches.iter().enumerate() {
                        if used(index) {
                            self.space(branch, Some(index), found);
                        }
                    }
                }
                Domain::OneOf { branches } => {
                    for branch in branches {
                        self.space(branch, model, found);
                    }
                }
                // What was drawn tells of every extent.
                Domain::Choice { .. }
                    if matches!(name, "max_tokens" | "n")
                        && spec.search.extent == ExtentChoice::Profiled => {}
                Domain::Choice { values, .. } => {
                    let untried = values.iter().filter(|value| {
                        !self.used(model, |settings| has(spec, settings, name, value))
                    });
                    self.add(model, name, untried.cloned(), found);
                }
                Domain::Float { .. } | Domain::Int { .. } | Domain::Constant { .. } => {}
            }
        }
    }

    /// Whether a trial, with this model if any is given, has such settings.
    fn used(&self, model: Option<usize>, such: impl Fn(&Settings) -> bool) -> bool {
        let mut ended = self.findings.ended.values();
        ended.any(|ended| {
            model.is_none_or(|model| ended.settings.sampling.model == model)
                && such(&ended.settings)
        })
    }

    /// Adds values of a setting by the reasons why they were not used.
    fn add(
        &self,
        model: Option<usize>,
        setting: &str,
        values: impl Iterator<Item = Value>,
        found: &mut Vec<Untried>,
    ) {
        let first = found.len();
        for value in values {
            let least = self.too_dear(model, setting, &value);
            let reason = match least {
                Some(_) => UntriedReason::OverInferenceBudget,
                None => of_stop(self.stop_reason),
            };
            let shown = match value.as_u64() {
                Some(index) if setting == MODEL => json!(model_name(self.findings.spec, index)),
                _ => value,
            };
            if let Some(same) = found[first..].iter_mut().find(|one| one.reason == reason) {
                same.values.push(shown);
                same.least = least.into_iter().chain(same.least).min_by(f64::total_cmp);
            } else {
                found.push(Untried {
                    model,
                    setting: setting.to_owned(),
                    values: vec![shown],
                    reason,
                    least,
                });
            }
        }
    }

    /// What a model or a prompt costs at least, where that is over the inference budget.
    fn too_dear(&self, model: Option<usize>, setting: &str, value: &Value) -> Option<f64> {
        let (findings, spec) = (self.findings, self.findings.spec);
        let budget = costs::inference_budget(findings)?;
        let models = || model.map_or(0..spec.models.len(), |model| model..model + 1);
        let least = match setting {
            MODEL => {
                let model = usize::try_from(value.as_u64()?).ok()?;
                costs::cheapest_of_model(findings, model)
            }
            PROMPT => {
                let named = |prompt: &usize| *value == json!(spec.prompts[*prompt].name);
                let prompt = (0..spec.prompts.len()).find(named)?;
                costs::least(findings, models().map(|model| (model, prompt)))
            }
            _ => None,
        };
        least
            .map(|Cheapest { cost, .. }| cost)
            .filter(|cost| *cost > budget)
    }
}

impl Untried {
    /// The same in words.
    pub(super) fn in_words(&self, findings: &Findings<'_>) -> String {
        let spec = findings.spec;
        let named = self.values.iter().take(MOST_NAMED).map(show);
        let mut values = named.collect::<Vec<_>>().join(", ");
        if let Some(more @ 1..) = self.values.len().checked_sub(MOST_NAMED) {
            values = format!("{values} and {more} more");
        }
        let of = self.model.map_or_else(String::new, |model| {
            format!(" of `{}`", model_name(spec, model as u64))
        });
        let setting = &self.setting;
        format!(
            "no trial used the {setting} {values}{of}: {}",
            self.why(findings)
        )
    }

    fn why(&self, findings: &Findings<'_>) -> String {
        let spec = findings.spec;
        match (self.reason, self.least, spec.inference_budget) {
            (UntriedReason::OverInferenceBudget, Some(least), Some(budget)) => format!(
                "with a response of one token it costs {} an instance already, by estimate, which \
                 is over the inference budget of {}; raise `budgets.inference` or leave it out",
                amounts::cost(spec.cost_unit(), least),
                budget
            ),
            (UntriedReason::OverInferenceBudget, ..) => {
                "its prompts alone are over the inference budget".to_owned()
            }
            (UntriedReason::OptimizationBudget, ..) => format!(
                "the optimization budget of {} was spent before; raise `budgets.optimization`",
                spec.optimization_budget
            ),
            (UntriedReason::TrialLimit, ..) => format!(
                "the limit of {} trials was reached before; raise `limits.trials`",
                spec.limits.trials
            ),
            (UntriedReason::Deadline, ..) => {
                "the job's time was over before; raise `limits.seconds`".to_owned()
            }
            (UntriedReason::Cancelled, ..) => "the job was cancelled before".to_owned(),
            (UntriedReason::NotProposed, ..) => {
                "the search ended by itself, and did not expect it to be worth its price; give it \
                 in `start` to have it tried first"
                    .to_owned()
            }
        }
    }
}

/// The reason that the end of the search gives.
const fn of_stop(stop_reason: StopReason) -> UntriedReason {
    match stop_reason {
        StopReason::BudgetExhausted => UntriedReason::OptimizationBudget,
        StopReason::TrialLimit => UntriedReason::TrialLimit,
        StopReason::Deadline => UntriedReason::Deadline,
        StopReason::Cancelled => UntriedReason::Cancelled,
        StopReason::SpaceExhausted
        | StopReason::Completed
        | StopReason::Converged
        | StopReason::NoImprovement
        | StopReason::EndpointUnusable
        | StopReason::InternalError
        | StopReason::NothingEvaluated
        | StopReason::OtherVersion
        | StopReason::WorkerLost => UntriedReason::NotProposed,
    }
}

/// Whether settings have a value under a name.
fn has(spec: &JobSpec, settings: &Settings, name: &str, value: &Value) -> bool {
    let (sampling, extent) = (&settings.sampling, settings.extent);
    match name {
        PROMPT => spec
            .prompts
            .get(sampling.prompt)
            .is_some_and(|prompt| *value == json!(prompt.name)),
        "temperature" => sampling.temperature == value.as_f64(),
        "top_p" => sampling.top_p == value.as_f64(),
        "stop" => stop_texts(value).as_ref() == Some(&sampling.stop),
        "max_tokens" => value.as_u64() == Some(extent.max_tokens.into()),
        "n" => value.as_u64() == Some(extent.n.into()),
        _ => sampling.extra.get(name) == Some(value),
    }
}

/// A model by its name, with its endpoint's where two have the same.
pub(super) fn model_name(spec: &JobSpec, index: u64) -> String {
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    let Some(choice) = spec.models.get(index) else {
        return String::new();
    };
    let alike = spec.models.iter().filter(|one| one.model == choice.model);
    if alike.count() > 1 {
        format!("{}/{}", choice.endpoint, choice.model)
    } else {
        choice.model.clone()
    }
}

/// A value as a sentence names it.
fn show(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}
