//! The response reader: received bytes in, a whole response out, however the network splits it.

use super::{error::ResponseError, head::ReceivingHead};
use crate::{
    codec::{body::BodyDecoder, chunked::DecodeStatus, framing::BodyLength, head::ParseStatus},
    message::headers::Headers,
    types::{
        limits::Limits,
        method::{Method, Version},
    },
};

/// The most interim responses that the reader skips (RFC 9110 §15.2).
const MAX_INTERIMS: u8 = 8;

/// A complete response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientResponse {
    /// The status code, from 200 to 999. Not a [`Status`](crate::Status): a server may send codes that this library does
    /// not. Treat an unknown code as the first one of its class, such as 400 (RFC 9110 §15).
    pub status: u16,
    /// The server's protocol version.
    pub version: Version,
    /// The headers, without the white space around their values.
    pub headers: Headers,
    /// The whole body, decoded.
    pub body: Vec<u8>,
    /// Whether the connection can be used for another request: the server keeps it open (RFC 9112 §9.3), and no bytes
    /// follow this response. Not so if the request asked the server to close it.
    pub reusable: bool,
}

impl ClientResponse {
    /// Returns whether the server has accepted the request (RFC 9110 §15.3).
    pub fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// Returns the value of the first header with this name, which is compared without case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.get(name)
    }
}

/// Whether a response is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadStatus {
    /// More bytes are needed, or the end of the connection.
    Partial,
    /// The response is complete.
    Complete(ClientResponse),
}

/// The reader of the response to one request.
#[derive(Clone, Debug)]
pub struct ResponseReader {
    method: Method,
    limits: Limits,
    /// The number of interim responses skipped.
    interims: u8,
    state: ReaderState,
}

#[derive(Clone, Debug)]
enum ReaderState {
    Head(Box<ReceivingHead>),
    Body(BodyDecoder, ClientResponse),
    /// The response is complete or has failed.
    Finished,
}

impl ResponseReader {
    /// Creates a reader for the response to a request with this method, which determines whether there is a body.
    ///
    /// All `limits` of heads, bodies and chunk overhead apply to responses as they do to requests.
    pub fn new(method: Method, limits: Limits) -> ResponseReader {
        ResponseReader { method, limits, interims: 0, state: ReaderState::Head(Box::default()) }
    }

    /// Reads received bytes. Call it again with the next ones until the response is complete.
    ///
    /// # Errors
    ///
    /// The first error in byte order. It does not depend on how the bytes are split into calls.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<ReadStatus, ResponseError> {
        match std::mem::replace(&mut self.state, ReaderState::Finished) {
            ReaderState::Head(head) => self.receive_head(head, bytes),
            ReaderState::Body(decoder, response) => self.receive_body(decoder, response, bytes),
            ReaderState::Finished => Err(ResponseError::Finished),
        }
    }

    /// Tells the reader that the server has closed the connection. That completes a response without framing headers.
    ///
    /// # Errors
    ///
    /// [`ResponseError::Truncated`] if the response is incomplete.
    pub fn receive_eof(&mut self) -> Result<ClientResponse, ResponseError> {
        match std::mem::replace(&mut self.state, ReaderState::Finished) {
            ReaderState::Body(BodyDecoder::UntilClose, response) => Ok(response),
            ReaderState::Head(_) | ReaderState::Body(..) => Err(ResponseError::Truncated),
            ReaderState::Finished => Err(ResponseError::Finished),
        }
    }

    fn receive_head(
        &mut self,
        mut head: Box<ReceivingHead>,
        bytes: &[u8],
    ) -> Result<ReadStatus, ResponseError> {
        let mut status = head.receive(bytes, &self.limits)?;
        while let ParseStatus::Complete(head_len) = status {
            if head.status() >= 200 {
                return self.begin_body(&head, head.rest(head_len));
            }
            self.skip_interim(head.status())?;
            let mut next = Box::<ReceivingHead>::default();
            status = next.receive(head.rest(head_len), &self.limits)?;
            head = next;
        }
        self.state = ReaderState::Head(head);
        Ok(ReadStatus::Partial)
    }

    /// RFC 9110 §15.2: interim responses may be ignored. After a 101, the bytes are not HTTP any more.
    fn skip_interim(&mut self, status: u16) -> Result<(), ResponseError> {
        if status == 101 {
            return Err(ResponseError::SwitchedProtocols);
        }
        self.interims += 1;
        if self.interims > MAX_INTERIMS { Err(ResponseError::TooManyInterims) } else { Ok(()) }
    }

    /// Determines the length of the body after the head of the final response (RFC 9112 §6.3).
    fn begin_body(&mut self, head: &ReceivingHead, rest: &[u8]) -> Result<ReadStatus, ResponseError> {
        let (status, version) = (head.status(), head.version());
        let framing = head.framing()?;
        // Rule 2: a tunnel follows, and no message.
        let tunnel = self.method == Method::Connect && matches!(status, 200..=299);
        // Rule 1: no body, whatever the headers say.
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
