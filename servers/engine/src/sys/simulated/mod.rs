//! Takes the place of system calls in the unit tests: a thread that has entered a [`Kernel`] makes its calls there,
//! each other thread makes them to the real kernel.
//!
//! A simulated socket has a real descriptor, which only serves as its name: the duplicate of an eventfd.

mod kernel;
mod peer;
mod thread;

pub(crate) use kernel::{Happening, Kernel, SharedKernel, lock};
pub(crate) use peer::{Peer, Random};
pub(crate) use thread::{SimulatedThread, Stopped, wait, wait_for};

use mio::{Interest, Registry, Token, event::Source};
use rustix::net::{
    RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, SocketAddrAny, SocketFlags, sockopt::Timeout,
};
use std::{
    cell::RefCell,
    io::{self, IoSlice},
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    time::Duration,
};

thread_local! {
    /// The kernel that the thread has entered.
    static KERNEL: RefCell<Option<SharedKernel>> = const { RefCell::new(None) };
}

/// Makes the calls of this thread to `kernel`; to the real kernel if that is `None`.
pub(crate) fn enter(kernel: Option<SharedKernel>) {
    KERNEL.set(kernel);
}

/// Calls `f` with a connection of the kernel that the thread has entered.
pub(crate) fn with_peer<T>(number: usize, f: impl FnOnce(&Peer) -> T) -> T {
    KERNEL.with_borrow(|kernel| f(&lock(kernel.as_ref().expect("a simulation")).peers[number]))
}

/// Whether the thread has entered a kernel.
pub(crate) fn is_simulated() -> bool {
    KERNEL.with_borrow(Option::is_some)
}

/// Calls `f` with the kernel that the thread has entered.
fn with_kernel<T>(f: impl FnOnce(&mut Kernel) -> Option<T>) -> Option<T> {
    KERNEL.with_borrow(|kernel| f(&mut lock(kernel.as_ref()?)))
}

/// Calls `f` with the kernel and the number of the socket, if it is simulated.
fn with_socket<T>(socket: &impl AsFd, f: impl FnOnce(&mut Kernel, usize) -> T) -> Option<T> {
    let socket = socket.as_fd().as_raw_fd();
    with_kernel(|kernel| kernel.number(socket).map(|number| f(kernel, number)))
}

pub(crate) fn recv(
    socket: &OwnedFd,
    buffer: &mut [u8],
    flags: RecvFlags,
) -> rustix::io::Result<(usize, usize)> {
    match with_socket(socket, |kernel, number| kernel.receive(number, buffer, flags)) {
        Some(received) => received.map(|count| (count, count)),
        None => rustix::net::recv(socket, buffer, flags),
    }
}

pub(crate) fn send(socket: &OwnedFd, data: &[u8], flags: SendFlags) -> rustix::io::Result<usize> {
    with_socket(socket, |kernel, number| kernel.send(number, &[IoSlice::new(data)]))
        .unwrap_or_else(|| rustix::net::send(socket, data, flags))
}

pub(crate) fn sendmsg(
    socket: &OwnedFd,
    slices: &[IoSlice<'_>],
    control: &mut SendAncillaryBuffer<'_, '_, '_>,
    flags: SendFlags,
) -> rustix::io::Result<usize> {
    with_socket(socket, |kernel, number| kernel.send(number, slices))
        .unwrap_or_else(|| rustix::net::sendmsg(socket, slices, control, flags))
}

pub(crate) fn sendfile(
    socket: &OwnedFd,
    file: impl AsFd,
    offset: Option<&mut u64>,
    count: usize,
) -> rustix::io::Result<usize> {
    let at = offset.as_deref().copied().unwrap_or_default();
    with_socket(socket, |kernel, number| kernel.send_file(number, &file, at, count))
        .unwrap_or_else(|| rustix::fs::sendfile(socket, &file, offset, count))
}

pub(crate) fn ioctl_fionbio(socket: &impl AsFd, value: bool) -> rustix::io::Result<()> {
    with_socket(socket, |kernel, number| kernel.set_nonblocking(number, value))
        .map_or_else(|| rustix::io::ioctl_fionbio(socket, value), Ok)
}

pub(crate) fn set_socket_timeout(
    socket: &OwnedFd,
    which: Timeout,
    timeout: Option<Duration>,
) -> rustix::io::Result<()> {
    with_socket(socket, |_, _| ())
        .map_or_else(|| rustix::net::sockopt::set_socket_timeout(socket, which, timeout), Ok)
}

pub(crate) fn shutdown(socket: &OwnedFd, how: Shutdown) -> rustix::io::Result<()> {
    let simulated = with_socket(socket, |kernel, number| kernel.shut_down(number, how));
    simulated.unwrap_or_else(|| rustix::net::shutdown(socket, how))
}

/// The descriptor of a socket is about to be closed.
pub(crate) fn closing(socket: &OwnedFd) {
    with_socket(socket, |kernel, number| kernel.close_socket(number, socket.as_raw_fd()));
}

pub(crate) fn acceptfrom_with(
    listener: impl AsFd,
    flags: SocketFlags,
) -> rustix::io::Result<(OwnedFd, Option<SocketAddrAny>)> {
    let descriptor = listener.as_fd().as_raw_fd();
    let simulated = with_kernel(|kernel| kernel.listens(descriptor).then(|| kernel.accept()));
    simulated.unwrap_or_else(|| rustix::net::acceptfrom_with(listener, flags))
}

/// Takes the place of `rustix::event::epoll`.
pub(crate) mod epoll {
    use super::{AsFd, AsRawFd, Token, with_kernel};
    pub(crate) use rustix::event::epoll::{EventData, EventFlags};

    pub(crate) fn add(
        epoll: impl AsFd,
        listener: impl AsFd,
        data: EventData,
        flags: EventFlags,
    ) -> rustix::io::Result<()> {
        match watch(&listener, Some(Token(data.u64() as usize))) {
            true => Ok(()),
            false => rustix::event::epoll::add(epoll, listener, data, flags),
        }
    }

    pub(crate) fn delete(epoll: impl AsFd, listener: impl AsFd) -> rustix::io::Result<()> {
        match watch(&listener, None) {
            true => Ok(()),
            false => rustix::event::epoll::delete(epoll, listener),
        }
    }

    /// Sets with what token the socket is watched. Returns whether it is a simulated listening socket.
    fn watch(listener: &impl AsFd, token: Option<Token>) -> bool {
        let listener = listener.as_fd().as_raw_fd();
        with_kernel(|kernel| Some(kernel.watch_listener(listener, token))) == Some(true)
    }
}

/// Takes the place of `mio::unix::SourceFd`.
pub(crate) struct SourceFd<'a>(pub(crate) &'a RawFd);

impl SourceFd<'_> {
    /// Sets by what the socket is watched. Returns whether it is simulated.
    fn watch(&self, watch: Option<(RawFd, Token, bool)>) -> bool {
        let watched = with_kernel(|kernel| kernel.number(*self.0).map(|number| kernel.watch(number, watch)));
        watched.is_some()
    }
}

impl Source for SourceFd<'_> {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        match self.watch(Some((registry.as_raw_fd(), token, interests.is_writable()))) {
            true => Ok(()),
            false => mio::unix::SourceFd(self.0).register(registry, token, interests),
        }
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        match self.watch(Some((registry.as_raw_fd(), token, interests.is_writable()))) {
            true => Ok(()),
            false => mio::unix::SourceFd(self.0).reregister(registry, token, interests),
        }
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self.watch(None) {
            true => Ok(()),
            false => mio::unix::SourceFd(self.0).deregister(registry),
        }
    }
}
