//! What the servers here share: options, listening, announcing the address, and stopping at a signal. Each program has
//! its own code for serving.

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
    path::PathBuf,
    process,
    sync::{Arc, atomic::AtomicBool},
    thread,
};

/// The length of the accept queue of each socket.
const BACKLOG: i32 = 4096;

/// The options of every server: the port, and the number of threads that serve.
#[derive(Clone, Debug, clap::Args)]
pub struct Listening {
    /// Port on 127.0.0.1; 0 chooses a free port
    #[arg(short, long, default_value_t = 0)]
    port: u16,

    /// Threads that serve
    #[arg(short, long, value_name = "N", default_value = "1")]
    pub workers: NonZero<usize>,
}

/// Serves a directory, or the same bytes for every request
#[derive(Clone, Debug, clap::Parser)]
pub struct FileServer {
    /// Port and threads.
    #[command(flatten)]
    pub listening: Listening,

    /// The directory
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub root: PathBuf,

    /// Instead of a directory, serve the same bytes for every request, of this length
    #[arg(long, value_name = "BYTES", conflicts_with = "root")]
    pub size: Option<usize>,
}

impl Listening {
    /// Listens with one socket per worker; the kernel distributes connections among them (`SO_REUSEPORT`).
    ///
    /// # Errors
    ///
    /// If a socket cannot be bound: the port is in use, or not permitted.
    pub fn bind_each(&self) -> io::Result<Vec<TcpListener>> {
        let first = self.bind()?;
        let port = first.local_addr()?.port();
        let others = (1..self.workers.get()).map(|_| Listening { port, ..self.clone() }.bind());
        [Ok(first)].into_iter().chain(others).collect()
    }

    /// Listens with one non-blocking socket. Raises the limit on open files to the maximum.
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
        // Every accepted socket inherits the option, so it costs no system call per connection.
        socket.set_tcp_nodelay(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)).into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    }
}

/// Prints a line with the name and the address. From then on SIGTERM and SIGINT end the program at once, with code 0.
///
/// # Errors
///
/// If a signal handler cannot be installed.
pub fn announce(name: &str, listener: &TcpListener) -> io::Result<()> {
    let always = Arc::new(AtomicBool::new(true));
    for signal in [SIGTERM, SIGINT] {
        register_conditional_shutdown(signal, 0, Arc::clone(&always))?;
    }
    println!("{name} at http://{}/", listener.local_addr()?);
    Ok(())
}

/// Runs each of `workers` on a thread of its own. A worker that fails ends the program, because a measurement with
/// fewer workers would be wrong.
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
