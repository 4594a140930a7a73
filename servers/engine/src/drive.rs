//! Drives a connection between two system calls: polls its protocol state, calls the handler, queues the response.
//!
//! Both engines use this. It does no I/O and never waits.

use crate::{label::RequestLabel, stream::start_body, upgrade};
use http_core::{
    Body, Buffers, Clock, CloseReason, Connection, Handler, IncompleteContent, Misuse, Rejection, Reply,
    Request, Response, Status, Step, catch_panic, drop_caught,
};
use std::time::Instant;

pub use crate::{
    late::{LateReply, Outcome},
    metrics::Counters,
    stream::StreamSupport,
};

/// What the engine must do next for a connection.
#[derive(Debug)]
pub enum Action {
    /// Receive more bytes.
    Receive,
    /// A trusted proxy has announced the client: count the connection for the address that
    /// [`Connection::client_addr`] returns now. If that address is at its limit, call `Driver::fail`.
    AdmitAddress,
    /// Transmit the send queue.
    Send,
    /// Start this reply. Pass its outcome (a response, or why there is none) to `Driver::complete` as soon as it is
    /// known, also while the connection waits for the client.
    StartReply(Reply),
    /// Wait for the outcome of the reply that [`Action::StartReply`] has started, or for the waker of the pipe through
    /// which it reads content.
    AwaitReply,
    /// Serve other connections first: this connection has used up its budget of requests or bytes.
    Yield,
    /// Shut down the sending side of the socket.
    ShutdownWrite,
    /// Pass the socket to the function that takes over the connection ([`Connection::take_upgrade`]).
    Upgrade,
    /// Close the socket.
    Close,
}

/// Advances a connection between two system calls: polls its protocol state, calls the handler, queues the response.
pub struct Driver<'d> {
    /// The protocol state.
    pub conn: &'d mut Connection,
    /// The received bytes and the send queue.
    pub buffers: &'d mut Buffers,
    /// The application.
    pub handler: &'d dyn Handler,
    /// The current time. The engine must update it after each wait.
    pub clock: &'d Clock,
    /// The wakers and threads for content and bodies that are passed on piece by piece.
    pub streams: &'d dyn StreamSupport,
    /// The reply that the connection awaits; `None` if it awaits none.
    pub late: &'d mut Option<Box<LateReply>>,
    /// The counters of the worker.
    pub counters: &'d Counters,
}

impl Driver<'_> {
    /// Advances the connection as far as possible without I/O, and returns what the engine must do next. Reduces
    /// `budget` by one for each response that it queues, and for each piece of content that it passes on; at zero
    /// returns [`Action::Yield`].
    ///
    /// If the handler panics, the client that sent the request gets 500, and its connection closes.
    #[inline]
    pub fn drive(&mut self, budget: &mut u32) -> Action {
        loop {
            match self.conn.poll(&mut self.buffers.input, &mut self.buffers.out, self.clock.now()) {
                Step::ProxyHeader => return Action::AdmitAddress,
                Step::Head => {
                    self.admit();
                    continue;
                }
                Step::Request => {
                    let Some(request) = self.conn.request(&self.buffers.input) else { return Action::Close };
                    match catch_panic(|| self.handler.handle(&request)) {
                        Ok(Reply::Now(response)) => self.respond(response),
                        Ok(later) => {
                            if let Some(action) = self.begin_reply(later) {
                                return action;
                            }
                        }
                        Err(panicked) => self.fail(panicked.into()),
                    }
                }
                Step::Content => {
                    if let Some(action) = self.pass_content() {
                        return action;
                    }
                }
                Step::ContentEnd => {
                    if let Some(action) = self.end_content() {
                        return action;
                    }
                }
                Step::Reject(reason) => self.respond_rejected(reason),
                Step::Receive => return Action::Receive,
                Step::Flush => return Action::Send,
                Step::AwaitReply => return Action::AwaitReply,
                Step::ShutdownWrite => return Action::ShutdownWrite,
                Step::Upgrade => return Action::Upgrade,
                Step::Close(reason) => {
                    if self.late.is_some() {
                        self.abandon_reply(reason);
                    }
                    return Action::Close;
                }
            }
            *budget = budget.saturating_sub(1);
            if *budget == 0 {
                return Action::Yield;
            }
        }
    }

    /// Asks the handler how the content of the request is taken. If the handler panics, rejects the request with 500.
    #[cold]
    fn admit(&mut self) {
        let Some(head) = self.conn.request(&self.buffers.input) else { return };
        match catch_panic(|| self.handler.admit(&head)) {
            Ok(admit) => self.conn.admit(admit),
            Err(panicked) => self.fail(panicked.into()),
        }
    }

    /// Queues the response of the reply that the connection awaits, or an error response if `outcome` is a rejection.
    /// Does nothing if the connection does not wait for a response (any more): its deadline may have passed meanwhile.
    pub(crate) fn complete(&mut self, outcome: Outcome) {
        if !self.conn.is_awaiting_reply() {
            return drop_caught(outcome);
        }
        if let Some(late) = self.late {
            late.token.release();
            if outcome.is_err() {
                late.log_failure();
            }
        }
        match outcome {
            Ok(response) => self.respond(response),
            Err(reason) => self.fail(reason),
        }
        *self.late = None;
    }

    /// Drops the reply that the connection awaits, because the connection closes for this reason.
    #[cold]
    fn abandon_reply(&mut self, reason: CloseReason) {
        if let Some(mut late) = self.late.take()
            && reason == CloseReason::Truncated
        {
            late.end_content(IncompleteContent::Truncated);
        }
    }

    /// Queues the response to a request that the handler has failed to answer, or to a connection that is refused.
    #[cold]
    pub(crate) fn fail(&mut self, reason: Rejection) {
        self.conn.reject();
        self.respond_rejected(reason);
    }

    /// Handles a deadline of the connection that has passed. If the client has not sent its request in time, queues
    /// a 408. If the handler has not responded in time, queues a 503. Otherwise (an idle connection, a client that does
    /// not read) marks the connection for closing. Does nothing if the deadline has not passed, or if a job has
    /// meanwhile made room for more content.
    ///
    /// Returns the reply that the connection no longer awaits, if there was one. Call [`drive`](Driver::drive)
    /// afterwards.
    pub(crate) fn expire(&mut self) -> Option<Box<LateReply>> {
        if self.late.is_some() && self.refill_pipe() {
            return None;
        }
        let reason = self.conn.expire(self.clock.now())?;
        let mut late = self.late.take();
        if let Some(late) = &mut late {
            late.reject(reason);
        }
        self.respond_rejected(reason);
        late
    }

    /// Names the request that the connection awaits the response to. Call this before the next poll.
    #[cold]
    pub(crate) fn label(&self) -> RequestLabel {
        let request = self.conn.request(&self.buffers.input);
        RequestLabel::new(request.as_ref().map(Request::target), self.conn.client_addr())
    }

    /// Queues a handler's response. If the response is invalid, queues a 500 instead.
    #[inline]
    fn respond(&mut self, response: Response) {
        if let Body::Stream(_) | Body::Reader(..) = response.body() {
            return self.respond_stream(response);
        }
        if response.status() == Status::SWITCHING_PROTOCOLS {
            return self.respond_upgrade(response);
        }
        self.queue(response);
    }

    /// As [`respond`](Driver::respond), if the body is a stream or a reader.
    #[cold]
    fn respond_stream(&mut self, mut response: Response) {
        match self.start_body(&mut response) {
            Ok(()) => self.queue(response),
            Err(reason) => {
                drop_caught(response);
                self.fail(reason);
            }
        }
    }

    /// As [`respond`](Driver::respond), if the status is 101: first reserves a thread for the function that takes over
    /// the connection.
    #[cold]
    fn respond_upgrade(&mut self, mut response: Response) {
        let Some(take) = response.take_on_upgrade() else { return self.queue(response) };
        match upgrade::reserve_thread(take, self.request_label(), self.streams) {
            Ok(take) => self.queue(response.on_upgrade(take)),
            Err(reason) => {
                drop_caught(response);
                self.fail(reason);
            }
        }
    }

    /// As [`respond`](Driver::respond), when the body and the upgrade are prepared.
    #[inline]
    fn queue(&mut self, response: Response) {
        let status = response.status();
        if self.counters.measures_latency {
            self.count_latency();
        }
        match self.conn.respond(response, &mut self.buffers.out, self.clock) {
            Ok(()) => self.counters.count_response(status),
            Err(misuse) => {
                report(&misuse, &self.request_label());
                self.fail(Rejection::InvalidResponse);
            }
        }
    }

    /// Counts the latency of a response that is about to be queued.
    fn count_latency(&self) {
        let received_at = self.late.as_ref().map(|late| late.received_at).or_else(|| self.received_at());
        if let Some(received_at) = received_at {
            self.counters.count_latency(received_at.elapsed());
        }
    }

    /// When the request was received that the connection awaits the response to. Call this before the next poll.
    pub(crate) fn received_at(&self) -> Option<Instant> {
        self.conn.request(&self.buffers.input).map(|request| request.received_at())
    }

    /// Prepares the body of a response for sending, if it is a stream or a reader, and if it is sent at all. Fails if a
    /// descriptor or a thread is missing for it.
    #[cold]
    fn start_body(&self, response: &mut Response) -> Result<(), Rejection> {
        if self.conn.sends_body(response.status()) {
            let label = self.request_label();
            let body = response.body_mut();
            *body = start_body(std::mem::take(body), label, self.streams)?;
        }
        Ok(())
    }

    /// Names the request that a response belongs to, in messages about the response.
    fn request_label(&self) -> RequestLabel {
        self.late.as_ref().map_or_else(|| self.label(), |late| late.label.clone())
    }

    /// Queues the response to a rejected request: the default response for `reason`, which the handler may change or
    /// replace ([`Handler::rejected`]). If the handler panics, queues a 500. If the handler's response is invalid,
    /// queues the default response.
    #[cold]
    pub(crate) fn respond_rejected(&mut self, reason: Rejection) {
        if let Some(mut late) = self.late.take() {
            late.reject(reason);
        }
        let rejected = self.conn.rejected(reason, &self.buffers.input);
        let response = catch_panic(|| self.handler.rejected(&rejected, rejected.response()));
        let mut response = response.unwrap_or_else(|panicked| Rejection::from(panicked).response());
        if self.start_body(&mut response).is_err() {
            drop_caught(std::mem::replace(&mut response, rejected.response()));
        }
        let status = response.status();
        let mut responded = self.conn.respond(response, &mut self.buffers.out, self.clock).map(|()| status);
        if let Err(misuse) = responded {
            report(&misuse, &self.label());
            let response = self.conn.rejected(reason, &self.buffers.input).response();
            let status = response.status();
            // The default response is always valid.
            responded = self.conn.respond(response, &mut self.buffers.out, self.clock).map(|()| status);
        }
        if let Ok(status) = responded {
            self.counters.count_response(status);
        }
    }
}

/// Logs that a handler's response could not be sent.
#[cold]
fn report(misuse: &Misuse, label: &RequestLabel) {
    log::error!("cannot send the handler's response to {label}: {misuse}; responding 500 instead");
}
