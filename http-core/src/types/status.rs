//! Status codes: one table that generates the constants, and their reason phrases, status lines and error pages.

use std::borrow::Cow;

/// A status code: three digits, from 100 to 999 (RFC 9110 §15).
///
/// The constants are the usual codes. The status lines and error pages of these codes are constants too, those of other
/// codes are made for each response. A handler cannot respond with an interim code (1xx), which only the library sends,
/// except with 101 ([`Response::switching_protocols`](crate::Response::switching_protocols)).
///
/// ```
/// use http_core::Status;
///
/// const QUOTA_EXCEEDED: Status = Status::new(498);
/// assert_eq!((QUOTA_EXCEEDED.code(), QUOTA_EXCEEDED.reason()), (498, ""));
/// assert_eq!(Status::new(404), Status::NOT_FOUND);
/// assert!(Status::try_from(1000).is_err());
/// assert_eq!("404".parse(), Ok(Status::NOT_FOUND));
/// assert!(Status::NOT_FOUND.is_client_error());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Status(u16);

/// Returns an HTML page with `$title` as its title, `$code` as its heading and `$reason` as its text. All three must be
/// literals.
macro_rules! page {
    ($title:expr, $code:expr, $reason:expr) => {
        concat!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n",
            "<meta name=\"viewport\" content=\"width=device-width\">\n<title>",
            $title,
            "</title>\n<style>:root{color-scheme:light dark;font:1.2em system-ui,sans-serif;text-align:center}",
            "main{margin:25vh 1em}h1{font-size:4em;line-height:1;margin:0}p{margin:.5em}</style>\n<main>\n<h1>",
            $code,
            "</h1>\n<p>",
            $reason,
            "</p>\n</main>\n</html>\n"
        )
    };
}

/// Declares the constants of [`Status`] and the texts of each. Each line is a name, a code and a reason phrase.
macro_rules! statuses {
    ($($name:ident $code:literal $reason:literal)*) => {
        impl Status {
            $(
                #[doc = concat!($code, " ", $reason)]
                pub const $name: Status = Status($code);
            )*

            /// Returns the reason phrase that is registered for the code; an empty string if there is none.
            pub const fn reason(self) -> &'static str {
                match self.0 { $($code => $reason,)* code => other_reason(code) }
            }

            /// Returns the status line of a response, with its CRLF; an empty string if no constant has the code.
            pub(crate) const fn line(self) -> &'static str {
                match self.0 { $($code => concat!("HTTP/1.1 ", $code, " ", $reason, "\r\n"),)* _ => "" }
            }

            /// Returns the body of [`Response::error`](crate::Response::error): an HTML page with the code and the
            /// reason phrase.
            pub(crate) fn page(self) -> Cow<'static, str> {
                match self.0 {
                    $($code => page!(concat!($code, " ", $reason), $code, $reason).into(),)*
                    code => page!("{title}", "{code}", "{reason}")
                        .replace("{title}", self.to_string().trim_end())
                        .replace("{code}", &code.to_string())
                        .replace("{reason}", self.reason())
                        .into(),
                }
            }
        }
    };
}

statuses! {
    SWITCHING_PROTOCOLS 101 "Switching Protocols"
    OK 200 "OK"
    CREATED 201 "Created"
    ACCEPTED 202 "Accepted"
    NO_CONTENT 204 "No Content"
    RESET_CONTENT 205 "Reset Content"
    PARTIAL_CONTENT 206 "Partial Content"
    MULTIPLE_CHOICES 300 "Multiple Choices"
    MOVED_PERMANENTLY 301 "Moved Permanently"
    FOUND 302 "Found"
    SEE_OTHER 303 "See Other"
    NOT_MODIFIED 304 "Not Modified"
    TEMPORARY_REDIRECT 307 "Temporary Redirect"
    PERMANENT_REDIRECT 308 "Permanent Redirect"
    BAD_REQUEST 400 "Bad Request"
    UNAUTHORIZED 401 "Unauthorized"
    FORBIDDEN 403 "Forbidden"
    NOT_FOUND 404 "Not Found"
    METHOD_NOT_ALLOWED 405 "Method Not Allowed"
    NOT_ACCEPTABLE 406 "Not Acceptable"
    REQUEST_TIMEOUT 408 "Request Timeout"
    CONFLICT 409 "Conflict"
    GONE 410 "Gone"
    LENGTH_REQUIRED 411 "Length Required"
    PRECONDITION_FAILED 412 "Precondition Failed"
    CONTENT_TOO_LARGE 413 "Content Too Large"
    URI_TOO_LONG 414 "URI Too Long"
    UNSUPPORTED_MEDIA_TYPE 415 "Unsupported Media Type"
    RANGE_NOT_SATISFIABLE 416 "Range Not Satisfiable"
    EXPECTATION_FAILED 417 "Expectation Failed"
    MISDIRECTED_REQUEST 421 "Misdirected Request"
    UNPROCESSABLE_CONTENT 422 "Unprocessable Content"
    UPGRADE_REQUIRED 426 "Upgrade Required"
    TOO_MANY_REQUESTS 429 "Too Many Requests"
    REQUEST_HEADER_FIELDS_TOO_LARGE 431 "Request Header Fields Too Large"
    INTERNAL_SERVER_ERROR 500 "Internal Server Error"
    NOT_IMPLEMENTED 501 "Not Implemented"
    BAD_GATEWAY 502 "Bad Gateway"
    SERVICE_UNAVAILABLE 503 "Service Unavailable"
    GATEWAY_TIMEOUT 504 "Gateway Timeout"
    HTTP_VERSION_NOT_SUPPORTED 505 "HTTP Version Not Supported"
}

/// Returns the reason phrase that is registered for a code without a constant; an empty string if there is none.
const fn other_reason(code: u16) -> &'static str {
    match code {
        100 => "Continue",
        102 => "Processing",
        103 => "Early Hints",
        203 => "Non-Authoritative Information",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        305 => "Use Proxy",
        402 => "Payment Required",
        407 => "Proxy Authentication Required",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        428 => "Precondition Required",
        451 => "Unavailable For Legal Reasons",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        511 => "Network Authentication Required",
        _ => "",
    }
}

impl Status {
    /// Creates the status with this code. For a code that is known when the program is compiled; for any other, use
    /// [`from_code`](Status::from_code).
    ///
    /// # Panics
    ///
    /// If the code is not from 100 to 999. In a constant, this is an error of the compiler.
    pub const fn new(code: u16) -> Status {
        assert!(100 <= code && code <= 999, "a status code must be from 100 to 999");
        Status(code)
    }

    /// Returns the status with this code; `None` if the code is not from 100 to 999.
    pub const fn from_code(code: u16) -> Option<Status> {
        match code {
            100..=999 => Some(Status(code)),
            _ => None,
        }
    }

    /// Returns the code as a number.
    pub const fn code(self) -> u16 {
        self.0
    }

    /// Returns whether the code is 1xx (RFC 9110 §15.2): the final response follows.
    pub const fn is_interim(self) -> bool {
        self.0 < 200
    }

    /// Returns whether the code is 2xx (RFC 9110 §15.3): not a redirect and not an error.
    pub const fn is_success(self) -> bool {
        matches!(self.0, 200..=299)
    }

    /// Returns whether the code is 3xx (RFC 9110 §15.4): the client must do more, for example follow a redirect.
    pub const fn is_redirection(self) -> bool {
        matches!(self.0, 300..=399)
    }

    /// Returns whether the code is 4xx (RFC 9110 §15.5): the request is wrong.
    pub const fn is_client_error(self) -> bool {
        matches!(self.0, 400..=499)
    }

    /// Returns whether the code is 5xx (RFC 9110 §15.6): the server has failed.
    pub const fn is_server_error(self) -> bool {
        matches!(self.0, 500..=599)
    }

    /// Returns whether a response with this status can have a body. 1xx, 204, 205 and 304 cannot (RFC 9110 §15).
    pub const fn has_body(self) -> bool {
        !matches!(self.0, 100..=199 | 204 | 205 | 304)
    }
}

/// The error of a conversion to [`Status`]: a number or a text is not a status code.
///
/// ```
/// use http_core::Status;
///
/// let error = Status::try_from(99).unwrap_err();
/// assert_eq!(error.to_string(), "a status code must be from 100 to 999");
/// assert_eq!("+200".parse::<Status>(), Err(error));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidStatus;

impl std::fmt::Display for InvalidStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a status code must be from 100 to 999")
    }
}

impl std::error::Error for InvalidStatus {}

impl TryFrom<u16> for Status {
    type Error = InvalidStatus;

    fn try_from(code: u16) -> Result<Status, InvalidStatus> {
        Status::from_code(code).ok_or(InvalidStatus)
    }
}

/// Parses the three digits of a code.
impl std::str::FromStr for Status {
    type Err = InvalidStatus;

    fn from_str(code: &str) -> Result<Status, InvalidStatus> {
        // With a sign, the number has two digits.
        let number = code.parse().ok().filter(|_| code.len() == 3);
        Status::try_from(number.unwrap_or(0))
    }
}

impl From<Status> for u16 {
    fn from(status: Status) -> u16 {
        status.0
    }
}

impl std::fmt::Display for Status {
    /// Writes the code and its reason phrase: `404 Not Found`. Without a reason phrase, a space ends the text, as in a
    /// status line (RFC 9112 §4).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.0, self.reason())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_constant_has_a_line_and_every_status_a_page() {
        for code in 100..=999 {
            let status = Status::new(code);
            assert_eq!((Status::try_from(code), code.to_string().parse()), (Ok(status), Ok(status)));
            assert_eq!(u16::from(status), code);
            let classes = [
                status.is_interim(),
                status.is_success(),
                status.is_redirection(),
                status.is_client_error(),
                status.is_server_error(),
            ];
            let class = classes.iter().position(|&is_class| is_class).map_or(0, |at| at as u16 + 1);
            assert_eq!(class, if code < 600 { code / 100 } else { 0 });
            let is_registered = matches!(
                code,
                100..=103 | 200..=208 | 226 | 300..=305 | 307 | 308 | 400..=417 | 421..=426 | 428 | 429 | 431 | 451
                    | 500..=508 | 511
            );
            assert_eq!(status.reason().is_empty(), !is_registered, "{status}");
            assert!(status.line().is_empty() || status.line() == format!("HTTP/1.1 {status}\r\n"));
            let texts = [
                format!("<title>{}</title>", status.to_string().trim_end()),
                format!("<h1>{code}</h1>\n<p>{}</p>", status.reason()),
            ];
            assert!(texts.iter().all(|text| status.page().contains(text)), "{}", status.page());
        }
        assert_eq!((Status::OK.line(), Status::new(299).line()), ("HTTP/1.1 200 OK\r\n", ""));
        // RFC 6585 §5, §6.
        assert_eq!(Status::REQUEST_HEADER_FIELDS_TOO_LARGE.reason(), "Request Header Fields Too Large");
        assert_eq!(Status::new(511).to_string(), "511 Network Authentication Required");
    }

    #[test]
    fn a_code_has_three_digits() {
        for code in [0, 20, 99, 1000, u16::MAX] {
            assert_eq!(Status::from_code(code), None);
            assert_eq!(code.to_string().parse::<Status>(), Err(InvalidStatus));
            assert!(std::panic::catch_unwind(|| Status::new(code)).is_err(), "{code}");
        }
        for text in ["", "+20", "0200", "20 ", "2e2", "-20"] {
            assert_eq!(text.parse::<Status>(), Err(InvalidStatus), "{text}");
        }
    }
}
