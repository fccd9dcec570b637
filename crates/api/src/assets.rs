//! Files of the pages that this server shows to people. They are no part of the API and of its description.

use crate::errors::ApiError;
use crate::etag::{self, Seen};
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::{Arc, LazyLock};

/// A file of a page.
#[derive(Debug, Clone)]
pub(crate) struct Asset {
    /// Its media type.
    pub content_type: &'static str,
    /// What it holds.
    pub content: Bytes,
    /// What the page may do (Content Security Policy Level 3).
    pub policy: &'static str,
}

/// Serves files at their paths.
pub(crate) fn router<S: Clone + Send + Sync + 'static>(
    assets: impl IntoIterator<Item = (String, Asset)>,
) -> Router<S> {
    let assets = assets.into_iter();
    assets.fold(Router::new(), |router, (path, asset)| {
        let file = File::of(asset);
        router.route(
            &path,
            get(async move |headers: HeaderMap| serve(&file, &headers)),
        )
    })
}

/// Serves a file that is made when it is first asked for.
pub(crate) fn on_demand<S: Clone + Send + Sync + 'static>(
    path: &str,
    make: impl FnOnce() -> Asset + Send + 'static,
) -> Router<S> {
    let file = Arc::new(LazyLock::new(move || File::of(make())));
    Router::new().route(
        path,
        get(async move |headers: HeaderMap| serve(&file, &headers)),
    )
}

/// A file with the tag of what it holds.
#[derive(Debug, Clone)]
struct File {
    asset: Asset,
    tag: String,
}

impl File {
    fn of(asset: Asset) -> Self {
        let tag = etag::of_bytes(&asset.content);
        Self { asset, tag }
    }
}

/// A file, or that the client has it. It is asked for again each time, so that a page is never older than the
/// server behind it.
fn serve(File { asset, tag }: &File, headers: &HeaderMap) -> Result<Response, ApiError> {
    let common = [
        (header::ETAG, etag::header(tag)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(asset.policy),
        ),
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        ),
    ];
    if Seen::read(headers)?.is_some_and(|seen| seen.holds(tag)) {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    let kind = [(header::CONTENT_TYPE, asset.content_type)];
    Ok((common, kind, asset.content.clone()).into_response())
}
