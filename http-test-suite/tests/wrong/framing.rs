//! Servers that are careless about where a request ends, each in a way of its own, and that serve what they find.
//!
//! They prove that what `smuggling` hides can be found: no case there is passed by everybody.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use http_test_suite::fixtures::SMUGGLED;
use http_test_suite::{Options, Target, cases, run};

use super::{DATE, TIMEOUT, VALIDATORS, listen};

/// How to read requests. Each function gets what is unread, and tells how much of it is read.
#[derive(Clone, Copy)]
struct Careless {
    name: &'static str,
    head: fn(&str) -> Option<usize>,
    framing: fn(&str) -> Framing,
    chunk_line: fn(&str) -> Option<usize>,
    behind_data: fn(&str) -> Option<usize>,
}

enum Framing {
    Length(usize),
    Chunked,
}

/// Careless in nothing but that it goes by the first length and decodes chunks only without one.
const PLAIN: Careless = Careless {
    name: "goes by Content-Length, then by Transfer-Encoding",
    head: |text| through(text, "\r\n\r\n"),
    framing: |head| match length(head.split("\r\n").find(|line| line.starts_with("Content-Length:"))) {
        Some(length) => Framing::Length(length),
        None if head.contains("Transfer-Encoding: chunked") => Framing::Chunked,
        None => Framing::Length(0),
    },
    chunk_line: |text| through(text, "\r\n"),
    behind_data: |_| Some(2),
};

const CARELESS: &[Careless] = &[
    PLAIN,
    Careless { name: "forgets that there is content", framing: |_| Framing::Length(0), ..PLAIN },
    Careless {
        name: "goes by the last line that is somehow a length",
        framing: |head| Framing::Length(length(lines_named(head, "contentlength").last()).unwrap_or(0)),
        ..PLAIN
    },
    Careless {
        name: "decodes whatever somehow mentions chunked",
        framing: |head| {
            let mentioned =
                lines_named(head, "transferencoding").next().is_some() && head.contains("chunked");
            if mentioned { Framing::Chunked } else { Framing::Length(0) }
        },
        ..PLAIN
    },
    Careless { name: "ends chunk lines with a bare LF", chunk_line: |text| through(text, "\n"), ..PLAIN },
    Careless {
        name: "takes a line for what is behind data",
        behind_data: |text| through(text, "\n"),
        ..PLAIN
    },
    Careless {
        name: "ends the head with a line of nothing visible",
        head: |text| {
            let mut read = 0;
            text.split_inclusive(['\r', '\n']).find_map(|line| {
                read += line.len();
                let blank = line.bytes().all(|byte| !byte.is_ascii_graphic());
                // The LF of a CRLF is a piece of its own here, and no line.
                let ends =
                    if text[..read].ends_with("\r\n") { text[..read].ends_with("\r\n\r\n") } else { blank };
                ends.then_some(read)
            })
        },
        ..PLAIN
    },
    Careless {
        name: "looks for a request line in the middle of one",
        head: |text| match text[1.min(text.len())..].find("GET ") {
            Some(at) if !text[..at].contains("\r\n\r\n") => Some(at + 1),
            _ => through(text, "\r\n\r\n"),
        },
        ..PLAIN
    },
];

#[test]
fn every_smuggled_request_finds_somebody_to_serve_it() {
    let mut found = BTreeSet::new();
    for careless in CARELESS {
        let server = listen(move |stream| serve(stream, *careless));
        let quiet = Duration::from_millis(30);
        let only = vec!["smuggling".to_owned()];
        let options = Options { only, jobs: 64, timeout: TIMEOUT, quiet, probe: false };
        let report = run(&Target::new(server).unwrap(), &options).unwrap();
        let served =
            report.failures().filter(|outcome| outcome.received.join("").contains(SMUGGLED.trim_end()));
        let ids: Vec<_> = served.map(|outcome| outcome.id.clone()).collect();
        assert!(!ids.is_empty(), "nobody smuggles past one that {}", careless.name);
        found.extend(ids);
    }
    let section = cases::all().iter().find(|section| section.prefix == "smuggling").unwrap();
    let smuggling = section.cases.iter().filter(|case| !case.requirement.ends_with("frames nothing"));
    let missed: Vec<_> = smuggling.filter(|case| !found.contains(&case.id)).collect();
    assert!(missed.is_empty(), "nobody serves what is smuggled in {missed:#?}");
}

fn serve(mut stream: TcpStream, careless: Careless) {
    let (mut unread, mut buffer) = (String::new(), [0; 64 * 1024]);
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        // One character for each byte, so that lengths are right; which bytes beyond ASCII they were is no matter.
        unread
            .extend(buffer[..count].iter().map(|&byte| if byte.is_ascii() { char::from(byte) } else { '?' }));
        while let Some((answer, read)) = careless.request(&unread) {
            unread.drain(..read);
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
    thread::sleep(TIMEOUT * 2);
}

impl Careless {
    /// The answer to the request at the start of `text`, and how long that is; `None` if it is not all there.
    fn request(&self, text: &str) -> Option<(String, usize)> {
        let end = (self.head)(text)?;
        let (head, rest) = text.split_at(end);
        let content = match (self.framing)(head) {
            Framing::Length(length) => length,
            Framing::Chunked => self.chunks(rest)?,
        };
        rest.get(..content)?;
        let found =
            if head.trim_start().starts_with("GET /smuggled.txt HTTP/1.1\r\n") { SMUGGLED } else { "hello" };
        let body = if head.starts_with("HEAD ") { "" } else { found };
        let fields = format!("{DATE}{VALIDATORS}Content-Length: {}\r\n", found.len());
        Some((format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}"), end + content))
    }

    fn chunks(&self, text: &str) -> Option<usize> {
        let mut read = 0;
        loop {
            let line = (self.chunk_line)(&text[read..])?;
            // As `strtol` does it: up to the first strange character, and nothing at all is zero.
            let digits = text[read..].split(|c: char| !c.is_ascii_hexdigit()).next().unwrap_or_default();
            read += line;
            match usize::from_str_radix(digits, 16).unwrap_or(0) {
                0 => break,
                size => read += size + (self.behind_data)(text.get(read + size..)?)?,
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

/// How far it is to the end of the first `end`.
fn through(text: &str, end: &str) -> Option<usize> {
    text.find(end).map(|at| at + end.len())
}

/// Lines, however they end, whose name is this one to whoever looks at letters only.
fn lines_named<'a>(head: &'a str, name: &'static str) -> impl Iterator<Item = &'a str> {
    let joined = |line: &str| -> String { line.chars().filter(char::is_ascii_alphabetic).collect() };
    head.split(['\r', '\n']).filter(move |line| {
        let before = line.split(':').next().unwrap_or_default();
        joined(before).eq_ignore_ascii_case(name)
    })
}

/// The digits behind the colon.
fn length(line: Option<&str>) -> Option<usize> {
    line?.split(':').nth(1)?.trim().parse().ok()
}
