//! What a job is told from outside while it goes on: to stop, to be let go for a while, to go on under
//! other terms, to try a configuration besides.

use super::{Phase, Tuning};
use crate::changes::{ChangeMove, OwnerChange};
use crate::ended::BASELINE;
use crate::past::{EnqueuedTrial, TermsChange};
use crate::profiled::ProfiledLoop;
use crate::run_key::RunKey;
use crate::step::Change;
use frugal_domain::configuration::Configuration;
use frugal_domain::event::EventBody;
use frugal_domain::id::TrialNumber;
use frugal_domain::job::{ExtentChoice, Split, Terms};
use frugal_domain::request::{Purpose, RequestKey};
use frugal_domain::state::StopReason;
use std::sync::Arc;

/// The number of the search's first trial.
const FIRST: TrialNumber = TrialNumber(1);

impl Tuning {
    /// The job is to stop: its time is over ([`StopReason::Deadline`]), or its client wants it to
    /// ([`StopReason::Cancelled`], which stands above the other). Only what is new stops: the past
    /// is lived through to its end, and what is in flight may come home. After the end of its time
    /// the winner is still scored on the held-out rows.
    pub fn halt(&mut self, reason: StopReason) {
        if self.halted != Some(StopReason::Cancelled) {
            self.halted = Some(reason);
        }
        self.held = false;
        self.drop_waiting();
        for key in std::mem::take(&mut self.withheld) {
            self.not_answered(key);
        }
    }

    /// The job is to be taken up again later, from what is stored: nothing more is sent or begun. What
    /// is in flight may come home, and what follows from it is scored and recorded. What does not come
    /// home leaves its trial waiting, and cuts nothing off. A [halt](Self::halt) ends it.
    pub const fn hold(&mut self) {
        self.held = true;
    }

    /// Whether requests for this purpose are not to be sent any more.
    #[must_use]
    pub fn sends_nothing_for(&self, purpose: Purpose) -> bool {
        self.unusable.is_some()
            || match self.halted {
                None => false,
                Some(StopReason::Deadline) => purpose.split() != Split::Holdout,
                Some(_) => true,
            }
    }

    /// Drops the requests that are not to be sent any more.
    pub(super) fn drop_waiting(&mut self) {
        let stopped: Vec<Purpose> = Purpose::ALL
            .iter()
            .copied()
            .filter(|purpose| self.sends_nothing_for(*purpose))
            .collect();
        let dropped = self
            .requests
            .drop_waiting(|purpose| stopped.contains(&purpose));
        for key in dropped {
            self.not_answered(key);
        }
    }

    /// A request will not be answered any more, because the job is to stop.
    fn not_answered(&mut self, key: RequestKey) {
        if key.purpose.is_judging() {
            self.judge_not_asked(key);
        } else if let Some(run) = self.run_of(key) {
            self.with(run, |active| active.cut_off(key.ordinal));
        }
    }

    /// The job's owner has changed its terms. What is sent is bounded by them at once, and what is decided
    /// from the place on that the change gets. One that was heard of before changes nothing.
    pub fn change_terms(&mut self, change: TermsChange) {
        let terms = change.terms;
        if self.changes.hear(OwnerChange::Terms(change)) {
            self.be_bounded_by(terms);
        }
    }

    /// The job's owner has put a configuration in, a point of its space. From the place on that it gets it is the next
    /// to be begun, beside what the search proposes. One that was heard of before changes nothing, and one that
    /// asks the same of an endpoint as a trial that there is begins no other.
    pub fn enqueue(&mut self, trial: EnqueuedTrial) {
        self.changes.hear(OwnerChange::Trial(trial));
    }

    /// What the owner has changed is stored with its place.
    pub fn change_stored(&mut self, number: u32) {
        self.changes.stored(number);
    }

    /// Sees to what the owner has changed: places the first that has no place, and takes in the one whose
    /// place this is. Whether anything moved, where nothing is to be decided now.
    pub(super) fn changes_turn(&mut self) -> Option<bool> {
        match self.changes.next() {
            ChangeMove::Place if self.lives_through_past() || self.ends_again() => None,
            next => self.see_to(next),
        }
    }

    /// Whether the search is on its way to the end that it had come to before. What was changed since does not belong
    /// to it.
    const fn ends_again(&self) -> bool {
        let has_ended = matches!(
            self.phase,
            Phase::Validation | Phase::Over | Phase::Finished
        );
        self.had_concluded && !has_ended
    }

    /// Where nothing is left to decide and the job was continued after that: goes on to the terms under
    /// which it was. Whether it did.
    pub(super) fn goes_on_with_other_terms(&mut self) -> bool {
        if self.reason_to_stop().is_some() {
            return false;
        }
        let next = self.changes.next_of_continued();
        next.is_some_and(|next| self.see_to(next).is_some())
    }

    fn see_to(&mut self, next: ChangeMove) -> Option<bool> {
        match next {
            ChangeMove::None => None,
            ChangeMove::Wait => Some(false),
            ChangeMove::Place => {
                self.place_change();
                Some(true)
            }
            ChangeMove::Take(change) => {
                self.take_in(change);
                Some(true)
            }
        }
    }

    /// Whether decisions are still ahead that were made before.
    fn lives_through_past(&self) -> bool {
        let begun = self.past.trials.keys().next_back().copied();
        match self.phase {
            Phase::Calibration => begun.is_some(),
            Phase::Baseline => {
                let has_begun = self.active.contains_key(&RunKey::of_trial(BASELINE))
                    || self.ended.contains_key(&BASELINE);
                begun > Some(BASELINE) || begun.is_some() && !has_begun
            }
            Phase::Search if self.job.spec.search.extent == ExtentChoice::Profiled => {
                let next = self.profiled.as_ref().map(ProfiledLoop::next_number);
                begun >= Some(next.unwrap_or(FIRST)) || self.has_search_ahead()
            }
            Phase::Search => {
                let search = self.search.as_ref();
                search.is_some_and(|search| search.replays(&self.past))
            }
            Phase::Validation | Phase::Over | Phase::Finished => false,
        }
    }

    /// Gives the first change its place, which is here, and has that stored.
    fn place_change(&mut self) {
        let unit = self.job.spec.optimization_budget.unit();
        let committed = unit.of(self.books.committed());
        // What is spent or on its way cannot be taken back.
        let placed = self.changes.place(|terms| Terms {
            optimization_budget: match terms.optimization_budget {
                budget if budget.amount() < committed => unit.budget(committed),
                budget => budget,
            },
            ..terms
        });
        let change = match placed {
            None => return,
            Some(OwnerChange::Trial(enqueued)) => {
                // An event has told of it when it was put in.
                return self.record(Change::TrialEnqueued(enqueued), Vec::new());
            }
            Some(OwnerChange::Terms(change)) => change,
        };
        self.be_bounded_by(change.terms);
        let changes = Terms::of(&self.job.spec).changes(&change.terms);
        let events = match change.told || changes.is_empty() {
            true => Vec::new(),
            false => vec![EventBody::JobUpdated { changes }],
        };
        self.record(Change::TermsChanged(change), events);
    }

    /// From here on the search goes by what the owner has changed.
    fn take_in(&mut self, change: OwnerChange) {
        match change {
            OwnerChange::Terms(change) => self.go_by(change),
            OwnerChange::Trial(enqueued) => self.take_up(enqueued.configuration),
        }
        // What ended the search may not now; if it does, it is found out again.
        let searches = self.phase == Phase::Search && self.profiled.is_none();
        let search = self.search.as_ref();
        let may_go_on = search.is_some_and(|search| search.may_go_on(&self.ended));
        if searches && may_go_on && self.reason_to_stop().is_none() {
            self.stop = None;
        }
    }

    /// A configuration that the owner has put in is begun as soon as there is room for it.
    fn take_up(&mut self, configuration: Configuration) {
        if !self.is_baseline(&configuration) {
            if let Some(search) = &mut self.search {
                search.enqueue(&configuration);
            }
            if let Some(profiled) = &mut self.profiled {
                profiled.enqueue(&configuration);
            }
        }
        self.enqueued.push(configuration);
    }

    /// Whether a configuration asks the same of the endpoint as the baseline, which has a trial of its own.
    pub(super) fn is_baseline(&self, configuration: &Configuration) -> bool {
        let spec = &self.job.spec;
        let baseline = spec.baseline.as_ref();
        let baseline = baseline.and_then(|baseline| spec.settings(baseline).ok());
        baseline.is_some() && baseline == spec.settings(configuration).ok()
    }

    /// From here on the search decides under these terms.
    fn go_by(&mut self, change: TermsChange) {
        let mut spec = self.job.spec.as_ref().clone();
        change.terms.give(&mut spec);
        self.job.spec = Arc::new(spec);
        self.requests.refuse(change.unaffordable);
        let spec = &self.job.spec;
        self.evaluator
            .set_optimization_budget(spec.optimization_budget);
        if let Some(search) = &mut self.search {
            search.go_by(spec);
        }
        self.profiled_goes_by_terms();
    }

    /// What is sent is bounded by these terms from now on.
    fn be_bounded_by(&mut self, terms: Terms) {
        let mut spec = self.job.spec.as_ref().clone();
        terms.give(&mut spec);
        let holdout_rows = self.job.rows(Split::Holdout);
        self.books.set_budget(&spec, holdout_rows);
        self.requests.set_most(spec.search.requests_in_flight);
    }
}
