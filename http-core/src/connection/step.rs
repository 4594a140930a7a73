//! What a connection asks of whoever drives it.

use crate::message::{rejection::Rejection, request::Request};

/// What to do next for a connection.
#[derive(Debug)]
pub enum Step<'b> {
    /// Receive into [`RecvBuf::spare`](crate::RecvBuf::spare), or report [`Connection::peer_closed`](crate::Connection::peer_closed); then poll again.
    Receive,
    /// Answer this with [`respond`](crate::Connection::respond), now or later; then poll again.
    Request(Request<'b>),
    /// Answer this with [`respond`](crate::Connection::respond) at once; then poll again.
    Reject(Rejection),
    /// An answer is owed and not there. Poll again after [`respond`](crate::Connection::respond).
    AwaitAnswer,
    /// Send what [`SendQueue::transmit`](crate::SendQueue::transmit) yields. Poll again when the queue is empty, and also whenever the peer
    /// takes no more for now, so that a stall is noticed.
    Flush,
    /// Shut down the sending side, then poll again: the peer shall see the end of the last answer.
    ShutdownWrite,
    /// Close the socket. Nothing else will come.
    Close(CloseReason),
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The last exchange is complete.
    Done,
    /// The peer closed between two requests.
    PeerClosed,
    /// The peer closed in the middle of a request.
    Truncated,
    /// Nothing was asked for too long.
    Idle,
    /// The peer took nothing of its answer for too long.
    WriteStall,
}
