//! The states of a connection, and the table of all transitions between them.

use super::{
    receiving::{ReceivingBody, RequestLens},
    step::CloseReason,
};
use crate::codec::framing::RequestFraming;
use crate::types::method::Method;
use std::time::Instant;

/// The state of a connection. Each variant owns the data that only this state needs.
#[derive(Debug)]
pub(super) enum State {
    /// Between requests: no byte of the next head has arrived.
    Idle { since: Instant },
    /// Part of a head has arrived.
    Head { since: Instant },
    /// The head is complete, part of the body is missing.
    Body(Box<ReceivingBody>),
    /// The engine has the request; its response is due.
    AwaitingReply { framing: RequestFraming, lens: RequestLens, received_at: Instant },
    /// The engine has the rejection; its response is due. `request` is known if its head was valid and is still in the
    /// buffer, with the time at which the request, or its rejection, was complete.
    Rejecting { method: Method, request: Option<(RequestFraming, Instant)> },
    /// The connection was accepted only to be rejected.
    OverLimit,
    /// The last response is queued. `linger`: the client may still be sending.
    Finishing { linger: bool },
    /// The sending side is shut down; received bytes are dropped.
    Lingering,
    /// The engine closes the socket.
    Closed(CloseReason),
}

/// A state without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StateName {
    Idle,
    Head,
    Body,
    AwaitingReply,
    Rejecting,
    OverLimit,
    Finishing,
    Lingering,
    Closed,
}

macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident)*) => {
        /// What changes the state.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Event { $($(#[$doc])* $variant,)* }

        #[cfg(test)]
        const EVENTS: &[Event] = &[$(Event::$variant),*];
    };
}

events! {
    /// The first byte of a head has arrived.
    HeadStarted
    /// The head is complete, and announces a body.
    HeadComplete
    /// The request is complete.
    RequestComplete
    /// The request is malformed, or exceeds a limit.
    Malformed
    /// The engine has called [`reject`](super::Connection::reject), or the server is over its limit of connections.
    Rejected
    /// A response is queued, and the connection stays open.
    KeepAliveResponse
    /// A response is queued, and the connection ends with it.
    LastResponse
    /// The engine has not responded to a rejection.
    NoResponse
    /// The server is shutting down.
    KeepAliveDisabled
    /// The last response is sent, and the client sends nothing more.
    Flushed
    /// The last response is sent, and the client may still be sending.
    FlushedUnread
    /// The client has ended its sending side.
    Eof
    /// The deadline of the state has passed.
    Expired
    /// The deadline for sending has passed.
    WriteStalled
}

impl StateName {
    /// The table of all transitions: the state after an event, or `None` if the event cannot happen in this state. The
    /// documentation of [`connection`](super) draws the same transitions.
    pub(super) fn after(self, event: Event) -> Option<StateName> {
        use {Event::*, StateName::*};
        Some(match (self, event) {
            (Idle, HeadStarted) => Head,
            (Head, HeadComplete) => Body,
            (Head | Body, RequestComplete) => AwaitingReply,
            (AwaitingReply, KeepAliveResponse) => Idle,
            (Head | Body, Malformed | Expired) => Rejecting,
            (AwaitingReply, Rejected | Expired) | (OverLimit, Rejected) => Rejecting,
            (AwaitingReply, LastResponse) | (Idle, KeepAliveDisabled) => Finishing,
            (Rejecting, LastResponse | NoResponse) => Finishing,
            (Finishing, FlushedUnread) => Lingering,
            (Finishing, Flushed) => Closed,
            (Idle | Head | Body | Lingering, Eof) => Closed,
            (Idle | OverLimit | Rejecting | Finishing | Lingering, Expired) => Closed,
            (Idle | Head | Body | AwaitingReply | Rejecting | Finishing, WriteStalled) => Closed,
            _ => return None,
        })
    }
}

impl State {
    pub(super) fn name(&self) -> StateName {
        match self {
            State::Idle { .. } => StateName::Idle,
            State::Head { .. } => StateName::Head,
            State::Body(_) => StateName::Body,
            State::AwaitingReply { .. } => StateName::AwaitingReply,
            State::Rejecting { .. } => StateName::Rejecting,
            State::OverLimit => StateName::OverLimit,
            State::Finishing { .. } => StateName::Finishing,
            State::Lingering => StateName::Lingering,
            State::Closed(_) => StateName::Closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{StateName::*, *};
    use std::collections::BTreeSet;

    const STATES: [StateName; 9] =
        [Idle, Head, Body, AwaitingReply, Rejecting, OverLimit, Finishing, Lingering, Closed];

    fn transitions() -> impl Iterator<Item = (StateName, Event, StateName)> {
        let pairs = STATES.into_iter().flat_map(|from| EVENTS.iter().map(move |event| (from, *event)));
        pairs.filter_map(|(from, event)| Some((from, event, from.after(event)?)))
    }

    /// Reads the diagram in the module documentation: chains of states and `─Event─►` arrows, with `|` between
    /// alternatives.
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
        let mut reached = vec![Idle, OverLimit];
        for _ in STATES {
            let next = transitions().filter(|(from, _, to)| reached.contains(from) && !reached.contains(to));
            let next: Vec<_> = next.map(|(_, _, to)| to).collect();
            reached.extend(next);
        }
        assert!(STATES.iter().all(|state| reached.contains(state)), "only {reached:?}");
    }
}
