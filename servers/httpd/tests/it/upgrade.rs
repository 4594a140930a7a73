//! `httpd --upgrade`: which processes it signals. [`handoff`](crate::handoff) tests what a server does then.

use crate::{
    handoff::Generations,
    program::{self, HTTPD, Program, text},
    site::Directory,
};
use rustix::{
    fs::{CWD, FileType, FlockOperation, Mode, flock, mknodat},
    process::geteuid,
};
use std::{
    fs::{self, File},
    os::unix::{
        fs::{chown, symlink},
        process::CommandExt,
    },
    path::Path,
    process::Command,
};

/// Writes `content` to the file and locks it, as a server does. The lock lasts as long as the result.
fn hold(pid_file: &Path, content: &str) -> File {
    fs::write(pid_file, content).expect("a file");
    let file = File::open(pid_file).expect("a file");
    flock(&file, FlockOperation::NonBlockingLockExclusive).expect("a lock");
    file
}

/// Runs `httpd --upgrade` with this PID file. Checks that it fails with `message`.
fn check_refused(pid_file: &Path, message: &str) {
    let exit = program::upgrade(pid_file);
    assert_eq!((exit.code, &*exit.stdout), (Some(1), ""), "{message}");
    assert!(exit.stderr.starts_with("httpd: cannot upgrade: ") && exit.stderr.contains(message), "{exit:?}");
}

/// Copies `httpd` to `path`, and replaces the file that is there. Another process copies it: a file that a process has
/// open for writing cannot be executed.
fn copy(path: &Path) {
    let new = path.with_extension("new");
    let copied = Command::new("cp").arg(HTTPD).arg(&new).status();
    assert!(copied.expect("cp").success());
    fs::rename(&new, path).expect("a program");
}

/// SIGUSR2 would end the process that the PID file names, a `sleep`.
#[test]
fn signals_no_other_program() {
    let directory = Directory::new();
    let [pid_file, link, fifo] = ["pid", "link", "fifo"].map(|name| directory.path(name));
    let mut sleep = Command::new("sleep").arg("600").spawn().expect("a process");
    let pid = sleep.id();
    check_refused(&pid_file, "no such file");
    for content in ["", &format!("{pid}\n")] {
        fs::write(&pid_file, content).expect("a file");
        check_refused(&pid_file, "no running server holds");
    }
    symlink(&pid_file, &link).expect("a link");
    // Opening it for reading would wait for a writer.
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
    let _held = hold(&pid_file, "");
    for (path, content, message) in [
        (&pid_file, "no number\n", "contains no PID"),
        (&link, "", "symbolic links"),
        (&fifo, "", "no running server holds"),
        // The PID of no process: it is above the largest possible one.
        (&pid_file, "4194305\n", "cannot open process 4194305: no such process"),
        (&pid_file, &format!("{pid}\n"), &format!("process {pid} runs /")),
    ] {
        fs::write(&pid_file, content).expect("a file");
        check_refused(path, message);
    }
    let status = sleep.try_wait();
    let _ = sleep.kill();
    assert!(matches!(status, Ok(None)), "the process was signalled");
}

two_kinds! {
    /// A server that had been signalled would print the startup line of a successor.
    fn signals_only_the_server_that_holds_the_pid_file_and_its_owner(kind: ServerKind) {
        let directory = Directory::new();
        let (pid_file, other) = (directory.path("pid"), directory.path("other"));
        let server = program::serve(kind, &["--pid-file", text(&pid_file)]);
        let pid = server.pid();
        let _held = hold(&other, &format!("{pid}\n"));
        check_refused(&other, &format!("process {pid} has not opened the PID file"));
        if geteuid().is_root() {
            chown(&pid_file, Some(54321), None).expect("root may");
            let message = format!("process {pid} belongs to user 0, but the PID file to user 54321");
            check_refused(&pid_file, &message);
        }
        server.stop_cleanly();
    }

    /// The user may signal its server, but not see what it runs.
    fn says_what_the_user_of_a_server_can_do(kind: ServerKind) {
        if !geteuid().is_root() {
            return println!("skipped: only root can switch users");
        }
        let directory = Directory::new();
        let pid_file = directory.path("pid");
        let server = program::serve(kind, &["--pid-file", text(&pid_file), "--user", "54321", "--group", "54321"]);
        let mut command = Command::new(HTTPD);
        command.args(["--upgrade", "--pid-file", text(&pid_file)]).uid(54321).gid(54321);
        let exit = Program::spawn(&mut command).expect("httpd").wait();
        let pid = server.pid();
        let expected = format!(
            "httpd: cannot upgrade: cannot examine process {pid}: permission denied \
             (run this as root, or signal the server without this check: kill -USR2 {pid})\n"
        );
        assert_eq!((exit.code, exit.stderr), (Some(1), expected));
    }

    /// The file of the running program is removed then, and the new file is another one. The rules of a confined
    /// process permit files, not names: with `--confine`, a program should have a directory of its own.
    fn starts_the_new_file_if_the_program_file_was_replaced(kind: ServerKind) {
        for options in [&[][..], &["--confine"]] {
            let generations = Generations::start(kind, copy, options);
            if generations.first().startup_line.contains("not confined") {
                return println!("skipped: this kernel has no Landlock");
            }
            copy(&generations.directory.path("httpd"));
            generations.check_upgrade();
            generations.stop();
        }
        let with_another_program = |path: &Path| {
            copy(path);
            copy(&path.with_file_name("other"));
        };
        let generations = Generations::start(kind, with_another_program, &["--confine"]);
        copy(&generations.directory.path("httpd"));
        generations.check_upgrade_fails();
        let stderr = generations.stop().stderr;
        let message = "permission denied (--confine permits a new program file only in a directory without other programs)\n";
        assert!(stderr.ends_with(message), "{stderr}");
    }
}
