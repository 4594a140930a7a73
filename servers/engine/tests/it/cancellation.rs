//! Work for a client that has left, and work that takes too long: it is dropped, or learns that nothing waits for it.

use crate::{
    client::{Client, TIMEOUT, get, wait_for},
    server::{InProcessServer, settings},
};
use http_engine::{
    CancellationToken, Engine, Handler, Middleware, Next, Rejection, Reply, Request, Responder, Response,
    Settings, Stack,
};
use std::{
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

/// What happens to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// The handler has returned its reply.
    Replied,
    Started,
    Cancelled,
    Dropped,
}

/// Sends [`Event::Dropped`] when it is dropped. A job owns one.
struct Watched(Sender<Event>);

impl Watched {
    fn send(&self, event: Event) {
        // The test may end first.
        let _ = self.0.send(event);
    }

    /// Computes until the token is cancelled.
    fn run(&self, token: &CancellationToken) {
        self.send(Event::Started);
        let start = Instant::now();
        while !token.is_cancelled() {
            assert!(start.elapsed() < TIMEOUT, "the token is never cancelled");
            thread::yield_now();
        }
        self.send(Event::Cancelled);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.send(Event::Dropped);
    }
}

/// A server whose jobs report what happens to them, and whose responders are passed on.
struct JobServer {
    server: InProcessServer,
    events: Receiver<Event>,
    responders: Receiver<Responder>,
}

/// Wraps every late reply, as middleware often does.
struct Pass;

impl Middleware for Pass {
    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        next.run(request).map(|response| response).recover(Rejection::response)
    }
}

impl JobServer {
    fn start(engine: Engine, settings: Settings) -> JobServer {
        let ((sender, events), (responder_sender, responders)) = (channel(), channel());
        let handler = move |request: &Request<'_>| {
            let (watched, responders) = (Watched(sender.clone()), responder_sender.clone());
            let reply = match request.path() {
                "/after" => Reply::after(Duration::from_secs(3600), move || {
                    watched.send(Event::Started);
                    Response::text("after")
                }),
                "/running" => Reply::offload_with(move |token| {
                    watched.run(token);
                    Response::text("running")
                }),
                "/deferred" => Reply::Deferred(Box::new(move |responder| {
                    drop(responders.send(responder));
                })),
                path => Response::text(path.to_owned()).into(),
            };
            let _ = sender.send(Event::Replied);
            reply
        };
        let server = InProcessServer::start(engine, settings, Stack::new(handler).wrap(Pass));
        JobServer { server, events, responders }
    }

    fn expect(&self, expected: &[Event]) {
        for expected in expected {
            assert_eq!(self.events.recv_timeout(TIMEOUT), Ok(*expected));
        }
    }

    /// Opens a connection and requests `path`. Waits until the handler has replied.
    fn ask(&self, path: &str) -> Client {
        let mut client = self.server.connect();
        client.send(get(path));
        self.expect(&[Event::Replied]);
        client
    }
}

fn with_reply_timeout() -> Settings {
    let mut settings = settings();
    settings.protocol.timeouts.reply = Duration::from_millis(600);
    settings
}

/// Replies late, in the way that the path names. Except after a delay, the response comes when `release` has sent something.
fn held(release: Receiver<()>) -> impl Handler {
    let release = Arc::new(Mutex::new(release));
    move |request: &Request<'_>| {
        let release = release.clone();
        let respond = move || {
            let _ = release.lock().expect("no panic").recv_timeout(TIMEOUT);
            Response::text("late")
        };
        match request.path() {
            "/offload" => Reply::offload(respond),
            "/deferred" => Reply::Deferred(Box::new(move |responder| {
                thread::spawn(move || responder.respond(respond()));
            })),
            _ => Reply::after(Duration::from_millis(200), || Response::text("late")),
        }
    }
}

http_testing::both_engines! {
    fn a_delayed_job_is_dropped_when_its_client_leaves(engine: Engine) {
        let server = JobServer::start(engine, settings());
        server.ask("/after").reset();
        server.expect(&[Event::Dropped]);
    }

    fn a_running_job_sees_that_its_client_has_left(engine: Engine) {
        let server = JobServer::start(engine, settings());
        let client = server.ask("/running");
        server.expect(&[Event::Started]);
        client.reset();
        server.expect(&[Event::Cancelled, Event::Dropped]);
    }

    fn a_client_gets_503_while_a_job_runs_too_long(engine: Engine) {
        let server = JobServer::start(engine, with_reply_timeout());
        let mut client = server.ask("/running");
        server.expect(&[Event::Started]);
        let reply = client.reply();
        assert_eq!((reply.status, reply.header("Retry-After"), reply.close), (503, Some("1"), true));
        client.expect_eof();
        server.expect(&[Event::Cancelled, Event::Dropped]);
    }

    fn a_running_job_sees_the_end_of_a_shutdown(engine: Engine) {
        let JobServer { server, events, .. } = JobServer::start(engine, settings());
        let mut client = server.connect();
        client.send(get("/running"));
        let mut seen = events.iter();
        assert_eq!(seen.by_ref().take(2).collect::<Vec<_>>(), [Event::Replied, Event::Started]);
        drop(server);
        assert_eq!(events.recv_timeout(TIMEOUT), Ok(Event::Cancelled));
    }

    fn a_responder_sees_that_its_client_has_left(engine: Engine) {
        let server = JobServer::start(engine, settings());
        let client = server.ask("/deferred");
        let responder = server.responders.recv_timeout(TIMEOUT).expect("a responder");
        assert!(!responder.is_closed());
        client.reset();
        wait_for("a closed responder", || responder.is_closed().then_some(()));
        responder.respond(Response::text("too late"));
    }

    fn a_responder_sees_the_reply_timeout(engine: Engine) {
        let server = JobServer::start(engine, with_reply_timeout());
        let mut client = server.ask("/deferred");
        let responder = server.responders.recv_timeout(TIMEOUT).expect("a responder");
        assert_eq!(client.reply().status, 503);
        wait_for("a closed responder", || responder.is_closed().then_some(()));
    }

    /// With one connection allowed, the next client gets 503 until the connection of the first is closed.
    fn a_client_that_leaves_makes_room_for_another(engine: Engine) {
        let settings = Settings { max_connections: Some(1), workers: 1, ..settings() };
        for path in ["/after", "/running", "/deferred"] {
            let server = JobServer::start(engine, settings.clone());
            server.ask(path).reset();
            wait_for("room for a connection", || {
                let reply = server.server.connect().try_fetch(get("/free"));
                reply.is_ok_and(|reply| reply.status == 200).then_some(())
            });
        }
    }

    /// A client that has closed only its sending side has not left.
    fn a_half_closed_client_receives_its_late_response(engine: Engine) {
        let (release, released) = channel();
        let server = InProcessServer::start(engine, settings(), held(released));
        for path in ["/offload", "/deferred", "/after"] {
            let mut client = server.connect();
            client.send(get(path));
            client.shutdown_write();
            release.send(()).expect("the handler exists");
            assert_eq!(client.reply().text(), "late", "{path}");
            client.expect_eof();
        }
    }
}

/// A job in the queue belongs to a client that leaves or waits too long: it is dropped while the only thread is busy.
#[test]
fn a_queued_job_is_dropped_when_its_client_leaves_or_waits_too_long() {
    for reply_timeout in [None, Some(Duration::from_millis(600))] {
        let mut settings = Settings { workers: 1, pool_threads: 1, pool_queue: 1, ..settings() };
        let timeout = &mut settings.protocol.timeouts.reply;
        *timeout = reply_timeout.unwrap_or(*timeout);
        let (release, released) = channel::<()>();
        let (started, has_started) = channel();
        let (events, seen) = channel();
        let released = Mutex::new(Some(released));
        let server = InProcessServer::start(Engine::EventLoop, settings, move |request: &Request<'_>| {
            let (started, watched) = (started.clone(), Watched(events.clone()));
            let released = (request.path() == "/busy").then(|| released.lock().unwrap().take()).flatten();
            Reply::offload(move || {
                let _ = started.send(());
                watched.send(Event::Started);
                if let Some(released) = released {
                    let _ = released.recv_timeout(TIMEOUT);
                }
                Response::text("done")
            })
        });
        let ask = |path| {
            let mut client = server.connect();
            client.send(get(path));
            client
        };
        let mut busy = ask("/busy");
        has_started.recv_timeout(TIMEOUT).expect("the first job runs");
        assert_eq!(seen.recv_timeout(TIMEOUT), Ok(Event::Started));
        for _ in 0..3 {
            // The queue has room for one job: each of these finds it free, and leaves it free.
            let mut queued = ask("/queued");
            if reply_timeout.is_some() {
                assert_eq!(queued.reply().header("Retry-After"), Some("1"));
            } else {
                // The job is in the queue when another request on a later connection has been rejected.
                wait_for("a full queue", || (ask("/rejected").reply().status == 503).then_some(()));
                while let Ok(event) = seen.try_recv() {
                    assert_eq!(event, Event::Dropped, "of a rejected request");
                }
                queued.reset();
            }
            assert_eq!(seen.recv_timeout(TIMEOUT), Ok(Event::Dropped));
        }
        drop(release);
        let reply = busy.try_reply().map(|reply| reply.status);
        assert_eq!(reply, Ok(if reply_timeout.is_some() { 503 } else { 200 }));
        assert!(
            !seen.try_iter().any(|event| event == Event::Started),
            "a job ran for a client that has left"
        );
    }
}
