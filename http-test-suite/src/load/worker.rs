//! One driver thread: its connections, what they have to do, and an event loop that wakes them.
//!
//! Timeouts are found by looking at every connection some twenty times a timeout, which costs less than to file each
//! request with a timer.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
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
use super::connection::{Connection, Outcome, Request, Surroundings, Turn};
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
    tally: Tally,
    /// What of the tally stands in `counts` already.
    told: (u64, u64),
    last_outcome: Instant,
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
            tally: Tally::default(),
            told: (0, 0),
            last_outcome: Instant::now(),
        })
    }

    /// Asks until it is over, and tells what came of it since `start`.
    pub(super) fn run(mut self, start: Instant) -> io::Result<Tally> {
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
        }
        self.tell();
        self.tally.elapsed = self.last_outcome.saturating_duration_since(start);
        self.tally.driver_cpu = thread_cpu();
        self.tally.busiest_thread = share(self.tally.driver_cpu, self.tally.elapsed);
        Ok(self.tally)
    }

    /// Gives idle connections what is due, and sets the timer for what is due next.
    fn begin_due(&mut self) -> io::Result<()> {
        while let Some(&index) = self.idle.front() {
            match self.next_request(Instant::now()) {
                Ok(request) => {
                    self.idle.pop_front();
                    let turn = self.with(index, |connection, around| connection.begin(request, around));
                    self.settle(index, turn);
                }
                Err(Some(at)) => return self.wake_at(at),
                Err(None) => break,
            }
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
        match self.with(index, |connection, around| connection.go_on(event, around)) {
            Turn::Over(Err(fault)) if was_idle => self.count(fault),
            turn => self.settle(index, turn),
        }
    }

    /// Counts what came of a request, and goes on with the next on the same connection, if one is due.
    fn settle(&mut self, index: usize, mut turn: Turn) {
        while let Turn::Over(outcome) = turn {
            self.last_outcome = Instant::now();
            self.record(index, outcome);
            if matches!(outcome, Err(Fault::Connect | Fault::NoPort)) {
                return self.resting.push(index);
            }
            let Ok(request) = self.next_request(self.last_outcome) else { return self.idle.push_back(index) };
            turn = self.with(index, |connection, around| connection.begin(request, around));
        }
    }

    fn record(&mut self, index: usize, outcome: Outcome) {
        match outcome {
            Ok(latency) => {
                self.tally.requests += 1;
                self.tally.latencies.saturating_record(latency.as_nanos().try_into().unwrap_or(u64::MAX));
            }
            Err(fault) => self.count(fault),
        }
        let Some(answer) = self.connections[index].answer() else { return };
        *self.tally.statuses.entry(answer.status()).or_default() += 1;
        if self.load.count_field.is_some() {
            let value = String::from_utf8_lossy(answer.counted());
            match self.tally.by_field.get_mut(value.as_ref()) {
                Some(count) => *count += 1,
                None => drop(self.tally.by_field.insert(value.into_owned(), 1)),
            }
        }
    }

    fn count(&mut self, fault: Fault) {
        *self.tally.errors.entry(fault).or_default() += 1;
    }

    /// Finds what has waited too long, lets those try again that could not connect, and tells how far we are.
    fn look(&mut self, now: Instant) {
        if let (Some(_), Some(long_ago)) = (self.load.rate, now.checked_sub(self.load.timeout)) {
            while self.idle.is_empty() && self.next_request(long_ago).is_ok() {
                self.count(Fault::NeverSent);
                self.last_outcome = now;
            }
        }
        for index in 0..self.connections.len() {
            let connection = &mut self.connections[index];
            if connection.due().is_some_and(|due| now.saturating_duration_since(due) >= self.load.timeout) {
                let turn = connection.fail(Fault::Timeout);
                self.settle(index, turn);
            }
        }
        self.idle.extend(self.resting.drain(..));
        self.tell();
    }

    fn tell(&mut self) {
        let (requests, errors) = (self.tally.requests, self.tally.error_count());
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
            bytes_received: &mut self.tally.bytes_received,
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
