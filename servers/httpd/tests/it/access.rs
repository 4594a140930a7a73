//! Which requests reach the files: clients that are denied, too fast, or need a password.

use crate::{
    client::{Client, get, request, wait_for},
    program::{self, ServerKind, check_failure, text},
    site::{Directory, Site},
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use rustix::process::Signal;
use std::fs;

/// The line of a password file: the password is `secret`.
const ALICE: &str = "alice:$2y$04$lxnFZ6x3QJB4RpyeA6z9y.6KKBI/BA5YRwcWjMjqzB73YGVl2/F8m\n";

/// The line of a password file: the password is `pass word`.
const BOB: &str = "bob:$6$saltsalt$cc1KsgmlKYtCcnNH8.sv7Fe8mca8fAso5fHlNrb1VZa5WYQ.L3ChTcx06ID.LoaXZAf9CZNraK43XCp7LxKHl1\n";

/// Makes a directory with the password file `users` and the document root `www`.
fn make_directory(users: &str) -> Directory {
    let directory = Directory::new();
    directory.write("users", users);
    for name in ["notes.txt", "private/notes.txt", "privateer/notes.txt"] {
        directory.write(&format!("www/{name}"), name);
    }
    directory.write("www/large.bin", vec![b'x'; 200_000]);
    directory
}

/// Returns the header line with these credentials, in the form `name:password`.
fn authorization(credentials: &str) -> String {
    format!("Authorization: Basic {}\r\n", BASE64_STANDARD.encode(credentials))
}

/// Sends a GET request with these header lines. Returns the status of the response.
fn status(client: &mut Client, target: &str, headers: &str) -> u16 {
    client.fetch(request("GET", target, headers)).status
}

/// The responses to requests that do not reach the files have the headers of the site too.
#[test]
fn responses_to_denied_requests_have_the_headers_of_the_site() {
    let directory = make_directory(ALICE);
    let users = directory.path("users");
    let wrong = authorization("alice:wrong");
    for (options, headers, status) in [
        (["--auth-file", text(&users)], "", 401),
        (["--auth-file", text(&users)], &*wrong, 401),
        (["--deny", "127.0.0.0/8"], "", 403),
        (["--rate", "1/h"], "", 429),
    ] {
        let headers_of_site =
            ["--header", "X-Test: 1", "--header", "Cache-Control: public", "--cors=*", "--security-headers"];
        let arguments = [&options[..], &headers_of_site].concat();
        let program = program::serve_root(ServerKind::EventLoop, &directory.path("www"), &arguments);
        let mut client = Client::connect(program.address());
        if status == 429 {
            client.fetch(get("/notes.txt"));
        }
        let response = client.fetch(request("GET", "/notes.txt", headers));
        assert_eq!(response.status, status, "{options:?}");
        let names = ["X-Test", "Access-Control-Allow-Origin", "X-Content-Type-Options", "Cache-Control"];
        let values = names.map(|name| response.header(name));
        assert_eq!(values, [Some("1"), Some("*"), Some("nosniff"), Some("no-store")], "{options:?}");
    }
}

two_kinds! {
    fn a_client_needs_a_password(kind: ServerKind) {
        let directory = make_directory(&[ALICE, BOB].concat());
        let users = directory.path("users");
        let arguments = ["--auth-file", text(&users), "--auth-realm", "A \"realm\""];
        let program = program::serve_root(kind, &directory.path("www"), &arguments);
        let mut client = Client::connect(program.address());
        for method in ["GET", "HEAD", "PUT", "OPTIONS"] {
            let response = client.fetch(request(method, "/notes.txt", ""));
            let challenge = "Basic realm=\"A \\\"realm\\\"\", charset=\"UTF-8\"";
            assert_eq!((response.status, response.header("WWW-Authenticate")), (401, Some(challenge)), "{method}");
        }
        let (alice, bob) = (authorization("alice:secret"), authorization("bob:pass word"));
        // Each twice: verified, and known.
        for headers in [&alice, &bob, &alice, &bob] {
            let response = client.fetch(request("GET", "/notes.txt", headers));
            assert_eq!((response.status, &*response.text()), (200, "notes.txt"));
            assert_eq!(status(&mut client, "/nowhere", headers), 404);
            assert_eq!(status(&mut client, "/private", headers), 301);
            let range = format!("{headers}Range: bytes=1-2\r\n");
            assert_eq!(client.fetch(request("GET", "/notes.txt", &range)).text(), "ot");
            let large = client.fetch(request("GET", "/large.bin", headers));
            assert_eq!((large.status, large.body.len()), (200, 200_000));
        }
        for credentials in ["alice:wrong", "alice:", ":", "carol:secret", "alice:secret\0", "bob:secret"] {
            assert_eq!(status(&mut client, "/notes.txt", &authorization(credentials)), 401, "{credentials:?}");
        }
        for headers in [
            "Authorization: Bearer x\r\n".to_owned(),
            "Authorization: Basic\r\n".to_owned(),
            "Authorization: Basic !!\r\n".to_owned(),
            [&*alice, &*alice].concat(),
            authorization(&format!("alice:{}", "x".repeat(20_000))),
            authorization(&format!("{}:secret", "x".repeat(20_000))),
        ] {
            assert_eq!(status(&mut client, "/notes.txt", &headers), 401, "{headers:.40}");
        }
        // Pipelined, so that a request waits while the one before is verified.
        client.send(request("GET", "/notes.txt", &authorization("alice:wrong")) + &request("GET", "/notes.txt", &alice));
        assert_eq!([client.response().status, client.response().status], [401, 200]);
        program.stop_cleanly();
    }

    fn a_password_protects_a_path_and_what_is_below_it(kind: ServerKind) {
        let directory = make_directory(ALICE);
        let users = directory.path("users");
        let arguments = ["--auth-file", text(&users), "--auth-path", "/private/", "--auth-path", "/large.bin"];
        let program = program::serve_root(kind, &directory.path("www"), &arguments);
        let mut client = Client::connect(program.address());
        for (target, expected) in [
            ("/notes.txt", 200),
            ("/privateer/notes.txt", 200),
            ("/private", 401),
            ("/private/", 401),
            ("/private/notes.txt", 401),
            ("/%70rivate/notes.txt", 401),
            ("//private//notes.txt", 401),
            ("/./notes.txt/../private/notes.txt?query", 401),
            ("/private%2Fnotes.txt", 401),
            ("/large.bin", 401),
        ] {
            assert_eq!(status(&mut client, target, ""), expected, "{target}");
        }
        assert_eq!(status(&mut client, "/private/notes.txt", &authorization("alice:secret")), 200);
    }

    /// A row: the other options, the protected path, and the status of each request without a password.
    fn a_password_protects_all_names_of_a_file(kind: ServerKind) {
        let directory = make_directory(ALICE);
        for name in ["secret.html", "secret/open.html", "index.html", "app.js", "app.js.gz", "docs/index.html"] {
            directory.write(&format!("www/{name}"), name);
        }
        directory.write("httpd.toml", "[[rewrite]]\nfrom = '/open/{*rest}'\nto = '/private/{*rest}'\n");
        let (users, file) = (directory.path("users"), directory.path("httpd.toml"));
        let check = |options: &[&str], path: &str, statuses: &[(&str, u16)]| {
            let arguments = [&["--auth-file", text(&users), "--auth-path", path], options].concat();
            let program = program::serve_root(kind, &directory.path("www"), &arguments);
            let mut client = Client::connect(program.address());
            for (target, expected) in statuses {
                assert_eq!(status(&mut client, target, ""), *expected, "{options:?} {path} {target}");
                if *expected == 401 {
                    let allowed = status(&mut client, target, &authorization("alice:secret"));
                    assert!([200, 301, 404].contains(&allowed), "{options:?} {path} {target}: {allowed}");
                }
            }
            client.finish();
            program.stop_cleanly();
        };
        let page = [("/secret.html", 401), ("/notes.txt", 200)];
        check(&[], "/secret.html", &[&page[..], &[("/secret", 301)]].concat());
        let clean = [("/secret", 401), ("/secret/", 401), ("/secret/open", 200), ("/secret.html.gz", 401)];
        check(&["--clean-urls"], "/secret.html", &[&page[..], &clean].concat());
        check(&["--clean-urls"], "/secret", &[("/secret", 401), ("/secret.html", 401), ("/secret/open", 401)]);
        check(&[], "/index.html", &[("/", 401), ("/index.html", 401), ("/docs/", 200)]);
        let index = [("/docs/", 401), ("/docs", 401), ("/docs/index.html", 401), ("/docs/index/", 401), ("/", 200)];
        check(&["--clean-urls"], "/docs/index", &index);
        check(&["--clean-urls"], "/docs/index.html", &index);
        check(&[], "/app.js", &[("/app.js", 401), ("/app.js.gz", 401)]);
        check(&[], "/app.js.gz", &[("/app.js", 401), ("/app.js.gz", 401)]);
        check(&["--precompressed=off"], "/app.js", &[("/app.js", 401), ("/app.js.gz", 401)]);
        let config = ["--config", text(&file)];
        check(&config, "/private", &[("/open/notes.txt", 401), ("/private/notes.txt", 401)]);
        check(&config, "/open", &[("/open/notes.txt", 401), ("/private/notes.txt", 200)]);
    }

    /// The nearest `404.html` that needs no password is the page for 404.
    fn a_protected_page_is_not_sent_for_other_paths(kind: ServerKind) {
        let directory = make_directory(ALICE);
        ["404.html", "a/404.html", "a/b/404.html"].iter().for_each(|name| directory.write(&format!("www/{name}"), name));
        let (users, file) = (directory.path("users"), directory.path("httpd.toml"));
        directory.write("httpd.toml", format!("[[mount]]\npath = '/own'\nroot = '{}'\n", text(&directory.path("www"))));
        for (options, path, target, expected) in [
            (&[][..], "/404.html", "/nothing", ""),
            (&[], "/404.html", "/a/nothing", "a/404.html"),
            (&[], "/a/404.html.gz", "/a/nothing", "404.html"),
            (&["--clean-urls"], "/a/b/404", "/a/b/nothing", "a/404.html"),
            (&[], "/private", "/private/nothing", "404.html"),
            (&["--config", text(&file)], "/own/a/404.html", "/own/a/nothing", "404.html"),
            (&["--config", text(&file)], "/own/a/404.html", "/a/nothing", "a/404.html"),
        ] {
            let arguments = [&["--auth-file", text(&users), "--auth-path", path], options].concat();
            let program = program::serve_root(kind, &directory.path("www"), &arguments);
            let mut client = Client::connect(program.address());
            let headers = if path == "/private" { authorization("alice:secret") } else { String::new() };
            let response = client.fetch(request("GET", target, &headers));
            assert_eq!(response.status, 404, "{path} {target}");
            let page = response.text();
            assert!(if expected.is_empty() { page.starts_with("<!doctype") } else { page == expected }, "{path} {target}: {page}");
            client.finish();
            program.stop_cleanly();
        }
    }

    fn a_refused_request_gets_the_error_page(kind: ServerKind) {
        let directory = make_directory(ALICE);
        directory.write("www/error.html", "error");
        directory.write("httpd.toml", "[[redirect]]\nfrom = '/old'\nto = '/'\n");
        let (users, file) = (directory.path("users"), directory.path("httpd.toml"));
        let wrong = authorization("alice:wrong");
        let challenge = Some("Basic realm=\"Restricted\", charset=\"UTF-8\"");
        for (options, headers, expected) in [
            (&["--auth-file", text(&users)][..], "", (401, challenge, false)),
            (&["--auth-file", text(&users)], &*wrong, (401, challenge, false)),
            (&["--deny", "127.0.0.0/8"], "", (403, None, false)),
            (&["--rate", "1/h", "-w", "1"], "", (429, None, true)),
        ] {
            let page = format!("--error-page={}=/error.html", if expected.0 == 429 { "4xx".to_owned() } else { expected.0.to_string() });
            for slow in ["--file-system=local", "--file-system=slow"] {
                let arguments = [options, &["--config", text(&file), "--header", "X-Test: 1", &page, slow]].concat();
                let program = program::serve_root(kind, &directory.path("www"), &arguments);
                let mut client = Client::connect(program.address());
                if expected.0 == 429 {
                    client.fetch(get("/notes.txt"));
                }
                for (method, target) in [("GET", "/notes.txt"), ("HEAD", "/notes.txt"), ("GET", "/old"), ("PUT", "/.hidden")] {
                    let response = client.fetch(request(method, target, headers));
                    let actual = (response.status, response.header("WWW-Authenticate"), response.header("Retry-After").is_some());
                    assert_eq!(actual, expected, "{options:?} {target}");
                    let names = ["Content-Type", "X-Test", "Cache-Control", "Location"];
                    let values = [Some("text/html"), Some("1"), Some("no-store"), None];
                    assert_eq!(names.map(|name| response.header(name)), values, "{options:?} {target}");
                    assert_eq!(response.text(), if method == "HEAD" { "" } else { "error" }, "{options:?} {target}");
                }
                client.finish();
                program.stop_cleanly();
            }
        }
    }

    /// A redirect must not show its target to a client that may not request the path.
    fn a_redirect_comes_after_networks_rate_and_password(kind: ServerKind) {
        let directory = make_directory(ALICE);
        let redirects = "[[redirect]]\nfrom = '/private/old'\nto = '/private/notes.txt'\n[[redirect]]\nfrom = '/old'\nto = '/'\n";
        directory.write("httpd.toml", format!("redirect-host = 'www.test=test'\n{redirects}"));
        let (users, file) = (directory.path("users"), directory.path("httpd.toml"));
        let login = ["--auth-file", text(&users), "--auth-path", "/private"];
        let alice = authorization("alice:secret");
        let preflight = "Origin: https://a.example\r\nAccess-Control-Request-Method: GET\r\n";
        for (options, requests) in [
            (&login[..], &[("/private/old", "", 401), ("/private/old", &*alice, 308), ("/private/old", &*alice, 308), ("/old", "", 308)][..]),
            (&[&login[..], &["--cors"]].concat(), &[("/private/old", preflight, 204), ("/private/old", "", 401)]),
            (&login, &[("/private/x", "Host: www.test\r\n", 401), ("/x", "Host: www.test\r\n", 308)]),
            (&["--deny", "127.0.0.0/8"], &[("/old", "", 403), ("/", "Host: www.test\r\n", 403)]),
            (&["--rate", "1/h", "-w", "1"], &[("/old", "", 308), ("/old", "", 429)]),
        ] {
            let arguments = [&["--config", text(&file), "--header", "X-Test: 1"], options].concat();
            let program = program::serve_root(kind, &directory.path("www"), &arguments);
            let mut client = Client::connect(program.address());
            for (target, headers, status) in requests {
                let host = if headers.starts_with("Host") { "" } else { "Host: test\r\n" };
                let method = if *status == 204 { "OPTIONS" } else { "GET" };
                let response = client.fetch(format!("{method} {target} HTTP/1.1\r\n{host}{headers}\r\n"));
                assert_eq!(response.status, *status, "{options:?} {target} {headers}");
                assert_eq!(response.header("Location").is_some(), *status == 308, "{options:?} {target}");
                assert_eq!(response.header("X-Test"), Some("1"), "{options:?} {target}");
            }
            client.finish();
            program.stop_cleanly();
        }
    }

    /// The first request waits until its password is verified, and the second one does not.
    fn a_rewritten_request_is_served_after_its_password_is_verified(kind: ServerKind) {
        let directory = make_directory(ALICE);
        directory.write("httpd.toml", "[[rewrite]]\nfrom = '/open'\nto = '/private/notes.txt'\n");
        let (users, file) = (directory.path("users"), directory.path("httpd.toml"));
        let arguments = ["--auth-file", text(&users), "--config", text(&file)];
        let program = program::serve_root(kind, &directory.path("www"), &arguments);
        let mut client = Client::connect(program.address());
        for _ in 0..2 {
            let response = client.fetch(request("GET", "/open", &authorization("alice:secret")));
            assert_eq!((response.status, &*response.text()), (200, "private/notes.txt"));
        }
    }

    /// Browsers send it without credentials.
    fn a_preflight_request_needs_no_password(kind: ServerKind) {
        let directory = make_directory(ALICE);
        let users = directory.path("users");
        let origin = "Origin: https://a.example\r\n";
        let preflight = format!("{origin}Access-Control-Request-Method: GET\r\n");
        for (options, expected) in [
            (&["--cors"][..], 204),
            (&[], 401),
            (&["--cors", "--deny", "127.0.0.1"], 403),
        ] {
            let arguments = [&["--auth-file", text(&users)], options].concat();
            let program = program::serve_root(kind, &directory.path("www"), &arguments);
            let mut client = Client::connect(program.address());
            let response = client.fetch(request("OPTIONS", "/notes.txt", &preflight));
            let methods = response.header("Access-Control-Allow-Methods");
            assert_eq!((response.status, methods), (expected, (expected == 204).then_some("GET, HEAD")), "{options:?}");
            if expected != 403 {
                assert_eq!(client.fetch(request("OPTIONS", "/notes.txt", origin)).status, 401);
                assert_eq!(client.fetch(request("GET", "/notes.txt", &preflight)).status, 401);
            }
        }
    }

    fn a_reload_reads_the_password_file_again(kind: ServerKind) {
        let directory = make_directory(ALICE);
        let (users, errors) = (directory.path("users"), directory.path("errors"));
        let arguments = ["--auth-file", text(&users), "--error-log", text(&errors), "--confine"];
        let program = program::serve_root(kind, &directory.path("www"), &arguments);
        let (alice, bob) = (authorization("alice:secret"), authorization("bob:pass word"));
        // Connections to all workers: the kernel distributes them.
        let mut clients: Vec<_> = (0..8).map(|_| Client::connect(program.address())).collect();
        let mut check_all = |what: &str, headers: &str, expected: u16| {
            wait_for(what, || {
                clients.iter_mut().all(|client| status(client, "/notes.txt", headers) == expected).then_some(())
            });
        };
        check_all("alice", &alice, 200);
        check_all("no bob", &bob, 401);
        // An invalid file changes nothing.
        fs::write(&users, [ALICE, "eve:$apr1$XLulsk6N$j07eXPfzoJUBQndpiE4Rf0\n"].concat()).expect("a file");
        program.signal(Signal::HUP);
        let message = "users: line 2: the hash of the user eve is neither bcrypt nor SHA-crypt";
        wait_for("a message", || directory.read("errors").contains(message).then_some(()));
        check_all("still alice", &alice, 200);
        // A user who was removed must not stay among the verified ones.
        fs::write(&users, BOB).expect("a file");
        program.signal(Signal::HUP);
        check_all("bob", &bob, 200);
        check_all("no alice", &alice, 401);
        program.stop_cleanly();
    }

    fn a_client_that_guesses_passwords_must_wait(kind: ServerKind) {
        let directory = make_directory(ALICE);
        let users = directory.path("users");
        let program = program::serve_root(kind, &directory.path("www"), &["--auth-file", text(&users)]);
        let wrong = request("GET", "/notes.txt", &authorization("alice:wrong"));
        let clients: Vec<_> =
            (0..200).map(|_| Client::connect_and_send(program.address(), &wrong)).collect();
        let responses: Vec<_> = clients.into_iter().map(|mut client| client.response()).collect();
        let denied = |status: u16| responses.iter().filter(move |response| response.status == status);
        assert_eq!(denied(401).count() + denied(429).count(), 200);
        assert!(denied(401).count() >= 40 && denied(429).count() > 0);
        assert!(denied(429).all(|response| response.header("Retry-After") == Some("1")));
        // Another client is not affected.
        let mut other = Client::connect_from("127.0.0.2:0", program.address());
        assert_eq!(status(&mut other, "/notes.txt", &authorization("alice:secret")), 200);
    }

    fn a_network_is_allowed_or_denied(kind: ServerKind) {
        let site = Site::shared();
        for (arguments, [first, second]) in [
            (&["--allow", "127.0.0.1"][..], [200, 403]),
            (&["--deny", "127.0.0.1"], [403, 200]),
            (&["--deny", "127.0.0.0/8", "--allow", "127.0.0.2/31"], [403, 200]),
            (&["--allow", "10.0.0.0/8"], [403, 403]),
        ] {
            let program = program::serve_root(kind, site.root(), arguments);
            let mut clients = ["127.0.0.1:0", "127.0.0.2:0"].map(|from| Client::connect_from(from, program.address()));
            let statuses = clients.each_mut().map(|client| status(client, "/notes.txt", ""));
            assert_eq!(statuses, [first, second], "{arguments:?}");
            // The connection stays open.
            assert_eq!(clients.each_mut().map(|client| status(client, "/notes.txt", "")), [first, second]);
            program.stop_cleanly();
        }
    }

    fn a_client_that_is_too_fast_waits(kind: ServerKind) {
        let site = Site::shared();
        let program = program::serve_root(kind, site.root(), &["--rate", "1/h", "--rate-burst", "3"]);
        let mut client = Client::connect(program.address());
        for expected in [200, 200, 200, 429, 429] {
            assert_eq!(status(&mut client, "/notes.txt", ""), expected);
        }
        let response = client.fetch(get("/notes.txt"));
        let wait: u32 = response.header("Retry-After").and_then(|wait| wait.parse().ok()).expect("seconds");
        assert!((3500..=3600).contains(&wait), "{wait}");
        let mut other = Client::connect_from("127.0.0.2:0", program.address());
        assert_eq!(status(&mut other, "/notes.txt", ""), 200);
        program.stop_cleanly();
    }

    fn a_password_file_that_cannot_be_used_fails_the_start(kind: ServerKind) {
        let directory = make_directory(ALICE);
        fs::create_dir(directory.path("folder")).expect("a directory");
        directory.write("plain", "eve:secret\n");
        directory.write("www/users", ALICE);
        let root = directory.path("www");
        for (name, message) in [
            ("nowhere", "nowhere: no such file or directory"),
            ("folder", "folder: not a regular file"),
            ("plain", "plain: line 1: the hash of the user eve is neither bcrypt nor SHA-crypt: make another with `htpasswd -B`"),
            ("www/users", "www/users must not be in the served directory"),
        ] {
            let file = directory.path(name);
            let arguments = ["-p", "0", "--auth-file", text(&file), text(&root)];
            check_failure(&[kind.arguments(), &arguments].concat(), 1, message);
        }
        // The file is in the directory of another site, which needs no password.
        let mount = format!("[[mount]]\npath = '/a'\nroot = '{}'\nauth-file = '{}'\n", text(&root), text(&directory.path("users")));
        directory.write("httpd.toml", mount);
        let (file, message) = (directory.path("httpd.toml"), "users must not be in the served directory");
        check_failure(&[kind.arguments(), &["-p", "0", "--config", text(&file), text(directory.root())]].concat(), 1, message);
        // A protected page must not be sent for other paths.
        let users = directory.path("users");
        for (options, page) in [
            (&["--auth-path", "/index.html", "--spa"][..], Some("/index.html")),
            (&["--auth-path", "/private", "--error-page=404=/private/notes.txt"], Some("/private/notes.txt")),
            (&["--auth-path", "/", "--error-page=404=/private/notes.txt"], None),
        ] {
            let arguments = [&["-p", "0", "--check", "--auth-file", text(&users), text(&root)], options].concat();
            match page {
                Some(page) => check_failure(&arguments, 2, &format!("{page} needs a password (--auth-path), but")),
                None => assert_eq!(program::run(&arguments).code, Some(0)),
            }
        }
    }
}

#[test]
fn an_event_loop_serves_others_while_a_password_is_verified() {
    // The password `secret`, at a cost that makes verifying it take far longer than a request.
    let slow = "$2y$10$aLNY8dNeYj1ImoFFaCnJZOZxBEANJCO4f9SodqfmtRqI/8Sg7sIRe";
    let directory = make_directory(&format!("slow:{slow}\n"));
    let users = directory.path("users");
    let arguments = ["-w", "1", "--auth-file", text(&users), "--auth-path", "/private"];
    let program = program::serve_root(ServerKind::EventLoop, &directory.path("www"), &arguments);
    let wrong = request("GET", "/private/notes.txt", &authorization("slow:wrong"));
    let mut waiting = Client::connect_and_send(program.address(), &wrong);
    let mut other = Client::connect(program.address());
    for _ in 0..10 {
        assert_eq!(status(&mut other, "/notes.txt", ""), 200);
    }
    assert!(!waiting.has_received());
    assert_eq!(waiting.response().status, 401);
    // Clients that leave while they wait do not disturb.
    for number in 2..100 {
        let mut client = Client::connect_from(&format!("127.0.0.{number}:0"), program.address());
        client.send(&wrong);
        client.reset();
    }
    assert_eq!(status(&mut other, "/private/notes.txt", &authorization("slow:secret")), 200);
}
