//! `judge`: a model says how good a response is.

use super::{Common, Kind, Outside};
use crate::extract::Extractor;
use crate::judge::{Asked, Judge, LabelFields, Style};
use crate::scorer_error::{ScoreError, ScorerError};
use crate::verdict::{Pending, Verdict};
use frugal_domain::fault::{ObjectReader, Reader};

/// The most questions of a kind about one answer.
const MOST_REPEATS: i64 = 16;

/// The most tokens of a reply where the job does not say.
const USUAL_TOKENS: u32 = 256;

/// The most tokens that a reply may be given.
const MOST_TOKENS: i64 = 1_000_000;

/// The compiled scorer.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    judge: Judge,
}

impl Kind for Judged {
    type Fields = Asked;
    /// The reference, where there is one.
    type Wanted = Option<String>;
    const NAME: &'static str = "judge";
    const IS_GRADED: bool = true;
    const TEMPLATES: &'static [&'static str] = &["expected", "rubric"];
    const OUTSIDE: Option<Outside> = Some(Outside::Judge);

    fn without_expected() -> Option<Option<String>> {
        Some(None)
    }

    fn read(object: &ObjectReader<'_>) -> Option<Asked> {
        let text = |name: &str, remedy: &str| {
            let at = object.require(name, remedy)?;
            at.filled_string().map(str::to_owned)
        };
        let endpoint = text("endpoint", "name the operator's endpoint of the judge");
        let model = text("model", "name the model that judges");
        let rubric = text(
            "rubric",
            "say what makes an answer good, such as \"{{ question }} …\"",
        );
        let style = object.get("style").map_or(Some(Style::Rating), |at| {
            at.one_of(&[("rating", Style::Rating), ("pairwise", Style::Pairwise)])
        });
        let scale = object
            .get("scale")
            .map_or(Some((1.0, 5.0)), |at| scale(&at));
        let repeats = object.get("repeats").map_or(Some(1), |at| {
            u32::try_from(at.integer_within(1, MOST_REPEATS)?).ok()
        });
        let max_tokens = object.get("max_tokens").map_or(Some(USUAL_TOKENS), |at| {
            u32::try_from(at.integer_within(1, MOST_TOKENS)?).ok()
        });
        let temperature = object.get("temperature").map_or(Some(Some(0.0)), |at| {
            if at.value.is_null() {
                return Some(None);
            }
            let temperature = at.number()?;
            if !(0.0..=2.0).contains(&temperature) {
                return at.fault("must be between 0 and 2, or null for the endpoint's own choice");
            }
            Some(Some(temperature))
        });
        let share = object.get("share").map_or(Some(None), |at| {
            let share = at.number()?;
            if share > 0.0 && share <= 1.0 {
                return Some(Some(share));
            }
            at.fault("must be above 0 and at most 1: the part of the optimization budget that judging may use")
        });
        let labels = object.get("labels").map_or(Some(None), |at| {
            let object = at.object()?;
            let text = |name: &str, remedy: &str| {
                let at = object.require(name, remedy)?;
                at.filled_string().map(str::to_owned)
            };
            let answer = text(
                "answer",
                "give the answer that people rated, such as \"{{ sample }}\"",
            );
            let rating = text(
                "rating",
                "give their rating of it, such as \"{{ rating }}\"",
            );
            object.finish();
            Some(Some(LabelFields {
                answer: answer?,
                rating: rating?,
            }))
        });
        Some(Asked {
            endpoint: endpoint?,
            model: model?,
            rubric: rubric?,
            style: style?,
            scale: scale?,
            repeats: repeats?,
            max_tokens: max_tokens?,
            temperature: temperature?,
            share: share?,
            labels: labels?,
        })
    }

    fn compile(asked: Asked, common: &Common) -> Result<Self, ScorerError> {
        if asked.style == Style::Pairwise && common.expected.is_none() {
            return Err(ScorerError {
                field: "expected",
                detail: "`expected` is missing; give the answer that others are compared with"
                    .to_owned(),
            });
        }
        Judge::compile(asked).map(|judge| Self { judge })
    }

    fn wanted(&self, expected: &str) -> Result<Option<String>, ScoreError> {
        Ok(Some(expected.to_owned()))
    }

    fn judge(&self) -> Option<&Judge> {
        Some(&self.judge)
    }

    fn reference(wanted: &Self::Wanted) -> Option<&str> {
        wanted.as_deref()
    }

    fn verdict(&self, _: &Option<String>, _: &Extractor, _: &str) -> Verdict {
        Verdict::Pending(Pending::Ask)
    }
}

/// The worst and the best rating.
fn scale(at: &Reader<'_>) -> Option<(f64, f64)> {
    let ends = at.array()?;
    let [low, high] = ends.as_slice() else {
        return at.fault("must be the worst and the best rating, such as [1, 5]");
    };
    let (low, high) = (low.number()?, high.number()?);
    if low >= high {
        return at.fault("must begin with the worst rating and end with the best");
    }
    Some((low, high))
}
