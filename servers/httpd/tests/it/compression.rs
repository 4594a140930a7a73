//! Compressed forms of files.

use crate::{
    client::{Client, request, wait_for},
    program::{self, HTTPD, Program, ServerKind, text},
    site::Directory,
};
use flate2::read::GzDecoder;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::{fs, io::Read, os::unix::fs::symlink, process::Command};

/// Sends a GET request with this Accept-Encoding header. Returns the coding and the length of the response.
fn fetch(client: &mut Client, target: &str, accept: &str) -> (Option<String>, usize) {
    let response = client.fetch(request("GET", target, &format!("Accept-Encoding: {accept}\r\n")));
    assert_eq!((response.status, response.header("Vary")), (200, Some("Accept-Encoding")), "{target}");
    (response.header("Content-Encoding").map(str::to_owned), response.body.len())
}

two_kinds! {
    fn text_is_sent_compressed(kind: ServerKind) {
        let root = Directory::new();
        root.write("page.txt", "text ".repeat(20_000));
        root.write("page.txt.br", "BROTLI");
        for (arguments, gzip, br) in [
            (&[][..], Some("gzip"), Some("br")),
            (&["--compress", "off"], None, Some("br")),
            (&["--precompressed", "off"], Some("gzip"), None),
        ] {
            let server = program::serve_root(kind, root.root(), arguments);
            let mut client = Client::connect(server.address());
            // For a moment after its last change, a file is sent as it is.
            wait_for("a compressed file", || {
                let (coding, len) = fetch(&mut client, "/page.txt", "gzip");
                assert_eq!(coding.is_some(), len < 100_000);
                (coding.as_deref() == gzip).then_some(())
            });
            assert_eq!(fetch(&mut client, "/page.txt", "br").0.as_deref(), br, "{arguments:?}");
            assert_eq!(fetch(&mut client, "/page.txt", "identity"), (None, 100_000));
        }
        let server = program::serve_root(kind, root.root(), &["--compress", "off", "--precompressed", "off"]);
        let response = Client::connect(server.address()).fetch(request("GET", "/page.txt", "Accept-Encoding: br\r\n"));
        assert_eq!((response.header("Content-Encoding"), response.header("Vary")), (None, None));
    }

    fn a_long_file_is_compressed_while_it_is_sent(kind: ServerKind) {
        let root = Directory::new();
        let content = "a line of a long log\n".repeat(200_000);
        root.write("long.txt", &content);
        let server = program::serve_root(kind, root.root(), &[]);
        // A client that leaves in the middle does not disturb the others.
        Client::connect(server.address()).send(request("GET", "/long.txt", "Accept-Encoding: gzip\r\n"));
        let mut client = Client::connect(server.address());
        for _ in 0..2 {
            let response = client.fetch(request("GET", "/long.txt", "Accept-Encoding: gzip\r\n"));
            let headers = ["Content-Encoding", "Content-Length"].map(|name| response.header(name));
            assert_eq!((response.status, headers), (200, [Some("gzip"), None]));
            let mut unzipped = String::new();
            GzDecoder::new(&response.body[..]).read_to_string(&mut unzipped).expect("gzip");
            assert!(unzipped == content);
        }
    }
}

/// Also with odd names, which are escaped once.
#[test]
fn the_error_log_says_why_a_form_is_not_used() {
    let root = Directory::new();
    let names = ["directory", "link", "pipe", "empty", "old\nnews"];
    names.iter().for_each(|name| root.write(&format!("{name}.txt"), "text"));
    fs::create_dir(root.path("directory.txt.br"))
        .and_then(|()| symlink("/etc/passwd", root.path("link.txt.br")))
        .expect("a directory and a link");
    mknodat(CWD, root.path("pipe.txt.br"), FileType::Fifo, Mode::RUSR, 0).expect("a pipe");
    ["empty.txt.br", "old\nnews.txt.br"].iter().for_each(|name| root.write(name, ""));
    fs::write(root.path("old\nnews.txt.br"), "OLD").expect("a file");
    let old = fs::File::options().write(true).open(root.path("old\nnews.txt.br")).expect("a file");
    old.set_modified(std::time::UNIX_EPOCH).expect("a time");
    let server = program::serve_root(ServerKind::EventLoop, root.root(), &[]);
    let mut client = Client::connect(server.address());
    for target in ["/directory.txt", "/link.txt", "/pipe.txt", "/empty.txt", "/old%0Anews.txt"] {
        assert_eq!(fetch(&mut client, target, "br"), (None, 4), "{target}");
    }
    client.finish();
    let log = server.stop().stderr;
    for (name, reason) in [
        ("directory", "it is a directory"),
        ("link", "it is not readable, or a link that leads outside"),
        ("pipe", "it is not a regular file"),
        ("empty", "it is empty"),
        (r"old\x0Anews", "it is older than the file that it holds compressed"),
    ] {
        let line = format!("ignoring {}/{name}.txt.br: {reason}\n", text(root.root()));
        assert_eq!(log.matches(&line).count(), 1, "{line}{log}");
    }
}

#[test]
fn precompress_writes_what_is_missing_and_smaller() {
    let (root, outside) = (Directory::new(), Directory::new());
    let content = "text ".repeat(1_000);
    for name in ["page.txt", "below/page.css", "image.png", ".hidden.txt", "old.txt"] {
        root.write(name, &content);
    }
    root.write("short.txt", "text");
    outside.write("secret.txt", &content);
    symlink(outside.root(), root.path("link"))
        .and_then(|()| symlink("page.txt", root.path("link.txt")))
        .expect("links");
    // A form that is a link is replaced, and its target stays as it is.
    symlink(outside.path("secret.txt"), root.path("page.txt.gz")).expect("a link");
    root.write("old.txt.gz", "OLD");
    let old = fs::File::options().write(true).open(root.path("old.txt.gz")).expect("a file");
    old.set_modified(std::time::UNIX_EPOCH).expect("a time");
    let files = || {
        let list = |directory: &str| {
            let entries = fs::read_dir(root.path(directory)).expect("a directory");
            entries.map(|entry| entry.expect("an entry").path()).collect::<Vec<_>>()
        };
        let names = list("").into_iter().chain(list("below"));
        let mut names: Vec<_> = names
            .map(|path| text(path.strip_prefix(root.root()).expect("below the root")).to_owned())
            .filter(|name| name.ends_with("br") || name.ends_with("gz") || name.ends_with("tmp"))
            .collect();
        names.sort();
        names.join(" ")
    };
    for written in [6, 0] {
        let exit = program::run(&["precompress", text(root.root()), "--level", "5"]);
        assert_eq!((exit.code, &*exit.stderr), (Some(0), ""), "{exit:?}");
        let expected = format!("3 compressible files, {written} forms written: ");
        assert!(exit.stdout.starts_with(&expected), "{}", exit.stdout);
        let expected = "below/page.css.br below/page.css.gz old.txt.br old.txt.gz page.txt.br page.txt.gz";
        assert_eq!(files(), expected);
    }
    assert_eq!(outside.read("secret.txt"), content);
    assert_eq!(fs::read_dir(outside.root()).expect("a directory").count(), 1);
    let time =
        |name: &str| fs::symlink_metadata(root.path(name)).and_then(|file| file.modified()).expect("a time");
    assert_eq!(time("page.txt.gz"), time("page.txt"));
    let exit = program::run(&["precompress", text(&root.path("nowhere"))]);
    assert_eq!(exit.code, Some(1));
    assert!(exit.stderr.ends_with("nowhere: no such file or directory\n"), "{}", exit.stderr);
    let exit = program::run(&["precompress", "nowhere\nhttpd: \u{1b}[31mno such\u{202e} ä"]);
    let message =
        r"httpd: cannot read nowhere\nhttpd: \u{1b}[31mno such\u{202e} ä: no such file or directory";
    assert_eq!(exit.stderr.trim_end(), message);
}

#[test]
fn precompress_ignores_the_options_of_the_environment() {
    let root = Directory::new();
    for (arguments, code, message) in
        [(&["precompress", text(root.root())][..], 0, ""), (&["precompress"], 2, "<DIRECTORY>")]
    {
        let environment = [("HTTPD_PORT", "80"), ("HTTPD_CONFIG", "/none")];
        let exit =
            Program::spawn(Command::new(HTTPD).args(arguments).envs(environment)).expect("httpd").wait();
        assert_eq!(exit.code, Some(code), "{exit:?}");
        assert!(exit.stderr.contains(message), "{exit:?}");
    }
}
