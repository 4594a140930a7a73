//! Every way in which an application may answer, on both engines: now, later, from elsewhere, in pieces, or never.

use crate::{
    client::{Client, PATIENCE, get, request, until},
    reply::{Asked, Framed},
    server::{Threads, settings},
};
use http_engine::{
    Body, ChunkSource, Handler, Middleware, Next, Rejected, Reply, Request, Responder, Response, Stack,
    Status,
};
use http_engine::{Engine, Settings};
use std::{
    io, mem, panic,
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

/// An application that answers as its paths say.
fn app(request: &Request<'_>) -> Reply {
    let text = |text: &'static str| move || Response::text(text);
    match request.path() {
        "/now" => text("now")().into(),
        "/after" => Reply::After(Duration::from_millis(300), Box::new(text("after"))),
        "/offload" => Reply::Offload(Box::new(text("offload"))),
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
        "/too-late" => Reply::After(Duration::from_secs(3600), Box::new(text("too late"))),
        "/panic" => fail(),
        "/panic-after" => Reply::After(Duration::ZERO, Box::new(|| fail())),
        "/panic-offload" => Reply::Offload(Box::new(|| fail())),
        "/panic-deferred" => Reply::Deferred(Box::new(|_| fail())),
        "/stream" => stream(3, Ok(())).into(),
        "/stream-of-nothing" => stream(0, Ok(())).into(),
        "/stream-cut" => stream(3, Err(io::ErrorKind::Other)).into(),
        "/no-content" => Response::new(Status::NO_CONTENT).into(),
        "/injected" => Response::text("x").header("X", "a\r\nSet-Cookie: b").into(),
        "/echo" => Response::bytes(request.body().to_vec()).into(),
        _ => Response::error(Status::NOT_FOUND).into(),
    }
}

/// Panics without a report: this one is meant.
fn fail() -> ! {
    panic::resume_unwind(Box::new("meant"))
}

fn stream(pieces: u8, end: Result<(), io::ErrorKind>) -> Response {
    Response::text(Body::Stream(Box::new(Pieces { left: pieces, end })))
}

/// Pieces of 1000 bytes, and then an end or an error.
struct Pieces {
    left: u8,
    end: Result<(), io::ErrorKind>,
}

impl ChunkSource for Pieces {
    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<()> {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                chunk.resize(1000, b'0' + left);
            }
            None => self.end?,
        }
        Ok(())
    }
}

/// What `stream` sends.
fn pieces() -> Vec<u8> {
    [[b'2'; 1000], [b'1'; 1000], [b'0'; 1000]].concat()
}

/// Sets a field on every answer, whoever it is from.
struct Mark;

impl Middleware for Mark {
    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        next.run(request).map(|response| response.header("X-Mark", "handled"))
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        let path = rejected.request.map_or("", |request| request.path());
        response.header("X-Mark", format!("{} {path}", rejected.why).trim_end())
    }
}

fn start(engine: Engine) -> Threads {
    Threads::start(engine, settings(), app)
}

fn start_impatient(engine: Engine, app: impl Handler + 'static) -> Threads {
    let mut settings = settings();
    settings.protocol.timeouts.answer = Duration::from_millis(600);
    Threads::start(engine, settings, app)
}

/// A path and what answers it, with the connection going on.
fn check(client: &mut Client, path: &str, text: &str) {
    let reply = client.ask(get(path));
    assert_eq!((reply.status, &*reply.text(), reply.close), (200, text, false), "{path}");
}

/// A path whose answer is an error and the last of its connection.
fn check_failure(server: &Threads, path: &str, status: u16, retry_after: Option<&str>) {
    let mut client = server.connect();
    client.send(get(path) + &get("/now"));
    let reply = client.reply(Asked::Http11);
    assert_eq!(
        (reply.status, reply.close, reply.field("Retry-After")),
        (status, true, retry_after),
        "{path}"
    );
    client.ends();
}

fn check_echo(client: &mut Client, fields: &str, sent: &str, content: &str) {
    let reply = client.ask(request("POST", "/echo", fields) + sent);
    assert_eq!((reply.status, &*reply.text()), (200, content), "{fields}");
}

http_testing::both_engines! {
    fn answers_come_now_or_later_and_in_order(engine: Engine) {
        let server = start(engine);
        let mut client = server.connect();
        let paths = ["now", "after", "offload", "deferred", "now"];
        for path in paths {
            check(&mut client, &format!("/{path}"), path);
        }
        check(&mut client, "/deferred-at-once", "at once");
        client.send(paths.map(|path| get(&format!("/{path}"))).concat());
        for path in paths {
            assert_eq!(client.reply(Asked::Http11).text(), path);
        }
        client.finish();
    }

    fn later_answers_to_head_and_old_clients(engine: Engine) {
        let server = start(engine);
        for path in ["/after", "/offload", "/deferred"] {
            let mut client = server.connect();
            let head = client.ask(request("HEAD", path, ""));
            assert_eq!(head.field("Content-Length"), Some((path.len() - 1).to_string().as_str()), "{path}");
            assert_eq!(client.ask(format!("GET {path} HTTP/1.0\r\n\r\n")).text(), path[1..]);
            client.ends();
        }
    }

    /// One after the other they would take twice as long as anybody here waits.
    fn waits_hold_nobody_up(engine: Engine) {
        let at_once = 2 * PATIENCE.as_millis() as usize / 300;
        let settings = Settings { workers: 1, pool_threads: 1, ..settings() };
        let server = Threads::start(engine, settings, app);
        let mut waiting: Vec<Client> = (0..at_once).map(|_| server.connect()).collect();
        for client in &mut waiting {
            client.send(get("/after"));
        }
        check(&mut server.connect(), "/now", "now");
        for mut client in waiting {
            assert_eq!(client.reply(Asked::Http11).text(), "after");
            client.finish();
        }
    }

    /// What is in front of an answer that takes its time does not wait for it.
    fn earlier_answers_do_not_wait_for_later_ones(engine: Engine) {
        let (sender, responders) = channel();
        let app = move |request: &Request<'_>| match request.path() {
            "/held" => {
                let sender = sender.clone();
                Reply::Deferred(Box::new(move |responder| drop(sender.send(responder))))
            }
            path => Response::text(path.to_owned()).into(),
        };
        let server = Threads::start(engine, settings(), app);
        let mut client = server.connect();
        client.send(get("/first") + &get("/held") + &get("/last"));
        assert_eq!(client.reply(Asked::Http11).text(), "/first");
        let responder: Responder = responders.recv_timeout(PATIENCE).expect("the second is asked for");
        responder.respond(Response::text("held"));
        assert_eq!(client.reply(Asked::Http11).text(), "held");
        assert_eq!(client.reply(Asked::Http11).text(), "/last");
        client.finish();
    }

    fn a_responder_that_is_dropped_is_a_500(engine: Engine) {
        let server = start(engine);
        check_failure(&server, "/dropped", 500, None);
        check_failure(&server, "/dropped-elsewhere", 500, None);
    }

    fn an_answer_that_never_comes_is_a_503(engine: Engine) {
        let server = start_impatient(engine, app);
        check_failure(&server, "/never", 503, Some("1"));
        check_failure(&server, "/too-late", 503, Some("1"));
        check(&mut server.connect(), "/now", "now");
    }

    /// It comes when its connection has ended and others have taken the place: nobody gets it.
    fn an_answer_that_comes_too_late_reaches_nobody(engine: Engine) {
        let (sender, responders) = channel();
        let mut settings = settings();
        settings.workers = 1;
        let server = Threads::start(engine, settings, move |request: &Request<'_>| match request.path() {
            "/held" => {
                let sender = sender.clone();
                Reply::Deferred(Box::new(move |responder| drop(sender.send(responder))))
            }
            path => Response::text(path.to_owned()).into(),
        });
        let ask = || {
            let mut client = server.connect();
            client.send(get("/held"));
            let responder: Responder = responders.recv_timeout(PATIENCE).expect("it is asked for");
            (client, responder)
        };
        let (going, gone): (Vec<Client>, Vec<Responder>) = (0..4).map(|_| ask()).unzip();
        going.into_iter().for_each(Client::reset);
        // Once others have been answered, the loop has been round and knows it.
        for _ in 0..3 {
            check(&mut server.connect(), "/other", "/other");
        }
        let here: Vec<(Client, Responder)> = (0..8).map(|_| ask()).collect();
        gone.into_iter().for_each(|responder| responder.respond(Response::text("too late")));
        check(&mut server.connect(), "/other", "/other");
        for (number, (mut client, responder)) in here.into_iter().enumerate() {
            responder.respond(Response::text(format!("{number}")));
            assert_eq!(client.reply(Asked::Http11).text(), number.to_string());
            client.finish();
        }
    }

    fn an_answer_to_what_has_been_given_up_is_dropped(engine: Engine) {
        let (sender, responders) = channel();
        let server = start_impatient(engine, move |_: &Request<'_>| {
            let sender = sender.clone();
            Reply::Deferred(Box::new(move |responder| drop(sender.send(responder))))
        });
        let mut client = server.connect();
        client.send(get("/"));
        let responder: Responder = responders.recv_timeout(PATIENCE).expect("it is asked for");
        assert_eq!(client.reply(Asked::Http11).status, 503);
        responder.respond(Response::text("too late"));
        client.ends();
    }

    fn a_panic_costs_its_own_connection_and_no_other(engine: Engine) {
        let server = start(engine);
        let mut bystander = server.connect();
        for path in ["/panic", "/panic-after", "/panic-offload", "/panic-deferred"] {
            check(&mut bystander, "/now", "now");
            check_failure(&server, path, 500, None);
            check(&mut bystander, "/offload", "offload");
        }
        bystander.finish();
    }

    fn streams_are_chunked_or_end_with_the_connection(engine: Engine) {
        let server = start(engine);
        let mut client = server.connect();
        for (path, content) in [("/stream", pieces()), ("/stream-of-nothing", Vec::new())] {
            let reply = client.ask(get(path));
            assert_eq!((reply.status, reply.framed, reply.close), (200, Framed::Chunked, false), "{path}");
            assert!(reply.content == content, "{path}");
            let head = client.ask(request("HEAD", path, ""));
            assert_eq!((head.status, head.framed), (200, Framed::Chunked), "{path}");
        }
        client.send(get("/stream") + &get("/now"));
        assert!(client.reply(Asked::Http11).content == pieces());
        assert_eq!(client.reply(Asked::Http11).text(), "now");
        client.finish();
        let mut client = server.connect();
        let reply = client.ask("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!((reply.framed, reply.close), (Framed::UntilClose, true));
        assert!(reply.content == pieces());
        client.ends();
    }

    /// RFC 9112 §8: without its last chunk, an answer is known to be incomplete.
    fn a_stream_that_fails_is_seen_to_be_cut(engine: Engine) {
        let server = start(engine);
        let mut client = server.connect();
        client.send(get("/stream-cut"));
        let fault = client.try_reply(Asked::Http11).expect_err("it has no end");
        assert!(fault.contains("unfinished line"), "{fault}");
    }

    fn answers_without_content_have_none(engine: Engine) {
        let server = start(engine);
        let mut client = server.connect();
        let reply = client.ask(get("/no-content"));
        assert_eq!((reply.status, reply.framed), (204, Framed::Never));
        let reply = client.ask(get("/injected"));
        assert_eq!((reply.status, reply.field("Set-Cookie")), (500, None));
        client.finish();
    }

    fn content_is_handed_over_decoded(engine: Engine) {
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

    fn content_may_wait_for_leave_to_come(engine: Engine) {
        let server = start(engine);
        let mut client = server.connect();
        for (length, content) in
            [("Content-Length: 5", "hello"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n")]
        {
            client.send(request("POST", "/echo", &format!("{length}\r\nExpect: 100-continue\r\n")));
            client.await_continue();
            client.send(content);
            assert_eq!(client.reply(Asked::Http11).text(), "hello");
        }
        client.finish();
    }

    fn middleware_sees_every_answer(engine: Engine) {
        let server = start_impatient(engine, Stack::new(app).wrapped_in(Mark));
        for (request, status, mark) in [
            (get("/now"), 200, "handled"),
            (get("/offload"), 200, "handled"),
            (get("/deferred"), 200, "handled"),
            (get("/panic-offload"), 500, "the handler panicked"),
            (get("/panic"), 500, "the handler panicked /panic"),
            (get("/dropped"), 500, "the handler panicked"),
            (get("/never"), 503, "the answer was not ready in time"),
            ("garbage\r\n\r\n".to_owned(), 400, "malformed method"),
            (request("POST", "/echo", "Content-Length: 9999999\r\n"), 413, "content too large /echo"),
        ] {
            let reply = server.connect().ask(&request);
            // Of a handler that fails later, one engine still has the request and the other has not.
            let marked = reply.field("X-Mark").is_some_and(|seen| seen.starts_with(mark));
            assert!(reply.status == status && marked, "{request}: {reply:?}");
        }
    }
}

/// The blocking engine has no such queue: it does the work where it is.
#[test]
fn on_the_event_loop_alone_a_full_queue_for_offloaded_work_is_a_503() {
    let (started, has_started) = channel();
    let (handled, was_handled) = channel();
    let (release, released) = channel::<()>();
    let released = std::sync::Arc::new(std::sync::Mutex::new(released));
    let app = move |_: &Request<'_>| {
        let (started, released) = (started.clone(), released.clone());
        handled.send(()).expect("the test goes on");
        Reply::Offload(Box::new(move || {
            started.send(()).expect("the test goes on");
            let released: &Receiver<()> = &released.lock().expect("no panic");
            released.recv_timeout(PATIENCE).expect("the test lets it go");
            Response::text("done")
        }))
    };
    let settings = Settings { workers: 1, pool_threads: 1, pool_queue: 1, ..settings() };
    let server = Threads::start(Engine::EventLoop, settings, app);
    let [mut working, mut queued, mut refused] = [(); 3].map(|()| server.connect());
    working.send(get("/"));
    has_started.recv_timeout(PATIENCE).expect("the first occupies the thread");
    queued.send(get("/"));
    was_handled.recv_timeout(PATIENCE).expect("the first was seen");
    was_handled.recv_timeout(PATIENCE).expect("the second was seen, and is queued before another is");
    let reply = refused.ask(get("/"));
    assert_eq!((reply.status, reply.field("Retry-After"), reply.close), (503, Some("1"), true));
    for client in [&mut working, &mut queued] {
        release.send(()).expect("somebody waits");
        assert_eq!(client.reply(Asked::Http11).text(), "done");
    }
    // And there is room again.
    release.send(()).expect("somebody will wait");
    until("room in the queue", || (server.connect().ask(get("/")).status == 200).then_some(()));
}
