//! One driver thread: its connections, what they have to do, and an event loop that wakes them.
//!
//! Timeouts are found by looking at every connection some twenty times a timeout, which costs less than to file each
//! request with a timer.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::mem;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::fd::OwnedFd;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};

use super::agenda::{Agenda, Next};
use super::connection::{Connection, Request, Surroundings, Turn};
use super::ledger::Ledger;
use super::plan::Load;
use super::tally::{Fault, Tally};

/// The token that is no connection's.
const TIMER: Token = Token(usize::MAX);
/// Events taken from one wait.
const EVENTS: usize = 512;
/// Bytes received at once. Large enough for most answers to need one `recv`.
const BUFFER_LEN: usize = 64 * 1024;
/// Looks for timeouts in the time of one.
const LOOKS: u32 = 20;
/// The longest time from one look to the next. Who could not connect tries again then.
const LOOK_MAX: Duration = Duration::from_millis(20);

/// What is known of all threads while they run.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) requests: AtomicU64,
    pub(super) errors: AtomicU64,
}

pub(super) struct Worker<'a> {
    load: &'a Load,
    agenda: Agenda<'a>,
    counts: &'a Counts,
    poll: Poll,
    /// Wakes for the next request of an open loop: epoll's own timeouts are counted in milliseconds.
    timer: OwnedFd,
    /// What the timer is set for.
    alarm: Option<Instant>,
    connections: Vec<Connection>,
    /// Connections with nothing to do. The one that has been idle longest comes first, so that in an open loop all
    /// have their turn.
    idle: VecDeque<usize>,
    /// Connections that could not connect, until the next look.
    resting: Vec<usize>,
    /// Set when the agenda has said so.
    over: bool,
    buffer: Vec<u8>,
    ledger: Ledger,
    /// What of the ledger stands in `counts` already.
    told: (u64, u64),
}

impl<'a> Worker<'a> {
    pub(super) fn new(
        load: &'a Load,
        agenda: Agenda<'a>,
        counts: &'a Counts,
        connections: usize,
    ) -> io::Result<Worker<'a>> {
        let poll = Poll::new()?;
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
        Ok(Worker {
            load,
            agenda,
            counts,
            poll,
            timer,
            alarm: None,
            connections: (0..connections).map(|index| Connection::new(Token(index), load)).collect(),
            idle: (0..connections).collect(),
            resting: Vec::new(),
            over: false,
            buffer: vec![0; BUFFER_LEN],
            ledger: Ledger::new(load.count_field.is_some()),
            told: (0, 0),
        })
    }

    /// Asks until it is over, and tells what came of it since `start`. The connections stand until this is dropped.
    pub(super) fn run(&mut self, start: Instant) -> io::Result<Tally> {
        let look = (self.load.timeout / LOOKS).clamp(Duration::from_millis(1), LOOK_MAX);
        let mut events = Events::with_capacity(EVENTS);
        let mut next_look = start + look;
        self.begin_due()?;
        while !self.over || self.idle.len() < self.connections.len() {
            match self.poll.poll(&mut events, Some(look)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                Ok(()) | Err(_) => {}
            }
            for event in &events {
                if event.token() != TIMER {
                    self.wake(event);
                }
            }
            let now = Instant::now();
            if now >= next_look {
                next_look = now + look;
                self.look(now);
            }
            self.begin_due()?;
            self.tell();
        }
        let mut tally = mem::take(&mut self.ledger.tally);
        tally.elapsed = self.ledger.last_outcome.saturating_duration_since(start);
        tally.driver_cpu = thread_cpu();
        tally.busiest_thread = share(tally.driver_cpu, tally.elapsed);
        Ok(tally)
    }

    /// Gives idle connections what is due, and sets the timer for what is due next.
    fn begin_due(&mut self) -> io::Result<()> {
        while let Some(&index) = self.idle.front() {
            match self.supply(index, Instant::now()) {
                Ok(()) => {
                    self.idle.pop_front();
                    let turn = self.with(index, Connection::begin);
                    self.settle(index, turn);
                }
                Err(Some(at)) => return self.wake_at(at),
                Err(None) => break,
            }
        }
        Ok(())
    }

    /// Gives a connection as many requests as are due and may be sent together; or tells when there will be one, if ever.
    fn supply(&mut self, index: usize, now: Instant) -> Result<(), Option<Instant>> {
        let first = self.next_request(now)?;
        self.connections[index].put(first);
        for _ in 1..self.load.pipeline {
            let Ok(request) = self.next_request(now) else { break };
            self.connections[index].put(request);
        }
        Ok(())
    }

    /// The next request that is due; or when there will be one, if ever.
    fn next_request(&mut self, now: Instant) -> Result<Request, Option<Instant>> {
        match self.agenda.next(now) {
            Next::Due { number, since } => {
                // The remainder is less than a length.
                Ok(Request { ask: (number % self.load.asks.len() as u64) as usize, due: since })
            }
            Next::At(at) => Err(Some(at)),
            Next::Over => {
                self.over = true;
                Err(None)
            }
        }
    }

    fn wake(&mut self, event: &Event) {
        let index = event.token().0;
        let was_idle = self.connections[index].is_idle();
        let turn = self.with(index, |connection, around| connection.go_on(event, around));
        if !was_idle {
            self.settle(index, turn);
        }
    }

    /// Goes on with what is due next on a connection that is done with everything, if anything is.
    fn settle(&mut self, index: usize, mut turn: Turn) {
        while turn != Turn::Waiting {
            if turn == Turn::Unconnected {
                return self.resting.push(index);
            }
            if self.supply(index, self.ledger.last_outcome).is_err() {
                return self.idle.push_back(index);
            }
            turn = self.with(index, Connection::begin);
        }
    }

    /// Finds what has waited too long, and lets those try again that could not connect.
    fn look(&mut self, now: Instant) {
        if let (Some(_), Some(long_ago)) = (self.load.rate, now.checked_sub(self.load.timeout)) {
            while self.idle.is_empty() && self.next_request(long_ago).is_ok() {
                self.ledger.count(Fault::NeverSent);
                self.ledger.last_outcome = now;
            }
        }
        for index in 0..self.connections.len() {
            let connection = &mut self.connections[index];
            if connection.due().is_some_and(|due| now.saturating_duration_since(due) >= self.load.timeout) {
                let turn = connection.fail(Fault::Timeout, &mut self.ledger);
                self.settle(index, turn);
            }
        }
        self.idle.extend(self.resting.drain(..));
    }

    /// Tells how far we are.
    fn tell(&mut self) {
        let (requests, errors) = (self.ledger.tally.requests, self.ledger.tally.error_count());
        self.counts.requests.fetch_add(requests - self.told.0, Ordering::Relaxed);
        self.counts.errors.fetch_add(errors - self.told.1, Ordering::Relaxed);
        self.told = (requests, errors);
    }

    fn wake_at(&mut self, at: Instant) -> io::Result<()> {
        if self.alarm.replace(at) == Some(at) {
            return Ok(());
        }
        // Zero would switch the timer off.
        let wait = at.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        let it_value = Timespec::try_from(wait).map_err(|_| ErrorKind::InvalidInput)?;
        let it_interval = Timespec::default();
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval, it_value })?;
        Ok(())
    }

    fn with(
        &mut self,
        index: usize,
        step: impl FnOnce(&mut Connection, &mut Surroundings<'_>) -> Turn,
    ) -> Turn {
        let mut around = Surroundings {
            load: self.load,
            registry: self.poll.registry(),
            buffer: &mut self.buffer,
            ledger: &mut self.ledger,
        };
        step(&mut self.connections[index], &mut around)
    }
}

fn thread_cpu() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

fn share(part: Duration, whole: Duration) -> f64 {
    if whole.is_zero() { 0.0 } else { part.as_secs_f64() / whole.as_secs_f64() }
}
