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
    /// At its limit on trials.
    Succeeded,
    /// Before that: only more money could make a difference.
    Converged,
    Deleted,
}

impl Life {
    /// The state of this name, as the API shows it, with the reason for its end.
    pub(super) fn named(name: &str, stop_reason: Option<&str>) -> Option<Self> {
        Some(match (name, stop_reason) {
            ("queued", _) => Self::Queued,
            ("running", _) => Self::Running,
            ("pausing", _) => Self::Pausing,
            ("paused", _) => Self::Paused,
            ("cancelling", _) => Self::Cancelling,
            ("cancelled", _) => Self::Cancelled,
            ("succeeded", Some("trial_limit")) => Self::Succeeded,
            ("succeeded", Some("converged" | "budget_exhausted")) => Self::Converged,
            _ => return None,
        })
    }

    pub(super) const fn has_ended(self) -> bool {
        matches!(self, Self::Cancelled | Self::Succeeded | Self::Converged)
    }

    /// What workers may do of themselves.
    const fn next(self) -> &'static [Self] {
        match self {
            Self::Queued => &[Self::Running],
            // Given back, or done.
            Self::Running => &[Self::Queued, Self::Succeeded, Self::Converged],
            // It may have come to its end just then.
            Self::Pausing => &[Self::Paused, Self::Succeeded, Self::Converged],
            Self::Cancelling => &[Self::Cancelled],
            Self::Paused | Self::Cancelled | Self::Succeeded | Self::Converged | Self::Deleted => {
                &[]
            }
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
    /// Its optimization budget.
    pub(super) cents: u64,
    pub(super) name: String,
    /// Parts of it are gone, since it was begun to be deleted: a large job goes in several transactions, and
    /// what a server that dies leaves of it is there until it is deleted once more.
    pub(super) is_pruned: bool,
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
    /// To go on, with a limit on trials that is larger than all before, and with so many cents where the
    /// budget is raised too.
    Continue(u64, Option<u64>),
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
    use Life::{
        Cancelled, Cancelling, Converged, Deleted, Paused, Pausing, Queued, Running, Succeeded,
    };
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
        (Op::Report, Succeeded | Converged) => (200, same()),
        (Op::Report, _) => (409, same()),
        (Op::Pause, Queued | Paused) => (202, to(Paused)),
        (Op::Pause, Running | Pausing) => (202, to(Pausing)),
        (Op::Resume, Queued | Paused) => (202, to(Queued)),
        (Op::Resume, Running | Pausing) => (202, to(Running)),
        (Op::Cancel, Queued | Paused) => (202, to(Cancelled)),
        (Op::Cancel, Running | Pausing | Cancelling) => (202, to(Cancelling)),
        (Op::Pause | Op::Resume | Op::Cancel, _) => (409, same()),
        (Op::Delete, Cancelled | Succeeded | Converged) => (204, to(Deleted)),
        (Op::Delete, _) => (409, same()),
        (Op::Rename(name), _) => {
            let renamed = Job {
                name: name.clone(),
                ..job.clone()
            };
            (200, renamed)
        }
        (Op::Limit(trials), _) if *trials == job.trials => (200, same()),
        (Op::Limit(_), Cancelling | Cancelled | Succeeded | Converged) => (409, same()),
        (Op::Limit(trials), _) => {
            let limited = Job {
                trials: *trials,
                ..job.clone()
            };
            (200, limited)
        }
        (Op::Continue(..), _) if job.is_pruned => (409, same()),
        (Op::Continue(_, cents), Converged) if cents.is_none_or(|cents| cents <= job.cents) => {
            (422, same())
        }
        (Op::Continue(trials, cents), Cancelled | Succeeded | Converged) => {
            let continued = Job {
                life: Queued,
                run: job.run + 1,
                trials: *trials,
                cents: cents.unwrap_or(job.cents),
                ..job.clone()
            };
            (202, continued)
        }
        (Op::Continue(..), _) => (409, same()),
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
                cents,
                name,
                is_pruned,
            } = job;
            let pruned = if *is_pruned { ", pruned" } else { "" };
            write!(
                f,
                "[{life:?}, run {run}, {trials} trials, {cents} cents, `{name}`{pruned}]"
            )
        })
    }
}

impl Possible {
    /// One that was accepted just now.
    pub(super) fn new(job: Job) -> Self {
        Self::from_all([job], false)
    }

    /// These states, and all that workers may bring about from there, and a deletion that is under way.
    fn from_all(jobs: impl IntoIterator<Item = Job>, is_deleting: bool) -> Self {
        let mut all = BTreeSet::new();
        let mut ahead: Vec<_> = jobs.into_iter().collect();
        while let Some(job) = ahead.pop() {
            let next = job.life.next().iter().map(|life| Job {
                life: *life,
                ..job.clone()
            });
            let pruned = (is_deleting && job.life.has_ended()).then(|| Job {
                is_pruned: true,
                ..job.clone()
            });
            ahead.extend(next.chain(pruned).filter(|next| !all.contains(next)));
            all.insert(job);
        }
        Self(all)
    }

    /// The states after some things were asked at once, in whichever order they came. Nothing where no order
    /// and no state explain what was answered.
    pub(super) fn after(&self, asked: &[(Op, Answer)]) -> Option<Self> {
        let mut reached = BTreeSet::new();
        let deleting = asked.iter().filter(|(op, answer)| {
            *op == Op::Delete && matches!(answer, Answer::Unknown | Answer::Known(204, _))
        });
        let deletions = match self.may(|job| job.life != Life::Deleted) {
            true => deleting.count(),
            false => 0,
        };
        let mut left = (0..asked.len()).collect();
        self.orders(asked, deletions, &mut left, &mut reached);
        (!reached.is_empty()).then_some(Self(reached))
    }

    /// The same after those that are `left`, among them so many deletions: a job goes part by part, so who
    /// deletes it while another does may find the rest of it gone, and has deleted it too.
    fn orders(
        &self,
        asked: &[(Op, Answer)],
        deletions: usize,
        left: &mut Vec<usize>,
        reached: &mut BTreeSet<Job>,
    ) {
        let is_deleting = deletions > 0;
        let has_shared =
            |job: &Job, op: &Op| deletions > 1 && *op == Op::Delete && job.life == Life::Deleted;
        let reachable = Self::from_all(self.0.iter().cloned(), is_deleting);
        if left.is_empty() {
            reached.extend(reachable.0);
            return;
        }
        for position in 0..left.len() {
            let chosen = left.remove(position);
            if let Some((op, answer)) = asked.get(chosen) {
                let before = &reachable.0;
                let after = before.iter().filter_map(|job| explains(job, op, answer));
                let mut after: BTreeSet<_> = after.collect();
                if *answer == Answer::Known(204, None) {
                    let shared = before.iter().filter(|job| has_shared(job, op));
                    after.extend(shared.cloned());
                }
                if *answer == Answer::Unknown {
                    after.extend(before.iter().cloned());
                }
                if !after.is_empty() {
                    Self(after).orders(asked, deletions, left, reached);
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
            cents: 10,
            name: "a".to_owned(),
            is_pruned: false,
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
            (Op::Continue(9, None), Answer::Known(409, None)),
            (Op::Continue(9, None), Answer::Known(202, None)),
        ];
        let continued = ended.after(&at_once).expect("one of them was first");
        assert!(!continued.may(|job| job.run != 2 || job.trials != 9));
        let both = [
            (Op::Delete, Answer::Known(204, None)),
            (Op::Delete, Answer::Known(204, None)),
        ];
        let deleted = ended.after(&both).expect("each deleted a part of it");
        assert!(!deleted.may(|job| job.life != Life::Deleted));
        assert!(deleted.after(&both).is_none(), "it was gone before");
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

    #[test]
    fn what_has_converged_goes_on_with_more_money_alone() {
        let converged = Possible::new(job(Life::Converged));
        let with = |cents, status| {
            let asked = (Op::Continue(9, cents), Answer::Known(status, None));
            converged.after(&[asked])
        };
        assert_eq!(with(None, 422).as_ref(), Some(&converged));
        assert_eq!(with(Some(10), 422).as_ref(), Some(&converged));
        assert!(with(None, 202).is_none());
        let continued = with(Some(11), 202).expect("more money may make a difference");
        assert!(!continued.may(|job| job.cents != 11 || job.trials != 9));
    }

    #[test]
    fn what_was_not_deleted_to_its_end_is_there_and_goes_on_no_more() {
        let ended = Possible::new(job(Life::Succeeded));
        let asked = ended.after(&[(Op::Delete, Answer::Unknown)]);
        let asked = asked.expect("nothing is known");
        let refused = asked.after(&[(Op::Continue(9, None), Answer::Known(409, None))]);
        let refused = refused.expect("parts of it may be gone");
        assert!(!refused.may(|job| !job.is_pruned));
        let deleted = refused.after(&[(Op::Delete, Answer::Known(204, None))]);
        assert!(deleted.is_some_and(|deleted| !deleted.may(|job| job.life != Life::Deleted)));
        assert!(
            ended
                .after(&[(Op::Continue(9, None), Answer::Known(409, None))])
                .is_none()
        );
        let at_once = [
            (Op::Continue(9, None), Answer::Known(409, None)),
            (Op::Delete, Answer::Known(204, None)),
        ];
        assert!(ended.after(&at_once).is_some(), "between two transactions");
    }
}
