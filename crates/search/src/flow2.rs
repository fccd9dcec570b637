//! FLOW2, the local search (Wu, Wang and Huang, "Frugal optimization for cost-related
//! hyperparameters", AAAI 2021), with the reference implementation's adaptive step size.
//!
//! From the incumbent it tries a random direction, then the opposite one, and moves wherever
//! the loss is lower. The step shrinks when many tries in a row brought nothing, and the search
//! has converged once it is below what changes any value.

use crate::axis::{Axis, bucket};
use crate::draws::Draws;
use crate::encoding::{Active, Encoding};
use frugal_domain::configuration::Configuration;
use serde_json::Value;
use std::collections::BTreeMap;

/// The step size's lower bound where no dimension is a grid (reference constant).
pub const STEP_SIZE_FLOOR: f64 = 0.0001;

/// How long the steps are, over the step size, that are tried while others are under way.
const SPREAD: [f64; 2] = [2.0, 0.5];

/// The state of one local search. Its branch of every `one_of` is that of its start.
#[derive(Debug, Clone)]
pub struct Flow2 {
    /// The slots that vary, in the order of a direction's components.
    slots: Vec<usize>,
    /// The branches that the search stays in.
    branches: Vec<(usize, usize)>,
    best_configuration: Configuration,
    best_loss: f64,
    /// Where the next direction starts from, a place in [0, 1] per slot.
    incumbent: Vec<f64>,
    step_size: f64,
    /// The step size at the start, per square root of a dimension.
    first_step: f64,
    largest_step_size: f64,
    fixed_lower_bound: Option<f64>,
    /// The step that was tried last, while its opposite has not been.
    direction_tried: Option<Step>,
    /// Directions drawn while others were under way.
    spread: usize,
    completed_for_incumbent: u32,
    proposed_for_incumbent: u32,
    allowed_for_incumbent: i64,
    /// Proposals without improvement before the step size shrinks: 2^dimensions, at most 2^9.
    patience: u32,
    /// The numbers of proposals at the last shrinking and the one before (K and K' in the
    /// paper); 0 before the first.
    shrunk_at: u32,
    shrunk_before: u32,
    best_at: u32,
    proposed: u32,
    completed: u32,
    /// Whether the last random direction led back to the best configuration.
    stood_still: bool,
    /// Until the first shrinking, a step that changes nothing makes the next ones longer.
    growing: bool,
    pending: BTreeMap<u64, Pending>,
}

#[derive(Debug, Clone)]
struct Step {
    /// Per slot.
    distances: Vec<f64>,
    /// Its length over the step size: 1 unless others were under way, then one of [`SPREAD`].
    stretch: f64,
}

#[derive(Debug, Clone)]
struct Pending {
    configuration: Configuration,
    step_size: f64,
    /// The incumbent that it was proposed from; `None` once that one has been bettered.
    incumbent: Option<Vec<f64>>,
}

impl Flow2 {
    /// A search from a whole configuration whose loss is known. `first_step` is the step size at
    /// the start, per square root of a dimension.
    #[must_use]
    pub fn new(encoding: &Encoding, start: Configuration, loss: f64, first_step: f64) -> Self {
        let Active { slots, branches } = encoding.active(&start);
        let incumbent: Vec<f64> = slots
            .iter()
            .map(|slot| encoding.place(*slot, &start).unwrap_or(0.5))
            .collect();
        let fixed_lower_bound = slots
            .iter()
            .filter_map(|slot| encoding.slots().get(*slot)?.axis.fixed_step_bound())
            .reduce(f64::min);
        let dimensions = slots.len();
        let largest_step_size = (dimensions as f64).sqrt();
        let mut search = Self {
            patience: 1 << dimensions.min(9),
            allowed_for_incumbent: 2 * i64::try_from(dimensions).unwrap_or(i64::MAX / 2),
            slots,
            branches,
            best_configuration: start,
            best_loss: loss,
            incumbent,
            step_size: first_step * largest_step_size,
            first_step,
            largest_step_size,
            fixed_lower_bound,
            direction_tried: None,
            spread: 0,
            completed_for_incumbent: 0,
            proposed_for_incumbent: 0,
            shrunk_at: 0,
            shrunk_before: 0,
            best_at: 1,
            proposed: 1,
            completed: 1,
            stood_still: false,
            growing: true,
            pending: BTreeMap::new(),
        };
        let lower = search.step_lower_bound(encoding);
        if lower > search.step_size {
            search.step_size = lower * 2.0;
        }
        search.step_size = search.step_size.min(largest_step_size);
        search
    }

    /// The best configuration told so far, or the start.
    #[must_use]
    pub fn best_configuration(&self) -> &Configuration {
        &self.best_configuration
    }

    /// Its loss.
    #[must_use]
    pub fn best_loss(&self) -> f64 {
        self.best_loss
    }

    /// The length of the next step, in [0, 1] per dimension.
    #[must_use]
    pub fn step_size(&self) -> f64 {
        self.step_size
    }

    /// The step size below which no value changes any more: for grids the smallest relative
    /// distance of neighbours, else [`STEP_SIZE_FLOOR`].
    #[must_use]
    pub fn step_lower_bound(&self, encoding: &Encoding) -> f64 {
        let dynamic = self.slots.iter().filter_map(|slot| {
            let slot = encoding.slots().get(*slot)?;
            slot.axis
                .step_bound_at(self.best_configuration.get(&slot.name)?)
        });
        match dynamic.chain(self.fixed_lower_bound).reduce(f64::min) {
            Some(bound) if bound.is_finite() => bound * self.largest_step_size,
            _ => STEP_SIZE_FLOOR,
        }
    }

    /// Whether it may propose: not while twice as many proposals as there are dimensions wait
    /// for their results.
    #[must_use]
    pub fn can_suggest(&self) -> bool {
        self.allowed_for_incumbent > 0
    }

    /// Whether the step size has fallen below its lower bound, with enough tries completed.
    #[must_use]
    pub fn has_converged(&self, encoding: &Encoding) -> bool {
        self.completed_for_incumbent + 2 >= self.patience
            && self.step_size < self.step_lower_bound(encoding)
    }

    /// The next configuration to try, under an id that its result is to be told with; `None`
    /// where the search is stuck at its smallest step size.
    pub fn suggest(
        &mut self,
        encoding: &Encoding,
        draws: &mut Draws,
        id: u64,
    ) -> Option<Configuration> {
        self.proposed += 1;
        self.allowed_for_incumbent -= 1;
        let mut target = self.incumbent.clone();
        let (opposite, stretch) = match self.direction_tried.take() {
            Some(step) => {
                for (place, distance) in target.iter_mut().zip(&step.distances) {
                    *place -= distance;
                }
                (true, step.stretch)
            }
            None => {
                let step = self.new_step(draws);
                for (place, distance) in target.iter_mut().zip(&step.distances) {
                    *place += distance;
                }
                (false, self.direction_tried.insert(step).stretch)
            }
        };
        for place in &mut target {
            *place = place.clamp(0.0, 1.0);
        }
        let configuration = self.configuration_at(encoding, draws, &target);
        let unchanged = configuration == self.best_configuration;
        self.pending.insert(
            id,
            Pending {
                configuration: configuration.clone(),
                step_size: self.step_size * stretch,
                incumbent: Some(self.incumbent.clone()),
            },
        );
        self.proposed_for_incumbent += 1;
        if self.growing {
            if !opposite {
                self.stood_still = unchanged;
            } else if self.stood_still && unchanged {
                self.step_size = (self.step_size + self.first_step).min(self.largest_step_size);
            }
        }
        // One that is under way has not failed yet; it counts half.
        let others = self.under_way().saturating_sub(1);
        if self.proposed_for_incumbent.saturating_sub(others / 2) >= self.patience {
            self.proposed_for_incumbent = self.proposed_for_incumbent.saturating_sub(2);
            self.growing = false;
            if self.step_size < self.step_lower_bound(encoding) {
                self.pending.remove(&id);
                return None;
            }
            self.shrunk_before = if self.shrunk_at > 0 {
                self.shrunk_at
            } else {
                self.best_at
            };
            self.shrunk_at = self.proposed + 1;
            self.step_size *= (f64::from(self.shrunk_before) / f64::from(self.shrunk_at)).sqrt();
        }
        if !self.growing && unchanged {
            // A step too short to change a value still moves the place to start from, so that
            // short steps add up.
            self.incumbent = target;
        }
        Some(configuration)
    }

    /// A step in a new direction. One at a time its length is the step size. While others are
    /// under way from the same place their results cannot adjust the step size, so several sizes
    /// are tried side by side, and the one that brings an improvement is kept.
    fn new_step(&mut self, draws: &mut Draws) -> Step {
        let stretch = if self.under_way() < 2 {
            1.0
        } else {
            self.spread += 1;
            SPREAD
                .get(self.spread % SPREAD.len())
                .copied()
                .unwrap_or(1.0)
        };
        let length = (self.step_size * stretch).min(self.largest_step_size);
        let direction = draws.unit_direction(self.slots.len());
        Step {
            distances: direction
                .into_iter()
                .map(|component| component * length)
                .collect(),
            stretch,
        }
    }

    /// Proposals without a result that were made from the present incumbent.
    fn under_way(&self) -> u32 {
        let from_here = |pending: &&Pending| pending.incumbent.as_ref() == Some(&self.incumbent);
        let count = self.pending.values().filter(from_here).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Hears the loss of a proposal; an infinite one is worse than anything.
    pub fn complete(&mut self, encoding: &Encoding, id: u64, loss: f64) {
        self.completed += 1;
        let pending = self.pending.remove(&id);
        let Some(pending) = pending else { return };
        if loss < self.best_loss {
            self.best_loss = loss;
            self.step_size = pending.step_size;
            self.move_to(encoding, pending.configuration);
            self.completed_for_incumbent = 0;
            self.proposed_for_incumbent = 0;
            self.allowed_for_incumbent = 2 * i64::try_from(self.slots.len()).unwrap_or(0);
            for other in self.pending.values_mut() {
                other.incumbent = None;
            }
            if self.shrunk_at > 0 {
                self.step_size *=
                    (f64::from(self.shrunk_at) / f64::from(self.shrunk_before)).sqrt();
            }
            self.step_size = self.step_size.min(self.largest_step_size);
            self.best_at = self.completed;
            return;
        }
        if pending.incumbent.as_ref() != Some(&self.incumbent) {
            return;
        }
        self.completed_for_incumbent += 1;
        let dimensions = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        if self.completed_for_incumbent >= dimensions.saturating_mul(2)
            && self.allowed_for_incumbent == 0
        {
            self.allowed_for_incumbent = 2;
        }
        if self.completed_for_incumbent == self.patience {
            self.completed_for_incumbent = self.completed_for_incumbent.saturating_sub(2);
            self.allowed_for_incumbent = self.allowed_for_incumbent.max(2);
        }
    }

    /// Forgets a proposal that will get no result of its own: another search has the same one
    /// under way.
    pub fn forget(&mut self, id: u64) {
        if self.pending.remove(&id).is_some() {
            self.allowed_for_incumbent += 1;
        }
    }

    /// Whether another search's incumbent is within a step of this one's. Unordered choices
    /// must be equal, and so must the branches: neither is reached by a small step.
    #[must_use]
    pub fn reaches(&self, encoding: &Encoding, other: &Self) -> bool {
        if self.branches != other.branches || self.slots != other.slots {
            return false;
        }
        let choices_agree = self
            .slots
            .iter()
            .filter_map(|slot| encoding.slots().get(*slot))
            .filter(|slot| slot.axis.is_unordered())
            .all(|slot| {
                self.best_configuration.get(&slot.name) == other.best_configuration.get(&slot.name)
            });
        let distance = self
            .incumbent
            .iter()
            .zip(&other.incumbent)
            .map(|(a, b)| (a - b).powi(2))
            .sum::<f64>()
            .sqrt();
        choices_agree && distance <= self.step_size
    }

    /// Makes a configuration the incumbent. An unordered choice keeps the place that it has.
    fn move_to(&mut self, encoding: &Encoding, configuration: Configuration) {
        for (place, slot) in self.incumbent.iter_mut().zip(&self.slots) {
            let unordered = encoding
                .slots()
                .get(*slot)
                .is_some_and(|slot| slot.axis.is_unordered());
            if !unordered && let Some(there) = encoding.place(*slot, &configuration) {
                *place = there;
            }
        }
        self.best_configuration = configuration;
    }

    /// The configuration at a place. An unordered choice of k values keeps its value while the
    /// place is in the same k-th of [0, 1] as the incumbent's, and jumps to any other value
    /// beyond.
    fn configuration_at(
        &self,
        encoding: &Encoding,
        draws: &mut Draws,
        target: &[f64],
    ) -> Configuration {
        let mut configuration = self.best_configuration.clone();
        for ((index, unit), from) in self.slots.iter().zip(target).zip(&self.incumbent) {
            let Some(slot) = encoding.slots().get(*index) else {
                continue;
            };
            if let Axis::Choice {
                values,
                ordered: false,
            } = &slot.axis
            {
                if bucket(*unit, values.len()) == bucket(*from, values.len()) {
                    continue;
                }
                let current = configuration.get(&slot.name);
                let others: Vec<&Value> = values
                    .iter()
                    .filter(|value| Some(*value) != current)
                    .collect();
                if let Some(picked) = draws.pick(&others).and_then(|index| others.get(index)) {
                    configuration.0.insert(slot.name.clone(), (*picked).clone());
                }
            } else {
                encoding.set(&mut configuration, *index, *unit);
            }
        }
        configuration
    }
}
