//! A GET over a new connection, with timeouts. It blocks the thread, so it must never run on an event loop.

use super::settings::Url;
use http_engine::{
    Limits, Method,
    client::{ClientRequest, ClientResponse, ReadStatus, ResponseError, ResponseReader},
};
use std::{
    borrow::Cow,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    time::{Duration, Instant},
};

/// The largest body of a response. Upstream's bodies have about one kilobyte.
const MAX_BODY_BYTES: usize = 64 * 1024;
const READ_BYTES: usize = 4 * 1024;
const USER_AGENT: &str = concat!("http-core/", env!("CARGO_PKG_VERSION"));

/// Why a fetch failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FetchError {
    /// A timeout expired.
    Timeout,
    /// What upstream or the connection to it did wrong.
    Failed(Cow<'static, str>),
}

/// The host has no address, or none accepts the connection.
const UNREACHABLE: FetchError = FetchError::Failed(Cow::Borrowed("upstream cannot be reached"));

fn invalid_response(error: ResponseError) -> FetchError {
    FetchError::Failed(format!("invalid response from upstream: {error}").into())
}

/// For errors of an established connection.
impl From<io::Error> for FetchError {
    fn from(error: io::Error) -> FetchError {
        match error.kind() {
            // Which of the two a socket timeout causes depends on the system.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => FetchError::Timeout,
            _ => FetchError::Failed("the connection to upstream failed".into()),
        }
    }
}

/// The timeouts of a fetch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// For connecting to one address, and for each read and write.
    pub(super) idle: Duration,
    /// When the whole fetch has to be complete.
    pub(super) deadline: Instant,
}

impl Timeouts {
    /// The timeout of the next operation: the idle timeout, or what remains until the deadline if that is less.
    ///
    /// # Errors
    ///
    /// [`FetchError::Timeout`] if the deadline has passed.
    fn next_timeout(&self) -> Result<Duration, FetchError> {
        match self.deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(FetchError::Timeout),
            remaining => Ok(remaining.min(self.idle)),
        }
    }
}

/// Fetches `target` from the host of `url` and returns the body. The deadline does not apply to name resolution, which
/// only the resolver's own timeout limits.
pub(super) fn get(url: &Url, target: &str, timeouts: &Timeouts) -> Result<Vec<u8>, FetchError> {
    let request = request(url, target)?;
    let addresses = url.address.to_socket_addrs().map_err(|_| UNREACHABLE)?;
    let mut stream = connect(addresses, timeouts)?;
    stream.set_write_timeout(Some(timeouts.next_timeout()?))?;
    stream.write_all(&request)?;
    match receive(&mut stream, timeouts)? {
        ClientResponse { status: 200, body, .. } => Ok(body),
        ClientResponse { status, .. } => {
            Err(FetchError::Failed(format!("upstream responded with status {status}").into()))
        }
    }
}

/// Writes the request. None of the errors occurs: [`Url`] has checked the authority and encodes the target.
fn request(url: &Url, target: &str) -> Result<Vec<u8>, FetchError> {
    let request = ClientRequest::new(Method::Get, &url.authority, target).map_err(|_| UNREACHABLE)?;
    let request = request.with_header("Accept", "application/json");
    let request = request.and_then(|request| request.with_header("User-Agent", USER_AGENT));
    Ok(request.map_err(|_| UNREACHABLE)?.to_bytes())
}

/// Connects to the first address that accepts. Reports the error of the last one.
fn connect(
    addresses: impl Iterator<Item = SocketAddr>,
    timeouts: &Timeouts,
) -> Result<TcpStream, FetchError> {
    let mut last_error = UNREACHABLE;
    for address in addresses {
        match TcpStream::connect_timeout(&address, timeouts.next_timeout()?) {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => last_error = FetchError::Timeout,
            Err(_) => last_error = UNREACHABLE,
        }
    }
    Err(last_error)
}

fn receive(stream: &mut TcpStream, timeouts: &Timeouts) -> Result<ClientResponse, FetchError> {
    let limits = Limits { body_bytes: MAX_BODY_BYTES, ..Limits::default() };
    let mut reader = ResponseReader::new(Method::Get, limits);
    let mut buffer = [0; READ_BYTES];
    loop {
        stream.set_read_timeout(Some(timeouts.next_timeout()?))?;
        let status = match stream.read(&mut buffer) {
            Ok(0) => return reader.receive_eof().map_err(invalid_response),
            Ok(count) => reader.receive(&buffer[..count]).map_err(invalid_response)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
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
        let check = |addresses: &[SocketAddr], total: Duration, expected: Result<SocketAddr, FetchError>| {
            let timeouts = Timeouts { idle: Duration::from_secs(3600), deadline: Instant::now() + total };
            let stream = connect(addresses.iter().copied(), &timeouts);
            let connected_to = stream.map(|stream| stream.peer_addr().expect("a connected socket"));
            assert_eq!(connected_to, expected, "{addresses:?}");
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
        check(&[closed], minute, Err(UNREACHABLE));
        check(&[], minute, Err(UNREACHABLE));
        check(&[open], Duration::ZERO, Err(FetchError::Timeout));
    }
}
