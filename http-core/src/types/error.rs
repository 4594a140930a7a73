//! What can be wrong with a request, and the one total map from there to the answer's status.

use super::status::Status;

macro_rules! parse_errors {
    ($($(#[$doc:meta])* $variant:ident $status:ident $text:literal)*) => {
        /// A fault of the peer's that ends its connection. What stands behind it is neither read nor served.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ParseError {
            $($(#[$doc])* $variant,)*
        }

        impl ParseError {
            /// The status that answers this fault.
            pub const fn status(self) -> Status {
                match self { $(ParseError::$variant => Status::$status,)* }
            }

            /// The fault in words, for a log.
            pub const fn as_str(self) -> &'static str {
                match self { $(ParseError::$variant => $text,)* }
            }
        }
    };
}

parse_errors! {
    /// The method is empty or holds an octet that is no token (RFC 9110 §9.1).
    Method BAD_REQUEST "malformed method"
    /// The method is longer than any that exists (RFC 9112 §3).
    MethodTooLong NOT_IMPLEMENTED "method too long"
    /// The target is empty, holds a forbidden octet, or its form does not fit the method (RFC 9112 §3.2).
    Target BAD_REQUEST "malformed request target"
    /// The target exceeds [`Limits::target_bytes`](crate::Limits::target_bytes).
    TargetTooLong URI_TOO_LONG "request target too long"
    /// The target is an `https` resource, and no TLS is spoken here (RFC 9110 §7.4).
    Misdirected MISDIRECTED_REQUEST "https target without TLS"
    /// What stands for the version is none, as in HTTP/0.9 (RFC 9112 §2.3).
    Version BAD_REQUEST "malformed version"
    /// A version with another major number.
    VersionUnsupported HTTP_VERSION_NOT_SUPPORTED "unsupported major version"
    /// CR without LF, or LF without CR (RFC 9112 §2.2).
    LineEnding BAD_REQUEST "bare CR or LF"
    /// A field name is empty, no token, or has white space before its colon (RFC 9112 §5.1).
    FieldName BAD_REQUEST "malformed field name"
    /// A field value holds NUL or another control (RFC 9110 §5.5).
    FieldValue BAD_REQUEST "malformed field value"
    /// A line begins with white space (RFC 9112 §5.2).
    ObsFold BAD_REQUEST "folded field line"
    /// The head exceeds [`Limits::head_bytes`](crate::Limits::head_bytes).
    HeadTooLarge REQUEST_HEADER_FIELDS_TOO_LARGE "head too large"
    /// The head exceeds [`Limits::fields`](crate::Limits::fields).
    TooManyFields REQUEST_HEADER_FIELDS_TOO_LARGE "too many fields"
    /// An HTTP/1.1 request without Host (RFC 9112 §3.2).
    HostMissing BAD_REQUEST "Host missing"
    /// More than one Host, or one that is no authority.
    Host BAD_REQUEST "malformed or repeated Host"
    /// Content-Length is no number, or several that differ (RFC 9112 §6.3, rule 5).
    ContentLength BAD_REQUEST "malformed Content-Length"
    /// Transfer-Encoding beside Content-Length: smuggling (RFC 9112 §6.1).
    BothLengths BAD_REQUEST "Transfer-Encoding and Content-Length"
    /// Transfer-Encoding that does not end in chunked, names it twice, or comes from HTTP/1.0 (RFC 9112 §6.1).
    TransferEncoding BAD_REQUEST "malformed Transfer-Encoding"
    /// A transfer coding that is not implemented (RFC 9112 §6.1).
    CodingUnknown NOT_IMPLEMENTED "unknown transfer coding"
    /// An expectation other than 100-continue (RFC 9110 §10.1.1).
    Expectation EXPECTATION_FAILED "unknown expectation"
    /// A chunk's size, extension or end is malformed (RFC 9112 §7.1).
    Chunk BAD_REQUEST "malformed chunk"
    /// Chunk extensions or trailers exceed [`Limits::chunk_overhead_bytes`](crate::Limits::chunk_overhead_bytes).
    ChunkOverhead REQUEST_HEADER_FIELDS_TOO_LARGE "chunk extensions or trailers too large"
    /// A trailer field is malformed (RFC 9112 §7.1.2).
    Trailer BAD_REQUEST "malformed trailer field"
    /// The content exceeds [`Limits::body_bytes`](crate::Limits::body_bytes).
    BodyTooLarge CONTENT_TOO_LARGE "content too large"
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for ParseError {}
