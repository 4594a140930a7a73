//! One fetch at a time for each place: who asks first flies, the others wait for the landing without a thread.
//!
//! What is known and who is on the way stand under one lock, so nobody sets out for what has just come in.

use super::{
    cache::{Cache, Finding, Lifetimes},
    failure::Failure,
    forecast::Report,
    place::Place,
};
use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// What is known of places, and which are being asked for.
#[derive(Debug)]
pub(super) struct Board {
    cache: Cache,
    flights: HashMap<Place, Arc<Flight>>,
}

/// What somebody who asks for a place is to do.
pub(super) enum Turn {
    /// Tell this.
    Tell(Finding),
    /// Ask upstream, and land with what came of it.
    Lead(Lead),
    /// Wait for who does.
    Follow(Arc<Flight>),
}

impl Board {
    pub(super) fn new(lifetimes: Lifetimes) -> Arc<Mutex<Board>> {
        Arc::new(Mutex::new(Board { cache: Cache::new(lifetimes), flights: HashMap::new() }))
    }

    /// Whose turn it is to find out about a place.
    pub(super) fn turn(board: &Arc<Mutex<Board>>, place: Place, now: Instant) -> Turn {
        let mut this = lock(board);
        if let Some(finding) = this.cache.find(&place, now) {
            return Turn::Tell(finding);
        }
        if let Some(flight) = this.flights.get(&place) {
            return Turn::Follow(Arc::clone(flight));
        }
        let flight = Arc::new(Flight::default());
        this.flights.insert(place.clone(), Arc::clone(&flight));
        Turn::Lead(Lead { board: Arc::clone(board), place, flight })
    }
}

/// The duty to find out about a place. Dropped before it is done, it tells those who wait that nothing comes, and
/// the next to ask leads anew.
pub(super) struct Lead {
    board: Arc<Mutex<Board>>,
    place: Place,
    flight: Arc<Flight>,
}

impl Lead {
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Makes known what came of asking upstream. Returns what to tell.
    pub(super) fn land(self, asked: Result<Report, Failure>, now: Instant) -> Finding {
        let finding = lock(&self.board).cache.keep(&self.place, asked, now);
        self.flight.land(&finding);
        finding
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        lock(&self.board).flights.remove(&self.place);
        self.flight.land(&Err(Failure::Abandoned));
    }
}

type Waiter = Box<dyn FnOnce(Finding) + Send>;

/// A fetch on its way, and who waits for it.
#[derive(Debug, Default)]
pub(super) struct Flight(Mutex<Progress>);

enum Progress {
    Airborne(Vec<Waiter>),
    Landed(Finding),
}

impl Flight {
    /// Calls `tell` once it has landed, which may be now.
    pub(super) fn wait(&self, tell: impl FnOnce(Finding) + Send + 'static) {
        let landed = match &mut *lock(&self.0) {
            Progress::Airborne(waiters) => return waiters.push(Box::new(tell)),
            Progress::Landed(finding) => finding.clone(),
        };
        tell(landed);
    }

    /// Tells all who wait. Only the first landing counts.
    fn land(&self, finding: &Finding) {
        let waiters = match &mut *lock(&self.0) {
            Progress::Landed(_) => return,
            airborne => mem::replace(airborne, Progress::Landed(finding.clone())),
        };
        if let Progress::Airborne(waiters) = waiters {
            waiters.into_iter().for_each(|tell| tell(finding.clone()));
        }
    }
}

impl Default for Progress {
    fn default() -> Progress {
        Progress::Airborne(Vec::new())
    }
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Progress::Airborne(waiters) => write!(f, "Airborne({} waiting)", waiters.len()),
            Progress::Landed(finding) => f.debug_tuple("Landed").field(finding).finish(),
        }
    }
}

/// No panic leaves what these locks guard half done.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
        sync::mpsc::{Receiver, channel},
        time::Duration,
    };

    fn board() -> Arc<Mutex<Board>> {
        let hour = Duration::from_secs(3600);
        Board::new(Lifetimes { fresh: hour, stale: hour, pause: hour, places: 10 })
    }

    fn turn(board: &Arc<Mutex<Board>>) -> Turn {
        Board::turn(board, Place::City("a".to_owned()), Instant::now())
    }

    fn lead(board: &Arc<Mutex<Board>>) -> Lead {
        match turn(board) {
            Turn::Lead(lead) => lead,
            Turn::Tell(_) | Turn::Follow(_) => panic!("somebody else has led"),
        }
    }

    /// What a follower will be told.
    fn follow(board: &Arc<Mutex<Board>>) -> Receiver<Finding> {
        let Turn::Follow(flight) = turn(board) else { panic!("nobody leads") };
        let (sender, told) = channel();
        flight.wait(move |finding| sender.send(finding).expect("a receiver"));
        told
    }

    fn check(told: &Receiver<Finding>, expected: Result<&str, Failure>) {
        let finding = told.try_recv().expect("the flight has landed");
        let seen = finding.map(|known| known.report.summary());
        assert_eq!(seen.as_deref().map_err(|&failure| failure), expected);
        assert!(told.try_recv().is_err(), "told twice");
    }

    #[test]
    fn one_leads_and_the_others_are_told() {
        let board = board();
        let lead = lead(&board);
        let waiting = [follow(&board), follow(&board)];
        let Turn::Follow(late) = turn(&board) else { panic!("nobody leads") };
        assert!(waiting.iter().all(|told| told.try_recv().is_err()), "told too early");
        assert!(lead.land(Ok(Report::sample(1.0)), Instant::now()).is_ok());
        waiting.iter().for_each(|told| check(told, Ok("1 C, rain")));
        let (sender, told) = channel();
        late.wait(move |finding| sender.send(finding).expect("a receiver"));
        check(&told, Ok("1 C, rain"));
        assert!(matches!(turn(&board), Turn::Tell(Ok(_))));
    }

    #[test]
    fn a_lead_that_comes_to_nothing_tells_so_and_the_next_leads_anew() {
        let board = board();
        let abandoned = [
            |lead: Lead| drop(lead),
            |lead: Lead| {
                let panics = AssertUnwindSafe(move || {
                    let _lead = lead;
                    resume_unwind(Box::new("meant"))
                });
                assert!(catch_unwind(panics).is_err());
            },
        ];
        for abandon in abandoned {
            let lead = lead(&board);
            let told = follow(&board);
            abandon(lead);
            check(&told, Err(Failure::Abandoned));
        }
        assert!(lead(&board).land(Ok(Report::sample(2.0)), Instant::now()).is_ok());
    }

    #[test]
    fn places_do_not_wait_for_each_other() {
        let board = board();
        let _lead = lead(&board);
        let elsewhere = Board::turn(&board, Place::City("b".to_owned()), Instant::now());
        assert!(matches!(elsewhere, Turn::Lead(_)));
    }
}
