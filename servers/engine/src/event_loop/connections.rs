//! The connections of one worker, by number, with a generation so that what is late reaches no stranger.

use crate::admission::Visit;
use http_core::{Buffers, Connection};
use mio::Token;
use std::{os::fd::OwnedFd, time::Instant};

/// Names a connection for as long as the worker lives: no other ever gets the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    place: u32,
    generation: u32,
}

impl Key {
    pub(super) fn token(self) -> Token {
        Token((self.generation as usize) << 32 | self.place as usize)
    }

    pub(super) fn of(token: Token) -> Key {
        Key { place: token.0 as u32, generation: (token.0 >> 32) as u32 }
    }
}

/// Idle connections looked for at once.
const IDLEST: usize = 64;

/// What epoll has been asked to report for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Registered {
    /// Nothing: the connection may be over before epoll need hear of it.
    No,
    Readable,
    /// Both, once the peer has been slow to take an answer.
    Both,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) socket: OwnedFd,
    pub(super) conn: Connection,
    /// Its place among those of its address, if these are counted.
    #[expect(dead_code, reason = "it is held, and given back when it is dropped")]
    pub(super) visit: Option<Box<Visit>>,
    /// Lent while there is something in them.
    pub(super) buffers: Option<Box<Buffers>>,
    pub(super) registered: Registered,
    /// A receive has emptied the socket: epoll will report when there is more.
    pub(super) drained: bool,
    /// The peer has ended its side: the end must be read, for epoll will not report it again.
    pub(super) hangup: bool,
    /// Whether it stands in the queue of those that have used up their share.
    pub(super) queued: bool,
    /// The second of the wheel it is filed under; set by [`Timers`](super::timers::Timers).
    pub(super) filed: Option<u32>,
    /// When the wait that its application has asked for is over; set by the same.
    pub(super) waits_until: Option<Instant>,
}

impl Peer {
    pub(super) fn new(socket: OwnedFd, conn: Connection) -> Peer {
        Peer {
            socket,
            conn,
            visit: None,
            buffers: None,
            registered: Registered::No,
            drained: false,
            hangup: false,
            queued: false,
            filed: None,
            waits_until: None,
        }
    }
}

struct Place {
    generation: u32,
    peer: Option<Peer>,
}

/// All connections of a worker.
#[derive(Default)]
pub(super) struct Peers {
    places: Vec<Place>,
    free: Vec<u32>,
    count: usize,
    /// Some that had been idle for longest when they were last looked for, the longest at the end.
    idlest: Vec<(Instant, Key)>,
}

impl Peers {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn insert(&mut self, peer: Peer) -> Key {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 0, peer: None });
            self.places.len() as u32 - 1
        });
        self.count += 1;
        let slot = &mut self.places[place as usize];
        slot.peer = Some(peer);
        Key { place, generation: slot.generation }
    }

    pub(super) fn find(&mut self, key: Key) -> Option<&mut Peer> {
        let place = self.places.get_mut(key.place as usize)?;
        if place.generation == key.generation { place.peer.as_mut() } else { None }
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<Peer> {
        let place = self.places.get_mut(key.place as usize)?;
        if place.generation != key.generation {
            return None;
        }
        let peer = place.peer.take()?;
        self.count -= 1;
        place.generation += 1;
        // A place whose generations are used up is given up, so that no key comes twice.
        if place.generation < u32::MAX {
            self.free.push(key.place);
        }
        Some(peer)
    }

    /// The names of all connections there are now.
    pub(super) fn keys(&self) -> Vec<Key> {
        self.all().map(|(key, _)| key).collect()
    }

    /// The connection that has been idle for longest, if one is idle. Many are looked for at once, so that a crowd at
    /// the limit does not have them all counted for each of its members.
    pub(super) fn idlest(&mut self) -> Option<Key> {
        self.still_idlest().or_else(|| {
            let idle = self.all().filter_map(|(key, peer)| Some((peer.conn.idle_since()?, key)));
            let mut idle: Vec<_> = idle.collect();
            if idle.len() > IDLEST {
                idle.select_nth_unstable(IDLEST);
                idle.truncate(IDLEST);
            }
            idle.sort_unstable_by(|one, other| other.cmp(one));
            self.idlest = idle;
            self.still_idlest()
        })
    }

    /// The next of those found that has not been heard of since.
    fn still_idlest(&mut self) -> Option<Key> {
        while let Some((since, key)) = self.idlest.pop() {
            if self.find(key).is_some_and(|peer| peer.conn.idle_since() == Some(since)) {
                return Some(key);
            }
        }
        None
    }

    fn all(&self) -> impl Iterator<Item = (Key, &Peer)> {
        self.places.iter().enumerate().filter_map(|(place, slot)| {
            let key = Key { place: place as u32, generation: slot.generation };
            Some((key, slot.peer.as_ref()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::File, sync::Arc};

    fn peer() -> Peer {
        let socket = File::open("/dev/null").expect("/dev/null").into();
        Peer::new(socket, Connection::new(Arc::default(), Instant::now()))
    }

    #[test]
    fn a_key_dies_with_its_connection() {
        let mut peers = Peers::default();
        let first = peers.insert(peer());
        assert!(peers.find(first).is_some());
        assert!(peers.remove(first).is_some());
        let second = peers.insert(peer());
        assert_eq!(second.place, first.place, "the place is used again");
        assert!(peers.find(first).is_none() && peers.remove(first).is_none());
        assert_eq!(Key::of(second.token()), second);
        assert_eq!((peers.len(), peers.keys()), (1, vec![second]));
    }
}
