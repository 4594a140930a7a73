//! Servers that find the end of a request wrongly, each in a different way, and serve the request that they find there.
//!
//! They prove that the requests hidden by `smuggling` can be found: every case there fails against one of these
//! servers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use http_test_suite::cases;
use http_test_suite::fixtures::SMUGGLED;
use http_test_suite::report::Outcome;

use super::server::{DATE, TIMEOUT, VALIDATORS, listen, run_cases, search};

/// A server that finds the end of a request wrongly. Each function gets unread text, and returns `None` if it is
/// incomplete.
#[derive(Clone, Copy)]
struct WrongParser {
    /// What the server does wrongly.
    name: &'static str,
    /// Finds the length of the head.
    head: fn(&str) -> Option<usize>,
    /// Finds the length of the body in the head; `None` stands for a chunked body.
    length: fn(&str) -> Option<usize>,
    /// Finds the length of a line between chunks, its line end included.
    chunk_line: fn(&str) -> Option<usize>,
    /// Finds the length of what separates a chunk's data from the next size.
    after_data: fn(&str) -> Option<usize>,
    /// Whether the server reads trailers after the line of the last chunk.
    trailers: bool,
}

/// The server of which the others are variants. Its only fault is to use the first Content-Length, and to decode chunks
/// only without it.
const PLAIN: WrongParser = WrongParser {
    name: "goes by Content-Length, then by Transfer-Encoding",
    head: |text| through(text, "\r\n\r\n"),
    length: |head| match number(head.split("\r\n").find(|line| line.starts_with("Content-Length:"))) {
        None if head.contains("Transfer-Encoding: chunked") => None,
        length => Some(length.unwrap_or(0)),
    },
    chunk_line: |text| through(text, "\r\n"),
    after_data: |_| Some(2),
    trailers: true,
};

/// The servers that serve a smuggled request; each must serve the request of at least one case.
const PARSERS: [WrongParser; 10] = [
    PLAIN,
    WrongParser { name: "forgets that there is a body", length: |_| Some(0), ..PLAIN },
    WrongParser {
        name: "goes by the last line that is somehow a length",
        length: |head| Some(number(lines_named(head, "contentlength").last()).unwrap_or(0)),
        ..PLAIN
    },
    WrongParser {
        name: "decodes whatever somehow mentions chunked",
        length: |head| match lines_named(head, "transferencoding").next() {
            Some(_) if head.contains("chunked") => None,
            _ => Some(0),
        },
        ..PLAIN
    },
    WrongParser {
        name: "reads a length as C does: octal after a zero",
        length: |head| {
            let digits = head.split("\r\n").find_map(|line| line.strip_prefix("Content-Length: 0"));
            Some(digits.and_then(|digits| usize::from_str_radix(digits, 8).ok()).unwrap_or(0))
        },
        ..PLAIN
    },
    WrongParser { name: "ends chunks with the line of the last", trailers: false, ..PLAIN },
    WrongParser { name: "ends chunk lines with a bare LF", chunk_line: |text| through(text, "\n"), ..PLAIN },
    WrongParser {
        name: "reads to a line end after the data of a chunk",
        after_data: |text| through(text, "\n"),
        ..PLAIN
    },
    WrongParser {
        name: "ends the head with a line of nothing visible",
        head: |text| {
            let mut read = 0;
            text.split_inclusive(['\r', '\n']).find_map(|line| {
                read += line.len();
                let blank = line.bytes().all(|byte| !byte.is_ascii_graphic());
                // The LF of a CRLF is a piece of its own here, not a line.
                let ends =
                    if text[..read].ends_with("\r\n") { text[..read].ends_with("\r\n\r\n") } else { blank };
                ends.then_some(read)
            })
        },
        ..PLAIN
    },
    WrongParser {
        name: "looks for a request line in the middle of one",
        head: |text| match text[1.min(text.len())..].find("GET ") {
            Some(at) if !text[..at].contains("\r\n\r\n") => Some(at + 1),
            _ => through(text, "\r\n\r\n"),
        },
        ..PLAIN
    },
];

#[test]
fn every_smuggled_request_is_served_by_a_wrong_parser() {
    let section = cases::all().iter().find(|section| section.prefix == "smuggling").unwrap();
    let smuggling = section.cases.iter().filter(|case| !case.requirement.ends_with("frames nothing"));
    let ids = smuggling.map(|case| case.id.clone()).collect();
    let served = search(&PARSERS, ids, TIMEOUT, WrongParser::serves);
    for (parser, served) in PARSERS.iter().zip(served) {
        assert!(!served.is_empty(), "no case smuggles a request past a server that {}", parser.name);
    }
}

/// Serves every request that the parser finds on a connection.
fn serve(mut stream: TcpStream, parser: WrongParser) {
    let (mut unread, mut buffer) = (String::new(), [0; 64 * 1024]);
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        // One character for each byte, so that lengths are right; the values of bytes beyond ASCII do not matter.
        let character = |&byte: &u8| if byte.is_ascii() { char::from(byte) } else { '?' };
        unread.extend(buffer[..count].iter().map(character));
        while let Some((response, read)) = parser.request(&unread) {
            unread.drain(..read);
            if stream.write_all(response.as_bytes()).is_err() {
                return;
            }
        }
    }
    thread::sleep(TIMEOUT * 2);
}

impl WrongParser {
    /// Runs the cases with these ids against this server. Returns the ids of those whose smuggled request it serves.
    fn serves(self, ids: &[String], timeout: Duration) -> Vec<String> {
        let server = listen(move |stream| serve(stream, self));
        let report = run_cases(server, ids, timeout, 16);
        let is_served = |outcome: &&Outcome| outcome.received.join("").contains(SMUGGLED.trim_end());
        report.failures().filter(is_served).map(|outcome| outcome.id.clone()).collect()
    }

    /// The response to the request at the start of `text`, and the length of the request; `None` if it is incomplete.
    fn request(&self, text: &str) -> Option<(String, usize)> {
        let end = (self.head)(text)?;
        let (head, rest) = text.split_at(end);
        let content = (self.length)(head).or_else(|| self.chunks(rest))?;
        rest.get(..content)?;
        let found =
            if head.trim_start().starts_with("GET /smuggled.txt HTTP/1.1\r\n") { SMUGGLED } else { "hello" };
        let body = if head.starts_with("HEAD ") { "" } else { found };
        let headers = format!("{DATE}{VALIDATORS}Content-Length: {}\r\n", found.len());
        Some((format!("HTTP/1.1 200 OK\r\n{headers}\r\n{body}"), end + content))
    }

    /// The length of the chunked body at the start of `text`; `None` if it is incomplete.
    fn chunks(&self, text: &str) -> Option<usize> {
        let mut read = 0;
        loop {
            let line = (self.chunk_line)(&text[read..])?;
            // Like `strtol`: stop at the first character that is not a digit; no digits mean zero.
            let digits = text[read..].split(|c: char| !c.is_ascii_hexdigit()).next().unwrap_or_default();
            read += line;
            match usize::from_str_radix(digits, 16).unwrap_or(0) {
                0 if !self.trailers => return Some(read),
                0 => break,
                size => read += size + (self.after_data)(text.get(read + size..)?)?,
            }
        }
        loop {
            let line = (self.chunk_line)(text.get(read..)?)?;
            read += line;
            if text[read - line..read].trim().is_empty() {
                return Some(read);
            }
        }
    }
}

/// The offset after the first `end` in `text`.
fn through(text: &str, end: &str) -> Option<usize> {
    text.find(end).map(|at| at + end.len())
}

/// The lines, with any line ending, whose name has the letters of `name`, ignoring all other characters.
fn lines_named<'a>(head: &'a str, name: &'static str) -> impl Iterator<Item = &'a str> {
    let joined = |line: &str| -> String { line.chars().filter(char::is_ascii_alphabetic).collect() };
    head.split(['\r', '\n']).filter(move |line| {
        let before = line.split(':').next().unwrap_or_default();
        joined(before).eq_ignore_ascii_case(name)
    })
}

/// The number after the colon of a header line.
fn number(line: Option<&str>) -> Option<usize> {
    line?.split(':').nth(1)?.trim().parse().ok()
}
