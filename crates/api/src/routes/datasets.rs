//! Datasets: posted, listed, read, deleted.
#![expect(
    unused_qualifications,
    reason = "the macro that describes query parameters writes paths in full"
)]

use crate::caller::Caller;
use crate::change::Change;
use crate::errors::{ApiError, Code};
use crate::extract::{NamePath, Parameters, no_dataset};
use crate::pagination::{self, RowPosition};
use crate::responses::{Problems, codes};
use crate::state::AppState;
use crate::upload;
use crate::wire::{Dataset, DatasetRow, List, dataset_path};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use frugal_domain::access::Access;
use frugal_domain::id::DatasetId;
use frugal_intake::dataset;
use frugal_store::PgConnection;
use frugal_store::datasets::{self, Created};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

/// How many rows are shown with a dataset.
const SAMPLE: u32 = 5;

/// What the dataset is called.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PostDataset {
    /// Its name, by which jobs name it: unlike that of any other dataset, without `/`, and not like an
    /// id. It must be given.
    #[param(required, nullable = false, min_length = 1, max_length = 200)]
    name: Option<String>,
}

/// Post a dataset
///
/// Rows for many jobs: JSON objects, one on each line (`application/jsonl`), an array of them
/// (`application/json`), or comma-separated values below a line of names (`text/csv`), whose fields are
/// all texts. The text is UTF-8. The body may be packed with gzip, declared by `Content-Encoding` or
/// not. Every row is checked as the rows that a job holds are, and an answer of 422 lists faults with
/// their lines. The same rows posted again under the same name are the dataset that is there.
#[utoipa::path(
    post,
    path = "/datasets",
    tag = "datasets",
    params(
        PostDataset,
        ("Content-Encoding" = Option<String>, Header, description = "`gzip` where the body is packed.")
    ),
    request_body(
        description = "The rows.",
        content(
            (String = "application/jsonl", example = "{\"question\": \"1 + 1?\", \"answer\": \"2\"}\n{\"question\": \"2 + 3?\", \"answer\": \"5\"}\n"),
            (String = "application/x-ndjson"),
            (String = "text/csv", example = "question,answer\n1 + 1?,2\n2 + 3?,5\n"),
            (Vec<Map<String, Value>> = "application/json")
        )
    ),
    responses(
        (status = 201, description = "The dataset.", body = Dataset, headers(
            ("Location" = String, description = "The path of the dataset.")
        )),
        (status = 200, description = "The dataset, which was there before.", body = Dataset, headers(
            ("Location" = String, description = "The path of the dataset.")
        )),
        Problems<{ codes(&[
            Code::InvalidParameter, Code::BodyTimeout, Code::DatasetNameTaken, Code::BodyTooLarge,
            Code::UnsupportedMediaType, Code::InvalidDataset, Code::TooMuchData,
        ]) }>
    )
)]
pub(super) async fn create_dataset(
    State(state): State<AppState>,
    change: Change,
    Caller { access, .. }: Caller,
    Parameters(parameters): Parameters<PostDataset>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let invalid = |detail| ApiError::new(Code::InvalidParameter, detail);
    let limits = state.dataset_limits();
    let name = parameters.name.ok_or_else(|| {
        invalid("the dataset needs a name; give it as in `/datasets?name=questions`".to_owned())
    });
    let checked = name.and_then(|name| {
        dataset::name(&name).map_err(|detail| invalid(format!("`name` {detail}")))?;
        Ok(name)
    });
    let name = match checked {
        Ok(name) => name,
        Err(error) => return Err(upload::refuse(body, limits, error).await),
    };
    let read = upload::read(&headers, body, limits).await?;
    let columns = read.columns.into_iter().map(|column| datasets::Column {
        name: column.name,
        rows: column.rows,
    });
    let new = datasets::Dataset {
        id: DatasetId(Uuid::now_v7()),
        name,
        sha256: read.sha256,
        rows: u32::try_from(read.rows.len()).unwrap_or(u32::MAX),
        bytes: read.bytes,
        columns: columns.collect(),
        jobs: 0,
        created_at: Utc::now(),
    };
    let mut transaction = state.transaction().await?;
    let owner = access.owner.as_deref();
    let most = state.guard().dataset_bytes_per_owner;
    let there = match most {
        Some(_) => datasets::bytes_of(&mut transaction, owner).await?,
        None => 0,
    };
    let (status, id) = match datasets::create(&mut transaction, owner, &new, &read.rows).await? {
        Created::New => {
            if let Some(most) = most.filter(|most| there.saturating_add(new.bytes) > *most) {
                let detail = format!(
                    "the dataset has {} bytes and there are datasets of {there}, which may be {most} together; \
                     delete one that is not needed, or ask the operator to raise `max_dataset_bytes_per_owner`",
                    new.bytes
                );
                return Err(ApiError::new(Code::TooMuchData, detail));
            }
            (StatusCode::CREATED, new.id)
        }
        Created::Before(before) => (StatusCode::OK, before.id),
        Created::NameTaken(before) => {
            let detail = format!(
                "the dataset `{}` has other rows; choose another name, or delete it first if these \
                 are to take its place (jobs keep their rows)",
                before.name
            );
            return Err(ApiError::new(Code::DatasetNameTaken, detail));
        }
    };
    let dataset = described(&mut transaction, &access, &id.to_string()).await?;
    change
        .note_made(&mut transaction, &dataset_path(id))
        .await?;
    transaction.commit().await?;
    let mut response = (status, Json(dataset)).into_response();
    if let Ok(location) = HeaderValue::from_str(&dataset_path(id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// A dataset with its first rows.
async fn described(
    connection: &mut PgConnection,
    access: &Access,
    id_or_name: &str,
) -> Result<Dataset, ApiError> {
    let dataset = find(connection, access, id_or_name).await?;
    let sample = datasets::rows(connection, dataset.id, 0, SAMPLE).await?;
    let sample = sample.into_iter().map(|(_, row)| row).collect();
    Ok(Dataset::new(dataset, Some(sample)))
}

async fn find(
    connection: &mut PgConnection,
    access: &Access,
    id_or_name: &str,
) -> Result<datasets::Dataset, ApiError> {
    let found = datasets::find(connection, access, id_or_name).await?;
    found.ok_or_else(|| no_dataset(id_or_name))
}

/// Which datasets to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListDatasets {
    /// The most datasets of the page; 20 by default.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Where the page begins: `next` of the page before.
    #[param(min_length = 1)]
    cursor: Option<String>,
}

/// List datasets
///
/// Newest first.
#[utoipa::path(
    get,
    path = "/datasets",
    tag = "datasets",
    params(ListDatasets),
    responses(
        (status = 200, description = "A page of datasets.", body = List<Dataset>),
        Problems<{ codes(&[Code::InvalidParameter]) }>
    )
)]
pub(super) async fn list_datasets(
    State(state): State<AppState>,
    Caller { access, .. }: Caller,
    Parameters(parameters): Parameters<ListDatasets>,
) -> Result<Json<List<Dataset>>, ApiError> {
    let limit = pagination::limit(parameters.limit)?;
    let before = pagination::cursor::<DatasetId>(parameters.cursor.as_deref())?;
    let mut connection = state.connection().await?;
    let found = datasets::list(&mut connection, &access, before, limit + 1).await?;
    Ok(Json(pagination::page(
        found,
        limit,
        |dataset| dataset.id,
        |dataset| Dataset::new(dataset, None),
    )))
}

/// Get a dataset
#[utoipa::path(
    get,
    path = "/datasets/{name}",
    tag = "datasets",
    params(("name" = String, Path, description = "Its id or its name.")),
    responses(
        (status = 200, description = "The dataset.", body = Dataset),
        Problems<{ codes(&[Code::NotFound]) }>
    )
)]
pub(super) async fn get_dataset(
    State(state): State<AppState>,
    Caller { access, .. }: Caller,
    NamePath(name): NamePath,
) -> Result<Json<Dataset>, ApiError> {
    let mut connection = state.connection().await?;
    described(&mut connection, &access, &name).await.map(Json)
}

/// Delete a dataset
///
/// Jobs that were made of it have copies of its rows, and go on.
#[utoipa::path(
    delete,
    path = "/datasets/{name}",
    tag = "datasets",
    params(("name" = String, Path, description = "Its id or its name.")),
    responses(
        (status = 204, description = "It is gone."),
        Problems<{ codes(&[Code::NotFound]) }>
    )
)]
pub(super) async fn delete_dataset(
    State(state): State<AppState>,
    change: Change,
    Caller { access, .. }: Caller,
    NamePath(name): NamePath,
) -> Result<StatusCode, ApiError> {
    let mut transaction = state.transaction().await?;
    let dataset = find(&mut transaction, &access, &name).await?;
    if !datasets::delete(&mut transaction, dataset.id).await? {
        return Err(no_dataset(name));
    }
    change.note(&mut transaction).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which rows to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListRows {
    /// The most rows of the page; 20 by default.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Where the page begins: `next` of the page before.
    #[param(min_length = 1)]
    cursor: Option<String>,
}

/// List the rows of a dataset
///
/// In their order.
#[utoipa::path(
    get,
    path = "/datasets/{name}/rows",
    tag = "datasets",
    params(("name" = String, Path, description = "Its id or its name."), ListRows),
    responses(
        (status = 200, description = "A page of rows.", body = List<DatasetRow>),
        Problems<{ codes(&[Code::InvalidParameter, Code::NotFound]) }>
    )
)]
pub(super) async fn list_rows(
    State(state): State<AppState>,
    Caller { access, .. }: Caller,
    NamePath(name): NamePath,
    Parameters(parameters): Parameters<ListRows>,
) -> Result<Json<List<DatasetRow>>, ApiError> {
    let limit = pagination::limit(parameters.limit)?;
    let after = pagination::cursor::<RowPosition>(parameters.cursor.as_deref())?;
    let mut connection = state.connection().await?;
    let dataset = find(&mut connection, &access, &name).await?;
    let from = after.map_or(0, |RowPosition(row)| row.saturating_add(1));
    let rows = datasets::rows(&mut connection, dataset.id, from, limit + 1).await?;
    Ok(Json(pagination::page(
        rows,
        limit,
        |(row, _)| RowPosition(*row),
        |(row, data)| DatasetRow { row, data },
    )))
}
