//! The winner and the baseline on the held-out instances, and what that says of the winner.

use crate::as_good::{self, HeldOutDifference, OnHoldout};
use crate::corpus::{self, CorpusComparison};
use crate::ended::EndedTrial;
use crate::findings::Findings;
use crate::interval_estimate::{IntervalEstimate, paired};
use frugal_domain::job::{Direction, JobSpec};
use frugal_domain::trial::{CostEstimate, Estimate, Improvement};
use frugal_evaluation::statistics::{FEWEST_DIFFERING, PairedDifferences};
use serde::Serialize;

/// The winner and the baseline on the held-out instances.
#[derive(Debug, Clone, Serialize)]
pub struct Holdout {
    /// Instances held out.
    pub instances: usize,
    /// The winner's objective.
    pub winner: IntervalEstimate,
    /// What one instance costs under the winner.
    pub winner_inference_cost: CostEstimate,
    /// The baseline's objective.
    pub baseline: Option<IntervalEstimate>,
    /// What one instance costs under the baseline.
    pub baseline_inference_cost: Option<CostEstimate>,
    /// Winner less baseline, paired by instance.
    pub difference: Option<IntervalEstimate>,
}

/// What the held-out instances show.
#[derive(Debug, Clone)]
pub(crate) struct Compared {
    pub holdout: Holdout,
    /// Whether the winner is better there; nothing where no instance has a score of both.
    improvement: Option<Improvement>,
    /// Instances there on which the two differ.
    differing: usize,
    /// The quality of answers, where the objective is to pay less for them.
    quality: Option<HeldOutDifference>,
    /// The metrics of all held-out instances together.
    pub corpus: Option<CorpusComparison>,
}

impl Compared {
    /// What bears on whether the winner is cheaper and as good.
    pub(crate) const fn on_holdout(&self) -> OnHoldout {
        OnHoldout {
            difference: self.quality,
            costs: (
                self.holdout.winner_inference_cost,
                self.holdout.baseline_inference_cost,
            ),
            cheaper: self.improvement,
        }
    }
}

/// The comparison on held-out instances, where the winner was evaluated on them.
pub(crate) fn compare(
    spec: &JobSpec,
    holdout_rows: usize,
    winner: &EndedTrial,
    baseline: Option<&EndedTrial>,
) -> Option<Compared> {
    let found = winner.evaluation()?;
    let baseline = baseline.filter(|baseline| baseline.evaluation().is_some());
    let differences = baseline.and_then(|baseline| paired(spec, winner, baseline));
    Some(Compared {
        improvement: differences
            .as_ref()
            .map(|differences| differences.improvement(spec.objective.direction)),
        differing: differences.as_ref().map_or(0, PairedDifferences::differing),
        quality: as_good::on_holdout(spec, winner, baseline),
        corpus: corpus::compared(Some(winner), baseline),
        holdout: Holdout {
            instances: holdout_rows,
            winner: IntervalEstimate::of(spec, winner)?,
            winner_inference_cost: found.inference_cost,
            baseline: baseline.and_then(|baseline| IntervalEstimate::of(spec, baseline)),
            baseline_inference_cost: baseline
                .and_then(EndedTrial::evaluation)
                .map(|evaluation| evaluation.inference_cost),
            difference: differences
                .as_ref()
                .and_then(IntervalEstimate::of_differences),
        },
    })
}

/// Whether the winner is better than the baseline, and what that rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Significant only where held-out instances show it.
    pub improvement: Improvement,
    /// The same in words.
    pub improvement_detail: String,
}

/// What there is to judge by.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Grounds<'a> {
    NoWinner,
    /// The job has no baseline.
    NoBaseline,
    /// It has one that came to no evaluation.
    BaselineNotEvaluated,
    /// The winner asks the same of the endpoint as the baseline.
    Same,
    /// The instances that the search did not see.
    HeldOut {
        improvement: Improvement,
        difference: Estimate,
        /// Instances on which the two differ.
        differing: usize,
    },
    /// The instances that the winner was chosen by.
    Seen {
        difference: Option<Estimate>,
        /// Whether there are others, which were not scored for both.
        held_out: bool,
        /// Why the endpoint could not be asked any more, in its words.
        unusable: Option<&'a str>,
    },
}

/// The verdict on what a search has found.
pub(crate) fn verdict(findings: &Findings<'_>, compared: Option<&Compared>) -> Verdict {
    if let Some(standard) = &findings.spec.objective.cheapest {
        let holdout = compared.map(Compared::on_holdout);
        let (improvement, improvement_detail) =
            as_good::judge(findings, standard, holdout.as_ref());
        return Verdict {
            improvement,
            improvement_detail,
        };
    }
    let grounds = grounds(findings, compared);
    judge(findings.spec.objective.direction, grounds)
}

fn grounds<'a>(findings: &Findings<'a>, compared: Option<&Compared>) -> Grounds<'a> {
    let Some(winner) = findings.winner() else {
        return Grounds::NoWinner;
    };
    let baseline = findings.baseline();
    let Some(baseline) = baseline.filter(|baseline| baseline.evaluation().is_some()) else {
        return match findings.spec.baseline {
            None => Grounds::NoBaseline,
            Some(_) => Grounds::BaselineNotEvaluated,
        };
    };
    if winner.settings == baseline.settings {
        return Grounds::Same;
    }
    let held_out = compared.and_then(|compared| {
        let difference = compared.holdout.difference?;
        Some(Grounds::HeldOut {
            improvement: compared.improvement?,
            difference: difference.estimate,
            differing: compared.differing,
        })
    });
    held_out.unwrap_or_else(|| Grounds::Seen {
        difference: paired(findings.spec, winner, baseline)
            .and_then(|differences| differences.estimate()),
        held_out: findings.holdout_rows > 0,
        unusable: findings.unusable,
    })
}

fn judge(direction: Direction, grounds: Grounds<'_>) -> Verdict {
    const CHOSEN: &str = "the search chose the winner on the same instances, so its lead is too \
                          hopeful";
    let none = |detail: &str| (Improvement::None, detail.to_owned());
    let (improvement, improvement_detail) = match grounds {
        Grounds::NoWinner => none("no valid configuration was found"),
        Grounds::NoBaseline => none("the job has no baseline to compare the winner with"),
        Grounds::BaselineNotEvaluated => {
            none("the baseline was not evaluated, so there is nothing to compare the winner with")
        }
        Grounds::Same => none("the winner asks the same of the endpoint as the baseline"),
        Grounds::HeldOut {
            improvement,
            difference,
            differing,
        } => (
            improvement,
            on_held_out(improvement, difference.count, differing),
        ),
        Grounds::Seen {
            difference: None, ..
        } => none("no instance has a score of both the winner and the baseline"),
        Grounds::Seen {
            difference: Some(difference),
            ..
        } if !direction.better(difference.mean, 0.0) => {
            none("the winner is not better than the baseline on the instances of the search")
        }
        Grounds::Seen {
            held_out, unusable, ..
        } => {
            let detail = match (held_out, unusable) {
                (true, Some(reason)) => format!(
                    "the held-out instances were not scored for both, as the endpoint could not \
                     be asked any more ({reason}): {CHOSEN}"
                ),
                (true, None) => {
                    format!("the held-out instances were not scored for both: {CHOSEN}")
                }
                (false, _) => format!("no held-out instances: {CHOSEN}; give data.holdout"),
            };
            (Improvement::NotSignificant, detail)
        }
    };
    Verdict {
        improvement,
        improvement_detail,
    }
}

fn on_held_out(improvement: Improvement, count: u32, differing: usize) -> String {
    let better = format!("the winner is better than the baseline on {count} held-out instances");
    match improvement {
        Improvement::None => format!(
            "the winner is not better than the baseline on {count} held-out instances, which the \
             search did not see"
        ),
        Improvement::Significant => {
            format!("{better}, and so is all of the 95 % interval of the difference")
        }
        Improvement::NotSignificant if differing < FEWEST_DIFFERING => format!(
            "{better}, but they differ on fewer than {FEWEST_DIFFERING} of these: that may be \
             chance"
        ),
        Improvement::NotSignificant => format!(
            "{better}, but the 95 % interval of the difference reaches 0 or beyond: that may be \
             chance, and more held-out instances would tell"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_domain::metric::Metric;

    fn held_out(differences: &[f64]) -> Verdict {
        let direction = Direction::Maximize;
        let left = differences.iter().copied().enumerate().collect();
        let right = (0..differences.len()).map(|instance| (instance, 0.0));
        let paired = PairedDifferences::of(Metric::Success, &left, &right.collect()).unwrap();
        judge(
            direction,
            Grounds::HeldOut {
                improvement: paired.improvement(direction),
                difference: paired.estimate().unwrap(),
                differing: paired.differing(),
            },
        )
    }

    fn seen(direction: Direction, mean: f64, held_out: bool) -> Verdict {
        let difference = Estimate {
            mean,
            standard_error: Some(0.001),
            count: 1_000,
        };
        judge(
            direction,
            Grounds::Seen {
                difference: Some(difference),
                held_out,
                unusable: None,
            },
        )
    }

    #[test]
    fn what_the_search_saw_never_shows_a_significant_improvement() {
        let found = seen(Direction::Maximize, 0.9, false);
        assert_eq!(found.improvement, Improvement::NotSignificant);
        assert_eq!(
            found.improvement_detail,
            "no held-out instances: the search chose the winner on the same instances, so its \
             lead is too hopeful; give data.holdout"
        );
        let found = seen(Direction::Minimize, -0.9, true);
        assert_eq!(found.improvement, Improvement::NotSignificant);
        assert!(found.improvement_detail.contains("were not scored"));
        for (direction, mean) in [
            (Direction::Maximize, 0.0),
            (Direction::Maximize, -0.1),
            (Direction::Minimize, 0.1),
        ] {
            assert_eq!(seen(direction, mean, false).improvement, Improvement::None);
        }
    }

    #[test]
    fn the_words_fit_what_the_held_out_instances_show() {
        let mut spread = vec![0.0; 20];
        spread.extend([1.0; 20]);
        let mut wide = vec![-1.0; 5];
        wide.extend([1.0; 6]);
        let cases = [
            (&spread[..], Improvement::Significant, "all of the 95 %"),
            (&[0.5; 12], Improvement::Significant, "all of the 95 %"),
            (&[0.5; 8], Improvement::NotSignificant, "reaches 0"),
            (&wide, Improvement::NotSignificant, "reaches 0"),
            (&[0.5; 5], Improvement::NotSignificant, "fewer than 6"),
            (&[0.1, 0.2], Improvement::NotSignificant, "fewer than 6"),
            (&[-0.5, 0.1, 0.2], Improvement::None, "is not better"),
        ];
        for (differences, improvement, words) in cases {
            let found = held_out(differences);
            assert_eq!(found.improvement, improvement, "{differences:?}");
            let detail = found.improvement_detail;
            assert!(detail.contains(words), "{detail}");
            let count = format!("on {} held-out", differences.len());
            assert!(detail.contains(&count), "{detail}");
        }
    }

    #[test]
    fn without_two_sides_there_is_no_improvement() {
        for (grounds, words) in [
            (Grounds::NoWinner, "no valid configuration"),
            (Grounds::NoBaseline, "no baseline"),
            (Grounds::BaselineNotEvaluated, "not evaluated"),
            (Grounds::Same, "the same of the endpoint"),
            (
                Grounds::Seen {
                    difference: None,
                    held_out: true,
                    unusable: None,
                },
                "no instance",
            ),
        ] {
            let found = judge(Direction::Maximize, grounds);
            assert_eq!(found.improvement, Improvement::None);
            assert!(found.improvement_detail.contains(words));
        }
    }
}
