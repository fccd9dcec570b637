//! The dashboard's files, as a browser asks for them. `tests/browser` looks at the page itself.

use crate::{header, start};
use frugal_dashboard::{FILES, FOLDER, PAGE, POLICY};
use reqwest::Method;

#[tokio::test]
async fn the_page_and_its_files_are_served_under_its_policy() {
    let app = start().await;
    let paths = FILES
        .iter()
        .map(|file| (format!("{FOLDER}{}", file.name), file))
        .chain([("/".to_owned(), &PAGE)]);
    for (path, file) in paths {
        // The page is no part of the API, so its answers are not held against openapi.yaml.
        let ask = || app.api.request(Method::GET, &path);
        let response = ask().send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(header(&response, "content-type"), Some(file.content_type));
        assert_eq!(header(&response, "content-security-policy"), Some(POLICY));
        assert_eq!(header(&response, "cache-control"), Some("no-cache"));
        assert_eq!(header(&response, "x-content-type-options"), Some("nosniff"));
        let tag = header(&response, "etag").unwrap().to_owned();
        assert!(response.bytes().await.unwrap() == file.content, "{path}");

        let again = ask().header("if-none-match", &tag).send().await.unwrap();
        assert_eq!(again.status(), 304, "{path}");
        assert_eq!(header(&again, "etag"), Some(tag.as_str()));
        assert!(again.bytes().await.unwrap().is_empty());
    }
    app.end().await;
}
