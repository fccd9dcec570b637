//! Datasets as clients see them.

use chrono::{DateTime, Utc};
use frugal_domain::id::DatasetId;
use frugal_domain::job::Instance;
use frugal_store::datasets;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

/// Rows that were posted once, to be named by many jobs.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Dataset {
    /// Its id, a UUIDv7.
    pub id: Uuid,
    /// Its name, which no other dataset has.
    #[schema(example = "gsm8k")]
    pub name: String,
    /// SHA-256 of its rows, in hexadecimal digits. The same rows in the same order have the same,
    /// whatever they were posted as.
    pub sha256: String,
    /// How many rows it has.
    pub rows: u32,
    /// How many bytes they have as JSON, a line for each.
    pub bytes: u64,
    /// The fields that rows have, by name; of more than 200, those that most rows have.
    pub columns: Vec<DatasetColumn>,
    /// The first rows. In the answer for a single dataset alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub sample: Option<Vec<Map<String, Value>>>,
    /// How many jobs were made of it.
    pub jobs: u64,
    /// When it was posted.
    pub created_at: DateTime<Utc>,
    /// Where to go on from here.
    pub links: DatasetLinks,
}

/// A field that rows have.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DatasetColumn {
    /// Its name.
    pub name: String,
    /// The share of the rows that have it.
    #[schema(example = 1.0)]
    pub share: f64,
}

/// Where to go on from a dataset.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DatasetLinks {
    /// The dataset.
    #[serde(rename = "self")]
    #[schema(example = "/datasets/019abf3e-5f00-7000-8000-000000000000")]
    pub this: String,
    /// Its rows.
    pub rows: String,
}

/// A row of a dataset.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DatasetRow {
    /// Which row it is, from 0.
    pub row: u32,
    /// Its fields.
    pub data: Map<String, Value>,
}

/// The path of a dataset.
pub(crate) fn dataset_path(id: DatasetId) -> String {
    format!("/datasets/{id}")
}

impl Dataset {
    /// A dataset with its first rows, where they are to be shown.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    pub fn new(dataset: datasets::Dataset, sample: Option<Vec<Instance>>) -> Self {
        let this = dataset_path(dataset.id);
        let share = |rows: u64| rows as f64 / f64::from(dataset.rows.max(1));
        let columns = dataset.columns.into_iter().map(|column| DatasetColumn {
            share: share(column.rows),
            name: column.name,
        });
        Self {
            columns: columns.collect(),
            id: dataset.id.0,
            name: dataset.name,
            sha256: dataset.sha256,
            rows: dataset.rows,
            bytes: dataset.bytes,
            sample,
            jobs: dataset.jobs,
            created_at: dataset.created_at,
            links: DatasetLinks {
                rows: format!("{this}/rows"),
                this,
            },
        }
    }
}
