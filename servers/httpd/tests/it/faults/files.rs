//! Files that change while they are sent: the server completes the response or cuts it short, and never sends other bytes.

use crate::{
    client::{Client, get},
    reply::ReplyReader,
    server::{FileServer, ServerKind},
    site::pseudo_random_bytes,
};
use std::{
    collections::HashMap,
    fs::{self, File},
    io::Read,
    os::unix::fs::{FileExt, symlink},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};
use tempfile::TempDir;

/// The length of `file.bin`: far more than sockets buffer while the client does not read.
const LEN: usize = 16 * 1024 * 1024;

/// A document root that only one test uses, and a server of it. It contains `next.txt`.
struct ScratchRoot {
    root: TempDir,
    server: FileServer,
}

impl ScratchRoot {
    /// Makes the document root and starts a server of this kind.
    fn start(kind: ServerKind) -> ScratchRoot {
        let root = TempDir::new().expect("a directory");
        fs::write(root.path().join("next.txt"), "next\n").expect("a file");
        ScratchRoot { server: FileServer::start(kind, root.path()), root }
    }

    /// Returns the path of the file `name`.
    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Replaces the file `name` atomically, if there is one: renames a new file with this content over it.
    fn replace(&self, name: &str, content: &[u8]) {
        let other = self.path(&format!("{name}.new"));
        fs::write(&other, content).and_then(|()| fs::rename(&other, self.path(name))).expect("another file");
    }
}

/// What a client receives of a file that changes while it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Received {
    /// All of the old content, then the next response.
    Complete,
    /// A part of the old content, then the end of the connection.
    CutShort,
}

/// Requests `file.bin` and then `next.txt` on one connection, and calls `change` while the first response is sent.
/// Checks that the client receives what is `expected`, and that the server serves another client afterwards.
fn check(kind: ServerKind, expected: Received, change: impl Fn(&ScratchRoot, &Path)) {
    let (root, old) = (ScratchRoot::start(kind), pseudo_random_bytes(LEN));
    let path = root.path("file.bin");
    fs::write(&path, &old).expect("a file");
    let received = transfer(&root, || change(&root, &path));
    let body = body(&received);
    match body.strip_prefix(&*old) {
        Some(rest) => {
            assert_eq!(expected, Received::Complete);
            check_next(rest);
        }
        None => {
            assert!(old.starts_with(body), "{} bytes, not all of them the file's", body.len());
            assert_eq!(expected, Received::CutShort, "after {} of {LEN} bytes", body.len());
        }
    }
    assert_eq!(root.server.connect().fetch(get("/next.txt")).text(), "next\n");
}

/// Requests `file.bin` and then `next.txt` on one connection, and calls `change` when the first response has begun.
/// Returns all bytes that the client receives.
fn transfer(root: &ScratchRoot, change: impl FnOnce()) -> Vec<u8> {
    let mut client = Client::connect_with_small_buffer(root.server.address);
    client.send(get("/file.bin") + &get("/next.txt"));
    client.shutdown_write();
    client.await_status_line();
    change();
    let mut all = Vec::with_capacity(LEN + 1024);
    client.stream.read_to_end(&mut all).expect("an end without a reset");
    all
}

/// Returns the bytes after the first head. Checks that its Content-Length is [`LEN`], the old length of the file.
fn body(received: &[u8]) -> &[u8] {
    let head_len = received.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let head = String::from_utf8_lossy(&received[..head_len]);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains(&format!("Content-Length: {LEN}\r\n")));
    &received[head_len..]
}

/// Checks that `rest` is exactly the response to the request for `next.txt`.
fn check_next(rest: &[u8]) {
    let mut reader = ReplyReader::new(rest);
    assert_eq!(reader.reply().expect("the next response").text(), "next\n");
    reader.expect_eof().expect("nothing after it");
}

/// Opens a file for writing, without truncating it.
fn open(path: &Path) -> File {
    File::options().write(true).open(path).expect("a file")
}

/// Calls `rewrite` with the path of `file.bin` and its new content, while the server sends the file. Checks that the
/// client receives bytes of the old content, then bytes of the new content, each at its offset: either as many as
/// Content-Length announces, or fewer and then the end of the connection.
///
/// A server cannot prevent the mixture: it cannot tell rewriting from appending.
fn check_rewritten(kind: ServerKind, rewrite: impl Fn(&Path, &[u8])) {
    let (root, old) = (ScratchRoot::start(kind), pseudo_random_bytes(LEN));
    let path = root.path("file.bin");
    fs::write(&path, &old).expect("a file");
    let new: Vec<u8> = old.iter().map(|byte| !byte).collect();
    let received = transfer(&root, || rewrite(&path, &new));
    let body = body(&received);
    let (body, rest) = body.split_at(body.len().min(LEN));
    let change = body.iter().zip(&old).take_while(|(received, old)| received == old).count();
    assert!(body[change..] == new[change..body.len()], "the bytes after the old ones are not the new ones");
    if body.len() == LEN {
        check_next(rest);
    }
}

http_testing::both_engines! {
    fn closes_the_connection_if_the_file_is_truncated(kind: ServerKind) {
        check(kind, Received::CutShort, |_, path| open(path).set_len(0).expect("no length"));
        check(kind, Received::CutShort, |_, path| open(path).set_len(LEN as u64 - 1).expect("another length"));
    }

    fn completes_a_replaced_file(kind: ServerKind) {
        check(kind, Received::Complete, |root, _| root.replace("file.bin", b"another"));
    }

    fn completes_a_removed_file(kind: ServerKind) {
        check(kind, Received::Complete, |_, path| fs::remove_file(path).expect("it was there"));
    }

    fn completes_a_lengthened_file_with_its_old_length(kind: ServerKind) {
        check(kind, Received::Complete, |_, path| {
            open(path).write_all_at(b"and more", LEN as u64).expect("a write");
        });
    }

    fn sends_each_byte_of_a_rewritten_file_at_its_offset(kind: ServerKind) {
        check_rewritten(kind, |path, new| open(path).write_all_at(new, 0).expect("a write"));
        check_rewritten(kind, |path, new| fs::write(path, new).expect("a rewrite"));
    }

    fn never_mixes_two_versions_of_a_replaced_file(kind: ServerKind) {
        check_replacement(kind, 10_000);
        check_replacement(kind, 200_000);
    }
}

/// The number of links in the document root that lead to the root itself. The path of each is its number.
const LINKS: usize = 16;

/// Returns a version of a file: one letter, repeated. The lengths of two letters' versions differ.
fn version(letter: u8, len: usize) -> Vec<u8> {
    vec![letter; len + usize::from(letter)]
}

/// Replaces a file of about `len` bytes again and again while several clients request it. Checks that each response is
/// one complete version.
fn check_replacement(kind: ServerKind, len: usize) {
    /// The number of clients.
    const READERS: usize = 4;
    let root = ScratchRoot::start(kind);
    for link in 0..LINKS {
        symlink(".", root.path(&link.to_string())).expect("a link");
    }
    root.replace("file.txt", &version(b'a', len));
    let done = AtomicBool::new(false);
    let (written, seen) = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let letters = (b'a'..=b'z').cycle().take_while(|_| !done.load(Ordering::Relaxed));
            letters.map(|letter| root.replace("file.txt", &version(letter, len))).count()
        });
        let read = |reader| read_versions(&root, reader, len);
        let readers: Vec<_> = (0..READERS).map(|reader| scope.spawn(move || read(reader))).collect();
        let seen: Vec<_> = readers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        (writer.join().expect("no panic"), seen)
    });
    let seen = seen.into_iter().map(|seen| seen.expect("no panic")).max().unwrap_or(0);
    eprintln!("{kind:?}: {written} versions of {len} bytes written, {seen} seen by one reader");
    assert!(seen > 10, "the readers see too few versions");
}

/// Requests `file.txt` many times, each time by another path through links, so that it is not in a cache. `reader` is the
/// number of this client. Returns how many different versions the client received.
fn read_versions(root: &ScratchRoot, reader: usize, len: usize) -> usize {
    let mut client = root.server.connect();
    let mut tags = HashMap::new();
    for number in 0..200 {
        let reply = client.fetch(get(&format!("/{reader}/{}/{}/file.txt", number / LINKS, number % LINKS)));
        let letter = *reply.body.first().expect("a body");
        assert!(reply.body == version(letter, len), "torn: {reply:?}, {} bytes", reply.body.len());
        let tag = reply.header("ETag").expect("an entity tag").to_owned();
        assert_eq!(*tags.entry(tag).or_insert(letter), letter, "one tag for two versions");
    }
    client.finish();
    tags.len()
}
