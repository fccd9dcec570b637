//! `json`: the text holds a JSON value that keeps to a schema, and of the fields of the expected object the
//! share that it has right.

use super::{Common, Kind, right};
use crate::exact_json::Exact;
use crate::extract::{Extract, Extractor};
use crate::fold::{FoldFields, Folding};
use crate::json;
use crate::overlap::{share, small};
use crate::schema::Schema;
use crate::scorer_error::{ScoreError, ScorerError, cut};
use crate::verdict::Verdict;
use frugal_domain::fault::ObjectReader;
use frugal_domain::scoring::{CorpusCounts, Observation};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The compiled scorer.
#[derive(Debug, Clone)]
pub(crate) struct Json {
    schema: Option<Schema>,
    extra_fields: ExtraFields,
    folding: Folding,
    /// Whether all of the response is searched for a value, and not a part that `extract` names.
    is_anywhere: bool,
}

/// What becomes of fields that the expected object has not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExtraFields {
    #[default]
    Ignored,
    Wrong,
}

/// Its own fields.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Fields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schema: Option<Value>,
    #[serde(default)]
    extra_fields: ExtraFields,
    #[serde(flatten)]
    folding: FoldFields,
}

impl Kind for Json {
    type Fields = Fields;
    /// The expected value; nothing in particular where `expected` is not given.
    type Wanted = Option<Exact>;
    const NAME: &'static str = "json";
    const EXTRACT: Extract = Extract::Json;
    const IS_GRADED: bool = true;
    const HAS_ANSWERS: bool = true;

    fn without_expected() -> Option<Option<Exact>> {
        Some(None)
    }

    fn read(object: &ObjectReader<'_>) -> Option<Fields> {
        let extra_fields = object
            .get("extra_fields")
            .map_or(Some(ExtraFields::Ignored), |at| {
                at.one_of(&[
                    ("ignored", ExtraFields::Ignored),
                    ("wrong", ExtraFields::Wrong),
                ])
            });
        let schema = object.get("schema").map(|at| at.value.clone());
        let folding = FoldFields::read(object);
        Some(Fields {
            schema,
            extra_fields: extra_fields?,
            folding: folding?,
        })
    }

    fn compile(fields: Fields, common: &Common) -> Result<Self, ScorerError> {
        Ok(Self {
            schema: fields.schema.as_ref().map(Schema::compile).transpose()?,
            extra_fields: fields.extra_fields,
            folding: fields.folding.into(),
            is_anywhere: common.extract == Extract::Json,
        })
    }

    fn wanted(&self, expected: &str) -> Result<Option<Exact>, ScoreError> {
        match Exact::parse(expected, self.folding) {
            Some(value) if value.is_nested() => Ok(Some(value)),
            _ => Err(ScoreError::NotJson {
                text: cut(expected),
            }),
        }
    }

    fn verdict(&self, wanted: &Option<Exact>, extractor: &Extractor, response: &str) -> Verdict {
        let found = match self.kept(wanted.as_ref(), extractor, response) {
            Ok(found) => found,
            Err(reason) => return Verdict::None(reason),
        };
        Verdict::Score(match (found, wanted) {
            (None, None) => right(false).into(),
            (Some(_), None) => right(true).into(),
            (found, Some(wanted)) => self.agreement(wanted, found.as_ref()),
        })
    }

    /// What of the schema is not kept.
    fn reason(
        &self,
        wanted: &Option<Exact>,
        extractor: &Extractor,
        response: &str,
    ) -> Option<String> {
        let text = self.text(wanted.as_ref(), extractor, response)?;
        self.schema.as_ref()?.violation(&text)
    }

    fn answer(
        &self,
        wanted: &Option<Exact>,
        extractor: &Extractor,
        response: &str,
    ) -> Option<String> {
        let text = self.text(wanted.as_ref(), extractor, response)?;
        Some(Exact::parse(&text, self.folding)?.written())
    }
}

impl Json {
    /// The value that a response holds, if there is one and it keeps to the schema; or why that cannot be told.
    fn kept(
        &self,
        wanted: Option<&Exact>,
        extractor: &Extractor,
        response: &str,
    ) -> Result<Option<Exact>, String> {
        let Some(text) = self.text(wanted, extractor, response) else {
            return Ok(None);
        };
        if let Some(schema) = &self.schema
            && !schema.is_kept_by(&text)?
        {
            return Ok(None);
        }
        Ok(Exact::parse(&text, self.folding))
    }

    /// The value that a response holds, as it stands there.
    fn text(
        &self,
        wanted: Option<&Exact>,
        extractor: &Extractor,
        response: &str,
    ) -> Option<String> {
        let text = match self.is_anywhere {
            true => Cow::Borrowed(response),
            false => extractor.apply(response)?,
        };
        // A list in front, such as a reference [1], is not the object that is asked for.
        let first = match wanted {
            Some(wanted) => json::first(&text, &[wanted.opening()]),
            None => json::first(&text, &['{', '[']),
        };
        first.map(str::to_owned)
    }

    /// The share of fields that are the same. Fields of objects within objects count by themselves;
    /// lists are the same as a whole or not at all.
    fn agreement(&self, wanted: &Exact, found: Option<&Exact>) -> Observation {
        let wanted = fields(wanted);
        let found = found.map(fields).unwrap_or_default();
        let same = wanted
            .iter()
            .filter(|(path, value)| found.get(*path) == Some(*value))
            .count();
        let extra = found.keys().filter(|path| !wanted.contains_key(*path));
        let (there, extra) = (found.len(), extra.count());
        // Those that count for nothing are as if they were not there.
        let (there, extra) = match self.extra_fields {
            ExtraFields::Ignored => (there - extra, 0),
            ExtraFields::Wrong => (there, extra),
        };
        let counts = CorpusCounts::Overlap {
            common: small(same),
            response: small(there),
            reference: small(wanted.len()),
        };
        Observation {
            counts: Some(counts),
            ..share(same as u64, (wanted.len() + extra) as u64).into()
        }
    }
}

/// The values that are no objects, by where they are: the names of the fields on the way.
fn fields(value: &Exact) -> BTreeMap<Vec<&str>, &Exact> {
    let mut fields = BTreeMap::new();
    let mut open = vec![(Vec::new(), value)];
    while let Some((path, value)) = open.pop() {
        match value {
            Exact::Object(members) if !members.is_empty() => {
                for (name, member) in members {
                    let mut path = path.clone();
                    path.push(name.as_str());
                    open.push((path, member));
                }
            }
            _ => _ = fields.insert(path, value),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use crate::scorer::Scorer;
    use frugal_domain::scoring::ScorerSpec;
    use serde_json::{Value, json};

    fn compile(scorer: Value) -> Result<Scorer, String> {
        let spec: ScorerSpec = serde_json::from_value(scorer).unwrap();
        Scorer::compile(&spec).map_err(|error| error.to_string())
    }

    fn check(scorer: Value, answer: Value, cases: &[(&str, f64)]) {
        let told = scorer.to_string();
        let scorer = compile(scorer).unwrap();
        let instance = json!({"answer": answer}).as_object().cloned().unwrap();
        for (response, expected) in cases {
            let score = scorer.score(&instance, response).unwrap();
            assert!(
                (score - expected).abs() < 1e-12,
                "{told} {response:?}: {score}"
            );
        }
    }

    #[test]
    fn a_value_is_held_against_a_schema() {
        check(
            json!({"type": "json"}),
            json!(null),
            &[
                ("Sure: {\"a\": 1}", 1.0),
                ("[1]", 1.0),
                ("{\"a\": 1", 0.0),
                ("none", 0.0),
            ],
        );
        let schema = json!({
            "type": "object", "required": ["name"], "additionalProperties": false,
            "properties": {"name": {"type": "string", "pattern": "^[A-Z]"}, "age": {"type": "integer"}}
        });
        check(
            json!({"type": "json", "schema": schema}),
            json!(null),
            &[
                ("```json\n{\"name\": \"Ann\", \"age\": 3}\n```", 1.0),
                ("{\"name\": \"ann\"}", 0.0),
                ("{\"name\": \"Ann\", \"age\": \"3\"}", 0.0),
                ("{\"name\": \"Ann\", \"city\": \"Reno\"}", 0.0),
                ("{}", 0.0),
            ],
        );
    }

    #[test]
    fn numbers_are_compared_to_the_last_digit() {
        let long = "12345678901234567891234";
        // As a row carries it, which cannot carry it as a number; and within a text of JSON.
        for answer in [
            json!({"id": long, "share": "0.1000000000000000055"}),
            json!(format!(
                "{{\"id\": {long}, \"share\": 0.1000000000000000055}}"
            )),
        ] {
            let right = format!("{{\"id\": {long}.0, \"share\": 1000000000000000055e-19}}");
            let other = format!("{{\"id\": {}, \"share\": 0.1}}", long.replace("234", "235"));
            check(
                json!({"type": "json", "expected": "{{ answer }}"}),
                answer.clone(),
                &[(&right, 1.0), (&other, 0.0)],
            );
            let exact = json!({"type": "exact", "expected": "{{ answer }}", "extract": "json"});
            check(exact, answer, &[(&right, 1.0), (&other, 0.0)]);
        }
    }

    #[test]
    fn fields_count_one_by_one() {
        let scorer = |extra: &str| json!({"type": "json", "expected": "{{ answer }}", "ignore_case": true, "extra_fields": extra});
        let answer =
            json!({"name": "Ann", "address": {"city": "Reno", "zip": 89501}, "tags": ["a", "b"]});
        let right = "{\"NAME\": \"ann\", \"address\": {\"city\": \"Reno\", \"zip\": 89501.0}, \"tags\": [\"a\", \"b\"]}";
        let partly = "as [1]: {\"name\": \"Ann\", \"address\": {\"city\": \"Rome\"}, \"tags\": [\"b\", \"a\"], \"age\": 3}";
        check(
            scorer("ignored"),
            answer.clone(),
            &[(right, 1.0), (partly, 0.25), ("[]", 0.0)],
        );
        check(scorer("wrong"), answer, &[(right, 1.0), (partly, 0.2)]);
        check(
            json!({"type": "json", "expected": "{{ answer }}", "schema": {"required": ["a"]}}),
            json!({"b": 1}),
            &[("{\"b\": 1}", 0.0), ("{\"a\": 0, \"b\": 1}", 1.0)],
        );
        check(
            json!({"type": "json", "expected": "{{ answer }}"}),
            json!({}),
            &[("{}", 1.0)],
        );
    }

    #[test]
    fn schemas_that_are_none_or_reach_outside_are_refused() {
        for schema in [
            json!(true),
            json!({"type": "thing"}),
            json!({"$ref": "https://example.com/schema.json"}),
            json!({"$ref": "file:///etc/passwd"}),
            json!({"pattern": "("}),
            json!({"pattern": "(?:[a-z]{1,1000}){1,1000}"}),
            json!({"description": "x".repeat(70_000)}),
        ] {
            let compiled = compile(json!({"type": "json", "schema": schema.clone()}));
            let fault = compiled.map(|_| schema).unwrap_err();
            assert!(fault.starts_with("schema: "), "{fault}");
        }
    }

    #[test]
    fn what_refers_to_itself_ends() {
        let schema = json!({"properties": {"next": {"$ref": "#"}}, "required": ["next"]});
        let nested = format!("{}{}", "{\"next\": ".repeat(100), "}".repeat(100));
        check(
            json!({"type": "json", "schema": schema}),
            json!(null),
            &[(&nested, 0.0)],
        );
        check(
            json!({"type": "json", "schema": {"$ref": "#"}}),
            json!(null),
            &[("{}", 1.0)],
        );
        let patterns = json!({"pattern": "^(a+)+$"});
        let long = format!("[\"{}b\"]", "a".repeat(100_000));
        check(
            json!({"type": "json", "schema": {"items": patterns}}),
            json!(null),
            &[(&long, 0.0)],
        );
    }
}
