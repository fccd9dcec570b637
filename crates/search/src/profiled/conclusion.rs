//! What a profiled search says of its arms, on the way and in the end.

use super::Profiled;
use super::arm::{Arm, Row};
use super::assessment::Assessment;
use super::constants::{
    COST_MARGIN, FEW_ROWS, UNFINISHED_MARGIN, UNFINISHED_SHARE, UTILITY_MARGIN,
};
use super::exchange::{ArmEstimate, ArmResult, Conclusion};
use super::profile::{Known, Profile};
use super::reduction::is_of_answers;
use super::tokens;
use frugal_domain::configuration::Extent;
use frugal_domain::metric::Metric;
use frugal_domain::trial::QualityDifference;
use std::collections::BTreeMap;

impl Profiled {
    /// Whether the search has looked at all that it was told.
    #[must_use]
    pub const fn has_assessed(&self) -> bool {
        !self.stale && self.assessment.is_some()
    }

    /// The extent that an arm is expected to be best at.
    #[must_use]
    pub fn expected_extent(&self, arm: usize) -> Option<Extent> {
        let assessment = self.assessment.as_ref()?;
        Some(assessment.profiles.get(arm)?.extent)
    }

    /// The arm that is expected to be best, of those that were seen somewhat.
    #[must_use]
    pub fn leader(&self) -> Option<usize> {
        let leader = self.assessment.as_ref()?.leader()?;
        (self.arms[leader].seen >= FEW_ROWS.min(self.problem.rows())).then_some(leader)
    }

    /// What the search says of an arm so far; nothing where it has no responses.
    #[must_use]
    pub fn estimate(&self, arm: usize) -> Option<ArmEstimate> {
        let assessment = self.assessment.as_ref()?;
        let profile = *assessment.profiles.get(arm)?;
        self.estimate_at(assessment, arm, profile)
    }

    /// The objective of an arm at its estimate's extent on each row that it was drawn on, as the search says so far:
    /// of answers what is expected of the row, of other metrics what was seen there.
    #[must_use]
    pub fn row_values(&self, arm: usize) -> Option<Vec<f64>> {
        let assessment = self.assessment.as_ref()?;
        let profile = assessment.profiles.get(arm)?;
        self.arms.get(arm).filter(|data| data.seen > 0)?;
        let known = assessment.known(&self.problem, &self.goal, &self.arms);
        Some(self.values(&known, arm, profile).into_values().collect())
    }

    fn estimate_at(
        &self,
        assessment: &Assessment,
        arm: usize,
        profile: Profile,
    ) -> Option<ArmEstimate> {
        let data = self.arms.get(arm).filter(|data| data.seen > 0)?;
        let known = assessment.known(&self.problem, &self.goal, &self.arms);
        let deviation = assessment.worths[arm]
            .as_ref()
            .map(|worths| deviation(worths));
        let n = f64::from(profile.extent.n);
        let cost = self
            .goal
            .display(profile.cost.of(n, known.most(data.place.model)));
        let cost_error = self
            .goal
            .display(n * profile.cost.response * profile.cost.error);
        let mut metrics = known.metrics(arm, &profile);
        metrics.insert(Metric::InferenceCost, (cost, Some(cost_error)));
        if let Some((_, error)) = metrics.get_mut(&self.problem.objective.metric)
            && is_of_answers(self.problem.objective.metric)
        {
            *error = deviation;
        }
        Some(ArmEstimate {
            extent: profile.extent,
            metrics,
            inference_cost: (cost, Some(cost_error)),
            affordable: profile.standing.worth().is_some(),
            quality_difference: self.quality_difference(assessment, &known, arm, &profile),
            closed: data.closed,
            complete: data.complete(),
            rows: data.seen,
            responses: data.fewest_responses(),
        })
    }

    /// What the quality of an arm's answers at an extent is less that of what they must be as good as,
    /// where the cheapest is sought.
    fn quality_difference(
        &self,
        assessment: &Assessment,
        known: &Known<'_>,
        arm: usize,
        profile: &Profile,
    ) -> Option<QualityDifference> {
        let qualities = assessment.qualities.as_ref()?;
        qualities.difference(known, self.goal.standard()?, arm, profile)
    }

    /// An arm at the cheapest extent that is surely as good as it must be, if there is one.
    fn surely_as_good(&self, assessment: &Assessment, arm: usize, margin: f64) -> Option<Profile> {
        let standard = self.goal.standard()?;
        let strict = self.goal.strictly();
        let known = assessment.known(&self.problem, &strict, &self.arms);
        let profile = known.profile(arm, margin);
        profile.standing.worth()?;
        // How sure that is was taken from another extent so far.
        let difference = self.quality_difference(assessment, &known, arm, &profile)?;
        standard.holds(&difference).then_some(profile)
    }

    /// Whether an arm has rows without a response, for their requests failed for good.
    #[must_use]
    pub fn has_failed(&self, arm: usize) -> bool {
        self.arms.get(arm).is_some_and(Arm::has_failed)
    }

    /// The objective of an arm at its estimate's extent on each row that it was drawn on: of answers
    /// what is expected of the row, of other metrics what was seen there.
    fn values(&self, known: &Known<'_>, arm: usize, profile: &Profile) -> BTreeMap<usize, f64> {
        let data = &self.arms[arm];
        let metric = self.problem.objective.metric;
        let Extent { max_tokens, n } = profile.extent;
        let (cap, n) = (f64::from(max_tokens), f64::from(n));
        let expected = if is_of_answers(metric) {
            known.row_values(arm, profile, metric)
        } else {
            Vec::new()
        };
        let model = self.problem.models[data.place.model];
        let value = |place: usize, row: &Row| match metric {
            Metric::ExpectedSuccess
            | Metric::Success
            | Metric::Mean
            | Metric::Min
            | Metric::Majority
            | Metric::BestOfN => expected[place],
            Metric::CutRate => row.cut_rate(cap),
            Metric::CompletionTokens => n * row.mean_tokens(cap),
            Metric::LatencyMs => row.latency(),
            Metric::InferenceCost => {
                let counted = &self.counted[data.place.model][data.place.prompt];
                let prompt = counted[place].unwrap_or_default();
                let once = model.inference.request + model.inference.input * prompt;
                let responses = n * row.mean_tokens(cap) * model.inference.output;
                let requests = tokens::requests(n, model.most_per_request);
                self.goal.display(once * requests + responses)
            }
        };
        let rows = data.data();
        rows.map(|(place, row)| (self.problem.order[place], value(place, row)))
            .collect()
    }

    /// What the search says of every arm that has responses, and which of them wins. Costs are
    /// taken with a margin.
    #[must_use]
    pub fn conclude(&mut self) -> Conclusion {
        if self.arms.iter().all(|arm| arm.seen == 0) {
            return Conclusion::default();
        }
        self.assessments += 1;
        self.assess_with(true);
        let Some(assessment) = &self.assessment else {
            return Conclusion::default();
        };
        let known = assessment.known(&self.problem, &self.goal, &self.arms);
        let mut arms = BTreeMap::new();
        let mut values: Vec<(usize, f64)> = Vec::new();
        for (index, arm) in self.arms.iter().enumerate() {
            if arm.seen == 0 {
                continue;
            }
            let (margin, deviations) = if arm.complete() {
                (COST_MARGIN, UTILITY_MARGIN)
            } else {
                (2.0 * COST_MARGIN, UNFINISHED_MARGIN)
            };
            let sure = self.surely_as_good(assessment, index, margin);
            let profile = sure.unwrap_or_else(|| known.profile(index, margin));
            if let (Some(worth), false) = (profile.standing.worth(), arm.closed) {
                let worths = assessment.worths[index].as_ref();
                let unsure = worths.map_or(0.0, |worths| deviation(worths));
                match (self.goal.standard(), sure) {
                    (None, _) => values.push((index, worth - deviations * unsure)),
                    // How sure it is has been asked already.
                    (Some(_), Some(_)) => values.push((index, worth)),
                    (Some(_), None) => {}
                }
            }
            if let Some(estimate) = self.estimate_at(assessment, index, profile) {
                let values = self.values(&known, index, &profile);
                arms.insert(index, ArmResult { estimate, values });
            }
        }
        // Those seen in full, and where the draws say how sure all that matters is, those seen on a good
        // part of the rows beside them; else those seen somewhat; else whatever there is.
        let few = FEW_ROWS.min(self.problem.rows());
        let enough = (self.problem.rows() as f64 * UNFINISHED_SHARE).max(few as f64);
        let is_drawn = self.goal.standard().is_none()
            && self.problem.constraints.is_empty()
            && is_of_answers(self.problem.objective.metric);
        let tiers: [&dyn Fn(usize) -> bool; 3] = [
            &|arm| {
                let seen = self.arms[arm].seen as f64;
                self.arms[arm].complete() || is_drawn && seen >= enough
            },
            &|arm| self.arms[arm].seen >= few,
            &|_| true,
        ];
        let winner = tiers.iter().find_map(|tier| {
            values
                .iter()
                .filter(|(arm, _)| tier(*arm))
                .copied()
                .reduce(|best, next| if next.1 > best.1 { next } else { best })
        });
        Conclusion {
            winner: winner.map(|(arm, _)| arm),
            arms,
        }
    }
}

fn deviation(values: &[f64]) -> f64 {
    let mean = tokens::mean(values);
    let squares = values.iter().map(|value| (value - mean).powi(2));
    (squares.sum::<f64>() / values.len().max(1) as f64).sqrt()
}
