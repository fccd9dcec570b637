//! The statistics of one search thread, by which BlendSearch gives out the next trial
//! (Wang et al., "Economical hyperparameter optimization with blended search strategy",
//! ICLR 2021, section 3.2).
//!
//! Costs are money spent, in any unit that is the same throughout.

/// What is known of one thread, global or local. The fields are the reference
/// implementation's, all of them part of the rules.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchThread {
    /// The lowest loss, or the first one told to a local thread if none was lower since.
    pub best_loss: f64,
    /// The best loss before that one.
    pub second_best_loss: f64,
    /// All cost so far, that of the start included.
    pub cost_total: f64,
    /// What had been spent when the best loss was told.
    pub cost_at_best: f64,
    /// What had been spent when the one before was told.
    pub cost_at_second_best: f64,
    /// The estimated cost for improvement.
    pub eci: f64,
    /// Improvement per cost; 0 while unknown.
    pub speed: f64,
    /// Which thread comes next: the one where this is largest.
    pub priority: f64,
    /// Proposals without a result. A proposal that another one stood in for counts on.
    pub running: u32,
    heard: bool,
    cost_floor: f64,
}

impl SearchThread {
    /// The thread of the global search. `cost_floor` is the least cost that an improvement is
    /// taken to have had.
    #[must_use]
    pub fn global(cost_floor: f64) -> Self {
        Self::local(f64::INFINITY, 0.0, cost_floor)
    }

    /// The thread of a local search from a point with a known loss, and what that point cost.
    #[must_use]
    pub fn local(loss: f64, cost: f64, cost_floor: f64) -> Self {
        Self {
            best_loss: loss,
            second_best_loss: loss,
            cost_total: cost,
            cost_at_best: cost,
            cost_at_second_best: 0.0,
            eci: cost,
            speed: 0.0,
            priority: 0.0,
            running: 0,
            heard: false,
            cost_floor,
        }
    }

    /// Counts a result, of a proposal that was counted in [`Self::running`].
    pub fn complete(&mut self, loss: f64, cost: f64) {
        self.cost_total += cost;
        // The first result counts as an improvement even if it is none (reference rule): it
        // gives a new thread a second point to measure from.
        if loss < self.best_loss || !self.heard {
            self.cost_at_second_best = self.cost_at_best;
            self.cost_at_best = self.cost_total;
            self.second_best_loss = if self.best_loss.is_infinite() {
                loss
            } else {
                self.best_loss
            };
            self.best_loss = loss;
            self.heard = true;
        }
        self.speed = if self.second_best_loss > self.best_loss {
            let spent = (self.cost_total - self.cost_at_second_best).max(self.cost_floor);
            (self.second_best_loss - self.best_loss) / f64::from(self.running.max(1)) / spent
        } else {
            0.0
        };
        self.running = self.running.saturating_sub(1);
    }

    /// Estimates the cost for improvement over the target, the best loss of all threads. A
    /// thread of unknown speed gets the largest speed of all.
    pub fn update_eci(&mut self, target_loss: f64, largest_speed: f64) {
        if self.speed == 0.0 {
            self.speed = largest_speed;
        }
        self.eci =
            (self.cost_total - self.cost_at_best).max(self.cost_at_best - self.cost_at_second_best);
        if self.best_loss > target_loss && self.speed > 0.0 {
            self.eci = self
                .eci
                .max(2.0 * (self.best_loss - target_loss) / self.speed);
        }
    }

    /// Projects how far the thread would get with the cost given to each: the smallest
    /// estimated cost for improvement, or what is left of the budget.
    pub fn update_priority(&mut self, cost: f64) {
        let priority = cost * self.speed - self.best_loss;
        // An unlimited cost at speed 0 says nothing.
        self.priority = if priority.is_nan() {
            f64::NEG_INFINITY
        } else {
            priority
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_infinite_loss_never_gives_speed_or_priority() {
        let mut thread = SearchThread::local(1.0, 1.0, 1.0);
        thread.running = 1;
        thread.complete(f64::INFINITY, 1.0);
        thread.update_eci(1.0, 0.5);
        thread.update_priority(f64::INFINITY);
        assert_eq!(thread.best_loss, f64::INFINITY);
        assert!(!thread.priority.is_nan());
        thread.update_priority(1.0);
        assert_eq!(thread.priority, f64::NEG_INFINITY);
    }

    #[test]
    fn free_trials_do_not_divide_by_zero() {
        let mut thread = SearchThread::global(1e-9);
        for loss in [3.0, 2.0, 2.0, 1.0] {
            thread.running += 1;
            thread.complete(loss, 0.0);
            assert!(thread.speed.is_finite());
        }
    }

    #[test]
    fn more_running_proposals_discount_the_speed() {
        let speed = |running| {
            let mut thread = SearchThread::local(2.0, 1.0, 1.0);
            thread.running = running;
            thread.complete(1.0, 1.0);
            thread.speed
        };
        assert_eq!(speed(1), 4.0 * speed(4));
    }
}
