//! How a connection checks, corrects and queues a response.

use super::{
    body::Body,
    response::Response,
    stated::Statements,
    upgrade::{OfferedProtocols, OnUpgrade},
};
use crate::{
    buffer::{segment::Segment, send_queue::SendQueue},
    codec::{
        encode::{self, ResponseHead},
        framing::BodyLength,
    },
    types::{clock::Clock, error::Misuse, method::Method, panic::drop_caught, status::Status},
};

impl Response {
    /// Corrects a response that must not be sent to a request with this method. Adds an empty Allow header to a 405
    /// without Allow. Replaces a 2xx response to CONNECT by a 501, because it would tell the client that a tunnel is
    /// open. Leaves any other response unchanged.
    #[inline]
    pub(crate) fn correct(&mut self, method: Method) {
        if self.status == Status::METHOD_NOT_ALLOWED || method == Method::Connect {
            self.correct_rare(method);
        }
    }

    /// Corrects a 405, or a response to CONNECT.
    #[cold]
    fn correct_rare(&mut self, method: Method) {
        if method == Method::Connect && self.status.is_success() {
            // RFC 9110 §9.3.6: a success means that a tunnel is open, and this library opens none.
            let error = Response::error(Status::NOT_IMPLEMENTED);
            drop_caught(std::mem::take(&mut self.body));
            *self = Response { on_sent: self.on_sent.take(), ..error };
        } else if self.status == Status::METHOD_NOT_ALLOWED && self.header("Allow").is_none() {
            // RFC 9110 §15.5.6: every 405 must have an Allow header. An empty one means that no method is allowed.
            self.set_allow(&[]);
        }
    }

    /// Checks whether the response can be sent to a request with this method.
    ///
    /// # Errors
    ///
    /// If the status is interim, the body or a header cannot be sent, or the handler has stated another length than
    /// that of the body.
    #[inline]
    pub(crate) fn check(&self, method: Method) -> Result<(), Misuse> {
        if self.status.is_interim() && self.status != Status::SWITCHING_PROTOCOLS {
            return Err(Misuse::InterimStatus(self.status));
        }
        if let Some(statements) = &self.statements {
            self.check_statements(statements, method)?;
        }
        self.body.check()
    }

    /// Checks what the handler has stated. Fails if a header cannot be sent, or a statement disagrees with the body.
    #[cold]
    fn check_statements(&self, statements: &Statements, method: Method) -> Result<(), Misuse> {
        let length = self.body.len();
        let is_unknown = method == Method::Head && (length.is_none() || matches!(self.body, Body::Empty));
        statements.check(length, self.status.has_body() && !is_unknown)
    }

    /// Checks a 101 to a request whose Upgrade headers offer the protocols `offered`; `None` if it has no such headers,
    /// or they do not apply. `is_complete` is whether its content is received. Returns the function that takes over the
    /// connection.
    ///
    /// # Errors
    ///
    /// If the connection must continue with HTTP.
    pub(crate) fn check_upgrade(
        &mut self,
        offered: Option<&OfferedProtocols>,
        is_complete: bool,
    ) -> Result<OnUpgrade, Misuse> {
        let protocol = self.header("Upgrade");
        if !offered.zip(protocol).is_some_and(|(offered, protocol)| offered.contain_one_of(protocol)) {
            Err(Misuse::UpgradeNotRequested)
        } else if !is_complete {
            Err(Misuse::UpgradeBeforeContent)
        } else {
            self.take_on_upgrade().ok_or(Misuse::UpgradeWithoutFunction)
        }
    }

    /// Appends the head and the body to the send queue. Drops the body of a 204, a 205 or a 304, and of a response to
    /// HEAD. `method` is that of the request. `length` says how the body is delimited. `keep_alive` sets the Connection
    /// header. `clock` provides the Server and Date headers. Call this only if [`check`](Response::check) accepts the
    /// response.
    #[inline]
    pub(crate) fn queue(
        self,
        method: Method,
        length: BodyLength,
        keep_alive: bool,
        out: &mut SendQueue,
        clock: &Clock,
    ) {
        let carries_body = encode::carries_body(self.status, method);
        let head = ResponseHead {
            status: self.status,
            server_and_date: clock.headers(),
            shared_headers: self.shared_headers.as_ref().map_or(&[], |headers| headers.as_bytes()),
            headers: self.headers.as_bytes(),
            body: if carries_body { Some(length) } else { self.length_without_body(length) },
            keep_alive,
            upgrade: false,
        };
        match &self.statements {
            None => out.write(|text| encode::response_head(text, &head)),
            Some(statements) => out.write(|text| statements.write_head(text, head, clock)),
        }
        let from = out.total_queued();
        if carries_body {
            self.body.queue(out, length);
        } else {
            self.body.discard();
        }
        if let Some(on_sent) = self.on_sent {
            out.push(Segment::End { from, on_sent });
        }
    }

    /// Returns what the head says of the length of a body that is not sent (RFC 9110 §8.6), because of the status or
    /// because the method is HEAD. `length` is that of [`body`](Response::body).
    #[inline]
    fn length_without_body(&self, length: BodyLength) -> Option<BodyLength> {
        if !self.status.has_body() {
            // RFC 9110 §15.3.6: without Content-Length, a client would wait for the body of a 205.
            return (self.status == Status::RESET_CONTENT).then_some(BodyLength::Exact(0));
        }
        match (self.statements.as_ref().and_then(|statements| statements.content_length()), &self.body) {
            (Some(stated), _) => Some(BodyLength::Exact(stated)),
            // A handler that leaves out the body for HEAD has not said how long it would be.
            (None, Body::Empty) => None,
            (None, _) => Some(length),
        }
    }
}
