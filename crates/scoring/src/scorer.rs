//! A scorer of responses: what all kinds share, around the rule of one.

use crate::assessment::Assessment;
use crate::composite::{self, Weight};
use crate::explained::{Explained, ExplainedPart, Facts};
use crate::extract::{Extract, Extractor};
use crate::judge::Judge;
use crate::prompt::RenderedPrompt;
use crate::scorer_error::{ScoreError, ScorerError};
use crate::scorers::{self, Common, Outside, Rule, Wanted};
use crate::template::Template;
use crate::verdict::Verdict;
use frugal_domain::fault::ObjectReader;
use frugal_domain::scoring::{AnswerKey, Observation, ScorerSpec};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::ops::Range;

/// A scorer whose templates and patterns are compiled: one, or the parts of a composite.
#[derive(Debug, Clone)]
pub struct Scorer {
    parts: Vec<(Weight, Part)>,
    is_composite: bool,
}

/// A scorer of its own, or one part of a composite.
#[derive(Debug, Clone)]
struct Part {
    expected: Option<Template>,
    extract: Extract,
    extractor: Extractor,
    rule: Rule,
}

/// Reads a scorer, noting everything that is wrong with its form. What compiling it would find, and
/// whether rows have what it needs, is not looked at.
#[must_use]
pub fn read(object: &ObjectReader<'_>) -> Option<ScorerSpec> {
    let Some(about) = read_type(object, true)? else {
        let parts = composite::read(object, |part| {
            let about = read_type(part, false)??;
            read_part(about, part)
        });
        let fields = json!({"type": composite::NAME, "parts": parts?});
        return fields.as_object().cloned().map(ScorerSpec);
    };
    read_part(about, object)
}

/// What is known of the scorer that `type` names; none of a composite, where that may stand.
fn read_type(object: &ObjectReader<'_>, composite_may_be: bool) -> Option<Option<scorers::About>> {
    let single = scorers::ALL.iter().map(|about| (about.name, Some(*about)));
    let composite = composite_may_be.then_some((composite::NAME, None));
    let choices: Vec<(&str, Option<scorers::About>)> = single.chain(composite).collect();
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    let at = object.require("type", &format!("use {}", alternatives(&names)))?;
    if !composite_may_be && at.value == composite::NAME {
        return at.fault("a composite holds no other one; list its parts beside the others");
    }
    at.one_of(&choices)
}

/// Reads a scorer of its own, or that of a part.
fn read_part(about: scorers::About, object: &ObjectReader<'_>) -> Option<ScorerSpec> {
    let is_absent = (about.expected_is_optional)() && !object.has("expected");
    let expected = if is_absent || !about.takes_expected {
        Some(None)
    } else {
        let at = object.require("expected", "give a template such as \"{{ answer }}\"");
        at.and_then(|at| Some(Some(at.filled_string()?.to_owned())))
    };
    let own = scorers::read(about.name, object);
    let extract = object
        .get("extract")
        .map_or_else(|| Some((about.extract)()), |at| Extract::read(&at));
    object.finish();
    let mut fields = own?;
    fields.insert("type".to_owned(), json!(about.name));
    fields.insert("expected".to_owned(), json!(expected?));
    fields.insert("extract".to_owned(), json!(extract?));
    Some(ScorerSpec(fields))
}

/// Whether responses may be right in part by this scorer. Then the mean of their scores says more than
/// the chance that one of them is right.
#[must_use]
pub fn is_graded(spec: &ScorerSpec) -> bool {
    parts(spec).is_some() || about(spec).is_some_and(|about| (about.is_graded)(&spec.0))
}

/// What has to be done outside of this crate before a response has its score; nothing for most scorers.
/// A composite takes what its parts take.
#[must_use]
pub fn outside(spec: &ScorerSpec) -> Vec<Outside> {
    let parts = parts(spec).unwrap_or_else(|| vec![spec.clone()]);
    let of_parts = parts.iter().filter_map(|part| about(part)?.outside);
    let mut kinds = Vec::new();
    for kind in of_parts {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}

/// Whether what some of its parts come to is worth keeping before it has a score: programs are not run a
/// second time for it, nor hooks asked.
#[must_use]
pub fn keeps_parts(spec: &ScorerSpec) -> bool {
    let is_kept = |kind: &Outside| *kind != Outside::Judge;
    parts(spec).is_some() && outside(spec).iter().any(is_kept)
}

/// The same of the scorer of this name; nothing of a name that none has.
#[must_use]
pub fn outside_of(name: &str) -> Option<Outside> {
    let about = scorers::ALL.iter().find(|about| about.name == name);
    about.and_then(|about| about.outside)
}

/// The fields of the scorer of this name that are templates over an instance.
#[must_use]
pub fn templates(name: &str) -> &'static [&'static str] {
    let about = scorers::ALL.iter().find(|about| about.name == name);
    about.map_or(&["expected"], |about| about.templates)
}

/// The scorers of the parts of a composite, in their order; nothing of another scorer.
#[must_use]
pub fn parts(spec: &ScorerSpec) -> Option<Vec<ScorerSpec>> {
    let parts = stored_parts(spec)?.ok()?;
    Some(parts.into_iter().map(|part| part.scorer).collect())
}

/// The parts of a composite, as they are stored.
fn stored_parts(spec: &ScorerSpec) -> Option<Result<Vec<composite::Part>, ScorerError>> {
    let is_composite = spec
        .0
        .get("type")
        .is_some_and(|name| name == composite::NAME);
    is_composite.then(|| {
        let mut fields = spec.0.clone();
        field(&mut fields, "parts").map(Option::unwrap_or_default)
    })
}

/// Whether responses give answers by this scorer, so that it can be told which one most of them give.
#[must_use]
pub fn has_answers(spec: &ScorerSpec) -> bool {
    about(spec).is_some_and(|about| about.has_answers)
}

/// The scorers that tell answers apart, by name.
#[must_use]
pub fn with_answers() -> String {
    let all = scorers::ALL.iter().filter(|about| about.has_answers);
    alternatives(&all.map(|about| about.name).collect::<Vec<_>>())
}

fn about(spec: &ScorerSpec) -> Option<&'static scorers::About> {
    let name = spec.0.get("type").and_then(Value::as_str);
    scorers::ALL.iter().find(|about| Some(about.name) == name)
}

/// Names in a sentence: `a`, `b` or `c`.
fn alternatives(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

impl Scorer {
    /// Compiles a scorer.
    ///
    /// # Errors
    /// The first field that is at fault.
    pub fn compile(spec: &ScorerSpec) -> Result<Self, ScorerError> {
        let Some(parts) = stored_parts(spec) else {
            return Ok(Self {
                parts: vec![(Weight::ALONE, Part::compile(spec)?)],
                is_composite: false,
            });
        };
        let of_part = |(number, part): (usize, composite::Part)| {
            let compiled = Part::compile(&part.scorer).map_err(|error| ScorerError {
                field: "parts",
                detail: format!("part {number}: {error}"),
            })?;
            Ok((part.weight, compiled))
        };
        let parts = parts?.into_iter().enumerate().map(of_part);
        Ok(Self {
            parts: parts.collect::<Result<_, _>>()?,
            is_composite: true,
        })
    }

    /// Whether it is a composite of several.
    #[must_use]
    pub const fn is_composite(&self) -> bool {
        self.is_composite
    }

    /// Scores a response to an instance: 1 for right, 0 for wrong, and between for what is right in part.
    ///
    /// To score several responses to one instance, make its [`Expectation`] once.
    ///
    /// # Errors
    /// As [`Scorer::expectation`] and [`Expectation::score`]; a response is never an error.
    pub fn score(&self, instance: &Map<String, Value>, response: &str) -> Result<f64, ScoreError> {
        self.expectation(instance)?.score(response)
    }

    /// Scores a response to an instance, and says which answer it gives.
    ///
    /// # Errors
    /// As [`Scorer::expectation`] and [`Expectation::score`]; a response is never an error.
    pub fn observe(
        &self,
        instance: &Map<String, Value>,
        response: &str,
    ) -> Result<Observation, ScoreError> {
        self.expectation(instance)?.observe(response)
    }

    /// The judges that are asked, in the order of the parts. Their numbers, from 0, are those of the job's
    /// judges.
    pub fn judges(&self) -> impl Iterator<Item = &Judge> {
        self.parts.iter().filter_map(|(_, part)| part.rule.judge())
    }

    /// The number of the judge that a part asks.
    #[must_use]
    pub fn judge_of(&self, part: usize) -> Option<usize> {
        self.judging_parts().position(|number| number == part)
    }

    /// The part that a judge is asked for.
    #[must_use]
    pub fn part_of(&self, judge: usize) -> Option<usize> {
        self.judging_parts().nth(judge)
    }

    fn judging_parts(&self) -> impl Iterator<Item = usize> {
        let parts = self.parts.iter().enumerate();
        parts.filter_map(|(number, (_, part))| part.rule.judge().map(|_| number))
    }

    /// Which questions about an answer are a judge's: they are numbered through those of all judges.
    #[must_use]
    pub fn questions_of(&self, judge: usize) -> Range<u32> {
        let first = self.judges().take(judge).map(Judge::questions).sum();
        let count = self.judges().nth(judge).map_or(0, Judge::questions);
        first..first + count
    }

    /// What replies to questions about an answer say by the word of one judge: the mean of those of its own
    /// that say anything. Others are passed over.
    ///
    /// # Errors
    /// None of its own says anything.
    pub fn said<'t>(
        &self,
        judge: usize,
        replies: impl IntoIterator<Item = (u32, &'t str)>,
    ) -> Result<f64, String> {
        let questions = self.questions_of(judge);
        let own = replies.into_iter().filter_map(|(number, reply)| {
            let own = questions.contains(&number);
            own.then(|| (number - questions.start, reply))
        });
        match self.judges().nth(judge) {
            Some(judge) => judge.score(own),
            None => Err(ScoreError::NoJudge.to_string()),
        }
    }

    /// What a right response to an instance is.
    ///
    /// # Errors
    /// The instance has no right answer that this scorer could use: `expected` cannot be
    /// rendered, or is no number, choice or JSON where the scorer needs one.
    pub fn expectation(
        &self,
        instance: &Map<String, Value>,
    ) -> Result<Expectation<'_>, ScoreError> {
        let mut parts = Vec::with_capacity(self.parts.len());
        for (number, (weight, part)) in self.parts.iter().enumerate() {
            let expectation = part.expectation(instance);
            let expectation = expectation.map_err(|error| match self.is_composite {
                false => error,
                true => ScoreError::Part {
                    number,
                    error: Box::new(error),
                },
            })?;
            parts.push((*weight, expectation));
        }
        Ok(Expectation {
            scorer: self,
            parts,
        })
    }
}

impl Part {
    fn compile(spec: &ScorerSpec) -> Result<Self, ScorerError> {
        let mut fields = spec.0.clone();
        let name = fields.remove("type");
        let name = name.as_ref().and_then(Value::as_str).unwrap_or_default();
        let expected: Option<String> = field(&mut fields, "expected")?;
        let extract: Option<Extract> = field(&mut fields, "extract")?;
        let common = Common {
            expected,
            extract: extract.unwrap_or_else(|| default_extract(name)),
        };
        let rule = Rule::compile(name, fields, &common)?;
        let expected = common
            .expected
            .map(|text| Template::compile_for_answers(&text))
            .transpose()
            .map_err(|error| ScorerError {
                field: "expected",
                detail: error.to_string(),
            })?;
        let extractor = Extractor::compile(&common.extract)?;
        Ok(Self {
            expected,
            extract: common.extract,
            extractor,
            rule,
        })
    }

    fn expectation(
        &self,
        instance: &Map<String, Value>,
    ) -> Result<PartExpectation<'_>, ScoreError> {
        let rendered = self
            .expected
            .as_ref()
            .map(|expected| expected.render(instance))
            .transpose()
            .map_err(ScoreError::Template)?;
        Ok(PartExpectation {
            wanted: self
                .rule
                .wanted(instance, rendered.as_deref().map(str::trim))?,
            rendered,
            part: self,
        })
    }
}

/// Takes a field that all scorers share; nothing where it is absent or null.
fn field<T: serde::de::DeserializeOwned>(
    fields: &mut Map<String, Value>,
    name: &'static str,
) -> Result<Option<T>, ScorerError> {
    let value = fields.remove(name).unwrap_or(Value::Null);
    serde_json::from_value(value).map_err(|error| ScorerError {
        field: name,
        detail: error.to_string(),
    })
}

fn default_extract(name: &str) -> Extract {
    let about = scorers::ALL.iter().find(|about| about.name == name);
    about.map_or_else(Extract::default, |about| (about.extract)())
}

/// What a right response to one instance is.
#[derive(Debug, Clone)]
pub struct Expectation<'s> {
    scorer: &'s Scorer,
    parts: Vec<(Weight, PartExpectation<'s>)>,
}

/// The same for one part.
#[derive(Debug, Clone)]
struct PartExpectation<'s> {
    part: &'s Part,
    wanted: Wanted,
    /// What is expected, as it was written.
    rendered: Option<String>,
}

impl Expectation<'_> {
    /// What is known of a response: its score with the answer that it gives, or what has to be done outside
    /// of this crate for one.
    #[must_use]
    pub fn assess(&self, response: &str) -> Assessment {
        let parts = self.parts.iter();
        let verdicts = parts.map(|(weight, part)| (*weight, part.verdict(response)));
        Assessment::new(verdicts, self.scorer.is_composite)
    }

    /// Scores a response: 1 for right, 0 for wrong, and between for what is right in part.
    ///
    /// # Errors
    /// The score takes more than this crate can do.
    pub fn score(&self, response: &str) -> Result<f64, ScoreError> {
        self.observe(response).map(|observed| observed.score)
    }

    /// Scores a response, and says which answer it gives.
    ///
    /// # Errors
    /// The score takes more than this crate can do.
    pub fn observe(&self, response: &str) -> Result<Observation, ScoreError> {
        match self.assess(response).outcome() {
            Some(Ok(observed)) => Ok(observed),
            Some(Err(_)) | None => Err(ScoreError::Outside),
        }
    }

    /// The prompt of a question to a judge about a response to the same instance, by its number from 0
    /// through the questions of all judges.
    ///
    /// # Errors
    /// No judge is asked, or the rubric cannot be rendered for the instance.
    pub fn question(
        &self,
        instance: &Map<String, Value>,
        response: &str,
        number: u32,
    ) -> Result<RenderedPrompt, ScoreError> {
        let mut first = 0;
        for (_, PartExpectation { part, wanted, .. }) in &self.parts {
            let Some(judge) = part.rule.judge() else {
                continue;
            };
            if number < first + judge.questions() {
                let answer = part.extractor.apply(response).unwrap_or_default();
                return judge
                    .question(instance, wanted.reference(), &answer, number - first)
                    .map_err(ScoreError::Rubric);
            }
            first += judge.questions();
        }
        Err(ScoreError::NoJudge)
    }

    /// Says why a response has its score, or none. It was [assessed](Self::assess), and nothing more is wanted.
    ///
    /// # Errors
    /// Something is wanted.
    pub fn explain(&self, response: &str, assessed: &Assessment) -> Result<Explained, ScoreError> {
        let outcome = assessed.outcome().ok_or(ScoreError::Outside)?;
        let parts = self.parts.iter().enumerate();
        let parts = parts.map(|(number, (_, part))| part.explain(response, assessed.said(number)));
        let parts: Vec<ExplainedPart> = parts.collect();
        let (observation, why) = match (outcome, parts.as_slice()) {
            (Err(reason), _) => (None, reason),
            (Ok(observed), [part]) if !self.scorer.is_composite => {
                (Some(observed), part.why.clone())
            }
            (Ok(observed), _) => {
                let weights = self.parts.iter().map(|(weight, _)| *weight);
                let parts = weights.zip(&parts).enumerate();
                let scores = parts
                    .filter_map(|(number, (weight, part))| Some((number, weight, part.score?)));
                (Some(observed), composite::told(scores))
            }
        };
        Ok(Explained {
            observation,
            why,
            parts,
        })
    }
}

impl Expectation<'_> {
    /// What the scorer reads in a response that was scored before: what it extracts, the answer that
    /// gives, what is expected, and why it has the score that is told. Nothing is scored again; of a part
    /// whose score takes more than reading there is none where it is not told.
    #[must_use]
    pub fn reading(
        &self,
        response: &str,
        told: impl Fn(usize) -> Option<f64>,
    ) -> Vec<ExplainedPart> {
        let read = |(number, (_, part)): (usize, &(Weight, PartExpectation<'_>))| {
            let by_itself = || match (self.scorer.is_composite, part.verdict(response)) {
                (true, Verdict::Score(observed)) => Some(observed.score),
                _ => None,
            };
            let score = told(number).or_else(by_itself);
            part.explain(response, (score, None))
        };
        self.parts.iter().enumerate().map(read).collect()
    }
}

impl PartExpectation<'_> {
    fn verdict(&self, response: &str) -> Verdict {
        let Part {
            extractor, rule, ..
        } = self.part;
        match rule.verdict(&self.wanted, extractor, response) {
            Verdict::Score(observed) => Verdict::Score(Observation {
                answer: self.answer(response).map(|answer| key(&answer)),
                ..observed
            }),
            other @ (Verdict::None(_) | Verdict::Pending(_)) => other,
        }
    }

    /// Why it scores so, and what is known of that from outside.
    fn explain(&self, response: &str, (score, told): (Option<f64>, Option<&str>)) -> ExplainedPart {
        let Part {
            extract,
            extractor,
            rule,
            ..
        } = self.part;
        let extracted = extractor.apply(response);
        let facts = Facts {
            score,
            extract,
            extracted: extracted.as_deref(),
            has_answers: rule.has_answers(),
            answer: self.answer(response),
            expected: self.rendered.as_deref().map(str::trim),
            reason: told
                .map(str::to_owned)
                .or_else(|| rule.reason(&self.wanted, extractor, response)),
        };
        facts.explained()
    }

    /// The answer that a response gives, as the scorer compares it.
    fn answer(&self, response: &str) -> Option<String> {
        let Part {
            extractor, rule, ..
        } = self.part;
        rule.answer(&self.wanted, extractor, response)
    }
}

/// The first 64 bits of the SHA-256 of an answer. It is stored, so it must be the same in every version.
fn key(answer: &str) -> AnswerKey {
    let digest = Sha256::digest(answer.as_bytes());
    let first = digest.iter().take(8);
    AnswerKey(first.fold(0, |key, byte| key << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the responses give the same answer: each by the first that gives it, none by nothing.
    fn answers(scorer: &Value, answer: &Value, responses: &[&str]) -> Vec<Option<usize>> {
        let spec: ScorerSpec = serde_json::from_value(scorer.clone()).unwrap();
        let scorer = Scorer::compile(&spec).unwrap();
        let instance = json!({"answer": answer}).as_object().cloned().unwrap();
        let of = |response: &&str| scorer.observe(&instance, response).unwrap().answer;
        let keys: Vec<_> = responses.iter().map(of).collect();
        keys.iter()
            .map(|key| key.and_then(|_| keys.iter().position(|other| other == key)))
            .collect()
    }

    #[test]
    fn answers_are_the_same_as_the_scorer_compares_them() {
        let expected = "{{ answer }}";
        let json_text = "{\"a\": 1, \"b\": [\"x\"]}";
        for (scorer, answer, responses, same) in [
            (
                json!({"type": "exact", "expected": expected, "ignore_case": true}),
                json!("Paris"),
                vec!["Paris", " paris\n", "Rome", ""],
                vec![Some(0), Some(0), Some(2), None],
            ),
            (
                json!({"type": "exact", "expected": expected, "extract": "json"}),
                json!({"a": 1, "b": ["x"]}),
                vec![
                    json_text,
                    "so {\"b\": [\"x\"], \"a\": 1.0}",
                    "{\"a\": 2}",
                    "none",
                ],
                vec![Some(0), Some(0), Some(2), None],
            ),
            (
                json!({"type": "json"}),
                json!(null),
                vec![json_text, "{\"b\": [\"x\"], \"a\": 1}", "[1]", "{"],
                vec![Some(0), Some(0), Some(2), None],
            ),
            (
                json!({"type": "choice", "expected": expected, "choices": ["A", "B", "C"]}),
                json!("B"),
                vec!["B", "The answer is (B), not C.", "C", "I am not sure"],
                vec![Some(0), Some(0), Some(2), None],
            ),
            (
                json!({"type": "numeric", "expected": expected}),
                json!(1234),
                vec![
                    "1,234.0",
                    "so $1234",
                    "1234.5",
                    "1234.500000000001",
                    "1.2345e3",
                    "-1234",
                    "1235",
                    "none",
                ],
                vec![
                    Some(0),
                    Some(0),
                    Some(2),
                    Some(2),
                    Some(2),
                    Some(5),
                    Some(6),
                    None,
                ],
            ),
            (
                // What is near enough to be right may still be another answer.
                json!({"type": "numeric", "expected": expected, "tolerance": 0.1}),
                json!(100),
                vec!["100", "101", "12345678901", "12345678902"],
                vec![Some(0), Some(1), Some(2), Some(3)],
            ),
            (
                json!({"type": "regex", "pattern": "is (\\w*)", "expected": expected}),
                json!("red"),
                vec!["it is red", "is red or blue", "is blue", "red", "is !"],
                vec![Some(0), Some(0), Some(2), None, None],
            ),
            (
                json!({"type": "math", "expected": expected}),
                json!("\\frac{1}{2}"),
                vec![
                    "0.5",
                    "\\boxed{2/4}",
                    "1/3",
                    "\\frac26",
                    "x+1",
                    "none at all",
                ],
                vec![Some(0), Some(0), Some(2), Some(2), Some(4), Some(5)],
            ),
            (
                json!({"type": "contains", "expected": expected}),
                json!("red"),
                vec!["red", "red"],
                vec![None, None],
            ),
        ] {
            assert_eq!(answers(&scorer, &answer, &responses), same, "{scorer}");
        }
    }

    #[test]
    fn the_key_of_an_answer_never_changes() {
        // The beginning of the SHA-256 of "abc".
        assert_eq!(key("abc"), AnswerKey(0xba78_16bf_8f01_cfea));
    }

    #[test]
    fn scorers_with_answers_are_named() {
        let all = "`exact`, `regex`, `choice`, `numeric`, `math` or `json`";
        assert_eq!(with_answers(), all);
    }

    #[test]
    fn a_composite_weighs_what_its_parts_say() {
        let exact = json!({"type": "exact", "expected": "{{ answer }}"});
        let first = json!({"type": "regex", "pattern": "^[A-Z]"});
        let of = |parts: Value, response: &str| {
            let spec = json!({"type": "composite", "parts": parts});
            let spec: ScorerSpec = serde_json::from_value(spec).unwrap();
            let scorer = Scorer::compile(&spec).unwrap();
            let instance = json!({"answer": "Paris"}).as_object().cloned().unwrap();
            scorer.observe(&instance, response).unwrap()
        };
        let both = json!([
            {"weight": 3.0, "required": false, "scorer": exact},
            {"weight": 1.0, "required": true, "scorer": first}
        ]);
        assert_eq!(of(both.clone(), "Paris"), 1.0.into());
        assert_eq!(of(both.clone(), "Rome"), 0.25.into());
        assert_eq!(of(both, "paris"), 0.0.into());
    }

    #[test]
    fn what_a_part_lacks_is_said_of_the_part() {
        let part = |expected: &str| {
            json!({"weight": 1.0, "required": false,
                   "scorer": {"type": "numeric", "expected": expected}})
        };
        let compile = |parts: Value| {
            let spec = json!({"type": "composite", "parts": parts});
            Scorer::compile(&serde_json::from_value(spec).unwrap())
        };
        let scorer = compile(json!([part("1"), part("one")])).unwrap();
        let error = scorer.expectation(&Map::new()).unwrap_err().to_string();
        assert_eq!(
            error,
            "part 1: expected: `one` holds 0 numbers; it must hold one"
        );
        let error = compile(json!([part("{{")])).unwrap_err().to_string();
        assert!(error.starts_with("parts: part 0: expected: "), "{error}");
    }
}
