//! What the servers here share: where they listen, how they say so, and how they end. How each of them serves is
//! its own affair, and stands in its own file.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag::register_conditional_shutdown,
};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    num::NonZero,
    process,
    sync::{Arc, atomic::AtomicBool},
    thread,
};

pub mod hyper;

/// Connections that wait to be accepted, for each socket.
const BACKLOG: i32 = 4096;

/// Where a server listens, and on how many threads it serves.
#[derive(Clone, Debug, clap::Args)]
pub struct Listening {
    /// Port on 127.0.0.1; 0 is a free one
    #[arg(short, long, default_value_t = 0)]
    port: u16,

    /// Threads that serve
    #[arg(short, long, value_name = "N", default_value = "1")]
    pub workers: NonZero<usize>,
}

impl Listening {
    /// Listens with a socket for each worker, over which the kernel spreads connections (`SO_REUSEPORT`).
    ///
    /// # Errors
    ///
    /// Whatever the system says: port in use, not permitted.
    pub fn bind_each(&self) -> io::Result<Vec<TcpListener>> {
        let first = self.bind()?;
        let port = first.local_addr()?.port();
        let others = (1..self.workers.get()).map(|_| Listening { port, ..self.clone() }.bind());
        [Ok(first)].into_iter().chain(others).collect()
    }

    /// Listens with one socket that does not block, and makes room for as many connections as the system allows.
    ///
    /// # Errors
    ///
    /// As for [`bind_each`](Self::bind_each).
    pub fn bind(&self) -> io::Result<TcpListener> {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        // Inherited by every connection, and so at no cost to any.
        socket.set_tcp_nodelay(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)).into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    }
}

/// Says in one line where `name` serves. From now on SIGTERM and SIGINT end it, at once and with success.
///
/// # Errors
///
/// Whatever the system says.
pub fn announce(name: &str, listener: &TcpListener) -> io::Result<()> {
    let always = Arc::new(AtomicBool::new(true));
    for signal in [SIGTERM, SIGINT] {
        register_conditional_shutdown(signal, 0, Arc::clone(&always))?;
    }
    println!("{name} at http://{}/", listener.local_addr()?);
    Ok(())
}

/// Serves each of `workers` on a thread of its own. The first that fails ends the program: with a worker less it would
/// be something else that is measured.
pub fn on_threads<W: Send>(workers: impl IntoIterator<Item = W>, serve: impl Fn(W) -> io::Result<()> + Sync) {
    let serve = &serve;
    thread::scope(|scope| {
        for worker in workers {
            scope.spawn(move || {
                if let Err(error) = serve(worker) {
                    eprintln!("{error}");
                    process::exit(1);
                }
            });
        }
    });
}
