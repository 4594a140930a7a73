//! Tests the responses of a [`Files`] handler without a server: a request head goes in, a response comes out.

#![allow(clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

use http_core::{Body, Handler, Reply, Response, Status, testing::ReceivedRequest};
use http_files::{Files, Root};
use std::{fs, os::unix::fs::symlink, sync::Arc, time::Instant};

/// Passes a GET request for `target` to `files`, and returns the response.
fn get(files: &Files, target: &str) -> Response {
    let head = format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n");
    let received = ReceivedRequest::new(head.as_bytes(), Instant::now()).expect("a request");
    let Reply::Now(response) = files.handle(&received.as_request()) else { panic!("{head}: a late reply") };
    response
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
            ("/public?a=%3C", 301, Some(b"public/?a=%3C")),
            ("/x/../public", 301, Some(b"public/")),
            ("/publicly/file", 404, None),
            ("/public/../file", 404, None),
            ("/file", 404, None),
        ] {
            let response = get(&files, target);
            let actual = (response.status().code(), response.header("Location"));
            assert_eq!(actual, (status, location), "{prefix} {target}");
        }
    }
    for prefix in ["", "/", "//", "/./"] {
        let files = Files::new(directory.path()).expect("a document root").with_prefix(prefix);
        assert_eq!(get(&files, "/file").status(), Status::OK, "{prefix:?}");
    }
}

/// Small files do not count. A file counts once, whatever its names and the spelling of its path.
#[test]
fn limits_how_many_files_are_open() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    fs::create_dir(path("d")).expect("a directory");
    for name in ["d/a", "b", "c"] {
        fs::write(path(name), vec![b'x'; 100_000]).expect("a file");
    }
    fs::write(path("small"), "small").expect("a file");
    fs::hard_link(path("d/a"), path("hard")).and_then(|()| symlink("d/a", path("soft"))).expect("links");
    let root = Root::open(directory.path()).expect("a root").with_max_open_files(2);
    assert_eq!(root.max_open_files(), 2);
    let files = Files::from_root(Arc::new(root));
    let names = ["/d/a", "/hard", "/soft", "/./d/a", "//d//a", "/x/../d/a", "/d%2Fa", "/%64/a"];
    let sent = names.map(|target| get(&files, target));
    let open = sent.each_ref().map(|response| match response.body() {
        Body::File(slice) => &slice.file,
        body => panic!("{body:?}"),
    });
    assert!(open.iter().all(|file| Arc::ptr_eq(file, open[0])), "a file is open more than once");
    let other = get(&files, "/b");
    assert_eq!((other.status(), get(&files, "/small").status()), (Status::OK, Status::OK));
    // Responses send both files.
    let rejected = get(&files, "/c");
    assert_eq!(rejected.status(), Status::SERVICE_UNAVAILABLE);
    assert_eq!(rejected.header("Retry-After"), Some(&b"1"[..]));
    drop(other);
    assert_eq!(get(&files, "/c").status(), Status::OK);
}
