//! The response reader: pieces of bytes in, a whole response out, wherever the network cuts it.

use super::{content::Content, error::ResponseError, head::Head};
use crate::{
    codec::{delimiting::BodyLength, head},
    message::headers::Fields,
    types::{limits::Limits, method::Method, version::Version},
};

/// How many interim responses are passed over; a server has no use for more than a few (RFC 9110 §15.2).
const MAX_INTERIMS: u8 = 8;

/// A complete response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The code, from 200 to 999. It is no [`Status`](crate::Status), for a peer may send others than this
    /// library does; one that is not known is understood by its first digit (RFC 9110 §15).
    pub status: u16,
    /// The version that the peer speaks.
    pub version: Version,
    /// The field lines, without the white space around their values.
    pub fields: Fields,
    /// The content, whole and decoded.
    pub body: Vec<u8>,
    /// Whether the peer keeps the connection for another request (RFC 9112 §9.3), and nothing has come on it that
    /// does not belong to this response. A request that asked for the end has ruled it out already.
    pub reusable: bool,
}

impl Response {
    /// Whether it says that the request was understood and accepted (RFC 9110 §15.3).
    pub fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// The value of the first field with this name, in any case.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.find(name)
    }
}

/// Whether the response is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are needed, or the end of the connection.
    Partial,
    /// All of it is here.
    Complete(Response),
}

/// A reader for the response to one request.
#[derive(Clone, Debug)]
pub struct ResponseReader {
    method: Method,
    limits: Limits,
    /// Interim responses passed over so far.
    interims: u8,
    state: State,
}

/// What is being read; a fault leaves nothing.
#[derive(Clone, Debug)]
enum State {
    Head(Box<Head>),
    /// The response still lacks this content.
    Content(Content, Response),
    Over,
}

impl ResponseReader {
    /// A reader for the response to a request with this method, on which it depends whether there is content.
    ///
    /// Of the `limits`, those on a head's bytes and fields, on the content's bytes and on the overhead of chunks
    /// count here as they do for requests.
    pub fn new(method: Method, limits: Limits) -> ResponseReader {
        ResponseReader { method, limits, interims: 0, state: State::Head(Box::default()) }
    }

    /// Takes in what has arrived. Call it again with what comes next until the response is complete.
    ///
    /// # Errors
    ///
    /// The first fault, in the order of the bytes, wherever they were cut on their way here.
    pub fn receive(&mut self, piece: &[u8]) -> Result<Progress, ResponseError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Head(head) => self.head(head, piece),
            State::Content(content, response) => self.content(content, response, piece),
            State::Over => Err(ResponseError::Over),
        }
    }

    /// The peer has ended the connection. That completes a response that nothing else delimits.
    ///
    /// # Errors
    ///
    /// [`ResponseError::Truncated`] for any other.
    pub fn ended(&mut self) -> Result<Response, ResponseError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Content(content, response) if content.ends_with_connection() => {
                Ok(Response { body: content.into_bytes(), ..response })
            }
            State::Head(_) | State::Content(..) => Err(ResponseError::Truncated),
            State::Over => Err(ResponseError::Over),
        }
    }

    fn head(&mut self, mut head: Box<Head>, piece: &[u8]) -> Result<Progress, ResponseError> {
        let mut progress = head.receive(piece, &self.limits)?;
        while let head::Progress::Complete(head_len) = progress {
            if head.status() >= 200 {
                return self.judge(&head, head.rest(head_len));
            }
            self.pass_over(&head)?;
            let mut next = Box::<Head>::default();
            progress = next.receive(head.rest(head_len), &self.limits)?;
            head = next;
        }
        self.state = State::Head(head);
        Ok(Progress::Partial)
    }

    /// RFC 9110 §15.2: an interim response may be ignored, but behind 101 nothing would be HTTP any more.
    fn pass_over(&mut self, interim: &Head) -> Result<(), ResponseError> {
        if interim.status() == 101 {
            return Err(ResponseError::SwitchedProtocols);
        }
        self.interims += 1;
        if self.interims > MAX_INTERIMS { Err(ResponseError::TooManyInterims) } else { Ok(()) }
    }

    /// Decides what content follows the head of the final response (RFC 9112 §6.3).
    fn judge(&mut self, head: &Head, rest: &[u8]) -> Result<Progress, ResponseError> {
        let (status, version) = (head.status(), head.version());
        let delimiting = head.delimiting()?;
        // Rule 2: what follows is a tunnel, and no message of this connection any more.
        let tunnel = self.method == Method::Connect && matches!(status, 200..=299);
        // Rule 1: whatever the fields say.
        let length = if tunnel || self.method == Method::Head || matches!(status, 204 | 304) {
            Some(BodyLength::Exact(0))
        } else {
            delimiting.body_length(version)?
        };
        let reusable = length.is_some() && !tunnel && delimiting.keeps_alive(version);
        let content = Content::of(length, &self.limits)?;
        let response = Response { status, version, fields: head.fields(), body: Vec::new(), reusable };
        self.content(content, response, rest)
    }

    fn content(
        &mut self,
        mut content: Content,
        response: Response,
        piece: &[u8],
    ) -> Result<Progress, ResponseError> {
        Ok(match content.receive(piece, &self.limits)? {
            Some(excess) => {
                let reusable = response.reusable && excess == 0;
                Progress::Complete(Response { body: content.into_bytes(), reusable, ..response })
            }
            None => {
                self.state = State::Content(content, response);
                Progress::Partial
            }
        })
    }
}
