//! `bleu`: the n-grams of up to four words that the extracted text has in common with the expected ones
//! (Papineni et al., 2002), as sacrebleu reckons them for one sentence: its tokeniser `13a`, exponential
//! smoothing, and no order that the text is too short for.

use super::{Common, Kind};
use crate::extract::Extractor;
use crate::overlap::{Ngrams, beginning, small};
use crate::pattern;
use crate::references::References;
use crate::scorer_error::{ScoreError, ScorerError};
use crate::verdict::Verdict;
use frugal_domain::fault::ObjectReader;
use frugal_domain::scoring::{BLEU_ORDER, CorpusCounts, Observation};
use regex::Regex;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What the tokeniser sets apart, in turn, and what it puts in its place: symbols; full stops and commas but
/// between digits; dashes after digits.
const RULES: [(&str, &str); 4] = [
    (r"([\{-\~\[-` -\&\(-\+:-@/])", " ${1} "),
    (r"([^0-9])([\.,])", "${1} ${2} "),
    (r"([\.,])([^0-9])", " ${1} ${2}"),
    (r"([0-9])(-)", "${1} ${2} "),
];

/// The compiled scorer.
#[derive(Debug, Clone)]
pub(crate) struct Bleu {
    fields: Fields,
    rules: Arc<[(Regex, &'static str)]>,
}

/// Its own fields.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Fields {
    #[serde(default)]
    ignore_case: bool,
    #[serde(default)]
    references: References,
}

impl Kind for Bleu {
    type Fields = Fields;
    type Wanted = Vec<Vec<String>>;
    const NAME: &'static str = "bleu";
    const IS_GRADED: bool = true;

    fn read(object: &ObjectReader<'_>) -> Option<Fields> {
        let ignore_case = object
            .get("ignore_case")
            .map_or(Some(false), |at| at.boolean());
        let references = References::read(object);
        Some(Fields {
            ignore_case: ignore_case?,
            references: references?,
        })
    }

    fn compile(fields: Fields, _: &Common) -> Result<Self, ScorerError> {
        let rules = RULES.iter().map(|(pattern, replacement)| {
            Ok((pattern::compile("references", pattern)?, *replacement))
        });
        Ok(Self {
            fields,
            rules: rules.collect::<Result<_, ScorerError>>()?,
        })
    }

    fn wanted(&self, expected: &str) -> Result<Self::Wanted, ScoreError> {
        let references = self.fields.references.of(expected)?;
        Ok(references.iter().map(|text| self.words(text)).collect())
    }

    fn verdict(&self, wanted: &Self::Wanted, extractor: &Extractor, response: &str) -> Verdict {
        let text = extractor.apply(response);
        let words = text.map(|text| self.words(&text)).unwrap_or_default();
        // The reference of the nearest length, the shorter of two that are as near.
        let lengths = wanted.iter().map(Vec::len);
        let nearest = lengths.min_by_key(|length| (length.abs_diff(words.len()), *length));
        let (mut common, mut all) = ([0; BLEU_ORDER], [0; BLEU_ORDER]);
        for (order, (common, all)) in common.iter_mut().zip(&mut all).enumerate() {
            let found = Ngrams::of(&words, order + 1);
            if found.total() == 0 {
                break;
            }
            let references = wanted.iter().map(|words| Ngrams::of(words, order + 1));
            let references: Vec<_> = references.collect();
            *common = small(found.common_with_any(&references));
            *all = small(found.total());
        }
        let (length, reference) = (small(words.len()), small(nearest.unwrap_or_default()));
        Verdict::Score(Observation {
            counts: Some(CorpusCounts::Bleu {
                common,
                all,
                length,
                reference,
            }),
            ..of_sentence(common, all, length, reference).into()
        })
    }
}

/// BLEU of one text by what was counted.
fn of_sentence(
    common: [u32; BLEU_ORDER],
    all: [u32; BLEU_ORDER],
    length: u32,
    reference: u32,
) -> f64 {
    if common.iter().all(|count| *count == 0) {
        return 0.0;
    }
    let (mut logs, mut orders, mut smoothing) = (0.0, 0.0, 1.0);
    let there = common.into_iter().zip(all).take_while(|(_, all)| *all > 0);
    for (common, all) in there {
        let precision = if common == 0 {
            smoothing *= 2.0;
            1.0 / (smoothing * f64::from(all))
        } else {
            f64::from(common) / f64::from(all)
        };
        logs += precision.ln();
        orders += 1.0;
    }
    let brevity = (1.0 - f64::from(reference) / f64::from(length))
        .min(0.0)
        .exp();
    brevity * (logs / orders).exp()
}

impl Bleu {
    /// The words, by the rules of mteval-v13a.
    fn words(&self, text: &str) -> Vec<String> {
        let text = beginning(text).trim_end();
        let text = match self.fields.ignore_case {
            true => text.to_lowercase(),
            false => text.to_owned(),
        };
        let mut text = text
            .replace("<skipped>", "")
            .replace("-\n", "")
            .replace('\n', " ");
        for (entity, character) in [
            ("&quot;", "\""),
            ("&amp;", "&"),
            ("&lt;", "<"),
            ("&gt;", ">"),
        ] {
            text = text.replace(entity, character);
        }
        let mut text = format!(" {text} ");
        for (pattern, replacement) in &*self.rules {
            text = pattern.replace_all(&text, *replacement).into_owned();
        }
        text.split_whitespace().map(str::to_owned).collect()
    }
}
