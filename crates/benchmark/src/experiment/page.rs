//! What an experiment found, and the files that tell it.

use super::plot::Plot;
use crate::spread::{Spread, fixed};
use anyhow::Context;
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;

/// What an experiment found.
#[derive(Debug, Default)]
pub struct Findings {
    /// What was run on what.
    pub set_up: String,
    /// What came of it, in two sentences made of what was measured.
    pub answer: [String; 2],
    /// What one would not have expected of the method, as this run shows it.
    pub surprises: Vec<String>,
    /// What would change the answer, as one expects of the method: nothing of it was measured.
    pub would_change: String,
    /// Figures.
    pub plots: Vec<Plot>,
    /// Numbers.
    pub tables: Vec<Table>,
}

/// A table, written as CSV; a page shows those that are short.
#[derive(Debug, Clone, Serialize)]
pub struct Table {
    /// The name of its file, without the ending.
    pub name: &'static str,
    /// What it shows.
    pub caption: String,
    /// What stands above the columns.
    pub columns: Vec<String>,
    /// The rows, as wide as the columns.
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table.
    pub fn new<const N: usize>(
        name: &'static str,
        caption: impl Into<String>,
        columns: [&str; N],
    ) -> Self {
        Self {
            name,
            caption: caption.into(),
            columns: columns.map(str::to_owned).to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn push<const N: usize>(&mut self, row: [Cell; N]) {
        self.rows.push(row.to_vec());
    }
}

/// What stands in a table.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Cell {
    /// A text.
    Text(String),
    /// A number.
    Number(f64),
    /// A count.
    Count(u64),
    /// A mean with its standard error.
    Spread(Spread),
    /// Nothing was measured.
    Nothing,
}

impl Cell {
    /// How many of some are so.
    pub fn count<T>(all: &[T], is: impl Fn(&T) -> bool) -> Self {
        Self::Count(all.iter().filter(|one| is(one)).count() as u64)
    }

    /// As a page has it.
    fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => shown(*number),
            Self::Count(count) => count.to_string(),
            Self::Spread(spread) if spread.count == 0 => "-".to_owned(),
            Self::Spread(spread) => spread.show(3),
            Self::Nothing => "-".to_owned(),
        }
    }

    /// As CSV has it, where a mean has its error in a column of its own.
    fn fields(&self) -> [String; 2] {
        match self {
            Self::Text(text) => [text.clone(), String::new()],
            Self::Number(number) => [fixed(*number, 6), String::new()],
            Self::Count(count) => [count.to_string(), String::new()],
            Self::Spread(spread) if spread.count == 0 => [String::new(), String::new()],
            Self::Spread(spread) => [fixed(spread.mean, 6), fixed(spread.error, 6)],
            Self::Nothing => [String::new(), String::new()],
        }
    }
}

/// A number as people read it.
fn shown(number: f64) -> String {
    match number.abs() {
        size if size >= 1000.0 => fixed(number, 0),
        size if size >= 10.0 => fixed(number, 1),
        _ => fixed(number, 3),
    }
}

/// Several in a sentence.
pub fn list<T: ToString>(several: &[T]) -> String {
    let several: Vec<String> = several.iter().map(ToString::to_string).collect();
    several.join(", ")
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<Spread> for Cell {
    fn from(spread: Spread) -> Self {
        Self::Spread(spread)
    }
}

impl From<Option<Spread>> for Cell {
    fn from(spread: Option<Spread>) -> Self {
        spread.map_or(Self::Nothing, Self::Spread)
    }
}

/// How a run came about.
#[derive(Debug, Clone, Serialize)]
pub struct Made {
    /// The command that repeats it.
    pub command: String,
    /// How many seeds.
    pub seeds: u64,
    /// How long it took.
    pub seconds: f64,
    /// Jobs that ran side by side.
    pub threads: usize,
}

/// The most rows of a table that a page shows.
const SHOWN_ROWS: usize = 16;

/// Writes the page of an experiment, its figures and its numbers, each name beginning with the
/// experiment's.
///
/// # Errors
/// Something cannot be drawn or written.
pub fn write(
    folder: &Path,
    name: &str,
    title: &str,
    question: &str,
    findings: &Findings,
    made: &Made,
) -> anyhow::Result<()> {
    let put = |ending: &str, text: &str| {
        let path = folder.join(format!("{name}{ending}"));
        std::fs::write(&path, text).with_context(|| path.display().to_string())
    };
    for plot in &findings.plots {
        put(&format!(".{}.svg", plot.name), &plot.svg()?)?;
    }
    for table in &findings.tables {
        put(&format!(".{}.csv", table.name), &csv(table)?)?;
    }
    put(
        ".json",
        &format!("{:#}\n", document(name, question, findings, made)),
    )?;
    put(".md", &markdown(name, title, question, findings, made))
}

fn csv(table: &Table) -> anyhow::Result<String> {
    // A column of errors stands beside every column of means.
    let with_error: Vec<bool> = (0..table.columns.len())
        .map(|column| {
            let mut cells = table.rows.iter().filter_map(|row| row.get(column));
            cells.any(|cell| matches!(cell, Cell::Spread(_)))
        })
        .collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header = table.columns.iter().zip(&with_error);
    let header = header.flat_map(|(column, with_error)| {
        let error = with_error.then(|| format!("{column}, standard error"));
        std::iter::once(column.clone()).chain(error)
    });
    writer.write_record(header)?;
    for row in &table.rows {
        let fields = row.iter().zip(&with_error).flat_map(|(cell, with_error)| {
            let [value, error] = cell.fields();
            std::iter::once(value).chain(with_error.then_some(error))
        });
        writer.write_record(fields)?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

fn document(name: &str, question: &str, findings: &Findings, made: &Made) -> Value {
    let tables = findings.tables.iter().map(|table| {
        let rows = table.rows.iter().map(|row| {
            let fields = table.columns.iter().zip(row);
            let fields = fields.map(|(column, cell)| (column.clone(), json!(cell)));
            Value::Object(fields.collect())
        });
        (table.name.to_owned(), rows.collect::<Value>())
    });
    json!({
        "experiment": name,
        "question": question,
        "answer": findings.answer,
        "surprises": findings.surprises,
        "made": made,
        "tables": tables.collect::<serde_json::Map<String, Value>>(),
    })
}

fn markdown(name: &str, title: &str, question: &str, findings: &Findings, made: &Made) -> String {
    let mut page = format!(
        "# {title}\n\n**Question.** {question}\n\n**Answer.** {}\n\n## Set-up\n\n{}\n\n## Figures\n",
        findings.answer.join(" "),
        findings.set_up
    );
    for plot in &findings.plots {
        let file = format!("{name}.{}.svg", plot.name);
        put(
            &mut page,
            &format!("\n![{0}]({file})\n\n*{0}*\n", plot.caption),
        );
    }
    put(&mut page, "\n## Numbers\n");
    for table in &findings.tables {
        let file = format!("{name}.{}.csv", table.name);
        put(&mut page, &format!("\n[{}]({file})", table.caption));
        if table.rows.len() > SHOWN_ROWS {
            put(&mut page, &format!(": {} rows.\n", table.rows.len()));
            continue;
        }
        put(
            &mut page,
            &format!("\n\n| {} |\n", table.columns.join(" | ")),
        );
        put(
            &mut page,
            &format!("|{}\n", " --- |".repeat(table.columns.len())),
        );
        for row in &table.rows {
            let cells: Vec<String> = row.iter().map(Cell::shown).collect();
            put(&mut page, &format!("| {} |\n", cells.join(" | ")));
        }
    }
    put(&mut page, "\n## Surprises\n\n");
    if findings.surprises.is_empty() {
        put(&mut page, "None: what was looked out for did not happen.\n");
    }
    for surprise in &findings.surprises {
        put(&mut page, &format!("- {surprise}\n"));
    }
    put(
        &mut page,
        &format!(
            "\n## What would change it\n\nExpected, not measured: {}\n\n## How it was made\n\n```sh\n{}\n```\n\n{} seeds; {:.0} s on {} threads. \
             Every number, with its standard error, is in [{name}.json]({name}.json) too.\n",
            findings.would_change, made.command, made.seeds, made.seconds, made.threads
        ),
    );
    page
}

fn put(page: &mut String, text: &str) {
    // Writing to a text does not fail.
    let _written = page.write_str(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Findings {
        let mut table = Table::new("shares", "Shares", ["way", "share"]);
        table.push(["off, say".into(), Spread::of(&[0.25, 0.75]).into()]);
        table.push(["on".into(), Cell::Nothing]);
        table.push(["none".into(), Spread::NOTHING.into()]);
        Findings {
            answer: ["It is so.".to_owned(), "It need not be.".to_owned()],
            tables: vec![table],
            ..Findings::default()
        }
    }

    #[test]
    fn a_mean_has_its_error_in_a_column_of_its_own() {
        let text = csv(&findings().tables[0]).unwrap();
        assert_eq!(
            text,
            "way,share,\"share, standard error\"\n\"off, say\",0.500000,0.250000\non,,\nnone,,\n"
        );
    }

    #[test]
    fn a_page_and_its_files_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let made = Made {
            command: "frugal-benchmark experiment one".to_owned(),
            seeds: 2,
            seconds: 1.0,
            threads: 2,
        };
        write(folder.path(), "one", "One", "Is it?", &findings(), &made).unwrap();
        let page = std::fs::read_to_string(folder.path().join("one.md")).unwrap();
        assert!(
            page.contains("**Answer.** It is so. It need not be."),
            "{page}"
        );
        assert!(page.contains("| off, say | 0.500 ± 0.250 |"), "{page}");
        let text = std::fs::read_to_string(folder.path().join("one.json")).unwrap();
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["tables"]["shares"][0]["share"]["mean"], 0.5);
    }
}
