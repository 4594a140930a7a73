//! Sockets other than those of addresses: Unix sockets, and descriptors that the program inherits.

use crate::{
    client::{Client, TIMEOUT, get, request, wait_for},
    handoff,
    program::{self, HTTPD, Program, ServerKind, check_failure, check_served, text},
    site::{Directory, Site},
};
use http_engine::listener::{Sharing, bind_all, bind_per_worker};
use rustix::{
    io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd},
    process::{Signal, geteuid, kill_process},
};
use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    os::{
        fd::{AsRawFd, OwnedFd},
        linux::net::SocketAddrExt,
        unix::{
            fs::{FileTypeExt, MetadataExt},
            net::{SocketAddr, UnixListener, UnixStream},
        },
    },
    path::Path,
    process::Command,
};

/// Checks that a Unix socket serves `notes.txt`.
fn check_served_at(address: &SocketAddr) {
    let mut client = UnixStream::connect_addr(address).expect("a server");
    client.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
    client.write_all(request("GET", "/notes.txt", "Connection: close\r\n").as_bytes()).expect("a server");
    let mut response = String::new();
    client.read_to_string(&mut response).expect("a response");
    assert!(response.starts_with("HTTP/1.1 200 ") && response.ends_with("\r\n\r\nnotes\n"), "{response}");
}

/// Checks that the socket at a path serves `notes.txt`.
fn check_served_at_path(path: &Path) {
    check_served_at(&SocketAddr::from_pathname(path).expect("a short path"));
}

/// Returns the value of `--bind` for the path of a socket.
fn unix(path: &Path) -> String {
    format!("unix:{}", text(path))
}

/// Lets the child processes of the test inherit a duplicate of a descriptor.
fn inheritable(descriptor: impl Into<OwnedFd>) -> OwnedFd {
    // Not every shell accepts descriptors of two digits, but bash does. Above those that a shell or a test harness
    // uses.
    let inherited = fcntl_dupfd_cloexec(descriptor.into(), 50).expect("a descriptor");
    fcntl_setfd(&inherited, FdFlags::empty()).expect("a descriptor that is inherited");
    inherited
}

/// Returns the command that runs `httpd` as a server of this kind with these sockets from a service manager.
fn activated(kind: ServerKind, sockets: &[OwnedFd]) -> Command {
    let duplicate = |(number, socket): (usize, &OwnedFd)| format!(" {number}<&{}", socket.as_raw_fd());
    let duplicates: String = (3..).zip(sockets).map(duplicate).collect();
    let script = format!("LISTEN_PID=$$ LISTEN_FDS={} exec \"$@\"{duplicates}", sockets.len());
    let mut command = Command::new("bash");
    command.args(["-c", &script, "bash", HTTPD]).args(kind.arguments());
    command
}

http_testing::both_engines! {
    /// No limit per address applies to clients without an address.
    fn serves_on_unix_sockets_beside_addresses_and_hands_them_over(kind: ServerKind) {
        let directory = Directory::new();
        let (path, log) = (directory.path("socket"), directory.path("log"));
        let name = format!("httpd {kind:?} {}", std::process::id());
        let generations = handoff::start(kind, &[
            "-b", &unix(&path), "-b", "127.0.0.1", "-b", &format!("unix:@{name}"), "--socket-mode", "0604",
            "--log-file", text(&log), "--rate", "1000/h", "--rate-burst", "100", "--max-connections-per-ip", "100",
        ]);
        let line = &generations.first().startup_line;
        assert!(line.contains(&format!(" and {} and unix:@{name} (", unix(&path))), "{line}");
        let metadata = fs::metadata(&path).expect("a socket");
        assert!(metadata.file_type().is_socket() && metadata.mode() & 0o777 == 0o604, "{metadata:?}");
        let name = SocketAddr::from_abstract_name(&name).expect("a short name");
        for _ in 0..2 {
            (0..60).for_each(|_| check_served_at_path(&path));
            check_served_at(&name);
            generations.check_upgrade();
        }
        check_served_at_path(&path);
        generations.stop();
        assert!(!path.exists());
        let log = directory.read("log");
        assert_eq!(log.lines().filter(|line| line.starts_with("unix: - - [")).count(), 123, "{log}");
        assert_eq!(log.lines().filter(|line| line.starts_with("127.0.0.1 - - [")).count(), 2, "{log}");
    }

    /// Several sockets at one address (systemd: `ReusePort=`), another address and a Unix socket, for three workers. A
    /// connection to a socket from which no worker accepts would get no response.
    fn workers_serve_all_sites_on_all_sockets_of_a_service_manager(kind: ServerKind) {
        let directory = Directory::new();
        directory.write("example/notes.txt", "example");
        directory.write("default/notes.txt", "notes\n");
        directory.write("httpd.toml", "[[site]]\nhosts = 'example'\nroot = 'example'\n[[site]]\nroot = 'default'\n");
        let path = directory.path("socket");
        let first = bind_all(&["127.0.0.1:0".parse().expect("an address")], Sharing::PerWorker).expect("a port");
        let mut sockets: Vec<_> = bind_per_worker(first, 2).expect("sockets").into_iter().flatten().collect();
        sockets.push(TcpListener::bind("127.0.0.2:0").expect("a port"));
        let mut inherited: Vec<_> = sockets.into_iter().map(inheritable).collect();
        inherited.push(inheritable(UnixListener::bind(&path).expect("a free path")));
        let mut command = activated(kind, &inherited);
        command.current_dir(directory.root()).args(["--config", "httpd.toml", "-w", "3"]);
        let program = Program::start(&mut command);
        drop(inherited);
        let [both, single] = program.addresses[..] else { panic!("{}", program.startup_line) };
        let check = || {
            // The kernel distributes the connections to the first address between its sockets.
            for address in [both; 20].into_iter().chain([single; 3]) {
                let mut client = Client::connect(address);
                assert_eq!(client.fetch("GET /notes.txt HTTP/1.1\r\nHost: example\r\n\r\n").text(), "example");
                assert_eq!(client.fetch(get("/notes.txt")).text(), "notes\n");
            }
            (0..3).for_each(|_| check_served_at_path(&path));
        };
        check();
        // Worker processes that replace others get the sockets too.
        let workers = || program.workers().into_iter().map(|(worker, _)| worker).collect::<Vec<_>>();
        let before = workers();
        before.iter().for_each(|worker| kill_process(*worker, Signal::KILL).expect("a worker"));
        wait_for("other workers", || {
            let now = workers();
            (now.len() == before.len() && now.iter().all(|worker| !before.contains(worker))).then_some(())
        });
        check();
    }
}

two_kinds! {
    fn replaces_only_a_socket_on_which_no_server_listens(kind: ServerKind) {
        let directory = Directory::new();
        let (path, file) = (directory.path("socket"), directory.path("file"));
        directory.write("file", "text");
        let (value, other) = (unix(&path), unix(&file));
        let start = || program::serve(kind, &["-b", &value, "-b", "127.0.0.1"]);
        let killed = start();
        let failing = [kind.arguments(), &["-b", &value]].concat();
        check_failure(&failing, 1, &format!("cannot bind {value}: address in use (stop the program"));
        check_failure(&["-b", &other], 1, &format!("cannot bind {other}: the file is not a socket"));
        assert_eq!(directory.read("file"), "text");
        check_served_at_path(&path);
        let processes = killed.processes();
        killed.signal(Signal::KILL);
        drop(killed);
        wait_for("the workers to end", || {
            processes.iter().all(|process| rustix::process::test_kill_process(*process).is_err()).then_some(())
        });
        assert!(path.exists());
        let program = start();
        check_served_at_path(&path);
        // A server leaves the file of another one, which has replaced its own.
        fs::remove_file(&path).expect("a socket");
        let replaced = UnixListener::bind(&path).expect("a free path");
        program.stop_cleanly();
        assert!(path.exists());
        drop(replaced);
    }

    /// The directory belongs to the user, as systemd makes it (`RuntimeDirectory=`).
    fn the_socket_belongs_to_the_user_and_is_removed_under_confinement(kind: ServerKind) {
        let directory = Directory::new();
        let path = directory.path("socket");
        let value = unix(&path);
        let mut arguments = vec!["-b", &value, "-b", "127.0.0.1", "--confine", "--socket-mode", "600"];
        if geteuid().is_root() {
            std::os::unix::fs::chown(path.parent().expect("a directory"), Some(54321), None).expect("root may");
            arguments.extend(["--user", "54321", "--group", "54322"]);
        }
        let program = program::serve(kind, &arguments);
        let metadata = fs::metadata(&path).expect("a socket");
        if geteuid().is_root() {
            assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o777), (54321, 54322, 0o600));
        }
        check_served_at_path(&path);
        program.stop_cleanly();
        assert!(!path.exists());
    }

    /// The service manager removes the file itself, or keeps it for the next start.
    fn takes_unix_sockets_from_a_service_manager(kind: ServerKind) {
        let (site, directory) = (Site::shared(), Directory::new());
        let path = directory.path("socket");
        let unix = inheritable(UnixListener::bind(&path).expect("a free path"));
        let tcp = inheritable(TcpListener::bind("127.0.0.1:0").expect("a port"));
        let program = Program::start(activated(kind, &[unix, tcp]).args(["-w", "2", "-r"]).arg(site.root()));
        check_served_at_path(&path);
        check_served(program.address());
        program.stop_cleanly();
        assert!(path.exists());
    }

    fn listens_on_inherited_descriptors(kind: ServerKind) {
        let directory = Directory::new();
        let path = directory.path("socket");
        let unix = inheritable(UnixListener::bind(&path).expect("a free path"));
        let tcp = inheritable(TcpListener::bind("127.0.0.1:0").expect("a port"));
        let values = [&unix, &tcp].map(|socket| format!("fd:{}", socket.as_raw_fd()));
        let program = program::serve(kind, &["-b", &values[0], "-b", &values[1]]);
        check_served_at_path(&path);
        check_served(program.address());
        let info = fs::read_to_string(format!("/proc/{}/fdinfo/{}", program.pid(), tcp.as_raw_fd()));
        let info = info.expect("the descriptor");
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).expect("flags").trim();
        let flags = u32::from_str_radix(flags, 8).expect("an octal number");
        assert!(flags & 0o2_000_000 != 0, "close-on-exec: {info}");
        for (worker, _) in program.workers() {
            let inherited = fs::symlink_metadata(format!("/proc/{worker}/fd/{}", tcp.as_raw_fd()));
            assert!(inherited.is_err(), "a worker has the descriptor");
        }
        program.stop_cleanly();
        assert!(path.exists());
    }
}

#[test]
fn rejects_descriptors_that_are_not_listening_sockets() {
    let file = inheritable(fs::File::open("/dev/null").expect("a file"));
    let number = file.as_raw_fd();
    for (number, expected) in [(number, "not a socket"), (999_999, "bad file descriptor")] {
        let expected = format!("cannot listen on fd:{number}: descriptor {number}: {expected}");
        check_failure(&["-b", &format!("fd:{number}")], 1, &expected);
    }
}
