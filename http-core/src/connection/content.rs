//! How the content of a request is taken: received into memory, passed on piece by piece, or dropped.
//!
//! It must never hold more of content that is passed on or dropped than the receive buffer has room for.

use super::{
    Connection, Io, KeepAlive,
    receiving::{BufferedBody, ContentStatus, DiscardedBody, StreamedContent},
    state::{Content, Event, RejectedHead, State},
    step::{CloseReason, Step},
};
use crate::{
    buffer::recv_buf::RecvBuf,
    codec::{encode, framing::RequestFraming},
    message::rejection::Rejection,
    types::{admit::Admit, clock::deadline_after, method::Method},
};
use std::time::Instant;

impl Connection {
    /// Returns [`Step::Head`] for the head of a request with a body, or [`Step::Request`] if its body is not to be
    /// received.
    #[cold]
    pub(super) fn begin_admitting(&mut self, framing: RequestFraming, head_len: usize, io: &Io<'_>) -> Step {
        if framing.method == Method::Connect {
            // RFC 9110 §9.3.6: the content of a CONNECT has no meaning, and the connection ends with the response.
            let content = Content::after_head(&framing, io.input, head_len, 0);
            return self.complete_request(framing, head_len..head_len, head_len, content, io.now);
        }
        let admit = Admit::Buffer;
        let next = State::Admitting { framing, head_len, received_at: io.now, admit };
        self.transition(Event::HeadComplete, next);
        Step::Head
    }

    /// Sets how the body of the request is taken. Call this after [`Step::Head`] and before the next poll: at any other
    /// time, it does nothing, and panics in a debug build.
    pub fn admit(&mut self, choice: Admit) {
        match &mut self.state {
            State::Admitting { admit, .. } => *admit = choice,
            state => debug_assert!(false, "no head awaits a choice in {state:?}"),
        }
    }

    /// Takes the body of the request with this framing as `admit` says. Queues a 100 response if the body is to be
    /// received and the client waits for one.
    ///
    /// Returns [`Step::Request`] if the handler wants the request without its body, and [`Step::Reject`] if
    /// Content-Length announces a body beyond the limit. Otherwise enters the body state and returns `None`: `poll`
    /// determines the next step there.
    #[cold]
    pub(super) fn take_body(
        &mut self,
        framing: RequestFraming,
        head_len: usize,
        admit: Admit,
        io: &mut Io<'_>,
    ) -> Option<Step> {
        let limits = &self.config.limits;
        let at_head = match admit {
            Admit::AtHead => Some(limits.streamed_bytes),
            Admit::AtHeadUpTo(limit) => Some(limit),
            Admit::Buffer | Admit::BufferUpTo(_) => None,
        };
        if let Some(limit) = at_head {
            let content = Content::after_head(&framing, io.input, head_len, limit);
            return Some(self.complete_request(framing, head_len..head_len, head_len, content, io.now));
        }
        let mut limits = limits.clone();
        if let Admit::BufferUpTo(limit) = admit {
            limits.body_bytes = usize::try_from(limit).unwrap_or(usize::MAX);
        }
        match BufferedBody::new(framing, head_len, limits, io.now) {
            Err(error) => Some(self.reject_malformed(error, Some(framing), io.input, io.now)),
            Ok(body) => {
                if Content::awaits_continue(&framing, io.input, head_len) {
                    io.out.write(|text| text.extend_from_slice(encode::CONTINUE));
                }
                self.enter(Event::BodyAdmitted, State::Body(Box::new(body)))
            }
        }
    }

    /// Returns the step in [`State::Body`]; `None` if the state has changed.
    #[inline]
    pub(super) fn poll_body(&mut self, io: &mut Io<'_>) -> Option<Step> {
        let State::Body(buffered) = &mut self.state else { return None };
        let framing = buffered.framing;
        match buffered.decode(io.input) {
            Ok(Some((body, len))) => {
                Some(self.complete_request(framing, body, len, Content::Complete, io.now))
            }
            Ok(None) => {
                let deadline = buffered.deadline(io.input, &self.config.timeouts, io.now);
                let expected = buffered.expected_len();
                self.flush_or_receive(io, deadline, expected)
            }
            Err(error) => Some(self.reject_malformed(error, Some(framing), io.input, io.now)),
        }
    }

    /// Returns the step in [`State::Discarding`]; `None` if the state has changed.
    #[cold]
    pub(super) fn poll_discarding(&mut self, io: &mut Io<'_>) -> Option<Step> {
        let State::Discarding(discarded) = &mut self.state else { return None };
        match discarded.discard(io.input, &self.config.limits) {
            Ok(true) => self.enter(Event::BodyDiscarded, State::Idle { since: io.now, removed: 0 }),
            Ok(false) if self.keep_alive == KeepAlive::Disabled => {
                self.enter(Event::KeepAliveDisabled, State::Finishing { linger: true })
            }
            Ok(false) => {
                let deadline = discarded.deadline(&self.config.timeouts, io.now);
                self.flush_or_receive(io, deadline, usize::MAX)
            }
            // The request has its response: the client would take another one for that of its next request.
            Err(_) => self.enter(Event::Malformed, State::Finishing { linger: true }),
        }
    }

    /// Returns what drops the body of the request that awaits its response, so that the connection can stay open.
    /// Returns `None` if it cannot: the body is too long, or the client waits for a 100 response and may never send the
    /// body.
    #[cold]
    pub(super) fn discarded_body(&self, now: Instant) -> Option<Box<DiscardedBody>> {
        let limits = &self.config.limits;
        let discarded = match &self.state {
            State::AwaitingReply { framing, content: Content::Arriving { .. }, .. } => {
                DiscardedBody::new(framing.body, limits, now)
            }
            State::Receiving(content) if !content.awaits_continue => {
                DiscardedBody::rest_of(content, limits, now)
            }
            _ => return None,
        };
        discarded.ok().map(Box::new)
    }

    /// Begins to receive the content of the request that awaits its response, piece by piece: from the next poll on,
    /// the steps [`Step::Content`] and [`Step::ContentEnd`] follow. That poll queues a 100 response if the client waits
    /// for one. The limit is that of [`Admit::AtHeadUpTo`], or
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
        let (limit, awaits_continue) = match *content {
            Content::Arriving { limit } => (limit, false),
            Content::Withheld { limit } => (limit, true),
            Content::Complete => return Ok(false),
        };
        if framing.method == Method::Connect {
            return Ok(false);
        }
        match StreamedContent::new(*framing, limit, awaits_continue, &self.config.limits, now) {
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
        if std::mem::take(&mut content.awaits_continue) {
            io.out.write(|text| text.extend_from_slice(encode::CONTINUE));
        }
        if !io.out.is_empty() {
            return Some(self.flush(io));
        }
        let framing = content.framing;
        match content.decode(io.input, io.now) {
            Ok(ContentStatus::Ready) => {
                let untaken_since = content.untaken_since().unwrap_or(io.now);
                self.deadline = deadline_after(untaken_since, self.config.timeouts.reply);
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

    /// Returns the decoded bytes of the content that the application has not taken. Not empty after [`Step::Content`].
    pub fn content<'b>(&self, input: &'b RecvBuf) -> &'b [u8] {
        match &self.state {
            State::Receiving(content) if self.request_len == 0 => content.ready(input),
            _ => &[],
        }
    }

    /// Removes the first `count` bytes of [`content`](Connection::content): the application has taken them. Until it
    /// has taken all of them, no timeout runs against the client, and the application must take more within
    /// [`Timeouts::reply`](crate::Timeouts::reply).
    pub fn take_content(&mut self, input: &mut RecvBuf, count: usize) {
        match &mut self.state {
            State::Receiving(content) if self.request_len == 0 => content.take(input, count),
            state => debug_assert!(false, "no content to take in {state:?}"),
        }
    }
}
