//! A server program in a process of its own, which ends with its test, whether that passes or fails.

use crate::{client::TIMEOUT, site::Site};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};
use std::{
    fs,
    io::Read,
    net::SocketAddr,
    os::fd::AsFd,
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
    sync::Arc,
    thread,
    time::Instant,
};

/// How a program ended, and the output that was not read before.
#[derive(Debug)]
pub struct Exit {
    /// `None` if a signal ended the program.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A running program.
pub struct Program {
    child: Child,
    stdout: ChildStdout,
    stderr: ChildStderr,
    /// The line that the program printed when it began to serve.
    pub startup_line: String,
    /// The addresses in that line.
    pub addresses: Vec<SocketAddr>,
    /// Keeps the document root of the program.
    site: Option<Arc<Site>>,
}

impl Program {
    /// Starts a server, and returns when it serves.
    pub fn start(command: &mut Command) -> Program {
        let mut program = Program::spawn(command).expect("the program");
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            let mut byte = [0];
            await_readable(&program.stdout, "the program's first line");
            if program.stdout.read(&mut byte).expect("its output") == 0 {
                panic!("{command:?} does not serve: {:?}", program.wait());
            }
            line.extend(byte);
        }
        program.startup_line = String::from_utf8(line).expect("text");
        let urls = program.startup_line.split("http://").skip(1);
        let address = |url: &str| url.split('/').next().and_then(|address| address.parse().ok());
        program.addresses = urls.map(|url| address(url).expect("an address")).collect();
        program
    }

    /// Starts a program that need not be a server.
    ///
    /// # Errors
    ///
    /// If the program cannot be started.
    pub fn spawn(command: &mut Command) -> std::io::Result<Program> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        Ok(Program { child, stdout, stderr, startup_line: String::new(), addresses: Vec::new(), site: None })
    }

    /// Keeps `site` until the program is dropped.
    pub fn with_site(mut self, site: Arc<Site>) -> Program {
        self.site = Some(site);
        self
    }

    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("a process that is not reaped");
    }

    /// The processes of the workers, each with its state: one letter, see proc(5).
    pub fn workers(&self) -> Vec<(Pid, char)> {
        let pid = self.pid().as_raw_nonzero();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("children");
        let state = |pid: i32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // The process name stands in parentheses and may hold any character.
            Some((Pid::from_raw(pid)?, stat.rsplit_once(") ")?.1.chars().next()?))
        };
        children.split_whitespace().filter_map(|pid| state(pid.parse().ok()?)).collect()
    }

    /// The process of the program and those of its workers.
    pub fn processes(&self) -> Vec<Pid> {
        self.workers().into_iter().map(|(pid, _)| pid).chain([self.pid()]).collect()
    }

    /// Sends SIGTERM and waits as [`wait`](Program::wait) does.
    pub fn stop(self) -> Exit {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Stops the program, which must exit with 0 and print nothing.
    pub fn stop_cleanly(self) {
        let Exit { code, stdout, stderr } = self.stop();
        assert_eq!((code, &*stdout, &*stderr), (Some(0), "", ""));
    }

    /// Waits until the program has ended, and all other processes that write to its standard output and error.
    pub fn wait(mut self) -> Exit {
        let code = self.wait_for_exit_code();
        let still_open = |read| -> String { panic!("a process still has the output open; read: {read:?}") };
        let stdout = read_to_end(&mut self.stdout).unwrap_or_else(still_open);
        let stderr = read_to_end(&mut self.stderr).unwrap_or_else(still_open);
        Exit { code, stdout, stderr }
    }

    fn wait_for_exit_code(&mut self) -> Option<i32> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return status.code();
        }
        let process = pidfd_open(self.pid(), PidfdFlags::empty()).expect("a process that is not reaped");
        await_readable(&process, "the program's end");
        self.child.wait().expect("an exit status").code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // Two signals of the same kind could be delivered as one. The second ends the program at once.
            self.signal(Signal::TERM);
            self.signal(Signal::INT);
            let ended =
                pidfd_open(self.pid(), PidfdFlags::empty()).is_ok_and(|process| is_readable(&process));
            if !ended {
                let _ = self.child.kill();
            }
            let _ = self.child.wait();
        }
        if thread::panicking() {
            let (Ok(stderr) | Err(stderr)) = read_to_end(&mut self.stderr);
            eprintln!("standard error of the program: {stderr}");
        }
    }
}

/// Reads to the end, which comes when all writers have closed the pipe. Returns `Err` with what was read before a
/// timeout.
fn read_to_end(pipe: &mut (impl Read + AsFd)) -> Result<String, String> {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    let text = |all: &[u8]| String::from_utf8_lossy(all).into_owned();
    while is_readable(&*pipe) {
        match pipe.read(&mut buffer) {
            Ok(0) => return Ok(text(&all)),
            Ok(count) => all.extend(&buffer[..count]),
            Err(_) => break,
        }
    }
    Err(text(&all))
}

fn await_readable(source: impl AsFd, what: &str) {
    assert!(is_readable(source), "timed out waiting for {what}");
}

/// Waits until there is something to read, or the end of it. Returns false after [`TIMEOUT`].
fn is_readable(source: impl AsFd) -> bool {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).expect("some seconds");
        match poll(&mut [PollFd::new(&source, PollFlags::IN)], Some(&left)) {
            Ok(count) => return count > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
    }
}
