//! The program as a service: its PID file, its user, its confinement, the files of its logs, and the messages to a
//! service manager.

use crate::{
    client::{Client, TIMEOUT, get, wait_for},
    handoff,
    program::{self, HTTPD, Program, ServerKind, await_closed, check_failure, check_served, text},
    site::{Directory, Site},
    workers::await_workers,
};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::{
        fd::OwnedFd,
        unix::{
            fs::{MetadataExt, chown, symlink},
            net::{UnixDatagram, UnixStream},
        },
    },
    path::Path,
    process::Stdio,
};

/// The user to which root switches. It needs no entry in `/etc/passwd`.
const USER: u32 = 54321;

/// The options that make a program switch to [`USER`].
const SWITCH: [&str; 4] = ["--user", "54321", "--group", "54321"];

/// Returns whether the tests run as root. Otherwise prints that the test is skipped.
fn is_root() -> bool {
    let is_root = geteuid().is_root();
    if !is_root {
        println!("skipped: only root can switch users");
    }
    is_root
}

/// Makes the directories of a service: `www` is the document root and contains `notes.txt` and `index.html`, `log` is
/// for logs, `run` is for the PID file.
fn make_directory() -> Directory {
    let directory = Directory::new();
    ["log", "run"].iter().for_each(|name| fs::create_dir(directory.path(name)).expect("a directory"));
    directory.write("www/notes.txt", "notes\n");
    directory.write("www/index.html", "start\n");
    directory
}

/// Makes the directories. `log` belongs to `owner` and has this mode.
fn make_directory_with_logs_of(owner: u32, mode: u32) -> Directory {
    let directory = make_directory();
    chown(directory.path("log"), Some(owner), Some(owner)).expect("root may");
    directory.set_mode("log", mode);
    directory
}

/// Starts an `httpd` of this kind with the PID file `run/pid` that serves `www`.
fn serve(directory: &Directory, kind: ServerKind, arguments: &[&str]) -> Program {
    let pid_file = directory.path("run/pid");
    program::serve_root(kind, &directory.path("www"), &[&["--pid-file", text(&pid_file)], arguments].concat())
}

/// Starts an `httpd` of this kind with the logs `log/access` and `log/errors` that switches to [`USER`].
fn serve_as_user(directory: &Directory, kind: ServerKind) -> Program {
    let (access, errors) = (directory.path("log/access"), directory.path("log/errors"));
    let logs = ["--log-file", text(&access), "--error-log", text(&errors)];
    serve(directory, kind, &[&SWITCH[..], &logs].concat())
}

/// Requests `target`, which is missing, from the program, and waits for its line in the access log `log`.
fn check_logged(program: &Program, target: &str, log: &Path) {
    assert_eq!(Client::connect(program.address()).fetch(get(target)).status, 404);
    wait_for("a line in the access log", || {
        fs::read_to_string(log).ok()?.contains(&format!("\"GET {target} HTTP/1.1\" 404 ")).then_some(())
    });
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

/// Root has opened the directory at the start. (Worker processes open it again, and would not start.)
#[test]
fn warns_of_a_root_that_the_user_may_not_enter() {
    if !is_root() {
        return;
    }
    let directory = make_directory();
    directory.set_mode("www", 0o700);
    let (root, errors) = (directory.path("www"), directory.path("log/errors"));
    let warning = format!("cannot enter the document root {} as this user: clients get 403", text(&root));
    let program =
        serve(&directory, ServerKind::EventLoop, &[&["--error-log", text(&errors)], &SWITCH[..]].concat());
    assert_eq!(Client::connect(program.address()).fetch(get("/")).status, 403);
    program.stop_cleanly();
    assert_eq!(directory.read("log/errors").matches(&warning).count(), 1);
    let check = program::run(&[&["--check", text(&root)], &SWITCH[..]].concat());
    assert_eq!(check.code, Some(2));
    assert!(check.stderr.contains(&warning), "{check:?}");
    directory.set_mode("www", 0o755);
}

two_kinds! {
    fn the_pid_file_exists_while_the_program_serves(kind: ServerKind) {
        let directory = make_directory();
        let (root, pid_file) = (directory.path("www"), directory.path("run/pid"));
        // A PID file that remained after a crash.
        directory.write("run/pid", "4194304\n");
        let program = serve(&directory, kind, &[]);
        let line = format!("{}\n", program.pid());
        assert_eq!(directory.read("run/pid"), line);
        let second = [kind.arguments(), &["-p", "0", "-r", text(&root), "--pid-file", text(&pid_file)]].concat();
        check_failure(&second, 1, &format!("process {} is already running", program.pid()));
        assert_eq!(directory.read("run/pid"), line);
        check_served(program.address());
        program.stop_cleanly();
        assert!(!pid_file.exists());
    }

    fn gives_up_privileges_before_the_first_request(kind: ServerKind) {
        if !is_root() {
            return;
        }
        let directory = make_directory();
        let program = serve(&directory, kind, &["--user", "54321", "--group", "54322"]);
        for (field, expected) in [
            ("Uid", "54321 54321 54321 54321"),
            ("Gid", "54322 54322 54322 54322"),
            ("Groups", "54322"),
            ("CapPrm", "0000000000000000"),
            ("NoNewPrivs", "1"),
        ] {
            let statuses = status_of_threads(&program, field);
            assert!(statuses.iter().all(|status| status == expected), "{field}: {statuses:?}");
        }
        check_served(program.address());
        program.stop_cleanly();
        // The directory belongs to root, so the program can only empty the file, not remove it.
        assert!(directory.path("run/pid").exists() && directory.read("run/pid").is_empty());
    }

    fn a_file_that_the_user_may_not_read_gets_403(kind: ServerKind) {
        let directory = make_directory();
        directory.write("www/secret", "secret");
        fs::create_dir(directory.path("www/closed")).expect("a directory");
        ["www/secret", "www/closed"].iter().for_each(|name| directory.set_mode(name, 0));
        let program = serve(&directory, kind, if is_root() { &SWITCH } else { &[] });
        for target in ["/secret", "/closed/", "/closed/index.html", "/closed"] {
            assert_eq!(Client::connect(program.address()).fetch(get(target)).status, 403, "{target}");
        }
        check_served(program.address());
        // Otherwise the directory could not be removed.
        directory.set_mode("www/closed", 0o755);
    }

    fn a_confined_program_serves_logs_and_replaces_workers(kind: ServerKind) {
        let directory = make_directory();
        let (log, old) = (directory.path("log/access"), directory.path("log/old"));
        let program = serve(&directory, kind, &["--confine", "--log", "common", "--log-file", text(&log)]);
        if program.startup_line.contains("not confined") {
            return println!("skipped: this kernel has no Landlock");
        }
        assert!(program.startup_line.contains("confined to its files"), "{}", program.startup_line);
        check_logged(&program, "/one", &log);
        directory.rename("log/access", "log/old");
        program.signal(Signal::USR1);
        await_closed(&program, &[old]);
        check_logged(&program, "/two", &log);
        if kind.is_prefork() {
            // The confined master can still start a worker.
            let [(killed, _), ..] = program.workers()[..] else { panic!("no workers") };
            kill_process(killed, Signal::KILL).expect("a worker");
            await_workers(&program, &[killed]);
        }
        check_served(program.address());
        assert_eq!(program.stop().code, Some(0));
        assert!(directory.read("log/access").ends_with("\"GET /notes.txt HTTP/1.1\" 200 6\n"));
        assert!(!directory.path("run/pid").exists());
    }

    fn a_confined_worker_reads_the_media_types_again(kind: ServerKind) {
        let directory = make_directory();
        directory.write("types", "text/x-notes txt\n");
        let types = directory.path("types");
        let program = serve(&directory, kind, &["--confine", "--mime-types", text(&types)]);
        let workers = if kind.is_prefork() { await_workers(&program, &[]).to_vec() } else { Vec::new() };
        workers.iter().for_each(|worker| kill_process(*worker, Signal::KILL).expect("a worker"));
        let response = Client::connect(program.address()).fetch(get("/notes.txt"));
        assert_eq!(response.header("Content-Type"), Some("text/x-notes; charset=utf-8"));
    }

    fn a_confined_program_reloads_the_media_types(kind: ServerKind) {
        let directory = make_directory();
        let (types, errors) = (directory.path("types"), directory.path("log/errors"));
        directory.write("types", "text/x-old txt\n");
        let program = serve(&directory, kind, &[
            "--confine",
            "--mime-types",
            text(&types),
            "--error-log",
            text(&errors),
        ]);
        let await_type = |expected: &str| {
            let expected = format!("{expected}; charset=utf-8");
            // Connections to all workers: the kernel distributes them.
            let mut clients: Vec<_> = (0..8).map(|_| Client::connect(program.address())).collect();
            wait_for("the media type", || {
                let has_type =
                    |client: &mut Client| client.fetch(get("/notes.txt")).header("Content-Type") == Some(&expected);
                clients.iter_mut().all(has_type).then_some(())
            });
        };
        await_type("text/x-old");
        directory.write("types", "text/x-new txt\n");
        program.signal(Signal::HUP);
        await_type("text/x-new");
        // An invalid file changes nothing.
        directory.write("types", "text txt\n");
        program.signal(Signal::HUP);
        wait_for("a message", || directory.read("log/errors").contains("malformed media type \"text\"").then_some(()));
        await_type("text/x-new");
        program.stop_cleanly();
    }

    /// Root has read the file at the start.
    fn warns_of_a_file_that_the_user_may_not_read(kind: ServerKind) {
        for (mode, warnings) in [(0o600, 1), (0o644, 0)].into_iter().filter(|_| is_root()) {
            let directory = make_directory();
            directory.write("httpd.toml", "etag = 'mtime'\n");
            directory.set_mode("httpd.toml", mode);
            let (file, errors) = (directory.path("httpd.toml"), directory.path("log/errors"));
            let arguments = ["--config", text(&file), "--error-log", text(&errors)];
            assert_eq!(serve(&directory, kind, &[&arguments, &SWITCH[..]].concat()).stop().code, Some(0));
            let warning = format!("cannot read {} as this user: a reload will fail", text(&file));
            assert_eq!(directory.read("log/errors").matches(&warning).count(), warnings, "{mode:o}");
            let check = program::run(&[&["--check", "-r", text(&directory.path("www"))], &arguments[..2], &SWITCH].concat());
            let expected = (warnings == 1).then(|| format!("httpd: with --user 54321: {warning}\n"));
            assert_eq!(check.stderr, expected.unwrap_or_default(), "{mode:o}");
        }
    }

    fn warns_if_root_serves(kind: ServerKind) {
        for (user, warnings) in [(&[][..], 1), (&SWITCH, 0)].into_iter().filter(|_| is_root()) {
            let directory = make_directory();
            let errors = directory.path("log/errors");
            let program = serve(&directory, kind, &[&["--error-log", text(&errors)], user].concat());
            assert_eq!(program.stop().code, Some(0));
            let lines = directory.read("log/errors");
            let seen = [" warning ", ": serving as root: "].map(|text| lines.matches(text).count());
            assert_eq!(seen, [warnings; 2], "{user:?}: {lines}");
        }
    }

    fn notifies_a_service_manager(kind: ServerKind) {
        let (site, directory) = (Site::shared(), make_directory());
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

    /// Only root may create files in the directory, or look into it. That includes the processes that start later.
    fn root_opens_the_logs_before_the_switch_of_users(kind: ServerKind) {
        for mode in [0o755, 0o700].into_iter().filter(|_| is_root()) {
            let directory = make_directory_with_logs_of(0, mode);
            let (program, log) = (serve_as_user(&directory, kind), directory.path("log/access"));
            check_logged(&program, "/one", &log);
            let metadata = fs::metadata(&log).expect("a log");
            assert_eq!((metadata.uid(), metadata.mode() & 0o777), (0, 0o640));
            for (worker, _) in program.workers() {
                kill_process(worker, Signal::KILL).expect("a worker");
            }
            (0..4).for_each(|number| check_logged(&program, &format!("/two-{number}"), &log));
            assert_eq!(program.stop().code, Some(0));
            let errors = directory.read("log/errors");
            assert!(errors.lines().all(|line| line.contains(" ended: ")), "{errors}");
        }
    }

    /// A successor has the privileges of the server before it: those of the user.
    fn a_confined_successor_continues_logs_that_only_root_may_open(kind: ServerKind) {
        if !is_root() {
            return;
        }
        let directory = make_directory_with_logs_of(0, 0o700);
        let (access, errors) = (directory.path("log/access"), directory.path("log/errors"));
        let logs = ["--log-file", text(&access), "--error-log", text(&errors)];
        let generations = handoff::start(kind, &[&SWITCH[..], &logs, &["--confine"]].concat());
        check_logged(generations.first(), "/before", &access);
        (0..2).for_each(|_| generations.check_upgrade());
        check_logged(generations.first(), "/after", &access);
        let status = fs::read_to_string(format!("/proc/{}/status", generations.process())).expect("a process");
        assert!(status.contains("\nUid:\t54321\t54321\t54321\t54321\n"), "{status}");
        generations.stop();
        // The old server may write its line after the command `--upgrade` has ended, but before it ends itself.
        let errors = directory.read("log/errors");
        assert!(errors.lines().count() == 2, "{errors}");
        assert!(errors.lines().all(|line| line.contains(" has taken over")), "{errors}");
    }

    /// The user cannot open the files again: that matters only after a rotation.
    fn a_rotation_must_create_the_new_log_for_the_user(kind: ServerKind) {
        if !is_root() {
            return;
        }
        let directory = make_directory_with_logs_of(0, 0o755);
        let (access, rotated) = (directory.path("log/access"), directory.path("log/access.1"));
        let program = serve_as_user(&directory, kind);
        program.signal(Signal::USR1);
        check_logged(&program, "/one", &access);
        directory.rename("log/access", "log/access.1");
        program.signal(Signal::USR1);
        let message = format!(
            "cannot open the log {}: permission denied (still writing to the file opened before; create the new file for user {USER})",
            access.display()
        );
        let errors = wait_for("a message", || {
            Some(directory.read("log/errors")).filter(|errors| errors.contains(&message))
        });
        assert!(errors.lines().all(|line| line.contains(&message)), "{errors}");
        check_logged(&program, "/two", &rotated);
        directory.write("log/access", "");
        chown(&access, Some(USER), None).expect("root may");
        program.signal(Signal::USR1);
        await_closed(&program, &[rotated]);
        check_logged(&program, "/three", &access);
        assert_eq!(program.stop().code, Some(0));
    }

    /// In a directory of the user, the name of a log may lead anywhere. Root must not follow it.
    fn the_user_opens_the_logs_in_a_directory_that_it_controls(kind: ServerKind) {
        if !is_root() {
            return;
        }
        let directory = make_directory_with_logs_of(USER, 0o755);
        let (log, victim) = (directory.path("log/access"), directory.path("run/victim"));
        symlink(&victim, &log).expect("a link");
        let arguments = [&SWITCH[..], &["--log-file", text(&log)]].concat();
        let mut command = program::command(HTTPD, kind, &directory.path("www"), &arguments);
        let exit = Program::spawn(&mut command).expect("httpd").wait();
        let expected = format!("httpd: cannot open the log {}: permission denied\n", log.display());
        assert_eq!((exit.code, exit.stderr, victim.exists()), (Some(1), expected, false));
        fs::remove_file(&log).expect("a link");
        let program = serve_as_user(&directory, kind);
        assert_eq!(fs::metadata(&log).expect("a log").uid(), USER);
        check_logged(&program, "/one", &log);
        // The user can create the new file itself.
        directory.rename("log/access", "log/old");
        program.signal(Signal::USR1);
        await_closed(&program, &[directory.path("log/old")]);
        check_logged(&program, "/two", &log);
        program.stop_cleanly();
    }

    /// Opening `/dev/stdout` fails if standard output is a socket, and if it is a file of another user.
    fn dev_stdout_means_the_open_standard_output(kind: ServerKind) {
        let directory = make_directory();
        for name in ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
            let (ours, theirs) = UnixStream::pair().expect("sockets");
            let user = if is_root() { &SWITCH[..] } else { &[] };
            let arguments = [&["--log-file", name, "--error-log", "/dev/stderr"], user].concat();
            let mut command = program::command(HTTPD, kind, &directory.path("www"), &arguments);
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
}

#[test]
fn rejects_users_and_groups_that_it_cannot_switch_to() {
    for (user, group, expected) in [
        ("no-such-user", "54321", "cannot find user no-such-user"),
        ("54321", "no-such-group", "cannot find group no-such-group"),
        ("root", "54321", "refusing --user root"),
        ("54321", "root", "refusing --group root"),
    ]
    .into_iter()
    .filter(|_| is_root())
    {
        check_failure(&["-p", "0", "--user", user, "--group", group], 1, expected);
    }
}
