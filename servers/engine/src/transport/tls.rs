//! The TLS session of one connection at its socket: receives its records, and sends them.
//!
//! Never waits for a client, except for upgraded connections. Never encrypts more than [`BATCH`] ahead of the socket.
//! An idle session holds no buffer: the bytes that a thread receives and sends are in its [`Scratch`].

mod session;
mod upgraded;

pub(crate) use crate::tls::Tls as TlsAcceptor;
pub(crate) use session::set_server_name;

use super::{MIN_COUNTED, Received, Transmitted};
use crate::{metrics::Counters, sockopt::notsent_lowat};
use http_core::{FileSlice, RecvBuf, SendQueue, TlsInfo, Transmit};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, pread, retry_on_intr},
    net::{
        RecvFlags, SendFlags, recv, send,
        sockopt::{set_socket_send_buffer_size, socket_send_buffer_size},
    },
};
use rustls::ServerConfig;
use session::{RECEIVE, RECORD, TlsSession};
use std::{
    cell::RefCell,
    fmt,
    io::{self, IoSlice},
    mem,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

/// The maximum number of bytes that are encrypted before they are sent: several records, so that a large response takes
/// fewer system calls.
const BATCH: usize = 4 * RECORD;
/// How long a receive on a blocking socket waits for the client to take the handshake, before the thread looks at its
/// deadline.
const HANDSHAKE_WAIT: Duration = Duration::from_millis(250);

/// What a client that speaks HTTP instead of TLS receives.
const PLAIN_HTTP: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 52\r\n\
    Connection: close\r\n\r\n400 Bad Request: this port speaks HTTPS, not HTTP.\r\n";

/// The memory with which a thread receives and sends on all of its TLS connections, one after the other.
#[derive(Default)]
struct Scratch {
    /// What was received: first what was left by the last receive of the connection.
    incoming: Vec<u8>,
    /// What is to be encrypted, if it is not in one piece.
    content: Vec<u8>,
    /// What is encrypted.
    outgoing: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Frees the memory that this thread keeps for TLS connections. For a thread that will wait for long.
pub(super) fn free_scratch() {
    SCRATCH.with_borrow_mut(|scratch| *scratch = Scratch::default());
}

/// The TLS session of a connection, beside its socket. Any thread may use it.
pub(crate) struct TlsStream {
    session: Mutex<TlsSession>,
    negotiated: Arc<OnceLock<TlsInfo>>,
    /// Held while a thread reads from an upgraded connection: records must be processed in their order.
    reading: Mutex<()>,
    /// Held while a thread writes to an upgraded connection: records must be sent in their order.
    writing: Mutex<()>,
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").finish_non_exhaustive()
    }
}

impl TlsStream {
    /// Begins a session in which the client has sent nothing yet.
    ///
    /// # Errors
    ///
    /// The configuration is not valid.
    pub(crate) fn new(
        config: Arc<ServerConfig>,
        asks_for_certificate: bool,
    ) -> Result<TlsStream, rustls::Error> {
        let negotiated = Arc::default();
        let session = Mutex::new(TlsSession::new(config, asks_for_certificate, Arc::clone(&negotiated))?);
        Ok(TlsStream { session, negotiated, reading: Mutex::new(()), writing: Mutex::new(()) })
    }

    /// Returns where the session puts what it negotiates.
    pub(super) fn negotiated(&self) -> Arc<OnceLock<TlsInfo>> {
        Arc::clone(&self.negotiated)
    }

    /// As [`Transport::receive`](super::Transport::receive), also while the handshake goes on. May bring nothing for
    /// `input`, although bytes have arrived. `blocking` is whether it waits.
    pub(super) fn receive(
        &self,
        socket: &OwnedFd,
        input: &mut RecvBuf,
        flags: RecvFlags,
        blocking: bool,
    ) -> io::Result<Received> {
        let mut session = self.lock();
        if !session.content.is_empty() {
            let count = session.take(input.spare());
            input.filled(count);
            return Ok(Received::Bytes { emptied: false });
        }
        if session.has_ended {
            return Ok(Received::Eof);
        }
        if !session.flush(socket)? && blocking {
            let mut events = [PollFd::new(socket, PollFlags::OUT)];
            retry_on_intr(|| poll(&mut events, Timespec::try_from(HANDSHAKE_WAIT).ok().as_ref()))?;
            return Ok(Received::Bytes { emptied: false });
        }
        let (received, count) = match session.receive(socket, flags, input.spare())? {
            None => return Ok(Received::WouldBlock),
            Some((0, _)) => return Ok(Received::Eof),
            Some(received) => received,
        };
        input.filled(count);
        if count == 0 {
            // The client may wait for the next message of the handshake. Otherwise it is sent with the response.
            session.flush(socket)?;
        }
        let emptied = received < RECEIVE && session.content.is_empty() && !session.has_ended;
        Ok(Received::Bytes { emptied })
    }

    /// As [`Transport::transmit`](super::Transport::transmit).
    pub(super) fn transmit(
        &self,
        socket: &OwnedFd,
        queue: &mut SendQueue,
        mut budget: u64,
        counters: &Counters,
    ) -> io::Result<Transmitted> {
        let mut session = self.lock();
        if session.is_new {
            // The response to a malformed PROXY header: no session can secure it.
            return Err(io::Error::new(io::ErrorKind::NotConnected, "the client is rejected before TLS"));
        }
        loop {
            // What rustls has to send besides is sent with the first record.
            let is_flushed = session.queued == 0 || session.flush(socket)?;
            let taken = session.take_sent();
            if taken > 0 {
                queue.sent(taken);
                counters.count_sent(taken);
                budget = budget.saturating_sub((taken as u64).max(MIN_COUNTED));
            }
            if session.is_handshaking || !is_flushed {
                return Ok(Transmitted::WouldBlock);
            }
            session.is_complete = false;
            if budget == 0 && !queue.is_empty() {
                return Ok(Transmitted::BudgetSpent);
            }
            if let Some(transmitted) = session.send_next(socket, queue)? {
                return Ok(transmitted);
            }
        }
    }

    /// Whether a receive must be tried to send what the socket did not take.
    pub(super) fn wants_send(&self) -> bool {
        !self.lock().outgoing.is_empty()
    }

    /// Announces the end of what the server sends (close_notify), if that is complete and the client expects it. Never
    /// waits: if the socket is full, it gets room.
    pub(super) fn close(&self, socket: &OwnedFd) {
        // What another thread is writing is not complete.
        let Ok(_writing) = self.writing.try_lock() else { return };
        let mut session = self.lock();
        if session.has_failed || session.is_handshaking || !session.is_complete {
            return;
        }
        session.is_complete = false;
        let mut notice = [0; 64];
        if let Ok(count) = session.with_writer(|writer| writer.queue_close_notify(&mut notice)) {
            session.outgoing.extend_from_slice(&notice[..count]);
            if let Ok(false) = session.flush(socket) {
                add_room(socket);
                // If this takes not all, the client sees the end of the connection without the notice.
                let _ = session.flush(socket);
            }
            // Nothing can be sent after the end.
            session.outgoing = Vec::new();
        }
    }

    /// Locks the session. This works even if a thread has panicked while it held the lock.
    fn lock(&self) -> MutexGuard<'_, TlsSession> {
        lock(&self.session)
    }
}

/// Locks a mutex, also if a thread has panicked while it held the lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a session receives and sends at its socket.
impl TlsSession {
    /// Receives once, and decrypts into `room`. Returns how many bytes the socket had, and how many are in `room`;
    /// `None` if the socket has none. What is left of the content is in [`content`](TlsSession::content).
    fn receive(
        &mut self,
        socket: &OwnedFd,
        flags: RecvFlags,
        room: &mut [u8],
    ) -> io::Result<Option<(usize, usize)>> {
        SCRATCH.with_borrow_mut(|Scratch { incoming, .. }| {
            let known = self.incoming.len();
            if incoming.len() < known + RECEIVE {
                incoming.resize(known + RECEIVE, 0);
            }
            let received = match retry_on_intr(|| recv(socket, &mut incoming[known..known + RECEIVE], flags))
            {
                Ok((count, _)) => count,
                Err(Errno::AGAIN) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            if received == 0 {
                return Ok(Some((0, 0)));
            }
            incoming[..known].copy_from_slice(&self.incoming);
            let incoming = &mut incoming[..known + received];
            if mem::take(&mut self.is_new) && incoming[0].is_ascii_uppercase() {
                let _ = send(socket, PLAIN_HTTP, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the client speaks HTTP without TLS"));
            }
            let processed = self.process(incoming, room);
            if processed.is_err() {
                // The alert: the client learns what was wrong.
                let _ = self.flush(socket);
            }
            let (used, given) = processed?;
            if used == incoming.len() {
                self.incoming = Vec::new();
            } else {
                incoming[used..].clone_into(&mut self.incoming);
            }
            Ok(Some((received, given)))
        })
    }

    /// Encrypts what is next in the send queue, and sends as much as the socket takes. Returns the result of
    /// [`TlsStream::transmit`] if there is nothing to encrypt.
    fn send_next(&mut self, socket: &OwnedFd, queue: &mut SendQueue) -> io::Result<Option<Transmitted>> {
        SCRATCH.with_borrow_mut(|Scratch { content, outgoing, .. }| {
            match queue.transmit() {
                Transmit::Empty => {
                    self.is_complete = true;
                    // If this takes not all, a receive sends the rest.
                    self.flush(socket)?;
                    return Ok(Some(Transmitted::All));
                }
                Transmit::Pending => {
                    self.flush(socket)?;
                    return Ok(Some(Transmitted::Pending));
                }
                Transmit::Broken(error) => return Err(error),
                Transmit::Bytes { slices, more } => {
                    let (content, is_followed) = next_content(&slices, content);
                    self.send(socket, content, more || is_followed, outgoing)?;
                }
                Transmit::File { slice, more } => match read_content(slice, content) {
                    Ok([]) => return Ok(Some(Transmitted::FileFailed(None))),
                    Ok(content) => self.send(socket, content, more, outgoing)?,
                    Err(error) => return Ok(Some(Transmitted::FileFailed(Some(error)))),
                },
            }
            Ok(None)
        })
    }

    /// Encrypts `content`, the front of the send queue, and sends as much as the socket takes. Keeps the rest.
    fn send(&mut self, socket: &OwnedFd, content: &[u8], more: bool, out: &mut Vec<u8>) -> io::Result<()> {
        let len = self.encrypt_into(content, out)?;
        let more = if more { SendFlags::MORE } else { SendFlags::empty() };
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT | more;
        let sent = match retry_on_intr(|| send(socket, &out[..len], flags)) {
            Err(Errno::AGAIN) => 0,
            sent => sent?,
        };
        self.queued = content.len();
        if sent < len {
            self.outgoing = out[sent..len].to_vec();
        }
        Ok(())
    }

    /// Sends what is encrypted, as far as the socket takes it. Returns whether it took all.
    fn flush(&mut self, socket: &OwnedFd) -> io::Result<bool> {
        while !self.outgoing.is_empty() {
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match retry_on_intr(|| send(socket, &self.outgoing, flags)) {
                Ok(count) => drop(self.outgoing.drain(..count)),
                Err(Errno::AGAIN) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        // Frees its memory.
        self.outgoing = Vec::new();
        Ok(true)
    }

    /// Returns how many bytes at the front of the send queue the socket has taken since the last call.
    fn take_sent(&mut self) -> usize {
        // The records are longer than their content: what is left of them contains all that is left of it.
        let left = self.queued.min(self.outgoing.len());
        mem::replace(&mut self.queued, left) - left
    }
}

/// Returns the content of the next records: the front of `slices`, copied into `buffer` if it is not in one piece. Also
/// returns whether other slices follow the one whose content this is.
fn next_content<'c>(slices: &'c [IoSlice<'_>], buffer: &'c mut Vec<u8>) -> (&'c [u8], bool) {
    match slices {
        [slice] => (&slice[..slice.len().min(BATCH)], false),
        // What follows goes into other records, so that these are full.
        [slice, ..] if slice.len() >= RECORD => (&slice[..(slice.len() / RECORD * RECORD).min(BATCH)], true),
        slices => {
            buffer.clear();
            for slice in slices {
                buffer.extend_from_slice(&slice[..slice.len().min(RECORD - buffer.len())]);
            }
            (buffer, false)
        }
    }
}

/// Reads the content of the next records from a file. Returns none if the file has become shorter.
fn read_content<'c>(slice: &FileSlice, buffer: &'c mut Vec<u8>) -> Result<&'c [u8], Errno> {
    buffer.resize(BATCH, 0);
    let len = usize::try_from(slice.len).unwrap_or(BATCH).min(BATCH);
    let count = retry_on_intr(|| pread(&slice.file, &mut buffer[..len], slice.offset))?;
    Ok(&buffer[..count])
}

/// Lets a full socket take a few more bytes. For the last bytes of a connection: its send buffer is limited no more.
#[cold]
fn add_room(socket: &OwnedFd) {
    // An error means that the socket is not of TCP, or that the connection is broken.
    let _ = notsent_lowat(socket, u64::MAX);
    if let Ok(size) = socket_send_buffer_size(socket) {
        // The kernel doubles the size that is set.
        let _ = set_socket_send_buffer_size(socket, size / 2 + BATCH);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        tls::{Certificate, Tls, TlsSettings},
        transport::{Transport, tests::Part},
    };
    use http_core::{Body, Buffers, Clock, Connection, Response, Step};
    use rustls::{
        ClientConfig, ClientConnection, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    };
    use std::{
        io::Read,
        net::Shutdown,
        os::unix::net::UnixStream,
        path::Path,
        sync::mpsc::channel,
        time::{Instant, SystemTime},
    };

    /// Both ends of a connection whose handshake is complete. The server's socket does not block.
    struct Pair {
        server: Transport,
        tls: ClientConnection,
        client: UnixStream,
    }

    impl Pair {
        fn new() -> Pair {
            let pem = |name| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls/pem").join(name);
            let certificate = Certificate::load(pem("default.pem"), pem("default.key"));
            let acceptor = Tls::new(TlsSettings::new(certificate.expect("a certificate")));
            let mut roots = RootCertStore::empty();
            let authority = CertificateDer::from_pem_file(pem("ca.pem")).expect("a certificate");
            roots.add(authority).expect("an authority");
            let mut config =
                ClientConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
                    .with_safe_default_protocol_versions()
                    .expect("versions")
                    .with_root_certificates(roots)
                    .with_no_client_auth();
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            let name = ServerName::try_from("localhost").expect("a name");
            let (server, client) = UnixStream::pair().expect("sockets");
            server.set_nonblocking(true).expect("a socket");
            let stream = acceptor.expect("a supported processor").accept().expect("a session");
            let mut pair = Pair {
                server: Transport::new(server.into(), false).with_tls(stream),
                tls: ClientConnection::new(Arc::new(config), name).expect("a client"),
                client,
            };
            let mut input = Buffers::default().input;
            while pair.tls.is_handshaking() {
                pair.tls.write_tls(&mut pair.client).expect("room");
                pair.server.receive(&mut input).expect("a handshake");
                if pair.tls.wants_read() {
                    pair.tls.read_tls(&mut pair.client).expect("a handshake");
                    pair.tls.process_new_packets().expect("a handshake");
                }
            }
            pair.tls.write_tls(&mut pair.client).expect("room");
            pair.server.receive(&mut input).expect("a handshake");
            pair
        }

        fn transmit(&self, queue: &mut SendQueue) -> Transmitted {
            self.server.transmit(queue, u64::MAX, &Counters::default()).expect("an open connection")
        }

        /// Receives what the socket has for the client, if anything.
        fn receive(&mut self) -> Vec<u8> {
            let mut received = vec![0; 1_000_000];
            let read = recv(&self.client, &mut received[..], RecvFlags::DONTWAIT);
            received.truncate(read.map_or(0, |(count, _)| count));
            received
        }

        /// Decrypts what the socket has for the client.
        fn decrypt(&mut self) -> Vec<u8> {
            let mut content = Vec::new();
            self.client.set_nonblocking(true).expect("a socket");
            while self.tls.read_tls(&mut self.client).is_ok_and(|count| count > 0) {
                self.tls.process_new_packets().expect("records");
                // Fails behind the content, because more may follow.
                let _ = self.tls.reader().read_to_end(&mut content);
            }
            content
        }
    }

    /// Queues responses with these bodies.
    fn respond(bodies: impl IntoIterator<Item = Body>) -> SendQueue {
        let clock = Clock::new("test", Instant::now(), SystemTime::UNIX_EPOCH);
        let mut conn = Connection::new(Arc::default(), clock.now());
        let Buffers { mut input, mut out } = Buffers::default();
        for body in bodies {
            input.extend(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n");
            assert_eq!(conn.poll(&mut input, &mut out, clock.now()), Step::Request);
            conn.respond(Response::bytes(body), &mut out, &clock).expect("a valid response");
        }
        out
    }

    fn bytes(len: usize) -> Body {
        Body::Bytes(vec![b'x'; len])
    }

    /// Bytes count when the client has taken them, also before a whole record is sent: a slow client has not stalled.
    #[test]
    fn each_byte_that_the_client_takes_counts() {
        let mut pair = Pair::new();
        let mut queue = respond([bytes(1_000_000)]);
        let total = queue.pending();
        let mut sent = Vec::new();
        while pair.transmit(&mut queue) == Transmitted::WouldBlock {
            sent.push(total - queue.pending());
            pair.client.read_exact(&mut [0; 10_000]).expect("bytes");
        }
        assert_eq!(queue.pending(), 0);
        assert!(sent.iter().any(|sent| sent % RECORD as u64 > 0), "{sent:?}");
    }

    #[test]
    fn all_records_but_the_last_are_full() {
        let mut pair = Pair::new();
        // The session tickets.
        pair.receive();
        let mut queue = respond([bytes(50_000), bytes(50_000)]);
        let rest = queue.pending() as usize % RECORD;
        assert_eq!(pair.transmit(&mut queue), Transmitted::All);
        let received = pair.receive();
        let (mut records, mut at) = (Vec::new(), 0);
        while let [_, _, _, high, low, ..] = received[at..] {
            let len = usize::from(u16::from_be_bytes([high, low]));
            // The type of the content, and what proves that it is unchanged.
            records.push(len - 17);
            at += 5 + len;
        }
        assert_eq!(records, [[RECORD; 6].as_slice(), &[rest]].concat());
    }

    #[test]
    fn a_full_socket_asks_before_it_resumes_a_file() {
        let mut pair = Pair::new();
        let (sender, asked) = channel();
        let mut queue = respond([Body::Stream(Box::new(Part::new(10_000_000, sender)))]);
        while pair.transmit(&mut queue) == Transmitted::WouldBlock {
            pair.receive();
        }
        assert!(asked.try_iter().count() > 0);
    }

    /// Bytes count as written if they are encrypted, although the socket takes them later.
    #[test]
    fn what_counts_as_written_after_an_upgrade_arrives_once() {
        let mut pair = Pair::new();
        let (mut written, mut value) = (Vec::new(), 0);
        let error = loop {
            value += 1;
            match pair.server.write(&[value; 10_000]) {
                Ok(count) => written.extend(vec![value; count]),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        let mut received = pair.decrypt();
        assert_eq!(pair.server.write(b"end").expect("room"), 3);
        received.extend(pair.decrypt());
        assert!(received == [&written[..], b"end"].concat());
    }

    #[test]
    fn a_thread_that_waits_keeps_no_memory_for_tls() {
        let pair = Pair::new();
        let kept =
            || SCRATCH.with_borrow(|scratch| scratch.incoming.capacity() + scratch.outgoing.capacity());
        assert!(kept() > 0);
        pair.server.wait_readable(Duration::ZERO).expect("poll");
        assert_eq!(kept(), 0);
    }

    /// The end is announced, also if the socket has just room for the last response.
    #[test]
    fn a_full_socket_takes_the_announcement_of_the_end() {
        for (len, buffer) in [(50_000, 0), (150_000, 50_000)] {
            let mut pair = Pair::new();
            assert_eq!(pair.transmit(&mut respond([bytes(len)])), Transmitted::All);
            set_socket_send_buffer_size(&pair.server, buffer).expect("a socket");
            pair.server.shutdown(Shutdown::Write).expect("an open socket");
            pair.decrypt();
            // Fails if the end was not announced.
            assert_eq!(pair.tls.reader().read(&mut [0]).expect("the end"), 0);
        }
    }
}
