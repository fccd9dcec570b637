//! Answers that a user wrote, in place of the recorded ones: which of them a prompt gets.

use std::collections::{BTreeSet, HashMap};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use crate::recordings::{FinishReason, RecordedResponse};
use crate::refusal::Refusal;
use crate::replay::{ReplayedAnswer, generator};
use crate::request::Generation;

/// The most tokens of a response that may be asked for.
pub(crate) const LONGEST: u32 = 1 << 20;

/// Characters of the longest token.
const TOKEN: usize = 4;

/// What a file of answers is like, for help texts.
pub const SCRIPT_FORM: &str = "A JSON object a line (or one array of them):\n\
    {\"prompt\": \"What is 2 + 3?\", \"answers\": [\"5\", {\"text\": \"6\", \"weight\": 0.5}]}\n\
    {\"contains\": \"capital of France\", \"model\": \"large\", \"answers\": [\"Paris\"]}\n\
    prompt    the whole text of the prompt (of all messages, one after the other)\n\
    contains  in place of prompt: a text that it holds; nothing for any prompt\n\
    model     the model that the line is for; any, where it is left out\n\
    answers   what is drawn from, each as likely as its weight (1 where it is left out) at\n          \
    temperature 1; below, the likelier ones come more often, and at 0 the likeliest alone\n\
    The first line that fits a request answers it.";

/// Answers by what they are the answers to. Empty, it answers nothing.
#[derive(Debug, Clone, Default)]
pub struct Script {
    lines: Vec<Line>,
    /// The lines for each whole prompt, in their order.
    by_prompt: HashMap<String, Vec<usize>>,
    /// The lines that may fit any prompt, in their order.
    others: Vec<usize>,
}

/// Why a script cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// It is no JSON, or a field of it is not what it should be.
    #[error("line {line}: {source}")]
    Malformed {
        /// The line, or the element of the array, counted from 1.
        line: usize,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A line contradicts itself.
    #[error("line {line}: {field}: {problem}")]
    Line {
        /// The line, or the element of the array, counted from 1.
        line: usize,
        /// The field.
        field: &'static str,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// There is nothing in it.
    #[error("holds no answers; give a line such as {{\"answers\": [\"yes\", \"no\"]}}")]
    Empty,
}

#[derive(Debug, Clone)]
struct Line {
    matches: Match,
    model: Option<String>,
    answers: Vec<Answer>,
}

#[derive(Debug, Clone)]
enum Match {
    Prompt(String),
    Contains(String),
    Any,
}

#[derive(Debug, Clone)]
struct Answer {
    response: RecordedResponse,
    weight: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LineFields {
    prompt: Option<String>,
    contains: Option<String>,
    model: Option<String>,
    answers: Vec<AnswerFields>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "an answer is a text, or an object with `text` and perhaps `weight`"
)]
enum AnswerFields {
    Text(String),
    Weighted(Weighted),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Weighted {
    text: String,
    #[serde(default = "one")]
    weight: f64,
}

const fn one() -> f64 {
    1.0
}

impl Script {
    /// Reads a script: JSON lines, or one JSON array. Empty lines and a byte order mark are passed over.
    ///
    /// # Errors
    /// The first line that makes no sense.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let text = text.trim_start_matches('\u{feff}');
        let lines: Vec<(usize, &str)> = text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line.trim()))
            .filter(|(_, line)| !line.is_empty())
            .collect();
        let mut script = Self::default();
        if text.trim_start().starts_with('[') {
            let rows: Vec<serde_json::Value> = serde_json::from_str(text)
                .map_err(|source| ScriptError::Malformed { line: 1, source })?;
            for (index, row) in rows.into_iter().enumerate() {
                script.add(index + 1, serde_json::from_value(row))?;
            }
        } else {
            for (number, line) in lines {
                script.add(number, serde_json::from_str(line))?;
            }
        }
        match script.lines.is_empty() {
            true => Err(ScriptError::Empty),
            false => Ok(script),
        }
    }

    /// The same with answers, equally likely, to whatever no line fits.
    #[must_use]
    pub fn or_else(mut self, answers: impl IntoIterator<Item = String>) -> Self {
        let answers: Vec<Answer> = answers
            .into_iter()
            .map(|text| Answer::new(text, 1.0))
            .collect();
        if !answers.is_empty() {
            self.push(Line {
                matches: Match::Any,
                model: None,
                answers,
            });
        }
        self
    }

    fn add(
        &mut self,
        line: usize,
        fields: Result<LineFields, serde_json::Error>,
    ) -> Result<(), ScriptError> {
        let fields = fields.map_err(|source| ScriptError::Malformed { line, source })?;
        let wrong = |field, problem: &str| ScriptError::Line {
            line,
            field,
            problem: problem.to_owned(),
        };
        let matches = match (fields.prompt, fields.contains) {
            (Some(_), Some(_)) => {
                return Err(wrong(
                    "contains",
                    "prompt is given too; keep one of the two",
                ));
            }
            (Some(prompt), None) => Match::Prompt(prompt),
            (None, Some(text)) => Match::Contains(text),
            (None, None) => Match::Any,
        };
        if fields.answers.is_empty() {
            return Err(wrong("answers", "is empty; give at least one"));
        }
        let answers: Vec<Answer> = fields
            .answers
            .into_iter()
            .map(|answer| match answer {
                AnswerFields::Text(text) => Answer::new(text, 1.0),
                AnswerFields::Weighted(Weighted { text, weight }) => Answer::new(text, weight),
            })
            .collect();
        if answers
            .iter()
            .any(|answer| !(answer.weight.is_finite() && answer.weight > 0.0))
        {
            return Err(wrong("answers", "a weight must be above 0"));
        }
        self.push(Line {
            matches,
            model: fields.model,
            answers,
        });
        Ok(())
    }

    fn push(&mut self, line: Line) {
        let index = self.lines.len();
        match &line.matches {
            Match::Prompt(prompt) => {
                self.by_prompt
                    .entry(prompt.clone())
                    .or_default()
                    .push(index);
            }
            Match::Contains(_) | Match::Any => self.others.push(index),
        }
        self.lines.push(line);
    }

    /// The models that lines are for, in order.
    pub(crate) fn models(&self) -> BTreeSet<&str> {
        let models = self.lines.iter();
        models.filter_map(|line| line.model.as_deref()).collect()
    }

    /// The first line that fits.
    fn line(&self, model: &str, prompt: &str) -> Option<&Line> {
        let is_for = |index: &&usize| {
            let line = &self.lines[**index];
            let fits = match &line.matches {
                Match::Contains(text) => prompt.contains(text.as_str()),
                Match::Prompt(_) | Match::Any => true,
            };
            fits && line.model.as_deref().is_none_or(|only| only == model)
        };
        let exact = self.by_prompt.get(prompt).map_or(&[][..], Vec::as_slice);
        let first = exact.iter().find(is_for).into_iter();
        let first = first.chain(self.others.iter().find(is_for)).min();
        first.map(|index| &self.lines[*index])
    }

    /// The answer to a request: a pure function of the seed and the request. As with recorded ones, a
    /// larger `n` begins with the same responses, and another cap cuts the same ones elsewhere.
    pub(crate) fn answer(
        &self,
        seed: u64,
        request: &Generation,
    ) -> Result<ReplayedAnswer, Refusal> {
        let line = self.line(&request.model, &request.prompt).ok_or_else(|| {
            let message = format!(
                "The simulator's data hold no line for this prompt and the model '{}'; a line without prompt and contains, or --answer, answers any.",
                request.model
            );
            Refusal::invalid(Some("unknown_prompt"), Some(request.prompt_field), message)
        })?;
        let mut generator = generator(seed, request);
        let weights = weights(&line.answers, request.temperature);
        let cuts = (0..request.n).map(|_| {
            let answer = &line.answers[draw(&weights, &mut generator)];
            answer.response.cut(request.max_tokens, &request.stop)
        });
        let cuts = cuts.collect();
        let prompt_tokens = tokens(&request.prompt).len();
        Ok(ReplayedAnswer {
            prompt_tokens: u64::try_from(prompt_tokens).unwrap_or(u64::MAX).max(1),
            cuts,
        })
    }
}

impl Answer {
    fn new(text: String, weight: f64) -> Self {
        let token_lengths = tokens(&text);
        let generated = u32::try_from(token_lengths.len()).unwrap_or(u32::MAX);
        Self {
            response: RecordedResponse {
                text,
                finish_reason: FinishReason::Stop,
                token_lengths,
                completion_tokens: generated.saturating_add(1),
            },
            weight,
        }
    }
}

/// How likely each answer is at a temperature: as its weight at 1, in proportion to the weight to the
/// power of one over the temperature. The largest is 1.
fn weights(answers: &[Answer], temperature: f64) -> Vec<f64> {
    let largest = answers
        .iter()
        .map(|answer| answer.weight)
        .fold(0.0, f64::max);
    if temperature <= 0.0 {
        // One alone, the first of those that are as likely.
        let first = answers.iter().position(|answer| answer.weight >= largest);
        return (0..answers.len())
            .map(|place| if Some(place) == first { 1.0 } else { 0.0 })
            .collect();
    }
    let weight = |answer: &Answer| (answer.weight / largest).powf(1.0 / temperature);
    answers.iter().map(weight).collect()
}

/// A place, each as likely as its weight.
fn draw(weights: &[f64], generator: &mut ChaCha8Rng) -> usize {
    let mut left = generator.random::<f64>() * weights.iter().sum::<f64>();
    for (place, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return place;
        }
    }
    weights.len().saturating_sub(1)
}

/// The lengths in characters of the tokens that a text is taken to have: each up to four characters of a
/// word, with the white space before it.
fn tokens(text: &str) -> Vec<u32> {
    let mut lengths = Vec::new();
    let (mut length, mut word) = (0, 0);
    for character in text.chars() {
        let ends = word > 0 && (character.is_whitespace() || word >= TOKEN);
        if ends {
            lengths.push(length);
            (length, word) = (0, 0);
        }
        length += 1;
        word += usize::from(!character.is_whitespace());
    }
    if length > 0 {
        lengths.push(length);
    }
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fault(text: &str) -> String {
        Script::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn tokens_are_words_or_parts_of_them() {
        let pieces = |text: &str| tokens(text);
        assert_eq!(pieces("Paris is nice"), [4, 1, 3, 5]);
        assert_eq!(pieces("\n a"), [3]);
        assert_eq!(pieces(""), [0_u32; 0]);
    }

    #[test]
    fn the_first_line_that_fits_answers() {
        let script = Script::parse(
            "\u{feff}{\"contains\": \"France\", \"model\": \"large\", \"answers\": [\"Paris\"]}\n\n\
             {\"prompt\": \"France?\", \"answers\": [\"Lyon\"]}\n\
             {\"contains\": \"France\", \"answers\": [\"Nice\"]}",
        )
        .unwrap()
        .or_else(["who knows".to_owned()]);
        let answer = |model: &str, prompt: &str| {
            let line = script.line(model, prompt).unwrap();
            line.answers[0].response.text.clone()
        };
        assert_eq!(answer("large", "France?"), "Paris");
        assert_eq!(answer("small", "France?"), "Lyon");
        assert_eq!(answer("small", "In France?"), "Nice");
        assert_eq!(answer("large", "Spain?"), "who knows");
        assert_eq!(script.models(), BTreeSet::from(["large"]));
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_line() {
        for (text, told) in [
            ("", "holds no answers"),
            ("[]", "holds no answers"),
            (
                "{\"answers\": [\"a\"]}\n{\"answers\": []}",
                "line 2: answers: is empty",
            ),
            (
                "{\"answers\": [{\"text\": \"a\", \"weight\": 0}]}",
                "line 1: answers: a weight must be above 0",
            ),
            (
                "{\"prompt\": \"a\", \"contains\": \"b\", \"answers\": [\"a\"]}",
                "line 1: contains: prompt is given too",
            ),
            (
                "\n\n{\"answer\": [\"a\"]}",
                "line 3: unknown field `answer`",
            ),
            (
                "[{\"answers\": [\"a\"]}, {\"answers\": [5]}]",
                "line 2: an answer is a text",
            ),
            ("hello", "line 1: expected value"),
        ] {
            let fault = fault(text);
            assert!(fault.starts_with(told), "{fault}");
        }
    }

    #[test]
    fn lower_temperatures_prefer_the_likelier() {
        let answers: Vec<Answer> = [1.0, 4.0, 4.0]
            .map(|weight| Answer::new("a".to_owned(), weight))
            .into();
        assert_eq!(weights(&answers, 1.0), [0.25, 1.0, 1.0]);
        assert_eq!(weights(&answers, 0.5), [0.0625, 1.0, 1.0]);
        assert_eq!(weights(&answers, 0.0), [0.0, 1.0, 0.0]);
    }

    proptest! {
        #[test]
        fn tokens_make_up_the_text(text in "[a-zé \\n]{0,60}") {
            let sum: u32 = tokens(&text).iter().sum();
            prop_assert_eq!(sum as usize, text.chars().count());
            prop_assert!(tokens(&text).iter().all(|length| *length > 0));
        }
    }
}
