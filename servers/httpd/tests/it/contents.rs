//! What files hold, byte for byte: large ones, read fast or slowly; changing ones; ones that may not be read.

use crate::{
    client::{Client, get, until},
    program::Program,
    reply::{Asked, Reply, uninterrupted},
    server::TestServer,
    site::{LARGE, Site},
};
use std::{
    collections::HashMap,
    fs::{self, File, Permissions},
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

/// An account without any rights; on Linux systems, nobody's.
const NOBODY: u32 = 65_534;

fn check_large(server: &TestServer, reply: &Reply) {
    assert_eq!((reply.status, reply.content.len()), (200, LARGE));
    assert!(reply.content == server.site.large, "other bytes than the file's");
}

/// Reads the whole answer through a narrow socket, `step` bytes at a time, to the end of the connection.
fn read_in_steps(client: &mut Client, step: usize) -> Vec<u8> {
    let mut all = Vec::with_capacity(LARGE + 1024);
    let mut some = vec![0; step];
    loop {
        match uninterrupted(|| client.stream.read(&mut some)).expect("more of the answer") {
            0 => return all,
            count => all.extend(&some[..count]),
        }
    }
}

/// A file of this test's own beneath the shared root.
struct Scratch<'s> {
    server: &'s TestServer,
    name: String,
}

impl<'s> Scratch<'s> {
    fn new(server: &'s TestServer, about: &str) -> Scratch<'s> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        Scratch { server, name: format!("{about}-{}.txt", NUMBER.fetch_add(1, Ordering::Relaxed)) }
    }

    fn write(&self, content: &[u8]) {
        self.server.site.write(&self.name, content);
    }

    fn append(&self, content: &[u8]) {
        let file = File::options().append(true).open(self.server.site.path(&self.name));
        file.and_then(|mut file| file.write_all(content)).expect("written");
    }

    /// Cuts it, or lengthens it by nothing that takes room.
    fn set_len(&self, len: u64) {
        let file = File::options().write(true).open(self.server.site.path(&self.name));
        file.and_then(|file| file.set_len(len)).expect("another length");
    }

    /// Replaces it as careful programs do: by renaming another over it.
    fn replace(&self, content: &[u8]) {
        let other = format!("{}.new", self.name);
        self.server.site.write(&other, content);
        fs::rename(self.server.site.path(&other), self.server.site.path(&self.name)).expect("renamed");
    }

    fn remove(&self) {
        fs::remove_file(self.server.site.path(&self.name)).expect("it was there");
    }

    fn target(&self) -> String {
        format!("/{}", self.name)
    }
}

http_testing::both_engines! {
    fn a_large_file_arrives_as_it_is(server: &TestServer) {
        let mut client = server.connect();
        check_large(server, &client.ask(get("/large.bin")));
        client.finish();
    }

    fn two_large_files_pipelined(server: &TestServer) {
        let mut client = server.connect();
        client.send(get("/large.bin") + &get("/notes.txt") + &get("/large.bin"));
        check_large(server, &client.reply(Asked::Http11));
        assert_eq!(client.reply(Asked::Http11).text(), "notes\n");
        check_large(server, &client.reply(Asked::Http11));
        client.finish();
    }

    fn a_slow_reader_gets_all_of_it(server: &TestServer) {
        let mut client = Client::connect_narrow(server.address);
        // A connection that has been waited on for requests, and is now waited on for its answer.
        assert_eq!(client.ask(get("/notes.txt")).text(), "notes\n");
        client.send("GET /large.bin HTTP/1.0\r\n\r\n");
        let all = read_in_steps(&mut client, 1500);
        let head = all.len() - LARGE;
        assert!(all.starts_with(b"HTTP/1.1 200 OK\r\n") && all[..head].ends_with(b"\r\n\r\n"));
        assert!(all[head..] == server.site.large, "other bytes than the file's");
    }

    /// Nobody who is slow holds up anybody else.
    fn a_reader_who_stops_is_alone_in_that(server: &TestServer) {
        let mut stopped: Vec<Client> = (0..8).map(|_| Client::connect_narrow(server.address)).collect();
        for client in &mut stopped {
            client.send(get("/large.bin"));
            let mut first = [0; 15];
            client.stream.read_exact(&mut first).expect("the answer begins");
            assert_eq!(&first, b"HTTP/1.1 200 OK");
        }
        for _ in 0..8 {
            let mut client = server.connect();
            check_large(server, &client.ask(get("/large.bin")));
            client.finish();
        }
    }

    fn changes_are_seen_within_about_a_second(server: &TestServer) {
        let [changed, replaced, deleted, new] =
            ["changed", "replaced", "deleted", "new"].map(|about| Scratch::new(server, about));
        let mut client = server.connect();
        let mut tags = HashMap::new();
        for scratch in [&changed, &replaced, &deleted] {
            scratch.write(b"before");
            let reply = client.ask(get(&scratch.target()));
            assert_eq!(reply.text(), "before");
            tags.insert(&scratch.name, reply.field("ETag").map(str::to_owned));
        }
        assert_eq!(client.ask(get(&new.target())).status, 404);
        tags.insert(&new.name, None);
        changed.append(b" and behind");
        replaced.replace(b"another");
        deleted.remove();
        new.write(b"new");
        for (scratch, (before, status), content) in [
            (&new, (404, 200), "new"),
            (&changed, (200, 200), "before and behind"),
            (&replaced, (200, 200), "another"),
            (&deleted, (200, 404), ""),
        ] {
            until(&scratch.name, || {
                let reply = client.ask(get(&scratch.target()));
                let is = |status, content| reply.status == status && (status == 404 || reply.text() == content);
                let is_new = is(status, content);
                // Old or new, and nothing in between; and the entity tag tells one from the other.
                assert!(is_new || is(before, "before"), "{}: {}", scratch.name, reply.text());
                let same_tag =
                    tags.get(&scratch.name).is_some_and(|tag| tag.as_deref() == reply.field("ETag"));
                assert_eq!(same_tag, !is_new, "{}: {:?}", scratch.name, reply.field("ETag"));
                is_new.then_some(())
            });
        }
        client.finish();
    }

    /// What was promised cannot be kept, so the connection ends; nothing is made up.
    fn a_file_that_shrinks_cuts_its_answer(server: &TestServer) {
        // More than any socket buffers.
        let len = 1024 * 1024 * 1024;
        let scratch = Scratch::new(server, "shrinking");
        scratch.write(b"");
        scratch.set_len(len);
        let mut client = Client::connect_narrow(server.address);
        client.send(get(&scratch.target()));
        let mut first = [0; 15];
        client.stream.read_exact(&mut first).expect("the answer begins");
        scratch.set_len(10);
        let rest = client.stream.read_to_end(&mut Vec::new());
        assert!(rest.is_ok_and(|count| (count as u64) < len), "it must end early, and not with a reset");
        let mut other = server.connect();
        assert_eq!(other.ask(get("/notes.txt")).text(), "notes\n");
        other.finish();
    }
}

/// Root may read everything, so then the program runs as somebody who may not.
#[test]
fn what_may_not_be_read_is_forbidden() {
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
        if !(anybody_may_reach(program) && anybody_may_reach(root)) {
            return println!("skipped: this user may read everything, and no other can reach {program:?}");
        }
        command.uid(NOBODY).gid(NOBODY);
    }
    let server = Program::start(&mut command);
    let mut client = Client::connect(server.address());
    for target in ["/secret.txt", "/closed/", "/closed/index.html", "/closed"] {
        assert_eq!(client.ask(get(target)).status, 403, "{target}");
    }
    assert_eq!(client.ask(get("/open.txt")).text(), "open");
    client.finish();
    // Or even its owner could not remove it.
    allow("closed", 0o755).expect("permissions");
}

/// Whether anybody may pass every directory on the way, and execute what is there.
fn anybody_may_reach(path: &Path) -> bool {
    path.ancestors()
        .all(|path| fs::metadata(path).is_ok_and(|there| there.permissions().mode() & 0o005 == 0o005))
}

/// The site that tests share must be whole before any of them judges what is served from it.
#[test]
fn the_site_is_what_it_should_be() {
    let site = Site::shared();
    assert_eq!(fs::read(site.path("large.bin")).expect("a file"), site.large);
    assert_eq!(site.large.len(), LARGE);
}
