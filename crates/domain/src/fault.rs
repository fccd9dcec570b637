//! Faults of a document, collected all at once, each with its JSON pointer (RFC 6901).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

/// One thing that is wrong with a document, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Where: a JSON pointer into the document, empty for the whole of it.
    pub pointer: String,
    /// What is wrong there and the remedy.
    pub detail: String,
}

/// The most faults of one document that are told: a list of a million wrong values has as many, and
/// nobody reads more than the first.
const MOST_TOLD: usize = 100;

/// The most items of a list whose reader sets no bound of its own.
pub const MAX_ITEMS: usize = 1_000;

/// A growing list of faults, shared by the readers of one document.
#[derive(Debug, Default)]
pub struct Faults {
    told: RefCell<Vec<Fault>>,
    untold: Cell<usize>,
}

impl Faults {
    /// Notes a fault.
    pub fn add(&self, pointer: impl Into<String>, detail: impl Into<String>) {
        let mut told = self.told.borrow_mut();
        if told.len() == MOST_TOLD {
            self.untold.set(self.untold.get() + 1);
            return;
        }
        told.push(Fault {
            pointer: pointer.into(),
            detail: detail.into(),
        });
    }

    /// Whether nothing is wrong so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.told.borrow().is_empty()
    }

    /// The faults in the order in which they were found; of many the first 100, and how many more there
    /// are.
    #[must_use]
    pub fn into_vec(self) -> Vec<Fault> {
        let mut told = self.told.into_inner();
        let untold = self.untold.get();
        if untold > 0 {
            told.push(Fault {
                pointer: String::new(),
                detail: format!("has {untold} more faults; mend these first"),
            });
        }
        told
    }
}

/// A place in a document, from which a typed value is read. Reading returns `None` after
/// noting a fault, so that the caller can go on and find the rest.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    /// The value at this place.
    pub value: &'a Value,
    /// Where it is.
    pub pointer: String,
    faults: &'a Faults,
}

impl<'a> Reader<'a> {
    /// A reader of a whole document.
    #[must_use]
    pub const fn new(value: &'a Value, faults: &'a Faults) -> Self {
        Self {
            value,
            pointer: String::new(),
            faults,
        }
    }

    /// Notes a fault at this place.
    pub fn fault<T>(&self, detail: impl Into<String>) -> Option<T> {
        self.faults.add(self.pointer.clone(), detail);
        None
    }

    /// Notes a fault further down, at a JSON pointer within this place.
    pub fn fault_below<T>(&self, pointer: &str, detail: impl Into<String>) -> Option<T> {
        self.faults
            .add(format!("{}{pointer}", self.pointer), detail);
        None
    }

    /// The place of a member of an array or object.
    fn child(&self, value: &'a Value, key: &str) -> Self {
        Self {
            value,
            pointer: format!("{}/{}", self.pointer, escape(key)),
            faults: self.faults,
        }
    }

    /// An object.
    #[must_use]
    pub fn object(&self) -> Option<ObjectReader<'a>> {
        match self.value {
            Value::Object(map) => Some(ObjectReader {
                at: self.clone(),
                map,
                read: RefCell::default(),
            }),
            other => self.fault(format!("must be an object, not {}", kind(other))),
        }
    }

    /// The items of an array of at most [`MAX_ITEMS`].
    #[must_use]
    pub fn array(&self) -> Option<Vec<Self>> {
        self.array_within(MAX_ITEMS)
    }

    /// The items of an array of at most so many. A longer one is not looked into, so that what is done
    /// with its items takes a bounded time.
    #[must_use]
    pub fn array_within(&self, most: usize) -> Option<Vec<Self>> {
        match self.value {
            Value::Array(items) if items.len() > most => self.fault(format!(
                "must hold at most {most} items, not {}",
                items.len()
            )),
            Value::Array(items) => Some(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| self.child(item, &index.to_string()))
                    .collect(),
            ),
            other => self.fault(format!("must be an array, not {}", kind(other))),
        }
    }

    /// The items of an array with at least one and at most [`MAX_ITEMS`].
    #[must_use]
    pub fn filled_array(&self, what: &str) -> Option<Vec<Self>> {
        self.filled_array_within(what, MAX_ITEMS)
    }

    /// The items of an array with at least one and at most so many.
    #[must_use]
    pub fn filled_array_within(&self, what: &str, most: usize) -> Option<Vec<Self>> {
        let items = self.array_within(most)?;
        if items.is_empty() {
            return self.fault(format!("must hold at least one {what}"));
        }
        Some(items)
    }

    /// A string.
    #[must_use]
    pub fn string(&self) -> Option<&'a str> {
        self.value
            .as_str()
            .or_else(|| self.fault(format!("must be a string, not {}", kind(self.value))))
    }

    /// A string with something in it.
    #[must_use]
    pub fn filled_string(&self) -> Option<&'a str> {
        let text = self.string()?;
        if text.trim().is_empty() {
            return self.fault("must not be empty");
        }
        Some(text)
    }

    /// `true` or `false`.
    #[must_use]
    pub fn boolean(&self) -> Option<bool> {
        self.value
            .as_bool()
            .or_else(|| self.fault(format!("must be true or false, not {}", kind(self.value))))
    }

    /// A finite number.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        self.value
            .as_f64()
            .filter(|number| number.is_finite())
            .or_else(|| self.fault(format!("must be a number, not {}", kind(self.value))))
    }

    /// An integer. `3.0` counts as one.
    #[must_use]
    pub fn integer(&self) -> Option<i64> {
        if let Some(integer) = self.value.as_i64() {
            return Some(integer);
        }
        match self.value.as_f64() {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "whole and within ±2^53 by the guard"
            )]
            Some(number) if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0 => {
                Some(number as i64)
            }
            Some(_) => self.fault("must be an integer"),
            None => self.fault(format!("must be an integer, not {}", kind(self.value))),
        }
    }

    /// An integer from `low` to `high`.
    #[must_use]
    pub fn integer_within(&self, low: i64, high: i64) -> Option<i64> {
        let integer = self.integer()?;
        if !(low..=high).contains(&integer) {
            return self.fault(format!("must be from {low} to {high}, not {integer}"));
        }
        Some(integer)
    }

    /// One of a closed set of names.
    #[must_use]
    pub fn one_of<T: Copy>(&self, names: &[(&str, T)]) -> Option<T> {
        let text = self.string()?;
        let known = names.iter().find(|(name, _)| *name == text);
        known.map(|(_, value)| *value).or_else(|| {
            let list: Vec<_> = names.iter().map(|(name, _)| format!("`{name}`")).collect();
            self.fault(format!("`{text}` is not known; use {}", list.join(", ")))
        })
    }
}

/// The members of an object. Members that nobody reads are faults: see [`ObjectReader::finish`].
#[derive(Debug)]
pub struct ObjectReader<'a> {
    /// The place of the object itself.
    pub at: Reader<'a>,
    map: &'a Map<String, Value>,
    read: RefCell<BTreeSet<String>>,
}

impl<'a> ObjectReader<'a> {
    /// A member that may be absent. `null` counts as absent.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Reader<'a>> {
        self.read.borrow_mut().insert(key.to_owned());
        self.map
            .get(key)
            .filter(|value| !value.is_null())
            .map(|value| self.at.child(value, key))
    }

    /// A member that must be there.
    #[must_use]
    pub fn require(&self, key: &str, remedy: &str) -> Option<Reader<'a>> {
        self.get(key).or_else(|| {
            self.at.faults.add(
                format!("{}/{}", self.at.pointer, escape(key)),
                format!("is missing; {remedy}"),
            );
            None
        })
    }

    /// Whether a member is there, without reading it.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(|value| !value.is_null())
    }

    /// All members, marked as read, where there are at most so many.
    #[must_use]
    pub fn members_within(&self, most: usize) -> Option<Vec<(&'a str, Reader<'a>)>> {
        if self.map.len() > most {
            return self.at.fault(format!(
                "must have at most {most} members, not {}",
                self.map.len()
            ));
        }
        Some(self.members().collect())
    }

    /// All members, marked as read.
    pub fn members(&self) -> impl Iterator<Item = (&'a str, Reader<'a>)> {
        self.map.iter().map(|(key, value)| {
            self.read.borrow_mut().insert(key.clone());
            (key.as_str(), self.at.child(value, key))
        })
    }

    /// Notes a fault for every member that nobody read.
    pub fn finish(&self) {
        let read = self.read.borrow();
        let known: Vec<_> = read.iter().map(|key| format!("`{key}`")).collect();
        for key in self.map.keys().filter(|key| !read.contains(*key)) {
            self.at.faults.add(
                format!("{}/{}", self.at.pointer, escape(key)),
                format!("is not a known field; known here: {}", known.join(", ")),
            );
        }
    }
}

/// The beginning of a text for a message: so many letters of it.
#[must_use]
pub fn shortened(text: &str, most_letters: usize) -> String {
    match text.char_indices().nth(most_letters) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A key as a segment of a JSON pointer (RFC 6901, section 3).
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// What a value is, in words.
const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
