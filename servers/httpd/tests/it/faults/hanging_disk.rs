//! A file system that does not answer, such as that of a dead network server: the server serves all other files
//! meanwhile.
//!
//! The file system hangs until a test has seen what it waits for, so the order of events does not depend on time.

use crate::{
    client::{Client, get, wait_for},
    program::{self, Exit, Program, ServerKind, begin_download, connect_idle},
    site::{Directory, LARGE_LEN},
};
use http_test_suite::fixtures;
use http_testing::slow_fs::{Op, ROOT, SlowFs};
use rustix::{
    mount::{UnmountFlags, mount_bind, unmount},
    process::Signal,
};
use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

/// How many requests wait for calls that hang, if many do: more than the server has threads for lookups.
const MANY: usize = 12;

/// How many calls the server makes at once, at least, if so many requests wait for them.
const AT_ONCE: usize = 4;

/// How many calls the server makes at once, at most.
const MAX_AT_ONCE: usize = 16;

/// The calls of a lookup, and those of the close that follows it.
const CALLS: [Op; 7] = [Op::Lookup, Op::Open, Op::Getattr, Op::Read, Op::Flush, Op::Release, Op::Statfs];

/// Those of a lookup that the server makes before it can respond.
const BEFORE_RESPONSE: [Op; 4] = [Op::Lookup, Op::Open, Op::Getattr, Op::Read];

/// Where the slow file system is mounted.
#[derive(Clone, Copy, Debug)]
enum Mount {
    /// On the directory `slow` of a document root on a disk.
    InDisk,
    /// On the directory `slow` of a document root in memory.
    InMemory,
    /// On the document root.
    Root,
}

/// A server with one worker, and a slow file system that it serves.
struct Setup {
    server: Program,
    slow: SlowFs,
    /// The request path of the slow file system.
    path: &'static str,
    root: Directory,
}

impl Setup {
    /// Starts a server. Returns `None` if the slow file system cannot be mounted here.
    fn start(kind: ServerKind, mount: Mount, arguments: &[&str]) -> Option<Setup> {
        let root = match mount {
            Mount::InMemory if Path::new("/dev/shm").is_dir() => Directory::new_in(Path::new("/dev/shm")),
            _ => Directory::new(),
        };
        let path = if let Mount::Root = mount { "" } else { "/slow" };
        fs::create_dir_all(root.path(path.trim_start_matches('/'))).expect("a directory");
        root.write("notes.txt", "notes\n");
        let slow = SlowFs::mount_at(&root.path(path.trim_start_matches('/')))?;
        slow.add("notes.txt", *b"notes\n");
        let server = program::serve_root(kind, root.root(), &[arguments, &["-w", "1"]].concat());
        Some(Setup { server, slow, path, root })
    }

    /// Adds a file to the slow file system, and returns its request target.
    fn add(&self, name: &str, content: impl Into<Vec<u8>>) -> String {
        self.slow.add(name, content.into());
        format!("{}/{name}", self.path)
    }

    /// Adds `count` small files. Returns their names; the content of each file is its name.
    fn add_files(&self, count: usize) -> Vec<String> {
        let names: Vec<String> = (0..count).map(|number| format!("{number}.txt")).collect();
        names.iter().for_each(|name| drop(self.add(name, name.as_bytes())));
        names
    }

    /// Requests each of these files on a connection of its own.
    fn request(&self, names: &[String]) -> Vec<Client> {
        let connect =
            |name| Client::connect_and_send(self.server.address(), get(&format!("{}/{name}", self.path)));
        names.iter().map(connect).collect()
    }

    /// Checks that the server serves another client: a file and a 404, first from the disk and then from its cache.
    fn check_serves_others(&self) {
        let mut client = Client::connect(self.server.address());
        for _ in 0..2 {
            assert_eq!(client.fetch(get("/notes.txt")).text(), "notes\n");
            assert_eq!(client.fetch(get("/nowhere")).status, 404);
        }
        client.finish();
    }
}

/// A directory that is mounted on another one. Dropping this unmounts it.
struct BindMount(PathBuf);

impl BindMount {
    /// Returns `None`, and prints why, without the permission to mount.
    fn new(source: &Path, target: PathBuf) -> Option<BindMount> {
        let mounted = mount_bind(source, &target);
        mounted.inspect_err(|error| eprintln!("skipped: cannot mount a directory: {error}")).ok()?;
        Some(BindMount(target))
    }
}

impl Drop for BindMount {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

/// Requests `count` files while calls of the kind `op` hang. Checks that the server serves others meanwhile, and these
/// requests when the calls continue.
fn check(kind: ServerKind, mount: Mount, op: Op, count: usize) {
    println!("{mount:?}, {op:?}, {count}");
    let Some(setup) = Setup::start(kind, mount, &[]) else { return };
    let names = setup.add_files(count);
    let held = setup.slow.hang(op, &names);
    let clients = setup.request(&names);
    // The server need not ask what file system it is.
    if op != Op::Statfs {
        held.wait_until_reached(count.min(AT_ONCE));
    }
    setup.check_serves_others();
    held.release();
    for (mut client, name) in clients.into_iter().zip(names) {
        assert_eq!(client.response().text(), name);
    }
    setup.server.stop_cleanly();
}

/// Requests `count` files while calls of the kind `op` hang. Checks that each request gets 504, and the file when the
/// calls continue.
fn check_timeout(kind: ServerKind, mount: Mount, op: Op, count: usize) {
    println!("{mount:?}, {op:?}, {count}");
    let Some(setup) = Setup::start(kind, mount, &["--file-timeout", "1s"]) else { return };
    let names = setup.add_files(count);
    let held = setup.slow.hang(op, &names);
    for mut client in setup.request(&names) {
        assert_eq!(client.response().status, 504);
    }
    setup.check_serves_others();
    held.release();
    for name in &names {
        // The file system gets no more calls until one of those that hang has returned.
        wait_for("the file", || {
            let response = setup.request(std::slice::from_ref(name)).remove(0).response();
            (response.status != 503).then(|| assert_eq!(response.text(), *name))
        });
    }
    let Exit { code, stderr, .. } = setup.server.stop();
    // The program may end before the calls that hung have returned.
    assert!(code == Some(0) && (1..=2).contains(&stderr.lines().count()), "{code:?} {stderr}");
    let slow = format!("{}{}", setup.root.root().display(), setup.path);
    for (line, message) in stderr.lines().zip([
        format!("the file system of {slow} does not answer; responding 504 to requests for its files"),
        format!("the file system of {slow} answers again"),
    ]) {
        assert!(line.ends_with(&message), "{stderr}");
    }
}

two_kinds! {
    fn a_lookup_that_hangs_delays_no_others(kind: ServerKind) {
        CALLS.into_iter().for_each(|op| check(kind, Mount::InDisk, op, 1));
    }

    fn many_lookups_that_hang_delay_no_others(kind: ServerKind) {
        CALLS.into_iter().for_each(|op| check(kind, Mount::InDisk, op, MANY));
    }

    fn a_file_system_that_hangs_delays_no_files_in_memory(kind: ServerKind) {
        [1, MANY].into_iter().for_each(|count| check(kind, Mount::InMemory, Op::Open, count));
    }

    fn a_mount_in_a_mount_delays_no_files_of_the_outer_one(kind: ServerKind) {
        let (root, outer) = (Directory::new(), Directory::new());
        ["notes.txt", "others.txt"].iter().for_each(|name| outer.write(name, *name));
        for directory in [root.path("outer"), outer.path("slow")] {
            fs::create_dir(directory).expect("a directory");
        }
        let Some(_outer) = BindMount::new(outer.root(), root.path("outer")) else { return };
        let Some(slow) = SlowFs::mount_at(&root.path("outer/slow")) else { return };
        let server = program::serve_root(kind, root.root(), &["-w", "1"]);
        let mut other = Client::connect(server.address());
        assert_eq!(other.fetch(get("/outer/notes.txt")).text(), "notes.txt");
        let names: Vec<String> = (0..=MAX_AT_ONCE).map(|number| format!("{number}.txt")).collect();
        names.iter().for_each(|name| slow.add(name, name.as_bytes()));
        let held = slow.hang(Op::Open, &names);
        let request = |name| Client::connect_and_send(server.address(), get(&format!("/outer/slow/{name}")));
        let clients: Vec<_> = names.iter().map(request).collect();
        held.wait_until_reached(MAX_AT_ONCE);
        assert_eq!(other.fetch(get("/outer/others.txt")).text(), "others.txt");
        held.release();
        for (mut client, name) in clients.into_iter().zip(names) {
            assert_eq!(client.response().text(), name);
        }
        other.finish();
        server.stop_cleanly();
    }

    /// The other files are on the same file system.
    fn a_root_may_be_on_a_slow_file_system(kind: ServerKind) {
        CALLS.into_iter().for_each(|op| check(kind, Mount::Root, op, 1));
    }

    /// The kernel then finds the name without the file system.
    fn the_open_of_a_cached_name_may_hang(kind: ServerKind) {
        let Some(setup) = Setup::start(kind, Mount::InDisk, &[]) else { return };
        setup.slow.cache_names();
        let names = setup.add_files(1);
        assert_eq!(fs::read_to_string(setup.slow.root().join(&names[0])).expect("a file"), names[0]);
        let held = setup.slow.hang(Op::Open, &names);
        let mut clients = setup.request(&names);
        held.wait_until_reached(1);
        setup.check_serves_others();
        held.release();
        assert_eq!(clients[0].response().text(), names[0]);
        setup.server.stop_cleanly();
    }

    fn a_read_that_hangs_during_a_download_delays_no_others(kind: ServerKind) {
        for mount in [Mount::InDisk, Mount::Root] {
            let Some(setup) = Setup::start(kind, mount, &[]) else { return };
            let content = fixtures::pattern(0..LARGE_LEN);
            let target = setup.add("large", &content[..]);
            let mut client = begin_download(setup.server.address(), &target);
            let held = setup.slow.hang(Op::Read, &["large"]);
            let download = thread::spawn(move || client.response());
            held.wait_until_reached(1);
            setup.check_serves_others();
            held.release();
            assert!(download.join().expect("no panic").body == content, "other bytes than the file's");
            setup.server.stop_cleanly();
        }
    }

    /// The server closes a large file when no response has sent it for a while, or when its last client leaves.
    fn the_close_of_a_large_file_may_hang(kind: ServerKind) {
        for op in [Op::Flush, Op::Release] {
            let Some(setup) = Setup::start(kind, Mount::InDisk, &[]) else { return };
            let content = fixtures::pattern(0..LARGE_LEN);
            let (first, second) = (setup.add("first", &content[..]), setup.add("second", &content[..]));
            let held = setup.slow.hang(op, &["first"]);
            begin_download(setup.server.address(), &first).reset();
            held.wait_until_reached(1);
            setup.check_serves_others();
            // The first file again, which may have to be opened, and another one.
            for target in [first, second] {
                let response = Client::connect(setup.server.address()).fetch(get(&target));
                assert!(response.body == content, "other bytes than the file's");
            }
            held.release();
            setup.server.stop_cleanly();
        }
    }

    fn a_lookup_that_hangs_times_out(kind: ServerKind) {
        BEFORE_RESPONSE.into_iter().for_each(|op| check_timeout(kind, Mount::InDisk, op, 1));
        check_timeout(kind, Mount::Root, Op::Open, 1);
    }

    /// Those that wait for a thread time out too.
    fn many_lookups_that_hang_time_out(kind: ServerKind) {
        check_timeout(kind, Mount::InDisk, Op::Open, MANY);
    }

    /// The server asks at times which directory the name of the root leads to.
    fn the_name_of_the_root_may_hang(kind: ServerKind) {
        let Some(setup) = Setup::start(kind, Mount::Root, &["--file-timeout", "1s"]) else { return };
        let held = setup.slow.hang(Op::Getattr, &[ROOT]);
        let names = setup.add_files(MANY);
        let clients = setup.request(&names);
        held.wait_until_reached(1);
        setup.check_serves_others();
        held.release();
        for mut client in clients {
            assert!([200, 504].contains(&client.response().status));
        }
        setup.server.stop_cleanly();
    }
}

http_testing::both_engines! {
    /// A reload opens the root: first in the main process, and then in the worker process, if there is one.
    fn a_signal_ends_the_program_although_a_reload_hangs(kind: ServerKind) {
        for is_worker in [false, true] {
            if is_worker && !kind.is_prefork() {
                continue;
            }
            let Some(setup) = Setup::start(kind, Mount::Root, &["--grace", "1"]) else { return };
            let mut idle = connect_idle(setup.server.address());
            let hang = || setup.slow.hang(Op::Getattr, &[ROOT]);
            let mut held = hang();
            setup.server.signal(Signal::HUP);
            held.wait_until_reached(1);
            if is_worker {
                let next = hang();
                std::mem::replace(&mut held, next).release();
                held.wait_until_reached(1);
            }
            setup.server.signal(Signal::TERM);
            idle.expect_eof();
            wait_for("the program to end", || setup.server.has_ended().then_some(()));
            held.release();
            assert_eq!(setup.server.wait().code, Some(0));
        }
    }

    /// A reload opens the root again.
    fn after_a_reload_no_more_threads_hang(kind: ServerKind) {
        let config = Directory::new();
        let write = |version: &str| config.write("httpd.toml", format!("header = 'X-Version: {version}'\n"));
        write("old");
        let path = config.path("httpd.toml").display().to_string();
        let arguments = ["--file-timeout", "1s", "--config", &path];
        let Some(setup) = Setup::start(kind, Mount::InDisk, &arguments) else { return };
        let names = setup.add_files(MANY);
        let held = setup.slow.hang(Op::Open, &names);
        let check = |expected| {
            setup.request(&names).iter_mut().for_each(|client| assert_eq!(client.response().status, expected));
        };
        check(504);
        write("new");
        setup.server.signal(Signal::HUP);
        wait_for("the reload", || {
            let response = Client::connect(setup.server.address()).fetch(get("/notes.txt"));
            (response.header("X-Version") == Some("new")).then_some(())
        });
        check(503);
        held.release();
        assert_eq!(setup.server.stop().code, Some(0));
    }

    fn a_reload_follows_one_that_hangs(kind: ServerKind) {
        let Some(setup) = Setup::start(kind, Mount::Root, &[]) else { return };
        let held = setup.slow.hang(Op::Getattr, &[ROOT]);
        setup.server.signal(Signal::HUP);
        held.wait_until_reached(1);
        let next = setup.slow.hang(Op::Statfs, &[ROOT]);
        (0..2).for_each(|_| setup.server.signal(Signal::HUP));
        held.release();
        next.wait_until_reached(1);
        next.release();
        setup.check_serves_others();
        setup.server.stop_cleanly();
    }

    /// The processes end only when the file system answers, because the kernel cannot interrupt a call on it. But the
    /// program closes its connections, and its main thread ends.
    fn a_signal_ends_the_program_although_lookups_hang(kind: ServerKind) {
        let Some(setup) = Setup::start(kind, Mount::InDisk, &["--grace", "1"]) else { return };
        let names = setup.add_files(MANY);
        let held = setup.slow.hang(Op::Open, &names);
        let clients = setup.request(&names);
        held.wait_until_reached(AT_ONCE);
        let mut idle = connect_idle(setup.server.address());
        setup.server.signal(Signal::TERM);
        idle.expect_eof();
        for client in clients {
            wait_for("an error or the end of the connection", || client.has_received().then_some(()));
        }
        wait_for("the program to end", || setup.server.has_ended().then_some(()));
        held.release();
        assert_eq!(setup.server.wait().code, Some(0));
    }
}
