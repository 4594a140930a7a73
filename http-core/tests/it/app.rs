//! The application of most tests: says what it was asked, and has a path for every kind of answer.

use http_core::{Body, ChunkSource, FileSlice, Method, Request, Response, Status};
use std::{
    fs::File,
    io,
    sync::{Arc, LazyLock},
};

/// What an application does with a request.
pub enum Answer {
    Now(Response),
    /// There when the connection says that it waits for it.
    Later(Response),
}

/// Says method, target and a line feed, and then the content it was sent.
pub fn echo(request: &Request<'_>) -> Answer {
    if request.method() == Method::Connect && request.target() != "tunnel:1" {
        return Answer::Now(Response::method_not_allowed(Method::Connect, &[Method::Get]));
    }
    let said = [request.method_token(), " ", request.target(), "\n"].concat().into_bytes();
    let body = match request.path() {
        "/stream" => Body::Stream(Box::new(Pieces(vec![b"three and more", b"two", b"one"]))),
        "/broken" => Body::Stream(Box::new(Pieces(vec![b"error", b"one"]))),
        "/file" => Body::File(some_file()),
        "/big" => Body::Shared(BIG.clone(), 10..6_010),
        "/parts" => Body::Parts(vec![
            Body::Static(b"static "),
            Body::Empty,
            Body::Bytes(said),
            Body::Shared(BIG.clone(), 0..5_000),
            Body::File(some_file()),
            Body::File(FileSlice { len: 0, ..some_file() }),
        ]),
        _ => Body::Bytes([said.as_slice(), request.body()].concat()),
    };
    let response = Response::text("").with_body(body);
    match request.path() {
        "/close" => Answer::Now(response.with_close()),
        "/none" => Answer::Now(response.with_status(Status::NO_CONTENT)),
        "/same" => Answer::Now(response.with_status(Status::NOT_MODIFIED)),
        "/later" => Answer::Later(response),
        _ => Answer::Now(response),
    }
}

static BIG: LazyLock<Arc<[u8]>> = LazyLock::new(|| (0..=255).cycle().take(10_000).collect());

fn some_file() -> FileSlice {
    static FILE: LazyLock<Arc<File>> =
        LazyLock::new(|| Arc::new(File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap()));
    FileSlice { file: FILE.clone(), offset: 3, len: 100 }
}

/// Yields these from the last to the first; at `error` it fails.
pub struct Pieces(pub Vec<&'static [u8]>);

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
