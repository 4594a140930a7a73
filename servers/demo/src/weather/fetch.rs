//! One GET over a connection of its own, within its deadlines. All that blocks stands here.

use super::{failure::Fault, url::Url};
use http_engine::{
    Limits, Method, ParseError,
    client::{Progress, Request, Response, ResponseError, ResponseReader},
};
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    time::{Duration, Instant},
};

/// Bytes of an answer. Upstream's have about a kilobyte.
const ANSWER_BYTES: usize = 64 * 1024;
/// Bytes received at once.
const PIECE_BYTES: usize = 4 * 1024;
/// What the request says of who asks.
const USER_AGENT: &str = concat!("http-core/", env!("CARGO_PKG_VERSION"));

/// How long a fetch may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For a connection to one address.
    pub(super) connect: Duration,
    /// Without any progress.
    pub(super) stall: Duration,
    /// When it has to be over.
    pub(super) until: Instant,
}

impl Patience {
    /// How long the next wait may be.
    fn left(&self, at_most: Duration) -> Result<Duration, Fault> {
        match self.until.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(Fault::Slow),
            left => Ok(left.min(at_most)),
        }
    }
}

/// The content of what is at this target. Resolving a name has no deadline but the resolver's own.
pub(super) fn get(url: &Url, target: &str, patience: &Patience) -> Result<Vec<u8>, Fault> {
    let request = request(url, target)?;
    let addresses = (url.host.as_str(), url.port).to_socket_addrs().map_err(|_| Fault::Unreachable)?;
    let mut stream = connect(addresses, patience)?;
    stream.set_write_timeout(Some(patience.left(patience.stall)?))?;
    stream.write_all(&request)?;
    let response = receive(&mut stream, patience)?;
    if response.status == 200 { Ok(response.body) } else { Err(Fault::Status(response.status)) }
}

/// The URL has been checked and the target is made for it: what cannot be written here is no upstream's fault, yet
/// the safest answer is that none can be reached.
fn request(url: &Url, target: &str) -> Result<Vec<u8>, Fault> {
    let request = Request::new(Method::Get, &url.authority, target).map_err(|_| Fault::Unreachable)?;
    let fields = [("Accept", "application/json"), ("User-Agent", USER_AGENT)];
    let request = fields.into_iter().try_fold(request, |request, (name, value)| request.field(name, value));
    Ok(request.map_err(|_| Fault::Unreachable)?.to_bytes())
}

/// Tries all addresses in their order.
fn connect(addresses: impl Iterator<Item = SocketAddr>, patience: &Patience) -> Result<TcpStream, Fault> {
    let mut fault = Fault::Unreachable;
    for address in addresses {
        match TcpStream::connect_timeout(&address, patience.left(patience.connect)?) {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => fault = Fault::Slow,
            Err(_) => fault = Fault::Unreachable,
        }
    }
    Err(fault)
}

fn receive(stream: &mut TcpStream, patience: &Patience) -> Result<Response, Fault> {
    let limits = Limits { body_bytes: ANSWER_BYTES, ..Limits::default() };
    let mut reader = ResponseReader::new(Method::Get, limits);
    let mut piece = [0; PIECE_BYTES];
    loop {
        stream.set_read_timeout(Some(patience.left(patience.stall)?))?;
        match stream.read(&mut piece) {
            Ok(0) => return Ok(reader.ended()?),
            Ok(count) => {
                if let Progress::Complete(response) = reader.receive(&piece[..count])? {
                    return Ok(response);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A fault of a connection that stood.
impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        match error.kind() {
            // What a socket's timeout is called differs from system to system.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Fault::Slow,
            _ => Fault::Broken,
        }
    }
}

impl From<ResponseError> for Fault {
    fn from(error: ResponseError) -> Fault {
        match error {
            ResponseError::Truncated => Fault::Broken,
            ResponseError::Malformed(
                ParseError::BodyTooLarge
                | ParseError::HeadTooLarge
                | ParseError::TooManyFields
                | ParseError::ChunkOverhead,
            ) => Fault::TooLarge,
            _ => Fault::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Socket, Type};
    use std::net::{Ipv4Addr, TcpListener};

    fn check(addresses: &[SocketAddr], total: Duration, expected: Result<SocketAddr, Fault>) {
        let hour = Duration::from_secs(3600);
        let patience = Patience { connect: hour, stall: hour, until: Instant::now() + total };
        let connected = connect(addresses.iter().copied(), &patience);
        assert_eq!(connected.map(|stream| stream.peer_addr().expect("a peer")), expected, "{addresses:?}");
    }

    #[test]
    fn all_addresses_are_tried_while_there_is_time() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let open = listener.local_addr().expect("its address");
        // Bound, so that nobody else gets it, and not listening.
        let closed = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        closed.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
        let refusing = closed.local_addr().ok().and_then(|address| address.as_socket()).expect("its address");
        let minute = Duration::from_secs(60);
        check(&[open], minute, Ok(open));
        check(&[refusing, open], minute, Ok(open));
        check(&[refusing], minute, Err(Fault::Unreachable));
        check(&[], minute, Err(Fault::Unreachable));
        check(&[open], Duration::ZERO, Err(Fault::Slow));
    }
}
