//! The program as an operator meets it: arguments, the line at start, exit codes, signals.

use crate::{
    client::{Client, get, request, until},
    program::{self, Program},
    reply::{Asked, uninterrupted},
    server::Kind,
    site::Site,
};
use http_engine::Engine;
use rustix::process::Signal;
use std::{
    fs,
    io::Read,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::symlink,
    process::Command,
    sync::atomic::{AtomicU16, Ordering},
};

/// Arguments with which the program cannot start, and what it says.
fn check_failure(arguments: &[&str], code: i32, said: &[&str]) {
    let exit = program::run(arguments);
    assert_eq!((exit.code, &*exit.stdout), (Some(code), ""), "{arguments:?}: {}", exit.stderr);
    for text in said {
        assert!(exit.stderr.contains(text), "{arguments:?}: no {text:?} in {:?}", exit.stderr);
    }
    assert!(!exit.stderr.contains("panicked") && !exit.stderr.contains("Os {"), "{}", exit.stderr);
}

fn check_served(address: SocketAddr) {
    let mut client = Client::connect(address);
    assert_eq!(client.ask(get("/notes.txt")).text(), "notes\n", "{address}");
    client.finish();
}

/// A download that has begun, and whose client takes no more of it for now.
pub fn begin_download(address: SocketAddr, target: &str) -> Client {
    let mut client = Client::connect_narrow(address);
    client.send(get(target));
    // What is looked at is not taken.
    while uninterrupted(|| client.stream.peek(&mut [0; 15])).expect("the answer begins") < 15 {}
    client
}

/// An order to stop, and everything that must be true until the program has stopped.
fn check_stop(kind: Kind, signal: Signal) {
    let site = Site::shared();
    let program = program::serve(kind.arguments());
    let mut idle = Client::connect(program.address());
    assert_eq!(idle.ask(get("/notes.txt")).status, 200);
    let mut download = begin_download(program.address(), "/large.bin");
    program.signal(signal);
    idle.ends();
    // Nobody is left to wait for a server that goes, and the download still stands.
    until("newcomers are refused", || TcpStream::connect(program.address()).is_err().then_some(()));
    let reply = download.reply(Asked::Http11);
    assert!(reply.content == site.large, "{} of the bytes", reply.content.len());
    download.ends();
    let exit = program.exit();
    assert_eq!((exit.code, &*exit.stdout, &*exit.stderr), (Some(0), "", ""), "{kind:?} {signal:?}");
}

http_testing::both_engines! {
    fn sigterm_lets_what_is_in_flight_finish(kind: Kind) {
        check_stop(kind, Signal::TERM);
    }

    fn sigint_lets_what_is_in_flight_finish(kind: Kind) {
        check_stop(kind, Signal::INT);
    }

    fn a_second_signal_ends_it_at_once(kind: Kind) {
        for (first, second) in
            [(Signal::TERM, Signal::TERM), (Signal::INT, Signal::TERM), (Signal::INT, Signal::INT)]
        {
            let program = program::serve(kind.arguments());
            let mut idle = Client::connect(program.address());
            assert_eq!(idle.ask(get("/notes.txt")).status, 200);
            let mut download = begin_download(program.address(), "/huge.bin");
            program.signal(first);
            // Now the first has been seen: two of a kind at once could become one.
            idle.ends();
            program.signal(second);
            assert_eq!(program.exit().code, Some(0), "{first:?} {second:?}");
            let _ = download.stream.read_to_end(&mut Vec::new());
        }
    }

    fn the_grace_has_an_end(kind: Kind) {
        let program = program::serve(&[kind.arguments(), &["--grace", "1"]].concat());
        let download = begin_download(program.address(), "/huge.bin");
        program.signal(Signal::TERM);
        let exit = program.exit();
        assert_eq!((exit.code, &*exit.stderr), (Some(0), ""));
        drop(download);
    }

    fn a_stopped_program_leaves_its_port(kind: Kind) {
        let port = quiet_port().to_string();
        let arguments = [kind.arguments(), &["-p", &port]].concat();
        let program = program::serve(&arguments);
        let mut client = Client::connect(program.address());
        assert_eq!(client.ask(get("/notes.txt")).status, 200);
        program.signal(Signal::TERM);
        client.ends();
        assert_eq!(program.exit().code, Some(0));
        // A connection of before waits out its time, and is no hindrance.
        check_served(program::serve(&arguments).address());
    }

    fn requests_are_as_large_as_they_may(kind: Kind) {
        let program = program::serve(&[kind.arguments(), &["--max-head", "256", "--max-body", "10"]].concat());
        let ask = |request: String| Client::connect(program.address()).ask(request).status;
        assert_eq!(ask(request("GET", "/notes.txt", "")), 200);
        assert_eq!(ask(request("GET", "/notes.txt", &format!("A: {}\r\n", "a".repeat(256)))), 431);
        assert_eq!(ask(request("POST", "/notes.txt", "Content-Length: 10\r\n") + "0123456789"), 405);
        assert_eq!(ask(request("POST", "/notes.txt", "Content-Length: 11\r\n")), 413);
    }

    fn waits_are_as_long_as_they_may(kind: Kind) {
        let timeouts = ["--head-timeout", "1", "--body-timeout", "1", "--idle-timeout", "1"];
        let program = program::serve(&[kind.arguments(), &timeouts].concat());
        let begun = |bytes: &str| {
            let mut client = Client::connect(program.address());
            client.send(bytes);
            client
        };
        let mut idle = begun(&get("/notes.txt"));
        let mut slow = [begun("GET / HT"), begun(&request("POST", "/", "Content-Length: 2\r\n")), ];
        assert_eq!(idle.reply(Asked::Http11).status, 200);
        idle.ends();
        for client in &mut slow {
            assert_eq!(client.reply(Asked::Http11).status, 408);
            client.ends();
        }
    }

    /// However many processes or loops share in it. One of them may be full before the others are.
    fn connections_are_as_many_as_they_may(kind: Kind) {
        let program = program::serve(&[kind.arguments(), &["--max-connections", "2"]].concat());
        let downloads: Vec<_> = (0..5).map(|_| begin_download(program.address(), "/huge.bin")).collect();
        let served = downloads.iter().filter(|client| {
            let mut head = [0; 12];
            let length = uninterrupted(|| client.stream.peek(&mut head)).expect("the answer has begun");
            head[..length] == *b"HTTP/1.1 200"
        });
        let served = served.count();
        assert!((1..=2).contains(&served), "{served}");
    }

    fn connections_of_an_address_are_as_many_as_they_may(kind: Kind) {
        let program = program::serve(&[kind.arguments(), &["--max-connections-per-ip", "1"]].concat());
        let mut held: Vec<_> = (0..3).map(|_| Client::connect(program.address())).collect();
        let statuses: Vec<_> = held.iter_mut().map(|client| client.ask(get("/notes.txt")).status).collect();
        let served = statuses.iter().filter(|status| **status == 200).count();
        // Processes do not tell each other.
        let most = if kind.is_prefork() { 2 } else { 1 };
        assert!((1..=most).contains(&served) && statuses.contains(&503), "{statuses:?}");
        assert_eq!(Client::connect_from("127.0.0.2:0", program.address()).ask(get("/notes.txt")).status, 200);
    }

    fn connections_are_no_more_than_files_may_be_open(kind: Kind) {
        let site = Site::shared();
        let program = Program::start(&mut limited(kind, &site, 64, ""));
        check_served(program.address());
        program.signal(Signal::TERM);
        let exit = program.exit();
        assert_eq!((exit.code, exit.stderr.lines().count()), (Some(0), 1), "{exit:?}");
        let wanted = match kind.engine() {
            Engine::EventLoop => 10_000,
            Engine::Blocking => 1024,
        };
        let said = format!("64 open files leave room for 16 connections, and not for {wanted}\n");
        assert!(exit.stderr.ends_with(&said), "{exit:?}");
    }

    fn it_says_in_one_line_where_it_serves(kind: Kind) {
        let site = Site::shared();
        let program = program::serve(kind.arguments());
        let (root, address) = (site.root().display().to_string(), program.address());
        let engine =
            if matches!(kind, Kind::EventLoop | Kind::EventLoopPrefork) { "event loop" } else { "blocking" };
        let workers = if kind.is_prefork() { "2 worker processes" } else { "2 workers" };
        assert_eq!(
            program.announced,
            format!("httpd serves {root} at http://{address}/ ({engine}, {workers})\n")
        );
        assert_ne!(address.port(), 0);
        check_served(address);
        program.signal(Signal::TERM);
        assert_eq!(program.exit().stdout, "");
    }

    fn it_listens_wherever_it_is_told(kind: Kind) {
        let bound = [kind.arguments(), &["-b", "127.0.0.1", "-b", "127.0.0.2"]].concat();
        let program = program::serve(&bound);
        let port = program.address().port();
        let expected = [Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2)];
        assert_eq!(program.addresses, expected.map(|address| SocketAddr::new(address.into(), port)));
        program.addresses.iter().for_each(|address| check_served(*address));
        if !ipv6_is_here() {
            return println!("skipped: there is no IPv6 here");
        }
        let program = program::serve(&[kind.arguments(), &["-b", "::1"]].concat());
        assert!(program.addresses.len() == 1 && program.address().is_ipv6(), "{}", program.announced);
        check_served(program.address());
    }

    fn what_stands_in_the_way_is_named(kind: Kind) {
        let site = Site::shared();
        let root = site.root().to_str().expect("text");
        let with = |arguments: &[&str], said: &[&str]| {
            check_failure(&[kind.arguments(), arguments].concat(), 1, said);
        };
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = taken.local_addr().expect("an address");
        let port = address.port().to_string();
        let said = [format!("httpd: cannot listen on {address}: "), "in use".to_owned()];
        with(&["-r", root, "-b", "127.0.0.1", "-p", &port], &said.each_ref().map(String::as_str));
        // Not an address of this machine (RFC 5737).
        with(&["-r", root, "-b", "192.0.2.1", "-p", "0"], &["httpd: cannot listen on 192.0.2.1:0: "]);
        let missing = format!("{root}/nowhere");
        with(&["-p", "0", &missing], &[&format!("httpd: cannot serve {missing}: "), "No such file"]);
        let file = format!("{root}/page.html");
        with(&["-p", "0", "-r", &file], &[&format!("httpd: cannot serve {file}: "), "Not a directory"]);
    }
}

/// Two of them on one port would share its connections, and nobody would notice.
#[test]
fn a_second_program_does_not_share_the_port_of_the_first() {
    let site = Site::shared();
    let first = program::serve(&[]);
    let port = first.address().port().to_string();
    let root = site.root().to_str().expect("text");
    for engine in [Kind::EventLoop, Kind::Blocking, Kind::EventLoopPrefork] {
        let arguments = [engine.arguments(), &["-r", root, "-b", "127.0.0.1", "-p", &port]].concat();
        check_failure(&arguments, 1, &["cannot listen on"]);
    }
    check_served(first.address());
}

#[test]
fn without_an_address_it_listens_on_the_loopback_addresses() {
    let root = Site::shared();
    let mut command = Command::new(env!("CARGO_BIN_EXE_httpd"));
    let program = Program::start(command.args(["-p", "0", "-w", "1"]).current_dir(root.root()));
    assert!(program.announced.starts_with("httpd serves . at http://127.0.0.1:"), "{}", program.announced);
    assert!(program.announced.ends_with("/ (event loop, 1 worker)\n"), "{}", program.announced);
    let port = program.address().port();
    let mut expected = vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)];
    if ipv6_is_here() {
        expected.push(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port));
    }
    assert_eq!(program.addresses, expected);
    expected.into_iter().for_each(check_served);
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let addresses = ["-b", "127.0.0.1"].repeat(65);
    for arguments in [
        &["--nonsense"][..],
        &["-p", "65536"],
        &["-p", "http"],
        &["-w", "0"],
        &["-w", "1025"],
        &["-b", "localhost"],
        &["--engine", "async"],
        &["--grace", "-1"],
        &["--max-connections", "0"],
        &["--max-connections-per-ip", "many"],
        &["--max-head", "65536"],
        &["--max-body", "-1"],
        &["--head-timeout", "0"],
        &["--idle-timeout", "86401"],
        &["--log", "all"],
        &["--group", "web"],
        &["--reload"],
        &["one", "two"],
        &["one", "-r", "two"],
        &addresses,
    ] {
        check_failure(arguments, 2, &[]);
    }
}

#[test]
fn it_explains_itself() {
    let version = program::run(&["-V"]);
    let expected = format!("httpd {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((version.code, version.stdout, version.stderr), (Some(0), expected, String::new()));
    for help in ["-h", "--help"] {
        let exit = program::run(&[help]);
        assert_eq!((exit.code, &*exit.stderr), (Some(0), ""));
        let options = "port root workers engine prefork bind grace max-connections max-connections-per-ip max-head \
            max-body head-timeout body-timeout write-timeout idle-timeout log log-file error-log pid-file user group \
            confine reload";
        for option in options.split(' ').map(|option| format!("--{option}")) {
            assert!(exit.stdout.contains(&option), "{help} does not name {option}");
        }
    }
}

/// The root is opened once: what its name comes to mean later changes nothing.
#[test]
fn the_root_may_be_a_link() {
    let directory = tempfile::tempdir().expect("a directory");
    for name in ["one", "two"] {
        fs::create_dir(directory.path().join(name)).expect("a directory");
        fs::write(directory.path().join(name).join("index.html"), name).expect("a file");
    }
    let link = directory.path().join("link");
    symlink("one", &link).expect("a link");
    let program = program::serve_root(&link, &[]);
    let mut client = Client::connect(program.address());
    assert_eq!(client.ask(get("/")).text(), "one");
    fs::remove_file(&link).and_then(|()| symlink("two", &link)).expect("another link");
    assert_eq!(client.ask(get("/?again")).text(), "one");
    client.finish();
}

/// The program where so many files may be open, with all that it is run by.
pub fn limited(kind: Kind, site: &Site, files: usize, by: &str) -> Command {
    let mut command = Command::new("sh");
    let script = format!("ulimit -n {files}; exec {by} \"$@\"");
    command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_httpd"), "-w", "2", "-b", "127.0.0.1", "-p", "0"]);
    command.args(kind.arguments()).arg("-r").arg(site.root());
    command
}

/// A port that is free, and stays so: none that the system gives to whoever asks for any.
fn quiet_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    std::iter::repeat_with(|| NEXT.fetch_add(1, Ordering::SeqCst)).find(free).expect("a free port")
}

fn ipv6_is_here() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}
