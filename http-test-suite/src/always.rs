//! Rules that every reply must obey, whatever the case tests: a table, each rule with its section of the RFC.
//!
//! The reader in [`reply`](crate::reply) has already checked syntax and framing. The table has MUSTs only.

use crate::exchange::Exchange;
use crate::fixtures;
use crate::reply::{Framing, Reply};
use crate::wire::End;

/// A description of what is wrong with a reply, and a test that is true for such a reply.
type Rule = (&'static str, fn(&Reply) -> bool);

/// Fields of replies that are no lists.
const SINGLE: [&str; 8] =
    ["Content-Range", "Content-Type", "Date", "ETag", "Last-Modified", "Location", "Retry-After", "Server"];

/// Fields of replies that are lists without quoted strings.
const LISTS: [&str; 6] =
    ["Accept-Ranges", "Allow", "Connection", "Content-Encoding", "Transfer-Encoding", "Vary"];

/// The rules, for interim and final replies alike.
const RULES: &[Rule] = &[
    ("a status code above 599 (RFC 9110 §15)", |r| r.status > 599),
    ("no Date (RFC 9110 §6.6.1)", |r| matches!(r.status, 200..=499) && r.field("Date").is_none()),
    ("a Date that is no IMF-fixdate (RFC 9110 §5.6.7)", |r| {
        r.values("Date").any(|date| !is_imf_fixdate(date))
    }),
    ("two fields of a name that is no list (RFC 9110 §5.3)", |r| {
        SINGLE.iter().any(|name| r.values(name).count() > 1)
    }),
    ("an empty member of a list (RFC 9110 §5.6.1.1)", |r| {
        LISTS.iter().flat_map(|name| r.values(name)).any(has_empty_member)
    }),
    ("a Last-Modified later than Date (RFC 9110 §8.8.2.1)", |r| {
        let of = |name| r.field(name).and_then(moment);
        of("Date").zip(of("Last-Modified")).is_some_and(|(date, modified)| modified > date)
    }),
    ("content in a 205 (RFC 9110 §15.3.6)", |r| r.status == 205 && !r.body.is_empty()),
    ("a Content-Length where no content can be (RFC 9110 §8.6)", |r| {
        matches!(r.status, 100..=199 | 204) && r.field("Content-Length").is_some()
    }),
    ("a Transfer-Encoding where no content can be (RFC 9112 §6.1)", |r| {
        matches!(r.status, 100..=199 | 204) && r.field("Transfer-Encoding").is_some()
    }),
    ("a Transfer-Encoding for an HTTP/1.0 client (RFC 9112 §6.1)", |r| {
        r.asked.http10 && r.field("Transfer-Encoding").is_some()
    }),
    ("an interim reply to an HTTP/1.0 client (RFC 9110 §15.2)", |r| r.asked.http10 && r.status < 200),
    ("101 without Upgrade (RFC 9110 §15.2.2)", |r| r.status == 101 && r.field("Upgrade").is_none()),
    ("a 206 that does not say which range it is (RFC 9110 §15.3.7)", |r| {
        let many = r.field("Content-Type").is_some_and(|value| value.starts_with("multipart/byteranges"));
        r.status == 206 && many == r.field("Content-Range").is_some()
    }),
    ("401 without WWW-Authenticate (RFC 9110 §15.5.2)", |r| {
        r.status == 401 && r.field("WWW-Authenticate").is_none()
    }),
    ("405 without Allow (RFC 9110 §15.5.6)", |r| r.status == 405 && r.field("Allow").is_none()),
    ("426 without Upgrade (RFC 9110 §15.5.22)", |r| r.status == 426 && r.field("Upgrade").is_none()),
    ("content delimited by the close, yet the connection is to go on (RFC 9112 §9.3)", |r| {
        r.framing == Framing::UntilClose && r.lists("Connection", "keep-alive")
    }),
];

/// The first rule that the exchange breaks, if any.
pub fn fault(exchange: &Exchange) -> Option<String> {
    let replies = || exchange.replies.iter().chain(&exchange.farewell);
    let broken = replies().flat_map(|reply| reply.interim.iter().chain([reply])).find_map(|reply| {
        let (what, _) = RULES.iter().find(|(_, breaks)| breaks(reply))?;
        Some(format!("{}: {what}", reply.describe()))
    });
    let surplus = || {
        let count = exchange.replies.len();
        (count > exchange.due).then(|| match exchange.due {
            0 => "a reply where none was due".to_owned(),
            due => format!("{count} replies where {due} were due"),
        })
    };
    broken.or_else(|| smuggled(exchange)).or_else(surplus).or_else(|| close_not_kept(exchange))
}

fn smuggled(exchange: &Exchange) -> Option<String> {
    let served =
        exchange.replies.iter().chain(&exchange.farewell).any(|r| r.body == fixtures::SMUGGLED.as_bytes());
    served.then(|| "the smuggled request was served".to_owned())
}

/// A list without any member is valid.
fn has_empty_member(list: &str) -> bool {
    !list.is_empty() && list.split(',').any(|member| member.trim().is_empty())
}

/// RFC 9112 §9.6: a server that sends `close` closes the connection, and sends no further reply.
fn close_not_kept(exchange: &Exchange) -> Option<String> {
    let says_close = |reply: &Reply| reply.lists("Connection", "close");
    let mut before_last = exchange.replies.iter().rev().skip(usize::from(exchange.farewell.is_none()));
    if before_last.any(says_close) {
        return Some("a reply behind one with Connection: close (RFC 9112 §9.6)".into());
    }
    let kept_open =
        exchange.end == End::Open && exchange.replies.last().is_some_and(says_close) && !exchange.left;
    kept_open.then(|| "Connection: close, yet the connection stays open (RFC 9112 §9.6)".into())
}

/// Whether `text` is a date such as `Sun, 06 Nov 1994 08:49:37 GMT`, with the right day of the week.
pub fn is_imf_fixdate(text: &str) -> bool {
    moment(text).is_some()
}

/// The time that an IMF-fixdate names, in seconds since the beginning of 1970; `None` if `text` is no valid date.
pub fn moment(text: &str) -> Option<i64> {
    /// Days from 1 January of year 1 to 1 January 1970.
    const DAYS_BEFORE_1970: i64 = 719_162;
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let shape = |pattern: &str| {
        text.len() == pattern.len()
            && text.bytes().zip(pattern.bytes()).all(|(byte, like)| match like {
                b'0' => byte.is_ascii_digit(),
                b'a' => byte.is_ascii_alphabetic(),
                _ => byte == like,
            })
    };
    if !shape("aaa, 00 aaa 0000 00:00:00 aaa") || !text.ends_with("GMT") {
        return None;
    }
    let number = |range| text.get(range).and_then(|digits: &str| digits.parse::<usize>().ok());
    let (day, year) = (number(5..7)?, number(12..16)?);
    let month = MONTHS.iter().position(|name| *name == &text[8..11])?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = [31, 28 + usize::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let (hour, minute, second) = (number(17..19)?, number(20..22)?, number(23..25)?);
    let in_range = (1..=days[month]).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    // Day 1 of year 1 was a Monday.
    let before = year.checked_sub(1)?;
    let since = before * 365 + before / 4 - before / 100 + before / 400 + days[..month].iter().sum::<usize>();
    if !in_range || DAYS[(since + day - 1) % 7] != &text[..3] {
        return None;
    }
    let midnight = (i64::try_from(since + day - 1).ok()? - DAYS_BEFORE_1970) * 86_400;
    Some(midnight + i64::try_from(hour * 3600 + minute * 60 + second).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::{Asked, read};

    fn check(reply: &str, asked: Asked, expected: Option<&str>) {
        let (reply, _) = read(reply.as_bytes(), asked, true).unwrap().unwrap();
        let exchange = Exchange { replies: vec![reply], due: 1, ..Exchange::default() };
        match (fault(&exchange), expected) {
            (None, None) => {}
            (Some(fault), Some(expected)) => assert!(fault.contains(expected), "{fault}, not {expected}"),
            (actual, expected) => panic!("{actual:?}, not {expected:?}"),
        }
    }

    #[test]
    fn reports_broken_rules() {
        let with =
            |status: &str, fields: &str| format!("HTTP/1.1 {status} \r\n{fields}Content-Length: 0\r\n\r\n");
        let dated = |status: &str, fields: &str| {
            with(status, &format!("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n{fields}"))
        };
        let get = Asked::default();
        check(&dated("200", ""), get, None);
        check(&with("200", ""), get, Some("no Date"));
        check(&with("500", ""), get, None);
        check(&with("200", "Date: Mon, 06 Nov 1994 08:49:37 GMT\r\n"), get, Some("no IMF-fixdate"));
        check(&dated("200", "ETag: \"a\"\r\netag: \"a\"\r\n"), get, Some("two fields"));
        check(&dated("200", "Vary: A, ,B\r\n"), get, Some("empty member"));
        check(&dated("200", "Vary:\r\n"), get, None);
        check(
            &dated("200", "Last-Modified: Sun, 06 Nov 1994 08:49:38 GMT\r\n"),
            get,
            Some("later than Date"),
        );
        check(&dated("205", "").replace("0\r\n\r\n", "1\r\n\r\nx"), get, Some("content in a 205"));
        check(&dated("204", ""), get, Some("no content can be"));
        check(&dated("405", ""), get, Some("without Allow"));
        check(&dated("405", "Allow: GET\r\n"), get, None);
        check(&dated("206", ""), get, Some("which range"));
        check(&dated("206", "Content-Range: bytes 0-0/1\r\n"), get, None);
        let chunked = "HTTP/1.1 500 \r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        check(chunked, get, None);
        check(chunked, Asked { head: false, http10: true }, Some("HTTP/1.0 client"));
        check(&dated("200", "Connection: close\r\n"), get, Some("stays open"));
    }

    #[test]
    fn converts_dates_to_seconds() {
        assert_eq!(moment("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(moment("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(moment("Thu, 29 Feb 2024 23:59:59 GMT"), Some(1_709_251_199));
    }

    #[test]
    fn accepts_only_valid_fixdates() {
        for good in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Thu, 29 Feb 2024 23:59:60 GMT",
            "Thu, 01 Jan 1970 00:00:00 GMT",
        ] {
            assert!(is_imf_fixdate(good), "{good}");
        }
        for bad in [
            "",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Thu, 29 Feb 2023 00:00:00 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 00 Nov 1994 08:49:37 GMT",
        ] {
            assert!(!is_imf_fixdate(bad), "{bad}");
        }
    }
}
