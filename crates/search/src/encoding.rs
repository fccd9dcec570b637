//! The search space as the optimisers see it: a list of slots, each one varying setting of one
//! branch, and the ways between configurations and places in [0, 1].

use crate::axis::{Axis, bucket};
use crate::draws::Draws;
use frugal_domain::configuration::Configuration;
use frugal_domain::space::{Domain, Space};
use serde_json::Value;

/// A space, flattened. The slots of all branches are numbered apart, so two branches may use
/// the same name for different things.
#[derive(Debug, Clone)]
pub struct Encoding {
    space: Space,
    pub(crate) nodes: Vec<Node>,
    slots: Vec<Slot>,
    branchings: usize,
    exact: bool,
}

/// One varying setting.
#[derive(Debug, Clone)]
pub struct Slot {
    /// The setting's name in a configuration.
    pub name: String,
    /// Its values.
    pub axis: Axis,
}

#[derive(Debug, Clone)]
pub(crate) enum Node {
    Slot(usize),
    OneOf {
        name: String,
        /// The number of this branching among all of the space.
        number: usize,
        branches: Vec<Vec<Node>>,
    },
    Constant {
        name: String,
        value: Value,
    },
}

/// What is active in a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Active {
    /// The slots, those of the top level first, then level by level down the branches: the
    /// order in which a direction's components apply.
    pub slots: Vec<usize>,
    /// The branchings and the branch taken in each.
    pub branches: Vec<(usize, usize)>,
}

/// A space that cannot be searched, or a configuration that is not in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodingError {
    /// A dimension that has no values, or none that can be told apart.
    #[error("dimension `{name}`: {fault}")]
    Dimension {
        /// The dimension's name.
        name: String,
        /// What is wrong with it.
        fault: &'static str,
    },
}

impl Encoding {
    /// Flattens a space. Proposed floats are rounded to twelve significant digits.
    ///
    /// # Errors
    /// Where a dimension has no values.
    pub fn new(space: Space) -> Result<Self, EncodingError> {
        let mut encoding = Self {
            space: Space::default(),
            nodes: Vec::new(),
            slots: Vec::new(),
            branchings: 0,
            exact: false,
        };
        encoding.nodes = encoding.flatten(&space)?;
        encoding.space = space;
        Ok(encoding)
    }

    /// The same, with all digits of every float kept: two ways to one point may then differ in
    /// the last digit and count as two points, as they do in the reference implementation.
    ///
    /// # Errors
    /// Where a dimension has no values.
    pub fn exact(space: Space) -> Result<Self, EncodingError> {
        Ok(Self {
            exact: true,
            ..Self::new(space)?
        })
    }

    fn flatten(&mut self, space: &Space) -> Result<Vec<Node>, EncodingError> {
        let mut nodes = Vec::with_capacity(space.dimensions.len());
        for dimension in &space.dimensions {
            let name = dimension.name.clone();
            nodes.push(match &dimension.domain {
                Domain::Constant { value } => Node::Constant {
                    name,
                    value: value.clone(),
                },
                Domain::OneOf { branches } => {
                    if branches.is_empty() {
                        let fault = "one_of needs at least one branch";
                        return Err(EncodingError::Dimension { name, fault });
                    }
                    let number = self.branchings;
                    self.branchings += 1;
                    let branches = branches
                        .iter()
                        .map(|branch| self.flatten(branch))
                        .collect::<Result<_, _>>()?;
                    Node::OneOf {
                        name,
                        number,
                        branches,
                    }
                }
                domain => {
                    let axis = Axis::of(domain).map_err(|fault| EncodingError::Dimension {
                        name: name.clone(),
                        fault,
                    })?;
                    let Some(axis) = axis else { continue };
                    self.slots.push(Slot { name, axis });
                    Node::Slot(self.slots.len() - 1)
                }
            });
        }
        Ok(nodes)
    }

    /// The space.
    #[must_use]
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// All slots, of every branch.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// How many `one_of` dimensions there are, nested ones included.
    #[must_use]
    pub fn branchings(&self) -> usize {
        self.branchings
    }

    /// How many branches each of them has, by its number.
    pub(crate) fn branch_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.branchings];
        let mut stack: Vec<&Node> = self.nodes.iter().collect();
        while let Some(node) = stack.pop() {
            if let Node::OneOf {
                number, branches, ..
            } = node
            {
                if let Some(count) = counts.get_mut(*number) {
                    *count = branches.len();
                }
                stack.extend(branches.iter().flatten());
            }
        }
        counts
    }

    /// Whether floats keep all their digits.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.exact
    }

    /// What is active in a configuration; a partial one counts as far as it goes.
    #[must_use]
    pub fn active(&self, configuration: &Configuration) -> Active {
        let mut active = Active::default();
        let mut level: Vec<&[Node]> = vec![&self.nodes];
        while !level.is_empty() {
            let mut below = Vec::new();
            for node in level.into_iter().flatten() {
                match node {
                    Node::Slot(slot) => {
                        if self
                            .slots
                            .get(*slot)
                            .is_some_and(|slot| configuration.get(&slot.name).is_some())
                        {
                            active.slots.push(*slot);
                        }
                    }
                    Node::OneOf {
                        name,
                        number,
                        branches,
                    } => {
                        if let Some((index, branch)) = taken(configuration, name, branches) {
                            active.branches.push((*number, index));
                            below.push(branch.as_slice());
                        }
                    }
                    Node::Constant { .. } => {}
                }
            }
            level = below;
        }
        active
    }

    /// Where a configuration lies in a slot, in [0, 1]; `None` where the slot's name is absent.
    #[must_use]
    pub fn place(&self, slot: usize, configuration: &Configuration) -> Option<f64> {
        let slot = self.slots.get(slot)?;
        slot.axis.encode(configuration.get(&slot.name)?)
    }

    /// Sets a slot's value from a place in [0, 1].
    pub(crate) fn set(&self, configuration: &mut Configuration, slot: usize, unit: f64) {
        if let Some(slot) = self.slots.get(slot) {
            let value = slot.axis.decode(unit, self.exact);
            configuration.0.insert(slot.name.clone(), value);
        }
    }

    /// A whole configuration made from a partial one: what is missing, or not permitted, is
    /// drawn uniformly (on the dimension's own scale); constants are added and unknown names
    /// left out.
    pub fn complete(&self, partial: &Configuration, draws: &mut Draws) -> Configuration {
        let mut configuration = Configuration::default();
        self.fill(&self.nodes, partial, draws, &mut configuration);
        configuration
    }

    fn fill(
        &self,
        nodes: &[Node],
        partial: &Configuration,
        draws: &mut Draws,
        configuration: &mut Configuration,
    ) {
        for node in nodes {
            match node {
                Node::Slot(index) => {
                    let Some(slot) = self.slots.get(*index) else {
                        continue;
                    };
                    let value = partial
                        .get(&slot.name)
                        .and_then(|value| slot.axis.normal_form(value))
                        .unwrap_or_else(|| random_value(&slot.axis, self.exact, draws));
                    configuration.0.insert(slot.name.clone(), value);
                }
                Node::OneOf { name, branches, .. } => {
                    let index = match taken(partial, name, branches) {
                        Some((index, _)) => index,
                        None => random_branch(draws, branches.len()),
                    };
                    configuration.0.insert(name.clone(), Value::from(index));
                    if let Some(below) = branches.get(index) {
                        self.fill(below, partial, draws, configuration);
                    }
                }
                Node::Constant { name, value } => {
                    configuration.0.insert(name.clone(), value.clone());
                }
            }
        }
    }

    /// A configuration drawn uniformly, branch by branch.
    pub fn random(&self, draws: &mut Draws) -> Configuration {
        self.complete(&Configuration::default(), draws)
    }

    /// A whole configuration made by asking for each branch and each place: `branch` is given
    /// the branching's number and how many branches there are, `value` the slot's number.
    pub(crate) fn assemble(
        &self,
        branch: &mut dyn FnMut(usize, usize) -> usize,
        value: &mut dyn FnMut(usize, &Axis) -> Value,
    ) -> Configuration {
        let mut configuration = Configuration::default();
        let mut stack: Vec<&Node> = self.nodes.iter().rev().collect();
        while let Some(node) = stack.pop() {
            match node {
                Node::Slot(index) => {
                    if let Some(slot) = self.slots.get(*index) {
                        let value = value(*index, &slot.axis);
                        configuration.0.insert(slot.name.clone(), value);
                    }
                }
                Node::OneOf {
                    name,
                    number,
                    branches,
                } => {
                    let index = branch(*number, branches.len());
                    configuration.0.insert(name.clone(), Value::from(index));
                    if let Some(below) = branches.get(index) {
                        stack.extend(below.iter().rev());
                    }
                }
                Node::Constant { name, value } => {
                    configuration.0.insert(name.clone(), value.clone());
                }
            }
        }
        configuration
    }

    /// The configuration at a point of the unit cube: a coordinate from [0, 1) for each slot, then
    /// one for each branching. Those of branches that are not taken have no effect.
    pub(crate) fn at(&self, point: &[f64]) -> Configuration {
        let coordinate = |index: usize| point.get(index).copied().unwrap_or(0.0);
        let slots = self.slots.len();
        self.assemble(
            &mut |branching, branches| bucket(coordinate(slots + branching), branches),
            &mut |slot, axis| axis.drawn(coordinate(slot), self.exact),
        )
    }

    /// A configuration with its numbers in the form that this search proposes them in (floats
    /// as floats), or `None` where it is not in the space.
    #[must_use]
    pub fn normal_form(&self, configuration: &Configuration) -> Option<Configuration> {
        let mut normal = configuration.clone();
        for slot in self.active(configuration).slots {
            let slot = self.slots.get(slot)?;
            let value = slot.axis.normal_form(configuration.get(&slot.name)?)?;
            normal.0.insert(slot.name.clone(), value);
        }
        self.space.contains(&normal).then_some(normal)
    }

    /// The first name of a partial configuration that the space does not have in the branches
    /// that it takes, or whose value is not permitted; `None` where there is none.
    #[must_use]
    pub fn first_outside(&self, partial: &Configuration) -> Option<String> {
        // Filling in what is left open keeps what is permitted and replaces all else.
        let whole = self.complete(partial, &mut Draws::seeded(0));
        partial
            .0
            .iter()
            .find(|(name, value)| match (whole.get(name), value.as_f64()) {
                (Some(kept), Some(number)) => kept.as_f64() != Some(number),
                (Some(kept), None) => kept != *value,
                (None, _) => true,
            })
            .map(|(name, _)| name.clone())
    }
}

/// A value drawn uniformly from an axis, as [`Axis::drawn`] says.
pub(crate) fn random_value(axis: &Axis, exact: bool, draws: &mut Draws) -> Value {
    match axis {
        Axis::Choice { values, .. } => {
            let references: Vec<&Value> = values.iter().collect();
            draws
                .pick(&references)
                .and_then(|index| values.get(index))
                .cloned()
                .unwrap_or(Value::Null)
        }
        Axis::Number { .. } if axis.count() == Some(1) => axis.nth(0, exact),
        Axis::Number { .. } => axis.drawn(draws.uniform(), exact),
    }
}

fn random_branch(draws: &mut Draws, count: usize) -> usize {
    let indices: Vec<Value> = (0..count).map(Value::from).collect();
    draws.pick(&indices.iter().collect::<Vec<_>>()).unwrap_or(0)
}

/// The branch that a configuration takes.
fn taken<'n>(
    configuration: &Configuration,
    name: &str,
    branches: &'n [Vec<Node>],
) -> Option<(usize, &'n Vec<Node>)> {
    let index = usize::try_from(configuration.get(name)?.as_u64()?).ok()?;
    Some((index, branches.get(index)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_domain::space::{Dimension, Scale};
    use serde_json::json;

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
    fn slots_come_level_by_level() {
        let encoding = encoding();
        let configuration: Configuration = serde_json::from_value(
            json!({"outer": 0, "inner": 0, "deep": 1, "x": 2, "top": 1, "fixed": "c"}),
        )
        .unwrap();
        let active = encoding.active(&configuration);
        let names: Vec<&str> = active
            .slots
            .iter()
            .map(|slot| encoding.slots()[*slot].name.as_str())
            .collect();
        assert_eq!(names, ["top", "x", "deep"]);
        assert_eq!(active.branches, [(0, 0), (1, 0)]);
    }

    #[test]
    fn completion_keeps_what_is_permitted_and_draws_the_rest() {
        let encoding = encoding();
        let mut draws = Draws::seeded(2);
        for _ in 0..50 {
            let partial: Configuration =
                serde_json::from_value(json!({"outer": 1, "x": 2, "nonsense": 5, "top": 1}))
                    .unwrap();
            assert_eq!(encoding.first_outside(&partial), Some("nonsense".into()));
            let whole = encoding.complete(&partial, &mut draws);
            assert!(encoding.space().contains(&whole), "{whole:?}");
            // 2 is a value of the other branch's x.
            assert!(whole.get("x") != Some(&json!(2)));
            assert_eq!(whole.get("top"), Some(&json!(1)));
        }
    }

    #[test]
    fn branches_are_drawn_alike() {
        let encoding = encoding();
        let mut draws = Draws::seeded(4);
        let first = (0..1000)
            .filter(|_| encoding.random(&mut draws).get("outer") == Some(&json!(0)))
            .count();
        assert!((430..570).contains(&first), "{first}");
    }
}
