//! What a job's owner changes while it goes on, terms and configurations put in, and its places among the
//! decisions of the search.
//!
//! A place is a count of decisions: of what is begun, asked for, told and concluded, whose sequence does not
//! depend on the order in which answers arrive. A change that comes while the job runs gets its place at
//! once and is stored before anything more is decided; a replay takes it in at the same place.

use crate::past::{EnqueuedTrial, Past, TermsChange};
use frugal_domain::configuration::Configuration;
use frugal_domain::job::{ExtentChoice, JobSpec, Terms};
use frugal_domain::request::RequestKey;
use std::collections::{BTreeSet, VecDeque};

/// What the owner of a job has changed.
#[derive(Debug, Clone)]
pub(crate) enum OwnerChange {
    /// The terms that the search goes by.
    Terms(TermsChange),
    /// A configuration is to be tried besides.
    Trial(EnqueuedTrial),
}

impl OwnerChange {
    const fn number(&self) -> u32 {
        match self {
            Self::Terms(change) => change.number,
            Self::Trial(enqueued) => enqueued.number,
        }
    }

    const fn place(&self) -> Option<u64> {
        match self {
            Self::Terms(change) => change.place,
            Self::Trial(enqueued) => enqueued.place,
        }
    }

    /// Whether the job had ended, and goes on with this.
    const fn continues(&self) -> bool {
        matches!(self, Self::Terms(change) if change.continues)
    }
}

/// The changes that are still to be taken in.
#[derive(Debug)]
pub(crate) struct Changes {
    /// Decisions made so far.
    pub(crate) decisions: u64,
    /// Those to come, in the order of their numbers.
    ahead: VecDeque<OwnerChange>,
    /// The number of the last one that was heard of.
    last: u32,
    /// The first of them is being stored.
    storing: bool,
    /// Requests that could not be paid for since the job was taken up.
    unaffordable: BTreeSet<RequestKey>,
}

/// What is to be done about the first of the changes ahead.
#[derive(Debug)]
pub(crate) enum ChangeMove {
    /// There is none, or its place lies further on.
    None,
    /// It is being stored.
    Wait,
    /// It is to be taken in now.
    Take(OwnerChange),
    /// It has no place yet.
    Place,
}

impl Changes {
    pub(crate) fn new(spec: &JobSpec, past: &Past) -> Self {
        let stands_from = refusals_stand_from(spec, past);
        let mut terms = past.changes.clone();
        for change in terms.iter_mut().take(stands_from) {
            change.unaffordable.clear();
        }
        let enqueued = past.enqueued.iter().cloned().map(OwnerChange::Trial);
        let terms = terms.into_iter().map(OwnerChange::Terms);
        let mut ahead: Vec<OwnerChange> = terms.chain(enqueued).collect();
        ahead.sort_by_key(OwnerChange::number);
        Self {
            decisions: 0,
            last: ahead.last().map_or(0, OwnerChange::number),
            ahead: ahead.into(),
            storing: false,
            unaffordable: BTreeSet::new(),
        }
    }

    /// What is to be done next.
    pub(crate) fn next(&mut self) -> ChangeMove {
        let decisions = self.decisions;
        match self.ahead.front() {
            Some(_) if self.storing => ChangeMove::Wait,
            Some(change) if change.place().is_none() => ChangeMove::Place,
            Some(change) if change.place() <= Some(decisions) => self.take(),
            _ => ChangeMove::None,
        }
    }

    /// Takes the first one whatever its place.
    fn take(&mut self) -> ChangeMove {
        self.ahead
            .pop_front()
            .map_or(ChangeMove::None, ChangeMove::Take)
    }

    /// What is to be done next where no decision is left to come under the present terms, if the job was
    /// continued after that.
    pub(crate) fn next_of_continued(&mut self) -> Option<ChangeMove> {
        if !self.ahead.iter().any(OwnerChange::continues) {
            return None;
        }
        Some(match self.next() {
            ChangeMove::None => self.take(),
            other => other,
        })
    }

    /// Gives the first one its place, with the terms that it comes to where it is about them. To be stored.
    pub(crate) fn place(&mut self, terms: impl FnOnce(Terms) -> Terms) -> Option<OwnerChange> {
        let place = Some(self.decisions);
        let first = self.ahead.front_mut()?;
        match first {
            OwnerChange::Terms(first) => {
                first.terms = terms(first.terms);
                first.place = place;
                first.unaffordable = std::mem::take(&mut self.unaffordable);
            }
            OwnerChange::Trial(first) => first.place = place,
        }
        self.storing = true;
        Some(first.clone())
    }

    /// The first one is stored, if it is this.
    pub(crate) fn stored(&mut self, number: u32) {
        if self
            .ahead
            .front()
            .is_some_and(|first| first.number() == number)
        {
            self.storing = false;
        }
    }

    /// Hears of a change; nothing where it was known.
    pub(crate) fn hear(&mut self, change: OwnerChange) -> bool {
        let new = change.number() > self.last;
        if new {
            self.last = change.number();
            self.ahead.push_back(change);
        }
        new
    }

    /// The configurations that were put in and that the search has not come to.
    pub(crate) fn enqueued(&self) -> impl Iterator<Item = &Configuration> {
        self.ahead.iter().filter_map(|change| match change {
            OwnerChange::Terms(_) => None,
            OwnerChange::Trial(enqueued) => Some(&enqueued.configuration),
        })
    }

    /// A request could not be paid for.
    pub(crate) fn not_paid(&mut self, key: RequestKey) {
        self.unaffordable.insert(key);
    }
}

/// A job as its owner wants it last.
pub(crate) fn as_wanted(spec: &JobSpec, past: &Past) -> JobSpec {
    let mut spec = spec.clone();
    if let Some(change) = past.changes.last() {
        change.terms.give(&mut spec);
    }
    spec
}

/// Requests that were not paid for under earlier terms, and are not asked for again.
pub(crate) fn refused(spec: &JobSpec, past: &Past) -> BTreeSet<RequestKey> {
    past.changes[refusals_stand_from(spec, past)..]
        .iter()
        .flat_map(|change| change.unaffordable.iter().copied())
        .collect()
}

/// From which of the changes on a request stays refused that could not be paid for before it. Where each
/// configuration is evaluated apart, the trials that such requests kept from their end are taken up again
/// once the job is continued, and ask for them.
fn refusals_stand_from(spec: &JobSpec, past: &Past) -> usize {
    match spec.search.extent {
        ExtentChoice::Profiled => 0,
        ExtentChoice::Searched => {
            let continued = past.changes.iter().rposition(|change| change.continues);
            continued.unwrap_or(0)
        }
    }
}
