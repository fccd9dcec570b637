//! What goes over the wire, apart from domain types and rows, with `From` between them.
//!
//! Amounts of money are numbers of dollars, times are RFC 3339 in UTC, and what does not apply
//! is `null`. New fields may appear in answers; clients must let them pass.

mod amounts;
mod attempt;
mod configuration;
mod dataset;
mod demonstrations;
mod endpoint;
mod enqueued;
mod estimate;
mod evaluation;
mod event;
mod example;
mod export;
mod insight;
mod job;
mod key;
mod names;
mod patch;
mod post;
mod report;
mod scorer;
mod search;
mod space;
mod standing;
mod summary;
mod trial;
mod trial_responses;
mod validation;
mod warm_start;
mod webhook;
mod winner;

pub use amounts::{Budget, CostEstimate, Estimate, Interval, Spend};
pub use attempt::Attempt;
pub use configuration::{Configuration, ShownChoice, ShownDemonstrations};
pub(crate) use dataset::dataset_path;
pub use dataset::{Dataset, DatasetColumn, DatasetLinks, DatasetRow};
pub use demonstrations::{
    DemonstrationChoicePost, DemonstrationCountPost, DemonstrationWay, DemonstrationsPost,
    PoolName, PoolPost,
};
pub(crate) use endpoint::Known;
pub use endpoint::{
    Api, Endpoint, EndpointDeployment, EndpointLimits, Health, Model, ModelHealth, Outage, Prices,
};
pub use enqueued::{EnqueuedTrial, EnqueuedTrialPost};
pub use estimate::{
    ConfigurationCost, ConfigurationEstimate, EvaluationCost, InstanceCost, JobEstimate,
    PromptTokenEstimate, RowCounts, TrialEstimate, WithinBudget,
};
pub use evaluation::{
    Better, Comparison, Correction, CostInterval, Difference, Evaluated, Evaluation,
    EvaluationBudgets, EvaluationBudgetsPost, EvaluationCosts, EvaluationEstimate,
    EvaluationLimits, EvaluationLimitsPost, EvaluationPost, EvaluationReport, GivenConfiguration,
    GivenConfigurationPost, PayableRows, Ranked, SeenRows, TokenCounts, TrialReference,
};
pub use event::{Event, EventBody, EventPage, FieldChange, JobsSnapshot, Snapshot};
pub(crate) use export::EXPORT_FORMAT;
pub use export::{
    ExportEnd, ExportLine, ExportStart, ExportedAdoption, ExportedEarlierReport,
    ExportedEnqueuedTrial, ExportedEvaluationReport, ExportedFailure, ExportedInstance,
    ExportedQuestion, ExportedReport, ExportedRequest, ExportedRequestKey, ExportedResponse,
    ExportedResponseKey, ExportedScore, ExportedTermsChange,
};
pub use insight::{
    Importance, Pareto, ParetoTrial, SettingImportance, TrialCompared, TrialsCompared,
};
pub(crate) use job::path_of;
pub use job::{
    Best, Budgets, Constraint, Job, JobDataset, JobLinks, JobSpend, Limits, NonInferiority,
    Objective, Progress, PrunedParts, Reference, ReferenceName, TrialCounts,
};
pub use key::{AuditEntry, Key, KeyPost, Keys, NewKey, Scope, StreamToken};
pub use names::{
    Algorithm, AttemptEnding, DeliveryState, Direction, ExtentChoice, GlobalSearcher, GridOrder,
    Improvement, JobState, Metric, Phase, PruneReasonName, Pruning, Reducer, RefusalScope, Reuse,
    Sequence, SpendCategory, StopReason, TrialRole, TrialState, Unit, UntriedReason, WaitReason,
};
pub use patch::{BudgetsPatch, JobPatch, SearchPatch};
pub use post::{
    BaselinePost, BudgetsPost, CheapestPost, DataPost, HoldoutPost, HoldoutRowsPost, JobPost,
    LimitsPost, MessagePost, MessageRole, ModelPost, ObjectivePost, PromptPost, SamplePost,
    ScoringPost, WarmStartPost,
};
pub use report::{
    AsGood, Bounds, Diagnostics, Feasible, HeldOutDifference, Holdout, IntervalEstimate,
    NearlyAsGood, Note, Pruned, QualityDifference, Report, Saving, Savings, Scored, Violation,
};
pub use scorer::{
    ExtraFieldsPost, ExtractName, ExtractPost, JudgeLabelsPost, JudgeStylePost, MatchesPost,
    PartPost, ReferencesPost, RougeMeasure, RougeVariant, RougeWords, ScorerPost,
};
pub use search::{Search, SearchOptions, SearchOptionsPost, SearchPost};
pub use space::{ConfigurationPost, DimensionPost, SearchSpacePost};
pub use standing::{Awaited, Limit, Rate, Remaining, Standing, TrialAdvance, WaitsFor};
pub(crate) use summary::share_of;
pub use summary::{JobSummary, SummaryBest, SummaryObjective};
pub use trial::{Coverage, Prune, Trial, TrialLinks};
pub use trial_responses::{BesideRow, ResponseSource, TrialResponse, TrialResponses, TrialRow};
pub use validation::{
    PartValidation, RenderedMessage, RenderedPrompt, ResponseValidation, RowValidation, Validation,
    ValidationPost,
};
pub use warm_start::{WarmStart, WarmStartReport};
pub(crate) use webhook::message_id;
pub use webhook::{Delivery, NewWebhook, Webhook, WebhookPost};
pub use winner::{Form, Winner};

use frugal_domain::fault::Fault;
use frugal_intake::dataset::RowFault;
use serde::Serialize;
use utoipa::ToSchema;

/// A page of a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct List<T> {
    /// Always `list`.
    #[schema(example = "list", pattern = "^list$")]
    pub object: &'static str,
    /// The rows, newest first where nothing else is said.
    pub data: Vec<T>,
    /// Whether there are more rows.
    pub has_more: bool,
    /// The `cursor` of the next page, where there is one.
    pub next: Option<String>,
}

impl<T> List<T> {
    /// A page.
    #[must_use]
    pub const fn new(data: Vec<T>, has_more: bool, next: Option<String>) -> Self {
        Self {
            object: "list",
            data,
            has_more,
            next,
        }
    }
}

/// An error (RFC 9457).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: clients tell errors apart by `code`.
    #[schema(example = "about:blank")]
    pub r#type: String,
    /// The phrase of the status.
    #[schema(example = "Unprocessable Entity")]
    pub title: String,
    /// The status of the answer.
    #[schema(example = 422)]
    pub status: u16,
    /// What is wrong and what to do.
    #[schema(example = "the job has a fault")]
    pub detail: String,
    /// What went wrong, for programs.
    #[schema(example = "invalid_job")]
    pub code: String,
    /// Everything that is wrong with the body, where the body is at fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FieldError>,
}

/// One thing that is wrong with a body.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FieldError {
    /// The line of the body, from 1, where the body is rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub line: Option<u64>,
    /// Where in the body, or in the row on the line: a JSON pointer (RFC 6901), empty for the whole.
    #[schema(example = "/models/0/endpoint")]
    pub pointer: String,
    /// What is wrong there and what would be right.
    #[schema(example = "`lokal` is not an endpoint of this server; it has `local`")]
    pub detail: String,
}

impl From<Fault> for FieldError {
    fn from(fault: Fault) -> Self {
        Self {
            line: None,
            pointer: fault.pointer,
            detail: fault.detail,
        }
    }
}

impl From<RowFault> for FieldError {
    fn from(fault: RowFault) -> Self {
        Self {
            line: Some(fault.line),
            pointer: fault.pointer,
            detail: fault.detail,
        }
    }
}
