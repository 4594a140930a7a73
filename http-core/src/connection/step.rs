//! The steps that a connection asks its engine to do.

use crate::message::rejection::Rejection;

/// What the engine must do for a connection before it calls [`Connection::poll`](crate::Connection::poll) again.
///
/// ```
/// use http_core::{Buffers, Connection, Step};
/// use std::{sync::Arc, time::Instant};
///
/// let now = Instant::now();
/// let Buffers { mut input, mut out } = Buffers::default();
/// let mut conn = Connection::new(Arc::default(), now);
/// assert_eq!(conn.poll(&mut input, &mut out, now), Step::Receive);
/// input.extend(b"PUT / HTTP/1.1\r\nHost: example.org\r\nContent-Length: 5\r\n\r\n");
/// assert_eq!(conn.poll(&mut input, &mut out, now), Step::Head);
/// assert_eq!(conn.poll(&mut input, &mut out, now), Step::Receive);
/// input.extend(b"Hello");
/// assert_eq!(conn.poll(&mut input, &mut out, now), Step::Request);
/// assert_eq!(conn.request(&input).map(|request| request.body()), Some(&b"Hello"[..]));
/// assert_eq!(conn.poll(&mut input, &mut out, now), Step::AwaitReply);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Receive bytes into [`RecvBuf::spare`](crate::RecvBuf::spare). At the end of the input, call
    /// [`receive_eof`](crate::Connection::receive_eof). Do not poll before bytes have arrived or the input has ended.
    Receive,
    /// The header of the PROXY protocol has arrived: [`Connection::client_addr`](crate::Connection::client_addr) is now
    /// what it announces. An engine that limits the connections of each address checks the address now, and can refuse
    /// the connection: it calls [`reject`](crate::Connection::reject), and passes a response to
    /// [`respond`](crate::Connection::respond). Otherwise it polls again at once.
    ProxyHeader,
    /// The head of a request with content is complete. Read it with
    /// [`Connection::request`](crate::Connection::request), and pass to [`Connection::admit`](crate::Connection::admit)
    /// how the content is to be taken. If the engine polls without that, the content is buffered
    /// ([`Admit::Buffer`](crate::Admit::Buffer)).
    Head,
    /// Read the request with [`Connection::request`](crate::Connection::request), and pass the response to
    /// [`respond`](crate::Connection::respond), before or after the next poll. The next poll removes the request from
    /// the receive buffer.
    Request,
    /// Bytes of the content are there, which [`Connection::receive_content`](crate::Connection::receive_content) has
    /// requested. Read them with [`Connection::content`](crate::Connection::content), and pass to
    /// [`take_content`](crate::Connection::take_content) how many were taken. If none were taken, wait until the
    /// application can take some, and then poll. The response may come at any time.
    Content,
    /// All of the content is taken. Poll again at once.
    ContentEnd,
    /// The library rejects the request for this reason. Pass a response, such as
    /// [`Rejected::response`](crate::Rejected::response) of [`rejected`](crate::Connection::rejected), to
    /// [`respond`](crate::Connection::respond) before the next poll.
    Reject(Rejection),
    /// Wait for the handler's response, and pass it to [`respond`](crate::Connection::respond). Do not poll before.
    AwaitReply,
    /// Send what [`SendQueue::transmit`](crate::SendQueue::transmit) returns. Poll when the queue is empty, and also
    /// before and after each wait, whether the socket accepts no more bytes for now or a stream is
    /// [`Pending`](crate::Transmit::Pending): the poll updates the deadline that detects a stalled client.
    Flush,
    /// Shut down the sending side of the socket, so that the client sees the end of the last response.
    ShutdownWrite,
    /// The 101 is sent: the connection continues with another protocol. Pass the socket and the bytes in the receive
    /// buffer to the function that [`take_upgrade`](crate::Connection::take_upgrade) returns. No other step follows.
    Upgrade,
    /// Close the socket. No other step follows.
    Close(CloseReason),
}

/// The reason why a connection is closed.
///
/// ```
/// use http_core::{Buffers, CloseReason, Connection, Step};
/// use std::{sync::Arc, time::Instant};
///
/// let now = Instant::now();
/// let Buffers { mut input, mut out } = Buffers::default();
/// let mut conn = Connection::new(Arc::default(), now);
/// input.extend(b"GET / HTT");
/// assert_eq!(conn.poll(&mut input, &mut out, now), Step::Receive);
/// conn.receive_eof();
/// assert_eq!(conn.poll(&mut input, &mut out, now), Step::Close(CloseReason::Truncated));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The connection has ended as planned: the last response is sent, such as a 408, the connection was idle after
    /// [`disable_keep_alive`](crate::Connection::disable_keep_alive), or it was upgraded.
    ///
    /// Before this, the server gives a client that may still be sending the time
    /// [`Timeouts::linger`](crate::Timeouts::linger) to shut down its sending side.
    Done,
    /// The client closed the connection between two requests.
    ClientClosed,
    /// The client closed the connection within a request.
    Truncated,
    /// The client sent no request within [`Timeouts::idle`](crate::Timeouts::idle), or the proxy no header of the PROXY
    /// protocol within [`Timeouts::head`](crate::Timeouts::head).
    Idle,
    /// The client, which has its response, sent the rest of its request's content too slowly or not at all: see
    /// [`Timeouts::body_idle`](crate::Timeouts::body_idle) and [`Timeouts::body_rate`](crate::Timeouts::body_rate).
    BodyStall,
    /// The client read its responses too slowly, or not at all: see
    /// [`Timeouts::write_stall`](crate::Timeouts::write_stall) and [`Timeouts::send_rate`](crate::Timeouts::send_rate).
    WriteStall,
}
