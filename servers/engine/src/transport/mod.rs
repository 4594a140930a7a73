//! The socket of one client: every system call on it is made here, and in [`tls`] if TLS secures it.
//!
//! Works on blocking and on non-blocking sockets. A receive on a blocking socket waits; sending never does. Never
//! decides what to send or when to wait: the engines do.

#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
mod tls;

use crate::{
    label::RequestLabel,
    metrics::Counters,
    sys::{ioctl_fionbio, recv, send, sendfile, sendmsg, set_socket_timeout, shutdown},
};
use http_core::{Connection, FileSlice, RecvBuf, SendQueue, TlsInfo, Transmit, io_cause, proxy_header};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, retry_on_intr},
    net::{self, RecvFlags, SendAncillaryBuffer, SendFlags, sockopt::Timeout},
};
use std::{
    fs,
    io::{self, IoSlice},
    net::Shutdown,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

#[cfg(feature = "tls")]
pub(crate) use tls::set_server_name;
pub(crate) use tls::{TlsAcceptor, TlsStream};

/// The maximum number of bytes that one `sendfile` call sends, so that one fast client does not delay the others.
const MAX_SENDFILE: u64 = 1024 * 1024;

/// The number of bytes that one send counts for at least, in the budget of [`Transport::transmit`]. So a source that
/// produces few bytes at a time, perhaps slowly, does not delay the other connections, or the end of a shutdown.
const MIN_COUNTED: u64 = 16 * 1024;

/// A connected socket. Dropping it closes the connection.
#[derive(Debug)]
pub(crate) struct Transport {
    socket: OwnedFd,
    /// The TLS session; `None` if the connection is not secured.
    tls: Option<Box<TlsStream>>,
    /// Whether a receive waits.
    blocking: bool,
    /// Whether the socket is in blocking mode now. Only false on a blocking socket from the first part of a file on
    /// until the send queue is empty.
    waits: AtomicBool,
}

/// The result of one receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// Bytes have arrived. `emptied` is true if they did not fill the receive buffer: the socket held no more. If
    /// `emptied` is false, the socket may hold more.
    Bytes { emptied: bool },
    /// No more bytes will arrive: the client has closed its sending side, or [`Transport::shutdown_read`] was called.
    Eof,
    /// No bytes have arrived. On a blocking socket, the receive timeout has expired.
    WouldBlock,
}

/// The result of [`Transport::transmit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transmitted {
    /// The send queue is empty: everything is sent.
    All,
    /// The socket's send buffer is full.
    WouldBlock,
    /// Everything is sent but the rest of a stream, whose source has no bytes yet.
    Pending,
    /// The rest of a file cannot be sent, because of this error of the file, or because the file has become shorter
    /// (`None`). The connection must be closed.
    FileFailed(Option<Errno>),
    /// At least `budget` bytes are sent, and more are queued.
    BudgetSpent,
}

/// The state of the socket that [`Transport::wait`] waits for. Each wait also ends when the client has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// None: only the descriptors count.
    Event,
    /// Bytes have arrived, or the client has closed its sending side.
    Input,
    /// The send buffer has room.
    Room,
}

/// The result of [`Transport::wait`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// The socket is in the awaited state, or one of the descriptors is readable.
    Ready,
    /// The client has left: it has reset the connection, or both directions are closed. A client that has only closed
    /// its sending side has not left.
    Left,
    /// The time is over.
    TimedOut,
}

impl Transport {
    /// Takes over a connected socket. `blocking` is whether a receive on it waits.
    pub(crate) fn new(socket: OwnedFd, blocking: bool) -> Transport {
        Transport { socket, tls: None, blocking, waits: AtomicBool::new(blocking) }
    }

    /// Secures the connection with a session that begins now.
    pub(crate) fn with_tls(mut self, tls: TlsStream) -> Transport {
        self.tls = Some(Box::new(tls));
        self
    }

    /// Whether TLS secures the connection.
    #[inline]
    pub(crate) fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Returns where TLS puts what it negotiates, if it secures the connection.
    pub(crate) fn tls_info(&self) -> Option<Arc<OnceLock<TlsInfo>>> {
        self.tls.as_ref().map(|tls| tls.negotiated())
    }

    /// Whether TLS itself has something to send, such as a part of the handshake. Then [`receive`](Transport::receive)
    /// must be called when the socket's send buffer has room.
    #[inline]
    pub(crate) fn wants_send(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_send())
    }

    /// Receives once, into the free space of `input`. With TLS, it may bring none for `input`, although bytes have
    /// arrived.
    ///
    /// # Errors
    ///
    /// The connection is broken.
    #[inline]
    pub(crate) fn receive(&self, input: &mut RecvBuf) -> io::Result<Received> {
        self.receive_with(input, RecvFlags::empty())
    }

    /// Receives once, into the free space of `input`. Does not wait, also on a blocking socket.
    ///
    /// # Errors
    ///
    /// The connection is broken.
    pub(crate) fn try_receive(&self, input: &mut RecvBuf) -> io::Result<Received> {
        self.receive_with(input, RecvFlags::DONTWAIT)
    }

    /// Receives once, as [`receive`](Transport::receive) does, on a connection that begins with a header of the PROXY
    /// protocol. Leaves what follows the header in the socket, so that `input` never holds the beginning of a TLS
    /// handshake.
    ///
    /// # Errors
    ///
    /// The connection is broken.
    // Not inlined: its part of the stack would count for every connection.
    #[cold]
    #[inline(never)]
    pub(crate) fn receive_proxy_header(&self, input: &mut RecvBuf) -> io::Result<Received> {
        let mut peeked = [0; proxy_header::MAX_V2];
        let size = peeked.len();
        let count = match retry_on_intr(|| recv(&self.socket, &mut peeked, RecvFlags::PEEK)) {
            Ok((0, _)) => return Ok(Received::Eof),
            Ok((count, _)) => count,
            Err(Errno::AGAIN) => return Ok(Received::WouldBlock),
            Err(error) => return Err(error.into()),
        };
        let begun = input.unread();
        let header = proxy_header::parse(&[begun, &peeked[..count]].concat());
        // Nothing follows an incomplete header, and nothing is read after a malformed one.
        let wanted = header.ok().flatten().map_or(count, |header| header.len.saturating_sub(begun.len()));
        let room = input.spare();
        let room_len = room.len().min(wanted);
        let (received, _) = retry_on_intr(|| recv(&self.socket, &mut room[..room_len], RecvFlags::DONTWAIT))?;
        input.filled(received);
        Ok(Received::Bytes { emptied: received == count && count < size })
    }

    #[inline]
    fn receive_with(&self, input: &mut RecvBuf, flags: RecvFlags) -> io::Result<Received> {
        if let Some(tls) = &self.tls {
            let waits = self.blocking && !flags.contains(RecvFlags::DONTWAIT);
            return tls.receive(&self.socket, input, flags, waits);
        }
        let room = input.spare();
        let size = room.len();
        match retry_on_intr(|| recv(&self.socket, &mut *room, flags)) {
            Ok((0, _)) => Ok(Received::Eof),
            Ok((count, _)) => {
                input.filled(count);
                Ok(Received::Bytes { emptied: count < size })
            }
            Err(Errno::AGAIN) => Ok(Received::WouldBlock),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until bytes have arrived, the client has closed its sending side, or the connection is broken: the next
    /// [`receive`](Transport::receive) does not wait. Returns false if nothing of that happens within `timeout`.
    ///
    /// # Errors
    ///
    /// The system has no memory left.
    pub(crate) fn wait_readable(&self, timeout: Duration) -> io::Result<bool> {
        if self.is_secure() {
            tls::free_scratch();
        }
        let timeout = Timespec::try_from(timeout).ok();
        let mut events = [PollFd::new(&self.socket, PollFlags::IN)];
        Ok(retry_on_intr(|| poll(&mut events, timeout.as_ref()))? > 0)
    }

    /// Whether bytes have arrived that were not received yet. Does not wait. Any thread may call this.
    pub(crate) fn has_input(&self) -> bool {
        recv(&self.socket, &mut [0], RecvFlags::PEEK | RecvFlags::DONTWAIT).is_ok_and(|(count, _)| count > 0)
    }

    /// Sends from `queue` until the queue is empty, the socket takes no more, a stream is pending, or at least `budget`
    /// bytes are sent; each send counts for at least [`MIN_COUNTED`]. Never waits. `counters` count the bytes.
    ///
    /// # Errors
    ///
    /// The connection is broken, or a stream has failed. The connection must be closed.
    #[inline]
    pub(crate) fn transmit(
        &self,
        queue: &mut SendQueue,
        mut budget: u64,
        counters: &Counters,
    ) -> io::Result<Transmitted> {
        if let Some(tls) = &self.tls {
            let transmitted = tls.transmit(&self.socket, queue, budget, counters)?;
            if transmitted == Transmitted::WouldBlock && !self.blocking {
                queue.blocked();
            }
            return Ok(transmitted);
        }
        loop {
            // Check the budget first: `SendQueue::transmit` reports a failed stream only once.
            if budget == 0 && !queue.is_empty() {
                return Ok(Transmitted::BudgetSpent);
            }
            let sent = match queue.transmit() {
                Transmit::Empty => {
                    // The next call may be a receive.
                    self.set_waits(self.blocking)?;
                    return Ok(Transmitted::All);
                }
                Transmit::Pending => return Ok(Transmitted::Pending),
                Transmit::Broken(error) => return Err(error),
                Transmit::Bytes { slices, more } => self.send(&slices, more),
                Transmit::File { slice, .. } => {
                    // `sendfile` has no flag for a call that must not wait.
                    self.set_waits(false)?;
                    match self.send_file(slice) {
                        // The file has become shorter. Its Content-Length is already sent, and a retry would spin.
                        Ok(0) => return Ok(Transmitted::FileFailed(None)),
                        // A socket does not fail with these.
                        Err(error @ (Errno::IO | Errno::INVAL | Errno::OVERFLOW)) => {
                            return Ok(Transmitted::FileFailed(Some(error)));
                        }
                        outcome => outcome,
                    }
                }
            };
            match sent {
                Ok(count) => {
                    queue.sent(count);
                    counters.count_sent(count);
                    budget = budget.saturating_sub((count as u64).max(MIN_COUNTED));
                }
                Err(Errno::AGAIN) => {
                    if !self.blocking {
                        queue.blocked();
                    }
                    return Ok(Transmitted::WouldBlock);
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends bytes in memory. Does not wait. `more` is whether other bytes follow.
    #[inline]
    fn send(&self, slices: &[IoSlice<'_>], more: bool) -> Result<usize, Errno> {
        let more = if more { SendFlags::MORE } else { SendFlags::empty() };
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT | more;
        match slices {
            [slice] => send(&self.socket, slice, flags),
            slices => sendmsg(&self.socket, slices, &mut SendAncillaryBuffer::default(), flags),
        }
    }

    /// Sends part of a file, at most [`MAX_SENDFILE`] bytes. Returns 0 if the file has become shorter.
    #[inline]
    fn send_file(&self, slice: &FileSlice) -> Result<usize, Errno> {
        let mut offset = slice.offset;
        sendfile(&self.socket, &slice.file, Some(&mut offset), slice.len.min(MAX_SENDFILE) as usize)
    }

    /// Puts a socket into blocking or non-blocking mode, unless it is in that mode.
    fn set_waits(&self, waits: bool) -> io::Result<()> {
        if self.waits.load(Ordering::Relaxed) != waits {
            ioctl_fionbio(&self.socket, !waits)?;
            self.waits.store(waits, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Waits until `awaited` comes true of the socket, until one of the `events` is readable, until the client has
    /// left, or until `timeout` is over. May also return early, as [`Readiness::TimedOut`].
    ///
    /// # Errors
    ///
    /// The system has no memory left.
    pub(crate) fn wait(
        &self,
        awaited: Awaited,
        events: [Option<BorrowedFd<'_>>; 2],
        timeout: Duration,
    ) -> io::Result<Readiness> {
        let awaited = match awaited {
            Awaited::Event => PollFlags::empty(),
            Awaited::Input => PollFlags::IN,
            Awaited::Room => PollFlags::OUT,
        };
        let mut polled = vec![PollFd::new(&self.socket, awaited)];
        polled.extend(events.iter().flatten().map(|event| PollFd::new(event, PollFlags::IN)));
        let timeout = Timespec::try_from(timeout).ok();
        match poll(&mut polled, timeout.as_ref()) {
            Ok(0) | Err(Errno::INTR) => Ok(Readiness::TimedOut),
            // The kernel reports ERR and HUP although they are not asked for.
            Ok(_) => {
                let left = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
                let has_left = polled.first().is_some_and(|socket| socket.revents().intersects(left));
                Ok(if has_left { Readiness::Left } else { Readiness::Ready })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Receives bytes after an upgrade. Waits for the first on a blocking socket, and returns 0 at the end.
    ///
    /// # Errors
    ///
    /// The timeout has expired ([`WouldBlock`](io::ErrorKind::WouldBlock)), or the connection is broken.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(tls) = &self.tls {
            return tls.read(&self.socket, buffer);
        }
        Ok(retry_on_intr(|| recv(&self.socket, &mut *buffer, RecvFlags::empty()))?.0)
    }

    /// Sends bytes after an upgrade. Waits on a blocking socket until it takes one. Raises no SIGPIPE.
    ///
    /// # Errors
    ///
    /// As of [`read`](Transport::read).
    pub(crate) fn write(&self, data: &[u8]) -> io::Result<usize> {
        if let Some(tls) = &self.tls {
            return tls.write(&self.socket, data);
        }
        Ok(retry_on_intr(|| send(&self.socket, data, SendFlags::NOSIGNAL))?)
    }

    /// Sets how long reads or writes on a blocking socket wait; `None` for ever.
    ///
    /// # Errors
    ///
    /// The timeout is zero.
    pub(crate) fn set_timeout(&self, which: Timeout, timeout: Option<Duration>) -> io::Result<()> {
        Ok(set_socket_timeout(&self.socket, which, timeout)?)
    }

    /// Shuts down one direction or both. Any thread may call this.
    ///
    /// # Errors
    ///
    /// The connection is broken.
    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if let Some(tls) = &self.tls
            && how != Shutdown::Read
        {
            tls.close(&self.socket);
        }
        let how = match how {
            Shutdown::Read => net::Shutdown::Read,
            Shutdown::Write => net::Shutdown::Write,
            Shutdown::Both => net::Shutdown::Both,
        };
        Ok(shutdown(&self.socket, how)?)
    }

    /// Shuts down the sending side of the socket. The client then sees the end of the stream after the last response.
    ///
    /// # Errors
    ///
    /// The connection is broken.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    /// Shuts down the receiving side of the socket. A thread that waits in [`receive`](Transport::receive) gets the
    /// bytes that have arrived, and then [`Received::Eof`]. Any thread may call this.
    pub(crate) fn shutdown_read(&self) {
        // An error means that the connection is already broken: the receiving thread sees that too.
        let _ = self.shutdown(Shutdown::Read);
    }

    /// Shuts down both directions of the socket: every receive and send that waits on it returns, and no more bytes are
    /// sent. Any thread may call this.
    pub(crate) fn shutdown_both(&self) {
        // An error means that the connection is already broken.
        let _ = shutdown(&self.socket, net::Shutdown::Both);
    }

    /// Sets whether a receive waits.
    ///
    /// # Errors
    ///
    /// None on a connected socket.
    pub(crate) fn set_blocking(&mut self, blocking: bool) -> io::Result<()> {
        self.blocking = blocking;
        self.set_waits(blocking)
    }

    /// Sets how long a receive on a blocking socket waits, at least one millisecond.
    ///
    /// # Errors
    ///
    /// The kernel rejects the socket option. (A broken connection is no error here: the next receive reports it.)
    pub(crate) fn set_receive_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.set_timeout(Timeout::Recv, Some(timeout.max(Duration::from_millis(1))))
    }
}

/// Announces the end of what was sent, if that is complete.
impl Drop for Transport {
    #[inline]
    fn drop(&mut self) {
        if let Some(tls) = &self.tls {
            tls.close(&self.socket);
        }
        #[cfg(test)]
        crate::sys::closing(&self.socket);
    }
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Logs that a response remains incomplete because of an error of its file, which is at the front of `queue`, or because
/// the file has become shorter (`None`).
#[cold]
pub(crate) fn report_file(conn: &Connection, queue: &mut SendQueue, error: Option<impl Into<io::Error>>) {
    let file = match queue.transmit() {
        // The kernel knows its name: the engine has only the descriptor.
        Transmit::File { slice, .. } => {
            fs::read_link(format!("/proc/self/fd/{}", slice.file.as_raw_fd())).ok()
        }
        _ => None,
    };
    let file = file.map_or_else(|| "a file".into(), |path| path.display().to_string());
    let label = RequestLabel::new(None, conn.client_addr());
    let cause = error.map(|error| io_cause(&error.into()));
    let cause = cause.unwrap_or_else(|| "the file has become shorter".to_owned());
    log::warn!("cannot send the rest of {file} to {label}: {cause}; closing the connection");
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_core::{Body, Buffers, Chunk, ChunkSource, Clock, Connection, FileSlice, Response, Step};
    use rustix::fs::{OFlags, fcntl_getfl};
    use std::{
        fs::File,
        io::Write,
        os::unix::net::UnixStream,
        sync::{
            Arc,
            mpsc::{Sender, channel},
        },
        thread,
        time::{Instant, SystemTime},
    };

    /// More bytes than the kernel takes for a client that reads nothing.
    const LEN: usize = 16 * 1024 * 1024;

    /// Sends a response with this body on a socket, which may be blocking, to a client that reads nothing at first, and
    /// then everything. Returns whether the socket is blocking afterwards.
    fn transmit(body: Body, blocking: bool) -> bool {
        let (server, mut client) = UnixStream::pair().expect("sockets");
        server.set_nonblocking(!blocking).expect("a socket");
        let transport = Transport::new(server.into(), blocking);
        let clock = Clock::new("test", Instant::now(), SystemTime::UNIX_EPOCH);
        let mut conn = Connection::new(Arc::default(), clock.now());
        let Buffers { mut input, mut out } = Buffers::default();
        input.extend(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!(conn.poll(&mut input, &mut out, clock.now()), Step::Request);
        conn.respond(Response::bytes(body), &mut out, &clock).expect("a valid response");
        for _ in 0..3 {
            let transmitted =
                transport.transmit(&mut out, u64::MAX, &Counters::default()).expect("an open connection");
            assert_eq!(transmitted, Transmitted::WouldBlock);
        }
        thread::spawn(move || io::copy(&mut client, &mut io::sink()));
        while transport.transmit(&mut out, u64::MAX, &Counters::default()).expect("an open connection")
            != Transmitted::All
        {
            let ready = transport.wait(Awaited::Room, [None, None], Duration::from_secs(20)).expect("poll");
            assert_eq!(ready, Readiness::Ready);
        }
        !fcntl_getfl(&transport).expect("flags").contains(OFlags::NONBLOCK)
    }

    #[test]
    fn sending_on_a_blocking_socket_never_waits() {
        let file = File::open("/dev/zero").map(Arc::new).expect("/dev/zero");
        let slice = FileSlice { file, offset: 0, len: LEN as u64 };
        let bodies = [Body::Bytes(vec![b'x'; LEN]), Body::File(slice)];
        let (sender, receiver) = channel();
        thread::spawn(move || bodies.into_iter().try_for_each(|body| sender.send(transmit(body, true))));
        for _ in 0..2 {
            let is_blocking = receiver.recv_timeout(Duration::from_secs(20));
            assert_eq!(is_blocking, Ok(true));
        }
    }

    /// However the header arrives, `input` gets it, and what follows stays in the socket.
    #[test]
    fn what_follows_a_proxy_header_stays_in_the_socket() {
        const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0";
        let longest = [V2, b"\x0f\xf0", &[b'x'; 0xff0]].concat();
        assert_eq!(longest.len(), proxy_header::MAX_V2);
        let short = [V2, b"\0\x03abc"].concat();
        let headers = [b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n", &*short, &longest];
        for (header, size) in
            headers.into_iter().flat_map(|header| [1, 13, 10_000].map(|size| (header, size)))
        {
            let (server, mut client) = UnixStream::pair().expect("sockets");
            server.set_nonblocking(true).expect("a socket");
            let transport = Transport::new(server.into(), false);
            let mut input = RecvBuf::default();
            for piece in [header, b"\x16\x03"].concat().chunks(size) {
                client.write_all(piece).expect("room");
                if input.unread().len() < header.len() {
                    let received = transport.receive_proxy_header(&mut input).expect("an open connection");
                    let Received::Bytes { emptied } = received else { panic!("{received:?}") };
                    assert_eq!(emptied, !transport.has_input());
                }
            }
            assert_eq!(input.unread(), header, "in pieces of {size} bytes");
            let mut rest = [0; 8];
            assert_eq!(transport.read(&mut rest).expect("bytes"), 2);
            assert_eq!(rest[..2], *b"\x16\x03");
            assert_eq!(
                transport.receive_proxy_header(&mut input).expect("an open connection"),
                Received::WouldBlock
            );
        }
    }

    /// A source of part of a file, which reports each call of `can_resume`.
    pub(super) struct Part(Option<FileSlice>, Sender<u64>);

    impl Part {
        pub(super) fn new(len: u64, asked: Sender<u64>) -> Part {
            let file = File::open("/dev/zero").map(Arc::new).expect("/dev/zero");
            Part(Some(FileSlice { file, offset: 0, len }), asked)
        }
    }

    impl ChunkSource for Part {
        fn next_chunk(&mut self, _: &mut Vec<u8>) -> io::Result<Chunk> {
            Ok(self.0.take().map_or(Chunk::End, Chunk::File))
        }

        fn can_resume(&mut self, rest: &FileSlice) -> io::Result<bool> {
            self.1.send(rest.len).map_err(io::Error::other)?;
            Ok(true)
        }
    }

    #[test]
    fn only_a_socket_that_does_not_block_asks_before_it_resumes_a_file() {
        for blocking in [true, false] {
            let (sender, asked) = channel();
            let source = Part::new(LEN as u64, sender);
            assert_eq!(transmit(Body::Stream(Box::new(source)), blocking), blocking);
            let rest: Vec<_> = asked.try_iter().collect();
            assert_eq!(rest.is_empty(), blocking);
            assert!(rest.iter().all(|rest| (1..LEN as u64).contains(rest)), "{rest:?}");
        }
    }

    #[test]
    fn a_wait_tells_a_client_that_has_left_from_one_that_has_half_closed() {
        let (server, client) = UnixStream::pair().expect("sockets");
        let transport = Transport::new(server.into(), true);
        let wait = |awaited| transport.wait(awaited, [None, None], Duration::ZERO).expect("poll");
        assert_eq!((wait(Awaited::Event), wait(Awaited::Room)), (Readiness::TimedOut, Readiness::Ready));
        client.shutdown(Shutdown::Write).expect("an open socket");
        assert_eq!((wait(Awaited::Event), wait(Awaited::Room)), (Readiness::TimedOut, Readiness::Ready));
        drop(client);
        assert_eq!((wait(Awaited::Event), wait(Awaited::Room)), (Readiness::Left, Readiness::Left));
    }
}
