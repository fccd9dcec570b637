//! Configurations that owners put into jobs.

use super::{Configuration, ConfigurationPost, Trial};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

/// A configuration to be tried, as the OpenAPI document describes it. `frugal_intake` reads it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnqueuedTrialPost {
    /// Settings by name, a point of the job's search space. What is left out is as in the default baseline; of several
    /// models one must be named.
    pub configuration: ConfigurationPost,
}

/// A configuration that was put into a job.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EnqueuedTrial {
    /// Its number among all that the owner has changed, as in the event `trial.enqueued`; `null` where the job
    /// had such a trial without.
    #[schema(minimum = 1)]
    pub number: Option<u32>,
    /// What it asks of the endpoint.
    pub configuration: Configuration,
    /// When it was put in; `null` where the job had such a trial without.
    pub enqueued_at: Option<DateTime<Utc>>,
    /// The trial that it is, once that was begun.
    pub trial: Option<Trial>,
}
