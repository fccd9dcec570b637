//! Formulas: terms, factors, functions.

use super::cursor::{Parsed, Parser, boxed, function, inverse, is_name, whole};
use super::lex::Kind;
use super::syntax::{Node, Rational, Unreadable};
use super::units;
use num_traits::{Signed, ToPrimitive};

/// How many divisions, or marks behind a factor, may follow one another.
const MAX_CHAIN: usize = 12;

/// Words of two letters that follow a number in a sentence.
const SHORT_WORDS: &[&str] = &[
    "of", "in", "on", "at", "to", "is", "by", "as", "if", "so", "we", "he", "it", "an", "or",
];

impl Parser {
    /// Terms and their signs.
    pub(super) fn formula(&mut self) -> Parsed<Node> {
        let mut terms = Vec::new();
        loop {
            let sign = match self.peek() {
                Some(Kind::Mark(sign @ ('+' | '-'))) => Some(*sign),
                Some(Kind::Command(name)) if name == "pm" => Some('±'),
                Some(Kind::Command(name)) if name == "mp" => Some('∓'),
                _ => None,
            };
            if sign.is_none() && !terms.is_empty() {
                break;
            }
            self.at += usize::from(sign.is_some());
            let term = self.term()?;
            terms.push(match sign {
                Some('-') => Node::Negative(boxed(term)),
                Some('±') => Node::PlusMinus(boxed(term)),
                Some('∓') => Node::MinusPlus(boxed(term)),
                _ => term,
            });
        }
        Ok(match (terms.pop(), terms.is_empty()) {
            (Some(only), true) => only,
            (last, _) => {
                terms.extend(last);
                Node::Sum(terms)
            }
        })
    }

    pub(super) fn term(&mut self) -> Parsed<Node> {
        let mut product = self.signed_factor()?;
        let mut divisions = 0;
        loop {
            if divisions > MAX_CHAIN {
                return Err(Unreadable::TooDeep);
            }
            if self.eat('*') {
                let factor = self.signed_factor()?;
                product = times(product, factor);
            } else if self.eat('/') || self.eat(':') {
                let factor = self.signed_factor()?;
                product = Node::Quotient(boxed(product), boxed(factor));
                divisions += 1;
            } else if self.begins_factor(&product) {
                let factor = self.factor()?;
                product = times(product, factor);
            } else {
                return Ok(product);
            }
        }
    }

    pub(super) fn signed_factor(&mut self) -> Parsed<Node> {
        if self.eat('-') {
            return Ok(Node::Negative(boxed(self.deeper(Self::signed_factor)?)));
        }
        if self.eat('+') {
            return self.deeper(Self::signed_factor);
        }
        self.factor()
    }

    /// Whether a factor follows without a mark of multiplication.
    pub(super) fn begins_factor(&self, before: &Node) -> bool {
        match self.peek() {
            Some(Kind::Number { .. } | Kind::Name(_)) => true,
            Some(Kind::Word(word)) => !self.is_remark(word, before),
            Some(Kind::Mark(mark)) => match mark {
                '(' | '[' | '{' => true,
                '|' => self.bars == 0 && self.is_closed_later(),
                _ => false,
            },
            Some(Kind::Command(name)) => !matches!(
                name.as_str(),
                "pm" | "mp"
                    | "cup"
                    | "cap"
                    | "in"
                    | "setminus"
                    | "backslash"
                    | "approx"
                    | "sim"
                    | "equiv"
                    | "}"
                    | "\\"
                    | "end"
                    | "rangle"
                    | "rfloor"
                    | "rceil"
                    | "dots"
                    | "ldots"
                    | "cdots"
                    | "degree"
                    | "cr"
            ),
            Some(Kind::Text(_)) | None => false,
        }
    }

    /// Whether there is another bar behind the one that comes next.
    fn is_closed_later(&self) -> bool {
        let mut later = self.tokens.iter().skip(self.at + 1);
        later.any(|token| token.kind == Kind::Mark('|'))
    }

    /// Whether a word behind a formula is a unit or a remark rather than a product of symbols.
    pub(super) fn is_remark(&self, word: &str, before: &Node) -> bool {
        if is_name(word) {
            return false;
        }
        let is_number = !before.any(|node| matches!(node, Node::Symbol(_)));
        let is_last = match self.ahead(1) {
            None => true,
            Some(Kind::Mark(mark)) => matches!(mark, ',' | ';' | ')' | '/' | '.'),
            _ => false,
        };
        match word.len() {
            1 => is_number && self.is_spaced() && is_last && units::is_letter(word),
            _ if is_number && units::is_unit(word) => true,
            2 => is_number && self.is_spaced() && SHORT_WORDS.contains(&word),
            _ => self.is_spaced() || word.len() > 3,
        }
    }

    pub(super) fn factor(&mut self) -> Parsed<Node> {
        let mut node = self.primary()?;
        // Each adds a level to what was read.
        let start = self.at;
        loop {
            if self.at - start > 4 * MAX_CHAIN {
                return Err(Unreadable::TooDeep);
            }
            match self.peek() {
                Some(Kind::Mark('^')) => {
                    self.at += 1;
                    if self.eat_command("circ") || self.eat_command("degree") {
                        node = Node::Degrees(boxed(node));
                        continue;
                    }
                    if let Some(exponent) = self.ordinal_or_exponent()? {
                        node = match exponent {
                            Node::Degrees(_) => Node::Degrees(boxed(node)),
                            exponent => Node::Power(boxed(node), boxed(exponent)),
                        };
                    }
                }
                Some(Kind::Mark('!')) => {
                    self.at += 1;
                    node = Node::Function("factorial", vec![node]);
                }
                Some(Kind::Mark('%')) => {
                    self.at += 1;
                    node = Node::Percent(boxed(node));
                }
                Some(Kind::Word(word) | Kind::Text(word))
                    if matches!(word.as_str(), "percent" | "percentage" | "pct") =>
                {
                    self.at += 1;
                    node = Node::Percent(boxed(node));
                }
                Some(Kind::Word(word) | Kind::Text(word))
                    if matches!(word.as_str(), "degree" | "degrees" | "deg") =>
                {
                    self.at += 1;
                    node = Node::Degrees(boxed(node));
                }
                Some(Kind::Command(name)) if name == "degree" => {
                    self.at += 1;
                    node = Node::Degrees(boxed(node));
                }
                Some(Kind::Command(name))
                    if (name == "dots" || name == "ldots")
                        && matches!(node, Node::Decimal(_) | Node::Number(_)) =>
                {
                    self.at += 1;
                }
                Some(Kind::Mark('_')) => {
                    self.at += 1;
                    node = self.subscript(node)?;
                }
                _ => return Ok(node),
            }
        }
    }

    /// What is behind `^`; nothing where it makes an ordinal number of what is before it.
    pub(super) fn ordinal_or_exponent(&mut self) -> Parsed<Option<Node>> {
        let is_ordinal = |kind: Option<&Kind>| match kind {
            Some(Kind::Word(word) | Kind::Text(word)) => {
                matches!(word.as_str(), "st" | "nd" | "rd" | "th")
            }
            _ => false,
        };
        if is_ordinal(self.peek()) {
            self.at += 1;
            return Ok(None);
        }
        if self.is_mark('{') && self.ahead(2) == Some(&Kind::Mark('}')) {
            let is_degree = matches!(self.ahead(1), Some(Kind::Command(name)) if name == "circ" || name == "degree");
            if is_degree || is_ordinal(self.ahead(1)) {
                self.at += 3;
                return Ok(is_degree.then(|| Node::Degrees(boxed(Node::Pi))));
            }
        }
        self.exponent().map(Some)
    }

    pub(super) fn exponent(&mut self) -> Parsed<Node> {
        self.deeper(|parser| {
            if parser.eat('-') {
                return Ok(Node::Negative(boxed(parser.exponent()?)));
            }
            parser.eat('+');
            let base = match parser.peek() {
                Some(Kind::Word(_)) => parser.argument()?,
                _ => parser.primary()?,
            };
            // `2^{3^2}` may be written without braces.
            if parser.eat('^') {
                let exponent = parser.exponent()?;
                return Ok(Node::Power(boxed(base), boxed(exponent)));
            }
            Ok(base)
        })
    }

    /// What a subscript makes of what it stands below: a number to a base, or another symbol.
    pub(super) fn subscript(&mut self, node: Node) -> Parsed<Node> {
        let below = self.argument()?;
        if let (Node::Number(digits), Node::Number(base)) = (&node, &below) {
            let value = base.to_integer().to_u32().and_then(|base| {
                let digits = digits.to_integer().to_string();
                (2..=36)
                    .contains(&base)
                    .then(|| num_bigint::BigInt::parse_bytes(digits.as_bytes(), base))?
            });
            return match value {
                Some(value) => Ok(Node::Number(Rational::from_integer(value))),
                None => Err(Unreadable::Malformed("a digit that its base has not")),
            };
        }
        let below = name_of(&below).ok_or(Unreadable::Malformed("a subscript that is no name"))?;
        match node {
            Node::Symbol(name) => Ok(Node::Symbol(format!("{name}_{below}"))),
            Node::Euler => Ok(Node::Symbol(format!("e_{below}"))),
            Node::Imaginary => Ok(Node::Symbol(format!("i_{below}"))),
            _ => Err(Unreadable::Malformed(
                "a subscript where there is no symbol",
            )),
        }
    }

    /// What a command is given: a group in braces, or the next single thing.
    pub(super) fn argument(&mut self) -> Parsed<Node> {
        let first_and_rest = match self.peek() {
            Some(Kind::Number { digits, .. }) if digits.len() > 1 => Some(digits.split_at(1)),
            Some(Kind::Word(word)) if word.len() > 1 && !is_name(word) => Some(word.split_at(1)),
            _ => None,
        };
        if let Some((first, rest)) = first_and_rest {
            let (first, rest) = (first.to_owned(), rest.to_owned());
            if let Some(token) = self.tokens.get_mut(self.at) {
                token.spaced = false;
                token.kind = match first.parse::<i64>() {
                    Ok(_) => number(rest)?,
                    Err(_) => Kind::Word(rest),
                };
            }
            return Ok(match first.parse::<i64>() {
                Ok(digit) => whole(digit),
                Err(_) => letter(&first),
            });
        }
        self.deeper(Self::primary)
    }

    pub(super) fn primary(&mut self) -> Parsed<Node> {
        let Some(token) = self.tokens.get(self.at) else {
            return Err(Unreadable::Malformed(
                "nothing where a number or a symbol should be",
            ));
        };
        match token.kind.clone() {
            Kind::Number {
                value, is_decimal, ..
            } => {
                self.at += 1;
                if is_decimal {
                    return Ok(Node::Decimal(value));
                }
                self.mixed(value)
            }
            Kind::Word(word) => self.word(&word),
            Kind::Name(name) => {
                self.at += 1;
                Ok(Node::Symbol(name))
            }
            Kind::Text(text) => {
                self.at += 1;
                Ok(Node::Text(text.to_lowercase()))
            }
            Kind::Command(name) => {
                self.at += 1;
                self.command(&name)
            }
            Kind::Mark(mark) => {
                self.at += 1;
                match mark {
                    '(' | '[' => self.enclosed(|parser| parser.bracket(mark)),
                    '{' => self.enclosed(|parser| parser.set('}')),
                    '|' => self.enclosed(|parser| {
                        parser.bars = 1;
                        let inside = parser.formula()?;
                        parser.expect('|', "a bar that is not closed")?;
                        Ok(Node::Function("abs", vec![inside]))
                    }),
                    _ => Err(Unreadable::Malformed("a mark that does not belong there")),
                }
            }
        }
    }

    /// A whole number with what a fraction behind it adds to it.
    pub(super) fn mixed(&mut self, value: Rational) -> Parsed<Node> {
        let is_fraction =
            matches!(self.peek(), Some(Kind::Command(name)) if is_fraction_command(name));
        let (above, below) = if is_fraction {
            self.at += 1;
            (self.argument()?, self.argument()?)
        } else if let (
            Some(Kind::Number { value: above, .. }),
            Some(Kind::Mark('/')),
            Some(Kind::Number { value: below, .. }),
        ) = (self.ahead(0), self.ahead(1), self.ahead(2))
        {
            let fraction = (Node::Number(above.clone()), Node::Number(below.clone()));
            self.at += 3;
            fraction
        } else {
            return Ok(Node::Number(value));
        };
        if let (Node::Number(above), Node::Number(below)) = (&above, &below)
            && above.is_integer()
            && below.is_integer()
            && above < below
            && above.is_positive()
        {
            return Ok(Node::Number(value + above / below));
        }
        let fraction = Node::Quotient(boxed(above), boxed(below));
        Ok(times(Node::Number(value), fraction))
    }

    /// Letters: a name that is known, or the first of several symbols side by side.
    pub(super) fn word(&mut self, word: &str) -> Parsed<Node> {
        if let Some(name) = function(word) {
            self.at += 1;
            return self.application(name);
        }
        match word {
            "pi" | "Pi" => {
                self.at += 1;
                return Ok(Node::Pi);
            }
            "inf" | "infinity" | "Infinity" | "infty" => {
                self.at += 1;
                return Ok(Node::Infinity);
            }
            "sqrt" => {
                self.at += 1;
                return self.command("sqrt");
            }
            _ if word.len() > 3 => {
                return Err(Unreadable::Malformed("a word among the mathematics"));
            }
            _ => {}
        }
        if word.len() > 1 {
            return self.argument();
        }
        self.at += 1;
        Ok(letter(word))
    }

    pub(super) fn command(&mut self, name: &str) -> Parsed<Node> {
        if let Some(name) = function(name) {
            return self.application(name);
        }
        if is_fraction_command(name) {
            let above = self.argument()?;
            let below = self.argument()?;
            return Ok(Node::Quotient(boxed(above), boxed(below)));
        }
        Ok(match name {
            "sqrt" => {
                let degree = if self.eat('[') {
                    let degree = self.deeper(Self::formula)?;
                    self.expect(']', "a bracket that is not closed")?;
                    degree
                } else {
                    whole(2)
                };
                let inside = self.argument()?;
                let exponent = Node::Quotient(boxed(whole(1)), boxed(degree));
                Node::Power(boxed(inside), boxed(exponent))
            }
            "binom" | "dbinom" | "tbinom" => {
                Node::Function("binom", vec![self.argument()?, self.argument()?])
            }
            "pi" => Node::Pi,
            "infty" => Node::Infinity,
            "emptyset" | "varnothing" => Node::Set(Vec::new()),
            "{" => self.enclosed(|parser| parser.set('\\'))?,
            "langle" => self.enclosed(|parser| {
                let items = parser.list()?;
                match parser.eat_command("rangle") {
                    true => Ok(Node::Ordered('(', ')', items)),
                    false => Err(Unreadable::Malformed("a bracket that is not closed")),
                }
            })?,
            "lfloor" | "lceil" => self.enclosed(|parser| {
                let inside = parser.formula()?;
                let (close, called) = match name {
                    "lfloor" => ("rfloor", "floor"),
                    _ => ("rceil", "ceil"),
                };
                match parser.eat_command(close) {
                    true => Ok(Node::Function(called, vec![inside])),
                    false => Err(Unreadable::Malformed("a bracket that is not closed")),
                }
            })?,
            "begin" => self.enclosed(Self::environment)?,
            "boxed" | "fbox" | "vec" | "hat" | "bar" | "overline" | "underline" | "mathop"
            | "widehat" | "tilde" | "ensuremath" | "displaylines" => self.argument()?,
            "angle" | "triangle" | "because" | "therefore" | "implies" | "Rightarrow" => {
                self.deeper(Self::factor)?
            }
            "}" | "\\" | "end" | "pm" | "mp" | "cup" | "cap" | "in" | "setminus" | "approx"
            | "rangle" | "rfloor" | "rceil" => {
                return Err(Unreadable::Malformed(
                    "a command that does not belong there",
                ));
            }
            _ => Node::Symbol(name.to_owned()),
        })
    }

    /// What a function is applied to.
    pub(super) fn application(&mut self, name: &'static str) -> Parsed<Node> {
        let mut called = name;
        let mut base = None;
        let mut power = None;
        loop {
            if self.eat('_') {
                base = Some(self.argument()?);
            } else if self.eat('^') {
                power = Some(self.exponent()?);
            } else {
                break;
            }
        }
        if let (Some(power_of), Some(inverse)) = (&power, inverse(name))
            && *power_of == Node::Negative(boxed(whole(1)))
        {
            called = inverse;
            power = None;
        }
        let arguments = self.deeper(Self::arguments)?;
        let applied = match (called, arguments) {
            ("log", of) => {
                let base = base.unwrap_or_else(|| whole(10));
                Node::Function("log", std::iter::once(base).chain(of).collect())
            }
            (called, of) => Node::Function(called, of),
        };
        Ok(match power {
            Some(power) => Node::Power(boxed(applied), boxed(power)),
            None => applied,
        })
    }

    /// Arguments in brackets, or the factors that follow up to another function.
    pub(super) fn arguments(&mut self) -> Parsed<Vec<Node>> {
        if self.eat('(') {
            let items = self.list()?;
            self.expect(')', "a bracket that is not closed")?;
            return Ok(items);
        }
        if self.is_mark('{') {
            return Ok(vec![self.factor()?]);
        }
        let mut product = self.signed_factor()?;
        while self.begins_factor(&product) && !self.is_function() && !self.is_mark('(') {
            let factor = self.factor()?;
            product = times(product, factor);
        }
        if self.eat('/') {
            let below = self.factor()?;
            product = Node::Quotient(boxed(product), boxed(below));
        }
        Ok(vec![product])
    }

    pub(super) fn is_function(&self) -> bool {
        match self.peek() {
            Some(Kind::Word(name) | Kind::Command(name)) => function(name).is_some(),
            _ => false,
        }
    }
}

fn times(left: Node, right: Node) -> Node {
    match left {
        Node::Product(mut parts) => {
            parts.push(right);
            Node::Product(parts)
        }
        left => Node::Product(vec![left, right]),
    }
}

fn is_fraction_command(name: &str) -> bool {
    matches!(name, "frac" | "dfrac" | "tfrac" | "cfrac" | "sfrac")
}

fn letter(letter: &str) -> Node {
    match letter {
        "e" => Node::Euler,
        "i" => Node::Imaginary,
        _ => Node::Symbol(letter.to_owned()),
    }
}

/// A number of the digits that are left where one was taken away.
fn number(digits: String) -> Parsed<Kind> {
    let value = digits.parse::<num_bigint::BigInt>();
    let value = value.map_err(|_| Unreadable::Malformed("a number without digits"))?;
    Ok(Kind::Number {
        digits,
        value: Rational::from_integer(value),
        is_decimal: false,
    })
}

/// A subscript in letters.
fn name_of(node: &Node) -> Option<String> {
    Some(match node {
        Node::Number(value) => value.to_string(),
        Node::Symbol(name) | Node::Text(name) => name.clone(),
        Node::Euler => "e".to_owned(),
        Node::Imaginary => "i".to_owned(),
        Node::Infinity => "infinity".to_owned(),
        Node::Negative(part) => format!("-{}", name_of(part)?),
        Node::Product(parts) | Node::Sum(parts) | Node::Set(parts) => {
            let names: Option<Vec<String>> = parts.iter().map(name_of).collect();
            names?.join(",")
        }
        _ => return None,
    })
}
