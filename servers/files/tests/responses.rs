//! Tests the responses of a [`Files`] handler without a server: a request head goes in, a response comes out. They are
//! the same for all kinds of file systems.

#![allow(clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

use http_core::{
    Admit, Body, CancellationToken, Handler, Reply, Responder, Response, Status,
    testing::{ReceivedRequest, TestRequest},
};
use http_files::{FileSystem, Files, HeaderRules, Options, Root, SecurityHeaders};
use rustix::fs::{Advice, fadvise};
use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant, SystemTime},
};

/// The longest wait for another thread, after which the test fails.
const TIMEOUT: Duration = Duration::from_secs(30);

const KINDS: [FileSystem; 3] = [FileSystem::Memory, FileSystem::Local, FileSystem::Slow];

/// Opens a directory as if it were on a file system of this kind.
fn root(directory: &Path, kind: FileSystem) -> Root {
    Root::open(directory).expect("a document root").with_file_system(kind)
}

/// Serves a directory as if it were on a file system of this kind.
fn files(directory: &Path, kind: FileSystem) -> Files {
    Files::from_root(Arc::new(root(directory, kind)))
}

/// Passes a GET request for `target` to `files`, and returns the response.
fn get(files: &Files, target: &str) -> Response {
    get_with(files, target, "", Instant::now())
}

/// Passes a GET request with these header lines, which was received at this time, to `files`. Returns the response.
fn get_with(files: &Files, target: &str, headers: &str, received_at: Instant) -> Response {
    let head = format!("GET {target} HTTP/1.1\r\nHost: test\r\n{headers}\r\n");
    let received = ReceivedRequest::new(head.as_bytes(), received_at).expect("a request");
    match files.handle(&received.as_request()) {
        Reply::Now(response) => response,
        Reply::Deferred(start) => {
            let (sender, response) = mpsc::channel();
            // Fails if the test has ended.
            let deliver = move |result| drop(sender.send(result));
            start(Responder::new(CancellationToken::default(), deliver));
            response.recv_timeout(TIMEOUT).expect("a result").expect("a response")
        }
        _ => panic!("{head}: another kind of reply"),
    }
}

/// The server drops the content after the response.
#[test]
fn no_file_depends_on_content() {
    let directory = tempfile::tempdir().expect("a directory");
    let received = ReceivedRequest::new(b"POST / HTTP/1.1\r\nHost: test\r\n\r\n", Instant::now());
    let request = received.expect("a request");
    assert_eq!(files(directory.path(), FileSystem::Memory).admit(&request.as_request()), Admit::AtHead);
}

#[test]
fn a_prefix_may_be_written_with_or_without_slashes() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("file"), "content").expect("a file");
    let prefixes = ["public", "/public", "/public/", "public/", "//public//", "/x/../public"];
    for (prefix, kind) in prefixes.iter().flat_map(|prefix| KINDS.map(|kind| (prefix, kind))) {
        let files = files(directory.path(), kind).with_prefix(prefix);
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
            assert_eq!(actual, (status, location), "{kind:?} {prefix} {target}");
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
    for kind in KINDS {
        let files = files(directory.path(), kind);
        let response = get(&files, "/file");
        let date = str::from_utf8(response.header("Last-Modified").expect("a date")).expect("text");
        let headers = format!("Range: bytes=0-1\r\nIf-Range: {date}\r\n");
        for (seconds_ago, status) in [(0, 206), (10, 200)] {
            let received_at = Instant::now() - Duration::from_secs(seconds_ago);
            let response = get_with(&files, "/file", &headers, received_at);
            assert_eq!(response.status().code(), status, "{kind:?}, received {seconds_ago} s ago");
        }
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
    for kind in KINDS {
        let root = root(directory.path(), kind).with_max_open_files(2);
        assert_eq!(root.max_open_files(), 2);
        let files = Files::from_root(Arc::new(root));
        let names = ["/d/a", "/hard", "/soft", "/./d/a", "//d//a", "/x/../d/a", "/d%2Fa", "/%64/a"];
        let sent = names.map(|target| get(&files, target));
        let open = sent.iter().filter_map(|response| match response.body() {
            Body::File(slice) => Some(&slice.file),
            // Read by a thread.
            _ => None,
        });
        let open: Vec<_> = open.collect();
        assert!(match kind {
            FileSystem::Memory => open.len() == names.len(),
            FileSystem::Slow => open.is_empty(),
            _ => true,
        });
        assert!(open.windows(2).all(|two| Arc::ptr_eq(two[0], two[1])), "a file is open more than once");
        let other = get(&files, "/b");
        assert_eq!((other.status(), get(&files, "/small").status()), (Status::OK, Status::OK), "{kind:?}");
        // Responses send both files.
        let rejected = get(&files, "/c");
        assert_eq!(rejected.status(), Status::SERVICE_UNAVAILABLE, "{kind:?}");
        assert_eq!(rejected.header("Retry-After"), Some(&b"1"[..]));
        drop(other);
        // The thread that has looked the file up may keep it open for a moment.
        let deadline = Instant::now() + TIMEOUT;
        while get(&files, "/c").status() != Status::OK {
            assert!(kind != FileSystem::Memory && Instant::now() < deadline, "{kind:?}");
            thread::yield_now();
        }
        drop(sent);
    }
}

/// A file on a local disk is looked up at once if it is in the page cache.
#[test]
fn a_file_on_a_slow_medium_is_looked_up_later() {
    let directory = tempfile::tempdir().expect("a directory");
    let received = ReceivedRequest::new(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n", Instant::now());
    let received = received.expect("a request");
    for (kind, is_late) in [(FileSystem::Memory, false), (FileSystem::Slow, true)] {
        let reply = files(directory.path(), kind).handle(&received.as_request());
        assert_eq!(matches!(reply, Reply::Deferred(_)), is_late, "{kind:?}");
    }
}

#[test]
fn all_kinds_of_file_systems_send_the_same_bytes() {
    let directory = tempfile::tempdir().expect("a directory");
    let content: Vec<_> = (0..3_000_000_u32).map(|index| (index % 251) as u8).collect();
    let path = directory.path().join("file");
    fs::write(&path, &content).expect("a file");
    let file = fs::File::open(path).expect("a file");
    file.sync_all().expect("a disk");
    let whole = (0, content.len() - 1);
    for kind in KINDS {
        let files = files(directory.path(), kind);
        // Checks the response to a request for these ranges: the offsets of their first and last bytes.
        let check = |method: &str, range: &str, expected: &[(usize, usize)]| {
            // Removes the file from the page cache, if its file system can.
            fadvise(&file, 0, None, Advice::DontNeed).expect("advice");
            let response = TestRequest::new(method, "/file").header("Range", range).run(&files);
            let case = format!("{kind:?} {method} {range}");
            assert!(response.error().is_none(), "{case}: {:?}", response.error());
            let media_type = str::from_utf8(response.header("Content-Type").expect("a type")).expect("text");
            let is_whole = expected == [whole];
            assert_eq!(response.status().code(), if is_whole { 200 } else { 206 }, "{case}");
            let body = match expected {
                [(first, last)] => content[*first..=*last].to_vec(),
                ranges => multipart(&content, ranges, media_type),
            };
            let content_length = response.header("Content-Length").expect("a length");
            assert_eq!(content_length, body.len().to_string().as_bytes(), "{case}");
            assert!(response.body() == if method == "HEAD" { &[] } else { &body[..] }, "{case}");
        };
        check("GET", "", &[whole]);
        check("HEAD", "", &[whole]);
        check("HEAD", "bytes=0-9", &[whole]);
        check("GET", "bytes=5-9", &[(5, 9)]);
        check("GET", "bytes=1000000-2999998", &[(1_000_000, 2_999_998)]);
        check("GET", "bytes=-70000", &[(2_930_000, 2_999_999)]);
        check(
            "GET",
            "bytes=9-9,1000000-2500000,-1",
            &[(9, 9), (1_000_000, 2_500_000), (2_999_999, 2_999_999)],
        );
    }
}

/// Also if a thread responds.
#[test]
fn all_kinds_of_file_systems_send_the_headers_of_the_operator() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::create_dir(directory.path().join("directory")).expect("a directory");
    fs::write(directory.path().join("file"), "content").expect("a file");
    for kind in KINDS {
        let mut headers = HeaderRules::security(SecurityHeaders::Basic);
        headers.push("/file: Content-Disposition: attachment".parse().expect("a rule"));
        headers.push("/{file,none}: X-Name: name".parse().expect("a rule"));
        let cors = "https://a".parse().ok();
        let files =
            files(directory.path(), kind).with_options(Options { headers, cors, ..Options::default() });
        let check = |target: &str, headers: &str, status: u16, expected: [Option<&str>; 3]| {
            let headers = format!("Origin: https://a\r\n{headers}");
            let response = get_with(&files, target, &headers, Instant::now());
            let names = ["Content-Disposition", "X-Name", "Referrer-Policy"];
            let actual =
                names.map(|name| response.header(name).map(|value| str::from_utf8(value).expect("text")));
            assert_eq!((response.status().code(), actual), (status, expected), "{kind:?} {target} {headers}");
            assert_eq!(response.header("Access-Control-Allow-Origin"), Some(&b"https://a"[..]));
            assert_eq!(response.headers().filter(|(name, _)| *name == "Vary").count(), 1);
        };
        let policy = Some("strict-origin-when-cross-origin");
        let all = [Some("attachment"), Some("name"), policy];
        let etag = get(&files, "/file").header("ETag").map(<[u8]>::to_vec).expect("a tag");
        let etag = String::from_utf8(etag).expect("text");
        check("/file", "", 200, all);
        check("/file", "Range: bytes=1-2\r\n", 206, all);
        // RFC 9110 §15.3.7 and §15.4.5: without the headers that the client knows.
        let known = [None, Some("name"), policy];
        check("/file", &format!("Range: bytes=1-2\r\nIf-Range: {etag}\r\n"), 206, known);
        check("/file", &format!("If-None-Match: {etag}\r\n"), 304, known);
        check("/file", "If-Match: \"other\"\r\n", 412, known);
        check("/file", "Range: bytes=9-\r\n", 416, known);
        check("/none", "", 404, known);
        check("/directory", "", 301, [None, None, policy]);
    }
}

/// Returns the body of a response with several ranges.
fn multipart(content: &[u8], ranges: &[(usize, usize)], media_type: &str) -> Vec<u8> {
    let boundary = media_type.strip_prefix("multipart/byteranges; boundary=").expect("several ranges");
    let mut body = Vec::new();
    for (first, last) in ranges {
        let len = content.len();
        let part = format!(
            "\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\n\
             Content-Range: bytes {first}-{last}/{len}\r\n\r\n"
        );
        body.extend([part.as_bytes(), &content[*first..=*last]].concat());
    }
    body.extend(format!("\r\n--{boundary}--\r\n").as_bytes());
    body
}
