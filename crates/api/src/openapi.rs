//! The OpenAPI document: what the table of routes says, with what every route has in common.

use crate::errors::PROBLEM_JSON;
use crate::routes;
use crate::wire::Problem;
use serde_json::{Value, json};
use utoipa::openapi::path::Operation;
use utoipa::openapi::response::Response;
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathItem, Ref, RefOr,
    ResponseBuilder,
};
use utoipa::{PartialSchema, ToSchema};

/// The document without its paths.
pub(crate) fn base() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Frugal")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(
            LicenseBuilder::new()
                .name("Apache-2.0")
                .identifier(Some("Apache-2.0"))
                .build(),
        ))
        .build();
    OpenApiBuilder::new().info(info).build()
}

const DESCRIPTION: &str = "\
Frugal finds the best inference settings of a large language model for a task, and spends as \
little as possible on finding them.

Post a job, then poll it, wait for its changes or follow its events; its report says what was \
found. `POST /jobs/estimate` takes the same body and says what the job may cost. Errors are problems (RFC 9457) with a `code` for programs and, for a body that makes no \
sense, every fault with its JSON pointer. Lists are pages with opaque cursors. Every answer \
carries an `x-request-id`, under which the operator's log has the request.";

/// The whole document.
#[must_use]
pub fn openapi() -> OpenApi {
    let (_, mut document) = routes::table().split_for_parts();
    let components = document.components.get_or_insert_default();
    components
        .schemas
        .entry(Problem::name().into_owned())
        .or_insert_with(Problem::schema);
    let mut schemas = Vec::new();
    Problem::schemas(&mut schemas);
    components.schemas.extend(schemas);
    components.responses.insert(
        INTERNAL.to_owned(),
        problem("A fault inside Frugal. Its cause is in the operator's log."),
    );
    components.responses.insert(
        UNAVAILABLE.to_owned(),
        problem("The database is away; `Retry-After` says when to try again."),
    );
    for path in document.paths.paths.values_mut() {
        for operation in operations(path) {
            let responses = &mut operation.responses.responses;
            responses.insert("500".to_owned(), shared(INTERNAL));
            responses
                .entry("503".to_owned())
                .or_insert_with(|| shared(UNAVAILABLE));
        }
    }
    document
}

/// The whole document as YAML, as it is committed and served.
///
/// # Errors
/// The document cannot be written as YAML.
pub fn openapi_yaml() -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    Ok(quote_switches(&openapi().to_yaml()?))
}

/// Quotes the texts `on` and `off` where they are values: many readers still follow YAML 1.1,
/// in which they would be `true` and `false`.
fn quote_switches(yaml: &str) -> String {
    let mut quoted = String::with_capacity(yaml.len());
    for line in yaml.split_inclusive('\n') {
        let text = line.trim_end();
        let value = ["on", "off"].into_iter().find_map(|word| {
            let before = text.strip_suffix(word)?;
            // An item of a list or a member of an object, and no word within a description.
            let name = before.trim_start().strip_suffix(' ')?;
            let is_value = name == "-"
                || name.strip_suffix(':').is_some_and(|name| {
                    name.bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                });
            is_value.then_some((before, word))
        });
        match value {
            Some((before, word)) => {
                quoted.push_str(&format!("{before}'{word}'"));
                quoted.push_str(line.strip_prefix(text).unwrap_or_default());
            }
            None => quoted.push_str(line),
        }
    }
    quoted
}

const INTERNAL: &str = "InternalError";
const UNAVAILABLE: &str = "Unavailable";

fn shared(name: &str) -> RefOr<Response> {
    Ref::from_response_name(name).into()
}

fn problem(description: &str) -> RefOr<Response> {
    ResponseBuilder::new()
        .description(description)
        .content(
            PROBLEM_JSON,
            ContentBuilder::new()
                .schema(Some(Ref::from_schema_name(Problem::name())))
                .build(),
        )
        .build()
        .into()
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut path.get,
        &mut path.put,
        &mut path.post,
        &mut path.delete,
        &mut path.patch,
    ]
    .into_iter()
    .filter_map(Option::as_mut)
}

/// A job that shows most of what can be said in one.
pub(crate) fn job_example() -> Value {
    json!({
        "name": "arithmetic, cheap and right",
        "labels": {"team": "search-quality"},
        "data": {
            "instances": [
                {"id": "arith-0", "question": "Tom has 12 apples. Tom buys 7 more apples. How many apples does Tom have now?", "answer": "19"},
                {"id": "arith-1", "question": "Ana has 4 boxes with 5 cards in each box. How many cards are there in total?", "answer": "20"}
            ],
            "holdout": {"share": 0.3}
        },
        "models": [
            {"endpoint": "local", "model": "gemma-3-270m"},
            {"endpoint": "local", "model": "smollm2-135m-instruct"}
        ],
        "prompts": [
            {"name": "direct", "text": "Question: {{ question }}\nAnswer:"},
            {"name": "steps", "messages": [{"role": "user", "content": "{{ question }} Think step by step."}]}
        ],
        "search_space": {
            "temperature_or_top_p": {"one_of": [{"temperature": {"float": [0, 2]}}, {"top_p": {"float": [0, 1]}}]},
            "max_tokens": {"int": [16, 256], "scale": "log"},
            "n": {"int": [1, 32], "scale": "log"},
            "stop": {"choice": [["\n\n"], ["\n"]]},
            "presence_penalty": 0
        },
        "scoring": {
            "scorer": {"type": "numeric", "expected": "{{ answer }}", "extract": "last_number"},
            "reduce": "expected_success"
        },
        "objective": {"metric": "expected_success", "direction": "maximize"},
        "budgets": {"inference": {"usd": 0.0002}, "optimization": {"usd": 0.5}},
        "limits": {"trials": 200, "seconds": 3600, "trials_without_improvement": 60},
        "search": {"algorithm": "blendsearch", "options": {"global": "tpe", "step_size": 0.1}, "seed": 1, "pruning": "on", "parallel_trials": 4, "requests_in_flight": 32}
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_document_is_the_one_that_the_routes_make() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi.yaml");
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == openapi_yaml().unwrap(),
            "openapi.yaml is not up to date; write it anew with `cargo run -p frugal -- openapi > openapi.yaml`"
        );
    }

    #[test]
    fn switches_are_texts_in_every_yaml() {
        assert_eq!(
            quote_switches("enum:\n- on\n- off\n  pruning: on\n  text: turns it on\nolder - on"),
            "enum:\n- 'on'\n- 'off'\n  pruning: 'on'\n  text: turns it on\nolder - on"
        );
        let document = openapi_yaml().unwrap();
        assert!(document.contains("- 'on'\n"));
    }

    #[test]
    fn every_operation_is_described_and_can_be_named() {
        let mut document = openapi();
        let mut names = std::collections::BTreeSet::new();
        for (path, item) in &mut document.paths.paths {
            for operation in operations(item) {
                assert!(operation.summary.is_some(), "{path} has no summary");
                let name = operation.operation_id.clone().unwrap_or_default();
                assert!(names.insert(name.clone()), "{name} is there twice");
                assert!(operation.responses.responses.len() > 2, "{path}");
            }
        }
    }
}
