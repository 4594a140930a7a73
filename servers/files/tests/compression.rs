//! Tests which compressed form of a file a client gets, without a server.

#![allow(clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

use flate2::read::GzDecoder;
use http_core::testing::{TestRequest, TestResponse};
use http_files::{Compression, FileSystem, Files, HeaderRule, Options, Root};
use std::{
    fs::{self, File},
    io::Read,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

/// The longest wait for another thread, after which the test fails.
const TIMEOUT: Duration = Duration::from_secs(30);

const KINDS: [FileSystem; 3] = [FileSystem::Memory, FileSystem::Local, FileSystem::Slow];

const ALL: Compression = Compression { precompressed: true, on_the_fly: true };

/// Text of this length that gzip makes smaller.
fn text(len: usize) -> Vec<u8> {
    let mut text = b"a line\n".repeat(len / 7 + 1);
    text.truncate(len);
    text
}

/// A directory with files that have not changed just before.
struct Site {
    directory: tempfile::TempDir,
}

impl Site {
    fn new() -> Site {
        let site = Site { directory: tempfile::tempdir().expect("a directory") };
        for (name, len) in [
            ("small.txt", 1023),
            ("page.txt", 1024),
            ("large.txt", 200_000),
            ("huge.txt", 4 * 1024 * 1024 + 1),
            ("image.png", 2_000),
        ] {
            site.write(name, &text(len));
        }
        // Bytes that no compression makes smaller.
        let mut state = 1_u32;
        let noise = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        });
        site.write("noise.txt", &noise.take(2_000).collect::<Vec<_>>());
        for name in ["side.txt", "old.txt", "empty.txt"] {
            site.write(name, b"plain");
        }
        for (name, content) in
            [("side.txt.br", "BROTLI"), ("side.txt.zst", "ZSTANDARD"), ("side.txt.gz", "GZ")]
        {
            site.write(name, content.as_bytes());
        }
        site.write("old.txt.gz", b"OLD");
        let old = File::options().write(true).open(site.path("old.txt.gz")).expect("a file");
        old.set_modified(SystemTime::UNIX_EPOCH).expect("a time");
        site.write("empty.txt.gz", b"");
        site.write("image.png.gz", b"GZ");
        site.write("both.txt", &text(5_000));
        site.write("both.txt.br", b"BROTLI");
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).expect("a file");
    }

    /// Serves the directory. Waits until no file has changed just before.
    fn serve(&self, kind: FileSystem, compression: Compression) -> Server {
        let root = Root::open(self.directory.path()).expect("a document root").with_file_system(kind);
        let options = Arc::new(Options { compression, ..Options::default() });
        let root = Arc::new(root);
        let files = || Files::from_root(Arc::clone(&root)).with_options(Arc::clone(&options));
        let deadline = Instant::now() + TIMEOUT;
        // The last file that was written. It is too long for memory, so that its tag is weak if it has changed just
        // before.
        let is_settled = |files: &Files| {
            let tag = TestRequest::head("/huge.txt").run(files);
            tag.header("ETag").is_some_and(|tag| !tag.starts_with(b"W/"))
        };
        self.write("huge.txt", &text(4 * 1024 * 1024 + 1));
        while !is_settled(&files()) {
            assert!(Instant::now() < deadline, "the files are not settled");
            thread::yield_now();
        }
        Server { files: files(), root, options, kind }
    }
}

struct Server {
    files: Files,
    root: Arc<Root>,
    options: Arc<Options>,
    kind: FileSystem,
}

impl Server {
    /// Serves the same root with other options.
    fn with_options(&self, change: impl FnOnce(&mut Options)) -> Server {
        let mut options = Options::clone(&self.options);
        change(&mut options);
        let (root, options) = (Arc::clone(&self.root), Arc::new(options));
        let files = Files::from_root(Arc::clone(&root)).with_options(Arc::clone(&options));
        Server { files, root, options, kind: self.kind }
    }

    fn fetch(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> TestResponse {
        let request = TestRequest::new(method, target).timeout(TIMEOUT);
        headers.iter().fold(request, |request, (name, value)| request.header(name, value)).run(&self.files)
    }

    /// Checks the coding of the response to a GET request with this Accept-Encoding header, and that HEAD has the same
    /// headers. Returns the response to the GET request.
    fn check(&self, target: &str, accept: &str, expected: Option<&str>) -> TestResponse {
        let case = format!("{:?} {target} {accept:?}", self.kind);
        let headers = [("Accept-Encoding", accept)];
        let head = self.fetch("HEAD", target, &headers);
        let response = self.fetch("GET", target, &headers);
        let text = |name| response.header(name).map(|value| str::from_utf8(value).expect("text"));
        assert_eq!((response.status().code(), text("Content-Encoding")), (200, expected), "{case}");
        for name in ["Content-Encoding", "Content-Length", "Content-Type", "ETag", "Vary", "Last-Modified"] {
            assert_eq!(head.header(name), response.header(name), "{case} {name}");
        }
        response
    }
}

fn unzip(bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut content).expect("gzip");
    content
}

#[test]
fn the_client_chooses_among_sidecars() {
    let site = Site::new();
    for kind in KINDS {
        let server = site.serve(kind, Compression { precompressed: true, on_the_fly: false });
        for (accept, expected, body) in [
            ("gzip, deflate, br, zstd", Some("br"), "BROTLI"),
            ("gzip, zstd", Some("zstd"), "ZSTANDARD"),
            ("gzip, br;q=0.5", Some("gzip"), "GZ"),
            ("*", Some("br"), "BROTLI"),
            ("identity, gzip;q=0.9", None, "plain"),
            ("deflate", None, "plain"),
            ("identity;q=0", None, "plain"),
        ] {
            let response = server.check("/side.txt", accept, expected);
            assert_eq!(response.body(), body.as_bytes(), "{kind:?} {accept}");
            assert_eq!(response.header("Vary"), Some(&b"Accept-Encoding"[..]), "{kind:?} {accept}");
            assert_eq!(response.header("Content-Type"), Some(&b"text/plain; charset=utf-8"[..]));
        }
        for target in ["/old.txt", "/empty.txt", "/image.png", "/page.txt"] {
            server.check(target, "gzip", None);
        }
        assert_eq!(server.check("/image.png", "gzip", None).header("Vary"), None);
    }
}

#[test]
fn text_is_compressed_on_the_fly() {
    let site = Site::new();
    for kind in KINDS {
        let server = site.serve(kind, ALL);
        for (target, expected) in [
            ("/small.txt", None),
            ("/page.txt", Some("gzip")),
            ("/large.txt", Some("gzip")),
            ("/noise.txt", None),
            ("/image.png", None),
        ] {
            let content = fs::read(site.path(&target[1..])).expect("a file");
            // The first request makes it, and the second finds it.
            for _ in 0..2 {
                let response = server.check(target, "gzip", expected);
                let body = if expected.is_some() { unzip(response.body()) } else { response.body().to_vec() };
                assert!(body == content, "{kind:?} {target}");
            }
        }
        server.check("/both.txt", "gzip, br", Some("br"));
        server.check("/both.txt", "gzip, br;q=0.5", Some("gzip"));
        server.check("/page.txt", "br", None);
        let headers = [("Accept-Encoding", "gzip"), ("Cache-Control", "max-age=0, No-Transform")];
        assert_eq!(server.fetch("GET", "/page.txt", &headers).header("Content-Encoding"), None);
    }
}

/// Files that are too long to keep their compressed form, and files with a time in the future, which may change soon.
#[test]
fn what_is_not_kept_is_compressed_while_it_is_sent() {
    let site = Site::new();
    site.write("new.txt", &text(2_000));
    let new = File::options().write(true).open(site.path("new.txt")).expect("a file");
    new.set_modified(SystemTime::now() + 1_000 * TIMEOUT).expect("a time");
    for kind in KINDS {
        let server = site.serve(kind, ALL);
        for target in ["/huge.txt", "/new.txt"] {
            let content = fs::read(site.path(&target[1..])).expect("a file");
            let response = server.check(target, "gzip", Some("gzip"));
            assert!(unzip(response.body()) == content, "{kind:?} {target}");
            let names = ["Vary", "Accept-Ranges", "Content-Length"];
            assert_eq!(names.map(|name| response.header(name)), [Some(&b"Accept-Encoding"[..]), None, None]);
            let tag = str::from_utf8(response.header("ETag").expect("a tag")).expect("text");
            assert!(tag.starts_with("W/\"") && tag.ends_with("-gzip\""), "{tag}");
            let accept = ("Accept-Encoding", "gzip");
            let unchanged = server.fetch("GET", target, &[accept, ("If-None-Match", tag)]);
            assert_eq!((unchanged.status().code(), unchanged.header("ETag")), (304, Some(tag.as_bytes())));
            for if_range in [None, Some(("If-Range", tag))] {
                let mut headers = vec![accept, ("Range", "bytes=1-3")];
                headers.extend(if_range);
                let part = server.fetch("GET", target, &headers);
                // A weak tag never matches.
                let (status, expected) =
                    if if_range.is_none() { (206, &content[1..=3]) } else { (200, &*content) };
                assert_eq!((part.status().code(), part.header("Content-Encoding")), (status, None));
                assert!(part.body() == expected, "{kind:?} {target} {if_range:?}");
            }
            let old_client = TestRequest::get(target).header("Accept-Encoding", "gzip").http10();
            assert!(old_client.run(&server.files).body() == content, "{kind:?} {target}");
        }
    }
}

#[test]
fn nothing_is_compressed_unless_configured() {
    let site = Site::new();
    let server = site.serve(FileSystem::Memory, Compression::default());
    for target in ["/side.txt", "/page.txt"] {
        assert_eq!(server.check(target, "gzip, br", None).header("Vary"), None);
    }
}

/// Preconditions and ranges are about the form that the client would get.
#[test]
fn each_form_has_validators_and_ranges_of_its_own() {
    let site = Site::new();
    for kind in KINDS {
        let server = site.serve(kind, ALL);
        for (target, coding) in [("/side.txt", "br"), ("/page.txt", "gzip"), ("/large.txt", "gzip")] {
            let accept = ("Accept-Encoding", coding);
            let plain = server.fetch("GET", target, &[]);
            let encoded = server.check(target, coding, Some(coding));
            let tag = |response: &TestResponse| {
                String::from_utf8(response.header("ETag").expect("a tag").to_vec()).expect("text")
            };
            let (plain_tag, tag) = (tag(&plain), tag(&encoded));
            assert!(tag != plain_tag && tag.ends_with(&format!("-{coding}\"")), "{tag} {plain_tag}");
            for (tag, headers, status) in [
                (&tag, &[accept][..], 304),
                (&plain_tag, &[accept], 200),
                (&tag, &[], 200),
                (&plain_tag, &[], 304),
            ] {
                let headers = [headers, &[("If-None-Match", &**tag)]].concat();
                let response = server.fetch("GET", target, &headers);
                assert_eq!(response.status().code(), status, "{kind:?} {target} {headers:?}");
                assert_eq!(response.header("Vary"), Some(&b"Accept-Encoding"[..]));
            }
            for if_range in [None, Some(("If-Range", &*tag))] {
                let mut headers = vec![accept, ("Range", "bytes=1-3")];
                headers.extend(if_range);
                let part = server.fetch("GET", target, &headers);
                let total = format!("bytes 1-3/{}", encoded.body().len());
                assert_eq!(part.status().code(), 206, "{kind:?} {target} {if_range:?}");
                assert_eq!(part.header("Content-Range"), Some(total.as_bytes()));
                assert_eq!(part.body(), &encoded.body()[1..=3]);
                // RFC 9110 §15.3.7: all headers of the 200, unless the client has sent If-Range. That several ranges
                // have another Content-Type changes nothing else.
                headers[1] = ("Range", "bytes=0-0,2-2");
                let parts = server.fetch("GET", target, &headers);
                let media_type = parts.header("Content-Type").expect("a type");
                assert!(media_type.starts_with(b"multipart/byteranges; boundary="), "{kind:?} {target}");
                for part in [part, parts] {
                    let names = ["Content-Encoding", "Last-Modified", "Accept-Ranges"];
                    for (name, is_needed) in names
                        .map(|name| (name, if_range.is_none()))
                        .into_iter()
                        .chain([("ETag", true), ("Vary", true)])
                    {
                        let expected = encoded.header(name).filter(|_| is_needed);
                        assert_eq!(part.header(name), expected, "{kind:?} {target} {if_range:?} {name}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_new_sidecar_is_found_and_a_deleted_one_forgotten() {
    let site = Site::new();
    for kind in KINDS {
        let server = site.serve(kind, ALL);
        let wait_for = |expected: &str| {
            let deadline = Instant::now() + TIMEOUT;
            while server
                .fetch("GET", "/page.txt", &[("Accept-Encoding", "br, gzip")])
                .header("Content-Encoding")
                != Some(expected.as_bytes())
            {
                assert!(Instant::now() < deadline, "{kind:?} {expected}");
                thread::yield_now();
            }
        };
        wait_for("gzip");
        // Longer than what is kept in memory.
        site.write("page.txt.br", &[b'b'; 100_000]);
        wait_for("br");
        fs::remove_file(site.path("page.txt.br")).expect("a file");
        wait_for("gzip");
    }
}

/// The headers of a form are those that the operator has set for the path of the file, also if another handler with the
/// same root has other ones.
#[test]
fn forms_have_the_headers_of_their_file() {
    let site = Site::new();
    for kind in KINDS {
        let server = site.serve(kind, ALL);
        for value in ["1", "2"] {
            let rules = [format!("*.txt: X-Test: {value}"), "*.gz: X-Test: wrong".to_owned()];
            let server = server.with_options(|options| {
                options.headers.extend(rules.map(|rule| rule.parse().expect("a rule")));
            });
            for (target, coding) in [("/large.txt", "gzip"), ("/side.txt", "br")] {
                let response = server.check(target, coding, Some(coding));
                assert_eq!(response.header("X-Test"), Some(value.as_bytes()), "{kind:?} {target}");
            }
        }
    }
}

#[test]
fn the_operator_forbids_to_transform_a_file() {
    let site = Site::new();
    for kind in KINDS {
        let server = site.serve(kind, ALL).with_options(|options| {
            let rule = "*.txt=public, no-transform";
            options.headers.push(HeaderRule::cache_control(rule).expect("a rule"));
        });
        server.check("/large.txt", "gzip", None);
        // The operator made these forms.
        server.check("/side.txt", "gzip", Some("gzip"));
        let server = site.serve(kind, Compression { precompressed: false, ..ALL }).with_options(|options| {
            options.headers.push("Cache-Control: no-transform".parse().expect("a rule"));
        });
        let response = server.fetch("GET", "/large.txt", &[("Accept-Encoding", "gzip")]);
        assert_eq!((response.header("Content-Encoding"), response.header("Vary")), (None, None), "{kind:?}");
    }
}

#[test]
fn error_pages_and_the_page_of_an_application_are_compressed() {
    let site = Site::new();
    site.write("404.html", &text(2_000));
    for kind in KINDS {
        let server = site.serve(kind, ALL).with_options(|options| {
            options.fallback = Some("large.txt".parse().expect("a path"));
            options.error_pages.automatic = true;
        });
        let accept = ("Accept-Encoding", "gzip");
        let check = |headers: &[_], expected: (u16, Option<&str>, usize)| {
            let get = server.fetch("GET", "/app", headers);
            let coding = get.header("Content-Encoding").map(|coding| str::from_utf8(coding).expect("text"));
            let body = if coding.is_some() { unzip(get.body()) } else { get.body().to_vec() };
            assert_eq!((get.status().code(), coding, body.len()), expected, "{kind:?} {headers:?}");
            let vary = get.headers().iter().filter(|(name, _)| *name == "Vary").map(|(_, value)| value);
            assert_eq!(vary.collect::<Vec<_>>(), [&b"Accept-Encoding"[..], b"Accept"], "{kind:?}");
            let head = server.fetch("HEAD", "/app", headers);
            assert_eq!(head.header("Content-Encoding"), get.header("Content-Encoding"), "{kind:?}");
            assert_eq!(head.header("Content-Length"), get.header("Content-Length"), "{kind:?}");
            assert_eq!(get.header("ETag").is_some(), expected.0 == 200, "{kind:?}");
        };
        // The first request makes the form, and the second finds it.
        for _ in 0..2 {
            check(&[accept, ("Accept", "text/html")], (200, Some("gzip"), 200_000));
            check(&[accept], (404, Some("gzip"), 2_000));
            check(&[], (404, None, 2_000));
            check(&[accept, ("If-None-Match", "*"), ("Range", "bytes=0-1")], (404, Some("gzip"), 2_000));
        }
    }
}

/// Otherwise the length would tell whether a secret of the page occurs in what an attacker makes a browser send.
#[test]
fn what_is_compressed_does_not_depend_on_the_request() {
    let site = Site::new();
    site.write("404.html", &text(2_000));
    for kind in KINDS {
        let server = site.serve(kind, ALL).with_options(|options| {
            options.listing = true;
            options.error_pages.automatic = true;
        });
        for (target, accept) in [("/large.txt", "*/*"), ("/", "text/html"), ("/none", "text/html")] {
            let fetch = |query: &str, cookie: &str| {
                let target = format!("{target}{query}");
                let headers = [
                    ("Accept", accept),
                    ("Accept-Encoding", "gzip"),
                    ("Cookie", cookie),
                    ("Referer", cookie),
                    ("User-Agent", cookie),
                ];
                let response = server.fetch("GET", &target, &headers);
                assert!(response.header("Content-Encoding").is_some(), "{kind:?} {target}");
                response.body().to_vec()
            };
            assert!(fetch("", "") == fetch("?secret=guess", "guess"), "{kind:?} {target}");
        }
    }
}

#[test]
fn listings_are_compressed() {
    let site = tempfile::tempdir().expect("a directory");
    fs::create_dir(site.path().join("many")).expect("a directory");
    for number in 0..600 {
        File::create(site.path().join(format!("many/file-{number:05}"))).expect("a file");
    }
    for (kind, rule) in KINDS
        .map(|kind| (kind, "X-Test: 1"))
        .into_iter()
        .chain([(FileSystem::Memory, "Cache-Control: no-transform")])
    {
        let root = Arc::new(Root::open(site.path()).expect("a document root").with_file_system(kind));
        let mut options = Options { listing: true, compression: ALL, ..Options::default() };
        options.headers.push(rule.parse().expect("a rule"));
        let forbidden = rule.contains("no-transform");
        let server = Server {
            files: Files::from_root(Arc::clone(&root)).with_options(options.clone()),
            root,
            options: Arc::new(options),
            kind,
        };
        for (target, accept, is_compressible) in [
            ("/", "text/html", true),
            ("/", "text/plain", false),
            ("/many/", "text/html", true),
            ("/many/", "application/json", true),
            ("/many/?sort=size", "text/plain", true),
        ] {
            let plain = server.fetch("GET", target, &[("Accept", accept)]);
            for (coding, is_accepted) in
                [("gzip", true), ("*", true), ("br, identity;q=0.5", false), ("gzip;q=0.5, identity", false)]
            {
                let headers = [("Accept", accept), ("Accept-Encoding", coding)];
                let response = server.fetch("GET", target, &headers);
                let case = format!("{kind:?} {rule} {target} {accept} {coding}");
                let expected = is_compressible && is_accepted && !forbidden;
                assert_eq!(response.header("Content-Encoding").is_some(), expected, "{case}");
                let body = if expected { unzip(response.body()) } else { response.body().to_vec() };
                assert!(body == plain.body(), "{case}");
                let vary = response.headers().iter().filter(|(name, _)| *name == "Vary").count();
                assert_eq!(vary, if forbidden { 1 } else { 2 }, "{case}");
                let head = server.fetch("HEAD", target, &headers);
                for name in ["Content-Encoding", "Content-Length", "Content-Type", "ETag"] {
                    assert_eq!(head.header(name), response.header(name), "{case} {name}");
                }
            }
        }
    }
}
