//! The way back into an event loop for answers that were found elsewhere.

use super::connections::Key;
use http_core::{Rejection, Response};
use mio::{Poll, Token, Waker};
use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
};

/// An answer and the connection it is for. There is at most one for each connection, which bounds the box.
pub(super) type Letter = (Key, Result<Response, Rejection>);

/// Drops letters into a worker's mailbox, from any thread.
#[derive(Clone)]
pub(super) struct Sending {
    letters: Sender<Letter>,
    waker: Arc<Waker>,
}

impl Sending {
    pub(super) fn send(&self, key: Key, answer: Result<Response, Rejection>) {
        // If the worker is gone, so is the connection.
        if self.letters.send((key, answer)).is_ok() {
            let _ = self.waker.wake();
        }
    }
}

/// A mailbox whose arrivals wake `poll` with `token`.
pub(super) fn open(poll: &Poll, token: Token) -> io::Result<(Sending, Receiver<Letter>)> {
    let (letters, inbox) = channel();
    let waker = Arc::new(Waker::new(poll.registry(), token)?);
    Ok((Sending { letters, waker }, inbox))
}
