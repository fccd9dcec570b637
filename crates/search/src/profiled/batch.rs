//! Which batch comes next: the one with the largest expected gain per cost.
//!
//! The gain is the knowledge gradient: how much the best expected worth would rise, on average, once
//! the batch is known. A batch resolves a share of an arm's private variance (what it does not have
//! in common with its rival); the rest follows from the normal distribution. Batches in the air count
//! as paid, and as having resolved their share with the mean unchanged.

use super::arm::Arm;
use super::assessment::Assessment;
use super::constants::{
    COST_FLOOR, FEW_ROWS, LEAST_BATCH, LEAST_GAIN, LEAST_LEFT, MOST_AGAIN, NOTHING, REQUESTS_PER_N,
    RESERVE,
};
use super::problem::Problem;
use super::profile::Profile;
use super::tokens::requests;

/// Sizes of batches of new rows.
const SIZES: [usize; 6] = [2, 4, 8, 16, 32, 64];
/// The most responses per request of a first pass where the prompt is dear.
const MOST_FIRST: f64 = 8.0;
/// The share of an arm's variance that as many responses again resolve.
const AGAIN: f64 = 0.5;
/// The least private variance, as a share of that of the difference.
const LEAST_PRIVATE: f64 = 0.05;
/// A gap of so many deviations leaves nothing to gain.
const FAR: f64 = 8.0;
/// The variance that stands in for a rival where an arm has none.
const LONELY_GAP: f64 = 0.3;
/// The share of the budget that must be left for small gains to be bought side by side.
const PLENTY: f64 = 0.1;
/// Half of the leader's n is enough to know its tail by.
const TAIL: f64 = 0.5;

/// Requests that belong together: some rows of one arm, so many responses each.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chosen {
    pub(super) arm: usize,
    /// Rows by their places in the order.
    pub(super) rows: Vec<usize>,
    /// Responses per row.
    pub(super) responses: usize,
    /// What it is expected to cost.
    pub(super) cost: f64,
}

/// A batch in the air.
#[derive(Debug, Clone)]
pub(super) struct InAir {
    pub(super) arm: usize,
    pub(super) rows: Vec<usize>,
    /// Its estimate with a margin, which counts as paid.
    pub(super) cost: f64,
    /// The shortest limit of tokens that responses are scored at too, if they are.
    pub(super) shortest: Option<u32>,
}

/// What bears on the choice.
pub(super) struct Situation<'a> {
    pub(super) problem: &'a Problem,
    pub(super) arms: &'a [Arm],
    pub(super) assessment: &'a Assessment,
    pub(super) in_air: &'a [InAir],
    /// What is left to spend, what is in the air apart.
    pub(super) left: f64,
    /// Whether arms may be drawn for that never were.
    pub(super) may_begin: bool,
}

/// The best batch so far.
struct Candidate {
    chosen: Chosen,
    gain: f64,
    value: f64,
}

impl Situation<'_> {
    /// The next batch; nothing where it is better to wait for what is in the air or, where nothing
    /// is, where nothing more can be gained or paid.
    pub(super) fn choose(&self) -> Option<Chosen> {
        let Some(leader) = self.assessment.leader() else {
            return self.in_air.is_empty().then(|| self.look_for_affordable())?;
        };
        let missing = self.missing(leader);
        if missing.is_empty() && is_spent(self.left, self.problem) {
            return None;
        }
        let top = &self.assessment.profiles[leader];
        let reserve = missing.len() as f64 * self.spent(leader, top, 1) * RESERVE;
        let mut best: Option<Candidate> = None;
        for arm in 0..self.arms.len() {
            let in_air = self.in_air.iter().any(|batch| batch.arm == arm);
            let begun = self.arms[arm].drawn > 0 || in_air;
            if self.assessment.means[arm].is_none() || !begun && !self.may_begin {
                continue;
            }
            let kept = if arm == leader { 0.0 } else { reserve };
            for candidate in self.candidates(arm, leader, kept) {
                if best
                    .as_ref()
                    .is_none_or(|best| candidate.value > best.value)
                {
                    best = Some(candidate);
                }
            }
        }
        let best = best.filter(|best| best.gain >= NOTHING);
        if best.as_ref().is_some_and(|best| best.gain >= LEAST_GAIN) {
            return best.map(|best| best.chosen);
        }
        // Little is to be gained: the leader is finished first, once all that is in the air has been seen; then its
        // tail is looked at, beside small gains.
        if !self.in_air.is_empty() {
            // Near its end the budget may not hold all of their worst cases at once.
            let plenty = self.left >= self.problem.optimization_budget * PLENTY;
            if !missing.is_empty() || !plenty {
                return None;
            }
        } else if !missing.is_empty()
            && let Some(chosen) = self.affordable(leader, missing, 1)
        {
            return Some(chosen);
        }
        self.tail(leader).or_else(|| best.map(|best| best.chosen))
    }

    /// As many responses of the leader again, until half of its n is known, unless something of it is in the air.
    fn tail(&self, leader: usize) -> Option<Chosen> {
        let top = &self.assessment.profiles[leader];
        let responses = self.arms[leader].fewest_to_repeat().max(1);
        let half = TAIL * f64::from(top.extent.n);
        if responses as f64 >= half
            || responses >= MOST_AGAIN
            || self.in_air.iter().any(|batch| batch.arm == leader)
        {
            return None;
        }
        let rows = self.with_at_most(leader, responses);
        let cost = rows.len() as f64 * self.spent(leader, top, responses);
        let can_be_paid = cost <= self.left && self.sendable(leader, responses, cost);
        (!rows.is_empty() && can_be_paid).then_some(Chosen {
            arm: leader,
            rows,
            responses,
            cost,
        })
    }

    /// A first look at an arm, as far as it can be paid: as many rows as it takes to tell something of it.
    pub(super) fn look(&self, arm: usize) -> Option<Chosen> {
        let profile = &self.assessment.profiles[arm];
        let mut rows = self.missing(arm);
        if rows.is_empty() {
            // The baseline may have drawn for it.
            rows = self.with_at_most(arm, self.arms[arm].fewest_to_repeat());
        }
        let responses = self.first_responses(arm, profile);
        let least = self.problem.optimization_budget * LEAST_BATCH;
        let smallest = whole(least / self.spent(arm, profile, responses));
        rows.truncate(smallest.max(FEW_ROWS));
        self.affordable(arm, rows, responses)
    }

    /// Where nothing seems to be affordable: more rows of what comes closest, as long as it may turn
    /// out to be cheaper than it looks.
    fn look_for_affordable(&self) -> Option<Chosen> {
        let least = |arm: usize| {
            let place = &self.arms[arm].place;
            let most = self.problem.models[place.model].most_per_request;
            self.assessment.profiles[arm]
                .cost
                .of(f64::from(place.n.smallest()), most)
        };
        let hopeful = (0..self.arms.len()).filter(|arm| {
            let begun = self.arms[*arm].drawn > 0;
            self.assessment.means[*arm].is_some() && (begun || self.may_begin)
        });
        let mut by_cost: Vec<(usize, f64)> = hopeful.map(|arm| (arm, least(arm))).collect();
        by_cost.sort_by(|one, other| one.1.total_cmp(&other.1));
        by_cost.into_iter().find_map(|(arm, _)| {
            let mut rows = self.missing(arm);
            rows.truncate(SIZES[0]);
            self.affordable(arm, rows, 1)
        })
    }

    /// As many of these rows as can be paid, if any.
    fn affordable(&self, arm: usize, mut rows: Vec<usize>, responses: usize) -> Option<Chosen> {
        let one = self.spent(arm, &self.assessment.profiles[arm], responses);
        while !rows.is_empty() {
            let cost = rows.len() as f64 * one;
            if cost <= self.left && self.sendable(arm, responses, cost) {
                return Some(Chosen {
                    arm,
                    rows,
                    responses,
                    cost,
                });
            }
            rows.pop();
        }
        None
    }

    /// The batches of one arm that can be paid, with what they gain.
    fn candidates(&self, arm: usize, leader: usize, kept: f64) -> Vec<Candidate> {
        let profile = &self.assessment.profiles[arm];
        let data = &self.arms[arm];
        let rows = data.rows.len();
        let pending: Vec<usize> = self
            .in_air
            .iter()
            .filter(|batch| batch.arm == arm)
            .flat_map(|batch| batch.rows.iter().copied())
            .collect();
        let new_pending = pending.iter().filter(|row| !data.settled(**row)).count();
        let least = self.problem.optimization_budget * LEAST_BATCH;
        // The rows, the responses of each, and the share of variance that they resolve.
        let mut options: Vec<(Vec<usize>, usize, f64)> = Vec::new();
        let missing = self.missing(arm);
        if !missing.is_empty() {
            let responses = self.first_responses(arm, profile);
            let one = self.spent(arm, profile, responses);
            let smallest = whole(least / one).max(2).min(missing.len());
            let mut sizes = SIZES
                .map(|size| size.max(smallest).min(missing.len()))
                .to_vec();
            sizes.dedup();
            let seen = data.seen as f64;
            let resolved = |pending: f64| pending / (pending + seen + 1.0);
            for size in sizes {
                let (before, after) = (new_pending as f64, (new_pending + size) as f64);
                let share = resolved(after) - resolved(before);
                options.push((missing[..size].to_vec(), responses, share));
            }
        } else if new_pending == 0 && data.seen > 0 {
            let responses = data.fewest_to_repeat();
            let again: Vec<usize> = self
                .with_at_most(arm, responses)
                .into_iter()
                .filter(|row| !pending.contains(row))
                .collect();
            if !again.is_empty() && responses < MOST_AGAIN {
                let one = self.spent(arm, profile, responses);
                let part = (again.len() / 4)
                    .max(whole(least / one))
                    .clamp(1, again.len());
                for size in [again.len(), part] {
                    let share = AGAIN * size as f64 / rows as f64;
                    options.push((again[..size].to_vec(), responses, share));
                }
            }
        }
        let rivals = self.rivals(arm, leader);
        options
            .into_iter()
            .filter_map(|(rows, responses, share)| {
                let cost = rows.len() as f64 * self.spent(arm, profile, responses);
                if cost > self.left - kept || !self.sendable(arm, responses, cost) {
                    return None;
                }
                let gain = rivals
                    .iter()
                    .map(|(variance, gap)| expected_gain((variance * share).sqrt(), *gap))
                    .fold(0.0, f64::max);
                let floor = self.problem.optimization_budget * COST_FLOOR;
                Some(Candidate {
                    value: gain / cost.max(floor),
                    gain,
                    chosen: Chosen {
                        arm,
                        rows,
                        responses,
                        cost,
                    },
                })
            })
            .collect()
    }

    /// The private variance of an arm against each that it may change places with, and the gap.
    fn rivals(&self, arm: usize, leader: usize) -> Vec<(f64, f64)> {
        let assessment = self.assessment;
        let own = assessment.covariance(arm, arm);
        let mean = |arm: usize| assessment.means[arm].unwrap_or_default();
        let rival = |other: usize| {
            let shared = assessment.covariance(arm, other);
            let difference = own + assessment.covariance(other, other) - 2.0 * shared;
            let private = (own - shared).max(LEAST_PRIVATE * difference).max(1e-10);
            (
                private,
                (mean(leader) - mean(if arm == leader { other } else { arm })).max(0.0),
            )
        };
        let of_reference = self.rests_on(arm, leader);
        if arm != leader {
            return std::iter::once(rival(leader)).chain(of_reference).collect();
        }
        let others: Vec<(f64, f64)> = (0..self.arms.len())
            .filter(|other| *other != arm && assessment.means[*other].is_some())
            .map(rival)
            .chain(of_reference)
            .collect();
        if others.is_empty() {
            vec![(own.max(1e-10), LONELY_GAP)]
        } else {
            others
        }
    }

    /// Where the others must be as good as this arm: what of the variance of each comes from what is not
    /// known of it, and the gap to what that arm may change places with.
    fn rests_on(&self, arm: usize, leader: usize) -> Vec<(f64, f64)> {
        let assessment = self.assessment;
        let qualities = assessment.qualities.as_ref();
        let Some(qualities) = qualities.filter(|qualities| qualities.arm == Some(arm)) else {
            return Vec::new();
        };
        let top = assessment.means[leader].unwrap_or_default();
        let mean = |other: usize| assessment.means[other];
        let second = (0..self.arms.len())
            .filter(|other| *other != leader)
            .filter_map(mean)
            .fold(f64::NEG_INFINITY, f64::max);
        (0..self.arms.len())
            .filter_map(|other| {
                let explained = qualities.explained(assessment.worths[other].as_ref()?);
                let against = if other == leader {
                    second
                } else {
                    mean(other)?
                };
                Some((explained, (top - against).max(0.0)))
            })
            .collect()
    }

    /// Rows that an arm has not seen and that are not in the air for it, in order.
    fn missing(&self, arm: usize) -> Vec<usize> {
        let data = &self.arms[arm];
        let asked = |row: usize| {
            let own = self.in_air.iter().filter(|batch| batch.arm == arm);
            own.flat_map(|batch| &batch.rows).any(|other| *other == row)
        };
        (0..data.rows.len())
            .filter(|row| !data.settled(*row) && !asked(*row))
            .collect()
    }

    /// Rows with so many responses at most, of those that have any.
    fn with_at_most(&self, arm: usize, responses: usize) -> Vec<usize> {
        let arm = &self.arms[arm];
        arm.data()
            .filter(|(place, row)| row.responses() <= responses && !arm.failed[*place])
            .map(|(place, _)| place)
            .collect()
    }

    /// Responses per row of a first pass: more where the prompt is what costs, or n is large.
    fn first_responses(&self, arm: usize, profile: &Profile) -> usize {
        let by_price = (profile.cost.spent_prompt / profile.cost.spent_response.max(1e-12)).sqrt();
        let most = self.problem.models[self.arms[arm].place.model].most_per_request;
        let by_price = by_price
            .round()
            .min(MOST_FIRST)
            .min(most.map_or(f64::INFINITY, f64::from));
        let by_number = (f64::from(profile.extent.n) / REQUESTS_PER_N).ceil();
        let wanted = whole(by_price.max(by_number)).max(1);
        // A request's worst case must fit into what is left.
        let mut responses = wanted;
        while responses > 1 && !self.sendable(arm, responses, self.spent(arm, profile, responses)) {
            responses /= 2;
        }
        responses
    }

    /// What so many responses for one row cost.
    fn spent(&self, arm: usize, profile: &Profile, responses: usize) -> f64 {
        // A batch is drawn under one limit, whichever the profile has.
        let most = self.problem.models[self.arms[arm].place.model].most_per_request;
        profile.cost.spent(responses as f64, most)
    }

    /// Whether the last request of a batch can still be sent, all of its tokens set aside.
    fn sendable(&self, arm: usize, responses: usize, cost: f64) -> bool {
        let place = &self.arms[arm].place;
        let model = self.problem.models[place.model];
        let count = requests(responses as f64, model.most_per_request);
        let of_one = (responses as f64 / count).ceil();
        let longest = self.arms[arm].cap();
        let worst = model.spending.output * of_one * longest;
        let expected = self.assessment.profiles[arm].cost.spent_response * of_one;
        cost + (worst - expected).max(0.0) <= self.left
    }
}

/// Whether so little of the budget is left that only the leader is still finished with it.
pub(super) fn is_spent(left: f64, problem: &Problem) -> bool {
    left < problem.optimization_budget * LEAST_LEFT
}

/// By how much the best of two is expected to rise once a normal difference with this deviation is
/// known, whose mean lies that far off.
pub(super) fn expected_gain(deviation: f64, gap: f64) -> f64 {
    if deviation <= 0.0 {
        return 0.0;
    }
    let x = (gap / deviation).min(FAR);
    let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
    (deviation * (density - x * upper_tail(x))).max(0.0)
}

/// The chance of a standard normal above x.
fn upper_tail(x: f64) -> f64 {
    0.5 * libm::erfc(x / std::f64::consts::SQRT_2)
}

/// Cut to a whole number.
fn whole(value: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts of rows and responses; a larger one than fits saturates"
    )]
    let whole = value.max(0.0).ceil() as usize;
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gain_is_that_of_a_normal_difference() {
        assert!((expected_gain(1.0, 0.0) - 0.398_942_280_4).abs() < 1e-9);
        assert!((expected_gain(2.0, 1.0) - 2.0 * 0.197_796_6).abs() < 1e-6);
        assert!(expected_gain(0.1, 5.0) < 1e-12);
        assert_eq!(expected_gain(0.0, 0.0), 0.0);
    }
}
