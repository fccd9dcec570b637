//! How a job stands at the moment, made from its row and its latest events.

use crate::wire::{Awaited, Limit, Rate, Remaining, Standing, TrialAdvance, WaitsFor, share_of};
use chrono::{DateTime, TimeDelta, Utc};
use frugal_domain::event::{Event, EventBody, WaitReason};
use frugal_domain::job::JobKind;
use frugal_domain::money::{Spend, Usd};
use frugal_domain::state::JobState;
use frugal_domain::trial::Progress;
use frugal_store::jobs::Job;
use frugal_store::{PgConnection, Result, events};

/// The types of events that tell how a job stands.
const TELLING: &[&str] = &[
    "job.running",
    "job.progress",
    "endpoint.waiting",
    "endpoint.degraded",
    "endpoint.recovered",
];
/// How far back they are looked for, in events of any type.
const FAR_BACK: i64 = 500;
/// How long a pace is measured over, where there is as much.
const MEASURED: TimeDelta = TimeDelta::seconds(60);
/// The least that it is measured over.
const LEAST_MEASURED: TimeDelta = TimeDelta::seconds(1);
/// How long what is waited for at an endpoint is told without being told again.
const WAIT_TOLD: TimeDelta = TimeDelta::seconds(90);

/// How a job stands.
///
/// # Errors
/// The database is away.
pub(crate) async fn load(
    connection: &mut PgConnection,
    job: &Job,
    now: DateTime<Utc>,
) -> Result<Standing> {
    let recent = match job.state.is_terminal() {
        true => Vec::new(),
        false => {
            let after = job.last_seq - FAR_BACK;
            events::latest(connection, job.id, after, TELLING, now - MEASURED).await?
        }
    };
    Ok(of(job, &recent, now))
}

/// How a job stands, by its row and its latest events, in their order.
pub(crate) fn of(job: &Job, recent: &[Event], now: DateTime<Utc>) -> Standing {
    let spent: Spend = job.spend.values().copied().sum();
    // What was told before a worker took the job is of no use any more.
    let running = recent
        .iter()
        .rposition(|event| matches!(event.body, EventBody::JobRunning { .. }));
    let told = match running {
        Some(position) => &recent[position..],
        None => recent,
    };
    let is_running = job.state == JobState::Running;
    let last = told.iter().rev().find_map(|event| match &event.body {
        EventBody::JobProgress { phase, trials, .. } => Some((*phase, trials.as_slice())),
        _ => None,
    });
    let last = last.filter(|_| is_running);
    let rate = match is_running {
        true => rate(job, spent, told, now),
        false => None,
    };
    Standing {
        phase: last.map(|(phase, _)| phase.into()),
        budget_used: share_of(job.spec.optimization_budget, spent),
        trials: last
            .into_iter()
            .flat_map(|(_, trials)| trials.iter().copied().map(TrialAdvance::from))
            .collect(),
        remaining: rate.and_then(|rate| remaining(job, spent, &rate, now)),
        rate: rate.map(|rate| rate.wire()),
        waits_for: waits_for(job, told, now),
    }
}

/// A pace, by second.
#[derive(Debug, Clone, Copy)]
struct Pace {
    seconds: f64,
    requests: f64,
    responses: f64,
    trials: f64,
    usd_pico: f64,
    tokens: f64,
}

/// What was counted at a moment.
type Counted = (DateTime<Utc>, Progress, Spend);

fn rate(job: &Job, spent: Spend, told: &[Event], now: DateTime<Utc>) -> Option<Pace> {
    let counted = told.iter().filter_map(|event| match &event.body {
        EventBody::JobProgress {
            progress, spend, ..
        } => Some((event.created_at, *progress, *spend)),
        _ => None,
    });
    let counted: Vec<Counted> = counted.collect();
    // From the last event before the minute, or the first within it.
    let from = counted
        .iter()
        .rev()
        .find(|(at, ..)| now - *at >= MEASURED)
        .or(counted.first())?;
    // A job that tells nothing more stands still, so it is measured until now.
    pace(from, &(now, job.progress, spent))
}

fn pace(from: &Counted, to: &Counted) -> Option<Pace> {
    let elapsed = to.0 - from.0;
    if elapsed < LEAST_MEASURED {
        return None;
    }
    let seconds = elapsed.as_seconds_f64();
    #[expect(clippy::cast_precision_loss, reason = "for display, not for books")]
    let by_second = |later: u64, before: u64| later.saturating_sub(before) as f64 / seconds;
    let (before, later) = (&from.1, &to.1);
    Some(Pace {
        seconds,
        requests: by_second(later.requests, before.requests),
        responses: by_second(later.responses, before.responses),
        trials: by_second(later.trials().into(), before.trials().into()),
        usd_pico: by_second(to.2.usd.pico(), from.2.usd.pico()),
        tokens: by_second(to.2.tokens, from.2.tokens),
    })
}

/// A spend of so much.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast stops at the ends of the range, and amounts are never negative"
)]
fn spend(usd_pico: f64, tokens: f64) -> Spend {
    Spend {
        usd: Usd::from_pico(usd_pico.round() as u64),
        tokens: tokens.round() as u64,
    }
}

impl Pace {
    fn wire(&self) -> Rate {
        Rate {
            over_seconds: self.seconds,
            requests_per_second: self.requests,
            responses_per_second: self.responses,
            spend_per_minute: spend(self.usd_pico * 60.0, self.tokens * 60.0).into(),
        }
    }
}

/// What is left until the first limit of a search is reached. An evaluation ends when its rows are done.
fn remaining(job: &Job, spent: Spend, pace: &Pace, now: DateTime<Utc>) -> Option<Remaining> {
    let spec = &job.spec;
    if spec.kind() == JobKind::Evaluation {
        return None;
    }
    let budget = spec.optimization_budget;
    let unit = budget.unit();
    #[expect(clippy::cast_precision_loss, reason = "for display, not for books")]
    let left = budget.amount().saturating_sub(unit.of(spent)) as f64;
    let by_second = match unit {
        frugal_domain::money::Unit::Usd => pace.usd_pico,
        frugal_domain::money::Unit::Tokens => pace.tokens,
    };
    let until = |left: f64, by_second: f64| (by_second > 0.0).then(|| left / by_second);
    let seconds = spec.limits.seconds.map(|seconds| {
        let used = job.time_used(now).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "for display")]
        let limit = seconds as f64;
        (limit - used).max(0.0)
    });
    let begun = job.progress.trials();
    let trials = f64::from(spec.limits.trials.saturating_sub(begun));
    let limits = [
        (until(left, by_second), Limit::OptimizationBudget),
        (seconds, Limit::Seconds),
        (until(trials, pace.trials), Limit::Trials),
    ];
    let known = limits
        .into_iter()
        .filter_map(|(seconds, limit)| Some((seconds?, limit)));
    let (seconds, limited_by) = known.min_by(|one, other| one.0.total_cmp(&other.0))?;
    Some(Remaining {
        seconds,
        spend: spend(pace.usd_pico * seconds, pace.tokens * seconds).into(),
        limited_by,
    })
}

fn waits_for(job: &Job, told: &[Event], now: DateTime<Utc>) -> Option<WaitsFor> {
    let waits = |what, detail: &str, until| {
        Some(WaitsFor {
            what,
            detail: detail.to_owned(),
            until,
        })
    };
    match job.state {
        JobState::Queued => match job.not_before.filter(|moment| *moment > now) {
            Some(moment) => waits(
                Awaited::NotBefore,
                "it is not to be begun before",
                Some(moment),
            ),
            None => waits(
                Awaited::Worker,
                "no worker has taken it yet: all are busy, or none runs",
                None,
            ),
        },
        JobState::Paused => waits(
            Awaited::Resumption,
            "it is paused until it is resumed",
            None,
        ),
        JobState::Pausing => waits(
            Awaited::RequestsInFlight,
            "it is paused once what is in flight is there",
            None,
        ),
        JobState::Cancelling => waits(
            Awaited::RequestsInFlight,
            "it is cancelled once what is in flight is there",
            None,
        ),
        JobState::Running => at_endpoint(told, now),
        JobState::Succeeded | JobState::Failed | JobState::Cancelled => None,
    }
}

/// What a running job waits for at an endpoint: the last that was told, unless it has moved since.
fn at_endpoint(told: &[Event], now: DateTime<Utc>) -> Option<WaitsFor> {
    let mut waits = None;
    for event in told {
        match &event.body {
            EventBody::EndpointWaiting {
                endpoint,
                model,
                reason,
                until,
            } => {
                let is_over = until.is_some_and(|until| until < now)
                    || (until.is_none() && now - event.created_at > WAIT_TOLD);
                waits = (!is_over).then(|| WaitsFor {
                    what: Awaited::Endpoint,
                    detail: format!("`{model}` at `{endpoint}`: {}", words(*reason)),
                    until: *until,
                });
            }
            EventBody::EndpointDegraded {
                endpoint,
                model,
                reason,
            } => {
                waits = Some(WaitsFor {
                    what: Awaited::Endpoint,
                    detail: format!("`{model}` at `{endpoint}` is out of order: {reason}"),
                    until: None,
                });
            }
            EventBody::EndpointRecovered { .. } => waits = None,
            // What waits for a limit has gone on; what is out of order is so until it is told.
            EventBody::JobProgress { .. } => {
                waits = waits.filter(|waits: &WaitsFor| waits.detail.contains("out of order"));
            }
            _ => {}
        }
    }
    waits
}

const fn words(reason: WaitReason) -> &'static str {
    match reason {
        WaitReason::RequestsInFlight => "other requests are in flight, as many as it takes at once",
        WaitReason::RequestsPerMinute => "the requests of this minute are used up",
        WaitReason::TokensPerMinute => "the tokens of this minute are used up",
        WaitReason::RetryAfter => "the endpoint asked to wait",
        WaitReason::Pace => {
            "the endpoint refused requests for being too many, so they are sent more slowly"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64, requests: u64, usd: f64) -> Counted {
        let progress = Progress {
            requests,
            responses: 2 * requests,
            ..Progress::default()
        };
        let spend = Spend {
            usd: Usd::from_dollars(usd).unwrap(),
            tokens: 100 * requests,
        };
        (
            DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds),
            progress,
            spend,
        )
    }

    #[test]
    fn a_pace_is_what_was_counted_by_the_time_that_it_took() {
        let pace = pace(&at(0, 10, 0.01), &at(20, 50, 0.05)).unwrap();
        let rate = pace.wire();
        assert!((rate.requests_per_second - 2.0).abs() < 1e-12);
        assert!((rate.responses_per_second - 4.0).abs() < 1e-12);
        assert!((rate.spend_per_minute.usd - 0.12).abs() < 1e-9);
        assert_eq!(rate.spend_per_minute.tokens, 12_000);
        // What is counted anew by another worker is no pace.
        let backwards = super::pace(&at(0, 50, 0.05), &at(20, 10, 0.01)).unwrap();
        assert!(backwards.wire().requests_per_second.abs() < 1e-12);
        assert!(super::pace(&at(0, 1, 0.0), &at(0, 2, 0.0)).is_none());
    }
}
