//! Tests the responses of a [`Files`] handler without a server: a request head goes in, a response comes out.

#![allow(clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

use http_core::{Handler, HeadIndex, Reply, Request, Status};
use http_files::Files;
use std::{fs, time::Instant};

#[test]
fn outcomes_become_responses() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::create_dir(directory.path().join("dir")).expect("a directory");
    fs::write(directory.path().join("dir/index.html"), "0123456789").expect("a file");
    let files = Files::new(directory.path()).expect("a document root").with_prefix("/site");
    let check = |request: &str, headers: &str, status: Status, (name, value): (&str, &str)| {
        let head = format!("{request} HTTP/1.1\r\nHost: test\r\n{headers}\r\n");
        let mut index = HeadIndex::default();
        let request = Request::parse(head.as_bytes(), &mut index, Instant::now()).expect("a request");
        let Reply::Now(response) = files.handle(&request) else { panic!("{head}: a late reply") };
        let actual = response.header(name).map(|value| String::from_utf8_lossy(value).into_owned());
        assert_eq!((response.status(), actual.as_deref()), (status, Some(value)), "{head}");
    };
    // The second time, the document is in the cache.
    for _ in 0..2 {
        check("GET /site/dir/", "", Status::OK, ("Content-Type", "text/html"));
    }
    check("GET /site/dir?a=<", "", Status::MOVED_PERMANENTLY, ("Location", "/site/dir/?a=%3C"));
    check("GET /site/dir/?<", "", Status::MOVED_PERMANENTLY, ("Location", "/site/dir/?%3C"));
    check("GET /site/no?<", "", Status::NOT_FOUND, ("Content-Type", "text/html; charset=utf-8"));
    check("PUT /site/no", "", Status::METHOD_NOT_ALLOWED, ("Allow", "GET, HEAD"));
    let range = "Range: bytes=8-\r\n";
    check("GET /site/dir/", range, Status::PARTIAL_CONTENT, ("Content-Range", "bytes 8-9/10"));
    check("HEAD /site/dir/", range, Status::OK, ("Accept-Ranges", "bytes"));
    let unsatisfiable = "Range: bytes=10-\r\n";
    check("GET /site/dir/", unsatisfiable, Status::RANGE_NOT_SATISFIABLE, ("Content-Range", "bytes */10"));
    check("GET /site/dir/", "If-None-Match: *\r\n", Status::NOT_MODIFIED, ("Accept-Ranges", "bytes"));
    let unmatched = "If-Match: \"a\"\r\n";
    check("GET /site/dir/", unmatched, Status::PRECONDITION_FAILED, ("Accept-Ranges", "bytes"));
}
