//! The response reader: takes received bytes as the network splits them, and returns one whole response.

use super::{error::ResponseError, head::ReceivingHead};
use crate::{
    codec::{body::BodyDecoder, chunked::DecodeStatus, framing::BodyLength, head::ParseStatus},
    types::{
        headers::Headers,
        limits::Limits,
        method::{Method, Version},
    },
};

/// The maximum number of interim responses before the final response (RFC 9110 §15.2). One more is an error.
const MAX_INTERIMS: u8 = 8;

/// A complete response.
///
/// ```
/// use http_core::{Limits, Method, client::{ReadStatus, ResponseReader}};
///
/// let mut reader = ResponseReader::new(Method::Get, Limits::default());
/// let bytes = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\nServer: example\r\n\r\ngone";
/// let ReadStatus::Complete(response) = reader.receive(bytes)? else { return Err("incomplete".into()) };
/// assert!(!response.is_success() && response.reusable);
/// assert_eq!((response.status, response.header("server")), (404, Some(&b"example"[..])));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientResponse {
    /// The status code, from 200 to 999. Not a [`Status`](crate::Status): a server may send codes that this library
    /// does not. Treat an unknown code as the first one of its class, such as 400 (RFC 9110 §15).
    pub status: u16,
    /// The server's protocol version.
    pub version: Version,
    /// The headers, without the white space around their values.
    pub headers: Headers,
    /// The whole body, decoded.
    pub body: Vec<u8>,
    /// Whether the connection can be used for another request: the server keeps it open (RFC 9112 §9.3), and no bytes
    /// have arrived after this response. This can be true even if the request was sent without
    /// [`with_keep_alive`](super::ClientRequest::with_keep_alive). Then the caller must close the connection (RFC 9112
    /// §9.6).
    pub reusable: bool,
}

impl ClientResponse {
    /// Returns whether the status is 2xx: the server has accepted the request (RFC 9110 §15.3).
    pub fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// Returns the value of the first header with this name, which is compared without case; `None` if there is none.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.get(name)
    }
}

/// The result of [`ResponseReader::receive`].
///
/// ```
/// use http_core::{Limits, Method, client::{ReadStatus, ResponseReader}};
///
/// let mut reader = ResponseReader::new(Method::Get, Limits::default());
/// assert_eq!(reader.receive(b"HTTP/1.1 204 No Content\r\n")?, ReadStatus::Partial);
/// let ReadStatus::Complete(response) = reader.receive(b"\r\n")? else { return Err("incomplete".into()) };
/// assert_eq!(response.status, 204);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it may contain the response"]
pub enum ReadStatus {
    /// The response is incomplete. Pass the next bytes to [`ResponseReader::receive`], or call
    /// [`ResponseReader::receive_eof`] if the server has closed the connection.
    Partial,
    /// The response is complete.
    Complete(ClientResponse),
}

/// Reads the response to one request.
///
/// ```
/// use http_core::{Limits, Method, client::{ReadStatus, ResponseReader}};
///
/// // The server neither states the length of the body nor uses the chunked coding: the end of the connection is its end.
/// let mut reader = ResponseReader::new(Method::Get, Limits::default());
/// assert_eq!(reader.receive(b"HTTP/1.0 200 OK\r\n\r\nHello")?, ReadStatus::Partial);
/// let response = reader.receive_eof()?;
/// assert_eq!((&response.body[..], response.reusable), (&b"Hello"[..], false));
/// # Ok::<(), http_core::client::ResponseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ResponseReader {
    /// The method of the request.
    method: Method,
    limits: Limits,
    /// The number of interim responses received so far.
    interims: u8,
    state: ReaderState,
}

/// What a [`ResponseReader`] is receiving.
#[derive(Clone, Debug, Default)]
enum ReaderState {
    /// The head of an interim response or of the final one.
    Head(Box<ReceivingHead>),
    /// The body of the final response. The `body` of the [`ClientResponse`] holds the bytes decoded so far.
    Body(BodyDecoder, ClientResponse),
    /// The response is complete or has failed.
    #[default]
    Finished,
}

impl ResponseReader {
    /// Creates a reader for the response to a request with this method. A response to HEAD has no body (RFC 9112 §6.3).
    ///
    /// Of `limits`, those of heads, header lines, bodies and chunk overhead apply to the response. The others are
    /// ignored.
    pub fn new(method: Method, limits: Limits) -> ResponseReader {
        ResponseReader { method, limits, interims: 0, state: ReaderState::Head(Box::default()) }
    }

    /// Parses received bytes. Call it with the next bytes until the response is complete. Bytes after the response are
    /// ignored; if this call receives any, the connection is not reusable.
    ///
    /// # Errors
    ///
    /// The first error in byte order. It does not depend on how the bytes are split into calls. After an error or a
    /// complete response, every call returns [`ResponseError::Finished`].
    pub fn receive(&mut self, bytes: &[u8]) -> Result<ReadStatus, ResponseError> {
        match std::mem::take(&mut self.state) {
            ReaderState::Head(head) => self.receive_head(head, bytes),
            ReaderState::Body(decoder, response) => self.receive_body(decoder, response, bytes),
            ReaderState::Finished => Err(ResponseError::Finished),
        }
    }

    /// Tells the reader that the server has closed the connection. Returns the response if its head is complete and
    /// neither Content-Length nor Transfer-Encoding says where its body ends: then the body ends here.
    ///
    /// # Errors
    ///
    /// [`ResponseError::Truncated`] if the response is incomplete, and [`ResponseError::Finished`] if the response was
    /// complete or had failed before.
    pub fn receive_eof(&mut self) -> Result<ClientResponse, ResponseError> {
        match std::mem::take(&mut self.state) {
            ReaderState::Body(BodyDecoder::UntilClose, response) => Ok(response),
            ReaderState::Head(_) | ReaderState::Body(..) => Err(ResponseError::Truncated),
            ReaderState::Finished => Err(ResponseError::Finished),
        }
    }

    /// Parses the next bytes of a head. Skips interim responses. When the head of the final response is complete,
    /// begins to decode the body.
    fn receive_head(
        &mut self,
        mut head: Box<ReceivingHead>,
        bytes: &[u8],
    ) -> Result<ReadStatus, ResponseError> {
        let mut status = head.receive(bytes, &self.limits)?;
        while let ParseStatus::Complete(head_len) = status {
            match head.status() {
                200.. => return self.begin_body(&head, head.rest(head_len)),
                // The bytes after a 101 are not HTTP.
                101 => return Err(ResponseError::SwitchedProtocols),
                _ if self.interims == MAX_INTERIMS => return Err(ResponseError::TooManyInterims),
                _ => self.interims += 1,
            }
            let mut next = Box::<ReceivingHead>::default();
            status = next.receive(head.rest(head_len), &self.limits)?;
            head = next;
        }
        self.state = ReaderState::Head(head);
        Ok(ReadStatus::Partial)
    }

    /// Determines the length of the body from the complete head of the final response (RFC 9112 §6.3). Then decodes
    /// `rest`, the bytes after the head.
    fn begin_body(&mut self, head: &ReceivingHead, rest: &[u8]) -> Result<ReadStatus, ResponseError> {
        let (status, version) = (head.status(), head.version());
        let framing = head.framing()?;
        // Rule 2: after a success of CONNECT, the bytes belong to the tunnel.
        let tunnel = self.method == Method::Connect && matches!(status, 200..=299);
        // Rule 1: these responses have no body, whatever the headers say.
        let length = if tunnel || self.method == Method::Head || matches!(status, 204 | 304) {
            BodyLength::Exact(0)
        } else {
            framing.length(version, BodyLength::UntilClose)?
        };
        let reusable = length != BodyLength::UntilClose && !tunnel && framing.keeps_alive(version);
        let decoder = BodyDecoder::new(length, &self.limits)?;
        let response =
            ClientResponse { status, version, headers: head.headers(), body: Vec::new(), reusable };
        self.receive_body(decoder, response, rest)
    }

    /// Decodes the next bytes of the body in place: first appends `bytes` to the body. Returns the response if the body
    /// is complete.
    fn receive_body(
        &mut self,
        mut decoder: BodyDecoder,
        mut response: ClientResponse,
        bytes: &[u8],
    ) -> Result<ReadStatus, ResponseError> {
        response.body.extend_from_slice(bytes);
        let received = response.body.len();
        let status = decoder.decode(&mut response.body, &self.limits)?;
        response.body.truncate(decoder.body_len(received));
        Ok(match status {
            DecodeStatus::Complete(end) => {
                response.reusable &= end == received;
                ReadStatus::Complete(response)
            }
            DecodeStatus::Partial => {
                self.state = ReaderState::Body(decoder, response);
                ReadStatus::Partial
            }
        })
    }
}
