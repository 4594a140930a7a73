//! Listening sockets in other hands: a successor's, or those of a service manager before; and nobody notices.

use crate::{
    client::{Client, get, until},
    operations::begin_download,
    program::{self, Exit, Program},
    reply::Asked,
    server::Kind,
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

const HTTPD: &str = env!("CARGO_BIN_EXE_httpd");

/// A server and its successors, started by a name of their own.
struct Dynasty {
    founder: Option<Program>,
    directory: TempDir,
    _site: Arc<Site>,
}

impl Dynasty {
    fn found(kind: Kind, arguments: &[&str]) -> Dynasty {
        let directory = tempfile::tempdir().expect("a directory");
        let site = Site::shared();
        // For whomever it becomes.
        for path in [directory.path(), site.root()] {
            fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("ours");
        }
        let program = directory.path().join("httpd");
        install(&program, HTTPD);
        let mut command = Command::new(program);
        command.args(["-w", "2", "-b", "127.0.0.1", "-p", "0", "-r"]).arg(site.root()).args(kind.arguments());
        command.arg("--pid-file").arg(directory.path().join("pid")).args(arguments);
        Dynasty { founder: Some(Program::start(&mut command)), directory, _site: site }
    }

    fn founder(&self) -> &Program {
        self.founder.as_ref().expect("it is taken in the end")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Who serves, by the pid file.
    fn process(&self) -> Pid {
        named(&self.path("pid")).expect("a number")
    }

    fn connect(&self) -> Client {
        Client::connect(self.founder().address())
    }

    /// Has whoever serves replaced.
    fn reload(&self) -> Exit {
        reload(&self.path("pid"))
    }

    fn check_reload(&self) {
        let before = self.process();
        let exit = self.reload();
        assert_eq!((exit.code, &*exit.stdout, &*exit.stderr), (Some(0), "", ""));
        assert_ne!(self.process(), before);
    }

    /// Ends whoever serves last. What all of them have said, and how the first has ended.
    fn end(mut self) -> Exit {
        kill_process(self.process(), Signal::TERM).expect("a process");
        self.founder.take().expect("it is taken once").exit()
    }
}

impl Drop for Dynasty {
    /// Leaves nobody behind when a test fails.
    fn drop(&mut self) {
        let named = named(&self.path("pid")).filter(|_| self.founder.is_some());
        let _ = named.map(|process| kill_process(process, Signal::KILL));
    }
}

fn named(pid_file: &Path) -> Option<Pid> {
    fs::read_to_string(pid_file).ok()?.trim().parse().ok().and_then(Pid::from_raw)
}

fn reload(pid_file: &Path) -> Exit {
    program::run(&["--reload", "--pid-file", pid_file.to_str().expect("text")])
}

/// Has `path` lead to this program from now on.
fn install(path: &Path, program: &str) {
    let new = path.with_extension("new");
    symlink(program, &new).expect("a link");
    fs::rename(new, path).expect("a new name");
}

/// The sockets that are listened to on this port (proc_net_tcp(5)): local address, state and inode are the second, fourth
/// and tenth column.
fn listening(port: u16) -> BTreeSet<String> {
    let table = fs::read_to_string("/proc/net/tcp").expect("a table");
    let inode = |line: &str| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let here = columns[1].ends_with(&format!(":{port:04X}")) && columns[3] == "0A";
        here.then(|| columns[9].to_owned())
    };
    table.lines().skip(1).filter_map(inode).collect()
}

/// Tells threads to end when it is dropped, come what may.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn check_served(client: &mut Client) {
    assert_eq!(client.ask(get("/notes.txt")).text(), "notes\n");
}

http_testing::both_engines! {
    fn successors_lose_nobody(kind: Kind) {
        let dynasty = Dynasty::found(kind, &[]);
        let (over, port) = (AtomicBool::new(false), dynasty.founder().address().port());
        let sockets = listening(port);
        assert!(!sockets.is_empty());
        let ask = || {
            let mut count = 0;
            while !over.load(Ordering::SeqCst) || count < 10 {
                let mut client = dynasty.connect();
                check_served(&mut client);
                count += 1;
            }
        };
        thread::scope(|scope| {
            let _done = Done(&over);
            for _ in 0..3 {
                scope.spawn(ask);
            }
            for _ in 0..3 {
                dynasty.check_reload();
            }
        });
        // Not one of them was closed, and nobody who waited there lost.
        assert_eq!(listening(port), sockets);
        let exit = dynasty.end();
        assert_eq!(exit.code, Some(0));
        let (announced, handed_over) = (exit.stdout.lines().count(), exit.stderr.lines().count());
        assert_eq!((announced, handed_over), (3, 3), "{exit:?}");
    }

    fn a_predecessor_finishes_what_is_in_flight(kind: Kind) {
        let dynasty = Dynasty::found(kind, &[]);
        let site = Site::shared();
        let mut idle = dynasty.connect();
        check_served(&mut idle);
        let mut download = begin_download(dynasty.founder().address(), "/large.bin");
        dynasty.check_reload();
        idle.ends();
        check_served(&mut dynasty.connect());
        assert!(test_kill_process(dynasty.founder().pid()).is_ok(), "it is still there");
        let reply = download.reply(Asked::Http11);
        assert!(reply.content == site.large, "{} of the bytes", reply.content.len());
        download.ends();
        assert_eq!(dynasty.end().code, Some(0));
    }

    fn who_has_no_successor_goes_on(kind: Kind) {
        let dynasty = Dynasty::found(kind, &[]);
        let program = dynasty.path("httpd");
        let mut kept = dynasty.connect();
        check_served(&mut kept);
        let check = |successor: &str| {
            let before = dynasty.process();
            let exit = dynasty.reload();
            assert_eq!((exit.code, &*exit.stdout), (Some(1), ""), "{exit:?}");
            assert!(exit.stderr.contains(" goes on; ") && exit.stderr.lines().count() == 1, "{exit:?}");
            assert_eq!(dynasty.process(), before, "{successor}");
        };
        install(&program, "/bin/false");
        check("ended");
        fs::remove_file(&program).expect("it is there");
        check("missing");
        check_served(&mut kept);
        check_served(&mut dynasty.connect());
        // And when there is one again, it is what stands there now.
        install(&program, HTTPD);
        dynasty.check_reload();
        let exit = dynasty.end();
        let said = ["cannot hand over: successor ended", "cannot hand over: ", "has taken over"];
        assert_eq!(exit.stderr.lines().count(), said.len(), "{exit:?}");
        for (line, text) in exit.stderr.lines().zip(said) {
            assert!(line.contains(text), "no {text:?} in {line:?}");
        }
        assert_eq!(exit.code, Some(0));
    }

    fn successors_need_no_privileges(kind: Kind) {
        if !geteuid().is_root() {
            return println!("skipped: there are no privileges to give up");
        }
        let dynasty = Dynasty::found(kind, &["--user", "65534", "--group", "65534", "--confine"]);
        dynasty.check_reload();
        dynasty.check_reload();
        let status = fs::read_to_string(format!("/proc/{}/status", dynasty.process())).expect("a process");
        assert!(status.contains("\nUid:\t65534\t65534\t65534\t65534\n"), "{status}");
        check_served(&mut dynasty.connect());
        assert_eq!(dynasty.end().code, Some(0));
    }

    fn sockets_come_from_a_service_manager(kind: Kind) {
        let site = Site::shared();
        let sockets = ["127.0.0.1:0", "127.0.0.2:0"].map(|address| TcpListener::bind(address).expect("a port"));
        // Out of the way of the numbers that they are to get.
        let inherited = sockets.each_ref().map(|socket| {
            let inherited = fcntl_dupfd_cloexec(socket, 10).expect("a descriptor");
            fcntl_setfd(&inherited, FdFlags::empty()).expect("a descriptor that is inherited");
            inherited
        });
        let [one, other] = inherited.each_ref().map(AsRawFd::as_raw_fd);
        let script = format!("LISTEN_PID=$$ LISTEN_FDS=2 exec \"$@\" 3<&{one} 4<&{other}");
        // Not any shell knows numbers of two digits.
        let mut command = Command::new("bash");
        command.args(["-c", &script, "bash", HTTPD]);
        command.args(["-w", "2", "-r"]).arg(site.root()).args(kind.arguments());
        let program = Program::start(&mut command);
        let expected = sockets.each_ref().map(|socket| socket.local_addr().expect("an address"));
        assert_eq!(program.addresses, expected);
        for address in expected {
            check_served(&mut Client::connect(address));
        }
        program.signal(Signal::TERM);
        let exit = program.exit();
        assert_eq!((exit.code, &*exit.stderr), (Some(0), ""));
    }
}

#[test]
fn sockets_of_another_process_are_none_of_ours() {
    let site = Site::shared();
    let mut command = Command::new(HTTPD);
    command.args(["-w", "1", "-b", "127.0.0.1", "-p", "0", "-r"]).arg(site.root());
    let program = Program::start(command.env("LISTEN_PID", "1").env("LISTEN_FDS", "1"));
    check_served(&mut Client::connect(program.address()));
}

#[test]
fn sockets_that_are_none_are_named() {
    let script = "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\" 3</dev/null";
    // Should it serve, it is not to do so for ever.
    let mut command = Command::new("timeout");
    command.args(["20", "sh", "-c", script, "sh", HTTPD, "-p", "0"]);
    let exit = command.stdin(Stdio::null()).output().expect("httpd");
    let said = String::from_utf8_lossy(&exit.stderr);
    assert_eq!((exit.status.code(), &*exit.stdout), (Some(1), &b""[..]), "{said}");
    assert!(said.starts_with("httpd: cannot listen on what was handed over: "), "{said}");
}

/// A pid file by which nobody can be asked, and what is said of it.
fn check_no_reload(content: Option<&str>, said: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    let pid_file = directory.path().join("pid");
    if let Some(content) = content {
        fs::write(&pid_file, content).expect("a file");
    }
    let exit = reload(&pid_file);
    assert_eq!((exit.code, &*exit.stdout), (Some(1), ""), "{content:?}");
    assert!(exit.stderr.contains("cannot reload") && exit.stderr.contains(said), "{}", exit.stderr);
}

/// A signal at random would end whoever has the number now.
#[test]
fn only_who_serves_is_asked_for_a_successor() {
    check_no_reload(None, "No such file");
    check_no_reload(Some(""), "nobody serves");
    check_no_reload(Some(&format!("{}\n", std::process::id())), "nobody serves");
}

#[test]
fn workers_of_a_predecessor_end_with_it() {
    let dynasty = Dynasty::found(Kind::EventLoopPrefork, &[]);
    let workers = dynasty.founder().workers();
    assert_eq!(workers.len(), 2);
    dynasty.check_reload();
    until("they end", || workers.iter().all(|(worker, _)| test_kill_process(*worker).is_err()).then_some(()));
    check_served(&mut dynasty.connect());
    assert_eq!(dynasty.end().code, Some(0));
}
