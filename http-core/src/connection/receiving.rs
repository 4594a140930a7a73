//! The state of a connection while it receives a request body: into memory, piece by piece for the handler, or to drop
//! it.

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
        progress::ProgressClock,
    },
};
use std::{ops::Range, time::Instant};

/// A request whose head is complete, and whose body is received into memory. Its bytes are at the front of the receive
/// buffer.
#[derive(Debug)]
pub(super) struct BufferedBody {
    pub(super) framing: RequestFraming,
    /// The length of the head in bytes. The body follows it.
    head_len: usize,
    decoder: BodyDecoder,
    /// The limits of this request: those of the connection, with the limit of the body that the handler has chosen.
    limits: Limits,
    /// Computes the deadline for the next bytes of the body.
    pub(super) clock: ProgressClock,
}

impl BufferedBody {
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
    ) -> Result<BufferedBody, ParseError> {
        let decoder = BodyDecoder::new(framing.body, &limits)?;
        Ok(BufferedBody { framing, head_len, decoder, limits, clock: ProgressClock::start(0, now) })
    }

    /// Decodes the bytes of the body in `input`. If the request is complete, returns where the decoded body is in
    /// `input`, and the number of bytes that the whole request has there. Returns `None` if more bytes are needed.
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
    /// Call [`decode`](BufferedBody::decode) before: chunk framing must not count as received.
    pub(super) fn deadline(&mut self, input: &RecvBuf, timeouts: &Timeouts, now: Instant) -> Instant {
        let body = input.unread().len().saturating_sub(self.head_len) as u64;
        self.clock.deadline(body, timeouts.body_idle, timeouts.body_rate, now)
    }
}

/// The content of a request that the application takes piece by piece. The decoded bytes that it has not taken are at
/// the front of the receive buffer, and more are received only when there are none: the buffer does not grow.
#[derive(Debug)]
pub(super) struct StreamedContent {
    pub(super) framing: RequestFraming,
    /// The time at which the request was handed to the handler.
    pub(super) received_at: Instant,
    /// Whether the client waits for a 100 response, which is not queued yet.
    pub(super) awaits_continue: bool,
    decoder: BodyDecoder,
    /// The limits of this request. `body_bytes` is how many bytes the rest of the content may have.
    limits: Limits,
    /// The number of decoded bytes at the front of the receive buffer.
    ready: usize,
    /// The number of bytes of chunk framing behind the decoded bytes. 0 before the end of the content.
    framing_after: usize,
    is_complete: bool,
    /// The number of bytes decoded so far.
    received: u64,
    /// Computes the deadline for the next bytes of the content.
    pub(super) clock: ProgressClock,
    /// Since when the application has taken none of the decoded bytes; `None` if there are none.
    untaken_since: Option<Instant>,
    /// Whether the application has not taken all decoded bytes. Then no timeout runs against the client.
    is_behind: bool,
}

/// What a connection does next with [`StreamedContent`].
pub(super) enum ContentStatus {
    /// The application must take decoded bytes.
    Ready,
    /// The client must send more.
    Partial,
    /// The application has taken everything.
    Complete,
}

impl StreamedContent {
    /// Begins to receive the content that `framing` announces, up to `limit` bytes. `awaits_continue` is whether the
    /// client waits for a 100 response, and `now` the current time.
    ///
    /// # Errors
    ///
    /// [`ParseError::BodyTooLarge`] if the announced length exceeds `limit`.
    pub(super) fn new(
        framing: RequestFraming,
        limit: u64,
        awaits_continue: bool,
        limits: &Limits,
        now: Instant,
    ) -> Result<StreamedContent, ParseError> {
        let limits = Limits { body_bytes: usize::try_from(limit).unwrap_or(usize::MAX), ..limits.clone() };
        Ok(StreamedContent {
            framing,
            received_at: now,
            awaits_continue,
            decoder: BodyDecoder::new(framing.body, &limits)?,
            limits,
            ready: 0,
            framing_after: 0,
            is_complete: false,
            received: 0,
            clock: ProgressClock::start(0, now),
            untaken_since: None,
            is_behind: false,
        })
    }

    /// Decodes what has arrived in `input`, if the application has taken everything before.
    ///
    /// # Errors
    ///
    /// If the chunked coding is malformed, or the content, or its chunk extensions and trailers, exceed a limit.
    pub(super) fn decode(&mut self, input: &mut RecvBuf, now: Instant) -> Result<ContentStatus, ParseError> {
        if std::mem::take(&mut self.is_behind) {
            self.clock.restart(now);
        }
        if self.ready == 0 && !self.is_complete {
            let received = input.after_mut(0);
            let count = received.len();
            let status = self.decoder.decode(received, &self.limits)?;
            self.ready = self.decoder.forget(count);
            match status {
                DecodeStatus::Partial => input.truncate(self.ready),
                DecodeStatus::Complete(end) => {
                    (self.framing_after, self.is_complete) = (end - self.ready, true);
                }
            }
            self.received = self.received.saturating_add(self.ready as u64);
            self.limits.body_bytes = self.limits.body_bytes.saturating_sub(self.ready);
        }
        if self.ready > 0 {
            self.untaken_since.get_or_insert(now);
            return Ok(ContentStatus::Ready);
        }
        input.consume(std::mem::take(&mut self.framing_after));
        Ok(if self.is_complete { ContentStatus::Complete } else { ContentStatus::Partial })
    }

    /// Returns the decoded bytes in `input` that the application has not taken.
    pub(super) fn ready<'b>(&self, input: &'b RecvBuf) -> &'b [u8] {
        input.unread().get(..self.ready).unwrap_or_default()
    }

    /// Removes `count` decoded bytes from `input`: the application has taken them.
    pub(super) fn take(&mut self, input: &mut RecvBuf, count: usize) {
        debug_assert!(count <= self.ready, "more content taken than there was");
        let count = count.min(self.ready);
        input.consume(count);
        self.ready -= count;
        self.is_behind = self.ready > 0;
        if count > 0 {
            self.untaken_since = None;
        }
    }

    /// Returns since when the application has taken none of the decoded bytes; `None` if there are none.
    pub(super) fn untaken_since(&self) -> Option<Instant> {
        self.untaken_since
    }

    /// Returns the time by which the client must send more of the content, as [`Timeouts::body_idle`] and
    /// [`Timeouts::body_rate`] require. The idle timeout begins again at `now` if more was received since the last
    /// call.
    pub(super) fn deadline(&mut self, timeouts: &Timeouts, now: Instant) -> Instant {
        self.clock.deadline(self.received, timeouts.body_idle, timeouts.body_rate, now)
    }
}

/// The body of a request whose response is queued, and whose handler did not want it, or not all of it. It is received
/// and dropped, so that the next request can follow.
#[derive(Debug)]
pub(super) struct DiscardedBody {
    decoder: BodyDecoder,
    /// The number of bytes at the front of the receive buffer that are decoded, or are chunk framing behind decoded
    /// bytes.
    decoded: usize,
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
        Ok(DiscardedBody { decoder, decoded: 0, dropped: 0, clock: ProgressClock::start(0, now) })
    }

    /// Begins to drop the rest of a content of which the application wants no more. `now` is the current time.
    ///
    /// # Errors
    ///
    /// [`ParseError::BodyTooLarge`] if the rest is a number of bytes above [`Limits::body_bytes`]. Bytes that have
    /// arrived count, so that the result does not depend on how the network splits the content.
    pub(super) fn rest_of(
        content: &StreamedContent,
        limits: &Limits,
        now: Instant,
    ) -> Result<DiscardedBody, ParseError> {
        let dropped = content.ready as u64;
        match content.decoder {
            BodyDecoder::Exact(rest) if rest.saturating_add(content.ready) > limits.max_body() => {
                Err(ParseError::BodyTooLarge)
            }
            _ => Ok(DiscardedBody {
                decoder: content.decoder.clone(),
                decoded: content.ready + content.framing_after,
                dropped,
                clock: ProgressClock::start(dropped, now),
            }),
        }
    }

    /// Removes the bytes of the body from `input`. Returns whether the body is complete: then `input` begins with the
    /// bytes after it. Otherwise `input` is empty, and more bytes are needed.
    ///
    /// # Errors
    ///
    /// If the chunked coding is malformed, or the body, or its chunk extensions and trailers, exceed a limit.
    pub(super) fn discard(&mut self, input: &mut RecvBuf, limits: &Limits) -> Result<bool, ParseError> {
        input.consume(std::mem::take(&mut self.decoded));
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
    /// [`Timeouts::body_rate`] require. The idle timeout begins again at `now` if more of the body was dropped than at
    /// the last call.
    pub(super) fn deadline(&mut self, timeouts: &Timeouts, now: Instant) -> Instant {
        self.clock.deadline(self.dropped, timeouts.body_idle, timeouts.body_rate, now)
    }
}
