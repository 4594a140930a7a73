//! The application of these tests: a path for every way to reply. The test decides when a late reply ends.

use crate::{
    client::{Client, TIMEOUT, get},
    faults::{self, Bomb, Event},
    server::{InProcessServer, settings},
    source::{Feed, fed_stream, stream, timed_stream},
};
use http_engine::{
    Admit, Chunk, Engine, Handler, Method, Rejected, Rejection, Reply, Request, Responder, Response, Settings,
};
use std::{
    mem,
    sync::{
        Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

/// How long `/after` waits.
pub const DELAY: Duration = Duration::from_millis(200);

/// Longer than any test takes.
pub const LONG: Duration = Duration::from_secs(3600);

/// The handler. The test has the other ends of its channels: see [`TestApp`].
pub struct App {
    handled: Sender<String>,
    responders: Sender<Responder>,
    feeds: Sender<Feed>,
    events: Sender<Event>,
    unblocked: Mutex<Receiver<()>>,
}

impl App {
    fn reply(&self, path: &str) -> Reply {
        let text = |text: &'static str| move || Response::text(text);
        let bomb = || Bomb(self.events.clone());
        match path {
            "/after" => Reply::after(DELAY, text("after")),
            "/offload" => Reply::offload(text("offload")),
            "/deferred" => Reply::Deferred(Box::new(move |responder| {
                thread::spawn(move || responder.respond(text("deferred")()));
            })),
            "/deferred-at-once" => {
                Reply::Deferred(Box::new(move |responder| responder.respond(text("at once")())))
            }
            "/held" => {
                let responders = self.responders.clone();
                Reply::Deferred(Box::new(move |responder| drop(responders.send(responder))))
            }
            "/forgotten" => Reply::Deferred(Box::new(mem::forget)),
            "/dropped" => Reply::Deferred(Box::new(drop)),
            "/dropped-elsewhere" => Reply::Deferred(Box::new(|responder| {
                thread::spawn(move || drop(responder));
            })),
            "/blocks" => {
                let _ = self.events.send(Event::Started);
                let _ = self.unblocked.lock().expect("no panic").recv_timeout(TIMEOUT);
                text("unblocked")().into()
            }
            // These two are wrapped, as middleware does.
            "/never" => {
                let bomb = bomb();
                wrapped(Reply::after(LONG, move || {
                    bomb.send(Event::Started);
                    text("never")()
                }))
            }
            "/running" => {
                let bomb = bomb();
                wrapped(Reply::offload_with(move |token| {
                    bomb.run(token);
                    text("running")()
                }))
            }
            "/stream" => {
                let (response, feed) = fed_stream();
                let _ = self.feeds.send(feed);
                response.into()
            }
            "/timed" => Response::bytes(timed_stream(3, Duration::from_millis(20), bomb())).into(),
            "/timed-long" => Response::bytes(timed_stream(3, LONG, bomb())).into(),
            "/endless" => {
                let bomb = bomb();
                let endless = stream(move |chunk| {
                    let _owned = &bomb;
                    chunk.resize(64 * 1024, b'x');
                    Ok(Chunk::Data)
                });
                Response::bytes(endless).into()
            }
            path => faults::failing_reply(path)
                .or_else(|| faults::panicking_reply(path, &self.events))
                .unwrap_or_else(|| Response::text(path.to_owned()).into()),
        }
    }
}

fn wrapped(reply: Reply) -> Reply {
    reply.map(|response| response).recover(Rejection::response)
}

impl Handler for App {
    fn admit(&self, head: &Request<'_>) -> Admit {
        match head.path() {
            "/panics-early" => faults::fail(),
            "/early" => Admit::AtHead,
            _ => Admit::Buffer,
        }
    }

    fn handle(&self, request: &Request<'_>) -> Reply {
        let path = if request.method() == Method::Connect { "/bomb" } else { request.path() };
        let reply = match request.method() {
            Method::Post => Response::text(format!("{path} {}", request.body().len())).into(),
            _ => self.reply(path),
        };
        let _ = self.handled.send(path.to_owned());
        reply
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        match rejected.request {
            Some(request) if request.path() == "/rejected" => faults::fail(),
            _ => response,
        }
    }
}

/// A server with the application, and the test's ends of its channels.
pub struct TestApp {
    pub server: InProcessServer,
    /// The path of each request, when the handler has made its reply.
    pub handled: Receiver<String>,
    /// The responders of `/held`.
    responders: Receiver<Responder>,
    /// The feeds of `/stream`.
    pub feeds: Receiver<Feed>,
    /// What happens to jobs and sources.
    pub events: Receiver<Event>,
    /// Ends the wait of `/blocks`.
    pub unblock: Sender<()>,
}

impl TestApp {
    pub fn start(engine: Engine, settings: Settings) -> TestApp {
        TestApp::start_with(engine, settings, |app| app)
    }

    /// Starts a server whose handler is made of the application by `wrap`.
    pub fn start_with<H: Handler + 'static>(
        engine: Engine,
        settings: Settings,
        wrap: impl FnOnce(App) -> H,
    ) -> TestApp {
        let ((handled_by, handled), (held, responders)) = (channel(), channel());
        let ((fed, feeds), (seen, events)) = (channel(), channel());
        let (unblock, unblocked) = channel();
        let unblocked = Mutex::new(unblocked);
        let app = App { handled: handled_by, responders: held, feeds: fed, events: seen, unblocked };
        let server = InProcessServer::start(engine, settings, wrap(app));
        TestApp { server, handled, responders, feeds, events, unblock }
    }

    pub fn connect(&self) -> Client {
        self.server.connect()
    }

    /// Opens a connection to the server and sends all bytes.
    pub fn send(&self, bytes: impl AsRef<[u8]>) -> Client {
        Client::connect_and_send(self.server.address, bytes)
    }

    /// Requests `path` on a new connection. Returns when the handler has made its reply.
    pub fn request(&self, path: &str) -> Client {
        let mut client = self.connect();
        self.request_on(&mut client, path);
        client
    }

    /// Requests `path`. Returns when the handler has made its reply.
    pub fn request_on(&self, client: &mut Client, path: &str) {
        while self.handled.try_recv().is_ok() {}
        client.send(get(path));
        assert_eq!(self.handled.recv_timeout(TIMEOUT).as_deref(), Ok(path));
    }

    /// Requests `/held` on a new connection. Returns the connection, and the responder that it waits for.
    pub fn hold(&self) -> (Client, Responder) {
        (self.request("/held"), self.responder())
    }

    /// Returns the responder of a request for `/held`.
    pub fn responder(&self) -> Responder {
        self.responders.recv_timeout(TIMEOUT).expect("a request for /held")
    }

    /// Returns the feed of a request for `/stream`.
    pub fn feed(&self) -> Feed {
        self.feeds.recv_timeout(TIMEOUT).expect("a request for /stream")
    }

    /// Waits for these events, in any order.
    pub fn expect(&self, expected: &[Event]) {
        let mut expected = expected.to_vec();
        let event = |_| self.events.recv_timeout(TIMEOUT).expect("an event");
        let mut events: Vec<Event> = (0..expected.len()).map(event).collect();
        events.sort_unstable();
        expected.sort_unstable();
        assert_eq!(events, expected);
    }
}

/// Requests `path`, which is its own reply. The connection must stay open.
pub fn check_open(client: &mut Client, path: &str) {
    let response = client.fetch(get(path));
    assert_eq!((response.status, &*response.text(), response.keeps_alive), (200, path, true));
}

/// Waits until a new client is served, and returns its connection. A server notices some time after a client has
/// received its response that the connection is idle, or closed.
pub fn wait_for_room(server: &InProcessServer) -> Client {
    crate::client::wait_for("room for a connection", || {
        let mut client = server.connect();
        client.try_fetch(get("/ok")).is_ok_and(|response| response.status == 200).then_some(client)
    })
}

/// Returns the settings of these tests, changed by `change`.
pub fn settings_with(change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = settings();
    change(&mut settings);
    settings
}

/// Returns settings with a short timeout for late replies.
pub fn with_reply_timeout() -> Settings {
    settings_with(|settings| settings.protocol.timeouts.reply = Duration::from_millis(600))
}
