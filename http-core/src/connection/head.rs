//! The states before a request: the connection is idle, or receives a head.
//!
//! It must never pass on a request whose head is not complete and valid.

use super::{
    Connection, Io, KeepAlive,
    state::{Content, Event, RejectedHead, State},
    step::{CloseReason, Step},
};
use crate::{
    buffer::recv_buf::RecvBuf,
    codec::{
        framing::{BodyLength, RequestFraming, TargetStatus},
        head::{MAX_LEADING_CRLF, ParseStatus},
    },
    message::{rejection::Rejection, upgrade::OfferedProtocols},
    types::{clock::deadline_after, error::ParseError, method::Schemes},
};
use std::{ops::Range, time::Instant};

impl Connection {
    /// Returns the step in [`State::Idle`]; `None` if the state has changed. The idle timeout runs from `since`.
    /// `removed` is the number of bytes of empty lines removed since then.
    #[inline]
    pub(super) fn poll_idle(&mut self, since: Instant, removed: usize, io: &mut Io<'_>) -> Option<Step> {
        // The responses to pipelined requests are sent together, up to a number of bytes. A request behind a stream
        // waits for its end, because the length of a stream is unknown.
        if io.out.pending() >= self.config.limits.queued_bytes.max(1) || io.out.has_stream() {
            return Some(self.flush(io));
        }
        if !io.input.is_empty() && self.keep_alive != KeepAlive::Disabled {
            if removed == 0 && !io.input.begins_with_line_end() {
                return self.enter(Event::HeadStarted, State::Head { since: io.now });
            }
            return self.skip_empty_lines(io);
        }
        if !io.out.is_empty() {
            return Some(self.flush(io));
        }
        let deadline = self.idle_deadline(since);
        if self.keep_alive != KeepAlive::Enabled && deadline <= io.now {
            return self.enter(Event::KeepAliveDisabled, State::Finishing { linger: false });
        }
        self.receive(io, deadline, CloseReason::ClientClosed, usize::MAX)
    }

    /// Removes the empty lines that may come before a head (RFC 9112 §2.2). Returns [`Step::Reject`] if there are more
    /// than [`MAX_LEADING_CRLF`] before one head, or CR and LF are not in pairs. Otherwise returns `None`: the state
    /// has changed, or the receive buffer is empty. The idle timeout continues.
    #[cold]
    fn skip_empty_lines(&mut self, io: &mut Io<'_>) -> Option<Step> {
        let State::Idle { removed, .. } = &mut self.state else { return None };
        *removed = io.input.skip_empty_lines(*removed, 2 * MAX_LEADING_CRLF);
        if io.input.is_empty() {
            None
        } else if removed.is_multiple_of(2) && !io.input.begins_with_line_end() {
            self.enter(Event::HeadStarted, State::Head { since: io.now })
        } else {
            Some(self.reject_malformed(ParseError::LineEnding, None, io.input, io.now))
        }
    }

    /// Returns the step in [`State::Head`]; `None` if the state has changed. The timeout of the head runs from `since`.
    #[inline]
    pub(super) fn poll_head(&mut self, since: Instant, io: &mut Io<'_>) -> Option<Step> {
        let validated = match io.input.parse_head(&self.config.limits) {
            Ok(ParseStatus::Partial) => {
                self.forget_client();
                let deadline = deadline_after(since, self.config.timeouts.head);
                return self.flush_or_receive(io, deadline, usize::MAX);
            }
            Ok(ParseStatus::Complete(head_len)) => {
                let validated = io.input.validate_head(self.schemes());
                validated.map(|framing| (RequestFraming { is_secure: self.is_secure, ..framing }, head_len))
            }
            Err(error) => Err(error),
        };
        let validated =
            if self.proxy.is_some() { self.read_forwarded(validated, io.input) } else { validated };
        if let Ok((RequestFraming { upgrade: true, .. }, _)) = validated {
            self.keep_offer(io.input);
        }
        match validated {
            Ok((framing, head_len)) if framing.target != TargetStatus::Valid => {
                Some(self.reject_target(framing, head_len, io.input, io.now))
            }
            Ok((framing, head_len)) if framing.body == BodyLength::Exact(0) => {
                Some(self.complete_request(framing, head_len..head_len, head_len, Content::Complete, io.now))
            }
            Ok((framing, head_len)) => Some(self.begin_admitting(framing, head_len, io)),
            Err(error) => Some(self.reject_malformed(error, None, io.input, io.now)),
        }
    }

    /// Returns the schemes of the URIs that are served on this connection.
    #[inline]
    fn schemes(&self) -> Schemes {
        match self.config.schemes {
            Schemes::Http if self.is_secure => Schemes::Https,
            schemes => schemes,
        }
    }

    /// Copies the protocols that the request at the front of `input` offers: its response may come when the request has
    /// left the receive buffer.
    #[cold]
    fn keep_offer(&mut self, input: &RecvBuf) {
        let (index, bytes) = (&input.index, input.unread());
        let upgrade = index
            .header_spans()
            .iter()
            .filter(|header| header.name.of(bytes).eq_ignore_ascii_case(b"Upgrade"));
        self.offered = Some(Box::new(OfferedProtocols::new(upgrade.map(|header| header.value.of(bytes)))));
    }

    /// Returns [`Step::Request`] for a request, and sets the deadline of its response. The request has `len` bytes in
    /// the receive buffer. The bytes in the range `body` are the decoded body. `content` is what has arrived of its
    /// content.
    #[inline]
    pub(super) fn complete_request(
        &mut self,
        framing: RequestFraming,
        body: Range<usize>,
        len: usize,
        content: Content,
        now: Instant,
    ) -> Step {
        self.request_len = len;
        self.awaits_handshake = false;
        self.deadline = deadline_after(now, self.config.timeouts.reply);
        self.transition(
            Event::RequestComplete,
            State::AwaitingReply { framing, body, content, received_at: now },
        );
        Step::Request
    }

    /// Rejects a request because of `error`: changes the state, and returns [`Step::Reject`]. `framing` is `None` if
    /// the error is in the head. `input` begins with the request.
    #[cold]
    pub(super) fn reject_malformed(
        &mut self,
        error: ParseError,
        framing: Option<RequestFraming>,
        input: &RecvBuf,
        now: Instant,
    ) -> Step {
        // This function takes `input` and `now`, because a reference to `Io` would keep all its fields out of
        // registers.
        self.begin_rejecting(framing, input, now);
        Step::Reject(Rejection::Malformed(error))
    }

    /// Changes the state because the request at the front of `input` is malformed or too large. `framing` is `None` if
    /// its head is not complete and valid.
    pub(super) fn begin_rejecting(&mut self, framing: Option<RequestFraming>, input: &RecvBuf, now: Instant) {
        let method = input.index.method(input.unread());
        let head = framing.map_or(RejectedHead::Invalid, |framing| RejectedHead::Valid(framing, now));
        self.transition(Event::Malformed, State::Rejecting { method, head });
    }

    /// Rejects a request whose head is valid except for the path or the query of its target: changes the state, and
    /// returns [`Step::Reject`]. The head has `head_len` bytes, at the front of `input`.
    ///
    /// The connection stays open after a redirect of a request without a body, because the end of the request is known.
    /// A body is not received.
    #[cold]
    fn reject_target(
        &mut self,
        framing: RequestFraming,
        head_len: usize,
        input: &RecvBuf,
        now: Instant,
    ) -> Step {
        if let TargetStatus::Malformed(error) = framing.target {
            return self.reject_malformed(error, Some(framing), input, now);
        }
        // With `Withheld`, the connection closes. That must not depend on how much of a body has arrived.
        let has_body = framing.body != BodyLength::Exact(0);
        let content = if has_body { Content::Withheld { limit: 0 } } else { Content::Complete };
        self.complete_request(framing, head_len..head_len, head_len, content, now);
        Step::Reject(Rejection::TargetNotEncoded)
    }
}
