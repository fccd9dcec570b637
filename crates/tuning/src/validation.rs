//! The held-out rows: the winner's turn, then the baseline's.

use crate::ended::{BASELINE, EndedTrial, EndedTrials};
use crate::past::{EarlierValidation, Past};
use crate::run_key::RunKey;
use frugal_domain::configuration::Extent;
use frugal_domain::id::TrialNumber;
use frugal_domain::job::Split;
use frugal_domain::money::Spend;
use frugal_domain::request::Purpose;

/// Ordinals of the requests about held-out rows in one run of a job, at most.
const ORDINALS: u32 = 1 << 24;

/// How far the scoring of held-out rows is.
#[derive(Debug, Default)]
pub(crate) struct Validation {
    winner: Option<EndedTrial>,
    baseline: Option<EndedTrial>,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValidationMove {
    /// This trial's settings are to be evaluated on the held-out rows.
    Evaluate(TrialNumber),
    /// Both have had their turn, as far as there are both.
    Over,
}

impl Validation {
    /// Whose turn it is, the winner of the search being this one.
    pub(crate) fn turn(&self, winner: TrialNumber, ended: &EndedTrials) -> ValidationMove {
        if self.winner.is_none() {
            return ValidationMove::Evaluate(winner);
        }
        let has_baseline = ended
            .get(&BASELINE)
            .is_some_and(|baseline| baseline.evaluation().is_some());
        if has_baseline && winner != BASELINE && self.baseline.is_none() {
            return ValidationMove::Evaluate(BASELINE);
        }
        ValidationMove::Over
    }

    /// Takes an evaluation on held-out rows.
    pub(crate) fn receive(&mut self, ended: EndedTrial) {
        if self.winner.is_none() {
            if ended.number == BASELINE {
                self.baseline = Some(ended.clone());
            }
            self.winner = Some(ended);
        } else {
            self.baseline = Some(ended);
        }
    }

    /// The winner there.
    pub(crate) const fn winner(&self) -> Option<&EndedTrial> {
        self.winner.as_ref()
    }

    /// The baseline there.
    pub(crate) const fn baseline(&self) -> Option<&EndedTrial> {
        self.baseline.as_ref()
    }

    /// The evaluation of a trial on held-out rows, at an extent. The trial of an arm may have won at another
    /// one before the job was continued: its requests are told apart by their ordinals, those of each run
    /// in a range of their own. What was scored at this extent before is not asked for again.
    pub(crate) fn key(trial: TrialNumber, extent: Extent, past: &Past) -> RunKey {
        let same = |earlier: &&EarlierValidation| earlier.winner == Some((trial, extent));
        let run = match past.earlier_validations.iter().find(same) {
            Some(earlier) => earlier.run,
            // It has one extent ever.
            None if trial == BASELINE => 0,
            None => past.earlier_runs,
        };
        RunKey {
            purpose: Purpose::Validation,
            trial,
            first: run.saturating_mul(ORDINALS),
        }
    }
}

/// What was paid for requests about held-out rows since the job was begun or last continued.
pub(crate) fn paid(past: &Past) -> Spend {
    let own = past.earlier_runs.saturating_mul(ORDINALS);
    let requests = past.requests.iter();
    let answers = requests
        .filter(|(key, _)| key.purpose == Purpose::Validation && key.ordinal >= own)
        .map(|(_, request)| &request.settled);
    let judgements = past.judgements.values();
    let questions = judgements
        .filter(|judgement| {
            judgement.key.purpose.split() == Split::Holdout && past.earlier_runs == 0
        })
        .map(|judgement| &judgement.settled);
    answers
        .chain(questions)
        .map(|settled| settled.cost + settled.uncertain)
        .sum()
}
