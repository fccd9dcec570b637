//! What a worker process holds of one endpoint and its models, and which of its jobs gets it.

use crate::breaker::{OutageNotice, Probe, Sightings, TRIP};
use crate::limits::{LEASE, MINUTE, Millis, ScopeLimits};
use crate::scope::{Amounts, Grant, MOST_ASKED_FOR, Refused, Report, TICKETS_LAST};
use crate::standing::{News, Standing};
use crate::waiting::{Queued, WaitCounter};
use frugal_domain::event::WaitReason;
use frugal_domain::id::JobId;
use frugal_domain::waits::{WaitCause, Waits};
use std::collections::{BTreeMap, VecDeque};

/// Between two exchanges while there is enough for all.
const BEAT: Millis = 1_000;
/// Between two exchanges while workers wait for each other.
const SHORT_BEAT: Millis = 250;
/// Between two exchanges at the least.
const SPACING: Millis = 50;
/// Tickets that are asked for at once by a worker that has no slots yet.
const FIRST_TICKETS: u64 = 16;

/// For so long it is no request's fault that an endpoint breaks down that has worked before. After
/// that, and where it never has, a request that breaks it down, as some do each time, has the attempts
/// counted against it, or one that nobody else can stand in for would be waited for without end.
pub const PATIENCE: Millis = 10 * MINUTE;

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
    pub admitted: Admitted,
}

/// An attempt under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admitted {
    /// Which.
    pub attempt: Attempt,
    /// The cuts of the pace that it is made under.
    cuts: u64,
    is_probe: bool,
}

/// What an attempt told of its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// It works, and sent so many tokens.
    Working(u64),
    /// It wants fewer requests, and asks to wait so long, where it says.
    RateLimited(Option<Millis>),
    /// It does not serve, for this reason.
    Unavailable(&'a str),
    /// It broke down over this request, for this reason; the request may be to blame.
    BrokenDown(&'a str),
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
    /// The most that were at once since the last exchange, and between the last two.
    at_once: [u32; 2],
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
    /// Nothing is sent before, since the endpoint asked for it.
    not_before: Millis,
    is_paced: bool,
    cuts: u64,
    refused: Option<Refused>,
    /// Failures in a row up to the last exchange, over all workers.
    failures: u32,
    seen: Sightings,
    /// Whether any worker ever found it working.
    has_worked: bool,
    outage: Option<OutageNotice>,
    outage_since: Millis,
    /// Attempts that found the endpoint working.
    worked: u64,
    /// Something happened that the other workers are to hear of, and that has a say in what may be
    /// sent next: until the exchange, nothing is.
    has_news: bool,
    answered: Amounts,
}

/// What is kept of an endpoint in a process: its requests that wait, and what may be sent.
#[derive(Debug)]
pub struct Desk {
    /// The endpoint first, then its models as they were first asked for.
    scopes: Vec<Held>,
    /// The jobs with requests that wait, the one first that comes next.
    turns: VecDeque<JobId>,
    queues: BTreeMap<(JobId, Place), VecDeque<Waiting>>,
    standings: BTreeMap<(JobId, Place), Standing>,
    next_id: u64,
    waits: WaitCounter<JobId, Place>,
    /// The first that has not been counted as waiting.
    uncounted: WaitId,
    /// When the last exchange ended.
    exchanged_at: Option<Millis>,
    is_exchanging: bool,
    is_closing: bool,
    /// Whether the last exchange failed.
    has_failed: bool,
}

impl Held {
    fn new(model: &str, limits: ScopeLimits) -> Self {
        Self {
            model: model.to_owned(),
            limits,
            in_flight: 0,
            at_once: [0; 2],
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
            not_before: Millis::MIN,
            is_paced: false,
            cuts: 0,
            refused: None,
            failures: 0,
            has_worked: false,
            seen: Sightings::default(),
            outage: None,
            outage_since: 0,
            worked: 0,
            has_news: false,
            answered: Amounts::default(),
        }
    }

    /// The outage that requests are held back for.
    fn awaited_outage(&self) -> Option<&OutageNotice> {
        self.outage.as_ref().filter(|outage| !outage.is_given_up)
    }

    /// Whether something other than slots and tickets keeps everything from being sent.
    fn is_blocked(&self, now: Millis) -> bool {
        let is_out = self
            .awaited_outage()
            .is_some_and(|outage| !outage.is_prober || self.seen.probe != Probe::Idle);
        is_out || self.has_news || now < self.not_before
    }

    /// Whether nothing of this scope stands in the way of a request.
    fn admits(&self, now: Millis, tokens: u64) -> bool {
        let has_slot = self.limits.in_flight.is_none()
            || (now < self.slots_until && self.slots.is_some_and(|slots| self.in_flight < slots));
        let has_tickets = (self.requests.is_none() && self.tokens.is_none())
            || (now < self.tickets_until
                && self.requests.is_none_or(|requests| requests > 0)
                && self
                    .tokens
                    .is_none_or(|held| held >= self.limits.charge(tokens)));
        self.is_known && has_slot && has_tickets && !self.is_blocked(now)
    }

    /// What keeps a request from being sent, and until when, where that is known.
    fn hold(&self, now: Millis, tokens: u64) -> Option<(WaitReason, Option<Millis>)> {
        let later = |moment: Option<Millis>| moment.filter(|moment| *moment > now);
        if now < self.not_before {
            return Some((WaitReason::RetryAfter, Some(self.not_before)));
        }
        if self.requests == Some(0) {
            let reason = match self.is_paced {
                true => WaitReason::Pace,
                false => WaitReason::RequestsPerMinute,
            };
            return Some((reason, later(self.more_at)));
        }
        if self
            .tokens
            .is_some_and(|held| held < self.limits.charge(tokens))
        {
            return Some((WaitReason::TokensPerMinute, later(self.more_at)));
        }
        let is_full = self.slots.is_some_and(|slots| self.in_flight >= slots);
        is_full.then_some((WaitReason::RequestsInFlight, None))
    }

    /// What was seen goes into a report; what is seen from now on is for the next one.
    fn hand_in(&mut self) {
        self.failures = match self.seen.worked {
            true => self.seen.failures,
            false => self.failures + self.seen.failures,
        };
        self.refused = None;
        self.answered = Amounts::default();
        let is_under_way = self.seen.probe == Probe::UnderWay;
        self.seen = Sightings {
            probe: match is_under_way {
                true => Probe::UnderWay,
                false => Probe::Idle,
            },
            ..Sightings::default()
        };
    }

    /// What went into a report that did not arrive.
    fn take_back(&mut self, report: &Report) {
        let Sightings {
            worked,
            failures,
            reason,
            probe,
        } = &report.seen;
        self.refused = self.refused.or(report.refused);
        if !self.seen.worked {
            self.seen.worked = *worked;
            self.seen.failures += failures;
            self.failures = self.failures.saturating_sub(*failures);
            self.seen.reason = self.seen.reason.take().or_else(|| reason.clone());
        }
        if self.seen.probe == Probe::Idle && *probe != Probe::UnderWay {
            self.seen.probe = *probe;
        }
    }

    fn take(&mut self, now: Millis, tokens: u64) {
        let tokens = self.limits.charge(tokens);
        self.in_flight += 1;
        self.at_once[0] = self.at_once[0].max(self.in_flight);
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
            standings: BTreeMap::new(),
            next_id: 0,
            waits: WaitCounter::new(),
            uncounted: WaitId(0),
            exchanged_at: None,
            is_exchanging: false,
            is_closing: false,
            has_failed: false,
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
        let granted = self.hand_out(now);
        self.count_waits(now);
        granted
    }

    fn hand_out(&mut self, now: Millis) -> Vec<Granted> {
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
                self.standings.entry((job, *place)).or_default().in_flight += 1;
                let is_probe = model.awaited_outage().is_some();
                if is_probe {
                    model.seen.probe = Probe::UnderWay;
                }
                return Some(Granted {
                    wait: head.id,
                    admitted: Admitted {
                        attempt: head.attempt,
                        cuts: model.cuts,
                        is_probe,
                    },
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
    pub fn ended(&mut self, admitted: &Admitted) {
        let Attempt { job, place, .. } = admitted.attempt;
        for at in [0, place.0] {
            if let Some(held) = self.scopes.get_mut(at) {
                held.in_flight = held.in_flight.saturating_sub(1);
            }
        }
        if let Some(standing) = self.standings.get_mut(&(job, place)) {
            standing.in_flight = standing.in_flight.saturating_sub(1);
        }
        if let Some(model) = self.scopes.get_mut(admitted.attempt.place.0)
            && admitted.is_probe
            && model.seen.probe == Probe::UnderWay
        {
            model.seen.probe = Probe::GivenUp;
            model.has_news = true;
        }
    }

    /// Takes in what an attempt told of the endpoint. Says whether the endpoint is to blame where
    /// it failed: it refuses all requests alike, or is out of order. `seen` is the request's own
    /// memory: it begins with [`Self::worked`].
    pub fn learn(
        &mut self,
        now: Millis,
        admitted: &Admitted,
        outcome: Outcome<'_>,
        seen: &mut u64,
    ) -> bool {
        let Some(model) = self.scopes.get_mut(admitted.attempt.place.0) else {
            return false;
        };
        match outcome {
            Outcome::Working(_) | Outcome::RateLimited(_) => {
                model.has_news |= model.outage.is_some();
                model.failures = 0;
                model.has_worked = true;
                model.seen = Sightings {
                    worked: true,
                    ..Sightings::default()
                };
            }
            // Where it never worked and is there, it may be that it works for nothing that is asked.
            Outcome::BrokenDown(_) if !model.has_worked && model.outage.is_none() => {}
            Outcome::Unavailable(reason) | Outcome::BrokenDown(reason) => {
                model.seen.failures += 1;
                model.seen.reason = Some(reason.to_owned());
                if admitted.is_probe {
                    model.seen.probe = Probe::Failed;
                    model.has_news = true;
                }
            }
        }
        let is_out = match &model.outage {
            Some(outage) => !outage.is_given_up,
            None => model.failures + model.seen.failures >= TRIP,
        };
        match outcome {
            Outcome::Working(tokens) => {
                model.worked += 1;
                model.answered.requests += 1;
                model.answered.tokens += tokens;
                false
            }
            Outcome::RateLimited(asked_for) => {
                if let Some(span) = asked_for {
                    let until = now + span.clamp(0, MOST_ASKED_FOR);
                    model.not_before = model.not_before.max(until);
                }
                if asked_for.is_some() || admitted.cuts == model.cuts {
                    let longest = model.refused.and_then(|refused| refused.asked_for);
                    model.refused = Some(Refused {
                        cuts: admitted.cuts,
                        asked_for: asked_for.max(longest),
                    });
                    model.has_news = true;
                }
                let is_served = model.worked > *seen;
                *seen = model.worked;
                !is_served
            }
            Outcome::Unavailable(_) | Outcome::BrokenDown(_) if !is_out => false,
            Outcome::Unavailable(_) => {
                model.has_news |= model.outage.is_none();
                true
            }
            Outcome::BrokenDown(_) => {
                model.has_news |= model.outage.is_none();
                let is_old = model.outage.is_some() && now - model.outage_since >= PATIENCE;
                model.has_worked && !is_old
            }
        }
    }

    /// How many attempts found a model's endpoint working, as a request's memory begins.
    #[must_use]
    pub fn worked(&self, place: Place) -> u64 {
        self.scopes.get(place.0).map_or(0, |model| model.worked)
    }

    /// When the next exchange is due; none while there is nothing to report.
    #[must_use]
    pub fn exchange_due(&self) -> Option<Millis> {
        if !(0..self.scopes.len()).any(|at| self.is_busy(at)) {
            return None;
        }
        let Some(last) = self.exchanged_at else {
            return Some(Millis::MIN);
        };
        let due = (0..self.scopes.len())
            .filter(|&at| self.is_busy(at))
            .map(|at| {
                let held = &self.scopes[at];
                if held.has_news && !self.has_failed {
                    return SPACING;
                }
                if self.unblocked_at(last, at).next().is_none() {
                    let probe_in = held.outage.as_ref().map_or(BEAT, |outage| outage.probe_in);
                    let open_in = match held.not_before {
                        moment if moment > last => moment - last,
                        _ => BEAT,
                    };
                    return probe_in.min(open_in).clamp(SPACING, BEAT);
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

    /// Those that nothing but slots and tickets keeps from being sent.
    fn unblocked_at(&self, now: Millis, at: usize) -> impl Iterator<Item = &Waiting> {
        self.waiting_at(at).filter(move |waiting| {
            let model = self.scopes.get(waiting.attempt.place.0);
            model.is_some_and(|model| !model.is_blocked(now))
        })
    }

    /// Begins an exchange: for each scope that there is business with its model (empty for the
    /// endpoint), its limits and the report. Nothing is granted until it has ended.
    pub fn begin_exchange(&mut self, now: Millis) -> Vec<(String, ScopeLimits, Report)> {
        self.is_exchanging = true;
        let busy: Vec<_> = (0..self.scopes.len())
            .filter(|&at| self.is_busy(at))
            .collect();
        let mut reports = Vec::with_capacity(busy.len());
        for at in busy {
            let report = self.report(now, at);
            let held = &mut self.scopes[at];
            held.hand_in();
            reports.push((held.model.clone(), held.limits, report));
        }
        reports
    }

    /// Whether there is something to report of a scope.
    fn is_busy(&self, at: usize) -> bool {
        let held = &self.scopes[at];
        held.is_known || held.in_flight > 0 || self.waiting_at(at).next().is_some()
    }

    fn report(&self, now: Millis, at: usize) -> Report {
        let held = &self.scopes[at];
        // A model that is held back keeps its place in the turns, but none at the endpoint.
        let waiting = match at {
            0 => self.unblocked_at(now, at).count(),
            _ => self.waiting_at(at).count(),
        };
        let at_once = held
            .slots
            .map_or(FIRST_TICKETS, |slots| FIRST_TICKETS.max(slots.into()));
        let first = self
            .unblocked_at(now, at)
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
            at_once: held.at_once[0].max(held.at_once[1]),
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
            refused: held.refused.map(|refused| Refused {
                asked_for: refused.asked_for.map(|_| (held.not_before - now).max(0)),
                ..refused
            }),
            seen: held.seen.clone(),
            answered: held.answered,
        }
    }

    /// Ends an exchange that was begun at `begun`: what the process holds now.
    pub fn end_exchange(&mut self, begun: Millis, now: Millis, grants: &[(String, Report, Grant)]) {
        self.is_exchanging = false;
        self.has_failed = false;
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
            held.at_once = [held.in_flight, held.at_once[0]];
            held.used_before = held.used;
            held.used = Amounts::default();
            // Later than the database's moment, or what all wait for would be a little early.
            let not_before = grant.not_before_in.map_or(Millis::MIN, |span| now + span);
            held.not_before = held.not_before.max(not_before);
            held.is_paced = grant.is_paced;
            held.cuts = grant.cuts;
            held.failures = grant.failures;
            held.has_worked |= grant.has_worked;
            held.outage.clone_from(&grant.outage);
            if let Some(outage) = &grant.outage {
                held.outage_since = now - outage.for_so_long;
            }
            // What happened while the exchange was under way is for the next one.
            held.has_news = held.refused.is_some()
                || (held.seen.worked && held.outage.is_some())
                || matches!(held.seen.probe, Probe::Failed | Probe::GivenUp);
        }
    }

    /// Ends an exchange that failed. Whether it was written is not known, so what was held may have
    /// gone to others: nothing is, until the next one.
    pub fn fail_exchange(&mut self, now: Millis, reports: &[(String, ScopeLimits, Report)]) {
        self.is_exchanging = false;
        self.has_failed = true;
        self.exchanged_at = Some(now);
        for (model, _, report) in reports {
            if let Some(held) = self.scopes.iter_mut().find(|held| held.model == *model) {
                held.take_back(report);
            }
        }
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

    /// What the owners of jobs are to be told, by job and model.
    pub fn news(&mut self, now: Millis) -> Vec<(JobId, String, News)> {
        for key in self.queues.keys() {
            self.standings.entry(*key).or_default();
        }
        let mut news = Vec::new();
        for ((job, place), standing) in &mut self.standings {
            let queue = self.queues.get(&(*job, *place));
            let head = queue.and_then(VecDeque::front);
            standing.waiting =
                queue.map_or(0, |queue| u32::try_from(queue.len()).unwrap_or(u32::MAX));
            let (Some(endpoint), Some(model)) = (self.scopes.first(), self.scopes.get(place.0))
            else {
                continue;
            };
            let hold = head.and_then(|head| {
                let tokens = head.attempt.tokens;
                model
                    .hold(now, tokens)
                    .or_else(|| endpoint.hold(now, tokens))
            });
            let outage = model.outage.as_ref().map(|outage| outage.reason.as_str());
            if let Some(one) = standing.news(now, hold, outage) {
                news.push((*job, model.model.clone(), one));
            }
        }
        news
    }

    /// Counts who waits, for what and how long: after each change of the queues.
    pub fn count_waits(&mut self, now: Millis) {
        let uncounted = self.uncounted;
        let is_new = |waiting: &&Waiting| waiting.id >= uncounted;
        let (scopes, endpoint) = (&self.scopes, self.scopes.first());
        let queues = self.queues.iter().filter(|(_, queue)| !queue.is_empty());
        let queues = queues.map(|(key, queue)| {
            // Retries join at the front, all others at the back.
            let at_back = queue.iter().rev().take_while(is_new).count();
            let at_front = queue.iter().take_while(is_new).count();
            let head = queue.front().zip(scopes.get(key.1.0)).zip(endpoint);
            let cause = head.and_then(|((head, model), endpoint)| {
                if model.awaited_outage().is_some() {
                    return Some(WaitCause::Outage);
                }
                let hold = |held: &Held| held.hold(now, head.attempt.tokens);
                let (reason, _) = hold(model).or_else(|| hold(endpoint))?;
                Some(reason.into())
            });
            let queued = Queued {
                attempts: queue.len() as u64,
                new: queue.len().min(at_back + at_front) as u64,
                cause,
            };
            (*key, queued)
        });
        self.waits.count(now, queues);
        self.uncounted = WaitId(self.next_id);
    }

    /// The waits that were counted since the last time this was asked for, by model.
    pub fn take_waits(&mut self, now: Millis) -> Vec<(String, Waits)> {
        self.count_waits(now);
        let waits = self.waits.take().into_iter();
        let named = waits.filter_map(|(place, waits)| {
            let model = self.scopes.get(place.0)?;
            Some((model.model.clone(), waits))
        });
        named.collect()
    }

    /// Forgets a job that has ended or is let go.
    pub fn leave(&mut self, job: JobId) {
        self.standings.retain(|(of, _), _| *of != job);
    }

    /// Whether no request waits and none is in flight.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.queues.is_empty() && self.scopes.iter().all(|held| held.in_flight == 0)
    }
}

#[cfg(test)]
mod tests;
