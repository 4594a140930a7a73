//! Servers that apply conditions and ranges where they must be ignored.

use http_test_suite::fixtures::DIGITS;

use super::{DATE, Then, VALIDATORS, Wrong, response};

pub const CIVIL: &[Wrong] = &[
    Wrong {
        name: "412 to every condition",
        answer: |head| response(if head.contains("If-") { "412 No" } else { "404 No" }, "", head),
        then: Then::GoOn,
    },
    Wrong {
        name: "416 to every range",
        answer: |head| response(if head.contains("Range: ") { "416 No" } else { "404 No" }, "", head),
        then: Then::GoOn,
    },
    Wrong { name: "parts that say too much", answer: part, then: Then::GoOn },
];

/// The part that most cases ask for, wrongly with the Content-Type of the whole file.
fn part(_: &str) -> String {
    let headers = "Content-Type: text/plain\r\nContent-Range: bytes 2-5/10\r\nContent-Length: 4\r\n";
    format!("HTTP/1.1 206 Part\r\n{DATE}{VALIDATORS}{headers}\r\n{}", &DIGITS[2..=5])
}
