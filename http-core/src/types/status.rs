//! Status codes: one table that generates the constants, reason phrases, status lines and error pages.

/// A status code (RFC 9110 §15) that this library can send.
///
/// Only the codes with a constant exist, so that every status line is a constant too. There are no interim codes (1xx):
/// only the library sends those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Status(u16);

/// Declares the constants of [`Status`] and the texts of each. Each line is a name, a code and a reason phrase.
macro_rules! statuses {
    ($($name:ident $code:literal $reason:literal)*) => {
        impl Status {
            $(
                #[doc = concat!($code, " ", $reason)]
                pub const $name: Status = Status($code);
            )*

            /// Returns the status with this code; `None` if no constant has it.
            pub const fn from_code(code: u16) -> Option<Status> {
                match code { $($code)|* => Some(Status(code)), _ => None }
            }

            /// Returns the reason phrase (RFC 9110 §15).
            pub const fn reason(self) -> &'static str {
                match self.0 { $($code => $reason,)* _ => "" }
            }

            /// Returns the status line of a response, with its CRLF.
            pub(crate) const fn line(self) -> &'static str {
                match self.0 { $($code => concat!("HTTP/1.1 ", $code, " ", $reason, "\r\n"),)* _ => "" }
            }

            /// Returns the body of [`Response::error`](crate::Response::error): an HTML page with the code and the
            /// reason phrase.
            pub(crate) const fn page(self) -> &'static str {
                match self.0 {
                    $($code => concat!(
                        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>", $code, " ", $reason,
                        "</title>\n<style>body{font:1.2em system-ui;margin:20vh auto;max-width:30em;text-align:center;",
                        "color-scheme:light dark}</style>\n<h1>", $code, "</h1>\n<p>", $reason, "</p>\n</html>\n"
                    ),)*
                    _ => "",
                }
            }
        }
    };
}

statuses! {
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
    TOO_MANY_REQUESTS 429 "Too Many Requests"
    REQUEST_HEADER_FIELDS_TOO_LARGE 431 "Request Header Fields Too Large"
    INTERNAL_SERVER_ERROR 500 "Internal Server Error"
    NOT_IMPLEMENTED 501 "Not Implemented"
    BAD_GATEWAY 502 "Bad Gateway"
    SERVICE_UNAVAILABLE 503 "Service Unavailable"
    GATEWAY_TIMEOUT 504 "Gateway Timeout"
    HTTP_VERSION_NOT_SUPPORTED 505 "HTTP Version Not Supported"
}

impl Status {
    /// Returns the code as a number.
    pub const fn code(self) -> u16 {
        self.0
    }

    /// Returns whether the code is 2xx (RFC 9110 §15.3): not a redirect and not an error.
    pub const fn is_success(self) -> bool {
        self.0 < 300
    }

    /// Returns whether a response with this status can have a body. 204 and 304 cannot (RFC 9112 §6.3, rule 1).
    pub const fn has_body(self) -> bool {
        self.0 != 204 && self.0 != 304
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.0, self.reason())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_a_line_and_a_page() {
        for code in 0..=999 {
            let Some(status) = Status::from_code(code) else { continue };
            assert_eq!(status.line(), format!("HTTP/1.1 {status}\r\n"));
            assert!(status.page().contains(&format!("<title>{status}</title>")));
        }
        assert_eq!(Status::from_code(299), None);
        // RFC 6585 §5.
        assert_eq!(Status::REQUEST_HEADER_FIELDS_TOO_LARGE.reason(), "Request Header Fields Too Large");
    }
}
