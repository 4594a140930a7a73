//! The connections of one worker, by number, with a generation so that what is late reaches no stranger.

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
        let taken = |(place, slot): (usize, &Place)| {
            slot.peer.as_ref().map(|_| Key { place: place as u32, generation: slot.generation })
        };
        self.places.iter().enumerate().filter_map(taken).collect()
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
