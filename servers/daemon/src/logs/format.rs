//! What a line of the access log looks like, in each format.
//!
//! A line is begun when its request is at hand, and finished when its answer has been sent and the request is
//! gone: a [`Draft`] lies between.

use super::{escape::Escape, timestamp::Stamp};
use http_engine::{Request, Sent, Status, Version};
use std::{io::Write, net::SocketAddr, time::Duration};

/// How the access log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// No access log
    #[default]
    Off,
    /// The common log format: peer, time, request line, status, bytes
    Common,
    /// The common log format, then Referer and User-Agent
    Combined,
    /// One JSON object a line, with the time taken as well
    Json,
}

// Room for what a peer chooses, in bytes once escaped. Together with everything else in a line it makes less than
// `LONGEST_LINE`, and nobody can make the log grow much faster than the requests are long.
const METHOD: usize = 32;
const TARGET: usize = 2000;
const REFERER: usize = 1000;
const AGENT: usize = 500;

/// Most lines fit into this without growing.
const TYPICAL: usize = 320;

/// How an answer went.
pub(crate) struct Outcome {
    pub(crate) status: Status,
    pub(crate) sent: Sent,
    /// From the request's last byte to the last that was sent of its answer.
    pub(crate) took: Duration,
}

/// A line with two gaps: one for the time, one for the outcome.
pub(crate) struct Draft {
    format: Format,
    text: Vec<u8>,
    time_at: usize,
    outcome_at: usize,
}

impl Draft {
    /// All that a line says of this request, which may not have been understood, and of where it comes from.
    pub(crate) fn begin(format: Format, peer: Option<SocketAddr>, request: Option<&Request<'_>>) -> Draft {
        let mut draft = Draft { format, text: Vec::with_capacity(TYPICAL), time_at: 0, outcome_at: 0 };
        match format {
            Format::Json => draft.json(peer, request),
            _ => draft.common(peer, request),
        }
        draft
    }

    /// Appends the whole line.
    pub(crate) fn finish(&self, line: &mut Vec<u8>, stamp: &Stamp, outcome: &Outcome) {
        let json = self.format == Format::Json;
        let (time, from) = (if json { stamp.rfc3339() } else { stamp.clf() }, line.len());
        line.extend_from_slice(&self.text[..self.time_at]);
        line.extend_from_slice(time.as_bytes());
        line.extend_from_slice(&self.text[self.time_at..self.outcome_at]);
        let (status, Sent { bytes, complete }) = (outcome.status.code(), outcome.sent);
        let _ = if json {
            let micros = outcome.took.as_micros();
            let (whole, thousandths) = (micros / 1000, micros % 1000);
            write!(line, r#""status":{status},"bytes":{bytes},"complete":{complete},"#)
                .and_then(|()| write!(line, r#""duration_ms":{whole}.{thousandths:03}"#))
        } else {
            write!(line, "{status} {bytes}")
        };
        line.extend_from_slice(&self.text[self.outcome_at..]);
        line.push(b'\n');
        debug_assert!(line.len() - from <= super::LONGEST_LINE, "a line too long");
    }

    /// `peer - - [time] "request line" status bytes`, and in quotes what else the combined format has.
    fn common(&mut self, peer: Option<SocketAddr>, request: Option<&Request<'_>>) {
        let text = &mut self.text;
        let _ = match peer {
            Some(peer) => write!(text, "{} - - [", peer.ip().to_canonical()),
            None => write!(text, "- - - ["),
        };
        self.time_at = text.len();
        text.extend_from_slice(b"] \"");
        if let Some(request) = request {
            Escape::Quoted.write(text, request.method_token().as_bytes(), METHOD);
            text.push(b' ');
            Escape::Quoted.write(text, request.target().as_bytes(), TARGET);
            text.push(b' ');
            text.extend_from_slice(version(request).as_bytes());
        } else {
            text.push(b'-');
        }
        text.extend_from_slice(b"\" ");
        self.outcome_at = text.len();
        if self.format == Format::Combined {
            for (name, room) in [("Referer", REFERER), ("User-Agent", AGENT)] {
                text.extend_from_slice(b" \"");
                Escape::Quoted.write(text, field(request, name).unwrap_or(b"-"), room);
                text.push(b'"');
            }
        }
    }

    /// An object whose members are always the same, in the same order; null is what nobody has said.
    fn json(&mut self, peer: Option<SocketAddr>, request: Option<&Request<'_>>) {
        let text = &mut self.text;
        text.extend_from_slice(b"{\"time\":\"");
        self.time_at = text.len();
        text.extend_from_slice(b"\",");
        let peer = peer.map(|peer| peer.ip().to_canonical().to_string());
        member(text, "peer", peer.as_ref().map(String::as_bytes), usize::MAX);
        member(text, "method", request.map(|request| request.method_token().as_bytes()), METHOD);
        member(text, "target", request.map(|request| request.target().as_bytes()), TARGET);
        member(text, "version", request.map(|request| version(request).as_bytes()), usize::MAX);
        self.outcome_at = text.len();
        text.push(b',');
        member(text, "referer", field(request, "Referer"), REFERER);
        member(text, "user_agent", field(request, "User-Agent"), AGENT);
        text.pop();
        text.push(b'}');
    }
}

/// One member and the comma behind it.
fn member(text: &mut Vec<u8>, name: &str, value: Option<&[u8]>, room: usize) {
    let _ = write!(text, "\"{name}\":");
    match value {
        Some(value) => {
            text.push(b'"');
            Escape::Json.write(text, value, room);
            text.extend_from_slice(b"\",");
        }
        None => text.extend_from_slice(b"null,"),
    }
}

fn field<'r>(request: Option<&Request<'r>>, name: &str) -> Option<&'r [u8]> {
    request.and_then(|request| request.field(name))
}

fn version(request: &Request<'_>) -> &'static str {
    match request.version() {
        Version::Http10 => "HTTP/1.0",
        Version::Http11 => "HTTP/1.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_engine::HeadIndex;
    use std::time::{Instant, SystemTime};

    const PEER: &str = "[::ffff:192.0.2.7]:4711";

    fn line(format: Format, peer: Option<&str>, head: Option<&[u8]>, complete: bool) -> String {
        let mut index = HeadIndex::default();
        let head = head.map(|head| [head, b"\r\n"].concat());
        let request = head.as_deref().map(|head| Request::parse(head, &mut index, Instant::now()));
        let request = request.map(|request| request.expect("a request"));
        let draft =
            Draft::begin(format, peer.map(|peer| peer.parse().expect("an address")), request.as_ref());
        let stamp = Stamp::at(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777));
        let (sent, took) = (Sent { bytes: 1234, complete }, Duration::from_nanos(12_034_567));
        let mut line = b"before\n".to_vec();
        draft.finish(&mut line, &stamp, &Outcome { status: Status::PARTIAL_CONTENT, sent, took });
        let line = String::from_utf8(line).expect("ASCII");
        line.strip_prefix("before\n").expect("what was there stays").to_owned()
    }

    fn check(format: Format, peer: Option<&str>, head: Option<&[u8]>, complete: bool, expected: &str) {
        assert_eq!(line(format, peer, head, complete), format!("{expected}\n"));
    }

    const HEAD: &[u8] = b"GET /a%20b?c=\"d\" HTTP/1.0\r\nUser-Agent: \"x\" \xe4\\n\r\nreferer: http://a/\r\n";

    #[test]
    fn a_line_of_each_format() {
        let common =
            r#"192.0.2.7 - - [06/Nov/1994:08:49:37 +0000] "GET /a%20b?c=\x22d\x22 HTTP/1.0" 206 1234"#;
        check(Format::Common, Some(PEER), Some(HEAD), true, common);
        let combined = format!(r#"{common} "http://a/" "\x22x\x22 \xE4\x5Cn""#);
        check(Format::Combined, Some(PEER), Some(HEAD), false, &combined);
        let json = concat!(
            r#"{"time":"1994-11-06T08:49:37Z","peer":"192.0.2.7","method":"GET","target":"/a%20b?c=\u0022d\u0022","#,
            r#""version":"HTTP/1.0","status":206,"bytes":1234,"complete":false,"duration_ms":12.034,"#,
            r#""referer":"http://a/","user_agent":"\u0022x\u0022 \u00E4\u005Cn"}"#
        );
        check(Format::Json, Some(PEER), Some(HEAD), false, json);
        let read: serde_json::Value = serde_json::from_str(json).expect("JSON");
        assert_eq!(read["user_agent"], "\"x\" \u{e4}\\n");
    }

    #[test]
    fn what_is_not_known_is_a_dash_or_null() {
        let dashes = r#"- - - [06/Nov/1994:08:49:37 +0000] "-" 206 1234"#;
        check(Format::Common, None, None, true, dashes);
        check(Format::Combined, None, None, true, &format!(r#"{dashes} "-" "-""#));
        let json = concat!(
            r#"{"time":"1994-11-06T08:49:37Z","peer":null,"method":null,"target":null,"version":null,"status":206,"#,
            r#""bytes":1234,"complete":true,"duration_ms":12.034,"referer":null,"user_agent":null}"#
        );
        check(Format::Json, None, None, true, json);
    }

    #[test]
    fn no_line_is_longer_than_a_pipe_takes_at_once() {
        let peer = Some("[2001:db8:1111:2222:3333:4444:5555:6666]:65535");
        let (method, long) = ("M".repeat(METHOD), "\u{e4}".repeat(2000));
        let target = "\"".repeat(5000);
        let head =
            format!("{method} /{target} HTTP/1.1\r\nHost: a\r\nReferer: {long}\r\nUser-Agent: {long}\r\n");
        for format in [Format::Common, Format::Combined, Format::Json] {
            let line = line(format, peer, Some(head.as_bytes()), false);
            assert!(line.len() > 2000 && line.len() < super::super::LONGEST_LINE - 100, "{}", line.len());
        }
    }
}
