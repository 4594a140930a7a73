//! ETag and Last-Modified (RFC 9110 §8.8) of files that are replaced, copied to another host, or dated in the future.

use crate::{
    client::{Client, get, request, wait_for},
    program::{self, Program},
    reply::Reply,
    server::FileServer,
};
use std::{
    fs::{self, File},
    path::Path,
    time::{Duration, SystemTime},
};
use tempfile::TempDir;

/// The lengths of a file that the server keeps in memory, and of one that it keeps open.
const LENGTHS: [usize; 2] = [1_000, 100_000];

/// Writes a file with this content atomically. Its modification time is `modified`.
fn write(root: &Path, name: &str, content: &[u8], modified: SystemTime) {
    let path = root.join(".new");
    fs::write(&path, content).expect("a file");
    let file = File::options().write(true).open(&path).expect("a file");
    file.set_modified(modified).and_then(|()| fs::rename(path, root.join(name))).expect("a time and a name");
}

/// Returns the value of a header that must be present.
fn header<'r>(reply: &'r Reply, name: &str) -> &'r str {
    reply.header(name).unwrap_or_else(|| panic!("no {name}: {reply:?}"))
}

/// Requests the last byte of the file `f`, of `len` bytes, on the condition that this validator is the current one.
/// Returns the status.
fn if_range(client: &mut Client, len: usize, validator: &str) -> u16 {
    let headers = format!("Range: bytes={}-\r\nIf-Range: {validator}\r\n", len - 1);
    client.fetch(request("GET", "/f", &headers)).status
}

/// Returns the response to a GET for `f` once its ETag is strong: that of a large file is weak just after a change.
fn await_strong_tag(client: &mut Client) -> Reply {
    wait_for("a strong tag", || {
        let reply = client.fetch(get("/f"));
        header(&reply, "ETag").starts_with('"').then_some(reply)
    })
}

http_testing::both_engines! {
    /// As with reproducible builds, `cp -p`, and images whose files all have the same time.
    fn a_replaced_file_has_another_tag_although_length_and_time_are_the_same(kind: ServerKind) {
        for len in LENGTHS {
            let root = TempDir::new().expect("a directory");
            let server = FileServer::start(kind, root.path());
            let mut client = server.connect();
            write(root.path(), "f", &vec![b'a'; len], SystemTime::UNIX_EPOCH);
            let old = await_strong_tag(&mut client);
            let tag = header(&old, "ETag");
            assert_eq!(if_range(&mut client, len, tag), 206, "{len}");
            write(root.path(), "f", &vec![b'b'; len], SystemTime::UNIX_EPOCH);
            wait_for("the new file", || (client.fetch(get("/f")).body[0] == b'b').then_some(()));
            let new = await_strong_tag(&mut client);
            assert_eq!(header(&new, "Last-Modified"), header(&old, "Last-Modified"), "{len}");
            assert_ne!(header(&new, "ETag"), tag, "{len}");
            let reply = client.fetch(request("GET", "/f", &format!("If-None-Match: {tag}\r\n")));
            assert_eq!((reply.status, reply.body[0]), (200, b'b'), "{len}");
            assert_eq!(if_range(&mut client, len, tag), 200, "{len}");
            client.finish();
        }
    }

    /// RFC 9110 §8.8.2.2.
    fn if_range_accepts_a_date_one_second_later(kind: ServerKind) {
        let root = TempDir::new().expect("a directory");
        let server = FileServer::start(kind, root.path());
        let mut client = server.connect();
        write(root.path(), "f", b"0123456789", SystemTime::now());
        wait_for("the next second", || {
            let head = client.fetch(request("HEAD", "/f", ""));
            let modified = header(&head, "Last-Modified").to_owned();
            let range = format!("Range: bytes=9-\r\nIf-Range: {modified}\r\n");
            let reply = client.fetch(request("GET", "/f", &range));
            let is_later = header(&reply, "Date") != modified;
            assert_eq!(reply.status, if is_later { 206 } else { 200 }, "{modified}, {reply:?}");
            is_later.then_some(())
        });
        client.finish();
    }

    /// RFC 9110 §8.8.2.1.
    fn a_time_in_the_future_becomes_the_date_of_the_response(kind: ServerKind) {
        for len in LENGTHS {
            let root = TempDir::new().expect("a directory");
            let server = FileServer::start(kind, root.path());
            let mut client = server.connect();
            write(root.path(), "f", &vec![b'a'; len], SystemTime::now() + Duration::from_secs(86_400));
            for _ in 0..3 {
                let reply = client.fetch(get("/f"));
                assert_eq!(header(&reply, "Last-Modified"), header(&reply, "Date"), "{len}");
                assert_eq!(if_range(&mut client, len, header(&reply, "Date")), 200, "{len}");
                let since = format!("If-Modified-Since: {}\r\n", header(&reply, "Date"));
                let reply = client.fetch(request("GET", "/f", &since));
                assert_eq!(header(&reply, "Last-Modified"), header(&reply, "Date"), "{len}: {reply:?}");
            }
            client.finish();
        }
    }

    fn tags_of_the_modification_time_are_weak_and_the_same_on_all_hosts(kind: ServerKind) {
        let modified = SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_500);
        for len in LENGTHS {
            let roots = [(); 2].map(|()| TempDir::new().expect("a directory"));
            let hosts = roots.each_ref().map(|root| {
                write(root.path(), "f", &vec![b'a'; len], modified);
                program::serve_root(root.path(), &[kind.arguments(), &["--etag", "mtime"]].concat())
            });
            for host in &hosts {
                let mut client = Client::connect(host.address());
                let reply = client.fetch(get("/f"));
                let tag = format!("W/\"{len:x}-2ebc98a1\"");
                assert_eq!(reply.header("ETag"), Some(&*tag));
                let status = |client: &mut Client, headers: String| client.fetch(request("GET", "/f", &headers)).status;
                assert_eq!(status(&mut client, format!("If-None-Match: {tag}\r\n")), 304);
                assert_eq!(status(&mut client, "Range: bytes=0-0\r\n".to_owned()), 206);
                for tag in [&*tag, tag.trim_start_matches("W/")] {
                    assert_eq!(if_range(&mut client, len, tag), 200, "{tag}");
                    assert_eq!(status(&mut client, format!("If-Match: {tag}\r\n")), 412, "{tag}");
                }
                client.finish();
            }
            hosts.into_iter().for_each(Program::stop_cleanly);
        }
    }
}
