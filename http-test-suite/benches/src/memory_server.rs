//! A file server with one keep-alive connection, which receives from memory and sends to memory instead of a socket.
//! The benchmark, the instruction counts and the allocation test measure it.
//!
//! Its clock never advances, so that a cached document stays fresh: only the first request for a path looks at the file
//! system.

use http_engine::{
    drive::{Action, Counters, Driver, LateReply},
    http_core::{Buffers, Clock, Connection, Response, Status, Transmit},
};
use http_files::{FileSystem, Files, Options, Root};
use std::{
    fs::{self, File},
    io::IoSlice,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tempfile::TempDir;

/// The prefix of the names of measurements: `drive/small` in the benchmark, `drive-small` in the instruction counts.
pub const PREFIX: &str = "drive";

/// The length of `small.html`, which the server keeps in memory.
pub const SMALL_LEN: usize = 1024;

/// The length of `large.html`, which the server keeps open and would send with `sendfile`.
pub const LARGE_LEN: usize = 955_000;

/// The modification time of every file, in seconds since 1970. It is fixed, so that response heads are the same in each
/// run.
const MODIFIED: u64 = 1_773_500_966;

/// A file server and its connection.
pub struct MemoryServer {
    /// The document root.
    directory: TempDir,
    files: Files,
    conn: Connection,
    buffers: Buffers,
    clock: Clock,
    late: Option<Box<LateReply>>,
    counters: Counters,
}

/// A request and the expected response.
pub struct Case {
    /// The name in the results.
    pub name: &'static str,
    /// The request head; there is no body.
    pub request: Vec<u8>,
    status_line: &'static str,
    body_len: usize,
}

impl MemoryServer {
    /// Makes a document root with `small.html` and `large.html`, and a server of it with these options.
    pub fn new(options: Options) -> MemoryServer {
        let directory = tempfile::tempdir().expect("a directory");
        let root = Root::open(directory.path()).expect("a document root");
        // Wherever the directory is, no lookup waits for a thread.
        let files =
            Files::from_root(Arc::new(root.with_file_system(FileSystem::Memory))).with_options(options);
        let clock = Clock::new("site", Instant::now(), SystemTime::UNIX_EPOCH);
        let conn = Connection::new(Arc::default(), clock.now());
        let (buffers, counters) = (Buffers::default(), Counters::default());
        let server = MemoryServer { directory, files, conn, buffers, clock, late: None, counters };
        server.add_file("small.html", SMALL_LEN);
        server.add_file("large.html", LARGE_LEN);
        server
    }

    /// Adds a file of `len` bytes to the document root.
    pub fn add_file(&self, name: &str, len: usize) {
        let path = self.directory.path().join(name);
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(MODIFIED);
        fs::write(&path, vec![b'x'; len]).expect("a file");
        let file = File::options().write(true).open(path);
        file.and_then(|file| file.set_modified(modified)).expect("its modification time");
    }

    /// Returns a case for each kind of response that needs no file system. It sends each request, checks the response,
    /// and so fills the cache.
    pub fn cases(&mut self) -> [Case; 5] {
        let small = get("/small.html", "");
        let head = self.response_head(&small);
        let tag = head.lines().find_map(|line| line.strip_prefix("ETag: ")).expect("an entity tag");
        let if_none_match = get("/small.html", &format!("If-None-Match: {tag}\r\n"));
        let not_found_len = Response::error(Status::NOT_FOUND).body().len().expect("a known length") as usize;
        let case = |name, request, status_line, body_len| Case { name, request, status_line, body_len };
        let cases = [
            case("head", [b"HEAD", &small[3..]].concat(), "HTTP/1.1 200 OK", 0),
            case("not-modified", if_none_match, "HTTP/1.1 304 Not Modified", 0),
            case("missing", get("/nowhere.html", ""), "HTTP/1.1 404 Not Found", not_found_len),
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

    /// Returns the case called `name`. Fills the cache as [`cases`](MemoryServer::cases) does.
    pub fn case(&mut self, name: &str) -> Case {
        self.cases().into_iter().find(|case| case.name == name).expect("a case of this name")
    }

    /// Receives a request, sends the response, and drives the connection until it waits for the next request.
    /// Returns the length of the response in bytes, head and body.
    #[inline]
    pub fn exchange(&mut self, request: &[u8]) -> usize {
        self.exchange_observed(request, |_| {})
    }

    /// Sends a request and returns the head of its response.
    fn response_head(&mut self, request: &[u8]) -> String {
        let mut sent = Vec::new();
        self.exchange_observed(request, |slices| {
            slices.iter().for_each(|slice| sent.extend_from_slice(slice));
        });
        let sent = String::from_utf8(sent).expect("text");
        let end = sent.find("\r\n\r\n").expect("a whole head") + 4;
        sent[..end].to_owned()
    }

    /// Does what [`exchange`](MemoryServer::exchange) does, and calls `observe` with the bytes that the response sends
    /// from memory. It does not read the parts that come from a file.
    #[inline]
    fn exchange_observed(&mut self, request: &[u8], mut observe: impl FnMut(&[IoSlice<'_>])) -> usize {
        self.buffers.input.spare()[..request.len()].copy_from_slice(request);
        self.buffers.input.filled(request.len());
        assert!(matches!(self.drive(), Action::Send));
        let mut sent = 0;
        loop {
            let count = match self.buffers.out.transmit() {
                Transmit::Empty | Transmit::Pending => break,
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

    /// Drives the connection up to its next action, without a limit on the requests in one turn.
    #[inline]
    fn drive(&mut self) -> Action {
        let MemoryServer { conn, buffers, files, clock, late, counters, .. } = self;
        Driver { conn, buffers, handler: files, clock, streams: &(), late, counters }
            .drive(&mut u32::MAX.clone())
    }
}

/// Returns the head of a GET request. `headers` are the header lines after Host, each with its CRLF.
pub fn get(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost:8000\r\n{headers}\r\n").into_bytes()
}
