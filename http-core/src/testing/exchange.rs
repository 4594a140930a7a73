//! Passes a test's request to a handler, as an engine does it with a socket.
//!
//! It takes the place of an engine, so it reads the clock once and waits for other threads. It must never wait without
//! a bound.

use super::{content::ContentTaker, request::TestRequest, response::TestResponse, upgraded};
use crate::{
    buffer::{pool::Buffers, segment::FileSlice, send_queue::Transmit},
    connection::{Connection, Step},
    handler::{handler::Handler, reply::Reply, responder::Responder},
    message::{body::Body, rejection::Rejection, response::Response},
    types::{
        cancellation::CancellationToken,
        clock::Clock,
        error::Misuse,
        panic::{Panicked, catch_panic, drop_caught},
    },
};
use std::{
    fs::File,
    io,
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    },
    task::{Wake, Waker},
    thread,
    time::{Duration, Instant, SystemTime},
};

/// The number of bytes of a file that are read at once.
const FILE_BYTES: u64 = 64 * 1024;

/// A connection without a socket, for one request.
pub(super) struct Exchange<'e, H: ?Sized> {
    handler: &'e H,
    conn: Connection,
    buffers: Buffers,
    clock: Clock,
    /// What the client has not sent yet, in the pieces in which it arrives.
    pieces: std::vec::IntoIter<Vec<u8>>,
    /// The longest wait for another thread.
    timeout: Duration,
    /// The number of bytes of the body after which the client leaves.
    leave_after: usize,
    /// Receives from the waker of the stream that was queued last; `None` before the first stream.
    woken: Option<Receiver<()>>,
    /// All bytes that the server has sent.
    sent: Vec<u8>,
    has_response: bool,
    /// Takes the content as it comes; `None` if the handler does not want it so.
    taker: Option<ContentTaker>,
    /// Why the handler's response could not be sent.
    misuse: Option<Misuse>,
}

/// The waker of a stream: sends to [`Exchange::woken`].
struct StreamWaker(SyncSender<()>);

impl Wake for StreamWaker {
    fn wake(self: Arc<Self>) {
        // Fails if a wake-up is pending, or the test has ended.
        let _ = self.0.try_send(());
    }
}

impl<'e, H: Handler + ?Sized> Exchange<'e, H> {
    #[expect(clippy::disallowed_methods, reason = "no engine passes the time in")]
    pub(super) fn new(request: &TestRequest, handler: &'e H) -> Exchange<'e, H> {
        let clock = Clock::new("test", Instant::now(), SystemTime::UNIX_EPOCH);
        let mut conn = Connection::new(Arc::new(request.config.clone()), clock.now());
        if let Some(session) = &request.tls {
            conn = conn.with_tls_info(Arc::clone(session));
        }
        Exchange {
            handler,
            conn: match request.client_addr {
                Some(client_addr) => conn.with_client_addr(client_addr),
                None => conn,
            },
            buffers: Buffers::default(),
            clock,
            pieces: request.pieces().into_iter(),
            timeout: request.timeout,
            leave_after: request.leave_after,
            woken: None,
            sent: Vec::new(),
            has_response: false,
            taker: None,
            misuse: None,
        }
    }

    /// Does what the connection asks for, until it has sent the response and received the request.
    #[expect(clippy::panic, reason = "a test calls this, and fails")]
    pub(super) fn run(mut self) -> TestResponse {
        let error = self.exchange().err();
        match TestResponse::read(&self.sent, self.misuse.take(), error) {
            Some(response) => response,
            None => panic!("the connection was closed without a response: {:?}", self.conn),
        }
    }

    fn exchange(&mut self) -> io::Result<()> {
        loop {
            let Buffers { input, out } = &mut self.buffers;
            match self.conn.poll(input, out, self.clock.now()) {
                Step::Receive => match self.pieces.next() {
                    Some(piece) => input.extend(&piece),
                    None if self.has_response => return Ok(()),
                    None => self.expire(),
                },
                Step::ProxyHeader => {}
                Step::Head => {
                    let Some(head) = self.conn.request(input) else { return Ok(()) };
                    match catch_panic(|| self.handler.admit(&head)) {
                        Ok(admit) => self.conn.admit(admit),
                        Err(panicked) => self.fail(panicked.into()),
                    }
                }
                Step::Request => {
                    let Some(request) = self.conn.request(input) else { return Ok(()) };
                    match catch_panic(|| self.handler.handle(&request)) {
                        Ok(reply) => self.resolve(reply),
                        Err(panicked) => self.fail(panicked.into()),
                    }
                }
                Step::Content => {
                    let content = self.conn.content(input);
                    let Some(taker) = &mut self.taker else { return Ok(()) };
                    let written = taker.write(content);
                    self.conn.take_content(input, content.len());
                    self.continue_content(written);
                }
                Step::ContentEnd => {
                    if let Some(taker) = self.taker.take() {
                        self.finish(taker);
                    }
                }
                Step::Reject(reason) => self.reject(reason),
                Step::Flush => {
                    self.transmit()?;
                    self.check_client()?;
                }
                Step::Upgrade => return self.upgrade(),
                Step::AwaitReply | Step::ShutdownWrite | Step::Close(_) => return Ok(()),
            }
        }
    }

    /// Gets the response of a reply, and queues it.
    fn resolve(&mut self, reply: Reply) {
        let token = CancellationToken::default();
        let outcome = match reply {
            Reply::Now(response) => Ok(response),
            Reply::After(_, job) | Reply::Offload(job) => {
                catch_panic(|| job(&token)).map_err(Rejection::from)
            }
            Reply::Deferred(start) => {
                let (deliver, outcome) = mpsc::sync_channel(1);
                let responder = Responder::new(token.clone(), move |result| {
                    // Fails if the wait is over: then the response is not wanted any more.
                    let _ = deliver.send(result);
                });
                match catch_panic(|| start(responder)) {
                    Ok(()) => match outcome.recv_timeout(self.timeout) {
                        Ok(outcome) => outcome,
                        Err(_) => {
                            token.cancel();
                            return self.expire();
                        }
                    },
                    Err(panicked) => Err(panicked.into()),
                }
            }
            Reply::Receive(sink) => return self.receive(|_| ContentTaker::Sink(sink)),
            Reply::Read(job) => {
                return self.receive(|length| ContentTaker::Job { job, content: Vec::new(), length });
            }
        };
        match outcome {
            Ok(response) => self.respond(response),
            Err(reason) => self.fail(reason),
        }
    }

    /// Begins to receive content. `make_taker` makes what takes it, from the length of the content if that is known.
    /// Passes the content on at once if it has arrived.
    fn receive(&mut self, make_taker: impl FnOnce(Option<u64>) -> ContentTaker) {
        let length = self.conn.request(&self.buffers.input).and_then(|request| request.content_length());
        match self.conn.receive_content(self.clock.now()) {
            Ok(true) => self.taker = Some(make_taker(length)),
            Ok(false) => {
                let content =
                    self.conn.request(&self.buffers.input).map_or(&b""[..], |request| request.body());
                let mut taker = make_taker(Some(content.len() as u64));
                match taker.write(content) {
                    Ok(Ok(())) => self.finish(taker),
                    written => self.continue_content(written),
                }
            }
            Err(reason) => self.reject(reason),
        }
    }

    /// Responds if a sink wants no more content, or has panicked.
    fn continue_content(&mut self, written: Result<Result<(), Response>, Panicked>) {
        match written {
            Ok(Ok(())) => {}
            Ok(Err(response)) => self.respond(response),
            Err(panicked) => self.fail(panicked.into()),
        }
    }

    /// Ends the content, and replies to the request.
    fn finish(&mut self, taker: ContentTaker) {
        match taker.finish() {
            Ok(reply) => self.resolve(reply),
            Err(panicked) => self.fail(panicked.into()),
        }
    }

    /// Queues a handler's response; a 500 if it is invalid.
    fn respond(&mut self, response: Response) {
        if let Err(reason) = self.queue(response) {
            self.fail(reason);
        }
    }

    /// Queues a response. Fails if it is invalid, or the source of its stream panics.
    fn queue(&mut self, mut response: Response) -> Result<(), Rejection> {
        self.has_response = true;
        drop_caught(self.taker.take());
        if let Body::Stream(source) = response.body_mut() {
            let (wake, woken) = mpsc::sync_channel(1);
            self.woken = Some(woken);
            catch_panic(|| source.start(Waker::from(Arc::new(StreamWaker(wake)))))?;
        }
        let queued = self.conn.respond(response, &mut self.buffers.out, &self.clock);
        queued.map_err(|misuse| {
            self.misuse.get_or_insert(misuse);
            Rejection::InvalidResponse
        })
    }

    /// Queues the response to a request that the handler has failed to answer.
    fn fail(&mut self, reason: Rejection) {
        self.conn.reject();
        self.reject(reason);
    }

    /// Ends the wait for the client or the handler.
    fn expire(&mut self) {
        if let Some(reason) = self.conn.expire(self.conn.deadline()) {
            self.reject(reason);
        }
    }

    /// Queues the response to a rejected request.
    fn reject(&mut self, reason: Rejection) {
        if let Some(taker) = self.taker.take() {
            taker.fail(reason);
        }
        let rejected = self.conn.rejected(reason, &self.buffers.input);
        let default = rejected.response();
        let response = catch_panic(|| self.handler.rejected(&rejected, rejected.response()));
        let response = response.unwrap_or_else(|panicked| Rejection::from(panicked).response());
        if self.queue(response).is_err() {
            // The default response is always valid.
            let _ = self.queue(default);
        }
    }

    /// Passes the connection to the application, and collects what it writes.
    fn upgrade(&mut self) -> io::Result<()> {
        let Some(take) = self.conn.take_upgrade() else { return Ok(()) };
        let mut received = self.buffers.input.unread().to_vec();
        received.extend(self.pieces.by_ref().flatten());
        let (written, result) = upgraded::hand_over(take, received, self.conn.client_addr(), self.timeout);
        self.sent.extend(written);
        result
    }

    /// Takes what is at the front of the send queue. Fails if the rest of the response cannot be had.
    fn transmit(&mut self) -> io::Result<()> {
        let before = self.sent.len();
        match self.buffers.out.transmit() {
            Transmit::Empty => {}
            Transmit::Bytes { slices, .. } => {
                slices.iter().for_each(|slice| self.sent.extend_from_slice(slice));
            }
            Transmit::File { slice, .. } => self.sent.extend(read_file(slice)?),
            Transmit::Pending => self.await_waker()?,
            Transmit::Broken(error) => return Err(error),
        }
        self.buffers.out.sent(self.sent.len() - before);
        Ok(())
    }

    /// Fails if the client has left.
    fn check_client(&self) -> io::Result<()> {
        // The body is never longer than what was sent: do not decode it for nothing.
        let has_left = self.sent.len() >= self.leave_after
            && TestResponse::read(&self.sent, None, None)
                .is_some_and(|response| response.body().len() >= self.leave_after);
        if has_left && !self.buffers.out.is_empty() {
            let error = format!("the client has left after {} bytes of the body", self.leave_after);
            return Err(io::Error::new(io::ErrorKind::ConnectionReset, error));
        }
        Ok(())
    }

    /// Waits until the source of the stream calls its waker, or until the time at which it asks to be called again.
    #[expect(clippy::disallowed_methods, reason = "no engine waits, or passes the time in")]
    fn await_waker(&mut self) -> io::Result<()> {
        let left = self.buffers.out.resume_at().map(|at| at.saturating_duration_since(Instant::now()));
        if let Some(left) = left.filter(|left| *left <= self.timeout) {
            thread::sleep(left);
            return Ok(());
        }
        let woken = self
            .woken
            .as_ref()
            .map_or(Err(RecvTimeoutError::Disconnected), |woken| woken.recv_timeout(self.timeout));
        woken.map_err(|error| match error {
            RecvTimeoutError::Timeout => io::Error::new(
                io::ErrorKind::TimedOut,
                format!("the source of the stream did not call its waker within {:?}", self.timeout),
            ),
            RecvTimeoutError::Disconnected => {
                io::Error::other("the source of the stream is pending, and has dropped its waker")
            }
        })
    }
}

/// Reads the first bytes of a part of a file. Fails if the file has become shorter.
fn read_file(slice: &FileSlice) -> io::Result<Vec<u8>> {
    let wanted = slice.len.min(FILE_BYTES);
    let mut bytes = vec![0; wanted as usize];
    read_at(&slice.file, slice.offset, &mut bytes)?;
    Ok(bytes)
}

/// Fills `bytes` from this offset of the file.
#[cfg(unix)]
fn read_at(file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

/// Fills `bytes` from this offset of the file. Moves its cursor, so responses must not share the file at the same time.
#[cfg(not(unix))]
fn read_at(mut file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(bytes)
}
