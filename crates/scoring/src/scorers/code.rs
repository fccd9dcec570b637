//! `code`: the response is a program, or the rest of one, that is run against the instance's tests.

use super::{Common, Kind, Outside};
use crate::extract::{Extract, Extractor};
use crate::run::Run;
use crate::scorer_error::{ScoreError, ScorerError, cut};
use crate::template::Template;
use crate::verdict::{Pending, Verdict};
use frugal_domain::fault::{ObjectReader, Reader};
use frugal_domain::program::Program;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a program may take where `seconds` is not given.
const SECONDS: u32 = 5;
/// The most that it may be given. An operator may allow less.
const MOST_SECONDS: i64 = 60;
/// The most cases of an instance, each of which is a program to run.
const MOST_CASES: usize = 100;

/// The compiled scorer.
#[derive(Debug, Clone)]
pub(crate) struct Code {
    prefix: Option<Template>,
    wants: Wants,
    partial: bool,
    seconds: u32,
    stop_at: Vec<String>,
}

#[derive(Debug, Clone)]
enum Wants {
    Tests {
        tests: Template,
        entry_point: Option<Template>,
    },
    Cases(Template),
}

/// Its own fields.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Fields {
    language: Language,
    /// What is run after the program.
    tests: Option<String>,
    /// What the tests' `check` is called with.
    entry_point: Option<String>,
    /// What is put before the response.
    prefix: Option<String>,
    /// What the program is given and has to write.
    cases: Option<String>,
    #[serde(default)]
    partial: bool,
    seconds: u32,
    /// Marks at the first of which the response ends.
    #[serde(default)]
    stop_at: Vec<String>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Language {
    Python,
}

/// What a right response to an instance is.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    prefix: String,
    checks: Checks,
}

#[derive(Debug, Clone)]
enum Checks {
    Tests(String),
    Cases(Vec<Case>),
}

/// One case of an instance: what the program is given, and what it has to write.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(default)]
    stdin: String,
    stdout: String,
}

/// Cases as an instance may hold them: one by one, or as two lists, as in APPS.
#[derive(Deserialize)]
#[serde(untagged)]
enum Cases {
    Listed(Vec<Case>),
    Apart(Apart),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Apart {
    inputs: Vec<String>,
    outputs: Vec<String>,
}

impl Kind for Code {
    type Fields = Fields;
    type Wanted = Task;
    const NAME: &'static str = "code";
    const EXTRACT: Extract = Extract::Code;
    const TAKES_EXPECTED: bool = false;
    const TEMPLATES: &'static [&'static str] = &["tests", "entry_point", "prefix", "cases"];
    const OUTSIDE: Option<Outside> = Some(Outside::Programs);

    fn read(object: &ObjectReader<'_>) -> Option<Fields> {
        let language = match object.get("language") {
            Some(at) => at.one_of(&[("python", Language::Python)]),
            None => Some(Language::Python),
        };
        let tests = text(object, "tests");
        let entry_point = text(object, "entry_point");
        let prefix = text(object, "prefix");
        let cases = text(object, "cases");
        let partial = object.get("partial").map_or(Some(false), |at| at.boolean());
        let seconds = object
            .get("seconds")
            .map_or(Some(i64::from(SECONDS)), |at| {
                at.integer_within(1, MOST_SECONDS)
            });
        let stop_at = object
            .get("stop_at")
            .map_or_else(|| Some(Vec::new()), |at| marks(&at));
        let fields = Fields {
            language: language?,
            tests: tests?,
            entry_point: entry_point?,
            prefix: prefix?,
            cases: cases?,
            partial: partial?,
            seconds: u32::try_from(seconds?).ok()?,
            stop_at: stop_at?,
        };
        match (&fields.tests, &fields.cases) {
            (Some(_), Some(_)) => object.at.fault("give `tests` or `cases`, not both"),
            (None, None) => object.at.fault(
                "give `tests`, such as \"{{ test }}\", which run after the program, or `cases`, such as \"{{ cases }}\", with what it is given and has to write",
            ),
            (None, Some(_)) if fields.entry_point.is_some() => object.at.fault_below(
                "/entry_point",
                "goes with `tests`, whose `check` is called with it; remove it",
            ),
            (Some(_), None) if fields.partial => object.at.fault_below(
                "/partial",
                "goes with `cases`: tests pass or do not; remove it",
            ),
            _ => Some(fields),
        }
    }

    fn compile(fields: Fields, _: &Common) -> Result<Self, ScorerError> {
        let Language::Python = fields.language;
        let wants = match (&fields.tests, &fields.cases) {
            (Some(tests), _) => Wants::Tests {
                tests: template("tests", tests)?,
                entry_point: optional("entry_point", fields.entry_point.as_deref())?,
            },
            (None, Some(cases)) => Wants::Cases(template("cases", cases)?),
            (None, None) => {
                return Err(ScorerError {
                    field: "tests",
                    detail: "is missing".to_owned(),
                });
            }
        };
        Ok(Self {
            prefix: optional("prefix", fields.prefix.as_deref())?,
            wants,
            partial: fields.partial,
            seconds: fields.seconds,
            stop_at: fields.stop_at,
        })
    }

    fn wanted(&self, _: &str) -> Result<Task, ScoreError> {
        Err(ScoreError::Missing)
    }

    fn wanted_of(
        &self,
        instance: &Map<String, Value>,
        _: Option<&str>,
    ) -> Result<Task, ScoreError> {
        let prefix = self.prefix.as_ref();
        let prefix = prefix.map(|prefix| render("prefix", prefix, instance));
        Ok(Task {
            prefix: prefix.transpose()?.unwrap_or_default(),
            checks: self.wants.of(instance)?,
        })
    }

    fn is_graded(fields: &Map<String, Value>) -> bool {
        fields.get("partial").and_then(Value::as_bool) == Some(true)
    }

    fn verdict(&self, task: &Task, extractor: &Extractor, response: &str) -> Verdict {
        let Some(code) = extractor.apply(response) else {
            return Verdict::Score(0.0.into());
        };
        let stops = self
            .stop_at
            .iter()
            .filter_map(|mark| code.find(mark.as_str()));
        let end = stops.min().unwrap_or(code.len());
        let program = Program {
            source: format!("{}{}\n", task.prefix, &code[..end]),
            seconds: self.seconds,
            ..Program::default()
        };
        let run = match &task.checks {
            Checks::Tests(tests) => Run::tests(Program {
                tests: tests.clone(),
                ..program
            }),
            Checks::Cases(cases) => {
                let cases = cases.iter().map(|case| {
                    let program = Program {
                        stdin: case.stdin.clone(),
                        ..program.clone()
                    };
                    (program, case.stdout.clone())
                });
                Run::outputs(cases, self.partial)
            }
        };
        Verdict::Pending(Pending::Run(run))
    }
}

impl Wants {
    fn of(&self, instance: &Map<String, Value>) -> Result<Checks, ScoreError> {
        match self {
            Self::Tests { tests, entry_point } => {
                let tests = render("tests", tests, instance)?;
                if tests.trim().is_empty() {
                    return Err(fault(
                        "tests",
                        "are empty for this instance, and every program passes these",
                    ));
                }
                let Some(entry_point) = entry_point else {
                    return Ok(Checks::Tests(tests));
                };
                let name = render("entry_point", entry_point, instance)?;
                let name = name.trim();
                if !is_name(name) {
                    let detail = format!("`{}` is no name of a function", cut(name));
                    return Err(fault("entry_point", detail));
                }
                Ok(Checks::Tests(format!("{tests}\ncheck({name})\n")))
            }
            Self::Cases(cases) => {
                let text = render("cases", cases, instance)?;
                read_cases(&text).map(Checks::Cases)
            }
        }
    }
}

/// Reads the cases of an instance.
fn read_cases(text: &str) -> Result<Vec<Case>, ScoreError> {
    let cases = match serde_json::from_str(text) {
        Ok(Cases::Listed(cases)) => cases,
        Ok(Cases::Apart(Apart { inputs, outputs })) if inputs.len() == outputs.len() => {
            let pairs = inputs.into_iter().zip(outputs);
            pairs
                .map(|(stdin, stdout)| Case { stdin, stdout })
                .collect()
        }
        Ok(Cases::Apart(Apart { inputs, outputs })) => {
            let detail = format!("hold {} inputs and {} outputs", inputs.len(), outputs.len());
            return Err(fault("cases", detail));
        }
        Err(_shape) => {
            let detail = format!(
                "`{}` is no JSON array of {{\"stdin\": …, \"stdout\": …}} or object of `inputs` and `outputs`, all of them texts",
                cut(text)
            );
            return Err(fault("cases", detail));
        }
    };
    match cases.len() {
        0 => Err(fault(
            "cases",
            "there is none for this instance, and every program passes that",
        )),
        count if count > MOST_CASES => {
            let detail =
                format!("there are {count}; at most {MOST_CASES} are run for one response");
            Err(fault("cases", detail))
        }
        _ => Ok(cases),
    }
}

/// Whether a text is a name in Python, or several with points between them.
fn is_name(text: &str) -> bool {
    text.split('.').all(|part| {
        let mut characters = part.chars();
        let first = characters.next();
        first.is_some_and(|first| first.is_alphabetic() || first == '_')
            && characters.all(|character| character.is_alphanumeric() || character == '_')
    })
}

/// A field that holds a template, where it is given. The outer nothing is a fault.
fn text(object: &ObjectReader<'_>, name: &str) -> Option<Option<String>> {
    match object.get(name) {
        Some(at) => at.filled_string().map(|text| Some(text.to_owned())),
        None => Some(None),
    }
}

fn marks(at: &Reader<'_>) -> Option<Vec<String>> {
    let marks = at.array()?;
    let read = marks.iter().map(|at| match at.string()? {
        "" => at.fault("must not be empty"),
        mark => Some(mark.to_owned()),
    });
    // All of them, so that all faults are found.
    let read: Vec<Option<String>> = read.collect();
    read.into_iter().collect()
}

fn template(field: &'static str, text: &str) -> Result<Template, ScorerError> {
    Template::compile_for_answers(text).map_err(|error| ScorerError {
        field,
        detail: error.to_string(),
    })
}

fn optional(field: &'static str, text: Option<&str>) -> Result<Option<Template>, ScorerError> {
    text.map(|text| template(field, text)).transpose()
}

fn render(
    field: &'static str,
    template: &Template,
    instance: &Map<String, Value>,
) -> Result<String, ScoreError> {
    let rendered = template.render(instance);
    rendered.map_err(|error| fault(field, error.to_string()))
}

fn fault(field: &'static str, detail: impl Into<String>) -> ScoreError {
    ScoreError::Field {
        field,
        detail: detail.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scorer::Scorer;
    use frugal_domain::fault::Faults;
    use frugal_domain::program::{Ended, Ending};
    use frugal_domain::scoring::ScorerSpec;
    use serde_json::json;

    /// A scorer as it is posted, or what is wrong with it.
    fn read(scorer: &Value) -> Result<ScorerSpec, Vec<(String, String)>> {
        let faults = Faults::default();
        let spec = crate::scorer::read(&Reader::new(scorer, &faults).object().unwrap());
        spec.ok_or_else(|| {
            let faults = faults.into_vec().into_iter();
            faults.map(|fault| (fault.pointer, fault.detail)).collect()
        })
    }

    /// The first program that a response is scored by.
    fn program(scorer: &Value, row: &Value, response: &str) -> Program {
        let scorer = Scorer::compile(&read(scorer).unwrap()).unwrap();
        let expectation = scorer.expectation(row.as_object().unwrap()).unwrap();
        let mut assessed = expectation.assess(response);
        assessed.run(0).unwrap().next().unwrap().clone()
    }

    fn refused(scorer: &Value, row: &Value) -> String {
        let scorer = Scorer::compile(&read(scorer).unwrap()).unwrap();
        let error = scorer.expectation(row.as_object().unwrap()).unwrap_err();
        error.to_string()
    }

    #[test]
    fn a_completion_is_put_between_the_prompt_and_the_tests() {
        let scorer = json!({
            "type": "code", "tests": "{{ test }}", "entry_point": "{{ name }}", "prefix": "{{ prompt }}",
            "stop_at": ["\ndef", "\nprint"], "seconds": 3
        });
        let row =
            json!({"prompt": "def f(x):\n", "test": "def check(f): assert f(1)", "name": "f"});
        let found = program(&scorer, &row, "    return x\n\nprint(1)\ndef g(): pass");
        assert_eq!(found.source, "def f(x):\n    return x\n\n");
        assert_eq!(found.tests, "def check(f): assert f(1)\ncheck(f)\n");
        assert_eq!((found.seconds, found.stdin.as_str()), (3, ""));
    }

    #[test]
    fn code_is_taken_out_of_its_fence_where_it_has_one() {
        let scorer = json!({"type": "code", "tests": "assert f(1)"});
        let source = |response| program(&scorer, &json!({}), response).source;
        assert_eq!(source("Sure:\n```python\nx = 1\n```\nDone."), "x = 1\n\n");
        assert_eq!(source("x = 1"), "x = 1\n");
    }

    #[test]
    fn cases_come_in_two_forms() {
        let scorer = json!({"type": "code", "cases": "{{ cases | tojson }}", "partial": true});
        for cases in [
            json!([{"stdin": "1\n", "stdout": "2"}, {"stdout": "3"}]),
            json!({"inputs": ["1\n", ""], "outputs": ["2", "3"]}),
        ] {
            let spec = read(&scorer).unwrap();
            assert!(crate::is_graded(&spec));
            let scorer = Scorer::compile(&spec).unwrap();
            let row = json!({"cases": cases});
            let expectation = scorer.expectation(row.as_object().unwrap()).unwrap();
            let mut assessed = expectation.assess("x");
            let run = assessed.run(0).unwrap();
            let mut given = Vec::new();
            while let Some(program) = run.next() {
                given.push(program.stdin.clone());
                run.ended(&Ended {
                    ending: Ending::Exited(0),
                    passed_tests: false,
                    stdout: "3".to_owned(),
                    stderr: String::new(),
                });
            }
            assert_eq!(given, ["1\n", ""]);
            assert_eq!(run.score(), 0.5);
        }
    }

    #[test]
    fn what_is_wrong_with_it_is_told_by_its_field() {
        let faults = |scorer: Value| read(&scorer).unwrap_err();
        assert!(
            faults(json!({"type": "code"}))[0]
                .1
                .contains("give `tests`")
        );
        let both = json!({"type": "code", "tests": "a", "cases": "b"});
        assert!(faults(both)[0].1.contains("not both"));
        let many = faults(json!({
            "type": "code", "tests": "a", "language": "perl", "seconds": 0, "expected": "b", "stop_at": ["", 1]
        }));
        let pointers: Vec<_> = many.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(
            pointers,
            [
                "/language",
                "/seconds",
                "/stop_at/0",
                "/stop_at/1",
                "/expected"
            ]
        );
        let partial = json!({"type": "code", "tests": "a", "partial": true});
        assert_eq!(faults(partial)[0].0, "/partial");
    }

    #[test]
    fn a_row_that_no_program_could_be_held_against_is_a_fault() {
        let tests = json!({"type": "code", "tests": "{{ t }}", "entry_point": "{{ e }}"});
        let told = |row| refused(&tests, &row);
        assert!(told(json!({"t": " ", "e": "f"})).starts_with("tests: are empty"));
        assert!(told(json!({"t": "x", "e": "f("})).contains("`f(` is no name"));
        assert!(told(json!({"t": null, "e": "f"})).starts_with("tests: "));
        assert!(told(json!({"e": "f"})).contains("`t` is undefined"));
        let cases = json!({"type": "code", "cases": "{{ c }}"});
        let told = |cases_of: Value| refused(&cases, &json!({"c": cases_of}));
        assert!(told(json!([])).contains("there is none"));
        assert!(told(json!("x")).contains("is no JSON array"));
        assert!(told(json!([{"stdin": "1"}])).contains("is no JSON array"));
        assert!(told(json!({"inputs": ["1"], "outputs": []})).contains("1 inputs and 0 outputs"));
        let many = vec![json!({"stdout": ""}); MOST_CASES + 1];
        assert!(told(json!(many)).contains("at most 100"));
    }

    #[test]
    fn it_is_never_scored_without_being_run() {
        let scorer = read(&json!({"type": "code", "tests": "assert True"})).unwrap();
        assert_eq!(crate::outside(&scorer), [Outside::Programs]);
        let scorer = Scorer::compile(&scorer).unwrap();
        assert_eq!(scorer.score(&Map::new(), "x"), Err(ScoreError::Outside));
    }
}
