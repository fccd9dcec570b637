//! Messages to addresses that clients named: each sent once by a call, whoever keeps it decides about the next.

use crate::error::HookError;
use crate::posting::{self, Fault, refused};
use crate::reach::{Reach, Resolver};
use crate::signer::Signer;
use frugal_domain::secret::Secret;
use std::sync::Arc;
use std::time::Duration;

/// How long an attempt may take.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How much of an answer is read: enough for what is told of one that refuses.
const MOST_READ: usize = 1_024;
/// What errors call the client.
const NAME: &str = "notifications";

/// A message.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Where it is posted to.
    pub url: &'a str,
    /// What it is signed with.
    pub secret: &'a Secret,
    /// The same for each attempt at it.
    pub id: &'a str,
    /// A JSON text.
    pub body: &'a str,
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotTaken {
    /// What was answered, if anything was.
    pub status: Option<u16>,
    /// In words.
    pub reason: String,
    /// How long the receiver asks to wait.
    pub asked_for: Option<Duration>,
}

impl From<Fault> for NotTaken {
    fn from(fault: Fault) -> Self {
        Self {
            status: None,
            reason: fault.reason,
            asked_for: fault.asked_for,
        }
    }
}

/// Posts messages to addresses that are allowed. A clone is the same one.
#[derive(Debug, Clone)]
pub struct Courier {
    http: reqwest::Client,
    reach: Arc<Reach>,
}

impl Courier {
    /// One that goes so far.
    ///
    /// # Errors
    /// No client of HTTP can be made.
    pub fn new(reach: Reach) -> Result<Self, HookError> {
        let reach = Arc::new(reach);
        let http = posting::client(NAME, |client| {
            client
                // A proxy would look names up by itself, and nobody would know where they lead.
                .no_proxy()
                .dns_resolver(Resolver(reach.clone()))
                .timeout(TIMEOUT)
        })?;
        Ok(Self { http, reach })
    }

    /// Sends a message once, and says with which status it was taken.
    ///
    /// # Errors
    /// It was not.
    pub async fn send(&self, message: Message<'_>) -> Result<u16, NotTaken> {
        let not_sent = |reason: String| NotTaken {
            status: None,
            reason,
            asked_for: None,
        };
        // What was allowed when the webhook was made may not be any more.
        let url = self.reach.check(message.url);
        let url = url.map_err(|problem| not_sent(format!("its URL {problem}")))?;
        let signer = Signer::new(message.secret.reveal())
            .map_err(|error| not_sent(format!("its secret {error}")))?;
        let body = message.body.as_bytes();
        let posted = posting::post(&self.http, url.as_str(), &signer, message.id, body);
        let (mut answer, now) = posted.await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        if status.is_success() {
            return Ok(status.as_u16());
        }
        let mut read = Vec::new();
        while let Ok(Some(chunk)) = answer.chunk().await {
            read.extend_from_slice(&chunk);
            if read.len() >= MOST_READ {
                read.truncate(MOST_READ);
                break;
            }
        }
        Err(NotTaken {
            status: Some(status.as_u16()),
            ..refused(status, &headers, &read, now).into()
        })
    }
}
