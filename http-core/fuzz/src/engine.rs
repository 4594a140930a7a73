//! Simulates the engine and the clock of one connection. Panics where http-core breaks a promise to the engine or the
//! client.
//!
//! An engine must never hang, poll without progress, or receive into an empty buffer. A client must never receive what the
//! judges do not understand, and no request may be served that the judges read differently. Only this module advances the
//! clock.

use crate::{
    app::{self, AppReply},
    client::Client,
    plan::{self, Plan, Scenario},
    requests,
    responses::{self, BodyRule, ExpectedResponse},
};
use http_core::{
    Buffers, Clock, CloseReason, Config, Connection, Rejection, Response, SendQueue, Step, Transmit,
};
use std::{
    io,
    sync::Arc,
    time::{Duration, Instant, UNIX_EPOCH},
};

/// More bytes than a new buffer holds.
const FLOOD_BYTES: usize = 24 * 1024;

/// The result of a connection, which must not depend on how its bytes are split.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The number of requests served.
    pub served: usize,
    /// The number of bytes of these requests.
    pub used: usize,
    /// The rejection at the end, if there was one.
    pub rejection: Option<Rejection>,
    /// The responses without interim ones, which depend on how the input is split.
    pub responses: Vec<Vec<u8>>,
    /// How the connection ended, unless a stream failed.
    pub closed: Option<CloseReason>,
}

/// Runs a whole connection on which the client sends `input`.
pub fn run(input: &[u8], plan: &Plan) -> Outcome {
    let flood: Vec<u8>;
    let input = if plan.scenario == Scenario::Flood {
        flood = input.iter().copied().cycle().take(FLOOD_BYTES).collect();
        &flood
    } else {
        input
    };
    let mut engine = Engine::new(input, plan);
    while engine.step() {
        engine.check_memory();
    }
    engine.outcome()
}

struct Engine<'i> {
    plan: &'i Plan,
    conn: Connection,
    buffers: Buffers,
    clock: Clock,
    client: Client<'i>,
    /// The bytes left of the current piece, and the number of pieces.
    piece_left: usize,
    pieces: usize,
    writes: usize,
    /// The number of bytes that the client still reads.
    window: usize,
    /// The deadline, if half of the time up to it has passed without any progress.
    waiting: Option<Instant>,
    eof_reported: bool,
    shut: bool,
    /// The delayed response.
    later: Option<(AppReply, ExpectedResponse)>,
    /// The content that the application has taken piece by piece, and the expected response to its request.
    taken: Option<(Vec<u8>, ExpectedResponse)>,
    /// Each byte transferred allows a few polls. Polls without any are a busy loop.
    polls_left: usize,
    output: Vec<u8>,
    expected: Vec<ExpectedResponse>,
    served: usize,
    rejection: Option<Rejection>,
    closed: Option<CloseReason>,
    broken: bool,
}

impl<'i> Engine<'i> {
    fn new(input: &'i [u8], plan: &'i Plan) -> Engine<'i> {
        let config = Config { limits: plan.limits.clone(), ..Config::default() };
        let clock = Clock::new("fuzz", Instant::now(), UNIX_EPOCH);
        let accept =
            if plan.scenario == Scenario::OverLimit { Connection::over_limit } else { Connection::new };
        Engine {
            plan,
            conn: accept(Arc::new(config), clock.now()),
            buffers: Buffers::default(),
            clock,
            client: Client::new(input),
            piece_left: 0,
            pieces: 0,
            writes: 0,
            window: if plan.scenario == Scenario::WriteStall {
                plan::size(plan.writes[1])
            } else {
                usize::MAX
            },
            waiting: None,
            eof_reported: false,
            shut: false,
            later: None,
            taken: None,
            polls_left: 64,
            output: Vec::new(),
            expected: Vec::new(),
            served: 0,
            rejection: None,
            closed: None,
            broken: false,
        }
    }

    /// Polls once. Returns whether another poll may follow.
    fn step(&mut self) -> bool {
        self.polls_left = self.polls_left.checked_sub(1).expect("polled too often without progress");
        match self.conn.poll(&mut self.buffers.input, &mut self.buffers.out, self.clock.now()) {
            Step::Head => {
                let head = self.conn.request(&self.buffers.input).expect("a head after Step::Head");
                let admit = app::admit(&head);
                self.conn.admit(admit);
            }
            Step::Request => {
                let request = self.conn.request(&self.buffers.input).expect("a request after Step::Request");
                assert_eq!(self.rejection, None, "served a request after a rejection");
                let mut expected = self.client.served(&request);
                let reply = app::reply(&request);
                let takes_pieces = app::takes_pieces(&request);
                self.served += 1;
                if self.plan.scenario == Scenario::Shutdown {
                    self.conn.disable_keep_alive();
                    expected.last = true;
                }
                if takes_pieces {
                    self.request_content(reply, expected);
                } else {
                    self.reply(reply, expected);
                }
            }
            Step::Reject(reason @ Rejection::TargetNotEncoded) if !self.client.next_has_body() => {
                // A redirect, after which the connection may stay open.
                let rejected = self.conn.rejected(reason, &self.buffers.input);
                let request = rejected.request.expect("the request that is redirected");
                let mut expected = self.client.redirected(&request);
                let response = rejected.response();
                self.served += 1;
                if self.plan.scenario == Scenario::Shutdown {
                    self.conn.disable_keep_alive();
                    expected.last = true;
                }
                self.respond(response, ExpectedResponse { status: 301, ..expected });
            }
            Step::Reject(reason) => {
                let expected = self.taken.take().map(|(_, expected)| expected);
                self.reject(reason, expected.unwrap_or_else(|| self.client.rejected()));
            }
            Step::Content => self.take_content(),
            Step::ContentEnd => {
                let (taken, expected) = self.taken.take().expect("content that was requested");
                assert_eq!(Some(&taken), self.client.content().as_ref(), "other content than was sent");
                let response = Response::bytes(taken.clone());
                self.reply(AppReply { response, status: 200, body: taken, later: false }, expected);
            }
            Step::AwaitReply => self.await_reply(),
            Step::Receive => self.receive(),
            Step::Flush => self.flush(),
            Step::ShutdownWrite => {
                self.waiting = None;
                assert!(!self.shut && self.buffers.out.is_empty(), "shut down twice, or before all was sent");
                self.shut = true;
            }
            Step::Upgrade => panic!("upgraded without a 101 of the application"),
            Step::Close(reason) => {
                let all_sent = self.buffers.out.is_empty() || reason == CloseReason::WriteStall;
                assert!(all_sent, "closed before all was sent: {reason:?}");
                self.closed = Some(reason);
            }
        }
        self.closed.is_none() && !self.broken
    }

    fn reply(&mut self, mut reply: AppReply, expected: ExpectedResponse) {
        if std::mem::take(&mut reply.later) {
            self.later = Some((reply, expected));
            return;
        }
        let body = match expected.body {
            BodyRule::Any => BodyRule::Exactly(reply.body),
            other => other,
        };
        self.respond(reply.response, ExpectedResponse { status: reply.status, body, ..expected });
    }

    /// Requests the content of a request piece by piece. Without content, replies at once.
    fn request_content(&mut self, reply: AppReply, expected: ExpectedResponse) {
        match self.conn.receive_content(self.clock.now()) {
            Ok(true) => self.taken = Some((Vec::new(), expected)),
            Ok(false) => self.reply(reply, expected),
            Err(reason) => self.reject(reason, expected),
        }
    }

    /// Takes a part of the content that has arrived. A stalled application takes none.
    fn take_content(&mut self) {
        if self.plan.scenario == Scenario::NoReply {
            return self.wait();
        }
        self.waiting = None;
        let content = self.conn.content(&self.buffers.input);
        assert!(!content.is_empty(), "no content to take");
        let count = content.len().min(plan::size(self.plan.pieces[2]));
        let (taken, _) = self.taken.as_mut().expect("content that was requested");
        taken.extend_from_slice(&content[..count]);
        self.conn.take_content(&mut self.buffers.input, count);
    }

    fn reject(&mut self, reason: Rejection, expected: ExpectedResponse) {
        assert_eq!(self.rejection.replace(reason), None, "parsed bytes after a rejection");
        // An application may replace the response, and the replacement need not close the connection.
        let response = Response::error(reason.status());
        let status = reason.status().code();
        self.respond(response, ExpectedResponse { status, last: true, ..expected });
    }

    fn respond(&mut self, response: Response, expected: ExpectedResponse) {
        self.waiting = None;
        self.expected.push(expected);
        let queued = self.conn.respond(response, &mut self.buffers.out, &self.clock);
        queued.expect("a valid response that is due");
    }

    fn await_reply(&mut self) {
        if self.plan.scenario == Scenario::NoReply {
            return self.wait();
        }
        let (reply, expected) = self.later.take().expect("a delayed response");
        if self.plan.scenario == Scenario::HandlerFailure {
            self.conn.reject();
            self.reject(Rejection::HandlerPanicked, expected);
        } else {
            self.reply(reply, expected);
        }
    }

    /// Lets time pass until the deadline. Half-way there, the connection is polled once more without any progress, which
    /// must not move the deadline: an engine polls whenever the socket accepts no more bytes.
    fn wait(&mut self) {
        let (now, deadline) = (self.clock.now(), self.conn.deadline());
        assert!(deadline > now, "a deadline in the past");
        if let Some(before) = self.waiting.take() {
            assert_eq!(deadline, before, "the deadline moved without progress");
            assert_eq!(
                self.conn.expire(deadline - Duration::from_nanos(1)),
                None,
                "expired before the deadline"
            );
            self.pass_to(deadline);
        } else {
            self.waiting = Some(deadline);
            self.clock.update(now + (deadline - now) / 2, || UNIX_EPOCH);
        }
    }

    fn pass_to(&mut self, now: Instant) {
        self.clock.update(now, || UNIX_EPOCH);
        if let Some(reason) = self.conn.expire(now) {
            let later = self.later.take().map(|(_, expected)| expected);
            let expected = later.or(self.taken.take().map(|(_, expected)| expected));
            let expected = expected.unwrap_or_else(|| self.client.rejected());
            self.reject(reason, expected);
        }
    }

    fn receive(&mut self) {
        assert!(!self.eof_reported, "receive after the end");
        let room = self.buffers.input.spare().len();
        assert!(room > 0, "no room to receive into");
        if self.client.sent == self.client.input.len() {
            return if self.plan.scenario == Scenario::Silence { self.wait() } else { self.hang_up() };
        }
        if self.plan.scenario == Scenario::SlowSend {
            let now = self.clock.now() + Duration::from_secs(1);
            if now >= self.conn.deadline() {
                return self.pass_to(now);
            }
            self.clock.update(now, || UNIX_EPOCH);
        }
        if self.piece_left == 0 {
            self.piece_left = plan::size(self.plan.pieces[self.pieces % 3]);
            self.pieces += 1;
        }
        let arriving = &self.client.input[self.client.sent..];
        let count = room.min(self.piece_left).min(arriving.len());
        self.buffers.input.spare()[..count].copy_from_slice(&arriving[..count]);
        self.buffers.input.filled(count);
        self.piece_left -= count;
        self.client.sent += count;
        self.polls_left += 4 * count;
        if self.plan.scenario == Scenario::HangUp && self.client.sent == self.client.input.len() {
            self.hang_up();
        }
    }

    fn hang_up(&mut self) {
        self.eof_reported = true;
        self.conn.receive_eof();
    }

    fn flush(&mut self) {
        assert!(!self.shut, "bytes to send after the shutdown");
        if self.window == 0 {
            // An engine learns that the socket accepts no bytes only when it has bytes: the next chunk of a stream.
            let pending = self.buffers.out.pending();
            self.broken |= write(&mut self.buffers.out, 0, &mut self.output).is_err();
            if self.buffers.out.pending() == pending && !self.buffers.out.is_empty() && !self.broken {
                self.wait();
            }
            return;
        }
        let size = plan::size(self.plan.writes[self.writes % 2]).min(self.window);
        self.writes += 1;
        match write(&mut self.buffers.out, size, &mut self.output) {
            Ok(count) => {
                // A stream that ends with the connection adds no last bytes.
                let nothing_left = self.buffers.out.is_empty();
                assert!(count > 0 || nothing_left, "flush without bytes to send");
                self.window = if self.window == usize::MAX { self.window } else { self.window - count };
                self.polls_left += 4 * count;
            }
            Err(_) => self.broken = true,
        }
    }

    /// Memory is bounded by the bytes sent and by the limit of the queue, not by announced lengths.
    fn check_memory(&mut self) {
        let input = &mut self.buffers.input;
        let held = input.unread().len() + input.spare().len();
        assert!(held <= 4 * self.client.sent + 32 * 1024, "room for {held} after {} bytes", self.client.sent);
        let largest_response = 2 * self.client.sent as u64 + 16 * 1024;
        let most = self.plan.limits.queued_bytes.saturating_add(largest_response);
        let pending = self.buffers.out.pending();
        assert!(pending <= most, "{pending} bytes queued, {most} at most");
    }

    /// Lets the judges check the whole connection.
    fn outcome(self) -> Outcome {
        let next = self.client.next();
        let interim = next.as_ref().is_some_and(requests::Head::expects_interim);
        let read = responses::read(&self.output, &self.expected, interim);
        let read = read.unwrap_or_else(|error| panic!("{error}\nin {}", self.output.escape_ascii()));
        let all = !read.truncated && read.complete.len() == self.expected.len();
        let lost = self.broken || self.closed == Some(CloseReason::WriteStall);
        assert!(all || lost, "{} of {} responses", read.complete.len(), self.expected.len());
        match self.closed {
            Some(CloseReason::ClientClosed | CloseReason::Idle) => {
                // RFC 9112 §2.2: empty lines may come before a request.
                let only_lines = b"\r\n\r\n\r\n\r\n".starts_with(self.client.unused());
                assert!(only_lines, "idle after part of a request");
            }
            Some(CloseReason::Truncated) => {
                let body = next.and_then(|head| head.body(&self.client.unused()[head.len..]));
                assert_eq!(body, None, "a complete request was not served");
            }
            Some(CloseReason::Done | CloseReason::WriteStall | CloseReason::BodyStall) | None => {}
        }
        Outcome {
            served: self.served,
            used: self.client.used,
            rejection: self.rejection,
            responses: read.complete.into_iter().map(<[u8]>::to_vec).collect(),
            closed: self.closed,
        }
    }
}

/// Writes at most `size` bytes of what is to be sent next.
fn write(out: &mut SendQueue, size: usize, output: &mut Vec<u8>) -> io::Result<usize> {
    let before = output.len();
    match out.transmit() {
        Transmit::Empty => {}
        Transmit::Pending => panic!("no source of this application is ever pending"),
        Transmit::Broken(error) => return Err(error),
        Transmit::File { slice, .. } => {
            output.extend(app::file_bytes(slice.offset, slice.len.min(size as u64)));
        }
        Transmit::Bytes { slices, .. } => {
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
