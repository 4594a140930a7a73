//! A document root and one keep-alive connection to it, with memory where the socket would be: what `advance` is
//! measured, counted and tested with.
//!
//! The clock stands still, so what `Files` has found once stays fresh: it is the memory that is asked, but for
//! what is not remembered.

use http_engine::drive::{Turn, advance};
use http_engine::{Buffers, Clock, Connection, Response, Status, Transmit};
use http_files::Files;
use std::{
    fs::{self, File},
    io::IoSlice,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tempfile::TempDir;

/// Bytes of the file that is kept in memory, and of the one that is kept open.
pub const SMALL_BYTES: usize = 1024;
pub const LARGE_BYTES: usize = 955_000;

/// When every file was last modified, in seconds since 1970: heads are the same in each run.
const MODIFIED: u64 = 1_773_500_966;

/// A file server and the one who asks it.
pub struct Site {
    directory: TempDir,
    files: Files,
    conn: Connection,
    buffers: Buffers,
    clock: Clock,
}

/// A request, and what must come of it.
pub struct Question {
    /// What its figures go by.
    pub name: &'static str,
    /// A whole head.
    pub request: Vec<u8>,
    status_line: &'static str,
    /// Bytes of content that the answer carries.
    content_bytes: usize,
}

impl Site {
    pub fn new() -> Site {
        let directory = tempfile::tempdir().expect("a directory");
        let files = Files::new(directory.path()).expect("a document root");
        let clock = Clock::new("site", Instant::now(), SystemTime::UNIX_EPOCH);
        let conn = Connection::new(Arc::default(), clock.now());
        let site = Site { directory, files, conn, buffers: Buffers::default(), clock };
        site.add("small.html", SMALL_BYTES);
        site.add("large.html", LARGE_BYTES);
        site
    }

    /// Adds a file of so many bytes.
    pub fn add(&self, name: &str, bytes: usize) {
        let path = self.directory.path().join(name);
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(MODIFIED);
        fs::write(&path, vec![b'x'; bytes]).expect("a file");
        File::options()
            .write(true)
            .open(path)
            .and_then(|file| file.set_modified(modified))
            .expect("its time");
    }

    /// Every kind of question, each asked once already: what is remembered is remembered now.
    pub fn questions(&mut self) -> [Question; 5] {
        let small = get("/small.html", "");
        let head = self.head(&small);
        let tag = head.lines().find_map(|line| line.strip_prefix("ETag: ")).expect("an entity tag");
        let page = Response::error(Status::NOT_FOUND).body().len().expect("a known length") as usize;
        let question = |name, request, status_line, content_bytes| Question {
            name,
            request,
            status_line,
            content_bytes,
        };
        let questions = [
            question("head", [b"HEAD", &small[3..]].concat(), "HTTP/1.1 200 OK", 0),
            question(
                "not-modified",
                get("/small.html", &format!("If-None-Match: {tag}\r\n")),
                "HTTP/1.1 304 Not Modified",
                0,
            ),
            question("missing", get("/nowhere.html", ""), "HTTP/1.1 404 Not Found", page),
            question("large", get("/large.html", ""), "HTTP/1.1 200 OK", LARGE_BYTES),
            question("small", small, "HTTP/1.1 200 OK", SMALL_BYTES),
        ];
        for question in &questions {
            let head = self.head(&question.request);
            assert!(head.starts_with(question.status_line), "{}: {head}", question.name);
            assert_eq!(self.ask(&question.request), head.len() + question.content_bytes, "{}", question.name);
        }
        questions
    }

    /// Receives a request, takes it as far as its answer, sends that, and goes on to where the next is waited for:
    /// how many bytes that sent, content included.
    #[inline]
    pub fn ask(&mut self, request: &[u8]) -> usize {
        self.turn(request, |_| {})
    }

    /// The head of an answer.
    fn head(&mut self, request: &[u8]) -> String {
        let mut sent = Vec::new();
        self.turn(request, |slices| slices.iter().for_each(|slice| sent.extend_from_slice(slice)));
        let sent = String::from_utf8(sent).expect("text");
        let end = sent.find("\r\n\r\n").expect("a whole head") + 4;
        sent[..end].to_owned()
    }

    #[inline]
    fn turn(&mut self, request: &[u8], mut see: impl FnMut(&[IoSlice<'_>])) -> usize {
        self.buffers.input.spare()[..request.len()].copy_from_slice(request);
        self.buffers.input.filled(request.len());
        assert!(matches!(self.advance(), Turn::Send));
        let mut sent = 0;
        loop {
            let count = match self.buffers.out.transmit() {
                Transmit::Empty => break,
                Transmit::Bytes { slices, .. } => {
                    see(&slices);
                    slices.iter().map(|slice| slice.len()).sum()
                }
                Transmit::File { slice, .. } => slice.len as usize,
                Transmit::Broken(error) => panic!("{error}"),
            };
            self.buffers.out.sent(count);
            sent += count;
        }
        assert!(matches!(self.advance(), Turn::Receive));
        sent
    }

    #[inline]
    fn advance(&mut self) -> Turn {
        advance(&mut self.conn, &mut self.buffers, &self.files, &self.clock, &mut u32::MAX.clone())
    }
}

/// A request for a path, with these further field lines.
pub fn get(path: &str, fields: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost:8000\r\n{fields}\r\n").into_bytes()
}
