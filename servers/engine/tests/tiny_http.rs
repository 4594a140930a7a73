//! What the tests of tiny_http 0.12 check, checked here on both engines: for programs that come from tiny_http.
//!
//! | their test | here | with a difference |
//! |---|---|---|
//! | `basic_handling`, `custom_content_type_response_header`, `no_transfer_encoding_on_204` | [`serves`] | |
//! | `basic_string_input`, `wrong_content_length` | [`receives`] | what follows the content is rejected as a request |
//! | `expect_100_continue` | [`sends_100_when_the_content_is_wanted`] | |
//! | `unsupported_expect_header`, `invalid_header_name` | [`rejects`] | |
//! | `connection_close_header`, `http_1_0_connection_close`, `detect_connection_closed` | [`closes`] | |
//! | `pipelining_test`, `responses_reordered` | [`keeps_the_order`] | the next handler starts after the reply before |
//! | `poor_network_test` | each of these once more, byte by byte | |
//! | `server_crash_results_in_response` | [`responds_for_a_handler_that_does_not`] | |
//! | `responding_to_closed_client`, `responding_to_non_consuming_client` | [`reads_no_more_of_a_body_than_the_client_takes`] | |
//! | `prompt_pipelining`: `empty`, `content_length_short`, `content_length_long`, `chunked` | [`handles_requests_whose_predecessors_are_unread`] | up to 64 KiB of responses; behind a stream, not before its end |
//! | `prompt_responses`: `content_length_http11`, `content_length_http10`, `expect_continue`, `chunked` | [`responds_before_the_content_arrives`] | |
//! | `unblock_server`, `unblock_threads` | [`a_stopped_server_ends_its_loops`] | one `stop` ends all loops |
//! | `unix_basic_handling` | [`serves_on_a_unix_socket`] | |
//! | `chunked_threshold` | none | a body whose length is known is never chunked |

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

use http_engine::{
    Admit, Body, Engine, Handler, Method, Reply, Request, Responder, Response, Server, Status,
};
use http_testing::{
    client::{Client, TIMEOUT, get, request},
    server::{InProcessServer, settings},
};
use std::{
    io::{self, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

/// The application: a path for each behaviour.
struct Behaviours {
    /// Receives the length of the content of each request.
    handled: Sender<usize>,
    responders: Sender<Responder>,
}

impl Handler for Behaviours {
    fn admit(&self, head: &Request<'_>) -> Admit {
        if head.path() == "/early" { Admit::AtHead } else { Admit::Buffer }
    }

    fn handle(&self, request: &Request<'_>) -> Reply {
        let responders = self.responders.clone();
        let _ = self.handled.send(request.body().len());
        match request.path() {
            "/content" => Response::text(request.body().to_vec()).into(),
            "/json" => Response::json("{}").into(),
            "/empty" => Response::new(Status::NO_CONTENT).into(),
            "/early" => Response::error(Status::BAD_REQUEST).into(),
            "/large" => Response::text("x".repeat(10_000)).into(),
            "/later" => Reply::deferred(|responder| {
                thread::spawn(move || responder.respond(Response::text("later")));
            }),
            "/forgotten" => Reply::deferred(drop),
            "/held" => Reply::deferred(move |responder| drop(responders.send(responder))),
            "/panics" => panic!("as the test wants"),
            _ => Response::text("hello world").into(),
        }
    }
}

/// A server with the application, and the test's ends of its channels.
struct Started {
    server: InProcessServer,
    handled: Receiver<usize>,
    responders: Receiver<Responder>,
}

fn start(engine: Engine) -> Started {
    let ((handled_by, handled), (held, responders)) = (channel(), channel());
    let mut settings = settings();
    settings.protocol.timeouts.write_stall = Duration::from_millis(300);
    let server =
        InProcessServer::start(engine, settings, Behaviours { handled: handled_by, responders: held });
    Started { server, handled, responders }
}

/// Sends `requests` at once, and then byte by byte on another connection. Both times, the responses must have these
/// status codes and bodies, and the connection must close after them: at once after the last if it says so.
fn check(engine: Engine, requests: &str, expected: &[(u16, &str)]) {
    let Started { server, .. } = start(engine);
    for piece in [requests.len(), 1] {
        let mut client = server.connect();
        // A client may send more after a request that the server rejects.
        requests.as_bytes().chunks(piece).for_each(|piece| drop(client.try_send(piece)));
        let mut keeps_alive = true;
        for (status, text) in expected {
            let response = client.response_to(requests);
            assert_eq!(response.status, *status, "{requests}");
            assert!(response.text().contains(text), "{requests}: {}", response.text());
            keeps_alive = response.keeps_alive;
        }
        if keeps_alive { client.finish() } else { client.expect_eof() }
    }
}

const CLOSE: &str = "Connection: close\r\n";
const HELLO: (u16, &str) = (200, "hello world");

http_testing::both_engines! {
    fn serves(engine: Engine) {
        check(engine, &request("GET", "/", CLOSE), &[HELLO]);
        let Started { server, .. } = start(engine);
        let mut client = server.connect();
        assert_eq!(client.fetch(get("/json")).header("Content-Type"), Some("application/json"));
        let empty = client.fetch(request("GET", "/empty", "TE: chunked\r\n"));
        assert_eq!((empty.status, empty.header("Transfer-Encoding"), empty.body.len()), (204, None, 0));
    }

    fn receives(engine: Engine) {
        let five = |length| request("GET", "/content", &format!("Content-Length: {length}\r\n")) + "hello";
        check(engine, &five(5), &[(200, "hello")]);
        check(engine, &(five(3) + "\r\n"), &[(200, "hel"), (400, "")]);
    }

    fn rejects(engine: Engine) {
        check(engine, &request("GET", "/", "Expect: 189-dummy\r\n"), &[(417, "")]);
        check(engine, &(request("GET", "/", "Content-Length : 5\r\n") + "hello"), &[(400, "")]);
    }

    fn closes(engine: Engine) {
        check(engine, &(get("/") + &request("GET", "/", CLOSE)), &[HELLO, HELLO]);
        check(engine, "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n", &[HELLO]);
        check(engine, &request("GET", "/", "Connection: keep-alive\r\n"), &[HELLO]);
    }

    fn keeps_the_order(engine: Engine) {
        check(engine, &(get("/") + &get("/a") + &request("GET", "/b", CLOSE)), &[HELLO; 3]);
        check(engine, &(get("/later") + &get("/") + &get("/later")), &[(200, "later"), HELLO, (200, "later")]);
    }

    fn responds_for_a_handler_that_does_not(engine: Engine) {
        check(engine, &get("/forgotten"), &[(500, "")]);
        check(engine, &get("/panics"), &[(500, "")]);
    }

    fn sends_100_when_the_content_is_wanted(engine: Engine) {
        let Started { server, .. } = start(engine);
        let mut client = server.connect();
        client.send(request("GET", "/content", "Expect: 100-continue\r\nContent-Length: 5\r\n"));
        let mut interim = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
        client.stream.read_exact(&mut interim).unwrap();
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
        client.send("hello");
        client.shutdown_write();
        assert_eq!(client.response().text(), "hello");
    }

    fn responds_before_the_content_arrives(engine: Engine) {
        let Started { server, .. } = start(engine);
        let post = |headers: &str| request("POST", "/early", headers);
        for head in [
            post("Content-Length: 1000000\r\n"),
            post("Content-Length: 1000000\r\n").replace("HTTP/1.1", "HTTP/1.0"),
            post("Content-Length: 1000000\r\nExpect: 100-continue\r\n"),
            post("Transfer-Encoding: chunked\r\n") + "3e8\r\n",
        ] {
            assert_eq!(Client::connect_and_send(server.address, &head).response_to(&head).status, 400, "{head}");
        }
    }

    fn handles_requests_whose_predecessors_are_unread(engine: Engine) {
        let chunked = format!("2710\r\n{}\r\n0\r\n\r\n", "A".repeat(10_000));
        for (framing, content, length) in [
            ("", "", 0),
            ("Content-Length: 100\r\n", &*"A".repeat(100), 100),
            ("Content-Length: 10000\r\n", &"A".repeat(10_000), 10_000),
            ("Transfer-Encoding: chunked\r\n", &chunked, 10_000),
        ] {
            let Started { server, handled, .. } = start(engine);
            let mut client = server.connect();
            client.send((request("POST", "/large", framing) + content).repeat(5));
            for _ in 0..5 {
                assert_eq!(handled.recv_timeout(TIMEOUT), Ok(length));
            }
            (0..5).for_each(|_| assert_eq!(client.response().body.len(), 10_000));
        }
    }

    /// A loop that begins after the stop ends, too.
    fn a_stopped_server_ends_its_loops(engine: Engine) {
        let incoming = Server::bind("127.0.0.1:0").unwrap().engine(engine).incoming().unwrap();
        thread::scope(|scope| {
            (0..2).for_each(|_| drop(scope.spawn(|| assert_eq!((&incoming).count(), 0))));
            incoming.running().stopper().stop(Duration::ZERO);
        });
        assert_eq!(incoming.count(), 0);
    }

    fn serves_on_a_unix_socket(engine: Engine) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let incoming = Server::listen(listener).unwrap().engine(engine).incoming().unwrap();
        let mut client = UnixStream::connect(path).unwrap();
        client.write_all(request("GET", "/", CLOSE).as_bytes()).unwrap();
        let exchange = incoming.next_timeout(TIMEOUT).unwrap();
        assert_eq!((exchange.request().method(), exchange.request().client_addr()), (Method::Get, None));
        exchange.respond("hello world");
        assert!(incoming.try_next().is_none());
        let mut response = String::new();
        client.read_to_string(&mut response).unwrap();
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n") && response.ends_with("\r\n\r\nhello world"), "{response}");
    }

    /// The kernel takes some megabytes for a client that reads nothing.
    fn reads_no_more_of_a_body_than_the_client_takes(engine: Engine) {
        for (leaves, most) in [(true, 1 << 20), (false, 8 << 20)] {
            let Started { server, handled, responders } = start(engine);
            let client = Client::connect_and_send(server.address, get("/held"));
            handled.recv_timeout(TIMEOUT).unwrap();
            let responder = responders.recv_timeout(TIMEOUT).unwrap();
            let client = if leaves { client.reset(); None } else { Some(client) };
            let (read, dropped, body) = metered_body();
            responder.respond(Response::bytes(body));
            assert_eq!(dropped.recv_timeout(TIMEOUT), Err(RecvTimeoutError::Disconnected), "the reader is dropped");
            assert!(read.load(Ordering::Acquire) < most, "the client leaves: {leaves}");
            drop(client);
        }
    }
}

/// Returns a body of 400 MB, how many bytes of it were read, and a channel that ends when its reader is dropped.
fn metered_body() -> (Arc<AtomicUsize>, Receiver<()>, Body) {
    struct MeteredReader(io::Take<io::Repeat>, Arc<AtomicUsize>, #[allow(dead_code)] Sender<()>);
    impl Read for MeteredReader {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.read(buffer)?;
            self.1.fetch_add(count, Ordering::AcqRel);
            Ok(count)
        }
    }
    const LENGTH: u64 = 400_000_000;
    let (read, (sender, dropped)) = (Arc::default(), channel());
    let reader = MeteredReader(io::repeat(b'x').take(LENGTH), Arc::clone(&read), sender);
    (read, dropped, Body::reader(reader, Some(LENGTH)))
}
