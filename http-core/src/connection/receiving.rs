//! The state of a connection while it receives a request body.

use super::progress::ProgressClock;
use crate::{
    buffer::recv_buf::RecvBuf,
    codec::{body::BodyDecoder, chunked::DecodeStatus, framing::RequestFraming},
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
        limits: &Limits,
        now: Instant,
    ) -> Result<ReceivingBody, ParseError> {
        let decoder = BodyDecoder::new(framing.body, limits)?;
        Ok(ReceivingBody { framing, head_len, decoder, clock: ProgressClock::start(0, now) })
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
        limits: &Limits,
    ) -> Result<Option<(Range<usize>, usize)>, ParseError> {
        let received = input.after_mut(self.head_len);
        let status = self.decoder.decode(received, limits)?;
        let body_end = self.head_len + self.decoder.body_len(received.len());
        Ok(match status {
            DecodeStatus::Complete(end) => Some((self.head_len..body_end, self.head_len + end)),
            DecodeStatus::Partial => {
                input.truncate(body_end);
                None
            }
        })
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
