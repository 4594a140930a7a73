//! What a connection asks its engine to do.

use crate::message::rejection::Rejection;

/// The next thing that the engine does for a connection, then calls [`Connection::poll`](crate::Connection::poll) again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Receive into [`RecvBuf::spare`](crate::RecvBuf::spare), or call
    /// [`receive_eof`](crate::Connection::receive_eof). Do not poll before either has happened.
    Receive,
    /// Read the request with [`Connection::request`](crate::Connection::request), and pass the response to
    /// [`respond`](crate::Connection::respond), now or later. The next poll removes the request from the buffer.
    Request,
    /// Pass a response to [`respond`](crate::Connection::respond) before the next poll.
    Reject(Rejection),
    /// Wait for the handler's response. Do not poll before [`respond`](crate::Connection::respond).
    AwaitReply,
    /// Send what [`SendQueue::transmit`](crate::SendQueue::transmit) returns. Poll when the queue is empty, and whenever
    /// the socket accepts no more for now: the poll updates the deadline that detects a stalled client.
    Flush,
    /// Shut down the sending side of the socket, so that the client sees the end of the last response.
    ShutdownWrite,
    /// Close the socket. No other step follows.
    Close(CloseReason),
}

/// The reason why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The last response is sent.
    Done,
    /// The client closed the connection between two requests.
    ClientClosed,
    /// The client closed the connection within a request.
    Truncated,
    /// The client sent no request in time.
    Idle,
    /// The client did not read its response in time.
    WriteStall,
}
