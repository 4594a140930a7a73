//! Handoff: listening sockets that pass to a successor, or come from a service manager, without losing a connection.

use crate::{
    client::{Client, get, wait_for},
    program::{
        self, Exit, HTTPD, Program, ServerKind, begin_download, check_served, connect_idle, read_pid, text,
    },
    site::{Directory, Site},
};
use rustix::{
    io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd},
    process::{Pid, Signal, kill_process, test_kill_process},
};
use std::{
    fs,
    net::TcpListener,
    os::{fd::AsRawFd, unix::fs::symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread,
};

/// A server and its successors. All are started from one path, `httpd` in `directory`, so that a test can replace the
/// program there.
pub struct Generations {
    /// The server that the test has started. Waiting for it includes its successors, which write to the same output.
    first: Option<Program>,
    /// Contains the program `httpd`.
    pub directory: Directory,
    pid_file: PathBuf,
    _pid_directory: Directory,
    _site: Arc<Site>,
}

impl Generations {
    /// Starts the first server with the shared site and a PID file. `install` puts the program at the path that it
    /// gets.
    pub fn start(kind: ServerKind, install: impl Fn(&Path), arguments: &[&str]) -> Generations {
        let ([directory, _pid_directory], site) = ([(); 2].map(|()| Directory::new()), Site::shared());
        let (program, pid_file) = (directory.path("httpd"), _pid_directory.path("pid"));
        install(&program);
        let arguments = [&["--pid-file", text(&pid_file)], arguments].concat();
        let first = Program::start(&mut program::command(program, kind, site.root(), &arguments));
        Generations { first: Some(first), directory, pid_file, _pid_directory, _site: site }
    }

    /// Returns the first server.
    pub fn first(&self) -> &Program {
        self.first.as_ref().expect("only wait() takes it")
    }

    /// Returns the process that serves according to the PID file: that of the latest server.
    pub fn process(&self) -> Pid {
        read_pid(&self.pid_file).expect("a number")
    }

    /// Upgrades, and checks that another process serves afterwards.
    pub fn check_upgrade(&self) {
        let before = self.process();
        let exit = program::upgrade(&self.pid_file);
        assert_eq!((exit.code, &*exit.stdout, &*exit.stderr), (Some(0), "", ""));
        assert_ne!(self.process(), before);
        check_served(self.first().address());
    }

    /// Tries to upgrade. Checks that this fails, and that the same process continues to serve.
    pub fn check_upgrade_fails(&self) {
        let before = self.process();
        let exit = program::upgrade(&self.pid_file);
        assert_eq!((exit.code, &*exit.stdout), (Some(1), ""), "{exit:?}");
        let continues = " continues without a successor";
        assert!(exit.stderr.contains(continues) && exit.stderr.lines().count() == 1, "{exit:?}");
        assert_eq!(self.process(), before);
        check_served(self.first().address());
    }

    /// Stops the latest server. Checks that it removes or empties the PID file, and that the first server has exited
    /// with 0. Returns the output of all.
    pub fn stop(mut self) -> Exit {
        kill_process(self.process(), Signal::TERM).expect("a process");
        let exit = self.first.take().expect("only this takes it").wait();
        assert_eq!((exit.code, read_pid(&self.pid_file)), (Some(0), None), "{exit:?}");
        exit
    }
}

impl Drop for Generations {
    /// Ends the server that runs if the test fails.
    fn drop(&mut self) {
        let running = read_pid(&self.pid_file).filter(|_| self.first.is_some());
        let _ = running.map(|process| kill_process(process, Signal::KILL));
    }
}

/// Atomically replaces `path`, if it exists, by a symbolic link to `program`.
fn link(path: &Path, program: &str) {
    let new = path.with_extension("new");
    symlink(program, &new).expect("a link");
    fs::rename(new, path).expect("a new name");
}

/// Starts the first server from a link to `httpd`.
pub fn start(kind: ServerKind, arguments: &[&str]) -> Generations {
    Generations::start(kind, |path| link(path, HTTPD), arguments)
}

http_testing::both_engines! {
    /// If a listening socket were closed, the kernel would reset the connections in its accept queue.
    fn no_connection_is_lost_in_a_handoff(kind: ServerKind) {
        let generations = start(kind, &[]);
        thread::scope(|scope| {
            let upgrades = scope.spawn(|| (0..3).for_each(|_| generations.check_upgrade()));
            while !upgrades.is_finished() {
                let address = generations.first().address();
                let mut clients = [(); 8].map(|()| Client::connect_and_send(address, get("/notes.txt")));
                clients.iter_mut().for_each(|client| assert_eq!(client.response().text(), "notes\n"));
            }
        });
        let exit = generations.stop();
        let (startup_lines, handoff_lines) = (exit.stdout.lines().count(), exit.stderr.lines().count());
        assert_eq!((startup_lines, handoff_lines), (3, 3), "{exit:?}");
    }

    fn the_old_server_finishes_requests_and_ends_its_workers(kind: ServerKind) {
        let generations = start(kind, &[]);
        let (site, workers) = (Site::shared(), generations.first().workers());
        assert_eq!(workers.len(), if kind.is_prefork() { 2 } else { 0 });
        let mut idle = connect_idle(generations.first().address());
        let mut download = begin_download(generations.first().address(), "/large.bin");
        generations.check_upgrade();
        idle.expect_eof();
        assert!(test_kill_process(generations.first().pid()).is_ok(), "the old server still runs");
        let response = download.response();
        assert!(response.body == site.large, "{} of the bytes", response.body.len());
        download.expect_eof();
        wait_for("the old workers to end", || {
            workers.iter().all(|(worker, _)| test_kill_process(*worker).is_err()).then_some(())
        });
        generations.stop();
    }

    /// The client may have sent the request before the upgrade. The old server may answer others before it learns that
    /// the successor serves.
    fn a_kept_connection_gets_one_more_response_after_an_upgrade(kind: ServerKind) {
        let generations = start(kind, &["--idle-grace", "1h", "--grace", "1h"]);
        let mut kept = connect_idle(generations.first().address());
        generations.check_upgrade();
        wait_for("the last response", || {
            let response = kept.fetch(get("/notes.txt"));
            assert_eq!(response.text(), "notes\n");
            (!response.keeps_alive).then_some(())
        });
        kept.expect_eof();
        generations.stop();
    }

    fn a_server_goes_on_if_its_successor_cannot_start(kind: ServerKind) {
        let generations = start(kind, &[]);
        let program = generations.directory.path("httpd");
        let mut kept = connect_idle(generations.first().address());
        link(&program, "/bin/false");
        generations.check_upgrade_fails();
        fs::remove_file(&program).expect("it is there");
        generations.check_upgrade_fails();
        assert_eq!(kept.fetch(get("/notes.txt")).text(), "notes\n");
        // The next upgrade starts the program that is at the path then.
        link(&program, HTTPD);
        generations.check_upgrade();
        let exit = generations.stop();
        let expected = ["cannot hand over: successor: ended", "cannot hand over: ", "has taken over"];
        assert_eq!(exit.stderr.lines().count(), expected.len(), "{exit:?}");
        for (line, text) in exit.stderr.lines().zip(expected) {
            assert!(line.contains(text), "no {text:?} in {line:?}");
        }
    }
}

two_kinds! {
    fn takes_sockets_from_a_service_manager(kind: ServerKind) {
        let site = Site::shared();
        let sockets = ["127.0.0.1:0", "127.0.0.2:0"].map(|address| TcpListener::bind(address).expect("a port"));
        // Above 3 and 4, the numbers that the shell gives them.
        let inherited = sockets.each_ref().map(|socket| {
            let inherited = fcntl_dupfd_cloexec(socket, 10).expect("a descriptor");
            fcntl_setfd(&inherited, FdFlags::empty()).expect("a descriptor that is inherited");
            inherited
        });
        let [one, other] = inherited.each_ref().map(AsRawFd::as_raw_fd);
        let script = format!("LISTEN_PID=$$ LISTEN_FDS=2 exec \"$@\" 3<&{one} 4<&{other}");
        // Not every shell accepts descriptors of two digits.
        let mut command = Command::new("bash");
        command.args(["-c", &script, "bash", HTTPD, "-w", "2", "-r"]).arg(site.root()).args(kind.arguments());
        let program = Program::start(&mut command);
        let expected = sockets.each_ref().map(|socket| socket.local_addr().expect("an address"));
        assert_eq!(program.addresses, expected);
        expected.into_iter().for_each(check_served);
        program.stop_cleanly();
    }
}

#[test]
fn ignores_sockets_meant_for_another_process() {
    let site = Site::shared();
    let mut command = program::command(HTTPD, ServerKind::EventLoop, site.root(), &[]);
    let program = Program::start(command.env("LISTEN_PID", "1").env("LISTEN_FDS", "1"));
    check_served(program.address());
}

#[test]
fn rejects_descriptors_that_are_not_sockets() {
    let script = "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\" 3</dev/null";
    let mut command = Command::new("sh");
    let exit = Program::spawn(command.args(["-c", script, "sh", HTTPD, "-p", "0"])).expect("httpd").wait();
    assert_eq!((exit.code, &*exit.stdout), (Some(1), ""), "{exit:?}");
    assert!(exit.stderr.starts_with("httpd: cannot use the service manager's sockets: "), "{exit:?}");
}
