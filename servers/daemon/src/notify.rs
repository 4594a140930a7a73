//! Notifies the service manager of the service's state, with systemd's protocol (sd_notify(3)).
//!
//! A notification is a datagram with lines of the form `NAME=value`. Without a `NOTIFY_SOCKET` variable there is no
//! service manager, and nothing is sent.

use http_engine::io_cause;
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

/// The environment variable that holds the address of the service manager's socket: an absolute path, or `@` followed
/// by the name of an abstract socket (unix(7)).
const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";

/// How long a notification may block this process if the service manager does not read its socket.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// A state of the service. Its `Display` output is the text of the notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceState {
    /// The service accepts requests: after the start, and after [`ServiceState::Reloading`].
    Ready,
    /// The service reloads: it reopens its logs and document roots, and reads its configuration again.
    /// [`ServiceState::Ready`] must follow.
    Reloading,
    /// The service finishes the requests in flight, then ends.
    Stopping,
    /// The process with this PID, a successor of this one, is the main process from now on.
    MainProcess(u32),
}

impl fmt::Display for ServiceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceState::Ready => f.write_str("READY=1"),
            // With the time, the manager can tell the `READY=1` that follows from an earlier one.
            ServiceState::Reloading => write!(f, "RELOADING=1\nMONOTONIC_USEC={}", monotonic_micros()),
            ServiceState::Stopping => f.write_str("STOPPING=1"),
            ServiceState::MainProcess(pid) => write!(f, "MAINPID={pid}"),
        }
    }
}

/// Notifies the service manager of `state`, if there is a service manager. A failure is logged and otherwise ignored.
pub fn notify(state: ServiceState) {
    if let Some(address) = env::var_os(SOCKET_VARIABLE)
        && let Err(error) = send(&address, state)
    {
        log::warn!("cannot notify the service manager of {state:?}: {}", io_cause(&error));
    }
}

/// Sends `state` to the socket at `address`, which has the form of [`SOCKET_VARIABLE`]. Fails if no process receives on
/// this socket, or if `address` has another form.
fn send(address: &OsStr, state: ServiceState) -> io::Result<()> {
    let address = match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(address)?,
        _ => {
            let message = format!("{SOCKET_VARIABLE} is neither an absolute path nor @NAME");
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(SEND_TIMEOUT))?;
    socket.send_to_addr(state.to_string().as_bytes(), &address).map(drop)
}

/// The time of the kernel's monotonic clock in microseconds.
fn monotonic_micros() -> u128 {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).map_or(0, |time| time.as_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `httpd`'s own tests cover a socket in the file system.
    #[test]
    fn notifies_an_abstract_socket_of_each_state() {
        let name = format!("http-daemon notify {}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let receiver = UnixDatagram::bind_addr(&address).expect("a socket");
        let sent = |state| {
            send(format!("@{name}").as_ref(), state).expect("a receiver");
            let mut datagram = [0; 128];
            let length = receiver.recv(&mut datagram).expect("a datagram");
            String::from_utf8_lossy(&datagram[..length]).into_owned()
        };
        assert_eq!(sent(ServiceState::Ready), "READY=1");
        assert_eq!(sent(ServiceState::Stopping), "STOPPING=1");
        assert_eq!(sent(ServiceState::MainProcess(4711)), "MAINPID=4711");
        let before = monotonic_micros();
        let text = sent(ServiceState::Reloading);
        let time = text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("a time");
        let time = time.parse().expect("a number");
        assert!((before..=monotonic_micros()).contains(&time), "{text}");
    }

    #[test]
    fn an_unusable_address_is_an_error() {
        for (address, expected) in [
            ("/nowhere/at/all", io::ErrorKind::NotFound),
            ("@no such socket", io::ErrorKind::ConnectionRefused),
            ("vsock:2:1234", io::ErrorKind::Unsupported),
            ("", io::ErrorKind::Unsupported),
        ] {
            let error = send(address.as_ref(), ServiceState::Ready).expect_err(address);
            assert_eq!(error.kind(), expected, "{address}: {error}");
        }
    }
}
