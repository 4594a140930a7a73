//! Preconditions over the wire: 304 without content, 412, and which field outranks which (RFC 9110 §13.2.2).

use crate::{files, server::TestServer};

/// RFC 9110 §5.6.7: the format that is sent, and the two that are understood as well. All are the time of
/// `page.html`'s last modification.
const DATES: [&str; 3] =
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"];

const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

/// Asks for `page.html` under these preconditions; `TAG` in them stands for its entity tag.
fn check(server: &TestServer, fields: &[&str], status: u16) {
    let plain = files::check(server, "/page.html", "", 200);
    let tag = plain.field("ETag").expect("an entity tag");
    let lines: String = fields.iter().map(|field| field.replace("TAG", tag) + "\r\n").collect();
    let reply = files::check(server, "/page.html", &lines, status);
    // RFC 9110 §15.4.5: what a cache needs to know is in a 304 as it would be in the 200.
    for name in ["ETag", "Last-Modified", "Accept-Ranges"] {
        assert_eq!(reply.field(name), plain.field(name), "{fields:?}");
    }
    match status {
        200 => assert_eq!(reply.content, plain.content, "{fields:?}"),
        304 => assert_eq!((reply.field("Content-Length"), reply.field("Content-Type")), (None, None)),
        _ => assert!(reply.text().contains("412"), "{fields:?}"),
    }
}

http_testing::both_engines! {
    fn if_none_match(server: &TestServer) {
        for held in ["TAG", "W/TAG", "\"a\", TAG", "\"a,b\",W/\"c\" , W/TAG", "*"] {
            check(server, &[&format!("If-None-Match: {held}")], 304);
        }
        for not_held in ["\"a\"", "W/\"a\"", "\"a\", \"b\"", "TAGx", "", "unquoted"] {
            check(server, &[&format!("If-None-Match: {not_held}")], 200);
        }
        check(server, &["If-None-Match: \"a\"", "if-none-match: TAG"], 304);
    }

    fn if_modified_since(server: &TestServer) {
        for date in DATES {
            check(server, &[&format!("If-Modified-Since: {date}")], 304);
        }
        check(server, &[&format!("If-Modified-Since: {LATER}")], 304);
        check(server, &[&format!("If-Modified-Since: {EARLIER}")], 200);
        for nonsense in ["", "yesterday", "784111777", "Mon, 06 Nov 1994 08:49:37 GMT"] {
            check(server, &[&format!("If-Modified-Since: {nonsense}")], 200);
        }
    }

    fn if_match(server: &TestServer) {
        for matching in ["TAG", "\"a\", TAG", "*"] {
            check(server, &[&format!("If-Match: {matching}")], 200);
        }
        // RFC 9110 §13.1.1: compared strongly.
        for other in ["\"a\"", "W/TAG", "\"a\", \"b\""] {
            check(server, &[&format!("If-Match: {other}")], 412);
        }
    }

    fn if_unmodified_since(server: &TestServer) {
        check(server, &[&format!("If-Unmodified-Since: {}", DATES[0])], 200);
        check(server, &[&format!("If-Unmodified-Since: {LATER}")], 200);
        check(server, &[&format!("If-Unmodified-Since: {EARLIER}")], 412);
        check(server, &["If-Unmodified-Since: never"], 200);
    }

    fn precedence(server: &TestServer) {
        let since = format!("If-Modified-Since: {}", DATES[0]);
        let unmodified_since = format!("If-Unmodified-Since: {EARLIER}");
        // An entity tag says more than a date.
        check(server, &[&since, "If-None-Match: \"a\""], 200);
        check(server, &[&format!("If-Modified-Since: {EARLIER}"), "If-None-Match: TAG"], 304);
        check(server, &[&unmodified_since, "If-Match: TAG"], 200);
        // What must hold comes before what may be spared.
        check(server, &["If-None-Match: TAG", "If-Match: \"a\""], 412);
        check(server, &["If-None-Match: TAG", &unmodified_since], 412);
        check(server, &["If-None-Match: TAG", "If-Match: TAG"], 304);
        // And all of them come before ranges.
        check(server, &["Range: bytes=0-0", "If-None-Match: TAG"], 304);
        check(server, &["Range: bytes=0-0", "If-Match: \"a\""], 412);
        check(server, &["Range: bytes=999999-", "If-None-Match: *"], 304);
    }

    /// RFC 9110 §13.2.1: preconditions are for what would succeed.
    fn what_is_not_there_has_no_preconditions(server: &TestServer) {
        for fields in ["If-None-Match: *\r\n", "If-Match: \"a\"\r\n", "Range: bytes=0-0\r\n"] {
            files::check(server, "/nowhere", fields, 404);
            files::check(server, "/dir", fields, 301);
        }
    }
}
