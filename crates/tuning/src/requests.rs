//! Requests that wait to be sent, and those in flight: what each may cost is set aside before it
//! goes out.

use crate::books::Books;
use crate::overheads::{self, Asked, Overheads, Pair};
use crate::step::RequestToSend;
use crate::tally::SettledRequest;
use frugal_domain::money::Spend;
use frugal_domain::request::{Purpose, RequestKey};
use frugal_domain::spend::SpendCategory;
use frugal_evaluation::Reservation;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Attempts of one request that brought nothing and may have been billed, each at its worst case,
/// that are made whatever the job has lost so far.
const UNCERTAIN_ATTEMPTS: usize = 3;

/// The requests of a job that are not settled.
#[derive(Debug)]
pub(crate) struct Requests {
    waiting: VecDeque<RequestToSend>,
    in_flight: BTreeMap<RequestKey, InFlight>,
    /// The most in flight at a time.
    most: usize,
    overheads: Overheads,
    /// Requests that are not sent, since they could not be paid for when the job came to them first.
    unaffordable: BTreeSet<RequestKey>,
    /// Pairs of a model and a prompt that nothing is known of yet and that a request is in flight for.
    /// Others wait until it has told what requests cost.
    meeting: BTreeSet<Pair>,
}

/// What is set aside for a request in flight: its worst case, once for each time that it may be
/// billed.
#[derive(Debug)]
struct InFlight {
    reservations: Vec<Reservation>,
    worst: Spend,
    asked: Asked,
}

/// Whether a request's own share of the budget pays it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// It does, or there is none.
    Pays,
    /// It does once others have ended.
    Later,
    /// It does not.
    UsedUp,
}

/// The next of the requests that wait.
#[derive(Debug)]
pub(crate) enum NextRequest {
    /// It may be sent.
    Send(RequestToSend),
    /// It can never be afforded.
    Unaffordable(RequestKey),
    /// None may be sent now.
    None,
}

impl Requests {
    pub(crate) fn new(most: u32, overheads: Overheads, unaffordable: BTreeSet<RequestKey>) -> Self {
        Self {
            waiting: VecDeque::new(),
            in_flight: BTreeMap::new(),
            most: usize::try_from(most).unwrap_or(usize::MAX),
            overheads,
            unaffordable,
            meeting: BTreeSet::new(),
        }
    }

    /// From now on at most so many are in flight.
    pub(crate) fn set_most(&mut self, most: u32) {
        self.most = usize::try_from(most).unwrap_or(usize::MAX);
    }

    /// These could not be paid for, and never are.
    pub(crate) fn refuse(&mut self, unaffordable: BTreeSet<RequestKey>) {
        self.unaffordable.extend(unaffordable);
    }

    /// Whether one of a trial's requests with these ordinals could not be paid for under other terms than
    /// the present ones.
    pub(crate) fn was_refused(&self, first: RequestKey, count: u32) -> bool {
        let end = RequestKey {
            ordinal: first.ordinal.saturating_add(count),
            ..first
        };
        self.unaffordable.range(first..end).next().is_some()
    }

    /// Lines a request up.
    pub(crate) fn push(&mut self, request: RequestToSend) {
        self.waiting.push_back(request);
    }

    /// Lines requests up before all others: what they are about is paid for already.
    pub(crate) fn push_first(&mut self, requests: Vec<RequestToSend>) {
        for request in requests.into_iter().rev() {
            self.waiting.push_front(request);
        }
    }

    /// The first request in line that the budget allows now, its worst case set aside. One that is
    /// only kept waiting by what others have set aside, of the budget or of its own `share` of it, lets those behind it
    /// pass, and so does one whose
    /// pair of model and prompt is being asked for the first time.
    pub(crate) fn next(
        &mut self,
        books: &mut Books,
        mut share: impl FnMut(&RequestToSend, Spend) -> Share,
    ) -> NextRequest {
        if self.in_flight.len() >= self.most {
            return NextRequest::None;
        }
        for position in 0..self.waiting.len() {
            if self.unaffordable.contains(&self.waiting[position].key) {
                let request = self.waiting.remove(position);
                return request.map_or(NextRequest::None, |request| {
                    NextRequest::Unaffordable(request.key)
                });
            }
            let pair = overheads::pair(&self.waiting[position]);
            if self.meeting.contains(&pair) {
                continue;
            }
            let (prompt_tokens, worst) = self.overheads.worst_case(&self.waiting[position]);
            match share(&self.waiting[position], worst) {
                Share::Pays => {}
                Share::Later => continue,
                Share::UsedUp => {
                    let removed = self.waiting.remove(position);
                    return removed.map_or(NextRequest::None, |request| {
                        NextRequest::Unaffordable(request.key)
                    });
                }
            }
            let reservation = match books.reserve(worst) {
                Ok(reservation) => Some(reservation),
                Err(refused) if refused.fits_alone => continue,
                Err(_) => None,
            };
            let Some(mut request) = self.waiting.remove(position) else {
                return NextRequest::None;
            };
            let Some(reservation) = reservation else {
                return NextRequest::Unaffordable(request.key);
            };
            books.progress.requests += 1;
            request.prompt_tokens = prompt_tokens;
            request.worst_case = worst;
            if !self.overheads.is_acquainted(pair) {
                self.meeting.insert(pair);
            }
            self.in_flight.insert(
                request.key,
                InFlight {
                    reservations: vec![reservation],
                    worst,
                    asked: self.overheads.asked(&request),
                },
            );
            return NextRequest::Send(request);
        }
        NextRequest::None
    }

    /// Sets the worst case of a request in flight aside once more, so that it may be sent again: each
    /// of its attempts so far may have been billed. Whether that fits, and is not too much for one
    /// request: a few attempts are, more only where the model `works` and little of the budget is
    /// uncertain.
    pub(crate) fn reserve_again(
        &mut self,
        key: RequestKey,
        works: impl Fn(usize) -> bool,
        books: &mut Books,
    ) -> bool {
        let Some(request) = self.in_flight.get_mut(&key) else {
            return false;
        };
        if request.reservations.len() >= UNCERTAIN_ATTEMPTS {
            let (model, _) = request.asked.pair;
            let own: Spend = request.reservations.iter().map(Reservation::worst).sum();
            if !works(model) || !books.is_little(own) {
                return false;
            }
        }
        match books.reserve(request.worst) {
            Ok(reservation) => {
                request.reservations.push(reservation);
                true
            }
            Err(_) => false,
        }
    }

    /// Books what a request came to. Whether it was in flight.
    pub(crate) fn settle(
        &mut self,
        key: RequestKey,
        settled: &SettledRequest,
        books: &mut Books,
    ) -> bool {
        let Some((_, asked)) = self.take_back(key, books) else {
            return false;
        };
        self.overheads.learn(&asked, settled);
        books.settle(key, settled);
        // A judge's replies are not what is counted as the job's responses.
        if !key.purpose.is_judging() {
            books.count(settled);
        }
        true
    }

    /// Forgets a request that was not sent in the end. Whether it was in flight.
    pub(crate) fn withdraw(&mut self, key: RequestKey, books: &mut Books) -> bool {
        if self.take_back(key, books).is_none() {
            return false;
        }
        books.progress.requests = books.progress.requests.saturating_sub(1);
        true
    }

    /// Books a request that was given up at what it may have cost: at all that is set aside for
    /// it, unless it is known to be less. Whether it was in flight.
    pub(crate) fn give_up(
        &mut self,
        key: RequestKey,
        cost: Option<Spend>,
        books: &mut Books,
    ) -> bool {
        let Some((worst, _)) = self.take_back(key, books) else {
            return false;
        };
        let cost = cost.unwrap_or(worst);
        if cost != Spend::default() {
            books.ledger.record(cost, SpendCategory::Lost);
        }
        true
    }

    /// Gives back what is set aside for a request, and says how much that was.
    fn take_back(&mut self, key: RequestKey, books: &mut Books) -> Option<(Spend, Asked)> {
        let request = self.in_flight.remove(&key)?;
        // If nothing was learned of it, the next of its pair is sent alone as well.
        self.meeting.remove(&request.asked.pair);
        let mut worst = Spend::default();
        for reservation in request.reservations {
            worst += reservation.worst();
            books.ledger.release(reservation);
        }
        Some((worst, request.asked))
    }

    /// What models bill beyond the bounds.
    pub(crate) const fn overheads(&self) -> &Overheads {
        &self.overheads
    }

    /// The same, to be told of.
    pub(crate) const fn overheads_mut(&mut self) -> &mut Overheads {
        &mut self.overheads
    }

    /// Drops the requests in line that a condition holds for, and returns what they are for.
    pub(crate) fn drop_waiting(&mut self, condition: impl Fn(Purpose) -> bool) -> Vec<RequestKey> {
        let (dropped, kept) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition::<VecDeque<_>, _>(|request| condition(request.key.purpose));
        self.waiting = kept;
        dropped.into_iter().map(|request| request.key).collect()
    }

    /// Whether nothing is in flight.
    pub(crate) fn none_in_flight(&self) -> bool {
        self.in_flight.is_empty()
    }
}
