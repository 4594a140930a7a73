//! The clients of the simulation: what each sends, what it must receive, and for what reasons the server may close its
//! connection.

mod closing;

use super::{
    TIMEOUTS,
    application::Application,
    plan::{Kind, MAX_LEN, Plan, body},
};
use crate::sys::simulated::{Kernel, Random};
use http_test_suite::reader::{Event as ReadEvent, RequestKind, ResponseReader, preview};
use std::{
    io::Write,
    net::SocketAddr,
    time::{Duration, Instant},
};

/// What a client does besides sending requests and reading responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behaviour {
    /// Nothing: it closes when it has all responses.
    Polite,
    /// Keeps the connection open when it has all responses.
    Stays,
    /// Closes its sending side after the last request.
    HalfCloses,
    /// Sends nothing after this many bytes.
    StopsSending(usize),
    /// Reads nothing after this many bytes.
    StopsReading(usize),
    /// Closes the connection after it has sent this many bytes.
    HangsUp(usize),
    /// Resets the connection after it has sent this many bytes.
    Resets(usize),
    /// Sends after its last request what is no request.
    Malformed,
}

/// What a client requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// A few requests of any kind.
    Usual,
    /// More requests than a turn serves, all answered at once.
    Burst,
    /// More bytes than a turn sends.
    Download,
}

/// A client of the simulation.
#[derive(Debug)]
pub(super) struct Client {
    /// The number of its connection.
    pub(super) number: usize,
    behaviour: Behaviour,
    /// Sends its requests without waiting for responses.
    pipelines: bool,
    /// Whether it has sent many requests that are answered at once.
    pub(super) is_burst: bool,
    /// What it sends, and how much of that it has sent.
    bytes: Vec<u8>,
    sent: usize,
    /// The requests, the index of the first that it has not sent completely, and of the one that waits for its
    /// response.
    requests: Vec<usize>,
    sending: usize,
    next: usize,
    reader: ResponseReader,
    /// How much of the body of the present response it has read; `None` between responses.
    body_at: Option<usize>,
    read: usize,
    /// How many bytes of an upgraded connection have come back.
    echoed: Option<usize>,
    /// A response has said that the server closes the connection.
    is_last: bool,
    has_left: bool,
    pub(super) has_ended: bool,
    /// When the server has last sent something, and how much it had sent by then. The time of the connection at first.
    server_sent: (Instant, usize),
    /// Since when it has not read all; `None` if it has.
    unread_since: Option<Instant>,
    /// The number of complete responses.
    pub(super) responses: usize,
}

impl Client {
    /// A client with this address and the connection of this number. If it is behind a proxy, that announces it with a
    /// header of the PROXY protocol. Adds its plans to those of the application.
    pub(super) fn new(
        number: usize,
        address: SocketAddr,
        is_proxied: bool,
        load: Load,
        app: &mut Application,
        random: &mut Random,
    ) -> Client {
        let count = match load {
            Load::Usual => random.up_to(12),
            Load::Burst => 300 + random.below(300),
            Load::Download => 1,
        };
        let (mut bytes, mut requests) = (Vec::new(), Vec::new());
        if is_proxied {
            let _ = write!(bytes, "PROXY TCP4 {} 192.0.2.80 {} 80\r\n", address.ip(), address.port());
        }
        for _ in 0..count {
            let kind = match load {
                Load::Usual => Kind::any(random),
                Load::Burst => Kind::Now,
                Load::Download => Kind::Sendfile,
            };
            let id = app.plans.len();
            let plan = Plan::new((id, kind), number, address, &mut bytes, random);
            let len = if load == Load::Download { MAX_LEN } else { plan.len };
            requests.push(id);
            app.plans.push(Plan { len, ..plan });
            if kind == Kind::Upgrade {
                break;
            }
        }
        let behaviour = Behaviour::any(bytes.len(), random);
        let upgrades = requests.last().is_some_and(|id| app.plans[*id].kind == Kind::Upgrade);
        if behaviour == Behaviour::Malformed && !upgrades {
            bytes.extend_from_slice(b"no request\r\n\r\n");
            if random.one_in(4) {
                // More than a turn receives, all to be dropped.
                bytes.extend_from_slice(body(0, MAX_LEN));
            }
        }
        Client {
            number,
            behaviour,
            pipelines: load == Load::Burst || random.one_in(4),
            is_burst: load == Load::Burst,
            bytes,
            sent: 0,
            requests,
            sending: 0,
            next: 0,
            reader: ResponseReader::default(),
            body_at: None,
            read: 0,
            echoed: None,
            is_last: false,
            has_left: false,
            has_ended: false,
            server_sent: (app.now, 0),
            unread_since: None,
            responses: 0,
        }
    }

    /// The request that the next response belongs to.
    fn awaited<'p>(&self, plans: &'p [Plan]) -> Option<&'p Plan> {
        self.requests.get(self.next).map(|id| &plans[*id])
    }

    /// Sends, reads or leaves. Returns what is wrong with the bytes that it has read.
    pub(super) fn act(&mut self, kernel: &mut Kernel, app: &mut Application) -> Result<(), String> {
        match self.behaviour {
            _ if self.has_left => return Ok(()),
            Behaviour::HangsUp(at) if self.sent >= at => {
                self.has_left = true;
                kernel.close(self.number, true);
                return Ok(());
            }
            Behaviour::Resets(at) if self.sent >= at => {
                self.has_left = true;
                kernel.reset(self.number);
                return Ok(());
            }
            Behaviour::Polite if self.next == self.requests.len() && self.echoed.is_none() => {
                self.has_left = true;
                kernel.close(self.number, true);
                return Ok(());
            }
            _ => {}
        }
        let unread = kernel.peers[self.number].unread();
        let wants = match self.behaviour {
            Behaviour::StopsReading(at) => unread.min(at.saturating_sub(self.read)),
            _ => unread,
        };
        if wants > 0 && kernel.random.one_in(2) {
            let count = if kernel.random.one_in(2) { wants } else { kernel.random.up_to(wants) };
            return self.receive(kernel, app, count);
        }
        self.send(kernel, app);
        Ok(())
    }

    /// Sends some of the bytes that it may send now.
    fn send(&mut self, kernel: &mut Kernel, app: &mut Application) {
        let end = match self.awaited(&app.plans) {
            Some(plan) if !self.pipelines && plan.kind != Kind::Upgrade => plan.span.end,
            _ => self.bytes.len(),
        };
        let end = match self.behaviour {
            Behaviour::StopsSending(at) | Behaviour::HangsUp(at) | Behaviour::Resets(at) => end.min(at),
            _ => end,
        };
        if self.sent >= end {
            if self.behaviour == Behaviour::HalfCloses && self.sent == self.bytes.len() {
                kernel.close(self.number, false);
            }
            return;
        }
        let left = end - self.sent;
        let count = if kernel.random.one_in(2) { left } else { kernel.random.up_to(left) };
        kernel.deliver(self.number, &self.bytes[self.sent..self.sent + count]);
        self.sent += count;
        while let Some(id) = self.requests.get(self.sending) {
            let plan = &mut app.plans[*id];
            if self.sent > plan.span.start {
                plan.begun_at.get_or_insert(app.now);
            }
            if self.sent < plan.span.end {
                break;
            }
            plan.sent_at = Some(app.now);
            self.sending += 1;
        }
    }

    /// Reads at most `count` bytes, and checks them.
    fn receive(&mut self, kernel: &mut Kernel, app: &Application, count: usize) -> Result<(), String> {
        let bytes = kernel.read(self.number, count);
        self.read += bytes.len();
        if kernel.peers[self.number].unread() == 0 {
            self.unread_since = None;
        }
        let mut rest = &bytes[..];
        loop {
            if self.echoed.is_some() {
                return self.check_echo(rest, app);
            }
            if self.is_last && !rest.is_empty() {
                return Err(format!("bytes after the last response: {}", preview(rest, 1000)));
            }
            let plan = self.awaited(&app.plans);
            // The server does not know the method if it refuses the connection, or the head remains incomplete.
            let head = plan.is_some_and(|plan| plan.is_head && plan.handled_at.is_some());
            match self.reader.read(rest, RequestKind { head, http10: false })? {
                (_, ReadEvent::Incomplete) => return Ok(()),
                (len, ReadEvent::Head) => {
                    rest = &rest[len..];
                    self.check_head(plan, app)?;
                    self.body_at = Some(0);
                }
                (len, ReadEvent::Body(bytes)) => {
                    rest = &rest[len..];
                    let at = self.body_at.unwrap_or_default();
                    self.body_at = Some(at + bytes.len());
                    self.check_body(plan, at, bytes)?;
                }
                (len, ReadEvent::Complete) => {
                    rest = &rest[len..];
                    self.check_end(plan, app)?;
                    self.body_at = None;
                    self.is_last = !self.reader.keeps_alive();
                    self.echoed = (self.reader.status() == 101).then_some(0);
                    self.next += 1;
                    self.responses += 1;
                }
            }
        }
    }

    /// Checks bytes of an upgraded connection.
    fn check_echo(&mut self, bytes: &[u8], app: &Application) -> Result<(), String> {
        let (id, at) = (self.requests[self.next - 1], self.echoed.unwrap_or_default());
        self.echoed = Some(at + bytes.len());
        match body(id, app.plans[id].len).get(at..at + bytes.len()) == Some(bytes) {
            true => Ok(()),
            false => Err(format!("the upgraded connection of request {id} returns other bytes")),
        }
    }

    /// Checks bytes of the body of a response, which begin at `at`.
    fn check_body(&self, plan: Option<&Plan>, at: usize, bytes: &[u8]) -> Result<(), String> {
        match (self.reader.status(), plan) {
            (200, Some(plan))
                if body(self.requests[self.next], plan.len).get(at..at + bytes.len()) != Some(bytes) =>
            {
                Err(format!("not the body of the response to request {}, at {at}", self.requests[self.next]))
            }
            _ => Ok(()),
        }
    }

    /// Checks a response at its end.
    fn check_end(&self, plan: Option<&Plan>, app: &Application) -> Result<(), String> {
        let (Some(plan), 200) = (plan, self.reader.status()) else { return Ok(()) };
        let read = self.body_at.unwrap_or_default();
        if read != plan.len && !plan.is_head {
            return Err(format!("{read} bytes of a body of {}", plan.len));
        }
        let in_shutdown =
            plan.handled_at.zip(app.draining_since).is_some_and(|(handled, since)| handled > since);
        match in_shutdown && self.reader.keeps_alive() {
            true => Err("a response in the shutdown does not say that it is the last".to_owned()),
            false => Ok(()),
        }
    }

    /// Checks that the response whose head was read may be the response to `plan`.
    fn check_head(&self, plan: Option<&Plan>, app: &Application) -> Result<(), String> {
        let status = self.reader.status();
        let Some(plan) = plan else {
            return match (status, self.behaviour) {
                (400 | 408, Behaviour::Malformed) => Ok(()),
                _ => Err(format!("a response {status} to no request")),
            };
        };
        let id = self.requests[self.next];
        let passed =
            |since: Option<Instant>, timeout: Duration| since.is_some_and(|since| since + timeout <= app.now);
        let is_expected = match status {
            200 | 101 => {
                let named = self.reader.header("x-id").map(|named| named == id.to_string().as_bytes());
                if named != Some(true) {
                    let header = self.reader.header("x-id").map(String::from_utf8_lossy);
                    return Err(format!("the response to request {header:?} instead of {id}"));
                }
                plan.handled_at.is_some()
                    && !plan.kind.fails()
                    && (status == 101) == (plan.kind == Kind::Upgrade)
            }
            500 => plan.kind.fails(),
            503 => {
                let is_refused = app.has_low_limits && self.next == 0 && plan.handled_at.is_none();
                is_refused || plan.kind.needs_thread() || passed(plan.handled_at, TIMEOUTS.reply)
            }
            408 => {
                let least = TIMEOUTS.head.min(TIMEOUTS.body_idle);
                passed(plan.begun_at, least)
                    && plan.sent_at.zip(plan.begun_at).is_none_or(|(sent, begun)| sent >= begun + least)
            }
            _ => false,
        };
        match is_expected {
            true => Ok(()),
            false => Err(format!("a response {status} to request {id}: {plan:?}")),
        }
    }

    /// Notes what the server has done in a turn at the time `now`.
    pub(super) fn note_turn(&mut self, kernel: &Kernel, now: Instant) {
        let peer = &kernel.peers[self.number];
        if peer.total_sent > self.server_sent.1 {
            self.server_sent = (now, peer.total_sent);
        }
        if peer.unread() > 0 {
            self.unread_since.get_or_insert(now);
        }
    }
}

impl Behaviour {
    fn any(len: usize, random: &mut Random) -> Behaviour {
        let at = random.below(len);
        match random.below(40) {
            0..=2 => Behaviour::Stays,
            3..=5 => Behaviour::HalfCloses,
            6 => Behaviour::StopsSending(at),
            7 => Behaviour::StopsReading(random.below(2000)),
            8 => Behaviour::HangsUp(at),
            9 => Behaviour::Resets(at),
            10 => Behaviour::Malformed,
            _ => Behaviour::Polite,
        }
    }
}
