//! Where the answer is in a response.

use super::reading::{choice, reads_as_mathematics};
use crate::number::numbers;
use regex::Regex;
use std::sync::LazyLock;

/// The longest response that is searched: of a longer one, so much of its end, where answers are.
const MAX_SEARCHED: usize = 20_000;
/// The most words at the end of a line that are tried as mathematics.
const MAX_WORDS: usize = 24;

/// What an answer stands behind. `####` is how GSM8K has it.
static MARKS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)\banswer(?:\s+to\s+[^\n.:]{0,60})?\s*(?:\*\*)?\s*(?:\s+is\b|\s+are\b|:|=)\s*(?:\*\*)?\s*:?|\banswer\(|<answer>|####|\banswers\s+(?:is|are)\b\s*:?")
        .ok()
});

/// The part of a response that is its answer. The first of these that there is:
///
/// 1. what is in the last `\boxed{…}` or `\fbox{…}`, and in those that `and`, `or` or a comma ties to it;
/// 2. what follows the last `answer is`, `answer:`, `<answer>` or `####`, up to the end of its sentence or line: the
///    mathematics in it where it has marks around it, and otherwise all of it;
/// 3. the last mathematics between `$…$`, `$$…$$`, `\(…\)` or `\[…\]`, unless a number follows it;
/// 4. the longest end of the last line that reads as mathematics;
/// 5. the last number.
pub(crate) fn answer(response: &str) -> Option<&str> {
    let response = end_of(response);
    if let Some(last) = last_box(response) {
        let boxes = boxes(response, last);
        // A box that is not closed was cut, and its answer with it.
        if boxes.is_some() || box_content(response, last).trim_start().starts_with('{') {
            return boxes;
        }
    }
    if let Some(marked) = MARKS
        .as_ref()
        .and_then(|marks| marks.find_iter(response).last())
        && let Some(sentence) = sentence(&response[marked.end()..])
    {
        // `Answer("5")`, as where answers are calls.
        if marked.as_str().ends_with('(')
            && let Some((inside, _)) = sentence.rsplit_once(')')
        {
            return Some(inside);
        }
        // A choice stands in front of what it says.
        return match choice(sentence) {
            Some(_) => Some(sentence),
            None => Some(between_marks(sentence).unwrap_or(sentence)),
        };
    }
    let last_number = numbers(response).last().map(|number| number.text);
    if let Some(found) = between_marks(response) {
        let end = place(response, found) + found.len();
        let is_last = last_number.is_none_or(|number| place(response, number) < end);
        if is_last {
            return Some(found);
        }
    }
    end_of_line(response).or(last_number)
}

/// Where a part of a text begins in it.
fn place(text: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize)
}

fn end_of(text: &str) -> &str {
    let mut start = text.len().saturating_sub(MAX_SEARCHED);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// What is in the braces of the last `\boxed`; nothing where they are not closed.
pub(crate) fn boxed(text: &str) -> Option<&str> {
    let (_, after) = text.rsplit_once("\\boxed")?;
    braced(after)
}

/// What is in the braces that a text begins with.
fn braced(text: &str) -> Option<&str> {
    let inside = text.trim_start().strip_prefix('{')?;
    let mut depth = 1_usize;
    let mut is_escaped = false;
    for (place, character) in inside.char_indices() {
        match character {
            _ if is_escaped => {}
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        is_escaped = character == '\\' && !is_escaped;
        if depth == 0 {
            return Some(&inside[..place]);
        }
    }
    None
}

/// What is in the last box, or the boxes at the end that belong together with what is between them.
fn boxes(text: &str, last: usize) -> Option<&str> {
    let (inside, end) = open(text, last)?;
    let mut start = last;
    while let Some(before) = last_box(&text[..start]) {
        let Some((_, its_end)) = open(&text[..start], before) else {
            break;
        };
        let between = text[its_end..start].replace(['$', ' ', '\n'], "");
        if !matches!(between.as_str(), "," | "and" | "or" | ",and" | ",or" | ";") {
            break;
        }
        start = before;
    }
    Some(if start == last {
        inside
    } else {
        &text[start..end]
    })
}

fn last_box(text: &str) -> Option<usize> {
    text.rfind("\\boxed").max(text.rfind("\\fbox"))
}

/// What follows the command of a box.
fn box_content(text: &str, start: usize) -> &str {
    let command = ["\\boxed", "\\fbox"].iter();
    let mut after = command.filter_map(|command| text[start..].strip_prefix(command));
    after.next().unwrap_or_default()
}

/// What is in a box, and where the box ends.
fn open(text: &str, start: usize) -> Option<(&str, usize)> {
    let after = box_content(text, start);
    if let Some(inside) = braced(after) {
        return Some((inside, place(text, inside) + inside.len() + 1));
    }
    // `\boxed 5`
    let bare = after.strip_prefix(' ')?;
    let end = bare.find(|c: char| c.is_whitespace() || c == '$');
    let inside = &bare[..end.unwrap_or(bare.len())];
    let is_bare = !inside.is_empty() && !inside.starts_with('{');
    is_bare.then(|| (inside, place(text, inside) + inside.len()))
}

/// A text up to the end of its first sentence or line that is not blank.
fn sentence(text: &str) -> Option<&str> {
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ':' | '*' | '}'));
    // A display may begin a line of its own, and end lines later.
    let is_display = ["$$", "\\["].iter().any(|mark| text.starts_with(mark));
    let text = text.split("</answer>").next().unwrap_or_default();
    let line = match is_display {
        true => text,
        false => text.lines().next().unwrap_or_default(),
    };
    let ends = line.match_indices(['.', '!', '?']);
    let end = ends.map(|(place, mark)| (place, &line[place + mark.len()..]));
    let end = end
        .filter(|(_, after)| after.starts_with(' '))
        .filter(|(place, _)| line[..*place].matches('$').count().is_multiple_of(2))
        .map(|(place, _)| place)
        .next();
    let sentence = line[..end.unwrap_or(line.len())].trim();
    // Reasons are no part of it.
    let clauses = [
        " because ",
        " since ",
        " which ",
        " so that ",
        ", so ",
        " as we ",
    ];
    let end = clauses
        .iter()
        .filter_map(|clause| sentence.find(clause))
        .min();
    let sentence = sentence[..end.unwrap_or(sentence.len())].trim_end_matches([',', ' ', '*']);
    (!sentence.is_empty()).then_some(sentence)
}

/// The last mathematics that is marked as such, and what `and`, `or` or a comma ties to it.
fn between_marks(text: &str) -> Option<&str> {
    let mut spans: Vec<(usize, usize)> = Vec::new();
    let mut at = 0;
    while let Some((start, end)) = next_span(text, at) {
        let is_tied = spans.last().is_some_and(|(_, before)| {
            let between = text[*before..start].trim().to_lowercase();
            matches!(between.as_str(), "," | "and" | "or" | ", and" | ", or")
        });
        match spans.last_mut() {
            Some((_, before)) if is_tied => *before = end,
            _ => spans.push((start, end)),
        }
        at = end;
    }
    // `and` may stand before words that are no mathematics, as in `$5$ and more`.
    let (start, end) = *spans.last()?;
    Some(&text[start..end])
}

/// The next marked mathematics from a place on, marks included.
fn next_span(text: &str, from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    loop {
        let rest = &text[at..];
        let first = rest.find(['$', '\\'])?;
        let start = at + first;
        let rest = &text[start..];
        let closing = if rest.starts_with("$$") {
            Some(("$$", "$$"))
        } else if rest.starts_with("\\[") {
            Some(("\\[", "\\]"))
        } else if rest.starts_with("\\(") {
            Some(("\\(", "\\)"))
        } else {
            None
        };
        if let Some((open, close)) = closing
            && let Some(length) = rest[open.len()..].find(close)
            && length > 0
        {
            return Some((start, start + open.len() + length + close.len()));
        }
        if closing.is_none()
            && rest.starts_with('$')
            && let Some(length) = inline(&rest[1..])
        {
            return Some((start, start + length + 2));
        }
        // `\$` is money.
        let skipped = rest.strip_prefix('\\').unwrap_or(rest);
        let next = skipped.chars().next().map_or(1, char::len_utf8);
        at = start + next + usize::from(rest.starts_with('\\'));
        at = at.min(text.len());
    }
}

/// How long the mathematics behind a `$` is, where it is one: nothing but a number of dollars may have a space
/// behind its mark or a digit behind the next.
fn inline(text: &str) -> Option<usize> {
    let mut at = 0;
    let length = loop {
        let found = at + text[at..].find('$')?;
        if !text[..found].ends_with('\\') {
            break found;
        }
        at = found + 1;
    };
    let inside = &text[..length];
    let after = text[length + 1..].chars().next();
    let is_mathematics = !inside.is_empty()
        && !inside.contains('\n')
        && !inside.ends_with(' ')
        && !inside.starts_with(' ')
        && !after.is_some_and(|c| c.is_ascii_digit());
    is_mathematics.then_some(length)
}

/// The longest end of the last line that reads as mathematics.
fn end_of_line(text: &str) -> Option<&str> {
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    let starts = line
        .char_indices()
        .filter(|(place, _)| {
            let before = line[..*place].chars().next_back();
            before.is_none_or(char::is_whitespace)
        })
        .map(|(place, _)| place);
    let mut starts: Vec<usize> = starts.collect();
    let words = starts.len();
    starts.drain(..words.saturating_sub(MAX_WORDS));
    let ends = starts.into_iter().map(|start| line[start..].trim_start());
    let is_article =
        |end: &str| end.starts_with("a ") || end.starts_with("I ") || end.starts_with("A ");
    let mut found = ends.filter(|end| !is_article(end) && reads_as_mathematics(end));
    let found = found.next();
    // A line that is all words is an answer in words where there is nothing else.
    found.or_else(|| (words <= 3 && text.trim() == line).then_some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_found_in_the_order_of_the_rules() {
        for (response, found) in [
            ("$1$, the answer is 2, \\boxed{3}", Some("3")),
            (
                "\\boxed{1}, no, it must be \\boxed{\\frac{1}{2}}.",
                Some("\\frac{1}{2}"),
            ),
            (
                "\\boxed{1} and \\boxed{2}",
                Some("\\boxed{1} and \\boxed{2}"),
            ),
            ("\\boxed 5", Some("5")),
            ("\\boxed{5", None),
            ("The answer is 4. It is not 5.", Some("4")),
            ("The answer is $4$ or $5$, as $6$ is not.", Some("$6$")),
            ("Answer: 3.5\nThat is all of 7.", Some("3.5")),
            ("<answer>12</answer> 13", Some("12")),
            ("Action: Answer(\"C\")", Some("\"C\"")),
            ("1 + 1\n#### 2\n", Some("2")),
            ("It is $x = 1$ and $x = 2$.", Some("$x = 1$ and $x = 2$")),
            ("With $x = 1$ she has 7 apples", Some("7 apples")),
            ("It costs $5 and $6.", Some("$5 and $6.")),
            ("So it is \\frac{3}{4}", Some("\\frac{3}{4}")),
            ("no", Some("no")),
            ("I cannot tell at all", None),
            ("", None),
        ] {
            assert_eq!(answer(response), found, "{response}");
        }
    }

    #[test]
    fn the_end_of_a_long_response_is_searched() {
        let response = format!("{}\nThe answer is 5.", "é1 ".repeat(MAX_SEARCHED));
        assert_eq!(answer(&response), Some("5."));
    }
}
