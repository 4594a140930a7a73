//! What the public s-stupnikov/http-test-suite checks, test by test and in its order, on our own fixture tree.

use crate::{
    client::{Client, get},
    program,
    server::{FileServer, Kind},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

const PAGE: &str = "<html><body>Page Sample</body></html>\n";

/// The directory in which `httptest` stands.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../http-test-suite")
}

/// A server of that directory, and the suite's way to ask: a connection for each request.
struct Suite(FileServer);

impl Suite {
    fn on(kind: Kind) -> Suite {
        Suite(FileServer::start(kind, &root()))
    }

    fn check(&self, path: &str, status: u16) {
        let mut client = self.0.connect();
        let reply = client.ask(get(&format!("/httptest/{path}")));
        client.finish();
        assert_eq!(reply.status, status, "{path}");
        assert!(reply.field("Server").is_some());
    }

    fn check_content(&self, path: &str, media_type: &str, content: &[u8]) {
        let mut client = self.0.connect();
        let reply = client.ask(get(&format!("/httptest/{path}")));
        client.finish();
        assert_eq!((reply.status, reply.field("Content-Type")), (200, Some(media_type)), "{path}");
        assert_eq!(reply.field("Content-Length"), Some(content.len().to_string().as_str()), "{path}");
        assert!(reply.content == content, "{path}: other bytes than the file's");
    }
}

http_testing::both_engines! {
    fn an_empty_request(kind: Kind) {
        let suite = Suite::on(kind);
        let mut client = suite.0.connect();
        client.send("\n");
        drop(client);
        suite.check("dir2/", 200);
        // And whoever sends it and stays is told, or let go.
        let mut client = suite.0.connect();
        client.send("\n");
        client.end_sending();
        if let Ok(reply) = client.try_reply(crate::reply::Asked::Http11) {
            assert_eq!(reply.status, 400);
            client.ends();
        }
        suite.check("dir2/", 200);
    }

    fn directories(kind: Kind) {
        let suite = Suite::on(kind);
        suite.check("", 404);
        suite.check_content("dir2/", "text/html", b"<html>Directory index file</html>\n");
        suite.check("dir1/", 404);
        suite.check("smdklcdsmvdfjnvdfjvdfvdfvdsfssdmfdsdfsd.html", 404);
    }

    fn names(kind: Kind) {
        let suite = Suite::on(kind);
        suite.check_content("dir1/dir12/dir123/deep.txt", "text/plain", b"bingo, you found it\n");
        suite.check("dir2/page.html/", 404);
        suite.check_content("dir2/page.html?arg1=value&arg2=value", "text/html", PAGE.as_bytes());
        suite.check_content("space%20in%20name.txt", "text/plain", b"letters and spaces\n");
        suite.check_content("dir2/%70%61%67%65%2e%68%74%6d%6c", "text/html", PAGE.as_bytes());
        suite.check_content("text..txt", "text/plain", b"hello");
    }

    fn a_large_file(kind: Kind) {
        let suite = Suite::on(kind);
        let content = fs::read(root().join("httptest/wikipedia_russia.html")).expect("a file");
        let holds = |text: &[u8]| content.windows(text.len()).any(|window| window == text);
        assert!(holds(b"Wikimedia Foundation, Inc."), "the suite looks for it");
        suite.check_content("wikipedia_russia.html", "text/html", &content);
    }

    fn escaping_the_root(kind: Kind) {
        let suite = Suite::on(kind);
        suite.check("../../../../../../../../../../../../../etc/passwd", 403);
    }

    fn methods(kind: Kind) {
        let suite = Suite::on(kind);
        let mut client = suite.0.connect();
        let post = "POST /httptest/dir2/page.html HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(client.ask(post).status, 405);
        client.finish();
        let mut client = suite.0.connect();
        let head = client.ask("HEAD /httptest/dir2/page.html HTTP/1.0\r\n\r\n");
        assert_eq!((head.status, head.field("Content-Length"), head.close), (200, Some("38"), true));
        client.ends();
    }

    fn media_types(kind: Kind) {
        let suite = Suite::on(kind);
        for (name, media_type) in [
            ("dir2/page.html", "text/html"),
            ("splash.css", "text/css"),
            ("jquery-1.9.1.js", "text/javascript"),
            ("160313.jpg", "image/jpeg"),
            ("ef35c.jpeg", "image/jpeg"),
            ("logo.v2.png", "image/png"),
            ("pic_ask.gif", "image/gif"),
            ("b16261023.swf", "application/x-shockwave-flash"),
        ] {
            let content = fs::read(root().join("httptest").join(name)).expect("a file");
            suite.check_content(name, media_type, &content);
        }
    }
}

/// The suite's own way to a server: everything on the command line, `-r` for the root.
#[test]
fn as_the_suite_starts_it() {
    let program = program::serve_root(&root(), &[]);
    let mut client = Client::connect(program.address());
    assert_eq!(client.ask(get("/httptest/dir2/page.html")).text(), PAGE);
    client.finish();
}
