//! The access log: a line for each response, with its client, its request, and the number of bytes that were sent.
//!
//! A line is built in steps, because the request is gone when its response has been sent: [`RecordBuilder::new`] copies
//! what the line says about the request, and [`RecordBuilder::add_response`] and [`RecordBuilder::finish`] add the
//! response and the time.

use super::{
    escape::Escape,
    output::MAX_LINE_BYTES,
    pattern::{Pattern, PatternRecord},
    queue::Log,
    request_id::{self, HEADER},
    timestamp::Timestamp,
};
use http_engine::{Middleware, Next, Rejected, Reply, Request, Response, Sent, Status, Version};
use std::{
    io::Write,
    net::SocketAddr,
    time::{Duration, Instant},
};

// The maximum lengths of what a client chooses in a log line, in bytes after escaping. Longer text is truncated, and
// `...` is appended. So a line stays below `MAX_LINE_BYTES`, and no client can make the log grow much faster than it
// sends.
const MAX_METHOD: usize = 32;
const MAX_TARGET: usize = 2000;
const MAX_REFERER: usize = 850;
const MAX_USER_AGENT: usize = 500;
const MAX_HOST: usize = 100;

/// The initial capacity of an unfinished line in bytes: most lines fit without growing it.
pub(super) const TYPICAL_LINE_BYTES: usize = 320;

/// The client of a Unix socket in the log, as in nginx.
pub(super) const UNIX_CLIENT: &str = "unix:";

/// The format of the access log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// No access log
    #[default]
    #[value(alias = "false")]
    Off,
    /// Common Log Format: client, time, request line, status, bytes
    Common,
    /// Common Log Format, then Referer and User-Agent
    #[value(alias = "true")]
    Combined,
    /// One JSON object per line, including the duration
    Json,
}

/// Middleware that appends a line to the access log for each response: when the response is sent, or when its
/// connection ends before that.
///
/// Wrap it around all other middleware, so that a line shows the response that the client gets.
#[derive(Clone, Debug)]
pub struct AccessLog {
    pub(super) log: Log,
    format: Format,
    /// Replaces `format`.
    pattern: Option<Pattern>,
}

impl AccessLog {
    /// Creates the middleware that writes to `log` in this format. Returns `None` for [`Format::Off`].
    pub fn new(log: Log, format: Format) -> Option<AccessLog> {
        (format != Format::Off).then_some(AccessLog { log, format, pattern: None })
    }

    /// Creates the middleware that writes to `log` what this pattern says.
    pub fn with_pattern(log: Log, pattern: Pattern) -> AccessLog {
        AccessLog { log, format: Format::Off, pattern: Some(pattern) }
    }

    /// Copies what the log line says about the request. Returns a function to call with the response: it makes the
    /// response append the line when it is sent, or when the connection ends before that ([`Response::on_sent`]).
    fn record(
        &self,
        client_addr: Option<SocketAddr>,
        request: Logged<'_>,
    ) -> impl FnOnce(Response) -> Response + Send + use<> {
        let mut record = match &self.pattern {
            Some(pattern) => Record::Pattern(pattern.begin(client_addr, request)),
            None => Record::Format(RecordBuilder::new(self.format, client_addr, request)),
        };
        let received_at = request.valid().map_or_else(Instant::now, Request::received_at);
        let log = self.log.clone();
        move |response| {
            let status = response.status();
            match &mut record {
                Record::Format(record) => record.add_response(&response),
                Record::Pattern(record) => record.add_response(&response),
            }
            response.on_sent(move |sent| {
                let duration = received_at.elapsed();
                log.append(|out, timestamp| match &record {
                    Record::Format(record) => record.finish(out, timestamp, status, sent, duration),
                    Record::Pattern(record) => record.finish(out, timestamp, status, sent, duration),
                });
            })
        }
    }
}

impl Middleware for AccessLog {
    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        let reply = next.run(request);
        reply.map(self.record(request.client_addr(), Logged::Valid(request)))
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        let line = Logged::Line(rejected.request_line);
        self.record(rejected.client_addr, rejected.request.as_ref().map_or(line, Logged::Valid))(response)
    }
}

/// An unfinished line.
enum Record {
    Format(RecordBuilder),
    Pattern(PatternRecord),
}

/// What the server knows of a request.
#[derive(Clone, Copy)]
pub(super) enum Logged<'r> {
    /// The request, whose head is valid.
    Valid(&'r Request<'r>),
    /// Only what was received of the request line, without its line end. It can be incomplete or malformed; it is empty
    /// if nothing is known.
    Line(&'r [u8]),
}

impl<'r> Logged<'r> {
    /// The request, if its head is valid.
    pub(super) fn valid(self) -> Option<&'r Request<'r>> {
        match self {
            Logged::Valid(request) => Some(request),
            Logged::Line(_) => None,
        }
    }
}

/// An unfinished line of the access log. It lacks the time and what the line says about the response:
/// [`finish`](RecordBuilder::finish) inserts both.
struct RecordBuilder {
    format: Format,
    text: Vec<u8>,
    /// The offset in `text` at which the time is inserted.
    time_at: usize,
    /// The offset in `text` at which status, bytes sent and duration are inserted.
    response_at: usize,
}

impl RecordBuilder {
    /// Builds the part of a line that describes the client and the request. `client` is `None` if the engine does not
    /// know the client's address.
    fn new(format: Format, client: Option<SocketAddr>, request: Logged<'_>) -> Self {
        let text = Vec::with_capacity(TYPICAL_LINE_BYTES);
        let mut record = RecordBuilder { format, text, time_at: 0, response_at: 0 };
        match format {
            Format::Json => record.write_json(client, request),
            _ => record.write_common(client, request),
        }
        record
    }

    /// Copies what the line says about the headers of the response: the last member of a JSON object.
    fn add_response(&mut self, response: &Response) {
        if self.format == Format::Json {
            write_member(&mut self.text, "request_id", response.header(HEADER), request_id::MAX_LEN);
            self.text.pop();
            self.text.push(b'}');
        }
    }

    /// Appends the complete line, with its newline, to `out`. `time` is when the response was sent or its connection
    /// ended. `duration` begins when the request was received and ends at `time`. `sent` says how many bytes of the
    /// response's body were sent, and whether that is the whole body.
    fn finish(&self, out: &mut Vec<u8>, time: &Timestamp, status: Status, sent: Sent, duration: Duration) {
        let json = self.format == Format::Json;
        let (time, start) = (if json { &time.rfc3339 } else { &time.clf }, out.len());
        out.extend_from_slice(&self.text[..self.time_at]);
        out.extend_from_slice(time.as_bytes());
        out.extend_from_slice(&self.text[self.time_at..self.response_at]);
        let (status, Sent { bytes, complete }) = (status.code(), sent);
        let _ = if json {
            let micros = duration.as_micros();
            let (millis, thousandths) = (micros / 1000, micros % 1000);
            write!(out, r#""status":{status},"bytes":{bytes},"complete":{complete},"#)
                .and_then(|()| write!(out, r#""duration_ms":{millis}.{thousandths:03}"#))
        } else {
            write!(out, "{status} {bytes}")
        };
        out.extend_from_slice(&self.text[self.response_at..]);
        out.push(b'\n');
        debug_assert!(out.len() - start <= MAX_LINE_BYTES, "a log line is too long");
    }

    /// Builds a line in the Common Log Format, `client - - [time] "request line" status bytes`, but leaves out `time`
    /// and `status bytes`: [`finish`](RecordBuilder::finish) inserts them. For [`Format::Combined`], adds the headers
    /// `Referer` and `User-Agent` in quotes. The client of a Unix socket is `unix:`. `-` stands for an unknown value. A
    /// request line that is not valid appears as it was received.
    fn write_common(&mut self, client: Option<SocketAddr>, request: Logged<'_>) {
        let text = &mut self.text;
        let _ = match client {
            Some(client) => write!(text, "{} - - [", client.ip().to_canonical()),
            None => write!(text, "{UNIX_CLIENT} - - ["),
        };
        self.time_at = text.len();
        text.extend_from_slice(b"] \"");
        match request {
            Logged::Valid(request) => {
                Escape::Quoted.write(text, request.method_token().as_bytes(), MAX_METHOD);
                text.push(b' ');
                Escape::Quoted.write(text, request.target().as_bytes(), MAX_TARGET);
                text.push(b' ');
                text.extend_from_slice(version(request).as_bytes());
            }
            Logged::Line(b"") => text.push(b'-'),
            Logged::Line(line) => Escape::Quoted.write(text, line, MAX_TARGET),
        }
        let request = request.valid();
        text.extend_from_slice(b"\" ");
        self.response_at = text.len();
        if self.format == Format::Combined {
            for (name, max_bytes) in [("Referer", MAX_REFERER), ("User-Agent", MAX_USER_AGENT)] {
                text.extend_from_slice(b" \"");
                Escape::Quoted.write(text, header(request, name).unwrap_or(b"-"), max_bytes);
                text.push(b'"');
            }
        }
    }

    /// Builds a line that is a JSON object, but leaves out the value of `time` and the members about the response:
    /// [`add_response`](RecordBuilder::add_response) and [`finish`](RecordBuilder::finish) add them. All lines have the
    /// same members in the same order; `null` stands for an unknown value.
    fn write_json(&mut self, client: Option<SocketAddr>, request: Logged<'_>) {
        let text = &mut self.text;
        text.extend_from_slice(b"{\"time\":\"");
        self.time_at = text.len();
        text.extend_from_slice(b"\",");
        let client =
            client.map_or_else(|| UNIX_CLIENT.into(), |client| client.ip().to_canonical().to_string());
        // The log format is public: this member keeps its name.
        write_member(text, "peer", Some(client.as_bytes()), usize::MAX);
        let [method, target, version] = match request {
            Logged::Valid(request) => {
                [request.method_token(), request.target(), version(request)].map(|part| Some(part.as_bytes()))
            }
            Logged::Line(line) => {
                // RFC 9112 §3: single spaces separate the parts.
                let mut parts = line.split(|byte| *byte == b' ').filter(|part| !part.is_empty());
                let method = parts.next().filter(|method| method.iter().all(u8::is_ascii_graphic));
                let target = method.and(parts.next());
                let version = target.and(parts.next()).filter(|version| version.starts_with(b"HTTP/"));
                [method, target, version]
            }
        };
        let request = request.valid();
        write_member(text, "method", method, MAX_METHOD);
        write_member(text, "target", target, MAX_TARGET);
        write_member(text, "version", version, MAX_METHOD);
        self.response_at = text.len();
        text.push(b',');
        write_member(text, "referer", header(request, "Referer"), MAX_REFERER);
        write_member(text, "user_agent", header(request, "User-Agent"), MAX_USER_AGENT);
        write_member(text, "host", request.and_then(Request::host).map(str::as_bytes), MAX_HOST);
    }
}

/// Appends a member of a JSON object and a comma to `out`. Escapes `value`. If the escaped value is longer than
/// `max_bytes`, truncates it to that length and appends `...`. `None` becomes `null`.
fn write_member(out: &mut Vec<u8>, name: &str, value: Option<&[u8]>, max_bytes: usize) {
    let _ = write!(out, "\"{name}\":");
    match value {
        Some(value) => {
            out.push(b'"');
            Escape::Json.write(out, value, max_bytes);
            out.extend_from_slice(b"\",");
        }
        None => out.extend_from_slice(b"null,"),
    }
}

/// The value of the request's header `name`. `None` without such a header or without a request.
fn header<'r>(request: Option<&Request<'r>>, name: &str) -> Option<&'r [u8]> {
    request.and_then(|request| request.header(name))
}

/// The HTTP version in the form of a request line.
pub(super) fn version(request: &Request<'_>) -> &'static str {
    if request.version() == Version::Http10 { "HTTP/1.0" } else { "HTTP/1.1" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_engine::http_core::testing::ReceivedRequest;
    use std::time::SystemTime;

    const CLIENT: &str = "[::ffff:192.0.2.7]:4711";

    /// Returns the line, with its newline, for a request whose head is `head` and an empty line. A `head` without line
    /// ends is a request line that was not understood. `complete` says whether the whole response was sent. It
    /// has the ID of the request.
    fn line(format: Format, client: Option<&str>, head: &[u8], complete: bool) -> String {
        let bytes = [head, b"\r\n"].concat();
        let received = ReceivedRequest::with_any_target(&bytes, Instant::now());
        let request = received.as_ref().map(ReceivedRequest::as_request);
        let logged = match &request {
            Ok(request) if head.ends_with(b"\n") => Logged::Valid(request),
            _ => Logged::Line(head),
        };
        let client = client.map(|client| client.parse().expect("an address"));
        let mut record = RecordBuilder::new(format, client, logged);
        let id = logged.valid().and_then(|request| request.header_text(HEADER));
        let response = Response::text("x");
        record.add_response(&id.into_iter().fold(response, |response, id| response.with_header(HEADER, id)));
        let timestamp = Timestamp::at(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777));
        let (sent, duration) = (Sent { bytes: 1234, complete }, Duration::from_nanos(12_034_567));
        let mut line = b"before\n".to_vec();
        record.finish(&mut line, &timestamp, Status::PARTIAL_CONTENT, sent, duration);
        let line = String::from_utf8(line).expect("ASCII");
        line.strip_prefix("before\n").expect("the text before the line stays").to_owned()
    }

    /// Checks the line that [`line`] returns, except its newline.
    fn check(format: Format, client: Option<&str>, head: &[u8], complete: bool, expected: &str) {
        assert_eq!(line(format, client, head, complete), format!("{expected}\n"));
    }

    const HEAD: &[u8] = b"GET /a%20b?c=\"d\" HTTP/1.0\r\nHost: a.example:80\r\nUser-Agent: \"x\" \xe4\\n\r\nreferer: http://a/\r\n";

    #[test]
    fn writes_a_line_in_each_format() {
        let common =
            r#"192.0.2.7 - - [06/Nov/1994:08:49:37 +0000] "GET /a%20b?c=\x22d\x22 HTTP/1.0" 206 1234"#;
        check(Format::Common, Some(CLIENT), HEAD, true, common);
        let combined = format!(r#"{common} "http://a/" "\x22x\x22 \xE4\x5Cn""#);
        check(Format::Combined, Some(CLIENT), HEAD, false, &combined);
        let json = concat!(
            r#"{"time":"1994-11-06T08:49:37Z","peer":"192.0.2.7","method":"GET","target":"/a%20b?c=\u0022d\u0022","#,
            r#""version":"HTTP/1.0","status":206,"bytes":1234,"complete":false,"duration_ms":12.034,"#,
            r#""referer":"http://a/","user_agent":"\u0022x\u0022 \u00E4\u005Cn","host":"a.example:80","request_id":null}"#
        );
        check(Format::Json, Some(CLIENT), HEAD, false, json);
        let read: serde_json::Value = serde_json::from_str(json).expect("JSON");
        assert_eq!(read["user_agent"], "\"x\" \u{e4}\\n");
        let with_id = [HEAD, b"X-Request-Id: id-1\r\n"].concat();
        let json = json.replace(r#""request_id":null"#, r#""request_id":"id-1""#);
        check(Format::Json, Some(CLIENT), &with_id, false, &json);
    }

    #[test]
    fn an_unknown_value_is_a_dash_or_null() {
        let dashes = r#"unix: - - [06/Nov/1994:08:49:37 +0000] "-" 206 1234"#;
        check(Format::Common, None, b"", true, dashes);
        check(Format::Combined, None, b"", true, &format!(r#"{dashes} "-" "-""#));
        let json = concat!(
            r#"{"time":"1994-11-06T08:49:37Z","peer":"unix:","method":null,"target":null,"version":null,"status":206,"#,
            r#""bytes":1234,"complete":true,"duration_ms":12.034,"referer":null,"user_agent":null,"#,
            r#""host":null,"request_id":null}"#
        );
        check(Format::Json, None, b"", true, json);
    }

    #[test]
    fn shows_what_was_received_of_a_request_line() {
        for (received, quoted, members) in [
            ("GET /x| HTTP/1.1", "GET /x| HTTP/1.1", [r#""GET""#, r#""/x|""#, r#""HTTP/1.1""#]),
            ("GET /slo", "GET /slo", [r#""GET""#, r#""/slo""#, "null"]),
            ("GET / FTP", "GET / FTP", [r#""GET""#, r#""/""#, "null"]),
            ("garbage", "garbage", [r#""garbage""#, "null", "null"]),
            ("\x16\x03 \"", r"\x16\x03 \x22", ["null"; 3]),
            ("", "-", ["null"; 3]),
        ] {
            let line = line(Format::Common, None, received.as_bytes(), true);
            assert!(line.contains(&format!(r#"] "{quoted}" 206 "#)), "{line}");
            let line = self::line(Format::Json, None, received.as_bytes(), true);
            let [method, target, version] = members;
            let members = format!(r#""method":{method},"target":{target},"version":{version},"#);
            assert!(line.contains(&members), "{line}");
        }
    }

    #[test]
    fn the_longest_line_fits_into_one_atomic_write() {
        let client = Some("[2001:db8:1111:2222:3333:4444:5555:6666]:65535");
        let (method, long) = ("M".repeat(MAX_METHOD), "\u{e4}".repeat(2000));
        let (target, host) = ("\"".repeat(5000), "a".repeat(200));
        let head = format!(
            "{method} /{target} HTTP/1.1\r\nHost: {host}\r\nReferer: {long}\r\nUser-Agent: {long}\r\nX-Request-Id: {target}\r\n"
        );
        for format in [Format::Common, Format::Combined, Format::Json] {
            for head in [head.as_bytes(), head.replace("\r\n", "").as_bytes()] {
                let line = line(format, client, head, false);
                assert!(line.len() > 2000 && line.len() < MAX_LINE_BYTES - 100, "{}", line.len());
            }
        }
    }
}
