//! Reads JSON with its numbers as they are written, in one pass.

use serde_json::Value;

/// What is made of the parts of a value.
pub(crate) trait Builder {
    type Value;

    fn null(&self) -> Self::Value;
    fn bool(&self, value: bool) -> Self::Value;
    /// A number, as it is written.
    fn number(&self, text: &str) -> Option<Self::Value>;
    fn text(&self, text: String) -> Self::Value;
    fn list(&self, items: Vec<Self::Value>) -> Self::Value;
    /// Its members in their order; of two of one name the later one counts.
    fn object(&self, members: Vec<(String, Self::Value)>) -> Self::Value;
}

/// Reads JSON text; nothing where it is none, nests deeper than a parser lets it, or has a number beyond all
/// floats.
pub(crate) fn read<B: Builder>(text: &str, builder: &B) -> Option<B::Value> {
    serde_json::from_str::<Value>(text).ok()?;
    // It is JSON, so that what follows only has to tell its parts from one another.
    Reader { text, at: 0 }.value(builder)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            if !byte.is_ascii_whitespace() {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// Passes over a byte where it comes next.
    fn passes(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn value<B: Builder>(&mut self, builder: &B) -> Option<B::Value> {
        Some(match self.peek()? {
            b'"' => builder.text(self.string()?),
            b'[' => builder.list(self.items(builder)?),
            b'{' => builder.object(self.members(builder)?),
            b'n' => {
                self.word();
                builder.null()
            }
            b't' | b'f' => builder.bool(self.word() == "true"),
            _ => builder.number(self.word())?,
        })
    }

    fn items<B: Builder>(&mut self, builder: &B) -> Option<Vec<B::Value>> {
        self.at += 1;
        let mut items = Vec::new();
        while !self.passes(b']') {
            items.push(self.value(builder)?);
            self.passes(b',');
        }
        Some(items)
    }

    fn members<B: Builder>(&mut self, builder: &B) -> Option<Vec<(String, B::Value)>> {
        self.at += 1;
        let mut members = Vec::new();
        while !self.passes(b'}') {
            self.peek()?;
            let name = self.string()?;
            self.passes(b':');
            members.push((name, self.value(builder)?));
            self.passes(b',');
        }
        Some(members)
    }

    /// A number or a name such as `null`.
    fn word(&mut self) -> &'t str {
        let rest = &self.text[self.at..];
        let is_of_it = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        let end = rest.find(|c| !is_of_it(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn string(&mut self) -> Option<String> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        self.at += 1;
        loop {
            match bytes.get(self.at)? {
                b'\\' => self.at += 2,
                b'"' => break,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        serde_json::from_str(self.text.get(start..self.at)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    struct Plain;

    impl Builder for Plain {
        type Value = Value;

        fn null(&self) -> Value {
            Value::Null
        }

        fn bool(&self, value: bool) -> Value {
            value.into()
        }

        fn number(&self, text: &str) -> Option<Value> {
            serde_json::from_str(text).ok()
        }

        fn text(&self, text: String) -> Value {
            text.into()
        }

        fn list(&self, items: Vec<Value>) -> Value {
            items.into()
        }

        fn object(&self, members: Vec<(String, Value)>) -> Value {
            Value::Object(members.into_iter().collect())
        }
    }

    #[test]
    fn what_a_parser_reads_is_read() {
        let text = " { \"a\\\"]\" : [ 1.50 , -2e+3,true,false,null , {} , [ ] ] , \"a\\\"]\":\"\\u00e9\\\\\"}\n";
        assert_eq!(read(text, &Plain), Some(json!({"a\"]": "é\\"})));
        for text in ["", "[1,", "[1]]", "1e999", "nul", "\"a", &"[".repeat(200)] {
            assert_eq!(read(text, &Plain), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn it_reads_what_a_parser_reads(text in "[\\[\\]{}\":,a1e.\\- \\\\tru]{0,40}", escaped: String, number: f64) {
            let whole = json!([{"a": escaped, "b": [number, &text]}, {}]);
            let printed = serde_json::to_string_pretty(&whole).unwrap();
            prop_assert_eq!(read(&printed, &Plain), Some(whole));
            prop_assert_eq!(read(&text, &Plain), serde_json::from_str(&text).ok());
        }
    }
}
