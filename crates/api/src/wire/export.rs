//! Everything of a job, line by line.

use super::{
    Attempt, Configuration, Evaluation, EvaluationReport, Event, FieldChange, Job, JobState,
    Report, Spend, StopReason, Trial,
};
use chrono::{DateTime, Utc};
use frugal_domain::job;
use frugal_domain::request::{self, RequestKey, ResponseId};
use frugal_store::{enqueued, exports, terms};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// The form of exports. It changes where a line comes to mean something else; new types of lines and
/// new fields do not change it.
pub(crate) const EXPORT_FORMAT: u32 = 1;

/// A line of an export: a `type` and its `data`.
///
/// The types come in this order: `export`, `job` (or `evaluation`), `specification`, `terms_change` and
/// `enqueued_trial` by their numbers, `attempt`, `instance`, `trial`, `adopted_response`, `request`, `response`, `score`, `event`, `earlier_report`, `report`
/// (or `evaluation_report`) and `end`. More may be added.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum ExportLine {
    /// The first line.
    Export(ExportStart),
    /// The job as `GET /jobs/{id}` shows it.
    Job(Box<Job>),
    /// In the place of a job, an evaluation as `GET /evaluations/{id}` shows it.
    Evaluation(Box<Evaluation>),
    /// What was posted, as it is stored: read, with its defaults filled in, and without its rows.
    Specification(Map<String, Value>),
    /// A change of what the search decides by, by `PATCH` or `POST /jobs/{id}/continue`.
    TermsChange(ExportedTermsChange),
    /// A configuration that was put in by `POST /jobs/{id}/trials`.
    EnqueuedTrial(ExportedEnqueuedTrial),
    /// One worker's time with the job, as `GET /jobs/{id}/attempts` shows it.
    Attempt(Attempt),
    /// A row of its data.
    Instance(ExportedInstance),
    /// A trial as `GET /jobs/{id}/trials` shows it.
    Trial(Box<Trial>),
    /// A response that a trial took over from another job.
    AdoptedResponse(ExportedAdoption),
    /// A request.
    Request(Box<ExportedRequest>),
    /// A response of one.
    Response(ExportedResponse),
    /// What a scorer said of a response.
    Score(ExportedScore),
    /// An event as `GET /jobs/{id}/events` shows it.
    Event(Box<Event>),
    /// What the job had found when it ended, before it was continued.
    EarlierReport(ExportedEarlierReport),
    /// The report, where there is one.
    Report(ExportedReport),
    /// The same of an evaluation.
    EvaluationReport(ExportedEvaluationReport),
    /// The last line: an export without one broke off.
    End(ExportEnd),
}

/// A change of what the search decides by, as its owner wanted it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportedTermsChange {
    /// The how-manieth change of the job.
    #[schema(minimum = 1)]
    pub number: u32,
    /// What is other than before.
    pub changes: Vec<FieldChange>,
    /// How many decisions the search had made before; `null` where it has not come to it.
    pub place: Option<u64>,
    /// The job had ended, and goes on with this.
    pub continues: bool,
    /// Requests that could not be paid for before, and that trials went on without.
    pub unaffordable: Vec<ExportedRequestKey>,
}

impl From<terms::TermsChange> for ExportedTermsChange {
    fn from(change: terms::TermsChange) -> Self {
        let changes = change.terms_before.changes(&change.terms);
        Self {
            number: change.number,
            changes: changes.into_iter().map(FieldChange::from).collect(),
            place: change.place,
            continues: change.continues,
            unaffordable: change.unaffordable.into_iter().map(Into::into).collect(),
        }
    }
}

/// A configuration that the owner of the job has put in.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportedEnqueuedTrial {
    /// The how-manieth change of the job.
    #[schema(minimum = 1)]
    pub number: u32,
    /// What it asks of the endpoint; `null` where this version cannot read it.
    pub configuration: Option<Configuration>,
    /// How many decisions the search had made before; `null` where it has not come to it.
    pub place: Option<u64>,
    /// When it was put in.
    pub enqueued_at: DateTime<Utc>,
}

impl ExportedEnqueuedTrial {
    /// One with the names of its job.
    pub(crate) fn new(spec: &job::JobSpec, trial: &enqueued::EnqueuedTrial) -> Self {
        let settings = spec.settings(&trial.configuration).ok();
        Self {
            number: trial.number,
            configuration: settings.map(|settings| Configuration::new(spec, &settings)),
            place: trial.place,
            enqueued_at: trial.created_at,
        }
    }
}

/// What a job had found when it ended, before it was continued.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportedEarlierReport {
    /// The how-manieth end it was.
    #[schema(minimum = 1)]
    pub run: u32,
    /// How it ended.
    pub state: JobState,
    /// Why its search ended.
    pub stop_reason: Option<StopReason>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// Its report; `null` where it left none.
    #[schema(value_type = Option<Report>)]
    pub report: Option<Value>,
}

impl From<terms::EarlierReport> for ExportedEarlierReport {
    fn from(earlier: terms::EarlierReport) -> Self {
        Self {
            run: earlier.run,
            state: earlier.state.into(),
            stop_reason: earlier.stop_reason.map(StopReason::from),
            finished_at: earlier.finished_at,
            report: earlier.report.filter(|report| !report.is_null()),
        }
    }
}

/// What an export is.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportStart {
    /// The form of the lines.
    #[schema(example = 1)]
    pub format: u32,
    /// The version of Frugal that wrote it.
    pub version: &'static str,
    /// The moment that it shows, and no other.
    pub exported_at: DateTime<Utc>,
}

/// A report as it is stored.
#[derive(Debug, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Report)]
pub struct ExportedReport(pub Value);

/// A report of an evaluation as it is stored.
#[derive(Debug, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = EvaluationReport)]
pub struct ExportedEvaluationReport(pub Value);

/// What an export had.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct ExportEnd {
    /// How many lines of each type came before. Types without a line are left out.
    pub lines: BTreeMap<&'static str, u64>,
}

/// A row of a job's data.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportedInstance {
    /// `tuning`, or `holdout` for held-out rows.
    #[schema(value_type = String, pattern = "^(tuning|holdout)$")]
    pub split: job::Split,
    /// Its position within the split, from 0.
    pub position: u32,
    /// Its fields.
    pub data: Map<String, Value>,
}

/// Which request of a job.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct ExportedRequestKey {
    /// What it was sent for: `search`, `baseline`, `validation` (held-out rows), `judge` or
    /// `validation_judge`; in a score also `labelled`, for an answer that a row brought along.
    #[schema(value_type = String, example = "search")]
    pub purpose: request::Purpose,
    /// The trial that it belongs to.
    pub trial: u32,
    /// 0, 1, 2, … within purpose and trial.
    pub ordinal: u32,
}

impl From<RequestKey> for ExportedRequestKey {
    fn from(key: RequestKey) -> Self {
        Self {
            purpose: key.purpose,
            trial: key.trial.0,
            ordinal: key.ordinal,
        }
    }
}

/// Which response.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct ExportedResponseKey {
    /// Another job that it was taken over from; `null` where it is the job's own.
    pub job: Option<Uuid>,
    /// The request of that job that brought it.
    #[serde(flatten)]
    pub request: ExportedRequestKey,
    /// Its position in what the request brought, from 0.
    pub position: u32,
}

impl From<ResponseId> for ExportedResponseKey {
    fn from(id: ResponseId) -> Self {
        Self {
            job: id.job.map(|job| job.0),
            request: id.request.into(),
            position: id.position,
        }
    }
}

/// A response that a trial took over from another job.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportedAdoption {
    /// The trial.
    pub trial: u32,
    /// 0, 1, 2, … in the order in which the trial uses them.
    pub position: u32,
    /// The row of the data whose prompt it answers, by position within its split.
    pub instance: u32,
    /// Where it came from.
    pub source: ExportedResponseKey,
    /// The cap that it was drawn under, in tokens.
    pub max_tokens: u32,
    /// Tokens of its prompt.
    pub prompt_tokens: u64,
    /// Its share of the tokens that its request was billed with.
    pub completion_tokens: u64,
    /// Its own length in tokens, estimated.
    pub estimated_tokens: u64,
    /// How long its request took, in milliseconds.
    pub latency_ms: u64,
    /// The text.
    pub text: String,
    /// Why it ended.
    #[schema(example = "stop")]
    pub finish_reason: String,
}

/// A request, whatever became of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportedRequest {
    /// Which request.
    #[serde(flatten)]
    pub key: ExportedRequestKey,
    /// The `attempt` of the worker that sent it, as in `job.running`. The next one sends what was lost
    /// with a worker once more, under the same ordinal.
    pub attempt: i32,
    /// `sent` (in flight), `answered`, `failed` or `lost` (in flight when its worker died or stopped).
    #[schema(pattern = "^(sent|answered|failed|lost)$")]
    pub state: String,
    /// The row of the data, by position within its split.
    pub instance: u32,
    /// Responses asked for.
    pub n: u32,
    /// The cap on each of them, in tokens.
    pub max_tokens: u32,
    /// What was set aside for it.
    pub worst_case: Spend,
    /// Tokens of the prompt, once answered.
    pub prompt_tokens: Option<u64>,
    /// Tokens of all responses, once answered.
    pub completion_tokens: Option<u64>,
    /// Whether these are an estimate.
    pub usage_estimated: bool,
    /// What was counted against the budget, once settled.
    pub cost: Option<Spend>,
    /// What attempts that brought nothing may have been billed with besides, at worst.
    pub uncertain: Spend,
    /// Why it failed.
    pub failure: Option<ExportedFailure>,
    /// How long it took, in milliseconds.
    pub latency_ms: Option<u64>,
    /// What a judge was asked about.
    pub question: Option<ExportedQuestion>,
    /// When it was sent.
    pub sent_at: DateTime<Utc>,
    /// When it was settled.
    pub answered_at: Option<DateTime<Utc>>,
}

/// Why a request failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportedFailure {
    /// `infeasible` where the endpoint refuses it, else `failed`.
    #[schema(pattern = "^(infeasible|failed)$")]
    pub kind: &'static str,
    /// How far a refusal reaches.
    #[schema(value_type = Option<super::RefusalScope>)]
    pub scope: Option<request::Scope>,
    /// What happened, in words.
    pub detail: String,
}

/// A question to a judge.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportedQuestion {
    /// The answer that it is about.
    pub response: ExportedResponseKey,
    /// The limit that the answer is cut to, in tokens; `null` where it is whole.
    pub max_tokens: Option<u32>,
    /// The how-manieth question about it, from 0.
    pub number: u32,
}

impl From<exports::RequestRow> for ExportedRequest {
    fn from(row: exports::RequestRow) -> Self {
        use frugal_store::requests::FailureKind;
        Self {
            key: row.key.into(),
            attempt: row.attempt,
            state: row.state,
            instance: row.instance,
            n: row.n,
            max_tokens: row.max_tokens,
            worst_case: row.worst_case.into(),
            prompt_tokens: row.prompt_tokens,
            completion_tokens: row.completion_tokens,
            usage_estimated: row.usage_estimated,
            cost: row.cost.map(Into::into),
            uncertain: row.uncertain.into(),
            failure: row.failure.map(|failure| ExportedFailure {
                kind: match failure.kind {
                    FailureKind::Infeasible => "infeasible",
                    FailureKind::Failed => "failed",
                },
                scope: failure.scope,
                detail: failure.detail,
            }),
            latency_ms: row.latency_ms,
            question: row.question.map(|question| ExportedQuestion {
                response: question.response.into(),
                max_tokens: question.max_tokens,
                number: question.number,
            }),
            sent_at: row.sent_at,
            answered_at: row.answered_at,
        }
    }
}

/// A response of a request.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportedResponse {
    /// The request that brought it.
    #[serde(flatten)]
    pub request: ExportedRequestKey,
    /// That request's `attempt`.
    pub attempt: i32,
    /// Its position in what the request brought, from 0.
    pub position: u32,
    /// The text.
    pub text: String,
    /// Why it ended: `stop`, `length`, `content_filter`, or the endpoint's own word.
    #[schema(example = "stop")]
    pub finish_reason: String,
    /// Its length in tokens, estimated.
    pub estimated_tokens: u64,
}

/// What a scorer said of a response.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportedScore {
    /// The response.
    pub response: ExportedResponseKey,
    /// The row of the data that it was held against, by position within its split.
    pub instance: u32,
    /// The cap that it was cut at, in tokens; `null` where it is whole.
    pub max_tokens: Option<u32>,
    /// From 0 for wrong to 1 for right; `null` where it could not be scored.
    pub score: Option<f64>,
    /// Why it could not be scored.
    pub failure: Option<String>,
    /// When it was scored.
    pub scored_at: DateTime<Utc>,
}

impl From<exports::InstanceRow> for ExportLine {
    fn from(row: exports::InstanceRow) -> Self {
        Self::Instance(ExportedInstance {
            split: row.split,
            position: row.position,
            data: row.data,
        })
    }
}

impl From<exports::AdoptedRow> for ExportLine {
    fn from(row: exports::AdoptedRow) -> Self {
        Self::AdoptedResponse(ExportedAdoption {
            trial: row.trial.0,
            position: row.position,
            instance: row.instance,
            source: row.source.into(),
            max_tokens: row.max_tokens,
            prompt_tokens: row.prompt_tokens,
            completion_tokens: row.completion_tokens,
            estimated_tokens: row.estimated_tokens,
            latency_ms: row.latency_ms,
            text: row.text,
            finish_reason: row.finish_reason,
        })
    }
}

impl From<exports::RequestRow> for ExportLine {
    fn from(row: exports::RequestRow) -> Self {
        Self::Request(Box::new(row.into()))
    }
}

impl From<exports::ResponseRow> for ExportLine {
    fn from(row: exports::ResponseRow) -> Self {
        Self::Response(ExportedResponse {
            request: row.key.into(),
            attempt: row.attempt,
            position: row.position,
            text: row.text,
            finish_reason: row.finish_reason,
            estimated_tokens: row.estimated_tokens,
        })
    }
}

impl From<exports::ScoreRow> for ExportLine {
    fn from(row: exports::ScoreRow) -> Self {
        Self::Score(ExportedScore {
            response: row.response.into(),
            instance: row.instance,
            max_tokens: row.max_tokens,
            score: row.score.as_ref().ok().copied(),
            failure: row.score.err(),
            scored_at: row.scored_at,
        })
    }
}

impl ExportLine {
    /// Its type on the wire.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Export(_) => "export",
            Self::Job(_) => "job",
            Self::Evaluation(_) => "evaluation",
            Self::Specification(_) => "specification",
            Self::TermsChange(_) => "terms_change",
            Self::EnqueuedTrial(_) => "enqueued_trial",
            Self::Attempt(_) => "attempt",
            Self::Instance(_) => "instance",
            Self::Trial(_) => "trial",
            Self::AdoptedResponse(_) => "adopted_response",
            Self::Request(_) => "request",
            Self::Response(_) => "response",
            Self::Score(_) => "score",
            Self::Event(_) => "event",
            Self::EarlierReport(_) => "earlier_report",
            Self::Report(_) => "report",
            Self::EvaluationReport(_) => "evaluation_report",
            Self::End(_) => "end",
        }
    }
}
