//! What a service manager is told: systemd's notification protocol, sd_notify(3).
//!
//! A datagram with lines of `NAME=value` goes to the socket that the environment names. Where it names none, there is
//! no such manager, and nothing happens.

use rustix::time::{ClockId, clock_gettime};
use std::{
    env,
    ffi::OsStr,
    fmt, io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::Duration,
};

/// Names the manager's socket: a path, or `@` and an abstract name.
const VARIABLE: &str = "NOTIFY_SOCKET";

/// How long a manager that takes nothing can hold us up.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where this service stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It serves; again, after [`State::Reloading`].
    Ready,
    /// It takes up settings anew. [`State::Ready`] must follow.
    Reloading,
    /// It finishes what is in flight, and ends.
    Stopping,
    /// The process with this number is the main one from now on: a successor, announced by its predecessor.
    MainProcess(u32),
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            State::Ready => f.write_str("READY=1"),
            State::Reloading => {
                // By the time the manager can tell this reload's readiness from one that was on its way before.
                let now = clock_gettime(ClockId::Monotonic);
                let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
                write!(f, "RELOADING=1\nMONOTONIC_USEC={microseconds}")
            }
            State::Stopping => f.write_str("STOPPING=1"),
            State::MainProcess(number) => write!(f, "MAINPID={number}"),
        }
    }
}

/// Tells the service manager, if there is one.
///
/// # Errors
///
/// When a socket is named, but cannot be reached. That is worth a message, and no reason not to serve.
pub fn tell(state: State) -> io::Result<()> {
    env::var_os(VARIABLE).map_or(Ok(()), |address| tell_at(&address, state))
}

fn tell_at(address: &OsStr, state: State) -> io::Result<()> {
    let address = match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(address)?,
        _ => {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("{VARIABLE} is neither path nor @name"),
            ));
        }
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.send_to_addr(state.to_string().as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &OsStr, receiver: &UnixDatagram) {
        for (state, expected) in [
            (State::Ready, "READY=1"),
            (State::Stopping, "STOPPING=1"),
            (State::MainProcess(4711), "MAINPID=4711"),
        ] {
            tell_at(address, state).expect("a receiver");
            assert_eq!(received(receiver), expected);
        }
        let clock = || clock_gettime(ClockId::Monotonic);
        let microseconds = |time: rustix::time::Timespec| time.tv_sec * 1_000_000 + time.tv_nsec / 1_000;
        let before = microseconds(clock());
        tell_at(address, State::Reloading).expect("a receiver");
        let text = received(receiver);
        let time =
            text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("a time").parse().expect("a number");
        assert!((before..=microseconds(clock())).contains(&time), "{text}");
    }

    fn received(receiver: &UnixDatagram) -> String {
        let mut datagram = [0; 128];
        let length = receiver.recv(&mut datagram).expect("a datagram");
        String::from_utf8_lossy(&datagram[..length]).into_owned()
    }

    #[test]
    fn a_socket_in_the_file_system_is_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        check(path.as_os_str(), &UnixDatagram::bind(&path).expect("a socket"));
    }

    #[test]
    fn an_abstract_socket_is_told() {
        let name = format!("http-core notify {}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let receiver = UnixDatagram::bind_addr(&address).expect("a socket");
        check(format!("@{name}").as_ref(), &receiver);
    }

    #[test]
    fn what_cannot_be_told_is_an_error() {
        let check = |address: &str, expected: io::ErrorKind| {
            let error = tell_at(address.as_ref(), State::Ready).expect_err(address);
            assert_eq!(error.kind(), expected, "{address}: {error}");
        };
        check("/nowhere/at/all", io::ErrorKind::NotFound);
        check("@nobody listens here", io::ErrorKind::ConnectionRefused);
        check("vsock:2:1234", io::ErrorKind::Unsupported);
        check("", io::ErrorKind::Unsupported);
    }
}
