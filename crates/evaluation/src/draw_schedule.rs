//! The schedule of a batch of draws: so many responses for each of some rows, all at once.

use crate::demand::{Demand, Ending, ScheduleStep};
use std::collections::BTreeSet;

/// Which rows are asked for, and what became of them.
#[derive(Debug, Clone)]
pub(crate) struct DrawSchedule {
    rows: Vec<usize>,
    /// Responses for each.
    responses: u32,
    most_per_request: Option<u32>,
    asked: bool,
    failed: BTreeSet<usize>,
}

impl DrawSchedule {
    pub(crate) fn new(rows: Vec<usize>, responses: u32, most_per_request: Option<u32>) -> Self {
        Self {
            rows,
            responses,
            most_per_request,
            asked: false,
            failed: BTreeSet::new(),
        }
    }

    pub(crate) fn next(&mut self) -> ScheduleStep {
        if std::mem::replace(&mut self.asked, true) {
            return ScheduleStep::End(Ending::Drawn);
        }
        let most = self
            .most_per_request
            .map_or(self.responses, |most| most.max(1));
        let mut demands = Vec::new();
        for &instance in &self.rows {
            let mut left = self.responses;
            while left > 0 {
                let n = left.min(most);
                demands.push(Demand { instance, n });
                left -= n;
            }
        }
        if demands.is_empty() {
            ScheduleStep::End(Ending::Drawn)
        } else {
            ScheduleStep::Demand(demands)
        }
    }

    pub(crate) fn fail(&mut self, instance: usize) {
        self.failed.insert(instance);
    }

    /// Rows with a request that failed.
    pub(crate) const fn failed(&self) -> &BTreeSet<usize> {
        &self.failed
    }

    pub(crate) fn reached(&self) -> (u32, usize) {
        (self.responses, self.rows.len())
    }
}
