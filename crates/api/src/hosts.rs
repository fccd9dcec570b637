//! Which names the server answers to. A page of another origin can make its own name lead here (DNS
//! rebinding), and would then be of the same origin as the server: so a request that is addressed to a name
//! that is not ours is refused.

use crate::errors::{ApiError, Code};
use crate::forwarded;
use crate::guard::Guard;
use crate::state::AppState;
use axum::extract::{Request, State};
use axum::http::header;
use axum::http::uri::Authority;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;

/// Refuses requests that are addressed to others.
pub(crate) async fn check(State(state): State<AppState>, request: Request, next: Next) -> Response {
    match refusal(state.guard(), &request) {
        None => next.run(request).await,
        Some(error) => error.into_response(),
    }
}

fn refusal(guard: &Guard, request: &Request) -> Option<ApiError> {
    let named = request.headers().get(header::HOST);
    let named = named.map(|host| host.to_str().unwrap_or_default().to_owned());
    let asked = forwarded::host(request, &guard.trusted_proxies)
        .or_else(|| request.uri().authority().map(ToString::to_string))
        .or(named);
    // HTTP/1.0 knows no names; no browser speaks it.
    let asked = asked?;
    let name = asked.parse::<Authority>().ok();
    let is_ours = name.is_some_and(|name| is_ours(guard, name.host()));
    (!is_ours).then(|| {
        let shown: String = asked.chars().filter(|c| !c.is_control()).take(100).collect();
        ApiError::new(
            Code::HostNotAllowed,
            format!(
                "this server does not answer to the name `{shown}`; its operator can add it to `hosts` under [api] of frugal.toml"
            ),
        )
    })
}

/// Whether the server answers to a name, which has no port.
fn is_ours(guard: &Guard, name: &str) -> bool {
    let digits = name.trim_start_matches('[').trim_end_matches(']');
    if digits.parse::<IpAddr>().is_ok() {
        return true;
    }
    let is_named = |host: &String| host.eq_ignore_ascii_case(name.trim_end_matches('.'));
    match guard.hosts.is_empty() {
        // A page that is not given a key reaches nothing.
        true if guard.require_keys => true,
        true => is_local(name),
        false => is_local(name) || guard.hosts.iter().any(is_named),
    }
}

/// Whether a name can lead nowhere but to this machine (RFC 6761, section 6.3).
fn is_local(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn is_refused(guard: &Guard, host: &str) -> bool {
        let request = Request::builder().uri("/jobs").header("host", host);
        refusal(guard, &request.body(Body::empty()).unwrap()).is_some()
    }

    #[test]
    fn without_keys_only_names_of_this_machine_are_ours() {
        let guard = Guard::default();
        for host in [
            "localhost:8080",
            "LOCALHOST",
            "127.0.0.1:8080",
            "[::1]:8080",
            "a.localhost",
        ] {
            assert!(!is_refused(&guard, host), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "evil.example:8080",
            "",
            "a b",
        ] {
            assert!(is_refused(&guard, host), "{host}");
        }
    }

    #[test]
    fn named_hosts_are_ours_and_no_others() {
        let guard = Guard {
            hosts: vec!["frugal.example".to_owned()],
            require_keys: true,
            ..Guard::default()
        };
        assert!(!is_refused(&guard, "Frugal.Example:443"));
        assert!(is_refused(&guard, "other.example"));
        let open = Guard {
            hosts: Vec::new(),
            ..guard
        };
        assert!(!is_refused(&open, "other.example"));
    }
}
