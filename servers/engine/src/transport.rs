//! The socket of one client: every system call on it is made here.
//!
//! Works on blocking and on non-blocking sockets. Never decides what to send or when to wait: the engines do.

use http_core::{RecvBuf, SendQueue, Transmit};
use rustix::{
    fs::sendfile,
    io::{Errno, retry_on_intr},
    net::{
        RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, recv, send, sendmsg, shutdown,
        sockopt::{Timeout, set_socket_timeout},
    },
};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

/// The most bytes that one `sendfile` call may send, so that a turn stays short whatever the socket would take.
const MAX_SENDFILE: u64 = 1024 * 1024;

/// A connected socket. Dropping it closes the connection.
#[derive(Debug)]
pub(crate) struct Transport {
    socket: OwnedFd,
}

/// The result of one receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// Bytes arrived. `emptied` means that they did not fill the room in the `RecvBuf`, so the socket held no more at
    /// that moment. If it is false, the socket may hold more.
    Bytes { emptied: bool },
    /// The client closed its sending side.
    Eof,
    /// Nothing has arrived; on a blocking socket, the receive timeout has expired.
    WouldBlock,
}

/// The result of transmitting a send queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transmitted {
    /// The queue is empty.
    All,
    /// The socket's send buffer is full; on a blocking socket, the send timeout has expired.
    WouldBlock,
    /// The byte budget is used up.
    BudgetSpent,
}

impl Transport {
    /// Takes over a connected socket.
    pub(crate) fn new(socket: OwnedFd) -> Transport {
        Transport { socket }
    }

    /// Receives once into the spare room of `input`.
    ///
    /// # Errors
    ///
    /// The connection is broken.
    #[inline]
    pub(crate) fn receive(&self, input: &mut RecvBuf) -> io::Result<Received> {
        let room = input.spare();
        let size = room.len();
        match retry_on_intr(|| recv(&self.socket, &mut *room, RecvFlags::empty())) {
            Ok((0, _)) => Ok(Received::Eof),
            Ok((count, _)) => {
                input.filled(count);
                Ok(Received::Bytes { emptied: count < size })
            }
            Err(Errno::AGAIN) => Ok(Received::WouldBlock),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends from `queue` until it is empty, the socket takes no more, or at least `budget` bytes are sent.
    ///
    /// # Errors
    ///
    /// The connection is broken, a stream failed, or a file is shorter than the response's Content-Length. The
    /// connection can only be closed.
    #[inline]
    pub(crate) fn transmit(&self, queue: &mut SendQueue, mut budget: u64) -> io::Result<Transmitted> {
        loop {
            // Check the budget first: `SendQueue::transmit` reports a failed stream only once.
            if budget == 0 && !queue.is_empty() {
                return Ok(Transmitted::BudgetSpent);
            }
            let sent = match queue.transmit() {
                Transmit::Empty => return Ok(Transmitted::All),
                Transmit::Broken(error) => return Err(error),
                Transmit::Bytes { slices, more } => {
                    let more = if more { SendFlags::MORE } else { SendFlags::empty() };
                    let flags = SendFlags::NOSIGNAL | more;
                    match &*slices {
                        [slice] => send(&self.socket, slice, flags),
                        slices => sendmsg(&self.socket, slices, &mut SendAncillaryBuffer::default(), flags),
                    }
                }
                Transmit::File { slice, .. } => {
                    let mut offset = slice.offset;
                    let count = slice.len.min(MAX_SENDFILE) as usize;
                    match sendfile(&self.socket, &slice.file, Some(&mut offset), count) {
                        // The file has become shorter. Its Content-Length is already sent, and a retry would spin.
                        Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                        outcome => outcome,
                    }
                }
            };
            match sent {
                Ok(count) => {
                    queue.sent(count);
                    budget = budget.saturating_sub(count as u64);
                }
                Err(Errno::AGAIN) => return Ok(Transmitted::WouldBlock),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Ends the sending side, so that the client sees the end of the last response.
    ///
    /// # Errors
    ///
    /// The connection is broken.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        Ok(shutdown(&self.socket, Shutdown::Write)?)
    }

    /// Ends the receiving side: a thread that waits in [`receive`](Transport::receive) gets what has arrived, then
    /// [`Received::Eof`]. Any thread may call this.
    pub(crate) fn shutdown_read(&self) {
        // An error means that the connection is already broken: the receiving thread sees that too.
        let _ = shutdown(&self.socket, Shutdown::Read);
    }

    /// Sets how long a blocking receive waits; at least one millisecond, because zero would mean for ever.
    ///
    /// # Errors
    ///
    /// The kernel rejects the socket option, which it does not do for a TCP socket. On a broken connection this
    /// succeeds: the next receive reports the error.
    pub(crate) fn set_receive_timeout(&self, timeout: Duration) -> io::Result<()> {
        let timeout = timeout.max(Duration::from_millis(1));
        Ok(set_socket_timeout(&self.socket, Timeout::Recv, Some(timeout))?)
    }
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
