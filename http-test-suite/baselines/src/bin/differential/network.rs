//! The servers and proxies that are compared over sockets.

use crate::{
    LANES,
    lane::{Lane, Passage},
};
use load_test::subject::process::Server;
use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Command,
    sync::{Mutex, PoisonError},
    thread,
};

/// A server or a proxy.
pub struct Subject {
    /// The name and the version.
    pub name: String,
    /// Where to send messages, several at the same time.
    pub lanes: Vec<Lane>,
    /// The process; `None` if somebody else has started it.
    pub server: Option<Server>,
}

impl Drop for Subject {
    /// Stops the process, so that it can stop its own children, which may be others than when it started.
    fn drop(&mut self) {
        // An exit status other than 0 is no failure: HAProxy ends with the signal.
        let _ = self.server.take().map(Server::stop);
    }
}

impl Subject {
    /// A server that somebody has started.
    ///
    /// # Errors
    ///
    /// Never for a server without an origin.
    pub fn server(address: SocketAddr) -> io::Result<Subject> {
        let lanes = (0..LANES).map(|_| Lane::new(address, None)).collect::<Result<_, _>>()?;
        Ok(Subject { name: address.to_string(), lanes, server: None })
    }

    /// A proxy that somebody has started, and that forwards to `origin`. All messages go through one lane, because the
    /// origin could not tell which it gets.
    ///
    /// # Errors
    ///
    /// If the origin cannot listen.
    pub fn proxy(address: SocketAddr, origin: SocketAddr) -> io::Result<Subject> {
        let lanes = vec![Lane::new(address, Some(TcpListener::bind(origin)?))?];
        Ok(Subject { name: address.to_string(), lanes, server: None })
    }

    /// Starts our servers, whose programs are in `bin_dir`. They serve the directory `scratch`.
    ///
    /// # Errors
    ///
    /// If one does not start.
    pub fn ours(bin_dir: &Path, scratch: &Path) -> io::Result<Vec<Subject>> {
        let start = |program: &str, options: &[&str]| {
            let mut command = Command::new(bin_dir.join(program));
            command.args(options).args(["--bind", "127.0.0.1", "-p", "0"]).arg("--root").arg(scratch);
            let server = Server::announced(command, scratch)?;
            let lanes = (0..LANES).map(|_| Lane::new(server.address, None)).collect::<Result<_, _>>()?;
            Ok(Subject { name: [&[program], options].concat().join(" "), lanes, server: Some(server) })
        };
        [
            ("httpd", &[][..]),
            ("httpd", &["--engine", "blocking"]),
            ("async-server", &[]),
            ("sync-server", &[]),
        ]
        .map(|(program, options)| start(program, options))
        .into_iter()
        .collect()
    }

    /// Sends each message on a connection of its own, and returns what came out.
    ///
    /// # Errors
    ///
    /// If a connection cannot be made.
    pub fn send_all(&self, messages: &[Vec<u8>]) -> io::Result<Vec<Passage>> {
        let next = Mutex::new(messages.iter().enumerate());
        let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = |lane: &Lane| -> io::Result<Vec<(usize, Passage)>> {
            let mut passages = Vec::new();
            while let Some((index, message)) = take() {
                passages.push((index, lane.send(message)?));
            }
            Ok(passages)
        };
        let passages = thread::scope(|scope| {
            let workers: Vec<_> = self.lanes.iter().map(|lane| scope.spawn(|| work(lane))).collect();
            let join = |worker: thread::ScopedJoinHandle<'_, io::Result<Vec<_>>>| {
                worker.join().unwrap_or_else(|_| Err(io::Error::other("a lane panicked")))
            };
            workers.into_iter().map(join).collect::<io::Result<Vec<_>>>()
        })?;
        let mut passages: Vec<_> = passages.into_iter().flatten().collect();
        passages.sort_by_key(|(index, _)| *index);
        Ok(passages.into_iter().map(|(_, passage)| passage).collect())
    }
}
