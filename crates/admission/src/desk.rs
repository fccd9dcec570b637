//! What a worker process holds of one endpoint and its models, and which of its jobs gets it.

use crate::limits::{Millis, ScopeLimits};
use crate::scope::{Amounts, Grant, LEASE, Report, TICKETS_LAST};
use frugal_domain::id::JobId;
use std::collections::{BTreeMap, VecDeque};

/// Between two exchanges while there is enough for all.
const BEAT: Millis = 1_000;
/// Between two exchanges while workers wait for each other.
const SHORT_BEAT: Millis = 250;
/// Between two exchanges at the least.
const SPACING: Millis = 50;
/// Tickets that are asked for at once by a worker that has no slots yet.
const FIRST_TICKETS: u64 = 16;

/// One request that waits, by a number of the desk's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaitId(u64);

/// Where a request is admitted to: one model of the desk's endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(usize);

/// An attempt that asks to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Whose it is.
    pub job: JobId,
    /// Where it goes.
    pub place: Place,
    /// Tokens that it asks for at worst, prompt and responses.
    pub tokens: u64,
    /// Whether the request was sent before: it then goes before those of its job that were not.
    pub is_retry: bool,
}

/// An attempt that may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// Which.
    pub wait: WaitId,
    /// What is to be given back once it has ended.
    pub attempt: Attempt,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    id: WaitId,
    attempt: Attempt,
}

/// What the process holds of one scope.
#[derive(Debug)]
struct Held {
    /// The model's name; empty for the endpoint as a whole.
    model: String,
    limits: ScopeLimits,
    in_flight: u32,
    slots: Option<u32>,
    slots_until: Millis,
    requests: Option<u64>,
    tokens: Option<u64>,
    tickets_until: Millis,
    is_short: bool,
    is_shared: bool,
    more_at: Option<Millis>,
    /// Whether it was exchanged since there was something to do, so that what stands here holds.
    is_known: bool,
    used: Amounts,
    used_at: Millis,
    /// What was used between the last two exchanges.
    used_before: Amounts,
}

/// What is kept of an endpoint in a process: its requests that wait, and what may be sent.
#[derive(Debug)]
pub struct Desk {
    /// The endpoint first, then its models as they were first asked for.
    scopes: Vec<Held>,
    /// The jobs with requests that wait, the one first that comes next.
    turns: VecDeque<JobId>,
    queues: BTreeMap<(JobId, Place), VecDeque<Waiting>>,
    next_id: u64,
    /// When the last exchange ended.
    exchanged_at: Option<Millis>,
    is_exchanging: bool,
    is_closing: bool,
}

impl Held {
    fn new(model: &str, limits: ScopeLimits) -> Self {
        Self {
            model: model.to_owned(),
            limits,
            in_flight: 0,
            slots: None,
            slots_until: 0,
            requests: None,
            tokens: None,
            tickets_until: 0,
            is_short: false,
            is_shared: false,
            more_at: None,
            is_known: false,
            used: Amounts::default(),
            used_at: 0,
            used_before: Amounts::default(),
        }
    }

    /// Whether nothing of this scope stands in the way of a request.
    fn admits(&self, now: Millis, tokens: u64) -> bool {
        let has_slot = self.limits.in_flight.is_none()
            || (now < self.slots_until && self.slots.is_some_and(|slots| self.in_flight < slots));
        let has_tickets = (self.limits.requests_per_minute.is_none()
            && self.limits.tokens_per_minute.is_none())
            || (now < self.tickets_until
                && self.requests.is_none_or(|requests| requests > 0)
                && self
                    .tokens
                    .is_none_or(|held| held >= self.limits.charge(tokens)));
        self.is_known && has_slot && has_tickets
    }

    fn take(&mut self, now: Millis, tokens: u64) {
        let tokens = self.limits.charge(tokens);
        self.in_flight += 1;
        self.requests = self.requests.map(|requests| requests.saturating_sub(1));
        self.tokens = self.tokens.map(|held| held.saturating_sub(tokens));
        self.used.requests += 1;
        self.used.tokens += tokens;
        self.used_at = now;
    }
}

impl Desk {
    /// A desk for an endpoint that nothing is known of yet.
    #[must_use]
    pub fn new(limits: ScopeLimits) -> Self {
        Self {
            scopes: vec![Held::new("", limits)],
            turns: VecDeque::new(),
            queues: BTreeMap::new(),
            next_id: 0,
            exchanged_at: None,
            is_exchanging: false,
            is_closing: false,
        }
    }

    /// The place of a model.
    pub fn place(&mut self, model: &str, limits: ScopeLimits) -> Place {
        let known = self
            .scopes
            .iter()
            .skip(1)
            .position(|held| held.model == model);
        let at = known.map_or(self.scopes.len(), |position| position + 1);
        if known.is_none() {
            self.scopes.push(Held::new(model, limits));
        }
        Place(at)
    }

    /// Lines an attempt up.
    pub fn ask(&mut self, attempt: Attempt) -> WaitId {
        let id = WaitId(self.next_id);
        self.next_id += 1;
        if !self.turns.contains(&attempt.job) {
            self.turns.push_back(attempt.job);
        }
        let queue = self.queues.entry((attempt.job, attempt.place)).or_default();
        let waiting = Waiting { id, attempt };
        if attempt.is_retry {
            queue.push_front(waiting);
        } else {
            queue.push_back(waiting);
        }
        id
    }

    /// Takes an attempt out of the line, if it still waits.
    pub fn withdraw(&mut self, attempt: &Attempt, wait: WaitId) {
        if let Some(queue) = self.queues.get_mut(&(attempt.job, attempt.place)) {
            queue.retain(|waiting| waiting.id != wait);
        }
        self.forget_idle();
    }

    /// The attempts that may be made now, one job after the other.
    pub fn grant(&mut self, now: Millis) -> Vec<Granted> {
        let mut granted = Vec::new();
        // What is reported in an exchange has to hold until it has ended.
        if self.is_exchanging {
            return granted;
        }
        let mut passed_over = 0;
        while passed_over < self.turns.len()
            && let Some(job) = self.turns.pop_front()
        {
            self.turns.push_back(job);
            match self.grant_one(now, job) {
                Some(one) => {
                    granted.push(one);
                    passed_over = 0;
                }
                None => passed_over += 1,
            }
        }
        self.forget_idle();
        granted
    }

    /// The next attempt of a job, of whichever model admits one.
    fn grant_one(&mut self, now: Millis, job: JobId) -> Option<Granted> {
        let (endpoint, models) = self.scopes.split_first_mut()?;
        let of_job = (job, Place(0))..=(job, Place(usize::MAX));
        for ((_, place), queue) in self.queues.range_mut(of_job) {
            let Some(head) = queue.front().copied() else {
                continue;
            };
            let Some(model) = models.get_mut(place.0.wrapping_sub(1)) else {
                continue;
            };
            let tokens = head.attempt.tokens;
            if endpoint.admits(now, tokens) && model.admits(now, tokens) {
                endpoint.take(now, tokens);
                model.take(now, tokens);
                queue.pop_front();
                return Some(Granted {
                    wait: head.id,
                    attempt: head.attempt,
                });
            }
        }
        None
    }

    fn forget_idle(&mut self) {
        self.queues.retain(|_, queue| !queue.is_empty());
        let queues = &self.queues;
        self.turns
            .retain(|job| queues.keys().any(|(waiting, _)| waiting == job));
    }

    /// An attempt that was granted has ended. Its tickets are used, whatever became of it.
    pub fn ended(&mut self, attempt: &Attempt) {
        for at in [0, attempt.place.0] {
            if let Some(held) = self.scopes.get_mut(at) {
                held.in_flight = held.in_flight.saturating_sub(1);
            }
        }
    }

    /// When the next exchange is due; none while there is nothing to report.
    #[must_use]
    pub fn exchange_due(&self) -> Option<Millis> {
        let is_busy = |at: usize| {
            let held = &self.scopes[at];
            held.is_known || held.in_flight > 0 || self.waiting_at(at).next().is_some()
        };
        if !(0..self.scopes.len()).any(is_busy) {
            return None;
        }
        let Some(last) = self.exchanged_at else {
            return Some(Millis::MIN);
        };
        let due = (0..self.scopes.len()).filter(|&at| is_busy(at)).map(|at| {
            let held = &self.scopes[at];
            if self.waiting_at(at).next().is_none() {
                return BEAT;
            }
            let beat = match (held.is_short, held.is_shared) {
                (false, _) => SPACING,
                (true, true) => SHORT_BEAT,
                (true, false) => BEAT,
            };
            let more = held.more_at.map_or(beat, |more_at| more_at - last);
            more.clamp(SPACING, beat)
        });
        Some(last + due.min().unwrap_or(BEAT))
    }

    /// The attempts that wait and concern a scope, in no order of importance.
    fn waiting_at(&self, at: usize) -> impl Iterator<Item = &Waiting> {
        let queues = self.queues.iter();
        queues
            .filter(move |((_, place), _)| at == 0 || place.0 == at)
            .flat_map(|(_, queue)| queue)
    }

    /// Begins an exchange: for each scope that there is business with its model (empty for the
    /// endpoint), its limits and the report. Nothing is granted until it has ended.
    pub fn begin_exchange(&mut self, now: Millis) -> Vec<(String, ScopeLimits, Report)> {
        self.is_exchanging = true;
        (0..self.scopes.len())
            .filter(|&at| {
                let held = &self.scopes[at];
                held.is_known || held.in_flight > 0 || self.waiting_at(at).next().is_some()
            })
            .map(|at| {
                let held = &self.scopes[at];
                (held.model.clone(), held.limits, self.report(now, at))
            })
            .collect()
    }

    fn report(&self, now: Millis, at: usize) -> Report {
        let held = &self.scopes[at];
        let waiting = self.waiting_at(at).count();
        let at_once = held
            .slots
            .map_or(FIRST_TICKETS, |slots| FIRST_TICKETS.max(slots.into()));
        let first = self
            .waiting_at(at)
            .take(usize::try_from(at_once).unwrap_or(usize::MAX));
        let mut wanted = Amounts::default();
        let mut jobs: Vec<JobId> = Vec::new();
        for waiting in first {
            wanted.requests += 1;
            wanted.tokens += held.limits.charge(waiting.attempt.tokens);
        }
        for (job, place) in self.queues.keys() {
            if (at == 0 || place.0 == at) && jobs.last() != Some(job) {
                jobs.push(*job);
            }
        }
        let head = self.turns.iter().find_map(|job| {
            let of_job = (*job, Place(0))..=(*job, Place(usize::MAX));
            let mut queues = self.queues.range(of_job);
            queues.find_map(|((_, place), queue)| {
                (at == 0 || place.0 == at).then(|| queue.front()).flatten()
            })
        });
        let still_good = now < held.tickets_until;
        Report {
            in_flight: held.in_flight,
            waiting: u32::try_from(waiting).unwrap_or(u32::MAX),
            jobs: u32::try_from(jobs.len()).unwrap_or(u32::MAX).max(1),
            wanted,
            head_tokens: head.map_or(0, |head| held.limits.charge(head.attempt.tokens)),
            // Twice as many as of late: where they run out before the next beat, it comes early,
            // and there are more of them after it.
            expected: match self.is_closing {
                true => Amounts::default(),
                false => Amounts {
                    requests: 2 * held.used.requests.max(held.used_before.requests),
                    tokens: 2 * held.used.tokens.max(held.used_before.tokens),
                },
            },
            held: match still_good {
                true => Amounts {
                    requests: held.requests.unwrap_or(0),
                    tokens: held.tokens.unwrap_or(0),
                },
                false => Amounts::default(),
            },
            used: held.used,
            used_ago: now - held.used_at,
        }
    }

    /// Ends an exchange that was begun at `begun`: what the process holds now.
    pub fn end_exchange(&mut self, begun: Millis, now: Millis, grants: &[(String, Report, Grant)]) {
        self.is_exchanging = false;
        self.exchanged_at = Some(now);
        for (model, report, grant) in grants {
            let Some(held) = self.scopes.iter_mut().find(|held| held.model == *model) else {
                continue;
            };
            held.slots = grant.slots;
            held.requests = grant.requests;
            held.tokens = grant.tokens;
            // From the beginning: the database's moment came after it.
            held.slots_until = begun + LEASE;
            held.tickets_until = begun + TICKETS_LAST;
            held.is_short = grant.is_short;
            held.is_shared = grant.is_shared;
            held.more_at = grant.more_in.map(|span| now + span);
            held.is_known = !report.is_over();
            held.used_before = held.used;
            held.used = Amounts::default();
        }
    }

    /// Ends an exchange that failed. Whether it was written is not known, so what was held may have
    /// gone to others: nothing is, until the next one.
    pub fn fail_exchange(&mut self, now: Millis) {
        self.is_exchanging = false;
        self.exchanged_at = Some(now);
        for held in &mut self.scopes {
            held.slots_until = now;
            held.tickets_until = now;
            held.is_short = true;
            held.more_at = None;
        }
    }

    /// Expects no further requests, so that the next exchange gives back what is not in use.
    pub fn close(&mut self) {
        self.is_closing = true;
    }

    /// Whether no request waits and none is in flight.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.queues.is_empty() && self.scopes.iter().all(|held| held.in_flight == 0)
    }
}

#[cfg(test)]
mod tests;
