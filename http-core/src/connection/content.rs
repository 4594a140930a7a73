//! The content of a request that the application takes piece by piece: how it begins, continues and ends.
//!
//! It must never hold more of the content than the receive buffer has room for.

use super::{
    Connection, Io,
    receiving::{ContentStatus, StreamedContent},
    state::{Content, Event, RejectedHead, State},
    step::{CloseReason, Step},
};
use crate::{
    buffer::recv_buf::RecvBuf,
    codec::encode,
    message::rejection::Rejection,
    types::{clock::deadline_after, method::Method},
};
use std::time::Instant;

impl Connection {
    /// Begins to receive the content of the request that awaits its response, piece by piece: from the next poll on, the
    /// steps [`Step::Content`] and [`Step::ContentEnd`] follow. That poll queues a 100 response if the client waits for one.
    /// The limit is that of [`Admit::AtHeadUpTo`](crate::Admit::AtHeadUpTo), or
    /// [`Limits::streamed_bytes`](crate::Limits::streamed_bytes).
    ///
    /// Call this after [`Step::Request`] and before the next poll. Returns false, and changes nothing, if there is no
    /// content to receive: the request has none, its method is CONNECT, or all of it is in
    /// [`Request::body`](crate::Request::body).
    ///
    /// # Errors
    ///
    /// The Content-Length exceeds the limit. Pass a response to [`respond`](Connection::respond), as after
    /// [`Step::Reject`].
    #[cold]
    pub fn receive_content(&mut self, now: Instant) -> Result<bool, Rejection> {
        let State::AwaitingReply { framing, content, .. } = &self.state else { return Ok(false) };
        let (most, is_awaited) = match *content {
            Content::Arriving { most } => (most, false),
            Content::Withheld { most } => (most, true),
            Content::Complete => return Ok(false),
        };
        if framing.method == Method::Connect {
            return Ok(false);
        }
        match StreamedContent::new(*framing, most, is_awaited, &self.config.limits, now) {
            Ok(content) => {
                self.transition(Event::ContentRequested, State::Receiving(Box::new(content)));
                Ok(true)
            }
            Err(error) => {
                self.reject();
                Err(Rejection::Malformed(error))
            }
        }
    }

    /// Returns the step in [`State::Receiving`].
    #[cold]
    pub(super) fn poll_receiving(&mut self, io: &mut Io<'_>) -> Option<Step> {
        let State::Receiving(content) = &mut self.state else { return None };
        if std::mem::take(&mut content.is_awaited) {
            io.out.write(|text| text.extend_from_slice(encode::CONTINUE));
        }
        if !io.out.is_empty() {
            return Some(self.flush(io));
        }
        let framing = content.framing;
        match content.decode(io.input, io.now) {
            Ok(ContentStatus::Ready) => {
                let owed_since = content.owed_since().unwrap_or(io.now);
                self.deadline = deadline_after(owed_since, self.config.timeouts.reply);
                Some(Step::Content)
            }
            Ok(ContentStatus::Partial) => {
                let deadline = content.deadline(&self.config.timeouts, io.now);
                self.receive(io, deadline, CloseReason::Truncated, usize::MAX)
            }
            Ok(ContentStatus::Complete) => {
                let content = Content::Complete;
                let next = State::AwaitingReply { framing, body: 0..0, content, received_at: io.now };
                self.transition(Event::ContentTaken, next);
                Some(Step::ContentEnd)
            }
            Err(error) => {
                let next = State::Rejecting { method: framing.method, head: RejectedHead::Gone };
                self.transition(Event::Malformed, next);
                Some(Step::Reject(Rejection::Malformed(error)))
            }
        }
    }

    /// Returns the decoded bytes of the content that were not taken yet. Not empty after [`Step::Content`].
    pub fn content<'b>(&self, input: &'b RecvBuf) -> &'b [u8] {
        match &self.state {
            State::Receiving(content) if self.used == 0 => content.ready(input),
            _ => &[],
        }
    }

    /// Removes the first `count` bytes of [`content`](Connection::content): the application has taken them. While it does
    /// not take all of them, the client owes nothing, and the application must take more within
    /// [`Timeouts::reply`](crate::Timeouts::reply).
    pub fn take_content(&mut self, input: &mut RecvBuf, count: usize) {
        match &mut self.state {
            State::Receiving(content) if self.used == 0 => content.take(input, count),
            state => debug_assert!(false, "no content to take in {state:?}"),
        }
    }
}
