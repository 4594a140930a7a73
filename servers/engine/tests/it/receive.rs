//! Content that the application takes as it comes: pushed to a sink, or read by a job.
//!
//! `/receive` and its like reply with a sink, `/read` and its like with a job. Both respond with the number of bytes
//! and the last ones.

use crate::{
    app::settings_with,
    client::{Client, TIMEOUT, get, wait_for},
    content::{CHUNKED, EXPECT, FIVE, post},
    faults::fail,
    server::{InProcessServer, settings},
};
use http_engine::{
    Admit, Body, ContentReader, Engine, Handler, Middleware, Next, Rejected, Reply, Request, Response,
    Router, Settings, Sink, Stack, Status,
};
use std::{
    io::{self, ErrorKind, Read},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

/// A body timeout for clients that send without a pause: longer than a busy machine stops a thread.
const IDLE: Duration = Duration::from_secs(2);

/// What the application sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UploadEvent {
    /// A job has started.
    Started,
    /// A job has failed to read.
    Failed(ErrorKind),
    /// The token of a job is cancelled.
    Cancelled,
    /// A sink was dropped before the end of its content.
    Dropped,
}

/// The application. A job of `/read/step` waits for a permit before it reads.
struct Uploads {
    events: Sender<UploadEvent>,
    permits: Arc<Mutex<Receiver<()>>>,
}

impl Handler for Uploads {
    fn admit(&self, head: &Request<'_>) -> Admit {
        match head.raw_query() {
            Some("buffered") => Admit::Buffer,
            Some("five") => Admit::AtHeadUpTo(5),
            _ => Admit::AtHead,
        }
    }

    fn handle(&self, request: &Request<'_>) -> Reply {
        let events = self.events.clone();
        let slow = SlowReader { text: b"early", events: events.clone(), permits: Arc::clone(&self.permits) };
        let early = match request.path().rsplit_once("/early-") {
            Some((_, "reader")) => Some(Body::reader(slow, None)),
            Some((_, "channel")) => Some(slow.into_channel()),
            _ => None,
        };
        match request.path() {
            "/read" => Reply::read(move |content| read(content, &events)),
            "/read/reports" => Reply::read(move |content| {
                let _ = events.send(UploadEvent::Started);
                read(content, &events)
            }),
            "/read/early" => Reply::read(|_| Status::FORBIDDEN),
            "/read/first" => Reply::read(|mut content: ContentReader| {
                let _ = content.read(&mut [0]);
                Status::FORBIDDEN
            }),
            "/read/early-reader" | "/read/early-channel" => {
                Reply::read(move |_| early.map_or(Response::error(Status::NOT_FOUND), forbidden))
            }
            "/read/panics" => Reply::read(|_| -> Response { fail() }),
            "/read/recovers" => {
                Reply::read(|_| -> Response { fail() }).recover(|_| Response::error(Status::CONFLICT))
            }
            "/read/step" => {
                let permits = Arc::clone(&self.permits);
                Reply::read(move |content| {
                    let _ = events.send(UploadEvent::Started);
                    let _ = permits.lock().expect("no panic").recv_timeout(TIMEOUT);
                    read(content, &events)
                })
            }
            "/read/never" => Reply::read(move |content| {
                let _ = events.send(UploadEvent::Started);
                while !content.token().is_cancelled() {
                    thread::yield_now();
                }
                let _ = events.send(UploadEvent::Cancelled);
                // What was received can still be read.
                read(content, &events)
            }),
            // Event loops look at deadlines once a second.
            "/after-idle" => Reply::after(IDLE + Duration::from_millis(1_500), || "after"),
            path => match path.strip_prefix("/receive") {
                Some(ending) => Reply::receive(TestSink {
                    ending: ending.to_owned(),
                    early,
                    taken: Vec::new(),
                    events: Some(events),
                }),
                None => Response::text(path.to_owned()).into(),
            },
        }
    }
}

/// Reads everything.
fn read(mut content: ContentReader, events: &Sender<UploadEvent>) -> Response {
    let mut bytes = Vec::new();
    match content.read_to_end(&mut bytes) {
        Ok(_) => summary(&bytes),
        Err(error) => {
            let _ = events.send(UploadEvent::Failed(error.kind()));
            Response::text("the client does not see this")
        }
    }
}

fn forbidden(body: Body) -> Response {
    Response::new(Status::FORBIDDEN).with_body(body)
}

/// Reports its start, waits for a permit, and then reads as "early".
struct SlowReader {
    text: &'static [u8],
    events: Sender<UploadEvent>,
    permits: Arc<Mutex<Receiver<()>>>,
}

impl SlowReader {
    /// Returns a body that gets the text from another thread.
    fn into_channel(mut self) -> Body {
        let (sender, body) = Body::channel(16);
        thread::spawn(move || {
            let mut text = [0; 5];
            if self.read_exact(&mut text).is_ok() && sender.try_send(text).is_ok() {
                sender.finish();
            }
        });
        body
    }
}

impl Read for SlowReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.text.is_empty() {
            let _ = self.events.send(UploadEvent::Started);
            let _ = self.permits.lock().expect("no panic").recv_timeout(TIMEOUT);
        }
        self.text.read(buffer)
    }
}

fn summary(bytes: &[u8]) -> Response {
    let last = &bytes[bytes.len().saturating_sub(5)..];
    Response::text(format!("{} {}", bytes.len(), last.escape_ascii()))
}

struct TestSink {
    /// The path after `/receive`.
    ending: String,
    /// The body of a response to the first bytes.
    early: Option<Body>,
    taken: Vec<u8>,
    /// `None` at the end of the content.
    events: Option<Sender<UploadEvent>>,
}

impl Sink for TestSink {
    fn write(&mut self, data: &[u8]) -> Result<(), Response> {
        if let Some(body) = self.early.take() {
            self.events = None;
            return Err(forbidden(body));
        }
        match &*self.ending {
            "/early" => Err(Response::error(Status::FORBIDDEN)),
            "/panics" => fail(),
            _ => {
                self.taken.extend_from_slice(data);
                Ok(())
            }
        }
    }

    fn finish(mut self: Box<Self>) -> Reply {
        self.events = None;
        let response = summary(&self.taken);
        match &*self.ending {
            "/end-panics" => fail(),
            "/offload" => Reply::offload(move || response),
            "/again" => Reply::receive(TestSink {
                ending: String::new(),
                early: None,
                taken: std::mem::take(&mut self.taken),
                events: None,
            }),
            _ => response.into(),
        }
    }
}

impl Drop for TestSink {
    fn drop(&mut self) {
        if let Some(events) = self.events.take() {
            let _ = events.send(UploadEvent::Dropped);
        }
    }
}

/// Marks each response of the handler, and each rejection with its reason.
struct Mark;

impl Middleware for Mark {
    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        next.run(request).map(|response| response.with_header("Mark", "seen"))
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        response.with_header("Rejected", rejected.reason.to_string())
    }
}

/// A server with the application behind everything that composes replies, and the test's ends of its channels.
struct TestServer {
    server: InProcessServer,
    events: Receiver<UploadEvent>,
    permit: Sender<()>,
}

impl TestServer {
    fn start(engine: Engine, settings: Settings) -> TestServer {
        let ((sent, events), (permit, permits)) = (channel(), channel());
        let app = Uploads { events: sent, permits: Arc::new(Mutex::new(permits)) };
        let stack = Stack::new(Router::builder().fallback(app).build().expect("routes")).wrap(Mark);
        TestServer { server: InProcessServer::start(engine, settings, stack), events, permit }
    }

    fn send(&self, bytes: impl AsRef<[u8]>) -> Client {
        Client::connect_and_send(self.server.address, bytes)
    }

    /// Sends a head. Returns when the sink or the job takes content: a job that has not started would be dropped in
    /// silence.
    fn begin(&self, path: &str, headers: &str) -> Client {
        let client = self.send(post(path, headers));
        if path.starts_with("/read") {
            self.expect(UploadEvent::Started);
        }
        client
    }

    fn expect(&self, expected: UploadEvent) {
        assert_eq!(self.events.recv_timeout(TIMEOUT), Ok(expected));
    }
}

/// Reads the response, and compares its status and whether the connection stays open.
fn check_status(client: &mut Client, status: u16, keeps_alive: bool, what: &str) {
    let response = client.response();
    assert_eq!((response.status, response.keeps_alive), (status, keeps_alive), "{what}");
}

/// Reads the 100 response.
fn expect_continue(client: &mut Client) {
    const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    let mut received = [0; CONTINUE.len()];
    client.stream.read_exact(&mut received).expect("a response");
    assert_eq!(received, CONTINUE);
}

const CHUNKS: &str = "2\r\nab\r\n3;x=y\r\ncde\r\n0\r\nTrailer: x\r\n\r\n";
const ALL: [&str; 4] = ["/receive", "/receive/offload", "/receive/again", "/read"];

http_testing::both_engines! {
    fn content_arrives_whole_and_in_order(engine: Engine) {
        let app = TestServer::start(engine, settings());
        let large = "x".repeat(1_000_000);
        for path in ALL {
            let mut client = app.server.connect();
            for (headers, content, expected) in [
                ("", "", "0 "),
                (FIVE, "abcde", "5 abcde"),
                (CHUNKED, CHUNKS, "5 abcde"),
                ("Content-Length: 1000000\r\n", &large, "1000000 xxxxx"),
            ] {
                client.send(post(path, headers));
                client.send(content);
                let response = client.response();
                assert_eq!((&*response.text(), response.header("Mark")), (expected, Some("seen")), "{path}");
            }
            // The next request is in the same packet.
            client.send(post(path, FIVE) + "abcde" + &get("/next"));
            assert_eq!([client.response().text(), client.response().text()], ["5 abcde", "/next"], "{path}");
            client.send(post(path, EXPECT));
            expect_continue(&mut client);
            client.send("abcde");
            assert_eq!(client.response().text(), "5 abcde", "{path}");
            // Byte by byte.
            (post(path, CHUNKED) + CHUNKS).bytes().for_each(|byte| client.send([byte]));
            assert_eq!(client.response().text(), "5 abcde", "{path}");
            client.finish();
            let old = format!("POST {path} HTTP/1.0\r\n{FIVE}\r\nabcde");
            assert_eq!(app.send(&old).response_to(&old).text(), "5 abcde", "{path}");
        }
    }

    fn buffered_content_is_passed_on_too(engine: Engine) {
        let app = TestServer::start(engine, settings());
        for path in ALL {
            let mut client = app.server.connect();
            for (headers, content) in [(FIVE, "abcde"), (CHUNKED, CHUNKS)] {
                client.send(post(&format!("{path}?buffered"), headers) + content);
                assert_eq!(client.response().text(), "5 abcde", "{path}");
            }
        }
    }

    fn an_early_response_drops_the_rest(engine: Engine) {
        let app = TestServer::start(engine, settings());
        for path in ["/receive/early", "/read/first", "/read/early"] {
            let mut client = app.server.connect();
            for (headers, content) in [(FIVE, "abcde"), (CHUNKED, CHUNKS)] {
                client.send(post(path, headers));
                client.send(&content[..4]);
                check_status(&mut client, 403, true, path);
                client.send(&content[4..]);
                assert_eq!(client.fetch(get("/next")).text(), "/next", "{path}");
            }
            client.send(post(path, EXPECT));
            expect_continue(&mut client);
            client.send("abcde");
            check_status(&mut client, 403, true, path);
            // More than the server drops.
            client.send(post(path, "Content-Length: 3000000\r\n") + "abcde");
            check_status(&mut client, 403, false, path);
            client.finish();
        }
    }

    /// The rest of the content comes after the response, which is a stream that waits for its source.
    fn an_early_response_can_be_a_stream(engine: Engine) {
        let app = TestServer::start(engine, settings_with(|settings| settings.workers = 1));
        for path in ["/receive", "/read"] {
            for ending in ["/early-reader", "/early-channel"] {
                let what = format!("{path}{ending}");
                let mut client = app.send(post(&what, FIVE) + "abcd");
                app.expect(UploadEvent::Started);
                // Another client is served meanwhile.
                assert_eq!(app.server.connect().fetch(get("/other")).text(), "/other", "{what}");
                app.permit.send(()).expect("a reader");
                let response = client.response();
                assert_eq!((response.status, &*response.text()), (403, "early"), "{what}");
                client.send("e");
                assert_eq!(client.fetch(get("/next")).text(), "/next", "{what}");
            }
        }
    }

    fn too_long_content_gets_413(engine: Engine) {
        let app = TestServer::start(engine, settings_with(|settings| settings.protocol.limits.streamed_bytes = 1_000_000));
        for path in ["/receive", "/read/reports"] {
            for (target, headers) in [
                (path.to_owned(), "Content-Length: 1000001\r\n"),
                // Without 100, which `response` does not accept.
                (path.to_owned(), "Expect: 100-continue\r\nContent-Length: 1000001\r\n"),
                (format!("{path}?five"), "Content-Length: 6\r\n"),
            ] {
                let mut client = app.send(post(&target, headers));
                let response = client.response();
                assert_eq!((response.status, response.header("Rejected"), response.keeps_alive), (413, Some("body too large"), false));
                client.finish();
            }
            let mut client = app.begin(&format!("{path}?five"), FIVE);
            client.send("abcde");
            assert_eq!(client.response().text(), "5 abcde");
            let mut client = app.begin(&format!("{path}?five"), CHUNKED);
            client.send("3\r\nabc\r\n");
            client.send("3\r\ndef\r\n");
            check_status(&mut client, 413, false, path);
            if path == "/receive" {
                // A sink for each request that was rejected at the head, and one for the chunked one.
                (0..4).for_each(|_| app.expect(UploadEvent::Dropped));
            } else {
                app.expect(UploadEvent::Failed(ErrorKind::InvalidData));
            }
        }
    }

    fn malformed_content_gets_400(engine: Engine) {
        let app = TestServer::start(engine, settings());
        for (path, event) in [("/receive", UploadEvent::Dropped), ("/read/reports", UploadEvent::Failed(ErrorKind::InvalidData))] {
            let mut client = app.begin(path, CHUNKED);
            client.send("2\r\nab\r\n");
            client.send("x\r\n");
            check_status(&mut client, 400, false, path);
            app.expect(event);
            client.finish();
        }
    }

    /// At each point: before content, within it, and while the job takes none.
    fn a_client_that_leaves_is_noticed(engine: Engine) {
        let app = TestServer::start(engine, settings());
        for content in ["", "abc"] {
            for (path, kind) in [("/receive", None), ("/read/reports", Some(ErrorKind::UnexpectedEof))] {
                let mut client = app.begin(path, FIVE);
                client.send(content);
                client.finish();
                app.expect(kind.map_or(UploadEvent::Dropped, UploadEvent::Failed));
            }
            for (path, kind) in [("/receive", None), ("/read/reports", Some(ErrorKind::ConnectionAborted))] {
                let mut client = app.begin(path, EXPECT);
                expect_continue(&mut client);
                client.send(content);
                client.reset();
                app.expect(kind.map_or(UploadEvent::Dropped, UploadEvent::Failed));
            }
        }
        let client = app.send(post("/read/never", "Content-Length: 100000\r\n") + &"x".repeat(80_000));
        app.expect(UploadEvent::Started);
        client.reset();
        app.expect(UploadEvent::Cancelled);
        app.expect(UploadEvent::Failed(ErrorKind::ConnectionAborted));
    }

    fn a_slow_client_gets_408(engine: Engine) {
        let app = TestServer::start(engine, settings_with(|settings| {
            settings.protocol.timeouts.body_idle = Duration::from_millis(500);
        }));
        for (path, event) in [("/receive", UploadEvent::Dropped), ("/read/reports", UploadEvent::Failed(ErrorKind::TimedOut))] {
            for content in ["", "abc"] {
                let mut client = app.begin(path, FIVE);
                client.send(content);
                check_status(&mut client, 408, false, path);
                app.expect(event);
                client.finish();
            }
        }
    }

    /// The job reads nothing, whether the pipe is full or all content is in it.
    fn a_job_that_never_reads_gets_503(engine: Engine) {
        let app = TestServer::start(engine, settings_with(|settings| {
            let timeouts = &mut settings.protocol.timeouts;
            (timeouts.reply, timeouts.body_idle) = (Duration::from_millis(600), Duration::from_millis(300));
        }));
        for (length, is_whole) in [(1_000, true), (100_000, false)] {
            let mut client = app.send(post("/read/never", &format!("Content-Length: {length}\r\n")) + &"x".repeat(length));
            app.expect(UploadEvent::Started);
            check_status(&mut client, 503, false, "/read/never");
            app.expect(UploadEvent::Cancelled);
            if !is_whole {
                app.expect(UploadEvent::Failed(ErrorKind::TimedOut));
            }
        }
    }

    /// While its pipe is full, the rest of the content waits on the way to the server, and other clients are served.
    /// What the client sends slowly meanwhile is no fault of it.
    fn a_job_that_waits_delays_only_its_client(engine: Engine) {
        const LENGTH: usize = 32 << 20;
        let app = TestServer::start(engine, settings_with(|settings| {
            settings.workers = 1;
            settings.protocol.timeouts.body_idle = IDLE;
        }));
        let mut client = app.send(post("/read/step", &format!("Content-Length: {LENGTH}\r\n")));
        let sending = thread::spawn(move || {
            client.send("x".repeat(LENGTH));
            client.response().text()
        });
        app.expect(UploadEvent::Started);
        let mut other = app.server.connect();
        for path in ["/receive", "/read", "/receive/offload"] {
            other.send(post(path, FIVE) + "abcde");
            assert_eq!(other.response().text(), "5 abcde");
        }
        assert_eq!(other.fetch(get("/after-idle")).text(), "after");
        app.permit.send(()).expect("a job");
        assert_eq!(sending.join().expect("no panic"), format!("{LENGTH} xxxxx"));
    }

    fn requests_beyond_the_streaming_threads_get_503(engine: Engine) {
        let app = TestServer::start(engine, settings_with(|settings| settings.streaming_threads = 2));
        let mut clients = [(); 2].map(|()| app.send(post("/read/step", FIVE)));
        (0..2).for_each(|_| app.expect(UploadEvent::Started));
        for headers in [FIVE, EXPECT, ""] {
            // Without 100, which `response` does not accept.
            let response = app.send(post("/read/step", headers)).response();
            assert_eq!((response.status, response.header("Retry-After"), response.keeps_alive), (503, Some("1"), false));
        }
        assert_eq!(app.send(post("/receive/offload", FIVE) + "abcde").response().text(), "5 abcde");
        for client in &mut clients {
            client.send("abcde");
            app.permit.send(()).expect("a job");
        }
        for client in &mut clients {
            assert_eq!(client.response().text(), "5 abcde");
        }
        // The threads are free again.
        let mut client = app.send(post("/read/step", FIVE) + "abcde");
        app.permit.send(()).expect("a job");
        assert_eq!(client.response().text(), "5 abcde");
    }

    fn of_many_jobs_at_once_as_many_read_as_there_are_threads(engine: Engine) {
        let app = TestServer::start(engine, settings_with(|settings| settings.streaming_threads = 8));
        let clients: Vec<Client> = (0..9).map(|_| app.send(post("/read/step", FIVE) + "abcde")).collect();
        (0..8).for_each(|_| app.expect(UploadEvent::Started));
        wait_for("one response", || clients.iter().any(Client::has_received).then_some(()));
        (0..8).for_each(|_| app.permit.send(()).expect("a job"));
        let mut statuses: Vec<u16> = clients.into_iter().map(|mut client| client.response().status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [&[200; 8][..], &[503]].concat());
    }

    /// The thread that reads waits for the client when the grace period ends.
    fn a_shutdown_ends_content_that_does_not_come(engine: Engine) {
        let app = TestServer::start(engine, settings());
        let mut clients = ["/receive", "/read/reports", "/read/step"].map(|path| app.begin(path, EXPECT));
        clients.iter_mut().for_each(expect_continue);
        clients.iter_mut().for_each(|client| client.send("abc"));
        app.permit.send(()).expect("a job");
        let TestServer { server, events, .. } = app;
        drop(server);
        let (mut dropped, mut failed) = (0, 0);
        for _ in 0..3 {
            match events.recv_timeout(TIMEOUT) {
                Ok(UploadEvent::Dropped) => dropped += 1,
                Ok(UploadEvent::Failed(ErrorKind::ConnectionAborted | ErrorKind::UnexpectedEof)) => failed += 1,
                event => panic!("{event:?}"),
            }
        }
        assert_eq!((dropped, failed), (1, 2));
        for client in &mut clients {
            let _ = client.try_response();
        }
    }

    fn content_in_flight_is_received_in_the_grace_period(engine: Engine) {
        for path in ["/receive", "/read"] {
            let app = TestServer::start(engine, settings());
            let mut client = app.send(post(path, EXPECT));
            expect_continue(&mut client);
            client.send("ab");
            app.server.running().stopper().stop(TIMEOUT);
            client.send("cde");
            assert_eq!(client.response().text(), "5 abcde", "{path}");
            client.expect_eof();
        }
    }

    fn panics_get_500(engine: Engine) {
        let app = TestServer::start(engine, settings());
        for path in ["/receive/panics", "/receive/end-panics", "/read/panics"] {
            for headers in [FIVE, EXPECT] {
                let mut client = app.send(post(path, headers));
                if headers == EXPECT {
                    expect_continue(&mut client);
                }
                client.send("abcde");
                let response = client.response();
                assert_eq!((response.status, response.header("Rejected"), response.keeps_alive), (500, Some("the handler panicked"), false), "{path}");
            }
        }
        let mut client = app.send(post("/read/recovers", FIVE) + "abcde");
        check_status(&mut client, 409, true, "/read/recovers");
    }
}
