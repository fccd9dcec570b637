//! The files of the dashboard and the page about the API, as a browser asks for them. `tests/browser` looks at the page itself.

use crate::{header, start};
use frugal_dashboard::{FILES, FOLDER, PAGE, POLICY};
use reqwest::Method;

#[tokio::test]
async fn the_page_about_the_api_is_served_under_a_policy_that_lets_it_load_its_style_alone() {
    let app = start().await;
    for (path, kind) in [
        ("/docs", "text/html; charset=utf-8"),
        ("/docs/style.css", "text/css; charset=utf-8"),
    ] {
        let ask = || app.api.request(Method::GET, path);
        let response = ask().send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(header(&response, "content-type"), Some(kind));
        let policy = header(&response, "content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; style-src 'self';"),
            "{policy}"
        );
        let tag = header(&response, "etag").unwrap().to_owned();
        let text = response.text().await.unwrap();
        assert!(path != "/docs" || text.contains("id=\"list_events\""));
        let again = ask().header("if-none-match", &tag).send().await.unwrap();
        assert_eq!(again.status(), 304, "{path}");
    }
    app.end().await;
}

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
