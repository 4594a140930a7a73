//! Upgrades: what the application can do with the connection, who may have one, and how it ends.

use crate::{
    app::{LONG, check_open, settings_with, wait_for_room},
    client::{Client, TIMEOUT, get, request, wait_for},
    server::{InProcessServer, settings},
};
use http_engine::{
    Admit, Engine, Handler, IntoReply, Reply, Request, Responder, Response, Settings, Status, Upgraded,
};
use std::{
    io::{self, ErrorKind, Read, Write},
    net::Shutdown,
    panic::resume_unwind,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

/// Requests an upgrade.
fn ask(path: &str) -> String {
    request("GET", path, "Connection: upgrade\r\nUpgrade: test\r\n")
}

/// Responds with a 101 and this function, if the client asks for it, and otherwise with the path.
fn upgrading<F: FnOnce(Upgraded) + Send + 'static>(
    take: impl Fn() -> F + Send + Sync + 'static,
) -> impl Fn(&Request<'_>) -> Response + Send + Sync + 'static {
    move |request| match request.upgrades_to("test") {
        true => Response::switching_protocols("test").on_upgrade(take()),
        false => Response::text(request.path().to_owned()),
    }
}

/// Starts a server that sends each upgraded connection through the channel: the function has then returned.
fn collecting(engine: Engine, settings: Settings) -> (InProcessServer, Receiver<Upgraded>) {
    let (sender, upgraded) = channel();
    let take = move || {
        let sender: Sender<Upgraded> = sender.clone();
        move |upgraded| drop(sender.send(upgraded))
    };
    (InProcessServer::start(engine, settings, upgrading(take)), upgraded)
}

/// Sends back what arrives, until the end. Returns an error of the connection.
fn echo(upgraded: &Upgraded) -> io::Result<()> {
    let (mut reader, mut writer) = (upgraded.try_clone()?, upgraded);
    io::copy(&mut reader, &mut writer).map(drop)
}

fn echoing(engine: Engine, settings: Settings) -> InProcessServer {
    InProcessServer::start(engine, settings, upgrading(|| |upgraded: Upgraded| drop(echo(&upgraded))))
}

/// Reads from the socket until `end` has arrived, and returns all of it.
fn read_to(client: &mut Client, end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        let mut byte = [0];
        client.stream.read_exact(&mut byte).expect("more bytes");
        text.push(byte[0]);
    }
    String::from_utf8(text).expect("text")
}

/// Reads the head of a 101.
fn expect_101(client: &mut Client) {
    let head = read_to(client, "\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    assert!(head.ends_with("\r\nUpgrade: test\r\nConnection: upgrade\r\n\r\n"), "{head}");
}

/// Opens a connection, and upgrades it.
fn upgrade(server: &InProcessServer) -> Client {
    let mut client = Client::connect_and_send(server.address, ask("/"));
    expect_101(&mut client);
    client
}

/// Sends the text, and expects it back.
fn check_echo(client: &mut Client, text: &str) {
    client.send(text);
    assert_eq!(read_to(client, text), text);
}

/// Receives from a channel.
fn next<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(TIMEOUT).expect("a value")
}

http_testing::both_engines! {
    /// However the bytes after the head arrive, the function reads them first.
    fn what_follows_the_head_belongs_to_the_protocol(engine: Engine) {
        let server = echoing(engine, settings());
        let mut client = Client::connect_and_send(server.address, ask("/") + "GET / HTTP/1.1\r\n");
        expect_101(&mut client);
        assert_eq!(read_to(&mut client, "\n"), "GET / HTTP/1.1\r\n");
        let large = "x".repeat(1_000_000) + "\n";
        check_echo(&mut client, "one\n");
        let mut sender = client.stream.try_clone().expect("a descriptor");
        let sent = large.clone();
        let sending = thread::spawn(move || sender.write_all(sent.as_bytes()));
        assert!(read_to(&mut client, "\n") == large);
        sending.join().expect("no panic").expect("the server reads");
        client.finish();
    }

    fn clones_share_what_was_received(engine: Engine) {
        let (server, upgraded) = collecting(engine, settings());
        let mut client = Client::connect_and_send(server.address, ask("/") + "abcd");
        expect_101(&mut client);
        let mut first = next(&upgraded);
        let mut second = first.try_clone().expect("a clone");
        let mut bytes = [0; 2];
        first.read_exact(&mut bytes).expect("bytes");
        second.read_exact(&mut bytes).expect("bytes");
        assert_eq!(&bytes, b"cd");
        client.send("ef");
        first.read_exact(&mut bytes).expect("bytes");
        assert_eq!(&bytes, b"ef");
        let address = client.stream.local_addr().ok();
        assert_eq!((first.client_addr(), second.client_addr()), (address, address));
        drop(first);
        second.write_all(b"end").expect("an open connection");
        assert_eq!(read_to(&mut client, "end"), "end");
        drop(second);
        client.expect_eof();
    }

    fn pipelined_requests_are_responded_to_first(engine: Engine) {
        let server = echoing(engine, settings());
        let mut client = Client::connect_and_send(server.address, get("/first") + &get("/second") + &ask("/") + "x\n");
        let text = read_to(&mut client, "x\n");
        let at = |text: &str, what: &str| text.find(what).unwrap_or_else(|| panic!("no {what} in {text}"));
        assert!(at(&text, "/first") < at(&text, "/second") && at(&text, "/second") < at(&text, " 101 "));
        assert!(text.ends_with("Connection: upgrade\r\n\r\nx\n"), "{text}");
    }

    fn every_kind_of_reply_can_upgrade(engine: Engine) {
        let switch = || Response::switching_protocols("test").on_upgrade(|upgraded| drop(echo(&upgraded)));
        let handler = move |request: &Request<'_>| match request.path() {
            "/upgrade" => Reply::upgrade(Response::switching_protocols("test"), |upgraded| drop(echo(&upgraded))),
            "/offload" => Reply::offload(switch),
            "/after" => Reply::after(Duration::from_millis(1), switch),
            "/deferred" => Reply::deferred(move |responder| drop(thread::spawn(move || responder.respond(switch())))),
            _ => switch().into_reply(),
        };
        let server = InProcessServer::start(engine, settings(), handler);
        for path in ["/now", "/upgrade", "/offload", "/after", "/deferred"] {
            let mut client = Client::connect_and_send(server.address, ask(path));
            expect_101(&mut client);
            check_echo(&mut client, "hello\n");
            client.finish();
        }
    }

    /// Content that is received before the 101 does not belong to the protocol.
    fn a_request_with_content_can_upgrade_when_it_is_read(engine: Engine) {
        struct Reads;
        impl Handler for Reads {
            fn admit(&self, _: &Request<'_>) -> Admit {
                Admit::AtHead
            }

            fn handle(&self, request: &Request<'_>) -> Reply {
                let reads_all = request.path() == "/all";
                Reply::read(move |mut content| {
                    let mut text = String::new();
                    if reads_all {
                        content.read_to_string(&mut text).expect("content");
                    }
                    Response::switching_protocols("test").on_upgrade(move |mut upgraded| {
                        upgraded.write_all(text.as_bytes()).expect("an open connection");
                        drop(echo(&upgraded));
                    })
                })
            }
        }
        let server = InProcessServer::start(engine, settings(), Reads);
        let post = |path| ask(path).replace("GET", "POST").replace("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\n");
        let mut client = Client::connect_and_send(server.address, post("/all") + "12");
        client.send("345more\n");
        expect_101(&mut client);
        assert_eq!(read_to(&mut client, "\n"), "12345more\n");
        let mut client = Client::connect_and_send(server.address, post("/none") + "12");
        assert_eq!(client.response().status, 500);
    }

    fn the_callback_of_the_101_is_called_when_it_is_sent(engine: Engine) {
        let (sender, sent) = channel();
        let server = InProcessServer::start(engine, settings(), move |_: &Request<'_>| {
            let sender = sender.clone();
            let switch = Response::switching_protocols("test").on_upgrade(|upgraded| drop(echo(&upgraded)));
            switch.on_sent(move |sent| sender.send((sent.bytes, sent.complete)).unwrap())
        });
        let _client = upgrade(&server);
        assert_eq!(next(&sent), (0, true));
    }

    /// The function is dropped, and the connection continues with HTTP.
    fn another_response_is_an_ordinary_one(engine: Engine) {
        let (owner, dropped) = channel::<()>();
        let take = move || {
            let owner = owner.clone();
            move |_| drop(owner)
        };
        let inner = upgrading(take);
        let server = InProcessServer::start(engine, settings(), move |request: &Request<'_>| {
            inner(request).into_reply().map(|response| match response.status() {
                Status::SWITCHING_PROTOCOLS => response.with_status(Status::FORBIDDEN),
                _ => response,
            })
        });
        let mut client = server.connect();
        let response = client.fetch(ask("/"));
        assert_eq!((response.status, response.header("Connection")), (403, Some("keep-alive, upgrade")));
        check_open(&mut client, "/next");
        drop(server);
        assert!(dropped.recv().is_err(), "the function is not dropped");
    }

    fn a_response_that_requires_an_upgrade_advertises_it(engine: Engine) {
        let server = InProcessServer::start(engine, settings(), |_: &Request<'_>| {
            Response::error(Status::UPGRADE_REQUIRED).with_header("Upgrade", "test")
        });
        let mut client = server.connect();
        let response = client.fetch(get("/"));
        let headers = (response.header("Upgrade"), response.header("Connection"));
        assert_eq!((response.status, headers), (426, (Some("test"), Some("keep-alive, upgrade"))));
        assert_eq!(client.fetch(get("/")).status, 426);
    }

    fn a_101_that_the_client_has_not_asked_for_becomes_500(engine: Engine) {
        let server = InProcessServer::start(engine, settings(), |_: &Request<'_>| {
            Response::switching_protocols("test").on_upgrade(|_| panic!("upgraded"))
        });
        for request in [
            get("/"),
            request("GET", "/", "Connection: upgrade\r\n"),
            request("GET", "/", "Connection: upgrade\r\nUpgrade: other\r\n"),
            ask("/").replace("1.1", "1.0"),
        ] {
            let mut client = Client::connect_and_send(server.address, &request);
            assert_eq!(client.response_to(&request).status, 500, "{request}");
            client.expect_eof();
        }
    }

    /// An event loop needs a thread for each function that runs; the blocking engine has one for each connection.
    fn responds_503_if_all_threads_are_busy(engine: Engine) {
        let server = echoing(engine, settings_with(|settings| settings.streaming_threads = 1));
        let mut first = upgrade(&server);
        check_echo(&mut first, "one\n");
        let mut second = Client::connect_and_send(server.address, ask("/"));
        if engine == Engine::Blocking {
            expect_101(&mut second);
            return check_echo(&mut second, "two\n");
        }
        let response = second.response();
        assert_eq!((response.status, response.header("Retry-After")), (503, Some("1")));
        second.expect_eof();
        first.finish();
        let mut third = wait_for("a thread", || {
            let mut client = Client::connect_and_send(server.address, ask("/"));
            let head = read_to(&mut client, "\r\n\r\n");
            head.starts_with("HTTP/1.1 101").then_some(client)
        });
        check_echo(&mut third, "three\n");
    }

    /// The 101 waits for a response that the client does not read. Then the client leaves.
    fn a_client_that_leaves_before_the_101_frees_the_thread(engine: Engine) {
        let (owner, dropped) = channel::<()>();
        let server = InProcessServer::start(
            engine,
            settings_with(|settings| settings.streaming_threads = 1),
            move |request: &Request<'_>| {
                if !request.upgrades_to("test") {
                    return Response::bytes(vec![b'x'; 10_000_000]);
                }
                let owner = owner.clone();
                Response::switching_protocols("test").on_upgrade(move |upgraded| {
                    let _owner = owner;
                    let _ = echo(&upgraded);
                })
            },
        );
        let client = Client::connect_and_send(server.address, get("/"));
        client.await_status_line();
        let mut leaving = Client::connect_and_send(server.address, get("/") + &ask("/"));
        leaving.await_status_line();
        leaving.send("x");
        leaving.reset();
        let mut next = wait_for("a thread", || {
            let mut client = Client::connect_and_send(server.address, ask("/"));
            read_to(&mut client, "\r\n\r\n").starts_with("HTTP/1.1 101").then_some(client)
        });
        check_echo(&mut next, "next\n");
        next.finish();
        drop(server);
        assert!(dropped.recv().is_err(), "a function is not dropped");
    }

    fn the_function_sees_that_the_client_leaves(engine: Engine) {
        let (server, upgraded) = collecting(engine, settings());
        let client = upgrade(&server);
        let mut connection = next(&upgraded);
        client.shutdown_write();
        assert_eq!(connection.read(&mut [0]).expect("the end"), 0);
        connection.write_all(b"still here\n").expect("a client that has half-closed reads");
        client.reset();
        let error = wait_for("an error", || connection.write_all(&[0; 1000]).err());
        assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
        let mut client = upgrade(&server);
        next(&upgraded).shutdown(Shutdown::Write).expect("an open connection");
        client.expect_eof();
    }

    fn a_connection_that_was_passed_on_counts_until_it_is_dropped(engine: Engine) {
        let limits: [fn(&mut Settings); 2] = [
            |settings| settings.max_connections = Some(1),
            |settings| settings.max_connections_per_address = Some(1),
        ];
        for limit in limits {
            let (server, upgraded) = collecting(engine, settings_with(|settings| {
                (settings.workers, settings.streaming_threads) = (1, 1);
                limit(settings);
            }));
            let mut client = upgrade(&server);
            let connection = next(&upgraded);
            assert_eq!(server.connect().fetch(get("/")).status, 503);
            client.send("x");
            drop(connection);
            wait_for_room(&server).finish();
        }
    }

    fn a_function_that_panics_closes_its_connection(engine: Engine) {
        let server = InProcessServer::start(engine, settings(), upgrading(|| |_| resume_unwind(Box::new("on purpose"))));
        let mut other = server.connect();
        for _ in 0..3 {
            upgrade(&server).expect_eof();
            check_open(&mut other, "/next");
        }
    }

    /// Timeouts are those of a socket of the standard library.
    fn reads_and_writes_time_out(engine: Engine) {
        let settings = settings_with(|settings| {
            let timeouts = &mut settings.protocol.timeouts;
            (timeouts.idle, timeouts.write_stall) = (Duration::from_millis(600), Duration::from_millis(10));
        });
        let (server, upgraded) = collecting(engine, settings);
        let _client = upgrade(&server);
        let mut connection = next(&upgraded);
        assert_eq!(connection.read(&mut [0]).expect_err("a timeout").kind(), ErrorKind::WouldBlock);
        assert_eq!(connection.write_all(&[0; 20_000_000]).expect_err("a timeout").kind(), ErrorKind::WouldBlock);
        connection.set_read_timeout(Some(Duration::from_millis(1))).expect("a timeout");
        assert_eq!(connection.read(&mut [0]).expect_err("a timeout").kind(), ErrorKind::WouldBlock);
        for set in [Upgraded::set_read_timeout, Upgraded::set_write_timeout] {
            let error = set(&connection, Some(Duration::ZERO)).expect_err("zero");
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            set(&connection, None).expect("no timeout");
        }
    }

    /// The shutdown cancels the token, and waits for the protocol to end.
    fn a_shutdown_gives_the_protocol_its_grace_period(engine: Engine) {
        let (server, upgraded) = collecting(engine, settings());
        let [mut idle, mut busy] = [(); 2].map(|()| upgrade(&server));
        let [mut first, mut second] = [(); 2].map(|()| next(&upgraded));
        if first.client_addr() != idle.stream.local_addr().ok() {
            std::mem::swap(&mut first, &mut second);
        }
        assert!(!first.token().is_cancelled());
        let (cancelled, is_cancelled) = channel();
        first.token().on_cancelled(move || cancelled.send(()).unwrap());
        server.running().stopper().stop(LONG);
        next(&is_cancelled);
        wait_for("a cancelled token", || second.token().is_cancelled().then_some(()));
        first.write_all(b"bye").expect("an open connection");
        drop(first);
        assert_eq!(read_to(&mut idle, "bye"), "bye");
        idle.expect_eof();
        // The other one goes on.
        busy.send("ping");
        let mut bytes = [0; 4];
        second.read_exact(&mut bytes).expect("bytes");
        second.write_all(b"pong").expect("an open connection");
        assert_eq!(read_to(&mut busy, "pong"), "pong");
        assert!(!busy.is_closed());
        drop(second);
        server.running().wait().expect("the server has stopped");
        busy.expect_eof();
    }

    /// After the grace period reads and writes return, whatever their timeouts.
    fn a_shutdown_ends_reads_and_writes_after_the_grace_period(engine: Engine) {
        let (ended, ends) = channel();
        let take = move || {
            let ended = ended.clone();
            move |mut upgraded: Upgraded| {
                upgraded.set_read_timeout(None).expect("no timeout");
                upgraded.set_write_timeout(None).expect("no timeout");
                let mut kind = [0];
                let read = upgraded.read_exact(&mut kind).is_ok();
                let wrote = read && upgraded.write_all(&[b'x'; 20_000_000]).is_ok();
                drop(upgraded);
                let _ = ended.send((read, wrote));
            }
        };
        let server = InProcessServer::start(engine, settings(), upgrading(take));
        let (mut silent, mut unread) = (upgrade(&server), upgrade(&server));
        unread.send("w");
        unread.stream.read_exact(&mut [0]).expect("the function writes");
        drop(server);
        let mut seen = [ends.try_recv().expect("an end"), ends.try_recv().expect("an end")];
        seen.sort_unstable();
        assert_eq!(seen, [(false, false), (true, false)]);
        silent.expect_eof();
    }

    fn an_upgrade_during_the_shutdown_has_a_cancelled_token(engine: Engine) {
        let (responders, held) = channel::<Responder>();
        let server = InProcessServer::start(engine, settings(), move |_: &Request<'_>| {
            let responders = responders.clone();
            Reply::deferred(move |responder| drop(responders.send(responder)))
        });
        let mut client = Client::connect_and_send(server.address, ask("/"));
        let responder = next(&held);
        server.running().stopper().stop(LONG);
        wait_for("closed listeners", || std::net::TcpStream::connect(server.address).is_err().then_some(()));
        let (sender, cancelled) = channel();
        responder.respond(Response::switching_protocols("test").on_upgrade(move |upgraded| {
            let _ = sender.send(upgraded.token().is_cancelled());
        }));
        expect_101(&mut client);
        assert!(next(&cancelled));
        client.expect_eof();
        server.running().wait().expect("the server has stopped");
    }
}
