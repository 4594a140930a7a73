//! Memory: a keep-alive GET on a warm connection allocates nothing, and a client that does not read cannot make the
//! server hold more than the limits allow.
//!
//! A separate test binary, because it replaces the global allocator by one that counts allocations per thread.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]
#![allow(clippy::disallowed_methods, reason = "a test needs a start time")]

use http_core::{
    Admit, Body, BufferPool, Buffers, Clock, Config, Connection, Handler, Headers, IntoReply, Method,
    Middleware, Next, Reply, Request, Response, Router, SharedHeaders, Status, Step, Transmit,
    testing::ReceivedRequest,
};
use std::{
    hint::black_box,
    sync::Arc,
    time::{Instant, SystemTime},
};

const GET: &[u8] =
    b"GET /index.html?v=1 HTTP/1.1\r\nHost: example.org\r\nUser-Agent: test/1.0 (like others)\r\n\
    Accept: text/html,*/*;q=0.8\r\nAccept-Encoding: gzip, br\r\nConnection: keep-alive\r\n\r\n";

/// The same request with another spelling of the path.
const GET_ESCAPED: &[u8] = b"GET //%69ndex%2Ehtml?v=%31 HTTP/1.1\r\nHost: example.org\r\n\r\n";

struct Server {
    conn: Connection,
    clock: Clock,
    headers: SharedHeaders,
    content: Arc<[u8]>,
}

impl Server {
    fn new(body_len: usize, config: Config) -> Server {
        let clock = Clock::new("test", Instant::now(), SystemTime::UNIX_EPOCH);
        let mut headers = Headers::default();
        headers.append("Content-Type", "text/html; charset=utf-8").unwrap();
        headers.append("ETag", "\"abc\"").unwrap();
        Server {
            conn: Connection::new(Arc::new(config), clock.now()),
            clock,
            headers: headers.into_shared(),
            content: vec![b'x'; body_len].into(),
        }
    }

    /// Receives these bytes, responds to the requests in them, and sends everything. Returns the number of bytes sent.
    fn turn(&mut self, buffers: &mut Buffers, bytes: &[u8]) -> usize {
        let Buffers { input, out } = buffers;
        assert!(matches!(self.conn.poll(input, out, self.clock.now()), Step::Receive));
        input.spare()[..bytes.len()].copy_from_slice(bytes);
        input.filled(bytes.len());
        let mut sent = 0;
        loop {
            match self.conn.poll(input, out, self.clock.now()) {
                Step::Head => {}
                Step::Request => {
                    let request = self.conn.request(input).unwrap();
                    assert!(request.path() == "/index.html" && request.host() == Some("example.org"));
                    black_box(request.header("Accept-Encoding"));
                    let all = 0..self.content.len();
                    let response = Response::new(Status::OK)
                        .with_shared_headers(self.headers.clone())
                        .with_body(Body::Shared(self.content.clone(), all));
                    self.conn.respond(response, out, &self.clock).unwrap();
                }
                Step::Flush => {
                    while let Transmit::Bytes { slices, .. } = out.transmit() {
                        let count = slices.iter().map(|slice| slice.len()).sum();
                        out.sent(count);
                        sent += count;
                    }
                }
                Step::Receive => return sent,
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Sends `request` so many times at once to a warm connection, a hundred times, and checks that nothing is allocated.
fn check(request: &[u8], body_len: usize, requests: usize) {
    let mut server = Server::new(body_len, Config::default());
    let mut pool = BufferPool::new(1);
    let bytes = request.repeat(requests);
    let mut turn = || {
        // An idle connection holds no buffers: taking them from the pool and clearing them belongs to the hot path.
        let mut buffers = pool.take();
        let sent = server.turn(&mut buffers, &bytes);
        pool.put(buffers);
        sent
    };
    for _ in 0..3 {
        assert!(turn() > requests * body_len, "a head and a body each");
    }
    let counted = allocation_counter::measure(|| {
        black_box((0..100).map(|_| turn()).sum::<usize>());
    });
    assert_eq!(counted.count_total, 0, "{body_len} bytes, {requests} at a time: {counted:?}");
}

#[test]
fn a_warm_keep_alive_get_allocates_nothing() {
    for body_len in [0, 1_000, 4_096, 4_097, 100_000, 5_000_000] {
        check(GET, body_len, 1);
    }
    check(GET, 1_000, 16);
    check(GET, 100_000, 16);
    check(GET_ESCAPED, 1_000, 16);
}

#[test]
fn a_route_is_found_without_an_allocation() {
    struct User(u64);
    struct Identify;
    impl Middleware for Identify {
        fn admit(&self, head: &Request<'_>, next: Next<'_>) -> Admit {
            let user = User(head.cookie("user").map_or(0, |id| id.len() as u64));
            next.admit(&head.with_extension(&user).as_request())
        }

        fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
            next.run(request)
        }
    }
    struct Limited;
    impl Handler for Limited {
        fn admit(&self, head: &Request<'_>) -> Admit {
            let id: u64 = head.param("id").and_then(|id| id.parse().ok()).unwrap_or_default();
            Admit::BufferUpTo(id + head.extension::<User>().map_or(0, |User(id)| *id))
        }

        fn handle(&self, _: &Request<'_>) -> Reply {
            Status::NO_CONTENT.into_reply()
        }
    }
    let routes = Router::builder()
        .route(Method::Get, "/literal", Limited)
        .route(Method::Get, "/users/{id}", Limited)
        .route(Method::Get, "/users/{id}/photo/{*rest}", Limited);
    let router = routes.wrap(Identify).build().unwrap();
    for (path, expected) in [("/literal", 3), ("/users/40", 43), ("//users/%34%30/photo/a/b", 43)] {
        let head = format!("GET {path} HTTP/1.1\r\nHost: example.org\r\nCookie: user=abc\r\n\r\n");
        let received = ReceivedRequest::new(head.as_bytes(), Instant::now()).unwrap();
        let counted = allocation_counter::measure(|| {
            assert_eq!(router.admit(&received.as_request()), Admit::BufferUpTo(expected));
        });
        assert_eq!(counted.count_total, 0, "{path}: {counted:?}");
    }
}

#[test]
fn the_allocator_counts() {
    let counted = allocation_counter::measure(|| drop(black_box(Box::new(7))));
    assert_eq!(counted.count_total, 1);
}

/// The client sends a large body and behind it as many requests, and always reads less than is queued, so that the
/// queue is never empty.
#[test]
fn a_slow_client_cannot_exceed_the_memory_limits() {
    const CONTENT: usize = 1_000;
    let mut config = Config::default();
    config.limits.body_bytes = 200_000;
    let bound =
        4 * (config.limits.head_bytes + config.limits.body_bytes) + 8 * config.limits.queued_bytes as usize;
    let mut server = Server::new(CONTENT, config);
    let length = 200_000;
    let head = format!("POST /index.html HTTP/1.1\r\nHost: example.org\r\nContent-Length: {length}\r\n\r\n");
    let get = b"GET /index.html HTTP/1.1\r\nHost: example.org\r\n\r\n";
    let bytes = [head.as_bytes(), &vec![b'x'; length], &get.repeat(length / get.len())].concat();
    let mut read = 0;
    let counted = allocation_counter::measure(|| {
        let mut buffers = Buffers::default();
        buffers.input.extend(&bytes);
        server.respond(&mut buffers, usize::MAX);
        while !buffers.input.is_empty() {
            read += server.respond(&mut buffers, 1_500);
        }
    });
    assert!(read > 4_000_000, "only {read} bytes of responses: the client did not send enough requests");
    assert!(counted.bytes_max < bound as u64, "{} bytes held", counted.bytes_max);
}

impl Server {
    /// Responds to requests until the queue must be flushed, and sends at most `room` bytes of it.
    fn respond(&mut self, buffers: &mut Buffers, room: usize) -> usize {
        let Buffers { input, out } = buffers;
        loop {
            match self.conn.poll(input, out, self.clock.now()) {
                Step::Head => {}
                Step::Request => {
                    let body = Body::Shared(self.content.clone(), 0..self.content.len());
                    self.conn.respond(Response::new(Status::OK).with_body(body), out, &self.clock).unwrap();
                }
                Step::Flush => {
                    let Transmit::Bytes { slices, .. } = out.transmit() else { panic!("bytes") };
                    let queued: usize = slices.iter().map(|slice| slice.len()).sum();
                    let count = queued.min(room);
                    out.sent(count);
                    return count;
                }
                Step::Receive => return 0,
                other => panic!("{other:?}"),
            }
        }
    }
}
