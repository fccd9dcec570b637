//! Datasets: rows that are posted once, to be named by many jobs.
//!
//! Bytes are pushed in as they come, and rows are checked one by one by the rules of the rows that a
//! job holds itself. What is kept is their text in one canonical form, so that the same rows are the
//! same dataset whatever they were posted as.

mod array;
mod collector;
mod csv;
mod limits;
mod lines;
mod name;

pub use collector::{Column, DatasetRows, Refused, RowFault};
pub use limits::{Limits, TooLarge};
pub use name::name;

use array::Items;
use collector::Collector;
use csv::Records;
use lines::Lines;

/// What the bytes of a dataset look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A JSON object on each line.
    Lines,
    /// An array of JSON objects.
    Array,
    /// A line of names, then a row on each line. Every field is a text, numbers too.
    Csv,
}

/// UTF-8's byte order mark.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads a dataset from bytes that come in parts.
#[derive(Debug)]
pub struct DatasetReader {
    limits: Limits,
    bytes: u64,
    /// The first bytes, until it is known whether they are a byte order mark.
    head: Option<Vec<u8>>,
    splitter: Splitter,
    collector: Collector,
}

/// Finds the rows among the bytes.
#[derive(Debug)]
enum Splitter {
    Lines(Lines),
    Array(Items),
    Csv(Box<Records>),
}

impl DatasetReader {
    /// A reader that has seen nothing yet.
    #[must_use]
    pub fn new(format: Format, limits: Limits) -> Self {
        Self {
            limits,
            bytes: 0,
            head: Some(Vec::new()),
            splitter: match format {
                Format::Lines => Splitter::Lines(Lines::default()),
                Format::Array => Splitter::Array(Items::default()),
                Format::Csv => Splitter::Csv(Box::default()),
            },
            collector: Collector::default(),
        }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// The dataset has become too large; what follows need not be pushed.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if self.bytes > self.limits.bytes {
            return Err(TooLarge::Bytes(self.limits.bytes));
        }
        match &mut self.head {
            None => self.split(bytes),
            Some(head) => {
                head.extend_from_slice(bytes);
                if head.len() >= BYTE_ORDER_MARK.len() || !BYTE_ORDER_MARK.starts_with(head) {
                    self.begin();
                }
            }
        }
        self.within()
    }

    /// All rows, once all bytes were pushed.
    ///
    /// # Errors
    /// What is wrong with the rows, or there are too many.
    pub fn finish(mut self) -> Result<DatasetRows, Refused> {
        self.begin();
        match &mut self.splitter {
            Splitter::Lines(lines) => lines.finish(&mut self.collector),
            Splitter::Array(items) => items.finish(&mut self.collector),
            Splitter::Csv(records) => records.finish(&mut self.collector),
        }
        self.within().map_err(Refused::TooLarge)?;
        self.collector.finish()
    }

    /// Goes on from the first bytes to the others.
    fn begin(&mut self) {
        if let Some(head) = self.head.take() {
            self.split(head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&head));
        }
    }

    fn split(&mut self, bytes: &[u8]) {
        match &mut self.splitter {
            Splitter::Lines(lines) => lines.push(bytes, &mut self.collector),
            Splitter::Array(items) => items.push(bytes, &mut self.collector),
            Splitter::Csv(records) => records.push(bytes, &mut self.collector),
        }
    }

    fn within(&self) -> Result<(), TooLarge> {
        match self.collector.rows() > self.limits.rows {
            true => Err(TooLarge::Rows(self.limits.rows)),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
