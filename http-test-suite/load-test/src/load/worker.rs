//! One driver thread: an event loop with its connections and its schedule.
//!
//! In a fast open loop the thread polls without sleeping, because a thread that sleeps wakes up tens of microseconds
//! late, and the latencies would include that.
//!
//! To find timeouts, the thread checks every connection about twenty times per timeout, which costs less than a timer
//! for each request.

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
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use super::connection::{Connection, Context, OpenRequest, State};
use super::plan::Load;
use super::recorder::Recorder;
use super::schedule::{Next, Schedule};
use super::stats::{Fault, Stats};
use super::stream::TlsConnector;

/// The token of the timer; it is not the index of a connection.
const TIMER: Token = Token(usize::MAX);
/// The most events that one call of `epoll_wait` returns.
const EVENTS: usize = 512;
/// The length in bytes of the buffer for received bytes. Large enough for most responses to need one `recv`.
const BUFFER_BYTES: usize = 64 * 1024;
/// How many times per timeout the thread checks for expired requests.
const CHECKS_PER_TIMEOUT: u32 = 20;
/// The longest time between two checks for expired requests. Connections that could not connect try again at the next
/// check.
const CHECK_INTERVAL_MAX: Duration = Duration::from_millis(20);
/// If the next request is due sooner than this, the thread does not sleep until then.
const BUSY_POLL: Duration = Duration::from_micros(200);

/// The progress of all driver threads together.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// The number of requests with a right response so far.
    pub(super) requests: AtomicU64,
    /// The number of failed requests so far.
    pub(super) errors: AtomicU64,
}

/// The event loop of one driver thread, with its connections.
pub(super) struct Worker<'a> {
    /// The load: which requests to send, and which responses to expect.
    load: &'a Load,
    /// Says which request is due next, and when.
    schedule: Schedule<'a>,
    /// The progress of all threads, to which this thread adds its own.
    counts: &'a Counts,
    /// Makes the connections with TLS, if the load uses it.
    tls: Option<TlsConnector>,
    /// Waits for the sockets of all connections and for the timer.
    poll: Poll,
    /// A timerfd that wakes the thread for the next request of an open loop: a timeout of epoll has only milliseconds.
    timer: OwnedFd,
    /// The time for which the timer was last set.
    timer_at: Option<Instant>,
    /// Since when the thread has had nothing to do, if it polls without sleeping.
    polling_since: Option<Instant>,
    /// The connections of this thread; their tokens are their indexes.
    connections: Vec<Connection>,
    /// The indexes of idle connections, the longest idle first, so that an open loop uses all of them in turn.
    idle: VecDeque<usize>,
    /// The indexes of connections that could not connect and try again at the next check.
    unconnected: Vec<usize>,
    /// Whether the schedule has no further requests.
    finished: bool,
    /// Holds received bytes until they are read, for one connection at a time.
    buffer: Vec<u8>,
    /// Collects the results of this thread.
    recorder: Recorder,
    /// How many requests and errors of this thread `counts` already includes.
    published: (u64, u64),
}

impl<'a> Worker<'a> {
    /// Makes a worker with this number of connections, none of them connected yet.
    pub(super) fn new(
        load: &'a Load,
        schedule: Schedule<'a>,
        counts: &'a Counts,
        connections: usize,
    ) -> io::Result<Worker<'a>> {
        let poll = Poll::new()?;
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
        Ok(Worker {
            load,
            schedule,
            counts,
            tls: load.tls.as_deref().map(TlsConnector::new).transpose()?,
            poll,
            timer,
            timer_at: None,
            polling_since: None,
            connections: (0..connections).map(|index| Connection::new(Token(index), load)).collect(),
            idle: (0..connections).collect(),
            unconnected: Vec::new(),
            finished: false,
            buffer: vec![0; BUFFER_BYTES],
            recorder: Recorder::new(load.count_header),
            published: (0, 0),
        })
    }

    /// Runs until all requests are finished, and returns the results since `start`. The connections stay open until the
    /// worker is dropped.
    pub(super) fn run(&mut self, start: Instant) -> io::Result<Stats> {
        let interval =
            (self.load.timeout / CHECKS_PER_TIMEOUT).clamp(Duration::from_millis(1), CHECK_INTERVAL_MAX);
        let mut events = Events::with_capacity(EVENTS);
        let mut next_check = start + interval;
        self.recorder.measured_from = start + self.load.opening;
        self.start_due()?;
        while !self.finished || self.idle.len() < self.connections.len() {
            let wait = if self.polling_since.is_some() { Duration::ZERO } else { interval };
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                Ok(()) | Err(_) => {}
            }
            for event in events.iter().filter(|event| event.token() != TIMER) {
                self.handle_event(event);
            }
            let now = Instant::now();
            if let Some(since) = self.polling_since.take().filter(|_| events.is_empty()) {
                self.recorder.idle += now - since;
            }
            if now >= next_check {
                next_check = now + interval;
                self.check_timeouts(now);
            }
            self.start_due()?;
            self.publish_progress();
        }
        let by_connection = self.connections.iter().map(|connection| connection.responses).collect();
        Ok(Stats { by_connection, ..self.recorder.finish(start) })
    }

    /// Starts due requests on idle connections, and prepares the wait for the next request.
    fn start_due(&mut self) -> io::Result<()> {
        while let Some(&index) = self.idle.front() {
            match self.queue_due(index, Instant::now()) {
                Ok(()) => {
                    self.idle.pop_front();
                    let state = self.step(index, Connection::start);
                    self.start_next(index, state);
                }
                Err(Some(at)) => return self.wait_until(at),
                Err(None) => break,
            }
        }
        Ok(())
    }

    /// Starts due requests on a connection until it waits for its socket, or is idle because none is due.
    fn start_next(&mut self, index: usize, mut state: State) {
        while state != State::Waiting {
            if state == State::Unconnected {
                return self.unconnected.push(index);
            }
            if self.queue_due(index, self.recorder.last_outcome).is_err() {
                return self.idle.push_back(index);
            }
            state = self.step(index, Connection::start);
        }
    }

    /// Queues as many due requests on a connection as may be sent together. If none is due, the error is the time of
    /// the next request, or `None` if there is no further request.
    fn queue_due(&mut self, index: usize, now: Instant) -> Result<(), Option<Instant>> {
        let first = self.take_due(now)?;
        self.connections[index].queue(first);
        for _ in 1..self.load.pipeline {
            let Ok(request) = self.take_due(now) else { break };
            self.connections[index].queue(request);
        }
        Ok(())
    }

    /// Takes a due request from the schedule. Errors as for [`queue_due`](Worker::queue_due).
    fn take_due(&mut self, now: Instant) -> Result<OpenRequest, Option<Instant>> {
        match self.schedule.next(now) {
            Next::Due { number, since } => {
                // A connection becomes idle only when no request is due. So if one is idle, the driver itself is late.
                if self.load.rate.is_some() && !self.idle.is_empty() {
                    self.recorder.record_driver_delay(since, now);
                }
                // The remainder is less than the number of exchanges, so it fits into a usize.
                let exchange = (number % self.load.exchanges.len() as u64) as usize;
                Ok(OpenRequest { exchange, due: since })
            }
            Next::At(at) => Err(Some(at)),
            Next::Finished => {
                self.finished = true;
                Err(None)
            }
        }
    }

    /// Lets a connection send and receive, and starts its next request if it becomes idle.
    fn handle_event(&mut self, event: &Event) {
        let index = event.token().0;
        let was_idle = self.connections[index].is_idle();
        let state = self.step(index, |connection, context| connection.handle_event(event, context));
        if !was_idle {
            self.start_next(index, state);
        }
    }

    /// Fails requests that have timed out, and makes connections that could not connect available again.
    fn check_timeouts(&mut self, now: Instant) {
        if let (Some(_), Some(expired)) = (self.load.rate, now.checked_sub(self.load.timeout)) {
            while self.idle.is_empty() && self.take_due(expired).is_ok() {
                self.recorder.record_fault(Fault::NeverSent);
            }
        }
        for index in 0..self.connections.len() {
            let connection = &mut self.connections[index];
            if connection.due().is_some_and(|due| now.saturating_duration_since(due) >= self.load.timeout) {
                let state = connection.fail(Fault::Timeout, &mut self.recorder);
                self.start_next(index, state);
            }
        }
        self.idle.extend(self.unconnected.drain(..));
    }

    /// Adds the new requests and errors to the counts of all threads.
    fn publish_progress(&mut self) {
        let (requests, errors) = (self.recorder.stats.requests, self.recorder.stats.error_count());
        self.counts.requests.fetch_add(requests - self.published.0, Ordering::Relaxed);
        self.counts.errors.fetch_add(errors - self.published.1, Ordering::Relaxed);
        self.published = (requests, errors);
    }

    /// Sets the timer to wake this thread at a time. If that is soon, the next poll will not sleep instead.
    fn wait_until(&mut self, at: Instant) -> io::Result<()> {
        let now = Instant::now();
        let wait = at.saturating_duration_since(now);
        if wait < BUSY_POLL {
            self.polling_since = Some(now);
            return Ok(());
        }
        if self.timer_at.replace(at) == Some(at) {
            return Ok(());
        }
        let it_value = Timespec::try_from(wait).map_err(|_| ErrorKind::InvalidInput)?;
        let it_interval = Timespec::default();
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval, it_value })?;
        Ok(())
    }

    /// Calls `act` with a connection and what it needs from the worker, and returns the state after it.
    fn step(&mut self, index: usize, act: impl FnOnce(&mut Connection, &mut Context<'_>) -> State) -> State {
        let mut context = Context {
            load: self.load,
            registry: self.poll.registry(),
            tls: self.tls.as_ref(),
            buffer: &mut self.buffer,
            recorder: &mut self.recorder,
        };
        act(&mut self.connections[index], &mut context)
    }
}
