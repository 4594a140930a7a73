//! Responses that our server chooses where the conformance cases, which hold for any server, allow several.

use crate::{
    client::{Client, get, request},
    program,
    site::{Directory, HUGE_END, HUGE_LEN},
};
use std::{
    fs::File,
    time::{Duration, UNIX_EPOCH},
};

/// Sends a request on a new connection. Checks the status of the response, and the value of one header.
fn check(server: &program::Program, request: &str, status: u16, (name, value): (&str, Option<&str>)) {
    let response = Client::connect(server.address()).fetch(request);
    assert_eq!((response.status, response.header(name)), (status, value), "{request}");
    assert!(!response.text().contains("secret"), "{request}");
}

two_kinds! {
    fn a_target_that_is_not_served_gets_the_status_of_its_reason(kind: ServerKind) {
        let server = program::serve(kind, &[]);
        for (status, targets) in [
            // Above the root, or out of it through a link.
            (403, &["/../etc/passwd", "/%2e%2e%2fetc%2fpasswd", "/out-absolute", "/dir/out/x", "/loop"][..]),
            // Hidden, special, without an index, or simply missing.
            (404, &["/.hidden", "/.git/config", "/...", "/.well-known/.secret", "/dir/.htaccess"]),
            (404, &["/pipe", "/to-pipe", "/socket", "/bare/", "/odd/", "/dangling", "/nowhere"]),
            // What no file name can contain, and no URI.
            (400, &["/%00", "/notes.txt%00.html", "/%", "/notes%2", "/nowhere/%zz"]),
        ] {
            for target in targets {
                check(&server, &get(target), status, ("Content-Type", Some("text/html; charset=utf-8")));
            }
        }
    }

    /// `ab -k` needs it.
    fn an_http_1_0_client_may_keep_its_connection(kind: ServerKind) {
        let server = program::serve(kind, &[]);
        let mut client = Client::connect(server.address());
        for _ in 0..2 {
            let response = client.fetch("GET /notes.txt HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
            assert_eq!((response.status, response.header("Connection")), (200, Some("keep-alive")));
        }
        client.finish();
    }

    fn a_range_header_of_more_than_200_ranges_is_ignored(kind: ServerKind) {
        let server = program::serve(kind, &[]);
        for (count, status) in [(200, 206), (201, 200)] {
            let headers = format!("Range: bytes={}\r\n", vec!["0-0"; count].join(","));
            check(&server, &request("GET", "/digits.txt", &headers), status, ("Accept-Ranges", Some("bytes")));
        }
    }

    /// Length and modification time, which are the same on all hosts, and no strong validator.
    fn tags_may_consist_of_the_modification_time(kind: ServerKind) {
        let root = Directory::new();
        let file = File::create(root.path("empty")).expect("a file");
        file.set_modified(UNIX_EPOCH + Duration::from_secs(784_111_777)).expect("a time");
        let server = program::serve_root(kind, root.root(), &["--etag", "mtime"]);
        let tag = "W/\"0-2ebc98a1\"";
        for (condition, status) in [("If-None-Match", 304), ("If-Match", 412)] {
            let request = request("GET", "/empty", &format!("{condition}: {tag}\r\n"));
            check(&server, &request, status, ("ETag", Some(tag)));
        }
    }

    fn ranges_may_lie_beyond_four_gigabytes(kind: ServerKind) {
        let server = program::serve(kind, &[]);
        let mut client = Client::connect(server.address());
        let length = client.fetch(request("HEAD", "/huge.bin", ""));
        assert_eq!(length.header("Content-Length"), Some(&*HUGE_LEN.to_string()));
        let mut range = |range: &str| {
            let headers = format!("Range: bytes={range}\r\n");
            client.fetch(request("GET", "/huge.bin", &headers))
        };
        let (at, last) = (HUGE_LEN - HUGE_END.len() as u64, HUGE_LEN - 1);
        let end = range(&format!("{at}-"));
        assert_eq!((end.status, &*end.body), (206, HUGE_END));
        assert_eq!(end.header("Content-Range"), Some(&*format!("bytes {at}-{last}/{HUGE_LEN}")));
        assert_eq!(range("4294967290-4294967300").body, [0; 11]);
        let parts = range(&format!("-4,{at}-{at}")).text();
        let part = format!("\r\nContent-Range: bytes {at}-{at}/{HUGE_LEN}\r\n\r\nb\r\n");
        assert!(parts.contains(&part), "{parts}");
    }
}
