//! Files that change while they are sent: the server completes the response or cuts it short, and never sends other
//! bytes.

use crate::{
    client::{Client, TIMEOUT, get},
    program::{self, Program, ServerKind},
    site::{Directory, LARGE_LEN, Site},
};
use std::{
    collections::HashMap,
    fs::{self, File},
    io::Read,
    os::unix::fs::{FileExt, symlink},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

/// Makes a document root that contains `next.txt`, and starts a server of it.
fn start(kind: ServerKind) -> (Directory, Program) {
    let root = Directory::new();
    root.write("next.txt", "next\n");
    let server = program::serve_root(kind, root.root(), &[]);
    (root, server)
}

/// Replaces the file `name` atomically, if there is one: renames a new file with this content over it.
fn replace(root: &Directory, name: &str, content: &[u8]) {
    root.write("new", content);
    root.rename("new", name);
}

/// What a client receives of a file that changes while it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Received {
    /// All of the old content, then the next response.
    Complete,
    /// A part of the old content, then the end of the connection.
    CutShort,
    /// A part of the old content, then the new content from the same offset on: either to the old length and then the
    /// next response, or less and then the end of the connection.
    ///
    /// A server cannot prevent the mixture: it cannot tell rewriting from appending.
    Mixed,
}

/// Requests `file.bin` and then `next.txt` on one connection, and calls `change` with its path and the inverted content
/// while the first response is sent. Checks that the client receives what is `expected`, and that the server serves
/// another client afterwards.
fn check(kind: ServerKind, expected: Received, change: impl Fn(&Directory, &Path, &[u8])) {
    let ((root, server), site) = (start(kind), Site::shared());
    let old = &site.large;
    let path = root.path("file.bin");
    root.write("file.bin", old);
    let new: Vec<u8> = old.iter().filter(|_| expected == Received::Mixed).map(|byte| !byte).collect();
    let mut client = Client::connect_with_small_buffer(server.address());
    client.send(get("/file.bin") + &get("/next.txt"));
    client.shutdown_write();
    client.await_status_line();
    change(&root, &path, &new);
    let mut all = Vec::with_capacity(LARGE_LEN + 1024);
    client.stream.read_to_end(&mut all).expect("an end without a reset");
    let head_len = all.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let head = String::from_utf8_lossy(&all[..head_len]);
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains(&format!("Content-Length: {LARGE_LEN}\r\n"))
    );
    let (body, rest) = all[head_len..].split_at(LARGE_LEN.min(all.len() - head_len));
    if expected == Received::Mixed {
        let unchanged = body.iter().zip(old).take_while(|(received, old)| received == old).count();
        assert!(
            body[unchanged..] == new[unchanged..body.len()],
            "other bytes than the file's after {unchanged}"
        );
    } else {
        assert!(old.starts_with(body), "other bytes than the file's");
        let received = if body.len() == LARGE_LEN { Received::Complete } else { Received::CutShort };
        assert_eq!(received, expected, "after {} of {LARGE_LEN} bytes", body.len());
    }
    if body.len() == LARGE_LEN {
        let is_next = rest.starts_with(b"HTTP/1.1 200 OK\r\n") && rest.ends_with(b"\r\n\r\nnext\n");
        assert!(is_next, "{}", rest.escape_ascii());
    }
    assert_eq!(Client::connect(server.address()).fetch(get("/next.txt")).text(), "next\n");
}

/// Opens a file for writing, without truncating it.
fn open(path: &Path) -> File {
    File::options().write(true).open(path).expect("a file")
}

two_kinds! {
    fn closes_the_connection_if_the_file_is_truncated(kind: ServerKind) {
        check(kind, Received::CutShort, |_, path, _| open(path).set_len(0).expect("no length"));
        let shorter = LARGE_LEN as u64 - 1;
        check(kind, Received::CutShort, |_, path, _| open(path).set_len(shorter).expect("another length"));
    }

    fn completes_a_replaced_removed_or_lengthened_file(kind: ServerKind) {
        check(kind, Received::Complete, |root, _, _| replace(root, "file.bin", b"another"));
        check(kind, Received::Complete, |_, path, _| fs::remove_file(path).expect("it was there"));
        let end = LARGE_LEN as u64;
        check(kind, Received::Complete, |_, path, _| open(path).write_all_at(b"more", end).expect("a write"));
    }

    fn sends_each_byte_of_a_rewritten_file_at_its_offset(kind: ServerKind) {
        check(kind, Received::Mixed, |_, path, new| open(path).write_all_at(new, 0).expect("a write"));
        check(kind, Received::Mixed, |_, path, new| fs::write(path, new).expect("a rewrite"));
    }

    fn never_mixes_two_versions_of_a_replaced_file(kind: ServerKind) {
        check_replacement(kind, 10_000);
        check_replacement(kind, 200_000);
    }
}

/// The number of clients that request the file which is replaced.
const READERS: usize = 4;

/// How many versions of the file each of them must receive.
const VERSIONS: usize = 20;

/// Returns a version of a file: one letter, repeated. The lengths of two letters' versions differ.
fn version(letter: u8, len: usize) -> Vec<u8> {
    vec![letter; len + usize::from(letter)]
}

/// Replaces a file of about `len` bytes again and again while several clients request it. Checks that each response is
/// one complete version.
fn check_replacement(kind: ServerKind, len: usize) {
    let (root, server) = start(kind);
    for link in 0..16 {
        symlink(".", root.path(&format!("{link:x}"))).expect("a link");
    }
    replace(&root, "file.txt", &version(b'a', len));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let letters = (b'a'..=b'z').cycle().take_while(|_| !done.load(Ordering::Relaxed));
            letters.for_each(|letter| replace(&root, "file.txt", &version(letter, len)));
        });
        let read = |reader| read_versions(&server, reader, len);
        let readers: Vec<_> = (0..READERS).map(|reader| scope.spawn(move || read(reader))).collect();
        let results: Vec<_> = readers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        results.into_iter().for_each(|result| result.expect("no panic"));
    });
}

/// Requests `file.txt` until this client has received [`VERSIONS`] different versions, each time by another path
/// through links, so that it is not in a cache. `reader` is the number of this client.
fn read_versions(server: &Program, reader: usize, len: usize) {
    let (mut client, start) = (Client::connect(server.address()), Instant::now());
    let mut tags = HashMap::new();
    for number in 0.. {
        let links: String = format!("{number:04x}").chars().flat_map(|digit| [digit, '/']).collect();
        let response = client.fetch(get(&format!("/{reader}/{links}file.txt")));
        let letter = *response.body.first().expect("a body");
        assert!(response.body == version(letter, len), "torn: {response:?}, {} bytes", response.body.len());
        let tag = response.header("ETag").expect("an entity tag").to_owned();
        assert_eq!(*tags.entry(tag).or_insert(letter), letter, "one tag for two versions");
        if tags.len() >= VERSIONS {
            return;
        }
        assert!(start.elapsed() < TIMEOUT, "only {} versions received", tags.len());
    }
}
