//! The headers that the operator adds to the responses.

use crate::{
    client::{Client, get, request},
    program,
    site::Directory,
};
use http_testing::program::Program;

/// A site with a file, a directory with a file, and an index.
fn site() -> Directory {
    let root = Directory::new();
    std::fs::create_dir(root.path("docs")).expect("a directory");
    for name in ["index.html", "app.3f9c2a1b.js", "docs/manual.txt"] {
        root.write(name, "0123456789");
    }
    root
}

/// Sends these requests, one for each kind of response, on a connection. Checks the values of one header in the
/// responses 200, HEAD, 206, two ranges, 304, 412, 416, 301, 404, 405 and 400.
#[track_caller]
fn check(server: &Program, name: &str, expected: [Option<&str>; 11]) {
    let mut client = Client::connect(server.address());
    let etag = client.fetch(get("/docs/manual.txt")).header("ETag").expect("a tag").to_owned();
    let file = |method: &str, headers: &str| request(method, "/docs/manual.txt", headers);
    let requests = [
        (200, file("GET", "")),
        (200, file("HEAD", "")),
        (206, file("GET", "Range: bytes=1-2\r\n")),
        (206, file("GET", "Range: bytes=1-2,5-6\r\n")),
        (304, file("GET", &format!("If-None-Match: {etag}\r\n"))),
        (412, file("GET", "If-Match: \"other\"\r\n")),
        (416, file("GET", "Range: bytes=10-\r\n")),
        (301, get("/docs")),
        (404, get("/docs/none")),
        (405, request("DELETE", "/docs/manual.txt", "")),
        (400, "GET / HTTP/1.1\r\n\r\n".into()),
    ];
    for ((status, request), expected) in requests.into_iter().zip(expected) {
        let response = Client::connect(server.address()).fetch(&request);
        let values = response.values(name).collect::<Vec<_>>().join(", ");
        let value = Some(&*values).filter(|value| !value.is_empty());
        assert_eq!((response.status, value), (status, expected), "{name} {request}");
    }
}

two_kinds! {
    fn headers_are_added_by_path(kind: ServerKind) {
        let root = site();
        let server = program::serve_root(kind, root.root(), &[
            "--header", "X-All: 1",
            "--header", "/docs/**: X-Docs: 2",
            "--header", "*.txt: X-All:",
            "--header", "Content-Language: de",
            "--cache-control", "*.txt=max-age=60",
            "--cache", "smart",
        ]);
        let all = Some("1");
        check(&server, "X-All", [None, None, None, None, None, None, None, all, all, None, all]);
        let docs = Some("2");
        check(&server, "X-Docs", [docs, docs, docs, docs, docs, docs, docs, None, docs, docs, None]);
        let (cache, de) = (Some("max-age=60"), Some("de"));
        check(&server, "Cache-Control", [cache, cache, cache, cache, cache, None, None, None, None, None, None]);
        check(&server, "Content-Language", [de, de, de, de, None, None, None, None, None, None, None]);
        let mut client = Client::connect(server.address());
        for (target, cache) in [("/", "no-cache"), ("/app.3f9c2a1b.js", "public, max-age=31536000, immutable")] {
            assert_eq!(client.fetch(get(target)).header("Cache-Control"), Some(cache), "{target}");
        }
    }

    fn globs_of_a_mount_are_relative_to_it(kind: ServerKind) {
        let root = site();
        std::fs::create_dir(root.path("docs/list")).expect("a directory");
        let config = "listing = true\nheader = ['/docs/: X-A: outside', '/{list/,none,manual.txt}: X-A: inside']\n\
            [[mount]]\npath = '/docs'\nroot = 'ROOT/docs'\n[[rewrite]]\nfrom = '/old/{*rest}'\nto = '/docs/{*rest}'\n";
        root.write("httpd.toml", config.replace("ROOT", program::text(root.root())));
        let server =
            program::serve_root(kind, root.root(), &["--config", program::text(&root.path("httpd.toml"))]);
        let mut client = Client::connect(server.address());
        for (target, status, expected) in [
            ("/docs/manual.txt", 200, Some("inside")),
            ("/docs/none", 404, Some("inside")),
            ("/docs/list/", 200, Some("inside")),
            ("/docs/", 200, None),
            ("/docs/other", 404, None),
            ("/old/none", 404, Some("inside")),
            ("/none", 404, Some("inside")),
        ] {
            let response = client.fetch(get(target));
            assert_eq!((response.status, response.header("X-A")), (status, expected), "{target}");
        }
    }

    fn security_headers_are_in_all_responses(kind: ServerKind) {
        let root = site();
        for (options, embedding) in [
            (&["--security-headers", "--header", "X-Frame-Options:"][..], None),
            (&["--security-headers=strict", "--header", "X-Frame-Options:"], Some("require-corp")),
        ] {
            let server = program::serve_root(kind, root.root(), options);
            check(&server, "X-Content-Type-Options", [Some("nosniff"); 11]);
            check(&server, "Content-Security-Policy", [Some("frame-ancestors 'self'"); 11]);
            check(&server, "X-Frame-Options", [None; 11]);
            check(&server, "Cross-Origin-Embedder-Policy", [embedding; 11]);
        }
    }

    fn all_origins_may_read_the_files(kind: ServerKind) {
        let root = site();
        let server = program::serve_root(kind, root.root(), &["--cors"]);
        check(&server, "Access-Control-Allow-Origin", [Some("*"); 11]);
        let form = Some("Accept-Encoding");
        check(&server, "Vary", [form, form, form, form, form, form, form, None, None, None, None]);
        let exposed = "Accept-Ranges, Content-Encoding, Content-Range, ETag";
        check(&server, "Access-Control-Expose-Headers", [Some(exposed); 11]);
    }

    fn listed_origins_may_read_the_files(kind: ServerKind) {
        let root = site();
        let server = program::serve_root(kind, root.root(), &["--cors=https://a,http://b:81"]);
        check(&server, "Access-Control-Allow-Origin", [None; 11]);
        let (both, origin) = (Some("Accept-Encoding, Origin"), Some("Origin"));
        check(&server, "Vary", [both, both, both, both, both, both, both, origin, origin, origin, origin]);
        let mut client = Client::connect(server.address());
        for target in ["/", "/docs", "/none"] {
            for (origin, permitted) in [("https://a", true), ("http://b:81", true), ("http://b", false), ("null", false)] {
                let response = client.fetch(request("GET", target, &format!("Origin: {origin}\r\n")));
                let expected = permitted.then_some(origin);
                assert_eq!(response.header("Access-Control-Allow-Origin"), expected, "{target} {origin}");
                assert!(response.values("Vary").any(|value| value == "Origin"), "{target} {origin}");
            }
        }
    }

    fn a_preflight_request_learns_the_methods(kind: ServerKind) {
        let root = site();
        let preflight = |method: &str| {
            let headers = format!("Origin: https://a\r\nAccess-Control-Request-Method: {method}\r\n");
            request("OPTIONS", "/docs/manual.txt", &headers)
        };
        for (options, origin) in [(&["--cors"][..], Some("*")), (&["--cors=https://a"], Some("https://a")), (&["--cors=https://b"], None)] {
            let server = program::serve_root(kind, root.root(), options);
            let mut client = Client::connect(server.address());
            for method in ["GET", "POST"] {
                let response = client.fetch(preflight(method));
                assert_eq!((response.status, response.header("Access-Control-Allow-Origin")), (204, origin), "{options:?}");
                assert_eq!(response.header("Access-Control-Allow-Methods"), Some("GET, HEAD"));
                assert_eq!(response.header("Access-Control-Max-Age"), Some("7200"));
            }
            let response = client.fetch(request("OPTIONS", "/", "Origin: https://a\r\n"));
            let actual = (response.status, response.header("Allow"), response.header("Access-Control-Allow-Origin"));
            assert_eq!(actual, (405, Some("GET, HEAD"), origin), "{options:?}");
        }
        let server = program::serve_root(kind, root.root(), &[]);
        assert_eq!(Client::connect(server.address()).fetch(preflight("GET")).status, 405);
    }

    fn the_operator_may_choose_media_types(kind: ServerKind) {
        let root = site();
        ["a.log", "a.txt", "a.x-y", "a.css"].iter().for_each(|name| root.write(name, "0123456789"));
        let list = root.path("mime.types");
        root.write("mime.types", "types {\n    text/x-log log;\n    text/x-css css; # comment\n}\n");
        let server = program::serve_root(kind, root.root(), &[
            "--mime-types",
            program::text(&list),
            "--mime",
            "css=text/css",
            "--default-type",
            "application/x-unknown",
            "--charset",
            "iso-8859-1",
        ]);
        let mut client = Client::connect(server.address());
        for (target, expected) in [
            ("/a.log", "text/x-log; charset=iso-8859-1"),
            ("/a.txt", "text/plain; charset=iso-8859-1"),
            ("/a.x-y", "application/x-unknown"),
            ("/a.css", "text/css"),
            ("/", "text/html"),
        ] {
            for (method, headers, status) in [("GET", "", 200), ("HEAD", "", 200), ("GET", "Range: bytes=1-2\r\n", 206)] {
                let response = client.fetch(request(method, target, headers));
                assert_eq!((response.status, response.header("Content-Type")), (status, Some(expected)), "{target}");
            }
            let parts = client.fetch(request("GET", target, "Range: bytes=1-2,4-5\r\n")).text();
            assert!(parts.contains(&format!("\r\nContent-Type: {expected}\r\n")), "{parts}");
        }
    }
}
