//! Tests what a [`Files`] handler responds to paths that name no plain file.

#![allow(clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

use http_core::testing::TestRequest;
use http_files::{ErrorPages, FileSystem, Files, Options, Root};
use std::{fs, path::Path, sync::Arc};

const KINDS: [FileSystem; 3] = [FileSystem::Memory, FileSystem::Local, FileSystem::Slow];

/// What a browser sends when it opens a page.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";

/// Makes a directory with these files. The content of a file is its path.
fn directory(files: &[&str]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for name in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("one")).and_then(|()| fs::write(path, name)).expect("a file");
    }
    directory
}

/// Checks each request twice, before and after its result is in the cache, on all kinds of file systems.
fn check(directory: &Path, options: &Options, requests: &[(&str, &str, u16, &str)]) {
    for kind in KINDS {
        let root = Root::open(directory).expect("a document root").with_file_system(kind);
        let files = Files::from_root(Arc::new(root)).with_options(options.clone());
        for (target, accept, status, expected) in requests.iter().chain(requests) {
            let get = TestRequest::new("GET", target).header("Accept", accept).run(&files);
            let case = format!("{kind:?} {target} {accept}");
            assert_eq!(get.status().code(), *status, "{case}");
            let text = |name| get.header(name).map(|value| String::from_utf8_lossy(value).into_owned());
            let actual =
                if *status == 301 { text("Location").unwrap_or_default() } else { get.text().to_owned() };
            let is_library_page = expected.is_empty() && actual.starts_with("<!doctype html>");
            assert!(is_library_page || actual == *expected, "{case}: {actual}");
            assert_eq!(get.header("ETag").is_some(), *status == 200, "{case}");
            let head = TestRequest::new("HEAD", target).header("Accept", accept).run(&files);
            assert_eq!((head.status(), head.body()), (get.status(), &b""[..]), "{case}");
            for name in ["Content-Type", "Content-Length", "ETag", "Vary", "Location"] {
                assert_eq!(head.header(name), get.header(name), "{case}: {name}");
            }
            if *status != 301 {
                let tag = text("ETag").unwrap_or_else(|| "*".to_owned());
                let again = TestRequest::new("GET", target).header("Accept", accept);
                let again = again.header("If-None-Match", &tag).run(&files);
                assert_eq!(again.status().code(), if *status == 200 { 304 } else { *status }, "{case}");
                assert_eq!(again.header("Vary"), get.header("Vary"), "{case}");
            }
        }
    }
}

#[test]
fn navigations_that_lead_nowhere_get_the_page_of_the_application() {
    let site = directory(&["index.html", "app.js", "dir/page.html", ".git/config"]);
    let options = Options { fallback: Some("index.html".parse().expect("a path")), ..Options::default() };
    check(
        site.path(),
        &options,
        &[
            ("/users/7", BROWSER, 200, "index.html"),
            ("/users/7", "*/*", 404, ""),
            ("/users/7", "application/json, text/html;q=0.5", 404, ""),
            ("/users/7", "image/avif,image/*,*/*;q=0.8", 404, ""),
            ("/users/7", "", 404, ""),
            ("/users/", BROWSER, 200, "index.html"),
            ("/dir/", BROWSER, 200, "index.html"),
            ("/app.js", BROWSER, 200, "app.js"),
            ("/missing.js", BROWSER, 404, ""),
            ("/dir", BROWSER, 301, "dir/"),
            ("/.git/nothing", BROWSER, 404, ""),
        ],
    );
    let files = Files::new(site.path()).expect("a root").with_options(options);
    let vary = |accept| {
        let response = TestRequest::new("GET", "/users/7").header("Accept", accept).run(&files);
        response.header("Vary").map(<[u8]>::to_vec)
    };
    assert_eq!([vary(BROWSER), vary("*/*")], [Some(b"Accept".to_vec()), Some(b"Accept".to_vec())]);
}

#[test]
fn clean_urls_have_no_extension() {
    let names = [
        "index.html",
        "about.html",
        "docs/index.html",
        "docs.html",
        "both/x",
        "both.html",
        "plain",
        "plain.html",
        "twice.html",
        "twice.html.html",
        "alone.html.html",
        "index.html.html",
    ];
    let site = directory(&names);
    let options = Options { clean_urls: true, ..Options::default() };
    check(
        site.path(),
        &options,
        &[
            ("/about", "", 200, "about.html"),
            ("/about.html?a=%C3%A4", "", 301, "about?a=%C3%A4"),
            ("/about/?b", "", 301, "../about?b"),
            ("/index.html?q", "", 301, "./?q"),
            ("/index", "", 301, "./"),
            ("/docs/index.html", "", 301, "./"),
            ("/docs/index", "", 301, "./"),
            ("/docs/", "", 200, "docs/index.html"),
            ("/docs", "", 200, "docs.html"),
            ("/both", "", 200, "both.html"),
            ("/both/", "", 301, "../both"),
            ("/plain", "", 200, "plain"),
            // Their clean URLs lead to other files, or to none.
            ("/plain.html", "", 200, "plain.html"),
            ("/plain/", "", 404, ""),
            ("/twice", "", 200, "twice.html"),
            ("/twice.html", "", 301, "twice"),
            ("/twice.html.html", "", 200, "twice.html.html"),
            ("/alone.html", "", 404, ""),
            ("/alone.html/", "", 404, ""),
            ("/alone.html.html", "", 200, "alone.html.html"),
            ("/alone", "", 404, ""),
            ("/index.html.html", "", 200, "index.html.html"),
            ("/both.html", "", 301, "both"),
            ("/missing.html", "", 404, ""),
            ("/missing", "", 404, ""),
            ("/missing/", "", 404, ""),
        ],
    );
}

#[test]
fn without_clean_urls_a_page_has_its_extension() {
    let site = directory(&["about.html"]);
    let requests =
        [("/about.html", "", 200, "about.html"), ("/about", "", 404, ""), ("/about/", "", 404, "")];
    check(site.path(), &Options::default(), &requests);
}

#[test]
fn error_pages_have_the_status_of_the_error() {
    let site =
        directory(&["404.html", "docs/404.html", "docs/a/page", "docs/.a/404.html", "errors/forbidden.txt"]);
    std::os::unix::fs::symlink("/etc/passwd", site.path().join("out")).expect("a link");
    let by_status = vec!["4xx=/errors/forbidden.txt".parse().expect("a page")];
    let automatic = ErrorPages { by_status: Vec::new(), automatic: true };
    let options = Options { error_pages: automatic, ..Options::default() };
    check(
        site.path(),
        &options,
        &[
            ("/nothing", "", 404, "404.html"),
            ("/docs/.a/404.html", "", 404, "404.html"),
            ("/docs/.a/nothing", "", 404, "404.html"),
            ("/docs/a/nothing", "", 404, "docs/404.html"),
            ("/docs/", "", 404, "docs/404.html"),
            ("/out", "", 403, ""),
        ],
    );
    let options = Options { error_pages: ErrorPages { by_status, automatic: true }, ..Options::default() };
    check(
        site.path(),
        &options,
        &[("/out", "", 403, "errors/forbidden.txt"), ("/docs/nothing", "", 404, "errors/forbidden.txt")],
    );
    check(site.path(), &Options::default(), &[("/nothing", "", 404, "")]);
}

/// Besides the headers that describe its content, an error page has none of those of its file.
#[test]
fn an_error_page_has_the_headers_of_its_content() {
    let site = directory(&["missing.svgz"]);
    let by_status = vec!["404=missing.svgz".parse().expect("a page")];
    let options = Options { error_pages: ErrorPages { by_status, automatic: false }, ..Options::default() };
    let files = Files::new(site.path()).expect("a root").with_options(options);
    let response = TestRequest::get("/nothing").header("Range", "bytes=0-0").run(&files);
    assert_eq!((response.status().code(), response.text()), (404, "missing.svgz"));
    for (name, expected) in [
        ("Content-Type", Some("image/svg+xml")),
        ("Content-Encoding", Some("gzip")),
        ("Last-Modified", None),
        ("Accept-Ranges", None),
    ] {
        assert_eq!(response.header(name), expected.map(str::as_bytes), "{name}");
    }
}

#[test]
fn an_application_may_have_error_pages_too() {
    let site = directory(&["app.html", "404.html"]);
    let options = Options {
        fallback: Some("/app.html".parse().expect("a path")),
        error_pages: ErrorPages { by_status: Vec::new(), automatic: true },
        ..Options::default()
    };
    check(
        site.path(),
        &options,
        &[
            ("/nothing", BROWSER, 200, "app.html"),
            ("/nothing", "*/*", 404, "404.html"),
            ("/nothing.png", BROWSER, 404, "404.html"),
        ],
    );
}

#[test]
fn hidden_files_are_served_if_the_operator_wants() {
    let site = directory(&[".config", ".d/x"]);
    let options = Options { hidden: true, ..Options::default() };
    check(
        site.path(),
        &options,
        &[("/.config", "", 200, ".config"), ("/.d/x", "", 200, ".d/x"), ("/.d", "", 301, ".d/")],
    );
    check(site.path(), &Options::default(), &[("/.config", "", 404, ""), ("/.d/x", "", 404, "")]);
}
