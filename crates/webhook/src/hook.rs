//! One hook, and how a message comes to it.

use crate::error::{HookError, Undelivered};
use crate::posting::{self, Fault, broken, refused};
use crate::signer::Signer;
use frugal_domain::backoff::Backoff;
use frugal_domain::endpoint::Webhook;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// The most bytes of an answer that are read.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// How long it may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A hook. A clone is the same one, and has the same messages under way.
#[derive(Debug, Clone)]
pub struct Hook {
    name: String,
    entry: Webhook,
    signer: Signer,
    http: reqwest::Client,
    backoff: Backoff,
    turns: Arc<Semaphore>,
}

impl Hook {
    /// A hook of this name.
    ///
    /// # Errors
    /// No client of HTTP can be made for it.
    pub fn new(name: &str, entry: &Webhook, signer: Signer) -> Result<Self, HookError> {
        let http = posting::client(name, |client| {
            client
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(Duration::from_secs(entry.timeout_seconds.into()))
        })?;
        let at_once = usize::try_from(entry.concurrency).unwrap_or(1);
        Ok(Self {
            name: name.to_owned(),
            entry: entry.clone(),
            signer,
            http,
            backoff: Backoff::default(),
            turns: Arc::new(Semaphore::new(at_once.max(1))),
        })
    }

    /// The same hook with other waits between attempts.
    #[must_use]
    pub fn with_backoff(self, backoff: Backoff) -> Self {
        Self { backoff, ..self }
    }

    /// The most items of one message.
    #[must_use]
    pub fn batch_size(&self) -> usize {
        usize::try_from(self.entry.batch_size).unwrap_or(1).max(1)
    }

    /// Delivers a message, a JSON text, and has its answer read. The same message has the same `id`, however
    /// often it is sent; a hook may go by it. Attempts go on until one brings an answer that `read` takes.
    ///
    /// # Errors
    /// The hook refuses it, or no attempt brought an answer; the last fault.
    pub async fn deliver<T>(
        &self,
        id: &str,
        body: &[u8],
        read: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, Undelivered> {
        let undelivered = |reason: String, attempts| Undelivered {
            hook: self.name.clone(),
            reason,
            attempts,
        };
        let mut seed = DefaultHasher::new();
        id.hash(&mut seed);
        let mut made = 0;
        loop {
            made += 1;
            let fault = match self.attempt(id, body).await {
                Ok(answer) => match read(&answer) {
                    Ok(read) => return Ok(read),
                    Err(reason) => Fault::passing(reason),
                },
                Err(fault) => fault,
            };
            if !fault.may_pass || made >= self.entry.attempts {
                return Err(undelivered(fault.reason, made));
            }
            tracing::debug!(
                hook = self.name,
                id,
                made,
                reason = fault.reason,
                "a message is sent again"
            );
            // By the message and the attempt, so that those which wait at the same time come back apart.
            let seed = seed.finish().wrapping_add(u64::from(made));
            let lot = ChaCha8Rng::seed_from_u64(seed).random();
            tokio::time::sleep(self.backoff.wait(made, fault.asked_for, lot)).await;
        }
    }

    /// Sends it once, when it is its turn.
    async fn attempt(&self, id: &str, body: &[u8]) -> Result<Vec<u8>, Fault> {
        let _turn = self.turns.acquire().await;
        let posted = posting::post(&self.http, &self.entry.url, &self.signer, id, body);
        let (mut answer, now) = posted.await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut read = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(broken)? {
            if read.len() + chunk.len() > MOST_BYTES {
                let reason = format!("its answer is larger than {} MiB", MOST_BYTES >> 20);
                return Err(Fault::passing(reason));
            }
            read.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return Ok(read);
        }
        Err(refused(status, &headers, &read, now))
    }
}
