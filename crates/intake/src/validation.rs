//! Scorers tried on responses that are posted with them, before any is paid for.

use crate::prompts;
use crate::rows::{self, Rows};
use crate::scoring::{self, Scoring};
use frugal_domain::endpoint::Catalog;
use frugal_domain::fault::{Fault, Faults, Reader};
use frugal_domain::prompt::{Prompt, PromptBody};
use frugal_domain::scoring::{Observation, Reducer, ScorerSpec};
use frugal_evaluation::reduce;
use frugal_scoring::{Assessment, CompiledPrompt, Explained, Outside, RenderedPrompt, Scorer};
use serde_json::Value;

/// The most rows.
const MAX_ROWS: usize = 100;
/// The most responses to all rows.
const MAX_RESPONSES: usize = 1_000;
/// The most where a score takes more than reading.
const MAX_OUTSIDE: usize = 100;
/// The most bytes of all responses, and of all rendered prompts.
const MAX_BYTES: usize = 1024 * 1024;

/// What a scorer says of responses.
#[derive(Debug, Clone, PartialEq)]
pub struct Validation {
    /// What is made of the scores of a row.
    pub reduce: Reducer,
    /// By row.
    pub rows: Vec<ValidatedRow>,
}

/// What it says of the responses to one row.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidatedRow {
    /// By response.
    pub responses: Vec<Explained>,
    /// What each reducer makes of those that have scores, and none where none has; the majority's is not there where
    /// the scorer knows no answers, nor the best of n where there is no selector.
    pub values: Vec<(Reducer, f64)>,
    /// The prompts with the row's values in them.
    pub prompts: Vec<Prompt>,
}

/// Reads a document: `scoring`, or a `scorer` by itself, `rows` and, for each of them, `responses`, which are
/// assessed. Prompts are rendered where it has any.
///
/// # Errors
/// Everything that is wrong with the document.
pub fn validate(document: &Value, catalog: &Catalog) -> Result<Assessed, Vec<Fault>> {
    let faults = Faults::default();
    let at = Reader::new(document, &faults);
    let found = read(&at, catalog).filter(|_| faults.is_empty());
    let found = found.and_then(|posted| posted.assessed(&at));
    match found {
        Some(found) if faults.is_empty() => Ok(found),
        _ => Err(faults.into_vec()),
    }
}

/// Responses as far as reading goes. What some of them want besides has to be done before they have scores.
#[derive(Debug)]
pub struct Assessed {
    posted: Posted,
    scorer: Scorer,
    selector: Option<Scorer>,
    /// Of the responses to all rows, one after the other.
    assessments: Vec<Assessment>,
    prompts: Vec<Vec<Prompt>>,
}

/// A document that was read.
#[derive(Debug)]
struct Posted {
    scoring: Scoring,
    rows: Rows,
    responses: Vec<Vec<String>>,
    prompts: Vec<Prompt>,
}

fn read(at: &Reader<'_>, catalog: &Catalog) -> Option<Posted> {
    let object = at.object()?;
    let rows = object
        .require(
            "rows",
            "give at least one row, as in `data.instances` of a job",
        )
        .and_then(|at| few_rows(&at));
    let scoring = match (object.get("scoring"), object.get("scorer")) {
        (Some(at), None) => scoring::scoring(&at, rows.as_ref(), catalog)
            .and_then(|scoring| without_judge(&at.object()?.get("scorer")?, scoring)),
        (None, Some(at)) => scoring::by_itself(&at, rows.as_ref(), catalog)
            .and_then(|scoring| without_judge(&at, scoring)),
        _ => at.fault("give exactly one of `scoring`, as in a job, and `scorer`"),
    };
    let responses = object
        .require(
            "responses",
            "give a list of texts for each row, such as [[\"12\", \"13\"]]",
        )
        .and_then(|at| responses(&at, rows.as_ref()));
    let has_prompts = object.has("prompt") || object.has("prompts");
    let prompts = match has_prompts {
        true => prompts::prompts(&object, &[], None, rows.as_ref()),
        false => Vec::new(),
    };
    object.finish();
    let (scoring, responses) = (scoring?, responses?);
    let count = responses.iter().flatten().count();
    if count > MAX_OUTSIDE && !frugal_scoring::outside(&scoring.scorer).is_empty() {
        return at.fault_below(
            "/responses",
            format!(
                "must hold at most {MAX_OUTSIDE} responses in all where they are more than read, not {count}"
            ),
        );
    }
    Some(Posted {
        scoring,
        rows: rows?,
        responses,
        prompts: prompts.into_iter().collect::<Option<_>>()?,
    })
}

/// Refuses a scorer that asks a judge: that has to be paid, which takes a job and its budget.
fn without_judge(at: &Reader<'_>, scoring: Scoring) -> Option<Scoring> {
    let asks = |scorer: &ScorerSpec| frugal_scoring::outside(scorer).contains(&Outside::Judge);
    if !asks(&scoring.scorer) {
        return Some(scoring);
    }
    let parts = frugal_scoring::parts(&scoring.scorer).unwrap_or_default();
    let place = match parts.iter().position(asks) {
        Some(part) => format!("/parts/{part}/scorer/type"),
        None => "/type".to_owned(),
    };
    at.fault_below(
        &place,
        "asks a model, which costs money, and a validation has no budget to pay it from; leave it out here, \
         and try it in a small job, whose `labels` tell how far it may be trusted",
    )
}

fn few_rows(at: &Reader<'_>) -> Option<Rows> {
    let rows = rows::of_array(at)?;
    if rows.all().count() > MAX_ROWS {
        return at.fault(format!("must hold at most {MAX_ROWS} rows"));
    }
    Some(rows)
}

/// The responses, row by row.
fn responses(at: &Reader<'_>, rows: Option<&Rows>) -> Option<Vec<Vec<String>>> {
    let lists = at.array()?;
    let of_row = |at: &Reader<'_>| {
        let texts = at.filled_array("response")?;
        let texts: Vec<Option<&str>> = texts.iter().map(Reader::string).collect();
        texts
            .into_iter()
            .map(|text| text.map(str::to_owned))
            .collect()
    };
    let read: Vec<Option<Vec<String>>> = lists.iter().map(of_row).collect();
    if let Some(rows) = rows.map(|rows| rows.all().count())
        && rows != lists.len()
    {
        let lists = lists.len();
        return at.fault(format!(
            "must hold one list for each row, so {rows}, not {lists}"
        ));
    }
    let read: Vec<Vec<String>> = read.into_iter().collect::<Option<_>>()?;
    let texts = read.iter().flatten();
    if texts.clone().count() > MAX_RESPONSES {
        return at.fault(format!(
            "must hold at most {MAX_RESPONSES} responses in all"
        ));
    }
    if texts.map(String::len).sum::<usize>() > MAX_BYTES {
        return at.fault(format!(
            "must have at most {MAX_BYTES} bytes in all; shorten them, or give fewer"
        ));
    }
    Some(read)
}

impl Assessed {
    /// What is known of each response. Whatever they want has to be done, and told to them.
    pub fn assessments(&mut self) -> &mut [Assessment] {
        &mut self.assessments
    }

    /// What the scorer says of the responses. What still wants something has no score.
    #[must_use]
    pub fn validation(self) -> Validation {
        let Self {
            posted,
            scorer,
            selector,
            assessments,
            prompts,
        } = self;
        let mut assessments = assessments.into_iter();
        let instances = posted.rows.all().zip(&posted.responses);
        let rows = instances
            .zip(prompts)
            .map(|((instance, responses), prompts)| {
                // What could go wrong was looked at before.
                let expectation = scorer.expectation(instance).ok();
                let explained = responses.iter().zip(&mut assessments);
                let explained = explained.map(|(response, assessed)| {
                    let found = expectation
                        .as_ref()
                        .map(|it| it.explain(response, &assessed));
                    match found {
                        Some(Ok(mut explained)) => {
                            let preference =
                                selector.as_ref().map(|it| it.score(instance, response));
                            if let (Some(observed), Some(Ok(preference))) =
                                (&mut explained.observation, preference)
                            {
                                observed.preference = Some(preference);
                            }
                            explained
                        }
                        Some(Err(_)) | None => Explained {
                            observation: None,
                            why: "no score: it was not looked at".to_owned(),
                            parts: Vec::new(),
                        },
                    }
                });
                let responses: Vec<Explained> = explained.collect();
                ValidatedRow {
                    values: posted.values(&responses),
                    responses,
                    prompts,
                }
            });
        Validation {
            rows: rows.collect(),
            reduce: posted.scoring.reduce,
        }
    }
}

impl Posted {
    /// Assesses and renders. What could go wrong was looked at before.
    fn assessed(self, at: &Reader<'_>) -> Option<Assessed> {
        let scorer = match Scorer::compile(&self.scoring.scorer) {
            Ok(scorer) => scorer,
            Err(error) => return at.fault(error.to_string()),
        };
        let selector = match self.scoring.selector.as_ref().map(Scorer::compile) {
            Some(Ok(selector)) => Some(selector),
            Some(Err(error)) => return at.fault(error.to_string()),
            None => None,
        };
        let prompts = self.rendered(at)?;
        let mut assessments = Vec::new();
        for (instance, responses) in self.rows.all().zip(&self.responses) {
            let expectation = match scorer.expectation(instance) {
                Ok(expectation) => expectation,
                Err(error) => return at.fault(error.to_string()),
            };
            assessments.extend(responses.iter().map(|one| expectation.assess(one)));
        }
        Some(Assessed {
            posted: self,
            scorer,
            selector,
            assessments,
            prompts,
        })
    }

    fn values(&self, explained: &[Explained]) -> Vec<(Reducer, f64)> {
        let observed = explained.iter().filter_map(|one| one.observation);
        let observed: Vec<Observation> = observed.collect();
        if observed.is_empty() {
            return Vec::new();
        }
        let has_answers = frugal_scoring::has_answers(&self.scoring.scorer);
        let is_told = |reducer: &&Reducer| match reducer {
            Reducer::Majority => has_answers,
            Reducer::BestOfN => self.scoring.selector.is_some(),
            _ => true,
        };
        let reducers = Reducer::ALL.iter();
        reducers
            .filter(is_told)
            .map(|reducer| (*reducer, reduce(*reducer, &observed)))
            .collect()
    }

    /// The prompts with each row's values in them, by row.
    fn rendered(&self, at: &Reader<'_>) -> Option<Vec<Vec<Prompt>>> {
        let mut by_row = vec![Vec::new(); self.responses.len()];
        let mut bytes = 0;
        for prompt in &self.prompts {
            let compiled = match CompiledPrompt::compile(prompt) {
                Ok(compiled) => compiled,
                Err(error) => return at.fault(error.to_string()),
            };
            for (row, instance) in by_row.iter_mut().zip(self.rows.all()) {
                let body = match compiled.render(instance) {
                    Ok(RenderedPrompt::Text(text)) => PromptBody::Text(text),
                    Ok(RenderedPrompt::Messages(messages)) => PromptBody::Messages(messages),
                    Err(error) => return at.fault(error.to_string()),
                };
                bytes += length(&body);
                if bytes > MAX_BYTES {
                    let place = match at.value.get("prompt") {
                        Some(_) => "/prompt",
                        None => "/prompts",
                    };
                    let detail = format!(
                        "rendered for all rows, has more than {MAX_BYTES} bytes; give fewer rows, or \
                         no prompt"
                    );
                    return at.fault_below(place, detail);
                }
                row.push(Prompt {
                    name: prompt.name.clone(),
                    body,
                    demonstrations: None,
                });
            }
        }
        Some(by_row)
    }
}

fn length(body: &PromptBody) -> usize {
    match body {
        PromptBody::Text(text) => text.len(),
        PromptBody::Messages(messages) => messages.iter().map(|one| one.content.len()).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn posted(rows: usize, responses: Value) -> Value {
        let rows: Vec<Value> = (0..rows).map(|row| json!({"q": row, "a": row})).collect();
        json!({
            "scorer": {"type": "exact", "expected": "{{ a }}"},
            "rows": rows,
            "responses": responses
        })
    }

    fn faults(document: &Value) -> Vec<(String, String)> {
        let faults = validate(document, &Catalog::default())
            .unwrap_err()
            .into_iter();
        faults.map(|fault| (fault.pointer, fault.detail)).collect()
    }

    fn validated(document: &Value) -> Validation {
        validate(document, &Catalog::default())
            .unwrap()
            .validation()
    }

    #[test]
    fn rows_and_responses_are_bounded_and_go_together() {
        let lists = |rows: usize, each: usize| json!(vec![vec!["0"; each]; rows]);
        assert!(validate(&posted(MAX_ROWS, lists(MAX_ROWS, 10)), &Catalog::default()).is_ok());
        let long = "x".repeat(MAX_BYTES + 1);
        for (document, pointer, detail) in [
            (
                posted(MAX_ROWS + 1, lists(MAX_ROWS + 1, 1)),
                "/rows",
                "must hold at most 100 rows",
            ),
            (
                posted(2, lists(2, MAX_RESPONSES / 2 + 1)),
                "/responses",
                "must hold at most 1000 responses in all",
            ),
            (
                posted(1, json!([[long]])),
                "/responses",
                "must have at most 1048576 bytes in all; shorten them, or give fewer",
            ),
            (
                posted(2, lists(1, 1)),
                "/responses",
                "must hold one list for each row, so 2, not 1",
            ),
            (
                posted(1, json!([[]])),
                "/responses/0",
                "must hold at least one response",
            ),
            (
                posted(1, json!([["0", 7]])),
                "/responses/0/1",
                "must be a string, not a number",
            ),
        ] {
            assert_eq!(faults(&document), [(pointer.to_owned(), detail.to_owned())]);
        }
    }

    #[test]
    fn there_is_one_scorer() {
        let mut document = posted(1, json!([["0"]]));
        document["scoring"] = json!({"scorer": document["scorer"]});
        let detail = "give exactly one of `scoring`, as in a job, and `scorer`";
        assert_eq!(faults(&document), [(String::new(), detail.to_owned())]);
        document["scorer"] = Value::Null;
        assert!(validate(&document, &Catalog::default()).is_ok());
    }

    #[test]
    fn rendered_prompts_are_bounded() {
        let mut document = posted(2, json!([["0"], ["1"]]));
        document["prompt"] = json!("{{ long }}");
        for row in 0..2 {
            document["rows"][row]["long"] = json!("x".repeat(MAX_BYTES / 2 + 1));
        }
        let detail =
            "rendered for all rows, has more than 1048576 bytes; give fewer rows, or no prompt";
        assert_eq!(
            faults(&document),
            [("/prompt".to_owned(), detail.to_owned())]
        );
        document["prompt"] = json!("{{ q }}?");
        let found = validated(&document);
        let body = &found.rows[1].prompts[0].body;
        assert_eq!(*body, PromptBody::Text("1?".to_owned()));
    }

    #[test]
    fn each_reducer_has_its_value() {
        let document = posted(1, json!([["0", "1", "0", "2"]]));
        let found = validated(&document);
        let values = &found.rows[0].values;
        let of = |reducer| {
            values
                .iter()
                .find(|(one, _)| *one == reducer)
                .map(|(_, value)| *value)
        };
        assert_eq!(of(Reducer::Mean), Some(0.5));
        assert_eq!(of(Reducer::Success), Some(1.0));
        assert_eq!(of(Reducer::Min), Some(0.0));
        assert_eq!(of(Reducer::Majority), Some(1.0));
        assert_eq!(of(Reducer::ExpectedSuccess), Some(0.9375));
        // By a scorer without answers there is no majority.
        let mut contains = document;
        contains["scorer"]["type"] = json!("contains");
        let found = validated(&contains);
        let mut named = found.rows[0].values.iter().map(|(reducer, _)| *reducer);
        assert!(named.all(|reducer| reducer != Reducer::Majority));
        assert_eq!(found.reduce, Reducer::ExpectedSuccess);
    }
}
