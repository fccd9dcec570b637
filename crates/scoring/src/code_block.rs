//! Fenced blocks of code within running text.

/// What is between the first line that begins with a fence and the next line that is as good a one. A
/// block that is not closed goes on to the end: it was cut.
pub(crate) fn first_code_block(text: &str) -> Option<&str> {
    let mut fence = None;
    let mut place = 0;
    for line in text.split_inclusive('\n') {
        let start = place;
        place += line.len();
        let marks = line.trim_start();
        let length = marks.len() - marks.trim_start_matches('`').len();
        match fence {
            None if length >= 3 && !marks[length..].contains('`') => fence = Some((place, length)),
            Some((from, opened)) if length >= opened && marks[length..].trim().is_empty() => {
                return Some(&text[from..start]);
            }
            _ => {}
        }
    }
    fence.map(|(from, _)| &text[from..])
}
