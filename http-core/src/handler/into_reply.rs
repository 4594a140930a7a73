//! Conversions from what a handler returns to a response or a reply, so that handlers can return text, use `?`, and be
//! written as closures.

use super::reply::Reply;
use crate::{
    message::response::Response,
    semantics::{
        form::{self, FormError},
        multipart::{self, MultipartError, ReadError},
    },
    types::status::Status,
};
use std::{borrow::Cow, sync::Arc};

/// A value that becomes a response.
///
/// | type | response |
/// |---|---|
/// | [`Response`] | itself |
/// | [`Status`] | the library's page for an error ([`Response::error`]); no body for any other status |
/// | `&'static str`, `String`, `Box<str>`, `Arc<str>`, `Cow<'static, str>` | 200 with plain text in UTF-8 |
/// | `&'static [u8]`, `Vec<u8>`, `Box<[u8]>`, `Arc<[u8]>`, `Cow<'static, [u8]>` | 200 with the type `application/octet-stream` |
/// | `()` | 204 |
/// | `(Status, T)` | that of `T`, with this status |
/// | [`FormError`](crate::form::FormError) | 415 |
/// | [`MultipartError`](crate::multipart::MultipartError) | 415 for another type; 413 for a part that is too large; otherwise 400 |
/// | [`multipart::ReadError`](crate::multipart::ReadError) | that of the `MultipartError`; 500 for an I/O error |
/// | `Option<T>` | that of `T`; 404 for `None` |
/// | `Result<T, E>` | that of `T` or of `E`, so that `?` leaves a handler with an error response |
///
/// Implement it for the error type of an application, to choose the response to each error in one place:
///
/// ```
/// use http_core::{IntoResponse, Request, Response, Status};
///
/// enum Failure {
///     NoName,
///     Storage(std::io::Error),
/// }
///
/// impl From<std::io::Error> for Failure {
///     fn from(error: std::io::Error) -> Failure {
///         Failure::Storage(error)
///     }
/// }
///
/// impl IntoResponse for Failure {
///     fn into_response(self) -> Response {
///         match self {
///             Failure::NoName => Response::text("no name").with_status(Status::BAD_REQUEST),
///             Failure::Storage(_) => Response::error(Status::INTERNAL_SERVER_ERROR),
///         }
///     }
/// }
///
/// fn save(request: &Request<'_>) -> Result<Status, Failure> {
///     let name = request.header("Name").ok_or(Failure::NoName)?;
///     std::fs::write("/tmp/name", name)?;
///     Ok(Status::CREATED)
/// }
/// ```
#[diagnostic::on_unimplemented(
    note = "to use `?` in a handler, return an error type of your own that implements `IntoResponse`"
)]
pub trait IntoResponse {
    /// Returns the response.
    fn into_response(self) -> Response;
}

/// A value that becomes a reply: a [`Reply`], or every value that becomes a response ([`IntoResponse`] has the table).
///
/// Every `Fn(&Request) -> R` with `R: IntoReply` is a [`Handler`](crate::Handler). So a function can respond at once in
/// one case, and later in another:
///
/// ```
/// use http_core::{Reply, Request, Response, Status, testing::TestRequest};
///
/// fn report(request: &Request<'_>) -> Result<Reply, Response> {
///     let day: u8 = match request.path().trim_start_matches('/').parse() {
///         Ok(day @ 1..=31) => day,
///         _ => return Err(Response::text("which day?").with_status(Status::BAD_REQUEST)),
///     };
///     Ok(Reply::offload(move || format!("a long computation for day {day}")))
/// }
///
/// assert_eq!(TestRequest::get("/7").run(&report).text(), "a long computation for day 7");
/// assert_eq!(TestRequest::get("/0").run(&report).status(), Status::BAD_REQUEST);
/// ```
pub trait IntoReply {
    /// Returns the reply.
    fn into_reply(self) -> Reply;
}

impl IntoReply for Reply {
    #[inline]
    fn into_reply(self) -> Reply {
        self
    }
}

impl IntoResponse for Response {
    #[inline]
    fn into_response(self) -> Response {
        self
    }
}

impl IntoResponse for Status {
    fn into_response(self) -> Response {
        if self.is_client_error() || self.is_server_error() {
            Response::error(self)
        } else {
            Response::new(self)
        }
    }
}

impl From<Status> for Response {
    fn from(status: Status) -> Response {
        status.into_response()
    }
}

impl IntoResponse for () {
    fn into_response(self) -> Response {
        Response::new(Status::NO_CONTENT)
    }
}

impl IntoResponse for FormError {
    fn into_response(self) -> Response {
        unsupported(form::MEDIA_TYPE)
    }
}

impl IntoResponse for MultipartError {
    fn into_response(self) -> Response {
        match self {
            MultipartError::Type => unsupported(multipart::MEDIA_TYPE),
            MultipartError::PartTooLarge => Response::error(Status::CONTENT_TOO_LARGE),
            _ => Response::error(Status::BAD_REQUEST),
        }
    }
}

impl IntoResponse for ReadError {
    fn into_response(self) -> Response {
        match self {
            ReadError::Malformed(error) => error.into_response(),
            ReadError::Io(_) => Response::error(Status::INTERNAL_SERVER_ERROR),
        }
    }
}

/// Returns the response to content of another type than `media_type` (RFC 9110 §15.5.16).
fn unsupported(media_type: &str) -> Response {
    Response::error(Status::UNSUPPORTED_MEDIA_TYPE).with_header("Accept", media_type)
}

/// Implements [`IntoResponse`] for types of text and of bytes with these constructors of [`Response`].
macro_rules! bodies {
    ($($constructor:ident: $($body:ty),+;)+) => {$($(
        impl IntoResponse for $body {
            fn into_response(self) -> Response {
                Response::$constructor(self)
            }
        }
    )+)+};
}

bodies! {
    text: &'static str, String, Box<str>, Arc<str>, Cow<'static, str>;
    bytes: &'static [u8], Vec<u8>, Box<[u8]>, Arc<[u8]>, Cow<'static, [u8]>;
}

/// Implements [`IntoReply`] for types that become a response. An implementation for every `T: IntoResponse` would
/// exclude the `Option` and the `Result` of a [`Reply`].
macro_rules! immediate {
    ($($response:ty),+ $(,)?) => {$(
        impl IntoReply for $response {
            #[inline]
            fn into_reply(self) -> Reply {
                Reply::Now(self.into_response())
            }
        }
    )+};
}

immediate!(Response, Status, (), &'static str, String, Box<str>, Arc<str>, Cow<'static, str>);
immediate!(&'static [u8], Vec<u8>, Box<[u8]>, Arc<[u8]>, Cow<'static, [u8]>);
immediate!(FormError, MultipartError, ReadError);

impl<T: IntoResponse> IntoResponse for (Status, T) {
    fn into_response(self) -> Response {
        self.1.into_response().with_status(self.0)
    }
}

impl<T: IntoReply> IntoReply for (Status, T) {
    fn into_reply(self) -> Reply {
        self.1.into_reply().map(move |response| response.with_status(self.0))
    }
}

impl<T: IntoResponse> IntoResponse for Option<T> {
    fn into_response(self) -> Response {
        self.map_or_else(|| Status::NOT_FOUND.into_response(), T::into_response)
    }
}

impl<T: IntoReply> IntoReply for Option<T> {
    fn into_reply(self) -> Reply {
        self.map_or_else(|| Status::NOT_FOUND.into_reply(), T::into_reply)
    }
}

impl<T: IntoResponse, E: IntoResponse> IntoResponse for Result<T, E> {
    fn into_response(self) -> Response {
        self.map_or_else(E::into_response, T::into_response)
    }
}

impl<T: IntoReply, E: IntoResponse> IntoReply for Result<T, E> {
    fn into_reply(self) -> Reply {
        self.map_or_else(|error| error.into_response().into(), T::into_reply)
    }
}
