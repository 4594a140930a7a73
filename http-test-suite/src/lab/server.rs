//! A server in its own process or processes: started on the CPUs it may use, awaited, watched, and stopped.

use std::fs;
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

/// How often is looked where nothing tells.
const LOOK: Duration = Duration::from_millis(5);

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
        let mut complaints = tempfile::tempfile_in(scratch)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(complaints.try_clone()?);
        let mut child = command.spawn().map_err(|error| named(&command, &error))?;
        let said = child.stdout.take().map(first_line).unwrap_or_default();
        match address_in(&said) {
            Some(address) => Ok(Server { address, processes: Tree::of(child.id())?, child }),
            None => {
                end(&mut child);
                let mut complained = String::new();
                complaints.rewind()?;
                complaints.read_to_string(&mut complained)?;
                Err(named(
                    &command,
                    &io::Error::other(format!("did not start: {}", (said + &complained).trim())),
                ))
            }
        }
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
    let mut command = command.ok_or_else(|| io::Error::other("nginx is not installed"))?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| named(&command, &error))?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let deadline = Instant::now() + PATIENCE;
    // The master listens before its workers are there; counting them is part of waiting for them.
    while TcpStream::connect(address).is_err() || observe::children(child.id())?.len() < processes {
        if Instant::now() > deadline || child.try_wait()?.is_some() {
            end(&mut child);
            return Err(io::Error::other("nginx did not start"));
        }
        thread::sleep(LOOK);
    }
    Ok(Server { address, processes: Tree::of(child.id())?, child })
}

/// Nobody is promised it; but the kernel does not offer it to the next one at once.
fn free_port() -> io::Result<u16> {
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
