//! The datasets that a posted document names, loaded for its reading.

use crate::errors::ApiError;
use crate::state::AppState;
use frugal_domain::access::Access;
use frugal_domain::job::DatasetReference;
use frugal_intake::{Dataset, Datasets, named_datasets};
use frugal_store::datasets;
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Documents whose datasets are loaded at the same time; others wait for their turn. Datasets are large,
/// however short the document is that names them.
static TURNS: Semaphore = Semaphore::const_new(2);

/// The datasets that a document names, of those that are reached. Those that are not there are left out: that
/// they are missing is a fault of the document. The turn is to be held until the document is read.
pub(crate) async fn datasets(
    state: &AppState,
    access: &Access,
    document: &Value,
) -> Result<(Datasets, Option<SemaphorePermit<'static>>), ApiError> {
    let names = named_datasets(document);
    let mut loaded = Datasets::new();
    if names.is_empty() {
        return Ok((loaded, None));
    }
    let turn = TURNS
        .acquire()
        .await
        .map_err(|error| ApiError::internal(&error))?;
    let mut connection = state.connection().await?;
    for name in names {
        if let Some(found) = datasets::find(&mut connection, access, &name).await? {
            let rows = datasets::all_rows(&mut connection, found.id).await?;
            // Deleted in between, it is not there.
            if !rows.is_empty() {
                let reference = DatasetReference {
                    id: found.id,
                    name: found.name,
                    sha256: found.sha256,
                };
                loaded.insert(name, Dataset { reference, rows });
            }
        }
    }
    Ok((loaded, Some(turn)))
}
