//! `choice`: the first of the choices that the extracted text names is the expected one.

use super::{Common, Kind, right};
use crate::extract::Extractor;
use crate::fold::{FoldFields, Folding};
use crate::scorer_error::{ScoreError, ScorerError, cut};
use crate::verdict::Verdict;
use aho_corasick::AhoCorasick;
use frugal_domain::fault::{ObjectReader, Reader};
use frugal_domain::scoring::{CorpusCounts, Observation};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// The compiled scorer.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    choices: Vec<String>,
    /// Finds them all in one pass, however many there are.
    finder: AhoCorasick,
    folding: Folding,
}

/// Its own fields.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Fields {
    /// All choices, such as `["A", "B", "C", "D"]`.
    choices: Vec<String>,
    #[serde(flatten)]
    folding: FoldFields,
}

impl Kind for Choice {
    type Fields = Fields;
    /// The position of the right choice.
    type Wanted = usize;
    const NAME: &'static str = "choice";
    const HAS_ANSWERS: bool = true;

    fn read(object: &ObjectReader<'_>) -> Option<Fields> {
        let choices = object.require("choices", "list what may be chosen, such as [\"A\", \"B\"]");
        let folding = FoldFields::read(object);
        let choices = read_choices(&choices?)?;
        Some(Fields {
            choices,
            folding: folding?,
        })
    }

    fn compile(fields: Fields, _: &Common) -> Result<Self, ScorerError> {
        let folding = Folding::from(fields.folding);
        let folded = |choice: &String| folding.fold(choice.trim());
        let choices: Vec<String> = fields.choices.iter().map(folded).collect();
        let choices = check_choices(&choices)?;
        let finder = finder(&choices).map_err(|error| ScorerError {
            field: "choices",
            detail: format!("cannot be searched for: {error}; give fewer or shorter ones"),
        })?;
        Ok(Self {
            choices,
            finder,
            folding,
        })
    }

    fn wanted(&self, expected: &str) -> Result<usize, ScoreError> {
        let expected_choice = self.folding.fold(expected);
        let mut choices = self.choices.iter();
        let position = choices.position(|choice| *choice == expected_choice);
        position.ok_or_else(|| ScoreError::NotAChoice {
            text: cut(expected),
        })
    }

    fn verdict(&self, wanted: &usize, extractor: &Extractor, response: &str) -> Verdict {
        let named = self.named(extractor, response);
        let is_right = named == Some(*wanted);
        // A response that names no choice says nothing: it lowers the recall alone.
        let counts = CorpusCounts::Overlap {
            common: u32::from(is_right),
            response: u32::from(named.is_some()),
            reference: 1,
        };
        Verdict::Score(Observation {
            counts: Some(counts),
            ..right(is_right).into()
        })
    }

    fn answer(&self, _: &usize, extractor: &Extractor, response: &str) -> Option<String> {
        let named = self.named(extractor, response)?;
        self.choices.get(named).cloned()
    }
}

impl Choice {
    /// The position of the choice that a response names.
    fn named(&self, extractor: &Extractor, response: &str) -> Option<usize> {
        let text = extractor.apply(response)?;
        first_named(&self.folding.fold(&text), &self.choices, &self.finder)
    }
}

/// Finds all occurrences, also those that overlap.
fn finder(choices: &[String]) -> Result<AhoCorasick, aho_corasick::BuildError> {
    AhoCorasick::new(choices)
}

fn read_choices(at: &Reader<'_>) -> Option<Vec<String>> {
    let places = at.filled_array("choice")?;
    let mut choices: Vec<String> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut complete = true;
    for place in &places {
        match place.filled_string() {
            Some(choice) if !seen.insert(choice) => {
                place.fault::<()>("is in the list twice; name each choice once");
                complete = false;
            }
            Some(choice) => choices.push(choice.to_owned()),
            None => complete = false,
        }
    }
    complete.then_some(choices)
}

fn check_choices(choices: &[String]) -> Result<Vec<String>, ScorerError> {
    let fault = |detail: &str| {
        Err(ScorerError {
            field: "choices",
            detail: detail.to_owned(),
        })
    };
    let choices: Vec<String> = choices
        .iter()
        .map(|choice| choice.trim().to_owned())
        .collect();
    if choices.is_empty() {
        return fault("must name at least one choice");
    }
    if choices.iter().any(String::is_empty) {
        return fault("a choice must not be blank");
    }
    if choices.iter().collect::<BTreeSet<_>>().len() < choices.len() {
        return fault("names a choice twice");
    }
    Ok(choices)
}

/// The position of the first choice that a text names, if any.
///
/// A choice is named where it stands by itself: no letter or digit directly before or behind
/// it, nor an apostrophe that ties it to one (`I'm` does not name `I`). `A`, `(A)`, `A.` and
/// `**A**` all name `A`. Of several choices at the same place the longest counts.
fn first_named(text: &str, choices: &[String], finder: &AhoCorasick) -> Option<usize> {
    let longest = choices.iter().map(String::len).max().unwrap_or(0);
    let mut first: Option<(usize, Reverse<usize>, usize)> = None;
    for found in finder.find_overlapping_iter(text) {
        // They come by where they end: from here on none begins before the first, or at it.
        if first.is_some_and(|(start, ..)| found.end() > start + longest) {
            break;
        }
        let index = found.pattern().as_usize();
        let place = (found.start(), Reverse(found.len()), index);
        if first.is_none_or(|first| place < first)
            && stands_alone(text, found.start(), found.end(), &choices[index])
        {
            first = Some(place);
        }
    }
    first.map(|(.., index)| index)
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
    use crate::scorers::testing::check;
    use proptest::prelude::*;
    use serde_json::json;

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
            let named = first_named(text, &choices, &finder(&choices).unwrap());
            assert_eq!(named, *expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_named_is_what_looking_at_each_place_finds(
            text in "[a-d(' é]{0,24}",
            choices in prop::collection::btree_set("[a-c(é]{1,4}", 1..6),
        ) {
            let choices: Vec<String> = choices.into_iter().collect();
            let at = |start: usize| {
                let named = choices.iter().enumerate().filter(|(_, choice)| {
                    text[start..].starts_with(choice.as_str())
                        && stands_alone(&text, start, start + choice.len(), choice)
                });
                named.max_by_key(|(_, choice)| choice.len()).map(|(index, _)| index)
            };
            let expected = text.char_indices().find_map(|(start, _)| at(start));
            prop_assert_eq!(first_named(&text, &choices, &finder(&choices).unwrap()), expected);
        }
    }

    #[test]
    fn choice_takes_the_first_that_is_named() {
        check(
            json!({"type": "choice", "expected": " {{ answer }} ", "choices": ["A", "B", "C"]}),
            json!("B"),
            &[
                ("B", true),
                ("The answer is (B), not C.", true),
                ("C or B", false),
                ("Both", false),
                ("", false),
            ],
        );
        check(
            json!({"type": "choice", "expected": "{{ answer }}", "choices": ["positive", "négative"], "ignore_case": true, "ignore_accents": true}),
            json!("Négative"),
            &[("Sentiment: NEGATIVE.", true), ("Positive", false)],
        );
    }
}
