//! What all workers share of one scope, and how a worker's part of it is found.

use crate::breaker::{Breaker, OutageNotice, OutageState, Sightings};
use crate::concurrency::Concurrency;
use crate::fair::{Claim, shares};
use crate::limits::{LEASE, MINUTE, Millis, ScopeLimits};
use crate::pace::Pace;
use crate::window::Window;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long tickets may be used after they were granted. A worker that vanishes may have used them
/// until then, so for a minute from then they count as used.
pub const TICKETS_LAST: Millis = 4_000;

/// The longest wait that an endpoint may ask for; what is longer is cut to this, and then it is asked
/// again.
pub const MOST_ASKED_FOR: Millis = 10 * MINUTE;

/// The state of a scope that all workers share. Whoever exchanges holds it alone while it does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scope {
    /// What each worker holds and wants, by the worker's name.
    leases: BTreeMap<String, Lease>,
    window: Window,
    /// Nothing is sent before, since the endpoint asked for it.
    not_before: Millis,
    pace: Option<Pace>,
    /// How often the pace was cut.
    cuts: u64,
    breaker: Breaker,
    concurrency: Concurrency,
}

/// What one worker holds, and what it said that it wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Lease {
    expires: Millis,
    slots: u32,
    in_flight: u32,
    tickets: Amounts,
    tickets_until: Millis,
    /// Requests in flight and those that wait, or as many as were in flight at once of late.
    wants_slots: u32,
    /// Whether the latter are more: it has slots to spare just now.
    is_between_waves: bool,
    /// Tickets for those that wait.
    wants: Amounts,
    /// Tokens of the request that is to be sent first.
    head_tokens: u64,
    jobs: u32,
    /// When it last sent something, or joined.
    served: Millis,
}

/// Requests, and the tokens that they ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amounts {
    /// Requests.
    pub requests: u64,
    /// Tokens.
    pub tokens: u64,
}

/// What a worker tells of a scope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Its requests in flight.
    pub in_flight: u32,
    /// The most that were in flight at once of late. Requests come in waves: between two of them it has few, and
    /// would have to wait for what it gave away.
    pub at_once: u32,
    /// Its requests that wait, as far as nothing but slots and tickets keeps them.
    pub waiting: u32,
    /// Jobs that these belong to.
    pub jobs: u32,
    /// Tickets for the requests that could be sent until the next exchange.
    pub wanted: Amounts,
    /// Tokens of the request that is to be sent first.
    pub head_tokens: u64,
    /// Tickets for requests that may come until the next exchange. Granted where nobody lacks them.
    pub expected: Amounts,
    /// Tickets that it holds and has not used.
    pub held: Amounts,
    /// Tickets that it used since the last exchange.
    pub used: Amounts,
    /// How long ago it used the last of them.
    pub used_ago: Millis,
    /// Whether the endpoint refused a request for there being too many.
    pub refused: Option<Refused>,
    /// Whether the endpoint works.
    pub seen: Sightings,
    /// Answers since the last exchange, with their tokens.
    pub answered: Amounts,
}

/// A refusal for there being too many requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// The cuts of the pace that the request was sent under: the next cut is for requests that came
    /// after the last one.
    pub cuts: u64,
    /// How long the endpoint asks to wait from now on, where it does.
    pub asked_for: Option<Millis>,
}

impl Report {
    /// Whether the worker has no business with the scope, so that its lease ends.
    pub(crate) fn is_over(&self) -> bool {
        self.in_flight == 0
            && self.waiting == 0
            && self.wanted == Amounts::default()
            && self.expected == Amounts::default()
    }
}

/// What a worker may hold until its next exchange.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    /// Requests in flight, those that are already included; none for no limit. It holds for
    /// [`LEASE`] from the exchange.
    pub slots: Option<u32>,
    /// Requests to send within [`TICKETS_LAST`]; none for no limit.
    pub requests: Option<u64>,
    /// Tokens to ask for within [`TICKETS_LAST`]; none for no limit.
    pub tokens: Option<u64>,
    /// Whether less was granted than wanted, so that asking again at once is of no use.
    pub is_short: bool,
    /// Whether other workers use the scope too.
    pub is_shared: bool,
    /// When more can be had at the earliest, where that is known.
    pub more_in: Option<Millis>,
    /// How long nothing may be sent, since the endpoint asked for it.
    pub not_before_in: Option<Millis>,
    /// Whether it is a learned pace that limits the requests.
    pub is_paced: bool,
    /// How often the pace was cut so far.
    pub cuts: u64,
    /// Failures in a row, over all workers.
    pub failures: u32,
    /// Whether any worker ever found it working.
    pub has_worked: bool,
    /// Whether the endpoint is out of order: then nothing is sent but a probe.
    pub outage: Option<OutageNotice>,
}

/// One worker's part in the division of tickets of one kind.
#[derive(Debug, Clone, Copy)]
struct Part {
    want: u64,
    held: u64,
    /// The least that is of use.
    head: u64,
    weight: u64,
}

impl Scope {
    /// Until when the endpoint asked that nothing be sent, where that is still to come.
    #[must_use]
    pub fn waits_until(&self, now: Millis) -> Option<Millis> {
        Some(self.not_before).filter(|until| *until > now)
    }

    /// The outage, while there is one.
    #[must_use]
    pub fn outage(&self) -> Option<OutageState> {
        self.breaker.outage()
    }

    /// Requests in flight, as the workers told at their last exchanges, each as long as its lease is
    /// good.
    #[must_use]
    pub fn in_flight(&self, now: Millis) -> u64 {
        let leases = self.leases.values().filter(|lease| lease.expires > now);
        leases.map(|lease| u64::from(lease.in_flight)).sum()
    }

    /// Takes a worker's report in and says what it may hold.
    ///
    /// What all workers hold never passes the limits, as long as these are not lowered, and what
    /// they sent within any minute never does. A worker that comes back after its lease has run out
    /// keeps what it has in flight in addition. Where there is not enough for all, slots and tickets are
    /// divided by the number of jobs; what does not divide goes to the worker that has sent nothing
    /// for longest, and for a large request of that worker the others' share of tokens is kept back
    /// until there is enough.
    pub fn exchange(
        &mut self,
        now: Millis,
        worker: &str,
        limits: &ScopeLimits,
        report: &Report,
    ) -> Grant {
        self.settle(now, worker, report);
        self.hear(now, report);
        let wants = report.waiting > 0;
        let (failures, outage) = self.breaker.exchange(now, worker, &report.seen, wants);
        if report.is_over() {
            self.leases.remove(worker);
            return Grant::default();
        }
        let most = limits.in_flight.map(|most| match limits.is_adaptive {
            true => self.adapt(now, most, report, outage.is_some()),
            false => most,
        });
        let slots = most.map(|most| self.slots(worker, most));
        let by_window = limits
            .requests_per_minute
            .map(|most| u64::from(most).saturating_sub(self.window.requests()));
        // What the others hold was taken from the pace already.
        let by_pace = self
            .pace
            .map(|pace| pace.available(now) + self.held_by_others(worker));
        let is_paced = by_pace.is_some_and(|paced| by_window.is_none_or(|free| paced < free));
        let free = by_window.map_or(by_pace, |free| {
            Some(by_pace.map_or(free, |paced| paced.min(free)))
        });
        let requests = free.map(|free| {
            self.divide(worker, free, report.expected.requests, |lease| Part {
                want: lease.wants.requests,
                held: lease.tickets.requests,
                head: 1,
                weight: lease.jobs.into(),
            })
        });
        let tokens = limits.tokens_per_minute.map(|most| {
            let free = most.saturating_sub(self.window.tokens());
            self.divide(worker, free, report.expected.tokens, |lease| Part {
                want: lease.wants.tokens,
                held: lease.tickets.tokens,
                head: lease.head_tokens,
                weight: lease.jobs.into(),
            })
        });
        if let Some(pace) = &mut self.pace {
            pace.take(now, requests.unwrap_or(0));
        }
        if let Some(lease) = self.leases.get_mut(worker) {
            lease.slots = slots.map_or(0, |slots| slots.max(report.in_flight));
            lease.tickets = Amounts {
                requests: requests.unwrap_or(0),
                tokens: tokens.unwrap_or(0),
            };
            lease.tickets_until = now + TICKETS_LAST;
        }
        let lacks_requests = requests.is_some_and(|got| got < report.wanted.requests);
        let lacks_tokens = tokens.is_some_and(|got| got < report.wanted.tokens);
        let lacks_slots = slots.is_some_and(|got| got < report.in_flight + report.waiting);
        let more_at = if requests == Some(0) && lacks_requests {
            match self.pace {
                Some(pace) if is_paced => Some(pace.next()),
                _ => self.window.free_at(1, 0),
            }
        } else {
            let missing = report
                .head_tokens
                .saturating_sub(tokens.unwrap_or(u64::MAX));
            (missing > 0)
                .then(|| self.window.free_at(0, missing))
                .flatten()
        };
        Grant {
            slots,
            requests,
            tokens,
            is_short: lacks_requests || lacks_tokens || lacks_slots,
            is_shared: self.leases.len() > 1,
            more_in: more_at.map(|at| (at - now).max(0)),
            not_before_in: (self.not_before > now).then(|| self.not_before - now),
            is_paced,
            cuts: self.cuts,
            failures,
            has_worked: self.breaker.has_worked(),
            outage,
        }
    }

    /// Counts what was used, ends what has run out, and writes down what the worker wants.
    fn settle(&mut self, now: Millis, worker: &str, report: &Report) {
        self.leases.retain(|name, lease| {
            if name != worker && lease.tickets_until <= now {
                let Amounts { requests, tokens } = std::mem::take(&mut lease.tickets);
                self.window.record(lease.tickets_until, requests, tokens);
            }
            name == worker || lease.expires > now
        });
        self.window.forget(now);
        let used_at = now - report.used_ago.max(0);
        self.window
            .record(used_at, report.used.requests, report.used.tokens);
        let fresh = Lease {
            served: now,
            ..Lease::default()
        };
        let needed = report.in_flight.saturating_add(report.waiting);
        let lease = self.leases.entry(worker.to_owned()).or_insert(fresh);
        *lease = Lease {
            expires: now + LEASE,
            in_flight: report.in_flight,
            tickets: report.held,
            wants_slots: needed.max(report.at_once),
            is_between_waves: needed < report.at_once,
            wants: report.wanted,
            head_tokens: report.head_tokens,
            jobs: report.jobs,
            served: if report.used.requests > 0 {
                used_at
            } else {
                lease.served
            },
            ..*lease
        };
    }

    /// Takes in what the endpoint said of its own limits.
    fn hear(&mut self, now: Millis, report: &Report) {
        if let Some(pace) = &mut self.pace {
            pace.give_back(now, report.held.requests);
            pace.learn(report.answered.requests);
        }
        if self.pace.is_some_and(|pace| pace.is_over(now)) {
            self.pace = None;
        }
        let Some(refused) = report.refused else {
            return;
        };
        if let Some(asked_for) = refused.asked_for {
            let until = now + asked_for.clamp(0, MOST_ASKED_FOR);
            self.not_before = self.not_before.max(until);
        }
        // A wait says when to send again and not how fast, so the pace is cut in any case.
        if refused.cuts == self.cuts {
            self.pace = Some(Pace::cut(self.pace, now, self.window.rate(now)));
            self.cuts += 1;
        }
    }

    /// The most requests in flight that bring more answers.
    fn adapt(&mut self, now: Millis, most: u32, report: &Report, is_out: bool) -> u32 {
        let limit = u64::from(self.concurrency.limit(most));
        let in_flight: u64 = self
            .leases
            .values()
            .map(|lease| u64::from(lease.in_flight))
            .sum();
        let wanted: u64 = self
            .leases
            .values()
            .map(|lease| u64::from(lease.wants_slots))
            .sum();
        // Nothing but this limit keeps requests waiting.
        let is_full = wanted > limit
            && 4 * in_flight >= 3 * limit
            && !is_out
            && now >= self.not_before
            && self.pace.is_none();
        let Amounts { requests, tokens } = report.answered;
        self.concurrency.learn(now, requests, tokens, is_full, most);
        self.concurrency.limit(most)
    }

    fn held_by_others(&self, worker: &str) -> u64 {
        let others = self.leases.iter().filter(|(name, _)| *name != worker);
        others.map(|(_, lease)| lease.tickets.requests).sum()
    }

    /// The workers, those first that have sent nothing for longest.
    fn by_turns(&self) -> Vec<(&str, &Lease)> {
        let mut leases: Vec<_> = self
            .leases
            .iter()
            .map(|(name, lease)| (name.as_str(), lease))
            .collect();
        leases.sort_by_key(|(name, lease)| (lease.served, *name));
        leases
    }

    /// Slots of a worker. Where there are more than all want, it gets some of the others in
    /// addition, so that it need not ask as soon as there is one request more.
    fn slots(&self, worker: &str, most: u32) -> u32 {
        let mut turns = self.by_turns();
        // What does not divide is for those that have use for it now.
        turns.sort_by_key(|(_, lease)| lease.is_between_waves);
        let claims: Vec<_> = turns
            .iter()
            .map(|(_, lease)| Claim {
                want: lease.wants_slots.into(),
                weight: lease.jobs.into(),
            })
            .collect();
        let wanted: u64 = claims.iter().map(|claim| claim.want).sum();
        let spare = u64::from(most).saturating_sub(wanted) / turns.len().max(1) as u64;
        let share = turns
            .iter()
            .zip(shares(most.into(), &claims))
            .find(|((name, _), _)| *name == worker)
            .map_or(0, |((_, lease), share)| {
                share + spare.min(u64::from(lease.wants_slots / 2 + 1))
            });
        // The others give back what is not theirs any more at their own next exchange.
        let others = self.leases.iter().filter(|(name, _)| *name != worker);
        let taken: u64 = others.map(|(_, lease)| u64::from(lease.slots)).sum();
        let slots = share.min(u64::from(most).saturating_sub(taken));
        u32::try_from(slots).unwrap_or(u32::MAX)
    }

    /// Tickets of one kind of a worker, those that it holds included. `unused` counts what is not in
    /// the window, so that what workers hold is a part of it.
    fn divide(
        &self,
        worker: &str,
        unused: u64,
        expected: u64,
        part: impl Fn(&Lease) -> Part,
    ) -> u64 {
        let parts: Vec<_> = self
            .by_turns()
            .into_iter()
            .map(|(name, lease)| (name == worker, part(lease)))
            .collect();
        let Some((_, mine)) = parts.iter().find(|(is_mine, _)| *is_mine) else {
            return 0;
        };
        let others = parts.iter().filter(|(is_mine, _)| !is_mine);
        let held: u64 = others.map(|(_, part)| part.held).sum();
        let mut free = unused.saturating_sub(held);
        // Whose turn it is, of those that lack something.
        let lacks = |(is_mine, part): &&(bool, Part)| match is_mine {
            true => part.want > 0,
            false => part.want > part.held,
        };
        let first = parts.iter().find(lacks);
        let is_first = first.is_some_and(|(is_mine, _)| *is_mine);
        if let Some((false, part)) = first {
            free = free.saturating_sub(part.head.saturating_sub(part.held));
        }
        // What the others hold is a part of their shares.
        let claims: Vec<_> = parts
            .iter()
            .map(|(is_mine, part)| Claim {
                want: match is_mine {
                    true => part.want,
                    false => part.want.max(part.held),
                },
                weight: part.weight,
            })
            .collect();
        let wanted: u64 = claims.iter().map(|claim| claim.want).sum();
        let share = parts
            .iter()
            .zip(shares(unused, &claims))
            .find(|((is_mine, _), _)| *is_mine)
            .map_or(0, |(_, share)| share.min(free));
        let enough = mine.head.min(mine.want);
        let share = match is_first {
            true => share.max(enough.min(free)),
            // Less than the next request needs is of no use but in the hands of whose turn it is.
            false if share < enough => 0,
            false => share,
        };
        let spare = unused.saturating_sub(wanted) / parts.len().max(1) as u64;
        share + spare.min(expected).min(free.saturating_sub(share))
    }
}

#[cfg(test)]
mod tests;
