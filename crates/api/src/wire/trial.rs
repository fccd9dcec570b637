//! A trial as clients see it.

use super::job::path_of;
use super::{
    Configuration, CostEstimate, Estimate, Interval, PruneReasonName, Spend, TrialRole, TrialState,
};
use chrono::{DateTime, Utc};
use frugal_domain::trial::{self, PruneReason, TrialOutcome};
use frugal_store::{jobs, trials};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The evaluation of one configuration.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Trial {
    /// 0 for the baseline, then 1, 2, … in the order of proposal.
    pub number: u32,
    /// The name of the configuration, in an evaluation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub name: Option<String>,
    /// What it is for.
    pub role: TrialRole,
    /// Which rule proposed it: `baseline`, `start` (given by the job), `low_cost` (cheap, to
    /// begin with), `global` (a model of all trials), `local:1`, `local:2`, … (a local search),
    /// `restart` (cheap, with noise), `random` (a draw), `grid`, `owner` (put in by hand) or, in an evaluation,
    /// `given`. More may be added.
    #[schema(example = "global")]
    pub origin: String,
    /// Where it is in its life.
    pub state: TrialState,
    /// What it asks of the endpoint.
    pub configuration: Configuration,
    /// How far it was looked at, once evaluated. A profiled search tells it, and what follows, of a
    /// trial that goes on too, as far as it is known.
    pub coverage: Option<Coverage>,
    /// The objective's mean over the instances, once evaluated. Of a profiled search it is the
    /// search's estimate, shrunk towards what other trials say.
    pub utility: Option<Estimate>,
    /// Its 95 % interval, on the instances that the search sees; `null` where it is not known.
    pub utility_interval: Option<Interval>,
    /// Every metric by name, the objective among them, and those of all instances together, where the
    /// scorer counts what these take; once evaluated.
    pub metrics: Option<BTreeMap<String, Estimate>>,
    /// What one instance costs, once evaluated.
    pub inference_cost: Option<CostEstimate>,
    /// The names of the metrics whose means violate a constraint of the job, and where the cheapest
    /// is sought that is as good as a reference, of the metric that is not shown to be; each once, once
    /// evaluated.
    pub violated: Option<Vec<String>>,
    /// Whether the inference cost is within the inference budget and nothing is violated, once
    /// evaluated.
    pub valid: Option<bool>,
    /// Why it was pruned.
    pub pruned: Option<Prune>,
    /// Why it is infeasible or failed, in words.
    pub detail: Option<String>,
    /// What it has cost; 0 until something of it was stored.
    pub spend: Spend,
    /// Requests sent for it; 0 until something of it was stored.
    pub requests: u32,
    /// Responses received for it; 0 until something of it was stored.
    pub responses: u32,
    /// Since when these are gone with their texts, as the server keeps them for a time only after a job has
    /// ended; `null` where they are not.
    pub responses_pruned_at: Option<DateTime<Utc>>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Where to go on from here.
    pub links: TrialLinks,
}

/// How far a configuration was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Coverage {
    /// Instances with responses.
    pub instances: u32,
    /// Instances of the job that the search sees.
    pub of: u32,
    /// The fewest responses of an instance that has any.
    pub responses: u32,
    /// Whether every instance was asked for.
    pub complete: bool,
}

impl From<trial::Coverage> for Coverage {
    fn from(coverage: trial::Coverage) -> Self {
        let trial::Coverage {
            instances,
            of,
            responses,
            complete,
        } = coverage;
        Self {
            instances,
            of,
            responses,
            complete,
        }
    }
}

/// Why a trial was pruned.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Prune {
    /// The reason.
    pub reason: PruneReasonName,
    /// Responses per instance when it showed to be over the budget on the way.
    pub n: Option<u32>,
    /// Instances seen, where it showed on the way.
    pub instances: Option<u32>,
    /// The trial that it was significantly worse than.
    pub than: Option<u32>,
    /// Its objective less that trial's, paired by instance.
    pub difference: Option<Estimate>,
}

impl From<&PruneReason> for Prune {
    fn from(reason: &PruneReason) -> Self {
        match reason {
            PruneReason::KnownInvalid => Self {
                reason: PruneReasonName::KnownInvalid,
                n: None,
                instances: None,
                than: None,
                difference: None,
            },
            PruneReason::OverBudget { n, instances } => Self {
                reason: PruneReasonName::OverBudget,
                n: Some(*n),
                instances: Some(*instances),
                than: None,
                difference: None,
            },
            PruneReason::Inferior { than, difference } => Self {
                reason: PruneReasonName::Inferior,
                n: None,
                instances: Some(difference.count),
                than: Some(than.0),
                difference: Some((*difference).into()),
            },
        }
    }
}

/// Where to go on from a trial.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TrialLinks {
    /// The trial.
    #[serde(rename = "self")]
    pub this: String,
    /// Its job.
    pub job: String,
    /// What it drew, row by row.
    pub responses: String,
}

impl Trial {
    /// A trial with the names of its job.
    #[must_use]
    pub fn new(of: &jobs::Job, trial: trials::StoredTrial) -> Self {
        let job = path_of(of.spec.kind(), of.id);
        let named = of.spec.evaluation.iter();
        let mut named = named.flat_map(|it| &it.configurations);
        let position = trial.number.0.checked_sub(1).map(|it| it as usize);
        let named = position.and_then(|position| named.nth(position));
        let mut wire = Self {
            number: trial.number.0,
            name: named.map(|named| named.name.clone()),
            role: trial.role.into(),
            origin: trial.origin,
            state: trial.state.into(),
            configuration: Configuration::new(&of.spec, &trial.settings),
            coverage: None,
            utility: None,
            utility_interval: None,
            metrics: None,
            inference_cost: None,
            violated: None,
            valid: None,
            pruned: None,
            detail: None,
            spend: trial.spend.into(),
            requests: trial.requests,
            responses: trial.responses,
            responses_pruned_at: of.responses_pruned_at,
            started_at: trial.started_at,
            finished_at: trial.finished_at,
            links: TrialLinks {
                this: format!("{job}/trials/{}", trial.number),
                responses: format!("{job}/trials/{}/responses", trial.number),
                job,
            },
        };
        match trial.outcome {
            None | Some(TrialOutcome::Stopped) => {}
            Some(TrialOutcome::Evaluated(evaluation)) => {
                wire.coverage = evaluation.coverage.map(Into::into);
                wire.utility = Some(evaluation.utility.into());
                wire.utility_interval = evaluation.utility_interval.map(Into::into);
                wire.inference_cost = Some(evaluation.inference_cost.into());
                wire.violated = Some(evaluation.violated);
                wire.valid = Some(evaluation.valid);
                let metrics = evaluation.metrics.into_iter();
                wire.metrics = Some(metrics.map(|(name, value)| (name, value.into())).collect());
            }
            Some(TrialOutcome::Pruned { reason }) => wire.pruned = Some(Prune::from(&reason)),
            Some(TrialOutcome::Infeasible { detail } | TrialOutcome::Failed { detail }) => {
                wire.detail = Some(detail);
            }
        }
        wire
    }
}
