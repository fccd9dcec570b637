//! One request: reserve its worst case, store it, send it, store what became of it, score it.

use crate::DriveError;
use crate::context::Context;
use crate::halt::Cause;
use crate::supply::reuse_key;
use chrono::Utc;
use frugal_domain::configuration::Settings;
use frugal_domain::money::Spend;
use frugal_domain::request::Purpose;
use frugal_domain::request::RequestKey;
use frugal_domain::seed::mix;
use frugal_evaluation::{Answer, RequestFailure, RequestPlan, Reservation, Response};
use frugal_llm::{
    Attempts, Choice, Completion, CompletionRequest, PromptInput, RequestError, RetryGuard,
};
use frugal_scoring::RenderedPrompt;
use frugal_store::requests::{self, Failure, FailureKind, NewRequest, Settled};
use frugal_store::responses::StoredResponse;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long to wait before an answer that could not be stored is stored again.
const RETRY_STORE: Duration = Duration::from_millis(250);

/// What came of a request, for the evaluator.
pub(crate) type Reply = Result<Answer, RequestFailure>;

/// A request with what it belongs to.
#[derive(Clone, Copy)]
pub(crate) struct Planned<'a> {
    pub key: RequestKey,
    pub plan: RequestPlan,
    pub settings: &'a Settings,
}

/// The outcome of a planned request, and what it cost the job.
pub(crate) struct Done {
    pub ordinal: u32,
    pub reply: Reply,
    pub cost: Spend,
    pub replayed: bool,
}

impl Done {
    /// Whether the request was sent at all, now or before.
    pub(crate) const fn sent(&self) -> bool {
        !matches!(self.reply, Err(RequestFailure::Unaffordable))
    }
}

/// Answers a request from the database where it was settled before, else sends it.
///
/// # Errors
/// The job is to stop, the database failed, or the endpoint serves nothing at all.
pub(crate) async fn answer(context: &Context, planned: Planned<'_>) -> Result<Done, DriveError> {
    let ordinal = planned.plan.ordinal;
    if let Some(request) = context.settled.get(&planned.key) {
        if request.instance as usize != planned.plan.instance
            || request.n != planned.plan.n
            || request.max_tokens != planned.plan.max_tokens
        {
            return Err(DriveError::Internal(format!(
                "replay of trial {} planned another request {ordinal} than the one stored",
                planned.key.trial
            )));
        }
        // A long replay waits for nothing; the heart must beat all the same.
        tokio::task::yield_now().await;
        return Ok(Done {
            ordinal,
            reply: reply(context, planned, &request.settled, request.latency_ms),
            cost: request.settled.cost(),
            replayed: true,
        });
    }
    let Some(reservation) = reserve(context, planned).await? else {
        return Ok(Done {
            ordinal,
            reply: Err(RequestFailure::Unaffordable),
            cost: Spend::default(),
            replayed: false,
        });
    };
    let category = planned.key.purpose.into();
    match send(context, planned).await {
        Ok((settled, latency_ms, fatal)) => {
            let cost = settled.cost();
            let mut books = context.books();
            books.ledger.settle(reservation, cost, category);
            books.counts.add(&settled);
            if let Settled::Answered(answer) = &settled {
                books.progress.responses += answer.responses.len() as u64;
            }
            drop(books);
            context.freed.notify_waiters();
            if let Some(reason) = fatal {
                return Err(DriveError::Endpoint(reason));
            }
            Ok(Done {
                ordinal,
                reply: reply(context, planned, &settled, latency_ms),
                cost,
                replayed: false,
            })
        }
        Err(error) => {
            context.books().ledger.release(reservation);
            context.freed.notify_waiters();
            Err(error)
        }
    }
}

/// Sets the worst case aside. Where others' reservations are in the way it waits for them;
/// `None` where it does not fit even alone.
async fn reserve(
    context: &Context,
    planned: Planned<'_>,
) -> Result<Option<Reservation>, DriveError> {
    let worst = planned.plan.worst_case;
    loop {
        // Registered before looking, so that nothing given back in between is missed.
        let freed = context.freed.notified();
        let refused = match context.books().reserve(worst) {
            Ok(reservation) => return Ok(Some(reservation)),
            Err(refused) => refused,
        };
        if !refused.fits_alone {
            return Ok(None);
        }
        tokio::select! {
            () = freed => {}
            () = context.halt.thrown(planned.key.purpose) => return Err(DriveError::LetGo),
        }
    }
}

/// Stores the request, sends it, and stores what became of it. Also how many milliseconds it took,
/// and the reason where no other request can succeed either.
async fn send(
    context: &Context,
    planned: Planned<'_>,
) -> Result<(Settled, u64, Option<String>), DriveError> {
    let permit = tokio::select! {
        permit = context.in_flight.acquire() => permit,
        () = context.halt.thrown(planned.key.purpose) => return Err(DriveError::LetGo),
    };
    let _permit = permit.map_err(|_| DriveError::LetGo)?;
    if context.halt.stops(planned.key.purpose) {
        return Err(DriveError::LetGo);
    }
    let Planned {
        key,
        plan,
        settings,
    } = planned;
    let instance = u32::try_from(plan.instance)
        .map_err(|_| DriveError::Internal("more rows than can be numbered".to_owned()))?;
    let prompt = rendered(context, key.purpose, plan.instance, settings)?;
    let new = NewRequest {
        key,
        instance,
        n: plan.n,
        max_tokens: plan.max_tokens,
        worst_case: plan.worst_case,
        reuse_key: Some(reuse_key(context, settings, &prompt)),
    };
    let request = completion_request(context, planned, prompt);
    requests::send(
        &mut *context.pool.acquire().await?,
        context.claim,
        &[new],
        Utc::now(),
    )
    .await?;
    context.books().progress.requests += 1;

    let begun = Instant::now();
    let guard = Guard {
        context,
        planned,
        extra: Mutex::default(),
    };
    let client = &context.models[settings.sampling.model].client;
    let result = client.complete_guarded(&request, None, &guard).await;
    // What the answering attempt took; waiting and attempts before it say nothing of the
    // configuration.
    let latency = result
        .as_ref()
        .map_or_else(|_| begun.elapsed(), |completion| completion.latency);
    let latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
    let (settled, fatal) = settled(context, planned, result);
    store(context, key, &settled, latency_ms).await?;
    Ok((settled, latency_ms, fatal))
}

/// Reserves another worst case before a request is sent again that may have been billed, on the
/// books and in the database, so that neither retries nor a crash among them pass the budget.
struct Guard<'a> {
    context: &'a Context,
    planned: Planned<'a>,
    extra: Mutex<Vec<Reservation>>,
}

impl RetryGuard for Guard<'_> {
    async fn may_send_again(&self) -> bool {
        if self.context.halt.stops(self.planned.key.purpose) {
            return false;
        }
        let worst = self.planned.plan.worst_case;
        let Ok(reservation) = self.context.books().reserve(worst) else {
            return false;
        };
        self.extra
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(reservation);
        let raised = async {
            let mut connection = self.context.pool.acquire().await?;
            requests::raise(&mut connection, self.context.claim, self.planned.key, worst).await
        };
        raised.await.is_ok()
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let extra = std::mem::take(&mut *self.extra.lock().unwrap_or_else(PoisonError::into_inner));
        for reservation in extra {
            self.context.books().ledger.release(reservation);
        }
    }
}

/// What became of a request, and the reason where no other can succeed either.
fn settled(
    context: &Context,
    planned: Planned<'_>,
    result: Result<Completion, RequestError>,
) -> (Settled, Option<String>) {
    let worst = planned.plan.worst_case;
    let billed =
        |attempts: Attempts| -> Spend { (0..attempts.possibly_billed).map(|_| worst).sum() };
    let failed = |kind: FailureKind, detail: String, attempts: Attempts| Settled::Failed {
        failure: Failure { kind, detail },
        cost: billed(attempts),
    };
    match result {
        Ok(completion) => {
            let prices = context.spec().models[planned.settings.sampling.model].prices;
            let cost = Spend::of(completion.usage, prices) + billed(completion.attempts);
            let responses = completion
                .choices
                .into_iter()
                .map(stored_response)
                .collect();
            let answer = requests::Answered {
                usage: completion.usage,
                usage_estimated: completion.usage_estimated,
                cost,
                responses,
            };
            (Settled::Answered(answer), None)
        }
        Err(RequestError::Infeasible {
            reason, attempts, ..
        }) => (failed(FailureKind::Infeasible, reason, attempts), None),
        Err(RequestError::Failed {
            reason, attempts, ..
        }) => (failed(FailureKind::Failed, reason, attempts), None),
        Err(RequestError::Fatal { reason, attempts }) => (
            failed(FailureKind::Failed, reason.clone(), attempts),
            Some(reason),
        ),
    }
}

fn stored_response(choice: Choice) -> StoredResponse {
    StoredResponse {
        text: choice.text,
        finish_reason: choice.finish_reason,
        estimated_tokens: choice.estimated_tokens,
    }
}

/// Stores what became of a request. It is paid for, so while the database is away this waits
/// for it, until the lease is lost.
async fn store(
    context: &Context,
    key: RequestKey,
    settled: &Settled,
    latency_ms: u64,
) -> Result<(), DriveError> {
    loop {
        let stored = async {
            let mut connection = context.pool.acquire().await?;
            requests::settle(
                &mut connection,
                context.claim,
                key,
                settled,
                latency_ms,
                Utc::now(),
            )
            .await
        };
        match stored.await {
            Err(error) if error.is_unavailable() && context.halt.cause() != Some(Cause::LetGo) => {
                tracing::warn!(%error, "an answer waits for the database");
                tokio::time::sleep(RETRY_STORE).await;
            }
            result => return Ok(result?),
        }
    }
}

/// A settled request as the evaluator hears of it. Texts are scored here, the same way whether
/// they come from the endpoint or from the database.
fn reply(context: &Context, planned: Planned<'_>, settled: &Settled, latency_ms: u64) -> Reply {
    let answer = match settled {
        Settled::Answered(answer) => answer,
        Settled::Failed { failure, .. } => {
            let detail = failure.detail.clone();
            return Err(match failure.kind {
                FailureKind::Infeasible => RequestFailure::Infeasible(detail),
                FailureKind::Failed => RequestFailure::Failed(detail),
            });
        }
    };
    let row = &context.rows(planned.key.purpose)[planned.plan.instance];
    let mut responses = Vec::with_capacity(answer.responses.len());
    for response in &answer.responses {
        let score = context
            .scorer
            .score(row, &response.text)
            .map_err(|error| RequestFailure::Failed(format!("scoring failed: {error}")))?;
        responses.push(Response {
            estimated_tokens: response.estimated_tokens,
            ended: !response.finish_reason.is_cut(),
            score,
        });
    }
    Ok(Answer {
        usage: answer.usage,
        latency_ms,
        responses,
    })
}

/// The request on the wire. Every tuned setting is sent in so many words.
fn completion_request(
    context: &Context,
    planned: Planned<'_>,
    prompt: RenderedPrompt,
) -> CompletionRequest {
    let Planned {
        key,
        plan,
        settings,
    } = planned;
    CompletionRequest {
        model: context.spec().models[settings.sampling.model].model.clone(),
        prompt: prompt_input(prompt),
        n: plan.n,
        max_tokens: plan.max_tokens,
        temperature: settings.sampling.temperature,
        top_p: settings.sampling.top_p,
        stop: settings.sampling.stop.clone(),
        seed: Some(seed(context.spec().search.seed, key)),
        extra: settings.sampling.extra.clone(),
    }
}

/// The prompt of a row under some settings.
pub(crate) fn rendered(
    context: &Context,
    purpose: Purpose,
    row: usize,
    settings: &Settings,
) -> Result<RenderedPrompt, DriveError> {
    context.prompts[settings.sampling.prompt]
        .render(&context.rows(purpose)[row])
        .map_err(|error| DriveError::Internal(format!("prompt of row {row}: {error}")))
}

fn prompt_input(prompt: RenderedPrompt) -> PromptInput {
    match prompt {
        RenderedPrompt::Text(text) => PromptInput::Text(text),
        RenderedPrompt::Messages(messages) => PromptInput::Messages(messages),
    }
}

/// A seed for each request of its own, from the job's seed and the request's place in the job:
/// asked again after a crash, it is the same. 31 bits, which every endpoint takes.
fn seed(job: u64, key: RequestKey) -> i64 {
    let role = Purpose::ALL
        .iter()
        .position(|role| *role == key.purpose)
        .unwrap_or_default() as u64;
    let place = (u64::from(key.trial.0) << 32) | u64::from(key.ordinal);
    i64::from(u32::try_from(mix(mix(job ^ role) ^ place) >> 33).unwrap_or_default())
}
