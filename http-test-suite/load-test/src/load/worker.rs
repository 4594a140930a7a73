//! One driver thread: an event loop with its connections and its schedule.
//!
//! To find timeouts, the thread looks at every connection about twenty times per timeout, which costs less than a timer
//! for each request.

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

use super::schedule::{Agenda, Next};
use super::connection::{Connection, Request, Surroundings, Turn};
use super::recorder::Ledger;
use super::plan::Load;
use super::stats::{Fault, Tally};

/// The token of the timer; it is not the index of a connection.
const TIMER: Token = Token(usize::MAX);
/// Events taken from one wait.
const EVENTS: usize = 512;
/// Bytes received at once. Large enough for most answers to need one `recv`.
const BUFFER_LEN: usize = 64 * 1024;
/// How many times per timeout the thread looks for expired requests.
const LOOKS: u32 = 20;
/// The longest time between two looks. Connections that could not connect try again at the next look.
const LOOK_MAX: Duration = Duration::from_millis(20);

/// Counts of all threads while they run.
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
    /// Wakes the thread for the next request of an open loop: a timeout of epoll has only milliseconds.
    timer: OwnedFd,
    /// The time for which the timer is set.
    alarm: Option<Instant>,
    connections: Vec<Connection>,
    /// Idle connections, the longest idle first, so that an open loop uses all of them in turn.
    idle: VecDeque<usize>,
    /// Connections that could not connect and try again at the next look.
    resting: Vec<usize>,
    /// Whether the schedule has no further requests.
    over: bool,
    buffer: Vec<u8>,
    ledger: Ledger,
    /// The requests and errors of the ledger that `counts` already includes.
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

    /// Runs until all requests are done, and returns the tally since `start`. The connections stay open until the
    /// worker is dropped.
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

    /// Starts due requests on idle connections, and sets the timer for the next request.
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

    /// Queues as many due requests on a connection as may be sent together. If none is due, the error is the time of
    /// the next request, or `None` if there is no further request.
    fn supply(&mut self, index: usize, now: Instant) -> Result<(), Option<Instant>> {
        let first = self.next_request(now)?;
        self.connections[index].put(first);
        for _ in 1..self.load.pipeline {
            let Ok(request) = self.next_request(now) else { break };
            self.connections[index].put(request);
        }
        Ok(())
    }

    /// Takes a due request. If none is due, the error is the time of the next request, or `None` if there is no further
    /// request.
    fn next_request(&mut self, now: Instant) -> Result<Request, Option<Instant>> {
        match self.agenda.next(now) {
            Next::Due { number, since } => {
                // The remainder is less than the length of `asks`, so it fits into a usize.
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

    /// Starts due requests on a connection until it waits for its socket, or is idle because nothing is due.
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

    /// Fails requests that have timed out, and makes connections that could not connect available again.
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

    /// Adds the new requests and errors to the shared counts.
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
        // Zero would disarm the timer.
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
