//! What brings events to the webhooks of owners: deliveries are made of what is new, and sent until they are taken.
//!
//! Any number of servers may do so at once. One of them at a time makes deliveries; each sends what no other is
//! sending. All that they know is in the database, so a restart loses nothing: what was being sent is sent again, under
//! the same id.

use crate::all_events::{self, Wanted};
use crate::broadcast::POLL;
use crate::state::AppState;
use crate::wire::{Event, message_id};
use chrono::{DateTime, TimeDelta, Utc};
use frugal_domain::access::Access;
use frugal_domain::delivery::DeliveryState;
use frugal_store::positions::{self, Positioned, Selection};
use frugal_store::webhooks::{self, Attempted, Due, NewDelivery, Webhook};
use frugal_webhook::{Courier, Message, NotTaken};
use std::time::Duration;
use tokio::task::JoinSet;

/// How many events deliveries are made of in one transaction.
const PAGE: u32 = 200;
/// How many messages one server has under way at once.
const AT_ONCE: usize = 16;
/// How long one that sends a message may take until another does: more than an attempt takes.
const HELD_FOR: TimeDelta = TimeDelta::seconds(60);
/// The waits between attempts, as Standard Webhooks suggests them: after the last one there is no other.
const WAITS: &[TimeDelta] = &[
    TimeDelta::seconds(5),
    TimeDelta::minutes(5),
    TimeDelta::minutes(30),
    TimeDelta::hours(2),
    TimeDelta::hours(5),
    TimeDelta::hours(10),
    TimeDelta::hours(14),
    TimeDelta::hours(20),
    TimeDelta::hours(24),
];
/// By how much of itself a wait is longer at most, so that those of a receiver that was away come apart.
const JITTER: f64 = 0.1;

/// Makes and sends deliveries until the shutdown.
pub(crate) async fn run(state: &AppState) {
    let courier = match Courier::new(state.guard().webhooks.clone()) {
        Ok(courier) => courier,
        Err(error) => {
            tracing::error!(%error, "no message can be sent to webhooks");
            return;
        }
    };
    let mut news = state.changes().subscribe_to_all();
    let running = async {
        let mut under_way = JoinSet::new();
        let mut may_be_new = true;
        loop {
            if may_be_new && let Err(error) = make_all(state).await {
                tell("made", &error);
            }
            if let Err(error) = begin_to_send(state, &courier, &mut under_way).await {
                tell("sent", &error);
            }
            may_be_new = tokio::select! {
                _ = tokio::time::timeout(POLL, news.changed()) => true,
                Some(_) = under_way.join_next() => false,
            };
        }
    };
    state.shutdown().run_until_cancelled(running).await;
}

/// Tells of what could not be done, and is tried again.
fn tell(what: &str, error: &frugal_store::Error) {
    if error.is_unavailable() {
        tracing::debug!(%error, "deliveries cannot be {what} for the moment");
    } else {
        tracing::error!(%error, "deliveries cannot be {what}");
    }
}

/// Begins to send what is due.
async fn begin_to_send(
    state: &AppState,
    courier: &Courier,
    under_way: &mut JoinSet<()>,
) -> Result<(), frugal_store::Error> {
    let free = AT_ONCE.saturating_sub(under_way.len());
    if free == 0 {
        return Ok(());
    }
    let mut connection = state.pool().acquire().await?;
    let most = u32::try_from(free).unwrap_or(1);
    let due = webhooks::take(&mut connection, most, HELD_FOR, Utc::now()).await?;
    for due in due {
        under_way.spawn(send(state.clone(), courier.clone(), due));
    }
    Ok(())
}

/// Makes deliveries of what is new. Where there is no webhook nothing is written.
async fn make_all(state: &AppState) -> Result<(), frugal_store::Error> {
    let any = webhooks::any(&mut *state.pool().acquire().await?).await?;
    while any && make(state).await? {}
    Ok(())
}

/// Makes deliveries of the next events. Whether there may be more.
async fn make(state: &AppState) -> Result<bool, frugal_store::Error> {
    let mut transaction = state.pool().begin().await?;
    let Some(after) = webhooks::made_through(&mut transaction).await? else {
        return Ok(false);
    };
    let settled = positions::settled(&mut transaction).await?.through;
    if settled <= after {
        return Ok(false);
    }
    let hooks = webhooks::all(&mut transaction).await?;
    let now = Utc::now();
    let all = Wanted {
        access: Access::OPEN,
        selection: Selection::default(),
    };
    let (rows, through) = all_events::page(&mut transaction, &all, (after, settled), PAGE).await?;
    let specs = state.all_events().specs(&mut transaction, &rows).await?;
    let mut new = Vec::new();
    for row in rows {
        let wanting: Vec<_> = hooks.iter().filter(|hook| wants(hook, &row)).collect();
        let Some(spec) = specs.get(&row.event.job_id).filter(|_| !wanting.is_empty()) else {
            continue;
        };
        let (position, job, name) = (row.position, row.event.job_id, row.event.body.name());
        let body = match serde_json::to_string(&Event::new(spec, row.event)) {
            Ok(body) => body,
            Err(error) => {
                tracing::error!(%error, "an event cannot be written");
                continue;
            }
        };
        new.extend(wanting.into_iter().map(|hook| NewDelivery {
            webhook: hook.id,
            position,
            job,
            r#type: name,
            body: body.clone(),
        }));
    }
    webhooks::make(&mut transaction, &new, through, now).await?;
    transaction.commit().await?;
    Ok(through < settled)
}

/// Whether a webhook is told of an event.
fn wants(hook: &Webhook, row: &Positioned) -> bool {
    let body = &row.event.body;
    let is_named = || hook.types.iter().any(|name| name == body.name());
    let has_label = |(key, value)| row.labels.get(key) == Some(value);
    hook.owner == row.owner
        && (body.is_terminal() || is_named())
        && hook.labels.iter().all(has_label)
}

/// Sends a delivery once and notes what came of it. Where that cannot be noted it is sent again.
async fn send(state: AppState, courier: Courier, due: Due) {
    let id = message_id(due.webhook, due.position);
    let message = Message {
        url: &due.url,
        secret: &due.secret,
        id: &id,
        body: &due.body,
    };
    let sent = courier.send(message).await;
    let now = Utc::now();
    let attempted = came_to(sent, due.attempt, now, lot(&due));
    let noted = async {
        let mut connection = state.pool().acquire().await?;
        webhooks::attempted(&mut connection, &due, &attempted, now).await
    };
    if let Err(error) = noted.await {
        tracing::warn!(%error, id, "what came of a message cannot be noted; it is sent again");
    }
}

/// A number from 0 to 1 that is the same for each attempt at the same delivery.
fn lot(due: &Due) -> f64 {
    let (high, low) = due.webhook.as_u64_pair();
    let mixed = (high ^ low ^ due.position.unsigned_abs()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    f64::from((mixed >> 32) as u32) / f64::from(u32::MAX)
}

/// Where an attempt leaves a delivery.
fn came_to(sent: Result<u16, NotTaken>, attempt: u32, now: DateTime<Utc>, lot: f64) -> Attempted {
    let not_taken = match sent {
        Ok(status) => {
            return Attempted {
                state: DeliveryState::Delivered,
                status: Some(status),
                fault: None,
                next_attempt_at: None,
            };
        }
        Err(not_taken) => not_taken,
    };
    // 410: the receiver wants no more.
    let wait = match not_taken.status {
        Some(410) => None,
        _ => usize::try_from(attempt.saturating_sub(1))
            .ok()
            .and_then(|made| WAITS.get(made)),
    };
    let next_attempt_at = wait.map(|wait| {
        let own = wait
            .to_std()
            .unwrap_or_default()
            .mul_f64(1.0 + JITTER * lot);
        let asked_for = not_taken
            .asked_for
            .unwrap_or_default()
            .min(Duration::from_secs(86_400));
        now + TimeDelta::from_std(own.max(asked_for)).unwrap_or(*wait)
    });
    Attempted {
        state: match next_attempt_at {
            Some(_) => DeliveryState::Pending,
            None => DeliveryState::Failed,
        },
        status: not_taken.status,
        fault: Some(not_taken.reason),
        next_attempt_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: Option<u16>, asked_for: Option<u64>) -> Result<u16, NotTaken> {
        Err(NotTaken {
            status,
            reason: "no".to_owned(),
            asked_for: asked_for.map(Duration::from_secs),
        })
    }

    #[test]
    fn what_is_not_taken_is_sent_again_after_ever_longer_waits_until_it_is_given_up() {
        let now = DateTime::UNIX_EPOCH;
        let mut before = TimeDelta::zero();
        for attempt in 1..=9 {
            let came = came_to(refused(Some(500), None), attempt, now, 0.5);
            assert_eq!(came.state, DeliveryState::Pending, "{attempt}");
            let wait = came.next_attempt_at.unwrap() - now;
            assert!(wait > before, "{attempt}: {wait}");
            before = wait;
        }
        let last = came_to(refused(None, None), 10, now, 0.5);
        assert_eq!(
            (last.state, last.next_attempt_at),
            (DeliveryState::Failed, None)
        );
        let taken = came_to(Ok(204), 3, now, 0.5);
        assert_eq!(taken.state, DeliveryState::Delivered);
        let gone = came_to(refused(Some(410), None), 1, now, 0.5);
        assert_eq!(gone.state, DeliveryState::Failed);
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_wait_of_a_day_at_most() {
        let now = DateTime::UNIX_EPOCH;
        let wait = |asked| {
            let came = came_to(refused(Some(429), Some(asked)), 1, now, 0.0);
            came.next_attempt_at.unwrap() - now
        };
        assert_eq!(wait(1), TimeDelta::seconds(5));
        assert_eq!(wait(90), TimeDelta::seconds(90));
        assert_eq!(wait(1_000_000), TimeDelta::days(1));
    }
}
