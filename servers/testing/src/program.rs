//! The real program in a process of its own, which no test leaves behind, however it ends.

use crate::{client::PATIENCE, site::Site};
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

/// How a program ended and what it had said that was not read before.
#[derive(Debug)]
pub struct Exit {
    /// None when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A program at work.
pub struct Program {
    child: Child,
    stdout: ChildStdout,
    stderr: ChildStderr,
    /// The line it printed when it began to serve.
    pub announced: String,
    /// Where it says that it listens.
    pub addresses: Vec<SocketAddr>,
    /// What it serves, for as long as it does.
    site: Option<Arc<Site>>,
}

impl Program {
    /// Keeps `site` for as long as the program runs.
    pub fn serving(mut self, site: Arc<Site>) -> Program {
        self.site = Some(site);
        self
    }

    /// Starts a server; returns when it serves.
    pub fn start(command: &mut Command) -> Program {
        let mut program = Program::spawn(command).expect("the program");
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            let mut byte = [0];
            await_readable(&program.stdout, "the program's first line");
            if program.stdout.read(&mut byte).expect("its output") == 0 {
                panic!("{command:?} does not serve: {:?}", program.exit());
            }
            line.extend(byte);
        }
        program.announced = String::from_utf8(line).expect("text");
        let urls = program.announced.split("http://").skip(1);
        let address = |url: &str| url.split('/').next().and_then(|address| address.parse().ok());
        program.addresses = urls.map(|url| address(url).expect("an address")).collect();
        program
    }

    /// Starts a program that may end by itself.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn spawn(command: &mut Command) -> std::io::Result<Program> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        Ok(Program { child, stdout, stderr, announced: String::new(), addresses: Vec::new(), site: None })
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

    /// Its children and the state of each, one letter as in proc(5).
    pub fn workers(&self) -> Vec<(Pid, char)> {
        let pid = self.pid().as_raw_nonzero();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("children");
        let state = |pid: i32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // Behind the name, which stands in brackets and may hold anything.
            Some((Pid::from_raw(pid)?, stat.rsplit_once(") ")?.1.chars().next()?))
        };
        children.split_whitespace().filter_map(|pid| state(pid.parse().ok()?)).collect()
    }

    /// Waits for its end, and for that of every process that writes where it wrote.
    pub fn exit(mut self) -> Exit {
        let code = self.wait();
        let endless = |said| -> String { panic!("somebody still has its output; it said {said:?}") };
        let stdout = read_to_end(&mut self.stdout).unwrap_or_else(endless);
        let stderr = read_to_end(&mut self.stderr).unwrap_or_else(endless);
        Exit { code, stdout, stderr }
    }

    fn wait(&mut self) -> Option<i32> {
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
            // Two different signals do not become one: the second ends what the first would wait for.
            self.signal(Signal::TERM);
            self.signal(Signal::INT);
            let ended = pidfd_open(self.pid(), PidfdFlags::empty()).is_ok_and(|process| readable(&process));
            if !ended {
                let _ = self.child.kill();
            }
            let _ = self.child.wait();
        }
        if thread::panicking() {
            let (Ok(said) | Err(said)) = read_to_end(&mut self.stderr);
            eprintln!("the program said: {said}");
        }
    }
}

/// All that is written, or what was written before patience was over.
fn read_to_end(pipe: &mut (impl Read + AsFd)) -> Result<String, String> {
    let mut all = Vec::new();
    let mut some = [0; 4096];
    let text = |all: &[u8]| String::from_utf8_lossy(all).into_owned();
    while readable(&*pipe) {
        match pipe.read(&mut some) {
            Ok(0) => return Ok(text(&all)),
            Ok(count) => all.extend(&some[..count]),
            Err(_) => break,
        }
    }
    Err(text(&all))
}

fn await_readable(source: impl AsFd, what: &str) {
    assert!(readable(source), "waited in vain: {what}");
}

/// Whether there is something to read, or the end of it, before patience is over.
fn readable(source: impl AsFd) -> bool {
    let deadline = Instant::now() + PATIENCE;
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
