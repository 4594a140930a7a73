//! Limits on how fast responses are sent. When each byte is sent is what the tests in `src/bandwidth.rs` check.

use crate::{
    client::{Client, get, request},
    program::{self, ServerKind, begin_download, check_failure, text},
    site::Directory,
};
use rustix::process::Signal;

/// The length of `large.bin`.
const LARGE: usize = 200_000;

/// Makes a document root.
fn make_root() -> Directory {
    let root = Directory::new();
    root.write("notes.txt", "notes");
    root.write("page.html", "<p>text</p>".repeat(1000));
    let large: Vec<u8> = (0..LARGE).map(|at| (at / 7) as u8).collect();
    root.write("large.bin", large);
    root
}

two_kinds! {
    fn limited_responses_are_those_without_a_limit(kind: ServerKind) {
        let root = make_root();
        let limits = ["--bandwidth", "400K", "--bandwidth", "/notes.txt=off", "--bandwidth-after", "10K",
            "--bandwidth-per-client", "2M"];
        let programs = [&[][..], &limits].map(|arguments| program::serve_root(kind, root.root(), arguments));
        let mut clients = programs.each_ref().map(|program| Client::connect(program.address()));
        for (method, target, headers) in [
            ("GET", "/large.bin", ""),
            ("HEAD", "/large.bin", ""),
            ("GET", "/large.bin", "Range: bytes=50000-199998\r\n"),
            ("GET", "/large.bin", "Range: bytes=0-0, 10000-19999, 100-150000\r\n"),
            ("GET", "/page.html", "Accept-Encoding: gzip\r\n"),
            ("GET", "/notes.txt", ""),
            ("GET", "/nowhere", ""),
            ("PUT", "/notes.txt", ""),
        ] {
            let request = request(method, target, headers);
            let [plain, limited] = clients.each_mut().map(|client| {
                client.send(&request);
                client.response_to(&request)
            });
            let names = ["Content-Length", "Content-Encoding", "Content-Range", "ETag", "Transfer-Encoding"];
            let header = |name: &&str| (plain.header(name), limited.header(name));
            for (expected, value) in names.iter().map(header) {
                assert_eq!(value, expected, "{method} {target} {headers}");
            }
            assert_eq!(limited.status, plain.status, "{method} {target} {headers}");
            assert!(limited.body == plain.body || headers.contains(", "), "{method} {target} {headers}");
            assert_eq!(limited.body.len(), plain.body.len(), "{method} {target} {headers}");
        }
        // Pipelined, and to a client that does not keep its connection.
        let [_, client] = &mut clients;
        client.send(get("/large.bin") + &get("/notes.txt"));
        assert_eq!((client.response().body.len(), &*client.response().text()), (LARGE, "notes"));
        let mut old = Client::connect_and_send(programs[1].address(), "GET /large.bin HTTP/1.0\r\n\r\n");
        assert_eq!(old.response().body.len(), LARGE);
        old.expect_eof();
        programs.into_iter().for_each(program::Program::stop_cleanly);
    }

    fn connections_of_a_client_share_its_bandwidth(kind: ServerKind) {
        let root = make_root();
        let program = program::serve_root(kind, root.root(), &["--bandwidth-per-client", "2M"]);
        let mut clients = [(); 4].map(|()| Client::connect_and_send(program.address(), get("/large.bin")));
        for client in &mut clients {
            assert_eq!(client.response().body.len(), LARGE);
        }
        program.stop_cleanly();
    }

    fn a_client_with_too_many_downloads_gets_503(kind: ServerKind) {
        let root = make_root();
        let program = program::serve_root(kind, root.root(), &["--bandwidth-per-client", "1K"]);
        let mut downloads = Vec::new();
        let rejected = std::iter::repeat_with(|| {
            let download = Client::connect_and_send(program.address(), get("/large.bin"));
            // For all that the server knows, a client that leaves may do the same.
            download.shutdown_write();
            downloads.push(download);
            let head = request("HEAD", "/notes.txt", "");
            let mut client = Client::connect_and_send(program.address(), &head);
            client.response_to(&head)
        });
        // Each process has a queue for 81.
        let rejected = rejected.take(1000).find(|response| response.status != 200).expect("a rejected request");
        assert_eq!((rejected.status, rejected.header("Retry-After")), (503, Some("10")));
    }

    fn a_limited_download_completes_after_the_signal_to_stop(kind: ServerKind) {
        let root = make_root();
        let program = program::serve_root(kind, root.root(), &["--bandwidth", "400K"]);
        let mut client = begin_download(program.address(), "/large.bin");
        program.signal(Signal::TERM);
        assert_eq!(client.response().body.len(), LARGE);
        client.expect_eof();
        assert_eq!(program.wait().code, Some(0));
    }

    fn a_limited_download_ends_with_the_grace_period(kind: ServerKind) {
        let root = make_root();
        let program = program::serve_root(kind, root.root(), &["--bandwidth", "1K", "--grace", "100ms"]);
        let _client = begin_download(program.address(), "/large.bin");
        assert_eq!(program.stop().code, Some(0));
    }
}

#[test]
fn a_site_has_limits_of_its_own() {
    let root = make_root();
    let directory = Directory::new();
    let config = "bandwidth = ['1K', '*.css=off']\nbandwidth-per-client = '1K'\n\
        [[site]]\nroot = 'ROOT'\nbandwidth = ['1G/s']\nbandwidth-after = '64K'\nbandwidth-per-client = 'off'\n";
    directory.write("httpd.toml", config.replace("ROOT", text(root.root())));
    let file = directory.path("httpd.toml");
    let program = program::serve_root(ServerKind::EventLoop, root.root(), &["--config", text(&file)]);
    let mut client = Client::connect(program.address());
    assert_eq!(client.fetch(get("/large.bin")).body.len(), LARGE);
    program.stop_cleanly();
    let check = program::run(&["--config", text(&file), "--check"]);
    assert_eq!((check.code, &*check.stderr), (Some(0), ""));
    directory.write("httpd.toml", "bandwidth = ['/a/=1X']\n");
    check_failure(&["--config", text(&file), "--check"], 2, "invalid value '/a/=1X' for bandwidth");
}
