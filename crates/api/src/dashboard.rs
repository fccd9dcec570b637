//! The dashboard's files, over HTTP. The page is a client of the API.

use crate::assets::{self, Asset};
use axum::Router;
use axum::body::Bytes;
use frugal_dashboard::{FILES, FOLDER, PAGE, POLICY};

/// The page at `/`, and what it loads.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let files = FILES
        .iter()
        .map(|file| (format!("{FOLDER}{}", file.name), file))
        .chain([("/".to_owned(), &PAGE)]);
    assets::router(files.map(|(path, file)| {
        let asset = Asset {
            content_type: file.content_type,
            content: Bytes::from_static(file.content),
            policy: POLICY,
        };
        (path, asset)
    }))
}
