//! Signals that do not stop a running server, and standard output and error that take no bytes.

use crate::{
    client::{Client, get, wait_for},
    program::{self, HTTPD, ServerKind, open_paths, read_pid, text},
    site::Site,
};
use rustix::{
    io::ioctl_fionbio,
    process::{Pid, Signal, kill_process},
};
use std::{
    fs,
    io::{PipeReader, PipeWriter, Read, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
};

/// If the test panics, dropping this value kills the process that this PID file names.
struct KillIfPanicking<'a>(&'a Path);

impl Drop for KillIfPanicking<'_> {
    fn drop(&mut self) {
        if let (true, Some(pid)) = (thread::panicking(), read_pid(self.0)) {
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

http_testing::both_engines! {
    /// As after logrotate has renamed the files.
    fn sigusr1_and_sighup_reopen_the_logs(kind: ServerKind) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        let read = |name: &str| fs::read_to_string(path(name)).unwrap_or_default();
        let (log, errors) = (path("log"), path("errors"));
        let program = program::serve(kind, &["--log-file", text(&log), "--error-log", text(&errors)]);
        let mut kept = Client::connect(program.address());
        for (number, signal) in [Signal::USR1, Signal::HUP].into_iter().enumerate() {
            assert_eq!(kept.fetch(get(&format!("/before-{number}"))).status, 404);
            wait_for("a line in the access log", || read("log").ends_with('\n').then_some(()));
            let rotated = ["log", "errors"].map(|name| {
                fs::rename(path(name), path(&format!("{name}.{number}"))).expect("a log");
                path(&format!("{name}.{number}"))
            });
            program.signal(signal);
            wait_for("the old files to be closed", || {
                let open: Vec<_> = program.processes().into_iter().flat_map(open_paths).collect();
                rotated.iter().all(|rotated| !open.contains(rotated)).then_some(())
            });
            assert_eq!(kept.fetch(get(&format!("/after-{number}"))).status, 404);
        }
        kept.finish();
        program.stop_cleanly();
        let requests = |name: &str| -> Vec<String> {
            read(name).lines().map(|line| line.split(' ').nth(6).expect("a target").to_owned()).collect()
        };
        assert_eq!(requests("log.0"), ["/before-0"]);
        assert_eq!(requests("log.1"), ["/after-0", "/before-1"]);
        assert_eq!((requests("log"), read("errors").lines().count()), (vec!["/after-1".to_owned()], 0));
    }

    fn sigpipe_ends_no_process(kind: ServerKind) {
        let program = program::serve(kind, &[]);
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

two_kinds! {
    fn a_full_standard_output_delays_no_signal(kind: ServerKind) {
        let (site, directory) = (Site::shared(), tempfile::tempdir().expect("a directory"));
        let (mut reader, writer) = full_pipe();
        let pid_file = directory.path().join("pid");
        let mut command = program::command(HTTPD, kind, site.root(), &["--pid-file", text(&pid_file)]);
        let mut child = command.stdout(writer).stderr(Stdio::null()).spawn().expect("httpd");
        let _killed = KillIfPanicking(&pid_file);
        let first = wait_for("the PID file", || read_pid(&pid_file));
        kill_process(first, Signal::USR2).expect("a process");
        let second = wait_for("a successor", || read_pid(&pid_file).filter(|second| *second != first));
        assert_eq!(child.wait().expect("the first process").code(), Some(0));
        kill_process(second, Signal::TERM).expect("a process");
        wait_for("the end of the successor", || (!pid_file.exists()).then_some(()));
        // Whether the startup lines are lost depends on when the pipe is read.
        drop(command);
        let mut output = String::new();
        reader.read_to_string(&mut output).expect("the pipe");
        let mut lines = output.trim_start_matches('x').lines();
        assert!(lines.all(|line| line.starts_with("httpd serves ")), "{}", output.trim_start_matches('x'));
    }
}

/// A program that cannot start ends although no process reads its message.
#[test]
fn a_full_standard_error_delays_no_exit() {
    let (_reader, writer) = full_pipe();
    let mut command = Command::new(HTTPD);
    let mut child = command.args(["-p", "0", "/nowhere/at/all"]).stderr(writer).spawn().expect("httpd");
    let status = wait_for("the end of the program", || child.try_wait().expect("a child"));
    assert_eq!(status.code(), Some(1));
}

/// A terminal or `killall` sends the master's signals to the workers too. Only the master acts on them.
#[test]
fn workers_ignore_signals_for_their_master() {
    for kind in [ServerKind::EventLoopPrefork, ServerKind::BlockingPrefork] {
        let program = program::serve(kind, &[]);
        let before = program.processes();
        for (worker, _) in program.workers() {
            for signal in [Signal::INT, Signal::HUP, Signal::USR1, Signal::USR2] {
                kill_process(worker, signal).expect("a worker");
            }
        }
        (0..4).for_each(|_| program::check_served(program.address()));
        assert_eq!(program.processes(), before);
        program.signal(Signal::INT);
        let exit = program.wait();
        assert_eq!((exit.code, &*exit.stderr), (Some(0), ""));
    }
}

/// `ps` shows the name of a process, and its arguments. The kernel's name of a program started by `/proc/self/exe` is
/// `exe`.
#[test]
fn workers_have_the_name_of_the_program() {
    let program = program::serve(ServerKind::BlockingPrefork, &[]);
    let read =
        |worker: Pid, name: &str| fs::read_to_string(format!("/proc/{worker}/{name}")).expect("a name");
    let mut arguments: Vec<String> = Vec::new();
    for (worker, _) in program.workers() {
        assert_eq!(read(worker, "comm"), "httpd\n");
        arguments.push(read(worker, "cmdline"));
    }
    arguments.sort();
    for (number, arguments) in arguments.iter().enumerate() {
        assert!(arguments.starts_with(&format!("httpd: worker {number}\0-r\0")), "{arguments:?}");
    }
    program.stop_cleanly();
}
