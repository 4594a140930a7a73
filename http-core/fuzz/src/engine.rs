//! Simulates the engine and the clock of one connection. Panics where http-core breaks a promise to the engine or the
//! client.
//!
//! An engine must never hang, poll without progress, or receive into an empty buffer. A client must never receive what
//! the oracles do not understand, and no request may be served that the oracles read differently. Only this module
//! advances the clock.

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
    /// How the connection ended; `None` if a stream failed, or the result depends on how the input is split.
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

/// Content that the application takes piece by piece.
struct Taking {
    bytes: Vec<u8>,
    reply: AppReply,
    expected: ExpectedResponse,
}

impl Taking {
    /// Returns how many bytes the application still takes before it responds.
    fn left(&self) -> usize {
        self.reply.after.saturating_sub(self.bytes.len())
    }
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
    /// The content that the application takes piece by piece.
    taking: Option<Taking>,
    /// The number of pieces of content that were there to be taken.
    takes: usize,
    /// The last step.
    step: Option<Step>,
    /// The number of steps that may have to wait.
    waits: usize,
    /// Each byte transferred allows a few polls. Polls without any are a busy loop.
    polls_left: usize,
    output: Vec<u8>,
    expected: Vec<ExpectedResponse>,
    served: usize,
    rejection: Option<Rejection>,
    closed: Option<CloseReason>,
    broken: bool,
    /// Whether the result depends on how the input is split.
    depends_on_split: bool,
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
            taking: None,
            takes: 0,
            step: None,
            waits: 0,
            polls_left: 64,
            output: Vec::new(),
            expected: Vec::new(),
            served: 0,
            rejection: None,
            closed: None,
            broken: false,
            depends_on_split: false,
        }
    }

    /// Polls once. Returns whether another poll may follow.
    fn step(&mut self) -> bool {
        self.polls_left = self.polls_left.checked_sub(1).expect("polled too often without progress");
        let step = self.conn.poll(&mut self.buffers.input, &mut self.buffers.out, self.clock.now());
        self.step = Some(step);
        if self.expires(step) {
            self.pass_to(self.conn.deadline());
            return true;
        }
        match step {
            Step::ProxyHeader => unreachable!("no proxy is trusted"),
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
                let takes_pieces = app::asks(&request, "pieces");
                self.served += 1;
                if app::asks(&request, "early") {
                    // Whether the client waits for a 100 response depends on how the input is split.
                    self.depends_on_split |= expected.interim;
                }
                if self.plan.scenario == Scenario::Shutdown {
                    self.conn.disable_keep_alive();
                    expected.last = true;
                }
                if takes_pieces {
                    self.request_content(reply, expected);
                } else {
                    expected.last |= self.client.withholds_content();
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
                let expected = self.taking.take().map(|taking| taking.expected);
                self.reject(reason, expected.unwrap_or_else(|| self.client.rejected()));
            }
            Step::Content => self.take_content(),
            Step::ContentEnd => {
                let Taking { bytes, reply, expected } =
                    self.taking.take().expect("content that was requested");
                assert_eq!(Some(&bytes), self.client.end_content().as_ref(), "other content than was sent");
                let reply = match reply.status {
                    101 => reply,
                    _ => {
                        let response = Response::bytes(bytes.clone());
                        AppReply { response, status: 200, body: bytes, ..reply }
                    }
                };
                self.reply(reply, expected);
            }
            Step::AwaitReply => self.await_reply(),
            Step::Receive if self.responds_within_content() => self.respond_within_content(),
            Step::Receive => self.receive(),
            Step::Flush => self.flush(),
            Step::ShutdownWrite => {
                self.waiting = None;
                assert!(!self.shut && self.buffers.out.is_empty(), "shut down twice, or before all was sent");
                self.shut = true;
            }
            Step::Upgrade => {
                assert!(self.buffers.out.is_empty(), "upgraded before the 101 was sent");
                let unread = self.buffers.input.unread();
                assert_eq!(unread, self.client.unused(), "other bytes after the request than were sent");
                assert!(self.conn.take_upgrade().is_some(), "the function of the 101 is missing");
                self.closed = Some(CloseReason::Done);
            }
            Step::Close(reason) => {
                let all_sent = self.buffers.out.is_empty() || reason == CloseReason::WriteStall;
                assert!(all_sent, "closed before all was sent: {reason:?}");
                self.closed = Some(reason);
            }
        }
        self.closed.is_none() && !self.broken
    }

    fn reply(&mut self, reply: AppReply, expected: ExpectedResponse) {
        if reply.later {
            self.later = Some((reply, expected));
            return;
        }
        let body = match expected.body {
            // In place of a 101, which has no body, the client may receive an error.
            BodyRule::Any if reply.status != 101 => BodyRule::Exactly(reply.body),
            other => other,
        };
        self.respond(reply.response, ExpectedResponse { status: reply.status, body, ..expected });
    }

    /// Requests the content of a request piece by piece. Without content, replies at once.
    fn request_content(&mut self, reply: AppReply, expected: ExpectedResponse) {
        match self.conn.receive_content(self.clock.now()) {
            Ok(true) => {
                let is_due = reply.after == 0 && !reply.later;
                self.taking = Some(Taking { bytes: Vec::new(), reply, expected });
                if is_due {
                    self.respond_within_content();
                }
            }
            Ok(false) => self.reply(reply, expected),
            Err(reason) => self.reject(reason, expected),
        }
    }

    /// Takes a part of the content that has arrived, and sometimes nothing. A stalled application takes none.
    fn take_content(&mut self) {
        if self.responds_within_content() {
            return self.respond_within_content();
        }
        if self.plan.scenario == Scenario::NoReply {
            return self.wait();
        }
        self.waiting = None;
        let content = self.conn.content(&self.buffers.input);
        assert!(!content.is_empty(), "no content to take");
        let taking = self.taking.as_mut().expect("content that was requested");
        let size = plan::size(self.plan.pieces[self.takes % 3]).min(taking.left());
        let count = if self.takes % 4 == 3 { 0 } else { size.min(content.len()) };
        self.takes += 1;
        taking.bytes.extend_from_slice(&content[..count]);
        self.conn.take_content(&mut self.buffers.input, count);
        if taking.left() == 0 && !taking.reply.later {
            self.respond_within_content();
        }
    }

    /// Returns whether the application responds now, before it has taken all content.
    fn responds_within_content(&self) -> bool {
        self.plan.scenario != Scenario::NoReply
            && self.taking.as_ref().is_some_and(|taking| taking.left() == 0)
    }

    /// Responds before the end of the content. Before the first poll, no 100 response is sent.
    fn respond_within_content(&mut self) {
        let Some(Taking { reply, mut expected, .. }) = self.taking.take() else { return };
        expected.last |= self.client.withholds_content() && !reply.later;
        self.depends_on_split |= !self.client.sends_regular_content(&self.plan.limits);
        self.reply_late(reply, expected);
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
        let queued = self.conn.respond(response, &mut self.buffers.out, &self.clock);
        if expected.status == 101 && !self.client.may_switch() {
            assert!(queued.is_err(), "upgraded a client that has not asked for it, or sends content");
            self.conn.reject();
            return self.reject(Rejection::InvalidResponse, expected);
        }
        queued.expect("a valid response that is due");
        self.expected.push(expected);
    }

    fn await_reply(&mut self) {
        if self.plan.scenario == Scenario::NoReply {
            return self.wait();
        }
        let (reply, expected) = self.later.take().expect("a delayed response");
        self.reply_late(reply, expected);
    }

    /// Gives a response that was delayed, unless its handler fails.
    fn reply_late(&mut self, reply: AppReply, expected: ExpectedResponse) {
        if reply.later && self.plan.scenario == Scenario::HandlerFailure {
            self.conn.reject();
            self.reject(Rejection::HandlerPanicked, expected);
        } else {
            self.reply(AppReply { later: false, ..reply }, expected);
        }
    }

    /// Returns whether the deadline of this step passes.
    fn expires(&mut self, step: Step) -> bool {
        let may_wait = matches!(step, Step::Receive | Step::Flush | Step::AwaitReply | Step::Content);
        self.waits += usize::from(may_wait);
        let is_last = may_wait && self.waits == plan::size(self.plan.writes[1]);
        is_last && self.plan.scenario == Scenario::Expiry
    }

    /// Lets time pass until the deadline. Half-way there, the connection is polled once more without any progress,
    /// which must not move the deadline: an engine polls whenever the socket accepts no more bytes.
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

    /// Lets time pass until `now`, when the deadline has passed. The step tells who was too slow.
    fn pass_to(&mut self, now: Instant) {
        self.clock.update(now, || UNIX_EPOCH);
        let reason = self.conn.expire(now);
        let is_expected = match self.step {
            Some(Step::AwaitReply | Step::Content) => reason == Some(Rejection::ReplyTimeout),
            Some(Step::Receive) => matches!(reason, None | Some(Rejection::RequestTimeout)),
            _ => reason.is_none(),
        };
        assert!(is_expected, "{reason:?} at the deadline of {:?}", self.step);
        if let Some(reason) = reason {
            let later = self.later.take().map(|(_, expected)| expected);
            let expected = later.or(self.taking.take().map(|taking| taking.expected));
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
            let written = write(&mut self.buffers.out, 0, &mut self.output);
            self.broken |= written.is_err();
            let is_stalled = self.buffers.out.pending() == pending && !self.buffers.out.is_empty();
            if is_stalled && matches!(written, Ok(Some(_))) {
                self.wait();
            }
            return;
        }
        let size = plan::size(self.plan.writes[self.writes % 2]).min(self.window);
        self.writes += 1;
        match write(&mut self.buffers.out, size, &mut self.output) {
            // The source has more at the next poll.
            Ok(None) => {}
            Ok(Some(count)) => {
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

    /// Lets the oracles check the whole connection.
    fn outcome(self) -> Outcome {
        let next = self.client.next();
        let interim = match &self.taking {
            Some(taking) => taking.expected.interim,
            None => next.as_ref().is_some_and(requests::Head::expects_interim),
        };
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
            closed: self.closed.filter(|_| !self.depends_on_split),
        }
    }
}

/// Writes at most `size` bytes of what is to be sent next, and returns their number; `None` if a source has none for
/// now.
fn write(out: &mut SendQueue, size: usize, output: &mut Vec<u8>) -> io::Result<Option<usize>> {
    let before = output.len();
    match out.transmit() {
        Transmit::Empty => {}
        Transmit::Pending => return Ok(None),
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
    Ok(Some(count))
}
