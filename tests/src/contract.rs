//! What the API promises in `openapi.yaml`, and answers held against it.
//!
//! The document is read as the program makes it; a test of `frugal-api` holds it against the
//! committed file. Answers are held against a stricter reading than clients should use: a field
//! that is served and not described is a mismatch, so that the description stays whole.
#![expect(
    clippy::expect_used,
    reason = "a description that is no JSON schema fails here, as it would at an assertion"
)]

use jsonschema::Validator;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

const PROBLEM_JSON: &str = "application/problem+json";
const EVENT_STREAM: &str = "text/event-stream";

/// The API's description, ready to be held against.
#[derive(Debug)]
pub struct Contract {
    /// As clients read it.
    published: Value,
    /// With no room for fields that are not described.
    closed: Value,
    /// Compiled schemas by their JSON pointers into `closed`.
    validators: Mutex<BTreeMap<String, Arc<Validator>>>,
}

/// An answer, with what it answers.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// The request's path, without the query.
    pub path: &'a str,
    /// The answer's status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body; of an event stream, nothing.
    pub body: &'a [u8],
}

/// The contract of the program that is tested.
#[must_use]
pub fn contract() -> &'static Contract {
    static CONTRACT: LazyLock<Contract> = LazyLock::new(|| {
        let document = serde_json::to_value(frugal_api::openapi());
        Contract::new(document.expect("the description is JSON"))
    });
    &CONTRACT
}

impl Contract {
    fn new(published: Value) -> Self {
        let mut closed = published.clone();
        close_document(&mut closed);
        Self {
            published,
            closed,
            validators: Mutex::default(),
        }
    }

    /// Holds an answer against what is said of its path, method and status: headers, content
    /// type, body. Errors must be problems whatever is asked for.
    ///
    /// # Errors
    /// What does not match.
    pub fn check(&self, answer: Answer<'_>) -> Result<(), String> {
        self.check_inner(answer).map_err(|mismatch| {
            format!(
                "{} {} answered {}, which openapi.yaml does not say: {mismatch}\nheaders: {:?}\nbody: {}",
                answer.method,
                answer.path,
                answer.status,
                answer.headers,
                String::from_utf8_lossy(answer.body),
            )
        })
    }

    fn check_inner(&self, answer: Answer<'_>) -> Result<(), String> {
        if !answer.headers.contains_key("x-request-id") {
            return Err("there is no x-request-id".to_owned());
        }
        let is_error = answer.status.is_client_error() || answer.status.is_server_error();
        if is_error {
            self.check_problem(answer)?;
        }
        let response = match self.response(answer) {
            // Unknown paths and methods are described nowhere; they are problems all the same.
            Err(_) if [404, 405].contains(&answer.status.as_u16()) => return Ok(()),
            found => found?,
        };
        let described = self.at(&response)?;
        if is_error {
            // The problem's form was checked above; here it is whether this may be answered here.
            let problem = read(answer.body)?;
            let code = problem["code"].as_str().unwrap_or_default();
            let description = described["description"].as_str().unwrap_or_default();
            if !description.contains(&format!("`{code}`")) {
                return Err(format!("the code is `{code}`"));
            }
        }
        for (name, header) in members(described, "headers") {
            let optional = header["schema"]["type"]
                .as_array()
                .is_some_and(|types| types.contains(&json!("null")));
            if !optional && !answer.headers.contains_key(name.as_str()) {
                return Err(format!("the header `{name}` is missing"));
            }
        }
        let contents: Vec<_> = members(described, "content").collect();
        if contents.is_empty() {
            if !answer.body.is_empty() {
                return Err("there should be no body".to_owned());
            }
            return Ok(());
        }
        let kind = content_type(answer.headers);
        if !contents.iter().any(|(name, _)| **name == kind) {
            return Err(format!("the content type is `{kind}`"));
        }
        if kind.ends_with("json") {
            let schema = format!("{response}/content/{}/schema", escape(&kind));
            self.validate(&schema, &read(answer.body)?)?;
        }
        Ok(())
    }

    /// Holds the payload of an event stream's frame against the description of events.
    ///
    /// # Errors
    /// What does not match.
    pub fn check_event(&self, payload: &Value) -> Result<(), String> {
        self.validate("/components/schemas/Event", payload)
            .map_err(|mismatch| format!("an event is not as described: {mismatch}\n{payload}"))
    }

    /// Holds what a stream begins with against its description.
    ///
    /// # Errors
    /// What does not match.
    pub fn check_snapshot(&self, payload: &Value) -> Result<(), String> {
        self.validate("/components/schemas/Snapshot", payload)
            .map_err(|mismatch| format!("a snapshot is not as described: {mismatch}\n{payload}"))
    }

    /// Holds what a stream of all jobs begins with against its description.
    ///
    /// # Errors
    /// What does not match.
    pub fn check_jobs_snapshot(&self, payload: &Value) -> Result<(), String> {
        self.validate("/components/schemas/JobsSnapshot", payload)
            .map_err(|mismatch| format!("a snapshot is not as described: {mismatch}\n{payload}"))
    }

    /// Holds a line of a job's export against its description.
    ///
    /// # Errors
    /// What does not match.
    pub fn check_export_line(&self, line: &Value) -> Result<(), String> {
        self.validate("/components/schemas/ExportLine", line)
            .map_err(|mismatch| format!("a line is not as described: {mismatch}\n{line}"))
    }

    /// Holds the body of a request against its description, as a client would before sending it.
    ///
    /// # Errors
    /// What does not match.
    pub fn check_request(&self, path: &str, body: &Value) -> Result<(), String> {
        let pointer = format!(
            "/paths/{}/post/requestBody/content/application~1json/schema",
            escape(path)
        );
        validate(&compile(&self.published, &pointer), body)
    }

    fn check_problem(&self, answer: Answer<'_>) -> Result<(), String> {
        let kind = content_type(answer.headers);
        if kind != PROBLEM_JSON {
            return Err(format!("the content type of the error is `{kind}`"));
        }
        let problem = read(answer.body)?;
        self.validate("/components/schemas/Problem", &problem)?;
        let status = answer.status;
        if problem["status"] != status.as_u16() {
            return Err("the problem has another status than the answer".to_owned());
        }
        if problem["title"] != status.canonical_reason().unwrap_or_default() {
            return Err("the title is not the phrase of the status".to_owned());
        }
        if status == StatusCode::SERVICE_UNAVAILABLE && !answer.headers.contains_key("retry-after")
        {
            return Err("there is no Retry-After".to_owned());
        }
        Ok(())
    }

    /// The JSON pointer of the description of an answer.
    fn response(&self, answer: Answer<'_>) -> Result<String, String> {
        let template = members(&self.closed, "paths")
            .map(|(template, _)| template)
            .find(|template| matches(template, answer.path))
            .ok_or("there is no such path")?;
        let method = answer.method.as_str().to_ascii_lowercase();
        let status = answer.status.as_u16();
        let pointer = format!("/paths/{}/{method}/responses/{status}", escape(template));
        let response = self
            .at(&pointer)
            .map_err(|_| "the path has no such method or status")?;
        let shared = response["$ref"].as_str();
        Ok(shared.map_or(pointer, |shared| shared.trim_start_matches('#').to_owned()))
    }

    fn at(&self, pointer: &str) -> Result<&Value, String> {
        self.closed
            .pointer(pointer)
            .ok_or_else(|| format!("there is nothing at {pointer}"))
    }

    fn validate(&self, pointer: &str, value: &Value) -> Result<(), String> {
        let mut validators = self
            .validators
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let validator = validators
            .entry(pointer.to_owned())
            .or_insert_with(|| Arc::new(compile(&self.closed, pointer)))
            .clone();
        drop(validators);
        validate(&validator, value)
    }
}

/// Whether an answer is a stream of events.
#[must_use]
pub fn is_stream(headers: &HeaderMap) -> bool {
    content_type(headers) == EVENT_STREAM
}

/// The schema at a pointer of a document, compiled with all that it refers to.
fn compile(document: &Value, pointer: &str) -> Validator {
    let mut schema = document.clone();
    // A reference is a URI, in which the braces of a path's template cannot stand as they are.
    let reference = pointer.replace('{', "%7B").replace('}', "%7D");
    schema["$ref"] = json!(format!("#{reference}"));
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .should_validate_formats(true)
        .build(&schema)
        .expect("the description holds JSON schemas")
}

fn validate(validator: &Validator, value: &Value) -> Result<(), String> {
    let mismatches: Vec<_> = validator
        .iter_errors(value)
        .map(|error| format!("at `{}`: {error}", error.instance_path()))
        .collect();
    if mismatches.is_empty() {
        Ok(())
    } else {
        Err(mismatches.join("; "))
    }
}

fn read(body: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(body).map_err(|error| format!("the body is no JSON: {error}"))
}

fn content_type(headers: &HeaderMap) -> String {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next());
    essence.unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether a path has the form of a template such as `/jobs/{id}`.
fn matches(template: &str, path: &str) -> bool {
    let (mut parts, mut of_path) = (template.split('/'), path.split('/'));
    loop {
        match (parts.next(), of_path.next()) {
            (None, None) => return true,
            (Some(part), Some(text)) if part.starts_with('{') && !text.is_empty() => {}
            (Some(part), Some(text)) if part == text => {}
            _ => return false,
        }
    }
}

/// A key as a segment of a JSON pointer (RFC 6901, section 3).
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn members<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value
        .get(key)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

/// Closes every schema of the document.
fn close_document(document: &mut Value) {
    // What an `allOf` puts together is closed as a whole, not part by part.
    let mut parts = BTreeSet::new();
    collect_parts(document, &mut parts);
    let schemas = document
        .pointer_mut("/components/schemas")
        .and_then(Value::as_object_mut);
    for (name, schema) in schemas.into_iter().flatten() {
        let is_part = parts.contains(&format!("#/components/schemas/{name}"));
        close(schema, is_part);
    }
}

fn collect_parts(value: &Value, parts: &mut BTreeSet<String>) {
    if let Some(all) = value.get("allOf").and_then(Value::as_array) {
        let references = all.iter().filter_map(|part| part["$ref"].as_str());
        parts.extend(references.map(str::to_owned));
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_parts(item, parts)),
        Value::Object(members) => members
            .values()
            .for_each(|member| collect_parts(member, parts)),
        _ => {}
    }
}

/// Closes a schema and those in it; itself not where it `is_part` of another.
fn close(schema: &mut Value, is_part: bool) {
    let Value::Object(schema) = schema else {
        return;
    };
    let is_whole = schema.contains_key("allOf");
    for key in ["allOf", "oneOf", "anyOf"] {
        let of = schema.get_mut(key).and_then(Value::as_array_mut);
        for part in of.into_iter().flatten() {
            close(part, is_whole || is_part);
        }
    }
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for property in properties.into_iter().flat_map(Map::values_mut) {
        close(property, false);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get_mut(key) {
            close(inner, false);
        }
    }
    let has_fields = schema.contains_key("properties") || is_whole;
    if has_fields && !is_part && !schema.contains_key("additionalProperties") {
        schema.insert("unevaluatedProperties".to_owned(), json!(false));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn headers(kind: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert("x-request-id", HeaderValue::from_static("1"));
        headers
    }

    fn check(path: &str, status: u16, headers: &HeaderMap, body: &Value) -> Result<(), String> {
        contract().check(Answer {
            method: &Method::GET,
            path,
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: body.to_string().as_bytes(),
        })
    }

    #[test]
    fn paths_are_matched_whole() {
        assert!(matches("/jobs/{id}/events", "/jobs/7/events"));
        assert!(!matches("/jobs/{id}", "/jobs/7/events"));
        assert!(!matches("/jobs/{id}", "/jobs/"));
        assert!(!matches("/jobs", "/job"));
    }

    #[test]
    fn what_is_not_described_is_a_mismatch() {
        let json = headers("application/json");
        let health = json!({"status": "ok", "version": "1"});
        check("/healthz", 200, &json, &health).unwrap();
        for (path, status, headers, body) in [
            ("/healthz", 201, &json, &health),
            ("/healthz", 200, &headers("text/plain"), &health),
            ("/healthz", 200, &json, &json!({"status": "ok"})),
            (
                "/healthz",
                200,
                &json,
                &json!({"status": "ok", "version": "1", "secret": 1}),
            ),
            ("/nothing", 200, &json, &health),
            ("/nothing", 404, &json, &health),
        ] {
            assert!(check(path, status, headers, body).is_err(), "{path} {body}");
        }
        let mut nameless = json;
        nameless.remove("x-request-id");
        assert!(check("/healthz", 200, &nameless, &health).is_err());
    }

    #[test]
    fn an_error_is_a_problem_with_the_status_of_the_answer() {
        let problem = |status: u16| json!({"type": "about:blank", "title": "Not Found", "status": status, "detail": "d", "code": "not_found"});
        let kind = headers(PROBLEM_JSON);
        check("/nothing", 404, &kind, &problem(404)).unwrap();
        assert!(check("/nothing", 404, &kind, &problem(400)).is_err());
        assert!(check("/nothing", 404, &headers("application/json"), &problem(404)).is_err());
    }

    #[test]
    fn a_route_answers_with_no_other_code_than_it_names() {
        let kind = headers(PROBLEM_JSON);
        let problem = |code: &str| json!({"type": "about:blank", "title": "Conflict", "status": 409, "detail": "d", "code": code});
        let path = "/jobs/0192f3a4-0000-7000-8000-000000000000/report";
        check(path, 409, &kind, &problem("report_not_ready")).unwrap();
        assert!(check(path, 409, &kind, &problem("invalid_transition")).is_err());
    }

    #[test]
    fn events_are_closed_as_a_whole() {
        let mut event = json!({
            "seq": 1, "job_id": "0192f3a4-0000-7000-8000-000000000000",
            "created_at": "2026-01-01T00:00:00Z", "type": "job.running", "data": {"attempt": 1}
        });
        contract().check_event(&event).unwrap();
        event["data"]["more"] = json!(1);
        assert!(contract().check_event(&event).is_err());
        event["data"] = json!({"attempt": 1});
        event["more"] = json!(1);
        assert!(contract().check_event(&event).is_err());
    }
}
