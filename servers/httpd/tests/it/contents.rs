//! The bytes of files: large files, read fast or slowly, files that change, and files without read permission.

use crate::{
    client::{Client, get, wait_for},
    program::{self, Program},
    reply::{Reply, retry_on_eintr},
    server::{ServerKind, TestServer},
    site::{LARGE_LEN, Site},
};
use std::{
    collections::HashMap,
    fs::{self, File, Permissions},
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

/// How long a server may serve the old state of a file after a change. It takes a second, unless the machine is busy
/// with other work.
const MAX_DELAY: Duration = Duration::from_secs(5);

/// The user `nobody` on Linux systems: an account without privileges.
const NOBODY: u32 = 65_534;

/// Checks that a response is a 200 with the content of `large.bin`.
fn check_large(server: &TestServer, reply: &Reply) {
    assert_eq!((reply.status, reply.body.len()), (200, LARGE_LEN));
    assert!(reply.body == server.site.large, "other bytes than the file's");
}

/// Reads up to the end of the connection, at most `step` bytes at a time. Returns all bytes.
fn read_in_steps(client: &mut Client, step: usize) -> Vec<u8> {
    let mut all = Vec::with_capacity(LARGE_LEN + 1024);
    let mut buffer = vec![0; step];
    loop {
        match retry_on_eintr(|| client.stream.read(&mut buffer)).expect("more of the response") {
            0 => return all,
            count => all.extend(&buffer[..count]),
        }
    }
}

/// A file in the shared document root whose name no other test uses.
struct ScratchFile<'s> {
    server: &'s TestServer,
    name: String,
}

impl<'s> ScratchFile<'s> {
    /// Chooses a name that begins with `about`. The file does not exist yet.
    fn new(server: &'s TestServer, about: &str) -> ScratchFile<'s> {
        static NEXT_NUMBER: AtomicUsize = AtomicUsize::new(0);
        ScratchFile { server, name: format!("{about}-{}.txt", NEXT_NUMBER.fetch_add(1, Ordering::Relaxed)) }
    }

    /// Creates the file with this content, or overwrites it.
    fn write(&self, content: &[u8]) {
        self.server.site.write(&self.name, content);
    }

    /// Appends this content to the file.
    fn append(&self, content: &[u8]) {
        let file = File::options().append(true).open(self.server.site.path(&self.name));
        file.and_then(|mut file| file.write_all(content)).expect("a write");
    }

    /// Truncates the file to `len` bytes, or lengthens it without using disk space.
    fn set_len(&self, len: u64) {
        let file = File::options().write(true).open(self.server.site.path(&self.name));
        file.and_then(|file| file.set_len(len)).expect("another length");
    }

    /// Replaces the file atomically: renames a new file with this content over it.
    fn replace(&self, content: &[u8]) {
        let other = format!("{}.new", self.name);
        self.server.site.write(&other, content);
        fs::rename(self.server.site.path(&other), self.server.site.path(&self.name)).expect("renamed");
    }

    /// Removes the file.
    fn remove(&self) {
        fs::remove_file(self.server.site.path(&self.name)).expect("it was there");
    }

    /// Returns the request target of the file.
    fn target(&self) -> String {
        format!("/{}", self.name)
    }
}

http_testing::both_engines! {
    fn sends_a_large_file(server: &TestServer) {
        let mut client = server.connect();
        check_large(server, &client.fetch(get("/large.bin")));
        client.finish();
    }

    fn sends_large_files_pipelined_with_small_ones(server: &TestServer) {
        let mut client = server.connect();
        client.send(get("/large.bin") + &get("/notes.txt") + &get("/large.bin"));
        check_large(server, &client.response());
        assert_eq!(client.response().text(), "notes\n");
        check_large(server, &client.response());
        client.finish();
    }

    fn sends_a_large_file_to_a_slow_client(server: &TestServer) {
        let mut client = Client::connect_with_small_buffer(server.address);
        // The second request is on a connection that has waited to read and now waits to write.
        assert_eq!(client.fetch(get("/notes.txt")).text(), "notes\n");
        client.send("GET /large.bin HTTP/1.0\r\n\r\n");
        let all = read_in_steps(&mut client, 1500);
        let head = all.len() - LARGE_LEN;
        assert!(all.starts_with(b"HTTP/1.1 200 OK\r\n") && all[..head].ends_with(b"\r\n\r\n"));
        assert!(all[head..] == server.site.large, "other bytes than the file's");
    }

    fn clients_that_stop_reading_do_not_block_others(server: &TestServer) {
        let connect = |_| Client::connect_with_small_buffer(server.address);
        let mut stopped: Vec<Client> = (0..8).map(connect).collect();
        for client in &mut stopped {
            client.send(get("/large.bin"));
            let mut first = [0; 15];
            client.stream.read_exact(&mut first).expect("the response begins");
            assert_eq!(&first, b"HTTP/1.1 200 OK");
        }
        for _ in 0..8 {
            let mut client = server.connect();
            check_large(server, &client.fetch(get("/large.bin")));
            client.finish();
        }
    }

    fn serves_changed_files_within_about_a_second(server: &TestServer) {
        let [changed, replaced, deleted, new] =
            ["changed", "replaced", "deleted", "new"].map(|about| ScratchFile::new(server, about));
        let mut client = server.connect();
        let mut tags = HashMap::new();
        for scratch in [&changed, &replaced, &deleted] {
            scratch.write(b"before");
            let reply = client.fetch(get(&scratch.target()));
            assert_eq!(reply.text(), "before");
            tags.insert(&scratch.name, reply.header("ETag").map(str::to_owned));
        }
        assert_eq!(client.fetch(get(&new.target())).status, 404);
        tags.insert(&new.name, None);
        changed.append(b" and after");
        replaced.replace(b"another");
        deleted.remove();
        new.write(b"new");
        let start = Instant::now();
        for (scratch, (before, status), content) in [
            (&new, (404, 200), "new"),
            (&changed, (200, 200), "before and after"),
            (&replaced, (200, 200), "another"),
            (&deleted, (200, 404), ""),
        ] {
            wait_for(&scratch.name, || {
                let reply = client.fetch(get(&scratch.target()));
                let is = |status, content| reply.status == status && (status == 404 || reply.text() == content);
                let is_new = is(status, content);
                // Either the old content or the new one, each with an entity tag of its own.
                assert!(is_new || is(before, "before"), "{}: {}", scratch.name, reply.text());
                let same_tag =
                    tags.get(&scratch.name).is_some_and(|tag| tag.as_deref() == reply.header("ETag"));
                assert_eq!(same_tag, !is_new, "{}: {:?}", scratch.name, reply.header("ETag"));
                is_new.then_some(())
            });
        }
        assert!(start.elapsed() < MAX_DELAY, "all changes visible after {:?}", start.elapsed());
        client.finish();
    }

    /// The response cannot reach its Content-Length, so the server closes the connection. It never sends other
    /// bytes instead.
    fn closes_the_connection_if_the_file_shrinks(server: &TestServer) {
        // More than sockets buffer.
        let len = 1024 * 1024 * 1024;
        let scratch = ScratchFile::new(server, "shrinking");
        scratch.write(b"");
        scratch.set_len(len);
        let mut client = Client::connect_with_small_buffer(server.address);
        client.send(get(&scratch.target()));
        client.await_status_line();
        scratch.set_len(10);
        let rest = client.stream.read_to_end(&mut Vec::new());
        assert!(rest.is_ok_and(|count| (count as u64) < len), "the connection must end early, without a reset");
        let mut other = server.connect();
        assert_eq!(other.fetch(get("/notes.txt")).text(), "notes\n");
        other.finish();
    }
}

/// The superuser may read every file, so as root this test runs the program as another user.
#[test]
fn responds_with_403_if_a_file_may_not_be_read() {
    let site = tempfile::tempdir().expect("a directory");
    let root = site.path();
    fs::write(root.join("secret.txt"), "secret").expect("a file");
    fs::write(root.join("open.txt"), "open").expect("a file");
    fs::create_dir(root.join("closed")).expect("a directory");
    let allow = |name: &str, mode| fs::set_permissions(root.join(name), Permissions::from_mode(mode));
    for (name, mode) in [("", 0o755), ("secret.txt", 0), ("open.txt", 0o644), ("closed", 0)] {
        allow(name, mode).expect("permissions");
    }
    let program = Path::new(env!("CARGO_BIN_EXE_httpd"));
    let mut command = Command::new(program);
    command.args(["-p", "0", "-b", "127.0.0.1", "-w", "1"]).arg(root).current_dir("/");
    if File::open(root.join("secret.txt")).is_ok() {
        if !(is_accessible_to_all(program) && is_accessible_to_all(root)) {
            return println!("skipped: this user may read every file, and no other user can run {program:?}");
        }
        command.uid(NOBODY).gid(NOBODY);
    }
    let server = Program::start(&mut command);
    let mut client = Client::connect(server.address());
    for target in ["/secret.txt", "/closed/", "/closed/index.html", "/closed"] {
        assert_eq!(client.fetch(get(target)).status, 403, "{target}");
    }
    assert_eq!(client.fetch(get("/open.txt")).text(), "open");
    client.finish();
    // Otherwise the directory could not be removed.
    allow("closed", 0o755).expect("permissions");
}

/// The kernel makes the content of these files when they are read, and reports another length: 0 in `/proc`, a page in
/// `/sys`. Reading `/proc/kmsg` would wait for a message, and reading `/proc/self/mem` from its start fails.
#[test]
fn files_that_the_kernel_generates_are_not_found() {
    for kind in [
        ServerKind::EventLoop,
        ServerKind::Blocking,
        ServerKind::EventLoopPrefork,
        ServerKind::BlockingPrefork,
    ] {
        let server = program::serve_root(Path::new("/"), kind.arguments());
        let mut client = Client::connect(server.address());
        let mut found = 0;
        for target in [
            "/sys/class/net/lo/address",
            "/sys/kernel/profiling",
            "/proc/version",
            "/proc/kmsg",
            "/proc/uptime",
            "/proc/self/mem",
        ] {
            if File::open(target).is_ok() {
                found += 1;
                assert_eq!(client.fetch(get(target)).status, 404, "{kind:?} {target}");
            }
        }
        assert!(found > 0, "neither /proc nor /sys is there");
        client.finish();
        server.stop_cleanly();
    }
}

/// Returns whether all users may read and execute the file, and list and enter each directory above it.
fn is_accessible_to_all(path: &Path) -> bool {
    path.ancestors()
        .all(|path| fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o005 == 0o005))
}

/// Other tests compare what they receive with `Site::large`, so the file must have that content.
#[test]
fn the_shared_site_holds_its_large_file() {
    let site = Site::shared();
    assert_eq!(fs::read(site.path("large.bin")).expect("a file"), site.large);
    assert_eq!(site.large.len(), LARGE_LEN);
}
