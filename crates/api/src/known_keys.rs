//! Keys that were looked up a moment ago, so that a client that asks often costs no look-up each time.

use crate::errors::ApiError;
use crate::keys::hash;
use chrono::Utc;
use frugal_store::PgPool;
use frugal_store::keys::{self, Hash, Key};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a key is known without asking: so long a revoked one may go on, at a server that did not
/// revoke it itself.
pub(crate) const KNOWN_FOR: Duration = Duration::from_secs(2);

/// Keys by their hashes, with when they were looked up. As many as there are keys, at most.
#[derive(Debug, Default)]
pub(crate) struct KnownKeys(Mutex<HashMap<Hash, (Instant, Arc<Key>)>>);

impl KnownKeys {
    /// The key with this text, if it is good. Its use is noted.
    pub(crate) async fn find(
        &self,
        pool: &PgPool,
        text: &str,
    ) -> Result<Option<Arc<Key>>, ApiError> {
        let hash = hash(text);
        let now = Utc::now();
        let known = self.map().get(&hash).cloned();
        if let Some((seen, key)) = known
            && seen.elapsed() < KNOWN_FOR
            && key.expires_at.is_none_or(|expiry| expiry > now)
        {
            return Ok(Some(key));
        }
        let mut connection = pool.acquire().await?;
        let Some(key) = keys::find(&mut connection, &hash, now).await? else {
            self.map().remove(&hash);
            return Ok(None);
        };
        keys::note_use(&mut connection, &key, now).await?;
        let key = Arc::new(key);
        self.map().insert(hash, (Instant::now(), key.clone()));
        Ok(Some(key))
    }

    /// Whether this was a good key when it was looked up last.
    pub(crate) fn has_seen(&self, text: &str) -> bool {
        self.map().contains_key(&hash(text))
    }

    /// Forgets all: one of them was revoked.
    pub(crate) fn forget(&self) {
        self.map().clear();
    }

    /// The map. A panic while it was locked leaves it whole: every change to it is one step.
    fn map(&self) -> MutexGuard<'_, HashMap<Hash, (Instant, Arc<Key>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
