//! Rules that every response must obey, whatever the case tests: a table, each rule with its section of the RFC.
//!
//! The [`reader`](crate::reader) has already checked syntax and framing. The table has MUSTs only.

use crate::connection::ConnectionEnd;
use crate::exchange::Exchange;
use crate::fixtures;
use crate::reader::BodyFraming;
use crate::response::Response;

/// A rule: a description of what is wrong with a response, and a test that is true for such a response.
type Rule = (&'static str, fn(&Response) -> bool);

/// Response headers that must not stand twice, because their values are no lists.
const SINGLE: [&str; 8] =
    ["Content-Range", "Content-Type", "Date", "ETag", "Last-Modified", "Location", "Retry-After", "Server"];

/// Response headers whose values are lists without quoted strings.
const LISTS: [&str; 6] =
    ["Accept-Ranges", "Allow", "Connection", "Content-Encoding", "Transfer-Encoding", "Vary"];

/// The rules for every single response, interim or final.
const RULES: &[Rule] = &[
    ("a status code above 599 (RFC 9110 §15)", |r| r.status > 599),
    ("no Date (RFC 9110 §6.6.1)", |r| matches!(r.status, 200..=499) && lacks(r, "Date")),
    ("a Date that is no IMF-fixdate (RFC 9110 §5.6.7)", |r| {
        r.values("Date").any(|date| parse_date(date).is_none())
    }),
    ("two headers of a name that is no list (RFC 9110 §5.3)", |r| {
        SINGLE.iter().any(|name| r.values(name).count() > 1)
    }),
    ("an empty member of a list (RFC 9110 §5.6.1.1)", |r| {
        LISTS.iter().flat_map(|name| r.values(name)).any(has_empty_member)
    }),
    ("a Last-Modified later than Date (RFC 9110 §8.8.2.1)", |r| {
        let date = |name| r.header(name).and_then(parse_date);
        date("Date").zip(date("Last-Modified")).is_some_and(|(date, modified)| modified > date)
    }),
    ("a body in a 205 (RFC 9110 §15.3.6)", |r| r.status == 205 && !r.body.is_empty()),
    ("a Content-Length where no body can be (RFC 9110 §8.6)", |r| {
        matches!(r.status, 100..=199 | 204) && !lacks(r, "Content-Length")
    }),
    ("a Transfer-Encoding where no body can be (RFC 9112 §6.1)", |r| {
        matches!(r.status, 100..=199 | 204) && !lacks(r, "Transfer-Encoding")
    }),
    ("a Transfer-Encoding for an HTTP/1.0 client (RFC 9112 §6.1)", |r| {
        r.request.http10 && !lacks(r, "Transfer-Encoding")
    }),
    ("an interim response to an HTTP/1.0 client (RFC 9110 §15.2)", |r| r.request.http10 && r.status < 200),
    ("101 without Upgrade (RFC 9110 §15.2.2)", |r| r.status == 101 && lacks(r, "Upgrade")),
    ("an Upgrade that Connection does not list (RFC 9110 §7.8)", |r| {
        !lacks(r, "Upgrade") && !r.lists("Connection", "upgrade")
    }),
    ("a 206 that does not say which range it is (RFC 9110 §15.3.7)", |r| {
        let parts = r.header("Content-Type").is_some_and(|value| value.starts_with("multipart/byteranges"));
        r.status == 206 && parts != lacks(r, "Content-Range")
    }),
    ("401 without WWW-Authenticate (RFC 9110 §15.5.2)", |r| r.status == 401 && lacks(r, "WWW-Authenticate")),
    ("405 without Allow (RFC 9110 §15.5.6)", |r| r.status == 405 && lacks(r, "Allow")),
    ("426 without Upgrade (RFC 9110 §15.5.22)", |r| r.status == 426 && lacks(r, "Upgrade")),
    ("a body until close, yet the connection is to persist (RFC 9112 §9.3)", |r| {
        r.framing == BodyFraming::UntilClose && r.lists("Connection", "keep-alive")
    }),
];

/// Describes the first rule that the exchange breaks; `None` if it breaks none.
pub fn violation(exchange: &Exchange) -> Option<String> {
    let broken = exchange.all_responses().find_map(|response| {
        let (what, _) = RULES.iter().find(|(_, breaks)| breaks(response))?;
        Some(format!("{}: {what}", response.describe()))
    });
    broken.or_else(|| smuggled(exchange)).or_else(|| surplus(exchange)).or_else(|| close_not_kept(exchange))
}

/// Returns `Ok` if the condition `holds`, and else the error that `error` makes.
pub(crate) fn ensure(holds: bool, error: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(error()) }
}

/// Whether the response has no header of this name.
fn lacks(response: &Response, name: &str) -> bool {
    response.header(name).is_none()
}

/// Whether a comma-separated list has an empty member. A list without any member is valid.
fn has_empty_member(list: &str) -> bool {
    !list.is_empty() && list.split(',').any(|member| member.trim().is_empty())
}

/// Says that the smuggled request was served, if a response has its body.
fn smuggled(exchange: &Exchange) -> Option<String> {
    let served = exchange.all_responses().any(|r| r.body == fixtures::SMUGGLED.as_bytes());
    served.then(|| "the smuggled request was served".to_owned())
}

/// Describes the surplus, if more final responses came than the case expects.
fn surplus(exchange: &Exchange) -> Option<String> {
    match (exchange.responses.len(), exchange.expected_responses) {
        (count, expected) if count <= expected => None,
        (_, 0) => Some("a response where none was expected".to_owned()),
        (count, expected) => Some(format!("{count} responses where {expected} were expected")),
    }
}

/// Describes how a server broke its own `Connection: close`, if it did: it must close the connection, and send no
/// further response (RFC 9112 §9.6).
fn close_not_kept(exchange: &Exchange) -> Option<String> {
    let says_close = |response: &Response| response.lists("Connection", "close");
    let last = usize::from(exchange.closing_response.is_none());
    if exchange.responses.iter().rev().skip(last).any(says_close) {
        return Some("a response after one with Connection: close (RFC 9112 §9.6)".into());
    }
    let is_open = exchange.end == ConnectionEnd::Open && !exchange.client_closed;
    let kept_open = is_open && exchange.responses.last().is_some_and(says_close);
    kept_open.then(|| "Connection: close, yet the connection stays open (RFC 9112 §9.6)".into())
}

/// Parses an IMF-fixdate such as `Sun, 06 Nov 1994 08:49:37 GMT` into seconds since the start of 1970. Returns `None`
/// if it is not valid or names the wrong day of the week.
pub fn parse_date(text: &str) -> Option<i64> {
    /// The number of days from 1 January of year 1 to 1 January 1970.
    const DAYS_BEFORE_1970: i64 = 719_162;
    /// The names of the days of a week.
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    /// The names of the months of a year.
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let parts: Vec<&str> = text.split([' ', ':']).collect();
    let [weekday, day, month, year, hour, minute, second, "GMT"] = parts[..] else { return None };
    let number = |digits: &str| digits.parse::<usize>().ok();
    let (day, year) = (number(day)?, number(year)?);
    let (hour, minute, second) = (number(hour)?, number(minute)?, number(second)?);
    if text != format!("{weekday} {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT") {
        return None;
    }
    let month = MONTHS.iter().position(|name| *name == month)?;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = [31, 28 + usize::from(is_leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let in_range = (1..=days[month]).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    let before = year.checked_sub(1)?;
    let since = before * 365 + before / 4 - before / 100 + before / 400 + days[..month].iter().sum::<usize>();
    // Day 1 of year 1 was a Monday.
    if !in_range || weekday != format!("{},", DAYS[(since + day - 1) % 7]) {
        return None;
    }
    let midnight = (i64::try_from(since + day - 1).ok()? - DAYS_BEFORE_1970) * 86_400;
    Some(midnight + i64::try_from(hour * 3600 + minute * 60 + second).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::RequestKind;

    const DATED: &str = "200 \r\nDate: Sun, 06 Nov 1994 08:49:37 GMT";
    const HTTP10: RequestKind = RequestKind { head: false, http10: true };

    /// Checks a response with this status and these headers, and the body that its status tests. Expects a violation
    /// with this text, or none if the text is empty.
    fn check(head: &str, request: RequestKind, expected: &str) {
        let framing = match head {
            _ if head.contains("Transfer-Encoding") => "\r\n0\r\n\r\n",
            _ if head.starts_with("205") => "Content-Length: 1\r\n\r\nx",
            _ => "Content-Length: 0\r\n\r\n",
        };
        let input = format!("HTTP/1.1 {head}\r\n{framing}");
        let response = Response::read(input.as_bytes(), request, true).unwrap().unwrap();
        let exchange = Exchange { responses: vec![response], expected_responses: 1, ..Exchange::default() };
        let actual = violation(&exchange).unwrap_or_default();
        assert!(
            actual.contains(expected) && actual.is_empty() == expected.is_empty(),
            "{actual:?} for {head}"
        );
    }

    #[test]
    fn finds_broken_rules() {
        let dated = |status: &str, headers: &str| DATED.replace("200", status) + headers;
        for (head, expected) in [
            (dated("200", ""), ""),
            ("200 ".into(), "no Date"),
            ("500 ".into(), ""),
            ("200 \r\nDate: Mon, 06 Nov 1994 08:49:37 GMT".into(), "no IMF-fixdate"),
            (dated("200", "\r\nETag: \"a\"\r\netag: \"a\""), "two headers"),
            (dated("200", "\r\nVary: A, ,B"), "empty member"),
            (dated("200", "\r\nVary:"), ""),
            (dated("200", "\r\nLast-Modified: Sun, 06 Nov 1994 08:49:38 GMT"), "later than Date"),
            (dated("205", ""), "a body in a 205"),
            (dated("204", ""), "no body can be"),
            (dated("426", ""), "without Upgrade"),
            (dated("426", "\r\nUpgrade: a"), "does not list"),
            (dated("426", "\r\nUpgrade: a\r\nConnection: keep-alive, Upgrade"), ""),
            (dated("405", ""), "without Allow"),
            (dated("405", "\r\nAllow: GET"), ""),
            (dated("206", ""), "which range"),
            (dated("206", "\r\nContent-Range: bytes 0-0/1"), ""),
            (dated("200", "\r\nConnection: close"), "stays open"),
            ("500 \r\nTransfer-Encoding: chunked".into(), ""),
        ] {
            check(&head, RequestKind::GET, expected);
        }
        check("500 \r\nTransfer-Encoding: chunked", HTTP10, "HTTP/1.0 client");
    }

    #[test]
    fn parses_valid_dates_only() {
        for (text, expected) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Thu, 29 Feb 2024 23:59:60 GMT", Some(1_709_251_200)),
            ("", None),
            ("Mon, 06 Nov 1994 08:49:37 GMT", None),
            ("Sun, 6 Nov 1994 08:49:37 GMT", None),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("Sun Nov  6 08:49:37 1994", None),
            ("Sun, 06 Nov 1994 24:49:37 GMT", None),
            ("Thu, 29 Feb 2023 00:00:00 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37 UTC", None),
            ("Sun, 00 Nov 1994 08:49:37 GMT", None),
        ] {
            assert_eq!(parse_date(text), expected, "{text}");
        }
    }
}
