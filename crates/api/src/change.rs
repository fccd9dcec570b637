//! A change on its way: what the audit says of it, written in the change's own transaction.

use crate::errors::ApiError;
use crate::state::AppState;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use frugal_store::audit::{self, Entry};
use frugal_store::{PgConnection, PgPool};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How often it is tried to note a change by itself: a connection that broke says nothing of the next.
const ATTEMPTS: u32 = 3;

/// A change that a request makes. The door makes it, and handlers note it before they commit.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    entry: Arc<Entry>,
    is_noted: Arc<AtomicBool>,
}

impl Change {
    /// One of which nothing is noted yet.
    pub(crate) fn new(entry: Entry) -> Self {
        Self {
            entry: Arc::new(entry),
            is_noted: Arc::default(),
        }
    }

    /// Notes it, of what the path names. The caller commits both or neither.
    ///
    /// # Errors
    /// The database is away.
    pub(crate) async fn note(
        &self,
        transaction: &mut PgConnection,
    ) -> Result<(), frugal_store::Error> {
        audit::note(transaction, &self.entry).await?;
        self.is_noted.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Notes it, of what it has made, which is at this path. The caller commits both or neither.
    ///
    /// # Errors
    /// The database is away.
    pub(crate) async fn note_made(
        &self,
        transaction: &mut PgConnection,
        path: &str,
    ) -> Result<(), frugal_store::Error> {
        let entry = Entry {
            subject: path.to_owned(),
            ..self.entry.as_ref().clone()
        };
        audit::note(transaction, &entry).await?;
        self.is_noted.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Notes it after it was carried out, where its handler had nothing to commit. What cannot be noted is told to the
    /// operator: it cannot be taken back. Where the fate of a note is not known there are two rather than none.
    pub(crate) async fn note_afterwards(&self, pool: &PgPool) {
        if self.is_noted.load(Ordering::Relaxed) {
            return;
        }
        let note = async || {
            let mut connection = pool.acquire().await?;
            audit::note(&mut connection, &self.entry).await
        };
        let mut noted = note().await;
        for _ in 1..ATTEMPTS {
            if noted.is_ok() {
                break;
            }
            noted = note().await;
        }
        if let Err(error) = noted {
            let entry = &self.entry;
            tracing::error!(%error, action = entry.action, subject = entry.subject, key = entry.key_name, "a change could not be noted in the audit");
        }
    }
}

/// A handler asks for the change of a request that the door took for one that reads.
#[derive(Debug, thiserror::Error)]
#[error("a request that changes something is not known as one")]
struct Unknown;

impl FromRequestParts<AppState> for Change {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, ApiError> {
        let change = parts.extensions.get().cloned();
        change.ok_or_else(|| ApiError::internal(&Unknown))
    }
}
