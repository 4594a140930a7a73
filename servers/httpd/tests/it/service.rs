//! The program as a service: its pid file, the rights it keeps, and what a service manager hears of it.

use crate::{
    client::{Client, PATIENCE, get, until},
    program::{self, Program},
    server::Kind,
    site::Site,
};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use std::{
    fs,
    net::SocketAddr,
    os::unix::{fs::PermissionsExt, net::UnixDatagram},
    path::Path,
    process::Command,
};
use tempfile::TempDir;

/// A directory for one page, and for what a service writes.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().expect("a directory"));
        for name in ["www", "log", "run"] {
            fs::create_dir(place.0.path().join(name)).expect("a directory");
        }
        fs::write(place.0.path().join("www/page"), "page").expect("a file");
        // For whomever the program becomes.
        for name in ["", "www"] {
            fs::set_permissions(place.0.path().join(name), PermissionsExt::from_mode(0o755)).expect("ours");
        }
        place
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("text").to_owned()
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path(name)).ok()
    }

    fn serve(&self, kind: Kind, arguments: &[&str]) -> Program {
        let pid_file = self.path("run/pid");
        let arguments = [kind.arguments(), &["--pid-file", &pid_file], arguments].concat();
        program::serve_root(Path::new(&self.path("www")), &arguments)
    }
}

fn line(pid: Pid) -> Option<String> {
    Some(format!("{pid}\n"))
}

fn check_served(address: SocketAddr) {
    let mut client = Client::connect(address);
    assert_eq!(client.ask(get("/page")).text(), "page");
    client.finish();
}

fn check_ends(program: Program) {
    program.signal(Signal::TERM);
    let exit = program.exit();
    assert_eq!((exit.code, &*exit.stderr), (Some(0), ""));
}

/// What proc_pid_status(5) says in this field, of every thread of the program and of its workers.
fn statuses(program: &Program, field: &str) -> Vec<String> {
    let workers = program.workers().into_iter().map(|(worker, _)| worker);
    let tasks = workers.chain([program.pid()]).flat_map(|process| {
        fs::read_dir(format!("/proc/{process}/task")).expect("threads").map(|task| task.expect("one").path())
    });
    let value = |status: String| {
        let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(":\t"));
        value.expect("the field").split_whitespace().collect::<Vec<_>>().join(" ")
    };
    tasks.filter_map(|task| fs::read_to_string(task.join("status")).ok()).map(value).collect()
}

http_testing::both_engines! {
    fn the_pid_file_is_there_as_long_as_it_serves(kind: Kind) {
        let place = Place::new();
        // As after a crash.
        fs::write(place.path("run/pid"), "4194304\n").expect("a file");
        let program = place.serve(kind, &[]);
        assert_eq!(place.read("run/pid"), line(program.pid()));
        check_served(program.address());
        check_ends(program);
        assert_eq!(place.read("run/pid"), None);
    }

    fn a_second_one_is_told_who_serves(kind: Kind) {
        let place = Place::new();
        let program = place.serve(kind, &[]);
        let (root, pid_file) = (place.path("www"), place.path("run/pid"));
        let second = [kind.arguments(), &["-p", "0", "-r", &root, "--pid-file", &pid_file]].concat();
        let exit = program::run(&second);
        let expected = format!("process {} runs already", program.pid());
        assert_eq!((exit.code, &*exit.stdout), (Some(1), ""));
        assert!(exit.stderr.contains(&expected), "{}", exit.stderr);
        assert_eq!(place.read("run/pid"), line(program.pid()));
        check_served(program.address());
    }

    fn privileges_are_gone_before_the_first_request(kind: Kind) {
        if !geteuid().is_root() {
            return println!("skipped: only root has privileges to drop");
        }
        let place = Place::new();
        fs::write(place.path("www/secret"), "").expect("a file");
        fs::set_permissions(place.path("www/secret"), PermissionsExt::from_mode(0o600)).expect("ours");
        let program = place.serve(kind, &["--user", "54321", "--group", "54322"]);
        for (field, expected) in [
            ("Uid", "54321 54321 54321 54321"),
            ("Gid", "54322 54322 54322 54322"),
            ("Groups", "54322"),
            ("CapPrm", "0000000000000000"),
            ("NoNewPrivs", "1"),
        ] {
            for status in statuses(&program, field) {
                assert_eq!(status, expected, "{field}");
            }
        }
        check_served(program.address());
        let mut client = Client::connect(program.address());
        assert_eq!(client.ask(get("/secret")).status, 403);
        client.finish();
        check_ends(program);
        // Its folder is root's, so that it cannot be removed any more. But it names nobody.
        assert_eq!(place.read("run/pid").as_deref(), Some(""));
    }

    fn a_confined_one_does_all_that_it_should(kind: Kind) {
        let place = Place::new();
        let log = place.path("log/access");
        let program = place.serve(kind, &["--confine", "--log", "common", "--log-file", &log]);
        if program.announced.contains("not confined") {
            return println!("skipped: this kernel has no Landlock");
        }
        assert!(program.announced.contains("confined to its files"), "{}", program.announced);
        check_served(program.address());
        fs::rename(&log, place.path("log/old")).expect("a log");
        program.signal(Signal::USR1);
        until("another log", || place.read("log/access"));
        check_served(program.address());
        let logged = || {
            let lines = ["log/old", "log/access"].map(|name| place.read(name).unwrap_or_default()).concat();
            lines.matches("\"GET /page HTTP/1.1\" 200 4\n").count()
        };
        until("two lines", || (logged() == 2).then_some(()));
        if kind.is_prefork() {
            // Another worker is started as the first ones were, although its master is confined.
            let [(killed, _), ..] = program.workers()[..] else { panic!("no workers") };
            kill_process(killed, Signal::KILL).expect("a worker");
            let is_whole = |workers: &[(Pid, char)]| {
                workers.len() == 2 && workers.iter().all(|(worker, state)| *worker != killed && *state != 'Z')
            };
            until("another worker", || is_whole(&program.workers()).then_some(()));
        }
        check_served(program.address());
        program.signal(Signal::TERM);
        assert_eq!(program.exit().code, Some(0));
        assert_eq!((place.read("run/pid"), logged()), (None, 3));
    }

    fn a_service_manager_hears_how_it_is(kind: Kind) {
        let (site, place) = (Site::shared(), Place::new());
        let socket = place.path("run/notify");
        let manager = UnixDatagram::bind(&socket).expect("a socket");
        manager.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let heard = || {
            let mut datagram = [0; 128];
            let length = manager.recv(&mut datagram).expect("a datagram");
            String::from_utf8_lossy(&datagram[..length]).into_owned()
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_httpd"));
        command.args(["-p", "0", "-w", "2", "-r"]).arg(site.root()).args(kind.arguments());
        let program = Program::start(command.env("NOTIFY_SOCKET", &socket));
        assert_eq!(heard(), "READY=1");
        program.signal(Signal::HUP);
        assert!(heard().starts_with("RELOADING=1\nMONOTONIC_USEC="));
        assert_eq!(heard(), "READY=1");
        program.signal(Signal::TERM);
        assert_eq!(heard(), "STOPPING=1");
        assert_eq!(program.exit().code, Some(0));
        manager.set_nonblocking(true).expect("a socket");
        assert!(manager.recv(&mut [0]).is_err(), "and no more");
    }
}

#[test]
fn whom_it_cannot_become_is_said() {
    if !geteuid().is_root() {
        return println!("skipped: only root can become somebody else");
    }
    let check = |arguments: &[&str], expected: &str| {
        let exit = program::run(&[&["-p", "0"], arguments].concat());
        assert_eq!((exit.code, &*exit.stdout), (Some(1), ""), "{arguments:?}");
        assert!(exit.stderr.contains(expected), "{arguments:?}: {}", exit.stderr);
    };
    check(&["--user", "no-such-user"], "there is no user no-such-user");
    check(&["--user", "54321", "--group", "no-such-group"], "there is no group no-such-group");
    check(&["--user", "root"], "root is what is to be given up");
}
