//! A worker's deadlines: a wheel of seconds for connections, an ordered map for the waits that applications ask for.
//!
//! The wheel is lazy. A connection's deadline moves with each request, and nobody tells the wheel; when a
//! connection's second comes up, the wheel looks what its deadline is by then and files it again. Only a deadline
//! that has become earlier must be filed at once.

use super::connections::{Key, Peer};
use http_core::Job;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Seconds in the wheel. A connection is looked at so often at least, which bounds what dead ones leave behind.
const SECONDS: u32 = 16;

/// What a worker has to come back to.
pub(super) struct Timers {
    start: Instant,
    /// The first second that has not come up.
    next: u32,
    wheel: [Vec<Key>; SECONDS as usize],
    filed: usize,
    /// At most one for each connection.
    waits: BTreeMap<(Instant, Key), Job>,
}

impl Timers {
    pub(super) fn new(now: Instant) -> Timers {
        Timers { start: now, next: 0, wheel: Default::default(), filed: 0, waits: BTreeMap::new() }
    }

    /// Files a connection under its deadline, unless it stands under an earlier second already.
    #[inline]
    pub(super) fn file(&mut self, key: Key, peer: &mut Peer) {
        // A second that has begun is looked at when it is over, so that no deadline is looked at too early.
        let due = self.second(peer.conn.deadline()).clamp(self.next, self.next + SECONDS - 1);
        if peer.filed.is_some_and(|filed| filed <= due) {
            return;
        }
        peer.filed = Some(due);
        self.filed += 1;
        self.wheel[(due % SECONDS) as usize].push(key);
    }

    /// The next second that has come up, with the connections filed under it; stale names are among them.
    pub(super) fn turn(&mut self, now: Instant) -> Option<(u32, Vec<Key>)> {
        if self.filed == 0 {
            self.next = self.next.max(self.second(now));
            return None;
        }
        if self.second(now) <= self.next {
            return None;
        }
        let second = self.next;
        self.next += 1;
        let keys = std::mem::take(&mut self.wheel[(second % SECONDS) as usize]);
        self.filed -= keys.len();
        Some((second, keys))
    }

    /// Has `job` run when `until` has come, for the connection's answer.
    pub(super) fn wait(&mut self, until: Instant, key: Key, peer: &mut Peer, job: Job) {
        peer.waits_until = Some(until);
        self.waits.insert((until, key), job);
    }

    /// Drops the wait of a connection that has ended: peers that come and go must leave nothing behind.
    pub(super) fn forget(&mut self, key: Key, peer: &Peer) {
        if let Some(until) = peer.waits_until {
            self.waits.remove(&(until, key));
        }
    }

    /// The next wait that is over.
    pub(super) fn over(&mut self, now: Instant) -> Option<(Key, Job)> {
        let first = self.waits.first_entry().filter(|first| first.key().0 <= now)?;
        let ((_, key), job) = first.remove_entry();
        Some((key, job))
    }

    /// How long nothing is due.
    pub(super) fn idle_for(&self, now: Instant) -> Option<Duration> {
        let wheel = (self.filed > 0).then(|| self.start + Duration::from_secs(u64::from(self.next) + 1));
        let wait = self.waits.first_key_value().map(|((until, _), _)| *until);
        let due = wheel.into_iter().chain(wait).min()?;
        Some(due.saturating_duration_since(now))
    }

    fn second(&self, at: Instant) -> u32 {
        at.saturating_duration_since(self.start).as_secs() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_loop::connections::Peers;
    use http_core::{Config, Connection, Response, Status, Timeouts};
    use std::{fs::File, sync::Arc};

    /// A connection whose idle deadline is `idle` seconds after `now`.
    fn peer(now: Instant, idle: u64) -> Peer {
        let timeouts = Timeouts { idle: Duration::from_secs(idle), ..Timeouts::default() };
        let config = Config { timeouts, ..Config::default() };
        Peer::new(File::open("/dev/null").expect("/dev/null").into(), Connection::new(Arc::new(config), now))
    }

    /// The seconds after the start at which a connection with this deadline comes up.
    fn check(idle: u64, expected: u64) {
        let start = Instant::now();
        let (mut timers, mut peers) = (Timers::new(start), Peers::default());
        let key = peers.insert(peer(start, idle));
        timers.file(key, peers.find(key).expect("there"));
        let mut now = start;
        loop {
            now += timers.idle_for(now).expect("something is filed");
            let Some((second, keys)) = timers.turn(now) else { continue };
            for key in keys {
                let peer = peers.find(key).expect("there");
                assert_eq!(peer.filed, Some(second));
                peer.filed = None;
                if peer.conn.deadline() <= now {
                    assert_eq!((now - start).as_secs(), expected);
                    return;
                }
                timers.file(key, peer);
            }
        }
    }

    #[test]
    fn a_deadline_comes_up_within_a_second_after_it_however_far_it_is() {
        check(0, 1);
        check(5, 6);
        check(15, 16);
        check(16, 16);
        check(100, 101);
    }

    #[test]
    fn a_deadline_that_has_become_earlier_is_filed_again() {
        let start = Instant::now();
        let (mut timers, mut peers) = (Timers::new(start), Peers::default());
        let key = peers.insert(peer(start, 10));
        timers.file(key, peers.find(key).expect("there"));
        peers.find(key).expect("there").conn = peer(start, 3).conn;
        timers.file(key, peers.find(key).expect("there"));
        assert_eq!(peers.find(key).expect("there").filed, Some(3));
        peers.find(key).expect("there").conn = peer(start, 20).conn;
        timers.file(key, peers.find(key).expect("there"));
        assert_eq!(peers.find(key).expect("there").filed, Some(3), "a later one is left where it is");
    }

    #[test]
    fn waits_are_over_in_their_order() {
        let start = Instant::now();
        let (mut timers, mut peers) = (Timers::new(start), Peers::default());
        let keys: Vec<Key> = (0..3).map(|_| peers.insert(peer(start, 60))).collect();
        let after = |seconds| start + Duration::from_secs(seconds);
        for (key, seconds) in keys.iter().zip([3, 1, 2]) {
            let peer = peers.find(*key).expect("there");
            timers.wait(after(seconds), *key, peer, Box::new(|| Response::new(Status::OK)));
        }
        assert_eq!(timers.idle_for(start), Some(Duration::from_secs(1)));
        assert!(timers.over(start).is_none());
        timers.forget(keys[2], &peers.remove(keys[2]).expect("there"));
        let order: Vec<Key> = std::iter::from_fn(|| timers.over(after(9)).map(|(key, _)| key)).collect();
        assert_eq!(order, [keys[1], keys[0]]);
        assert_eq!(timers.idle_for(start), None);
    }
}
