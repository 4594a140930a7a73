//! The state of a connection while it receives a request body: into memory, or to drop it.

use super::progress::ProgressClock;
use crate::{
    buffer::recv_buf::RecvBuf,
    codec::{
        body::BodyDecoder,
        chunked::DecodeStatus,
        framing::{BodyLength, RequestFraming},
    },
    types::{
        error::ParseError,
        limits::{Limits, Timeouts},
    },
};
use std::{ops::Range, time::Instant};

/// A request whose head is complete and whose body is not. Its bytes are at the front of the receive buffer.
#[derive(Debug)]
pub(super) struct ReceivingBody {
    pub(super) framing: RequestFraming,
    /// The length of the head in bytes. The body follows it.
    head_len: usize,
    decoder: BodyDecoder,
    /// The limits of this request: those of the connection, with the limit of the body that the handler has chosen.
    limits: Limits,
    /// Computes the deadline for the next bytes of the body.
    pub(super) clock: ProgressClock,
}

impl ReceivingBody {
    /// Begins to receive the body that `framing` announces, after a head of `head_len` bytes. `now` is the current
    /// time.
    ///
    /// # Errors
    ///
    /// [`ParseError::BodyTooLarge`] if the announced length exceeds the limit.
    pub(super) fn new(
        framing: RequestFraming,
        head_len: usize,
        limits: Limits,
        now: Instant,
    ) -> Result<ReceivingBody, ParseError> {
        let decoder = BodyDecoder::new(framing.body, &limits)?;
        Ok(ReceivingBody { framing, head_len, decoder, limits, clock: ProgressClock::start(0, now) })
    }

    /// Decodes the bytes of the body in `input`. If the request is complete, returns where the decoded body is in `input`,
    /// and the number of bytes that the whole request has there. Returns `None` if more bytes are needed.
    ///
    /// # Errors
    ///
    /// If the chunked coding is malformed, or the body, or its chunk extensions and trailers, exceed a limit.
    pub(super) fn decode(
        &mut self,
        input: &mut RecvBuf,
    ) -> Result<Option<(Range<usize>, usize)>, ParseError> {
        let received = input.after_mut(self.head_len);
        let status = self.decoder.decode(received, &self.limits)?;
        let body_end = self.head_len + self.decoder.body_len(received.len());
        Ok(match status {
            DecodeStatus::Complete(end) => Some((self.head_len..body_end, self.head_len + end)),
            DecodeStatus::Partial => {
                input.truncate(body_end);
                None
            }
        })
    }

    /// Returns the length of the whole request in bytes; `usize::MAX` if it is unknown.
    pub(super) fn expected_len(&self) -> usize {
        match self.framing.body {
            BodyLength::Exact(length) => {
                self.head_len.saturating_add(usize::try_from(length).unwrap_or(usize::MAX))
            }
            BodyLength::Chunked | BodyLength::UntilClose => usize::MAX,
        }
    }

    /// Returns the time by which the client must send more of the body, as [`Timeouts::body_idle`] and
    /// [`Timeouts::body_rate`] require. The idle timeout begins again at `now` if `input` holds more of the body than
    /// in the last call.
    ///
    /// Call [`decode`](ReceivingBody::decode) before: chunk framing must not count as received.
    pub(super) fn deadline(&mut self, input: &RecvBuf, timeouts: &Timeouts, now: Instant) -> Instant {
        let body = input.unread().len().saturating_sub(self.head_len) as u64;
        self.clock.deadline(body, timeouts.body_idle, timeouts.body_rate, now)
    }
}

/// The body of a request whose response is queued, and whose handler did not want it. It is received and dropped, so that
/// the next request can follow.
#[derive(Debug)]
pub(super) struct DiscardedBody {
    decoder: BodyDecoder,
    /// The number of body bytes dropped so far.
    dropped: u64,
    /// Computes the deadline for the next bytes of the body.
    pub(super) clock: ProgressClock,
}

impl DiscardedBody {
    /// Begins to drop a body with this length. `now` is the current time.
    ///
    /// # Errors
    ///
    /// [`ParseError::BodyTooLarge`] if `length` is a number of bytes above [`Limits::body_bytes`].
    pub(super) fn new(
        length: BodyLength,
        limits: &Limits,
        now: Instant,
    ) -> Result<DiscardedBody, ParseError> {
        let decoder = BodyDecoder::new(length, limits)?;
        Ok(DiscardedBody { decoder, dropped: 0, clock: ProgressClock::start(0, now) })
    }

    /// Removes the bytes of the body from `input`. Returns whether the body is complete: then `input` begins with the bytes
    /// after it. Otherwise `input` is empty, and more bytes are needed.
    ///
    /// # Errors
    ///
    /// If the chunked coding is malformed, or the body, or its chunk extensions and trailers, exceed a limit.
    pub(super) fn discard(&mut self, input: &mut RecvBuf, limits: &Limits) -> Result<bool, ParseError> {
        let received = input.after_mut(0);
        let count = received.len();
        let status = self.decoder.decode(received, limits)?;
        self.dropped = self.dropped.saturating_add(self.decoder.forget(count) as u64);
        if self.dropped > limits.body_bytes as u64 {
            return Err(ParseError::BodyTooLarge);
        }
        let (end, is_complete) = match status {
            DecodeStatus::Complete(end) => (end, true),
            DecodeStatus::Partial => (count, false),
        };
        input.consume(end);
        Ok(is_complete)
    }

    /// Returns the time by which the client must send more of the body, as [`Timeouts::body_idle`] and
    /// [`Timeouts::body_rate`] require. The idle timeout begins again at `now` if more of the body was dropped than at the
    /// last call.
    pub(super) fn deadline(&mut self, timeouts: &Timeouts, now: Instant) -> Instant {
        self.clock.deadline(self.dropped, timeouts.body_idle, timeouts.body_rate, now)
    }
}
