//! Drives a connection between two system calls: polls its protocol state, calls the handler, queues the response.
//!
//! Both engines use this. It does no I/O and never waits.

use http_core::{
    Buffers, Clock, Connection, Handler, Job, Misuse, Rejection, Reply, Responder, Response, Step,
    catch_panic,
};
use std::time::Duration;

/// What the engine must do next for a connection.
#[derive(Debug)]
pub enum Action {
    /// Receive more bytes.
    Receive,
    /// Transmit the send queue.
    Send,
    /// Start this reply with [`start_reply`]. Pass its outcome (a response, or why there is none) to
    /// [`Driver::complete`] as soon as it is known.
    StartReply(Reply),
    /// Wait for the outcome of the reply that [`Action::StartReply`] has started.
    AwaitReply,
    /// Serve other connections first: this connection has used up its budget of requests or bytes.
    Yield,
    /// Shut down the sending side of the socket.
    ShutdownWrite,
    /// Close the socket.
    Close,
}

/// The outcome of a reply: the response, or the reason why there is none.
pub type Outcome = Result<Response, Rejection>;

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
}

impl Driver<'_> {
    /// Advances the connection as far as possible without I/O, and returns what the engine must do next. Reduces
    /// `budget` by one for each response that it queues; at zero returns [`Action::Yield`].
    ///
    /// If the handler panics, the client that sent the request gets 500, and its connection closes.
    #[inline]
    pub fn drive(&mut self, budget: &mut u32) -> Action {
        loop {
            match self.conn.poll(&mut self.buffers.input, &mut self.buffers.out, self.clock.now()) {
                Step::Head => {
                    self.admit();
                    continue;
                }
                Step::Request => {
                    let Some(request) = self.conn.request(&self.buffers.input) else { return Action::Close };
                    match catch_panic(|| self.handler.handle(&request)) {
                        Ok(Reply::Now(response)) => self.respond(response),
                        Ok(later) => return Action::StartReply(later),
                        Err(reason) => self.complete(Err(reason)),
                    }
                }
                Step::Reject(reason) => self.respond_rejected(reason),
                Step::Receive => return Action::Receive,
                Step::Flush => return Action::Send,
                Step::AwaitReply => return Action::AwaitReply,
                Step::ShutdownWrite => return Action::ShutdownWrite,
                Step::Close(_) => return Action::Close,
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
            Err(reason) => {
                self.conn.reject();
                self.respond_rejected(reason);
            }
        }
    }

    /// Queues the response of a reply, or an error response if `outcome` is a rejection. Does nothing if the connection
    /// does not wait for a response (any more): its deadline may have passed meanwhile.
    pub fn complete(&mut self, outcome: Outcome) {
        if !self.conn.is_awaiting_reply() {
            return;
        }
        match outcome {
            Ok(response) => self.respond(response),
            Err(reason) => {
                self.conn.reject();
                self.respond_rejected(reason);
            }
        }
    }

    /// Handles a deadline of the connection that has passed. If the client has not sent its request in time, queues a
    /// 408. If the handler has not responded in time, queues a 503. Otherwise (an idle connection, a client that does
    /// not read) marks the connection for closing. Does nothing if the deadline has not passed.
    ///
    /// Call [`drive`](Driver::drive) afterwards.
    pub fn expire(&mut self) {
        if let Some(reason) = self.conn.expire(self.clock.now()) {
            self.respond_rejected(reason);
        }
    }

    /// Queues a handler's response. If the response is invalid, queues a 500 instead.
    #[inline]
    fn respond(&mut self, response: Response) {
        if let Err(misuse) = self.conn.respond(response, &mut self.buffers.out, self.clock) {
            report(&misuse);
            self.conn.reject();
            self.respond_rejected(Rejection::InvalidResponse);
        }
    }

    /// Queues the response to a rejected request: the default response for `reason`, which the handler may change or
    /// replace ([`Handler::rejected`]). If the handler panics, queues a 500. If the handler's response is invalid,
    /// queues the default response.
    #[cold]
    fn respond_rejected(&mut self, reason: Rejection) {
        let rejected = self.conn.rejected(reason, &self.buffers.input);
        let response = catch_panic(|| self.handler.rejected(&rejected, rejected.response()));
        let response = response.unwrap_or_else(Rejection::response);
        if let Err(misuse) = self.conn.respond(response, &mut self.buffers.out, self.clock) {
            report(&misuse);
            // The default response is always valid.
            let _ = self.conn.respond(rejected.response(), &mut self.buffers.out, self.clock);
        }
    }
}

/// Logs that a handler's response could not be sent.
#[cold]
fn report(misuse: &Misuse) {
    log::error!("cannot send the handler's response: {misuse}; responding 500 instead");
}

/// How an engine runs a reply that is not [`Reply::Now`]. A job is the function that produces the response.
///
/// `run_after` and `offload` return the outcome (the response, or why there is none) if it is known on return. If they
/// return `None`, the engine gets the outcome later.
pub trait RunReply {
    /// Runs `job` after `delay`. The blocking engine sleeps, runs it, and returns the outcome. An event loop sets a
    /// timer and returns `None`.
    fn run_after(&mut self, delay: Duration, job: Job) -> Option<Outcome>;
    /// Runs `job`, which may block or compute for long. The blocking engine runs it on this thread and returns the
    /// outcome. An event loop queues it for its thread pool and returns `None`; if the queue is full, it returns
    /// [`Rejection::Overloaded`].
    fn offload(&mut self, job: Job) -> Option<Outcome>;
    /// Creates the responder of a [`Reply::Deferred`]. The application may use the responder later, from any thread.
    /// The responder passes the outcome to the engine.
    fn responder(&mut self) -> Responder;
}

/// Starts a reply with the methods of `run`. Returns the outcome (the response, or why there is none) if it is known on
/// return. Returns `None` if the engine gets it later: from a timer, a pool thread or a responder.
pub fn start_reply(reply: Reply, run: &mut impl RunReply) -> Option<Outcome> {
    match reply {
        Reply::Now(response) => Some(Ok(response)),
        Reply::After(delay, job) => run.run_after(delay, job),
        Reply::Offload(job) => run.offload(job),
        Reply::Deferred(start) => {
            let responder = run.responder();
            catch_panic(|| start(responder)).err().map(Err)
        }
    }
}
