//! Runs a server in processes of its own: starts it, waits until it is ready, and stops it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::usage::ProcessTree;

/// The longest time that a server may take to start, and to stop.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How often to check whether a server has stopped.
const STOP_POLL: Duration = Duration::from_millis(5);

/// How often to check whether a server is ready; short, because start times are measured.
const READY_POLL: Duration = Duration::from_micros(200);

/// The CPUs to which the servers are bound, and those to which the load driver is bound.
#[derive(Clone, Debug)]
pub struct Cpus {
    /// The numbers of the CPUs of the servers.
    pub server: Vec<usize>,
    /// The numbers of the CPUs of the load driver, and of the services that a server asks.
    pub driver: Vec<usize>,
}

impl Cpus {
    /// Divides the CPUs that this process may use into halves. A single CPU goes to both; of an odd number, the load
    /// driver gets one more.
    ///
    /// # Errors
    ///
    /// If the CPU affinity cannot be read.
    pub fn halves() -> io::Result<Cpus> {
        let allowed = sched_getaffinity(None)?;
        let mut server: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
        let driver = if server.len() > 1 { server.split_off(server.len() / 2) } else { server.clone() };
        Ok(Cpus { server, driver })
    }

    /// Returns all these CPUs for both the servers and the load driver, which then share them.
    pub fn shared(&self) -> Cpus {
        let mut all = [&*self.server, &*self.driver].concat();
        all.sort_unstable();
        all.dedup();
        Cpus { server: all.clone(), driver: all }
    }
}

/// Binds the calling thread, and all threads and processes that it starts later, to these CPUs.
///
/// # Errors
///
/// If the CPU affinity cannot be set.
pub fn bind_to(cpus: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    cpus.iter().for_each(|cpu| set.set(*cpu));
    Ok(sched_setaffinity(None, &set)?)
}

/// Raises the limit on open files to the maximum, for this process and for the servers that it starts.
pub fn raise_descriptor_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // An error here is ignored: if the limit is too low, connecting fails later and reports it.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// Finds a free TCP port on 127.0.0.1. Another program could take it first, but the kernel does not soon assign it
/// again.
///
/// # Errors
///
/// If there is none.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A running server. When it is dropped, all its processes are killed.
#[derive(Debug)]
pub struct Server {
    /// The address on which the server listens.
    pub address: SocketAddr,
    /// The processes of the server, as they were when it became ready.
    pub processes: ProcessTree,
    /// The process that was started; all others of the server are its descendants.
    child: Child,
}

impl Server {
    /// Starts a program that prints the address at which it serves. A temporary file in `temp_dir` takes its error
    /// output.
    ///
    /// # Errors
    ///
    /// If the program ends, or prints no address in time; the error has its output.
    pub fn announced(mut command: Command, temp_dir: &Path) -> io::Result<Server> {
        let (mut child, stderr) = spawn(command.stdout(Stdio::piped()), temp_dir)?;
        let line = child.stdout.take().map(first_line).unwrap_or_default();
        match address_in(&line) {
            Some(address) => Ok(Server { address, processes: ProcessTree::of(child.id())?, child }),
            None => Err(did_not_start(child, &command, line, stderr)),
        }
    }

    /// Starts a program that listens on `address`, and polls `is_ready` with its process id. A temporary file in
    /// `temp_dir` takes its error output.
    ///
    /// # Errors
    ///
    /// If the program ends, or is not ready in time; the error has its error output.
    pub fn awaited(
        mut command: Command,
        address: SocketAddr,
        temp_dir: &Path,
        is_ready: impl Fn(u32) -> bool,
    ) -> io::Result<Server> {
        let (mut child, stderr) = spawn(command.stdout(Stdio::null()), temp_dir)?;
        let deadline = Instant::now() + TIMEOUT;
        while !is_ready(child.id()) {
            if Instant::now() > deadline || child.try_wait()?.is_some() {
                return Err(did_not_start(child, &command, String::new(), stderr));
            }
            thread::sleep(READY_POLL);
        }
        Ok(Server { address, processes: ProcessTree::of(child.id())?, child })
    }

    /// Sends SIGHUP, at which a server reads its configuration and opens its files again.
    ///
    /// # Errors
    ///
    /// If the server has ended.
    pub fn reload(&self) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::HUP)?)
    }

    /// Sends SIGTERM, and waits until the server has stopped.
    ///
    /// # Errors
    ///
    /// If it does not stop in time, or exits with an error status.
    pub fn stop(mut self) -> io::Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let deadline = Instant::now() + TIMEOUT;
        while Instant::now() < deadline {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(io::Error::other(format!("stopped with {status}"))),
                None => thread::sleep(STOP_POLL),
            }
        }
        Err(io::Error::other(format!("does not stop within {} seconds", TIMEOUT.as_secs())))
    }
}

impl Drop for Server {
    /// Kills the processes of the server, if it has not stopped.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // Killing a master does not end its workers. It may have started more of them since it became ready.
            let now = ProcessTree::of(self.child.id());
            let pids = now.as_ref().unwrap_or(&self.processes).pids();
            for pid in pids.iter().filter_map(|pid| Pid::from_raw(i32::try_from(*pid).ok()?)) {
                // The process may have ended already.
                let _ = kill_process(pid, Signal::KILL);
            }
            let _ = self.child.wait();
        }
    }
}

/// Starts a program without input. Also returns the file in `temp_dir` that takes its error output.
fn spawn(command: &mut Command, temp_dir: &Path) -> io::Result<(Child, File)> {
    let stderr = tempfile::tempfile_in(temp_dir)?;
    command.stdin(Stdio::null()).stderr(stderr.try_clone()?);
    let child = command.spawn().map_err(|error| failed(command, &error.to_string()))?;
    Ok((child, stderr))
}

/// Reads the first line that a program prints; returns an empty string if it does not come within ten seconds.
pub(crate) fn first_line(stdout: impl Read + Send + 'static) -> String {
    let (line, lines) = channel();
    let read = move || {
        let mut text = String::new();
        let _ = BufReader::new(stdout).read_line(&mut text);
        line.send(text)
    };
    thread::spawn(read);
    lines.recv_timeout(TIMEOUT).unwrap_or_default()
}

/// The first IP address with a port in the line, with or without `http://`.
fn address_in(line: &str) -> Option<SocketAddr> {
    let words = line.split(|c: char| c.is_whitespace() || c == '/');
    words.map(|word| word.trim_matches(',')).find_map(|word| word.parse().ok())
}

/// Kills a program that did not become ready. Returns an error with its name, `output` (what it printed so far) and its
/// standard error.
fn did_not_start(mut child: Child, command: &Command, mut output: String, mut stderr: File) -> io::Error {
    // The process may have ended already.
    let _ = child.kill();
    let _ = child.wait();
    if stderr.rewind().and_then(|()| stderr.read_to_string(&mut output)).is_err() {
        output.push_str("its error output cannot be read");
    }
    failed(command, &format!("did not start: {}", output.trim()))
}

/// An error with the program's name, but not its directory, because errors are stored in results.
fn failed(command: &Command, cause: &str) -> io::Error {
    let name = Path::new(command.get_program()).file_name().unwrap_or_default();
    io::Error::other(format!("{}: {cause}", name.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_address_in_the_first_line() {
        let check = |line: &str, expected: Option<&str>| {
            assert_eq!(address_in(line), expected.map(|address| address.parse().unwrap()), "{line}");
        };
        check("async-server at http://127.0.0.1:8002/ (event loop, 1 worker)", Some("127.0.0.1:8002"));
        check("at http://127.0.0.1:1/ and http://[::1]:1/", Some("127.0.0.1:1"));
        check("127.0.0.1:82\n", Some("127.0.0.1:82"));
        check("serves 127.0.0.1 on 8080", None);
    }
}
