//! What may be changed of a job that was posted: the terms on which its search goes on.

use super::{JobSpec, Limits};
use crate::event::FieldChange;
use crate::money::Budget;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a job's loop goes by and its owner may change on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The most that the whole job may spend.
    pub optimization_budget: Budget,
    /// Limits other than money.
    pub limits: Limits,
    /// Requests under way at the same time.
    pub requests_in_flight: u32,
}

impl Terms {
    /// The terms that a job has.
    #[must_use]
    pub const fn of(spec: &JobSpec) -> Self {
        Self {
            optimization_budget: spec.optimization_budget,
            limits: spec.limits,
            requests_in_flight: spec.search.requests_in_flight,
        }
    }

    /// Gives a job these terms.
    pub const fn give(self, spec: &mut JobSpec) {
        spec.optimization_budget = self.optimization_budget;
        spec.limits = self.limits;
        spec.search.requests_in_flight = self.requests_in_flight;
    }

    /// What is other in the terms that take the place of these, field by field as jobs are posted.
    #[must_use]
    pub fn changes(&self, new: &Self) -> Vec<FieldChange> {
        let fields = |terms: &Self| {
            [
                ("/budgets/optimization", json!(terms.optimization_budget)),
                ("/limits/trials", json!(terms.limits.trials)),
                ("/limits/seconds", json!(terms.limits.seconds)),
                (
                    "/limits/trials_without_improvement",
                    json!(terms.limits.trials_without_improvement),
                ),
                (
                    "/search/requests_in_flight",
                    json!(terms.requests_in_flight),
                ),
            ]
        };
        changed(fields(self), fields(new))
    }
}

impl JobSpec {
    /// What is other than in another that no decision of the search goes by: what a job is called, and how
    /// urgent it is among those that wait.
    #[must_use]
    pub fn changes_beside_terms(&self, new: &Self) -> Vec<FieldChange> {
        let fields = |spec: &Self| {
            [
                ("/name", json!(spec.name)),
                ("/labels", json!(spec.labels)),
                ("/priority", json!(spec.priority)),
            ]
        };
        changed(fields(self), fields(new))
    }
}

fn changed<const N: usize>(old: [(&str, Value); N], new: [(&str, Value); N]) -> Vec<FieldChange> {
    let pairs = old.into_iter().zip(new);
    pairs
        .filter(|((_, old), (_, new))| old != new)
        .map(|((pointer, old), (_, new))| FieldChange {
            pointer: pointer.to_owned(),
            old,
            new,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Usd;

    #[test]
    fn changes_name_what_is_other_and_nothing_else() {
        let old = Terms {
            optimization_budget: Budget::Usd(Usd::from_dollars(0.5).unwrap_or_default()),
            limits: Limits {
                trials: 10,
                seconds: None,
                trials_without_improvement: None,
            },
            requests_in_flight: 32,
        };
        assert_eq!(old.changes(&old), []);
        let new = Terms {
            optimization_budget: Budget::Usd(Usd::from_dollars(2.0).unwrap_or_default()),
            limits: Limits {
                seconds: Some(60),
                ..old.limits
            },
            ..old
        };
        let changes = old.changes(&new);
        let told: Vec<_> = changes
            .iter()
            .map(|change| {
                (
                    change.pointer.as_str(),
                    change.old.clone(),
                    change.new.clone(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (
                    "/budgets/optimization",
                    json!({"usd": 0.5}),
                    json!({"usd": 2.0})
                ),
                ("/limits/seconds", Value::Null, json!(60)),
            ]
        );
    }
}
