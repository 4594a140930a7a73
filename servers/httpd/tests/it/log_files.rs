//! The files of the logs: which user opens them, and where the lines go after a switch of users or a rotation.

use crate::{
    client::{Client, get, wait_for},
    handoff::upgrade,
    operations::check_served,
    program::{self, Program},
    server::ServerKind,
    site::Site,
};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown, symlink},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};
use tempfile::TempDir;

/// The user to which the programs switch. It needs no entry in `/etc/passwd`.
const USER: u32 = 54321;

/// A program that switches to [`USER`], and the directory of its logs.
struct LoggingProgram {
    program: Program,
    directory: TempDir,
    _site: Arc<Site>,
}

/// Makes a directory that belongs to `owner` and has this mode, and into which every user may look.
fn directory_of(owner: u32, mode: u32) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    chown(directory.path(), Some(owner), Some(owner)).expect("root may");
    fs::set_permissions(directory.path(), PermissionsExt::from_mode(mode)).expect("root may");
    directory
}

/// Returns a command that runs `httpd` with the shared site and switches to [`USER`].
fn command(kind: ServerKind, site: &Site) -> Command {
    fs::set_permissions(site.root(), PermissionsExt::from_mode(0o755)).expect("ours");
    let mut command = Command::new(env!("CARGO_BIN_EXE_httpd"));
    command.args(["-w", "2", "-b", "127.0.0.1", "-p", "0", "-r"]).arg(site.root()).args(kind.arguments());
    command.args(["--user", &USER.to_string(), "--group", &USER.to_string()]);
    command
}

impl LoggingProgram {
    /// Starts a program whose logs are `access` and `errors` in `directory`.
    fn start(kind: ServerKind, directory: TempDir, arguments: &[&str]) -> LoggingProgram {
        let site = Site::shared();
        let mut command = command(kind, &site);
        command.arg("--log-file").arg(directory.path().join("access")).args(arguments);
        command.arg("--error-log").arg(directory.path().join("errors"));
        LoggingProgram { program: Program::start(&mut command), directory, _site: site }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a log")
    }

    /// Requests `target` on a new connection, and waits for its line in the access log `name`.
    fn check_logged(&self, target: &str, name: &str) {
        let mut client = Client::connect(self.program.address());
        client.fetch(get(target));
        client.finish();
        wait_for("a line in the access log", || {
            self.read(name).contains(&format!("\"GET {target} HTTP/1.1\" 404 ")).then_some(())
        });
    }
}

http_testing::both_engines! {
    /// Only root may create files in the directory, or look into it. That includes the processes that start later.
    fn root_opens_the_logs_before_the_switch_of_users(kind: ServerKind) {
        if !geteuid().is_root() {
            return println!("skipped: only root can switch users");
        }
        for mode in [0o755, 0o700] {
            let logging = LoggingProgram::start(kind, directory_of(0, mode), &[]);
            logging.check_logged("/one", "access");
            let metadata = fs::metadata(logging.path("access")).expect("a log");
            assert_eq!((metadata.uid(), metadata.mode() & 0o777), (0, 0o640));
            for (worker, _) in logging.program.workers() {
                kill_process(worker, Signal::KILL).expect("a worker");
            }
            (0..4).for_each(|number| logging.check_logged(&format!("/two-{number}"), "access"));
            assert_eq!(logging.program.stop().code, Some(0));
            let lines = fs::read_to_string(logging.directory.path().join("errors")).expect("a log");
            assert_eq!(lines.lines().filter(|line| !line.contains(" ended: ")).count(), 0, "{lines}");
        }
    }

    fn a_successor_continues_logs_that_only_root_may_open(kind: ServerKind) {
        if !geteuid().is_root() {
            return println!("skipped: only root can switch users");
        }
        let pids = tempfile::tempdir().expect("a directory");
        fs::set_permissions(pids.path(), PermissionsExt::from_mode(0o755)).expect("ours");
        let pid_file = pids.path().join("pid");
        let arguments = ["--pid-file", pid_file.to_str().expect("text")];
        let logging = LoggingProgram::start(kind, directory_of(0, 0o700), &arguments);
        logging.check_logged("/before", "access");
        let exit = upgrade(&pid_file);
        assert_eq!((exit.code, &*exit.stderr), (Some(0), ""));
        logging.check_logged("/after", "access");
        let errors = logging.read("errors");
        let pid = fs::read_to_string(&pid_file).expect("a PID").trim().parse().ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a PID"), Signal::TERM).expect("a process");
        assert_eq!((logging.program.wait().code, errors.lines().count()), (Some(0), 1), "{errors}");
        assert!(errors.contains(" has taken over"), "{errors}");
    }

    /// The user cannot open the files again: that matters only after a rotation.
    fn a_rotation_must_create_the_new_log_for_the_user(kind: ServerKind) {
        if !geteuid().is_root() {
            return println!("skipped: only root can switch users");
        }
        let logging = LoggingProgram::start(kind, directory_of(0, 0o755), &[]);
        logging.program.signal(Signal::USR1);
        logging.check_logged("/one", "access");
        fs::rename(logging.path("access"), logging.path("access.1")).expect("a rename");
        logging.program.signal(Signal::USR1);
        let message = format!(
            "cannot open {}: permission denied (still writing to the file opened before; create the new file for user {USER})",
            logging.path("access").display()
        );
        let errors = wait_for("a message", || Some(logging.read("errors")).filter(|errors| errors.contains(&message)));
        assert!(errors.lines().all(|line| line.contains(&message)), "{errors}");
        logging.check_logged("/two", "access.1");
        fs::write(logging.path("access"), "").expect("a file");
        chown(logging.path("access"), Some(USER), None).expect("root may");
        logging.program.signal(Signal::USR1);
        // Every process reopens the file when it has handled the signal.
        wait_for("the new log to be used", || {
            let is_open = |process: Pid| {
                let descriptors = fs::read_dir(format!("/proc/{process}/fd")).ok()?.flatten();
                let names: Vec<_> = descriptors.filter_map(|open| fs::read_link(open.path()).ok()).collect();
                Some(!names.contains(&logging.path("access.1")) && names.contains(&logging.path("access")))
            };
            logging.program.processes().into_iter().all(|process| is_open(process) == Some(true)).then_some(())
        });
        logging.check_logged("/three", "access");
        assert_eq!(logging.program.stop().code, Some(0));
    }

    /// In a directory of the user, the name of a log may lead anywhere. Root must not follow it.
    fn the_user_opens_the_logs_in_a_directory_that_it_controls(kind: ServerKind) {
        if !geteuid().is_root() {
            return println!("skipped: only root can switch users");
        }
        let (site, directory, victims) = (Site::shared(), directory_of(USER, 0o755), directory_of(0, 0o755));
        let (log, victim) = (directory.path().join("access"), victims.path().join("victim"));
        symlink(&victim, &log).expect("a link");
        let mut command = command(kind, &site);
        let exit = Program::spawn(command.arg("--log-file").arg(&log)).expect("httpd").wait();
        let expected = format!("httpd: cannot open {}: permission denied\n", log.display());
        assert_eq!((exit.code, exit.stderr, victim.exists()), (Some(1), expected, false));
        fs::remove_file(&log).expect("a link");
        let logging = LoggingProgram::start(kind, directory, &[]);
        assert_eq!(fs::metadata(&log).expect("a log").uid(), USER);
        logging.check_logged("/one", "access");
        // The user can create the new file itself.
        fs::rename(&log, logging.path("access.1")).expect("a rename");
        logging.program.signal(Signal::USR1);
        wait_for("a new log", || fs::metadata(&log).ok());
        logging.check_logged("/two", "access");
        logging.program.stop_cleanly();
    }

    /// Opening `/dev/stdout` fails if standard output is a socket, and if it is a file of another user.
    fn dev_stdout_means_the_open_standard_output(kind: ServerKind) {
        let site = Site::shared();
        for name in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
            let (ours, theirs) = UnixStream::pair().expect("sockets");
            let mut command = if geteuid().is_root() { command(kind, &site) } else { Command::new(env!("CARGO_BIN_EXE_httpd")) };
            if !geteuid().is_root() {
                command.args(["-w", "2", "-p", "0", "-r"]).arg(site.root()).args(kind.arguments());
            }
            command.args(["--log-file", name, "--error-log", "/dev/stderr"]).stdin(Stdio::null());
            let mut child = command.stdout(std::os::fd::OwnedFd::from(theirs)).stderr(Stdio::null()).spawn().expect("httpd");
            drop(command);
            ours.set_read_timeout(Some(crate::client::TIMEOUT)).expect("a timeout");
            let mut lines = BufReader::new(ours);
            let mut line = String::new();
            lines.read_line(&mut line).expect("the startup line");
            let address = line.split("http://").nth(1).and_then(|url| url.split('/').next()?.parse().ok());
            check_served(address.unwrap_or_else(|| panic!("no address in {line:?}")));
            kill_process(Pid::from_child(&child), Signal::TERM).expect("a process");
            let mut rest = String::new();
            lines.read_to_string(&mut rest).expect("the log");
            assert_eq!(child.wait().expect("a status").code(), Some(0));
            assert!(rest.contains("\"GET /notes.txt HTTP/1.1\" 200 6 \"-\" \"-\"\n"), "{name}: {rest:?}");
        }
    }

    fn a_log_file_implies_the_combined_format(kind: ServerKind) {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("access");
        let logged = |arguments: &[&str]| {
            let file = ["--log-file", log.to_str().expect("text")];
            let program = program::serve(&[kind.arguments(), &file, arguments].concat());
            check_served(program.address());
            program.stop_cleanly();
            read_if_there(&log)
        };
        let lines = logged(&[]);
        assert!(lines.ends_with("\"GET /notes.txt HTTP/1.1\" 200 6 \"-\" \"-\"\n"), "{lines}");
        assert_eq!(logged(&["--log", "off"]), lines, "no further line");
        assert!(logged(&["--log", "common"]).ends_with("\"GET /notes.txt HTTP/1.1\" 200 6\n"));
    }
}

/// Returns the content of a file, or nothing if there is no file.
fn read_if_there(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
