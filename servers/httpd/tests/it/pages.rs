//! What is served for paths that name no plain file.

use crate::{
    client::{Client, get, request},
    program,
    site::Directory,
};
use std::os::unix::fs::symlink;

/// Makes a document root with these files. The content of a file is its name.
fn root(files: &[&str]) -> Directory {
    let root = Directory::new();
    files.iter().for_each(|name| root.write(name, name));
    root
}

two_kinds! {
    fn a_browser_gets_the_page_of_the_application(kind: ServerKind) {
        let root = root(&["app.html", "index.html", "404.html"]);
        for (option, page) in [("--spa", "index.html"), ("--spa=/app.html", "app.html")] {
            let server = program::serve_root(kind, root.root(), &[option]);
            let mut client = Client::connect(server.address());
            for (accept, status, expected) in [("text/html,*/*;q=0.8", 200, page), ("*/*", 404, "404.html")] {
                let response = client.fetch(request("GET", "/users/7", &format!("Accept: {accept}\r\n")));
                assert_eq!((response.status, &*response.text()), (status, expected), "{option} {accept}");
                let vary = response.values("Vary").collect::<Vec<_>>().join(", ");
                assert_eq!(vary, "Accept-Encoding, Accept", "{option} {accept}");
            }
        }
    }

    fn pages_have_clean_urls(kind: ServerKind) {
        let root = root(&["about.html"]);
        let server = program::serve_root(kind, root.root(), &["--clean-urls"]);
        let mut client = Client::connect(server.address());
        assert_eq!(client.fetch(get("/about")).text(), "about.html");
        let redirect = client.fetch(get("/about.html?q"));
        assert_eq!((redirect.status, redirect.header("Location")), (301, Some("about?q")));
    }

    fn errors_have_the_pages_of_the_operator(kind: ServerKind) {
        let root = root(&["404.html", "errors/failed.txt"]);
        for (arguments, expected, media_type) in [
            (&[][..], "404.html", "text/html"),
            (&["--error-page", "4xx=/errors/failed.txt"], "errors/failed.txt", "text/plain; charset=utf-8"),
        ] {
            let server = program::serve_root(kind, root.root(), arguments);
            let mut client = Client::connect(server.address());
            for target in ["/nothing", "/a/b/", "/.hidden"] {
                let response = client.fetch(get(target));
                assert_eq!((response.status, &*response.text()), (404, expected), "{target}");
                assert_eq!(response.header("Content-Type"), Some(media_type), "{target}");
            }
        }
    }

    fn a_directory_without_an_index_may_be_listed(kind: ServerKind) {
        let root = root(&["a/file", "b/index.html"]);
        for (arguments, status) in [(&[][..], 404), (&["--listing"], 200)] {
            let server = program::serve_root(kind, root.root(), arguments);
            let mut client = Client::connect(server.address());
            let json = client.fetch(request("GET", "/a/", "Accept: application/json\r\n"));
            assert_eq!(json.status, status);
            if status == 200 {
                assert!(json.text().contains("{\"name\":\"file\",\"type\":\"file\",\"size\":6,"), "{}", json.text());
                let page = client.fetch(get("/a/?sort=size&order=desc"));
                assert!(page.text().contains("<a href=\"./file\">file</a>"), "{}", page.text());
            }
            assert_eq!(client.fetch(get("/b/")).text(), "b/index.html");
        }
    }

    fn hidden_files_may_be_served(kind: ServerKind) {
        let root = root(&[".config/file"]);
        for (arguments, status) in [(&[][..], 404), (&["--hidden"], 200)] {
            let server = program::serve_root(kind, root.root(), arguments);
            assert_eq!(Client::connect(server.address()).fetch(get("/.config/file")).status, status);
        }
    }

    fn links_that_leave_the_root_may_be_followed(kind: ServerKind) {
        let outside = root(&["file"]);
        let inside = root(&["index.html"]);
        symlink(outside.path("file"), inside.path("link")).expect("a link");
        for (arguments, status) in [(&[][..], 403), (&["--follow-symlinks"], 200)] {
            let server = program::serve_root(kind, inside.root(), arguments);
            assert_eq!(Client::connect(server.address()).fetch(get("/link")).status, status);
        }
    }

    fn a_confined_server_forbids_all_that_a_link_leads_to(kind: ServerKind) {
        let outside = root(&["file"]);
        let inside = root(&["index.html"]);
        symlink(outside.root(), inside.path("link")).expect("a link");
        for listing in ["on", "off"] {
            let arguments = ["--follow-symlinks", "--confine", &format!("--listing={listing}")];
            let server = program::serve_root(kind, inside.root(), &arguments);
            if server.startup_line.contains("not confined") {
                return;
            }
            let mut client = Client::connect(server.address());
            for target in ["/link", "/link/", "/link/file"] {
                assert_eq!(client.fetch(get(target)).status, 403, "{target} {listing}");
            }
        }
    }
}

#[test]
fn wrong_pages_are_refused() {
    for (option, message) in [
        ("--error-page=404", "expected STATUS=PAGE"),
        ("--error-page=200=/a", "expected STATUS=PAGE"),
        ("--spa=dir/", "not the path of a file"),
    ] {
        program::check_failure(&[option], 2, message);
    }
}
