//! The steps that a connection asks its engine to do.

use crate::message::rejection::Rejection;

/// What the engine must do for a connection before it calls [`Connection::poll`](crate::Connection::poll) again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Receive bytes into [`RecvBuf::spare`](crate::RecvBuf::spare). At the end of the input, call
    /// [`receive_eof`](crate::Connection::receive_eof). Do not poll before either has happened.
    Receive,
    /// Read the request with [`Connection::request`](crate::Connection::request), and pass the response to
    /// [`respond`](crate::Connection::respond), before or after the next poll. The next poll removes the request from the
    /// receive buffer.
    Request,
    /// The library rejects the request for this reason. Pass the response to the rejection to
    /// [`respond`](crate::Connection::respond) before the next poll.
    Reject(Rejection),
    /// Wait for the handler's response, and pass it to [`respond`](crate::Connection::respond). Do not poll before.
    AwaitReply,
    /// Send what [`SendQueue::transmit`](crate::SendQueue::transmit) returns. Poll when the queue is empty, and also when
    /// the socket accepts no more bytes for now: the poll updates the deadline that detects a stalled client.
    Flush,
    /// Shut down the sending side of the socket, so that the client sees the end of the last response.
    ShutdownWrite,
    /// Close the socket. No other step follows.
    Close(CloseReason),
}

/// The reason why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The last response is sent, such as the 408 to a request that was not complete in time. If the client could
    /// still be sending, it has since shut down its sending side, or [`Timeouts::linger`](crate::Timeouts::linger) has
    /// passed.
    ///
    /// Also the reason if the engine did not respond to a [`Step::Reject`].
    Done,
    /// The client closed the connection between two requests.
    ClientClosed,
    /// The client closed the connection within a request.
    Truncated,
    /// The client sent no request within [`Timeouts::idle`](crate::Timeouts::idle).
    Idle,
    /// The client read its response too slowly, or not at all.
    WriteStall,
}
