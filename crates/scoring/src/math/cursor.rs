//! The tokens of an answer, and how far they have been read.

use super::lex::{Kind, Token};
use super::syntax::{Node, Unreadable};

/// How deep brackets may be nested.
const DEEPEST: usize = 30;

pub(super) type Parsed<T> = Result<T, Unreadable>;

/// Names of functions, and what they are called here.
const FUNCTIONS: &[(&str, &str)] = &[
    ("sin", "sin"),
    ("cos", "cos"),
    ("tan", "tan"),
    ("cot", "cot"),
    ("sec", "sec"),
    ("csc", "csc"),
    ("arcsin", "arcsin"),
    ("arccos", "arccos"),
    ("arctan", "arctan"),
    ("asin", "arcsin"),
    ("acos", "arccos"),
    ("atan", "arctan"),
    ("sinh", "sinh"),
    ("cosh", "cosh"),
    ("tanh", "tanh"),
    ("ln", "ln"),
    ("log", "log"),
    ("lg", "log"),
    ("exp", "exp"),
    ("abs", "abs"),
    ("floor", "floor"),
    ("ceil", "ceil"),
    ("gcd", "gcd"),
    ("lcm", "lcm"),
    ("max", "max"),
    ("min", "min"),
];

pub(super) fn function(name: &str) -> Option<&'static str> {
    let found = FUNCTIONS.iter().find(|(written, _)| *written == name);
    found.map(|(_, called)| *called)
}

/// What an inverse of a function is called, which `\sin^{-1}` means.
pub(super) fn inverse(name: &str) -> Option<&'static str> {
    Some(match name {
        "sin" => "arcsin",
        "cos" => "arccos",
        "tan" => "arctan",
        _ => return None,
    })
}

/// Reads tokens one by one.
pub(super) struct Parser {
    pub(super) tokens: Vec<Token>,
    pub(super) at: usize,
    depth: usize,
    /// How many bars of absolute values are open.
    pub(super) bars: usize,
}

pub(super) fn boxed(node: Node) -> Box<Node> {
    Box::new(node)
}

pub(super) fn whole(value: i64) -> Node {
    Node::Number(super::exact::integer(value))
}

impl Parser {
    pub(super) const fn new(tokens: Vec<Token>) -> Self {
        Self {
            tokens,
            at: 0,
            depth: 0,
            bars: 0,
        }
    }

    pub(super) fn peek(&self) -> Option<&Kind> {
        self.ahead(0)
    }

    pub(super) fn ahead(&self, by: usize) -> Option<&Kind> {
        self.tokens.get(self.at + by).map(|token| &token.kind)
    }

    pub(super) fn is_spaced(&self) -> bool {
        self.tokens.get(self.at).is_some_and(|token| token.spaced)
    }

    pub(super) fn is_mark(&self, mark: char) -> bool {
        self.peek() == Some(&Kind::Mark(mark))
    }

    pub(super) fn is_command(&self, name: &str) -> bool {
        matches!(self.peek(), Some(Kind::Command(found)) if found == name)
    }

    pub(super) fn eat(&mut self, mark: char) -> bool {
        let found = self.is_mark(mark);
        self.at += usize::from(found);
        found
    }

    pub(super) fn eat_command(&mut self, name: &str) -> bool {
        let found = self.is_command(name);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, mark: char, missing: &'static str) -> Parsed<()> {
        match self.eat(mark) {
            true => Ok(()),
            false => Err(Unreadable::Malformed(missing)),
        }
    }

    /// Reads a part one level deeper.
    pub(super) fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= DEEPEST {
            return Err(Unreadable::TooDeep);
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Reads what is in brackets, where a bar does not close one that was opened outside.
    pub(super) fn enclosed<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        let bars = std::mem::take(&mut self.bars);
        let result = self.deeper(read);
        self.bars = bars;
        result
    }

    /// Whether a word that parts answers comes next.
    pub(super) fn is_conjunction(&self) -> bool {
        match self.peek() {
            Some(Kind::Word(word) | Kind::Text(word)) => {
                let word = word.trim_matches([',', ' ']).to_lowercase();
                matches!(word.as_str(), "and" | "or")
            }
            _ => false,
        }
    }

    pub(super) fn separator(&mut self) -> bool {
        let is_separator = self.is_mark(',') || self.is_mark(';') || self.is_conjunction();
        self.at += usize::from(is_separator);
        is_separator
    }

    pub(super) fn is_end(&self) -> bool {
        match self.peek() {
            None => true,
            Some(Kind::Mark(mark)) => matches!(mark, ')' | ']' | '}' | '&'),
            Some(Kind::Command(name)) => matches!(
                name.as_str(),
                "}" | "\\" | "end" | "rangle" | "rfloor" | "rceil" | "cr"
            ),
            _ => false,
        }
    }
}

/// Whether a word is the name of a function or a constant.
pub(super) fn is_name(word: &str) -> bool {
    let is_constant = matches!(
        word,
        "pi" | "Pi" | "inf" | "infinity" | "Infinity" | "infty" | "sqrt"
    );
    is_constant || function(word).is_some()
}
