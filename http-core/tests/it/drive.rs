//! Simulates the engine: does what each step says, on a clock that only the test moves.
//!
//! It records what happens. It panics wherever an engine would hang, loop without progress, or have nothing to do, so
//! that every test that uses it also tests for that.

use crate::{
    app::AppReply,
    received::{ReceivedResponse, RequestKind, read},
};
use http_core::{
    Admit, Buffers, CancellationToken, Clock, CloseReason, Config, Connection, Misuse, Rejected, Rejection,
    Request, Response, SendQueue, Step, Transmit, Upgraded, UpgradedTransport, Version,
};
use std::{
    borrow::Cow,
    collections::VecDeque,
    io,
    os::unix::fs::FileExt,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

type App = Box<dyn FnMut(&Request<'_>) -> AppReply>;

/// A request as the application saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRequest {
    pub method: String,
    pub target: String,
    pub version: Version,
    pub host: Option<String>,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl SeenRequest {
    pub fn of(request: &Request<'_>) -> SeenRequest {
        SeenRequest {
            method: request.method_token().to_owned(),
            target: request.target().to_owned(),
            version: request.version(),
            host: request.host().map(str::to_owned),
            headers: request.headers().map(|(name, value)| (name.to_owned(), value.to_vec())).collect(),
            body: request.body().to_vec(),
        }
    }
}

/// The transport of an upgraded connection: at its end, and nothing can be written.
pub struct NoTransport;

impl UpgradedTransport for NoTransport {
    fn read(&self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }

    fn write(&self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn set_read_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn set_write_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn shutdown(&self, _: std::net::Shutdown) -> io::Result<()> {
        Ok(())
    }
}

/// A connection with its buffers, and the record of what happened.
pub struct Drive {
    conn: Connection,
    buffers: Buffers,
    clock: Clock,
    app: App,
    /// Chooses how the content of a request is taken.
    pub admit: fn(&Request<'_>) -> Admit,
    /// Rejects each request with content at its head for this reason, instead of asking `admit`.
    pub reject_at_head: Option<Rejection>,
    /// Creates the response to a rejection.
    pub on_reject: fn(&Rejected<'_>) -> Response,
    /// Sent by the client and not received yet: one item for each receive.
    arriving: VecDeque<Vec<u8>>,
    /// The received bytes of the first item.
    received: usize,
    client_ended: bool,
    eof_reported: bool,
    /// The sizes of the writes, repeated.
    writes: Vec<usize>,
    writes_done: usize,
    /// The number of bytes that the client still reads.
    window: usize,
    blocked: bool,
    /// Whether a stream waits for its source.
    starved: bool,
    /// The response that the application delays.
    delayed: Option<Response>,
    /// Whether it goes on delaying responses.
    pub hold: bool,
    /// The content that the application has taken, and at how many bytes it responds.
    taken: (Vec<u8>, usize),
    /// The number of bytes of content that the application still takes.
    room: usize,
    /// Whether the application takes the content of a request that it has seen.
    pub receiving: bool,
    /// How many requests were rejected while the application took their content.
    pub rejected_in_content: usize,
    shut: bool,
    broken: bool,
    /// Each received or sent byte allows a few polls. Polls without either are a busy loop.
    polls_left: usize,
    /// The names of the steps, without repetitions.
    pub steps: Vec<Cow<'static, str>>,
    pub seen: Vec<SeenRequest>,
    kinds: Vec<RequestKind>,
    pub rejections: Vec<Rejection>,
    pub output: Vec<u8>,
    pub closed: Option<CloseReason>,
    /// The largest size of the receive buffer.
    pub most_input: usize,
    pub most_pending: u64,
}

impl Drive {
    pub fn new(config: Config, app: impl FnMut(&Request<'_>) -> AppReply + 'static) -> Drive {
        let clock = Clock::new("test", Instant::now(), SystemTime::UNIX_EPOCH);
        Drive {
            conn: Connection::new(Arc::new(config), clock.now()),
            buffers: Buffers::default(),
            clock,
            app: Box::new(app),
            admit: |_| Admit::Buffer,
            reject_at_head: None,
            on_reject: |rejected| rejected.response(),
            arriving: VecDeque::new(),
            received: 0,
            client_ended: false,
            eof_reported: false,
            writes: vec![usize::MAX],
            writes_done: 0,
            window: usize::MAX,
            blocked: false,
            starved: false,
            delayed: None,
            hold: false,
            taken: (Vec::new(), 0),
            room: usize::MAX,
            receiving: false,
            rejected_in_content: 0,
            shut: false,
            broken: false,
            polls_left: 0,
            steps: Vec::new(),
            seen: Vec::new(),
            kinds: Vec::new(),
            rejections: Vec::new(),
            output: Vec::new(),
            closed: None,
            most_input: 0,
            most_pending: 0,
        }
    }

    /// Receives into these buffers, which must be empty.
    pub fn with_buffers(mut self, buffers: Buffers) -> Drive {
        self.buffers = buffers;
        self
    }

    /// Returns the connection.
    pub fn connection(&self) -> &Connection {
        &self.conn
    }

    /// Returns what the connection tells an engine about its wait: whether it is idle, since how many milliseconds
    /// after `start`, and whether it awaits a reply.
    pub fn wait(&self, start: Instant) -> (bool, Option<u128>, bool) {
        let since = self.conn.idle_since().map(|since| (since - start).as_millis());
        (self.conn.is_idle(), since, self.conn.is_awaiting_reply())
    }

    /// Returns the present time.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Returns the buffers.
    pub fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    /// Returns the buffers, and drops all else.
    pub fn into_buffers(self) -> Buffers {
        self.buffers
    }

    /// Splits the output into writes of these sizes, repeated.
    pub fn writing(mut self, sizes: &[usize]) -> Drive {
        self.writes = sizes.to_vec();
        self
    }

    /// The client sends this. The engine receives it in pieces of these sizes, repeated.
    pub fn send_split(&mut self, mut bytes: &[u8], sizes: &[usize]) {
        for &size in sizes.iter().cycle() {
            if bytes.is_empty() {
                return;
            }
            let (piece, rest) = bytes.split_at(size.clamp(1, bytes.len()));
            self.arriving.push_back(piece.to_vec());
            bytes = rest;
        }
    }

    /// The client sends this. The engine receives it at once.
    pub fn send(&mut self, bytes: &[u8]) {
        self.send_split(bytes, &[usize::MAX]);
    }

    /// The client ends its sending side after what it has sent.
    pub fn end(&mut self) {
        self.client_ended = true;
    }

    /// The client ends its sending side, and the engine reports it at once.
    pub fn hang_up(&mut self) {
        self.end();
        self.eof_reported = true;
        self.conn.receive_eof();
    }

    /// The client reads this many more bytes, and then none.
    pub fn read(&mut self, bytes: usize) {
        self.window = bytes;
        self.blocked = false;
    }

    /// The application takes this many more bytes of content, and then none.
    pub fn take(&mut self, bytes: usize) {
        self.room = bytes;
    }

    /// The source of a stream has more, and calls its waker.
    pub fn wake(&mut self) {
        self.starved = false;
    }

    /// Closes the connection after the current request.
    pub fn disable_keep_alive(&mut self) {
        self.conn.disable_keep_alive();
    }

    /// Closes the connection after one more request.
    pub fn drain(&mut self) {
        self.conn.drain(self.clock.now());
    }

    /// Rejects the request whose response is delayed.
    pub fn reject_held(&mut self, reason: Rejection) {
        self.conn.reject();
        assert!(self.conn.request(&self.buffers.input).is_none(), "a request whose bytes are gone");
        self.delayed = None;
        self.respond(reason.response());
    }

    /// Lets time pass, and reports it to the connection if its deadline is over.
    pub fn pass(&mut self, time: Duration) {
        let now = self.clock.now() + time;
        self.clock.update(now, || SystemTime::UNIX_EPOCH);
        if self.closed.is_some() {
            return;
        }
        let due = now >= self.conn.deadline();
        if let Some(reason) = self.conn.expire(now) {
            assert!(due, "{reason:?} before the deadline");
            if reason == Rejection::RequestTimeout && !self.receiving {
                self.kinds.push(RequestKind::Unknown);
            }
            self.delayed = None;
            self.reject(reason);
        }
        if due {
            self.run();
        }
    }

    /// Polls, and does the steps, until one has to wait for the client, the clock or the application.
    pub fn run(&mut self) {
        self.polls_left += 16;
        while self.closed.is_none() && !self.broken {
            self.polls_left = self.polls_left.checked_sub(1).expect("polled too often without progress");
            let can_continue = self.step();
            let input = &mut self.buffers.input;
            self.most_input = self.most_input.max(input.unread().len() + input.spare().len());
            self.most_pending = self.most_pending.max(self.buffers.out.pending());
            if !can_continue {
                return;
            }
        }
    }

    /// Polls once. Returns whether it can poll again at once.
    fn step(&mut self) -> bool {
        match self.conn.poll(&mut self.buffers.input, &mut self.buffers.out, self.clock.now()) {
            Step::ProxyHeader => self.record("proxied".into()),
            Step::Head => {
                let head = self.conn.request(&self.buffers.input).expect("a head after Step::Head");
                assert!(head.body().is_empty(), "a body at the head");
                let choice = (self.admit)(&head);
                match self.reject_at_head {
                    Some(reason) => {
                        self.conn.reject();
                        self.kinds.push(RequestKind::Unknown);
                        self.reject(reason);
                    }
                    None => self.conn.admit(choice),
                }
                true
            }
            Step::Request => {
                let request = self.conn.request(&self.buffers.input).expect("a request after Step::Request");
                self.seen.push(SeenRequest::of(&request));
                self.kinds
                    .push(RequestKind::of(request.method_token(), request.version() == Version::Http11));
                match (self.app)(&request) {
                    AppReply::Now(response) => self.respond(response),
                    AppReply::Later(response) => self.delayed = Some(response),
                    AppReply::Receive(respond_at) => {
                        self.record("request".into());
                        return self.receive_content(respond_at);
                    }
                }
                self.record("request".into())
            }
            Step::Content => {
                self.record("content".into());
                self.take_content()
            }
            Step::ContentEnd => {
                self.record("end".into());
                self.delayed = Some(Response::bytes(std::mem::take(&mut self.taken.0)));
                if !self.hold {
                    let response = self.delayed.take().expect("a response");
                    self.respond(response);
                }
                true
            }
            Step::Reject(reason) if self.receiving => {
                self.reject(reason);
                true
            }
            Step::Reject(reason) => {
                let request = self.conn.request(&self.buffers.input);
                self.kinds.push(match request.filter(|_| reason == Rejection::TargetNotEncoded) {
                    Some(request) => {
                        RequestKind::of(request.method_token(), request.version() == Version::Http11)
                    }
                    None => RequestKind::Unknown,
                });
                self.reject(reason);
                true
            }
            Step::Receive => {
                self.record("receive".into());
                self.receive()
            }
            Step::AwaitReply => {
                self.record("await".into());
                assert!(self.conn.request(&self.buffers.input).is_none(), "a request whose bytes are gone");
                if self.hold {
                    return false;
                }
                let response = self.delayed.take().expect("a delayed response");
                self.respond(response);
                true
            }
            Step::Flush => {
                assert!(!self.shut, "bytes to send after the shutdown");
                self.record("flush".into());
                self.flush()
            }
            Step::ShutdownWrite => {
                assert!(!self.shut && self.buffers.out.is_empty(), "shut down twice, or before all was sent");
                self.shut = true;
                self.record("shutdown".into())
            }
            Step::Upgrade => {
                assert!(self.buffers.out.is_empty(), "upgraded before all was sent");
                let take = self.conn.take_upgrade().expect("a function after Step::Upgrade");
                let received = self.buffers.input.unread().to_vec();
                self.record(format!("upgrade {}", received.escape_ascii()).into());
                take.call(Upgraded::new(NoTransport, received, None, CancellationToken::default()))
                    .expect("no panic");
                self.closed = Some(CloseReason::Done);
                false
            }
            Step::Close(reason) => {
                let all_sent = self.buffers.out.is_empty() || reason == CloseReason::WriteStall;
                assert!(all_sent, "closed before all was sent");
                self.closed = Some(reason);
                self.record(format!("{reason:?}").into())
            }
        }
    }

    /// Begins to take content. Responds when it has `respond_at` bytes, or at its end.
    fn receive_content(&mut self, respond_at: usize) -> bool {
        self.taken = (Vec::new(), respond_at);
        self.receiving = true;
        match self.conn.receive_content(self.clock.now()) {
            Ok(true) => {
                assert!(self.conn.content(&self.buffers.input).is_empty(), "content before Step::Content");
            }
            Ok(false) => {
                let body = self.seen.last().expect("a request").body.clone();
                self.respond(Response::bytes(body));
            }
            Err(reason) => self.reject(reason),
        }
        true
    }

    /// Takes the content that there is room for. Returns whether that was any, or the application has responded.
    fn take_content(&mut self) -> bool {
        let data = self.conn.content(&self.buffers.input);
        assert!(!data.is_empty(), "no content to take");
        let (taken, respond_at) = &mut self.taken;
        let count = data.len().min(self.room).min(*respond_at - taken.len());
        taken.extend_from_slice(&data[..count]);
        self.room = self.room.checked_sub(count).filter(|_| self.room < usize::MAX).unwrap_or(self.room);
        self.conn.take_content(&mut self.buffers.input, count);
        let responds = taken.len() == *respond_at;
        if responds {
            let response = Response::bytes(std::mem::take(taken));
            self.respond(response);
        }
        self.polls_left += count;
        responds || count > 0
    }

    /// Records a step, unless it is the same as the last one.
    fn record(&mut self, name: Cow<'static, str>) -> bool {
        if name != "flush" {
            self.blocked = false;
        }
        if self.steps.last() != Some(&name) {
            self.steps.push(name);
        }
        true
    }

    fn reject(&mut self, reason: Rejection) {
        let only_redirects = self.rejections.iter().all(|reason| *reason == Rejection::TargetNotEncoded);
        assert!(only_redirects, "parsed bytes after {:?}", self.rejections);
        self.rejections.push(reason);
        self.rejected_in_content += usize::from(std::mem::take(&mut self.receiving));
        self.record(format!("{reason:?}").into());
        let response = (self.on_reject)(&self.conn.rejected(reason, &self.buffers.input));
        self.respond(response);
    }

    fn respond(&mut self, response: Response) {
        self.receiving = false;
        let Err(misuse) = self.conn.respond(response, &mut self.buffers.out, &self.clock) else { return };
        assert_ne!(misuse, Misuse::NoResponseDue);
        self.record(format!("{misuse:?}").into());
        self.conn.reject();
        let error = Rejection::InvalidResponse.response();
        self.conn.respond(error, &mut self.buffers.out, &self.clock).expect("a valid response that is due");
    }

    fn receive(&mut self) -> bool {
        let spare = self.buffers.input.spare();
        assert!(!spare.is_empty(), "no room to receive into");
        let Some(piece) = self.arriving.front() else {
            if self.client_ended {
                assert!(!self.eof_reported, "receive after the end");
                self.eof_reported = true;
                self.conn.receive_eof();
            }
            return self.client_ended;
        };
        let count = spare.len().min(piece.len() - self.received);
        spare[..count].copy_from_slice(&piece[self.received..][..count]);
        self.received += count;
        if self.received == piece.len() {
            self.arriving.pop_front();
            self.received = 0;
        }
        self.buffers.input.filled(count);
        self.polls_left += 4 * count;
        true
    }

    fn flush(&mut self) -> bool {
        if self.starved {
            return false;
        }
        let size = self.writes[self.writes_done % self.writes.len()].min(self.window);
        self.writes_done += 1;
        match write(&mut self.buffers.out, size, &mut self.output) {
            // An engine polls once more when the socket accepts no more, and then waits.
            Ok(_) if self.window == 0 => !std::mem::replace(&mut self.blocked, true),
            Ok(count) => {
                self.window -= if self.window == usize::MAX { 0 } else { count };
                self.polls_left += 4 * count;
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // An engine polls once more when a source has nothing, and then waits.
                self.starved = true;
                self.record("pending".into())
            }
            Err(_) => {
                self.broken = true;
                self.record("broken".into());
                false
            }
        }
    }

    /// Parses the output. Panics if it is malformed, or has more responses than requests.
    pub fn responses(&self) -> Vec<ReceivedResponse> {
        match read(&self.output, &self.kinds, self.closed.is_some()) {
            Ok(responses) => responses,
            Err(error) => panic!("{error} in {}", self.output.escape_ascii()),
        }
    }

    /// Returns whether every request and rejection has a response.
    pub fn all_responded(&self) -> bool {
        self.responses().len() == self.kinds.len()
    }
}

/// Writes at most `size` bytes of what is to be sent next.
fn write(out: &mut SendQueue, size: usize, output: &mut Vec<u8>) -> io::Result<usize> {
    let before = output.len();
    match out.transmit() {
        Transmit::Empty => {}
        Transmit::Pending => return Err(io::ErrorKind::WouldBlock.into()),
        Transmit::Broken(error) => return Err(error),
        Transmit::File { slice, .. } => {
            assert!(slice.len > 0, "an empty part of a file to send");
            output.resize(before + size.min(slice.len as usize), 0);
            slice.file.read_exact_at(&mut output[before..], slice.offset)?;
        }
        Transmit::Bytes { slices, .. } => {
            assert!(slices.iter().any(|slice| !slice.is_empty()), "no bytes to send");
            for slice in slices.iter() {
                let room = size - (output.len() - before);
                output.extend_from_slice(&slice[..slice.len().min(room)]);
            }
        }
    }
    let count = output.len() - before;
    if count > 0 {
        out.sent(count);
    }
    Ok(count)
}
