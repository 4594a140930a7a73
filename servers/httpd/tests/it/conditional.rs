//! Preconditions: 304 without a body, 412, and their precedence (RFC 9110 §13).

use crate::{files, server::TestServer};

/// When `page.html` was last modified, in the format that servers send and in the two obsolete ones that they must
/// accept (RFC 9110 §5.6.7).
const DATES: [&str; 3] =
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"];

/// One second before `page.html` was last modified.
const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

/// One second after `page.html` was last modified.
const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

/// Requests `page.html` with these precondition headers, and checks the status, the validators and the body of the
/// response. `TAG` in a header stands for the entity tag of the file.
fn check(server: &TestServer, headers: &[&str], status: u16) {
    let plain = files::check(server, "/page.html", "", 200);
    let tag = plain.header("ETag").expect("an entity tag");
    let lines: String = headers.iter().map(|header| header.replace("TAG", tag) + "\r\n").collect();
    let reply = files::check(server, "/page.html", &lines, status);
    // RFC 9110 §15.4.5: a 304 has the same validators as the 200.
    for name in ["ETag", "Last-Modified", "Accept-Ranges"] {
        assert_eq!(reply.header(name), plain.header(name), "{headers:?}");
    }
    match status {
        200 => assert_eq!(reply.body, plain.body, "{headers:?}"),
        304 => assert_eq!((reply.header("Content-Length"), reply.header("Content-Type")), (None, None)),
        _ => assert!(reply.text().contains("412"), "{headers:?}"),
    }
}

http_testing::both_engines! {
    fn if_none_match_compares_weakly(server: &TestServer) {
        for matching in ["TAG", "W/TAG", "\"a\", TAG", "\"a,b\",W/\"c\" , W/TAG", "*"] {
            check(server, &[&format!("If-None-Match: {matching}")], 304);
        }
        for other in ["\"a\"", "W/\"a\"", "\"a\", \"b\"", "TAGx", "", "unquoted"] {
            check(server, &[&format!("If-None-Match: {other}")], 200);
        }
        check(server, &["If-None-Match: \"a\"", "if-none-match: TAG"], 304);
    }

    fn if_modified_since_accepts_three_date_formats(server: &TestServer) {
        for date in DATES {
            check(server, &[&format!("If-Modified-Since: {date}")], 304);
        }
        check(server, &[&format!("If-Modified-Since: {LATER}")], 304);
        check(server, &[&format!("If-Modified-Since: {EARLIER}")], 200);
        for invalid in ["", "yesterday", "784111777", "Mon, 06 Nov 1994 08:49:37 GMT"] {
            check(server, &[&format!("If-Modified-Since: {invalid}")], 200);
        }
    }

    fn if_match_compares_strongly(server: &TestServer) {
        for matching in ["TAG", "\"a\", TAG", "*"] {
            check(server, &[&format!("If-Match: {matching}")], 200);
        }
        for other in ["\"a\"", "W/TAG", "\"a\", \"b\""] {
            check(server, &[&format!("If-Match: {other}")], 412);
        }
    }

    fn if_unmodified_since_fails_after_a_modification(server: &TestServer) {
        check(server, &[&format!("If-Unmodified-Since: {}", DATES[0])], 200);
        check(server, &[&format!("If-Unmodified-Since: {LATER}")], 200);
        check(server, &[&format!("If-Unmodified-Since: {EARLIER}")], 412);
        check(server, &["If-Unmodified-Since: never"], 200);
    }

    fn preconditions_have_the_order_of_rfc_9110_13_2_2(server: &TestServer) {
        let since = format!("If-Modified-Since: {}", DATES[0]);
        let unmodified_since = format!("If-Unmodified-Since: {EARLIER}");
        // An entity tag takes precedence over a date.
        check(server, &[&since, "If-None-Match: \"a\""], 200);
        check(server, &[&format!("If-Modified-Since: {EARLIER}"), "If-None-Match: TAG"], 304);
        check(server, &[&unmodified_since, "If-Match: TAG"], 200);
        // If-Match and If-Unmodified-Since come before If-None-Match.
        check(server, &["If-None-Match: TAG", "If-Match: \"a\""], 412);
        check(server, &["If-None-Match: TAG", &unmodified_since], 412);
        check(server, &["If-None-Match: TAG", "If-Match: TAG"], 304);
        // All of them come before Range.
        check(server, &["Range: bytes=0-0", "If-None-Match: TAG"], 304);
        check(server, &["Range: bytes=0-0", "If-Match: \"a\""], 412);
        check(server, &["Range: bytes=999999-", "If-None-Match: *"], 304);
    }

    /// RFC 9110 §13.2.1.
    fn preconditions_are_ignored_unless_the_status_would_be_2xx(server: &TestServer) {
        for headers in ["If-None-Match: *\r\n", "If-Match: \"a\"\r\n", "Range: bytes=0-0\r\n"] {
            files::check(server, "/nowhere", headers, 404);
            files::check(server, "/dir", headers, 301);
        }
    }
}
