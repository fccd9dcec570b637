//! What happened to a job before: told to it once, instead of being done again.

use crate::tally::{SettledRequest, Tally};
use frugal_domain::configuration::{Configuration, Extent};
use frugal_domain::id::TrialNumber;
use frugal_domain::job::Terms;
use frugal_domain::money::Spend;
use frugal_domain::request::{Purpose, RequestKey};
use frugal_domain::trial::TrialOutcome;
use frugal_evaluation::{KnownScores, OfferedResponse, ScoreKey};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// Everything that happened to a job before, however far it got. Nothing of it is asked for again.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// Trials that were begun.
    pub trials: BTreeMap<TrialNumber, PastTrial>,
    /// What the trials found of other jobs' responses when they looked; absent for those that have
    /// not looked.
    pub looked_up: BTreeMap<TrialNumber, Vec<OfferedResponse>>,
    /// Requests that were settled. Those that were in flight when a worker died are not among them:
    /// they are asked again.
    pub requests: BTreeMap<RequestKey, PastRequest>,
    /// What judges were asked, and what came of it.
    pub judgements: BTreeMap<Question, Judgement>,
    /// By purpose and trial, the ordinal that follows those of all questions that judges were ever asked.
    pub judge_ordinals: BTreeMap<(Purpose, TrialNumber), u32>,
    /// What scorers said. What the job's pool of responses holds is taken from here.
    pub scores: KnownScores,
    /// What the requests may have cost that were in flight when a worker died.
    pub lost: Spend,
    /// Whether it was told that the held-out rows are scored, since the job was begun or continued.
    pub validation_completed: bool,
    /// How often the job had ended before, and was continued.
    pub earlier_runs: u32,
    /// What was scored on the held-out rows by then.
    pub earlier_validations: Vec<EarlierValidation>,
    /// The terms that its owner has changed, in the order of the numbers.
    pub changes: Vec<TermsChange>,
    /// What its owner has put in, in the order of the numbers, which are those of the changes too.
    pub enqueued: Vec<EnqueuedTrial>,
}

/// A winner that was scored on the held-out rows before the job was continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EarlierValidation {
    /// How often the job had ended before that.
    pub run: u32,
    /// The winner's trial and extent, where they were told.
    pub winner: Option<(TrialNumber, Extent)>,
}

/// A change of a job's terms.
#[derive(Debug, Clone, PartialEq)]
pub struct TermsChange {
    /// The how-manieth change of the job.
    pub number: u32,
    /// The terms from then on.
    pub terms: Terms,
    /// Its place: how many decisions the search had made before. None where it has not got one yet: it is
    /// then given the first one behind all that is stored.
    pub place: Option<u64>,
    /// Requests that could not be paid for under the terms before, and whose trials went on without them.
    pub unaffordable: BTreeSet<RequestKey>,
    /// The job had ended, and goes on with this.
    pub continues: bool,
    /// Whether an event has told of it.
    pub told: bool,
}

/// A configuration that the job's owner has put in while it went on.
#[derive(Debug, Clone, PartialEq)]
pub struct EnqueuedTrial {
    /// Its number among all that the owner has changed.
    pub number: u32,
    /// The point of the search space.
    pub configuration: Configuration,
    /// Its place: how many decisions the search had made before. None where it has not got one yet, as of a
    /// [change of the terms](TermsChange::place).
    pub place: Option<u64>,
}

/// A question to a judge, by what it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// The answer, as it is scored.
    pub score: ScoreKey,
    /// The how-manieth about it, from 0 through those of all judges.
    pub number: u32,
}

impl Question {
    /// All questions about an answer.
    pub(crate) const fn all_about(score: ScoreKey) -> RangeInclusive<Self> {
        let number = u32::MAX;
        Self { score, number: 0 }..=Self { score, number }
    }
}

/// A question to a judge that was settled.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// The request.
    pub key: RequestKey,
    /// What came of it.
    pub settled: SettledRequest,
}

/// A trial that was begun.
#[derive(Debug, Clone)]
pub struct PastTrial {
    /// What it evaluates.
    pub configuration: Configuration,
    /// What it had used when it was stored last: whatever it comes to beyond that was told to nobody.
    pub shown: Tally,
    /// How it ended and what it had used by then, if it has ended.
    pub end: Option<(TrialOutcome, Tally)>,
}

impl PastTrial {
    /// Whether the trial goes on and has used so much by now, which is more than was stored.
    pub(crate) const fn is_behind(&self, tally: Tally) -> bool {
        let more = tally.requests > self.shown.requests || tally.responses > self.shown.responses;
        self.end.is_none() && more
    }
}

/// A request that was settled.
#[derive(Debug, Clone)]
pub struct PastRequest {
    /// The row that it was about, by position within its split.
    pub instance: usize,
    /// Responses asked for.
    pub n: u32,
    /// The most tokens of each.
    pub max_tokens: u32,
    /// What came of it.
    pub settled: SettledRequest,
}
