//! A correct server for a handful of targets, and variants of it with one fault each.
//!
//! They prove that the cases about semantics test what they say: a case must pass with the correct server, and fail
//! with the fault. The server has no files; every existing target has the body [`HELLO`].

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use http_test_suite::fixtures::HELLO;

use super::server::{DATE, WrongServer, passed, run_cases};

/// A fault: its name, the function that responds with it, and the ids of the cases that must fail because of it.
type Fault = (&'static str, fn(&str) -> String, &'static [&'static str]);

/// The faults that the suite must find.
const FAULTS: &[Fault] = &[
    (
        "Last-Modified in the future",
        |head| edit(head, "", "Last-Modified: Sun, 06 Nov 1994", "Last-Modified: Sat, 06 Nov 2094"),
        &["9110/8.8.2/1", "9110/8.8.2/4"],
    ),
    (
        "Last-Modified as RFC 850 has it",
        |head| edit(head, "", "Last-Modified: Sun, 06 Nov 1994", "Last-Modified: Sunday, 06-Nov-94"),
        &["9110/8.8.2/1", "9110/8.8.2/3"],
    ),
    ("a tag without quotes", |head| edit(head, "", "ETag: \"5", "ETag: 5"), &["9110/8.8.3/2"]),
    ("one tag for all files", |head| retag(head, "always"), &["9110/8.8.3/4"]),
    ("a tag for every response", |head| retag(head, &count()), &["9110/8.8.3/3"]),
    ("weak tags", |head| edit(head, "", "ETag: ", "ETag: W/"), &["9110/8.8.3/5"]),
    (
        "no Content-Type",
        |head| edit(head, "", "Content-Type", "X-Type"),
        &["9110/8.3/3", "9110/15.5/2", "9110/15.5/3"],
    ),
    ("text/plain for everything", |head| retype(head, "text/plain"), &["9110/8.3/1", "9110/8.3/8"]),
    ("text/html for everything", |head| retype(head, "text/html"), &["9110/8.3/3", "9110/8.3/20"]),
    ("a length of nothing for HEAD", |head| edit(head, "HEAD ", "th: 14", "th: 0"), &["9110/8.6/6"]),
    (
        "HEAD knows no errors",
        |head| if head.starts_with("HEAD ") { ok(head, "") } else { right(head) },
        &["9110/9.3.2/6", "9110/9.3.2/8"],
    ),
    ("HEAD has no tag", |head| edit(head, "HEAD ", "ETag", "X-Tag"), &["9110/9.3.2/2"]),
    (
        "an encoding that the client did not ask for",
        |head| ok(head, "Content-Encoding: gzip\r\n"),
        &["9110/8.4/1", "9110/12.5.3/1", "9110/12.5.3/4"],
    ),
    (
        "content by language, without Vary",
        |head| edit(head, ": ru\r", "Server", "Content-Language: ru\r\nServer"),
        &["9110/12.5.5/2"],
    ),
    (
        "an override of the method",
        |head| if head.contains("Override") { rejected(head, "405 No") } else { right(head) },
        &["9110/9.3.8/3"],
    ),
    (
        "methods by their beginning",
        |head| right(&head.replacen("GETX ", "GET ", 1).replacen("HEADER ", "GET ", 1)),
        &["9110/9.1/21", "9110/9.1/23"],
    ),
    (
        "any method is GET",
        |head| right(&format!("GET {}", head.split_once(' ').unwrap_or_default().1)),
        &["9110/9.1/20", "9110/9.1/41"],
    ),
    (
        "TRACE repeats it all",
        |head| if head.starts_with("TRACE ") { trace(head) } else { right(head) },
        &["9110/9.3.8/2"],
    ),
    (
        "Allow lists everything",
        |head| edit(head, "", "Allow: GET, HEAD", "Allow: GET, HEAD, POST, DELETE"),
        &["9110/15.5.6/1", "9110/15.5.6/2"],
    ),
    (
        "Allow lists no HEAD",
        |head| edit(head, "", "Allow: GET, HEAD", "Allow: GET"),
        &["9110/9.3.7/1", "9110/15.5.6/1"],
    ),
    ("a redirect forgets the query", |head| edit(head, "", "/dir/?", "/dir/\r\nX-Query: "), &["9110/15.4/2"]),
    (
        "a redirect to the Host beside an absolute form",
        |head| edit(head, "Host: elsewhere", ": /dir/", ": http://elsewhere.example/dir/"),
        &["9110/15.4/6"],
    ),
    ("a redirect leaves the site", |head| edit(head, "", ": /dir/", ": //dir/"), &["9110/15.4/40"]),
    ("a redirect with a space", |head| edit(head, "", ": /dir/", ": /dir /"), &["9110/15.4/40"]),
    ("a Server that is no product", |head| edit(head, "", "right/1", "right (1"), &["9110/10.2.4/1"]),
    (
        "serves https in the clear",
        |head| right(&head.replace("https:", "http:").replace("HTTPS:", "http:")),
        &["9110/7.4/1", "9110/7.4/2"],
    ),
    (
        "takes every offer",
        |head| match head.contains("Upgrade:") {
            true => format!("HTTP/1.1 101 Well\r\n{DATE}Upgrade: no-such-protocol/7.0\r\n\r\n"),
            false => right(head),
        },
        &["9110/7.8/1", "9110/7.8/2", "9110/7.8/3"],
    ),
    (
        "asks for better credentials",
        |head| match head.contains("Authorization:") {
            true => rejected(head, "401 No").replace("Allow", "WWW-Authenticate: Basic\r\nAllow"),
            false => right(head),
        },
        &["9110/11.6.2/1", "9110/11.7.2/1"],
    ),
    (
        "repeats the request in its errors",
        |head| edit(head, "", "Nothing", &format!("Nothing\r\nX: {}", head.lines().collect::<String>())),
        &["9110/11.4/1"],
    ),
    (
        "stumbles over a weight",
        |head| if head.contains(";q") { rejected(head, "500 Oops") } else { right(head) },
        &["9110/12.5.1/1", "9110/12.4/2"],
    ),
];

#[test]
fn the_cases_notice_every_fault() {
    let passes = |name, respond, ids: &[&str]| -> Vec<String> {
        let server = WrongServer { name, respond, is_hasty: false, closes: false };
        let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
        let report = run_cases(server.start(), &ids, Duration::from_secs(1), 8);
        passed(&report).map(|outcome| outcome.id.clone()).collect()
    };
    thread::scope(|scope| {
        for &(name, respond, ids) in FAULTS {
            scope.spawn(move || {
                assert_eq!(passes("nothing", right, ids), ids, "the right server fails beside {name:?}");
                let unnoticed = passes(name, respond, ids);
                assert!(unnoticed.is_empty(), "{name}: {unnoticed:?} noticed nothing");
            });
        }
    });
}

/// The response of a correct server to this head, for the requests of the cases above.
fn right(head: &str) -> String {
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.strip_prefix("http://test").unwrap_or(target);
    match (method, path.split('?').next().unwrap_or_default()) {
        ("CONNECT", _) => rejected(head, "400 No tunnel"),
        ("POST" | "PUT" | "DELETE" | "PATCH" | "OPTIONS" | "TRACE", _) => rejected(head, "405 No"),
        (method, _) if method != "GET" && method != "HEAD" => rejected(head, "501 What"),
        (_, "/dir") => rejected(head, "301 There")
            .replace("Server", &format!("Location: /dir/{}\r\nServer", &path["/dir".len()..])),
        (_, path) if !path.starts_with('/') || !head.contains("Host: ") => rejected(head, "400 No"),
        (_, path) if path.starts_with("/no/") => rejected(head, "404 Nothing"),
        _ => ok(head, ""),
    }
}

/// A response 200 with validators and these headers.
fn ok(head: &str, headers: &str) -> String {
    let path = head.split(' ').nth(1).unwrap_or_default();
    let media_type = match path.rsplit('.').next() {
        Some("txt" | "/no-extension") => "text/plain",
        Some("png") => "image/png",
        _ => "text/html",
    };
    let validators = format!("ETag: \"5{path}\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    response(head, "200 OK", &format!("{validators}{headers}"), media_type)
}

/// A response with this error status or redirect, and an Allow header.
fn rejected(head: &str, status: &str) -> String {
    response(head, status, "Allow: GET, HEAD\r\n", "text/plain")
}

/// A well-formed response with this status, these headers and this media type.
fn response(head: &str, status: &str, headers: &str, media_type: &str) -> String {
    let body = if head.starts_with("HEAD ") { "" } else { HELLO };
    format!(
        "HTTP/1.1 {status}\r\nServer: right/1\r\n{DATE}{headers}Content-Type: {media_type}\r\nContent-Length: 14\r\n\r\n{body}"
    )
}

/// The right response to the head; if the head contains `when`, with `to` instead of `from` in the response.
fn edit(head: &str, when: &str, from: &str, to: &str) -> String {
    if head.contains(when) { right(head).replace(from, to) } else { right(head) }
}

/// The right response to the head, but with this entity tag.
fn retag(head: &str, tag: &str) -> String {
    let path = head.split(' ').nth(1).unwrap_or_default();
    right(head).replace(&format!("\"5{path}\""), &format!("\"{tag}\""))
}

/// A response 200 with the head as its body.
fn trace(head: &str) -> String {
    let headers = format!("{DATE}Content-Type: message/http\r\nContent-Length: {}\r\n", head.len());
    format!("HTTP/1.1 200 OK\r\n{headers}\r\n{head}")
}

/// The right response to the head, but with this media type.
fn retype(head: &str, media_type: &str) -> String {
    ["text/html", "text/plain", "image/png"].iter().fold(right(head), |response, old| {
        response.replace(&format!("Content-Type: {old}"), &format!("Content-Type: {media_type}"))
    })
}

/// Returns another number at each call, to make each response differ.
fn count() -> String {
    /// The number that the next call returns.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed).to_string()
}
