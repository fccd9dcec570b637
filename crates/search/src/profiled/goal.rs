//! What is sought, as one number that is the better the larger it is.

use super::arm::Arm;
use super::chances::Chances;
use super::reduction::is_of_answers;
use super::standard::Standard;
use super::tokens::mean;
use super::whole::Allowed;
use frugal_domain::job::{Direction, Objective};
use frugal_domain::metric::{Constraint, Metric};

/// Numbers of responses that are tried where the most is not simply the best.
const NUMBERS: [u32; 14] = [1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 35, 51, 71, 100];
/// Limits of tokens that are tried where the objective is not about answers, as shares of the
/// largest.
const SHARES: [f64; 5] = [0.0625, 0.125, 0.25, 0.5, 1.0];
/// Where half of the scale of an unbounded metric lies, before any was seen: tokens, milliseconds.
const HALF_TOKENS: f64 = 200.0;
const HALF_LATENCY: f64 = 1000.0;
/// The differences that decide between numbers of responses.
const LEAST_BETTER: f64 = 1e-9;

/// The objective with its constraints.
#[derive(Debug, Clone)]
pub(super) struct Goal {
    objective: Objective,
    constraints: Vec<Constraint>,
    /// What answers must be as good as, where the cheapest of these are sought.
    standard: Option<Standard>,
    /// Where half of the scale of a cost lies.
    half_cost: f64,
    /// What one unit of a cost is as people read it: dollars or tokens.
    cost_unit: f64,
}

/// What an arm comes to under one limit of tokens, whatever the number of responses.
#[derive(Debug, Clone)]
pub(super) struct Measures<'a> {
    arm: usize,
    chances: &'a Chances,
    pub(super) others: OtherMeasures,
}

/// What is not about the quality of answers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct OtherMeasures {
    /// The share of responses that are cut.
    pub(super) cut_rate: f64,
    /// Tokens of one response.
    pub(super) tokens: f64,
    /// Milliseconds of the slowest request of a row.
    pub(super) latency: f64,
}

impl Goal {
    pub(super) fn new(
        objective: Objective,
        constraints: Vec<Constraint>,
        standard: Option<Standard>,
        half_cost: f64,
        cost_unit: f64,
    ) -> Self {
        Self {
            objective,
            constraints,
            standard,
            half_cost,
            cost_unit,
        }
    }

    /// Whether the objective, or a constraint, is about the quality of answers.
    pub(super) fn is_about_answers(&self) -> bool {
        self.metrics().any(is_of_answers)
    }

    /// Whether answers that are too long to be right may as well be cut: so it is unless it counts how many are, how
    /// long all of them are or how long they take.
    pub(super) fn lets_answers_be_cut(&self) -> bool {
        let may = |metric| is_of_answers(metric) || metric == Metric::InferenceCost;
        self.is_about_answers() && self.metrics().all(may)
    }

    /// What answers must be as good as, where the cheapest of these are sought.
    pub(super) const fn standard(&self) -> Option<&Standard> {
        self.standard.as_ref()
    }

    pub(super) const fn standard_mut(&mut self) -> Option<&mut Standard> {
        self.standard.as_mut()
    }

    /// The same goal, in which only what is surely as good is worth something.
    pub(super) fn strictly(&self) -> Self {
        Self {
            standard: self.standard.as_ref().map(Standard::strictly),
            ..self.clone()
        }
    }

    /// Whether the most responses are always the best.
    fn wants_many(&self) -> bool {
        self.constraints.is_empty()
            && self.objective.direction == Direction::Maximize
            && matches!(
                self.objective.metric,
                Metric::ExpectedSuccess | Metric::Success
            )
    }

    /// Whether the fewest responses are always as good as any.
    fn wants_few(&self) -> bool {
        let falls = match self.objective.metric {
            Metric::Mean => true,
            Metric::Min => self.objective.direction == Direction::Maximize,
            _ => false,
        };
        falls && self.constraints.is_empty()
    }

    /// The numbers of responses worth looking at, up to the most that fits.
    pub(super) fn numbers(&self, allowed: &Allowed, most: u32) -> Vec<u32> {
        if self.wants_many() {
            return vec![most];
        }
        if self.wants_few() {
            return vec![allowed.smallest()];
        }
        let few = NUMBERS
            .iter()
            .filter_map(|n| allowed.at_most(f64::from(*n)));
        let mut numbers: Vec<u32> = few.chain([most]).filter(|n| *n <= most).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// The limits of tokens worth looking at where answers do not matter.
    pub(super) fn limits(&self, allowed: &Allowed) -> impl Iterator<Item = u32> {
        let largest = f64::from(allowed.largest());
        let mut limits: Vec<u32> = SHARES
            .iter()
            .map(|share| allowed.at_least(largest * share))
            .chain([allowed.smallest()])
            .collect();
        limits.sort_unstable();
        limits.dedup();
        limits.into_iter()
    }

    pub(super) const fn least_better(&self) -> f64 {
        LEAST_BETTER
    }

    pub(super) fn measures<'a>(
        &self,
        arms: &[Arm],
        arm: usize,
        chances: &'a Chances,
        cap: f64,
    ) -> Measures<'a> {
        Measures {
            arm,
            chances,
            others: self.others(arms, arm, cap),
        }
    }

    /// What is not about the quality of answers, where the objective or a constraint asks for it.
    pub(super) fn others(&self, arms: &[Arm], arm: usize, cap: f64) -> OtherMeasures {
        if self.metrics().all(is_of_answers) {
            return OtherMeasures::default();
        }
        OtherMeasures::of(arms, arm, cap)
    }

    /// What n responses are worth at this inference cost, times the chance that they are as good as
    /// they must be; nothing where a constraint is violated.
    pub(super) fn worth(&self, measures: &Measures<'_>, n: f64, cost: f64) -> Option<f64> {
        let value = |metric: Metric| {
            if is_of_answers(metric) {
                measures.chances.mean(metric, n)
            } else {
                measures.others.value(metric, n, cost * self.cost_unit)
            }
        };
        let worth = self.weigh(value)?;
        let Some(standard) = &self.standard else {
            return Some(worth);
        };
        let quality = value(standard.metric());
        let chance = standard.chance(measures.arm, quality)?;
        Some((worth + standard.bonus(quality)) * chance)
    }

    /// The same from the value of each metric, as if all were as good.
    pub(super) fn weigh(&self, value: impl Fn(Metric) -> f64) -> Option<f64> {
        let kept = |constraint: &Constraint| constraint.bound.allows(value(constraint.metric));
        if !self.constraints.iter().all(kept) {
            return None;
        }
        let Objective {
            metric, direction, ..
        } = self.objective;
        let value = value(metric);
        let half = match metric {
            Metric::ExpectedSuccess
            | Metric::Success
            | Metric::Mean
            | Metric::Min
            | Metric::Majority
            | Metric::BestOfN
            | Metric::CutRate => {
                return Some(match direction {
                    Direction::Maximize => value,
                    Direction::Minimize => 1.0 - value,
                });
            }
            Metric::LatencyMs => HALF_LATENCY,
            Metric::CompletionTokens => HALF_TOKENS,
            Metric::InferenceCost => self.half_cost * self.cost_unit,
        };
        // From 0 to 1, so that gains are comparable.
        let share = value / (value + half).max(1e-300);
        Some(match direction {
            Direction::Maximize => share,
            Direction::Minimize => 1.0 - share,
        })
    }

    /// The metrics that the objective and the constraints speak of, and that of the quality of answers.
    pub(super) fn metrics(&self) -> impl Iterator<Item = Metric> {
        let constrained = self.constraints.iter().map(|constraint| constraint.metric);
        let of_quality = self.standard.iter().map(Standard::metric);
        std::iter::once(self.objective.metric)
            .chain(constrained)
            .chain(of_quality)
    }

    /// Whether it matters which answer most responses give.
    pub(super) fn is_about_votes(&self) -> bool {
        self.metrics().any(|metric| metric == Metric::Majority)
    }

    /// Whether n is chosen by its cost alone.
    pub(super) fn takes_most(&self) -> bool {
        self.wants_many()
    }

    /// A cost as people read it.
    pub(super) fn display(&self, cost: f64) -> f64 {
        cost * self.cost_unit
    }
}

impl OtherMeasures {
    fn of(arms: &[Arm], arm: usize, cap: f64) -> Self {
        let arm = &arms[arm];
        // Where it has no answers, those of its model and prompt speak for it, then all.
        let own: Vec<&Arm> = vec![arm];
        let group = |other: &&Arm| {
            (other.place.model, other.place.prompt) == (arm.place.model, arm.place.prompt)
        };
        let group: Vec<&Arm> = arms.iter().filter(group).collect();
        let all: Vec<&Arm> = arms.iter().collect();
        let pools = [own, group, all];
        let pool = pools
            .iter()
            .find(|pool| pool.iter().any(|arm| arm.seen > 0));
        let Some(pool) = pool else {
            return Self {
                cut_rate: 0.0,
                tokens: HALF_TOKENS,
                latency: HALF_LATENCY,
            };
        };
        let rows: Vec<&super::arm::Row> = pool
            .iter()
            .flat_map(|arm| arm.data())
            .map(|(_, row)| row)
            .collect();
        let of_rows = |of: &dyn Fn(&super::arm::Row) -> f64| {
            mean(&rows.iter().map(|row| of(row)).collect::<Vec<f64>>())
        };
        Self {
            cut_rate: of_rows(&|row| row.cut_rate(cap)),
            tokens: of_rows(&|row| row.mean_tokens(cap)),
            latency: of_rows(&|row| row.latency()),
        }
    }

    /// A metric that is not about answers.
    pub(super) fn value(&self, metric: Metric, n: f64, cost: f64) -> f64 {
        match metric {
            Metric::CutRate => self.cut_rate,
            Metric::CompletionTokens => n * self.tokens,
            Metric::LatencyMs => self.latency,
            Metric::InferenceCost => cost,
            Metric::ExpectedSuccess
            | Metric::Success
            | Metric::Mean
            | Metric::Min
            | Metric::Majority
            | Metric::BestOfN => 0.0,
        }
    }
}
