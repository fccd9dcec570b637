//! Rows as an array of JSON objects.

use super::collector::Collector;

/// Finds the items of the array by its brackets and quotes; whether an item is JSON is seen when it is
/// read.
#[derive(Debug, Default)]
pub(super) struct Items {
    state: State,
    /// Lines that have ended.
    ended: u64,
    /// The item under way, without space before it.
    item: Vec<u8>,
    /// The line on which it begins.
    begun: u64,
    /// Brackets open within it.
    depth: usize,
    quoted: Quoted,
    /// Whether a comma came before it.
    after_comma: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// The array has not begun.
    #[default]
    Before,
    /// Within it.
    Within,
    /// It has ended.
    After,
    /// There is no array, or more than it; the rest says nothing.
    Broken,
}

/// Whether the next byte stands in a string.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Quoted {
    #[default]
    No,
    Yes,
    /// After a backslash.
    Escaped,
}

impl Items {
    pub(super) fn push(&mut self, bytes: &[u8], rows: &mut Collector) {
        for byte in bytes {
            self.take(*byte, rows);
            if *byte == b'\n' {
                self.ended += 1;
            }
        }
    }

    pub(super) fn finish(&mut self, rows: &mut Collector) {
        let line = self.ended + 1;
        match self.state {
            State::Before => rows.fault(line, NO_ARRAY),
            State::Within => rows.fault(
                line,
                "the array has no end; is the file cut off, or a quote or bracket missing?",
            ),
            State::After | State::Broken => {}
        }
    }

    fn take(&mut self, byte: u8, rows: &mut Collector) {
        let line = self.ended + 1;
        match self.state {
            State::Within => self.within(byte, line, rows),
            State::Before | State::After if byte.is_ascii_whitespace() => {}
            State::Before if byte == b'[' => self.state = State::Within,
            State::Before => {
                self.state = State::Broken;
                rows.fault(line, NO_ARRAY);
            }
            State::After => {
                self.state = State::Broken;
                rows.fault(line, "something follows the end of the array; remove it");
            }
            State::Broken => {}
        }
    }

    fn within(&mut self, byte: u8, line: u64, rows: &mut Collector) {
        if self.depth == 0 && self.quoted == Quoted::No {
            match byte {
                b',' => {
                    self.end(line, true, rows);
                    self.after_comma = true;
                    return;
                }
                b']' => {
                    self.end(line, self.after_comma, rows);
                    self.state = State::After;
                    return;
                }
                _ if self.item.is_empty() && byte.is_ascii_whitespace() => return,
                _ => {}
            }
        }
        if self.item.is_empty() {
            self.begun = line;
        }
        self.item.push(byte);
        self.quoted = match (self.quoted, byte) {
            (Quoted::Yes, b'\\') => Quoted::Escaped,
            (Quoted::Yes, b'"') => Quoted::No,
            (Quoted::Yes | Quoted::Escaped, _) | (Quoted::No, b'"') => Quoted::Yes,
            (Quoted::No, _) => {
                match byte {
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
                Quoted::No
            }
        };
    }

    /// Ends an item; `is_due` where there must be one.
    fn end(&mut self, line: u64, is_due: bool, rows: &mut Collector) {
        if !self.item.is_empty() {
            rows.text(self.begun, &self.item);
        } else if is_due {
            rows.fault(line, "a row is missing beside a comma; remove the comma");
        }
        self.item.clear();
        self.after_comma = false;
    }
}

const NO_ARRAY: &str = "must be an array of rows, such as [{…}, {…}]; rows on lines of their own \
                        are sent as `application/jsonl`";
