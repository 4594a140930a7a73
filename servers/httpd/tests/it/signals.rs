//! Signals that do not stop a running server: SIGHUP, SIGUSR1, SIGPIPE.

use crate::{
    client::{Client, get, wait_for},
    program::{self, Program},
    server::ServerKind,
    site::Site,
};
use rustix::{
    io::ioctl_fionbio,
    process::{Pid, Signal, kill_process},
};
use std::{
    fs,
    io::{PipeReader, PipeWriter, Read, Write},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};
use tempfile::TempDir;

/// Two releases of a site, the directories `one` and `two`. The document root is `current`, a symbolic link to one of
/// them.
struct Releases {
    directory: TempDir,
}

impl Releases {
    /// Makes both releases and a link to the first. The file `index.html` of each contains the name of its directory.
    fn new() -> Releases {
        let directory = tempfile::tempdir().expect("a directory");
        for name in ["one", "two"] {
            fs::create_dir(directory.path().join(name)).expect("a directory");
            fs::write(directory.path().join(name).join("index.html"), name).expect("a file");
        }
        let releases = Releases { directory };
        releases.switch_to("one");
        releases
    }

    /// Returns the path of the file or directory `name`.
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Replaces the link `current` atomically by a link to the release `name`.
    fn switch_to(&self, name: &str) {
        symlink(name, self.path("next")).expect("a link");
        fs::rename(self.path("next"), self.path("current")).expect("a rename");
    }

    /// Starts an `httpd` of this kind that serves `current`. Its error log is the file `errors`, its access log `log`.
    fn serve(&self, kind: ServerKind) -> Program {
        let (errors, log) = (self.path("errors"), self.path("log"));
        let files = ["--error-log", text(&errors), "--log", "common", "--log-file", text(&log)];
        program::serve_root(&self.path("current"), &[kind.arguments(), &files].concat())
    }
}

/// Returns the path as text, for a command-line argument.
fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// If the test panics, dropping this value kills the process that this PID file names.
struct KillIfPanicking<'a>(&'a Path);

impl Drop for KillIfPanicking<'_> {
    fn drop(&mut self) {
        let pid = fs::read_to_string(self.0).ok().and_then(|text| text.trim().parse().ok());
        if let (true, Some(pid)) = (thread::panicking(), pid.and_then(Pid::from_raw)) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Returns a pipe that is full, so that writing to it blocks.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    ioctl_fionbio(&writer, true).expect("a pipe");
    while writer.write(&[b'x'; 4096]).is_ok() {}
    ioctl_fionbio(&writer, false).expect("a pipe");
    (reader, writer)
}

/// Returns whether a process of the program has this file open.
fn is_open(program: &Program, path: &Path) -> bool {
    program.processes().into_iter().any(|process| {
        let descriptors = fs::read_dir(format!("/proc/{process}/fd")).expect("descriptors");
        descriptors
            .flatten()
            .any(|descriptor| fs::read_link(descriptor.path()).is_ok_and(|target| target == path))
    })
}

/// Renames both logs and sends `signal`. Checks that the program closes the renamed files, and logs to new files with
/// the old names.
fn check_reopens_logs(kind: ServerKind, signal: Signal) {
    let releases = Releases::new();
    let program = releases.serve(kind);
    let mut kept = Client::connect(program.address());
    assert_eq!(kept.fetch(get("/before")).status, 404);
    let (log, errors) = (releases.path("log"), releases.path("errors"));
    let lines = |path: &Path| fs::read_to_string(path).expect("a log");
    wait_for("a line in the access log", || lines(&log).ends_with('\n').then_some(()));
    let rotated = [&log, &errors].map(|path| path.with_extension("1"));
    for (path, rotated) in [&log, &errors].into_iter().zip(&rotated) {
        fs::rename(path, rotated).expect("a rename");
    }
    program.signal(signal);
    wait_for("the old files to be closed", || {
        (!rotated.iter().any(|rotated| is_open(&program, rotated))).then_some(())
    });
    assert_eq!(kept.fetch(get("/after")).status, 404);
    kept.finish();
    program.stop_cleanly();
    let (old, new) = (lines(&rotated[0]), lines(&log));
    assert!(old.contains("GET /before ") && !old.contains("GET /after "), "{old}");
    assert!(new.contains("GET /after ") && !new.contains("GET /before "), "{new}");
    assert!(errors.exists());
}

http_testing::both_engines! {
    fn sigusr1_reopens_the_logs(kind: ServerKind) {
        check_reopens_logs(kind, Signal::USR1);
    }

    fn sighup_reopens_the_logs(kind: ServerKind) {
        check_reopens_logs(kind, Signal::HUP);
    }

    fn sighup_opens_the_document_root_again(kind: ServerKind) {
        let releases = Releases::new();
        let program = releases.serve(kind);
        // Enough connections for each worker to have one.
        let mut kept: Vec<_> = (0..8).map(|_| Client::connect(program.address())).collect();
        let mut all_receive = |expected: &str| {
            kept.iter_mut().all(|client| client.fetch(get("/")).text() == expected)
        };
        assert!(all_receive("one"));
        releases.switch_to("two");
        program.signal(Signal::HUP);
        wait_for("the new release", || all_receive("two").then_some(()));
        // If the new root cannot be opened, the program continues to serve the old one.
        fs::rename(releases.path("current"), releases.path("gone")).expect("a rename");
        program.signal(Signal::HUP);
        let errors = wait_for("a message", || {
            fs::read_to_string(releases.path("errors")).ok().filter(|errors| errors.contains("cannot serve"))
        });
        assert!(errors.contains("no such file"), "{errors}");
        assert!(all_receive("two"));
        kept.into_iter().for_each(Client::finish);
        program.stop_cleanly();
    }

    fn a_full_standard_output_delays_no_signal(kind: ServerKind) {
        let (site, directory) = (Site::shared(), tempfile::tempdir().expect("a directory"));
        let (mut reader, writer) = full_pipe();
        let pid_file = directory.path().join("pid");
        let mut command = Command::new(env!("CARGO_BIN_EXE_httpd"));
        command.args(kind.arguments()).args(["-w", "2", "-b", "127.0.0.1", "-p", "0", "-r"]).arg(site.root());
        command.arg("--pid-file").arg(&pid_file).stdout(writer).stderr(Stdio::null());
        let mut child = command.spawn().expect("httpd");
        let _killed = KillIfPanicking(&pid_file);
        let pid = || fs::read_to_string(&pid_file).ok()?.trim().parse().ok().and_then(Pid::from_raw);
        let first = wait_for("the PID file", pid);
        kill_process(first, Signal::USR2).expect("a process");
        let second = wait_for("a successor", || pid().filter(|second| *second != first));
        assert_eq!(child.wait().expect("the first process").code(), Some(0));
        kill_process(second, Signal::TERM).expect("a process");
        wait_for("the end of the successor", || (!pid_file.exists()).then_some(()));
        // Whether the startup lines are lost depends on when the pipe is read.
        drop(command);
        let mut output = Vec::new();
        reader.read_to_end(&mut output).expect("the pipe");
        let text = String::from_utf8_lossy(&output);
        let lines = text.trim_start_matches('x').lines();
        assert!(lines.clone().all(|line| line.starts_with("httpd serves ")), "{:?}", lines.collect::<Vec<_>>());
    }

    fn sigpipe_ends_no_process(kind: ServerKind) {
        let program = program::serve(kind.arguments());
        let before = program.processes();
        let mut kept = Client::connect(program.address());
        for process in &before {
            kill_process(*process, Signal::PIPE).expect("a process");
        }
        assert_eq!(kept.fetch(get("/notes.txt")).text(), "notes\n");
        kept.finish();
        assert_eq!(program.processes(), before);
        program.stop_cleanly();
    }
}

/// A program that cannot start ends although no process reads its message.
#[test]
fn a_full_standard_error_delays_no_exit() {
    let (_reader, writer) = full_pipe();
    let mut command = Command::new(env!("CARGO_BIN_EXE_httpd"));
    let mut child = command.args(["-p", "0", "/nowhere/at/all"]).stderr(writer).spawn().expect("httpd");
    let status = wait_for("the end of the program", || child.try_wait().expect("a child"));
    assert_eq!(status.code(), Some(1));
}

/// A terminal or `killall` sends the master's signals to the workers too.
#[test]
fn workers_ignore_signals_for_their_master() {
    let releases = Releases::new();
    let program = releases.serve(ServerKind::BlockingPrefork);
    let before = program.processes();
    for (worker, _) in program.workers() {
        for signal in [Signal::INT, Signal::HUP, Signal::USR1, Signal::USR2] {
            kill_process(worker, signal).expect("a worker");
        }
    }
    for _ in 0..4 {
        assert_eq!(Client::connect(program.address()).fetch(get("/")).text(), "one");
    }
    assert_eq!(program.processes(), before);
    program.stop_cleanly();
}
