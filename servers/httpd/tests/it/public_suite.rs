//! The checks of the public test suite s-stupnikov/http-test-suite, in the same order, with our own files.

use crate::{
    client::{Client, get},
    program,
    server::{FileServer, ServerKind},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The media type of plain text. The suite does not assert it.
const TEXT: &str = "text/plain; charset=utf-8";

/// The content of `dir2/page.html`.
const PAGE: &str = "<html><body>Page Sample</body></html>\n";

/// Returns the document root: the directory that contains the suite's directory `httptest`.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../http-test-suite")
}

/// A server of the suite's files. Each request has a connection of its own, as in the suite.
struct Suite(FileServer);

impl Suite {
    /// Starts a server of this kind.
    fn start(kind: ServerKind) -> Suite {
        Suite(FileServer::start(kind, &root()))
    }

    /// Requests `path`, a path within `httptest`, and checks the status.
    fn check(&self, path: &str, status: u16) {
        let mut client = self.0.connect();
        let reply = client.fetch(get(&format!("/httptest/{path}")));
        client.finish();
        assert_eq!(reply.status, status, "{path}");
        assert!(reply.header("Server").is_some());
    }

    /// Requests `path`, a path within `httptest`. Checks that the response is a 200 with this media type and body.
    fn check_body(&self, path: &str, media_type: &str, body: &[u8]) {
        let mut client = self.0.connect();
        let reply = client.fetch(get(&format!("/httptest/{path}")));
        client.finish();
        assert_eq!((reply.status, reply.header("Content-Type")), (200, Some(media_type)), "{path}");
        assert_eq!(reply.header("Content-Length"), Some(body.len().to_string().as_str()), "{path}");
        assert!(reply.body == body, "{path}: other bytes than the file's");
    }
}

http_testing::both_engines! {
    fn survives_an_empty_request(kind: ServerKind) {
        let suite = Suite::start(kind);
        let mut client = suite.0.connect();
        client.send("\n");
        drop(client);
        suite.check("dir2/", 200);
        // A client that stays receives 400 or the end of the connection.
        let mut client = suite.0.connect();
        client.send("\n");
        client.shutdown_write();
        if let Ok(reply) = client.try_response() {
            assert_eq!(reply.status, 400);
            client.expect_eof();
        }
        suite.check("dir2/", 200);
    }

    fn serves_the_index_of_a_directory(kind: ServerKind) {
        let suite = Suite::start(kind);
        suite.check("", 404);
        suite.check_body("dir2/", "text/html", b"<html>Directory index file</html>\n");
        suite.check("dir1/", 404);
        suite.check("smdklcdsmvdfjnvdfjvdfvdfvdsfssdmfdsdfsd.html", 404);
    }

    fn decodes_paths_and_ignores_queries(kind: ServerKind) {
        let suite = Suite::start(kind);
        suite.check_body("dir1/dir12/dir123/deep.txt", TEXT, b"bingo, you found it\n");
        suite.check("dir2/page.html/", 404);
        suite.check_body("dir2/page.html?arg1=value&arg2=value", "text/html", PAGE.as_bytes());
        suite.check_body("space%20in%20name.txt", TEXT, b"letters and spaces\n");
        suite.check_body("dir2/%70%61%67%65%2e%68%74%6d%6c", "text/html", PAGE.as_bytes());
        suite.check_body("text..txt", TEXT, b"hello");
    }

    fn serves_a_large_file(kind: ServerKind) {
        let suite = Suite::start(kind);
        let content = fs::read(root().join("httptest/wikipedia_russia.html")).expect("a file");
        let holds = |text: &[u8]| content.windows(text.len()).any(|window| window == text);
        assert!(holds(b"Wikimedia Foundation, Inc."), "the suite expects this text");
        suite.check_body("wikipedia_russia.html", "text/html", &content);
    }

    fn rejects_a_path_above_the_root(kind: ServerKind) {
        let suite = Suite::start(kind);
        suite.check("../../../../../../../../../../../../../etc/passwd", 403);
    }

    fn responds_to_get_and_head_only(kind: ServerKind) {
        let suite = Suite::start(kind);
        let mut client = suite.0.connect();
        let post = "POST /httptest/dir2/page.html HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(client.fetch(post).status, 405);
        client.finish();
        let mut client = suite.0.connect();
        let head = client.fetch("HEAD /httptest/dir2/page.html HTTP/1.0\r\n\r\n");
        assert_eq!((head.status, head.header("Content-Length"), head.close), (200, Some("38"), true));
        client.expect_eof();
    }

    fn sends_the_media_types_that_the_suite_expects(kind: ServerKind) {
        let suite = Suite::start(kind);
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
            suite.check_body(name, media_type, &content);
        }
    }
}

/// The suite passes the document root with the option `-r`.
#[test]
fn starts_as_the_suite_starts_it() {
    let program = program::serve_root(&root(), &[]);
    let mut client = Client::connect(program.address());
    assert_eq!(client.fetch(get("/httptest/dir2/page.html")).text(), PAGE);
    client.finish();
}
