//! The OpenAPI document: what the table of routes says, with what every route has in common.

use crate::errors::Code;
use crate::wire::{JobsSnapshot, Problem, Snapshot};
use crate::{responses, routes, scopes, yaml};
use axum::http::Method;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Info, InfoBuilder, LicenseBuilder, OpenApi, PathItem};
use utoipa::{PartialSchema, ToSchema};

fn info() -> Info {
    InfoBuilder::new()
        .title("Frugal")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(
            LicenseBuilder::new()
                .name("Apache-2.0")
                .identifier(Some("Apache-2.0"))
                .build(),
        ))
        .build()
}

const DESCRIPTION: &str = "\
Frugal finds the best inference settings of a large language model for a task, and spends as \
little as possible on finding them.

Post a job, then poll it, wait for its changes or follow its events; its report says what was \
found. `POST /jobs/estimate` takes the same body and says what the job may cost; \
`POST /evaluations` says how good given configurations are, what each costs and whether the differences are real; \
`POST /scorers/validate` tries a scorer on responses. Errors are problems (RFC 9457) with a `code` for programs and, for a body that makes no \
sense, every fault with its JSON pointer. Lists are pages with opaque cursors. Every answer \
carries an `x-request-id`, under which the operator's log has the request.";

/// The whole document.
#[must_use]
pub fn openapi() -> OpenApi {
    let (_, routes) = routes::table().split_for_parts();
    complete(routes)
}

/// The whole document as YAML, as it is committed and served.
///
/// # Errors
/// The document cannot be written as YAML.
pub fn openapi_yaml() -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    yaml::write(&openapi())
}

/// Puts what all routes have in common to the description of the routes.
pub(crate) fn complete(mut document: OpenApi) -> OpenApi {
    document.info = info();
    let components = document.components.get_or_insert_default();
    components
        .schemas
        .entry(Problem::name().into_owned())
        .or_insert_with(Problem::schema);
    // Frames of streams are described apart: an answer's content has one schema.
    components
        .schemas
        .entry(Snapshot::name().into_owned())
        .or_insert_with(Snapshot::schema);
    components
        .schemas
        .entry(JobsSnapshot::name().into_owned())
        .or_insert_with(JobsSnapshot::schema);
    let mut schemas = Vec::new();
    Problem::schemas(&mut schemas);
    Snapshot::schemas(&mut schemas);
    JobsSnapshot::schemas(&mut schemas);
    components.schemas.extend(schemas);
    components.responses.extend(responses::components());
    components.add_security_scheme(KEY, key_scheme());
    components.add_security_scheme(STREAM_TOKEN, stream_token_scheme());
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            operation.security = Some(security(&method, path));
            let described = &mut operation.responses.responses;
            let of_all = [
                Code::Internal,
                Code::Unavailable,
                Code::HostNotAllowed,
                Code::NotAcceptable,
            ];
            let of_keys = [Code::Unauthorized, Code::Forbidden, Code::RateLimited];
            let is_for_keys = scopes::needed(&method, path).is_some();
            let of_keys = of_keys.into_iter().filter(|_| is_for_keys);
            for code in of_all.into_iter().chain(of_keys) {
                let (status, _) = code.status_and_name();
                described
                    .entry(status.as_str().to_owned())
                    .or_insert_with(|| responses::shared(code));
            }
        }
    }
    document
}

/// The name of the scheme by which a key is sent.
const KEY: &str = "key";
/// The name of the one by which a stream token is.
const STREAM_TOKEN: &str = "stream_token";

fn key_scheme() -> SecurityScheme {
    let description = "A key, which begins with `frugal_`. The roles that an operation names are the scopes \
        that the key must have, and `admin` is all of them. A server that needs no keys takes any.";
    SecurityScheme::Http(
        HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(description))
            .build(),
    )
}

fn stream_token_scheme() -> SecurityScheme {
    let description = "A token of `POST /stream-tokens`, for a browser's `EventSource`.";
    SecurityScheme::ApiKey(ApiKey::Query(ApiKeyValue::with_description(
        "token",
        description,
    )))
}

/// What an operation needs, each of these by itself.
fn security(method: &Method, path: &str) -> Vec<SecurityRequirement> {
    let Some(scope) = scopes::needed(method, path) else {
        return Vec::new();
    };
    let mut requirements = vec![SecurityRequirement::new(KEY, [scope.as_str()])];
    if scopes::follows_events(method, path) {
        let none: [&str; 0] = [];
        requirements.push(SecurityRequirement::new(STREAM_TOKEN, none));
    }
    requirements
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    [
        (Method::GET, &mut path.get),
        (Method::PUT, &mut path.put),
        (Method::POST, &mut path.post),
        (Method::DELETE, &mut path.delete),
        (Method::PATCH, &mut path.patch),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
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
    fn every_operation_is_described_and_can_be_named() {
        let mut document = openapi();
        let mut names = std::collections::BTreeSet::new();
        for (path, item) in &mut document.paths.paths {
            for (_, operation) in operations(item) {
                assert!(operation.summary.is_some(), "{path} has no summary");
                let name = operation.operation_id.clone().unwrap_or_default();
                assert!(names.insert(name.clone()), "{name} is there twice");
                assert!(operation.responses.responses.len() > 2, "{path}");
            }
        }
    }

    #[test]
    fn the_types_of_events_that_may_be_asked_for_are_those_that_are_described() {
        let document = serde_json::to_value(openapi()).unwrap();
        let bodies = &document["components"]["schemas"]["EventBody"]["oneOf"];
        let described = bodies.as_array().unwrap().iter();
        let described = described.map(|body| body["properties"]["type"]["enum"][0].as_str());
        let mut described: Vec<_> = described.map(Option::unwrap_or_default).collect();
        let mut named = frugal_domain::event::EVENT_NAMES.to_vec();
        described.sort_unstable();
        named.sort_unstable();
        assert_eq!(described, named);
    }
}
