//! Files that change while they are sent: what was begun is finished or cut, and never made up.

use crate::{
    client::{Client, get, until},
    reply::{Asked, Reader, uninterrupted},
    server::{FileServer, Kind},
    site::noise,
};
use std::{
    collections::HashMap,
    fs::{self, File},
    io::Read,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Far more than lies in sockets while nobody reads.
const LEN: usize = 16 * 1024 * 1024;

/// A changed file shows within a second; this is for machines that do something else besides.
const SOON: Duration = Duration::from_secs(5);

/// A document root of a test's own, served.
struct Grounds {
    root: TempDir,
    server: FileServer,
}

impl Grounds {
    fn start(kind: Kind) -> Grounds {
        let root = TempDir::new().expect("a directory");
        fs::write(root.path().join("next.txt"), "next\n").expect("a file");
        Grounds { server: FileServer::start(kind, root.path()), root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Replaces a file as careful programs do: by renaming another over it.
    fn replace(&self, name: &str, content: &[u8]) {
        let other = self.path(&format!("{name}.new"));
        fs::write(&other, content).and_then(|()| fs::rename(&other, self.path(name))).expect("another file");
    }
}

/// What becomes of an answer whose file changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is what the file held when it began, all of it, and the next answer follows.
    Whole,
    /// It is the beginning of that, and then the connection ends.
    Cut,
}

/// Changes a file in the middle of its answer, with another request waiting behind it.
fn check(kind: Kind, fate: Fate, change: impl Fn(&Grounds, &Path)) {
    let (grounds, old) = (Grounds::start(kind), noise(LEN));
    let path = grounds.path("file.bin");
    fs::write(&path, &old).expect("a file");
    let answers = transfer(&grounds, || change(&grounds, &path));
    let content = content(&answers);
    match content.strip_prefix(&*old) {
        Some(rest) => {
            assert_eq!(fate, Fate::Whole);
            check_next(rest);
        }
        None => {
            assert!(old.starts_with(content), "{} bytes, and not all are the file's", content.len());
            assert_eq!(fate, Fate::Cut, "after {} of {LEN} bytes", content.len());
        }
    }
    assert_eq!(grounds.server.connect().ask(get("/next.txt")).text(), "next\n");
}

/// All that is answered to a request for the file and one behind it, to the end of the connection.
fn transfer(grounds: &Grounds, change: impl FnOnce()) -> Vec<u8> {
    let mut client = Client::connect_narrow(grounds.server.address);
    client.send(get("/file.bin") + &get("/next.txt"));
    client.end_sending();
    // What is looked at is not taken.
    while uninterrupted(|| client.stream.peek(&mut [0; 15])).expect("the answer begins") < 15 {}
    change();
    let mut all = Vec::with_capacity(LEN + 1024);
    client.stream.read_to_end(&mut all).expect("an orderly end");
    all
}

/// What stands behind the first head, which promises the length that the file had.
fn content(answers: &[u8]) -> &[u8] {
    let head_len = answers.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let head = String::from_utf8_lossy(&answers[..head_len]);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains(&format!("Content-Length: {LEN}\r\n")));
    &answers[head_len..]
}

fn check_next(rest: &[u8]) {
    let mut reader = Reader::new(rest);
    assert_eq!(reader.reply(Asked::Http11).expect("the next answer").text(), "next\n");
    reader.end().expect("nothing behind it");
}

fn open(path: &Path) -> File {
    File::options().write(true).open(path).expect("a file")
}

/// Nothing tells rewriting from appending, so what is written over arrives; careful programs replace. But it arrives in
/// its place, and in the length that was promised, or the connection ends.
fn check_rewritten(kind: Kind, rewrite: impl Fn(&Path, &[u8])) {
    let (grounds, old) = (Grounds::start(kind), noise(LEN));
    let path = grounds.path("file.bin");
    fs::write(&path, &old).expect("a file");
    let new: Vec<u8> = old.iter().map(|byte| !byte).collect();
    let answers = transfer(&grounds, || rewrite(&path, &new));
    let content = content(&answers);
    let (content, rest) = content.split_at(content.len().min(LEN));
    let change = content.iter().zip(&old).take_while(|(is, was)| is == was).count();
    assert!(content[change..] == new[change..content.len()], "what follows the old is not the new");
    if content.len() == LEN {
        check_next(rest);
    }
}

http_testing::both_engines! {
    fn a_file_cut_in_mid_transfer(kind: Kind) {
        check(kind, Fate::Cut, |_, path| open(path).set_len(0).expect("no length"));
        check(kind, Fate::Cut, |_, path| open(path).set_len(LEN as u64 - 1).expect("another length"));
    }

    fn a_file_replaced_in_mid_transfer(kind: Kind) {
        check(kind, Fate::Whole, |grounds, _| grounds.replace("file.bin", b"another"));
    }

    fn a_file_removed_in_mid_transfer(kind: Kind) {
        check(kind, Fate::Whole, |_, path| fs::remove_file(path).expect("it was there"));
    }

    fn a_file_lengthened_in_mid_transfer(kind: Kind) {
        check(kind, Fate::Whole, |_, path| {
            open(path).write_all_at(b"and more", LEN as u64).expect("written");
        });
    }

    fn a_file_rewritten_in_mid_transfer(kind: Kind) {
        check_rewritten(kind, |path, new| open(path).write_all_at(new, 0).expect("written"));
        check_rewritten(kind, |path, new| fs::write(path, new).expect("cut, and written anew"));
    }

    fn what_changes_shows_within_about_a_second(kind: Kind) {
        let grounds = Grounds::start(kind);
        fs::write(grounds.path("changed.txt"), "before").expect("a file");
        fs::write(grounds.path("removed.txt"), "before").expect("a file");
        let mut client = grounds.server.connect();
        for (target, status) in [("/changed.txt", 200), ("/removed.txt", 200), ("/new.txt", 404)] {
            assert_eq!(client.ask(get(target)).status, status);
        }
        fs::write(grounds.path("changed.txt"), "afterwards").expect("a file");
        fs::remove_file(grounds.path("removed.txt")).expect("it was there");
        fs::write(grounds.path("new.txt"), "new").expect("a file");
        let start = Instant::now();
        for (target, status, content) in
            [("/changed.txt", 200, "afterwards"), ("/removed.txt", 404, ""), ("/new.txt", 200, "new")]
        {
            until(target, || {
                let reply = client.ask(get(target));
                (reply.status == status && (status == 404 || reply.text() == content)).then_some(())
            });
        }
        eprintln!("{kind:?}: all changes show after {:?}", start.elapsed());
        assert!(start.elapsed() < SOON);
        client.finish();
    }

    fn replacement_under_load_is_never_torn(kind: Kind) {
        check_replacement(kind, 10_000);
        check_replacement(kind, 200_000);
    }
}

/// One version of a file: one letter over and over, in a length that only this letter has.
fn version(letter: u8, len: usize) -> Vec<u8> {
    vec![letter; len + usize::from(letter)]
}

/// Replaces a file again and again while several clients read it: each answer is one version, whole.
fn check_replacement(kind: Kind, len: usize) {
    const READERS: usize = 4;
    let grounds = Grounds::start(kind);
    grounds.replace("file.txt", &version(b'a', len));
    let over = AtomicBool::new(false);
    let (written, seen) = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let letters = (b'a'..=b'z').cycle().take_while(|_| !over.load(Ordering::Relaxed));
            letters.map(|letter| grounds.replace("file.txt", &version(letter, len))).count()
        });
        let read = |reader| read_versions(&grounds, reader, len);
        let readers: Vec<_> = (0..READERS).map(|reader| scope.spawn(move || read(reader))).collect();
        let seen: Vec<_> = readers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        over.store(true, Ordering::Relaxed);
        (writer.join().expect("no panic"), seen)
    });
    let seen = seen.into_iter().map(|seen| seen.expect("no panic")).max().unwrap_or(0);
    eprintln!("{kind:?}: {written} versions of {len} bytes written, {seen} seen by one reader");
    assert!(seen > 10, "hardly anything changes");
}

/// Asks again and again, each time in a spelling that no memory knows. Yields how many versions came.
fn read_versions(grounds: &Grounds, reader: usize, len: usize) -> usize {
    let mut client = grounds.server.connect();
    let mut tags = HashMap::new();
    for number in 0..200 {
        let reply = client.ask(get(&format!("/{reader}-{number}/../file.txt")));
        let letter = *reply.content.first().expect("content");
        assert!(reply.content == version(letter, len), "torn: {reply:?}, {} bytes", reply.content.len());
        let tag = reply.field("ETag").expect("an entity tag").to_owned();
        assert_eq!(*tags.entry(tag).or_insert(letter), letter, "one tag for two versions");
    }
    client.finish();
    tags.len()
}
