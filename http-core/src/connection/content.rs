//! A request's content on its way in: whether it is all here, and whether it comes fast enough.

use crate::{
    buffer::recv_buf::RecvBuf,
    codec::{
        chunked::{Decoded, Decoder},
        framing::{BodyLength, Framing},
    },
    types::{
        error::ParseError,
        limits::{Limits, Timeouts},
    },
};
use std::time::{Duration, Instant};

/// Content of which something is still to come.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) framing: Framing,
    pub(super) head_len: usize,
    length: Length,
    since: Instant,
    /// Bytes of the message that had arrived when the wait for more began, and when that was.
    seen: usize,
    seen_at: Instant,
}

#[derive(Debug)]
enum Length {
    Exact(usize),
    Chunked(Decoder),
}

/// Content that is all here.
#[derive(Clone, Copy)]
pub(super) struct Complete {
    /// Bytes of content behind the head.
    pub(super) content_len: usize,
    /// Bytes of the message, head and coding included.
    pub(super) message_len: usize,
}

impl Content {
    /// Expects the content that follows a head of `head_len` bytes; `here` bytes of the message have arrived.
    ///
    /// # Errors
    ///
    /// When it is announced to be larger than it may be.
    pub(super) fn expect(
        framing: Framing,
        head_len: usize,
        here: usize,
        limits: &Limits,
        now: Instant,
    ) -> Result<Content, ParseError> {
        let length = match framing.body {
            BodyLength::Chunked => Length::Chunked(Decoder::default()),
            BodyLength::Exact(length) => match usize::try_from(length) {
                Ok(length) if length <= limits.body_bytes => Length::Exact(length),
                _ => return Err(ParseError::BodyTooLarge),
            },
        };
        Ok(Content { framing, head_len, length, since: now, seen: here, seen_at: now })
    }

    /// Decodes what has come.
    ///
    /// # Errors
    ///
    /// When the chunked coding is broken, or the content larger than it may be.
    pub(super) fn progress(
        &mut self,
        input: &mut RecvBuf,
        limits: &Limits,
    ) -> Result<Option<Complete>, ParseError> {
        match &mut self.length {
            Length::Exact(content_len) => {
                let complete =
                    Complete { content_len: *content_len, message_len: self.head_len + *content_len };
                Ok((input.unread().len() >= complete.message_len).then_some(complete))
            }
            Length::Chunked(decoder) => {
                let outcome = decoder.decode(input.after_mut(self.head_len), limits)?;
                let content_len = decoder.content_len();
                match outcome {
                    Decoded::Complete(end) => {
                        Ok(Some(Complete { content_len, message_len: self.head_len + end }))
                    }
                    Decoded::Partial => {
                        input.truncate(self.head_len + content_len);
                        Ok(None)
                    }
                }
            }
        }
    }

    /// Starts the time anew: what went before was ours.
    pub(super) fn restart(&mut self, now: Instant) {
        self.since = now;
        self.seen_at = now;
    }

    /// When patience ends: each piece must come soon, and all of them fast enough on average.
    pub(super) fn deadline(&mut self, here: usize, timeouts: &Timeouts, now: Instant) -> Instant {
        if here != self.seen {
            self.seen = here;
            self.seen_at = now;
        }
        let content = here.saturating_sub(self.head_len) as u64;
        let earned = Duration::from_secs(content / u64::from(timeouts.body_rate.max(1)));
        (self.seen_at + timeouts.body_idle).min(self.since + timeouts.body_idle + earned)
    }
}
