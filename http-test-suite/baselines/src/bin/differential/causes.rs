//! The causes of differences, each with the section of an RFC that explains it.

use crate::reading::{Difference, End, Reading, Request};

/// A cause: what a message contains, and the section that says how to treat it.
pub type Cause = (&'static str, &'static str);

/// Causes for which we reject a message: the text of the `Rejection`, what the message contains, and the section.
const OURS: &[(&str, &str, &str)] = &[
    ("malformed method", "a method that is not a token", "RFC 9110 §9.1"),
    ("method too long", "a method of more than 32 bytes", "RFC 9112 §3"),
    (
        "malformed request target",
        "a target that is not a URI, or has a form that the method does not allow",
        "RFC 9112 §3.2",
    ),
    ("path leads above the root", "a path that leads above the root", "RFC 3986 §5.2.4"),
    ("request target too long", "a target beyond our limit", "RFC 9110 §15.5.15"),
    ("target of a scheme that is not served here", "an https target without TLS", "RFC 9110 §7.4"),
    (
        "the request target is not correctly encoded",
        "content after a target that is not a URI: we redirect and close",
        "RFC 9112 §3",
    ),
    ("malformed version", "a version that is missing or malformed", "RFC 9112 §2.3"),
    ("unsupported major version", "a major version other than 1", "RFC 9110 §2.5"),
    ("bare CR or LF", "CR or LF alone as the end of a line in the head", "RFC 9112 §2.2"),
    (
        "malformed header name",
        "a header name that is not a token, or white space before the colon",
        "RFC 9112 §5.1",
    ),
    ("malformed header value", "a control character in a header value", "RFC 9110 §5.5"),
    ("folded header line", "a folded header line, or white space before the first", "RFC 9112 §5.2, §2.2"),
    ("head too large", "a head beyond our limit", "RFC 9110 §5.4"),
    ("too many headers", "more than 100 header lines", "RFC 9110 §5.4"),
    ("Host missing", "HTTP/1.1 without Host", "RFC 9112 §3.2"),
    ("malformed or repeated Host", "a malformed or repeated Host", "RFC 9112 §3.2"),
    (
        "malformed or repeated Content-Length",
        "a malformed or repeated Content-Length",
        "RFC 9112 §6.3 rule 5",
    ),
    (
        "Transfer-Encoding and Content-Length",
        "both Transfer-Encoding and Content-Length",
        "RFC 9112 §6.1, §6.3 rule 3",
    ),
    (
        "malformed Transfer-Encoding",
        "a transfer coding that does not end in one chunked, or HTTP/1.0 with one",
        "RFC 9112 §6.1",
    ),
    ("unknown transfer coding", "a transfer coding that we do not implement", "RFC 9112 §6.1"),
    ("unknown expectation", "an expectation other than 100-continue", "RFC 9110 §10.1.1"),
    ("malformed chunk", "a malformed chunk size, extension or line end", "RFC 9112 §7.1"),
    (
        "chunk extensions or trailers too large",
        "chunk extensions or trailers beyond our limit",
        "RFC 9112 §7.1.1",
    ),
    ("malformed trailer", "a malformed trailer line", "RFC 9112 §7.1.2"),
    ("body too large", "content of more than 1 MiB", "RFC 9110 §15.5.14"),
];

/// The cause for which we reject a message with this reason.
pub fn of_rejection(reason: &str) -> Cause {
    OURS.iter()
        .find(|(text, ..)| *text == reason)
        .map_or(("another cause", ""), |(_, cause, section)| (cause, section))
}

/// The only cause for which all others reject what we accept. RFC 9110 §2.5 requires that we do.
pub const LATER_VERSION: &str = "a minor version after 1";

/// Whether a message may have been rejected for a cause.
type Condition = fn(&Rejected<'_>) -> bool;

/// Causes for which another rejects what we accept, in the order in which they are looked for.
const THEIRS: &[(Condition, &str, &str)] = &[
    (
        |it| it.text.split("http/1.").skip(1).any(|text| !text.starts_with(['0', '1'])),
        LATER_VERSION,
        "RFC 9110 §2.5",
    ),
    (
        |it| it.reason.contains("after `Connection: close`"),
        "bytes after a request that closes",
        "RFC 9112 §9.6",
    ),
    (
        |it| it.reason.starts_with("all of them") && it.is_before_malformed,
        "a malformed request behind it",
        "none",
    ),
    (
        |it| it.later.iter().any(|request| !METHODS.contains(&&*request.method)),
        "an unknown method",
        "RFC 9110 §9.1",
    ),
    (|it| it.is_method("CONNECT"), "CONNECT", "RFC 9110 §9.3.6"),
    (
        |it| it.is_method("TRACE") || it.has("max-forwards:"),
        "TRACE, or Max-Forwards",
        "RFC 9110 §9.3.8, §7.6.2",
    ),
    (|it| it.is_method("OPTIONS"), "OPTIONS *", "RFC 9110 §9.3.7"),
    (|it| it.has("upgrade:"), "Upgrade", "RFC 9110 §7.8"),
    (
        |it| it.reason == "no request line received" || it.text.starts_with("\r\n") || it.has("\r\n\r\n\r\n"),
        "an empty line before a request",
        "RFC 9112 §2.2",
    ),
    (
        |it| it.has(" \r\n") || it.has("\t\r\n") || it.has(":\t") || it.has(": \t"),
        "white space around a header value",
        "RFC 9112 §5.1",
    ),
    (|it| it.has("http://"), "a target in absolute form", "RFC 9112 §3.2.2"),
    (|it| it.text.matches("expect:").count() > 1, "a repeated Expect", "RFC 9110 §5.3, §10.1.1"),
    (
        |it| it.has("\r\n0\r\ncontent-length:") || it.has("\r\n0\r\ntransfer-encoding:"),
        "a header in the trailers that frames",
        "RFC 9110 §6.5.1",
    ),
    (
        |it| it.has("transfer-encoding: chunked") && (it.has(" ;") || it.has("\t;")),
        "white space before a chunk extension",
        "RFC 9112 §7.1.1",
    ),
    (
        |it| it.later.iter().any(|request| request.method == "POST" && request.body.is_empty()),
        "POST without content",
        "RFC 9110 §15.5.12",
    ),
    (
        |it| it.later.iter().any(|request| request.method != "POST" && !request.body.is_empty()),
        "content in GET or HEAD",
        "RFC 9110 §9.3.1",
    ),
    (
        |it| it.later.iter().any(|request| request.target.contains(NOT_IN_URIS)),
        "a target that is not a URI: we redirect",
        "RFC 9112 §3",
    ),
    (
        |it| it.later.iter().any(|request| request.target.contains('%')),
        "an escape in the target",
        "RFC 3986 §2.1",
    ),
    (
        |it| it.text.contains(|char: char| !char.is_ascii()),
        "a byte above ASCII in a header value",
        "RFC 9110 §5.5",
    ),
    (|it| it.has_unusual_host(), "a Host that is not a host name with a port", "RFC 9110 §7.2"),
];

/// The methods that RFC 9110 and RFC 5789 define.
const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// Characters that are not allowed in URIs, and that we accept in GET and HEAD.
const NOT_IN_URIS: &[char] = &['<', '>', '"', '`', '{', '}', '|', '\\', '^', '[', ']'];

/// A message of which another rejects a request that we accept.
struct Rejected<'m> {
    /// The message in lower case.
    text: String,
    /// The rejected request as we read it, and those after it.
    later: &'m [Request],
    /// The other's reason.
    reason: &'m str,
    /// Whether we reject a request after it.
    is_before_malformed: bool,
}

impl Rejected<'_> {
    fn has(&self, text: &str) -> bool {
        self.text.contains(text)
    }

    fn has_unusual_host(&self) -> bool {
        let is_usual = |char: char| char.is_ascii_alphanumeric() || char == '.' || char == '-';
        let is_host = |host: &str| {
            let (host, port) = host.split_once(':').unwrap_or((host, "80"));
            host.starts_with(is_usual) && host.chars().all(is_usual) && port.parse::<u16>().is_ok()
        };
        let hosts = self.text.split("\r\nhost:").skip(1).filter_map(|text| text.split("\r\n").next());
        hosts.map(str::trim).any(|host| !is_host(host))
    }

    fn is_method(&self, method: &str) -> bool {
        self.later.first().is_some_and(|request| request.method == method)
    }
}

/// The cause for which another rejects, with this reason, what we accept. The other accepts the first `accepted`
/// requests.
pub fn of_acceptance(message: &[u8], ours: &Reading, accepted: usize, reason: &str) -> Cause {
    let text = message.iter().map(|byte| char::from(*byte).to_ascii_lowercase()).collect();
    let is_before_malformed = matches!(ours.end, End::Rejected(_));
    let rejected =
        Rejected { text, later: ours.requests.get(accepted..).unwrap_or(&[]), reason, is_before_malformed };
    let cause = THEIRS.iter().find(|(is_met, ..)| is_met(&rejected));
    cause.map_or(("another cause", ""), |(_, cause, section)| (cause, section))
}

/// The cause of a difference without a rejection.
pub fn of_difference(difference: Difference) -> Cause {
    match difference {
        Difference::Framing => ("the number of requests, or the content of one", "RFC 9112 §6.3"),
        Difference::Spelling => ("the same target in another spelling", "RFC 9110 §4.2.3"),
        Difference::Persistence => ("whether the connection closes after a request", "RFC 9112 §9.3"),
    }
}
