//! The held-out rows: the winner's turn, then the baseline's.

use crate::ended::{BASELINE, EndedTrial, EndedTrials};
use crate::run_key::RunKey;
use frugal_domain::id::TrialNumber;
use frugal_domain::request::Purpose;

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

    /// The evaluation of a trial on held-out rows.
    pub(crate) const fn key(trial: TrialNumber) -> RunKey {
        RunKey {
            purpose: Purpose::Validation,
            trial,
            first: 0,
        }
    }
}
