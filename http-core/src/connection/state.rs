//! The states of a connection, and the table of all transitions between them.

use super::{
    receiving::{BufferedBody, DiscardedBody, StreamedContent},
    step::CloseReason,
};
use crate::{
    buffer::recv_buf::RecvBuf,
    codec::framing::RequestFraming,
    message::upgrade::OnUpgrade,
    types::{admit::Admit, method::Method},
};
use std::{ops::Range, time::Instant};

/// The state of a connection. Each variant owns the data that only this state needs.
#[derive(Debug)]
pub(super) enum State {
    /// Between two requests, or before the first: no byte of the next head has arrived. The idle timeout runs from
    /// `since`. `removed` is the number of bytes of empty lines removed from the receive buffer since then: an idle
    /// connection needs no buffer for them.
    Idle { since: Instant, removed: usize },
    /// The peer is a trusted proxy, from which a header of the PROXY protocol is expected. The connection was accepted
    /// at the time `since`. `has_begun` is whether part of the header has arrived.
    ProxyHeader { since: Instant, has_begun: bool },
    /// Part of a head has arrived. The timeout of the head runs from `since`.
    Head { since: Instant },
    /// The head is complete since the time `received_at`, has `head_len` bytes and announces a body. The engine asks
    /// the handler how to take it; until then, `admit` is the default.
    Admitting { framing: RequestFraming, head_len: usize, received_at: Instant, admit: Admit },
    /// The body is being received into memory.
    Body(Box<BufferedBody>),
    /// The engine has the request, which was complete at the time `received_at`. Its response is due. `body` is where
    /// the decoded body is in the receive buffer, and `content` is what the client may still send of it.
    AwaitingReply { framing: RequestFraming, body: Range<usize>, content: Content, received_at: Instant },
    /// The application takes the content of the request piece by piece. Its response is due when all is taken, and can
    /// come before.
    Receiving(Box<StreamedContent>),
    /// The response is queued, and the body, which the handler did not want, is received and dropped.
    Discarding(Box<DiscardedBody>),
    /// A request is rejected, and the response to it is due. `method` is the method of the request: the response to
    /// HEAD has no body. If the method is unknown, `method` is one whose responses have bodies.
    Rejecting { method: Method, head: RejectedHead },
    /// The connection is new, and exceeds the server's limit: the first step rejects it.
    OverLimit,
    /// The last response is queued. When it is sent, the connection is closed, or [`State::Lingering`] follows.
    ///
    /// [`State::Lingering`] follows if `linger` is true or the receive buffer holds bytes. It never follows if the
    /// client has shut down its sending side.
    Finishing { linger: bool },
    /// The last response is sent, and the sending side is shut down. Received bytes are dropped.
    Lingering,
    /// A 101 is queued. When it is sent, the engine passes the connection to the function.
    Upgrading(Option<OnUpgrade>),
    /// The connection has ended for this reason. The engine closes the socket.
    Closed(CloseReason),
}

/// What the connection still has of the head of a rejected request.
#[derive(Clone, Copy, Debug)]
pub(super) enum RejectedHead {
    /// It is at the front of the receive buffer, incomplete or invalid.
    Invalid,
    /// It is at the front of the receive buffer, and valid. The request was complete at this time or, if it is
    /// incomplete, was rejected then.
    Valid(RequestFraming, Instant),
    /// Nothing: it was removed from the receive buffer, or there was none.
    Gone,
}

/// What of the content of a request is received before the handler is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// All of it, or there is none.
    Complete,
    /// None of it: it may have arrived, or the client is sending it. If the application takes it piece by piece, it may
    /// have `limit` bytes.
    Arriving { limit: u64 },
    /// The same, but the client waits for a 100 response before it sends any (RFC 9110 §10.1.1).
    Withheld { limit: u64 },
}

impl Content {
    /// Returns [`Content::Withheld`] or [`Content::Arriving`] for a request with this framing. `input` begins with its
    /// head of `head_len` bytes. A client that has begun to send the content does not wait for a 100.
    pub(super) fn after_head(
        framing: &RequestFraming,
        input: &RecvBuf,
        head_len: usize,
        limit: u64,
    ) -> Content {
        if Content::awaits_continue(framing, input, head_len) {
            Content::Withheld { limit }
        } else {
            Content::Arriving { limit }
        }
    }

    /// Returns whether the client waits for a 100 response before it sends the content. The arguments are those of
    /// [`after_head`](Content::after_head).
    pub(super) fn awaits_continue(framing: &RequestFraming, input: &RecvBuf, head_len: usize) -> bool {
        framing.expect_continue && input.unread().len() == head_len
    }
}

/// A [`State`] without its data: an entry of the table of transitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StateName {
    Idle,
    ProxyHeader,
    Head,
    Admitting,
    Body,
    AwaitingReply,
    Receiving,
    Discarding,
    Rejecting,
    OverLimit,
    Finishing,
    Lingering,
    Upgrading,
    Closed,
}

/// Declares [`Event`], and for the tests the list of all events.
macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident)*) => {
        /// An event that changes the state of a connection: bytes from the client have arrived (such as `HeadStarted`),
        /// the engine has called a function (such as `Rejected`), queued responses are sent (such as `Flushed`), or a
        /// deadline has passed (such as `Expired`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Event { $($(#[$doc])* $variant,)* }

        /// All events.
        #[cfg(test)]
        const EVENTS: &[Event] = &[$(Event::$variant),*];
    };
}

events! {
    /// The first byte of a head has arrived.
    HeadStarted
    /// The header of the PROXY protocol is complete.
    ProxyHeaderComplete
    /// The head is complete and announces a body.
    HeadComplete
    /// The handler buffers the body.
    BodyAdmitted
    /// The request is complete, or the handler wants it without its body.
    RequestComplete
    /// The application wants to take the content piece by piece.
    ContentRequested
    /// The application has taken all content.
    ContentTaken
    /// The request is malformed, or exceeds a limit or the memory left.
    Malformed
    /// The engine has called [`reject`](super::Connection::reject), or the connection exceeds the server's limit.
    Rejected
    /// A response is queued, and the connection stays open.
    KeepAliveResponse
    /// A response is queued before its request's body is received, and the connection stays open.
    EarlyResponse
    /// The body after an early response is received and dropped.
    BodyDiscarded
    /// A response is queued, and the connection ends with it.
    LastResponse
    /// A 101 is queued: the connection does not continue with HTTP.
    UpgradeResponse
    /// The engine has taken the function that the connection is passed to.
    HandedOver
    /// The engine has polled without responding to a rejection.
    NoResponse
    /// The engine has called [`disable_keep_alive`](super::Connection::disable_keep_alive), and no request is in
    /// progress; or it has called [`drain`](super::Connection::drain), and no request has come in time.
    KeepAliveDisabled
    /// The last response is sent, and the client sends nothing more.
    Flushed
    /// The last response is sent, and the client may still be sending.
    FlushedUnread
    /// The client has shut down its sending side, and the connection waits for more bytes.
    Eof
    /// The deadline has passed, while no response was being sent.
    Expired
    /// The deadline has passed, while a response was being sent.
    WriteStalled
}

impl StateName {
    /// Returns the state after `event`; `None` if the event cannot happen in this state. This is the table of all
    /// transitions. The diagram in the documentation of the module [`connection`](super) shows the same ones.
    pub(super) fn after(self, event: Event) -> Option<StateName> {
        use {Event::*, StateName::*};
        Some(match (self, event) {
            (ProxyHeader, ProxyHeaderComplete) => Idle,
            (ProxyHeader, Malformed) => Rejecting,
            (Idle, HeadStarted) => Head,
            (Head, HeadComplete) => Admitting,
            (Admitting, BodyAdmitted) => Body,
            (Head | Admitting | Body, RequestComplete) => AwaitingReply,
            (AwaitingReply, KeepAliveResponse) => Idle,
            (AwaitingReply, ContentRequested) => Receiving,
            (Receiving, ContentTaken) => AwaitingReply,
            (AwaitingReply | Receiving, EarlyResponse) => Discarding,
            (Discarding, BodyDiscarded) => Idle,
            (Idle, Malformed) | (Head | Admitting | Body, Malformed | Expired) => Rejecting,
            (Idle | Admitting | AwaitingReply, Rejected) | (AwaitingReply, Expired) => Rejecting,
            (Receiving, Malformed | Expired | Rejected) => Rejecting,
            (OverLimit, Rejected) => Rejecting,
            (AwaitingReply | Receiving, LastResponse) | (Idle | ProxyHeader, KeepAliveDisabled) => Finishing,
            (Discarding, Malformed | KeepAliveDisabled) => Finishing,
            (Rejecting, LastResponse | NoResponse) => Finishing,
            (Finishing, FlushedUnread) => Lingering,
            (Finishing, Flushed) => Closed,
            (Idle | ProxyHeader | Head | Body | Receiving | Discarding | Lingering, Eof) => Closed,
            (Idle | ProxyHeader | OverLimit | Discarding | Rejecting | Finishing | Lingering, Expired) => {
                Closed
            }
            (Idle | Head | Admitting | Body | AwaitingReply, WriteStalled) => Closed,
            (Receiving | Discarding | Rejecting | Finishing | Upgrading, WriteStalled) => Closed,
            (AwaitingReply, UpgradeResponse) => Upgrading,
            (Upgrading, HandedOver | Expired) => Closed,
            _ => return None,
        })
    }
}

impl State {
    /// Returns the state without its data.
    pub(super) fn name(&self) -> StateName {
        match self {
            State::Idle { .. } => StateName::Idle,
            State::ProxyHeader { .. } => StateName::ProxyHeader,
            State::Head { .. } => StateName::Head,
            State::Admitting { .. } => StateName::Admitting,
            State::Body(_) => StateName::Body,
            State::AwaitingReply { .. } => StateName::AwaitingReply,
            State::Receiving(_) => StateName::Receiving,
            State::Discarding(_) => StateName::Discarding,
            State::Rejecting { .. } => StateName::Rejecting,
            State::OverLimit => StateName::OverLimit,
            State::Finishing { .. } => StateName::Finishing,
            State::Lingering => StateName::Lingering,
            State::Upgrading(_) => StateName::Upgrading,
            State::Closed(_) => StateName::Closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{StateName::*, *};
    use std::collections::BTreeSet;

    const STATES: [StateName; 14] = [
        Idle,
        ProxyHeader,
        Head,
        Admitting,
        Body,
        AwaitingReply,
        Receiving,
        Discarding,
        Rejecting,
        OverLimit,
        Finishing,
        Lingering,
        Upgrading,
        Closed,
    ];

    /// Returns all transitions of the table: a state, an event, and the state after it.
    fn transitions() -> impl Iterator<Item = (StateName, Event, StateName)> {
        let pairs = STATES.into_iter().flat_map(|from| EVENTS.iter().map(move |event| (from, *event)));
        pairs.filter_map(|(from, event)| Some((from, event, from.after(event)?)))
    }

    /// Returns the transitions in the diagram of the module documentation, each as `State Event State`. The diagram
    /// consists of states and `─Event─►` arrows, with `|` between alternatives.
    fn diagram() -> BTreeSet<String> {
        let (_, rest) = include_str!("mod.rs").split_once("//! ```text\n").expect("a diagram");
        let (diagram, _) = rest.split_once("//! ```").expect("the end of the diagram");
        let mut transitions = BTreeSet::new();
        for line in diagram.lines() {
            let words: Vec<_> = line.trim_start_matches("//!").split_whitespace().collect();
            for link in words.windows(3).step_by(2) {
                let events = link[1].trim_matches(['─', '►']);
                for from in link[0].split('|') {
                    transitions.extend(events.split('|').map(|event| format!("{from} {event} {}", link[2])));
                }
            }
        }
        transitions
    }

    #[test]
    fn the_diagram_shows_exactly_the_transitions() {
        let table: BTreeSet<_> =
            transitions().map(|(from, event, to)| format!("{from:?} {event:?} {to:?}")).collect();
        assert_eq!(diagram(), table);
    }

    #[test]
    fn every_state_is_reachable() {
        let mut reached = vec![Idle, ProxyHeader, OverLimit];
        for _ in STATES {
            let next = transitions().filter(|(from, _, _)| reached.contains(from));
            reached = next.map(|(_, _, to)| to).chain(reached.clone()).collect();
        }
        assert!(STATES.iter().all(|state| reached.contains(state)), "only {reached:?}");
    }
}
