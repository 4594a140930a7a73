//! A keep-alive connection and a simulated engine, without a socket.

use http_core::{Body, Buffers, Clock, Connection, Headers, Response, SharedHeaders, Status, Step, Transmit};
use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

/// Bytes of each response body: small enough to be sent with its head in one slice.
const CONTENT: usize = 1024;

/// A connection with its buffers, and the response to every request.
pub struct Server {
    conn: Connection,
    buffers: Buffers,
    clock: Clock,
    shared: SharedResponse,
}

impl Default for Server {
    fn default() -> Server {
        let clock = clock();
        let conn = Connection::new(Arc::default(), clock.now());
        Server { conn, buffers: Buffers::default(), clock, shared: SharedResponse::default() }
    }
}

impl Server {
    /// Receives these bytes, and sends a response to every complete request. Returns the number of requests and of
    /// bytes in their bodies.
    pub fn turn(&mut self, mut arriving: &[u8]) -> (usize, usize) {
        let Buffers { input, out } = &mut self.buffers;
        let (mut requests, mut body_bytes) = (0, 0);
        loop {
            match self.conn.poll(input, out, self.clock.now()) {
                Step::Receive if arriving.is_empty() => return (requests, body_bytes),
                Step::Receive => {
                    let room = input.spare();
                    let (here, later) = arriving.split_at(arriving.len().min(room.len()));
                    room[..here.len()].copy_from_slice(here);
                    input.filled(here.len());
                    arriving = later;
                }
                Step::Request => {
                    requests += 1;
                    let request = self.conn.request(input).unwrap();
                    body_bytes += request.body().len();
                    self.conn.respond(self.shared.response(), out, &self.clock).unwrap();
                }
                Step::Flush => {
                    while let Transmit::Bytes { slices, .. } = out.transmit() {
                        let count = slices.iter().map(|slice| slice.len()).sum();
                        out.sent(count);
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Returns a connection that awaits the reply to this request.
pub fn awaiting_reply(clock: &Clock, request: &[u8]) -> Connection {
    let mut conn = Connection::new(Arc::default(), clock.now());
    let Buffers { mut input, mut out } = Buffers::default();
    input.extend(request);
    assert!(matches!(conn.poll(&mut input, &mut out, clock.now()), Step::Request));
    conn
}

/// Returns a clock that does not advance.
pub fn clock() -> Clock {
    Clock::new("bench", Instant::now(), SystemTime::UNIX_EPOCH)
}

/// The shared headers and body of a response, as a file server caches them.
pub struct SharedResponse {
    headers: SharedHeaders,
    content: Arc<[u8]>,
}

impl Default for SharedResponse {
    fn default() -> SharedResponse {
        let mut headers = Headers::default();
        for (name, value) in [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Last-Modified", "Sat, 14 Mar 2026 15:09:26 GMT"),
            ("ETag", "\"400-69b577463141592f\""),
            ("Accept-Ranges", "bytes"),
        ] {
            headers.append(name, value).unwrap();
        }
        SharedResponse { headers: headers.into_shared(), content: [b'x'; CONTENT].into() }
    }
}

impl SharedResponse {
    /// Returns a response that shares its headers and its body.
    pub fn response(&self) -> Response {
        let body = Body::Shared(Arc::clone(&self.content), 0..CONTENT);
        Response::new(Status::OK).with_shared_headers(self.headers.clone()).with_body(body)
    }
}
