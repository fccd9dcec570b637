//! How figures are shown.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};

/// A table with all columns but the first to the right.
pub fn new<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The first quartile, the median and the third quartile, by linear interpolation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quartiles {
    /// The first quartile.
    pub low: f64,
    /// The median.
    pub median: f64,
    /// The third quartile.
    pub high: f64,
}

impl Quartiles {
    /// Those of some values; nothing of none.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        values.sort_by(f64::total_cmp);
        let last = values.len() - 1;
        let at = |quarter: usize| {
            let (whole, part) = (quarter * last / 4, quarter * last % 4);
            let next = values[(whole + 1).min(last)];
            let share = [0.0, 0.25, 0.5, 0.75][part];
            values[whole] + share * (next - values[whole])
        };
        Some(Self {
            low: at(1),
            median: at(2),
            high: at(3),
        })
    }

    /// The median and, in brackets, the quartiles, with so many decimals.
    pub fn show(self, decimals: usize) -> String {
        let Self { low, median, high } = self;
        format!("{median:.decimals$} ({low:.decimals$}–{high:.decimals$})")
    }
}

/// The quartiles of some values as text; `-` of none.
pub fn quartiles(values: Vec<f64>, decimals: usize) -> String {
    Quartiles::of(values).map_or_else(|| "-".to_owned(), |found| found.show(decimals))
}

/// Whether a wish came true, so that a failure is seen.
pub const fn yes(holds: bool) -> &'static str {
    if holds { "yes" } else { "NO" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_interpolated() {
        let found = Quartiles::of(vec![4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((found.low, found.median, found.high), (1.75, 2.5, 3.25));
        let one = Quartiles::of(vec![7.0]).unwrap();
        assert_eq!((one.low, one.median, one.high), (7.0, 7.0, 7.0));
        assert_eq!(quartiles(vec![1.0, 2.0, 3.0], 1), "2.0 (1.5–2.5)");
        assert_eq!(quartiles(Vec::new(), 1), "-");
    }
}
