//! Responses by method and path: status, media type, body, and the target of a redirect.

use crate::{
    client::{get, request},
    reply::{BodyFraming, Reply},
    server::TestServer,
    site::FILES,
};

/// Requests `target` with these header lines by GET and by HEAD. Checks that both responses have `status` and differ in
/// the body only. Returns the response to GET.
pub fn check(server: &TestServer, target: &str, headers: &str, status: u16) -> Reply {
    let mut client = server.connect();
    let got = client.fetch(request("GET", target, headers));
    let head = client.fetch(request("HEAD", target, headers));
    client.finish();
    assert_eq!((got.status, got.close), (status, false), "GET {target} {headers}: {got:?}");
    assert_eq!(
        (head.status, head.headers_without_date()),
        (status, got.headers_without_date()),
        "HEAD {target} {headers}"
    );
    match got.framing {
        BodyFraming::Length(length) => assert_eq!(length, got.body.len() as u64),
        framing => assert_eq!((framing, status), (BodyFraming::NoBody, 304), "{target}"),
    }
    got
}

/// Checks that `target` is served as a file of this media type and content, with valid validators.
fn check_file(server: &TestServer, target: &str, media_type: &str, content: &str) {
    let reply = check(server, target, "", 200);
    assert_eq!(reply.text(), content, "{target}");
    assert_eq!(reply.header("Content-Type"), Some(media_type), "{target}");
    assert_eq!(reply.header("Accept-Ranges"), Some("bytes"), "{target}");
    let tag = reply.header("ETag").expect("an entity tag");
    assert!(tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"'), "{target}: {tag} is not strong");
    let modified = reply.header("Last-Modified").expect("a date");
    assert!(
        httpdate::parse_http_date(modified).is_ok() && modified.ends_with(" GMT"),
        "{target}: {modified}"
    );
}

/// Checks that `target` is redirected by a 301 to `location`, a reference to the same site that is relative to `target`.
fn check_redirect(server: &TestServer, target: &str, location: &str) {
    let reply = check(server, target, "", 301);
    assert_eq!(reply.header("Location"), Some(location), "{target}");
    assert!(!location.starts_with(['/', '\\']), "{location} leaves the site, or the path prefix of a proxy");
}

/// Checks that the response for `target` is an error page with `status`: it has the status in its text, and none of the
/// headers of a file.
fn check_error(server: &TestServer, target: &str, status: u16) {
    let reply = check(server, target, "", status);
    assert_eq!(reply.header("Content-Type"), Some("text/html; charset=utf-8"), "{target}");
    assert!(reply.text().contains(&status.to_string()), "{target}: {}", reply.text());
    for absent in ["ETag", "Last-Modified", "Accept-Ranges", "Location"] {
        assert_eq!(reply.header(absent), None, "{target}");
    }
}

/// The media type of plain text.
const TEXT: &str = "text/plain; charset=utf-8";

/// Checks that a request for `target` never reaches the file server: the library responds with `status`, whatever the method,
/// and closes the connection.
fn check_rejected(server: &TestServer, target: &str, status: u16) {
    for method in ["GET", "HEAD", "POST", "BREW"] {
        let mut client = server.connect();
        let reply = client.fetch(request(method, target, ""));
        assert_eq!((reply.status, reply.close), (status, true), "{method} {target}");
        assert_eq!((reply.header("Location"), reply.header("ETag")), (None, None), "{method} {target}");
        client.expect_eof();
    }
}

/// Returns the content of a small file of the site.
fn content(name: &str) -> &'static str {
    FILES.iter().find(|(known, _)| *known == name).expect("a file of the site").1
}

http_testing::both_engines! {
    fn the_extension_decides_the_media_type(server: &TestServer) {
        for (name, media_type) in [
            ("page.html", "text/html"),
            ("style.css", "text/css"),
            ("app.js", "text/javascript"),
            ("photo.jpg", "image/jpeg"),
            ("photo.jpeg", "image/jpeg"),
            ("image.png", "image/png"),
            ("moving.gif", "image/gif"),
            ("film.swf", "application/x-shockwave-flash"),
            ("drawing.svg", "image/svg+xml"),
            ("drawing.svgz", "image/svg+xml"),
            ("notes.txt", TEXT),
            ("empty.txt", TEXT),
            ("text..txt", TEXT),
            ("blob.unheard-of", "application/octet-stream"),
            ("noextension", "application/octet-stream"),
        ] {
            check_file(server, &format!("/{name}"), media_type, content(name));
        }
    }

    fn a_compressed_drawing_has_a_content_coding(server: &TestServer) {
        for (headers, status, coding) in [
            ("", 200, Some("gzip")),
            ("Range: bytes=0-1\r\n", 206, Some("gzip")),
            // RFC 9110 §15.4.5: a 304 has no headers that describe the content.
            ("If-None-Match: *\r\n", 304, None),
        ] {
            let mut client = server.connect();
            let reply = client.fetch(request("GET", "/drawing.svgz", headers));
            client.finish();
            assert_eq!((reply.status, reply.header("Content-Encoding")), (status, coding));
        }
        assert_eq!(check(server, "/drawing.svg", "", 200).header("Content-Encoding"), None);
    }

    fn decodes_paths_exactly_once(server: &TestServer) {
        for (target, name) in [
            ("/space%20in%20name.txt", "space in name.txt"),
            ("/n%C3%A4me%20%e2%98%83.txt", "näme ☃.txt"),
            ("/%6E%6f%74%65s.txt", "notes.txt"),
            ("/100%25.txt", "100%.txt"),
            ("/%2541.txt", "%41.txt"),
            ("/a%3Fb%23c.txt", "a?b#c.txt"),
            ("/plus+and&;=.txt", "plus+and&;=.txt"),
            ("/plus%2band%26%3b%3d.txt", "plus+and&;=.txt"),
            ("/back%5Cslash.txt", "back\\slash.txt"),
            ("/x%2F..%2f/notes.txt", "notes.txt"),
        ] {
            check_file(server, target, TEXT, content(name));
        }
        for target in ["/%252e%252e/notes.txt", "/%2525.txt", "/100%2525.txt", "/space+in+name.txt", "/A.txt"]
        {
            check_error(server, target, 404);
        }
    }

    fn ignores_the_query(server: &TestServer) {
        for target in ["/notes.txt?", "/notes.txt?a=b&c=/../d", "/notes.txt?%00?"] {
            check_file(server, target, TEXT, content("notes.txt"));
        }
        check_file(server, "/?page=/notes.txt", "text/html", content("index.html"));
        // RFC 9112 §3.2.2: a server must accept the absolute form.
        check_file(server, "http://test/notes.txt?a", TEXT, content("notes.txt"));
        check_file(server, "http://elsewhere", "text/html", content("index.html"));
    }

    fn serves_the_index_of_a_directory(server: &TestServer) {
        check_file(server, "/", "text/html", content("index.html"));
        check_file(server, "/dir/", "text/html", content("dir/index.html"));
        check_file(server, "/dir/inner/..", "text/html", content("dir/index.html"));
        check_file(server, "/dir%20with%20space/.", "text/html", content("dir with space/index.html"));
        check_file(server, "/dir%2Findex.html", "text/html", content("dir/index.html"));
        check_file(server, "/dir%2f", "text/html", content("dir/index.html"));
        for target in ["/bare/", "/dir/inner/", "/nowhere/", "/odd/"] {
            check_error(server, target, 404);
        }
    }

    fn redirects_a_directory_without_a_slash(server: &TestServer) {
        for (target, location) in [
            ("/dir", "dir/"),
            ("/dir?", "dir/?"),
            ("/dir?a=b&c=%20//d?", "dir/?a=b&c=%20//d?"),
            ("/%64ir", "dir/"),
            ("/bare", "bare/"),
            ("/dir/inner", "inner/"),
            ("/%64ir/inner", "../dir/inner/"),
            ("/dir%2Finner", "dir/inner/"),
            ("/dir/../bare", "bare/"),
            ("/dir%20with%20space", "dir%20with%20space/"),
            ("/linked", "linked/"),
            ("/odd/index.html", "index.html/"),
        ] {
            check_redirect(server, target, location);
        }
    }

    /// RFC 9112 §3: browsers send some characters unescaped that a URI must not hold.
    fn redirects_an_invalid_target_to_its_valid_spelling(server: &TestServer) {
        for (target, location) in [
            ("/a|b", "a%7Cb"),
            ("/notes.txt|?a=b", "notes.txt%7C?a=b"),
            ("/notes.txt?100%", "notes.txt?100%25"),
            ("/%6eotes.txt?<%20>", "notes.txt?%3C%20%3E"),
            ("//evil.example\\", "../evil.example%5C"),
        ] {
            check_redirect(server, target, location);
        }
    }

    fn redirects_never_leave_the_site_or_break_a_header(server: &TestServer) {
        for (target, location) in [
            ("//evil.example", "../evil.example/"),
            ("///evil.example?//x", "../../evil.example/?//x"),
            ("//other.example/../evil.example", "../evil.example/"),
            ("/./evil.example", "evil.example/"),
            ("/%2f%2Fevil.example", "evil.example/"),
            ("http://evil.example/dir", "dir/"),
            ("http://evil.example//dir", "../dir/"),
            ("/line%0d%0abreak", "line%0D%0Abreak/"),
        ] {
            check_redirect(server, target, location);
        }
        check_file(server, "//evil.example/..", "text/html", content("index.html"));
        check_error(server, "//other.example/dir", 404);
        check_error(server, "/%5cevil.example", 404);
    }

    fn responds_with_404_for_a_file_with_a_slash(server: &TestServer) {
        for target in ["/notes.txt/", "/notes.txt/.", "/notes.txt/x", "/page.html//", "/index.html/"] {
            check_error(server, target, 404);
        }
        check_file(server, "/notes.txt/../notes.txt", TEXT, content("notes.txt"));
    }

    fn rejects_paths_above_the_root(server: &TestServer) {
        for target in [
            "/..",
            "/../",
            "/../etc/passwd",
            "/%2e%2e/etc/passwd",
            "/%2E./etc/passwd",
            "/.%2e/",
            "/dir/../../etc/passwd",
            "/dir/%2e%2e/%2e%2e/etc/passwd",
            "/./../x",
            "//..",
            "/nowhere/../../x",
            "/..%2fetc/passwd",
            "/%2e%2e%2fetc%2fpasswd",
        ] {
            check_rejected(server, target, 403);
        }
        for target in ["/..%5c..%5cetc", "/....//etc/passwd"] {
            check_error(server, target, 404);
        }
        check_file(server, "/dir/../dir/./inner/deep.txt", TEXT, "deep");
    }

    fn rejects_paths_that_no_file_can_have(server: &TestServer) {
        for target in ["/%00", "/notes.txt%00", "/notes.txt%00.html", "/%00/../notes.txt"] {
            check_rejected(server, target, 400);
        }
        for target in ["/%", "/%4", "/%zz", "/notes%2", "/%%34", "/%u0041", "/nowhere/%"] {
            check_rejected(server, target, 400);
        }
        check_error(server, &format!("/{}", "n".repeat(256)), 404);
        check_error(server, &"/d".repeat(3000), 404);
    }

    fn hides_files_whose_name_begins_with_a_dot(server: &TestServer) {
        for target in [
            "/.hidden",
            "/.git/config",
            "/.git/",
            "/.git",
            "/dir/.htaccess",
            "/%2ehidden",
            "/.nowhere",
            "/...",
        ] {
            check_error(server, target, 404);
        }
        check_error(server, "/.well-known/.secret", 404);
        check_file(server, "/.well-known/x", "application/octet-stream", "known");
    }

    fn responds_with_404_for_special_files_without_blocking(server: &TestServer) {
        for target in ["/pipe", "/socket", "/to-pipe", "/pipe/", "/socket/x"] {
            check_error(server, target, 404);
        }
        check_file(server, "/notes.txt", TEXT, content("notes.txt"));
    }

    fn follows_symbolic_links_within_the_root_only(server: &TestServer) {
        check_file(server, "/link.html", "text/html", content("page.html"));
        check_file(server, "/dir/up.html", "text/html", content("page.html"));
        check_file(server, "/linked/", "text/html", content("dir/index.html"));
        check_file(server, "/linked/inner/deep.txt", TEXT, "deep");
        // Absolute links whose target lies in the root.
        check_file(server, "/out-and-in", "application/octet-stream", content("page.html"));
        check_file(server, "/absolute-dir/", "text/html", content("dir/index.html"));
        check_file(server, "/absolute-dir/inner/deep.txt", TEXT, "deep");
        check_redirect(server, "/absolute-dir", "absolute-dir/");
        for target in ["/out-absolute", "/out-relative", "/dir/out", "/dir/out/x", "/loop"] {
            check_error(server, target, 403);
        }
        for target in ["/dangling", "/dangling/", "/dangling/x"] {
            check_error(server, target, 404);
        }
    }

    fn rejects_methods_other_than_get_and_head(server: &TestServer) {
        for target in ["/notes.txt", "/dir", "/nowhere", "/./notes.txt"] {
            for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"] {
                let mut client = server.connect();
                let reply = client.fetch(request(method, target, ""));
                assert_eq!((reply.status, reply.close), (405, false), "{method} {target}");
                assert_eq!(reply.header("Allow"), Some("GET, HEAD"), "{method} {target}");
                assert_eq!(client.fetch(get("/notes.txt")).status, 200, "after {method}");
                client.finish();
            }
            // RFC 9110 §9.1: 501 for an unknown method. Names are case-sensitive.
            for method in ["PROPFIND", "get", "Head", "X-Y"] {
                let mut client = server.connect();
                let reply = client.fetch(request(method, target, ""));
                assert_eq!((reply.status, reply.close, reply.header("Allow")), (501, false, None), "{method}");
                client.finish();
            }
        }
        let mut client = server.connect();
        let reply = client.fetch(request("OPTIONS", "*", ""));
        assert_eq!((reply.status, reply.header("Allow")), (405, Some("GET, HEAD")));
        // Bytes after a CONNECT may be meant for the tunnel, so the connection must close.
        let reply = client.fetch(request("CONNECT", "test:443", ""));
        assert_eq!((reply.status, reply.header("Allow"), reply.close), (405, Some("GET, HEAD"), true));
        client.finish();
    }

    fn ignores_the_body_of_a_request(server: &TestServer) {
        let mut client = server.connect();
        let with_body = request("GET", "/notes.txt", "Content-Length: 5\r\n") + "GET /";
        assert_eq!(client.fetch(with_body).text(), content("notes.txt"));
        let chunked =
            request("POST", "/notes.txt", "Transfer-Encoding: chunked\r\n") + "3\r\nabc\r\n0\r\n\r\n";
        assert_eq!(client.fetch(chunked).status, 405);
        assert_eq!(client.fetch(get("/page.html")).text(), content("page.html"));
        client.finish();
    }
}
