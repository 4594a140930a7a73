//! Tests the directory listings of a [`Files`] handler.

#![allow(clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

use http_core::testing::{TestRequest, TestResponse};
use http_files::{FileSystem, Files, HeaderRules, Options, Root, SecurityHeaders};
use rustix::fs::{CWD, Mode, mknodat};
use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::Path,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

/// Serves a directory, with listings, as if it were on a file system of this kind.
fn files(directory: &Path, kind: FileSystem, hidden: bool) -> Files {
    let root = Root::open(directory).expect("a document root").with_file_system(kind);
    Files::from_root(Arc::new(root)).with_options(Options { listing: true, hidden, ..Options::default() })
}

fn get(files: &Files, target: &str, accept: &str) -> TestResponse {
    TestRequest::new("GET", target).header("Accept", accept).run(files)
}

/// Checks the names in the listing of `target`, as text.
fn check(files: &Files, target: &str, expected: &[&str]) {
    let response = get(files, target, "text/plain");
    assert_eq!(response.status().code(), 200, "{target}");
    assert_eq!(response.text().lines().collect::<Vec<_>>(), expected, "{target}");
}

/// A directory with entries of all kinds.
fn site() -> tempfile::TempDir {
    let site = tempfile::tempdir().expect("a directory");
    let path = |name: &str| site.path().join(name);
    for name in ["d", "e", "d/sub", "with-index", ".git", ".well-known"] {
        fs::create_dir(path(name)).expect("a directory");
    }
    for (name, len, modified) in [
        ("b.txt", 3000, 1),
        ("A.txt", 20, 3),
        ("c", 100, 2),
        (".hidden", 1, 1),
        ("with-index/index.html", 1, 1),
    ] {
        fs::write(path(name), vec![b'x'; len]).expect("a file");
        let file = fs::File::options().write(true).open(path(name)).expect("a file");
        file.set_modified(UNIX_EPOCH + Duration::from_secs(modified)).expect("a time");
    }
    for (link, target) in [
        ("inside", "c"),
        ("up", "../c"),
        ("out", "/etc/passwd"),
        ("dangling", "x"),
        ("loop", "loop"),
        ("dir", "d"),
    ] {
        symlink(target, path(link)).expect("a link");
    }
    symlink(path("c"), path("absolute")).expect("a link");
    mknodat(CWD, path("pipe"), rustix::fs::FileType::Fifo, Mode::RUSR, 0).expect("a pipe");
    site
}

#[test]
fn a_listing_shows_what_is_served() {
    let site = site();
    for kind in [FileSystem::Memory, FileSystem::Local, FileSystem::Slow] {
        let all = files(site.path(), kind, true);
        let files = files(site.path(), kind, false);
        let names =
            [".well-known/", "d/", "dir/", "e/", "with-index/", "A.txt", "absolute", "b.txt", "c", "inside"];
        check(&files, "/", &names);
        for name in names {
            let status = get(&files, &format!("/{name}"), "").status().code();
            assert_eq!(status, 200, "{kind:?} {name}");
        }
        check(&files, "/d/", &["sub/"]);
        check(&files, "/d/sub/", &[]);
        assert_eq!(get(&files, "/with-index/", "text/plain").text(), "x");
        let redirect = get(&files, "/d?q", "");
        assert_eq!((redirect.status().code(), redirect.header("Location")), (301, Some(&b"d/?q"[..])));
        for missing in ["/.git/", "/missing/", "/c/", "/pipe/"] {
            assert_eq!(get(&files, missing, "").status().code(), 404, "{kind:?} {missing}");
        }
        assert_eq!(get(&files, "/up/", "").status().code(), 403);
        assert!(get(&all, "/", "text/plain").text().starts_with(".git/\n"));
        check(&all, "/.git/", &[]);
    }
}

#[test]
fn a_listing_is_sorted_as_the_query_says() {
    let site = tempfile::tempdir().expect("a directory");
    fs::create_dir(site.path().join("m")).expect("a directory");
    for (name, len, modified) in [("b", 30, 1), ("a", 20, 3), ("C", 10, 2)] {
        fs::write(site.path().join(name), vec![b'x'; len]).expect("a file");
        let file = fs::File::options().write(true).open(site.path().join(name)).expect("a file");
        file.set_modified(UNIX_EPOCH + Duration::from_secs(modified)).expect("a time");
    }
    let files = files(site.path(), FileSystem::Memory, false);
    check(&files, "/?sort=name", &["m/", "a", "b", "C"]);
    check(&files, "/?sort=name&order=desc", &["m/", "C", "b", "a"]);
    check(&files, "/?sort=size", &["m/", "C", "a", "b"]);
    check(&files, "/?order=desc&sort=size", &["m/", "b", "a", "C"]);
    check(&files, "/?sort=time&order=asc", &["m/", "b", "C", "a"]);
    check(&files, "/?sort=nothing&order=x", &["m/", "a", "b", "C"]);
}

#[test]
fn the_accept_header_chooses_the_format() {
    let site = tempfile::tempdir().expect("a directory");
    fs::create_dir(site.path().join("d")).expect("a directory");
    fs::write(site.path().join("f"), "12345").expect("a file");
    let file = fs::File::options().write(true).open(site.path().join("f")).expect("a file");
    file.set_modified(UNIX_EPOCH + Duration::from_secs(784_111_777)).expect("a time");
    let files = files(site.path(), FileSystem::Memory, false);
    for (accept, media_type, content) in [
        ("", "text/html; charset=utf-8", "<td><a href=\"./f\">f</a><td>5 B<td>1994-11-06 08:49:37\n"),
        ("*/*", "text/html; charset=utf-8", "<td><a href=\"./d/\">d/</a>"),
        ("image/png", "text/html; charset=utf-8", "<title>Index of /</title>"),
        ("text/html", "text/html; charset=utf-8", ">1 directory, 1 file</p>"),
        (
            "application/json",
            "application/json",
            "{\"name\":\"f\",\"type\":\"file\",\"size\":5,\"mtime\":\"1994-11-06T08:49:37Z\"}\n]\n",
        ),
        ("application/json", "application/json", "[\n{\"name\":\"d\",\"type\":\"directory\",\"mtime\":\""),
        ("text/plain, text/html;q=0.9", "text/plain; charset=utf-8", "d/\nf\n"),
    ] {
        let response = get(&files, "/", accept);
        assert!(response.text().contains(content), "{accept}: {}", response.text());
        for (name, expected) in
            [("Content-Type", media_type), ("Vary", "Accept"), ("Cache-Control", "no-cache")]
        {
            assert_eq!(response.header(name), Some(expected.as_bytes()), "{accept}");
        }
        let head = TestRequest::new("HEAD", "/").header("Accept", accept).run(&files);
        assert_eq!((head.status().code(), head.body()), (200, &b""[..]));
        assert_eq!(head.header("Content-Length"), response.header("Content-Length"));
    }
    let conditional =
        TestRequest::get("/").header("If-None-Match", "*").header("Range", "bytes=0-1").run(&files);
    assert_eq!(conditional.status().code(), 200);
}

#[test]
fn a_listing_has_the_headers_of_the_operator() {
    let site = tempfile::tempdir().expect("a directory");
    fs::create_dir(site.path().join("d")).expect("a directory");
    let mut headers = HeaderRules::security(SecurityHeaders::Basic);
    let rules =
        ["/d/: X-Name: d", "*.html: X-Name: page", "/d/: cache-control: no-store", "Content-Language: de"];
    headers.extend(rules.map(|rule| rule.parse().expect("a rule")));
    let files = |cors: &str| {
        let root = Root::open(site.path()).expect("a document root");
        let (headers, cors) = (headers.clone(), cors.parse().ok());
        Files::from_root(Arc::new(root)).with_options(Options {
            listing: true,
            headers,
            cors,
            ..Options::default()
        })
    };
    let check = |files: &Files, accept: &str, target: &str, expected: &[(&str, &str)]| {
        let request = TestRequest::get(target).header("Accept", accept).header("Origin", "https://a");
        let response = request.run(files);
        assert_eq!(response.status().code(), 200, "{target}");
        for (name, expected) in expected {
            let all = response.headers();
            let values: Vec<_> = all
                .iter()
                .filter(|(other, _)| other.eq_ignore_ascii_case(name))
                .map(|(_, value)| String::from_utf8_lossy(value))
                .collect();
            assert_eq!(values.join(", "), *expected, "{target} {accept}");
        }
    };
    let all = files("*");
    let listed = files("https://a,https://b");
    let root_headers = [
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "SAMEORIGIN"),
        ("Cache-Control", "no-cache"),
        ("X-Name", ""),
        ("Content-Language", ""),
        ("Access-Control-Allow-Origin", "*"),
        ("Vary", "Accept"),
    ];
    let ancestors = [("Content-Security-Policy", "frame-ancestors 'self'")];
    for accept in ["application/json", "text/plain"] {
        check(&all, accept, "/", &[&root_headers[..], &ancestors].concat());
    }
    check(&all, "text/html", "/", &root_headers);
    check(&all, "text/plain", "/d/", &[("X-Name", "d"), ("Cache-Control", "no-store")]);
    check(
        &listed,
        "text/plain",
        "/",
        &[("Access-Control-Allow-Origin", "https://a"), ("Vary", "Accept, Origin")],
    );
    // The page keeps its own policy.
    let page = get(&all, "/", "text/html");
    let policies: Vec<_> = page
        .headers()
        .iter()
        .filter(|(name, _)| *name == "Content-Security-Policy")
        .map(|(_, value)| value)
        .collect();
    assert!(policies.len() == 2 && policies[0].starts_with(b"default-src 'none'"), "{policies:?}");
    assert_eq!(policies[1], b"frame-ancestors 'self'");
}

#[test]
fn hostile_names_are_escaped() {
    let site = tempfile::tempdir().expect("a directory");
    let check = |name: &[u8], html: &str, json: &str, text: &str| {
        let path = site.path().join(OsStr::from_bytes(name));
        fs::write(&path, "content").expect("a file");
        let files = files(site.path(), FileSystem::Memory, false);
        let page = get(&files, "/", "");
        assert!(page.text().contains(html), "{}", page.text());
        let href = html.split('"').nth(1).and_then(|href| href.strip_prefix('.')).expect("a reference");
        assert_eq!(get(&files, href, "").text(), "content", "{href}");
        let object = get(&files, "/", "application/json");
        assert!(object.text().contains(&format!("\n{{\"name\":\"{json}\",")), "{}", object.text());
        assert_eq!(get(&files, "/", "text/plain").text(), text);
        fs::remove_file(path).expect("a file");
    };
    check(b"<b>&\"'", "\"./%3Cb%3E%26%22%27\">&lt;b&gt;&amp;&quot;&#39;</a>", "<b>&\\\"'", "<b>&\"'\n");
    check(b"javascript:x", "\"./javascript:x\">javascript:x</a>", "javascript:x", "javascript:x\n");
    check(b"a\nb\\c", "\"./a%0Ab%5Cc\">a\u{fffd}b\\c</a>", "a\\u000ab\\\\c", "a?b\\c\n");
    check(b"\xff", "\"./%FF\">\u{fffd}</a>", "\u{fffd}", "\u{fffd}\n");
    check("ä?#%2F".as_bytes(), "\"./%C3%A4%3F%23%252F\">ä?#%2F</a>", "ä?#%2F", "ä?#%2F\n");
    check("\u{202e}gpj".as_bytes(), "\"./%E2%80%AEgpj\">\u{fffd}gpj</a>", "\u{202e}gpj", "\u{202e}gpj\n");
}

#[test]
fn breadcrumbs_lead_to_the_directories_above() {
    let site = tempfile::tempdir().expect("a directory");
    fs::create_dir_all(site.path().join("a/<b>")).expect("a directory");
    let files = files(site.path(), FileSystem::Memory, false).with_prefix("static");
    let page = get(&files, "/static/a/%3Cb%3E/", "");
    let crumbs = "<h1><a href=\"../../\">/</a> <a href=\"../\">a</a>/ \
                  <a href=\"./\" aria-current=\"page\">&lt;b&gt;</a>/ </h1>";
    assert!(page.text().contains(crumbs), "{}", page.text());
    // Relative references are resolved against the path as it was sent.
    for (target, location) in [
        ("/static/a//%3Cb%3E/", "../../%3Cb%3E/"),
        ("/static/a%2F%3Cb%3E/", "../a/%3Cb%3E/"),
        ("/static/a/x/..", "../"),
    ] {
        let redirect = get(&files, target, "");
        let location = (301, Some(location.as_bytes()));
        assert_eq!((redirect.status().code(), redirect.header("Location")), location, "{target}");
    }
}

#[test]
fn large_directories_are_listed() {
    let site = tempfile::tempdir().expect("a directory");
    for number in 0..3000 {
        fs::File::create(site.path().join(format!("file-{number:05}"))).expect("a file");
    }
    for kind in [FileSystem::Memory, FileSystem::Slow] {
        let files = files(site.path(), kind, false);
        let response = get(&files, "/", "text/plain");
        assert_eq!(response.text().lines().count(), 3000);
        assert!(response.text().ends_with("file-02998\nfile-02999\n"));
        let page = get(&files, "/", "text/html");
        assert_eq!(
            page.text().lines().filter(|line| line.starts_with("<tr><td><a href=\"./file-")).count(),
            3000
        );
        assert_eq!(["<!doctype", "</script>\n"].map(|text| page.text().matches(text).count()), [1, 1]);
        let objects = get(&files, "/?order=desc", "application/json");
        assert_eq!(objects.text().matches("},\n{\"name\":").count(), 2999);
        assert!(
            objects.text().starts_with("[\n{\"name\":\"file-02999\"") && objects.text().ends_with("}\n]\n")
        );
    }
}
