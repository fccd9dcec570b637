//! What may be changed of a job, as the OpenAPI document describes it. `frugal_intake` reads it.

use super::{Budget, LimitsPost};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A JSON merge patch (RFC 7396) of what may be changed of a job. What is left out stays as it is; `null`
/// takes a value back to what it is where a job names none.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobPatch {
    /// A name for people.
    #[schema(nullable = true, min_length = 1, max_length = 200)]
    pub name: Option<String>,
    /// Labels for people and tools. One that is `null` is taken away.
    pub labels: Option<BTreeMap<String, Option<String>>>,
    /// How urgent the job is among those that wait: it goes by this whenever it waits for a worker, and one that
    /// runs is not interrupted for a more urgent one.
    #[schema(nullable = true, minimum = -9, maximum = 9)]
    pub priority: Option<i16>,
    /// What may be spent.
    pub budgets: Option<BudgetsPatch>,
    /// Limits other than money.
    pub limits: Option<LimitsPost>,
    /// How the search is run.
    pub search: Option<SearchPatch>,
}

/// What may be spent.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetsPatch {
    /// The most that the whole job may spend, in the unit that it budgets in: no less than what is spent or
    /// set aside for requests in flight.
    pub optimization: Budget,
}

/// How the search is run.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchPatch {
    /// Requests under way at the same time, all trials together.
    #[schema(nullable = true, minimum = 1, maximum = 1024)]
    pub requests_in_flight: Option<u32>,
}
