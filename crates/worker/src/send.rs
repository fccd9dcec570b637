//! One request: store it, send it, store what became of it. Its worst case is set aside by the
//! job's loop before it comes here.

use crate::context::Context;
use crate::error::DriveError;
use crate::halt::Cause;
use crate::judge;
use crate::past;
use crate::prompt::{rendered, reuse_key};
use chrono::Utc;
use frugal_domain::money::Spend;
use frugal_domain::request::{RequestKey, ResponseId, Scope};
use frugal_llm::{
    Attempts, Choice, Completion, CompletionRequest, Permission, PromptInput, RequestError,
    SendGuard,
};
use frugal_scoring::RenderedPrompt;
use frugal_store::requests::{
    self, Answered, Failure, FailureKind, NewRequest, Sending, Settled, Settling,
};
use frugal_store::responses::StoredResponse;
use frugal_tuning::{RequestEnd, RequestToSend, without_ids};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long to wait before an answer that could not be stored is stored again.
const RETRY_STORE: Duration = Duration::from_millis(250);

/// A request with how it ended.
pub(crate) struct Sent {
    pub key: RequestKey,
    pub end: RequestEnd,
}

/// Sends a request and stores what becomes of it.
///
/// # Errors
/// The database failed, or the lease is lost.
pub(crate) async fn send(context: &Context, request: RequestToSend) -> Result<Sent, DriveError> {
    let key = request.key;
    let sampling = &request.settings.sampling;
    let row = &context.data.rows(request.split())[request.instance];
    let prompt = match &request.judged {
        Some(judged) => judge::question(context, row, judged).await?,
        None => rendered(&context.prompts, row, sampling)?,
    };
    let guard = Guard {
        context,
        key,
        worst_case: request.worst_case,
        new: NewRequest {
            key,
            instance: u32::try_from(request.instance)?,
            n: request.n,
            max_tokens: request.max_tokens,
            worst_case: request.worst_case,
            reuse_key: match request.judged {
                Some(_) => None,
                None => Some(reuse_key(context.model(sampling.model), sampling, &prompt)),
            },
            question: request.judged.as_ref().map(judge::stored),
        },
        failed: Mutex::new(None),
    };
    let wire = completion_request(context, &request, prompt);
    let begun = Instant::now();
    let access = &context.models[sampling.model];
    let admittance = access
        .entrance
        .admittance(context.claim.job, asked_tokens(&request));
    let result = access
        .client
        .complete_admitted(&wire, None, &guard, &admittance)
        .await;
    access.sight.note(&result, request.worst_case, Utc::now());
    if let Some(error) = guard.into_failure() {
        return Err(error);
    }
    if let Err(RequestError::Withdrawn { attempts }) = result {
        let end = withdraw(context, &request, attempts).await?;
        return Ok(Sent { key, end });
    }
    // What the answering attempt took; waiting and attempts before it say nothing of the
    // configuration.
    let latency = result
        .as_ref()
        .map_or_else(|_| begun.elapsed(), |completion| completion.latency);
    let latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
    let settled = Arc::new(settled(context, &request, result));
    store(context, key, &settled, latency_ms).await?;
    if let Settled::Failed { failure, .. } = &*settled {
        log_once(context, sampling.model, failure);
    }
    let end = RequestEnd::Settled(past::settled(&settled, latency_ms));
    if let Settled::Answered(answer) = Arc::unwrap_or_clone(settled) {
        keep_texts(context, key, answer);
    }
    Ok(Sent { key, end })
}

/// Tokens of a request as endpoints count them against a rate: on arrival, every response at its
/// longest, and the prompt once for each, though it is billed once (openai/openai-python #605).
fn asked_tokens(request: &RequestToSend) -> u64 {
    let completion = u64::from(request.n) * u64::from(request.max_tokens);
    request
        .prompt_tokens
        .saturating_mul(request.n.into())
        .saturating_add(completion)
}

/// Answers for the money and the record of a request: it is in the database, with its worst case,
/// before its first attempt, and with one more before each further attempt that may cost as much
/// again. Then neither retries nor a crash among them pass the budget.
struct Guard<'a> {
    context: &'a Context,
    key: RequestKey,
    worst_case: Spend,
    new: NewRequest,
    failed: Mutex<Option<DriveError>>,
}

impl Guard<'_> {
    /// Why an attempt could not be recorded, if one could not.
    fn into_failure(self) -> Option<DriveError> {
        self.failed
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing more is to be sent.
    fn stopped(&self) -> bool {
        let cause = self.context.halt.cause();
        cause.is_some_and(|cause| cause.stops(self.key.purpose))
            || self.context.tuning().sends_nothing_for(self.key.purpose)
    }

    async fn record(&self, first: bool) -> Result<(), DriveError> {
        let claim = self.context.claim;
        if first {
            let sending = Sending {
                claim,
                request: self.new,
                at: Utc::now(),
            };
            self.context.writes.send(sending).await?;
        } else {
            let mut connection = self.context.pool.acquire().await?;
            requests::raise(&mut connection, claim, self.key, self.worst_case).await?;
        }
        Ok(())
    }
}

impl SendGuard for Guard<'_> {
    async fn may_send(&self, before: Attempts, last_possibly_billed: bool) -> Permission {
        if self.stopped() {
            return Permission::Withdrawn;
        }
        // Another worker may have the job by now, and what it has sent.
        if !self.context.lease.clone().is_held().await {
            return Permission::Withdrawn;
        }
        let first = before.made == 0;
        if !first && !last_possibly_billed {
            return Permission::Granted;
        }
        if !first && !self.context.tuning().may_send_again(self.key) {
            return Permission::GivenUp;
        }
        match self.record(first).await {
            Ok(()) => Permission::Granted,
            Err(error) => {
                let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                *failed = Some(error);
                Permission::Withdrawn
            }
        }
    }

    async fn withdrawn(&self) {
        let mut seen = None;
        while !seen.is_some_and(|cause: Cause| cause.stops(self.key.purpose)) {
            seen = self.context.halt.above(seen).await;
        }
    }
}

/// What becomes of a request whose answer is not wanted any more and that is not in flight.
async fn withdraw(
    context: &Context,
    request: &RequestToSend,
    attempts: Attempts,
) -> Result<RequestEnd, DriveError> {
    if attempts.made == 0 {
        return Ok(RequestEnd::NotSent);
    }
    let cost = attempts.uncertain(request.worst_case);
    let mut connection = context.pool.acquire().await?;
    requests::give_up(
        &mut connection,
        context.claim,
        request.key,
        cost,
        Utc::now(),
    )
    .await?;
    Ok(RequestEnd::GivenUp { cost: Some(cost) })
}

/// Tells the operator why requests of a job fail: once for each model and reason.
fn log_once(context: &Context, model: usize, failure: &Failure) {
    if !context.is_new_failure(model, without_ids(&failure.detail)) {
        return;
    }
    let choice = context.model(model);
    tracing::warn!(
        endpoint = choice.endpoint,
        model = choice.model,
        scope = failure.scope.map(Scope::as_str),
        reason = failure.detail,
        "a request of the job has failed; others with this reason are not logged"
    );
}

/// What became of a request.
fn settled(
    context: &Context,
    request: &RequestToSend,
    result: Result<Completion, RequestError>,
) -> Settled {
    let worst = request.worst_case;
    match result {
        Ok(completion) => {
            let prices = context.model(request.settings.sampling.model).prices;
            let answer = Answered {
                usage: completion.usage,
                usage_estimated: completion.usage_estimated,
                cost: Spend::with_cache(completion.usage, completion.usage_details, prices),
                uncertain: completion.attempts.uncertain(worst),
                responses: completion.choices.into_iter().map(response).collect(),
            };
            Settled::Answered(answer)
        }
        Err(error) => Settled::Failed {
            failure: failure(&error),
            uncertain: error.attempts().uncertain(worst),
        },
    }
}

/// Why a request has no completion, as it is stored.
fn failure(error: &RequestError) -> Failure {
    let reason = error.to_string();
    match error {
        RequestError::Infeasible { parameter, .. } => Failure {
            kind: FailureKind::Infeasible,
            scope: error.scope(),
            detail: match parameter {
                Some(name) if !reason.contains(name.as_str()) => format!("{name}: {reason}"),
                _ => reason,
            },
        },
        // What is a matter of time is no refusal.
        RequestError::Failed {
            transient: true, ..
        }
        | RequestError::Withdrawn { .. } => Failure {
            kind: FailureKind::Failed,
            scope: None,
            detail: reason,
        },
        RequestError::Failed { .. } | RequestError::Fatal { .. } => Failure {
            kind: FailureKind::Failed,
            scope: error.scope(),
            detail: reason,
        },
    }
}

fn response(choice: Choice) -> StoredResponse {
    StoredResponse {
        text: choice.text,
        finish_reason: choice.finish_reason,
        estimated_tokens: choice.estimated_tokens,
    }
}

/// Stores what became of a request. It is paid for, so while the database is away this waits
/// for it, until the lease is lost or that has lasted too long.
async fn store(
    context: &Context,
    key: RequestKey,
    settled: &Arc<Settled>,
    latency_ms: u64,
) -> Result<(), DriveError> {
    let at = Utc::now();
    let mut waiting_until = None;
    loop {
        let settling = Settling {
            claim: context.claim,
            key,
            settled: Arc::clone(settled),
            latency_ms,
            at,
        };
        let stored = context.writes.settle(settling).await;
        let error = match stored {
            Err(error) if error.is_unavailable() => error,
            stored => return Ok(stored?),
        };
        let until = *waiting_until.get_or_insert_with(|| {
            tracing::warn!(%error, "an answer waits for the database");
            Instant::now() + context.outage
        });
        if context.halt.cause() == Some(Cause::Lost) || Instant::now() >= until {
            return Err(error.into());
        }
        tokio::time::sleep(RETRY_STORE).await;
    }
}

/// Keeps the texts at hand until they are scored.
fn keep_texts(context: &Context, key: RequestKey, answer: Answered) {
    let mut arrived = context.arrived();
    for (position, response) in (0..).zip(answer.responses) {
        let id = ResponseId {
            job: None,
            request: key,
            position,
        };
        arrived.insert(id, response.into());
    }
}

/// The request on the wire. Every tuned setting is sent in so many words.
fn completion_request(
    context: &Context,
    request: &RequestToSend,
    prompt: RenderedPrompt,
) -> CompletionRequest {
    let sampling = &request.settings.sampling;
    CompletionRequest {
        model: context.model(sampling.model).model.clone(),
        prompt: match prompt {
            RenderedPrompt::Text(text) => PromptInput::Text(text),
            RenderedPrompt::Messages(messages) => PromptInput::Messages(messages),
        },
        n: request.n,
        max_tokens: request.max_tokens,
        temperature: sampling.temperature,
        top_p: sampling.top_p,
        stop: sampling.stop.clone(),
        seed: Some(request.seed.into()),
        extra: sampling.extra.clone(),
    }
}
