//! The program from an operator's view: the startup line, exit codes, limits, signals.

use crate::{
    client::{Client, get, request, wait_for},
    program::{self, Program},
    reply::retry_on_eintr,
    server::ServerKind,
    site::Site,
};
use http_engine::Engine;
use rustix::process::Signal;
use std::{
    fs,
    io::Read,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::symlink,
    process::Command,
    sync::atomic::{AtomicU16, Ordering},
};

/// Runs the program until it exits. Checks that it exits with `code` and prints all `messages` to standard error.
pub fn check_failure(arguments: &[&str], code: i32, messages: &[&str]) {
    let exit = program::run(arguments);
    assert_eq!((exit.code, &*exit.stdout), (Some(code), ""), "{arguments:?}: {}", exit.stderr);
    for text in messages {
        assert!(exit.stderr.contains(text), "{arguments:?}: no {text:?} in {:?}", exit.stderr);
    }
    assert!(!exit.stderr.contains("panicked") && !exit.stderr.contains("Os {"), "{}", exit.stderr);
}

/// Checks that a new connection to `address` is served.
pub fn check_served(address: SocketAddr) {
    let mut client = Client::connect(address);
    assert_eq!(client.fetch(get("/notes.txt")).text(), "notes\n", "{address}");
    client.finish();
}

/// Requests `target`, and waits until the response has begun to arrive. Reads nothing of it.
pub fn begin_download(address: SocketAddr, target: &str) -> Client {
    let mut client = Client::connect_with_small_buffer(address);
    client.send(get(target));
    client.await_status_line();
    client
}

/// Checks what the program does after `signal`: it closes idle connections, accepts no new ones, finishes downloads and
/// exits with 0.
fn check_drains(kind: ServerKind, signal: Signal) {
    let site = Site::shared();
    let program = program::serve(kind.arguments());
    let mut idle = Client::connect(program.address());
    assert_eq!(idle.fetch(get("/notes.txt")).status, 200);
    let mut download = begin_download(program.address(), "/large.bin");
    program.signal(signal);
    idle.expect_eof();
    wait_for("new connections to be refused", || {
        TcpStream::connect(program.address()).is_err().then_some(())
    });
    let reply = download.response();
    assert!(reply.body == site.large, "{} of the bytes", reply.body.len());
    download.expect_eof();
    let exit = program.wait();
    assert_eq!((exit.code, &*exit.stdout, &*exit.stderr), (Some(0), "", ""), "{kind:?} {signal:?}");
}

http_testing::both_engines! {
    fn sigterm_finishes_requests_in_flight(kind: ServerKind) {
        check_drains(kind, Signal::TERM);
    }

    fn sigint_finishes_requests_in_flight(kind: ServerKind) {
        check_drains(kind, Signal::INT);
    }

    fn a_second_signal_ends_the_program_at_once(kind: ServerKind) {
        for (first, second) in
            [(Signal::TERM, Signal::TERM), (Signal::INT, Signal::TERM), (Signal::INT, Signal::INT)]
        {
            let program = program::serve(kind.arguments());
            let mut idle = Client::connect(program.address());
            assert_eq!(idle.fetch(get("/notes.txt")).status, 200);
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
        let program = program::serve(&[kind.arguments(), &["--grace", "1"]].concat());
        let download = begin_download(program.address(), "/huge.bin");
        program.stop_cleanly();
        drop(download);
    }

    fn a_stopped_program_frees_its_port(kind: ServerKind) {
        let port = unassigned_port().to_string();
        let arguments = [kind.arguments(), &["-p", &port]].concat();
        let program = program::serve(&arguments);
        let mut client = Client::connect(program.address());
        assert_eq!(client.fetch(get("/notes.txt")).status, 200);
        program.signal(Signal::TERM);
        client.expect_eof();
        assert_eq!(program.wait().code, Some(0));
        // A connection in TIME_WAIT must not prevent this.
        check_served(program::serve(&arguments).address());
    }

    fn requests_beyond_the_size_limits_are_rejected(kind: ServerKind) {
        let program = program::serve(&[kind.arguments(), &["--max-head", "256", "--max-body", "10"]].concat());
        let check = |request: String, status: u16, close: bool| {
            let reply = Client::connect(program.address()).fetch(request);
            assert_eq!((reply.status, reply.close), (status, close));
        };
        check(get("/notes.txt"), 200, false);
        check(request("GET", "/notes.txt", &format!("A: {}\r\n", "a".repeat(256))), 431, true);
        // httpd uses no body. A longer one than the limit ends the connection.
        check(request("POST", "/notes.txt", "Content-Length: 10\r\n"), 405, false);
        check(request("POST", "/notes.txt", "Content-Length: 11\r\n"), 405, true);
    }

    fn timeouts_can_be_set(kind: ServerKind) {
        let timeouts = ["--head-timeout", "1", "--body-timeout", "1s", "--idle-timeout", "900ms"];
        let program = program::serve(&[kind.arguments(), &timeouts].concat());
        let send = |bytes: &str| {
            let mut client = Client::connect(program.address());
            client.send(bytes);
            client
        };
        let mut idle = send(&get("/notes.txt"));
        let mut slow_head = send("GET / HT");
        let mut slow_body = send(&request("POST", "/", "Content-Length: 2\r\n"));
        for (client, status) in [(&mut idle, 200), (&mut slow_head, 408), (&mut slow_body, 405)] {
            assert_eq!(client.response().status, status);
            client.expect_eof();
        }
    }

    /// Workers divide the limit among them, so one worker may reach its part before the others do.
    fn connections_beyond_the_limit_are_rejected(kind: ServerKind) {
        let program = program::serve(&[kind.arguments(), &["--max-connections", "2"]].concat());
        let downloads: Vec<_> = (0..5).map(|_| begin_download(program.address(), "/huge.bin")).collect();
        let served = downloads.iter().filter(|client| {
            let mut head = [0; 12];
            let length = retry_on_eintr(|| client.stream.peek(&mut head)).expect("the response begins");
            head[..length] == *b"HTTP/1.1 200"
        });
        let served = served.count();
        assert!((1..=2).contains(&served), "{served}");
    }

    fn connections_of_one_address_beyond_the_limit_are_rejected(kind: ServerKind) {
        let program = program::serve(&[kind.arguments(), &["--max-connections-per-ip", "1"]].concat());
        let mut held: Vec<_> = (0..3).map(|_| Client::connect(program.address())).collect();
        let statuses: Vec<_> = held.iter_mut().map(|client| client.fetch(get("/notes.txt")).status).collect();
        let served = statuses.iter().filter(|status| **status == 200).count();
        // Each process counts its own connections.
        let most = if kind.is_prefork() { 2 } else { 1 };
        assert!((1..=most).contains(&served) && statuses.contains(&503), "{statuses:?}");
        assert_eq!(Client::connect_from("127.0.0.2:0", program.address()).fetch(get("/notes.txt")).status, 200);
    }

    fn the_limit_on_open_files_lowers_the_connection_limit(kind: ServerKind) {
        let site = Site::shared();
        let program = Program::start(&mut with_file_limit(kind, &site, 64, ""));
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
        let site = Site::shared();
        let program = program::serve(kind.arguments());
        let (root, address) = (site.root().display().to_string(), program.address());
        let engine = if kind.engine() == Engine::EventLoop { "event loop" } else { "blocking" };
        let workers = if kind.is_prefork() { "2 worker processes" } else { "2 workers" };
        assert_eq!(
            program.startup_line,
            format!("httpd serves {root} at http://{address}/ ({engine}, {workers})\n")
        );
        assert_ne!(address.port(), 0);
        check_served(address);
        program.stop_cleanly();
    }

    fn reports_why_it_cannot_start(kind: ServerKind) {
        let site = Site::shared();
        let root = site.root().to_str().expect("text");
        let check = |arguments: &[&str], messages: &[&str]| {
            check_failure(&[kind.arguments(), arguments].concat(), 1, messages);
        };
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = taken.local_addr().expect("an address");
        let port = address.port().to_string();
        let messages = [format!("httpd: cannot bind {address}: "), "in use".to_owned()];
        check(&["-r", root, "-b", "127.0.0.1", "-p", &port], &messages.each_ref().map(String::as_str));
        // An address that no machine has (RFC 5737).
        check(&["-r", root, "-b", "192.0.2.1", "-p", "0"], &["httpd: cannot bind 192.0.2.1:0: "]);
        let missing = format!("{root}/nowhere");
        check(&["-p", "0", &missing], &[&format!("httpd: cannot serve {missing}: "), "no such file"]);
        let file = format!("{root}/page.html");
        check(&["-p", "0", "-r", &file], &[&format!("httpd: cannot serve {file}: "), "not a directory"]);
    }
}

/// With SO_REUSEPORT, two programs could share a port, and the kernel would divide the connections between them.
#[test]
fn a_second_program_cannot_use_the_port_of_the_first() {
    let site = Site::shared();
    let first = program::serve(&[]);
    let port = first.address().port().to_string();
    let root = site.root().to_str().expect("text");
    for kind in [ServerKind::EventLoop, ServerKind::Blocking, ServerKind::EventLoopPrefork] {
        let arguments = [kind.arguments(), &["-r", root, "-b", "127.0.0.1", "-p", &port]].concat();
        check_failure(&arguments, 1, &["cannot bind"]);
    }
    check_served(first.address());
}

/// The program opens the root once, so it continues to serve the same directory when the link changes.
#[test]
fn the_root_may_be_a_symbolic_link() {
    let directory = tempfile::tempdir().expect("a directory");
    for name in ["one", "two"] {
        fs::create_dir(directory.path().join(name)).expect("a directory");
        fs::write(directory.path().join(name).join("index.html"), name).expect("a file");
    }
    let link = directory.path().join("link");
    symlink("one", &link).expect("a link");
    let program = program::serve_root(&link, &[]);
    let mut client = Client::connect(program.address());
    assert_eq!(client.fetch(get("/")).text(), "one");
    fs::remove_file(&link).and_then(|()| symlink("two", &link)).expect("another link");
    assert_eq!(client.fetch(get("/?again")).text(), "one");
    client.finish();
}

/// Returns a command that runs `httpd` with a limit of `files` open files. If `wrapper` is not empty, it is a command
/// that runs `httpd`, such as `timeout 5`.
pub fn with_file_limit(kind: ServerKind, site: &Site, files: usize, wrapper: &str) -> Command {
    let mut command = Command::new("sh");
    let script = format!("ulimit -n {files}; exec {wrapper} \"$@\"");
    command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_httpd"), "-w", "2", "-b", "127.0.0.1", "-p", "0"]);
    command.args(kind.arguments()).arg("-r").arg(site.root());
    command
}

/// Returns a free port that the kernel gives to no other socket: it is below the range from which the kernel takes
/// ports for connections and for port 0.
fn unassigned_port() -> u16 {
    static NEXT_PORT: AtomicU16 = AtomicU16::new(20_000);
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    std::iter::repeat_with(|| NEXT_PORT.fetch_add(1, Ordering::SeqCst)).find(free).expect("a free port")
}
