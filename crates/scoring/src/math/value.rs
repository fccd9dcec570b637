//! What an answer is, in the form in which it is compared.

use super::exact::{Quotient, Work};
use super::numeric;
use super::reckon::{Reckoner, Sign};
use super::syntax::{Node, Relation};

/// The most answers, elements and parts of a text together.
const MAX_PARTS: usize = 200;

/// An answer or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Formula(Formula),
    Text(String),
    /// A tuple or an interval, with the marks at its ends.
    Ordered(char, char, Vec<Value>),
    Set(Vec<Value>),
    Union(Vec<Value>),
    Without(Box<Value>, Box<Value>),
    Matrix(Vec<Vec<Value>>, bool),
    Related(Related),
    /// Several answers, in whatever order.
    List(Vec<Value>),
}

/// A number, or an expression in symbols.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Formula {
    pub(super) value: Quotient,
    /// Whether a number in it is written with a point.
    pub(super) is_decimal: bool,
    /// Whether it is so many percent; the value is without the hundredth.
    pub(super) is_percent: bool,
    pub(super) has_symbols: bool,
    pub(super) unit: Option<String>,
}

/// Sides and what is between them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Related {
    pub(super) sides: Vec<Value>,
    /// `Greater` and `AtLeast` are turned around, where all of them point the same way.
    pub(super) relations: Vec<Relation>,
    /// Whether it is an equation that says what something with a name is.
    pub(super) is_assignment: bool,
}

/// The value of what was read; nothing where it has none, or is beyond what is reckoned.
pub(super) fn value(node: &Node, work: &mut Work) -> Option<Value> {
    let mut answers = Vec::new();
    let nodes = match node {
        Node::List(nodes) => nodes.as_slice(),
        node => std::slice::from_ref(node),
    };
    for node in nodes {
        answers.extend(both_signs(node, work)?);
    }
    if answers.len() > MAX_PARTS {
        return None;
    }
    Some(match (answers.pop(), answers.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            answers.extend(last);
            Value::List(answers)
        }
    })
}

/// One answer, or two where it is written with both signs.
fn both_signs(node: &Node, work: &mut Work) -> Option<Vec<Value>> {
    let mut answers = vec![
        Maker {
            work,
            sign: Sign::First,
        }
        .make(node)?,
    ];
    if has_both_signs(node) {
        answers.push(
            Maker {
                work,
                sign: Sign::Second,
            }
            .make(node)?,
        );
    }
    Some(answers)
}

/// Whether it has both signs somewhere; a set has its own elements of either.
fn has_both_signs(node: &Node) -> bool {
    match node {
        Node::PlusMinus(_) | Node::MinusPlus(_) => true,
        Node::Set(_) => false,
        node => node.parts().into_iter().any(has_both_signs),
    }
}

struct Maker<'w> {
    work: &'w mut Work,
    sign: Sign,
}

impl Maker<'_> {
    fn all(&mut self, nodes: &[Node]) -> Option<Vec<Value>> {
        self.work.spend(nodes.len())?;
        if nodes.len() > MAX_PARTS {
            return None;
        }
        nodes.iter().map(|node| self.make(node)).collect()
    }

    fn make(&mut self, node: &Node) -> Option<Value> {
        Some(match node {
            Node::Text(text) => Value::Text(text.clone()),
            Node::Ordered(open, close, items) => Value::Ordered(*open, *close, self.all(items)?),
            // Both signs in a set are two elements.
            Node::Set(items) => {
                let mut elements = Vec::new();
                for item in items {
                    elements.extend(both_signs(item, self.work)?);
                }
                Value::Set(elements)
            }
            Node::Union(parts) => Value::Union(self.all(parts)?),
            Node::Without(of, what) => {
                Value::Without(Box::new(self.make(of)?), Box::new(self.make(what)?))
            }
            Node::Matrix(rows, is_determinant) => {
                let rows: Option<Vec<Vec<Value>>> = rows.iter().map(|row| self.all(row)).collect();
                Value::Matrix(rows?, *is_determinant)
            }
            Node::List(items) => Value::List(self.all(items)?),
            Node::Related(sides, relations) => self.related(sides, relations)?,
            Node::Measured(of, unit) => match self.make(of)? {
                Value::Formula(formula) => Value::Formula(Formula {
                    unit: unit.clone(),
                    ..formula
                }),
                other => other,
            },
            Node::Negative(of) if of.any(|part| matches!(part, Node::Percent(_))) => {
                match self.make(of)? {
                    Value::Formula(formula) => Value::Formula(Formula {
                        value: formula.value.negated(),
                        ..formula
                    }),
                    _ => return None,
                }
            }
            Node::Percent(of) => Value::Formula(Formula {
                is_percent: true,
                ..self.formula(of)?
            }),
            _ => Value::Formula(self.formula(node)?),
        })
    }

    fn formula(&mut self, node: &Node) -> Option<Formula> {
        let value = Reckoner::new(self.work, self.sign).reckon(node)?;
        Some(Formula {
            has_symbols: numeric::has_symbols(&value),
            value,
            is_decimal: node.any(|part| matches!(part, Node::Decimal(_))),
            is_percent: false,
            unit: None,
        })
    }

    fn related(&mut self, sides: &[Node], relations: &[Relation]) -> Option<Value> {
        let is_assignment = relations.iter().all(|one| *one == Relation::Equal)
            && sides.first().is_some_and(is_named);
        let mut sides = self.all(sides)?;
        let mut relations = relations.to_vec();
        // Of `x = 1 + 1 = 2`, what it is and what it comes to are kept.
        if relations.iter().all(|one| *one == Relation::Equal) && sides.len() > 2 {
            sides.drain(1..sides.len() - 1);
            relations.truncate(1);
        }
        // `x ∈ A` is A.
        if let [Relation::In] = relations.as_slice() {
            return sides.pop();
        }
        let points_back = |one: &Relation| matches!(one, Relation::Greater | Relation::AtLeast);
        if relations.iter().all(points_back) {
            sides.reverse();
            relations.reverse();
            for relation in &mut relations {
                *relation = match relation {
                    Relation::Greater => Relation::Less,
                    _ => Relation::AtMost,
                };
            }
        }
        Some(Value::Related(Related {
            sides,
            relations,
            is_assignment,
        }))
    }
}

/// Whether it names something: a symbol, symbols side by side as in `f(x)`, a tuple of them, or words.
fn is_named(node: &Node) -> bool {
    match node {
        Node::Symbol(_) | Node::Text(_) | Node::Euler | Node::Imaginary => true,
        Node::Product(parts) | Node::Ordered(_, _, parts) => parts.iter().all(is_named),
        _ => false,
    }
}
