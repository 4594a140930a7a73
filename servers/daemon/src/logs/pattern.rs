//! The format of the access log that an operator writes (`--log-format`): text with variables that have the names of
//! nginx. It is compiled when the server starts; an unknown variable is an error.

use super::{
    access_log::{Logged, TYPICAL_LINE_BYTES, UNIX_CLIENT, version},
    escape::Escape,
    output::MAX_LINE_BYTES,
    request_id::HEADER,
    timestamp::Timestamp,
};
use http_engine::{Request, Response, Sent, Status};
use std::{io::Write, net::SocketAddr, str::FromStr, sync::Arc, time::Duration};

/// The maximum length of a format, and the maximum number of its variables. With these limits, a line has room for what
/// clients send.
const MAX_FORMAT: usize = 1000;
const MAX_VARIABLES: usize = 50;

/// The room that is kept for each value that is known only when the response is sent, in bytes. The longest is a time.
const LATE_VALUE: usize = 32;

/// The maximum length of a value that a client or the application chooses, in bytes after escaping.
const MAX_VALUE: usize = 2000;

/// The beginnings of the names of the variables that are headers of the request, and of the response.
const REQUEST_HEADER: &str = "http_";
const RESPONSE_HEADER: &str = "sent_http_";

/// A compiled format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Arc<[Part]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// A value of the request.
    Early(Early),
    /// A value that is known when the response is sent.
    Late(Late),
}

/// The variables of the client and the request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Early {
    RemoteAddr,
    RemotePort,
    Request,
    Method,
    Target,
    Protocol,
    Host,
    Scheme,
    SslProtocol,
    SslCipher,
    Header(String),
}

/// The variables of the response.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Late {
    TimeLocal,
    TimeIso8601,
    Status,
    BodyBytesSent,
    RequestTime,
    RequestCompletion,
    Header(String),
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(format: &str) -> Result<Pattern, String> {
        if format.is_empty() {
            return Err("must not be empty".to_owned());
        }
        if format.len() > MAX_FORMAT {
            return Err(format!("must have at most {MAX_FORMAT} bytes"));
        }
        if format.contains(char::is_control) {
            return Err("must not contain control characters: each response is one line".to_owned());
        }
        let mut parts = Vec::new();
        let mut texts = format.split('$');
        let push_text = |parts: &mut Vec<Part>, text: &str| {
            if !text.is_empty() {
                parts.push(Part::Text(text.to_owned()));
            }
        };
        push_text(&mut parts, texts.next().unwrap_or_default());
        for text in texts {
            let (name, text) = match text.strip_prefix('{') {
                Some(text) => text.split_once('}').ok_or("a ${ has no }")?,
                None => text.split_at(text.find(|c: char| !is_name(c)).unwrap_or(text.len())),
            };
            parts.push(variable(name)?);
            push_text(&mut parts, text);
        }
        match parts.iter().filter(|part| !matches!(part, Part::Text(_))).count() {
            0..=MAX_VARIABLES => Ok(Pattern(parts.into())),
            _ => Err(format!("must have at most {MAX_VARIABLES} variables")),
        }
    }
}

/// Whether a name of a variable may contain this character.
fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Returns the variable with this name. Fails if there is none.
fn variable(name: &str) -> Result<Part, String> {
    let header =
        |prefix| name.strip_prefix(prefix).filter(|name| !name.is_empty()).map(|name| name.replace('_', "-"));
    Ok(match name {
        "remote_addr" => Part::Early(Early::RemoteAddr),
        "remote_port" => Part::Early(Early::RemotePort),
        "request" => Part::Early(Early::Request),
        "request_method" => Part::Early(Early::Method),
        "request_uri" => Part::Early(Early::Target),
        "server_protocol" => Part::Early(Early::Protocol),
        "host" => Part::Early(Early::Host),
        "scheme" => Part::Early(Early::Scheme),
        "ssl_protocol" => Part::Early(Early::SslProtocol),
        "ssl_cipher" => Part::Early(Early::SslCipher),
        // No log names users.
        "remote_user" => Part::Text("-".to_owned()),
        "time_local" => Part::Late(Late::TimeLocal),
        "time_iso8601" => Part::Late(Late::TimeIso8601),
        "status" => Part::Late(Late::Status),
        "body_bytes_sent" => Part::Late(Late::BodyBytesSent),
        "request_time" => Part::Late(Late::RequestTime),
        "request_completion" => Part::Late(Late::RequestCompletion),
        // The response carries it.
        "request_id" => Part::Late(Late::Header(HEADER.to_owned())),
        _ => match (header(REQUEST_HEADER), header(RESPONSE_HEADER)) {
            (Some(name), _) if name.bytes().all(|byte| is_name(byte.into()) || byte == b'-') => {
                Part::Early(Early::Header(name))
            }
            (_, Some(name)) => Part::Late(Late::Header(name)),
            _ => return Err(format!("unknown variable ${name}")),
        },
    })
}

impl Pattern {
    /// Whether a line contains the ID of the request.
    pub(super) fn has_request_id(&self) -> bool {
        self.0.contains(&Part::Late(Late::Header(HEADER.to_owned())))
    }

    /// Copies the values of the request.
    pub(super) fn begin(&self, client: Option<SocketAddr>, request: Logged<'_>) -> PatternRecord {
        let reserved = self.0.iter().map(|part| match part {
            Part::Text(text) => text.len(),
            Part::Early(_) => 0,
            Part::Late(_) => LATE_VALUE,
        });
        let mut record = PatternRecord {
            pattern: self.clone(),
            text: Vec::with_capacity(TYPICAL_LINE_BYTES),
            gaps: Vec::new(),
            headers: Vec::new(),
            left: MAX_LINE_BYTES - 1 - reserved.sum::<usize>(),
        };
        for part in &*self.0 {
            match part {
                Part::Text(text) => record.text.extend_from_slice(text.as_bytes()),
                Part::Early(variable) => record.write(variable, client, request),
                Part::Late(_) => record.gaps.push(record.text.len()),
            }
        }
        record
    }
}

/// An unfinished line. It lacks what is known only when the response is sent.
pub(super) struct PatternRecord {
    pattern: Pattern,
    text: Vec<u8>,
    /// The offsets in `text` at which the values of the response are inserted.
    gaps: Vec<usize>,
    /// The values of the headers of the response, in the order of their variables.
    headers: Vec<Vec<u8>>,
    /// The room that is left for values that others choose.
    left: usize,
}

impl PatternRecord {
    /// Appends the value of a variable of the request; `-` if it is not known.
    fn write(&mut self, variable: &Early, client: Option<SocketAddr>, request: Logged<'_>) {
        let valid = request.valid();
        let own;
        let value = match (variable, request) {
            (Early::RemoteAddr, _) => {
                own = client.map(|client| client.ip().to_canonical().to_string());
                Some(own.as_deref().unwrap_or(UNIX_CLIENT).as_bytes())
            }
            (Early::RemotePort, _) => {
                own = client.map(|client| client.port().to_string());
                own.as_ref().map(String::as_bytes)
            }
            (Early::Request, Logged::Valid(request)) => {
                let (method, target) = (request.method_token(), request.target());
                own = Some(format!("{method} {target} {}", version(request)));
                own.as_ref().map(String::as_bytes)
            }
            (Early::Request, Logged::Line(line)) => Some(line),
            (Early::Method, _) => valid.map(|request| request.method_token().as_bytes()),
            (Early::Target, _) => valid.map(|request| request.target().as_bytes()),
            (Early::Protocol, _) => valid.map(|request| version(request).as_bytes()),
            (Early::Host, _) => valid.and_then(Request::host).map(str::as_bytes),
            (Early::Scheme, _) => valid.map(|request| request.scheme().as_bytes()),
            (Early::SslProtocol, _) => {
                valid.and_then(Request::tls).map(|session| session.protocol.as_bytes())
            }
            (Early::SslCipher, _) => valid.and_then(Request::tls).map(|session| session.cipher.as_bytes()),
            (Early::Header(name), _) => valid.and_then(|request| request.header(name)),
        };
        self.left -= write_value(&mut self.text, value, self.left);
    }

    /// Copies what the line says of the headers of the response.
    pub(super) fn add_response(&mut self, response: &Response) {
        for part in &*self.pattern.0 {
            if let Part::Late(Late::Header(name)) = part {
                let mut value = Vec::new();
                self.left -= write_value(&mut value, response.header(name), self.left);
                self.headers.push(value);
            }
        }
    }

    /// Appends the complete line to `out`, with its newline.
    pub(super) fn finish(
        &self,
        out: &mut Vec<u8>,
        time: &Timestamp,
        status: Status,
        sent: Sent,
        duration: Duration,
    ) {
        let (mut from, mut headers) = (0, self.headers.iter());
        let late = self.pattern.0.iter().filter_map(|part| match part {
            Part::Late(variable) => Some(variable),
            _ => None,
        });
        for (variable, at) in late.zip(&self.gaps) {
            out.extend_from_slice(&self.text[from..*at]);
            from = *at;
            let _ = match variable {
                Late::TimeLocal => out.write_all(time.clf.as_bytes()),
                Late::TimeIso8601 => out.write_all(time.rfc3339.as_bytes()),
                Late::Status => write!(out, "{}", status.code()),
                Late::BodyBytesSent => write!(out, "{}", sent.bytes),
                Late::RequestTime => write!(out, "{}.{:03}", duration.as_secs(), duration.subsec_millis()),
                Late::RequestCompletion => out.write_all(if sent.complete { b"OK" } else { b"-" }),
                Late::Header(_) => out.write_all(headers.next().map_or(b"-", Vec::as_slice)),
            };
        }
        out.extend_from_slice(&self.text[from..]);
        out.push(b'\n');
    }
}

/// Appends a value, escaped for a place between quotes; `-` if it is not known or empty. Returns how much it has
/// appended: at most `left`.
fn write_value(out: &mut Vec<u8>, value: Option<&[u8]>, left: usize) -> usize {
    let before = out.len();
    // The three bytes are those of the dots behind a value that is truncated.
    if let Some(max) = left.checked_sub(3) {
        let value = value.filter(|value| !value.is_empty()).unwrap_or(b"-");
        Escape::Quoted.write(out, value, max.min(MAX_VALUE));
    }
    out.len() - before
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_engine::http_core::testing::ReceivedRequest;
    use std::time::{Instant, SystemTime};

    /// Returns the line for a request with this head and an empty line, without its newline.
    fn line(format: &str, head: &str) -> String {
        let pattern: Pattern = format.parse().expect(format);
        let bytes = format!("{head}\r\n");
        let received = ReceivedRequest::with_any_target(bytes.as_bytes(), Instant::now()).expect("a head");
        let request = received.as_request();
        let mut record = pattern.begin("[::ffff:192.0.2.7]:4711".parse().ok(), Logged::Valid(&request));
        let response =
            Response::text("x").with_header(HEADER, "id-1").with_header("X-Long", "a".repeat(3000));
        record.add_response(&response);
        let time = Timestamp::at(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777));
        let (sent, duration) = (Sent { bytes: 1234, complete: true }, Duration::from_millis(2_034));
        let mut line = Vec::new();
        record.finish(&mut line, &time, Status::OK, sent, duration);
        assert!(line.len() <= MAX_LINE_BYTES, "{}", line.len());
        let line = String::from_utf8(line).expect("ASCII");
        line.strip_suffix('\n').expect("a newline").to_owned()
    }

    const HEAD: &str = "GET /a?b HTTP/1.1\r\nHost: x\r\nUser-Agent: \"me\"\r\n";

    #[test]
    fn inserts_the_values_of_all_variables() {
        let check = |format: &str, expected: &str| assert_eq!(line(format, HEAD), expected, "{format}");
        check("text", "text");
        check("$remote_addr:$remote_port [$time_local]", "192.0.2.7:4711 [06/Nov/1994:08:49:37 +0000]");
        check("$time_iso8601 $status $body_bytes_sent", "1994-11-06T08:49:37Z 200 1234");
        check("\"$request\" $request_time", "\"GET /a?b HTTP/1.1\" 2.034");
        check("$request_method $request_uri $server_protocol", "GET /a?b HTTP/1.1");
        check("$scheme://${host}x $remote_user", "http://xx -");
        check("$ssl_protocol $ssl_cipher", "- -");
        check("$http_user_agent|$http_referer|", r"\x22me\x22|-|");
        check("$request_id $sent_http_content_type $request_completion", "id-1 text/plain; charset=utf-8 OK");
    }

    #[test]
    fn a_line_is_never_too_long() {
        let long = format!("GET /{0} HTTP/1.1\r\nHost: {0}\r\nUser-Agent: {0}\r\n", "a".repeat(3000));
        let format = "x".repeat(900) + "$request$host$http_user_agent$time_local$request_id";
        assert!(line(&format, &long).len() > 3900);
        line(&"$request ".repeat(50), &long);
        line(&"$time_local".repeat(50), &long);
        line(&"$sent_http_x_long".repeat(50), &long);
    }

    #[test]
    fn rejects_formats_with_mistakes() {
        let check =
            |format: &str, expected: &str| assert_eq!(format.parse::<Pattern>(), Err(expected.to_owned()));
        check("", "must not be empty");
        check("$status $nothing", "unknown variable $nothing");
        check("$http_", "unknown variable $http_");
        check("costs 5$", "unknown variable $");
        check("${status", "a ${ has no }");
        check("a\nb", "must not contain control characters: each response is one line");
        check(&"x".repeat(1001), "must have at most 1000 bytes");
        check(&"$status".repeat(51), "must have at most 50 variables");
    }
}
