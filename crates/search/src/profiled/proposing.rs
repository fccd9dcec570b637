//! How proposals become arms of a profiled search.

use super::arm::{Arm, ArmPlace};
use super::blend::{Blend, Known};
use super::proposals::Proposals;
use super::proposer::Proposer;
use super::{MOST_ARMS, Profiled};
use crate::ask_tell::Origin;

/// So many settings besides the temperature wait until a leader was seen in full several times over.
const FEW_SETTINGS: usize = 2;

/// The most that one response of the leader for every row may cost then, as a share of the optimization
/// budget.
const MOST_LOOK: f64 = 0.03;

impl Profiled {
    /// Opens what the proposer has to offer. Whether there is any.
    pub(super) fn propose(&mut self, leader: Option<usize>) -> bool {
        let mut proposer = std::mem::replace(&mut self.proposer, Proposer::Nobody);
        let proposed = match &mut proposer {
            Proposer::Nobody => false,
            Proposer::Blend(blend) => self.blend(blend, leader),
            Proposer::Searcher(proposals) => self.ask(proposals),
        };
        self.proposer = proposer;
        proposed
    }

    /// Tells the searcher what its arms came to, and opens what it proposes next.
    fn ask(&mut self, proposals: &mut Proposals) -> bool {
        let Some(assessment) = &self.assessment else {
            return false;
        };
        let unseen = |arm: usize| self.arms[arm].seen == 0;
        let room = MOST_ARMS.saturating_sub(self.arms.len());
        let proposed = proposals.next(
            &self.space,
            room,
            unseen,
            |arm| assessment.means[arm].or_else(|| assessment.profiles[arm].standing.worth()),
            |arm| self.arms[arm].spent,
        );
        let before = self.arms.len();
        for (number, place, origin) in proposed {
            let arm = self.open(place, origin);
            proposals.opened(number, arm);
        }
        self.arms.len() > before
    }

    /// Opens what the blended search proposes, given what all arms have come to.
    fn blend(&mut self, blend: &mut Blend, leader: Option<usize>) -> bool {
        let (Some(assessment), Some(leader)) = (&self.assessment, leader) else {
            return false;
        };
        // A first leader must be known. Where little varies besides, the models, prompts and temperatures
        // matter more: it must be known well, and looks be cheap enough for many.
        let most = self.problem.models[self.arms[leader].place.model].most_per_request;
        let look = assessment.profiles[leader].cost.spent(1.0, most) * self.problem.rows() as f64;
        let begins = if blend.settings() > FEW_SETTINGS {
            self.arms[leader].complete()
        } else {
            self.is_refined(leader) && look <= MOST_LOOK * self.problem.optimization_budget
        };
        if !begins {
            return false;
        }
        let affordable = |arm: usize| assessment.profiles[arm].standing.worth().is_some();
        if !blend.has_room(self.assessments, affordable) {
            return false;
        }
        let known = Known::of(&self.arms, assessment);
        let places: Vec<&ArmPlace> = self.arms.iter().map(|arm| &arm.place).collect();
        let more = MOST_ARMS.saturating_sub(places.len());
        let proposed = blend.next(&self.space, &known, &places, more);
        let any = !proposed.is_empty();
        for one in proposed {
            let arm = match one.instead_of {
                Some(arm) => Some(self.replace(arm, one.place, one.origin)),
                None => self.open(one.place, one.origin),
            };
            if let Some(arm) = arm {
                blend.opened(arm, self.assessments);
            }
        }
        any
    }

    /// Puts another arm in the place of one that was never asked for.
    fn replace(&mut self, arm: usize, place: ArmPlace, origin: Origin) -> usize {
        self.arms[arm] = Arm::new(place, self.problem.rows());
        self.origins[arm] = origin;
        // What was believed of the other is no reason to leave this one out.
        if let Some(assessment) = &mut self.assessment {
            assessment.hopeless[arm] = false;
            assessment.worths[arm] = None;
            assessment.means[arm] = None;
        }
        arm
    }
}
