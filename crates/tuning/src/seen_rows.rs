//! What was seen of each row under one configuration, in little room: there may be a hundred thousand of them.

use crate::outcome::Utilities;
use frugal_domain::metric::Metric;
use frugal_domain::money::Unit;
use frugal_evaluation::{EvaluatedInstance, metrics};
use std::collections::BTreeMap;

/// Every metric on each row that was seen.
#[derive(Debug)]
pub(crate) struct SeenRows {
    seen: Vec<bool>,
    count: usize,
    /// By metric, its value on each row; 0 on those that were not seen.
    columns: BTreeMap<Metric, Vec<f64>>,
}

impl SeenRows {
    /// Nothing of so many rows.
    pub(crate) fn new(rows: usize) -> Self {
        let columns = Metric::ALL.iter().map(|metric| (*metric, vec![0.0; rows]));
        Self {
            seen: vec![false; rows],
            count: 0,
            columns: columns.collect(),
        }
    }

    /// Takes in a row.
    pub(crate) fn take(&mut self, row: &EvaluatedInstance, unit: Unit) {
        let Some(seen) = self.seen.get_mut(row.instance) else {
            debug_assert!(false, "there is no row {}", row.instance);
            return;
        };
        self.count += usize::from(!*seen);
        *seen = true;
        for (metric, values) in &mut self.columns {
            values[row.instance] = metrics::value(*metric, row, unit);
        }
    }

    /// How many were seen.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// The same, which, in their order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = usize> {
        (0..self.seen.len()).filter(|row| self.seen[*row])
    }

    /// A metric on each of them, in their order.
    pub(crate) fn values(&self, metric: Metric) -> Vec<f64> {
        let values = self.columns.get(&metric);
        values.map_or_else(Vec::new, |values| {
            self.rows().map(|row| values[row]).collect()
        })
    }

    /// The same, by row.
    pub(crate) fn by_row(&self, metric: Metric) -> Utilities {
        self.rows().zip(self.values(metric)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_domain::money::Spend;

    fn row(instance: usize, prompt_tokens: u64) -> EvaluatedInstance {
        EvaluatedInstance {
            instance,
            prompt_tokens,
            inference_cost: Spend {
                tokens: prompt_tokens,
                ..Spend::default()
            },
            responses: Vec::new(),
        }
    }

    #[test]
    fn rows_are_kept_in_their_order_whatever_the_order_in_which_they_come() {
        let mut seen = SeenRows::new(5);
        assert!(seen.values(Metric::InferenceCost).is_empty());
        for (instance, tokens) in [(3, 30), (0, 10), (4, 40), (3, 31)] {
            seen.take(&row(instance, tokens), Unit::Tokens);
        }
        assert_eq!(seen.count(), 3);
        assert_eq!(seen.rows().collect::<Vec<_>>(), [0, 3, 4]);
        assert_eq!(seen.values(Metric::InferenceCost), [10.0, 31.0, 40.0]);
        let by_row = Utilities::from([(0, 10.0), (3, 31.0), (4, 40.0)]);
        assert_eq!(seen.by_row(Metric::InferenceCost), by_row);
    }
}
