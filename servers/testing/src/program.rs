//! A server program in a process of its own. It ends with its test, whether the test passes or fails.

use crate::{client::TIMEOUT, site::Site};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};
use std::{
    fmt::Display,
    fs,
    io::Read,
    net::{SocketAddr, ToSocketAddrs},
    os::fd::AsFd,
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
    sync::Arc,
    thread,
    time::Instant,
};

/// A part of the warning that a server prints if root runs it, and of no other message.
const ROOT_WARNING: &str = ": serving as root: ";

/// A part of the notice that a site has no start page, and of no other message.
const INDEX_NOTICE: &str = " has no index.html: ";

/// How a program ended, and what it printed. The startup line that [`Program::start`] has read is not included, nor the
/// warning that root runs the program, nor the notice that the site has no start page.
#[derive(Debug)]
pub struct Exit {
    /// The exit code, or `None` if a signal ended the program.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A running program. Dropping it ends the program.
pub struct Program {
    child: Child,
    stdout: ChildStdout,
    stderr: ChildStderr,
    /// The line that a server printed when it began to serve. Empty after [`Program::spawn`].
    pub startup_line: String,
    /// The addresses in the startup line. Empty after [`Program::spawn`].
    pub addresses: Vec<SocketAddr>,
    /// The document root of the program. Kept so that its directory is not removed while the program runs. `None`
    /// unless [`Program::with_site`] has set it.
    site: Option<Arc<Site>>,
}

impl Program {
    /// Starts a server, and returns when it has printed its startup line. Panics if it exits before that.
    pub fn start(command: &mut Command) -> Program {
        let mut program = Program::spawn(command).expect("the program");
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            let mut byte = [0];
            assert!(becomes_readable(&program.stdout), "timed out waiting for the program's first line");
            if program.stdout.read(&mut byte).expect("its output") == 0 {
                panic!("{command:?} does not serve: {:?}", program.wait());
            }
            line.extend(byte);
        }
        program.startup_line = String::from_utf8(line).expect("text");
        let urls = program.startup_line.split("://").skip(1);
        let address = |url: &str| url.split('/').next()?.to_socket_addrs().ok()?.next();
        program.addresses = urls.map(|url| address(url).expect("an address")).collect();
        program
    }

    /// Starts a program, which need not be a server. Returns at once and does not read a startup line.
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

    /// Keeps `site`, the document root, until the program is dropped: its directory is not removed before.
    pub fn with_site(mut self, site: Arc<Site>) -> Program {
        self.site = Some(site);
        self
    }

    /// Returns the first address that the server listens on. Panics if the startup line has none, or if [`spawn`] made
    /// the program, which then has no startup line.
    ///
    /// [`spawn`]: Program::spawn
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Returns the process ID of the program: that of the master if it has worker processes.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends a signal to the program's own process, not to its worker processes.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("a process that is not reaped");
    }

    /// Returns whether the program has ended. It may still have threads that hang in a system call, for which
    /// [`wait`](Program::wait) waits.
    pub fn has_ended(&self) -> bool {
        stat_fields(self.pid()).is_none_or(|fields| fields[0] == "Z")
    }

    /// Returns the process IDs of the program's child processes, which are its workers. Each comes with the letter of
    /// its state in proc(5), such as `Z` for a process that has ended.
    pub fn workers(&self) -> Vec<(Pid, char)> {
        let pid = self.pid().as_raw_nonzero();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("children");
        let state = |pid: i32| Some((Pid::from_raw(pid)?, stat_fields(pid)?[0].chars().next()?));
        children.split_whitespace().filter_map(|pid| state(pid.parse().ok()?)).collect()
    }

    /// Returns the process IDs of the program's worker processes, then that of the program itself.
    pub fn processes(&self) -> Vec<Pid> {
        self.workers().into_iter().map(|(pid, _)| pid).chain([self.pid()]).collect()
    }

    /// Sends SIGTERM, and waits until the program has ended and all other processes have closed its standard output and
    /// error. Panics after [`TIMEOUT`].
    pub fn stop(self) -> Exit {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Stops the program by SIGTERM. Panics unless it exits with 0 and prints nothing.
    pub fn stop_cleanly(self) {
        let Exit { code, stdout, stderr } = self.stop();
        assert_eq!((code, &*stdout, &*stderr), (Some(0), "", ""));
    }

    /// Waits until the program has ended, and until all other processes have closed its standard output and error.
    /// Panics after [`TIMEOUT`].
    pub fn wait(mut self) -> Exit {
        let code = self.wait_for_exit_code();
        let still_open = |read| -> String { panic!("a process still has the output open; read: {read:?}") };
        let stdout = read_to_end(&mut self.stdout).unwrap_or_else(still_open);
        let stderr = read_to_end(&mut self.stderr).unwrap_or_else(still_open);
        Exit { code, stdout, stderr: without_root_warning(&stderr) }
    }

    /// Waits until the program has ended. Returns its exit code, or `None` if a signal ended it. Panics after
    /// [`TIMEOUT`].
    fn wait_for_exit_code(&mut self) -> Option<i32> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return status.code();
        }
        let process = pidfd_open(self.pid(), PidfdFlags::empty()).expect("a process that is not reaped");
        assert!(becomes_readable(&process), "timed out waiting for the program's end");
        self.child.wait().expect("an exit status").code()
    }
}

impl Drop for Program {
    /// Ends the program if it still runs. If the test has failed, prints the program's standard error.
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // The second signal ends the program at once. Two signals of one kind could be delivered as one.
            self.signal(Signal::TERM);
            self.signal(Signal::INT);
            let ended =
                pidfd_open(self.pid(), PidfdFlags::empty()).is_ok_and(|process| becomes_readable(&process));
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

/// Returns the fields of `/proc/PID/stat` from the third on, which is the state of the process (proc(5)). Returns
/// `None` if there is no such process.
pub(crate) fn stat_fields(pid: impl Display) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, the name in parentheses, may contain any character.
    Some(stat.rsplit_once(") ")?.1.split(' ').map(str::to_owned).collect())
}

/// Removes the lines that warn that root runs the program, so that tests have the same result for all users, and those
/// that the site has no start page, which few tests need.
pub fn without_root_warning(stderr: &str) -> String {
    let is_expected = |line: &&str| line.contains(ROOT_WARNING) || line.contains(INDEX_NOTICE);
    stderr.split_inclusive('\n').filter(|line| !is_expected(line)).collect()
}

/// Reads a pipe until all writers have closed it. Returns the text as `Ok`. If a writer still has the pipe open after
/// [`TIMEOUT`] without new bytes, or if reading fails, returns the text so far as `Err`.
fn read_to_end(pipe: &mut (impl Read + AsFd)) -> Result<String, String> {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    let text = |all: &[u8]| String::from_utf8_lossy(all).into_owned();
    while becomes_readable(&*pipe) {
        match pipe.read(&mut buffer) {
            Ok(0) => return Ok(text(&all)),
            Ok(count) => all.extend(&buffer[..count]),
            Err(_) => break,
        }
    }
    Err(text(&all))
}

/// Waits until a read from `source` would return at once, with bytes or with the end, and returns true. If `source` is
/// a pidfd, waits until its process has ended. Returns false after [`TIMEOUT`].
fn becomes_readable(source: impl AsFd) -> bool {
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
