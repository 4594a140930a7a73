//! A server in its own process or processes: started on the CPUs it may use, awaited, watched, and stopped.

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

/// How long a server may take until it answers, and how long until it has stopped.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often is looked where nothing tells whether a program has stopped.
const LOOK: Duration = Duration::from_millis(5);

/// The same where nothing tells whether it serves, which may be what is measured.
const GLANCE: Duration = Duration::from_micros(200);

/// Which CPUs are whose.
#[derive(Clone, Debug)]
pub struct Cpus {
    /// The servers'.
    pub server: Vec<usize>,
    /// The driver's, and the weather stub's.
    pub driver: Vec<usize>,
}

impl Cpus {
    /// Halves what this process may use: with one CPU each, both get it; of an odd number, the driver gets more.
    ///
    /// # Errors
    ///
    /// If the system does not tell.
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

/// Binds the calling thread, and whatever it starts from now on.
///
/// # Errors
///
/// If the system refuses.
pub fn bind_to(cpus: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu);
    }
    Ok(sched_setaffinity(None, &set)?)
}

/// A running program. Dropped, it is killed.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// All its processes.
    pub processes: Tree,
    child: Child,
}

impl Server {
    /// Starts an architecture on its CPUs; the calling thread goes back to the driver's.
    ///
    /// # Errors
    ///
    /// If it does not start, with what it said.
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
    /// If it ends, or says nothing of the kind in time.
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

    /// Starts a program that has been told where to serve, and tells nobody when it does. `is_ready` is asked again and
    /// again, with the number of its process.
    ///
    /// # Errors
    ///
    /// If it ends, or is not ready in time, with what it said on standard error.
    pub fn awaited(
        mut command: Command,
        address: SocketAddr,
        scratch: &Path,
        mut is_ready: impl FnMut(u32) -> bool,
    ) -> io::Result<Server> {
        let complaints = tempfile::tempfile_in(scratch)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(complaints.try_clone()?);
        let mut child = command.spawn().map_err(|error| named(&command, &error))?;
        let deadline = Instant::now() + PATIENCE;
        while !is_ready(child.id()) {
            if Instant::now() > deadline || child.try_wait()?.is_some() {
                return Err(did_not_start(&mut child, &command, String::new(), complaints));
            }
            thread::sleep(GLANCE);
        }
        Ok(Server { address, processes: Tree::of(child.id())?, child })
    }

    /// As [`awaited`](Server::awaited): until it lets clients connect, and the process has started so many others.
    ///
    /// # Errors
    ///
    /// Likewise.
    pub fn listening(
        command: Command,
        address: SocketAddr,
        scratch: &Path,
        children: usize,
    ) -> io::Result<Server> {
        // A master listens before its workers are there; counting them is part of waiting for them.
        Server::awaited(command, address, scratch, |pid| {
            TcpStream::connect(address).is_ok()
                && (children == 0 || observe::children(pid).is_ok_and(|all| all.len() >= children))
        })
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Errors
    ///
    /// If it does not stop in time, or stops with an error.
    pub fn stop(mut self) -> io::Result<()> {
        signal(self.child.id(), Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
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
            // A master that is killed takes no worker along.
            self.processes.pids().iter().for_each(|pid| signal(*pid, Signal::KILL));
            end(&mut self.child);
        }
    }
}

/// nginx tells nobody when it serves, and must be told where.
fn start_nginx(programs: &Programs, around: &Surroundings<'_>, processes: usize) -> io::Result<Server> {
    let port = free_port()?;
    let conf = nginx_conf(around, processes, port, getuid().is_root());
    fs::write(around.scratch.join("nginx.conf"), conf)?;
    let command = Architecture::Nginx.command(programs, around);
    let command = command.ok_or_else(|| io::Error::other("nginx is not installed"))?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Server::listening(command, address, around.scratch, processes)
}

/// A port that is free now. Nobody is promised it; but the kernel does not offer it to the next one at once.
///
/// # Errors
///
/// If there is none.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The first line, or nothing if it does not come in time. A program that falls silent must not stop the lab.
fn first_line(stdout: impl Read + Send + 'static) -> String {
    let (line, lines) = channel();
    let read = move || {
        let mut text = String::new();
        let _ = BufReader::new(stdout).read_line(&mut text);
        line.send(text)
    };
    thread::spawn(read);
    lines.recv_timeout(PATIENCE).unwrap_or_default()
}

/// The first address with a port in the line, behind `http://` or bare.
fn address_in(line: &str) -> Option<SocketAddr> {
    let words = line.split(|c: char| c.is_whitespace() || c == '/');
    words.map(|word| word.trim_matches(',')).find_map(|word| word.parse().ok())
}

/// Ends it, and tells why it is of no use.
fn did_not_start(child: &mut Child, command: &Command, mut said: String, mut complaints: File) -> io::Error {
    end(child);
    if complaints.rewind().and_then(|()| complaints.read_to_string(&mut said)).is_err() {
        said.push_str("nobody knows why");
    }
    named(command, &io::Error::other(format!("did not start: {}", said.trim())))
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended already.
        let _ = kill_process(pid, signal);
    }
}

fn end(child: &mut Child) {
    // It may have ended already.
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
