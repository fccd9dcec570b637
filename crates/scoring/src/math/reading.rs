//! A text that was read, and whether it says the same as another.

use super::compare::Comparison;
use super::cursor::is_name;
use super::exact::Work;
use super::lex::{self, Kind, Token};
use super::parse::parse;
use super::syntax::{Node, Unreadable};
use super::value::{self, Value};

/// An answer that was read.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    /// The text without what says only how it looks.
    text: String,
    /// The words, where there is nothing else.
    words: Option<String>,
    /// The choice that it names in front of what it says, as in `(C) 12` or `C: 4`.
    choice: Option<char>,
    /// What it says; nothing where it is beyond what is reckoned.
    value: Option<Value>,
}

impl Reading {
    /// Reads an answer. A text without any mathematics in it is an answer in words.
    ///
    /// # Errors
    /// It is no answer, such as a fraction without its lower half.
    pub(crate) fn new(text: &str) -> Result<Self, Unreadable> {
        let trimmed = trimmed(text);
        if trimmed.is_empty() {
            return Err(Unreadable::Malformed("nothing where an answer should be"));
        }
        let tokens = match lex::tokens(trimmed) {
            Ok(tokens) => tokens,
            // A text that is too long may still be met by the same text.
            Err(Unreadable::TooLong | Unreadable::TooDeep) => {
                return Ok(Self {
                    text: trimmed.to_owned(),
                    words: None,
                    choice: None,
                    value: None,
                });
            }
            Err(error) => return Err(error),
        };
        let choice = choice(trimmed);
        let mut reading = Self {
            text: plain(&tokens),
            words: words(&tokens),
            choice: choice.map(|(letter, _)| letter),
            value: None,
        };
        // What a choice says is as good as its letter.
        if let Some((_, said)) = choice
            && let Ok(node) = lex::tokens(said).and_then(parse)
        {
            reading.value = value::value(&node, &mut Work::new());
            return Ok(reading);
        }
        let is_prose = reading.words.is_some() || is_prose(&tokens);
        reading.value = match parse(tokens) {
            Ok(node) => value::value(&node, &mut Work::new()),
            Err(Unreadable::TooLong | Unreadable::TooDeep) => None,
            Err(_) if is_prose => Some(Value::Text(reading.text.to_lowercase())),
            Err(error) => return Err(error),
        };
        Ok(reading)
    }

    /// The answer in a form in which it is the same however a number is written. What is no number is told
    /// apart by its text.
    pub(crate) fn key(&self) -> String {
        let number = match &self.value {
            Some(Value::Formula(formula)) if formula.unit.is_none() && !formula.is_percent => {
                formula.value.rational()
            }
            _ => None,
        };
        match number {
            Some(number) => number.to_string(),
            None => self.text.to_lowercase(),
        }
    }

    /// Whether a response is the same text but for its layout.
    pub(crate) fn is_text_of(&self, response: &str) -> bool {
        let response = trimmed(response);
        match lex::tokens(response) {
            Ok(tokens) => plain(&tokens) == self.text,
            Err(_) => response == self.text,
        }
    }

    /// Whether a response says the same. `decimals` are what numbers with a point are rounded to; without it,
    /// they are where the other number has no end, to six.
    pub(crate) fn is_met_by(&self, response: &Self, decimals: Option<u32>) -> bool {
        if self.text == response.text {
            return true;
        }
        if let (Some(expected), Some(response)) = (&self.words, &response.words)
            && expected == response
        {
            return true;
        }
        if let (Some(expected), Some(choice)) = (&self.words, response.choice)
            && expected.chars().eq(std::iter::once(choice))
        {
            return true;
        }
        match (&self.value, &response.value) {
            (Some(expected), Some(response)) => Comparison::new(decimals).same(expected, response),
            _ => false,
        }
    }
}

/// Without white space and the marks that end a sentence.
fn trimmed(text: &str) -> &str {
    let is_around = |c: char| c.is_whitespace() || matches!(c, '*' | '`' | ':' | '"');
    let text = text.trim_matches(is_around);
    let text = text
        .trim_end_matches(['.', ',', ';', '?'])
        .trim_end_matches(is_around);
    // The point may be within the marks around mathematics.
    match text.strip_suffix(".$") {
        Some(inside) if inside.matches('$').count() == 1 => inside.trim_start_matches('$'),
        _ => text,
    }
}

/// The text in the form in which it is the same however it is laid out.
fn plain(tokens: &[Token]) -> String {
    let mut text = String::new();
    let mut after_number = false;
    for token in tokens {
        let is_number = matches!(token.kind, Kind::Number { .. });
        if is_number && after_number {
            text.push(' ');
        }
        after_number = is_number;
        match &token.kind {
            Kind::Number { value, .. } => text.push_str(&value.to_string()),
            Kind::Word(word) => text.push_str(word),
            Kind::Text(words) => text.extend(words.chars().filter(|c| !c.is_whitespace())),
            Kind::Name(name) => text.push_str(name),
            Kind::Command(name) => {
                text.push('\\');
                text.push_str(name);
            }
            Kind::Mark(mark) => text.push(*mark),
        }
    }
    text.trim_end_matches('.').to_owned()
}

/// The words of a text that has nothing else, in lower case; a single letter stays as it is.
fn words(tokens: &[Token]) -> Option<String> {
    let words: Option<Vec<&str>> = tokens
        .iter()
        .map(|token| match &token.kind {
            Kind::Word(word) | Kind::Text(word) => Some(word.as_str()),
            _ => None,
        })
        .collect();
    let words = words?.join(" ");
    Some(match words.len() {
        0 | 1 => words,
        _ => words.to_lowercase(),
    })
}

/// The choice that a text begins with, a capital letter in brackets or with a mark behind it, and what it says.
pub(crate) fn choice(text: &str) -> Option<(char, &str)> {
    let names = ["option ", "Option ", "choice ", "Choice "];
    let bare = names.iter().find_map(|name| text.strip_prefix(name));
    let is_named = bare.is_some();
    let bare = bare.unwrap_or(text);
    let inside = bare.strip_prefix('(').unwrap_or(bare);
    let letter = inside.chars().next().filter(char::is_ascii_uppercase)?;
    let after = match inside[1..].strip_prefix([')', ':', '.']) {
        Some(after) => after,
        None if is_named => &inside[1..],
        None => return None,
    };
    (after.is_empty() || after.starts_with(' ')).then_some((letter, after.trim()))
}

/// Whether there is nothing that only mathematics is written with, and a word.
fn is_prose(tokens: &[Token]) -> bool {
    let has_word = tokens.iter().any(|token| match &token.kind {
        Kind::Word(word) | Kind::Text(word) => word.len() > 2,
        _ => false,
    });
    let is_plain = tokens.iter().all(|token| match &token.kind {
        Kind::Command(_) => false,
        Kind::Mark(mark) => !matches!(mark, '{' | '}' | '^' | '_'),
        _ => true,
    });
    has_word && is_plain
}

/// Whether a text out of running words is mathematics, with a unit behind it at most.
pub(crate) fn reads_as_mathematics(text: &str) -> bool {
    let Ok(tokens) = lex::tokens(trimmed(text)) else {
        return false;
    };
    // `we get 3/4` would be a product of letters.
    let is_word = |token: &Token| match &token.kind {
        Kind::Word(word) => {
            let is_written =
                is_name(word) || word.ends_with("matrix") || ["and", "or"].contains(&word.as_str());
            word.len() > 1 && !is_written
        }
        _ => false,
    };
    let is_unit = |token: &Token| {
        matches!(
            token.kind,
            Kind::Word(_) | Kind::Text(_) | Kind::Number { .. } | Kind::Mark('/' | '^' | '.')
        )
    };
    if let Some(first) = tokens.iter().position(is_word)
        && (first == 0 || !tokens[first..].iter().all(is_unit))
    {
        return false;
    }
    let has_text = |node: &Node| node.any(|part| matches!(part, Node::Text(_)));
    parse(tokens).is_ok_and(|node| !has_text(&node))
}
