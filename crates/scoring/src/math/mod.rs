//! Mathematical answers: read into exact values, and compared as such.
//!
//! A text is cut into tokens (`lex`), read (`cursor`, `parse`, `formula` into `syntax`), reckoned exactly (`reckon`
//! with `exact`) and made a value (`value`), which is compared with another (`compare`). What exact arithmetic
//! cannot decide, such as sines and roots within roots, is evaluated in floating point at several points
//! (`numeric`); two fractions never are. All of it is bounded, by lengths, depths and steps: an answer beyond
//! them is the same as one in the same text alone.

mod answer;
mod compare;
mod cursor;
mod exact;
mod formula;
mod lex;
mod numeric;
mod parse;
mod reading;
mod reckon;
mod syntax;
mod units;
mod value;

pub(crate) use answer::{answer, boxed};
pub(crate) use reading::Reading;
