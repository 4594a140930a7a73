//! `TestRequest` passes requests to a handler as an engine does, whatever the handler replies.

use http_core::{
    Admit, Body, BodySender, Buffers, CancellationToken, Chunk, ChunkSource, Config, ConfigError, Connection,
    FileSlice, Handler, HeaderError, Headers, IntoReply, IntoResponse, Limits, Method, Misuse, OwnedRequest,
    ParseError, Rejected, Rejection, Reply, Request, Responder, Response, RouteError, Router, SendError,
    Sink, Stack, Status, Upgraded,
    client::{RequestError, ResponseError},
    form::FormError,
    multipart::{MultipartError, ReadError},
    testing::{ReceiveError, TestRequest},
};
use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    net::Shutdown,
    panic::resume_unwind,
    sync::{Arc, Mutex},
    task::Waker,
    thread,
    time::{Duration, Instant},
};

/// A handler with a path for every kind of reply and of body.
struct Kinds;

impl Handler for Kinds {
    fn admit(&self, head: &Request<'_>) -> Admit {
        match head.path() {
            "/at-head" => Admit::AtHead,
            "/push" | "/push-twice" | "/read" => Admit::AtHead,
            "/read-little" => Admit::AtHeadUpTo(3),
            "/admit-panics" => resume_unwind(Box::new("on purpose")),
            _ => Admit::Buffer,
        }
    }

    fn handle(&self, request: &Request<'_>) -> Reply {
        let text = |text: &'static str| Response::text(text);
        let stream = |script: &'static str| {
            let source = Script { results: script.split(' '), waker: None };
            Response::new(Status::OK).with_body(Body::Stream(Box::new(source))).into()
        };
        match request.path() {
            "/echo" | "/at-head" => Response::text(request.body().to_vec()).into(),
            "/client" => Response::text(format!("{:?}", request.client_addr())).into(),
            "/after" => Reply::after(Duration::from_secs(3_600), move || text("after")),
            "/offload" => {
                Reply::offload_with(move |token| text(if token.is_cancelled() { "?" } else { "offload" }))
            }
            "/deferred" => Reply::deferred(move |responder| responder.respond(text("deferred"))),
            "/thread" => Reply::deferred(move |responder| {
                thread::spawn(move || responder.respond(text("thread")));
            }),
            "/dropped" => Reply::deferred(drop),
            "/kept" => Reply::deferred(|responder| KEPT.lock().expect("no panic").push(responder)),
            "/panics" => resume_unwind(Box::new("on purpose")),
            "/offload-panics" => Reply::offload(|| -> Response { resume_unwind(Box::new("on purpose")) }),
            "/deferred-panics" => Reply::deferred(|_| resume_unwind(Box::new("on purpose"))),
            "/interim" => Response::new(Status::new(103)).into(),
            "/file" => Response::text(file(1, 7)).into(),
            "/short-file" => Response::text(file(0, 1 << 30)).into(),
            "/parts" => Response::text(Body::Parts(vec!["one ".into(), "two".into()])).into(),
            "/stream" => stream("one two three."),
            "/stream-file" => stream("one 1+7 two? 2+3 ."),
            "/stream-short-file" => stream("one 0+1073741824 ."),
            "/pending" => stream("one? two? ."),
            "/silent" => stream("one? #"),
            "/deaf" => stream("one? -"),
            "/broken" => stream("one !"),
            "/stream-panics" => stream("one panic"),
            "/push" | "/push-buffered" => Reply::receive(Pieces::default()),
            "/push-twice" => {
                Reply::receive(Pieces { then: Some(Box::new(Pieces::default())), ..Pieces::default() })
            }
            "/read" | "/read-buffered" | "/read-little" => Reply::read(|mut content| {
                let mut text = format!("{:?} ", content.content_length());
                match content.read_to_string(&mut text) {
                    Ok(_) => text,
                    Err(error) => {
                        FAILED.lock().expect("no panic").push(format!("{text} {:?}", error.kind()));
                        text
                    }
                }
            }),
            "/upgrade" => Reply::upgrade(Response::switching_protocols("lines"), talk),
            "/reader" => Response::text(Body::reader(&b"read"[..], None)).into(),
            "/known-reader" => Response::text(Body::reader(&b"read"[..], Some(4))).into(),
            "/short-reader" => Response::text(Body::reader(&b"read"[..], Some(5))).into(),
            "/channel" => channel(|sender| {
                let mut trailers = Headers::default();
                trailers.append("Sum", "3").expect("a valid header");
                sender.finish_with(trailers);
            }),
            "/dropped-channel" => channel(drop),
            _ => Response::error(Status::NOT_FOUND).into(),
        }
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        if rejected.reason == Rejection::TargetNotEncoded {
            resume_unwind(Box::new("on purpose"));
        }
        response.with_header("Rejected", rejected.reason.to_string())
    }
}

/// Responders that are never dropped while the tests run.
static KEPT: Mutex<Vec<Responder>> = Mutex::new(Vec::new());

/// What the jobs of `/read` have read when the content remained incomplete, and why.
static FAILED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Responds with the pieces of the content, separated by `|`. Wants no more after `stop`, and panics at `panic`.
/// Responds to `stream` with a body that ends when the sink is dropped.
#[derive(Default)]
struct Pieces {
    text: String,
    /// The sink that the reply to the content is.
    then: Option<Box<dyn Sink>>,
    sender: Option<BodySender>,
}

impl Sink for Pieces {
    fn write(&mut self, data: &[u8]) -> Result<(), Response> {
        match data {
            b"stop" => return Err(Response::text("no more").with_status(Status::CONTENT_TOO_LARGE)),
            b"stream" => {
                let (sender, body) = Body::channel(4);
                self.sender = Some(sender);
                return Err(Response::text(body));
            }
            b"panic" => resume_unwind(Box::new("on purpose")),
            _ => self.text += &format!("{}|", data.escape_ascii()),
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Reply {
        assert!(self.text != "end|", "on purpose");
        match self.then {
            Some(sink) => Reply::Receive(sink),
            None => Reply::offload(|| self.text),
        }
    }
}

/// Returns a response whose body another thread sends, by more than the channel can hold, and then ends with `end`.
fn channel(end: fn(BodySender)) -> Reply {
    let (sender, body) = Body::channel(4);
    thread::spawn(move || {
        for text in ["one", "two", "three"] {
            // A response to HEAD has no body.
            if sender.send(text, Duration::from_secs(10)).is_err() {
                return;
            }
        }
        end(sender);
    });
    Response::text(body).into()
}

/// Returns a part of this crate's manifest, which begins with `[package]`.
fn file(offset: u64, len: u64) -> FileSlice {
    let file =
        Arc::new(File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).expect("the manifest"));
    FileSlice { file, offset, len }
}

/// A source whose calls return the words of a text in order. After a word with `?` at its end, the source waits. A word
/// with `.` at its end is the last one. `1+7` is the 7 bytes of a file from offset 1 on. `#` keeps the waker and never
/// calls it, `-` drops it; `!` is an error.
struct Script {
    results: std::str::Split<'static, char>,
    waker: Option<Waker>,
}

impl ChunkSource for Script {
    fn start(&mut self, waker: Waker) {
        self.waker = Some(waker);
    }

    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
        let word = self.results.next().unwrap_or("#");
        if let Some((offset, len)) = word.split_once('+') {
            let number = |text: &str| text.parse().expect("a number");
            return Ok(Chunk::File(file(number(offset), number(len))));
        }
        match word {
            "!" => return Err(io::Error::other("the disk is on fire")),
            "panic" => resume_unwind(Box::new("on purpose")),
            "#" => return Ok(Chunk::Pending),
            "-" => {
                self.waker = None;
                return Ok(Chunk::Pending);
            }
            _ => chunk.extend_from_slice(word.trim_end_matches(['.', '?']).as_bytes()),
        }
        if word.ends_with('?') {
            let waker = self.waker.clone().expect("a waker");
            thread::spawn(move || waker.wake());
            return Ok(Chunk::Pending);
        }
        Ok(if word.ends_with('.') { Chunk::End } else { Chunk::Data })
    }
}

/// A source that asks so many times to be called again at once, and then sends one byte.
struct Resumed(u8);

impl ChunkSource for Resumed {
    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
        if self.0 > 0 {
            self.0 -= 1;
            return Ok(Chunk::Pending);
        }
        chunk.push(b'x');
        Ok(Chunk::End)
    }

    fn resume_at(&self) -> Option<Instant> {
        Some(Instant::now())
    }
}

/// Returns [`Kinds`] behind pointers, which are handlers too.
fn kinds() -> Box<dyn Handler> {
    Box::new(Arc::new(Kinds))
}

/// Passes a request to [`Kinds`]. Expects the status, then either the body, or why it is incomplete in brackets, or why
/// the request was rejected in braces.
fn check(request: &TestRequest, expected: &str) {
    let response = request.run(&kinds());
    let text = match (response.header("Rejected"), response.error()) {
        (Some(_), _) if response.misuse().is_some() => format!("{{{:?}}}", response.misuse()),
        (Some(reason), _) => format!("{{{}}}", reason.escape_ascii()),
        (None, Some(error)) => format!("{}[{error}]", response.text()),
        (None, None) => response.text().to_owned(),
    };
    assert_eq!(format!("{} {text}", response.status().code()), expected, "{request:?}");
}

#[test]
fn resolves_every_kind_of_reply() {
    for (path, expected) in [
        ("/echo", "200 "),
        ("/after", "200 after"),
        ("/offload", "200 offload"),
        ("/deferred", "200 deferred"),
        ("/thread", "200 thread"),
        ("/dropped", "500 {the handler panicked}"),
        ("/panics", "500 {the handler panicked}"),
        ("/offload-panics", "500 {the handler panicked}"),
        ("/deferred-panics", "500 {the handler panicked}"),
        ("/interim", "500 {Some(InterimStatus(Status(103)))}"),
    ] {
        check(&TestRequest::get(path), expected);
    }
    check(&TestRequest::get("/kept").timeout(Duration::ZERO), "503 {the handler did not reply in time}");
    let is_closed = KEPT.lock().expect("no panic").drain(..).all(|responder| responder.is_closed());
    assert!(is_closed, "the responder was not told that its response is not wanted");
}

#[test]
fn collects_every_kind_of_body() {
    for (path, expected) in [
        ("/file", "200 package"),
        ("/short-file", "200 [failed to fill whole buffer]"),
        ("/parts", "200 one two"),
        ("/stream", "200 onetwothree"),
        ("/stream-file", "200 onepackagetwoack"),
        ("/stream-short-file", "200 one[failed to fill whole buffer]"),
        ("/pending", "200 onetwo"),
        ("/reader", "200 read"),
        ("/known-reader", "200 read"),
        ("/short-reader", "200 read[the body ends 1 bytes before its stated length]"),
        ("/channel", "200 onetwothree"),
        ("/dropped-channel", "200 onetwothree[its sender was dropped before the end of the body]"),
        ("/deaf", "200 one[the source of the stream is pending, and has dropped its waker]"),
        ("/broken", "200 one[the disk is on fire]"),
        ("/stream-panics", "200 one[the application's code panicked]"),
    ] {
        check(&TestRequest::get(path), expected);
        check(&TestRequest::get(path).http10(), expected);
        let status = TestRequest::head(path).run(&kinds());
        assert_eq!((status.status(), status.body()), (Status::OK, &b""[..]), "HEAD {path}");
    }
    let large = |_: &Request<'_>| Response::text(Body::reader(io::repeat(b'x').take(2 << 20), None));
    assert_eq!(TestRequest::get("/").run(&large).body().len(), 2 << 20);
    let response = TestRequest::get("/channel").run(&kinds());
    assert_eq!(response.trailers().get("sum"), Some(&b"3"[..]));
    let response = TestRequest::get("/known-reader").run(&kinds());
    assert_eq!(response.header("Content-Length"), Some(&b"4"[..]));
    for (bytes, expected) in [(3, "200 one["), (4, "200 onetwo["), (11, "200 onetwothree")] {
        let expected = match expected.strip_suffix('[') {
            Some(text) => format!("{text}[the client has left after {bytes} bytes of the body]"),
            None => expected.to_owned(),
        };
        check(&TestRequest::get("/stream").leave_after(bytes), &expected);
    }
    let resumed = |_: &Request<'_>| Response::text(Body::Stream(Box::new(Resumed(2))));
    assert_eq!(TestRequest::get("/").timeout(Duration::ZERO).run(&resumed).text(), "x");
    let silent = TestRequest::get("/silent").timeout(Duration::from_millis(1));
    check(&silent, "200 one[the source of the stream did not call its waker within 1ms]");
}

#[test]
fn content_arrives_whole_or_in_chunks() {
    let post = || TestRequest::post("/echo");
    check(&post().body("content"), "200 content");
    check(&post().body(""), "200 ");
    check(&post().chunks(["one ", "", "two"]), "200 one two");
    check(&post().chunks([[b'x'; 40_000]; 5]), &format!("200 {}", "x".repeat(200_000)));
    check(&post().header("Transfer-Encoding", "chunked").chunks(["content"]), "200 content");
    check(&TestRequest::put("/at-head").body("content"), "200 ");
    check(&TestRequest::put("/at-head").chunks(["content"]), "200 ");
    check(&TestRequest::put("/admit-panics").body("content"), "500 {the handler panicked}");
    for (path, is_continued) in [("/echo", true), ("/at-head", false)] {
        let response = TestRequest::post(path).header("Expect", "100-continue").body("content").run(&kinds());
        assert_eq!((response.status(), response.is_continued()), (Status::OK, is_continued), "{path}");
    }
}

#[test]
fn an_admit_is_a_middleware() {
    let echo = |request: &Request<'_>| Response::text(request.body().to_vec());
    let router =
        Router::builder().route(Method::Put, "/", echo).wrap(Admit::AtHead).build().expect("a router");
    assert_eq!(TestRequest::put("/").body("content").run(&router).text(), "");
}

#[test]
fn content_is_not_decompressed() {
    for content in ["\x1f\x08 a bomb", "not gzip"] {
        for coding in ["gzip", "br, gzip", "unknown"] {
            let post = TestRequest::post("/echo").header("Content-Encoding", coding);
            check(&post.body(content), &format!("200 {content}"));
        }
    }
}

#[test]
fn content_is_pushed_and_read_as_it_comes() {
    let post = TestRequest::post;
    check(&post("/push").chunks(["one", "two"]), "200 one|two|");
    check(&post("/push").body("content"), "200 content|");
    check(&post("/push-buffered").chunks(["one", "two"]), "200 onetwo|");
    for path in ["/push", "/push-buffered"] {
        check(&post(path), "200 ");
        check(&post(path).body(""), "200 ");
        check(&post(path).chunks(["stop"]), "413 no more");
        check(&post(path).chunks(["panic"]), "500 {the handler panicked}");
        check(&post(path).body("stream"), "200 [its sender was dropped before the end of the body]");
        check(&post(path).body("end"), "500 {the handler panicked}");
    }
    check(&post("/push").chunks(["one", "stop", "two"]), "413 no more");
    check(&post("/push-twice").chunks(["one"]), "200 ");
    check(&post("/read").body("content"), "200 Some(7) content");
    check(&post("/read").chunks(["con", "tent"]), "200 None content");
    check(&post("/read-buffered").body("content"), "200 Some(7) content");
    check(&post("/read-buffered").chunks(["con", "tent"]), "200 Some(7) content");
    check(&post("/read"), "200 Some(0) ");
    let incomplete = |path| post(path).header("Content-Length", "8").body("content");
    for path in ["/push", "/read"] {
        check(&incomplete(path), "408 {the request did not arrive in time}");
        let malformed = post(path).header("Transfer-Encoding", "chunked").body("7\r\ncontent\r\nx");
        check(&malformed, "400 {malformed chunk}");
    }
    check(&post("/read-little").chunks(["con", "tent"]), "413 {body too large}");
    let mut failed = FAILED.lock().expect("no panic");
    failed.sort();
    assert_eq!(*failed, ["None  InvalidData", "None con InvalidData", "Some(8) content TimedOut"]);
    let response = post("/push").header("Expect", "100-continue").body("content").run(&kinds());
    assert!(response.is_continued(), "{response:?}");
}

/// Reads lines from an upgraded connection, and replies to each.
fn talk(upgraded: Upgraded) {
    let mut writer = upgraded.try_clone().expect("a clone");
    for line in BufReader::new(upgraded).lines() {
        match line.expect("a line").as_str() {
            "panic" => resume_unwind(Box::new("on purpose")),
            "thread" => {
                let mut writer = writer.try_clone().expect("a clone");
                thread::spawn(move || writeln!(writer, "from a thread"));
            }
            "keep" => KEPT_CONNECTIONS.lock().expect("no panic").push(writer.try_clone().expect("a clone")),
            "shut down" => {
                writer.shutdown(Shutdown::Both).expect("a connection");
                assert!(writer.write(b"too late").is_err());
                assert!(writer.set_read_timeout(Some(Duration::ZERO)).is_err());
                assert!(writer.set_write_timeout(Some(Duration::ZERO)).is_err());
            }
            line => writeln!(writer, "received {line}").expect("a client"),
        }
    }
}

/// Upgraded connections that are never dropped while the tests run.
static KEPT_CONNECTIONS: Mutex<Vec<Upgraded>> = Mutex::new(Vec::new());

#[test]
fn an_upgraded_connection_belongs_to_the_application() {
    let get = |data: &str| TestRequest::get("/upgrade").upgrade("lines", data);
    check(&get(""), "101 ");
    check(&get("one\ntwo\n"), "101 received one\nreceived two\n");
    check(&get("one\nthread\n"), "101 received one\nfrom a thread\n");
    check(&get("one\nshut down\n"), "101 received one\n");
    check(&get("one\npanic\n"), "101 received one\n[the application's code panicked]");
    check(
        &get("keep\n").timeout(Duration::ZERO),
        "101 [the application did not drop the upgraded connection within 0ns]",
    );
    let response = get("").run(&kinds());
    assert_eq!(response.header("Upgrade"), Some(&b"lines"[..]), "{response:?}");
    let other = TestRequest::get("/upgrade").upgrade("other", "").run(&kinds());
    assert_eq!(other.misuse(), Some(&Misuse::UpgradeNotRequested), "{other:?}");
}

#[test]
fn an_upgraded_connection_ends_in_each_direction() {
    for (how, expected) in [(Shutdown::Read, ""), (Shutdown::Write, "data"), (Shutdown::Both, "")] {
        let (sender, received) = std::sync::mpsc::channel();
        let handler = |_: &Request<'_>| {
            let sender = sender.clone();
            Reply::upgrade(Response::switching_protocols("lines"), move |mut upgraded: Upgraded| {
                upgraded.shutdown(how).expect("a connection");
                let mut content = String::new();
                upgraded.read_to_string(&mut content).expect("a connection");
                sender.send(content).expect("a receiver");
            })
        };
        TestRequest::get("/").upgrade("lines", "data").run(&handler);
        assert_eq!(received.try_recv().as_deref(), Ok(expected), "{how:?}");
    }
}

#[test]
fn what_the_library_rejects_does_not_reach_the_handler() {
    let get = TestRequest::get;
    check(&get("/../a"), "403 {path leads above the root}");
    check(&get("/").header("Host", "a").header("Host", "b"), "400 {malformed or repeated Host}");
    check(
        &TestRequest::post("/echo").header("Content-Length", "5").body("1234"),
        "408 {the request did not arrive in time}",
    );
    let config = Config { limits: Limits { body_bytes: 3, ..Limits::default() }, ..Config::default() };
    let limited = TestRequest::post("/echo").config(config);
    check(&limited.clone().body("1234"), "413 {body too large}");
    check(&limited.body("123"), "200 123");
    // `Kinds::rejected` panics.
    assert_eq!(get("/|").run(&kinds()).status(), Status::INTERNAL_SERVER_ERROR);
}

/// Passes a request to a handler. Expects the status, the type and the text of the response; no text for the page of
/// a 404.
fn check_response<F, R>(handler: F, expected: (u16, &str, &str))
where
    F: Fn(&Request<'_>) -> R + Send + Sync,
    R: IntoReply,
{
    let response = TestRequest::get("/path").run(&handler);
    let media_type = response.header("Content-Type").unwrap_or_default().escape_ascii().to_string();
    let text = if response.status() == Status::NOT_FOUND { "" } else { response.text() };
    assert_eq!((response.status().code(), &*media_type, text), expected);
}

#[test]
fn what_a_closure_returns_becomes_a_response() {
    const TEXT: &str = "text/plain; charset=utf-8";
    const BYTES: &str = "application/octet-stream";
    const PAGE: &str = "text/html; charset=utf-8";
    check_response(|_| "text", (200, TEXT, "text"));
    check_response(|request| request.path().to_owned(), (200, TEXT, "/path"));
    check_response(|_| Box::<str>::from("text"), (200, TEXT, "text"));
    check_response(|_| Arc::<str>::from("text"), (200, TEXT, "text"));
    check_response(|_| Cow::Borrowed("text"), (200, TEXT, "text"));
    check_response(|_| &b"bytes"[..], (200, BYTES, "bytes"));
    check_response(|_| b"bytes".to_vec(), (200, BYTES, "bytes"));
    check_response(|_| Box::<[u8]>::from(*b"bytes"), (200, BYTES, "bytes"));
    check_response(|_| Arc::<[u8]>::from(*b"bytes"), (200, BYTES, "bytes"));
    check_response(|_| Cow::Borrowed(&b"bytes"[..]), (200, BYTES, "bytes"));
    check_response(|_| (), (204, "", ""));
    check_response(|_| Status::NOT_FOUND, (404, PAGE, ""));
    check_response(|_| Status::CREATED, (201, "", ""));
    check_response(|_| (Status::CREATED, "text"), (201, TEXT, "text"));
    check_response(|_| Reply::offload(|| (Status::CREATED, "text")), (201, TEXT, "text"));
    check_response(|_| (Status::CREATED, Reply::offload(|| "text")), (201, TEXT, "text"));
    check_response(|request| request.header("Host").map(<[u8]>::to_vec), (200, BYTES, "example.org"));
    check_response(|request| request.header("Cookie").map(<[u8]>::to_vec), (404, PAGE, ""));
    check_response(|_| None::<Reply>, (404, PAGE, ""));
    check_response(
        |request| -> Result<String, (Status, &str)> {
            let number: u8 = request.path().parse().or(Err((Status::BAD_REQUEST, "not a number")))?;
            Ok(number.to_string())
        },
        (400, TEXT, "not a number"),
    );
    check_response(|_| Ok::<_, Status>(Reply::after(Duration::MAX, || "text")), (200, TEXT, "text"));
}

#[test]
fn the_handler_sees_the_client_and_the_method() {
    check(&TestRequest::get("/client"), "200 None");
    let version = |request: &Request<'_>| request.version().to_string();
    assert_eq!(TestRequest::get("/").http10().run(&version).text(), "HTTP/1.0");
    let client_addr = ([192, 0, 2, 1], 80).into();
    check(&TestRequest::new("BREW", "/client").client_addr(client_addr), "200 Some(192.0.2.1:80)");
    let method = |request: &Request<'_>| Response::text("").with_header("Method", request.method().as_str());
    for (create, method_name) in [
        (TestRequest::get as fn(&str) -> TestRequest, "GET"),
        (TestRequest::head, "HEAD"),
        (TestRequest::post, "POST"),
        (TestRequest::put, "PUT"),
        (TestRequest::delete, "DELETE"),
        (TestRequest::patch, "PATCH"),
    ] {
        assert_eq!(create("/").run(&method).header("Method"), Some(method_name.as_bytes()));
    }
}

#[test]
fn debug_text_shows_what_the_client_would_see() {
    let text = format!("{:?}", TestRequest::get("/broken").run(&kinds()));
    let head = "200 OK\nServer: test\nDate: Thu, 01 Jan 1970 00:00:00 GMT\nTransfer-Encoding: chunked\nConnection: keep-alive\n";
    assert_eq!(text, format!("{head}\none\n(incomplete: the disk is on fire)"));
    let text = format!("{:?}", TestRequest::post("/a").header("A", "b").body("c"));
    assert_eq!(text, "POST /a HTTP/1.1\nHost: example.org\nContent-Length: 1\nA: b\n\nc");
    let long = TestRequest::post("/echo").body([b'x'; 2_000]).run(&kinds());
    assert!(format!("{long:?}").ends_with("xxx… (2000 bytes)"), "{long:?}");
}

/// Fails to compile if a type cannot be used where applications and engines need it.
#[test]
fn values_move_between_threads() {
    fn moves<T: Send + 'static>() {}
    fn shared<T: Send + Sync + 'static>() {}
    fn is_error<T: std::error::Error + Send + Sync + 'static>() {}
    moves::<Response>();
    moves::<Reply>();
    moves::<Body>();
    moves::<Responder>();
    moves::<Connection>();
    moves::<Buffers>();
    moves::<BodySender>();
    shared::<Request<'_>>();
    shared::<OwnedRequest>();
    shared::<Router>();
    shared::<Stack>();
    shared::<CancellationToken>();
    shared::<Config>();
    shared::<TestRequest>();
    is_error::<ParseError>();
    is_error::<HeaderError>();
    is_error::<Misuse>();
    is_error::<ConfigError>();
    is_error::<RouteError>();
    is_error::<SendError>();
    is_error::<FormError>();
    is_error::<MultipartError>();
    is_error::<ReadError>();
    is_error::<RequestError>();
    is_error::<ResponseError>();
    is_error::<ReceiveError>();
}

#[test]
fn each_fault_of_a_form_has_a_status() {
    for (error, status) in [
        (MultipartError::Type, Status::UNSUPPORTED_MEDIA_TYPE),
        (MultipartError::PartTooLarge, Status::CONTENT_TOO_LARGE),
        (MultipartError::End, Status::BAD_REQUEST),
    ] {
        assert_eq!(error.into_response().status(), status);
    }
}
