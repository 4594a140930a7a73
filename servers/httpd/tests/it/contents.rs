//! Files that change between requests, that the server may not read, or that have no content of their own.

use crate::{
    client::{Client, get, request, wait_for},
    program::{self, HTTPD, Program, ServerKind},
};
use std::{
    fs::{self, File, Permissions},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    time::{Duration, Instant, SystemTime},
};
use tempfile::TempDir;

/// How long a server may serve the old state of a file after a change. It takes a second, unless the machine is busy
/// with other work.
const MAX_DELAY: Duration = Duration::from_secs(5);

/// The lengths of a file that the server keeps in memory, and of one that it keeps open.
const LENGTHS: [usize; 2] = [1_000, 100_000];

/// The user `nobody` on Linux systems: an account without privileges.
const NOBODY: u32 = 65_534;

/// Writes `len` bytes `byte` to the file `f` atomically. Its modification time is half a second past the example of
/// RFC 9110.
fn write(root: &Path, byte: u8, len: usize) {
    let (new, modified) = (root.join(".new"), Duration::from_millis(784_111_777_500));
    fs::write(&new, vec![byte; len]).expect("a file");
    let file = File::options().write(true).open(&new).expect("a file");
    file.set_modified(SystemTime::UNIX_EPOCH + modified).expect("a time");
    fs::rename(new, root.join("f")).expect("a name");
}

/// Requests the file `f` with these header lines. Returns the status, the first byte of the body and the entity tag.
fn fetch(client: &mut Client, headers: &str) -> (u16, Option<u8>, String) {
    let reply = client.fetch(request("GET", "/f", headers));
    let tag = reply.header("ETag").expect("an entity tag").to_owned();
    (reply.status, reply.body.first().copied(), tag)
}

two_kinds! {
    fn changes_are_visible_after_about_a_second(kind: ServerKind) {
        let root = TempDir::new().expect("a directory");
        let path = |name: &str| root.path().join(name);
        for name in ["changed", "replaced", "deleted"] {
            fs::write(path(name), "before").expect("a file");
        }
        let server = program::serve_root(kind, root.path(), &[]);
        let mut client = Client::connect(server.address());
        let mut state = |name: &str| {
            let reply = client.fetch(get(&format!("/{name}")));
            let content = if reply.status == 200 { reply.text() } else { String::new() };
            (reply.status, content, reply.header("ETag").map(str::to_owned))
        };
        let names = ["changed", "replaced", "deleted", "new"];
        let before = names.map(&mut state);
        assert_eq!(before.each_ref().map(|(status, ..)| *status), [200, 200, 200, 404]);
        fs::write(path("changed"), "before and after").expect("a file");
        fs::write(path("other"), "another").and_then(|()| fs::rename(path("other"), path("replaced"))).expect("a file");
        fs::remove_file(path("deleted")).expect("a file");
        fs::write(path("new"), "new").expect("a file");
        let start = Instant::now();
        let after = [(200, "before and after"), (200, "another"), (404, ""), (200, "new")];
        for ((name, before), (status, content)) in names.iter().zip(before).zip(after) {
            wait_for(name, || {
                let now = state(name);
                let is_new = now.0 == status && now.1 == content && now.2 != before.2;
                assert!(is_new || now == before, "{name}: {now:?} is neither the old nor the new state");
                is_new.then_some(())
            });
        }
        assert!(start.elapsed() < MAX_DELAY, "all changes visible after {:?}", start.elapsed());
    }

    /// As with reproducible builds, `cp -p`, and images whose files all have the same time.
    fn a_replaced_file_has_another_tag_although_length_and_time_are_the_same(kind: ServerKind) {
        for len in LENGTHS {
            let root = TempDir::new().expect("a directory");
            write(root.path(), b'a', len);
            let server = program::serve_root(kind, root.path(), &[]);
            let mut client = Client::connect(server.address());
            // The tag of a large file is weak just after a change.
            let mut strong_tag_of = |byte| {
                wait_for("a strong tag", || {
                    let (_, first, tag) = fetch(&mut client, "");
                    (first == Some(byte) && tag.starts_with('"')).then_some(tag)
                })
            };
            let old = strong_tag_of(b'a');
            write(root.path(), b'b', len);
            assert_ne!(strong_tag_of(b'b'), old, "{len}");
            for headers in ["If-None-Match: TAG\r\n", "Range: bytes=1-\r\nIf-Range: TAG\r\n"] {
                let (status, first, _) = fetch(&mut client, &headers.replace("TAG", &old));
                assert_eq!((status, first), (200, Some(b'b')), "{len} {headers}");
            }
        }
    }

    fn tags_of_the_modification_time_are_weak(kind: ServerKind) {
        for len in LENGTHS {
            let root = TempDir::new().expect("a directory");
            write(root.path(), b'a', len);
            let server = program::serve_root(kind, root.path(), &["--etag", "mtime"]);
            let mut client = Client::connect(server.address());
            // Length and time, so the same on all hosts.
            let weak = format!("W/\"{len:x}-2ebc98a1\"");
            for (headers, status) in [
                ("", 200),
                ("If-None-Match: TAG\r\n", 304),
                ("Range: bytes=0-0\r\n", 206),
                ("Range: bytes=0-0\r\nIf-Range: TAG\r\n", 200),
                ("If-Match: TAG\r\n", 412),
            ] {
                let (actual, _, tag) = fetch(&mut client, &headers.replace("TAG", &weak));
                assert_eq!((actual, tag), (status, weak.clone()), "{headers}");
            }
        }
    }

    /// The kernel makes the content of these files when they are read, and reports another length: 0 in `/proc`, a page
    /// in `/sys`. Reading `/proc/kmsg` would wait for a message, and reading `/proc/self/mem` from its start fails.
    fn files_that_the_kernel_generates_are_not_found(kind: ServerKind) {
        let server = program::serve_root(kind, Path::new("/"), &[]);
        let mut client = Client::connect(server.address());
        let targets = ["/sys/class/net/lo/address", "/proc/version", "/proc/kmsg", "/proc/uptime", "/proc/self/mem"];
        let found = targets.iter().filter(|target| File::open(target).is_ok());
        assert!(found.map(|target| assert_eq!(client.fetch(get(target)).status, 404, "{target}")).count() > 0);
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
    let mut command = program::command(HTTPD, ServerKind::EventLoop, root, &[]);
    if File::open(root.join("secret.txt")).is_ok() {
        if !(is_accessible_to_all(Path::new(HTTPD)) && is_accessible_to_all(root)) {
            return println!("skipped: this user may read every file, and no other user can run {HTTPD}");
        }
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
    }
    let server = Program::start(&mut command);
    let mut client = Client::connect(server.address());
    for target in ["/secret.txt", "/closed/", "/closed/index.html", "/closed"] {
        assert_eq!(client.fetch(get(target)).status, 403, "{target}");
    }
    assert_eq!(client.fetch(get("/open.txt")).text(), "open");
    // Otherwise the directory could not be removed.
    allow("closed", 0o755).expect("permissions");
}

/// Returns whether all users may read and execute the file, and list and enter each directory above it.
fn is_accessible_to_all(path: &Path) -> bool {
    path.ancestors()
        .all(|path| fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o005 == 0o005))
}
