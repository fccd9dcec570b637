//! What a job is told from outside while it goes on: to stop, or to be let go for a while.

use super::Tuning;
use frugal_domain::job::Split;
use frugal_domain::request::{Purpose, RequestKey};
use frugal_domain::state::StopReason;

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
}
