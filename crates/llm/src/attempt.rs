//! What one attempt brought: a completion, or a fault with what to do about it.

use crate::calibration::Calibration;
use crate::classify::{self, Absence, AttemptFault, Circumstances, Refusal, Verdict};
use crate::decode::coding::{self, CodingFault};
use crate::decode::{self, Unusable};
use crate::error::Scope;
use crate::request::{Choice, CompletionRequest};
use crate::transport::{Broken, HttpAnswer, MOST_BYTES, MOST_ERROR_BYTES, Transport};
use crate::usage::{self, Asked, Settled};
use frugal_domain::money::{Usage, UsageDetails};
use frugal_domain::request::FinishReason;
use reqwest::header::{CONTENT_ENCODING, LOCATION};
use std::time::Duration;

/// How one attempt ended.
#[derive(Debug)]
pub(crate) enum AttemptOutcome {
    Completed(Answer),
    /// With the wait that the endpoint asks for.
    Faulty(AttemptFault, Option<Duration>),
}

/// An answer that was read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) settled: Settled,
    /// At most as many as were asked for.
    pub(crate) choices: Vec<Choice>,
    pub(crate) mended: bool,
    pub(crate) streamed: bool,
    pub(crate) reconnected: bool,
    pub(crate) latency: Duration,
}

/// Why the body of an answer with a status of success is no reply.
enum Unread {
    TooLarge,
    Unusable(Unusable),
}

/// Reads an answer with a status of success. Decompressing it and counting tokens is work for a
/// thread of its own.
pub(crate) async fn read(
    request: &CompletionRequest,
    about: Circumstances<'_>,
    answer: HttpAnswer,
    latency: Duration,
    calibration: Calibration,
) -> AttemptOutcome {
    let asked = Asked {
        n: about.n,
        max_tokens: request.max_tokens,
        prompt_bytes: request.prompt.bytes(),
    };
    let codings = answer
        .header(CONTENT_ENCODING)
        .unwrap_or_default()
        .to_owned();
    let reconnected = answer.reconnected;
    let read = tokio::task::spawn_blocking(move || {
        let body =
            coding::decoded(answer.body, &codings, MOST_BYTES).map_err(|fault| match fault {
                CodingFault::TooLarge(_) => Unread::TooLarge,
                CodingFault::Unreadable => Unread::Unusable(Unusable::Unreadable),
            })?;
        let reply = decode::decode(&body).map_err(Unread::Unusable)?;
        let counted = usage::counted(reply.choices, reply.usage, asked.max_tokens);
        Ok((counted, reply.usage, reply.mended, reply.streamed))
    });
    let (counted, reported, mended, streamed) = match read.await {
        Ok(Ok(read)) => read,
        Ok(Err(Unread::Unusable(fault))) => {
            return AttemptOutcome::Faulty(classify::unusable(&fault, about), None);
        }
        Ok(Err(Unread::TooLarge)) => {
            return AttemptOutcome::Faulty(fault_of(Broken::TooLarge), None);
        }
        Err(_) => return AttemptOutcome::Faulty(lost_to_shutdown(), None),
    };
    let prompt_tokens = if usage::prompt_is_missing(reported, asked) {
        count_prompt(request).await
    } else {
        0
    };
    let settled = usage::settle(reported, &counted, asked, calibration, || prompt_tokens);
    let mut choices = counted.choices;
    choices.truncate(usize::try_from(request.n).unwrap_or(usize::MAX));
    AttemptOutcome::Completed(Answer {
        settled,
        choices,
        mended,
        streamed,
        reconnected,
        latency,
    })
}

/// Judges an answer without a status of success. `wait` finds the wait that it asks for in its body,
/// with the resets of quotas where a quota is what it is about.
pub(crate) fn refused(
    about: Circumstances<'_>,
    answer: &HttpAnswer,
    transport: &Transport,
    wait: impl Fn(&[u8], bool) -> Option<Duration>,
) -> AttemptOutcome {
    let codings = answer.header(CONTENT_ENCODING).unwrap_or_default();
    let body = match coding::decoded(answer.body.clone(), codings, MOST_ERROR_BYTES) {
        Ok(body) | Err(CodingFault::TooLarge(body)) => body,
        Err(CodingFault::Unreadable) => Vec::new(),
    };
    let location = answer
        .header(LOCATION)
        .and_then(|location| transport.target(location));
    let asked_for = wait(&body, answer.status == 429);
    let refusal = Refusal {
        status: answer.status,
        body: &body,
        location: location.as_deref(),
        asks_to_wait: asked_for.is_some(),
    };
    let fault = classify::refusal(refusal, about);
    AttemptOutcome::Faulty(fault, asked_for)
}

/// What a broken exchange comes to.
pub(crate) fn fault_of(broken: Broken) -> AttemptFault {
    let reason = broken.to_string();
    match broken {
        Broken::Connect(_) => AttemptFault {
            absence: Some(Absence::Unreachable),
            ..AttemptFault::new(Verdict::Transient, reason, false)
        },
        Broken::Exchange | Broken::TimedOut => AttemptFault::new(Verdict::Transient, reason, true),
        Broken::TooLarge => AttemptFault::new(Verdict::Failed(Scope::Row), reason, true),
    }
}

/// The runtime stopped between the answer and its reading.
fn lost_to_shutdown() -> AttemptFault {
    AttemptFault::new(Verdict::Failed(Scope::Row), "the program is stopping", true)
}

async fn count_prompt(request: &CompletionRequest) -> u64 {
    let prompt = request.prompt.clone();
    let counted =
        tokio::task::spawn_blocking(move || frugal_tokens::count_prompt(prompt.counted())).await;
    // Only a runtime that is shutting down gives none, and then nobody reads it.
    counted.unwrap_or(1)
}

/// The most empty responses that are made up at once; a caller who wants more asks again.
const MOST_MADE_UP: usize = 1_024;

/// What a refused prompt comes to: every response empty, for the filter's sake. Some endpoints
/// bill the prompt all the same.
pub(crate) async fn filtered(request: &CompletionRequest, latency: Duration) -> Answer {
    let choice = Choice {
        text: String::new(),
        finish_reason: FinishReason::ContentFilter,
        estimated_tokens: 1,
    };
    let responses = usize::try_from(request.n).map_or(MOST_MADE_UP, |n| n.min(MOST_MADE_UP));
    Answer {
        settled: Settled {
            usage: Usage {
                prompt_tokens: count_prompt(request).await,
                completion_tokens: 0,
            },
            details: UsageDetails::default(),
            estimated: true,
            impossible: 0,
            measured: None,
        },
        choices: vec![choice; responses],
        mended: false,
        streamed: false,
        reconnected: false,
        latency,
    }
}
