//! The calls to the kernel that the simulation of the event loop replaces.
//!
//! In a release, these are the real calls. In the unit tests each name stands for a function of `simulated`, which
//! serves the sockets of a `Kernel` itself and passes all other calls on to the real kernel. So the engine needs no type
//! parameter and no second kind of socket for the simulation. Two other places differ in unit tests: the drop of a
//! `Transport`, and how a pool starts a thread.

use mio::Token;

#[cfg(not(test))]
pub(crate) use {
    mio::unix::SourceFd,
    rustix::{
        event::epoll,
        fs::sendfile,
        io::ioctl_fionbio,
        net::{acceptfrom_with, recv, send, sendmsg, shutdown, sockopt::set_socket_timeout},
    },
};

#[cfg(test)]
pub(crate) mod simulated;

#[cfg(test)]
pub(crate) use simulated::{
    SourceFd, acceptfrom_with, closing, epoll, ioctl_fionbio, is_simulated, recv, send, sendfile, sendmsg,
    set_socket_timeout, shutdown, wait_for,
};

/// What epoll reports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) token: Token,
    pub(crate) is_readable: bool,
    /// The client has closed its sending side. It still gets its responses.
    pub(crate) is_read_closed: bool,
    /// Both directions are closed.
    pub(crate) is_closed: bool,
}

impl From<&mio::event::Event> for Event {
    #[inline]
    fn from(event: &mio::event::Event) -> Event {
        Event {
            token: event.token(),
            is_readable: event.is_readable(),
            is_read_closed: event.is_read_closed(),
            is_closed: event.is_error() || event.is_write_closed(),
        }
    }
}

/// Waits for what another thread sends.
///
/// # Errors
///
/// The sender was dropped.
#[cfg(not(test))]
pub(crate) fn wait_for<T>(receiver: &std::sync::mpsc::Receiver<T>) -> Result<T, std::sync::mpsc::RecvError> {
    receiver.recv()
}
