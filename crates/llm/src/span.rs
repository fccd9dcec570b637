//! The span of an attempt, for traces: what was asked of which model and what it came to, and no text of the
//! prompt, the responses or the endpoint's errors.

use crate::attempt::AttemptOutcome;
use crate::classify::Verdict;
use crate::encode::Call;
use crate::request::CompletionRequest;
use tracing::Span;
use tracing::field::Empty;

/// The span of the attempt of this number, from 1, at a deployment.
pub(crate) fn of_attempt(
    endpoint: &str,
    deployment: &str,
    request: &CompletionRequest,
    call: &Call,
    number: u32,
) -> Span {
    tracing::trace_span!(
        "attempt",
        endpoint,
        deployment,
        model = request.model,
        api = call.api,
        n = call.n,
        max_tokens = request.max_tokens,
        number,
        status = Empty,
        fault = Empty,
        prompt_tokens = Empty,
        completion_tokens = Empty
    )
}

/// Notes how the attempt ended.
pub(crate) fn note_end(span: &Span, outcome: &AttemptOutcome, status: Option<u16>) {
    if let Some(status) = status {
        span.record("status", status);
    }
    match outcome {
        AttemptOutcome::Completed(answer) => {
            let usage = answer.settled.usage;
            span.record("prompt_tokens", usage.prompt_tokens);
            span.record("completion_tokens", usage.completion_tokens);
        }
        AttemptOutcome::Faulty(fault, _) => {
            span.record("fault", word(&fault.verdict));
        }
    }
}

/// A verdict in a word. What comes with it may be the endpoint's.
const fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Infeasible(_) => "infeasible",
        Verdict::Filtered => "filtered",
        Verdict::Transient => "transient",
        Verdict::Limited => "limited",
        Verdict::Failed(_) => "failed",
        Verdict::Fatal(_) => "fatal",
    }
}
