//! Rows as JSON objects, one on each line.

use super::collector::Collector;

/// Finds the lines. Blank ones are passed over.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Lines that have ended.
    ended: u64,
    /// The line under way.
    line: Vec<u8>,
    /// What kind of thing the first line with something on it begins.
    first: First,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum First {
    #[default]
    Unread,
    Row,
    /// An array, so that its lines are no rows.
    Array,
}

impl Lines {
    pub(super) fn push(&mut self, bytes: &[u8], rows: &mut Collector) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.end(rows);
            }
        }
    }

    pub(super) fn finish(&mut self, rows: &mut Collector) {
        self.end(rows);
    }

    fn end(&mut self, rows: &mut Collector) {
        self.ended += 1;
        let text = self.line.trim_ascii();
        match (self.first, text) {
            (_, []) | (First::Array, _) => {}
            (First::Unread, [b'[', ..]) => {
                self.first = First::Array;
                rows.refuse(self.ended, ARRAY);
            }
            (_, text) => {
                self.first = First::Row;
                rows.text(self.ended, text);
            }
        }
        self.line.clear();
    }
}

const ARRAY: &str = "begins an array where a row is expected on each line; send an array as \
                     `application/json`";
