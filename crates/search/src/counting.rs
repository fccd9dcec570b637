//! Finite spaces: how many configurations there are, and which is the n-th.

use crate::encoding::{Encoding, Node};
use frugal_domain::configuration::Configuration;
use serde_json::Value;

impl Encoding {
    /// How many configurations there are; `None` for a continuum or more than fit into a u64.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        self.count_of(&self.nodes)
    }

    fn count_of(&self, nodes: &[Node]) -> Option<u64> {
        nodes.iter().try_fold(1_u64, |product, node| {
            let factor = match node {
                Node::Slot(slot) => self.slots().get(*slot)?.axis.count()?,
                Node::OneOf { branches, .. } => branches
                    .iter()
                    .try_fold(0_u64, |sum, branch| sum.checked_add(self.count_of(branch)?))?,
                Node::Constant { .. } => 1,
            };
            product.checked_mul(factor)
        })
    }

    /// The configuration with the given position among [`Self::count`].
    #[must_use]
    pub fn nth(&self, index: u64) -> Configuration {
        let mut configuration = Configuration::default();
        self.nth_of(&self.nodes, index, &mut configuration);
        configuration
    }

    fn nth_of(&self, nodes: &[Node], mut index: u64, configuration: &mut Configuration) {
        for node in nodes {
            match node {
                Node::Slot(slot) => {
                    let Some(slot) = self.slots().get(*slot) else {
                        continue;
                    };
                    let count = slot.axis.count().unwrap_or(1).max(1);
                    configuration.0.insert(
                        slot.name.clone(),
                        slot.axis.nth(index % count, self.is_exact()),
                    );
                    index /= count;
                }
                Node::OneOf { name, branches, .. } => {
                    let counts: Vec<u64> = branches
                        .iter()
                        .map(|branch| self.count_of(branch).unwrap_or(1))
                        .collect();
                    let total = counts.iter().sum::<u64>().max(1);
                    let mut within = index % total;
                    index /= total;
                    for (position, (branch, count)) in branches.iter().zip(counts).enumerate() {
                        if within < count {
                            configuration.0.insert(name.clone(), Value::from(position));
                            self.nth_of(branch, within, configuration);
                            break;
                        }
                        within -= count;
                    }
                }
                Node::Constant { name, value } => {
                    configuration.0.insert(name.clone(), value.clone());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_domain::space::Domain;
    use frugal_domain::space::{Dimension, Scale, Space};
    use serde_json::json;
    use std::collections::BTreeSet;

    fn dimension(name: &str, domain: Domain) -> Dimension {
        Dimension {
            name: name.into(),
            domain,
        }
    }

    fn int(name: &str, low: i64, high: i64) -> Dimension {
        dimension(
            name,
            Domain::Int {
                low,
                high,
                scale: Scale::Linear,
                step: None,
            },
        )
    }

    /// A branch within a branch, a name that two branches share, a constant, an empty branch.
    fn encoding() -> Encoding {
        let space = |dimensions| Space { dimensions };
        let inner = Domain::OneOf {
            branches: vec![space(vec![int("deep", 1, 2)]), space(vec![])],
        };
        let outer = Domain::OneOf {
            branches: vec![
                space(vec![dimension("inner", inner), int("x", 1, 3)]),
                space(vec![int("x", 7, 8)]),
            ],
        };
        let value = json!("c");
        Encoding::new(space(vec![
            dimension("outer", outer),
            int("top", 0, 1),
            dimension("fixed", Domain::Constant { value }),
        ]))
        .unwrap()
    }

    #[test]
    fn a_finite_space_is_counted_and_numbered() {
        let encoding = encoding();
        let count = ((2 + 1) * 3 + 2) * 2;
        assert_eq!(encoding.count(), Some(count));
        let mut seen = BTreeSet::new();
        for index in 0..count {
            let configuration = encoding.nth(index);
            assert!(
                encoding.space().contains(&configuration),
                "{configuration:?}"
            );
            seen.insert(configuration.canonical_key());
        }
        assert_eq!(seen.len() as u64, count);
    }
}
