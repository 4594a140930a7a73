//! Where a connection can stand, and what can follow.

use super::{content::Content, step::CloseReason};
use crate::{codec::framing::Framing, message::rejection::Rejection, types::method::Method};
use std::time::Instant;

/// Where a connection stands; each variant owns what only it needs.
#[derive(Debug)]
pub(super) enum State {
    /// Between requests: nothing of the next one is here.
    Idle {
        since: Instant,
    },
    /// Part of a head is here.
    Head {
        since: Instant,
    },
    /// The head is complete, part of the content is here.
    Body(Box<Content>),
    /// A request was handed out; its answer is owed.
    Answering {
        framing: Framing,
        received: Instant,
    },
    /// A rejection was handed out; its answer is owed. The request is there if its head has been understood and
    /// is still in the buffer.
    Rejecting {
        method: Method,
        request: Option<Framing>,
    },
    /// It was accepted only to be turned away.
    Refused,
    /// The last answer is queued. `linger` says that the peer may still be sending.
    Finishing {
        linger: bool,
    },
    /// The sending side is shut down; what comes is dropped.
    Lingering,
    Closed(CloseReason),
}

/// What `decide` found, free of borrows.
pub(super) enum Decision {
    Receive,
    /// A request whose head and content end at these offsets.
    Request {
        head_len: usize,
        content_len: usize,
    },
    Reject(Rejection),
    AwaitAnswer,
    Flush,
    ShutdownWrite,
    Close(CloseReason),
}
