//! Tests the responses of a [`Files`] handler without a server: a request head goes in, a response comes out.

#![allow(clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

use http_core::{Body, Handler, Reply, Response, Status, testing::ReceivedRequest};
use http_files::{Files, Root};
use std::{fs, os::unix::fs::symlink, sync::Arc, time::Instant};

/// Passes a GET request for `target` to `files`, and returns the response.
fn get(files: &Files, target: &str) -> Response {
    respond(files, &format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n"))
}

/// Passes the request with this head to `files`, and returns the response.
fn respond(files: &Files, head: &str) -> Response {
    let received = ReceivedRequest::new(head.as_bytes(), Instant::now()).expect("a request");
    let Reply::Now(response) = files.handle(&received.as_request()) else { panic!("{head}: a late reply") };
    response
}

#[test]
fn outcomes_become_responses() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::create_dir(directory.path().join("dir")).expect("a directory");
    fs::write(directory.path().join("dir/index.html"), "0123456789").expect("a file");
    let files = Files::new(directory.path()).expect("a document root").with_prefix("/site");
    let check = |request: &str, headers: &str, status: Status, (name, value): (&str, &str)| {
        let response = respond(&files, &format!("{request} HTTP/1.1\r\nHost: test\r\n{headers}\r\n"));
        let actual = response.header(name).map(|value| String::from_utf8_lossy(value).into_owned());
        assert_eq!((response.status(), actual.as_deref()), (status, Some(value)), "{request} {headers}");
    };
    // The second time, the document is in the cache.
    for _ in 0..2 {
        check("GET /site/dir/", "", Status::OK, ("Content-Type", "text/html"));
    }
    check("GET /site/dir?a=%3C", "", Status::MOVED_PERMANENTLY, ("Location", "dir/?a=%3C"));
    check("GET /site%2fdir", "", Status::MOVED_PERMANENTLY, ("Location", "site/dir/"));
    check("GET /site/no", "", Status::NOT_FOUND, ("Content-Type", "text/html; charset=utf-8"));
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

#[test]
fn a_prefix_may_be_written_with_or_without_slashes() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("file"), "content").expect("a file");
    for prefix in ["public", "/public", "/public/", "public/", "//public//", "/x/../public"] {
        let files = Files::new(directory.path()).expect("a document root").with_prefix(prefix);
        for (target, status, location) in [
            ("/public/file", 200, None),
            ("/%70ublic//file", 200, None),
            ("/public", 301, Some(&b"public/"[..])),
            ("/public?a", 301, Some(b"public/?a")),
            ("/x/../public", 301, Some(b"public/")),
            ("/publicly/file", 404, None),
            ("/public/../file", 404, None),
            ("/file", 404, None),
        ] {
            let response = get(&files, target);
            assert_eq!(
                (response.status().code(), response.header("Location")),
                (status, location),
                "{prefix} {target}"
            );
        }
    }
    for prefix in ["", "/", "//", "/./"] {
        let files = Files::new(directory.path()).expect("a document root").with_prefix(prefix);
        assert_eq!(get(&files, "/file").status(), Status::OK, "{prefix:?}");
    }
}

/// Small files do not count, and all names of a file count as one.
#[test]
fn limits_how_many_files_are_open() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    for name in ["a", "b", "c"] {
        fs::write(path(name), vec![b'x'; 100_000]).expect("a file");
    }
    fs::write(path("small"), "small").expect("a file");
    fs::hard_link(path("a"), path("hard")).and_then(|()| symlink("a", path("soft"))).expect("links");
    let root = Root::open(directory.path()).expect("a root").with_max_open_files(2);
    assert_eq!(root.max_open_files(), 2);
    let files = Files::from_root(Arc::new(root));
    let mut sent = ["/a", "/hard", "/soft", "/b", "/small", "/hard"].map(|target| {
        let response = get(&files, target);
        assert_eq!(response.status(), Status::OK, "{target}");
        Some(response)
    });
    // Responses send both files.
    let rejected = get(&files, "/c");
    assert_eq!(rejected.status(), Status::SERVICE_UNAVAILABLE);
    assert_eq!(rejected.header("Retry-After"), Some(&b"1"[..]));
    sent[3] = None;
    assert_eq!(get(&files, "/c").status(), Status::OK);
}

/// A file that is too large to be held in memory stays open while it is cached.
#[test]
fn all_spellings_of_a_path_share_one_open_file() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::create_dir(directory.path().join("d")).expect("a directory");
    let large = fs::File::create(directory.path().join("d/large")).expect("a file");
    large.set_len(64 * 1024 * 1024).expect("a length");
    let files = Files::new(directory.path()).expect("a document root");
    let targets =
        ["/d/large", "/./d/large", "/d/././large", "//d//large", "/x/../d/large", "/d%2Flarge", "/%64/large"];
    let opened = targets.map(|target| match get(&files, target).body() {
        Body::File(slice) => Arc::clone(&slice.file),
        body => panic!("{target}: {body:?}"),
    });
    assert!(opened.iter().all(|file| Arc::ptr_eq(file, &opened[0])), "a file is open more than once");
}
