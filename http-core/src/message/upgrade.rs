//! A connection after an upgrade (RFC 9110 §7.8): it belongs to the application, which reads and writes its bytes.
//!
//! It must never name a socket. The engine implements [`UpgradedTransport`] for whatever carries the bytes.

use crate::types::{
    cancellation::CancellationToken,
    grammar,
    panic::{CatchDrop, Panicked, catch_panic},
};
use std::{
    fmt,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The maximum number of protocols in the header Upgrade of a request that count. Clients offer one.
const MAX_PROTOCOLS: usize = 8;
/// The maximum length of the name of a protocol that counts, in bytes.
const MAX_PROTOCOL_LEN: usize = 64;

/// A connection that speaks another protocol after a 101 response. It reads what the client has sent after the head of
/// its request, and writes to the client.
///
/// Reads and writes wait, at first for [`Timeouts::idle`](crate::Timeouts::idle) and
/// [`Timeouts::write_stall`](crate::Timeouts::write_stall) at most. Then they fail with
/// [`WouldBlock`](io::ErrorKind::WouldBlock), as those of a `std::net::TcpStream` do.
///
/// A server that shuts down cancels the [token](Upgraded::token): the application should end its protocol and drop the
/// connection. When the grace period is over, the server shuts the connection down in both directions, and every read
/// and write returns.
///
/// The connection closes when this value and all its clones are dropped. Until then it counts against the limits of
/// connections.
///
/// ```
/// use http_core::{Request, Response, Status, Upgraded};
/// use std::io::{self, BufRead, BufReader, Write};
///
/// /// Responds to each line with the same line.
/// fn echo(upgraded: &Upgraded) -> io::Result<()> {
///     let mut writer = upgraded.try_clone()?;
///     for line in BufReader::new(upgraded).lines() {
///         writeln!(writer, "{}", line?)?;
///     }
///     Ok(())
/// }
///
/// fn handler(request: &Request<'_>) -> Response {
///     if !request.upgrades_to("lines") {
///         return Response::error(Status::UPGRADE_REQUIRED).with_header("Upgrade", "lines");
///     }
///     Response::switching_protocols("lines").on_upgrade(|upgraded| {
///         if let Err(error) = echo(&upgraded) {
///             eprintln!("cannot continue: {error}");
///         }
///     })
/// }
/// ```
pub struct Upgraded(Arc<UpgradedConnection>);

/// The function that takes over a connection after its upgrade ([`Response::on_upgrade`](crate::Response::on_upgrade)).
///
/// ```
/// use http_core::{OnUpgrade, Upgraded};
/// use std::io::Write;
///
/// let greet = OnUpgrade::new(|mut upgraded: Upgraded| _ = upgraded.write_all(b"hello\n"));
/// // The engine calls it when the 101 is sent.
/// let hand_over = |upgraded| greet.call(upgraded);
/// ```
pub struct OnUpgrade(CatchDrop<Box<dyn FnOnce(Upgraded) + Send>>);

impl OnUpgrade {
    /// Creates the value from the function `take`. A panic of the function's destructor is caught.
    pub fn new(take: impl FnOnce(Upgraded) + Send + 'static) -> OnUpgrade {
        OnUpgrade(CatchDrop::new(Box::new(take)))
    }

    /// Calls the function with the connection.
    ///
    /// # Errors
    ///
    /// [`Panicked`] if the function panics.
    pub fn call(self, upgraded: Upgraded) -> Result<(), Panicked> {
        catch_panic(|| {
            if let Some(take) = self.0.into_inner() {
                take(upgraded);
            }
        })
    }
}

impl fmt::Debug for OnUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnUpgrade")
    }
}

/// What the clones of an [`Upgraded`] share.
struct UpgradedConnection {
    /// What the server has received after the head of the request. Reads take it before they read from `transport`.
    received: Mutex<io::Cursor<Vec<u8>>>,
    transport: Box<dyn UpgradedTransport>,
    client_addr: Option<SocketAddr>,
    token: CancellationToken,
}

/// What carries the bytes of an [`Upgraded`], implemented by engines. Several threads may use it at the same time. The
/// methods mean what those of a `std::net::TcpStream` mean; a write to a closed connection is an error and never a
/// signal.
///
/// ```
/// use http_core::UpgradedTransport;
/// use std::{io::{self, Read, Write}, net::{Shutdown, TcpStream}, time::Duration};
///
/// /// A connection of an engine that waits in system calls.
/// struct Socket(TcpStream);
///
/// impl UpgradedTransport for Socket {
///     fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
///         (&self.0).read(buffer)
///     }
///
///     fn write(&self, data: &[u8]) -> io::Result<usize> {
///         (&self.0).write(data)
///     }
///
///     fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
///         self.0.set_read_timeout(timeout)
///     }
///
///     fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
///         self.0.set_write_timeout(timeout)
///     }
///
///     fn shutdown(&self, how: Shutdown) -> io::Result<()> {
///         self.0.shutdown(how)
///     }
/// }
/// ```
pub trait UpgradedTransport: Send + Sync {
    /// Reads bytes into `buffer`, waits for at least one, and returns their number; 0 at the end.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) after the read timeout, or the connection is broken.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes bytes from the front of `data`, waits until at least one is taken, and returns their number.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) after the write timeout, or the connection is broken.
    fn write(&self, data: &[u8]) -> io::Result<usize>;
    /// Sets how long a read waits; `None` for ever.
    ///
    /// # Errors
    ///
    /// The timeout is zero.
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
    /// Sets how long a write waits; `None` for ever.
    ///
    /// # Errors
    ///
    /// The timeout is zero.
    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
    /// Ends one direction or both. Reads and writes that wait in that direction return.
    ///
    /// # Errors
    ///
    /// The connection is broken.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;
}

impl Upgraded {
    /// Creates the connection, for engines and tests. `received` is what has arrived after the head of the request. The
    /// engine cancels a clone of `token` when the server shuts down.
    pub fn new(
        transport: impl UpgradedTransport + 'static,
        received: Vec<u8>,
        client_addr: Option<SocketAddr>,
        token: CancellationToken,
    ) -> Upgraded {
        let (received, transport) = (Mutex::new(io::Cursor::new(received)), Box::new(transport));
        Upgraded(Arc::new(UpgradedConnection { received, transport, client_addr, token }))
    }

    /// Returns another value for the same connection, so that one thread can read while another writes. All of them
    /// share timeouts and received bytes.
    ///
    /// # Errors
    ///
    /// None with the engines of `http-engine`: a clone needs no descriptor.
    pub fn try_clone(&self) -> io::Result<Upgraded> {
        Ok(Upgraded(Arc::clone(&self.0)))
    }

    /// Sets how long a read waits before it fails with [`WouldBlock`](io::ErrorKind::WouldBlock); `None` for ever.
    ///
    /// # Errors
    ///
    /// The timeout is zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.transport.set_read_timeout(timeout)
    }

    /// Sets how long a write waits before it fails with [`WouldBlock`](io::ErrorKind::WouldBlock); `None` for ever. A
    /// write waits when the client does not read.
    ///
    /// # Errors
    ///
    /// The timeout is zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.transport.set_write_timeout(timeout)
    }

    /// Ends one direction or both, for all clones. A read that waits in another thread returns 0, a write fails.
    ///
    /// # Errors
    ///
    /// The connection is broken.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.transport.shutdown(how)
    }

    /// Returns the client's address; `None` if the client has none, as on a Unix socket.
    pub fn client_addr(&self) -> Option<SocketAddr> {
        self.0.client_addr
    }

    /// Returns the token that is cancelled when the shutdown of the server begins. A function that is registered with
    /// it ([`on_cancelled`](CancellationToken::on_cancelled)) must not own a clone of the connection, which would stay
    /// open: a `Weak` reference can.
    pub fn token(&self) -> &CancellationToken {
        &self.0.token
    }
}

impl Read for &Upgraded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.received.lock().unwrap_or_else(PoisonError::into_inner).read(buffer)?;
        if count > 0 || buffer.is_empty() { Ok(count) } else { self.0.transport.read(buffer) }
    }
}

impl Write for &Upgraded {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.transport.write(data)
    }

    /// Does nothing: a write passes the bytes to the system at once.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Upgraded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

impl Write for Upgraded {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        (&*self).write(data)
    }

    /// Does nothing: a write passes the bytes to the system at once.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgraded").field("client_addr", &self.0.client_addr).finish_non_exhaustive()
    }
}

/// The protocols that a request offers in its headers Upgrade, in the order of its preference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OfferedProtocols(Vec<Box<[u8]>>);

impl OfferedProtocols {
    /// Reads the values of the headers Upgrade. At most [`MAX_PROTOCOLS`] with names of [`MAX_PROTOCOL_LEN`] bytes
    /// count, so that a connection that waits for its response holds little memory.
    pub(crate) fn new<'v>(values: impl Iterator<Item = &'v [u8]>) -> OfferedProtocols {
        OfferedProtocols(protocols(values).map(Box::from).collect())
    }

    /// Returns whether the request offers one of the protocols in `value`, a header Upgrade of a response.
    pub(crate) fn contain_one_of(&self, value: &[u8]) -> bool {
        protocols([value].into_iter())
            .any(|wanted| self.0.iter().any(|offered| offered.eq_ignore_ascii_case(wanted)))
    }
}

/// Returns the first protocols in headers Upgrade.
fn protocols<'v>(values: impl Iterator<Item = &'v [u8]>) -> impl Iterator<Item = &'v [u8]> {
    values.flat_map(grammar::list).filter(|name| name.len() <= MAX_PROTOCOL_LEN).take(MAX_PROTOCOLS)
}
