//! Templates in Jinja syntax, over the variables of an instance.
//!
//! A template is written by a client, so its work is bounded. Besides the engine's own fuel,
//! three things are needed, because a template can otherwise exhaust the stack of the process
//! or hold a core for minutes while it is merely compiled:
//!
//! - the number of tokens within tags is bounded: a long chain such as `x + x + …` makes a
//!   syntax tree as deep as the chain is long, whose compilation takes quadratic time;
//! - macros, `call` blocks and recursive loops are refused, and `namespace` is absent: with
//!   them, values can be nested within one another without end, or within themselves;
//! - nothing can be included or imported.

use crate::code_filters;
use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value as EngineValue, ValueKind};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The longest template, in bytes.
pub const MAX_TEMPLATE_BYTES: usize = 64 * 1024;

/// The most tokens (names, operators, brackets, literals) that a template may have within its
/// tags, all together. `{{ question }}` has three.
pub const MAX_TEMPLATE_TOKENS: usize = 1000;

/// The longest text that a template may render to, in bytes.
pub const MAX_OUTPUT_BYTES: usize = 1024 * 1024;

/// What one rendering may use up: about one per instruction and per 64 bytes of data.
pub const FUEL: u64 = 100_000;

/// The name under which the engine knows the one template of its environment.
const NAME: &str = "template";

/// The engine's functions that a template may not use: one prints the engine's inside, the
/// other makes values that can hold themselves.
const WITHHELD: [&str; 2] = ["debug", "namespace"];

/// A compiled template. Cloning it is cheap.
///
/// Text is written as it is, without escaping; whatever else an instance holds (numbers,
/// truth values, null, lists, objects) is written as JSON. A variable that the instance does
/// not have is an error. A newline at the end is kept.
#[derive(Debug, Clone)]
pub struct Template {
    environment: Arc<Environment<'static>>,
    variables: Arc<BTreeSet<String>>,
}

/// Why a template cannot be compiled or rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The template is longer than [`MAX_TEMPLATE_BYTES`].
    #[error("the template is {bytes} bytes long; at most {MAX_TEMPLATE_BYTES} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The template has more than [`MAX_TEMPLATE_TOKENS`] tokens in its tags.
    #[error(
        "line {line}: the tags of the template hold more than {MAX_TEMPLATE_TOKENS} names, operators and brackets; move data into the instances"
    )]
    TooManyTokens {
        /// The line on which the limit is passed, from 1.
        line: usize,
    },
    /// The template uses something that could nest without end.
    #[error(
        "line {line}: `{what}` is not available in templates; write it out or use a plain loop"
    )]
    Withheld {
        /// Where, from 1.
        line: usize,
        /// What it uses.
        what: &'static str,
    },
    /// The template takes something from the instance that is not there: a field, a field of a field,
    /// an item of a list.
    #[error("line {line}: {reason} in this instance")]
    Undefined {
        /// Where, from 1.
        line: usize,
        /// What is not there.
        reason: String,
    },
    /// The template is wrong, or wrong for this instance.
    #[error("line {line}: {reason}")]
    Invalid {
        /// Where, from 1.
        line: usize,
        /// Why.
        reason: String,
    },
    /// Rendering used up the [`FUEL`].
    #[error("line {line}: rendering takes too much work; shorten loops or data")]
    OutOfFuel {
        /// Where, from 1.
        line: usize,
    },
    /// The text is longer than [`MAX_OUTPUT_BYTES`].
    #[error("the rendered text is {bytes} bytes long; at most {MAX_OUTPUT_BYTES} are allowed")]
    OutputTooLong {
        /// Its length.
        bytes: usize,
    },
}

/// The variable that holds the whole instance, where that has no field of this name: a field whose name is
/// no identifier is `row["its name"]`.
pub const ROW: &str = "row";

impl Template {
    /// Compiles a template.
    ///
    /// # Errors
    /// It is too large, uses what is withheld, or has a fault of syntax.
    pub fn compile(text: &str) -> Result<Self, TemplateError> {
        Self::compiled(text, write_value)
    }

    /// Compiles a template for what a right answer is, in which a null is a fault of the row: the text
    /// "null" would be taken for an answer.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub(crate) fn compile_for_answers(text: &str) -> Result<Self, TemplateError> {
        Self::compiled(text, |out, value| match value.kind() {
            ValueKind::None => Err(Error::new(
                ErrorKind::InvalidOperation,
                "the answer is null; give every instance an answer",
            )),
            _ => write_value(out, value),
        })
    }

    fn compiled(
        text: &str,
        write: fn(&mut minijinja::Output<'_>, &EngineValue) -> Result<(), Error>,
    ) -> Result<Self, TemplateError> {
        measure(text)?;
        let mut environment = Environment::new();
        environment.set_syntax(syntax()?);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        // Without it the engine does not say which variable is undefined.
        environment.set_debug(true);
        for name in WITHHELD {
            environment.remove_global(name);
        }
        code_filters::add(&mut environment);
        environment.set_formatter(move |out, _, value| write(out, value));
        environment
            .add_template_owned(NAME, text.to_owned())
            .map_err(|error| describe(&error))?;
        let mut variables: BTreeSet<String> = environment
            .get_template(NAME)
            .map_err(|error| describe(&error))?
            .undeclared_variables(false)
            .into_iter()
            .collect();
        for (function, _) in environment.globals() {
            variables.remove(function);
        }
        Ok(Self {
            environment: Arc::new(environment),
            variables: Arc::new(variables),
        })
    }

    /// The variables that the template takes from an instance, by name. A variable that is
    /// only asked about (`{% if hint is defined %}`) is among them.
    #[must_use]
    pub fn variables(&self) -> &BTreeSet<String> {
        &self.variables
    }

    /// The text for an instance.
    ///
    /// # Errors
    /// A variable is not there, a value is not of the kind that the template takes it for, or
    /// the work or the text is too large.
    pub fn render(&self, instance: &Map<String, Value>) -> Result<String, TemplateError> {
        let (text, _) = self.render_measured(instance)?;
        Ok(text)
    }

    /// The text for an instance, and how much of the [`FUEL`] it took.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub(crate) fn render_measured(
        &self,
        instance: &Map<String, Value>,
    ) -> Result<(String, u64), TemplateError> {
        let with_row;
        let instance = if self.variables.contains(ROW) && !instance.contains_key(ROW) {
            with_row = with_row_of(instance);
            &with_row
        } else {
            instance
        };
        let rendered = self
            .environment
            .get_template(NAME)
            .and_then(|template| {
                let captured = template.render_captured(Serde(instance))?;
                let fuel = captured.state().fuel_levels();
                Ok((captured.into_output(), fuel.map_or(0, |(used, _)| used)))
            })
            .map_err(|error| describe(&error))?;
        let bytes = rendered.0.len();
        if bytes > MAX_OUTPUT_BYTES {
            return Err(TemplateError::OutputTooLong { bytes });
        }
        Ok(rendered)
    }
}

/// An instance with itself as one field more.
fn with_row_of(instance: &Map<String, Value>) -> Map<String, Value> {
    let mut with_row = instance.clone();
    with_row.insert(ROW.to_owned(), Value::Object(instance.clone()));
    with_row
}

fn syntax() -> Result<SyntaxConfig, TemplateError> {
    SyntaxConfig::builder()
        .keep_trailing_newline(true)
        .build()
        .map_err(|error| describe(&error))
}

/// Refuses a template whose size or shape the engine would not survive. It looks at tokens
/// only: nothing has been parsed yet, and tokenising takes linear time and no recursion.
fn measure(text: &str) -> Result<(), TemplateError> {
    if text.len() > MAX_TEMPLATE_BYTES {
        return Err(TemplateError::TooLong { bytes: text.len() });
    }
    let mut count = 0;
    let mut statement: Option<&str> = None;
    let mut at_start = false;
    for token in tokenize(text, false, syntax()?) {
        let (token, span) = token.map_err(|error| describe(&error))?;
        let line = usize::from(span.start_line);
        if matches!(token, Token::TemplateData(_)) {
            continue;
        }
        count += 1;
        if count > MAX_TEMPLATE_TOKENS {
            return Err(TemplateError::TooManyTokens { line });
        }
        match token {
            Token::BlockStart => (statement, at_start) = (None, true),
            Token::Ident(name) => {
                if at_start {
                    statement = Some(name);
                }
                let what = match (name, statement) {
                    ("macro", Some("macro")) if at_start => Some("macro"),
                    ("call", Some("call")) if at_start => Some("call"),
                    ("recursive", Some("for")) => Some("recursive"),
                    _ => None,
                };
                if let Some(what) = what {
                    return Err(TemplateError::Withheld { line, what });
                }
                at_start = false;
            }
            Token::BlockEnd => (statement, at_start) = (None, false),
            _ => at_start = false,
        }
    }
    Ok(())
}

/// Writes a value as the text of a prompt: text as it is, everything else as JSON.
fn write_value(out: &mut minijinja::Output<'_>, value: &EngineValue) -> Result<(), Error> {
    match value.kind() {
        // Only the value of an `if` without an `else` comes here: others are errors before.
        ValueKind::Undefined => {}
        ValueKind::Bool
        | ValueKind::None
        | ValueKind::Number
        | ValueKind::Seq
        | ValueKind::Map
        | ValueKind::Iterable => {
            let json = serde_json::to_string(value).map_err(|error| {
                Error::new(
                    ErrorKind::BadSerialization,
                    "a value cannot be written as JSON",
                )
                .with_source(error)
            })?;
            out.write_str(&json)?;
        }
        _ => match value.as_str() {
            Some(text) => out.write_str(text)?,
            None => {
                return Err(Error::new(
                    ErrorKind::NonPrimitive,
                    "a function is not a value; call it",
                ));
            }
        },
    }
    Ok(())
}

fn describe(error: &Error) -> TemplateError {
    let line = error.line().unwrap_or(1);
    if error.kind() == ErrorKind::OutOfFuel {
        return TemplateError::OutOfFuel { line };
    }
    let reason = match error.detail() {
        Some(detail) => detail.to_owned(),
        None => error.kind().to_string(),
    };
    match error.kind() {
        ErrorKind::UndefinedError => TemplateError::Undefined { line, reason },
        _ => TemplateError::Invalid { line, reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn instance() -> Map<String, Value> {
        let value = json!({
            "question": "2 < 3 & \"so\"?",
            "answer": 19,
            "share": 0.5,
            "yes": true,
            "nothing": null,
            "choices": ["a", "b"],
            "key": {"name": "Ann", "age": 33, "tags": ["x", null]},
        });
        value.as_object().unwrap().clone()
    }

    fn render(text: &str) -> Result<String, TemplateError> {
        Template::compile(text)?.render(&instance())
    }

    #[test]
    fn a_field_of_any_name_is_reached_by_the_row() {
        let row = |value: Value| value.as_object().unwrap().clone();
        let render = |row| {
            let template = Template::compile("{{ row[\"Standard Question\"] }}")?;
            template.render(&row)
        };
        let named = row(serde_json::json!({"Standard Question": "Why?"}));
        assert_eq!(render(named).unwrap(), "Why?");
        let told = render(row(serde_json::json!({"Question": "Why?"}))).unwrap_err();
        assert!(matches!(told, TemplateError::Undefined { .. }), "{told}");
        // A field of this name comes first.
        let own = row(serde_json::json!({"row": {"Standard Question": "How?"}}));
        assert_eq!(render(own).unwrap(), "How?");
    }

    #[test]
    fn values_are_written_as_text_or_json() {
        let cases = [
            ("{{ question }}", "2 < 3 & \"so\"?"),
            ("{{ answer }}", "19"),
            ("{{ share }}", "0.5"),
            ("{{ yes }} {{ nothing }}", "true null"),
            ("{{ choices }}", "[\"a\",\"b\"]"),
            (
                "{{ key }}",
                "{\"age\":33,\"name\":\"Ann\",\"tags\":[\"x\",null]}",
            ),
            ("{{ key.name }}", "Ann"),
            ("{{ row['key'].name }} {{ row.answer }}", "Ann 19"),
            ("{{ choices|map('upper') }}", "[\"A\",\"B\"]"),
            ("{{ choices|join(', ') }}", "a, b"),
            ("{{ answer + 1 }}", "20"),
            ("{{ choices[0] | fence('py') }}", "```py\na\n```"),
            ("{{ '```\nx\n```' | unfence }}", "x"),
            ("{{ '  x\n  y' | dedent | indent(1, true) }}", " x\n y"),
            (
                "{{ key | tojson(indent=1) }}",
                "{\n \"age\": 33,\n \"name\": \"Ann\",\n \"tags\": [\n  \"x\",\n  null\n ]\n}",
            ),
            ("{{ 'x' if not yes }}|", "|"),
            (
                "{% for c in choices %}{{ loop.index }}. {{ c }}\n{% endfor %}",
                "1. a\n2. b\n",
            ),
            ("{% raw %}{{ [not code] }}{% endraw %}", "{{ [not code] }}"),
            ("a{# a comment #}b", "ab"),
            ("ends in a line\n", "ends in a line\n"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(render(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn the_variables_of_an_instance_are_named() {
        let template = Template::compile(
            "{% set x = question %}{{ x }}{{ key.name }}{% for c in range(answer) %}{{ c }}{% endfor %}",
        )
        .unwrap();
        let variables: Vec<_> = template.variables().iter().map(String::as_str).collect();
        assert_eq!(variables, ["answer", "key", "question"]);
    }

    #[test]
    fn faults_are_told_with_line_and_reason() {
        let told = |text: &str| render(text).unwrap_err().to_string();
        insta::assert_snapshot!(told("a\n{{ qestion }}"), @"line 2: `qestion` is undefined in this instance");
        insta::assert_snapshot!(told("{{ key.nam.first }}"), @"line 1: `key.nam` is undefined in this instance");
        insta::assert_snapshot!(told("a\n\n{{ question"), @"line 3: unexpected end of input, expected end of variable block");
        insta::assert_snapshot!(told("{% if yes %}"), @"line 1: unexpected end of input, expected end of block");
        insta::assert_snapshot!(told("{{ 'a }}"), @"line 1: unexpected end of string");
        insta::assert_snapshot!(told("{% include 'other' %}"), @"line 1: unknown statement include");
        insta::assert_snapshot!(told("{{ question|shout }}"), @"line 1: filter shout is unknown");
        insta::assert_snapshot!(told("{{ answer.length() }}"), @"line 1: number has no method named length");
        insta::assert_snapshot!(told("{{ range }}"), @"line 1: a function is not a value; call it");
        insta::assert_snapshot!(told("{{ namespace(a=1) }}"), @"line 1: namespace is unknown");
        insta::assert_snapshot!(told("\n{% macro m(a) %}{% endmacro %}"), @"line 2: `macro` is not available in templates; write it out or use a plain loop");
        insta::assert_snapshot!(told("{% for c in choices recursive %}{% endfor %}"), @"line 1: `recursive` is not available in templates; write it out or use a plain loop");
        insta::assert_snapshot!(told("{% for a in range(99999) %}{{ a }}{% endfor %}"), @"line 1: rendering takes too much work; shorten loops or data");
        insta::assert_snapshot!(told("{{ 'ab' * 3000000 }}"), @"line 1: rendering takes too much work; shorten loops or data");
        insta::assert_snapshot!(told("{% for i in range(15) %}{{ 'a' * 100000 }}{% endfor %}"), @"the rendered text is 1500000 bytes long; at most 1048576 are allowed");
        insta::assert_snapshot!(told(&"a".repeat(MAX_TEMPLATE_BYTES + 1)), @"the template is 65537 bytes long; at most 65536 are allowed");
        insta::assert_snapshot!(told(&format!("\n{{{{ answer{} }}}}", "+1".repeat(500))), @"line 2: the tags of the template hold more than 1000 names, operators and brackets; move data into the instances");
    }

    #[test]
    fn words_of_the_syntax_may_be_names_and_text() {
        for text in [
            "macro recursive call",
            "{{ key.call }}",
            "{% set recursive = 1 %}{{ recursive }}",
        ] {
            let template = Template::compile(text);
            assert!(template.is_ok(), "{text}: {template:?}");
        }
    }

    /// Templates as deep and as tangled as the limits allow. Without the limits each of these
    /// forms ends the process by a stack overflow, or takes minutes to compile.
    #[test]
    fn the_deepest_templates_end_in_a_text_or_an_error() {
        const ROOM: usize = MAX_TEMPLATE_TOKENS - 20;
        let nested = format!(
            "{{% set answer = {}answer{} %}}",
            "[".repeat(60),
            "]".repeat(60)
        );
        let nest = nested.repeat(ROOM / 125);
        let templates = [
            format!("{nest}{{{{ answer }}}}"),
            format!("{nest}{{{{ answer|tojson }}}}{{{{ answer == [answer, 1] }}}}"),
            format!("{nest}{{{{ [answer, answer]|unique|sort|length }}}}"),
            format!("{{{{ answer{} }}}}", "+answer".repeat(ROOM / 2)),
            format!("{{{{ answer{} }}}}", "~answer".repeat(ROOM / 2)),
            format!("{{{{ answer{} }}}}", "|d".repeat(ROOM / 2)),
            format!("{{{{ key{} }}}}", ".d".repeat(ROOM / 2)),
            format!("{{{{ answer{} }}}}", "[answer]".repeat(ROOM / 3)),
            format!("{{{{ answer{} }}}}", " if answer".repeat(ROOM / 2)),
            format!("{{{{ answer{} }}}}", " and answer".repeat(ROOM / 2)),
            format!("{{{{ {}answer }}}}", "not ".repeat(ROOM)),
            format!("{{{{ {}answer }}}}", "- ".repeat(ROOM)),
            format!("{{{{ {}answer }}}}", "answer**".repeat(ROOM / 2)),
            format!(
                "{{% if yes %}}{}{{% endif %}}",
                "{% elif not yes %}".repeat(ROOM / 5)
            ),
            format!(
                "{}{}",
                "{% for a in [1] %}".repeat(140),
                "{% endfor %}".repeat(140)
            ),
            format!(
                "{{% set x = [1]{} %}}{{{{ x|list }}}}",
                "|batch(1)".repeat(ROOM / 5)
            ),
            format!(
                "{{% set x = [1]{} %}}{{{{ x }}}}",
                "|chain([1])".repeat(ROOM / 7)
            ),
        ];
        for text in templates {
            if let Ok(text) = render(&text) {
                assert!(text.len() <= MAX_OUTPUT_BYTES);
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_template_panic(text in any::<String>()) {
            let _outcome = render(&text);
        }

        #[test]
        fn no_tangle_of_syntax_makes_a_template_panic(parts in prop::collection::vec(
            prop::sample::select(vec![
                "{{", "}}", "{%", "%}", "{#", "#}", "-", " ", "\n", "answer", "key", "choices", "question",
                "'", "\"", "\\", "[", "]", "(", ")", "{", "}", ":", ",", ".", "|", "~", "+", "*", "//", "**", "%",
                "0", "1", "1e9", "9999999999999999999999", "-1", "for a in ", "endfor", "if ", "elif ", "else", "endif",
                "set x = ", "endset", "filter ", "with ", "endwith", "raw", "endraw", "range", "dict", "loop.index",
                "length", "tojson", "batch", "slice", "round", "join", "format", "sort", "map", "é", "is ", "not ", "in ",
            ]), 0..40,
        )) {
            let text: String = parts.concat();
            let _outcome = render(&text);
        }

        #[test]
        fn filters_take_any_argument(
            filter in prop::sample::select(vec!["batch", "slice", "round", "replace", "split", "indent", "format", "join", "default", "map", "groupby", "sum", "int", "truncate", "attr", "zip"]),
            value in prop::sample::select(vec!["answer", "question", "choices", "key", "nothing", "'%99999999d'", "'%.*f'", "1e300"]),
            argument in prop::sample::select(vec!["0", "-1", "9223372036854775807", "-9223372036854775808", "1.5", "'a'", "[]", "key", "none"]),
        ) {
            let _outcome = render(&format!("{{{{ {value}|{filter}({argument}) }}}}"));
        }

        #[test]
        fn text_without_tags_is_kept(text in "([^{]|\r\n|\n){0,40}") {
            prop_assert_eq!(render(&text), Ok(text));
        }

        #[test]
        fn a_variable_is_kept_as_it_is(value in any::<String>()) {
            let mut instance = Map::new();
            instance.insert("v".to_owned(), Value::String(value.clone()));
            prop_assert_eq!(Template::compile("{{ v }}").unwrap().render(&instance), Ok(value));
        }
    }
}
