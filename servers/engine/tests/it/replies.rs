//! Every kind of reply and body on both engines: immediate, delayed, offloaded, deferred, streamed, and none at all.

use crate::{
    client::{Client, TIMEOUT, get, request, wait_for},
    reply::BodyFraming,
    server::{InProcessServer, settings},
};
use http_engine::{
    Body, Chunk, ChunkSource, Engine, Handler, Middleware, Next, Rejected, Reply, Request, Responder,
    Response, Settings, Stack, Status,
};
use std::{
    io, mem, panic,
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

/// Replies in the way that the path names.
fn handle(request: &Request<'_>) -> Reply {
    let text = |text: &'static str| move || Response::text(text);
    match request.path() {
        "/now" => text("now")().into(),
        "/after" => Reply::after(Duration::from_millis(300), text("after")),
        "/offload" => Reply::offload(text("offload")),
        "/deferred" => Reply::Deferred(Box::new(move |responder| {
            thread::spawn(move || responder.respond(text("deferred")()));
        })),
        "/deferred-at-once" => {
            Reply::Deferred(Box::new(move |responder| responder.respond(text("at once")())))
        }
        "/dropped" => Reply::Deferred(Box::new(drop)),
        "/dropped-elsewhere" => Reply::Deferred(Box::new(|responder| {
            thread::spawn(move || drop(responder));
        })),
        "/never" => Reply::Deferred(Box::new(mem::forget)),
        "/too-late" => Reply::after(Duration::from_secs(3600), text("too late")),
        "/panic" => fail(),
        "/panic-after" => Reply::after(Duration::ZERO, || fail()),
        "/panic-offload" => Reply::offload(|| fail()),
        "/panic-deferred" => Reply::Deferred(Box::new(|_| fail())),
        "/stream" => stream(3, Ok(())).into(),
        "/stream-of-nothing" => stream(0, Ok(())).into(),
        "/stream-cut" => stream(3, Err(io::ErrorKind::Other)).into(),
        "/invalid-body" => Response::text(Body::Shared(b"short".as_slice().into(), 0..6)).into(),
        "/no-content" => Response::new(Status::NO_CONTENT).into(),
        "/echo" => Response::bytes(request.body().to_vec()).into(),
        _ => Response::error(Status::NOT_FOUND).into(),
    }
}

/// Panics without a message on standard error: the panic is part of the test.
fn fail() -> ! {
    panic::resume_unwind(Box::new("intended"))
}

fn stream(chunks: u8, end: Result<(), io::ErrorKind>) -> Response {
    Response::text(Body::Stream(Box::new(Chunks { left: chunks, end })))
}

/// Yields chunks of 1000 bytes, then ends or fails.
struct Chunks {
    left: u8,
    end: Result<(), io::ErrorKind>,
}

impl ChunkSource for Chunks {
    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
        let Some(left) = self.left.checked_sub(1) else {
            self.end?;
            return Ok(Chunk::End);
        };
        self.left = left;
        chunk.resize(1000, b'0' + left);
        Ok(Chunk::Data)
    }
}

/// The body that `stream(3, Ok(()))` sends.
fn streamed() -> Vec<u8> {
    [[b'2'; 1000], [b'1'; 1000], [b'0'; 1000]].concat()
}

/// Adds a header to every response of the handler and of the library.
struct Mark;

impl Middleware for Mark {
    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        next.run(request).map(|response| response.with_header("X-Mark", "handled"))
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        let path = rejected.request.map_or("", |request| request.path());
        response.with_header("X-Mark", format!("{} {path}", rejected.reason).trim_end())
    }
}

fn start(engine: Engine) -> InProcessServer {
    InProcessServer::start(engine, settings(), handle)
}

fn start_with_timeout(engine: Engine, handler: impl Handler + 'static) -> InProcessServer {
    let mut settings = settings();
    settings.protocol.timeouts.reply = Duration::from_millis(600);
    InProcessServer::start(engine, settings, handler)
}

/// Requests `path`; expects 200 with `text` on a connection that stays open.
fn check(client: &mut Client, path: &str, text: &str) {
    let reply = client.fetch(get(path));
    assert_eq!((reply.status, &*reply.text(), reply.close), (200, text, false), "{path}");
}

/// Requests `path`; expects `status` on a connection that closes, although another request follows.
fn check_failure(server: &InProcessServer, path: &str, status: u16, retry_after: Option<&str>) {
    let mut client = server.connect();
    client.send(get(path) + &get("/now"));
    let reply = client.reply();
    assert_eq!(
        (reply.status, reply.close, reply.header("Retry-After")),
        (status, true, retry_after),
        "{path}"
    );
    client.expect_eof();
}

fn check_echo(client: &mut Client, fields: &str, sent: &str, content: &str) {
    let reply = client.fetch(request("POST", "/echo", fields) + sent);
    assert_eq!((reply.status, &*reply.text()), (200, content), "{fields}");
}

http_testing::both_engines! {
    fn replies_of_every_kind_arrive_in_order(engine: Engine) {
        let server = start(engine);
        let mut client = server.connect();
        let paths = ["now", "after", "offload", "deferred", "now"];
        for path in paths {
            check(&mut client, &format!("/{path}"), path);
        }
        check(&mut client, "/deferred-at-once", "at once");
        client.send(paths.map(|path| get(&format!("/{path}"))).concat());
        for path in paths {
            assert_eq!(client.reply().text(), path);
        }
        client.finish();
    }

    fn late_responses_fit_head_and_http_1_0(engine: Engine) {
        let server = start(engine);
        for path in ["/after", "/offload", "/deferred"] {
            let mut client = server.connect();
            let head = client.fetch(request("HEAD", path, ""));
            assert_eq!(head.header("Content-Length"), Some((path.len() - 1).to_string().as_str()), "{path}");
            assert_eq!(client.fetch(format!("GET {path} HTTP/1.0\r\n\r\n")).text(), path[1..]);
            client.expect_eof();
        }
    }

    /// One after the other, the delays would take twice as long as the test waits.
    fn delayed_replies_do_not_block_others(engine: Engine) {
        let at_once = 2 * TIMEOUT.as_millis() as usize / 300;
        let settings = Settings { workers: 1, pool_threads: 1, ..settings() };
        let server = InProcessServer::start(engine, settings, handle);
        let mut waiting: Vec<Client> = (0..at_once).map(|_| server.connect()).collect();
        for client in &mut waiting {
            client.send(get("/after"));
        }
        check(&mut server.connect(), "/now", "now");
        for mut client in waiting {
            assert_eq!(client.reply().text(), "after");
            client.finish();
        }
    }

    fn earlier_responses_do_not_wait_for_later_ones(engine: Engine) {
        let (sender, responders) = channel();
        let handle = move |request: &Request<'_>| match request.path() {
            "/held" => {
                let sender = sender.clone();
                Reply::Deferred(Box::new(move |responder| drop(sender.send(responder))))
            }
            path => Response::text(path.to_owned()).into(),
        };
        let server = InProcessServer::start(engine, settings(), handle);
        let mut client = server.connect();
        client.send(get("/first") + &get("/held") + &get("/last"));
        assert_eq!(client.reply().text(), "/first");
        let responder: Responder = responders.recv_timeout(TIMEOUT).expect("the second request arrives");
        responder.respond(Response::text("held"));
        assert_eq!(client.reply().text(), "held");
        assert_eq!(client.reply().text(), "/last");
        client.finish();
    }

    fn a_dropped_responder_becomes_500(engine: Engine) {
        let server = start(engine);
        check_failure(&server, "/dropped", 500, None);
        check_failure(&server, "/dropped-elsewhere", 500, None);
    }

    fn a_reply_after_the_timeout_becomes_503(engine: Engine) {
        let server = start_with_timeout(engine, handle);
        check_failure(&server, "/never", 503, Some("1"));
        check_failure(&server, "/too-late", 503, Some("1"));
        check(&mut server.connect(), "/now", "now");
    }

    /// Its connection has closed, and other connections use the same slots.
    fn a_late_response_never_reaches_another_connection(engine: Engine) {
        let (sender, responders) = channel();
        let mut settings = settings();
        settings.workers = 1;
        let server = InProcessServer::start(engine, settings, move |request: &Request<'_>| match request.path() {
            "/held" => {
                let sender = sender.clone();
                Reply::Deferred(Box::new(move |responder| drop(sender.send(responder))))
            }
            path => Response::text(path.to_owned()).into(),
        });
        let ask = || {
            let mut client = server.connect();
            client.send(get("/held"));
            let responder: Responder = responders.recv_timeout(TIMEOUT).expect("the request arrives");
            (client, responder)
        };
        let (closing, closed): (Vec<Client>, Vec<Responder>) = (0..4).map(|_| ask()).unzip();
        closing.into_iter().for_each(Client::reset);
        // Once these have their responses, the loop has seen the resets.
        for _ in 0..3 {
            check(&mut server.connect(), "/other", "/other");
        }
        let open: Vec<(Client, Responder)> = (0..8).map(|_| ask()).collect();
        closed.into_iter().for_each(|responder| responder.respond(Response::text("too late")));
        check(&mut server.connect(), "/other", "/other");
        for (number, (mut client, responder)) in open.into_iter().enumerate() {
            responder.respond(Response::text(format!("{number}")));
            assert_eq!(client.reply().text(), number.to_string());
            client.finish();
        }
    }

    fn a_response_after_the_timeout_is_dropped(engine: Engine) {
        let (sender, responders) = channel();
        let server = start_with_timeout(engine, move |_: &Request<'_>| {
            let sender = sender.clone();
            Reply::Deferred(Box::new(move |responder| drop(sender.send(responder))))
        });
        let mut client = server.connect();
        client.send(get("/"));
        let responder: Responder = responders.recv_timeout(TIMEOUT).expect("the request arrives");
        assert_eq!(client.reply().status, 503);
        responder.respond(Response::text("too late"));
        client.expect_eof();
    }

    fn a_panic_closes_only_its_own_connection(engine: Engine) {
        let server = start(engine);
        let mut bystander = server.connect();
        for path in ["/panic", "/panic-after", "/panic-offload", "/panic-deferred"] {
            check(&mut bystander, "/now", "now");
            check_failure(&server, path, 500, None);
            check(&mut bystander, "/offload", "offload");
        }
        bystander.finish();
    }

    fn streams_are_chunked_or_end_by_closing(engine: Engine) {
        let server = start(engine);
        let mut client = server.connect();
        for (path, content) in [("/stream", streamed()), ("/stream-of-nothing", Vec::new())] {
            let reply = client.fetch(get(path));
            assert_eq!((reply.status, reply.framing, reply.close), (200, BodyFraming::Chunked, false), "{path}");
            assert!(reply.body == content, "{path}");
            let head = client.fetch(request("HEAD", path, ""));
            assert_eq!((head.status, head.framing), (200, BodyFraming::Chunked), "{path}");
        }
        client.send(get("/stream") + &get("/now"));
        assert!(client.reply().body == streamed());
        assert_eq!(client.reply().text(), "now");
        client.finish();
        let mut client = server.connect();
        let reply = client.fetch("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!((reply.framing, reply.close), (BodyFraming::UntilClose, true));
        assert!(reply.body == streamed());
        client.expect_eof();
    }

    /// RFC 9112 §8: without the last chunk, the client knows that the response is incomplete.
    fn a_failed_stream_ends_without_its_last_chunk(engine: Engine) {
        let server = start(engine);
        let mut client = server.connect();
        client.send(get("/stream-cut"));
        let fault = client.try_reply().expect_err("the last chunk is missing");
        assert!(fault.contains("unfinished line"), "{fault}");
    }

    fn responses_without_a_body_have_none(engine: Engine) {
        let server = start(engine);
        let mut client = server.connect();
        let reply = client.fetch(get("/no-content"));
        assert_eq!((reply.status, reply.framing), (204, BodyFraming::NoBody));
        client.finish();
    }

    fn the_handler_gets_the_decoded_body(engine: Engine) {
        let server = start(engine);
        let mut client = server.connect();
        check_echo(&mut client, "", "", "");
        check_echo(&mut client, "Content-Length: 5\r\n", "hello", "hello");
        let chunked = "Transfer-Encoding: chunked\r\n";
        check_echo(&mut client, chunked, "0\r\n\r\n", "");
        check_echo(
            &mut client,
            chunked,
            "2\r\nhe\r\n00003;a=\"b\"\r\nllo\r\n0\r\nTrailer: x\r\n\r\n",
            "hello",
        );
        let long = "0123456789abcdef".repeat(1 << 16);
        check_echo(&mut client, &format!("Content-Length: {}\r\n", long.len()), &long, &long);
        let chunks = long
            .as_bytes()
            .chunks(1000)
            .map(|chunk| format!("{:X}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).expect("digits")));
        check_echo(&mut client, chunked, &(chunks.collect::<String>() + "0\r\n\r\n"), &long);
        client.finish();
    }

    fn sends_100_continue_when_the_client_waits_for_it(engine: Engine) {
        let server = start(engine);
        let mut client = server.connect();
        for (length, content) in
            [("Content-Length: 5", "hello"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n")]
        {
            client.send(request("POST", "/echo", &format!("{length}\r\nExpect: 100-continue\r\n")));
            client.read_continue();
            client.send(content);
            assert_eq!(client.reply().text(), "hello");
        }
        client.finish();
    }

    fn middleware_sees_every_response(engine: Engine) {
        let server = start_with_timeout(engine, Stack::new(handle).wrap(Mark));
        for (request, status, mark) in [
            (get("/now"), 200, "handled"),
            (get("/offload"), 200, "handled"),
            (get("/deferred"), 200, "handled"),
            (get("/panic-offload"), 500, "the handler panicked"),
            (get("/panic"), 500, "the handler panicked /panic"),
            (get("/dropped"), 500, "the handler panicked"),
            (get("/invalid-body"), 500, "the handler's response is invalid /invalid-body"),
            (get("/never"), 503, "the handler did not reply in time"),
            ("garbage\r\n\r\n".to_owned(), 400, "malformed method"),
            (request("POST", "/echo", "Content-Length: 9999999\r\n"), 413, "body too large /echo"),
        ] {
            let reply = server.connect().fetch(&request);
            // After a late failure the blocking engine still has the request; the event loop does not.
            let marked = reply.header("X-Mark").is_some_and(|seen| seen.starts_with(mark));
            assert!(reply.status == status && marked, "{request}: {reply:?}");
        }
    }
}

/// Its replies complete at once, so that its next request can be served at once, too. Another client must not wait for all of
/// them. The loop is held within a series of such replies, until the other client's request has arrived.
#[test]
fn a_client_whose_replies_complete_at_once_does_not_delay_others() {
    const FIRST: usize = 50;
    const REST: usize = 300;
    let ((seen_sender, seen), (entered, has_entered)) = (channel(), channel());
    let (release, released) = channel::<()>();
    let released = std::sync::Mutex::new(released);
    let settings = Settings { workers: 1, ..settings() };
    let server = InProcessServer::start(Engine::EventLoop, settings, move |request: &Request<'_>| {
        seen_sender.send(request.path().to_owned()).expect("the test still runs");
        if request.path() == "/hold" {
            entered.send(()).expect("the test still runs");
            released.lock().expect("no panic").recv_timeout(TIMEOUT).expect("the test releases it");
        }
        Reply::Deferred(Box::new(|responder| responder.respond(Response::text("done"))))
    });
    let (mut greedy, mut other) = (server.connect(), server.connect());
    assert_eq!(other.fetch(get("/other")).text(), "done");
    greedy.send(get("/greedy").repeat(FIRST) + &get("/hold") + &get("/greedy").repeat(REST));
    has_entered.recv_timeout(TIMEOUT).expect("the request arrives");
    other.send(get("/other"));
    release.send(()).expect("the handler waits");
    assert_eq!(other.reply().text(), "done");
    let before = seen.iter().skip(1 + FIRST + 1).position(|path| path == "/other").expect("it was served");
    assert!(before < REST / 2, "after {before} requests of the greedy client");
}

/// The blocking engine has no such queue: it starts a thread for each job.
#[test]
fn a_full_pool_queue_becomes_503_on_the_event_loop() {
    let (started, has_started) = channel();
    let (handled, was_handled) = channel();
    let (release, released) = channel::<()>();
    let released = std::sync::Arc::new(std::sync::Mutex::new(released));
    let handler = move |_: &Request<'_>| {
        let (started, released) = (started.clone(), released.clone());
        handled.send(()).expect("the test still runs");
        Reply::offload(move || {
            started.send(()).expect("the test still runs");
            let released: &Receiver<()> = &released.lock().expect("no panic");
            released.recv_timeout(TIMEOUT).expect("the test releases it");
            Response::text("done")
        })
    };
    let settings = Settings { workers: 1, pool_threads: 1, pool_queue: 1, ..settings() };
    let server = InProcessServer::start(Engine::EventLoop, settings, handler);
    let [mut working, mut queued, mut rejected] = [(); 3].map(|()| server.connect());
    working.send(get("/"));
    has_started.recv_timeout(TIMEOUT).expect("the first job occupies the thread");
    queued.send(get("/"));
    was_handled.recv_timeout(TIMEOUT).expect("the first request was handled");
    was_handled.recv_timeout(TIMEOUT).expect("the second request was handled: its job is queued first");
    let reply = rejected.fetch(get("/"));
    assert_eq!((reply.status, reply.header("Retry-After"), reply.close), (503, Some("1"), true));
    for client in [&mut working, &mut queued] {
        release.send(()).expect("a job waits");
        assert_eq!(client.reply().text(), "done");
    }
    // The queue has room again.
    release.send(()).expect("a job will wait");
    wait_for("room in the queue", || (server.connect().fetch(get("/")).status == 200).then_some(()));
}
