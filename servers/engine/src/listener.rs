//! Listening sockets: TCP or Unix, one per worker, or one queue shared by several workers.
//!
//! A worker is an event loop or a worker process; the threads of the blocking engine count as one.

pub use crate::unix_socket::bind_unix;

use crate::{
    reserve::Reserve,
    sockopt,
    sys::acceptfrom_with,
    transport::{TlsAcceptor, Transport},
};
use http_core::io_cause;
use rustix::{
    io::{Errno, ioctl_fionbio},
    net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with, sockopt as option},
};
use std::{
    collections::BTreeMap,
    fmt, io, iter,
    net::{SocketAddr, TcpListener},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr as UnixAddr, UnixListener},
    },
    time::Duration,
};

/// The maximum number of connections that wait in a listening socket's queue to be accepted. The kernel limits it to
/// `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// How long the kernel waits for the first bytes of a new connection before it offers the connection to the server
/// without any (`TCP_DEFER_ACCEPT`).
const DEFER_ACCEPT: Duration = Duration::from_secs(1);

/// A socket counts as writable only while the kernel holds fewer unsent bytes than this for its client
/// (`TCP_NOTSENT_LOWAT`). This limits the memory for slow downloads.
const NOTSENT_LOWAT: u64 = 64 * 1024;

/// How the workers of a server (event loops or worker processes) accept connections to the same addresses.
///
/// ```
/// use http_engine::listener::{Sharing, bind_all, bind_per_worker};
///
/// let first = bind_all(&["127.0.0.1:0".parse()?], Sharing::PerWorker).map_err(|(_, error)| error)?;
/// let workers = bind_per_worker(first, 2)?;
/// assert_eq!(workers[0][0].local_addr()?, workers[1][0].local_addr()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Each worker has its own socket for each address. The kernel distributes new connections among the sockets
    /// (`SO_REUSEPORT`). When the last descriptor of a socket is closed, the kernel by default resets the connections
    /// in its queue.
    PerWorker,
    /// Several workers accept from the same socket. If a worker process dies, the others accept the connections in the
    /// queue.
    Shared,
}

/// A listening socket that a server accepts connections from ([`Server::listen`](crate::Server::listen)): made from a
/// [`TcpListener`], a [`UnixListener`], or a descriptor that the process has inherited.
///
/// ```
/// use http_engine::listener::{ListenAddr, Listener};
/// use std::net::TcpListener;
///
/// let listener = Listener::from(TcpListener::bind("127.0.0.1:0")?);
/// assert!(matches!(listener.local_addr()?, ListenAddr::Tcp(address) if address.port() != 0));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    /// What secures the connections; `None` if they are not secured.
    tls: Option<TlsAcceptor>,
}

/// The socket of a [`Listener`].
#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Secures all connections with TLS.
    ///
    /// ```no_run
    /// use http_engine::{Server, listener::Listener, tls::{Certificate, Tls, TlsSettings}};
    /// use std::net::TcpListener;
    ///
    /// let tls = Tls::new(TlsSettings::new(Certificate::load("chain.pem", "key.pem")?))?;
    /// let secure = Listener::from(TcpListener::bind("0.0.0.0:443")?).with_tls(&tls);
    /// let plain = TcpListener::bind("0.0.0.0:80")?;
    /// Server::listen(secure)?.and_listen(plain)?.serve(|_| "Hello")?.wait()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "tls")]
    pub fn with_tls(self, tls: &crate::tls::Tls) -> Listener {
        self.secured_by(Some(tls.clone()))
    }

    /// Secures all connections with TLS, if there is what does.
    pub(crate) fn secured_by(self, tls: Option<TlsAcceptor>) -> Listener {
        Listener { tls, ..self }
    }

    /// Returns the address that the socket is bound to.
    ///
    /// # Errors
    ///
    /// The descriptor is not a socket of the expected kind: the listener was made from another descriptor.
    pub fn local_addr(&self) -> io::Result<ListenAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().map(ListenAddr::Tcp),
            Socket::Unix(listener) => listener.local_addr().map(ListenAddr::Unix),
        }
    }

    /// Makes the socket non-blocking, and if it is a TCP socket, sets the options that accepted sockets inherit.
    ///
    /// # Errors
    ///
    /// As of [`prepare`].
    pub(crate) fn prepare(&self) -> io::Result<()> {
        match &self.socket {
            Socket::Tcp(listener) => prepare(listener),
            Socket::Unix(listener) => listener.set_nonblocking(true),
        }
    }

    /// Whether the socket's queue belongs to one worker, or several may accept from it.
    pub(crate) fn sharing(&self) -> Sharing {
        match option::socket_reuseport(self) {
            Ok(true) => Sharing::PerWorker,
            _ => Sharing::Shared,
        }
    }

    /// Duplicates the descriptor.
    ///
    /// # Errors
    ///
    /// The system has no descriptors left.
    pub fn try_clone(&self) -> io::Result<Listener> {
        let cloned = match &self.socket {
            Socket::Tcp(listener) => Listener::from(listener.try_clone()?),
            Socket::Unix(listener) => Listener::from(listener.try_clone()?),
        };
        Ok(cloned.secured_by(self.tls.clone()))
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Listener {
        Listener { socket: Socket::Tcp(listener), tls: None }
    }
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Listener {
        Listener { socket: Socket::Unix(listener), tls: None }
    }
}

/// Fails if the descriptor is not a listening TCP or Unix stream socket.
impl TryFrom<OwnedFd> for Listener {
    type Error = io::Error;

    fn try_from(descriptor: OwnedFd) -> io::Result<Listener> {
        let invalid = |cause: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, cause));
        let domain = match option::socket_domain(&descriptor) {
            Err(Errno::NOTSOCK) => return invalid("not a socket"),
            domain => domain?,
        };
        if option::socket_type(&descriptor)? != SocketType::STREAM {
            return invalid("not a stream socket");
        }
        if !option::socket_acceptconn(&descriptor)? {
            return invalid("the socket does not listen");
        }
        match domain {
            AddressFamily::INET | AddressFamily::INET6 => Ok(TcpListener::from(descriptor).into()),
            AddressFamily::UNIX => Ok(UnixListener::from(descriptor).into()),
            _ => invalid("neither a TCP socket nor a Unix socket"),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(listener) => listener.as_fd(),
            Socket::Unix(listener) => listener.as_fd(),
        }
    }
}

/// The address of a [`Listener`].
///
/// ```
/// use http_engine::listener::ListenAddr;
///
/// let address = ListenAddr::Tcp(([127, 0, 0, 1], 8080).into());
/// assert_eq!(address.to_string(), "127.0.0.1:8080");
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum ListenAddr {
    /// An IP address and a TCP port.
    Tcp(SocketAddr),
    /// The path or name of a Unix socket.
    Unix(UnixAddr),
}

impl ListenAddr {
    /// Returns the IP address and the port; `None` for a Unix socket.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            ListenAddr::Tcp(address) => Some(*address),
            ListenAddr::Unix(_) => None,
        }
    }
}

/// Writes the same as `Display`.
impl fmt::Debug for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Writes `127.0.0.1:80`, or for a Unix socket `unix:` and its path, or `unix:@` and its abstract name.
impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddr::Tcp(address) => address.fmt(f),
            ListenAddr::Unix(address) => match (address.as_pathname(), address.as_abstract_name()) {
                (Some(path), _) => write!(f, "unix:{}", path.display()),
                (None, Some(name)) => write!(f, "unix:@{}", name.escape_ascii()),
                (None, None) => f.write_str("unix:"),
            },
        }
    }
}

/// Binds a new socket to `address` and makes it listen. The socket is non-blocking.
///
/// # Errors
///
/// The address is in use, not permitted, or not available.
pub fn bind(address: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    let socket = bound(address, sharing)?;
    prepare(&socket)?;
    sockopt::defer_accept(&socket, DEFER_ACCEPT)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// Makes a listening TCP socket non-blocking, and sets the TCP options that accepted sockets inherit.
/// [`Server::listen`](crate::Server::listen) does this for every TCP socket, whether [`bind`] has created it or not.
///
/// # Errors
///
/// The descriptor is not a TCP socket.
pub fn prepare(socket: &impl AsFd) -> io::Result<()> {
    // Responses are written in one piece: Nagle's algorithm would only delay them.
    option::set_tcp_nodelay(socket, true)?;
    // A higher value costs memory and, measured, twice the CPU for a large file on a fast link. A lower value makes the
    // socket ask for more too often.
    sockopt::notsent_lowat(socket, NOTSENT_LOWAT)?;
    Ok(ioctl_fionbio(socket, true)?)
}

/// The listening sockets of a server.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// Those of the first event loop. Each other event loop gets sockets of its own at the same addresses.
    pub(crate) bound: Vec<TcpListener>,
    /// What secures the connections of `bound`.
    pub(crate) bound_tls: Option<TlsAcceptor>,
    /// Those that all event loops share.
    pub(crate) shared: Vec<Listener>,
}

impl Sockets {
    /// Returns all sockets.
    pub(crate) fn into_listeners(self) -> Vec<Listener> {
        let bound = self.bound.into_iter().map(Listener::from);
        let bound = bound.map(|bound| bound.secured_by(self.bound_tls.clone()));
        bound.chain(self.shared).collect()
    }

    /// Returns the sockets of each of `workers` event loops.
    ///
    /// # Errors
    ///
    /// A socket for another event loop cannot be bound, or the system has no descriptors left.
    pub(crate) fn distribute(self, workers: usize) -> io::Result<Vec<Vec<Listener>>> {
        let Sockets { bound, bound_tls, shared } = self;
        let mut sets = distribute(shared, workers)?;
        for (set, bound) in sets.iter_mut().zip(bind_per_worker(bound, workers)?) {
            let bound_tls = bound_tls.clone();
            set.extend(Sockets { bound, bound_tls, shared: Vec::new() }.into_listeners());
        }
        Ok(sets)
    }
}

/// A connection that was just accepted.
pub(crate) struct Accepted {
    pub(crate) transport: Transport,
    /// The client's address; `None` if that is not an IP address.
    pub(crate) client_addr: Option<SocketAddr>,
    /// Whether the connection has the descriptor that was the [`Reserve`]. Then it may stay only if an idle connection
    /// is closed for it; otherwise it must be closed at once.
    pub(crate) took_reserve: bool,
}

/// Accepts a connection without waiting for one. The connection's socket gets `flags`, and close-on-exec.
///
/// If there is no descriptor left, releases `reserve` and tries again. If the connection
/// [has its descriptor](Accepted::took_reserve), the caller must restore the reserve ([`Reserve::restore`]) when it has
/// decided what happens to the connection.
///
/// # Errors
///
/// No connection is queued ([`Errno::AGAIN`]), the client has closed the connection already, or the system has no
/// descriptors or memory left.
pub(crate) fn accept(listener: &Listener, flags: SocketFlags, reserve: &Reserve) -> Result<Accepted, Errno> {
    let flags = flags | SocketFlags::CLOEXEC;
    let mut accepted = acceptfrom_with(listener, flags);
    if matches!(accepted, Err(Errno::MFILE | Errno::NFILE)) {
        accepted = reserve.release(|| acceptfrom_with(listener, flags));
    }
    let took_reserve = !reserve.restore();
    let (socket, address) = accepted?;
    let client_addr = address.and_then(|address| SocketAddr::try_from(address).ok());
    let mut transport = Transport::new(socket, !flags.contains(SocketFlags::NONBLOCK));
    if let Some(tls) = &listener.tls {
        // Without a session, the connection is closed.
        transport = transport.with_tls(tls.accept().ok_or(Errno::CONNABORTED)?);
    }
    Ok(Accepted { transport, client_addr, took_reserve })
}

/// Whether an accept has failed with this error because the process or the system has no descriptors or memory left.
pub(crate) fn is_shortage(error: Errno) -> bool {
    matches!(error, Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
}

/// Creates a TCP socket and binds it to `address`. The socket does not listen yet.
fn bound(address: SocketAddr, sharing: Sharing) -> io::Result<OwnedFd> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, Some(ipproto::TCP))?;
    // A restarted server must not wait until its old connections have left TIME_WAIT.
    option::set_socket_reuseaddr(&socket, true)?;
    if sharing == Sharing::PerWorker {
        option::set_socket_reuseport(&socket, true)?;
    }
    if address.is_ipv6() {
        // `[::]` must not also bind `0.0.0.0`.
        option::set_ipv6_v6only(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    Ok(socket)
}

/// Binds every address. If the first address has port 0, the kernel chooses its port. Every later address with port 0
/// gets the port of the first address, fixed or chosen.
///
/// # Errors
///
/// The first address that cannot be bound, and why.
pub fn bind_all(
    addresses: &[SocketAddr],
    sharing: Sharing,
) -> Result<Vec<TcpListener>, (SocketAddr, io::Error)> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    for &(mut address) in addresses {
        if address.port() == 0
            && let Some(Ok(first)) = listeners.first().map(TcpListener::local_addr)
        {
            address.set_port(first.port());
        }
        // With SO_REUSEPORT, a second server of the same user would silently take part of the port's connections.
        // Bind once without it, so that a port in use is an error.
        if address.port() != 0 {
            bound(address, Sharing::Shared).map_err(|error| (address, error))?;
        }
        listeners.push(bind(address, sharing).map_err(|error| (address, error))?);
    }
    Ok(listeners)
}

/// Returns the error to report if `address` cannot be bound: it names the address, the cause, and a remedy if there is
/// one. Its kind is that of `error`.
pub fn bind_error(address: impl fmt::Display, error: &io::Error) -> io::Error {
    let cause = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "permission denied (ports below 1024 need root or CAP_NET_BIND_SERVICE)".to_owned()
        }
        io::ErrorKind::AddrInUse => {
            "address in use (stop the program that listens there, or choose another port)".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "address not available (this machine does not have it)".to_owned(),
        _ => io_cause(error),
    };
    io::Error::new(error.kind(), format!("cannot bind {address}: {cause}"))
}

/// Binds more sockets to the addresses of `listeners`, and returns a list of sockets for each of `workers` workers. The
/// first list is `listeners`, which must have been bound with [`Sharing::PerWorker`].
///
/// # Errors
///
/// A socket cannot be bound, or the system has no descriptors left.
pub fn bind_per_worker(listeners: Vec<TcpListener>, workers: usize) -> io::Result<Vec<Vec<TcpListener>>> {
    let another = |listener: &TcpListener| {
        let address = listener.local_addr()?;
        bind(address, Sharing::PerWorker).map_err(|error| bind_error(address, &error))
    };
    let others = (1..workers).map(|_| listeners.iter().map(another).collect());
    let mut sets: Vec<_> = others.collect::<io::Result<_>>()?;
    sets.insert(0, listeners);
    Ok(sets)
}

/// Distributes sockets among workers, and returns a list of sockets for each worker. Each worker gets at least one
/// socket for every address. Each socket goes to at least one worker.
///
/// If an address has fewer sockets than there are workers, several workers share a socket. The lists hold duplicates of
/// the descriptors.
///
/// # Errors
///
/// The system has no descriptors left.
fn distribute(listeners: Vec<Listener>, workers: usize) -> io::Result<Vec<Vec<Listener>>> {
    let mut addresses: BTreeMap<String, Vec<Listener>> = BTreeMap::new();
    for listener in listeners {
        addresses.entry(listener.local_addr()?.to_string()).or_default().push(listener);
    }
    let mut sets: Vec<Vec<Listener>> = iter::repeat_with(Vec::new).take(workers).collect();
    for sockets in addresses.values() {
        for number in 0..sockets.len().max(workers) {
            sets[number % workers].push(sockets[number % sockets.len()].try_clone()?);
        }
    }
    Ok(sets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        collections::BTreeSet,
        net::{TcpStream, UdpSocket},
    };

    fn check_bind_error(errno: Errno, expected: &str) {
        assert_eq!(bind_error("127.0.0.1:80", &errno.into()).to_string(), expected);
    }

    #[test]
    fn a_bind_error_names_address_cause_and_remedy() {
        check_bind_error(
            Errno::ACCESS,
            "cannot bind 127.0.0.1:80: permission denied (ports below 1024 need root or CAP_NET_BIND_SERVICE)",
        );
        check_bind_error(
            Errno::ADDRINUSE,
            "cannot bind 127.0.0.1:80: address in use (stop the program that listens there, or choose another port)",
        );
        check_bind_error(
            Errno::ADDRNOTAVAIL,
            "cannot bind 127.0.0.1:80: address not available (this machine does not have it)",
        );
        check_bind_error(Errno::NOBUFS, "cannot bind 127.0.0.1:80: no buffer space available");
    }

    #[test]
    fn a_shortage_is_of_descriptors_or_memory() {
        let shortages = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
        assert!(shortages.into_iter().all(is_shortage));
        assert!(![Errno::AGAIN, Errno::CONNABORTED, Errno::INTR].into_iter().any(is_shortage));
    }

    #[test]
    fn takes_only_listening_stream_sockets() {
        let check = |descriptor: OwnedFd, expected: Result<&str, &str>| {
            let taken = Listener::try_from(descriptor).and_then(|listener| listener.local_addr());
            let taken = taken.map(|address| address.to_string().replace(|c: char| c.is_ascii_digit(), ""));
            let taken = taken.map_err(|error| error.to_string());
            assert_eq!(taken.as_deref().map_err(String::as_str), expected);
        };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let stream = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        check(listener.into(), Ok("...:"));
        let name = UnixAddr::from_abstract_name(format!("takes {}", std::process::id())).expect("a name");
        check(UnixListener::bind_addr(&name).expect("a free name").into(), Ok("unix:@takes "));
        check(stream.into(), Err("the socket does not listen"));
        check(UdpSocket::bind("127.0.0.1:0").expect("a port").into(), Err("not a stream socket"));
        check(std::fs::File::open("/dev/null").expect("a file").into(), Err("not a socket"));
    }

    /// Distributes `sockets` sockets at each of two addresses among `workers`; `expected` is the number each one gets.
    fn check(sockets: usize, workers: usize, expected: &[usize]) {
        let first = bind_all(
            &["127.0.0.1:0", "127.0.0.2:0"].map(|address| address.parse().expect("one")),
            Sharing::PerWorker,
        );
        let sets = bind_per_worker(first.expect("ports"), sockets).expect("sockets");
        let listeners: Vec<Listener> = sets.into_iter().flatten().map(Listener::from).collect();
        let inode = |listener: &Listener| rustix::fs::fstat(listener).expect("a socket").st_ino;
        let all: BTreeSet<u64> = listeners.iter().map(inode).collect();
        assert_eq!(all.len(), 2 * sockets);
        let sets = distribute(listeners, workers).expect("descriptors");
        assert_eq!(sets.iter().map(Vec::len).collect::<Vec<_>>(), expected, "{sockets} for {workers}");
        assert_eq!(sets.iter().flatten().map(inode).collect::<BTreeSet<_>>(), all, "{sockets} for {workers}");
        for set in sets {
            let addresses: BTreeSet<_> =
                set.iter().map(|listener| listener.local_addr().expect("one").tcp()).collect();
            assert_eq!(addresses.len(), 2, "{sockets} for {workers}");
        }
    }

    #[test]
    fn each_worker_gets_every_address_and_each_socket_a_worker() {
        check(1, 1, &[2]);
        check(1, 3, &[2, 2, 2]);
        check(3, 3, &[2, 2, 2]);
        check(3, 2, &[4, 2]);
        check(2, 3, &[2, 2, 2]);
    }
}
