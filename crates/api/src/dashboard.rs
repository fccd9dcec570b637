//! The dashboard's files, over HTTP. They are no part of the API and of its description: the page is a client of
//! it.

use crate::errors::ApiError;
use crate::etag::{self, Seen};
use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use frugal_dashboard::{FILES, FOLDER, File, PAGE, POLICY};
use std::sync::Arc;

/// The page at `/`, and what it loads.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES
        .iter()
        .map(|file| (format!("{FOLDER}{}", file.name), file))
        .chain([("/".to_owned(), &PAGE)])
        .fold(Router::new(), |router, (path, file)| {
            let tag: Arc<str> = etag::of_bytes(file.content).into();
            router.route(
                &path,
                get(move |headers: HeaderMap| async move { serve(*file, &tag, &headers) }),
            )
        })
}

/// A file, or that the client has it. It is asked for again each time, so that a page is never older than the
/// server behind it.
fn serve(file: File, tag: &str, headers: &HeaderMap) -> Result<Response, ApiError> {
    let common = [
        (header::ETAG, etag::header(tag)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(POLICY),
        ),
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        ),
    ];
    if Seen::read(headers)?.is_some_and(|seen| seen.holds(tag)) {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    Ok((
        common,
        [(header::CONTENT_TYPE, file.content_type)],
        file.content,
    )
        .into_response())
}
