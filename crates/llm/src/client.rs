//! The client of one endpoint: attempts, waits, and what comes of them.

use crate::admission::{Admission, AttemptEnd, Blame, EndpointState, InFlight, Permit};
use crate::classify::{self, AttemptFault, Verdict};
use crate::error::{Attempts, ClientError, RequestError};
use crate::key::ApiKey;
use crate::redact;
use crate::request::{Choice, Completion, CompletionRequest};
use crate::retry::{self, Backoff};
use crate::transport::{Broken, HttpAnswer, Transport};
use crate::usage;
use crate::wire::{self, Call};
use chrono::{DateTime, Utc};
use frugal_domain::endpoint::Endpoint;
use frugal_domain::money::Usage;
use frugal_domain::request::FinishReason;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout_at};
use tracing::debug;

/// The client of one endpoint. Clones share connections, the limit on requests in flight, and
/// the jitter's generator.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    endpoint: Endpoint,
    key: Option<ApiKey>,
    transport: Transport,
    backoff: Backoff,
    in_flight: Semaphore,
    jitter: Mutex<ChaCha8Rng>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("name", &self.inner.name)
            .field("base_url", &self.inner.endpoint.base_url)
            .finish_non_exhaustive()
    }
}

/// Whoever answers for the money. It is asked before every attempt, when nothing else is in the
/// way of it any more.
pub trait SendGuard: Sync {
    /// Whether the request may be sent. `before` counts the attempts so far. Where the last of them
    /// may have been billed, sending it once more may cost its worst case once more.
    fn may_send(
        &self,
        before: Attempts,
        last_possibly_billed: bool,
    ) -> impl Future<Output = Permission> + Send;

    /// Comes to its end once nothing more is to be sent. Requests that wait are then withdrawn at
    /// once.
    fn withdrawn(&self) -> impl Future<Output = ()> + Send;
}

/// What a guard says to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// It may be made.
    Granted,
    /// It may not, and the request has failed with what went wrong before.
    GivenUp,
    /// It may not, as the answer is not wanted any more.
    Withdrawn,
}

/// Lets everything pass.
struct Unguarded;

impl SendGuard for Unguarded {
    async fn may_send(&self, _: Attempts, _: bool) -> Permission {
        Permission::Granted
    }

    async fn withdrawn(&self) {
        std::future::pending::<()>().await;
    }
}

/// How one attempt ended.
enum AttemptOutcome {
    Completed(Completion),
    Faulty(AttemptFault, Option<Duration>),
}

impl Client {
    /// A client with the usual waits and a jitter of its own.
    ///
    /// # Errors
    /// The endpoint's entry makes no sense, or the HTTP client does not start.
    pub fn new(name: &str, endpoint: &Endpoint, key: Option<ApiKey>) -> Result<Self, ClientError> {
        // The hasher's keys are the standard library's one source of randomness. The jitter
        // only spreads requests over time, so nothing that is replayed depends on it.
        let seed = RandomState::new().hash_one(name);
        Self::with_backoff(name, endpoint, key, Backoff::default(), seed)
    }

    /// A client with given waits, and a jitter that is drawn from `seed`.
    ///
    /// # Errors
    /// As for [`Client::new`].
    pub fn with_backoff(
        name: &str,
        endpoint: &Endpoint,
        key: Option<ApiKey>,
        backoff: Backoff,
        seed: u64,
    ) -> Result<Self, ClientError> {
        endpoint
            .validate()
            .map_err(|source| ClientError::Endpoint {
                endpoint: name.to_owned(),
                source,
            })?;
        let transport = Transport::new(name, &endpoint.base_url, key.as_ref())?;
        let permits = usize::try_from(endpoint.limits.requests_in_flight).unwrap_or(usize::MAX);
        Ok(Self {
            inner: Arc::new(Inner {
                name: name.to_owned(),
                endpoint: endpoint.clone(),
                key,
                transport,
                backoff,
                in_flight: Semaphore::new(permits.min(Semaphore::MAX_PERMITS)),
                jitter: Mutex::new(ChaCha8Rng::seed_from_u64(seed)),
            }),
        })
    }

    /// Sends a request, again where that may help, until `deadline` at the latest. Waiting for
    /// other requests to end counts too.
    ///
    /// Dropping the future stops everything at once. The attempt in flight may then be billed,
    /// which the caller has to count at its worst case, as it does for
    /// [`Attempts::possibly_billed`].
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn complete(
        &self,
        request: &CompletionRequest,
        deadline: Option<Instant>,
    ) -> Result<Completion, RequestError> {
        self.complete_guarded(request, deadline, &Unguarded).await
    }

    /// As [`Self::complete`], but each attempt is made only if `guard` agrees.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn complete_guarded(
        &self,
        request: &CompletionRequest,
        deadline: Option<Instant>,
        guard: &impl SendGuard,
    ) -> Result<Completion, RequestError> {
        let admission = InFlight(&self.inner.in_flight);
        self.complete_admitted(request, deadline, guard, &admission)
            .await
    }

    /// As [`Self::complete_guarded`], but `admission` says when attempts may be made, in place of
    /// the client's own limit on requests in flight.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn complete_admitted(
        &self,
        request: &CompletionRequest,
        deadline: Option<Instant>,
        guard: &impl SendGuard,
        admission: &impl Admission,
    ) -> Result<Completion, RequestError> {
        let mut attempts = Attempts::default();
        // Attempts that are not the request's own fault.
        let mut spared = 0;
        let call = self.prepare(request)?;
        let deadline = deadline.map(tokio::time::Instant::from_std);
        // What went wrong last, for when the time runs out.
        let mut last = None;
        let mut last_possibly_billed = false;
        loop {
            // Held during the attempt alone: who waits for the next one is not in flight.
            let acquired = async {
                match deadline {
                    Some(deadline) => timeout_at(deadline, admission.admit(last.is_some())).await,
                    None => Ok(admission.admit(last.is_some()).await),
                }
            };
            let permit = tokio::select! {
                permit = acquired => permit,
                () = guard.withdrawn() => return Err(RequestError::Withdrawn { attempts }),
            };
            let Ok(permit) = permit else {
                return Err(self.gave_up(
                    last,
                    "the deadline passed before the request could be sent",
                    attempts,
                ));
            };
            match guard.may_send(attempts, last_possibly_billed).await {
                Permission::Granted => {}
                Permission::GivenUp => {
                    return Err(self.gave_up(last, "it is not sent again", attempts));
                }
                Permission::Withdrawn => return Err(RequestError::Withdrawn { attempts }),
            }
            attempts.made += 1;
            let start = tokio::time::Instant::now();
            let (outcome, status) = self.attempt(request, &call, deadline).await;
            let blame = permit.ended(&self.end_of(&outcome, status, start.elapsed()));
            let (fault, asked_for) = match outcome {
                AttemptOutcome::Completed(completion) => {
                    return Ok(Completion {
                        attempts,
                        ..completion
                    });
                }
                AttemptOutcome::Faulty(fault, asked_for) => (fault, asked_for),
            };
            last_possibly_billed = fault.possibly_billed;
            attempts.possibly_billed += u32::from(last_possibly_billed);
            let reason = self.fit_for_users(&fault.reason);
            match fault.verdict {
                Verdict::Filtered => return Ok(filtered(request, attempts, start.elapsed()).await),
                Verdict::Infeasible(parameter) => {
                    return Err(RequestError::Infeasible {
                        reason,
                        parameter,
                        attempts,
                    });
                }
                Verdict::Fatal => return Err(RequestError::Fatal { reason, attempts }),
                Verdict::Failed => {
                    return Err(RequestError::Failed {
                        reason,
                        transient: false,
                        retry_after: asked_for,
                        attempts,
                    });
                }
                Verdict::Transient => last = Some((reason, asked_for)),
            }
            if blame == Blame::Endpoint {
                spared += 1;
                continue;
            }
            if attempts.made - spared >= self.inner.endpoint.limits.max_attempts {
                return Err(self.gave_up(last, "no attempt is left", attempts));
            }
            let wait = self.wait(attempts.made - spared, asked_for);
            let next = tokio::time::Instant::now() + wait;
            if deadline.is_some_and(|deadline| next >= deadline) {
                return Err(self.gave_up(
                    last,
                    "the deadline comes before the next attempt",
                    attempts,
                ));
            }
            tokio::select! {
                () = sleep(wait) => {}
                () = guard.withdrawn() => return Err(RequestError::Withdrawn { attempts }),
            }
        }
    }

    /// The request as it is sent, or why it cannot be.
    fn prepare(&self, request: &CompletionRequest) -> Result<Call, RequestError> {
        let endpoint = &self.inner.endpoint;
        let Some(model) = endpoint.model(&request.model) else {
            let reason = format!(
                "endpoint {} does not offer model {}",
                self.inner.name, request.model
            );
            return Err(RequestError::Fatal {
                reason: redact::one_line(&reason, None),
                attempts: Attempts::default(),
            });
        };
        wire::encode(request, model, endpoint.api_of(model)).map_err(|refused| {
            RequestError::Infeasible {
                reason: redact::one_line(&refused.reason, None),
                parameter: Some(refused.setting.to_owned()),
                attempts: Attempts::default(),
            }
        })
    }

    async fn attempt(
        &self,
        request: &CompletionRequest,
        call: &Call,
        deadline: Option<tokio::time::Instant>,
    ) -> (AttemptOutcome, Option<u16>) {
        let start = tokio::time::Instant::now();
        let timeout = Duration::from_secs(self.inner.endpoint.limits.request_timeout_seconds);
        let end = deadline.map_or(start + timeout, |deadline| deadline.min(start + timeout));
        let answer = self
            .inner
            .transport
            .post(call.path, call.body.clone(), end)
            .await;
        let latency = start.elapsed();
        let status = answer.as_ref().ok().map(|answer| answer.status);
        let outcome = match answer {
            Ok(answer) if (200..300).contains(&answer.status) => {
                read(request, call, answer.body, latency).await
            }
            Ok(answer) => refused(call, &answer),
            Err(broken) => AttemptOutcome::Faulty(fault_of(broken), None),
        };
        let verdict = match &outcome {
            AttemptOutcome::Completed(_) => None,
            AttemptOutcome::Faulty(fault, _) => Some(&fault.verdict),
        };
        // No text of the prompt, the responses or the endpoint's errors, and no key.
        debug!(
            endpoint = %self.inner.name,
            model = %request.model,
            n = request.n,
            max_tokens = request.max_tokens,
            status,
            ?verdict,
            latency_ms = latency.as_millis(),
            "attempt ended"
        );
        (outcome, status)
    }

    /// What an attempt tells those who wait for the same endpoint.
    fn end_of(
        &self,
        outcome: &AttemptOutcome,
        status: Option<u16>,
        latency: Duration,
    ) -> AttemptEnd {
        match outcome {
            AttemptOutcome::Completed(completion) => AttemptEnd {
                state: EndpointState::Working,
                asked_for: None,
                latency: completion.latency,
                completion_tokens: completion.usage.completion_tokens,
                reason: None,
            },
            AttemptOutcome::Faulty(fault, asked_for) => AttemptEnd {
                state: state_of(fault, status),
                asked_for: *asked_for,
                latency,
                completion_tokens: 0,
                reason: Some(self.fit_for_users(&fault.reason)),
            },
        }
    }

    fn wait(&self, made: u32, asked_for: Option<Duration>) -> Duration {
        let mut jitter = self
            .inner
            .jitter
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.inner.backoff.wait(made, asked_for, &mut *jitter)
    }

    fn gave_up(
        &self,
        last: Option<(String, Option<Duration>)>,
        why: &str,
        attempts: Attempts,
    ) -> RequestError {
        let (reason, retry_after) = match last {
            Some((reason, retry_after)) => (format!("{why}; {reason}"), retry_after),
            None => (why.to_owned(), None),
        };
        RequestError::Failed {
            reason: self.fit_for_users(&reason),
            transient: true,
            retry_after,
            attempts,
        }
    }

    fn fit_for_users(&self, reason: &str) -> String {
        redact::one_line(reason, self.inner.key.as_ref().map(ApiKey::reveal))
    }
}

/// Reads an answer with a status of success. Counting tokens is work for a thread of its own.
async fn read(
    request: &CompletionRequest,
    call: &Call,
    body: Vec<u8>,
    latency: Duration,
) -> AttemptOutcome {
    let max_tokens = request.max_tokens;
    let counted = tokio::task::spawn_blocking(move || {
        wire::decode(&body).map(|reply| {
            let counted = |raw| usage::counted(raw, max_tokens);
            let choices: Vec<Choice> = reply.choices.into_iter().map(counted).collect();
            (choices, reply.usage)
        })
    });
    let (mut choices, reported) = match counted.await {
        Ok(Ok(counted)) => counted,
        Ok(Err(fault)) => {
            return AttemptOutcome::Faulty(classify::unusable(&fault, &call.settings), None);
        }
        Err(_) => return AttemptOutcome::Faulty(lost_to_shutdown(), None),
    };
    let prompt_is_missing = reported.prompt_tokens.is_none_or(|tokens| tokens == 0);
    let prompt_tokens = if prompt_is_missing {
        count_prompt(request).await
    } else {
        0
    };
    let (usage, usage_estimated) = usage::settle(reported, &choices, || prompt_tokens);
    choices.truncate(usize::try_from(request.n).unwrap_or(usize::MAX));
    AttemptOutcome::Completed(Completion {
        usage,
        usage_estimated,
        choices,
        attempts: Attempts::default(),
        latency,
    })
}

fn state_of(fault: &AttemptFault, status: Option<u16>) -> EndpointState {
    match status {
        _ if fault.verdict != Verdict::Transient => EndpointState::Working,
        Some(429) => EndpointState::RateLimited,
        // Too early, or in conflict with another: the endpoint is up and says so.
        Some(409 | 425) => EndpointState::Working,
        Some(502 | 503 | 504 | 520..=530) => EndpointState::Unavailable,
        // Nothing was sent: there was no connection.
        None if !fault.possibly_billed => EndpointState::Unavailable,
        _ => EndpointState::BrokenDown,
    }
}

async fn count_prompt(request: &CompletionRequest) -> u64 {
    let prompt = request.prompt.clone();
    let counted =
        tokio::task::spawn_blocking(move || frugal_tokens::count_prompt(prompt.counted())).await;
    // Only a runtime that is shutting down gives none, and then nobody reads it.
    counted.unwrap_or(1)
}

/// The runtime stopped between the answer and its reading.
fn lost_to_shutdown() -> AttemptFault {
    AttemptFault {
        verdict: Verdict::Failed,
        reason: "the program is stopping".to_owned(),
        possibly_billed: true,
    }
}

fn refused(call: &Call, answer: &HttpAnswer) -> AttemptOutcome {
    let fault = classify::refusal(answer.status, &answer.body, &call.settings);
    let now = DateTime::<Utc>::from(SystemTime::now());
    let asked_for = retry::asked_for(&answer.headers, now);
    AttemptOutcome::Faulty(fault, asked_for)
}

fn fault_of(broken: Broken) -> AttemptFault {
    let verdict = match broken {
        Broken::Connect | Broken::Exchange | Broken::TimedOut => Verdict::Transient,
        Broken::TooLarge => Verdict::Failed,
    };
    AttemptFault {
        verdict,
        reason: broken.to_string(),
        possibly_billed: broken != Broken::Connect,
    }
}

/// The most empty responses that are made up at once; a caller who wants more asks again.
const MOST_MADE_UP: usize = 1_024;

/// What a refused prompt comes to: every response empty, for the filter's sake. Some endpoints
/// bill the prompt all the same.
async fn filtered(
    request: &CompletionRequest,
    attempts: Attempts,
    latency: Duration,
) -> Completion {
    let choice = Choice {
        text: String::new(),
        finish_reason: FinishReason::ContentFilter,
        estimated_tokens: 1,
    };
    Completion {
        usage: Usage {
            prompt_tokens: count_prompt(request).await,
            completion_tokens: 0,
        },
        usage_estimated: true,
        choices: vec![
            choice;
            usize::try_from(request.n).map_or(MOST_MADE_UP, |n| n.min(MOST_MADE_UP))
        ],
        attempts,
        latency,
    }
}
