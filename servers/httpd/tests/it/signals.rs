//! Signals that do not stop a running server, and standard output and error that take no bytes.

use crate::{
    client::{Client, get, wait_for},
    program::{self, HTTPD, Program, await_closed, read_pid, text},
    site::{Directory, Site},
};
use rustix::{
    io::ioctl_fionbio,
    process::{Signal, kill_process},
};
use std::{
    fs,
    io::{PipeReader, PipeWriter, Write},
    os::fd::AsRawFd,
    process::Command,
};

http_testing::both_engines! {
    /// As after logrotate has renamed the files.
    fn sigusr1_and_sighup_reopen_the_logs(kind: ServerKind) {
        let directory = Directory::new();
        let (log, errors) = (directory.path("log"), directory.path("errors"));
        let program = program::serve(kind, &["--log-file", text(&log), "--error-log", text(&errors)]);
        let mut kept = Client::connect(program.address());
        for (number, signal) in [Signal::USR1, Signal::HUP].into_iter().enumerate() {
            assert_eq!(kept.fetch(get(&format!("/before-{number}"))).status, 404);
            wait_for("a line in the access log", || directory.read("log").contains("/before").then_some(()));
            let rotated = ["log", "errors"].map(|name| {
                let rotated = format!("{name}.{number}");
                directory.rename(name, &rotated);
                directory.path(&rotated)
            });
            program.signal(signal);
            await_closed(&program, &rotated);
            assert_eq!(kept.fetch(get(&format!("/after-{number}"))).status, 404);
        }
        program.stop_cleanly();
        let requests = |name: &str| -> Vec<String> {
            directory.read(name).lines().map(|line| line.split(' ').nth(6).expect("a target").to_owned()).collect()
        };
        assert_eq!(requests("log.0"), ["/before-0"]);
        assert_eq!(requests("log.1"), ["/after-0", "/before-1"]);
        assert_eq!(requests("log"), ["/after-1"]);
        assert!(errors.exists());
    }

    /// SIGPIPE ends no process. A terminal or `killall` sends the master's signals to the workers too: only the master
    /// acts on them. `ps` shows which process is which: the kernel's name of a program started by `/proc/self/exe`
    /// would be `exe`.
    fn ignores_sigpipe_and_in_workers_the_signals_for_the_master(kind: ServerKind) {
        let program = program::serve(kind, &[]);
        let before = program.processes();
        let mut kept = Client::connect(program.address());
        before.iter().for_each(|process| kill_process(*process, Signal::PIPE).expect("a process"));
        let mut names = Vec::new();
        for (worker, _) in program.workers() {
            for signal in [Signal::INT, Signal::HUP, Signal::USR1, Signal::USR2] {
                kill_process(worker, signal).expect("a worker");
            }
            let read = |name: &str| fs::read_to_string(format!("/proc/{worker}/{name}")).expect("a name");
            assert_eq!(read("comm"), "httpd\n");
            names.push(read("cmdline").split('\0').next().expect("a name").to_owned());
        }
        names.sort();
        let expected = if kind.is_prefork() { &["httpd: worker 0", "httpd: worker 1"][..] } else { &[] };
        assert_eq!(names, expected);
        assert_eq!(kept.fetch(get("/notes.txt")).text(), "notes\n");
        (0..4).for_each(|_| program::check_served(program.address()));
        assert_eq!(program.processes(), before);
        program.stop_cleanly();
    }
}

/// Runs `httpd` with a pipe that is full as its descriptor `number`: 1 is standard output, 2 standard error. Returns
/// the program, and the pipe, which must stay open.
fn spawn_with_full_pipe(number: u8, httpd: &Command) -> (Program, (PipeReader, PipeWriter)) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    ioctl_fionbio(&writer, true).expect("a pipe");
    while writer.write(&[b'x'; 4096]).is_ok() {}
    ioctl_fionbio(&writer, false).expect("a pipe");
    let process = std::process::id();
    let script = format!("exec \"$@\" {number}>/proc/{process}/fd/{}", writer.as_raw_fd());
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh", HTTPD]).args(httpd.get_args());
    (Program::spawn(&mut command).expect("httpd"), (reader, writer))
}

two_kinds! {
    fn a_full_standard_output_delays_no_signal(kind: ServerKind) {
        let (site, directory) = (Site::shared(), Directory::new());
        let pid_file = directory.path("pid");
        let command = program::command(HTTPD, kind, site.root(), &["--pid-file", text(&pid_file)]);
        let (program, _pipe) = spawn_with_full_pipe(1, &command);
        wait_for("the PID file", || read_pid(&pid_file));
        program.signal(Signal::TERM);
        assert_eq!(program.wait().code, Some(0));
        assert!(!pid_file.exists());
    }

    /// A program that cannot start ends although no process reads its message.
    fn a_full_standard_error_delays_no_exit(kind: ServerKind) {
        let command = program::command(HTTPD, kind, "/nowhere/at/all".as_ref(), &[]);
        let (program, _pipe) = spawn_with_full_pipe(2, &command);
        assert_eq!(program.wait().code, Some(1));
    }
}
