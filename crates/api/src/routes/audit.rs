//! What was changed, by whom and when.
#![expect(
    unused_qualifications,
    reason = "the macro that describes query parameters writes paths in full"
)]

use crate::errors::{ApiError, Code};
use crate::extract::Parameters;
use crate::pagination::{self, AuditNumber};
use crate::responses::{Problems, codes};
use crate::state::AppState;
use crate::wire::{AuditEntry, List};
use axum::Json;
use axum::extract::State;
use frugal_store::audit;
use serde::Deserialize;
use utoipa::IntoParams;

/// Which entries to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListAudit {
    /// The most entries of the page; 20 by default.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Where the page begins: `next` of the page before.
    #[param(min_length = 1)]
    cursor: Option<String>,
}

/// List what was changed
///
/// Newest first: every change that was made through the API, and every key that was made or revoked.
#[utoipa::path(
    get,
    path = "/audit",
    tag = "keys",
    params(ListAudit),
    responses(
        (status = 200, description = "A page of changes.", body = List<AuditEntry>),
        Problems<{ codes(&[Code::InvalidParameter]) }>
    )
)]
pub(super) async fn list_audit(
    State(state): State<AppState>,
    Parameters(parameters): Parameters<ListAudit>,
) -> Result<Json<List<AuditEntry>>, ApiError> {
    let limit = pagination::limit(parameters.limit)?;
    let before = pagination::cursor::<AuditNumber>(parameters.cursor.as_deref())?;
    let before = before.map(|AuditNumber(number)| number);
    let mut connection = state.connection().await?;
    let rows = audit::list(&mut connection, before, limit + 1).await?;
    Ok(Json(pagination::page(
        rows,
        limit,
        |row| AuditNumber(row.id),
        AuditEntry::from,
    )))
}
