//! Demonstrations, as they are posted.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Demonstrations: which rows prompts show as examples, and how many. No row is its own example. A configuration
/// says in its `demonstrations` which its prompt shows.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DemonstrationsPost {
    /// `"rows"` (the default: the first 200 rows that are tuned on) or a list of rows.
    pub pool: Option<PoolPost>,
    /// How many: a number, several, or both ends of a range, of which the ends and the doublings between
    /// them are tried; [0, 1, 2, 4] by default.
    pub count: Option<DemonstrationCountPost>,
    /// Which of them, or several ways; `similar` by default.
    pub choice: Option<DemonstrationChoicePost>,
}

/// Rows to show.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum PoolPost {
    /// Those that are tuned on.
    Named(PoolName),
    /// These, 200 at most.
    Rows(Vec<Map<String, Value>>),
}

/// Rows to show, by name.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PoolName {
    /// Those that are tuned on.
    Rows,
}

/// How many demonstrations.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum DemonstrationCountPost {
    /// So many, 64 at most.
    One(u32),
    /// Each of these.
    Several(Vec<u32>),
    /// Both ends.
    Range {
        /// The fewest and the most.
        #[schema(min_items = 2, max_items = 2, example = json!([0, 8]))]
        int: Vec<u32>,
    },
}

/// Which demonstrations.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum DemonstrationChoicePost {
    /// One way.
    One(DemonstrationWay),
    /// Each of these.
    Several(Vec<DemonstrationWay>),
}

/// A way of choosing demonstrations.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DemonstrationWay {
    /// The first of the pool.
    First,
    /// Drawn once for all rows.
    Random,
    /// Those that have most words in common with the row, in the fields that the prompt uses; the nearest
    /// one stands last.
    Similar,
    /// Four draws, of which the search finds the best.
    Search,
}
