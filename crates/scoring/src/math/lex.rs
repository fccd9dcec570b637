//! Mathematical text in tokens: LaTeX and what people type without it.

use super::syntax::{Rational, Unreadable};
use num_bigint::BigInt;

/// The longest text that is read, in bytes.
pub(super) const MAX_BYTES: usize = 4_000;
/// The most digits of a number. Work on longer ones grows with the square of their length.
const MAX_DIGITS: usize = 1_000;
/// The largest exponent of a number such as `1e300`.
const MAX_EXPONENT: u32 = 1_000;

/// A part of the text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Whether there is space in front of it.
    pub(super) spaced: bool,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// Digits, perhaps with a point.
    Number {
        digits: String,
        value: Rational,
        is_decimal: bool,
    },
    /// Letters outside of `\text`.
    Word(String),
    /// What is in `\text{…}` and its like.
    Text(String),
    /// A symbol of more than a letter, such as `mathbb{R}`.
    Name(String),
    /// A command without its backslash.
    Command(String),
    /// Any other character, operators of two characters being one.
    Mark(char),
}

/// Commands that say how something looks and nothing of what it is.
const SILENT: &[&str] = &[
    "left",
    "right",
    "big",
    "Big",
    "bigg",
    "Bigg",
    "bigl",
    "bigr",
    "Bigl",
    "Bigr",
    "middle",
    "displaystyle",
    "textstyle",
    "limits",
    "nolimits",
    "quad",
    "qquad",
    "rm",
    "bf",
    "it",
    "thinspace",
    "enspace",
    "mathstrut",
    "strut",
    "phantom",
];

/// Commands whose braces hold words.
const WORDY: &[&str] = &[
    "text",
    "textbf",
    "textit",
    "textrm",
    "textnormal",
    "textsf",
    "texttt",
    "mbox",
    "hbox",
    "mathrm",
    "operatorname",
    "mathit",
    "mathsf",
    "mathtt",
    "mathbf",
    "boldsymbol",
    "bm",
    "emph",
];

/// Characters that stand for a command.
const fn command_of(character: char) -> Option<&'static str> {
    Some(match character {
        'π' => "pi",
        '∞' => "infty",
        '√' => "sqrt",
        '∪' => "cup",
        '∩' => "cap",
        '∅' => "emptyset",
        '∈' => "in",
        '±' => "pm",
        '∓' => "mp",
        '…' => "dots",
        '≈' => "approx",
        '°' => "degree",
        '∖' => "setminus",
        'α' => "alpha",
        'β' => "beta",
        'γ' => "gamma",
        'θ' => "theta",
        'λ' => "lambda",
        'μ' => "mu",
        'σ' => "sigma",
        'φ' => "phi",
        'ω' => "omega",
        'Δ' => "Delta",
        '⌊' => "lfloor",
        '⌋' => "rfloor",
        '⌈' => "lceil",
        '⌉' => "rceil",
        '⟨' => "langle",
        '⟩' => "rangle",
        _ => return None,
    })
}

/// The character that a command stands for.
fn mark_of(command: &str) -> Option<char> {
    Some(match command {
        "cdot" | "times" | "ast" | "cdotp" => '*',
        "div" | "slash" => '/',
        "le" | "leq" | "leqslant" => '≤',
        "ge" | "geq" | "geqslant" => '≥',
        "lt" => '<',
        "gt" => '>',
        "ne" | "neq" => '≠',
        "lbrack" => '[',
        "rbrack" => ']',
        "lparen" => '(',
        "rparen" => ')',
        "vert" | "lvert" | "rvert" | "mid" => '|',
        "colon" => ':',
        _ => return None,
    })
}

/// Cuts a text into tokens.
///
/// # Errors
/// It is too long, has a number that is, or a brace that is not closed.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Unreadable> {
    if text.len() > MAX_BYTES {
        return Err(Unreadable::TooLong);
    }
    let text = text.replace("\\!", "");
    // A single dollar is money; several are the marks around mathematics.
    let dollars = text.replace("\\$", "").matches('$').count();
    let mut lexer = Lexer {
        text: &text,
        at: 0,
        brackets: 0,
        keeps_dollar: dollars == 1,
        nested: 0,
        spaced: false,
        tokens: Vec::new(),
    };
    lexer.run()?;
    Ok(lexer.tokens)
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    /// How many brackets are open in which a comma always parts elements.
    brackets: usize,
    keeps_dollar: bool,
    nested: usize,
    spaced: bool,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn push(&mut self, kind: Kind) {
        let spaced = std::mem::take(&mut self.spaced);
        self.tokens.push(Token { kind, spaced });
    }

    fn eat(&mut self, what: &str) -> bool {
        let found = self.rest().starts_with(what);
        if found {
            self.at += what.len();
        }
        found
    }

    fn run(&mut self) -> Result<(), Unreadable> {
        while let Some(first) = self.rest().chars().next() {
            if first.is_ascii_digit() || (first == '.' && self.digits_at(self.at + 1) > 0) {
                self.number()?;
            } else if first == '\\' {
                self.at += 1;
                self.command()?;
            } else if first.is_ascii_alphabetic() {
                let length = self.rest().bytes().take_while(u8::is_ascii_alphabetic);
                let length = length.count();
                let word = self.rest()[..length].to_owned();
                self.at += length;
                self.push(Kind::Word(word));
            } else if first.is_whitespace() || first == '~' {
                self.at += first.len_utf8();
                self.spaced = true;
            } else {
                self.mark(first);
            }
        }
        Ok(())
    }

    fn mark(&mut self, first: char) {
        for (written, mark) in [
            ("**", '^'),
            ("<=", '≤'),
            (">=", '≥'),
            ("!=", '≠'),
            ("==", '='),
            (":=", '='),
        ] {
            if self.eat(written) {
                return self.push(Kind::Mark(mark));
            }
        }
        if self.eat("...") {
            return self.push(Kind::Command("dots".to_owned()));
        }
        self.at += first.len_utf8();
        if let Some(command) = command_of(first) {
            return self.push(Kind::Command(command.to_owned()));
        }
        match first {
            '$' if !self.keeps_dollar => self.spaced = true,
            '\u{2212}' | '–' => self.push(Kind::Mark('-')),
            '×' | '·' | '⋅' | '∙' => self.push(Kind::Mark('*')),
            '÷' | '⁄' => self.push(Kind::Mark('/')),
            '²' | '³' => {
                self.push(Kind::Mark('^'));
                let digit = if first == '²' { 2 } else { 3 };
                self.push(Kind::Number {
                    digits: digit.to_string(),
                    value: Rational::from_integer(BigInt::from(digit)),
                    is_decimal: false,
                });
            }
            letter if letter.is_alphabetic() => self.push(Kind::Name(letter.to_string())),
            '(' | '[' => {
                self.brackets += 1;
                self.push(Kind::Mark(first));
            }
            ')' | ']' => {
                self.brackets = self.brackets.saturating_sub(1);
                self.push(Kind::Mark(first));
            }
            _ => self.push(Kind::Mark(first)),
        }
    }

    /// Reads a command behind its backslash.
    fn command(&mut self) -> Result<(), Unreadable> {
        let length = self.rest().bytes().take_while(u8::is_ascii_alphabetic);
        let length = length.count();
        if length == 0 {
            let Some(mark) = self.rest().chars().next() else {
                return Err(Unreadable::Malformed("a backslash at the end"));
            };
            self.at += mark.len_utf8();
            match mark {
                '{' | '}' => {
                    self.brackets = match mark {
                        '{' => self.brackets + 1,
                        _ => self.brackets.saturating_sub(1),
                    };
                    self.push(Kind::Command(mark.to_string()));
                }
                '%' | '$' | '&' | '_' | '#' => self.push(Kind::Mark(mark)),
                '|' => self.push(Kind::Mark('|')),
                '\\' => self.push(Kind::Command("\\".to_owned())),
                // Spaces, and the marks around mathematics.
                _ => self.spaced = true,
            }
            return Ok(());
        }
        let name = self.rest()[..length].to_owned();
        self.at += length;
        let name = match name.as_str() {
            "lbrace" => "{".to_owned(),
            "rbrace" => "}".to_owned(),
            _ => name,
        };
        if SILENT.contains(&name.as_str()) {
            self.spaced = true;
            if matches!(name.as_str(), "left" | "right") {
                self.eat(".");
            }
            return Ok(());
        }
        if let Some(mark) = mark_of(&name) {
            self.push(Kind::Mark(mark));
            return Ok(());
        }
        if name == "hspace" || name == "vspace" || name == "kern" {
            self.braced();
            return Ok(());
        }
        if WORDY.contains(&name.as_str())
            && let Some(inside) = self.braced()
        {
            return self.words(&inside);
        }
        if matches!(
            name.as_str(),
            "mathbb" | "mathcal" | "mathfrak" | "overrightarrow"
        ) && let Some(inside) = self.braced()
        {
            self.push(Kind::Name(format!("{name}{{{}}}", inside.trim())));
            return Ok(());
        }
        self.push(Kind::Command(name));
        Ok(())
    }

    /// What is in the braces that follow, if any do; a single character will do as well.
    fn braced(&mut self) -> Option<String> {
        let rest = self.rest().trim_start();
        let skipped = self.rest().len() - rest.len();
        let Some(inside) = rest.strip_prefix('{') else {
            let first = rest.chars().next().filter(|c| c.is_ascii_alphanumeric())?;
            self.at += skipped + 1;
            return Some(first.to_string());
        };
        let mut depth = 1_usize;
        for (place, character) in inside.char_indices() {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                let inside = inside[..place].to_owned();
                self.at += skipped + 1 + place + 1;
                return Some(inside);
            }
        }
        None
    }

    /// Words, unless there is mathematics among them.
    fn words(&mut self, inside: &str) -> Result<(), Unreadable> {
        const DEEPEST: usize = 4;
        let trimmed = inside.trim();
        let bare = trimmed.trim_matches(['(', ')', '.', ' ']);
        self.spaced |= inside.starts_with(char::is_whitespace);
        if bare.len() == 1 && bare.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            self.push(Kind::Word(bare.to_owned()));
        } else if trimmed.contains(|c: char| c.is_ascii_digit() || "\\{$^%".contains(c)) {
            if self.nested >= DEEPEST {
                return Err(Unreadable::TooDeep);
            }
            let mut inner = Lexer {
                text: inside,
                at: 0,
                brackets: self.brackets,
                keeps_dollar: self.keeps_dollar,
                nested: self.nested + 1,
                spaced: self.spaced,
                tokens: Vec::new(),
            };
            inner.run()?;
            self.tokens.append(&mut inner.tokens);
        } else if !trimmed.is_empty() {
            self.push(Kind::Text(trimmed.to_owned()));
        }
        self.spaced = inside.ends_with(char::is_whitespace);
        Ok(())
    }

    /// How many digits there are at a place.
    fn digits_at(&self, at: usize) -> usize {
        let bytes = self.text.as_bytes().iter().skip(at);
        bytes.take_while(|byte| byte.is_ascii_digit()).count()
    }

    fn take_digits(&mut self) -> String {
        let length = self.digits_at(self.at);
        let digits = self.rest()[..length].to_owned();
        self.at += length;
        digits
    }

    fn number(&mut self) -> Result<(), Unreadable> {
        let mut whole = self.take_digits();
        if (1..=3).contains(&whole.len()) && !whole.starts_with('0') {
            self.groups(&mut whole);
        }
        let mut is_decimal = false;
        let mut fraction = String::new();
        if self.rest().starts_with('.') && self.digits_at(self.at + 1) > 0 {
            self.at += 1;
            fraction = self.take_digits();
            is_decimal = true;
        }
        let repeated = self.repeated();
        let exponent = self.exponent();
        if whole.len() + fraction.len() > MAX_DIGITS {
            return Err(Unreadable::TooLong);
        }
        let digits = format!("{whole}{fraction}");
        let parse = |digits: &str| {
            let parsed = digits.parse::<BigInt>();
            parsed.map_err(|_| Unreadable::Malformed("a number without digits"))
        };
        let ten = BigInt::from(10);
        let places = u32::try_from(fraction.len()).unwrap_or(u32::MAX);
        let mut value = Rational::new(
            parse(if digits.is_empty() { "0" } else { &digits })?,
            ten.pow(places),
        );
        if let Some(repeated) = repeated {
            let length = u32::try_from(repeated.len()).unwrap_or(u32::MAX);
            let nines = ten.pow(length) - 1;
            value += Rational::new(parse(&repeated)?, nines * ten.pow(places));
            is_decimal = false;
        }
        if let Some((negative, power)) = exponent {
            let scale = Rational::from_integer(ten.pow(power));
            value = if negative {
                value / scale
            } else {
                value * scale
            };
        }
        let written = match (fraction.is_empty(), exponent) {
            (true, None) => digits,
            // What is not a run of digits cannot be taken apart.
            _ => String::new(),
        };
        self.push(Kind::Number {
            digits: written,
            value,
            is_decimal,
        });
        Ok(())
    }

    /// Takes groups of three digits that are parted from what is before by the same mark each.
    fn groups(&mut self, whole: &mut String) {
        let separators: &[&str] = &[
            "{,}", "\\,", "\\;", "\\ ", ",", "'", "\u{a0}", "\u{202f}", " ",
        ];
        let found = separators
            .iter()
            .find(|separator| self.rest().starts_with(**separator));
        let Some(separator) = found else {
            return;
        };
        if *separator == "," && self.brackets > 0 {
            return;
        }
        while self.rest().starts_with(*separator) {
            let start = self.at + separator.len();
            let after = self.text[start..].chars().nth(3);
            // `1 100/200` is a mixed number.
            let is_fraction = *separator == " " && after == Some('/');
            if self.digits_at(start) != 3 || is_fraction {
                return;
            }
            whole.push_str(&self.text[start..start + 3]);
            self.at = start + 3;
        }
    }

    /// The digits that repeat without end: `\overline{3}` behind a point.
    fn repeated(&mut self) -> Option<String> {
        const LONGEST: usize = 40;
        let rest = self.rest();
        let behind = rest.strip_prefix('.').unwrap_or(rest);
        let has_point = behind.len() < rest.len() || self.text[..self.at].contains('.');
        let inside = behind
            .strip_prefix("\\overline")
            .or_else(|| behind.strip_prefix("\\bar"))?;
        let (digits, after) = inside.trim_start().strip_prefix('{')?.split_once('}')?;
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !has_point || !is_number || digits.len() > LONGEST {
            return None;
        }
        let digits = digits.to_owned();
        self.at = self.text.len() - after.len();
        Some(digits)
    }

    /// The exponent of `1e6`: whether it is negative, and how large.
    fn exponent(&mut self) -> Option<(bool, u32)> {
        let unsigned = self.rest().strip_prefix(['e', 'E'])?;
        let negative = unsigned.starts_with('-');
        let digits = unsigned.strip_prefix(['-', '+']).unwrap_or(unsigned);
        let start = self.text.len() - digits.len();
        let length = self.digits_at(start);
        let power: u32 = self.text[start..start + length].parse().ok()?;
        let after = self.text[start + length..].chars().next();
        if power > MAX_EXPONENT || after.is_some_and(char::is_alphanumeric) {
            return None;
        }
        self.at = start + length;
        Some((negative, power))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(text: &str) -> Vec<String> {
        let tokens = tokens(text).unwrap();
        let value = |token: Token| match token.kind {
            Kind::Number { value, .. } => Some(value.to_string()),
            _ => None,
        };
        tokens.into_iter().filter_map(value).collect()
    }

    #[test]
    fn numbers_are_read_to_the_last_digit() {
        for (text, expected) in [
            ("9{,}500", vec!["9500"]),
            ("9\\,500.5", vec!["19001/2"]),
            ("9 500", vec!["9500"]),
            ("1,234,567", vec!["1234567"]),
            ("(1,234)", vec!["1", "234"]),
            ("10\\!,\\!000", vec!["10000"]),
            ("0.\\overline{3}", vec!["1/3"]),
            ("0.1\\overline{6}", vec!["1/6"]),
            ("1e3, 2e", vec!["1000", "2"]),
            ("1 100/200", vec!["1", "100", "200"]),
            (".5", vec!["1/2"]),
            ("5.", vec!["5"]),
            ("9007199254740993", vec!["9007199254740993"]),
        ] {
            assert_eq!(numbers(text), expected, "{text}");
        }
        assert_eq!(
            tokens(&"9".repeat(MAX_DIGITS + 1)),
            Err(Unreadable::TooLong)
        );
    }

    #[test]
    fn what_says_how_it_looks_is_left_out() {
        let plain = tokens("(x+1)").unwrap();
        for text in ["\\left(x+1\\right)", "\\bigl(x\\,+1\\bigr)"] {
            let kinds = |tokens: Vec<Token>| tokens.into_iter().map(|token| token.kind);
            assert!(
                kinds(tokens(text).unwrap()).eq(kinds(plain.clone())),
                "{text}"
            );
        }
    }
}
