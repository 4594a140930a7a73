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
    /// Start this reply with [`start_reply`]; pass its outcome to [`Driver::complete`] when it is known.
    StartReply(Reply),
    /// Wait for the outcome of the reply that was started.
    AwaitReply,
    /// Serve other connections first: this one has used up its request budget.
    Yield,
    /// Shut down the sending side of the socket.
    ShutdownWrite,
    /// Close the socket.
    Close,
}

/// The outcome of a reply: the response, or why there is none.
pub type Outcome = Result<Response, Rejection>;

/// Advances a connection between two system calls: polls its protocol state, calls the handler, queues the response.
pub struct Driver<'d> {
    /// The protocol state.
    pub conn: &'d mut Connection,
    /// The received bytes and the send queue.
    pub buffers: &'d mut Buffers,
    /// The application.
    pub handler: &'d dyn Handler,
    /// The current time. The engine updates it after it has waited.
    pub clock: &'d Clock,
}

impl Driver<'_> {
    /// Advances the connection as far as possible without I/O. Each request or rejection that gets a response reduces
    /// `budget` by one; at zero the function returns [`Action::Yield`].
    ///
    /// A panic in the handler ends here: its client gets 500 and the connection closes.
    #[inline]
    pub fn drive(&mut self, budget: &mut u32) -> Action {
        loop {
            match self.conn.poll(&mut self.buffers.input, &mut self.buffers.out, self.clock.now()) {
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

    /// Queues the response for the outcome of a reply. Does nothing if the connection no longer waits for one, because
    /// its deadline has passed.
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

    /// Does nothing unless the connection's deadline has passed. Then, if the client has not sent its request in time
    /// or the handler's response is late, queues a rejection (408 or 503). In all other cases (an idle connection, a
    /// client that does not read) marks the connection for closing. Call [`drive`](Driver::drive) afterwards.
    pub fn expire(&mut self) {
        if let Some(reason) = self.conn.expire(self.clock.now()) {
            self.respond_rejected(reason);
        }
    }

    /// Queues a handler's response. One that cannot be sent becomes 500.
    #[inline]
    fn respond(&mut self, response: Response) {
        if let Err(misuse) = self.conn.respond(response, &mut self.buffers.out, self.clock) {
            report(misuse);
            self.conn.reject();
            self.respond_rejected(Rejection::InvalidResponse);
        }
    }

    /// Queues the response to a rejected request. The handler may change or replace the default response
    /// ([`Handler::rejected`]). If it panics, queues 500; if its response is invalid, queues the default one.
    #[cold]
    fn respond_rejected(&mut self, reason: Rejection) {
        let rejected = self.conn.rejected(reason, &self.buffers.input);
        let response = catch_panic(|| self.handler.rejected(&rejected, reason.response()));
        let response = response.unwrap_or_else(Rejection::response);
        if let Err(misuse) = self.conn.respond(response, &mut self.buffers.out, self.clock) {
            report(misuse);
            // The default response is always valid.
            let _ = self.conn.respond(reason.response(), &mut self.buffers.out, self.clock);
        }
    }
}

/// Logs that a handler's response could not be sent.
#[cold]
fn report(misuse: Misuse) {
    log::error!("cannot send the handler's response: {misuse}; responding 500 instead");
}

/// How an engine runs a reply that is not [`Reply::Now`]. A job is the function that produces the response.
///
/// `run_after` and `offload` return the outcome if it is known on return. If they return `None`, the engine gets the
/// outcome later.
pub trait RunReply {
    /// Runs `job` after `delay`. An engine that sleeps meanwhile returns the outcome. An event loop only sets a timer,
    /// and returns `None`.
    fn run_after(&mut self, delay: Duration, job: Job) -> Option<Outcome>;
    /// Runs `job`, which may block or compute for long. An engine that runs it on this thread returns the outcome. An
    /// event loop queues it for its thread pool and returns `None`, or [`Rejection::Overloaded`] at once if the queue
    /// is full.
    fn offload(&mut self, job: Job) -> Option<Outcome>;
    /// Creates the responder for a reply whose response comes later from any thread ([`Reply::Deferred`]). It passes
    /// the outcome to the engine, which is waiting for it.
    fn responder(&mut self) -> Responder;
}

/// Starts a reply with the methods of `run`. Returns the outcome if it is known on return. Otherwise a timer, a pool
/// thread or the responder delivers it to the engine later.
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
