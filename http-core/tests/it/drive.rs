//! Plays the engine: does what each step says, on a clock that only the test moves.
//!
//! It writes down what happened and panics wherever an engine would hang, spin, or be given nothing to work with,
//! so that every test that goes through it holds the core to that as well.

use crate::{
    app::Answer,
    reply::{Asked, Reply, read},
};
use http_core::{
    Buffers, Clock, CloseReason, Config, Connection, Rejection, Request, Response, SendQueue, Step, Transmit,
    Version,
};
use std::{
    borrow::Cow,
    collections::VecDeque,
    io,
    os::unix::fs::FileExt,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

type App = Box<dyn FnMut(&Request<'_>) -> Answer>;

/// A request as the application saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub version: Version,
    pub host: Option<String>,
    pub fields: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn of(request: &Request<'_>) -> Seen {
        Seen {
            method: request.method_token().to_owned(),
            target: request.target().to_owned(),
            version: request.version(),
            host: request.host().map(str::to_owned),
            fields: request.headers().map(|(name, value)| (name.to_owned(), value.to_vec())).collect(),
            body: request.body().to_vec(),
        }
    }
}

/// A connection, what it works in, and what has come of it.
pub struct Drive {
    conn: Connection,
    buffers: Buffers,
    clock: Clock,
    app: App,
    /// Makes the answer to what the application does not see.
    pub on_reject: fn(Rejection) -> Response,
    /// Sent by the peer and not received: each piece is a receive of its own.
    arriving: VecDeque<Vec<u8>>,
    /// How much of the first piece is received.
    received: usize,
    peer_ended: bool,
    end_reported: bool,
    /// The sizes of the writes, over and over.
    writes: Vec<usize>,
    writes_done: usize,
    /// Bytes that the peer still takes.
    window: usize,
    blocked: bool,
    /// An answer in the making, and whether it stays so.
    owed: Option<Response>,
    pub hold: bool,
    shut: bool,
    broken: bool,
    /// Each received or sent byte earns a few polls; whoever polls without either, spins.
    polls_left: usize,
    /// The steps in short words, repetitions left out.
    pub steps: Vec<Cow<'static, str>>,
    pub seen: Vec<Seen>,
    asked: Vec<Asked>,
    pub rejections: Vec<Rejection>,
    pub output: Vec<u8>,
    pub closed: Option<CloseReason>,
    /// The most room that the receive buffer offered or held.
    pub most_input: usize,
    pub most_pending: u64,
}

impl Drive {
    pub fn new(config: Config, app: impl FnMut(&Request<'_>) -> Answer + 'static) -> Drive {
        let clock = Clock::new("test", Instant::now(), SystemTime::UNIX_EPOCH);
        Drive {
            conn: Connection::new(Arc::new(config), clock.now()),
            buffers: Buffers::default(),
            clock,
            app: Box::new(app),
            on_reject: Rejection::response,
            arriving: VecDeque::new(),
            received: 0,
            peer_ended: false,
            end_reported: false,
            writes: vec![usize::MAX],
            writes_done: 0,
            window: usize::MAX,
            blocked: false,
            owed: None,
            hold: false,
            shut: false,
            broken: false,
            polls_left: 0,
            steps: Vec::new(),
            seen: Vec::new(),
            asked: Vec::new(),
            rejections: Vec::new(),
            output: Vec::new(),
            closed: None,
            most_input: 0,
            most_pending: 0,
        }
    }

    /// Cuts the output into writes of these sizes.
    pub fn writing(mut self, sizes: &[usize]) -> Drive {
        self.writes = sizes.to_vec();
        self
    }

    /// The peer sends this, to be received in pieces of these sizes, over and over.
    pub fn send_cut(&mut self, mut bytes: &[u8], sizes: &[usize]) {
        for &size in sizes.iter().cycle() {
            if bytes.is_empty() {
                return;
            }
            let (piece, rest) = bytes.split_at(size.clamp(1, bytes.len()));
            self.arriving.push_back(piece.to_vec());
            bytes = rest;
        }
    }

    /// The peer sends this.
    pub fn send(&mut self, bytes: &[u8]) {
        self.send_cut(bytes, &[usize::MAX]);
    }

    /// The peer ends its sending side behind what it has sent.
    pub fn end(&mut self) {
        self.peer_ended = true;
    }

    /// The peer is known to have ended, though nobody has asked to receive.
    pub fn hang_up(&mut self) {
        self.end();
        self.end_reported = true;
        self.conn.receive_eof();
    }

    /// The peer takes this many more bytes and then none.
    pub fn take(&mut self, bytes: usize) {
        self.window = bytes;
        self.blocked = false;
    }

    /// Ends the connection after the request in hand.
    pub fn disable_keep_alive(&mut self) {
        self.conn.disable_keep_alive();
    }

    /// The application fails, or there is no capacity for it: the request in hand is rejected.
    pub fn fail(&mut self, why: Rejection) {
        self.conn.reject();
        self.owed = None;
        self.respond(why.response());
    }

    /// Lets time pass, and the connection notice if that was too long.
    pub fn pass(&mut self, time: Duration) {
        let now = self.clock.now() + time;
        self.clock.update(now, || SystemTime::UNIX_EPOCH);
        if self.closed.is_some() {
            return;
        }
        let due = now >= self.conn.deadline();
        if let Some(why) = self.conn.expire(now) {
            assert!(due, "{why:?} before its time");
            if why == Rejection::RequestTimeout {
                self.asked.push(Asked::Refused);
            }
            self.owed = None;
            self.reject(why);
        }
        if due {
            self.run();
        }
    }

    /// Polls and obeys until that needs the peer, the clock or the application.
    pub fn run(&mut self) {
        self.polls_left += 16;
        while self.closed.is_none() && !self.broken {
            self.polls_left = self.polls_left.checked_sub(1).expect("the connection spins");
            let goes_on = self.step();
            let input = &mut self.buffers.input;
            self.most_input = self.most_input.max(input.unread().len() + input.spare().len());
            self.most_pending = self.most_pending.max(self.buffers.out.pending());
            if !goes_on {
                return;
            }
        }
    }

    /// One poll; says whether the next can follow at once.
    fn step(&mut self) -> bool {
        match self.conn.poll(&mut self.buffers.input, &mut self.buffers.out, self.clock.now()) {
            Step::Request => {
                let request = self.conn.request(&self.buffers.input).expect("a request after Step::Request");
                self.seen.push(Seen::of(&request));
                self.asked.push(Asked::of(request.method_token(), request.version() == Version::Http11));
                match (self.app)(&request) {
                    Answer::Now(response) => self.respond(response),
                    Answer::Later(response) => self.owed = Some(response),
                }
                self.note("request".into())
            }
            Step::Reject(why) => {
                self.asked.push(Asked::Refused);
                self.reject(why);
                true
            }
            Step::Receive => {
                self.note("receive".into());
                self.receive()
            }
            Step::AwaitReply => {
                self.note("await".into());
                if self.hold {
                    return false;
                }
                let response = self.owed.take().expect("an answer is waited for that nobody makes");
                self.respond(response);
                true
            }
            Step::Flush => {
                assert!(!self.shut, "something is to be sent after the end");
                self.note("flush".into());
                self.flush()
            }
            Step::ShutdownWrite => {
                assert!(!self.shut && self.buffers.out.is_empty(), "shut down twice, or too early");
                self.shut = true;
                self.note("shutdown".into())
            }
            Step::Close(why) => {
                let all_sent = self.buffers.out.is_empty() || why == CloseReason::WriteStall;
                assert!(all_sent, "closed with answers unsent");
                self.closed = Some(why);
                self.note(format!("{why:?}").into())
            }
        }
    }

    /// Writes a step down.
    fn note(&mut self, word: Cow<'static, str>) -> bool {
        if word != "flush" {
            self.blocked = false;
        }
        if self.steps.last() != Some(&word) {
            self.steps.push(word);
        }
        true
    }

    fn reject(&mut self, why: Rejection) {
        assert!(self.rejections.is_empty(), "something is read behind {:?}", self.rejections);
        self.rejections.push(why);
        self.note(format!("{why:?}").into());
        self.respond((self.on_reject)(why));
    }

    fn respond(&mut self, response: Response) {
        self.conn
            .respond(response, &mut self.buffers.out, &self.clock)
            .expect("a valid response that is due");
    }

    fn receive(&mut self) -> bool {
        let spare = self.buffers.input.spare();
        assert!(!spare.is_empty(), "asked to receive into no room");
        let Some(piece) = self.arriving.front() else {
            if self.peer_ended {
                assert!(!self.end_reported, "asked to receive behind the end");
                self.end_reported = true;
                self.conn.receive_eof();
            }
            return self.peer_ended;
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
        if self.window == 0 {
            // As an engine does: one more poll when the peer takes no more, and then it waits.
            return !std::mem::replace(&mut self.blocked, true);
        }
        let size = self.writes[self.writes_done % self.writes.len()].min(self.window);
        self.writes_done += 1;
        match write(&mut self.buffers.out, size, &mut self.output) {
            Ok(count) => {
                self.window -= if self.window == usize::MAX { 0 } else { count };
                self.polls_left += 4 * count;
                true
            }
            Err(_) => {
                self.broken = true;
                self.note("broken".into());
                false
            }
        }
    }

    /// What the peer makes of the output. It must be well-formed, with one answer for each request at most.
    pub fn replies(&self) -> Vec<Reply> {
        match read(&self.output, &self.asked, self.closed.is_some()) {
            Ok(replies) => replies,
            Err(fault) => panic!("{fault} in {}", self.output.escape_ascii()),
        }
    }

    /// Whether every request and rejection has been answered.
    pub fn all_answered(&self) -> bool {
        self.replies().len() == self.asked.len()
    }
}

/// Sends at most `size` bytes of what comes next.
fn write(out: &mut SendQueue, size: usize, output: &mut Vec<u8>) -> io::Result<usize> {
    let before = output.len();
    match out.transmit() {
        Transmit::Empty => {}
        Transmit::Broken(error) => return Err(error),
        Transmit::File { slice, .. } => {
            assert!(slice.len > 0, "an empty stretch of a file to send");
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
