//! Takes over the sockets that a service manager has bound (sd_listen_fds(3)).

use crate::system::Context;
use http_engine::listener;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use socket2::SockRef;
use std::{
    env, io,
    net::TcpListener,
    os::fd::{OwnedFd, RawFd},
};

/// The number of the first passed descriptor.
const FIRST: RawFd = 3;

/// The most sockets that are taken over.
const MAX_SOCKETS: RawFd = 253;

/// The listening sockets that a service manager has passed to this process, or `None` if there are none. Fails if one
/// of them is not a listening TCP socket.
///
/// The service manager sets their backlog and deferral (systemd.socket(5)).
pub fn listeners() -> io::Result<Option<Vec<TcpListener>>> {
    let number = |name| env::var(name).ok()?.parse::<RawFd>().ok();
    // A child that inherits the environment of an activated process must not use that process's sockets.
    if number("LISTEN_PID") != Some(getpid().as_raw_nonzero().get()) {
        return Ok(None);
    }
    let count = number("LISTEN_FDS").unwrap_or(0).clamp(0, MAX_SOCKETS);
    if count == 0 {
        return Ok(None);
    }
    // Safe code cannot own a descriptor by its number, but a process may duplicate a descriptor of any process that it
    // may trace, and that includes itself.
    let own = pidfd_open(getpid(), PidfdFlags::empty())?;
    let take = |number| {
        let duplicate = pidfd_getfd(&own, number, PidfdGetfdFlags::empty())?;
        adopt(duplicate).context(format_args!("descriptor {number}"))
    };
    (FIRST..FIRST + count).map(take).collect::<io::Result<_>>().map(Some)
}

fn adopt(descriptor: OwnedFd) -> io::Result<TcpListener> {
    let listener = TcpListener::from(descriptor);
    let socket = SockRef::from(&listener);
    let is_tcp = socket.local_addr()?.as_socket().is_some();
    if !(is_tcp && socket.is_listener()?) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a listening TCP socket"));
    }
    listener::prepare(&listener)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpStream, UdpSocket};

    fn check(descriptor: impl Into<OwnedFd>, is_adopted: bool) {
        assert_eq!(adopt(descriptor.into()).is_ok(), is_adopted);
    }

    #[test]
    fn adopts_only_listening_tcp_sockets() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let stream = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        check(listener, true);
        check(stream, false);
        check(UdpSocket::bind("127.0.0.1:0").expect("a port"), false);
        check(std::fs::File::open("/dev/null").expect("a file"), false);
    }
}
