//! The application behind a fuzzed connection. It has a path for every kind of response, and returns what it has sent.
//!
//! The path selects the body and the status, the words of the query how the response is given: `/stream?later`,
//! `/big?pieces&part`. The application also adds a header with the query as its name and the request body as its value,
//! if both are valid.
//!
//! | word | what the application does |
//! |---|---|
//! | `close` | closes the connection after the response |
//! | `later` | delays the response |
//! | `early` | responds at the head, and wants no content |
//! | `pieces` | takes the content piece by piece, and sends it back |
//! | `now`, `part` | with `pieces`: responds before the content, or after [`PART`] bytes of it, and wants no more |
//! | `switch` | responds 101, whether or not the client offers the protocol |

use http_core::{Admit, Body, Chunk, ChunkSource, FileSlice, Headers, Method, Request, Response, Status};
use std::{
    fs::File,
    io,
    sync::{Arc, LazyLock},
};

/// The protocol of upgrades.
pub const PROTOCOL: &str = "chat";

/// The number of bytes of content after which the application responds to `part`.
pub const PART: usize = 3;

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
    /// After how many bytes of content the application responds, if it takes the content piece by piece.
    pub after: usize,
}

/// Returns whether the query of a request contains this word.
pub fn asks(request: &Request<'_>, word: &str) -> bool {
    request.raw_query().unwrap_or_default().split('&').any(|found| found == word)
}

/// Chooses how the content of a request is taken.
pub fn admit(head: &Request<'_>) -> Admit {
    if asks(head, "pieces") || asks(head, "early") { Admit::AtHead } else { Admit::Buffer }
}

/// Responds to a request.
pub fn reply(request: &Request<'_>) -> AppReply {
    if request.method() == Method::Connect {
        let response = Response::method_not_allowed(Method::Connect, &[Method::Get]).with_body("no tunnel");
        return AppReply { response, status: 405, body: b"no tunnel".to_vec(), later: false, after: 0 };
    }
    let later = asks(request, "later");
    let after = match (asks(request, "now"), asks(request, "part")) {
        (true, _) => 0,
        (false, true) => PART,
        (false, false) => usize::MAX,
    };
    if asks(request, "switch") {
        let response = Response::switching_protocols(PROTOCOL).on_upgrade(drop);
        return AppReply { response, status: 101, body: Vec::new(), later, after };
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
    // Rejected, or harmless: the oracle of the output reports a broken response.
    if Headers::default().append(query, request.body()).is_ok() {
        response = response.append_header(query, request.body());
    }
    if asks(request, "close") {
        response = response.with_close();
    }
    AppReply { response, status, body: bytes, later, after }
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
        "/slow" => (
            Body::Stream(Box::new(Chunks(vec![b"pending", b"two", b"pending", b"one", b"pending"]))),
            b"onetwo".to_vec(),
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

/// Returns these chunks from the last to the first. The chunk `error` is an error, `file` part of a file, and `pending`
/// none for now.
struct Chunks(Vec<&'static [u8]>);

impl ChunkSource for Chunks {
    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
        let Some(next) = self.0.pop() else { return Ok(Chunk::End) };
        match next {
            b"error" => Err(io::ErrorKind::Other.into()),
            b"file" => Ok(Chunk::File(file(7, 100))),
            b"pending" => Ok(Chunk::Pending),
            data => {
                chunk.extend_from_slice(data);
                Ok(Chunk::Data)
            }
        }
    }
}
