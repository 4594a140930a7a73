//! One keep-alive connection and the engine that drives it, with memory where the socket would be.

use http_core::{Body, Buffers, Clock, Connection, Headers, Response, SharedHeaders, Status, Step, Transmit};
use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

/// Bytes of content in each answer: small enough to leave in one piece with its head.
const CONTENT: usize = 1024;

/// A connection, what it works in, and what every request on it is answered with.
pub struct Server {
    conn: Connection,
    buffers: Buffers,
    clock: Clock,
    answer: Answer,
}

impl Default for Server {
    fn default() -> Server {
        let clock = clock();
        let conn = Connection::new(Arc::default(), clock.now());
        Server { conn, buffers: Buffers::default(), clock, answer: Answer::default() }
    }
}

impl Server {
    /// Receives these bytes, answers every request that they complete, and sends the answers: how many those were,
    /// and how many bytes of content the requests had.
    pub fn turn(&mut self, mut arriving: &[u8]) -> (usize, usize) {
        let Buffers { input, out } = &mut self.buffers;
        let (mut requests, mut content_bytes) = (0, 0);
        loop {
            match self.conn.poll(input, out, self.clock.now()) {
                Step::Receive if arriving.is_empty() => return (requests, content_bytes),
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
                    content_bytes += request.body().len();
                    self.conn.respond(self.answer.shared(), out, &self.clock).unwrap();
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

/// A connection that has handed its request out and waits for the answer.
pub fn answering(clock: &Clock, request: &[u8]) -> Connection {
    let mut conn = Connection::new(Arc::default(), clock.now());
    let Buffers { mut input, mut out } = Buffers::default();
    input.extend(request);
    assert!(matches!(conn.poll(&mut input, &mut out, clock.now()), Step::Request));
    conn
}

/// A clock that stands still.
pub fn clock() -> Clock {
    Clock::new("bench", Instant::now(), SystemTime::UNIX_EPOCH)
}

/// An answer made ready beforehand, as a file server keeps it.
pub struct Answer {
    fields: SharedHeaders,
    content: Arc<[u8]>,
}

impl Default for Answer {
    fn default() -> Answer {
        let mut fields = Headers::default();
        for (name, value) in [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Last-Modified", "Sat, 14 Mar 2026 15:09:26 GMT"),
            ("ETag", "\"400-69b577463141592f\""),
            ("Accept-Ranges", "bytes"),
        ] {
            fields.append(name, value).unwrap();
        }
        Answer { fields: fields.into_shared(), content: [b'x'; CONTENT].into() }
    }
}

impl Answer {
    /// A response that shares both its fields and its content.
    pub fn shared(&self) -> Response {
        let body = Body::Shared(Arc::clone(&self.content), 0..CONTENT);
        Response::new(Status::OK).with_shared_headers(self.fields.clone()).with_body(body)
    }
}
