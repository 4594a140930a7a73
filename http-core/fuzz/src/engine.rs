//! Plays engine and clock around one connection, and panics wherever http-core breaks a promise to them or the peer.
//!
//! An engine must never hang, spin, or be told to receive into no room. A peer must never get anything that the judges
//! do not understand, nor anything served that they would not have read the same way. Time only passes here.

use crate::{
    answers::{self, Content, Owed},
    app::{self, Answer},
    peer::Peer,
    plan::{self, Mood, Plan},
    requests,
};
use http_core::{
    Buffers, Clock, CloseReason, Config, Connection, Rejection, Response, SendQueue, Step, Transmit,
};
use std::{
    io,
    sync::Arc,
    time::{Duration, Instant, UNIX_EPOCH},
};

/// More than a fresh buffer holds, so that one must grow or be used up.
const FLOOD: usize = 24 * 1024;

/// What has come of a connection, and must not depend on how its bytes were cut.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Requests served.
    pub served: usize,
    /// Octets of input that they took.
    pub used: usize,
    /// What the library itself answered, in the end.
    pub rejection: Option<Rejection>,
    /// The answers, without interim ones: who is asked for content depends on what has come by then.
    pub answers: Vec<Vec<u8>>,
    /// How it ended, if it was not broken off.
    pub closed: Option<CloseReason>,
}

/// Plays a whole connection on which the peer sends `input`.
pub fn run(input: &[u8], plan: &Plan) -> Outcome {
    let flood: Vec<u8>;
    let input = if plan.mood == Mood::Floods {
        flood = input.iter().copied().cycle().take(FLOOD).collect();
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
    peer: Peer<'i>,
    /// What is left of the piece that is being received, and how many pieces came before.
    piece_left: usize,
    pieces: usize,
    writes: usize,
    /// How much more the peer takes.
    window: usize,
    /// The deadline, if half of the time up to it has passed and nothing else has happened.
    waiting: Option<Instant>,
    end_reported: bool,
    shut: bool,
    /// Given when the connection waits for it.
    later: Option<(Answer, Owed)>,
    /// Each octet on its way earns a few polls; who polls without any, spins.
    polls_left: usize,
    output: Vec<u8>,
    owed: Vec<Owed>,
    served: usize,
    rejection: Option<Rejection>,
    closed: Option<CloseReason>,
    broken: bool,
}

impl<'i> Engine<'i> {
    fn new(input: &'i [u8], plan: &'i Plan) -> Engine<'i> {
        let config = Config { limits: plan.limits.clone(), ..Config::default() };
        let clock = Clock::new("fuzz", Instant::now(), UNIX_EPOCH);
        let accept = if plan.mood == Mood::Refused { Connection::over_limit } else { Connection::new };
        Engine {
            plan,
            conn: accept(Arc::new(config), clock.now()),
            buffers: Buffers::default(),
            clock,
            peer: Peer::new(input),
            piece_left: 0,
            pieces: 0,
            writes: 0,
            window: if plan.mood == Mood::Stalls { plan::size(plan.writes[1]) } else { usize::MAX },
            waiting: None,
            end_reported: false,
            shut: false,
            later: None,
            polls_left: 64,
            output: Vec::new(),
            owed: Vec::new(),
            served: 0,
            rejection: None,
            closed: None,
            broken: false,
        }
    }

    /// One poll; says whether another may follow.
    fn step(&mut self) -> bool {
        self.polls_left = self.polls_left.checked_sub(1).expect("the connection spins");
        match self.conn.poll(&mut self.buffers.input, &mut self.buffers.out, self.clock.now()) {
            Step::Request => {
                let request = self.conn.request(&self.buffers.input).expect("a request after Step::Request");
                assert_eq!(self.rejection, None, "something is served behind a rejection");
                let mut owed = self.peer.asked(&request);
                let answer = app::answer(&request);
                self.served += 1;
                if self.plan.mood == Mood::GoesDown {
                    self.conn.disable_keep_alive();
                    owed.last = true;
                }
                self.answer(answer, owed);
            }
            Step::Reject(why) => self.reject(why, self.peer.refused()),
            Step::AwaitReply => self.await_answer(),
            Step::Receive => self.receive(),
            Step::Flush => self.flush(),
            Step::ShutdownWrite => {
                self.waiting = None;
                assert!(!self.shut && self.buffers.out.is_empty(), "shut down twice or too early");
                self.shut = true;
            }
            Step::Close(why) => {
                let all_sent = self.buffers.out.is_empty() || why == CloseReason::WriteStall;
                assert!(all_sent, "closed with answers unsent: {why:?}");
                self.closed = Some(why);
            }
        }
        self.closed.is_none() && !self.broken
    }

    fn answer(&mut self, mut answer: Answer, owed: Owed) {
        if std::mem::take(&mut answer.later) {
            self.later = Some((answer, owed));
            return;
        }
        let content = match owed.content {
            Content::Any => Content::Exactly(answer.content),
            other => other,
        };
        self.respond(answer.response, Owed { status: answer.status, content, ..owed });
    }

    fn reject(&mut self, why: Rejection, owed: Owed) {
        assert_eq!(self.rejection.replace(why), None, "something is read behind a rejection");
        // An application may have a page of its own, and need not say that it is the last.
        let response = Response::error(why.status());
        self.respond(response, Owed { status: why.status().code(), last: true, ..owed });
    }

    fn respond(&mut self, response: Response, owed: Owed) {
        self.waiting = None;
        self.owed.push(owed);
        let queued = self.conn.respond(response, &mut self.buffers.out, &self.clock);
        queued.expect("a valid response that is due");
    }

    fn await_answer(&mut self) {
        if self.plan.mood == Mood::Unanswered {
            return self.wait();
        }
        let (answer, owed) = self.later.take().expect("an answer is waited for that nobody makes");
        if self.plan.mood == Mood::Fails {
            self.conn.reject();
            self.reject(Rejection::HandlerPanicked, owed);
        } else {
            self.answer(answer, owed);
        }
    }

    /// Lets time pass until the connection has waited long enough. Half-way there it is polled once more for no reason,
    /// which must not win anyone time: a stalled peer is polled whenever its socket says that nothing has changed.
    fn wait(&mut self) {
        let (now, deadline) = (self.clock.now(), self.conn.deadline());
        assert!(deadline > now, "a deadline that is over when it is set");
        if let Some(before) = self.waiting.take() {
            assert_eq!(deadline, before, "a deadline that moves though nothing else does");
            assert_eq!(
                self.conn.expire(deadline - Duration::from_nanos(1)),
                None,
                "given up before its time"
            );
            self.pass_to(deadline);
        } else {
            self.waiting = Some(deadline);
            self.clock.update(now + (deadline - now) / 2, || UNIX_EPOCH);
        }
    }

    fn pass_to(&mut self, now: Instant) {
        self.clock.update(now, || UNIX_EPOCH);
        if let Some(why) = self.conn.expire(now) {
            let owed = match self.later.take() {
                Some((_, owed)) => owed,
                None => self.peer.refused(),
            };
            self.reject(why, owed);
        }
    }

    fn receive(&mut self) {
        assert!(!self.end_reported, "asked to receive behind the end");
        let room = self.buffers.input.spare().len();
        assert!(room > 0, "asked to receive into no room");
        if self.peer.sent == self.peer.input.len() {
            return if self.plan.mood == Mood::Silent { self.wait() } else { self.hang_up() };
        }
        if self.plan.mood == Mood::Slow {
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
        let arriving = &self.peer.input[self.peer.sent..];
        let count = room.min(self.piece_left).min(arriving.len());
        self.buffers.input.spare()[..count].copy_from_slice(&arriving[..count]);
        self.buffers.input.filled(count);
        self.piece_left -= count;
        self.peer.sent += count;
        self.polls_left += 4 * count;
        if self.plan.mood == Mood::HangsUp && self.peer.sent == self.peer.input.len() {
            self.hang_up();
        }
    }

    fn hang_up(&mut self) {
        self.end_reported = true;
        self.conn.receive_eof();
    }

    fn flush(&mut self) {
        assert!(!self.shut, "something is to be sent behind the end");
        if self.window == 0 {
            return self.wait();
        }
        let size = plan::size(self.plan.writes[self.writes % 2]).min(self.window);
        self.writes += 1;
        match write(&mut self.buffers.out, size, &mut self.output) {
            Ok(count) => {
                // A stream that ends where its connection ends leaves nothing behind it.
                let nothing_left = self.buffers.out.is_empty();
                assert!(count > 0 || nothing_left, "told to send, and nothing is there");
                self.window = if self.window == usize::MAX { self.window } else { self.window - count };
                self.polls_left += 4 * count;
            }
            Err(_) => self.broken = true,
        }
    }

    /// Memory follows what the peer has sent and what the limits let be queued, never what anyone announces.
    fn check_memory(&mut self) {
        let input = &mut self.buffers.input;
        let held = input.unread().len() + input.spare().len();
        assert!(held <= 4 * self.peer.sent + 32 * 1024, "room for {held} after {} octets", self.peer.sent);
        let largest_answer = 2 * self.peer.sent as u64 + 16 * 1024;
        let most = self.plan.limits.queued_bytes.saturating_add(largest_answer);
        let pending = self.buffers.out.pending();
        assert!(pending <= most, "{pending} octets queued, {most} at most");
    }

    /// Lets the judges have their say on the whole connection.
    fn outcome(self) -> Outcome {
        let ahead = self.peer.next();
        let asking = ahead.as_ref().is_some_and(requests::Head::expects_interim);
        let read = answers::read(&self.output, &self.owed, asking);
        let read = read.unwrap_or_else(|fault| panic!("{fault}\nin {}", self.output.escape_ascii()));
        let all = !read.cut && read.complete.len() == self.owed.len();
        let lost = self.broken || self.closed == Some(CloseReason::WriteStall);
        assert!(all || lost, "{} of {} answers came", read.complete.len(), self.owed.len());
        match self.closed {
            Some(CloseReason::ClientClosed | CloseReason::Idle) => {
                // RFC 9112 §2.2: empty lines may come before a request, and are none themselves.
                let only_lines = b"\r\n\r\n\r\n\r\n".starts_with(&self.peer.input[self.peer.used..]);
                assert!(only_lines, "idle, with part of a request here");
            }
            Some(CloseReason::Truncated) => {
                let content = ahead.and_then(|head| head.content(&self.peer.unused()[head.len..]));
                assert_eq!(content, None, "a whole request was here and not served");
            }
            Some(CloseReason::Done | CloseReason::WriteStall) | None => {}
        }
        Outcome {
            served: self.served,
            used: self.peer.used,
            rejection: self.rejection,
            answers: read.complete.into_iter().map(<[u8]>::to_vec).collect(),
            closed: self.closed,
        }
    }
}

/// Sends at most `size` octets of what comes next.
fn write(out: &mut SendQueue, size: usize, output: &mut Vec<u8>) -> io::Result<usize> {
    let before = output.len();
    match out.transmit() {
        Transmit::Empty => {}
        Transmit::Broken(error) => return Err(error),
        Transmit::File { slice, .. } => {
            output.extend(app::file_content(slice.offset, slice.len.min(size as u64)));
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
