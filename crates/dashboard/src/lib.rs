//! The dashboard: a page that shows jobs in a browser, live, and makes new ones.
//!
//! The page is a client of the API like any other. Its sources are in `web/` (TypeScript, Preact, ECharts);
//! `npm run build` there makes the files of `dist/`, which are committed and compiled in, so that whoever builds
//! or runs Frugal needs no Node. `api` serves them.

/// A file of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File {
    /// Its name, as it stands behind [`FOLDER`] in its address.
    pub name: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// What it holds.
    pub content: &'static [u8],
}

/// Where the files of the page are served.
pub const FOLDER: &str = "/dashboard/";

/// The page itself, which is served at `/`.
pub const PAGE: File = File {
    name: "index.html",
    content_type: "text/html; charset=utf-8",
    content: include_bytes!("../dist/index.html"),
};

/// What the page loads.
pub const FILES: &[File] = &[
    File {
        name: "app.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_bytes!("../dist/app.js"),
    },
    File {
        name: "app.css",
        content_type: "text/css; charset=utf-8",
        content: include_bytes!("../dist/app.css"),
    },
    File {
        name: "icon.svg",
        content_type: "image/svg+xml",
        content: include_bytes!("../dist/icon.svg"),
    },
    File {
        name: "app.js.LEGAL.txt",
        content_type: "text/plain; charset=utf-8",
        content: include_bytes!("../dist/app.js.LEGAL.txt"),
    },
];

/// What the page may do (Content Security Policy Level 3): load its own files, ask the server that it came from,
/// and nothing else. Nobody may put it in a frame.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                          connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
