//! The running program from an operator's view: the startup line, limits, timeouts, and how it stops.

use crate::{
    client::{Client, get, request, wait_for},
    program::{self, HTTPD, Program, begin_download, check_served, connect_idle, text},
    site::{Directory, Site},
};
use http_engine::Engine;
use http_testing::ServerKind;
use rustix::process::Signal;
use std::{
    fs,
    io::Read,
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::Command,
    sync::atomic::{AtomicU16, Ordering},
};

/// The message is one line, and does not repeat in the worker processes.
#[test]
fn says_that_the_root_has_no_index() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("error.log");
    let arguments = ["--error-log", text(&log)];
    let program = program::serve_root(ServerKind::EventLoopPrefork, directory.path(), &arguments);
    let message = format!("{} has no index.html: a request for / gets 404", text(directory.path()));
    let read = || fs::read_to_string(&log).unwrap_or_default();
    wait_for("the message", || read().contains(&message).then_some(()));
    assert_eq!(program.stop().code, Some(0));
    assert_eq!(read().matches(&message).count(), 1);
}

#[test]
fn says_that_a_page_is_missing() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("error.log");
    let arguments = ["--error-log", text(&log), "--listing", "--error-page", "404=/missing.html"];
    let program = program::serve_root(ServerKind::EventLoop, directory.path(), &arguments);
    let read = || fs::read_to_string(&log).unwrap_or_default();
    let message = "missing.html, a page of --spa or --error-page: no such file or directory";
    wait_for("the message", || read().contains(message).then_some(()));
    assert_eq!(program.stop().code, Some(0));
}

/// Sites that need no index are passed over.
#[test]
fn says_which_site_has_no_index() {
    let directory = Directory::new();
    directory.write("a/index.html", "a");
    directory.write("b/notes.txt", "b");
    directory.write(
        "httpd.toml",
        "
        error-log = 'error.log'
        [[site]]
        hosts = 'a.example'
        root = 'a'
        [[site]]
        hosts = 'list.example'
        root = '.'
        listing = true
        [[site]]
        hosts = 'spa.example'
        root = '.'
        spa = 'a/index.html'
        [[site]]
        hosts = 'rules.example'
        root = '.'
        [[site.redirect]]
        from = '/'
        to = '/a/'
        [[site]]
        root = 'b'
        ",
    );
    let mut command = Command::new(HTTPD);
    command.current_dir(directory.root()).args(["-p", "0", "--config", "httpd.toml"]);
    let program = Program::start(&mut command);
    let read = || fs::read_to_string(directory.path("error.log")).unwrap_or_default();
    wait_for("the message", || read().contains(" has no index.html: ").then_some(()));
    assert!(read().contains(" b has no index.html: a request for / gets 404"), "{}", read());
    assert!(read().contains("/httpd.toml must not be in the served directory"), "{}", read());
    assert_eq!(program.stop().code, Some(0));
}

http_testing::both_engines! {
    /// The program closes idle connections, accepts no new ones, finishes downloads and exits with 0.
    fn a_signal_finishes_requests_in_flight(kind: ServerKind) {
        for signal in [Signal::TERM, Signal::INT] {
            let program = program::serve(kind, &[]);
            let mut idle = connect_idle(program.address());
            let mut download = begin_download(program.address(), "/large.bin");
            program.signal(signal);
            idle.expect_eof();
            wait_for("new connections to be refused", || {
                TcpStream::connect(program.address()).is_err().then_some(())
            });
            let response = download.response();
            assert!(response.body == Site::shared().large, "{} of the bytes", response.body.len());
            download.expect_eof();
            let exit = program.wait();
            assert_eq!((exit.code, &*exit.stdout, &*exit.stderr), (Some(0), "", ""), "{signal:?}");
        }
    }

    fn a_second_signal_ends_the_program_at_once(kind: ServerKind) {
        let (term, int) = (Signal::TERM, Signal::INT);
        for (first, second) in [(term, term), (int, term), (int, int)] {
            let program = program::serve(kind, &[]);
            let mut idle = connect_idle(program.address());
            let mut download = begin_download(program.address(), "/huge.bin");
            program.signal(first);
            // The program has received the first signal then. Two pending signals of one kind would become one.
            idle.expect_eof();
            program.signal(second);
            assert_eq!(program.wait().code, Some(0), "{first:?} {second:?}");
            let _ = download.stream.read_to_end(&mut Vec::new());
        }
    }

    fn the_grace_period_expires(kind: ServerKind) {
        let program = program::serve(kind, &["--grace", "1"]);
        let _download = begin_download(program.address(), "/huge.bin");
        program.stop_cleanly();
    }

    fn a_program_has_its_port_alone_until_it_stops(kind: ServerKind) {
        let port = unassigned_port().to_string();
        let program = program::serve(kind, &["-p", &port]);
        let mut client = connect_idle(program.address());
        // With SO_REUSEPORT, two programs could share a port, and the kernel would divide the connections between them.
        let address = program.address().to_string();
        let second = [kind.arguments(), &["-b", &address, "/"]].concat();
        let message = format!("httpd: cannot bind {address}: address in use (stop the program that listens there, or ");
        program::check_failure(&second, 1, &message);
        program.signal(Signal::TERM);
        client.expect_eof();
        assert_eq!(program.wait().code, Some(0));
        // A connection in TIME_WAIT must not prevent this.
        check_served(program::serve(kind, &["-p", &port]).address());
    }

    fn requests_beyond_the_size_limits_are_rejected(kind: ServerKind) {
        let program = program::serve(kind, &["--max-head", "256", "--max-body", "10"]);
        let check = |request: String, status: u16, close: bool| {
            let response = Client::connect(program.address()).fetch(request);
            assert_eq!((response.status, !response.keeps_alive), (status, close));
        };
        check(get("/notes.txt"), 200, false);
        check(request("GET", "/notes.txt", &format!("A: {}\r\n", "a".repeat(256))), 431, true);
        // httpd uses no body. A longer one than the limit ends the connection.
        check(request("POST", "/notes.txt", "Content-Length: 10\r\n"), 405, false);
        check(request("POST", "/notes.txt", "Content-Length: 11\r\n"), 405, true);
    }

    fn the_limit_on_open_files_lowers_the_connection_limit(kind: ServerKind) {
        let site = Site::shared();
        let program = Program::start(&mut with_file_limit(kind, &site, 64));
        check_served(program.address());
        let exit = program.stop();
        assert_eq!((exit.code, exit.stderr.lines().count()), (Some(0), 1), "{exit:?}");
        let (wanted, room, each) = match kind.engine() {
            Engine::EventLoop => (10_000, 16, 1),
            Engine::Blocking => (1024, 8, 2),
        };
        let message = format!(
            "cannot allow {wanted} connections: a limit of 64 open files leaves room for {room} ({each} for each connection, "
        );
        assert!(exit.stderr.contains(&message), "{exit:?}");
    }

    fn prints_one_line_at_startup(kind: ServerKind) {
        let program = program::serve(kind, &[]);
        let (root, address) = (Site::shared().root().display().to_string(), program.address());
        let engine = if kind.engine() == Engine::EventLoop { "event loop" } else { "blocking" };
        let workers = if kind.is_prefork() { "2 worker processes" } else { "2 workers" };
        let expected = format!("httpd serves {root} at http://{address}/ ({engine}, {workers})\n");
        assert_eq!(program.startup_line, expected);
        program.stop_cleanly();
    }
}

/// Returns the command that runs `httpd` for `site` with a limit of `files` open files.
pub fn with_file_limit(kind: ServerKind, site: &Site, files: usize) -> Command {
    let httpd = program::command(HTTPD, kind, site.root(), &[]);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {files}; exec \"$@\""), "sh", HTTPD]).args(httpd.get_args());
    command
}

/// Returns a free port that the kernel gives to no other socket: it is below the range from which the kernel takes
/// ports for connections and for port 0.
fn unassigned_port() -> u16 {
    static NEXT_PORT: AtomicU16 = AtomicU16::new(20_000);
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    std::iter::repeat_with(|| NEXT_PORT.fetch_add(1, Ordering::SeqCst)).find(free).expect("a free port")
}
