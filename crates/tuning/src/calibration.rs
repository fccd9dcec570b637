//! How far judges may be trusted: what they say of answers that people have rated.
//!
//! They are asked about these first, before anything is paid that rests on their word.

use crate::ended::BASELINE;
use crate::job::{Job, LabelledAnswer};
use crate::judging::{Around, Inquiry, Judging, labelled};
use crate::past::Question;
use crate::run_key::RunKey;
use crate::step::{RequestEnd, ScoreBatch, Scored};
use frugal_domain::request::{Purpose, RequestKey};
use frugal_evaluation::{ScoreKey, ScorePlan};
use std::collections::BTreeMap;

/// The part of the optimization budget that trying the judges may cost by estimate: one in so many. Of more
/// answers than that the first are taken.
const PART_FOR_CALIBRATION: u64 = 10;

/// Ratings of the judge and of people that are no further apart than this are the same.
const ALIKE: f64 = 1e-9;

/// The judges on trial.
#[derive(Debug)]
pub(crate) struct Calibration {
    judges: Vec<OnTrial>,
    inquiry: Inquiry,
    stage: Stage,
}

/// One of them.
#[derive(Debug)]
struct OnTrial {
    labels: BTreeMap<usize, LabelledAnswer>,
    /// What it says, by row.
    said: BTreeMap<usize, f64>,
    /// Answers of which it says nothing.
    silent: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Begun,
    Asking,
    Scoring,
    Over,
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum CalibrationMove {
    /// Questions were lined up.
    Asked,
    /// Replies are under way, or are being read.
    Wait,
    /// Read these replies.
    Score(ScoreBatch),
    /// Nothing more.
    Over,
}

/// How the judge's ratings compare with those of people. All are from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Agreement {
    /// Answers that both have rated.
    pub(crate) answers: usize,
    /// Answers of which the judge says nothing.
    pub(crate) silent: usize,
    /// How far apart they are, the mean over the answers.
    pub(crate) distance: f64,
    /// By how much the judge rates higher, the mean over the answers.
    pub(crate) lenience: f64,
    /// Of the pairs of answers that people rate differently, the share that the judge orders as they do; one
    /// that it rates alike counts half. Nothing where there is no such pair.
    pub(crate) same_order: Option<f64>,
}

const RUN: RunKey = RunKey {
    purpose: Purpose::Labelled,
    trial: BASELINE,
    first: 0,
};

impl Calibration {
    /// The trial of a job's judges, where people have rated answers.
    pub(crate) fn new(job: &Job) -> Option<Self> {
        let judges = job.labels.iter().map(|labels| OnTrial {
            labels: labels.clone(),
            said: BTreeMap::new(),
            silent: 0,
        });
        let has_labels = job.labels.iter().any(|labels| !labels.is_empty());
        has_labels.then(|| Self {
            judges: judges.collect(),
            inquiry: Inquiry::default(),
            stage: Stage::Begun,
        })
    }

    pub(crate) fn turn(&mut self, around: &mut Around<'_>) -> CalibrationMove {
        if self.stage == Stage::Begun {
            self.stage = Stage::Asking;
            self.ask(around);
            return CalibrationMove::Asked;
        }
        match self.stage {
            Stage::Asking if self.inquiry.is_open() => CalibrationMove::Wait,
            Stage::Asking => {
                let replied = self.inquiry.replied(around.judging);
                self.take(replied.silent);
                if replied.plans.is_empty() {
                    self.stage = Stage::Over;
                    return CalibrationMove::Over;
                }
                self.stage = Stage::Scoring;
                CalibrationMove::Score(ScoreBatch {
                    of: RequestKey {
                        purpose: RUN.purpose,
                        trial: RUN.trial,
                        ordinal: RUN.first,
                    },
                    plans: replied.plans,
                    replies: replied.replies,
                })
            }
            Stage::Scoring => CalibrationMove::Wait,
            Stage::Begun | Stage::Over => CalibrationMove::Over,
        }
    }

    fn ask(&mut self, around: &mut Around<'_>) {
        let most = around.judging.most_answers(PART_FOR_CALIBRATION);
        let mut unknown = Vec::new();
        for judge in 0..self.judges.len() {
            let rows: Vec<usize> = self.judges[judge].labels.keys().copied().collect();
            for row in rows.into_iter().take(most) {
                let key = ScoreKey::whole(labelled(judge, row), row);
                match around.past.scores.get(&key) {
                    Some(score) => self.take(vec![(key, score)]),
                    None => unknown.push((ScorePlan { key, cut: None }, vec![judge])),
                }
            }
        }
        self.inquiry.ask(RUN, unknown, around);
    }

    fn take(&mut self, scores: Vec<Scored>) {
        for (key, score) in scores {
            let judge = usize::try_from(key.response.position).unwrap_or_default();
            let Some(judge) = self.judges.get_mut(judge) else {
                continue;
            };
            match score {
                Ok(observed) => _ = judge.said.insert(key.instance, observed.score),
                Err(_) => judge.silent += 1,
            }
        }
    }

    /// Takes what became of a question.
    pub(crate) fn judged(
        &mut self,
        key: RequestKey,
        question: Question,
        end: &RequestEnd,
        judging: &Judging,
    ) {
        self.inquiry.ended(key, question, end, judging);
    }

    /// Takes what the replies come to.
    pub(crate) fn scores_made(&mut self, scores: Vec<Scored>) {
        self.take(scores);
        self.stage = Stage::Over;
    }

    /// How each judge compares with people, by its number; those are left out that have rated nothing that
    /// people have.
    pub(crate) fn agreements(&self) -> impl Iterator<Item = (usize, Agreement)> {
        let judges = self.judges.iter().enumerate();
        judges.filter_map(|(number, judge)| Some((number, judge.agreement()?)))
    }
}

impl OnTrial {
    fn agreement(&self) -> Option<Agreement> {
        let pairs = self.said.iter();
        let pairs = pairs.filter_map(|(row, said)| Some((self.labels.get(row)?.rating, *said)));
        agreement(&pairs.collect::<Vec<_>>(), self.silent)
    }
}

/// Of ratings by people and by the judge.
fn agreement(pairs: &[(f64, f64)], silent: usize) -> Option<Agreement> {
    if pairs.is_empty() {
        return None;
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "ratings are far fewer than 2^53"
    )]
    let count = pairs.len() as f64;
    let mean = |of: fn(f64) -> f64| {
        let sum: f64 = pairs.iter().map(|(people, judge)| of(judge - people)).sum();
        sum / count
    };
    let (mut same, mut all) = (0.0, 0.0);
    for (position, (people, judge)) in pairs.iter().enumerate() {
        for (other_people, other_judge) in &pairs[..position] {
            let (people, judge) = (people - other_people, judge - other_judge);
            if people.abs() <= ALIKE {
                continue;
            }
            all += 1.0;
            same += if judge.abs() <= ALIKE {
                0.5
            } else {
                f64::from(u8::from(judge.signum() == people.signum()))
            };
        }
    }
    Some(Agreement {
        answers: pairs.len(),
        silent,
        distance: mean(f64::abs),
        lenience: mean(|difference| difference),
        same_order: (all > 0.0).then(|| same / all),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_judge_of_known_error_is_told_by_it() {
        let people = [0.0, 0.25, 0.5, 0.75, 1.0];
        let alike: Vec<(f64, f64)> = people.iter().map(|one| (*one, *one)).collect();
        let found = agreement(&alike, 0).unwrap();
        assert_eq!(
            (found.distance, found.lenience, found.same_order),
            (0.0, 0.0, Some(1.0))
        );
        let lenient: Vec<(f64, f64)> = people.iter().map(|one| (*one, 0.5 + one / 2.0)).collect();
        let found = agreement(&lenient, 2).unwrap();
        assert_eq!(
            (found.distance, found.lenience, found.same_order),
            (0.25, 0.25, Some(1.0))
        );
        assert_eq!((found.answers, found.silent), (5, 2));
        let reversed: Vec<(f64, f64)> = people.iter().map(|one| (*one, 1.0 - one)).collect();
        let found = agreement(&reversed, 0).unwrap();
        assert_eq!(
            (found.distance, found.lenience, found.same_order),
            (0.6, 0.0, Some(0.0))
        );
        let same: Vec<(f64, f64)> = people.iter().map(|one| (*one, 0.5)).collect();
        assert_eq!(agreement(&same, 0).unwrap().same_order, Some(0.5));
        assert_eq!(agreement(&[(0.5, 0.1)], 0).unwrap().same_order, None);
        assert_eq!(agreement(&[], 3), None);
    }
}
