//! Reloads of an application. Each runs on a thread of its own, because the disk with the configuration or with a
//! document root may not answer: the main thread must handle signals meanwhile.

use crate::{signals::Signal, system::spawn};
use http_engine::io_cause;
use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, Sender, channel},
    time::{Duration, Instant},
};

/// How long a reload may take before the log says so.
const SLOW: Duration = Duration::from_secs(5);

/// The reloads of a process: one runs at a time. `R` is what a reload is requested with, and `T` its result.
pub(super) struct Reloads<R, T> {
    signals: Sender<Signal>,
    running: Option<Running<T>>,
    /// The last request whose reload has not begun: it replaces those before it.
    requested: Option<R>,
}

/// A reload that runs.
struct Running<T> {
    result: Receiver<io::Result<T>>,
    /// When the log must say that it is slow; `None` if the log has said so.
    report_at: Option<Instant>,
}

impl<R, T: Send + 'static> Reloads<R, T> {
    /// [`Signal::ReloadEnded`] is sent to `signals` when a reload ends.
    pub(super) fn new(signals: Sender<Signal>) -> Reloads<R, T> {
        Reloads { signals, running: None, requested: None }
    }

    /// Requests a reload. [`take_request`](Reloads::take_request) returns the request when no reload is running.
    pub(super) fn request(&mut self, request: R) {
        self.requested = Some(request);
    }

    /// Takes the request of the reload to begin now. Returns `None` if there is none, or if a reload is running.
    pub(super) fn take_request(&mut self) -> Option<R> {
        if self.running.is_some() { None } else { self.requested.take() }
    }

    /// Whether a reload is running.
    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Begins a reload at the time `now`: calls `load` on a thread of its own.
    pub(super) fn begin(&mut self, now: Instant, load: impl FnOnce() -> io::Result<T> + Send + 'static) {
        let (sender, result) = channel();
        self.running = Some(Running { result, report_at: Some(now + SLOW) });
        let (signals, failed) = (self.signals.clone(), sender.clone());
        // Sending fails only when the main thread has ended, and with it the process.
        let run = move || {
            let loaded = catch_unwind(AssertUnwindSafe(load));
            let _ = sender.send(loaded.unwrap_or_else(|_| Err(io::Error::other("the reload has panicked"))));
            let _ = signals.send(Signal::ReloadEnded);
        };
        if let Err(error) = spawn("reload", run) {
            let _ = failed.send(Err(error));
            let _ = self.signals.send(Signal::ReloadEnded);
        }
    }

    /// Returns the result of the reload that has ended. If it has failed, logs the error and returns `None`. Call this
    /// after [`Signal::ReloadEnded`].
    pub(super) fn end(&mut self) -> Option<T> {
        let Running { result, report_at } = self.running.take()?;
        if report_at.is_none() {
            log::info!("the slow reload has ended");
        }
        let loaded = result.try_recv().unwrap_or_else(|error| Err(io::Error::other(error)));
        loaded.inspect_err(report_failure).ok()
    }

    /// Logs once that the reload is slow, if it has run for [`SLOW`] at the time `now`. Returns when to call this
    /// again.
    pub(super) fn report_slow(&mut self, now: Instant) -> Option<Instant> {
        let running = self.running.as_mut()?;
        if running.report_at? > now {
            return running.report_at;
        }
        running.report_at = None;
        log::warn!(
            "the reload has not ended after {} seconds: a disk may not answer (still serving as before)",
            SLOW.as_secs()
        );
        None
    }
}

/// Logs that a reload has failed.
pub(super) fn report_failure(error: &io::Error) {
    log::error!("{} (still serving as before)", io_cause(error));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reloads, and the signals that they send.
    fn reloads() -> (Reloads<u8, u8>, Receiver<Signal>) {
        let (sender, signals) = channel();
        (Reloads::new(sender), signals)
    }

    #[track_caller]
    fn await_end(signals: &Receiver<Signal>) {
        let signal = signals.recv_timeout(Duration::from_secs(30));
        assert!(matches!(signal, Ok(Signal::ReloadEnded)), "{signal:?}");
    }

    #[test]
    fn one_runs_at_a_time_and_the_last_request_follows_it() {
        let (mut reloads, signals) = reloads();
        let (gate, opened) = channel::<()>();
        assert_eq!(reloads.take_request(), None);
        reloads.request(1);
        assert_eq!(reloads.take_request(), Some(1));
        reloads.begin(Instant::now(), move || opened.recv().map(|()| 1).map_err(io::Error::other));
        for request in [2, 3] {
            reloads.request(request);
            assert_eq!((reloads.take_request(), reloads.is_running()), (None, true));
        }
        gate.send(()).expect("a thread");
        await_end(&signals);
        assert_eq!((reloads.end(), reloads.is_running()), (Some(1), false));
        assert_eq!((reloads.take_request(), reloads.take_request()), (Some(3), None));
    }

    #[test]
    fn another_one_follows_a_failure() {
        let (mut reloads, signals) = reloads();
        let failing: [fn() -> io::Result<u8>; 2] =
            [|| Err(io::Error::other("failed")), || std::panic::resume_unwind(Box::new("on purpose"))];
        for load in failing {
            reloads.begin(Instant::now(), load);
            await_end(&signals);
            assert_eq!((reloads.end(), reloads.is_running()), (None, false));
        }
    }

    #[test]
    fn a_slow_one_is_reported_once() {
        let (mut reloads, signals) = reloads();
        let now = Instant::now();
        assert_eq!(reloads.report_slow(now), None);
        reloads.begin(now, || Ok(1));
        await_end(&signals);
        assert_eq!(reloads.report_slow(now), Some(now + SLOW));
        for _ in 0..2 {
            assert_eq!(reloads.report_slow(now + SLOW), None);
        }
        assert_eq!((reloads.end(), reloads.report_slow(now + SLOW)), (Some(1), None));
    }
}
