//! Sockets that a service manager has bound and hands over (sd_listen_fds(3)).

use http_engine::listener;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use socket2::SockRef;
use std::{
    env, io,
    net::TcpListener,
    os::fd::{OwnedFd, RawFd},
};

/// Where the sockets begin.
const FIRST: RawFd = 3;

/// The most that are taken: more addresses than anybody has.
const MOST: RawFd = 253;

/// The listening sockets that this process was started with, if a service manager has started it.
///
/// How long their queues are and what they defer is the manager's affair (systemd.socket(5)).
///
/// # Errors
///
/// When there are none where they should be, or they are no listening TCP sockets.
pub fn listeners() -> io::Result<Option<Vec<TcpListener>>> {
    let number = |name| env::var(name).ok()?.parse::<RawFd>().ok();
    // Whoever passes its environment on to its children does not mean them.
    if number("LISTEN_PID") != Some(getpid().as_raw_nonzero().get()) {
        return Ok(None);
    }
    let count = number("LISTEN_FDS").unwrap_or(0).clamp(0, MOST);
    if count == 0 {
        return Ok(None);
    }
    // A number is no descriptor that could be owned. But this process may ask for another one of any process's
    // sockets that it might trace, and it is such a process itself.
    let own = pidfd_open(getpid(), PidfdFlags::empty())?;
    let adopt = |number| adopted(pidfd_getfd(&own, number, PidfdGetfdFlags::empty())?);
    (FIRST..FIRST + count).map(adopt).collect::<io::Result<_>>().map(Some)
}

fn adopted(descriptor: OwnedFd) -> io::Result<TcpListener> {
    let listener = TcpListener::from(descriptor);
    let socket = SockRef::from(&listener);
    let is_tcp = socket.local_addr()?.as_socket().is_some();
    if !(is_tcp && socket.is_listener()?) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no listening TCP socket"));
    }
    listener::prepare(&listener)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpStream, UdpSocket};

    fn check(descriptor: impl Into<OwnedFd>, taken: bool) {
        assert_eq!(adopted(descriptor.into()).is_ok(), taken);
    }

    #[test]
    fn only_listening_tcp_sockets_are_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let stream = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        check(listener, true);
        check(stream, false);
        check(UdpSocket::bind("127.0.0.1:0").expect("a port"), false);
        check(std::fs::File::open("/dev/null").expect("a file"), false);
    }
}
