//! What a client may expect of a job: a state machine, of which it knows what it asked and what it was
//! answered, and not what workers did meanwhile. So it keeps all states that the job may be in, and an answer
//! that none of them explains is wrong.

use std::collections::BTreeSet;
use std::fmt;

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Life {
    Queued,
    Running,
    Pausing,
    Paused,
    Cancelling,
    Cancelled,
    Succeeded,
    Deleted,
}

impl Life {
    /// The state of this name, as the API shows it.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "queued" => Self::Queued,
            "running" => Self::Running,
            "pausing" => Self::Pausing,
            "paused" => Self::Paused,
            "cancelling" => Self::Cancelling,
            "cancelled" => Self::Cancelled,
            "succeeded" => Self::Succeeded,
            _ => return None,
        })
    }

    pub(super) const fn has_ended(self) -> bool {
        matches!(self, Self::Cancelled | Self::Succeeded)
    }

    /// What workers may do of themselves.
    const fn next(self) -> &'static [Self] {
        match self {
            Self::Queued => &[Self::Running],
            // Given back, or done.
            Self::Running => &[Self::Queued, Self::Succeeded],
            // It may have come to its end just then.
            Self::Pausing => &[Self::Paused, Self::Succeeded],
            Self::Cancelling => &[Self::Cancelled],
            Self::Paused | Self::Cancelled | Self::Succeeded | Self::Deleted => &[],
        }
    }
}

/// A job as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Job {
    pub(super) life: Life,
    /// How often it was begun.
    pub(super) run: u64,
    /// The limit on its trials.
    pub(super) trials: u64,
    pub(super) name: String,
}

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Op {
    Pause,
    Resume,
    Cancel,
    Delete,
    Rename(String),
    /// Another limit on trials.
    Limit(u64),
    /// To go on, with a limit on trials that is larger than all before.
    Continue(u64),
    Read,
    Report,
}

/// What it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// None came, or one that does not say whether it was done.
    Unknown,
    /// A status, with the job where it is shown.
    Known(u16, Option<Job>),
}

/// What is to be answered in a state, and the state after it.
fn expected(job: &Job, op: &Op) -> (u16, Job) {
    use Life::{Cancelled, Cancelling, Deleted, Paused, Pausing, Queued, Running, Succeeded};
    let same = || job.clone();
    let to = |life| Job {
        life,
        ..job.clone()
    };
    if job.life == Deleted {
        return (404, same());
    }
    match (op, job.life) {
        (Op::Read, _) => (200, same()),
        (Op::Report, Succeeded) => (200, same()),
        (Op::Report, _) => (409, same()),
        (Op::Pause, Queued | Paused) => (202, to(Paused)),
        (Op::Pause, Running | Pausing) => (202, to(Pausing)),
        (Op::Resume, Queued | Paused) => (202, to(Queued)),
        (Op::Resume, Running | Pausing) => (202, to(Running)),
        (Op::Cancel, Queued | Paused) => (202, to(Cancelled)),
        (Op::Cancel, Running | Pausing | Cancelling) => (202, to(Cancelling)),
        (Op::Pause | Op::Resume | Op::Cancel, _) => (409, same()),
        (Op::Delete, Cancelled | Succeeded) => (204, to(Deleted)),
        (Op::Delete, _) => (409, same()),
        (Op::Rename(name), _) => {
            let renamed = Job {
                name: name.clone(),
                ..job.clone()
            };
            (200, renamed)
        }
        (Op::Limit(trials), _) if *trials == job.trials => (200, same()),
        (Op::Limit(_), Cancelling | Cancelled | Succeeded) => (409, same()),
        (Op::Limit(trials), _) => {
            let limited = Job {
                trials: *trials,
                ..job.clone()
            };
            (200, limited)
        }
        (Op::Continue(trials), Cancelled | Succeeded) => {
            let continued = Job {
                life: Queued,
                run: job.run + 1,
                trials: *trials,
                ..job.clone()
            };
            (202, continued)
        }
        (Op::Continue(_), _) => (409, same()),
    }
}

/// Whether a state explains an answer; then the state after it.
fn explains(job: &Job, op: &Op, answer: &Answer) -> Option<Job> {
    let (status, after) = expected(job, op);
    match answer {
        Answer::Unknown => Some(after),
        Answer::Known(told, shown) => {
            // A job that was cancelled before it was begun has no report.
            let no_report = *op == Op::Report && job.life == Life::Cancelled && *told == 200;
            let as_shown = shown.as_ref().is_none_or(|shown| *shown == after);
            ((*told == status || no_report) && as_shown).then_some(after)
        }
    }
}

/// All states that a job may be in, as far as its client knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Possible(BTreeSet<Job>);

impl fmt::Display for Possible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut states = self.0.iter();
        states.try_for_each(|job| {
            let Job {
                life,
                run,
                trials,
                name,
            } = job;
            write!(f, "[{life:?}, run {run}, {trials} trials, `{name}`]")
        })
    }
}

impl Possible {
    /// One that was accepted just now.
    pub(super) fn new(job: Job) -> Self {
        Self::from_all([job])
    }

    /// These states, and all that workers may bring about from there.
    fn from_all(jobs: impl IntoIterator<Item = Job>) -> Self {
        let mut all = BTreeSet::new();
        let mut ahead: Vec<_> = jobs.into_iter().collect();
        while let Some(job) = ahead.pop() {
            let next = job.life.next().iter();
            ahead.extend(
                next.map(|life| Job {
                    life: *life,
                    ..job.clone()
                })
                .filter(|next| !all.contains(next)),
            );
            all.insert(job);
        }
        Self(all)
    }

    /// The states after some things were asked at once, in whichever order they came. Nothing where no order
    /// and no state explain what was answered.
    pub(super) fn after(&self, asked: &[(Op, Answer)]) -> Option<Self> {
        let mut reached = BTreeSet::new();
        self.orders(asked, &mut (0..asked.len()).collect(), &mut reached);
        (!reached.is_empty()).then(|| Self::from_all(reached))
    }

    fn orders(&self, asked: &[(Op, Answer)], left: &mut Vec<usize>, reached: &mut BTreeSet<Job>) {
        if left.is_empty() {
            reached.extend(self.0.iter().cloned());
            return;
        }
        for position in 0..left.len() {
            let chosen = left.remove(position);
            if let Some((op, answer)) = asked.get(chosen) {
                let after = self.0.iter().filter_map(|job| explains(job, op, answer));
                let mut after: Vec<_> = after.collect();
                if *answer == Answer::Unknown {
                    after.extend(self.0.iter().cloned());
                }
                if !after.is_empty() {
                    Self::from_all(after).orders(asked, left, reached);
                }
            }
            left.insert(position, chosen);
        }
    }

    /// Whether any state fits.
    pub(super) fn may(&self, fits: impl Fn(&Job) -> bool) -> bool {
        self.0.iter().any(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(life: Life) -> Job {
        Job {
            life,
            run: 1,
            trials: 6,
            name: "a".to_owned(),
        }
    }

    fn known(status: u16, life: Life) -> Answer {
        Answer::Known(status, Some(job(life)))
    }

    #[test]
    fn what_workers_do_meanwhile_is_reckoned_with() {
        let posted = Possible::new(job(Life::Queued));
        let paused = posted.after(&[(Op::Pause, known(202, Life::Pausing))]);
        let paused = paused.expect("a worker may have had it");
        assert!(!paused.may(|job| job.life == Life::Running));
        assert!(paused.may(|job| job.life == Life::Succeeded));
        assert!(
            paused
                .after(&[(Op::Read, known(200, Life::Paused))])
                .is_some()
        );
        assert!(
            paused
                .after(&[(Op::Read, known(200, Life::Queued))])
                .is_none()
        );
        assert!(
            paused
                .after(&[(Op::Delete, Answer::Known(204, None))])
                .is_some()
        );
        let paused = Possible::new(job(Life::Paused));
        assert!(
            paused
                .after(&[(Op::Delete, Answer::Known(204, None))])
                .is_none()
        );
        assert!(
            paused
                .after(&[(Op::Report, Answer::Known(200, None))])
                .is_none()
        );
    }

    #[test]
    fn what_was_asked_at_once_may_have_come_in_any_order() {
        let ended = Possible::new(job(Life::Succeeded));
        let at_once = [
            (Op::Continue(9), Answer::Known(409, None)),
            (Op::Continue(9), Answer::Known(202, None)),
        ];
        let continued = ended.after(&at_once).expect("one of them was first");
        assert!(!continued.may(|job| job.run != 2 || job.trials != 9));
        let both = [
            (Op::Delete, Answer::Known(204, None)),
            (Op::Delete, Answer::Known(204, None)),
        ];
        assert!(ended.after(&both).is_none());
    }

    #[test]
    fn what_was_not_answered_may_have_been_done() {
        let running = Possible::new(job(Life::Running));
        let asked = running.after(&[(Op::Cancel, Answer::Unknown)]);
        let asked = asked.expect("nothing is known");
        assert!(asked.may(|job| job.life == Life::Cancelled));
        assert!(asked.may(|job| job.life == Life::Succeeded));
        assert!(!asked.may(|job| job.life == Life::Paused));
    }
}
