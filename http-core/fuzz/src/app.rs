//! The application behind a fuzzed connection. It has a path for every kind of response, and returns what it has sent.
//!
//! The path selects the body and the status, the query how the response is given: `/stream?later`, `/big?close`. The
//! application also adds a header with the query as its name and the request body as its value, if both are valid.

use http_core::{Admit, Body, Chunk, ChunkSource, FileSlice, Headers, Method, Request, Response, Status};
use std::{
    fs::File,
    io,
    sync::{Arc, LazyLock},
};

/// A response, and what the client must read.
pub struct AppReply {
    /// The response.
    pub response: Response,
    /// Its status.
    pub status: u16,
    /// Its body, copied before http-core receives it.
    pub body: Vec<u8>,
    /// Whether the response is delayed.
    pub later: bool,
}

/// Whether the application takes the content of a request piece by piece, and then sends it back.
pub fn takes_pieces(request: &Request<'_>) -> bool {
    request.raw_query() == Some("pieces")
}

/// Chooses how the content of a request is taken. With the query `early`, the application wants none, unless the client
/// waits for a 100 response: whether it does depends on how the input is split.
pub fn admit(head: &Request<'_>) -> Admit {
    if takes_pieces(head) {
        return Admit::AtHead;
    }
    let wants_none = head.raw_query() == Some("early") && head.header("Expect").is_none();
    if wants_none { Admit::AtHead } else { Admit::Buffer }
}

/// Responds to a request.
pub fn reply(request: &Request<'_>) -> AppReply {
    if request.method() == Method::Connect {
        let response = Response::method_not_allowed(Method::Connect, &[Method::Get]).with_body("no tunnel");
        return AppReply { response, status: 405, body: b"no tunnel".to_vec(), later: false };
    }
    let (body, mut bytes) = body(request);
    let status = match request.path() {
        "/none" => 204,
        "/reset" => 205,
        "/odd" => 299,
        "/same" => 304,
        "/refused" => 405,
        _ => 200,
    };
    if status == 205 {
        // RFC 9110 §15.3.6: it has a body of length 0.
        bytes.clear();
    }
    let mut response = Response::text(body).with_status(Status::new(status));
    let query = request.raw_query().unwrap_or_default();
    // Rejected, or harmless: the judge of the output reports a broken response.
    if Headers::default().append(query, request.body()).is_ok() {
        response = response.append_header(query, request.body());
    }
    if query == "close" {
        response = response.with_close();
    }
    AppReply { response, status, body: bytes, later: query == "later" }
}

fn body(request: &Request<'_>) -> (Body, Vec<u8>) {
    let echo = [request.method_token().as_bytes(), b" ", request.target().as_bytes(), b"\n", request.body()]
        .concat();
    match request.path() {
        "/stream" => (
            Body::Stream(Box::new(Chunks(vec![b"two", b"three and more", b"one"]))),
            b"onethree and moretwo".to_vec(),
        ),
        "/stream-file" => (
            Body::Stream(Box::new(Chunks(vec![b"two", b"file", b"one"]))),
            [b"one", &file_bytes(7, 100)[..], b"two"].concat(),
        ),
        "/broken" => (Body::Stream(Box::new(Chunks(vec![b"error", b"one"]))), b"one".to_vec()),
        "/file" => (Body::File(file(3, 5_000)), file_bytes(3, 5_000)),
        "/big" => (Body::Shared(BIG.clone(), 10..6_010), BIG[10..6_010].to_vec()),
        "/parts" => {
            let bytes = [b"static ", &echo[..], &BIG[..5_000], &file_bytes(7, 100)].concat();
            let parts = vec![
                Body::Static(b"static "),
                Body::Empty,
                Body::Bytes(echo),
                Body::Shared(BIG.clone(), 0..5_000),
                Body::File(file(7, 100)),
                Body::File(file(7, 0)),
            ];
            (Body::Parts(parts), bytes)
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

/// Returns the bytes of a file from `offset` on. No file is read: each byte is computed from its offset.
pub fn file_bytes(offset: u64, len: u64) -> Vec<u8> {
    (offset..offset + len).map(|at| (at % 251) as u8).collect()
}

/// Returns these chunks from the last to the first. The chunk `error` is an error, and `file` part of a file.
struct Chunks(Vec<&'static [u8]>);

impl ChunkSource for Chunks {
    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
        let Some(next) = self.0.pop() else { return Ok(Chunk::End) };
        match next {
            b"error" => Err(io::ErrorKind::Other.into()),
            b"file" => Ok(Chunk::File(file(7, 100))),
            _ => {
                chunk.extend_from_slice(next);
                Ok(Chunk::Data)
            }
        }
    }
}
