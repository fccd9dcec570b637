//! From tokens to an answer.
//!
//! Answers are parted by commas and words, sides by relations, sets by ∪ and ∖, terms by signs; factors may
//! stand side by side. What stands behind a number and is no mathematics is its unit, or a remark.

use super::cursor::{Parsed, Parser, boxed, is_name};
use super::lex::{Kind, Token};
use super::syntax::{Node, Relation, Unreadable};
use super::units;

/// How many sets may be taken away one after another.
const MAX_DIFFERENCES: usize = 12;

/// Reads all of the tokens.
///
/// # Errors
/// They are no answer.
pub(super) fn parse(tokens: Vec<Token>) -> Parsed<Node> {
    let mut parser = Parser::new(tokens);
    let mut answers = parser.list()?;
    if parser.peek().is_some() {
        return Err(Unreadable::Malformed(
            "something that does not belong there",
        ));
    }
    Ok(match (answers.pop(), answers.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            answers.extend(last);
            Node::List(answers)
        }
    })
}

impl Parser {
    /// Answers or elements, up to what closes them.
    pub(super) fn list(&mut self) -> Parsed<Vec<Node>> {
        let mut items = Vec::new();
        loop {
            while self.separator() {}
            if self.is_end() {
                break;
            }
            items.push(self.item()?);
            if !self.separator() {
                break;
            }
        }
        match items.is_empty() {
            true => Err(Unreadable::Malformed("nothing where an answer should be")),
            false => Ok(items),
        }
    }

    /// Sides and the relations between them.
    pub(super) fn item(&mut self) -> Parsed<Node> {
        let mut sides = vec![self.side()?];
        let mut relations = Vec::new();
        loop {
            if self.eat_command("approx") || self.eat_command("sim") {
                let side = self.side()?;
                // `x ≈ 1.4` says what x is; `√2 ≈ 1.4` has said it already.
                if let [Node::Symbol(_)] = sides.as_slice() {
                    relations.push(Relation::Equal);
                    sides.push(side);
                }
                continue;
            }
            let relation = match self.peek() {
                Some(Kind::Mark('=')) => Relation::Equal,
                Some(Kind::Mark('≠')) => Relation::NotEqual,
                Some(Kind::Mark('<')) => Relation::Less,
                Some(Kind::Mark('>')) => Relation::Greater,
                Some(Kind::Mark('≤')) => Relation::AtMost,
                Some(Kind::Mark('≥')) => Relation::AtLeast,
                Some(Kind::Command(name)) if name == "in" => Relation::In,
                Some(Kind::Command(name)) if name == "equiv" => Relation::Equal,
                _ => break,
            };
            self.at += 1;
            relations.push(relation);
            sides.push(self.side()?);
        }
        match (sides.pop(), relations.is_empty()) {
            (Some(only), true) => Ok(only),
            (last, _) => {
                sides.extend(last);
                Ok(Node::Related(sides, relations))
            }
        }
    }

    /// A side: sets, or a formula with its unit.
    pub(super) fn side(&mut self) -> Parsed<Node> {
        if let Some(words) = self.words() {
            return Ok(Node::Text(words));
        }
        let (money, negative) = self.money();
        let mut side = self.unions()?;
        if negative {
            side = Node::Negative(boxed(side));
        }
        let unit = self.unit()?;
        Ok(match unit.or(money) {
            Some(unit) => Node::Measured(boxed(side), units::normal(&unit)),
            None => side,
        })
    }

    /// Words that are no mathematics, where the side begins with them.
    pub(super) fn words(&mut self) -> Option<String> {
        let mut words = Vec::new();
        let mut has_text = false;
        while let Some(Kind::Word(word) | Kind::Text(word)) = self.ahead(words.len()) {
            let is_text = matches!(self.ahead(words.len()), Some(Kind::Text(_)));
            if matches!(word.to_lowercase().as_str(), "and" | "or") || is_name(word) {
                break;
            }
            has_text |= is_text || word.len() > 3;
            words.push(word.to_lowercase());
        }
        if !has_text {
            return None;
        }
        self.at += words.len();
        Some(words.join(" "))
    }

    /// A mark of money in front, and whether there is a minus before it.
    pub(super) fn money(&mut self) -> (Option<Vec<String>>, bool) {
        let negative = self.is_mark('-');
        let unit = match self.ahead(usize::from(negative)) {
            Some(Kind::Mark('$')) => "dollar",
            Some(Kind::Mark('€')) => "euro",
            Some(Kind::Mark('₹')) => "rupee",
            Some(Kind::Mark('£')) => "pound sterling",
            Some(Kind::Mark('¥')) => "yen",
            Some(Kind::Word(word)) if word == "Rs" || word == "USD" => {
                if word == "Rs" {
                    "rupee"
                } else {
                    "dollar"
                }
            }
            _ => return (None, false),
        };
        self.at += 1 + usize::from(negative);
        if unit == "rupee" {
            self.eat('.');
        }
        let unit = unit.split(' ').map(str::to_owned).collect();
        (Some(unit), negative)
    }

    /// What stands behind a formula and is no mathematics.
    pub(super) fn unit(&mut self) -> Parsed<Option<Vec<String>>> {
        let mut words: Vec<String> = Vec::new();
        loop {
            if self.is_end() || self.is_mark(',') || self.is_mark(';') || self.is_conjunction() {
                break;
            }
            match self.peek() {
                Some(Kind::Word(word) | Kind::Text(word) | Kind::Name(word)) => {
                    let parts = word.replace('/', " / ");
                    words.extend(parts.split_whitespace().map(str::to_owned));
                }
                Some(Kind::Mark(mark @ ('/' | '*' | '.' | '$'))) => words.push(mark.to_string()),
                Some(Kind::Mark('^')) if !words.is_empty() => {
                    self.at += 1;
                    let exponent = self.exponent()?;
                    words.push("^".to_owned());
                    words.push(match exponent {
                        Node::Number(value) => value.to_string(),
                        _ => "?".to_owned(),
                    });
                    continue;
                }
                Some(Kind::Command(name)) if name == "dots" || name == "ldots" => {}
                _ => break,
            }
            self.at += 1;
        }
        if words.iter().any(|word| word == "$") {
            words = vec!["dollar".to_owned()];
        }
        Ok((!words.is_empty()).then_some(words))
    }

    pub(super) fn unions(&mut self) -> Parsed<Node> {
        let mut left = self.formula()?;
        let mut differences = 0;
        loop {
            if self.eat_command("cup") {
                let right = self.formula()?;
                left = match left {
                    Node::Union(mut parts) => {
                        parts.push(right);
                        Node::Union(parts)
                    }
                    left => Node::Union(vec![left, right]),
                };
            } else if self.eat_command("setminus") || self.eat_command("backslash") {
                let right = self.formula()?;
                left = Node::Without(boxed(left), boxed(right));
                differences += 1;
                if differences > MAX_DIFFERENCES {
                    return Err(Unreadable::TooDeep);
                }
            } else {
                return Ok(left);
            }
        }
    }

    /// What is in round or square brackets.
    pub(super) fn bracket(&mut self, open: char) -> Parsed<Node> {
        let mut items = self.list()?;
        let close = match self.peek() {
            Some(Kind::Mark(close @ (')' | ']'))) => *close,
            _ => return Err(Unreadable::Malformed("a bracket that is not closed")),
        };
        self.at += 1;
        if items.len() == 1
            && matches!((open, close), ('(', ')') | ('[', ']'))
            && let Some(only) = items.pop()
        {
            return Ok(only);
        }
        Ok(Node::Ordered(open, close, items))
    }

    /// What is in braces: a group where it is one thing, and otherwise a set.
    pub(super) fn set(&mut self, close: char) -> Parsed<Node> {
        let is_written = close == '\\';
        let closes = |parser: &mut Self| match is_written {
            true => parser.eat_command("}"),
            false => parser.eat('}'),
        };
        if closes(self) {
            return Ok(Node::Set(Vec::new()));
        }
        let mut items = self.list()?;
        // `{x | x > 3}` is what is said behind the bar.
        if self.eat('|') {
            items = vec![self.item()?];
            return match closes(self) {
                true => Ok(items.remove(0)),
                false => Err(Unreadable::Malformed("a brace that is not closed")),
            };
        }
        if !closes(self) {
            return Err(Unreadable::Malformed("a brace that is not closed"));
        }
        if !is_written
            && items.len() == 1
            && let Some(only) = items.pop()
        {
            return Ok(only);
        }
        Ok(Node::Set(items))
    }

    /// A matrix.
    pub(super) fn environment(&mut self) -> Parsed<Node> {
        let name = self.environment_name()?;
        if !name.ends_with("matrix") && name != "array" {
            return Err(Unreadable::Malformed("an environment that is no matrix"));
        }
        if name == "array" {
            self.environment_name()?;
        }
        let mut rows = vec![Vec::new()];
        loop {
            if let Some(row) = rows.last_mut() {
                row.push(self.item()?);
            }
            if self.eat('&') {
                continue;
            }
            if self.eat_command("\\") && !self.is_command("end") {
                rows.push(Vec::new());
                continue;
            }
            break;
        }
        match self.eat_command("end") && self.environment_name()? == name {
            true => Ok(Node::Matrix(rows, name == "vmatrix")),
            false => Err(Unreadable::Malformed("an environment that is not closed")),
        }
    }

    pub(super) fn environment_name(&mut self) -> Parsed<String> {
        self.expect('{', "an environment without a name")?;
        let mut name = String::new();
        while let Some(Kind::Word(word)) = self.peek() {
            name.push_str(word);
            self.at += 1;
        }
        while self.eat('|') {}
        self.expect('}', "an environment without a name")?;
        Ok(name)
    }
}
