//! Fetches JSON with a GET request over a new connection, with timeouts. It blocks the thread, so it must never run on
//! an event loop.

use super::{settings::Url, tls::Tls};
use http_engine::{
    Limits, Method,
    client::{ClientRequest, ClientResponse, ReadStatus, ResponseReader},
};
use serde::de::DeserializeOwned;
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    time::{Duration, Instant},
};

/// The maximum length of the body of a response. Those of Open-Meteo have about one kilobyte.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// The value of the request header `User-Agent`.
const USER_AGENT: &str = concat!("http-core/", env!("CARGO_PKG_VERSION"));

/// The timeouts of a fetch.
pub(super) struct Timeouts {
    /// The longest time for connecting to one address, for one read and for one write.
    pub(super) idle: Duration,
    /// The time at which the whole fetch must be complete.
    pub(super) deadline: Instant,
}

impl Timeouts {
    /// Returns the timeout of the next connect, read or write: `idle`, or the time until the deadline if that is less.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::TimedOut`] if the deadline has passed.
    fn next_timeout(&self) -> io::Result<Duration> {
        match self.deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            remaining => Ok(remaining.min(self.idle)),
        }
    }
}

/// How to fetch from a server.
pub(super) struct Client<'t> {
    /// What secures the connections to `https` URLs.
    pub(super) tls: Option<&'t Tls>,
    pub(super) timeouts: Timeouts,
}

impl Client<'_> {
    /// Fetches `target` from the host of `url`, and parses the JSON as a `T`. Blocks the thread. The timeouts do not
    /// interrupt name resolution: only the resolver's own timeout does.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::Other`] with a reason if the host cannot be reached or does not respond with status 200 and the
    /// expected JSON; [`io::ErrorKind::TimedOut`] or [`io::ErrorKind::WouldBlock`] if a timeout expires; another error
    /// of the operating system if the connection fails.
    pub(super) fn get_json<T: DeserializeOwned>(&self, url: &Url, target: &str) -> io::Result<T> {
        let request = request(url, target)?;
        let addresses = url.address.to_socket_addrs().map_err(|_| unreachable())?;
        let socket = TimedSocket { stream: connect(addresses, &self.timeouts)?, timeouts: &self.timeouts };
        let response = match self.tls.filter(|_| url.is_secure) {
            Some(tls) => exchange(tls.secure(url.host(), socket)?, &request).map_err(of_tls),
            None => exchange(socket, &request),
        };
        let ClientResponse { status, body, .. } = response?;
        if status != 200 {
            return Err(io::Error::other(format!("upstream responded with status {status}")));
        }
        serde_json::from_slice(&body).map_err(|_| io::Error::other("unexpected JSON from upstream"))
    }
}

/// Says what is wrong if TLS has failed, such as an unknown authority.
fn of_tls(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::InvalidData => io::Error::other(format!("upstream cannot be trusted: {error}")),
        _ => error,
    }
}

/// A socket on which each read and write ends with a timeout.
struct TimedSocket<'t> {
    stream: TcpStream,
    timeouts: &'t Timeouts,
}

impl Read for TimedSocket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.timeouts.next_timeout()?))?;
        self.stream.read(buffer)
    }
}

impl Write for TimedSocket<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.timeouts.next_timeout()?))?;
        self.stream.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Returns the bytes of a GET request. [`Url::target`] must have made `target`.
///
/// # Errors
///
/// [`io::ErrorKind::Other`] if the authority of `url` or `target` is malformed, which [`Url`] prevents.
fn request(url: &Url, target: &str) -> io::Result<Vec<u8>> {
    let request = ClientRequest::new(Method::Get, &url.authority, target).map_err(io::Error::other)?;
    let request = request.with_header("Accept", "application/json");
    let request = request.and_then(|request| request.with_header("User-Agent", USER_AGENT));
    Ok(request.map_err(io::Error::other)?.to_bytes())
}

/// Tries the addresses in order, and connects to the first that accepts the connection.
///
/// # Errors
///
/// [`io::ErrorKind::TimedOut`] if the deadline passes, or if no address accepts and the last one has timed out;
/// [`io::ErrorKind::Other`] if no address accepts and the last one fails otherwise.
fn connect(addresses: impl Iterator<Item = SocketAddr>, timeouts: &Timeouts) -> io::Result<TcpStream> {
    let mut result = Err(unreachable());
    for address in addresses {
        result = TcpStream::connect_timeout(&address, timeouts.next_timeout()?);
        if result.is_ok() {
            break;
        }
    }
    result.map_err(|error| if error.kind() == io::ErrorKind::TimedOut { error } else { unreachable() })
}

/// Creates the error for a host whose name cannot be resolved, or that accepts no connection.
fn unreachable() -> io::Error {
    io::Error::other("upstream cannot be reached")
}

/// Sends a GET request, and receives the response. Its status may be any: the caller must check it.
///
/// # Errors
///
/// [`io::ErrorKind::Other`] if the response is malformed, incomplete or exceeds a limit, such as [`MAX_BODY_BYTES`];
/// [`io::ErrorKind::TimedOut`] or [`io::ErrorKind::WouldBlock`] if a timeout expires; another error of the operating
/// system if the connection fails.
fn exchange(mut stream: impl Read + Write, request: &[u8]) -> io::Result<ClientResponse> {
    stream.write_all(request)?;
    stream.flush()?;
    let limits = Limits { body_bytes: MAX_BODY_BYTES, ..Limits::default() };
    let mut reader = ResponseReader::new(Method::Get, limits);
    let invalid = |error| io::Error::other(format!("invalid response from upstream: {error}"));
    let mut buffer = [0; 4 * 1024];
    loop {
        let status = match stream.read(&mut buffer) {
            Ok(0) => return reader.receive_eof().map_err(invalid),
            Ok(count) => reader.receive(&buffer[..count]).map_err(invalid)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if let ReadStatus::Complete(response) = status {
            return Ok(response);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Socket, Type};
    use std::net::{Ipv4Addr, TcpListener};

    #[test]
    fn tries_each_address_until_the_deadline() {
        let check =
            |addresses: &[SocketAddr], total: Duration, expected: Result<SocketAddr, io::ErrorKind>| {
                let timeouts = Timeouts { idle: Duration::from_secs(3600), deadline: Instant::now() + total };
                let stream = connect(addresses.iter().copied(), &timeouts);
                let connected_to = stream.map(|stream| stream.peer_addr().expect("a connected socket"));
                assert_eq!(connected_to.map_err(|error| error.kind()), expected, "{addresses:?}");
            };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let open = listener.local_addr().expect("its address");
        // Bound, so that no other process gets the port, but not listening.
        let unused = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        unused.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
        let closed = unused.local_addr().ok().and_then(|address| address.as_socket()).expect("its address");
        let minute = Duration::from_secs(60);
        check(&[open], minute, Ok(open));
        check(&[closed, open], minute, Ok(open));
        check(&[closed], minute, Err(io::ErrorKind::Other));
        check(&[], minute, Err(io::ErrorKind::Other));
        check(&[open], Duration::ZERO, Err(io::ErrorKind::TimedOut));
    }
}
