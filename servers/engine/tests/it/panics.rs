//! Code and destructors of the application that panic: each costs at most its own connection.
//!
//! The payload of every panic panics too when it is dropped. Panics leave no message on standard error: they are part of the
//! test.

use crate::{
    client::{Client, TIMEOUT, get, request, wait_for},
    server::{InProcessServer, settings},
};
use http_engine::{
    Admit, Body, Chunk, ChunkSource, Engine, Handler, MakeHandler, Method, Middleware, Next, Rejected, Reply,
    Request, Responder, Response, Router, Server, Settings, Stack,
};
use std::{
    io, mem,
    panic::resume_unwind,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    task::Waker,
    thread,
    time::Duration,
};

/// The maximum number of connections, and of those from one address. Each way to panic is tried more often than that.
const CONNECTIONS: usize = 3;
const ATTEMPTS: usize = 2 * CONNECTIONS;

/// Panics with a payload that panics when it is dropped.
fn fail() -> ! {
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            resume_unwind(Box::new("the payload of a panic was dropped"));
        }
    }
    resume_unwind(Box::new(Payload))
}

/// Panics when it is dropped, and reports that before.
struct Bomb(Sender<()>);

impl Drop for Bomb {
    fn drop(&mut self) {
        // The test may end first.
        let _ = self.0.send(());
        fail();
    }
}

/// How a source goes on after its first chunk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Ends,
    Fails,
    Panics,
    Waits,
    /// It panics before its first chunk.
    NeverStarts,
}

/// A source whose destructor panics.
struct FaultySource {
    then: Then,
    has_sent: bool,
    _bomb: Bomb,
}

impl ChunkSource for FaultySource {
    fn start(&mut self, _: Waker) {
        if self.then == Then::NeverStarts {
            fail();
        }
    }

    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
        if !mem::replace(&mut self.has_sent, true) {
            chunk.extend_from_slice(b"some");
            return Ok(Chunk::Data);
        }
        match self.then {
            Then::Ends => Ok(Chunk::End),
            Then::Fails => Err(io::ErrorKind::Other.into()),
            Then::Waits => Ok(Chunk::Pending),
            Then::Panics | Then::NeverStarts => fail(),
        }
    }
}

/// A handler with a path for every way to panic.
struct Panics {
    /// Reports each request.
    handled: Sender<()>,
    /// Reports each dropped [`Bomb`].
    dropped: Sender<()>,
    responders: Sender<Responder>,
}

impl Panics {
    fn stream(&self, then: Then) -> Body {
        let bomb = Bomb(self.dropped.clone());
        Body::Stream(Box::new(FaultySource { then, has_sent: false, _bomb: bomb }))
    }
}

impl Handler for Panics {
    fn admit(&self, head: &Request<'_>) -> Admit {
        if head.path() == "/admit" { fail() } else { Admit::Buffer }
    }

    fn handle(&self, request: &Request<'_>) -> Reply {
        // The test may end first.
        let _ = self.handled.send(());
        let stream = |then| Response::text(self.stream(then));
        match request.path() {
            _ if request.method() == Method::Connect => stream(Then::Ends).into(),
            "/handler" | "/rejected" => fail(),
            "/stream" => stream(Then::Ends).into(),
            "/stream-fails" => stream(Then::Fails).into(),
            "/stream-panics" => stream(Then::Panics).into(),
            "/stream-never-starts" => stream(Then::NeverStarts).into(),
            "/stream-waits" => stream(Then::Waits).into(),
            "/invalid" => {
                Response::text(Body::Parts(vec![self.stream(Then::Ends), self.stream(Then::Ends)])).into()
            }
            "/sent" => Response::text("sent").on_sent(|_| fail()).into(),
            "/after" => {
                let bomb = Bomb(self.dropped.clone());
                Reply::after(Duration::from_secs(3600), move || Response::text(format!("{:?}", bomb.0)))
            }
            "/after-panics" => Reply::after(Duration::ZERO, || fail()),
            "/offload-panics" => Reply::offload(|| fail()),
            "/offload-late" => {
                let response = stream(Then::Ends);
                Reply::offload_with(move |token| {
                    while !token.is_cancelled() {
                        thread::yield_now();
                    }
                    response
                })
            }
            "/deferred-panics" => Reply::Deferred(Box::new(|_| fail())),
            "/deferred" => {
                let responders = self.responders.clone();
                Reply::Deferred(Box::new(move |responder| drop(responders.send(responder))))
            }
            path => Response::text(path.to_owned()).into(),
        }
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        match rejected.request {
            Some(request) if request.path() == "/rejected" => fail(),
            _ => response,
        }
    }
}

/// A handler and a middleware whose destructor panics.
struct Explosive {
    text: &'static str,
    _bomb: Bomb,
}

impl Handler for Explosive {
    fn handle(&self, _: &Request<'_>) -> Reply {
        Response::text(self.text).into()
    }
}

impl Middleware for Explosive {
    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        next.run(request)
    }
}

/// A server for [`CONNECTIONS`] connections, and one of them, which must survive every panic.
struct PanicServer {
    server: InProcessServer,
    handled: Receiver<()>,
    dropped: Receiver<()>,
    bombs: Sender<()>,
    responders: Receiver<Responder>,
}

impl PanicServer {
    fn start(engine: Engine) -> PanicServer {
        let ((bombs, dropped), (sender, responders)) = (channel(), channel());
        let (requests, handled) = channel();
        let settings = Settings {
            workers: 1,
            max_connections: Some(CONNECTIONS),
            max_connections_per_address: Some(CONNECTIONS),
            ..settings()
        };
        let handler = Panics { handled: requests, dropped: bombs.clone(), responders: sender };
        let server = InProcessServer::start(engine, settings, handler);
        PanicServer { server, handled, dropped, bombs, responders }
    }

    /// Calls `attempt` with new connections, more often than the server may have connections. Another connection must
    /// survive that.
    fn check(&self, mut attempt: impl FnMut(Client)) {
        let mut bystander = self.connect();
        for _ in 0..ATTEMPTS {
            attempt(self.connect());
            check_ok(&mut bystander);
        }
        bystander.finish();
    }

    /// Opens a connection and waits until the server has room for it: a connection closes some time after its client has
    /// seen the end.
    fn connect(&self) -> Client {
        wait_for("room for a connection", || {
            let mut client = self.server.connect();
            client.try_fetch(get("/ok")).is_ok_and(|reply| reply.status == 200).then_some(client)
        })
    }

    /// Sends a request, and waits until the handler has it.
    fn send(&self, client: &mut Client, path: &str) {
        while self.handled.try_recv().is_ok() {}
        client.send(get(path));
        self.handled.recv_timeout(TIMEOUT).expect("the handler is called");
    }

    fn expect_drop(&self) {
        self.dropped.recv_timeout(TIMEOUT).expect("the application's value is dropped");
    }
}

fn check_ok(client: &mut Client) {
    let reply = client.fetch(get("/ok"));
    assert_eq!((reply.status, &*reply.text(), reply.close), (200, "/ok", false));
}

http_testing::both_engines! {
    fn a_panic_becomes_500(engine: Engine) {
        let server = PanicServer::start(engine);
        let content = "Content-Length: 2\r\n";
        for (method, path, content) in [
            ("GET", "/handler", ""),
            ("GET", "/rejected", ""),
            ("POST", "/admit", content),
            ("GET", "/after-panics", ""),
            ("GET", "/offload-panics", ""),
            ("GET", "/deferred-panics", ""),
        ] {
            server.check(|mut client| {
                client.send(request(method, path, content) + &get("/never"));
                let reply = client.reply();
                assert_eq!((reply.status, reply.close), (500, true), "{path}");
                client.expect_eof();
            });
        }
    }

    fn a_source_whose_destructor_panics_does_not_harm_its_connection(engine: Engine) {
        let server = PanicServer::start(engine);
        server.check(|mut client| {
            assert_eq!(client.fetch(get("/stream")).text(), "some");
            server.expect_drop();
            assert_eq!(client.fetch(request("HEAD", "/stream", "")).status, 200);
            server.expect_drop();
            check_ok(&mut client);
            client.send(get("/invalid"));
            assert_eq!(client.reply().status, 500);
            server.expect_drop();
            server.expect_drop();
            client.expect_eof();
        });
        server.check(|mut client| {
            client.send("CONNECT tunnel:1 HTTP/1.1\r\nHost: tunnel:1\r\n\r\n");
            assert_eq!(client.reply().status, 501);
            server.expect_drop();
        });
    }

    fn a_source_that_panics_closes_its_own_connection_only(engine: Engine) {
        let server = PanicServer::start(engine);
        for path in ["/stream-fails", "/stream-panics", "/stream-never-starts"] {
            server.check(|mut client| {
                client.send(get(path));
                let fault = client.try_reply().expect_err("the last chunk is missing");
                assert!(fault.contains("unfinished"), "{path}: {fault}");
                server.expect_drop();
            });
        }
    }

    fn a_destructor_that_panics_when_the_client_leaves_harms_nobody(engine: Engine) {
        let server = PanicServer::start(engine);
        for path in ["/stream-waits", "/after", "/offload-late"] {
            server.check(|mut client| {
                server.send(&mut client, path);
                client.reset();
                server.expect_drop();
            });
        }
    }

    fn a_late_response_whose_destructor_panics_harms_nobody(engine: Engine) {
        let server = PanicServer::start(engine);
        server.check(|mut client| {
            client.send(get("/deferred"));
            let responder = server.responders.recv_timeout(TIMEOUT).expect("a responder");
            client.reset();
            wait_for("a closed responder", || responder.is_closed().then_some(()));
            let (source, has_sent) = (Bomb(server.bombs.clone()), false);
            let source = FaultySource { then: Then::Ends, has_sent, _bomb: source };
            responder.respond(Response::text(Body::Stream(Box::new(source))));
            server.expect_drop();
        });
    }

    fn a_callback_that_panics_does_not_harm_its_connection(engine: Engine) {
        let server = PanicServer::start(engine);
        server.check(|mut client| {
            for _ in 0..3 {
                assert_eq!(client.fetch(get("/sent")).text(), "sent");
            }
            check_ok(&mut client);
        });
    }

    fn a_handler_whose_destructor_panics_is_replaced(engine: Engine) {
        let (bombs, dropped) = channel();
        let make = move |text: &'static str| -> MakeHandler {
            let bombs = bombs.clone();
            Arc::new(move |number| -> Arc<dyn Handler> {
                let part = || Explosive { text, _bomb: Bomb(bombs.clone()) };
                if number == 0 {
                    return Arc::new(part());
                }
                let router = Router::new().route(Method::Get, "/", part()).prefix("/b", part()).fallback(part());
                Arc::new(Stack::new(router).wrap(part()).wrap(part()))
            })
        };
        let server = Server::bind("127.0.0.1:0").expect("a port").with(Settings { workers: 2, ..settings() });
        let running = server.start_each(engine, &make("first")).expect("a server");
        let address = running.addresses()[0];
        let mut kept = Client::connect(address);
        assert_eq!(kept.fetch(get("/")).text(), "first");
        running.handle().replace_handlers(&make("second"));
        // The other worker has no connection, or only this one. A connection may still see the old handler once.
        for _ in 0..20 {
            let mut client = Client::connect(address);
            client.fetch(get("/"));
            assert_eq!(client.fetch(get("/")).text(), "second");
            client.finish();
        }
        kept.fetch(get("/"));
        assert_eq!(kept.fetch(get("/")).text(), "second");
        kept.finish();
        running.stop(Duration::ZERO);
        // Two workers had two handlers each, of one part and of five parts.
        for _ in 0..2 * (1 + 5) {
            dropped.recv_timeout(TIMEOUT).expect("each part is dropped");
        }
    }
}
