//! The loop over trials: ask, evaluate several at once, tell in order.
//!
//! One tell a turn, and asks in between: the sequence of asks and tells, which everything random
//! depends on, is the same whichever trial ends first.

use crate::ended::EndedTrials;
use crate::past::Past;
use frugal_domain::configuration::Configuration;
use frugal_domain::id::TrialNumber;
use frugal_domain::job::JobSpec;
use frugal_domain::state::StopReason;
use frugal_domain::trial::TrialOutcome;
use frugal_search::{
    Ask, Origin, Proposal, Search, SearchError, SearchOptions, Searcher, TellError,
};
use std::collections::VecDeque;

/// The state of the loop.
#[derive(Debug)]
pub(crate) struct SearchLoop {
    search: Search,
    /// Trials that were proposed.
    proposed: u32,
    /// Those of them that the job's owner has put in, which do not count in its limit on trials.
    of_owner: u32,
    /// Those of them not told yet, oldest first.
    open: VecDeque<TrialNumber>,
    /// The oldest of these, once enough are in the air: nothing is asked before it has been told.
    awaited: Option<TrialNumber>,
    /// A trial was cut off, of which the searcher hears nothing, so that it can hear of no later one.
    deaf: bool,
}

/// What the loop wants.
#[derive(Debug)]
pub(crate) enum SearchMove {
    /// Begin this trial.
    Begin(TrialNumber, Proposal),
    /// This trial has ended and is the next to be told.
    Tell(TrialNumber),
    /// Nothing more is to be asked before the oldest trial in the air has been told.
    Await,
    /// The oldest trial in the air has not ended.
    Wait,
    /// No trial is in the air, and none will be.
    Over,
}

/// What bears on whether more is asked.
pub(crate) struct Circumstances<'a> {
    pub(crate) spec: &'a JobSpec,
    pub(crate) past: &'a Past,
    pub(crate) ended: &'a EndedTrials,
    /// Why the search ends, once it does.
    pub(crate) stop: &'a mut Option<StopReason>,
    /// Why the job is to stop, if it is.
    pub(crate) halted: Option<StopReason>,
}

impl SearchLoop {
    pub(crate) fn new(spec: &JobSpec) -> Result<Self, SearchError> {
        Ok(Self {
            search: Search::new(SearchOptions::for_job(spec))?,
            proposed: 0,
            of_owner: 0,
            open: VecDeque::new(),
            awaited: None,
            deaf: false,
        })
    }

    /// Whether the next trial was begun before. Then there was no reason to stop yet, whatever
    /// there is now.
    pub(crate) fn replays(&self, past: &Past) -> bool {
        past.trials.contains_key(&TrialNumber(self.proposed + 1))
    }

    /// What comes next.
    pub(crate) fn turn(&mut self, around: &mut Circumstances<'_>) -> SearchMove {
        if let Some(oldest) = self.awaited {
            return if around.ended.contains_key(&oldest) {
                SearchMove::Tell(oldest)
            } else {
                SearchMove::Wait
            };
        }
        if let Some(proposal) = self.ask(around) {
            let number = TrialNumber(proposal.number + 1);
            self.proposed += 1;
            self.of_owner += u32::from(proposal.origin == Origin::Owner);
            self.open.push_back(number);
            return SearchMove::Begin(number, proposal);
        }
        self.awaited = self.open.pop_front();
        match self.awaited {
            Some(_) => SearchMove::Await,
            None => SearchMove::Over,
        }
    }

    /// Goes on under what the job's terms have become.
    pub(crate) fn go_by(&mut self, spec: &JobSpec) {
        self.search.go_by(spec);
        self.decide_anew();
    }

    /// Begins a configuration next that the job's owner has put in, unless the search has proposed it before.
    pub(crate) fn enqueue(&mut self, configuration: &Configuration) {
        self.search.enqueue(configuration);
        self.decide_anew();
    }

    /// What was to be told next may be asked before.
    fn decide_anew(&mut self) {
        if let Some(awaited) = self.awaited.take() {
            self.open.push_front(awaited);
        }
    }

    /// Whether the searcher can go on: neither has it been told of a trial that was cut off, nor will it be.
    pub(crate) fn may_go_on(&self, ended: &EndedTrials) -> bool {
        let mut in_the_air = self.awaited.iter().chain(&self.open);
        let is_cut_off = |trial: &TrialNumber| {
            let ended = ended.get(trial);
            ended.is_some_and(|ended| ended.outcome == TrialOutcome::Stopped)
        };
        !self.deaf && !in_the_air.any(is_cut_off)
    }

    /// Asks for a trial, unless enough are in the air or there is a reason to stop.
    fn ask(&mut self, around: &mut Circumstances<'_>) -> Option<Proposal> {
        let spec = around.spec;
        if self.open.len() >= spec.search.parallel_trials as usize {
            return None;
        }
        if !self.replays(around.past) {
            if around.stop.is_none() {
                *around.stop = around.halted;
            }
            if around.stop.is_some() {
                return None;
            }
        }
        let of_search = self.proposed - self.of_owner;
        if of_search >= spec.limits.trials && !self.search.has_enqueued() {
            around.stop.get_or_insert(StopReason::TrialLimit);
            return None;
        }
        match self.search.ask() {
            Ask::Propose(proposal) => Some(proposal),
            Ask::Wait => None,
            Ask::Exhausted(reason) => {
                around.stop.get_or_insert(reason.into());
                None
            }
        }
    }

    /// Tells the searcher of the trial that it waits for.
    ///
    /// # Errors
    /// It waits for another.
    pub(crate) fn tell(
        &mut self,
        trial: TrialNumber,
        around: &Circumstances<'_>,
    ) -> Result<(), TellError> {
        self.awaited = None;
        let ended = around.ended.get(&trial);
        let observation = ended.and_then(|ended| ended.observation(around.spec, around.ended));
        self.deaf |= observation.is_none();
        if let Some(observation) = observation.filter(|_| !self.deaf) {
            self.search.tell(trial.0 - 1, observation)?;
        }
        Ok(())
    }
}

/// Who proposed a configuration, as it is stored.
pub(crate) fn origin(origin: Origin) -> String {
    match origin {
        Origin::Start => "start".to_owned(),
        Origin::LowCost => "low_cost".to_owned(),
        Origin::Global => "global".to_owned(),
        Origin::Local { thread } => format!("local:{thread}"),
        Origin::Restart => "restart".to_owned(),
        Origin::Random => "random".to_owned(),
        Origin::Grid => "grid".to_owned(),
        Origin::Owner => "owner".to_owned(),
    }
}
