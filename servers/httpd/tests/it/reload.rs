//! SIGHUP under load: each option of a site changes in the configuration file while clients send requests. No request
//! fails, and the new value applies on open connections and on new ones.

use crate::{
    client::{Client, Response, wait_for},
    program::{self, HTTPD, Program, ServerKind},
    site::Directory,
};
use rustix::process::Signal;
use std::{
    collections::BTreeSet,
    os::unix::fs::symlink,
    process::Command,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

/// An option, its lines in the file before and after the reload, a request without its Host, the header of the response
/// to look at (empty: the body), and how the status and that header begin before and after the reload.
type Row = (&'static str, [&'static str; 2], &'static str, &'static str, [&'static str; 2]);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("root", ["root = 'www'", "root = 'other'"], "GET /", "", ["200 www", "200 other"]),
    ("etag", ["", "etag = 'mtime'"], "GET /", "ETag", ["200 \"", "200 W/\""]),
    // No response shows these two without the header.
    ("file-timeout", ["", "file-timeout = '7s'\nheader = 'X-A: 1'"], "GET /", "X-A", ["200 -", "200 1"]),
    ("file-system", ["file-system = 'slow'", "file-system = 'memory'\nheader = 'X-A: 1'"], "GET /", "X-A", ["200 -", "200 1"]),
    ("compress", ["", "compress = false"], "GET /long.txt|Accept-Encoding: gzip", "Content-Encoding", ["200 gzip", "200 -"]),
    ("precompressed", ["", "precompressed = false"], "GET /long.txt|Accept-Encoding: br", "Content-Encoding", ["200 br", "200 -"]),
    ("header", ["header = 'X-A: 1'", "header = ['X-A: 2']"], "GET /", "X-A", ["200 1", "200 2"]),
    ("cache-control", ["", "cache-control = '/=no-store'"], "GET /", "Cache-Control", ["200 -", "200 no-store"]),
    ("cache", ["cache = false", "cache = 'smart'"], "GET /", "Cache-Control", ["200 -", "200 no-cache"]),
    ("security-headers", ["", "security-headers = true"], "GET /", "X-Frame-Options", ["200 -", "200 SAMEORIGIN"]),
    ("cors", ["cors = false", "cors = ['https://b', 'https://a']"], "GET /|Origin: https://a", "Access-Control-Allow-Origin", ["200 -", "200 https://a"]),
    ("mime", ["", "mime = 'txt=text/x-a'"], "GET /long.txt", "Content-Type", ["200 text/plain", "200 text/x-a"]),
    ("mime-types", ["", "mime-types = 'types'"], "GET /long.txt", "Content-Type", ["200 text/plain", "200 text/x-b"]),
    ("default-type", ["", "default-type = 'text/x-c'"], "GET /none", "Content-Type", ["200 application/octet-stream", "200 text/x-c"]),
    ("charset", ["charset = true", "charset = 'ascii'"], "GET /long.txt", "Content-Type", ["200 text/plain; charset=u", "200 text/plain; charset=a"]),
    ("spa", ["spa = false", "spa = true"], "GET /users/7|Accept: text/html", "", ["404 ", "200 www"]),
    ("clean-urls", ["", "clean-urls = true"], "GET /about", "", ["404 ", "200 about"]),
    ("error-page", ["", "error-page = '404=/about.html'"], "GET /nowhere", "", ["404 <!doctype", "404 about"]),
    ("listing", ["", "listing = true"], "GET /directory/|Accept: application/json", "", ["404 <!doctype", "200 ["]),
    ("hidden", ["hidden = true", "hidden = false"], "GET /.hidden", "", ["200 hidden", "404 "]),
    ("follow-symlinks", ["", "follow-symlinks = true"], "GET /link", "", ["403 ", "200 other"]),
    ("allow", ["", "allow = '10.0.0.0/8'"], "GET /", "", ["200 www", "403 "]),
    ("deny", ["deny = '127.0.0.0/8'", ""], "GET /", "", ["403 ", "200 www"]),
    ("rate", ["", "rate = '1/h'"], "GET /", "", ["200 www", "429 "]),
    ("rate-burst", ["rate = '1/h'\nrate-burst = 1000000", "rate = '1/h'\nrate-burst = 1"], "GET /", "", ["200 www", "429 "]),
    // No response shows these without the header.
    ("bandwidth", ["", "bandwidth = '1G'\nheader = 'X-A: 1'"], "GET /", "X-A", ["200 -", "200 1"]),
    ("bandwidth-after", ["bandwidth = '1G'", "bandwidth = '1G'\nbandwidth-after = '1K'\nheader = 'X-A: 1'"], "GET /", "X-A", ["200 -", "200 1"]),
    ("bandwidth-per-client", ["", "bandwidth-per-client = '1G'\nheader = 'X-A: 1'"], "GET /", "X-A", ["200 -", "200 1"]),
    ("auth-file", ["", "auth-file = 'users'"], "GET /", "", ["200 www", "401 "]),
    ("auth-path", ["auth-file = 'users'\nauth-path = '/a'", "auth-file = 'users'\nauth-path = '/index.html'"], "GET /", "", ["200 www", "401 "]),
    ("auth-realm", ["auth-file = 'users'", "auth-file = 'users'\nauth-realm = 'A'"], "GET /", "WWW-Authenticate", ["401 Basic realm=\"R", "401 Basic realm=\"A"]),
    ("redirect-host", ["", "redirect-host = 'test=other'"], "GET /", "Location", ["200 -", "308 //other/"]),
    ("hosts", ["[[site]]\nhosts = ['test']", "[[site]]\nhosts = ['other']"], "GET /", "", ["200 www", "421 "]),
    // Only the request of a client without TLS shows these. The tests of TLS reload certificates.
    ("hsts", ["", "hsts = true"], "GET /", "Strict-Transport-Security", ["200 -", "200 max-age=31536000"]),
    ("mount", ["", "[[mount]]\npath = '/m'\nroot = 'other'"], "GET /m/", "", ["404 ", "200 other"]),
    ("redirect", ["", "[[redirect]]\nfrom = '/r'\nto = '/to'"], "GET /r", "Location", ["404 -", "308 to"]),
    ("rewrite", ["", "[[rewrite]]\nfrom = '/w'\nto = '/about.html'"], "GET /w", "", ["404 ", "200 about"]),
];

/// The options that are not those of a site, and that a reload does not change.
const OF_SERVER: &str = "port bind socket-mode engine workers prefork max-connections max-connections-per-ip \
    max-head max-body max-buffered trusted-proxy forwarded-header proxy-protocol head-timeout body-timeout \
    write-timeout idle-timeout idle-grace grace log log-format request-id log-file error-log admin pid-file user \
    group confine redirect-http https-port tls-cert tls-key tls-min tls-client-ca tls-client-auth";

/// The connections that each client keeps open: enough for each worker to have one.
const CONNECTIONS: usize = 6;

/// Makes a directory with the files of all rows.
fn make_directory() -> Directory {
    let directory = Directory::new();
    for (name, content) in [
        ("www/index.html", "www"),
        ("www/about.html", "about"),
        ("www/none", "none"),
        ("www/.hidden", "hidden"),
        ("www/directory/file", "file"),
        ("www/long.txt", &"long ".repeat(1000)),
        ("www/long.txt.br", "br"),
        ("other/index.html", "other"),
        ("types", "text/x-b txt\n"),
        ("users", "alice:$2y$04$lxnFZ6x3QJB4RpyeA6z9y.6KKBI/BA5YRwcWjMjqzB73YGVl2/F8m\n"),
    ] {
        directory.write(name, content);
    }
    symlink(directory.path("other/index.html"), directory.path("www/link")).expect("a link");
    directory
}

/// Changes the option of a row while two clients send its request: one on connections that stay open, and one on a new
/// connection each time.
fn check(kind: ServerKind, directory: &Directory, row: &Row) {
    let (option, [before, after], .., [old, new]) = row;
    let write = |lines: &str| {
        let root = if *option == "root" { "" } else { "root = 'www'\n" };
        directory.write("next.toml", format!("{root}{lines}\n"));
        directory.rename("next.toml", "httpd.toml");
    };
    write(before);
    let mut command = Command::new(HTTPD);
    command.current_dir(directory.root()).args(kind.arguments()).args(["--config", "httpd.toml"]);
    let program = Program::start(command.args(["-p", "0", "-b", "127.0.0.1", "-w", "2"]));
    let connect = || Client::connect(program.address());
    let (is_done, started, changed) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let send = |keeps_open: bool| {
        let mut clients: Vec<_> = (0..CONNECTIONS).map(|_| (connect(), false)).collect();
        while !is_done.load(Ordering::SeqCst) {
            for (client, is_changed) in &mut clients {
                if !keeps_open {
                    *client = connect();
                }
                let seen = fetch(client, row);
                let (is_old, is_new) = (seen.starts_with(old), seen.starts_with(new));
                // A connection belongs to one worker.
                assert!(is_new || is_old && !(keeps_open && *is_changed), "{option}: {seen}");
                changed.fetch_add(usize::from(is_new && !*is_changed), Ordering::SeqCst);
                *is_changed |= is_new;
                started.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    thread::scope(|scope| {
        // Also if an assertion fails here: the scope waits for its threads.
        let _done = SetOnDrop(&is_done);
        let clients = [true, false].map(|keeps_open| scope.spawn(move || send(keeps_open)));
        let await_count = |count: &AtomicUsize, least: usize| {
            wait_for(option, || {
                let has_failed = clients.iter().any(thread::ScopedJoinHandle::is_finished);
                (has_failed || count.load(Ordering::SeqCst) >= least).then_some(())
            });
        };
        await_count(&started, 4 * CONNECTIONS);
        assert_eq!(changed.load(Ordering::SeqCst), 0, "{option} before the reload");
        write(after);
        program.signal(Signal::HUP);
        await_count(&changed, 2 * CONNECTIONS);
    });
    let exit = program.stop();
    assert_eq!(exit.code, Some(0), "{option}: {exit:?}");
    assert!(exit.stderr.ends_with("reloaded the configuration\n"), "{option}: {exit:?}");
}

/// Sets a flag when it is dropped.
struct SetOnDrop<'f>(&'f AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Sends the request of a row. Returns the status of the response, and the header or the body.
fn fetch(client: &mut Client, (_, _, request, header, _): &Row) -> String {
    let (line, field) = request.split_once('|').unwrap_or((request, "X-None: 1"));
    let response: Response = client.fetch(format!("{line} HTTP/1.1\r\nHost: test\r\n{field}\r\n\r\n"));
    let value = if header.is_empty() {
        String::from_utf8_lossy(&response.body).into_owned()
    } else {
        response.header(header).unwrap_or("-").to_owned()
    };
    format!("{} {value}", response.status)
}

two_kinds! {
    fn each_option_of_a_site_changes_under_load(kind: ServerKind) {
        let directory = make_directory();
        ROWS.iter().for_each(|row| check(kind, &directory, row));
    }
}

#[test]
fn the_rows_have_all_options_of_a_site() {
    let printed = program::run(&["--print-config"]).stdout;
    let name = |line: &'static str| line.trim_start_matches("# ").split(' ').next();
    let options: BTreeSet<_> = printed.leak().lines().filter_map(name).collect();
    let tables = ["hosts", "mount", "redirect", "rewrite"];
    let rows = ROWS.iter().map(|row| row.0).filter(|option| !tables.contains(option));
    assert_eq!(rows.chain(OF_SERVER.split_ascii_whitespace()).collect::<BTreeSet<_>>(), options);
}
