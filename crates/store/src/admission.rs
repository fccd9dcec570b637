//! What workers share of the endpoints' limits: one state for each scope, an endpoint as a whole or
//! one of its models. What is in a state is not known here.
//!
//! An exchange is a transaction: [`lock`], then the moment by [`clock`], then [`save`]. The lock comes
//! first, so that moments are in the order of the exchanges.

use crate::{Error, Result};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// The states of some models of an endpoint, by model; the empty name is the endpoint as a whole.
/// They are the caller's alone until its transaction ends.
///
/// # Errors
/// The database is away.
pub async fn lock(
    connection: &mut PgConnection,
    endpoint: &str,
    models: &[String],
) -> Result<BTreeMap<String, Value>> {
    let mut found = select(&mut *connection, endpoint, models).await?;
    if found.len() < models.len() {
        sqlx::query!(
            r#"
            INSERT INTO admission_scopes (endpoint, model)
            SELECT $1, model FROM unnest($2::text[]) AS model ORDER BY model
            ON CONFLICT DO NOTHING
            "#,
            endpoint,
            models
        )
        .execute(&mut *connection)
        .await?;
        found = select(connection, endpoint, models).await?;
    }
    Ok(found)
}

async fn select(
    connection: &mut PgConnection,
    endpoint: &str,
    models: &[String],
) -> Result<BTreeMap<String, Value>> {
    // Locked in the order of the names, or two exchanges could wait for each other.
    let rows = sqlx::query!(
        r#"
        SELECT model, state FROM admission_scopes
        WHERE endpoint = $1 AND model = ANY($2)
        ORDER BY model
        FOR UPDATE
        "#,
        endpoint,
        models
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.model, row.state)).collect())
}

/// The moment by the database's clock, that of no transaction's beginning.
///
/// # Errors
/// The database is away.
pub async fn clock(connection: &mut PgConnection) -> Result<DateTime<Utc>> {
    let now = sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#)
        .fetch_one(connection)
        .await?;
    Ok(now)
}

/// Stores states that were locked.
///
/// # Errors
/// The database is away.
pub async fn save(
    connection: &mut PgConnection,
    endpoint: &str,
    states: BTreeMap<String, Value>,
) -> Result<()> {
    let (models, states): (Vec<String>, Vec<Value>) = states.into_iter().unzip();
    let saved = sqlx::query!(
        r#"
        UPDATE admission_scopes SET state = new.state
        FROM unnest($2::text[], $3::jsonb[]) AS new (model, state)
        WHERE endpoint = $1 AND admission_scopes.model = new.model
        "#,
        endpoint,
        &models,
        &states
    )
    .execute(connection)
    .await?;
    if saved.rows_affected() != models.len() as u64 {
        return Err(Error::Database(sqlx::Error::RowNotFound));
    }
    Ok(())
}

/// The states of all scopes as they were last saved, by endpoint and model.
///
/// # Errors
/// The database is away.
pub async fn load(connection: &mut PgConnection) -> Result<BTreeMap<(String, String), Value>> {
    let rows = sqlx::query!(r#"SELECT endpoint, model, state FROM admission_scopes"#)
        .fetch_all(connection)
        .await?;
    let rows = rows.into_iter();
    Ok(rows
        .map(|row| ((row.endpoint, row.model), row.state))
        .collect())
}
