//! JSON values as schemas see them: numbers as they are written, texts and names as they are.

use super::work::spend;
use crate::exact_json::Digits;
use crate::json_reader::{self, Builder};
use jsonschema::JsonType;
use jsonschema::json::{Array, Json, JsonNumber, Node as JsonNode, NodeIdentity, Object};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, btree_map};

/// So many bytes of a text are as much as one look.
const BYTES_A_LOOK: usize = 256;

/// This representation of JSON.
#[derive(Debug)]
pub(super) struct Exact;

/// A value.
#[derive(Debug, Clone, Default)]
pub(super) enum Node {
    #[default]
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Self>),
    Object(BTreeMap<String, Self>),
}

/// A number.
#[derive(Debug, Clone)]
pub(super) struct Number {
    pub(super) digits: Digits,
    /// As it is written.
    pub(super) text: String,
}

impl Node {
    /// Reads JSON text; nothing where it is none. Values may nest as deep as a parser lets them.
    pub(super) fn parse(text: &str) -> Option<Self> {
        json_reader::read(text, &Plain)
    }

    /// What a look at it counts for, not at what is in it.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Text(text) => 1 + text.len() / BYTES_A_LOOK,
            Self::Number(number) => 1 + number.text.len() / BYTES_A_LOOK,
            Self::Null | Self::Bool(_) | Self::List(_) | Self::Object(_) => 1,
        }
    }

    /// The value as text that is the same exactly for the same values.
    fn canonical(&self) -> String {
        spend(self.weight());
        let quoted = |text: &str| Value::from(text).to_string();
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Number(number) => number.digits.written(),
            Self::Text(text) => quoted(text),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::canonical).collect();
                format!("[{}]", items.join(","))
            }
            Self::Object(members) => {
                let members = members.iter();
                let members =
                    members.map(|(name, value)| format!("{}:{}", quoted(name), value.canonical()));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }
        }
    }
}

/// Makes values of their parts as they are.
struct Plain;

impl Builder for Plain {
    type Value = Node;

    fn null(&self) -> Node {
        Node::Null
    }

    fn bool(&self, value: bool) -> Node {
        Node::Bool(value)
    }

    fn number(&self, text: &str) -> Option<Node> {
        Some(Node::Number(Number {
            digits: Digits::of(text)?,
            text: text.to_owned(),
        }))
    }

    fn text(&self, text: String) -> Node {
        Node::Text(text)
    }

    fn list(&self, items: Vec<Node>) -> Node {
        Node::List(items)
    }

    fn object(&self, members: Vec<(String, Node)>) -> Node {
        Node::Object(members.into_iter().collect())
    }
}

impl Json for Exact {
    type Node<'a> = &'a Node;
    type PreparedKey = String;
    type StringBuffer = Node;
    const ACYCLIC: bool = true;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>(buffer: &mut Node, string: &str, f: impl FnOnce(&Node) -> T) -> T {
        *buffer = Node::Text(string.to_owned());
        f(buffer)
    }
}

impl JsonNumber for &Number {
    fn as_u64(&self) -> Option<u64> {
        self.text.parse().ok()
    }

    fn as_i64(&self) -> Option<i64> {
        self.text.parse().ok()
    }

    fn as_f64(&self) -> Option<f64> {
        self.text.parse().ok()
    }

    fn as_str(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.text)
    }

    fn to_number(&self) -> Cow<'_, serde_json::Number> {
        // It was read as one before, if rounded.
        Cow::Owned(serde_json::from_str(&self.text).unwrap_or_else(|_| 0.into()))
    }

    fn is_integer(&self) -> bool {
        self.digits.is_integer()
    }
}

impl<'a> JsonNode<'a, Exact> for &'a Node {
    type Object = &'a BTreeMap<String, Node>;
    type Array = &'a [Node];
    type Number = &'a Number;

    fn as_object(&self) -> Option<&'a BTreeMap<String, Node>> {
        spend(self.weight());
        match self {
            Node::Object(members) => Some(members),
            _ => None,
        }
    }

    fn as_array(&self) -> Option<&'a [Node]> {
        spend(self.weight());
        match self {
            Node::List(items) => Some(items),
            _ => None,
        }
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        spend(self.weight());
        match self {
            Node::Text(text) => Some(Cow::Borrowed(text)),
            _ => None,
        }
    }

    fn as_number(&self) -> Option<&'a Number> {
        spend(self.weight());
        match self {
            Node::Number(number) => Some(number),
            _ => None,
        }
    }

    fn as_boolean(&self) -> Option<bool> {
        spend(self.weight());
        match self {
            Node::Bool(value) => Some(*value),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        spend(1);
        matches!(self, Node::Null)
    }

    fn json_type(&self) -> JsonType {
        spend(1);
        match self {
            Node::Null => JsonType::Null,
            Node::Bool(_) => JsonType::Boolean,
            Node::Number(_) => JsonType::Number,
            Node::Text(_) => JsonType::String,
            Node::List(_) => JsonType::Array,
            Node::Object(_) => JsonType::Object,
        }
    }

    /// For messages; numbers may be rounded in it.
    fn to_value(&self) -> Cow<'a, Value> {
        spend(self.weight());
        Cow::Owned(match self {
            Node::Null => Value::Null,
            Node::Bool(value) => Value::Bool(*value),
            Node::Number(number) => Value::Number(number.to_number().into_owned()),
            Node::Text(text) => Value::String(text.clone()),
            Node::List(items) => items
                .iter()
                .map(|item| item.to_value().into_owned())
                .collect(),
            Node::Object(members) => {
                let members = members.iter();
                members
                    .map(|(name, value)| (name.clone(), value.to_value().into_owned()))
                    .collect()
            }
        })
    }

    fn identity(&self) -> Option<NodeIdentity> {
        Some(NodeIdentity::new(std::ptr::from_ref::<Node>(self).addr()))
    }
}

impl<'a> Object<'a, Exact> for &'a BTreeMap<String, Node> {
    type Node = &'a Node;
    type MemberName = &'a str;
    type MembersIter = Members<'a>;

    fn len(&self) -> usize {
        BTreeMap::len(self)
    }

    fn get(&self, key: &String) -> Option<&'a Node> {
        BTreeMap::get(self, key)
    }

    fn members(&self) -> Members<'a> {
        Members(self.iter())
    }
}

/// The members of an object.
pub(super) struct Members<'a>(btree_map::Iter<'a, String, Node>);

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a Node);

    fn next(&mut self) -> Option<Self::Item> {
        spend(1);
        self.0.next().map(|(name, value)| (name.as_str(), value))
    }
}

impl<'a> Array<'a, Exact> for &'a [Node] {
    type Node = &'a Node;
    type ElementsIter = std::slice::Iter<'a, Node>;

    fn len(&self) -> usize {
        <[Node]>::len(self)
    }

    fn elements(&self) -> std::slice::Iter<'a, Node> {
        self.iter()
    }

    fn is_unique(&self) -> bool {
        let mut seen = BTreeSet::new();
        self.iter().all(|item| seen.insert(item.canonical()))
    }
}
