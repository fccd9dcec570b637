//! What mathematical text is read into.

/// A fraction of integers of any length.
pub(super) type Rational = num_rational::BigRational;

/// Why a text cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    /// The text, or a number in it.
    #[error("it is too long")]
    TooLong,
    /// Brackets within brackets.
    #[error("it is nested too deeply")]
    TooDeep,
    /// Something is missing or does not belong there.
    #[error("there is {0}")]
    Malformed(&'static str),
}

/// How two sides are related.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
    /// An element of a set.
    In,
}

/// A part of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Number(Rational),
    /// A number that is written with a point.
    Decimal(Rational),
    Pi,
    Euler,
    Imaginary,
    Infinity,
    Symbol(String),
    Text(String),
    Sum(Vec<Node>),
    Product(Vec<Node>),
    Quotient(Box<Node>, Box<Node>),
    Power(Box<Node>, Box<Node>),
    Negative(Box<Node>),
    /// Both signs: plus first.
    PlusMinus(Box<Node>),
    /// Both signs: minus first.
    MinusPlus(Box<Node>),
    Function(&'static str, Vec<Node>),
    Percent(Box<Node>),
    Degrees(Box<Node>),
    /// A tuple or an interval, with the marks at its ends.
    Ordered(char, char, Vec<Node>),
    Set(Vec<Node>),
    Union(Vec<Node>),
    Without(Box<Node>, Box<Node>),
    /// Rows of elements; whether it is a determinant.
    Matrix(Vec<Vec<Node>>, bool),
    /// What is related, one more than the relations.
    Related(Vec<Node>, Vec<Relation>),
    /// Several answers.
    List(Vec<Node>),
    /// With a unit, in the form in which units are compared, where it is one that is known.
    Measured(Box<Node>, Option<String>),
}

impl Node {
    /// The parts that it is made of.
    pub(super) fn parts(&self) -> Vec<&Self> {
        match self {
            Self::Number(_)
            | Self::Decimal(_)
            | Self::Pi
            | Self::Euler
            | Self::Imaginary
            | Self::Infinity
            | Self::Symbol(_)
            | Self::Text(_) => Vec::new(),
            Self::Sum(parts)
            | Self::Product(parts)
            | Self::Function(_, parts)
            | Self::Ordered(_, _, parts)
            | Self::Set(parts)
            | Self::Union(parts)
            | Self::Related(parts, _)
            | Self::List(parts) => parts.iter().collect(),
            Self::Quotient(left, right) | Self::Power(left, right) | Self::Without(left, right) => {
                vec![left, right]
            }
            Self::Negative(part)
            | Self::PlusMinus(part)
            | Self::MinusPlus(part)
            | Self::Percent(part)
            | Self::Degrees(part)
            | Self::Measured(part, _) => vec![part],
            Self::Matrix(rows, _) => rows.iter().flatten().collect(),
        }
    }

    /// Whether this or any part of it is so.
    pub(super) fn any(&self, is_so: fn(&Self) -> bool) -> bool {
        is_so(self) || self.parts().into_iter().any(|part| part.any(is_so))
    }
}
