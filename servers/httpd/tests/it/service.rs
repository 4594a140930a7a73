//! The program as a service: its PID file, its privileges, its confinement, and the messages to a service manager.

use crate::{
    client::{Client, TIMEOUT, get, wait_for},
    program::{self, HTTPD, Program, ServerKind, check_failure, check_served},
    site::Site,
};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixDatagram},
    path::Path,
};
use tempfile::TempDir;

/// The directories of a service: `www` is the document root and contains `notes.txt`, `log` is for logs, `run` is for
/// the PID file.
struct ServiceDirectory(TempDir);

impl ServiceDirectory {
    /// Makes the directories.
    fn new() -> ServiceDirectory {
        let directory = ServiceDirectory(tempfile::tempdir().expect("a directory"));
        for name in ["www", "log", "run"] {
            fs::create_dir(directory.path(name)).expect("a directory");
        }
        fs::write(directory.path("www/notes.txt"), "notes\n").expect("a file");
        // A program that gives up root must still reach these directories.
        directory.allow("", 0o755);
        directory.allow("www", 0o755);
        directory
    }

    /// Returns the path of the file or directory `name`, for example `log/access`.
    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("text").to_owned()
    }

    /// Sets the permissions of the file or directory `name`.
    fn allow(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), PermissionsExt::from_mode(mode)).expect("ours");
    }

    /// Returns the content of the file `name`, or `None` if it cannot be read.
    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path(name)).ok()
    }

    /// Starts an `httpd` of this kind with the PID file `run/pid` that serves `www`.
    fn serve(&self, kind: ServerKind, arguments: &[&str]) -> Program {
        let (root, pid_file) = (self.path("www"), self.path("run/pid"));
        program::serve_root(kind, Path::new(&root), &[&["--pid-file", &*pid_file], arguments].concat())
    }
}

/// Returns the value of this field of proc_pid_status(5) for each thread of the program and its workers.
fn status_of_threads(program: &Program, field: &str) -> Vec<String> {
    let tasks = program.processes().into_iter().flat_map(|process| {
        fs::read_dir(format!("/proc/{process}/task")).expect("threads").map(|task| task.expect("one").path())
    });
    let value = |status: String| {
        let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(":\t"));
        value.expect("the field").split_whitespace().collect::<Vec<_>>().join(" ")
    };
    tasks.filter_map(|task| fs::read_to_string(task.join("status")).ok()).map(value).collect()
}

two_kinds! {
    fn the_pid_file_exists_while_the_program_serves(kind: ServerKind) {
        let directory = ServiceDirectory::new();
        // A PID file that remained after a crash.
        fs::write(directory.path("run/pid"), "4194304\n").expect("a file");
        let program = directory.serve(kind, &[]);
        let line = Some(format!("{}\n", program.pid()));
        assert_eq!(directory.read("run/pid"), line);
        let (root, pid_file) = (directory.path("www"), directory.path("run/pid"));
        let second = [kind.arguments(), &["-p", "0", "-r", &root, "--pid-file", &pid_file]].concat();
        check_failure(&second, 1, &format!("process {} is already running", program.pid()));
        assert_eq!(directory.read("run/pid"), line);
        check_served(program.address());
        program.stop_cleanly();
        assert_eq!(directory.read("run/pid"), None);
    }

    fn gives_up_privileges_before_the_first_request(kind: ServerKind) {
        if !geteuid().is_root() {
            return println!("skipped: only root has privileges to drop");
        }
        let directory = ServiceDirectory::new();
        fs::write(directory.path("www/secret"), "").expect("a file");
        directory.allow("www/secret", 0o600);
        let program = directory.serve(kind, &["--user", "54321", "--group", "54322"]);
        for (field, expected) in [
            ("Uid", "54321 54321 54321 54321"),
            ("Gid", "54322 54322 54322 54322"),
            ("Groups", "54322"),
            ("CapPrm", "0000000000000000"),
            ("NoNewPrivs", "1"),
        ] {
            for status in status_of_threads(&program, field) {
                assert_eq!(status, expected, "{field}");
            }
        }
        check_served(program.address());
        assert_eq!(Client::connect(program.address()).fetch(get("/secret")).status, 403);
        program.stop_cleanly();
        // The directory belongs to root, so the program can only empty the file, not remove it.
        assert_eq!(directory.read("run/pid").as_deref(), Some(""));
    }

    fn a_confined_program_serves_logs_and_replaces_workers(kind: ServerKind) {
        let directory = ServiceDirectory::new();
        let log = directory.path("log/access");
        let program = directory.serve(kind, &["--confine", "--log", "common", "--log-file", &log]);
        if program.startup_line.contains("not confined") {
            return println!("skipped: this kernel has no Landlock");
        }
        assert!(program.startup_line.contains("confined to its files"), "{}", program.startup_line);
        check_served(program.address());
        fs::rename(&log, directory.path("log/old")).expect("a log");
        program.signal(Signal::USR1);
        wait_for("a new log", || directory.read("log/access"));
        check_served(program.address());
        let logged = || {
            let lines = ["log/old", "log/access"].map(|name| directory.read(name).unwrap_or_default()).concat();
            lines.matches("\"GET /notes.txt HTTP/1.1\" 200 6\n").count()
        };
        wait_for("two lines", || (logged() == 2).then_some(()));
        if kind.is_prefork() {
            // The confined master can still start a worker.
            let [(killed, _), ..] = program.workers()[..] else { panic!("no workers") };
            kill_process(killed, Signal::KILL).expect("a worker");
            let is_whole = |workers: &[(Pid, char)]| {
                workers.len() == 2 && workers.iter().all(|(worker, state)| *worker != killed && *state != 'Z')
            };
            wait_for("a new worker", || is_whole(&program.workers()).then_some(()));
        }
        check_served(program.address());
        assert_eq!(program.stop().code, Some(0));
        assert_eq!((directory.read("run/pid"), logged()), (None, 3));
    }

    fn warns_if_root_serves(kind: ServerKind) {
        let directory = ServiceDirectory::new();
        let errors = directory.path("log/errors");
        let is_root = geteuid().is_root();
        let users = [&[][..], &["--user", "54321", "--group", "54321"]];
        for user in users.into_iter().filter(|user| user.is_empty() || is_root) {
            let program = directory.serve(kind, &[&["--error-log", &errors], user].concat());
            assert_eq!(program.stop().code, Some(0));
            let lines = fs::read_to_string(&errors).expect("a log");
            let warnings = usize::from(is_root && user.is_empty());
            assert_eq!(lines.matches(" warning ").count(), warnings, "{user:?}: {lines}");
            assert_eq!(lines.matches(": serving as root: ").count(), warnings, "{user:?}: {lines}");
            fs::remove_file(&errors).expect("a log");
        }
    }

    fn notifies_a_service_manager(kind: ServerKind) {
        let (site, directory) = (Site::shared(), ServiceDirectory::new());
        let socket = directory.path("run/notify");
        let manager = UnixDatagram::bind(&socket).expect("a socket");
        manager.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
        let receive = || {
            let mut datagram = [0; 128];
            let length = manager.recv(&mut datagram).expect("a datagram");
            String::from_utf8_lossy(&datagram[..length]).into_owned()
        };
        let mut command = program::command(HTTPD, kind, site.root(), &[]);
        let program = Program::start(command.env("NOTIFY_SOCKET", &socket));
        assert_eq!(receive(), "READY=1");
        program.signal(Signal::HUP);
        assert!(receive().starts_with("RELOADING=1\nMONOTONIC_USEC="));
        assert_eq!(receive(), "READY=1");
        program.signal(Signal::TERM);
        assert_eq!(receive(), "STOPPING=1");
        assert_eq!(program.wait().code, Some(0));
        manager.set_nonblocking(true).expect("a socket");
        assert!(manager.recv(&mut [0]).is_err(), "no further message");
    }
}

#[test]
fn rejects_users_and_groups_that_it_cannot_switch_to() {
    if !geteuid().is_root() {
        return println!("skipped: only root can switch to another user");
    }
    for (arguments, expected) in [
        (["--user", "no-such-user", "--group", "54321"], "cannot find user no-such-user"),
        (["--user", "54321", "--group", "no-such-group"], "cannot find group no-such-group"),
        (["--user", "root", "--group", "54321"], "refusing --user root"),
        (["--user", "54321", "--group", "root"], "refusing --group root"),
    ] {
        check_failure(&[&["-p", "0"], &arguments[..]].concat(), 1, expected);
    }
}
