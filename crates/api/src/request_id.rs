//! The header that names a request, in answers, in the log and in the audit.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};

/// The header.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest name that a client may give: it is written into every line of the log.
const LONGEST: usize = 128;

/// Takes a name out of a request that would not do, so that it gets one of ours.
pub(crate) fn without_unfit(mut request: Request) -> Request {
    let is_unfit = request
        .headers()
        .get(REQUEST_ID)
        .is_some_and(|id| !is_fit(id));
    if is_unfit {
        request.headers_mut().remove(REQUEST_ID);
    }
    request
}

/// Whether a client's name for its request is short and plain.
fn is_fit(id: &HeaderValue) -> bool {
    let bytes = id.as_bytes();
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
    (1..=LONGEST).contains(&bytes.len()) && bytes.iter().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    #[test]
    fn a_clients_name_is_kept_where_it_is_short_and_plain() {
        let long = "a".repeat(129);
        for (id, kept) in [
            ("0192f3a4-7e5b", true),
            ("Root=1-67891233;Parent", false),
            ("a b", false),
            ("", false),
            (long.as_str(), false),
        ] {
            let request = Request::builder()
                .header(REQUEST_ID, id)
                .body(Body::empty());
            let request = without_unfit(request.unwrap());
            assert_eq!(request.headers().contains_key(REQUEST_ID), kept, "{id}");
        }
    }
}
