//! The application behind a fuzzed connection: a path for every kind of answer, and it says what it has answered.
//!
//! The path chooses the content and the status, the query how the answer is given: `/stream?later`, `/big?close`. A
//! query is also tried as the name of a field, with the request's content for its value: neither is to be trusted.

use http_core::{Body, ChunkSource, FileSlice, Headers, Method, Request, Response, Status};
use std::{
    fs::File,
    io,
    sync::{Arc, LazyLock},
};

/// An answer, and what the peer must make of it.
pub struct Answer {
    /// The answer.
    pub response: Response,
    /// Its status.
    pub status: u16,
    /// Its content, written down before http-core saw it.
    pub content: Vec<u8>,
    /// Whether it is there only later.
    pub later: bool,
}

/// Answers a request.
pub fn answer(request: &Request<'_>) -> Answer {
    if request.method() == Method::Connect {
        let response = Response::method_not_allowed(Method::Connect, &[Method::Get]).with_body("no tunnel");
        return Answer { response, status: 405, content: b"no tunnel".to_vec(), later: false };
    }
    let (body, content) = body(request);
    let status = match request.path() {
        "/none" => 204,
        "/same" => 304,
        "/refused" => 405,
        _ => 200,
    };
    let mut response = Response::text(body);
    if let Some(status) = Status::from_code(status) {
        response = response.with_status(status);
    }
    let query = request.query().unwrap_or_default();
    // Rejected, or harmless: the judge of the output reports a broken response.
    if Headers::default().append(query, request.body()).is_ok() {
        response = response.with_header(query, request.body());
    }
    if query == "close" {
        response = response.with_close();
    }
    Answer { response, status, content, later: query == "later" }
}

fn body(request: &Request<'_>) -> (Body, Vec<u8>) {
    let echo = [request.method_token().as_bytes(), b" ", request.target().as_bytes(), b"\n", request.body()]
        .concat();
    match request.path() {
        "/stream" => (
            Body::Stream(Box::new(Pieces(vec![b"two", b"three and more", b"one"]))),
            b"onethree and moretwo".to_vec(),
        ),
        "/broken" => (Body::Stream(Box::new(Pieces(vec![b"error", b"one"]))), b"one".to_vec()),
        "/file" => (Body::File(file(3, 5_000)), file_content(3, 5_000)),
        "/big" => (Body::Shared(BIG.clone(), 10..6_010), BIG[10..6_010].to_vec()),
        "/parts" => {
            let content = [b"static ", &echo[..], &BIG[..5_000], &file_content(7, 100)].concat();
            let parts = vec![
                Body::Static(b"static "),
                Body::Empty,
                Body::Bytes(echo),
                Body::Shared(BIG.clone(), 0..5_000),
                Body::File(file(7, 100)),
                Body::File(file(7, 0)),
            ];
            (Body::Parts(parts), content)
        }
        _ => (Body::Bytes(echo.clone()), echo),
    }
}

static BIG: LazyLock<Arc<[u8]>> = LazyLock::new(|| (0..=250).cycle().take(10_000).collect());

fn file(offset: u64, len: u64) -> FileSlice {
    static FILE: LazyLock<Arc<File>> =
        LazyLock::new(|| Arc::new(File::open("/dev/null").expect("every Unix has /dev/null")));
    FileSlice { file: FILE.clone(), offset, len }
}

/// What a file holds from `offset` on. No file is ever read: each octet follows from its place.
pub fn file_content(offset: u64, len: u64) -> Vec<u8> {
    (offset..offset + len).map(|place| (place % 251) as u8).collect()
}

/// Yields these from the last to the first; at `error` it fails.
struct Pieces(Vec<&'static [u8]>);

impl ChunkSource for Pieces {
    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<()> {
        let piece = self.0.pop().unwrap_or_default();
        if piece == b"error" {
            return Err(io::ErrorKind::Other.into());
        }
        chunk.extend_from_slice(piece);
        Ok(())
    }
}
