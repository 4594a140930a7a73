//! The end of a request: its response, or its rejection and the response to that.
//!
//! It must never queue two responses to one request.

use super::{
    Connection, KeepAlive,
    state::{Content, Event, RejectedHead, State},
    step::CloseReason,
};
use crate::{
    buffer::{recv_buf::RecvBuf, send_queue::SendQueue},
    codec::{encode, framing::BodyLength},
    message::{
        rejection::{Rejected, Rejection, first_line},
        request::Request,
        response::Response,
        upgrade::OnUpgrade,
    },
    types::{clock::Clock, error::Misuse, method::Version, status::Status},
};

impl Connection {
    /// Returns the request that awaits its response.
    ///
    /// * After [`Step::Head`](crate::Step::Head) and until the next poll, returns the request without its body.
    /// * After [`Step::Request`](crate::Step::Request) and until the next poll, returns the whole request. It has no
    ///   body if the handler has chosen [`Admit::AtHead`](crate::Admit::AtHead).
    /// * After a rejection and until [`respond`](Connection::respond), returns the request without its body, if its
    ///   head is valid and still in the receive buffer. Returns `None` if the handler did not reply in time, or was
    ///   receiving the content piece by piece.
    /// * Otherwise returns `None`.
    #[inline]
    pub fn request<'b>(&'b self, input: &'b RecvBuf) -> Option<Request<'b>> {
        let bytes = input.unread();
        let (&framing, &received_at, body) = match &self.state {
            State::AwaitingReply { framing, body, received_at, .. } if self.request_len > 0 => {
                (framing, received_at, bytes.get(body.clone())?)
            }
            State::Admitting { framing, received_at, .. } => (framing, received_at, &[][..]),
            State::Rejecting { head: RejectedHead::Valid(framing, received_at), .. } => {
                (framing, received_at, &[][..])
            }
            _ => return None,
        };
        Some(Request {
            index: &input.index,
            bytes,
            body,
            framing,
            received_at,
            client_addr: self.client_addr,
            tls: self.tls.as_ref(),
            extensions: None,
        })
    }

    /// Queues the response to the last [`Step::Request`](crate::Step::Request) or [`Step::Reject`](crate::Step::Reject)
    /// in `out`. While content is being received piece by piece, the rest of it is then dropped, as after
    /// [`Admit::AtHead`](crate::Admit::AtHead). `clock` supplies the `Server` and `Date` headers.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoResponseDue`] if no response is due. Any other [`Misuse`] if the response cannot be sent. Then a
    /// response is still due: call [`reject`](Connection::reject), and pass an error response.
    #[inline]
    pub fn respond(
        &mut self,
        mut response: Response,
        out: &mut SendQueue,
        clock: &Clock,
    ) -> Result<(), Misuse> {
        let (method, version, wants_keep_alive, content) = match &self.state {
            State::AwaitingReply { framing, content, .. } => {
                (framing.method, framing.version, framing.keep_alive, *content)
            }
            State::Receiving(content) => {
                let framing = content.framing;
                (framing.method, framing.version, framing.keep_alive, Content::Arriving { limit: 0 })
            }
            State::Rejecting { method, .. } => {
                (*method, Version::Http11, false, Content::Arriving { limit: 0 })
            }
            _ => return Err(discard_response(response, Misuse::NoResponseDue)),
        };
        if let Err(misuse) = response.check(method) {
            return Err(discard_response(response, misuse));
        }
        if response.status == Status::SWITCHING_PROTOCOLS {
            return self.respond_upgrade(response, out, clock);
        }
        response.correct(method);
        let body = encode::body_length(response.body.len(), version);
        let can_keep_alive = wants_keep_alive
            && !response.close
            && self.keep_alive == KeepAlive::Enabled
            && body != BodyLength::UntilClose;
        let is_complete = content == Content::Complete;
        let discarded = if can_keep_alive && !is_complete { self.discarded_body(clock.now()) } else { None };
        let keep_alive = can_keep_alive && (is_complete || discarded.is_some());
        response.queue(method, body, keep_alive, out, clock);
        if let Some(discarded) = discarded {
            self.transition(Event::EarlyResponse, State::Discarding(discarded));
        } else if keep_alive {
            self.transition(Event::KeepAliveResponse, State::Idle { since: clock.now(), removed: 0 });
        } else {
            // A client that asked to close, and whose request is complete, sends no more. Any other client may be
            // sending: closing at once would reset the connection, and the client could lose the response (RFC 9112
            // §9.6).
            let linger = wants_keep_alive || !is_complete;
            self.transition(Event::LastResponse, State::Finishing { linger });
        }
        Ok(())
    }

    /// Queues a 101, as [`respond`](Connection::respond) does.
    #[cold]
    fn respond_upgrade(
        &mut self,
        mut response: Response,
        out: &mut SendQueue,
        clock: &Clock,
    ) -> Result<(), Misuse> {
        let (framing, content) = match &self.state {
            State::AwaitingReply { framing, content, .. } => (framing, *content),
            State::Receiving(_) => return Err(discard_response(response, Misuse::UpgradeBeforeContent)),
            _ => return Err(discard_response(response, Misuse::UpgradeNotRequested)),
        };
        let method = framing.method;
        let offered = self.offered.as_deref().filter(|_| framing.upgrade);
        match response.check_upgrade(offered, content == Content::Complete) {
            Ok(take) => {
                response.queue(method, BodyLength::Exact(0), false, out, clock);
                self.transition(Event::UpgradeResponse, State::Upgrading(Some(take)));
                Ok(())
            }
            Err(misuse) => Err(discard_response(response, misuse)),
        }
    }

    /// Returns the function that takes over the connection, after [`Step::Upgrade`](crate::Step::Upgrade). The receive
    /// buffer holds what the client has sent after the head of its request. No other function of this connection may be
    /// called afterwards. Returns `None` if the connection is not upgraded.
    #[cold]
    pub fn take_upgrade(&mut self) -> Option<OnUpgrade> {
        let State::Upgrading(take) = &mut self.state else { return None };
        let take = take.take();
        self.transition(Event::HandedOver, State::Closed(CloseReason::Done));
        take
    }

    /// Rejects the request that awaits its response, or whose head awaits [`admit`](Connection::admit), for example
    /// because its handler has failed. Then pass an error response to [`respond`](Connection::respond): the connection
    /// closes after it. Also rejects an idle connection, after [`Step::ProxyHeader`](crate::Step::ProxyHeader). Does
    /// nothing in the other states.
    pub fn reject(&mut self) {
        let (framing, head) = match &self.state {
            State::AwaitingReply { framing, received_at, .. } if self.request_len > 0 => {
                (framing, RejectedHead::Valid(*framing, *received_at))
            }
            State::AwaitingReply { framing, .. } => (framing, RejectedHead::Gone),
            State::Admitting { framing, received_at, .. } => {
                (framing, RejectedHead::Valid(*framing, *received_at))
            }
            State::Receiving(content) if self.request_len > 0 => {
                (&content.framing, RejectedHead::Valid(content.framing, content.received_at))
            }
            State::Receiving(content) => (&content.framing, RejectedHead::Gone),
            State::Idle { .. } => return self.refuse(),
            _ => return,
        };
        self.transition(Event::Rejected, State::Rejecting { method: framing.method, head });
    }

    /// Returns `reason` with the client's address and the rejected request, as far as they are known. `reason` is that
    /// of [`Step::Reject`](crate::Step::Reject), of [`expire`](Connection::expire), or the engine's own after
    /// [`reject`](Connection::reject). Call this before [`respond`](Connection::respond).
    pub fn rejected<'b>(&'b self, reason: Rejection, input: &'b RecvBuf) -> Rejected<'b> {
        let request_line = match (reason, &self.state) {
            (
                Rejection::Malformed(_) | Rejection::RequestTimeout,
                State::Rejecting { head: RejectedHead::Invalid, .. },
            ) => first_line(input.unread()),
            _ => b"",
        };
        Rejected { reason, client_addr: self.client_addr, request: self.request(input), request_line }
    }

    /// Returns whether the response that is due, if it has this status, is sent with its body: a response to HEAD is
    /// not, nor is a 204, a 205 or a 304. Returns false if no response is due.
    pub fn sends_body(&self, status: Status) -> bool {
        match &self.state {
            State::AwaitingReply { framing, .. } => encode::carries_body(status, framing.method),
            State::Receiving(content) => encode::carries_body(status, content.framing.method),
            State::Rejecting { method, .. } => encode::carries_body(status, *method),
            _ => false,
        }
    }
}

/// Drops a response that cannot be queued, and returns the reason.
#[cold]
fn discard_response(mut response: Response, misuse: Misuse) -> Misuse {
    std::mem::take(response.body_mut()).discard_any();
    misuse
}
