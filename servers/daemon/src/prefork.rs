//! Workers as processes: started once for each place, and replaced when they die.
//!
//! All workers accept from one queue, so that nobody who waits in it is lost when one of them dies.

use crate::handoff::{Bequest, Heir, Line, Role};
use rustix::process::Signal;
use std::{
    io,
    time::{Duration, Instant},
};

/// A worker that lived less did not die of what it served.
const SHORT_LIFE: Duration = Duration::from_secs(1);
/// The pause before a worker that has died early is started again; twice as long each further time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The workers of a master. Dropping it kills those that are left, and buries them.
#[derive(Debug)]
pub struct Crew {
    places: Vec<Place>,
}

impl Crew {
    /// Starts this many workers; returns when all of them serve.
    ///
    /// # Errors
    ///
    /// When one cannot be started, or does not come to serve. A worker that cannot be replaced later is tried again
    /// and again.
    pub fn start(workers: usize, bequest: Bequest<'_>) -> io::Result<Crew> {
        let places = (0..workers).map(|number| Place::start(number, bequest)).collect::<io::Result<_>>()?;
        let crew = Crew { places };
        crew.workers().try_for_each(Heir::await_serving)?;
        Ok(crew)
    }

    /// Buries workers that have died, starts others where it is time, and says when to look again, if nothing
    /// happens before.
    pub fn look_after(&mut self, bequest: Bequest<'_>) -> Option<Instant> {
        let now = Instant::now();
        for place in &mut self.places {
            place.bury(now);
            if place.worker.is_none() && place.start_at <= now {
                place.fill(bequest, now);
            }
        }
        let empty = self.places.iter().filter(|place| place.worker.is_none());
        empty.map(|place| place.start_at).min()
    }

    /// Tells each worker something.
    pub fn tell(&self, message: impl Fn(&Line) -> io::Result<()>) {
        for worker in self.workers() {
            if let Err(error) = message(worker.line()) {
                log::error!("process {} cannot be told anything: {error}", worker.id());
            }
        }
    }

    /// Has all of them finish what is in flight.
    pub fn stop(&self) {
        self.workers().for_each(|worker| worker.signal(Signal::TERM));
    }

    /// Whether all of them have ended.
    pub fn is_gone(&mut self) -> bool {
        self.places
            .iter_mut()
            .filter_map(|place| place.worker.as_mut())
            .all(|worker| worker.ended().is_some())
    }

    fn workers(&self) -> impl Iterator<Item = &Heir> {
        self.places.iter().filter_map(|place| place.worker.as_ref())
    }
}

/// A place for a worker, empty while its next one waits to be started.
#[derive(Debug)]
struct Place {
    number: usize,
    worker: Option<Heir>,
    start_at: Instant,
    pause: Duration,
}

impl Place {
    fn start(number: usize, bequest: Bequest<'_>) -> io::Result<Place> {
        let worker = Some(Heir::start(Role::Worker(number), bequest)?);
        Ok(Place { number, worker, start_at: Instant::now(), pause: Duration::ZERO })
    }

    /// Notices that the worker has died, and decides when to start the next.
    fn bury(&mut self, now: Instant) {
        let Some(worker) = &mut self.worker else { return };
        let Some(status) = worker.ended() else { return };
        log::error!("worker {} (process {}) ended: {status}", self.number, worker.id());
        let lived = now.saturating_duration_since(worker.started);
        self.pause = if lived >= SHORT_LIFE {
            Duration::ZERO
        } else {
            (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE)
        };
        self.start_at = now + self.pause;
        self.worker = None;
    }

    fn fill(&mut self, bequest: Bequest<'_>, now: Instant) {
        match Heir::start(Role::Worker(self.number), bequest) {
            Ok(worker) => self.worker = Some(worker),
            Err(error) => {
                log::error!("worker {} cannot be started: {error}", self.number);
                self.pause = (self.pause * 2).clamp(SHORT_LIFE, LONGEST_PAUSE);
                self.start_at = now + self.pause;
            }
        }
    }
}
