//! What a job asks its driver for, and what the driver tells it in return.

use crate::past::{EnqueuedTrial, TermsChange};
use crate::tally::{SettledRequest, Summary, Tally};
use frugal_domain::configuration::{Configuration, Settings};
use frugal_domain::event::EventBody;
use frugal_domain::id::TrialNumber;
use frugal_domain::job::Split;
use frugal_domain::money::Spend;
use frugal_domain::request::{RequestKey, ResponseId};
use frugal_domain::scoring::Observation;
use frugal_domain::trial::{Evaluation, TrialOutcome, TrialRole};
use frugal_evaluation::{ScoreKey, ScorePlan};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is to be done next. Steps may be carried out side by side, but records are stored in the
/// order in which they come.
#[derive(Debug)]
pub enum Step {
    /// Send this request, and say [how it ended](crate::Tuning::request_ended).
    Send(RequestToSend),
    /// Score these responses, and say [what came of it](crate::Tuning::scored).
    Score(ScoreBatch),
    /// Look for responses of the owner's other jobs that serve this trial, and say
    /// [what was found](crate::Tuning::looked_up).
    LookUp(LookUp),
    /// Store this, after all records before it. Of a [begun trial](Change::TrialBegun) it must be
    /// [said](crate::Tuning::trial_begun) when that is done.
    Record(Box<Record>),
    /// Nothing more: the job [ends](crate::Tuning::ending). Nothing is in flight.
    Finish,
}

/// A request to send. Its worst case is set aside.
#[derive(Debug, Clone)]
pub struct RequestToSend {
    /// Which request.
    pub key: RequestKey,
    /// What is asked of the endpoint, `n` and `max_tokens` apart.
    pub settings: Arc<Settings>,
    /// The row that it is about, by position within the split of its purpose.
    pub instance: usize,
    /// Responses to ask for.
    pub n: u32,
    /// The most tokens of each.
    pub max_tokens: u32,
    /// The prompt's tokens, or the most that they can be.
    pub prompt_tokens: u64,
    /// Whether they are the endpoint's own count.
    pub prompt_is_counted: bool,
    /// The most that sending it once can cost, as far as the model has shown what it bills beyond the
    /// bounds on its tokens.
    pub worst_case: Spend,
    /// A seed of its own, from the job's seed and the request's place in the job: asked again after
    /// a crash, it is the same. 31 bits, which every endpoint takes.
    pub seed: u32,
    /// The question to a judge that it is, if it is one.
    pub judged: Option<Judged>,
}

/// What a judge is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// About which answer, whole or cut.
    pub plan: ScorePlan,
    /// The how-manieth question about it, from 0 through those of all judges.
    pub number: u32,
    /// The most tokens that the question can have, as far as its bytes tell.
    pub prompt_bound: u64,
}

impl RequestToSend {
    /// The rows that [`Self::instance`] counts in.
    #[must_use]
    pub const fn split(&self) -> Split {
        self.key.purpose.split()
    }
}

/// Responses to score for one trial, or one batch of its draws.
#[derive(Debug, Clone)]
pub struct ScoreBatch {
    /// What the scores are for: the first request that the trial or the batch may send.
    pub of: RequestKey,
    /// What to score, each against a row of the split of the purpose.
    pub plans: Vec<ScorePlan>,
    /// Where judges were asked, all of their replies about each of them, with the numbers of their questions.
    pub replies: BTreeMap<ScoreKey, Vec<(u32, ResponseId)>>,
}

/// What came of scoring a batch.
#[derive(Debug, Clone, Default)]
pub struct ScoredBatch {
    /// Those that are settled. They are stored.
    pub scores: Vec<Scored>,
    /// Those of which judges have to say something first: which, by their numbers.
    pub asks: Vec<(ScoreKey, Vec<usize>)>,
    /// Those that the end of the job kept from having a score, or what makes it end.
    pub cut_off: Vec<ScoreKey>,
    /// Why nothing more can be scored, where that is so: the job ends with it.
    pub unusable: Option<String>,
}

impl From<Vec<Scored>> for ScoredBatch {
    fn from(scores: Vec<Scored>) -> Self {
        Self {
            scores,
            ..Self::default()
        }
    }
}

/// What a scorer said of one response, or why it could not say anything.
pub type Scored = (ScoreKey, Result<Observation, String>);

/// A trial that may use what other jobs have bought.
#[derive(Debug, Clone)]
pub struct LookUp {
    /// The trial.
    pub trial: TrialNumber,
    /// What it asks of the endpoint.
    pub settings: Arc<Settings>,
}

/// What became of a request.
#[derive(Debug, Clone)]
pub enum RequestEnd {
    /// It was answered, or failed for good; that is stored.
    Settled(SettledRequest),
    /// It was not sent, because the job was to stop. It cost nothing.
    NotSent,
    /// It was sent and then given up, because the job was to stop.
    GivenUp {
        /// What its attempts may have cost; all that is set aside for it, where an attempt was in
        /// flight.
        cost: Option<Spend>,
    },
}

/// Something to store, with the events that tell of it, in one transaction.
#[derive(Debug, Clone)]
pub struct Record {
    /// What changed.
    pub change: Change,
    /// The events, in order.
    pub events: Vec<EventBody>,
    /// The job's summary from now on.
    pub summary: Summary,
}

/// What changed.
#[derive(Debug, Clone)]
pub enum Change {
    /// A trial is about to begin: none of its requests is sent before this is stored.
    TrialBegun(BegunTrial),
    /// A step of some trial's evaluation is done.
    Progressed,
    /// What is known of a trial that goes on.
    TrialProgressed {
        /// Which.
        trial: TrialNumber,
        /// What it asks of the endpoint, at the extent that is best so far.
        settings: Settings,
        /// What it comes to so far.
        evaluation: Evaluation,
        /// What it used so far.
        tally: Tally,
    },
    /// A trial has ended.
    TrialEnded {
        /// Which.
        trial: TrialNumber,
        /// What it asked of the endpoint, where its extent was chosen on the way.
        settings: Option<Settings>,
        /// How.
        outcome: TrialOutcome,
        /// What it used.
        tally: Tally,
    },
    /// The winner was scored on the held-out rows.
    Validated,
    /// A change of the terms has got its place. Nothing is decided until it is
    /// [said](crate::Tuning::change_stored) that this is stored.
    TermsChanged(TermsChange),
    /// The same of a configuration that the job's owner has put in.
    TrialEnqueued(EnqueuedTrial),
}

impl Change {
    /// The number of what the job's owner has changed and this gives a place: once this is stored, it is to be
    /// [said](crate::Tuning::change_stored).
    #[must_use]
    pub const fn placed(&self) -> Option<u32> {
        match self {
            Self::TermsChanged(change) => Some(change.number),
            Self::TrialEnqueued(enqueued) => Some(enqueued.number),
            _ => None,
        }
    }
}

/// A trial that is about to begin.
#[derive(Debug, Clone)]
pub struct BegunTrial {
    /// Its number.
    pub number: TrialNumber,
    /// What it is for.
    pub role: TrialRole,
    /// Who proposed it: `baseline`, `start`, `global`, `local:3`, `owner`, …
    pub origin: String,
    /// The point of the search space.
    pub configuration: Configuration,
    /// What it asks of the endpoint.
    pub settings: Settings,
}
