//! Hooks that are asked for scores: many responses in a message, each message's scores stored as they come.

use crate::context::Context;
use crate::error::DriveError;
use crate::halt::Cause;
use crate::in_hand::{InHand, Said};
use crate::selector::with_preference;
use crate::stored::{self, stored_key};
use chrono::{SecondsFormat, Utc};
use frugal_domain::request::Purpose;
use frugal_evaluation::ScoreKey;
use frugal_scoring::{HookItem, Pending, read_scores};
use frugal_store::scores::{NewScore, Score};
use frugal_webhook::{Hook, Undelivered};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The most bytes of the items of one message. One item by itself may have more.
const MOST_BYTES: usize = 1024 * 1024;

/// Why no more hooks are asked.
pub(crate) enum Ended {
    /// The job is to stop.
    CutOff,
    /// A hook cannot be used.
    Unusable(String),
}

/// A part of a response's score that a hook is asked for.
struct Asked {
    /// Which of the responses.
    place: usize,
    key: ScoreKey,
    part: usize,
    item: HookItem,
}

/// Asks hooks for what they are wanted for now. Whether any was.
///
/// # Errors
/// The database failed, or the lease is lost.
pub(crate) async fn ask(
    context: &Context,
    purpose: Purpose,
    in_hand: &mut [InHand],
) -> Result<Result<bool, Ended>, DriveError> {
    let messages = messages(context, in_hand)?;
    if messages.is_empty() {
        return Ok(Ok(false));
    }
    let deliveries = messages
        .into_iter()
        .map(|(hook, asked)| deliver(context, hook, asked));
    let mut deliveries: FuturesUnordered<_> = deliveries.collect();
    loop {
        let delivered = tokio::select! {
            delivered = deliveries.next() => delivered,
            () = halted(context, purpose) => return Ok(Err(Ended::CutOff)),
        };
        let (asked, scores) = match delivered {
            None => return Ok(Ok(true)),
            Some(Ok(delivered)) => delivered,
            Some(Err(undelivered)) => {
                tracing::warn!(
                    hook = undelivered.hook,
                    reason = undelivered.reason,
                    "the job ends"
                );
                return Ok(Err(Ended::Unusable(undelivered.to_string())));
            }
        };
        take(context, in_hand, asked, scores).await?;
    }
}

/// Waits until there is a reason not to ask for this purpose any more.
async fn halted(context: &Context, purpose: Purpose) {
    let mut seen = None;
    loop {
        let cause: Option<Cause> = context.halt.above(seen).await;
        if cause.is_some_and(|cause| cause.stops(purpose)) {
            return;
        }
        seen = cause;
    }
}

/// What each hook is asked, message by message.
fn messages<'c>(
    context: &'c Context,
    in_hand: &[InHand],
) -> Result<Vec<(&'c Hook, Vec<Asked>)>, DriveError> {
    let mut by_hook: BTreeMap<String, Vec<Asked>> = BTreeMap::new();
    for (place, one) in in_hand.iter().enumerate() {
        let Ok(assessed) = &one.assessed else {
            continue;
        };
        for part in assessed.wanted() {
            if let Some(Pending::Webhook(item)) = assessed.pending(part) {
                by_hook.entry(item.hook.clone()).or_default().push(Asked {
                    place,
                    key: one.plan.key,
                    part,
                    item: item.clone(),
                });
            }
        }
    }
    let mut messages = Vec::new();
    for (name, asked) in by_hook {
        let hook = context.hooks.get(&name).ok_or_else(|| {
            DriveError::Endpoint(format!(
                "the webhook `{name}` is no longer listed by this server; ask its operator"
            ))
        })?;
        let mut message: Vec<Asked> = Vec::new();
        let mut bytes = 0;
        for one in asked {
            let more = one.item.bytes();
            let is_full = message.len() >= hook.batch_size() || bytes + more > MOST_BYTES;
            if is_full && !message.is_empty() {
                messages.push((hook, std::mem::take(&mut message)));
                bytes = 0;
            }
            bytes += more;
            message.push(one);
        }
        messages.push((hook, message));
    }
    Ok(messages)
}

async fn deliver(
    context: &Context,
    hook: &Hook,
    asked: Vec<Asked>,
) -> Result<(Vec<Asked>, Vec<Result<f64, String>>), Undelivered> {
    let job = context.claim.job.to_string();
    let now = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
    let body = HookItem::message(Some(&job), &now, asked.iter().map(|one| &one.item));
    let id = id(&job, &asked);
    let read = |answer: &[u8]| read_scores(answer, asked.len());
    let scores = hook.deliver(&id, body.as_bytes(), read).await?;
    Ok((asked, scores))
}

/// The id of a message: the same whoever asks for the same scores, after a crash too.
fn id(job: &str, asked: &[Asked]) -> String {
    let places = asked.iter().map(|one| {
        let ScoreKey {
            response,
            max_tokens,
            instance,
        } = one.key;
        let request = response.request;
        json!([
            response.job,
            request.purpose.as_str(),
            request.trial.0,
            request.ordinal,
            response.position,
            max_tokens,
            instance,
            one.part
        ])
    });
    let places: Vec<_> = places.collect();
    let digest = Sha256::digest(json!([job, places]).to_string());
    let digits = digest.iter().take(16).map(|byte| format!("{byte:02x}"));
    format!("msg_{}", digits.collect::<String>())
}

/// Stores the scores of a message, and tells them.
async fn take(
    context: &Context,
    in_hand: &mut [InHand],
    asked: Vec<Asked>,
    scores: Vec<Result<f64, String>>,
) -> Result<(), DriveError> {
    let by_part = frugal_scoring::keeps_parts(&context.spec().scorer);
    let mut new = Vec::with_capacity(asked.len());
    for (one, score) in asked.iter().zip(&scores) {
        let part = u32::try_from(one.part)?;
        let score: Score = score.clone().map(Into::into);
        let preference = in_hand.get(one.place).map(|of| of.preference.clone());
        new.push(NewScore {
            key: stored_key(one.key)?,
            part: by_part.then_some(part),
            score: match preference.filter(|_| !by_part) {
                Some(preference) => with_preference(score, preference),
                None => score,
            },
        });
    }
    stored::store(context, &new).await?;
    for (one, score) in asked.into_iter().zip(scores) {
        let Some(of) = in_hand.get_mut(one.place) else {
            continue;
        };
        if let Ok(assessed) = &mut of.assessed {
            assessed.tell(one.part, score.clone());
        }
        of.is_stored = !by_part;
        of.new.push(Said {
            part: one.part,
            score,
            is_stored: true,
        });
    }
    Ok(())
}
