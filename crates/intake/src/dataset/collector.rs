//! The rows of a dataset, checked one by one.

use super::limits::TooLarge;
use crate::{digits, instance, nul};
use frugal_domain::fault::{Faults, Reader};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The most faults that are kept; others are counted.
const MOST_FAULTS: usize = 100;

/// The most columns that are told of, those that most rows have.
const MOST_COLUMNS: usize = 200;

/// The rows of a dataset that has no fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetRows {
    /// Each row as JSON, in order.
    pub rows: Vec<String>,
    /// How many bytes they have, with one more for the end of each line.
    pub bytes: u64,
    /// The fields that rows have, by name.
    pub columns: Vec<Column>,
    /// SHA-256 of the rows, in hexadecimal digits. The same rows have the same, whatever they were
    /// posted as.
    pub sha256: String,
}

/// A field that rows have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// How many rows have it.
    pub rows: u64,
}

/// Why a dataset is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// It is larger than it may be.
    TooLarge(TooLarge),
    /// Rows have faults.
    Faults {
        /// The first of them.
        first: Vec<RowFault>,
        /// How many there are.
        count: usize,
    },
}

/// One thing that is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFault {
    /// The line on which the row begins, from 1.
    pub line: u64,
    /// Where in the row: a JSON pointer, empty for the whole of it.
    pub pointer: String,
    /// What is wrong there and the remedy.
    pub detail: String,
}

/// Checks rows and keeps them.
#[derive(Debug, Default)]
pub(super) struct Collector {
    count: usize,
    rows: Vec<String>,
    bytes: u64,
    hash: Sha256,
    columns: BTreeMap<String, u64>,
    /// The ids of rows, with the line of each.
    ids: BTreeMap<String, u64>,
    faults: Vec<RowFault>,
    fault_count: usize,
}

impl Collector {
    /// How many rows there were so far.
    pub(super) const fn rows(&self) -> usize {
        self.count
    }

    /// Takes a row as JSON text, which begins on a line.
    pub(super) fn text(&mut self, line: u64, text: &[u8]) {
        let Ok(text) = std::str::from_utf8(text) else {
            return self.refuse(line, NOT_UTF_8);
        };
        match serde_json::from_slice(&digits::keep_in_row(text.as_bytes())) {
            Ok(row) => self.row(line, &row),
            Err(error) => {
                let words = error.to_string();
                let (within, column) = (error.line(), error.column());
                let place = format!(" at line {within} column {column}");
                let words = words.strip_suffix(&place).unwrap_or(&words);
                let line = line + (within as u64).saturating_sub(1);
                self.refuse(line, format!("is not JSON: {words} (column {column})"));
            }
        }
    }

    /// Takes a row that begins on a line.
    pub(super) fn row(&mut self, line: u64, row: &Value) {
        self.count += 1;
        let faults = Faults::default();
        let at = Reader::new(row, &faults);
        nul::refuse(&at);
        let row = instance::read(&at);
        if let Some(id) = row.as_ref().and_then(|row| row.get("id"))
            && let Some(before) = self.ids.insert(id.to_string(), line)
        {
            at.fault::<()>(format!(
                "has the id {id} of the row on line {before}; ids must differ"
            ));
        }
        for fault in faults.into_vec() {
            self.note(RowFault {
                line,
                pointer: fault.pointer,
                detail: fault.detail,
            });
        }
        // Once there is a fault nothing is kept of the others but theirs.
        if let Some(row) = row.filter(|_| self.fault_count == 0) {
            for name in row.keys() {
                match self.columns.get_mut(name) {
                    Some(rows) => *rows += 1,
                    None => drop(self.columns.insert(name.clone(), 1)),
                }
            }
            let mut text = Value::Object(row).to_string();
            text.shrink_to_fit();
            self.hash.update(text.as_bytes());
            self.hash.update(b"\n");
            self.bytes += text.len() as u64 + 1;
            self.rows.push(text);
        }
    }

    /// Takes a row that cannot be read.
    pub(super) fn refuse(&mut self, line: u64, detail: impl Into<String>) {
        self.count += 1;
        self.fault(line, detail);
    }

    /// Notes that something is wrong on a line.
    pub(super) fn fault(&mut self, line: u64, detail: impl Into<String>) {
        self.note(RowFault {
            line,
            pointer: String::new(),
            detail: detail.into(),
        });
    }

    fn note(&mut self, fault: RowFault) {
        self.fault_count += 1;
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(fault);
        }
        self.rows = Vec::new();
    }

    /// All rows, where nothing is wrong with them.
    pub(super) fn finish(mut self) -> Result<DatasetRows, Refused> {
        if self.count == 0 && self.fault_count == 0 {
            self.fault(1, "a dataset must hold at least one row");
        }
        if self.fault_count > 0 {
            return Err(Refused::Faults {
                first: self.faults,
                count: self.fault_count,
            });
        }
        let columns = self.columns.into_iter();
        let mut columns: Vec<_> = columns.map(|(name, rows)| Column { name, rows }).collect();
        if columns.len() > MOST_COLUMNS {
            columns.sort_by_key(|column| std::cmp::Reverse(column.rows));
            columns.truncate(MOST_COLUMNS);
            columns.sort_by(|one, other| one.name.cmp(&other.name));
        }
        let digest = self.hash.finalize();
        Ok(DatasetRows {
            rows: self.rows,
            bytes: self.bytes,
            columns,
            sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }
}

/// What is said of bytes that are no text.
pub(super) const NOT_UTF_8: &str = "is not valid UTF-8; save the file as UTF-8";
