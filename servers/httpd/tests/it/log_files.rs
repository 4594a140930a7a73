//! The files of the logs: which user opens them, and where the lines go after a switch of users or a rotation.

use crate::{
    client::{Client, TIMEOUT, get, wait_for},
    handoff,
    program::{self, HTTPD, Program, ServerKind, check_served, open_paths, text},
    site::Site,
};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    os::{
        fd::OwnedFd,
        unix::{
            fs::{MetadataExt, PermissionsExt, chown, symlink},
            net::UnixStream,
        },
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};
use tempfile::TempDir;

/// The user to which the programs switch. It needs no entry in `/etc/passwd`.
const USER: u32 = 54321;

/// The options that make a program switch to [`USER`].
const SWITCH: [&str; 4] = ["--user", "54321", "--group", "54321"];

/// Returns whether the tests run as root. Otherwise prints that the test is skipped: only root can switch users.
fn is_root() -> bool {
    let is_root = geteuid().is_root();
    if !is_root {
        println!("skipped: only root can switch users");
    }
    is_root
}

/// Makes a directory that belongs to `owner` and has this mode.
fn directory_of(owner: u32, mode: u32) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    chown(directory.path(), Some(owner), Some(owner)).expect("root may");
    fs::set_permissions(directory.path(), PermissionsExt::from_mode(mode)).expect("root may");
    directory
}

/// Returns a command that runs `httpd` with the shared site and, if the test runs as root, switches to [`USER`].
fn command(kind: ServerKind, site: &Site) -> Command {
    fs::set_permissions(site.root(), PermissionsExt::from_mode(0o755)).expect("ours");
    program::command(HTTPD, kind, site.root(), if geteuid().is_root() { &SWITCH } else { &[] })
}

/// Requests `target`, which is missing, from the server at `address`, and waits for its line in the access log `log`.
fn check_logged(address: SocketAddr, target: &str, log: &Path) {
    let mut client = Client::connect(address);
    client.fetch(get(target));
    client.finish();
    wait_for("a line in the access log", || {
        fs::read_to_string(log).ok()?.contains(&format!("\"GET {target} HTTP/1.1\" 404 ")).then_some(())
    });
}

/// A program that switches to [`USER`]. Its logs are `access` and `errors` in `directory`.
struct LoggingProgram {
    program: Program,
    directory: TempDir,
    _site: Arc<Site>,
}

impl LoggingProgram {
    /// Starts the program.
    fn start(kind: ServerKind, directory: TempDir) -> LoggingProgram {
        let site = Site::shared();
        let mut command = command(kind, &site);
        command.arg("--log-file").arg(directory.path().join("access"));
        command.arg("--error-log").arg(directory.path().join("errors"));
        LoggingProgram { program: Program::start(&mut command), directory, _site: site }
    }

    /// Returns the path of the log `name`.
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Requests `target`, and waits for its line in the access log `name`.
    fn check_logged(&self, target: &str, name: &str) {
        check_logged(self.program.address(), target, &self.path(name));
    }
}

two_kinds! {
    /// Only root may create files in the directory, or look into it. That includes the processes that start later.
    fn root_opens_the_logs_before_the_switch_of_users(kind: ServerKind) {
        for mode in [0o755, 0o700].into_iter().filter(|_| is_root()) {
            let logging = LoggingProgram::start(kind, directory_of(0, mode));
            logging.check_logged("/one", "access");
            let metadata = fs::metadata(logging.path("access")).expect("a log");
            assert_eq!((metadata.uid(), metadata.mode() & 0o777), (0, 0o640));
            for (worker, _) in logging.program.workers() {
                kill_process(worker, Signal::KILL).expect("a worker");
            }
            (0..4).for_each(|number| logging.check_logged(&format!("/two-{number}"), "access"));
            assert_eq!(logging.program.stop().code, Some(0));
            let errors = fs::read_to_string(logging.directory.path().join("errors")).expect("a log");
            assert!(errors.lines().all(|line| line.contains(" ended: ")), "{errors}");
        }
    }

    fn a_successor_continues_logs_that_only_root_may_open(kind: ServerKind) {
        if !is_root() {
            return;
        }
        let directory = directory_of(0, 0o700);
        let [access, errors] = ["access", "errors"].map(|name| directory.path().join(name));
        let logs = ["--log-file", text(&access), "--error-log", text(&errors)];
        let generations = handoff::start(kind, &[&SWITCH[..], &logs].concat());
        check_logged(generations.first().address(), "/before", &access);
        generations.check_upgrade();
        check_logged(generations.first().address(), "/after", &access);
        generations.stop();
        // The old server may write its line after the command `--upgrade` has ended, but before it ends itself.
        let errors = fs::read_to_string(errors).expect("a log");
        assert!(errors.lines().count() == 1 && errors.contains(" has taken over"), "{errors}");
    }

    /// The user cannot open the files again: that matters only after a rotation.
    fn a_rotation_must_create_the_new_log_for_the_user(kind: ServerKind) {
        if !is_root() {
            return;
        }
        let logging = LoggingProgram::start(kind, directory_of(0, 0o755));
        let [access, rotated] = ["access", "access.1"].map(|name| logging.path(name));
        logging.program.signal(Signal::USR1);
        logging.check_logged("/one", "access");
        fs::rename(&access, &rotated).expect("a rename");
        logging.program.signal(Signal::USR1);
        let message = format!(
            "cannot open {}: permission denied (still writing to the file opened before; create the new file for user {USER})",
            access.display()
        );
        let errors = wait_for("a message", || {
            fs::read_to_string(logging.path("errors")).ok().filter(|errors| errors.contains(&message))
        });
        assert!(errors.lines().all(|line| line.contains(&message)), "{errors}");
        logging.check_logged("/two", "access.1");
        fs::write(&access, "").expect("a file");
        chown(&access, Some(USER), None).expect("root may");
        logging.program.signal(Signal::USR1);
        // Every process reopens the file when it has handled the signal.
        wait_for("the new log to be used", || {
            let uses_new = |open: Vec<PathBuf>| open.contains(&access) && !open.contains(&rotated);
            logging.program.processes().into_iter().map(open_paths).all(uses_new).then_some(())
        });
        logging.check_logged("/three", "access");
        assert_eq!(logging.program.stop().code, Some(0));
    }

    /// In a directory of the user, the name of a log may lead anywhere. Root must not follow it.
    fn the_user_opens_the_logs_in_a_directory_that_it_controls(kind: ServerKind) {
        if !is_root() {
            return;
        }
        let (site, directory, victims) = (Site::shared(), directory_of(USER, 0o755), directory_of(0, 0o755));
        let (log, victim) = (directory.path().join("access"), victims.path().join("victim"));
        symlink(&victim, &log).expect("a link");
        let mut command = command(kind, &site);
        let exit = Program::spawn(command.arg("--log-file").arg(&log)).expect("httpd").wait();
        let expected = format!("httpd: cannot open {}: permission denied\n", log.display());
        assert_eq!((exit.code, exit.stderr, victim.exists()), (Some(1), expected, false));
        fs::remove_file(&log).expect("a link");
        let logging = LoggingProgram::start(kind, directory);
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
            let mut command = command(kind, &site);
            command.args(["--log-file", name, "--error-log", "/dev/stderr"]).stdin(Stdio::null());
            let mut child = command.stdout(OwnedFd::from(theirs)).stderr(Stdio::null()).spawn().expect("httpd");
            drop(command);
            ours.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
            let (mut lines, mut line, mut rest) = (BufReader::new(ours), String::new(), String::new());
            lines.read_line(&mut line).expect("the startup line");
            let address = line.split("http://").nth(1).and_then(|url| url.split('/').next()?.parse().ok());
            check_served(address.unwrap_or_else(|| panic!("no address in {line:?}")));
            kill_process(Pid::from_child(&child), Signal::TERM).expect("a process");
            lines.read_to_string(&mut rest).expect("the log");
            assert_eq!(child.wait().expect("a status").code(), Some(0));
            assert!(rest.contains("\"GET /notes.txt HTTP/1.1\" 200 6 \"-\" \"-\"\n"), "{name}: {rest:?}");
        }
    }

    fn a_log_file_implies_the_combined_format(kind: ServerKind) {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("access");
        let logged = |arguments: &[&str]| {
            let program = program::serve(kind, &[&["--log-file", text(&log)], arguments].concat());
            check_served(program.address());
            program.stop_cleanly();
            fs::read_to_string(&log).unwrap_or_default()
        };
        let lines = logged(&[]);
        assert!(lines.ends_with("\"GET /notes.txt HTTP/1.1\" 200 6 \"-\" \"-\"\n"), "{lines}");
        assert_eq!(logged(&["--log", "off"]), lines, "no further line");
        assert!(logged(&["--log", "common"]).ends_with("\"GET /notes.txt HTTP/1.1\" 200 6\n"));
    }
}
