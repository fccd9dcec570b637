//! Rows as comma-separated values (RFC 4180) below a line of names.

use super::collector::{Collector, NOT_UTF_8};
use csv_core::{ReadRecordResult, Reader};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Finds the records.
#[derive(Debug)]
pub(super) struct Records {
    reader: Reader,
    /// The fields of the record under way, one after the other, and where each ends.
    fields: Vec<u8>,
    filled: usize,
    ends: Vec<usize>,
    ended: usize,
    /// The line of the next byte, from 1.
    line: u64,
    /// The line on which the record under way begins; nothing between two records.
    begun: Option<u64>,
    header: Header,
}

/// The names of the columns.
#[derive(Debug, Default)]
enum Header {
    #[default]
    Unread,
    Names(Vec<String>),
    /// They make no sense, so no row can be read.
    Broken,
}

impl Default for Records {
    fn default() -> Self {
        Self {
            reader: Reader::new(),
            fields: vec![0; 1024],
            filled: 0,
            ends: vec![0; 32],
            ended: 0,
            line: 1,
            begun: None,
            header: Header::default(),
        }
    }
}

impl Records {
    pub(super) fn push(&mut self, bytes: &[u8], rows: &mut Collector) {
        let mut rest = bytes;
        loop {
            if self.begun.is_none() {
                rest = self.skip_blank(rest);
                self.begun = (!rest.is_empty()).then_some(self.line);
            }
            // No input would mean the end of it.
            if rest.is_empty() {
                return;
            }
            let (result, read) = self.step(rest);
            rest = rest.get(read..).unwrap_or_default();
            if result == ReadRecordResult::Record {
                self.end(rows);
            }
        }
    }

    pub(super) fn finish(&mut self, rows: &mut Collector) {
        let Some(begun) = self.begun else {
            return;
        };
        // A line's end ends the last record too, unless it stands in quotes.
        loop {
            match self.step(b"\n") {
                (ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull, 0) => {}
                (ReadRecordResult::Record, _) => return self.end(rows),
                _ => break,
            }
        }
        rows.fault(
            begun,
            "a quote is opened in this row and never closed; close it, or write a quote within a \
             field as two",
        );
    }

    /// Passes over line ends between records.
    fn skip_blank<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let blank = bytes.iter().take_while(|byte| is_end(byte)).count();
        let (blank, rest) = bytes.split_at(blank);
        self.line += line_ends(blank);
        rest
    }

    /// Reads on in the record under way, and says how many bytes were read.
    fn step(&mut self, bytes: &[u8]) -> (ReadRecordResult, usize) {
        let (result, read, written, ended) = self.reader.read_record(
            bytes,
            &mut self.fields[self.filled..],
            &mut self.ends[self.ended..],
        );
        self.line += line_ends(&bytes[..read]);
        self.filled += written;
        self.ended += ended;
        match result {
            ReadRecordResult::OutputFull => self.fields.resize(2 * self.fields.len(), 0),
            ReadRecordResult::OutputEndsFull => self.ends.resize(2 * self.ends.len(), 0),
            _ => {}
        }
        (result, read)
    }

    /// Ends the record under way.
    fn end(&mut self, rows: &mut Collector) {
        let line = self.begun.take().unwrap_or(self.line);
        let ended = self.ended;
        (self.filled, self.ended) = (0, 0);
        if matches!(self.header, Header::Broken) {
            return;
        }
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let places = starts.zip(&self.ends[..ended]);
        let texts = places.map(|(start, end)| std::str::from_utf8(&self.fields[start..*end]));
        let Ok(fields) = texts.collect::<Result<Vec<&str>, _>>() else {
            if matches!(self.header, Header::Unread) {
                self.header = Header::Broken;
            }
            return rows.refuse(line, NOT_UTF_8);
        };
        match &self.header {
            Header::Names(names) => match fields.as_slice() {
                [blank] if names.len() > 1 && blank.trim().is_empty() => {}
                fields if fields.len() != names.len() => rows.refuse(line, unequal(fields, names)),
                fields => {
                    let texts = fields.iter().map(|field| Value::from(*field));
                    let row: Map<_, _> = names.iter().cloned().zip(texts).collect();
                    rows.row(line, &Value::Object(row));
                }
            },
            _ => {
                let names: Vec<String> = fields.into_iter().map(str::to_owned).collect();
                let faults = faults_of_names(&names);
                self.header = match faults.is_empty() {
                    true => Header::Names(names),
                    false => Header::Broken,
                };
                for fault in faults {
                    rows.fault(line, fault);
                }
            }
        }
    }
}

fn unequal(fields: &[&str], names: &[String]) -> String {
    let (fields, names) = (fields.len(), names.len());
    format!(
        "the number of fields is {fields}, and the first line names {names}; put fields that hold \
         commas or line breaks in double quotes"
    )
}

fn faults_of_names(names: &[String]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut faults = Vec::new();
    for (index, name) in names.iter().enumerate() {
        if name.trim().is_empty() {
            let number = index + 1;
            faults.push(format!(
                "column {number} has no name; the first line must name every column"
            ));
        } else if !seen.insert(name) {
            faults.push(format!(
                "the column `{name}` is there twice; give each a name of its own"
            ));
        }
    }
    faults
}

fn line_ends(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}
