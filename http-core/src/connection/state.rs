//! The states of a connection, and the table of all transitions between them.

use super::{
    receiving::{ReceivingBody, RequestLens},
    step::CloseReason,
};
use crate::{codec::framing::RequestFraming, types::method::Method};
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

/// What changes the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The first byte of a head has arrived.
    HeadStarted,
    /// The head is complete, and announces a body.
    HeadComplete,
    /// The request is complete.
    RequestComplete,
    /// The request is malformed, or exceeds a limit.
    Malformed,
    /// The engine has called [`reject`](super::Connection::reject), or the server is over its limit of connections.
    Rejected,
    /// A response is queued, and the connection stays open.
    KeepAliveResponse,
    /// A response is queued, and the connection ends with it.
    LastResponse,
    /// The engine has not responded to a rejection.
    NoResponse,
    /// The server is shutting down.
    KeepAliveDisabled,
    /// The last response is sent, and the client sends nothing more.
    Flushed,
    /// The last response is sent, and the client may still be sending.
    FlushedUnread,
    /// The client has ended its sending side.
    Eof,
    /// The deadline of the state has passed.
    Expired,
    /// The deadline for sending has passed.
    WriteStalled,
}

/// All transitions. The documentation of [`connection`](super) draws the same ones.
pub(super) const TRANSITIONS: &[(StateName, Event, StateName)] = {
    use {Event::*, StateName::*};
    &[
        (Idle, HeadStarted, Head),
        (Idle, KeepAliveDisabled, Finishing),
        (Idle, Eof, Closed),
        (Idle, Expired, Closed),
        (Idle, WriteStalled, Closed),
        (Head, HeadComplete, Body),
        (Head, RequestComplete, AwaitingReply),
        (Head, Malformed, Rejecting),
        (Head, Expired, Rejecting),
        (Head, Eof, Closed),
        (Head, WriteStalled, Closed),
        (Body, RequestComplete, AwaitingReply),
        (Body, Malformed, Rejecting),
        (Body, Expired, Rejecting),
        (Body, Eof, Closed),
        (Body, WriteStalled, Closed),
        (AwaitingReply, KeepAliveResponse, Idle),
        (AwaitingReply, LastResponse, Finishing),
        (AwaitingReply, Rejected, Rejecting),
        (AwaitingReply, Expired, Rejecting),
        (AwaitingReply, WriteStalled, Closed),
        (OverLimit, Rejected, Rejecting),
        (OverLimit, Expired, Closed),
        (Rejecting, LastResponse, Finishing),
        (Rejecting, NoResponse, Finishing),
        (Rejecting, Expired, Closed),
        (Rejecting, WriteStalled, Closed),
        (Finishing, Flushed, Closed),
        (Finishing, FlushedUnread, Lingering),
        (Finishing, Expired, Closed),
        (Finishing, WriteStalled, Closed),
        (Lingering, Eof, Closed),
        (Lingering, Expired, Closed),
    ]
};

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
    use super::*;
    use std::collections::BTreeSet;

    /// Reads the edges of the diagram in the module documentation: states and `─Event─►` arrows in chains, with `|`
    /// between alternatives.
    fn edges_of_diagram() -> BTreeSet<String> {
        let (_, rest) = include_str!("mod.rs").split_once("//! ```text\n").expect("a diagram");
        let (diagram, _) = rest.split_once("//! ```").expect("its end");
        let mut edges = BTreeSet::new();
        for line in diagram.lines() {
            let words: Vec<_> = line.trim_start_matches("//!").split_whitespace().collect();
            for chain in words.windows(3).step_by(2) {
                let [from, arrow, to] = chain else { continue };
                let events = arrow.strip_suffix('►').expect("an arrow").trim_matches('─');
                for from in from.split('|') {
                    edges.extend(events.split('|').map(|event| format!("{from} {event} {to}")));
                }
            }
        }
        edges
    }

    #[test]
    fn the_diagram_shows_exactly_the_transitions() {
        let table: BTreeSet<_> =
            TRANSITIONS.iter().map(|(from, event, to)| format!("{from:?} {event:?} {to:?}")).collect();
        assert_eq!(edges_of_diagram(), table);
        assert_eq!(table.len(), TRANSITIONS.len(), "a transition is listed twice");
    }

    #[test]
    fn an_event_in_a_state_has_one_outcome() {
        let causes: BTreeSet<_> =
            TRANSITIONS.iter().map(|(from, event, _)| format!("{from:?} {event:?}")).collect();
        assert_eq!(causes.len(), TRANSITIONS.len());
    }

    #[test]
    fn every_state_is_reachable_and_leads_to_closed() {
        let closure = |mut states: Vec<StateName>, forwards: bool| {
            let mut at = 0;
            while let Some(state) = states.get(at).copied() {
                at += 1;
                for &(from, _, to) in TRANSITIONS {
                    let (here, next) = if forwards { (from, to) } else { (to, from) };
                    if here == state && !states.contains(&next) {
                        states.push(next);
                    }
                }
            }
            states.len()
        };
        let all = closure(vec![StateName::Idle, StateName::OverLimit], true);
        assert_eq!(all, 9);
        assert_eq!(closure(vec![StateName::Closed], false), all);
    }
}
