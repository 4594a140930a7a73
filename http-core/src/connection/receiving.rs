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
use std::time::Instant;

/// A request whose head is complete and whose body is not. Its bytes are at the front of the receive buffer.
#[derive(Debug)]
pub(super) struct ReceivingBody {
    pub(super) framing: RequestFraming,
    /// The length of the head in bytes. The body follows it.
    head_len: usize,
    decoder: BodyDecoder,
    /// The deadline for the next bytes of the body.
    pub(super) clock: ProgressClock,
}

/// The lengths of a complete request at the front of the receive buffer, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestLens {
    pub(super) head: usize,
    /// The length of the decoded body, which follows the head.
    pub(super) body: usize,
    /// The length of the whole request as received, with its chunk framing.
    pub(super) message: usize,
}

impl ReceivingBody {
    /// Begins to receive the body that `framing` announces, after a head of `head_len` bytes.
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

    /// Decodes the bytes of the body in `input`. Returns the lengths of the request if it is complete, `None` if more bytes
    /// are needed.
    ///
    /// # Errors
    ///
    /// If the chunked coding is malformed, or the body, or its chunk extensions and trailers, exceed a limit.
    pub(super) fn decode(
        &mut self,
        input: &mut RecvBuf,
        limits: &Limits,
    ) -> Result<Option<RequestLens>, ParseError> {
        let received = input.after_mut(self.head_len);
        let status = self.decoder.decode(received, limits)?;
        let body = self.decoder.body_len(received.len());
        match status {
            DecodeStatus::Complete(end) => {
                Ok(Some(RequestLens { head: self.head_len, body, message: self.head_len + end }))
            }
            DecodeStatus::Partial => {
                input.truncate(self.head_len + body);
                Ok(None)
            }
        }
    }

    /// Returns the deadline for the next bytes of the body. Call it after [`decode`](ReceivingBody::decode), which leaves
    /// only decoded bytes in `input`.
    pub(super) fn deadline(&mut self, input: &RecvBuf, timeouts: &Timeouts, now: Instant) -> Instant {
        let body = input.unread().len().saturating_sub(self.head_len) as u64;
        self.clock.deadline(body, timeouts.body_idle, timeouts.body_rate, now)
    }
}
