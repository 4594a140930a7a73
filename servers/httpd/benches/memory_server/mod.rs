//! A file server with one keep-alive connection whose other end is memory instead of a socket: what the benchmark,
//! the instruction counts and the allocation test measure.
//!
//! The clock stands still, so a cached file stays fresh: only the first request for a path looks at the file system.

use http_engine::{
    Buffers, Clock, Connection, Response, Status, Transmit,
    drive::{Action, Driver},
};
use http_files::Files;
use std::{
    fs::{self, File},
    io::IoSlice,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tempfile::TempDir;

/// The first part of the names of these measurements: `drive/small` in benchmarks, `drive-small` in counts.
pub const PREFIX: &str = "drive";

/// Bytes of a file that the server keeps in memory, and of one that it keeps open.
pub const SMALL_LEN: usize = 1024;
pub const LARGE_LEN: usize = 955_000;

/// When every file was last modified, in seconds since 1970. It is fixed, so that response heads are the same in
/// each run.
const MODIFIED: u64 = 1_773_500_966;

pub struct MemoryServer {
    directory: TempDir,
    files: Files,
    conn: Connection,
    buffers: Buffers,
    clock: Clock,
}

/// A request and the expected response.
pub struct Case {
    pub name: &'static str,
    /// The whole head.
    pub request: Vec<u8>,
    status_line: &'static str,
    body_len: usize,
}

impl MemoryServer {
    pub fn new() -> MemoryServer {
        let directory = tempfile::tempdir().expect("a directory");
        let files = Files::new(directory.path()).expect("a document root");
        let clock = Clock::new("site", Instant::now(), SystemTime::UNIX_EPOCH);
        let conn = Connection::new(Arc::default(), clock.now());
        let server = MemoryServer { directory, files, conn, buffers: Buffers::default(), clock };
        server.add_file("small.html", SMALL_LEN);
        server.add_file("large.html", LARGE_LEN);
        server
    }

    pub fn add_file(&self, name: &str, len: usize) {
        let path = self.directory.path().join(name);
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(MODIFIED);
        fs::write(&path, vec![b'x'; len]).expect("a file");
        let file = File::options().write(true).open(path);
        file.and_then(|file| file.set_modified(modified)).expect("its modification time");
    }

    /// One case for each kind of response that needs no file system. Each has been requested once, so it is in the
    /// cache.
    pub fn cases(&mut self) -> [Case; 5] {
        let small = get("/small.html", "");
        let head = self.response_head(&small);
        let tag = head.lines().find_map(|line| line.strip_prefix("ETag: ")).expect("an entity tag");
        let if_none_match = get("/small.html", &format!("If-None-Match: {tag}\r\n"));
        let page_len = Response::error(Status::NOT_FOUND).body().len().expect("a known length") as usize;
        let case = |name, request, status_line, body_len| Case { name, request, status_line, body_len };
        let cases = [
            case("head", [b"HEAD", &small[3..]].concat(), "HTTP/1.1 200 OK", 0),
            case("not-modified", if_none_match, "HTTP/1.1 304 Not Modified", 0),
            case("missing", get("/nowhere.html", ""), "HTTP/1.1 404 Not Found", page_len),
            case("large", get("/large.html", ""), "HTTP/1.1 200 OK", LARGE_LEN),
            case("small", small, "HTTP/1.1 200 OK", SMALL_LEN),
        ];
        for case in &cases {
            let head = self.response_head(&case.request);
            assert!(head.starts_with(case.status_line), "{}: {head}", case.name);
            assert_eq!(self.exchange(&case.request), head.len() + case.body_len, "{}", case.name);
        }
        cases
    }

    /// The case of this name.
    #[allow(dead_code, reason = "the benchmark runs all cases")]
    pub fn case(&mut self, name: &str) -> Case {
        self.cases().into_iter().find(|case| case.name == name).expect("a case of this name")
    }

    /// Receives a request, sends the response, and drives the connection until it waits for the next request.
    /// Returns the length of the response.
    #[inline]
    pub fn exchange(&mut self, request: &[u8]) -> usize {
        self.exchange_observed(request, |_| {})
    }

    fn response_head(&mut self, request: &[u8]) -> String {
        let mut sent = Vec::new();
        self.exchange_observed(request, |slices| {
            slices.iter().for_each(|slice| sent.extend_from_slice(slice));
        });
        let sent = String::from_utf8(sent).expect("text");
        let end = sent.find("\r\n\r\n").expect("a whole head") + 4;
        sent[..end].to_owned()
    }

    #[inline]
    fn exchange_observed(&mut self, request: &[u8], mut observe: impl FnMut(&[IoSlice<'_>])) -> usize {
        self.buffers.input.spare()[..request.len()].copy_from_slice(request);
        self.buffers.input.filled(request.len());
        assert!(matches!(self.drive(), Action::Send));
        let mut sent = 0;
        loop {
            let count = match self.buffers.out.transmit() {
                Transmit::Empty => break,
                Transmit::Bytes { slices, .. } => {
                    observe(&slices);
                    slices.iter().map(|slice| slice.len()).sum()
                }
                Transmit::File { slice, .. } => slice.len as usize,
                Transmit::Broken(error) => panic!("{error}"),
            };
            self.buffers.out.sent(count);
            sent += count;
        }
        assert!(matches!(self.drive(), Action::Receive));
        sent
    }

    #[inline]
    fn drive(&mut self) -> Action {
        let MemoryServer { conn, buffers, files, clock, .. } = self;
        Driver { conn, buffers, handler: files, clock }.drive(&mut u32::MAX.clone())
    }
}

/// The head of a GET request. `headers` are further header lines, each with its CRLF.
pub fn get(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost:8000\r\n{headers}\r\n").into_bytes()
}
