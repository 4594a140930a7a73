//! A connection of the simulated kernel, and the random generator of the simulation.

use mio::Token;
use std::{collections::VecDeque, os::fd::RawFd};

/// A random generator (splitmix64): the same seed gives the same numbers.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// Returns a number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) % bound as u64) as usize
    }

    /// Returns true once in `times` calls on average.
    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// Returns a number of at most `most` and at least 1, small ones as often as large ones.
    pub(crate) fn up_to(&mut self, most: usize) -> usize {
        let bound = most >> self.below(most.max(1).ilog2() as usize + 1);
        1 + self.below(bound.max(1))
    }
}

/// One connection of a [`Kernel`](super::Kernel).
#[derive(Debug, Default)]
pub(crate) struct Peer {
    /// What has arrived from the client, and was not received.
    pub(super) arrived: VecDeque<u8>,
    /// What the client has not read.
    pub(super) sent: Vec<u8>,
    /// How many bytes `sent` can hold.
    pub(super) capacity: usize,
    /// The client has closed its sending side.
    pub(crate) has_fin: bool,
    /// The client has closed both sides: the next bytes for it reset the connection.
    pub(crate) has_hung_up: bool,
    /// The client has reset the connection.
    pub(crate) is_reset: bool,
    /// The server has shut down receiving.
    pub(super) is_read_shut: bool,
    /// The server has closed its sending side.
    pub(crate) is_shut: bool,
    /// The server has closed the socket.
    pub(crate) is_closed: bool,
    /// The server has made the socket blocking: it belongs to the application.
    pub(crate) is_upgraded: bool,
    /// The epoll that watches the socket, with what token, and whether for free space too.
    pub(super) watch: Option<(RawFd, Token, bool)>,
    /// Something has changed since the last event.
    pub(super) is_pending: bool,
    /// A send has failed with EAGAIN. More free space is an event.
    pub(super) wants_room: bool,
    /// What the server has received, ever.
    pub(crate) total_received: usize,
    /// What the server has sent, ever.
    pub(crate) total_sent: usize,
    /// Whether the connection is in the list of the kernel, and since then: how often the server has received, and how
    /// many bytes it has sent.
    pub(super) is_used: bool,
    pub(crate) receives: usize,
    pub(crate) sent_in_turn: usize,
}

impl Peer {
    pub(super) fn count_sent(&mut self, count: usize) {
        self.total_sent += count;
        if !self.is_upgraded {
            self.sent_in_turn += count;
        }
    }

    /// Whether the server receives no more bytes: the client has closed its sending side, or the server has shut down
    /// receiving.
    pub(super) fn has_ended(&self) -> bool {
        self.has_fin || self.is_read_shut
    }

    pub(super) fn room(&self) -> usize {
        self.capacity - self.sent.len().min(self.capacity)
    }

    /// Whether the server has done all that it can do: no event is due, and it waits for no free space.
    pub(crate) fn is_settled(&self) -> bool {
        !self.is_pending && !self.wants_room
    }

    pub(crate) fn unread(&self) -> usize {
        self.sent.len()
    }
}
