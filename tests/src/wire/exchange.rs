//! What a program sends to PostgreSQL, read as exchanges, and which moments these are.

use regex::Regex;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::LazyLock;

/// A moment that a program may break at, by the tables that are written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// What was written, in one statement or in a transaction, is committed.
    Commit(String),
    /// Something is written within a transaction; with what was written in it before.
    Write(String),
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit(tables) => write!(f, "commit of {tables}"),
            Self::Write(tables) => write!(f, "write of {tables} in a transaction"),
        }
    }
}

/// A whole message of a program: its kind, and what it says.
#[derive(Debug)]
pub(super) struct Message<'a> {
    pub(super) kind: u8,
    pub(super) body: &'a [u8],
}

/// The length of the message at the front of what came, once all of it is there. Of the messages that open
/// a connection the kind is left out.
pub(super) fn message_length(bytes: &[u8], opens: bool) -> Option<usize> {
    let kind = usize::from(!opens);
    let length = bytes.get(kind..kind + 4)?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    let length = kind + usize::try_from(length).ok()?;
    (bytes.len() >= length).then_some(length)
}

/// Follows what a connection does.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The texts of its prepared statements, by their names.
    statements: HashMap<String, String>,
    /// The tables that are written with the exchange that is being sent.
    writes: BTreeSet<String>,
    /// What a simple query of it says.
    query: Option<String>,
    /// What was written in the transaction that is open.
    written: BTreeSet<String>,
}

impl Reader {
    /// Takes a message in.
    pub(super) fn read(&mut self, message: &Message<'_>) {
        match message.kind {
            b'P' => {
                let (name, rest) = string(message.body);
                let (text, _) = string(rest);
                self.statements.insert(name, text);
            }
            b'B' => {
                let (_portal, rest) = string(message.body);
                let (name, _) = string(rest);
                if let Some(text) = self.statements.get(&name) {
                    self.writes.extend(written_tables(text));
                }
            }
            b'Q' => {
                let (text, _) = string(message.body);
                self.writes.extend(written_tables(&text));
                self.query = Some(text);
            }
            _ => {}
        }
    }

    /// Which moment the exchange is that was read last; nothing where nothing is written or committed.
    pub(super) fn moment(&mut self, in_transaction: bool) -> Option<Moment> {
        let writes = std::mem::take(&mut self.writes);
        let query = self.query.take().unwrap_or_default();
        let commits = query.trim_end_matches(';').eq_ignore_ascii_case("COMMIT");
        if !in_transaction {
            self.written.clear();
        }
        self.written.extend(writes.iter().cloned());
        let tables = || self.written.iter().cloned().collect::<Vec<_>>().join(", ");
        if self.written.is_empty() {
            None
        } else if commits || !in_transaction {
            Some(Moment::Commit(tables()))
        } else if writes.is_empty() {
            None
        } else {
            Some(Moment::Write(tables()))
        }
    }
}

/// The string at the front, which ends with a zero, and what follows.
fn string(bytes: &[u8]) -> (String, &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0);
    let end = end.unwrap_or(bytes.len());
    let (text, rest) = bytes.split_at(end);
    let text = String::from_utf8_lossy(text).into_owned();
    (text, rest.get(1..).unwrap_or_default())
}

/// The tables that a statement writes.
fn written_tables(statement: &str) -> BTreeSet<String> {
    static WRITES: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"\b(?:INSERT\s+INTO|DELETE\s+FROM)\s+(\w+)|\bUPDATE\s+(\w+)(?:\s+AS\s+\w+)?\s+SET\b",
        )
        .ok()
    });
    let captures = WRITES
        .iter()
        .flat_map(|writes| writes.captures_iter(statement));
    captures
        .filter_map(|found| found.get(1).or_else(|| found.get(2)))
        .map(|table| table.as_str().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(reader: &mut Reader, kind: u8, parts: &[&str]) {
        let mut body: Vec<u8> = parts.join("\0").into_bytes();
        body.push(0);
        reader.read(&Message { kind, body: &body });
    }

    #[test]
    fn moments_are_named_by_what_is_written() {
        let mut reader = Reader::default();
        let insert = "WITH held AS (SELECT FOR UPDATE OF jobs) INSERT INTO trials SELECT FROM held";
        send(&mut reader, b'P', &["one", insert]);
        send(&mut reader, b'P', &["two", "UPDATE jobs SET a = 1"]);
        send(&mut reader, b'S', &[]);
        assert_eq!(reader.moment(false), None, "it is prepared, not executed");
        // By itself it is committed.
        send(&mut reader, b'B', &["", "one"]);
        send(&mut reader, b'S', &[]);
        assert_eq!(reader.moment(false), Some(Moment::Commit("trials".into())));
        // In a transaction it is committed later.
        send(&mut reader, b'Q', &["BEGIN"]);
        assert_eq!(reader.moment(false), None);
        for (name, tables) in [("two", "jobs"), ("one", "jobs, trials")] {
            send(&mut reader, b'B', &["", name]);
            send(&mut reader, b'S', &[]);
            assert_eq!(reader.moment(true), Some(Moment::Write(tables.into())));
        }
        send(&mut reader, b'Q', &["SELECT 1"]);
        assert_eq!(reader.moment(true), None);
        send(&mut reader, b'Q', &["COMMIT"]);
        assert_eq!(
            reader.moment(true),
            Some(Moment::Commit("jobs, trials".into()))
        );
        send(&mut reader, b'Q', &["BEGIN"]);
        assert_eq!(reader.moment(false), None);
        send(&mut reader, b'Q', &["COMMIT"]);
        assert_eq!(reader.moment(true), None, "nothing was written");
    }

    #[test]
    fn messages_are_whole_before_they_are_read() {
        assert_eq!(message_length(b"Q\0\0\0\x05", false), None);
        assert_eq!(message_length(b"Q\0\0\0\x05\0S", false), Some(6));
        assert_eq!(message_length(b"\0\0\0\x08\0\x03\0", true), None);
        assert_eq!(message_length(b"\0\0\0\x08\0\x03\0\0", true), Some(8));
    }
}
