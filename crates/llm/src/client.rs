//! The client of one endpoint: attempts, waits, and what comes of them.

use crate::abilities::{Abilities, Adaptation, MAX_TOKENS, Responses};
use crate::admission::{Admission, AttemptEnd, Blame, EndpointState, InFlight, Permit};
use crate::asked_wait;
use crate::attempt::{self, Answer, AttemptOutcome};
use crate::calibration::{Calibration, Measured};
use crate::classify::{Absence, AttemptFault, Circumstances, Refused, Verdict};
use crate::deployments::{Chosen, Deployments, Heard, Next};
use crate::encode::{self, Call};
use crate::error::{Attempts, ClientError, RequestError, Scope};
use crate::guard::{Permission, SendGuard, Unguarded};
use crate::key::Secrets;
use crate::redact;
use crate::request::{Completion, CompletionRequest, Diagnostics};
use crate::span;
use chrono::{DateTime, Utc};
use frugal_domain::backoff::Backoff;
use frugal_domain::endpoint::{Endpoint, Model};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout_at};
use tracing::{Instrument, debug, info, warn};

/// The client of one endpoint. Clones share connections, the limit on requests in flight, and
/// the jitter's generator.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    endpoint: Endpoint,
    secrets: Secrets,
    deployments: Deployments,
    backoff: Backoff,
    in_flight: Semaphore,
    jitter: Mutex<ChaCha8Rng>,
    known: Mutex<BTreeMap<String, Known>>,
}

/// What was found out about a model.
#[derive(Debug, Clone, Default)]
struct Known {
    learned: Abilities,
    /// The places of the deployments by which it answered.
    answered_by: BTreeSet<usize>,
    calibration: Calibration,
    responses: Responses,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("name", &self.inner.name)
            .field("base_url", &self.inner.endpoint.base_url)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client with the usual waits and a jitter of its own.
    ///
    /// # Errors
    /// The endpoint's entry makes no sense, or the HTTP client does not start.
    pub fn new(name: &str, endpoint: &Endpoint, secrets: Secrets) -> Result<Self, ClientError> {
        // The hasher's keys are the standard library's one source of randomness. The jitter
        // only spreads requests over time, so nothing that is replayed depends on it.
        let seed = RandomState::new().hash_one(name);
        Self::with_backoff(name, endpoint, secrets, Backoff::default(), seed)
    }

    /// A client with given waits, and a jitter that is drawn from `seed`.
    ///
    /// # Errors
    /// As for [`Client::new`].
    pub fn with_backoff(
        name: &str,
        endpoint: &Endpoint,
        secrets: Secrets,
        backoff: Backoff,
        seed: u64,
    ) -> Result<Self, ClientError> {
        endpoint
            .validate()
            .map_err(|source| ClientError::Endpoint {
                endpoint: name.to_owned(),
                source,
            })?;
        let deployments = Deployments::new(name, endpoint, &secrets)?;
        let permits = usize::try_from(endpoint.limits.requests_in_flight).unwrap_or(usize::MAX);
        Ok(Self {
            inner: Arc::new(Inner {
                name: name.to_owned(),
                endpoint: endpoint.clone(),
                secrets,
                deployments,
                backoff,
                in_flight: Semaphore::new(permits.min(Semaphore::MAX_PERMITS)),
                jitter: Mutex::new(ChaCha8Rng::seed_from_u64(seed)),
                known: Mutex::default(),
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
    /// A parameter that is refused before anything ran is sent under its other name or left out where
    /// that leaves what is asked as it is, and `n` is made smaller, so that fewer responses come than
    /// were asked for. What is found out that way is [remembered](Self::learned).
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
        let deadline = deadline.map(tokio::time::Instant::from_std);
        let model = self.model(request)?;
        let stated = Abilities::stated(model);
        let mut adaptation = Adaptation::new(stated, self.learned(&request.model));
        let mut course = Course::default();
        let mut call = self.encode(request, model, &adaptation, &course)?;
        loop {
            // Held during the attempt alone: who waits for the next one is not in flight.
            let acquired = async {
                let admitted = admission.admit(course.last.is_some());
                match deadline {
                    Some(deadline) => timeout_at(deadline, admitted).await,
                    None => Ok(admitted.await),
                }
            };
            let permit = tokio::select! {
                permit = acquired => permit,
                () = guard.withdrawn() => return Err(course.withdrawn()),
            };
            let Ok(permit) = permit else {
                let why = "the deadline passed before the request could be sent";
                return Err(self.gave_up(course, why));
            };
            let granted = guard.may_send(course.attempts, course.last_possibly_billed);
            match granted.await {
                Permission::Granted => {}
                Permission::GivenUp => return Err(self.gave_up(course, "it is not sent again")),
                Permission::Withdrawn => return Err(course.withdrawn()),
            }
            course.attempts.made += 1;
            let start = tokio::time::Instant::now();
            let chosen = self.choose(&request.model, course.tried, start);
            let deployment = &chosen.deployment.name;
            let number = course.attempts.made;
            let span = span::of_attempt(&self.inner.name, deployment, request, &call, number);
            let attempt = self.attempt(&chosen, request, &call, deadline);
            let (mut outcome, status) = attempt.instrument(span.clone()).await;
            span::note_end(&span, &outcome, status);
            drop(span);
            let place = chosen.place;
            course.tried = Some(place);
            let next = self.hear(&chosen, &request.model, &outcome, status);
            // What waits for its next attempt is not in flight.
            drop(chosen);
            if next == Next::Elsewhere {
                // The endpoint as a whole is not to blame.
                drop(permit);
                if let AttemptOutcome::Faulty(fault, _) = outcome {
                    course.note(&fault);
                    course.faults += u32::from(fault.verdict == Verdict::Transient);
                    course.diagnostics.rate_limited += u32::from(fault.verdict == Verdict::Limited);
                    course.last = Some((self.fit_for_users(&fault.reason), None));
                }
                if course.faults >= self.inner.endpoint.limits.max_attempts {
                    return Err(self.out_of_attempts(course, &request.model));
                }
                continue;
            }
            hold_until_one_is_back(&mut outcome, next);
            let end = self.end_of(&request.model, &outcome, status, start.elapsed());
            let blame = permit.ended(&end);
            let (fault, asked_for) = match outcome {
                AttemptOutcome::Completed(answer) => {
                    let measured = answer.settled.measured;
                    let came = u32::try_from(answer.choices.len()).unwrap_or(u32::MAX);
                    self.remember(&request.model, place, adaptation.found(), measured);
                    self.count(&request.model, call.n, came);
                    return Ok(course.completion(answer));
                }
                AttemptOutcome::Faulty(fault, asked_for) => (fault, asked_for),
            };
            course.note(&fault);
            let reason = self.fit_for_users(&fault.reason);
            let wait = match fault.verdict {
                Verdict::Filtered => {
                    let answer = attempt::filtered(request, start.elapsed()).await;
                    return Ok(course.completion(answer));
                }
                Verdict::Infeasible(refused) => {
                    if !fault.possibly_billed && adaptation.adapt(&refused, call.n) {
                        call = self.encode(request, model, &adaptation, &course)?;
                        course.diagnostics.adaptations += 1;
                        continue;
                    }
                    return Err(RequestError::Infeasible {
                        reason,
                        parameter: blamed(refused, &adaptation),
                        attempts: course.attempts,
                    });
                }
                Verdict::Fatal(scope) => {
                    return Err(RequestError::Fatal {
                        scope,
                        reason,
                        attempts: course.attempts,
                    });
                }
                Verdict::Failed(scope) => {
                    return Err(RequestError::Failed {
                        reason,
                        transient: false,
                        scope: Some(scope),
                        retry_after: asked_for,
                        attempts: course.attempts,
                    });
                }
                Verdict::Limited => {
                    course.last = Some((reason, asked_for));
                    course.diagnostics.rate_limited += 1;
                    let since = *course.limited_since.get_or_insert(start);
                    if since.elapsed() >= self.patience() {
                        let why = "the endpoint refused it for as long as it may wait";
                        return Err(self.gave_up(course, why));
                    }
                    if blame == Blame::Endpoint {
                        continue;
                    }
                    self.wait(course.diagnostics.rate_limited, asked_for)
                }
                Verdict::Transient => {
                    course.last = Some((reason, asked_for));
                    if blame == Blame::Endpoint {
                        continue;
                    }
                    course.faults += 1;
                    course.no_replies += u32::from(fault.absence == Some(Absence::NoReply));
                    course.absences += u32::from(fault.absence.is_some());
                    if course.faults >= self.inner.endpoint.limits.max_attempts {
                        return Err(self.out_of_attempts(course, &request.model));
                    }
                    self.wait(course.faults, asked_for)
                }
            };
            let next = tokio::time::Instant::now() + wait;
            if deadline.is_some_and(|deadline| next >= deadline) {
                let why = "the deadline comes before the next attempt";
                return Err(self.gave_up(course, why));
            }
            tokio::select! {
                () = sleep(wait) => {}
                () = guard.withdrawn() => return Err(course.withdrawn()),
            }
        }
    }

    /// What was learned of a model from refusals, the operator's word left aside.
    #[must_use]
    pub fn learned(&self, model: &str) -> Abilities {
        let known = self.known();
        known
            .get(model)
            .map(|known| known.learned.clone())
            .unwrap_or_default()
    }

    /// Sets what is known of a model from elsewhere, such as an earlier run.
    pub fn set_learned(&self, model: &str, learned: Abilities) {
        self.known().entry(model.to_owned()).or_default().learned = learned;
    }

    /// What the model of this endpoint is taken to be able to: the operator's word, and what was
    /// learned where that says nothing. None where the endpoint does not offer it.
    #[must_use]
    pub fn abilities(&self, model: &str) -> Option<Abilities> {
        let stated = Abilities::stated(self.inner.endpoint.model(model)?);
        Some(stated.or(self.learned(model)))
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.inner
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn has_answered(&self, model: &str) -> bool {
        let known = self.known();
        known
            .get(model)
            .is_some_and(|known| !known.answered_by.is_empty())
    }

    fn has_answered_by(&self, model: &str, place: usize) -> bool {
        let known = self.known();
        known
            .get(model)
            .is_some_and(|known| known.answered_by.contains(&place))
    }

    fn choose(&self, model: &str, tried: Option<usize>, now: tokio::time::Instant) -> Chosen<'_> {
        self.inner.deployments.choose(model, tried, now)
    }

    /// Tells the deployments how an attempt ended. Where a request may go next.
    fn hear(
        &self,
        chosen: &Chosen<'_>,
        model: &str,
        outcome: &AttemptOutcome,
        status: Option<u16>,
    ) -> Next {
        let heard = match outcome {
            AttemptOutcome::Completed(_) => Heard::Working,
            AttemptOutcome::Faulty(fault, asked_for) => match fault.verdict {
                Verdict::Limited => Heard::Limited(*asked_for),
                Verdict::Fatal(scope) => Heard::Refused(scope),
                _ => match state_of(fault, status, self.has_answered_by(model, chosen.place)) {
                    EndpointState::Unavailable => Heard::Away,
                    EndpointState::BrokenDown => Heard::BrokenDown,
                    EndpointState::Working | EndpointState::RateLimited => Heard::Working,
                },
            },
        };
        let now = tokio::time::Instant::now();
        let next = self.inner.deployments.hear(chosen.place, model, heard, now);
        if next != Next::Nowhere
            && let AttemptOutcome::Faulty(fault, _) = outcome
        {
            let reason = self.fit_for_users(&fault.reason);
            let (endpoint, deployment) = (&self.inner.name, &chosen.deployment.name);
            match heard {
                Heard::Refused(_) => {
                    warn!(%endpoint, %deployment, model, reason, "a deployment refuses, and rests");
                }
                _ => info!(%endpoint, %deployment, model, reason, "a deployment rests"),
            }
        }
        next
    }

    /// How the endpoint is known to count a model's tokens.
    fn calibration(&self, model: &str) -> Calibration {
        let known = self.known();
        known
            .get(model)
            .map(|known| known.calibration)
            .unwrap_or_default()
    }

    /// Keeps that a model answered and by which deployment, what it had to be asked like, and how its
    /// tokens were counted.
    fn remember(
        &self,
        model: &str,
        place: usize,
        found: Option<Abilities>,
        measured: Option<Measured>,
    ) {
        let mut known = self.known();
        let known = known.entry(model.to_owned()).or_default();
        known.answered_by.insert(place);
        if let Some(measured) = measured {
            known.calibration.learn(measured);
        }
        if let Some(found) = found {
            known.learned = found.or(std::mem::take(&mut known.learned));
        }
    }

    /// Keeps how many of the responses that a model was asked for came.
    fn count(&self, model: &str, asked: u32, came: u32) {
        let mut known = self.known();
        let known = known.entry(model.to_owned()).or_default();
        if let Some(most) = known.responses.learn(asked, came) {
            known.learned.max_n = Some(most);
        }
    }

    fn model(&self, request: &CompletionRequest) -> Result<&Model, RequestError> {
        self.inner.endpoint.model(&request.model).ok_or_else(|| {
            let reason = format!(
                "endpoint {} does not offer model {}",
                self.inner.name, request.model
            );
            RequestError::Fatal {
                scope: Scope::Model,
                reason: redact::one_line(&reason, None),
                attempts: Attempts::default(),
            }
        })
    }

    /// The request as it is sent, or why it cannot be.
    fn encode(
        &self,
        request: &CompletionRequest,
        model: &Model,
        adaptation: &Adaptation,
        course: &Course,
    ) -> Result<Call, RequestError> {
        let endpoint = &self.inner.endpoint;
        encode::encode(request, model, endpoint, adaptation.abilities()).map_err(|refused| {
            RequestError::Infeasible {
                reason: redact::one_line(&refused.reason, None),
                parameter: Some(refused.setting),
                attempts: course.attempts,
            }
        })
    }

    async fn attempt(
        &self,
        chosen: &Chosen<'_>,
        request: &CompletionRequest,
        call: &Call,
        deadline: Option<tokio::time::Instant>,
    ) -> (AttemptOutcome, Option<u16>) {
        let start = tokio::time::Instant::now();
        let timeout = Duration::from_secs(self.inner.endpoint.limits.request_timeout_seconds);
        let end = deadline.map_or(start + timeout, |deadline| deadline.min(start + timeout));
        let Chosen { place, deployment } = chosen;
        let transport = &deployment.transport;
        let path = deployment.path(call.api, &request.model);
        let answer = transport.post(&path, call.body.clone(), end).await;
        let latency = start.elapsed();
        let status = answer.as_ref().ok().map(|answer| answer.status);
        let about = Circumstances {
            settings: &call.settings,
            n: call.n,
            model: &request.model,
            has_answered: self.has_answered_by(&request.model, *place),
            has_version: transport.has_version(),
        };
        let outcome = match answer {
            Ok(answer) if (200..300).contains(&answer.status) => {
                let calibration = self.calibration(&request.model);
                attempt::read(request, about, answer, latency, calibration).await
            }
            Ok(answer) => {
                let now = DateTime::<Utc>::from(SystemTime::now());
                let wait = |body: &[u8], limited| {
                    asked_wait::asked_for(&answer.headers, body, limited, now)
                };
                attempt::refused(about, &answer, transport, wait)
            }
            Err(broken) => AttemptOutcome::Faulty(attempt::fault_of(broken), None),
        };
        let verdict = match &outcome {
            AttemptOutcome::Completed(_) => None,
            AttemptOutcome::Faulty(fault, _) => Some(&fault.verdict),
        };
        // No text of the prompt, the responses or the endpoint's errors, and no key.
        debug!(
            endpoint = %self.inner.name,
            deployment = %deployment.name,
            model = %request.model,
            n = call.n,
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
        model: &str,
        outcome: &AttemptOutcome,
        status: Option<u16>,
        latency: Duration,
    ) -> AttemptEnd {
        match outcome {
            AttemptOutcome::Completed(answer) => AttemptEnd {
                state: EndpointState::Working,
                asked_for: None,
                latency: answer.latency,
                completion_tokens: answer.settled.usage.completion_tokens,
                reason: None,
            },
            AttemptOutcome::Faulty(fault, asked_for) => AttemptEnd {
                state: state_of(fault, status, self.has_answered(model)),
                asked_for: *asked_for,
                latency,
                completion_tokens: 0,
                reason: Some(self.fit_for_users(&fault.reason)),
            },
        }
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(self.inner.endpoint.limits.rate_limit_patience_seconds)
    }

    fn wait(&self, made: u32, asked_for: Option<Duration>) -> Duration {
        let mut jitter = self
            .inner
            .jitter
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.inner.backoff.wait(made, asked_for, jitter.random())
    }

    /// The end of a request whose attempts are used up. Where nothing but pages for people came, and
    /// never anything else, there is no endpoint.
    fn out_of_attempts(&self, course: Course, model: &str) -> RequestError {
        if course.no_replies == course.faults && !self.has_answered(model) {
            let (reason, _) = course.last.unwrap_or_default();
            return RequestError::Fatal {
                scope: Scope::Endpoint,
                reason,
                attempts: course.attempts,
            };
        }
        self.gave_up(course, "no attempt is left")
    }

    fn gave_up(&self, course: Course, why: &str) -> RequestError {
        let is_absent = course.absences > 0 && course.absences == course.faults;
        let (reason, retry_after) = match course.last {
            Some((reason, retry_after)) => (format!("{why}; {reason}"), retry_after),
            None => (why.to_owned(), None),
        };
        RequestError::Failed {
            reason: self.fit_for_users(&reason),
            transient: true,
            scope: is_absent.then_some(Scope::Endpoint),
            retry_after,
            attempts: course.attempts,
        }
    }

    fn fit_for_users(&self, reason: &str) -> String {
        redact::one_line(reason, self.inner.secrets.reveal())
    }
}

fn state_of(fault: &AttemptFault, status: Option<u16>, has_answered: bool) -> EndpointState {
    let is_page = fault.absence == Some(Absence::NoReply);
    match (&fault.verdict, status) {
        (Verdict::Limited, _) => EndpointState::RateLimited,
        // A page for people where no model ever answered is no outage, but another address.
        (Verdict::Transient, Some(200..=299)) if is_page && !has_answered => EndpointState::Working,
        // Too early, or in conflict with another: the endpoint is up and says so.
        (Verdict::Transient, Some(409 | 425)) => EndpointState::Working,
        (Verdict::Transient, Some(502 | 503 | 504 | 520..=530)) => EndpointState::Unavailable,
        // Nothing was sent: there was no connection.
        (Verdict::Transient, None) if !fault.possibly_billed => EndpointState::Unavailable,
        (Verdict::Transient, _) => EndpointState::BrokenDown,
        _ => EndpointState::Working,
    }
}

/// Where every deployment rests, and some of them only for a while, none of their refusals is the last
/// word: the request waits for the first to come back.
fn hold_until_one_is_back(outcome: &mut AttemptOutcome, next: Next) {
    if let (AttemptOutcome::Faulty(fault, asked_for), Next::After(span)) = (outcome, next) {
        if matches!(fault.verdict, Verdict::Fatal(_)) {
            fault.verdict = Verdict::Limited;
        }
        if fault.verdict == Verdict::Limited {
            *asked_for = Some(span);
        }
    }
}

/// A request on its way.
#[derive(Debug, Default)]
struct Course {
    attempts: Attempts,
    last_possibly_billed: bool,
    /// Attempts that count against those that a request may have.
    faults: u32,
    /// Those of them that were answered with what no model says, such as a page for people.
    no_replies: u32,
    /// Those of them that speak for it that there is no endpoint.
    absences: u32,
    /// The deployment that the last attempt went to.
    tried: Option<usize>,
    /// When the first attempt was refused because too much was asked just then.
    limited_since: Option<tokio::time::Instant>,
    /// What went wrong last and which wait was asked for, for when the time runs out.
    last: Option<(String, Option<Duration>)>,
    diagnostics: Diagnostics,
}

impl Course {
    fn note(&mut self, fault: &AttemptFault) {
        self.last_possibly_billed = fault.possibly_billed;
        self.attempts.possibly_billed += u32::from(fault.possibly_billed);
    }

    fn withdrawn(&self) -> RequestError {
        RequestError::Withdrawn {
            attempts: self.attempts,
        }
    }

    fn completion(self, answer: Answer) -> Completion {
        let settled = answer.settled;
        Completion {
            usage: settled.usage,
            usage_estimated: settled.estimated,
            usage_details: settled.details,
            diagnostics: Diagnostics {
                impossible_counts: settled.impossible,
                mended: answer.mended,
                streamed: answer.streamed,
                reconnections: u32::from(answer.reconnected),
                ..self.diagnostics
            },
            choices: answer.choices,
            attempts: self.attempts,
            latency: answer.latency,
        }
    }
}

/// The parameter to blame, by the name that jobs have for it.
fn blamed(refused: Refused, adaptation: &Adaptation) -> Option<String> {
    let name = refused.name?;
    match name == adaptation.abilities().max_tokens_name() {
        true => Some(MAX_TOKENS.to_owned()),
        false => Some(name),
    }
}
