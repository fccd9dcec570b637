//! Which of several choices a text names.

/// The position of the first choice that a text names, if any.
///
/// A choice is named where it stands by itself: no letter or digit directly before or behind
/// it, nor an apostrophe that ties it to one (`I'm` does not name `I`). `A`, `(A)`, `A.` and
/// `**A**` all name `A`. Of several choices at the same place the longest counts.
pub(crate) fn first_named(text: &str, choices: &[String]) -> Option<usize> {
    text.char_indices().find_map(|(start, _)| {
        choices
            .iter()
            .enumerate()
            .filter(|(_, choice)| {
                text[start..].starts_with(choice.as_str())
                    && stands_alone(text, start, start + choice.len(), choice)
            })
            .max_by_key(|(_, choice)| choice.len())
            .map(|(index, _)| index)
    })
}

fn stands_alone(text: &str, start: usize, end: usize, choice: &str) -> bool {
    let word_begins = choice.chars().next().is_some_and(char::is_alphanumeric);
    let word_ends = choice
        .chars()
        .next_back()
        .is_some_and(char::is_alphanumeric);
    let before = word_begins && goes_on(text[..start].chars().rev());
    let behind = word_ends && goes_on(text[end..].chars());
    !before && !behind
}

/// Whether a word goes on with these characters.
fn goes_on(mut characters: impl Iterator<Item = char>) -> bool {
    match characters.next() {
        Some('\'' | '\u{2019}') => characters.next().is_some_and(char::is_alphanumeric),
        Some(character) => character.is_alphanumeric(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_choice_is_named_where_it_stands_by_itself() {
        let letters = ["A", "B", "C", "D", "I"];
        let cities = ["New York", "New York City", "York"];
        let cases: &[(&str, &[&str], Option<usize>)] = &[
            ("B", &letters, Some(1)),
            ("The answer is (B).", &letters, Some(1)),
            ("**C**: because", &letters, Some(2)),
            ("I'm sure: D", &letters, Some(3)),
            ("Answer:B", &letters, Some(1)),
            ("Because", &letters, None),
            ("b", &letters, None),
            ("", &letters, None),
            ("C, not D", &letters, Some(2)),
            ("in New York City", &cities, Some(1)),
            ("in New Yorks", &cities, None),
            ("pick (b)", &["(a)", "(b)"], Some(1)),
            ("pick x(b)y", &["(a)", "(b)"], Some(1)),
            ("là é", &["é"], Some(0)),
        ];
        for (text, choices, expected) in cases {
            let choices: Vec<String> = choices.iter().map(ToString::to_string).collect();
            assert_eq!(first_named(text, &choices), *expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_named_choice_is_in_the_text(text in any::<String>(), choices in prop::collection::vec("[a-cé(]{1,3}", 1..5)) {
            if let Some(index) = first_named(&text, &choices) {
                prop_assert!(text.contains(&choices[index]));
            }
        }
    }
}
