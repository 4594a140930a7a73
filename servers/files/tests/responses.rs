//! Tests the responses of a [`Files`] handler without a server: a request head goes in, a response comes out.

#![allow(clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

use http_core::{Body, Handler, Reply, Response, Status, testing::ReceivedRequest};
use http_files::{Files, Root};
use std::{
    fs,
    os::unix::fs::symlink,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

/// Passes a GET request for `target` to `files`, and returns the response.
fn get(files: &Files, target: &str) -> Response {
    get_with(files, target, "", Instant::now())
}

/// Passes a GET request with these header lines, which was received at this time, to `files`. Returns the response.
fn get_with(files: &Files, target: &str, headers: &str, received_at: Instant) -> Response {
    let head = format!("GET {target} HTTP/1.1\r\nHost: test\r\n{headers}\r\n");
    let received = ReceivedRequest::new(head.as_bytes(), received_at).expect("a request");
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

/// RFC 9110 §8.8.2.2: a date in If-Range applies only if the response originates at least a second after it. A response
/// originates when its request was received, even if it is sent later.
#[test]
fn a_date_in_if_range_must_be_older_than_the_response() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = fs::File::create(directory.path().join("file")).expect("a file");
    file.set_len(10)
        .and_then(|()| file.set_modified(SystemTime::now() - Duration::from_secs(5)))
        .expect("a time");
    let files = Files::new(directory.path()).expect("a document root");
    let response = get(&files, "/file");
    let date = str::from_utf8(response.header("Last-Modified").expect("a date")).expect("text");
    let headers = format!("Range: bytes=0-1\r\nIf-Range: {date}\r\n");
    for (seconds_ago, status) in [(0, 206), (10, 200)] {
        let response = get_with(&files, "/file", &headers, Instant::now() - Duration::from_secs(seconds_ago));
        assert_eq!(response.status().code(), status, "received {seconds_ago} s ago");
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
