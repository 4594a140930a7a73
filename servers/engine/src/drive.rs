//! Connection × handler: the one place where a request meets the application, for both engines.

use http_core::{Buffers, Clock, CloseReason, Connection, Handler, Rejection, Reply, Response, Step};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What an engine does next for a connection.
#[derive(Debug)]
pub enum Turn {
    /// Receive more.
    Receive,
    /// Send what is queued.
    Send,
    /// Bring this reply about and hand its answer to [`settle`].
    Later(Reply),
    /// Wait for the answer that is being brought about.
    AwaitAnswer,
    /// Its share of this turn is used up; others first.
    Yield,
    /// Shut down the sending side.
    ShutdownWrite,
    /// Close the socket.
    Close(CloseReason),
}

/// Takes a connection as far as it goes without the peer, answering at most `share` requests.
///
/// A handler's panic ends here: its peer gets a 500 and loses the connection, nobody else notices.
#[inline]
pub fn advance(
    conn: &mut Connection,
    buffers: &mut Buffers,
    app: &dyn Handler,
    clock: &Clock,
    share: &mut u32,
) -> Turn {
    loop {
        match conn.poll(&mut buffers.input, &mut buffers.out, clock.now()) {
            Step::Request(request) => match fenced(|| app.handle(&request)) {
                Ok(Reply::Now(response)) => conn.respond(response, &mut buffers.out, clock),
                Ok(later) => return Turn::Later(later),
                Err(why) => settle(conn, buffers, app, clock, Err(why)),
            },
            Step::Reject(why) => respond_rejected(conn, buffers, app, clock, why),
            Step::Receive => return Turn::Receive,
            Step::Flush => return Turn::Send,
            Step::AwaitAnswer => return Turn::AwaitAnswer,
            Step::ShutdownWrite => return Turn::ShutdownWrite,
            Step::Close(reason) => return Turn::Close(reason),
        }
        *share = share.saturating_sub(1);
        if *share == 0 {
            return Turn::Yield;
        }
    }
}

/// Gives a connection the answer that it has been waiting for. One that waits no longer takes no notice.
pub fn settle(
    conn: &mut Connection,
    buffers: &mut Buffers,
    app: &dyn Handler,
    clock: &Clock,
    answer: Result<Response, Rejection>,
) {
    if !conn.is_answering() {
        return;
    }
    match answer {
        Ok(response) => conn.respond(response, &mut buffers.out, clock),
        Err(why) => {
            conn.fail();
            respond_rejected(conn, buffers, app, clock, why);
        }
    }
}

/// Gives up on what took too long, if something did.
pub fn expire(conn: &mut Connection, buffers: &mut Buffers, app: &dyn Handler, clock: &Clock) {
    if let Some(why) = conn.expire(clock.now()) {
        respond_rejected(conn, buffers, app, clock, why);
    }
}

fn respond_rejected(
    conn: &mut Connection,
    buffers: &mut Buffers,
    app: &dyn Handler,
    clock: &Clock,
    why: Rejection,
) {
    let rejected = conn.rejected(why, &buffers.input, clock.now());
    let changed = fenced(|| app.rejected(&rejected, why.response()));
    let response = changed.unwrap_or_else(Rejection::response);
    conn.respond(response, &mut buffers.out, clock);
}

/// Runs application code.
///
/// # Errors
///
/// [`Rejection::Panicked`] when it panics; the panic hook has reported it by then.
pub fn fenced<T>(run: impl FnOnce() -> T) -> Result<T, Rejection> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|_| Rejection::Panicked)
}
