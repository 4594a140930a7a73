//! The line between two processes: one byte says what a message is, descriptors come with it (SCM_RIGHTS, unix(7)).

use rustix::{
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, recvmsg, sendmsg,
    },
};
use std::{
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    net::TcpListener,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

/// Listening sockets that fit into one message; the kernel's own limit is 253.
pub const MAX_LISTENERS: usize = 64;

const LISTENERS: u8 = b'L';
const ROOT: u8 = b'R';
const PID_FILE: u8 = b'P';
const SERVE: u8 = b'S';
const REOPEN: u8 = b'O';
const SERVING: u8 = b'+';

/// What a process is told by the one that started it.
#[derive(Debug)]
pub enum Message {
    /// Accept from these.
    Listeners(Vec<OwnedFd>),
    /// Serve the files of this directory.
    Root(OwnedFd),
    /// Take this pid file over, once you serve.
    PidFile(OwnedFd),
    /// That was all: begin.
    Serve,
    /// Open the log files anew.
    Reopen,
}

/// One end of it.
#[derive(Debug)]
pub struct Line(UnixStream);

impl From<UnixStream> for Line {
    fn from(stream: UnixStream) -> Line {
        Line(stream)
    }
}

impl Line {
    /// Another handle of the same end.
    ///
    /// # Errors
    ///
    /// When the system lacks descriptors.
    pub fn try_clone(&self) -> io::Result<Line> {
        self.0.try_clone().map(Line)
    }

    /// Waits for a message; `None` when the other side has gone.
    ///
    /// # Errors
    ///
    /// Whatever the system says, and when it is none of our messages.
    pub fn receive(&self) -> io::Result<Option<Message>> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_LISTENERS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut kind = [0];
        let received = loop {
            match recvmsg(&self.0, &mut [IoSliceMut::new(&mut kind)], &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(Errno::INTR) => {}
                outcome => break outcome?.bytes,
            }
        };
        if received == 0 {
            return Ok(None);
        }
        let rights = |message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        };
        let mut descriptors: Vec<OwnedFd> = control.drain().filter_map(rights).flatten().collect();
        match (kind[0], descriptors.pop()) {
            (LISTENERS, Some(last)) => {
                descriptors.push(last);
                Ok(Some(Message::Listeners(descriptors)))
            }
            (ROOT, Some(root)) => Ok(Some(Message::Root(root))),
            (PID_FILE, Some(file)) => Ok(Some(Message::PidFile(file))),
            (SERVE, None) => Ok(Some(Message::Serve)),
            (REOPEN, None) => Ok(Some(Message::Reopen)),
            _ => Err(io::Error::other("a message that is none")),
        }
    }

    /// Says [`Message::Listeners`], of at most [`MAX_LISTENERS`].
    ///
    /// # Errors
    ///
    /// When the other side has gone, or does not listen.
    pub fn send_listeners(&self, listeners: &[TcpListener]) -> io::Result<()> {
        let sockets: Vec<BorrowedFd<'_>> = listeners.iter().map(AsFd::as_fd).collect();
        self.send(LISTENERS, &sockets)
    }

    /// Says [`Message::Root`].
    ///
    /// # Errors
    ///
    /// As [`send_listeners`](Line::send_listeners).
    pub fn send_root(&self, root: impl AsFd) -> io::Result<()> {
        self.send(ROOT, &[root.as_fd()])
    }

    /// Says [`Message::PidFile`].
    ///
    /// # Errors
    ///
    /// As [`send_listeners`](Line::send_listeners).
    pub fn send_pid_file(&self, file: impl AsFd) -> io::Result<()> {
        self.send(PID_FILE, &[file.as_fd()])
    }

    /// Says [`Message::Serve`].
    ///
    /// # Errors
    ///
    /// As [`send_listeners`](Line::send_listeners).
    pub fn send_serve(&self) -> io::Result<()> {
        self.send(SERVE, &[])
    }

    /// Says [`Message::Reopen`].
    ///
    /// # Errors
    ///
    /// As [`send_listeners`](Line::send_listeners).
    pub fn send_reopen(&self) -> io::Result<()> {
        self.send(REOPEN, &[])
    }

    /// Says that this process serves.
    ///
    /// # Errors
    ///
    /// When the other side has gone.
    pub fn say_serving(&self) -> io::Result<()> {
        (&self.0).write_all(&[SERVING])
    }

    /// Waits until the other side serves. Whether it does; if not, it has gone.
    ///
    /// # Errors
    ///
    /// When it takes too long.
    pub fn await_serving(&self, patience: Duration) -> io::Result<bool> {
        self.0.set_read_timeout(Some(patience))?;
        let mut said = [0];
        loop {
            match (&self.0).read(&mut said) {
                Ok(count) => return Ok(count == 1 && said == [SERVING]),
                // It ended without having read everything.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
                // By the signal that tells of its end, as it is.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Never waits: one process that hangs must not hold up the one that looks after it.
    fn send(&self, kind: u8, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_LISTENERS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::Error::other("too many descriptors for one message"));
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        sendmsg(&self.0, &[IoSlice::new(&[kind])], &mut control, flags)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    fn pair() -> (Line, Line) {
        let (one, other) = UnixStream::pair().expect("a pair");
        (one.into(), other.into())
    }

    /// What arrives, as text: the kind of each message, and how many descriptors came with it.
    fn check(say: impl FnOnce(&Line) -> io::Result<()>, expected: &str) {
        let (ours, theirs) = pair();
        say(&ours).expect("it is taken");
        drop(ours);
        let mut heard = String::new();
        loop {
            heard += &match theirs.receive() {
                Ok(Some(Message::Listeners(sockets))) => format!("listeners {}, ", sockets.len()),
                Ok(Some(Message::Root(_))) => "root, ".to_owned(),
                Ok(Some(Message::PidFile(_))) => "pid file, ".to_owned(),
                Ok(Some(Message::Serve)) => "serve, ".to_owned(),
                Ok(Some(Message::Reopen)) => "reopen, ".to_owned(),
                Ok(None) => break heard += "end",
                Err(error) => break heard += &error.to_string(),
            };
        }
        assert_eq!(heard, expected);
    }

    #[test]
    fn messages_arrive_one_by_one() {
        let listener = || TcpListener::bind("127.0.0.1:0").expect("a port");
        check(|_| Ok(()), "end");
        check(
            |line| {
                line.send_listeners(&[listener(), listener()])?;
                line.send_listeners(&[listener()])?;
                line.send_root(listener())?;
                line.send_pid_file(listener())?;
                line.send_serve()?;
                line.send_reopen()
            },
            "listeners 2, listeners 1, root, pid file, serve, reopen, end",
        );
        check(
            |line| line.send_root(listener()).and_then(|()| line.say_serving()),
            "root, a message that is none",
        );
    }

    #[test]
    fn a_line_is_never_waited_for() {
        let (ours, _theirs) = pair();
        let full = std::iter::repeat_with(|| ours.send_reopen()).find_map(Result::err).expect("an end");
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn descriptors_lead_to_what_was_sent() {
        let (ours, theirs) = pair();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        ours.send_listeners(std::slice::from_ref(&listener)).expect("it is taken");
        let Ok(Some(Message::Listeners(mut sockets))) = theirs.receive() else { panic!("no sockets") };
        let received = TcpListener::from(sockets.remove(0));
        assert_ne!(received.as_raw_fd(), listener.as_raw_fd());
        assert_eq!(received.local_addr().ok(), listener.local_addr().ok());
    }
}
