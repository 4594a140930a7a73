//! Handoff: listening sockets that pass to a successor, or come from a service manager, without losing a connection.

use crate::{
    client::{Client, get, wait_for},
    operations::{begin_download, check_served},
    program::{self, Exit, Program},
    server::ServerKind,
    site::Site,
};
use rustix::{
    io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd},
    process::{Pid, Signal, geteuid, kill_process, test_kill_process},
};
use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    os::{
        fd::AsRawFd,
        unix::fs::{PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};
use tempfile::TempDir;

/// The path of the program under test.
const HTTPD: &str = env!("CARGO_BIN_EXE_httpd");

/// A server and its successors. All are started from one path, `httpd` in `directory`, so that a test can replace the
/// program there.
struct Generations {
    /// The server that the test has started. Waiting for it includes its successors, which write to the same output.
    first: Option<Program>,
    /// Contains the link `httpd` and the pid file `pid`.
    directory: TempDir,
    _site: Arc<Site>,
}

impl Generations {
    /// Starts the first server with the shared site and a pid file.
    fn start(kind: ServerKind, arguments: &[&str]) -> Generations {
        let directory = tempfile::tempdir().expect("a directory");
        let site = Site::shared();
        // Servers that give up root must still reach these directories.
        for path in [directory.path(), site.root()] {
            fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("ours");
        }
        let program = directory.path().join("httpd");
        install(&program, HTTPD);
        let mut command = Command::new(program);
        command.args(["-w", "2", "-b", "127.0.0.1", "-p", "0", "-r"]).arg(site.root()).args(kind.arguments());
        command.arg("--pid-file").arg(directory.path().join("pid")).args(arguments);
        Generations { first: Some(Program::start(&mut command)), directory, _site: site }
    }

    /// Returns the first server.
    fn first(&self) -> &Program {
        self.first.as_ref().expect("only wait() takes it")
    }

    /// Returns the path of the file `name` in the directory.
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Returns the process that serves according to the pid file: that of the latest server.
    fn process(&self) -> Pid {
        read_pid(&self.path("pid")).expect("a number")
    }

    /// Opens a connection to the latest server.
    fn connect(&self) -> Client {
        Client::connect(self.first().address())
    }

    /// Runs `httpd --upgrade`, which makes the latest server start a successor. Returns how the command ended.
    fn upgrade(&self) -> Exit {
        upgrade(&self.path("pid"))
    }

    /// Upgrades, and checks that another process serves afterwards.
    fn check_upgrade(&self) {
        let before = self.process();
        let exit = self.upgrade();
        assert_eq!((exit.code, &*exit.stdout, &*exit.stderr), (Some(0), "", ""));
        assert_ne!(self.process(), before);
    }

    /// Stops the latest server. Returns the exit code of the first server and the output of all.
    fn wait(mut self) -> Exit {
        kill_process(self.process(), Signal::TERM).expect("a process");
        self.first.take().expect("only this takes it").wait()
    }
}

impl Drop for Generations {
    /// Ends the server that runs if the test fails.
    fn drop(&mut self) {
        let running = read_pid(&self.path("pid")).filter(|_| self.first.is_some());
        let _ = running.map(|process| kill_process(process, Signal::KILL));
    }
}

/// Returns the number in a pid file, or `None` if there is no file or no number in it.
fn read_pid(pid_file: &Path) -> Option<Pid> {
    fs::read_to_string(pid_file).ok()?.trim().parse().ok().and_then(Pid::from_raw)
}

/// Runs `httpd --upgrade` with this pid file, and returns how it ended.
pub fn upgrade(pid_file: &Path) -> Exit {
    program::run(&["--upgrade", "--pid-file", pid_file.to_str().expect("text")])
}

/// Atomically replaces `path`, if it exists, by a symbolic link to `program`.
fn install(path: &Path, program: &str) {
    let new = path.with_extension("new");
    symlink(program, &new).expect("a link");
    fs::rename(new, path).expect("a new name");
}

/// Returns the inodes of the IPv4 sockets that listen on this port. In `/proc/net/tcp` (proc_net_tcp(5)), the columns
/// 2, 4 and 10 are the local address, the state (`0A` means listening) and the inode.
fn listening_inodes(port: u16) -> BTreeSet<String> {
    let table = fs::read_to_string("/proc/net/tcp").expect("a table");
    let inode = |line: &str| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let here = columns[1].ends_with(&format!(":{port:04X}")) && columns[3] == "0A";
        here.then(|| columns[9].to_owned())
    };
    table.lines().skip(1).filter_map(inode).collect()
}

/// Sets this flag to true when it is dropped, also if the test panics.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Checks that a request for `notes.txt` on this connection is served.
fn check_notes(client: &mut Client) {
    assert_eq!(client.fetch(get("/notes.txt")).text(), "notes\n");
}

http_testing::both_engines! {
    fn no_connection_is_lost_in_a_handoff(kind: ServerKind) {
        let generations = Generations::start(kind, &[]);
        let (done, port) = (AtomicBool::new(false), generations.first().address().port());
        let inodes = listening_inodes(port);
        assert!(!inodes.is_empty());
        let send_requests = || {
            let mut count = 0;
            while !done.load(Ordering::SeqCst) || count < 10 {
                let mut client = generations.connect();
                check_notes(&mut client);
                count += 1;
            }
        };
        thread::scope(|scope| {
            let _set_done = SetOnDrop(&done);
            for _ in 0..3 {
                scope.spawn(send_requests);
            }
            for _ in 0..3 {
                generations.check_upgrade();
            }
        });
        // No listening socket was closed, so no connection in its accept queue was lost.
        assert_eq!(listening_inodes(port), inodes);
        let exit = generations.wait();
        assert_eq!(exit.code, Some(0));
        let (startup_lines, handoff_lines) = (exit.stdout.lines().count(), exit.stderr.lines().count());
        assert_eq!((startup_lines, handoff_lines), (3, 3), "{exit:?}");
    }

    fn the_old_server_finishes_requests_in_flight(kind: ServerKind) {
        let generations = Generations::start(kind, &[]);
        let site = Site::shared();
        let mut idle = generations.connect();
        check_notes(&mut idle);
        let mut download = begin_download(generations.first().address(), "/large.bin");
        generations.check_upgrade();
        idle.expect_eof();
        check_served(generations.first().address());
        assert!(test_kill_process(generations.first().pid()).is_ok(), "the old server still runs");
        let reply = download.response();
        assert!(reply.body == site.large, "{} of the bytes", reply.body.len());
        download.expect_eof();
        assert_eq!(generations.wait().code, Some(0));
    }

    fn a_server_goes_on_if_its_successor_cannot_start(kind: ServerKind) {
        let generations = Generations::start(kind, &[]);
        let program = generations.path("httpd");
        let mut kept = generations.connect();
        check_notes(&mut kept);
        let check = |successor: &str| {
            let before = generations.process();
            let exit = generations.upgrade();
            assert_eq!((exit.code, &*exit.stdout), (Some(1), ""), "{exit:?}");
            assert!(exit.stderr.contains(" continues without a successor") && exit.stderr.lines().count() == 1, "{exit:?}");
            assert_eq!(generations.process(), before, "{successor}");
        };
        install(&program, "/bin/false");
        check("exits at once");
        fs::remove_file(&program).expect("it is there");
        check("is missing");
        check_notes(&mut kept);
        check_served(generations.first().address());
        // The next upgrade starts the program that is at the path then.
        install(&program, HTTPD);
        generations.check_upgrade();
        let exit = generations.wait();
        let expected = ["cannot hand over: successor: ended", "cannot hand over: ", "has taken over"];
        assert_eq!(exit.stderr.lines().count(), expected.len(), "{exit:?}");
        for (line, text) in exit.stderr.lines().zip(expected) {
            assert!(line.contains(text), "no {text:?} in {line:?}");
        }
        assert_eq!(exit.code, Some(0));
    }

    fn a_successor_needs_no_privileges(kind: ServerKind) {
        if !geteuid().is_root() {
            return println!("skipped: there are no privileges to give up");
        }
        let generations = Generations::start(kind, &["--user", "65534", "--group", "65534", "--confine"]);
        generations.check_upgrade();
        generations.check_upgrade();
        let status = fs::read_to_string(format!("/proc/{}/status", generations.process())).expect("a process");
        assert!(status.contains("\nUid:\t65534\t65534\t65534\t65534\n"), "{status}");
        check_served(generations.first().address());
        assert_eq!(generations.wait().code, Some(0));
    }

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
        command.args(["-c", &script, "bash", HTTPD]);
        command.args(["-w", "2", "-r"]).arg(site.root()).args(kind.arguments());
        let program = Program::start(&mut command);
        let expected = sockets.each_ref().map(|socket| socket.local_addr().expect("an address"));
        assert_eq!(program.addresses, expected);
        for address in expected {
            check_served(address);
        }
        program.stop_cleanly();
    }
}

#[test]
fn ignores_sockets_meant_for_another_process() {
    let site = Site::shared();
    let mut command = Command::new(HTTPD);
    command.args(["-w", "1", "-b", "127.0.0.1", "-p", "0", "-r"]).arg(site.root());
    let program = Program::start(command.env("LISTEN_PID", "1").env("LISTEN_FDS", "1"));
    check_served(program.address());
}

#[test]
fn rejects_descriptors_that_are_not_sockets() {
    let script = "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\" 3</dev/null";
    // If it serves by mistake, it must end nevertheless.
    let mut command = Command::new("timeout");
    command.args(["20", "sh", "-c", script, "sh", HTTPD, "-p", "0"]);
    let exit = command.stdin(Stdio::null()).output().expect("httpd");
    let stderr = String::from_utf8_lossy(&exit.stderr);
    assert_eq!((exit.status.code(), &*exit.stdout), (Some(1), &b""[..]), "{stderr}");
    assert!(stderr.starts_with("httpd: cannot use the service manager's sockets: "), "{stderr}");
}

#[test]
fn the_old_server_ends_its_worker_processes() {
    let generations = Generations::start(ServerKind::EventLoopPrefork, &[]);
    let workers = generations.first().workers();
    assert_eq!(workers.len(), 2);
    generations.check_upgrade();
    wait_for("the old workers to end", || {
        workers.iter().all(|(worker, _)| test_kill_process(*worker).is_err()).then_some(())
    });
    check_served(generations.first().address());
    assert_eq!(generations.wait().code, Some(0));
}
