//! The socket pair between a process and another process that it started. A message is one byte for its kind, and the
//! descriptors that belong to it (`SCM_RIGHTS`, unix(7)).

use rustix::{
    io::retry_on_intr,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, recvmsg, sendmsg,
    },
};
use std::{
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    slice,
    time::Duration,
};

/// The maximum number of descriptors in a message, which is that of the kernel.
pub const MAX_DESCRIPTORS: usize = 253;

// The bytes that stand for the messages on the socket.
const LISTENERS: u8 = b'L';
const PLAIN_LISTENERS: u8 = b'R';
const APPLICATION: u8 = b'C';
const PID_FILE: u8 = b'P';
const ACCESS_LOG: u8 = b'A';
const ERROR_LOG: u8 = b'E';
const ADMIN: u8 = b'H';
const SEND_METRICS: u8 = b'M';
const SERVE: u8 = b'S';
const REOPEN_LOGS: u8 = b'O';

/// The byte that a child process sends to its parent when it accepts connections. A child sends nothing else.
const READY: u8 = b'+';

/// A message from a process to its child process, which is a worker process or a successor. `D` is the type of the
/// descriptors in the message: the parent borrows them, the child owns them.
#[derive(Debug)]
pub enum Message<D> {
    /// Accept connections from these sockets, at most [`MAX_DESCRIPTORS`].
    Listeners(Vec<D>),
    /// Accept connections without TLS from these sockets, at most [`MAX_DESCRIPTORS`].
    PlainListeners(Vec<D>),
    /// Serve the application with the configuration in the first file, and with the document roots that follow.
    Application(Vec<D>),
    /// Take over this PID file when you accept connections.
    PidFile(D),
    /// Write the access log to this file if you cannot open it by its name.
    AccessLog(D),
    /// Write the error log to this file if you cannot open it by its name.
    ErrorLog(D),
    /// Accept connections to the admin server from these sockets, at most [`MAX_DESCRIPTORS`].
    Admin(Vec<D>),
    /// Send what you have counted through this socket.
    SendMetrics(D),
    /// All descriptors have been sent: start to serve.
    Serve,
    /// Reopen the log files.
    ReopenLogs,
}

impl<D> Message<D> {
    /// The byte and the descriptors that represent this message on the socket.
    fn encode(&self) -> (u8, &[D]) {
        match self {
            Message::Listeners(listeners) => (LISTENERS, listeners),
            Message::PlainListeners(listeners) => (PLAIN_LISTENERS, listeners),
            Message::Application(files) => (APPLICATION, files),
            Message::PidFile(file) => (PID_FILE, slice::from_ref(file)),
            Message::AccessLog(file) => (ACCESS_LOG, slice::from_ref(file)),
            Message::ErrorLog(file) => (ERROR_LOG, slice::from_ref(file)),
            Message::Admin(listeners) => (ADMIN, listeners),
            Message::SendMetrics(socket) => (SEND_METRICS, slice::from_ref(socket)),
            Message::Serve => (SERVE, &[]),
            Message::ReopenLogs => (REOPEN_LOGS, &[]),
        }
    }
}

/// One end of the socket pair between a process and its child process, which is a worker process or a successor. The
/// parent sends [messages](Message); the child sends one byte when it accepts connections.
#[derive(Debug)]
pub struct ControlSocket(pub(super) UnixStream);

impl ControlSocket {
    /// Duplicates the descriptor. Both descriptors refer to the same end of the socket pair.
    pub fn try_clone(&self) -> io::Result<ControlSocket> {
        self.0.try_clone().map(ControlSocket)
    }

    /// In the child: waits for the next message from the parent. Returns `None` if the parent has ended. Fails if the
    /// parent sent something that is not a message.
    pub fn receive(&self) -> io::Result<Option<Message<OwnedFd>>> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut kind = [0];
        let received = retry_on_intr(|| {
            recvmsg(&self.0, &mut [IoSliceMut::new(&mut kind)], &mut control, RecvFlags::CMSG_CLOEXEC)
        });
        if received?.bytes == 0 {
            return Ok(None);
        }
        let rights = |message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        };
        let mut descriptors: Vec<OwnedFd> = control.drain().filter_map(rights).flatten().collect();
        let message = match (kind[0], descriptors.len()) {
            (LISTENERS, 1..) => Message::Listeners(descriptors),
            (PLAIN_LISTENERS, 1..) => Message::PlainListeners(descriptors),
            (APPLICATION, 1..) => Message::Application(descriptors),
            (PID_FILE, 1) => Message::PidFile(descriptors.remove(0)),
            (ACCESS_LOG, 1) => Message::AccessLog(descriptors.remove(0)),
            (ERROR_LOG, 1) => Message::ErrorLog(descriptors.remove(0)),
            (ADMIN, 1..) => Message::Admin(descriptors),
            (SEND_METRICS, 1) => Message::SendMetrics(descriptors.remove(0)),
            (SERVE, 0) => Message::Serve,
            (REOPEN_LOGS, 0) => Message::ReopenLogs,
            _ => return Err(io::Error::other("unknown control message")),
        };
        Ok(Some(message))
    }

    /// In the parent: sends a message to the child. Does not wait, so a child that hangs cannot block the parent. Fails
    /// if the child has ended, or if the queue of the socket is full.
    pub fn send(&self, message: &Message<BorrowedFd<'_>>) -> io::Result<()> {
        let (kind, descriptors) = message.encode();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::Error::other("too many descriptors for one control message"));
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        sendmsg(&self.0, &[IoSlice::new(&[kind])], &mut control, flags)?;
        Ok(())
    }

    /// In the child: tells the parent that the child accepts connections. Fails if the parent has ended.
    pub fn send_ready(&self) -> io::Result<()> {
        (&self.0).write_all(&[READY])
    }

    /// In the parent: waits until the child accepts connections. Fails if the child ends before that, or when `timeout`
    /// expires.
    pub fn wait_until_ready(&self, timeout: Duration) -> io::Result<()> {
        self.0.set_read_timeout(Some(timeout))?;
        let mut byte = [0];
        match (&self.0).read_exact(&mut byte) {
            Ok(()) if byte == [READY] => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(io::Error::other(format!("not ready within {} s", timeout.as_secs())))
            }
            // The process has reported the cause itself.
            _ => Err(io::Error::other("ended before it was ready")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    /// Returns both ends of a new socket pair.
    fn pair() -> (ControlSocket, ControlSocket) {
        let (one, other) = UnixStream::pair().expect("a pair");
        (ControlSocket(one), ControlSocket(other))
    }

    /// Calls `send` with one end of a socket pair and a descriptor to send, then closes that end. Checks what the other
    /// end receives: the byte of each message and the number of its descriptors, then `end` or an error.
    fn check(send: impl FnOnce(&ControlSocket, BorrowedFd<'_>) -> io::Result<()>, expected: &str) {
        let (ours, theirs) = pair();
        send(&ours, theirs.0.as_fd()).expect("the queue has room");
        drop(ours);
        let mut received = String::new();
        loop {
            match theirs.receive() {
                Ok(Some(message)) => {
                    let (kind, descriptors) = message.encode();
                    received += &format!("{}{} ", char::from(kind), descriptors.len());
                }
                Ok(None) => break received += "end",
                Err(error) => break received += &error.to_string(),
            }
        }
        assert_eq!(received, expected);
    }

    #[test]
    fn messages_arrive_separately_and_in_order() {
        check(|_, _| Ok(()), "end");
        check(
            |socket, descriptor| {
                socket.send(&Message::Listeners(vec![descriptor; 2]))?;
                socket.send(&Message::Listeners(vec![descriptor]))?;
                socket.send(&Message::PlainListeners(vec![descriptor; 2]))?;
                socket.send(&Message::Application(vec![descriptor; 3]))?;
                socket.send(&Message::PidFile(descriptor))?;
                socket.send(&Message::AccessLog(descriptor))?;
                socket.send(&Message::ErrorLog(descriptor))?;
                socket.send(&Message::Admin(vec![descriptor; 2]))?;
                socket.send(&Message::SendMetrics(descriptor))?;
                socket.send(&Message::Serve)?;
                socket.send(&Message::ReopenLogs)
            },
            "L2 L1 R2 C3 P1 A1 E1 H2 M1 S0 O0 end",
        );
        check(
            |socket, file| socket.send(&Message::Application(vec![file])).and_then(|()| socket.send_ready()),
            "C1 unknown control message",
        );
    }

    #[test]
    fn sending_to_a_full_queue_fails_at_once() {
        let (ours, _theirs) = pair();
        let mut results = std::iter::repeat_with(|| ours.send(&Message::ReopenLogs));
        let full = results.find_map(Result::err).expect("a full queue");
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
    }
}
