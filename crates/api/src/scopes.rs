//! What each operation needs: said in one place, for the door and for the description of the API.

use crate::docs;
use axum::http::Method;
use frugal_dashboard::FOLDER;
use frugal_domain::access::Scope;

/// What an operation needs; nothing where it is for everybody.
pub(crate) fn needed(method: &Method, path: &str) -> Option<Scope> {
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    match path {
        "/healthz" | "/readyz" | "/openapi.yaml" | "/" => None,
        // What the API is like, which is no secret.
        docs::PATH | docs::STYLE_PATH => None,
        // The files of the page that asks for a key, and nothing of anybody.
        _ if path.starts_with(FOLDER) => None,
        "/metrics" => Some(Scope::Metrics),
        "/audit" => Some(Scope::Admin),
        _ if path == "/keys" || path.starts_with("/keys/") => Some(Scope::Admin),
        // They change nothing and run nothing.
        "/jobs/estimate" | "/evaluations/estimate" | "/stream-tokens" => Some(Scope::Read),
        _ if is_read => Some(Scope::Read),
        _ => Some(Scope::Write),
    }
}

/// Whether an operation follows events, for which a stream token stands in for a key.
pub(crate) fn follows_events(method: &Method, path: &str) -> bool {
    *method == Method::GET && (path == "/events" || path.ends_with("/events"))
}
