//! A server under test, in processes of its own: starts it on its CPUs, waits until it is ready, and stops it.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getuid, kill_process};
use rustix::thread::{CpuSet, sched_setaffinity};

use super::architectures::{Architecture, Surroundings, nginx_conf};
use super::observe::{self, Tree};
use super::programs::Programs;

/// The timeout for starting a server, and for stopping it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The polling interval while waiting for a program to stop.
const LOOK: Duration = Duration::from_millis(5);

/// The polling interval while waiting for a server to become ready; short, because start times are measured.
const GLANCE: Duration = Duration::from_micros(200);

/// The CPUs of the servers and of the driver.
#[derive(Clone, Debug)]
pub struct Cpus {
    /// The CPUs of the servers.
    pub server: Vec<usize>,
    /// The CPUs of the driver and of the weather stub.
    pub driver: Vec<usize>,
}

impl Cpus {
    /// Divides the CPUs that this process may use into halves. A single CPU goes to both; of an odd number, the driver
    /// gets more.
    ///
    /// # Errors
    ///
    /// If the CPU affinity cannot be read.
    pub fn halve() -> io::Result<Cpus> {
        let allowed = rustix::thread::sched_getaffinity(None)?;
        let all: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
        if all.len() < 2 {
            return Ok(Cpus { server: all.clone(), driver: all });
        }
        let (server, driver) = all.split_at(all.len() / 2);
        Ok(Cpus { server: server.to_vec(), driver: driver.to_vec() })
    }
}

/// Binds the calling thread, and all threads and processes that it starts later, to these CPUs.
///
/// # Errors
///
/// If the affinity cannot be set.
pub fn bind_to(cpus: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu);
    }
    Ok(sched_setaffinity(None, &set)?)
}

/// A running server. It is killed when dropped.
#[derive(Debug)]
pub struct Server {
    /// The address on which it listens.
    pub address: SocketAddr,
    /// All its processes.
    pub processes: Tree,
    child: Child,
}

impl Server {
    /// Starts an architecture on the servers' CPUs, then binds the calling thread to the driver's CPUs again.
    ///
    /// # Errors
    ///
    /// If the server does not start; the error has the output of the program.
    pub fn start(
        architecture: Architecture,
        programs: &Programs,
        around: &Surroundings<'_>,
        cpus: &Cpus,
    ) -> io::Result<Server> {
        bind_to(&cpus.server)?;
        let server = if architecture == Architecture::Nginx {
            start_nginx(programs, around, cpus.server.len())
        } else {
            let command = architecture.command(programs, around).ok_or(io::ErrorKind::NotFound)?;
            Server::announced(command, around.scratch)
        };
        bind_to(&cpus.driver)?;
        server
    }

    /// Starts a program that prints the address at which it serves.
    ///
    /// # Errors
    ///
    /// If it ends, or prints no address in time.
    pub fn announced(mut command: Command, scratch: &Path) -> io::Result<Server> {
        let complaints = tempfile::tempfile_in(scratch)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(complaints.try_clone()?);
        let mut child = command.spawn().map_err(|error| named(&command, &error))?;
        let said = child.stdout.take().map(first_line).unwrap_or_default();
        match address_in(&said) {
            Some(address) => Ok(Server { address, processes: Tree::of(child.id())?, child }),
            None => Err(did_not_start(&mut child, &command, said, complaints)),
        }
    }

    /// Starts a program that listens on a given address, but does not print when it is ready. Polls `is_ready` with the
    /// id of the process.
    ///
    /// # Errors
    ///
    /// If it ends, or is not ready in time; the error has its standard error output.
    pub fn awaited(
        mut command: Command,
        address: SocketAddr,
        scratch: &Path,
        mut is_ready: impl FnMut(u32) -> bool,
    ) -> io::Result<Server> {
        let complaints = tempfile::tempfile_in(scratch)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(complaints.try_clone()?);
        let mut child = command.spawn().map_err(|error| named(&command, &error))?;
        let deadline = Instant::now() + TIMEOUT;
        while !is_ready(child.id()) {
            if Instant::now() > deadline || child.try_wait()?.is_some() {
                return Err(did_not_start(&mut child, &command, String::new(), complaints));
            }
            thread::sleep(GLANCE);
        }
        Ok(Server { address, processes: Tree::of(child.id())?, child })
    }

    /// Like [`awaited`](Server::awaited): waits until clients can connect, and the process has this number of children.
    ///
    /// # Errors
    ///
    /// As for [`awaited`](Server::awaited).
    pub fn listening(
        command: Command,
        address: SocketAddr,
        scratch: &Path,
        children: usize,
    ) -> io::Result<Server> {
        // A master process listens before its workers run, so wait for the workers, too.
        Server::awaited(command, address, scratch, |pid| {
            TcpStream::connect(address).is_ok()
                && (children == 0 || observe::children(pid).is_ok_and(|all| all.len() >= children))
        })
    }

    /// Sends SIGTERM, and waits until the server has stopped.
    ///
    /// # Errors
    ///
    /// If it does not stop in time, or with an error status.
    pub fn stop(mut self) -> io::Result<()> {
        signal(self.child.id(), Signal::TERM);
        let deadline = Instant::now() + TIMEOUT;
        while Instant::now() < deadline {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(io::Error::other(format!("stopped with {status}"))),
                None => thread::sleep(LOOK),
            }
        }
        Err(io::Error::other("does not stop"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // Killing a master does not end its workers.
            self.processes.pids().iter().for_each(|pid| signal(*pid, Signal::KILL));
            end(&mut self.child);
        }
    }
}

/// Starts nginx, which needs a given port and does not print when it is ready.
fn start_nginx(programs: &Programs, around: &Surroundings<'_>, processes: usize) -> io::Result<Server> {
    let port = free_port()?;
    let conf = nginx_conf(around, processes, port, getuid().is_root());
    fs::write(around.scratch.join("nginx.conf"), conf)?;
    let command = Architecture::Nginx.command(programs, around);
    let command = command.ok_or_else(|| io::Error::other("nginx is not installed"))?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Server::listening(command, address, around.scratch, processes)
}

/// Finds a free port. Another program could take it first, but the kernel does not soon give it to another `bind`
/// with port 0.
///
/// # Errors
///
/// If there is none.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Reads the first line; returns an empty string if it does not come in time.
fn first_line(stdout: impl Read + Send + 'static) -> String {
    let (line, lines) = channel();
    let read = move || {
        let mut text = String::new();
        let _ = BufReader::new(stdout).read_line(&mut text);
        line.send(text)
    };
    thread::spawn(read);
    lines.recv_timeout(TIMEOUT).unwrap_or_default()
}

/// The first address with a port in the line, with or without `http://`.
fn address_in(line: &str) -> Option<SocketAddr> {
    let words = line.split(|c: char| c.is_whitespace() || c == '/');
    words.map(|word| word.trim_matches(',')).find_map(|word| word.parse().ok())
}

/// Kills a program that did not become ready, and makes an error of its output.
fn did_not_start(child: &mut Child, command: &Command, mut said: String, mut complaints: File) -> io::Error {
    end(child);
    if complaints.rewind().and_then(|()| complaints.read_to_string(&mut said)).is_err() {
        said.push_str("its error output cannot be read");
    }
    named(command, &io::Error::other(format!("did not start: {}", said.trim())))
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // The process may have ended already.
        let _ = kill_process(pid, signal);
    }
}

fn end(child: &mut Child) {
    // The process may have ended already.
    let _ = child.kill();
    let _ = child.wait();
}

fn named(command: &Command, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", command.get_program().to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_address_in_what_is_announced() {
        let check = |line: &str, expected: Option<&str>| {
            assert_eq!(address_in(line), expected.map(|address| address.parse().unwrap()), "{line}");
        };
        check("async-server at http://127.0.0.1:8002/ (event loop, 1 worker)", Some("127.0.0.1:8002"));
        check("at http://127.0.0.1:1/ and http://[::1]:1/", Some("127.0.0.1:1"));
        check("http://127.0.0.1:81", Some("127.0.0.1:81"));
        check("127.0.0.1:82\n", Some("127.0.0.1:82"));
        check("", None);
        check("serves 127.0.0.1 on 8080", None);
    }
}
