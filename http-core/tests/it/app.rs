//! The application of most tests: echoes each request, and has a path for every kind of response.

use http_core::{Body, Chunk, ChunkSource, FileSlice, Method, Request, Response, Status};
use std::{
    fs::File,
    io,
    sync::{Arc, LazyLock},
};

/// What the application does with a request.
pub enum AppReply {
    /// Responds at once.
    Now(Response),
    /// Responds after [`Step::AwaitReply`](http_core::Step::AwaitReply).
    Later(Response),
    /// Takes the content piece by piece, and echoes it: all of it, or its first bytes of this number.
    Receive(usize),
}

/// Responds with the method, the target, a line feed and the request body.
pub fn echo(request: &Request<'_>) -> AppReply {
    if request.method() == Method::Connect && request.target() != "tunnel:1" {
        return AppReply::Now(Response::method_not_allowed(Method::Connect, &[Method::Get]));
    }
    let line = [request.method_token(), " ", request.target(), "\n"].concat().into_bytes();
    let body = match request.path() {
        "/stream" => Body::Stream(Box::new(Chunks(vec![b"three and more", b"two", b"one"]))),
        "/stream-file" => Body::Stream(Box::new(Chunks(vec![b"two", b"file", b"one"]))),
        "/live" => Body::Stream(Box::new(Chunks(vec![b"two", b"pending", b"pending", b"one"]))),
        "/broken" => Body::Stream(Box::new(Chunks(vec![b"error", b"one"]))),
        "/file" => Body::File(some_file()),
        "/big" => Body::Shared(BIG.clone(), 10..6_010),
        "/parts" => Body::Parts(vec![
            Body::Static(b"static "),
            Body::Empty,
            Body::Bytes(line),
            Body::Shared(BIG.clone(), 0..5_000),
            Body::File(some_file()),
            Body::File(FileSlice { len: 0, ..some_file() }),
        ]),
        _ => Body::Bytes([line.as_slice(), request.body()].concat()),
    };
    let response = Response::text("").with_body(body);
    match request.path() {
        "/receive" => AppReply::Receive(usize::MAX),
        "/receive-two" => AppReply::Receive(2),
        "/close" => AppReply::Now(response.with_close()),
        "/none" => AppReply::Now(response.with_status(Status::NO_CONTENT)),
        "/same" => AppReply::Now(response.with_status(Status::NOT_MODIFIED)),
        "/later" => AppReply::Later(response),
        _ => AppReply::Now(response),
    }
}

static BIG: LazyLock<Arc<[u8]>> = LazyLock::new(|| (0..=255).cycle().take(10_000).collect());

fn some_file() -> FileSlice {
    static FILE: LazyLock<Arc<File>> =
        LazyLock::new(|| Arc::new(File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap()));
    FileSlice { file: FILE.clone(), offset: 3, len: 100 }
}

/// Returns these chunks from the last to the first. The chunk `error` is an error, `pending` a chunk that does not
/// exist yet, and `file` part of a file.
pub struct Chunks(pub Vec<&'static [u8]>);

impl ChunkSource for Chunks {
    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
        let Some(next) = self.0.pop() else { return Ok(Chunk::End) };
        match next {
            b"error" => Err(io::ErrorKind::Other.into()),
            b"pending" => Ok(Chunk::Pending),
            b"file" => Ok(Chunk::File(some_file())),
            _ => {
                chunk.extend_from_slice(next);
                Ok(Chunk::Data)
            }
        }
    }
}
