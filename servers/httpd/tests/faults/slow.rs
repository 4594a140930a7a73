//! Peers that take their time: they hold up nobody but themselves, and are let go of when it is over.

use crate::{
    client::{Client, PATIENCE, get, request, until},
    program,
    reply::{Asked, uninterrupted},
    server::{Threads, settings},
    start,
    subject::{Subject, affordable, has_ended, is_answered, plain},
};
use http_engine::{Body, ChunkSource, Request, Response, Timeouts};
use http_engine::{Engine, Settings};
use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::mpsc::{Sender, channel},
    time::{Duration, Instant},
};

const DRIPPING: usize = 400;
const UNREAD: usize = 100;
const IDLE: usize = 5_000;

/// Timeouts short enough to be waited for. An event loop looks at deadlines once a second.
const SHORT: Duration = Duration::from_millis(500);
/// How often something little is sent or read: never so seldom that it counts as nothing.
const PACE: Duration = Duration::from_millis(20);

http_testing::both_engines! {
    fn heads_that_drip(kind: Kind) {
        let subject = start(kind);
        let begun = || plain(subject.address(), "GET / HTTP/1.1\r\nHost: test\r\nX-Slow: ");
        let mut dripping: Vec<TcpStream> = (0..DRIPPING).map(|_| begun()).collect();
        subject.holds(DRIPPING);
        subject.watch("400 heads that drip", || {
            for stream in &mut dripping {
                stream.write_all(b"x").expect("it is still listened to");
            }
        });
        drop(dripping);
        subject.recovers();
    }

    fn downloads_that_nobody_reads(kind: Kind) {
        let subject = start(kind);
        let mut unread: Vec<Client> = (0..UNREAD).map(|_| Client::connect_narrow(subject.address())).collect();
        for client in &mut unread {
            client.send(get("/huge.bin"));
        }
        subject.holds(UNREAD);
        subject.watch("100 downloads that nobody reads", || {});
        drop(unread);
        subject.recovers();
    }

    /// All of them at once, with short deadlines: they are let go of while they hold on.
    fn who_takes_too_long_is_let_go(kind: Kind) {
        let short = ["--head-timeout", "--body-timeout", "--write-timeout", "--idle-timeout"];
        let short = short.map(|option| [option, "1"]).concat();
        let arguments = [kind.arguments(), &short].concat();
        let subject = Subject::of(kind, "/notes.txt", || program::serve(&arguments));
        let half = request("POST", "/notes.txt", "Content-Length: 10\r\n") + "half";
        let beginnings = ["GET / HTTP/1.1\r\nX-Slow: ".to_owned(), half, get("/notes.txt")];
        let slow = beginnings.iter().cycle().take(DRIPPING);
        let slow: Vec<TcpStream> = slow.map(|beginning| plain(subject.address(), beginning)).collect();
        let mut unread: Vec<Client> = (0..UNREAD).map(|_| Client::connect_narrow(subject.address())).collect();
        for client in &mut unread {
            client.send(get("/huge.bin"));
        }
        subject.holds(UNREAD);
        subject.recovers();
        drop((slow, unread));
    }

    /// Half of them have asked once, the others never. Where a connection is a thread, the longest idle make room.
    fn connections_that_idle(kind: Kind) {
        let subject = start(kind);
        let count = affordable(IDLE);
        let idle: Vec<TcpStream> = (0..count)
            .map(|number| {
                let asks = number % 2 == 0;
                let stream = plain(subject.address(), if asks { get("/notes.txt") } else { String::new() });
                assert!(!asks || is_answered(&stream), "number {number}");
                stream
            })
            .collect();
        // Who says nothing is let in late, and who has been idle for longest may have gone by then.
        until("all have been let in", || {
            let gone = idle.iter().filter(|stream| has_ended(stream)).count();
            (subject.connections() + gone >= count).then_some(())
        });
        subject.watch("5,000 idle connections", || {});
        drop(idle);
        subject.recovers();
    }
}

/// Timeouts that are none, but for those that `shorten` shortens.
fn impatient(shorten: impl FnOnce(&mut Timeouts)) -> Settings {
    const NEVER: Duration = Duration::from_secs(3600);
    let mut settings = settings();
    let timeouts = &mut settings.protocol.timeouts;
    (timeouts.head, timeouts.body_idle, timeouts.answer) = (NEVER, NEVER, NEVER);
    (timeouts.idle, timeouts.write_stall) = (NEVER, NEVER);
    shorten(timeouts);
    settings
}

/// Peers who send `beginning` and then `drop` after `drop` are told that they are too slow, every one of them.
fn check_let_go(settings: Settings, engine: Engine, beginning: &str, drop: &str) {
    let server = Threads::start(engine, settings, |_: &Request<'_>| Response::text("here"));
    let begin = |_| {
        let mut client = server.connect();
        client.send(beginning);
        client.stream.set_read_timeout(Some(Duration::from_micros(1))).expect("a timeout");
        client
    };
    let mut clients: Vec<Client> = (0..50).map(begin).collect();
    until("all are answered", || {
        let waiting = clients.iter_mut().filter_map(|client| {
            let came = uninterrupted(|| client.stream.peek(&mut [0]));
            // It may be given up by now; then its answer comes next.
            came.is_err().then(|| client.try_send(drop))
        });
        (waiting.count() == 0).then_some(())
    });
    for mut client in clients {
        client.stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let reply = client.reply(Asked::Http11);
        assert_eq!((reply.status, reply.close), (408, true), "{beginning}");
        client.ends();
    }
    assert_eq!(server.connect().ask(get("/")).text(), "here");
}

/// Content without an end. When it is dropped, so is the connection it was for.
struct Endless(Sender<()>);

impl ChunkSource for Endless {
    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<()> {
        chunk.resize(16 * 1024, b'x');
        Ok(())
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        // The test may have ended first.
        let _ = self.0.send(());
    }
}

/// Reads an answer in sips, without ever pausing, where `send_rate` bytes a second are asked for.
fn check_sips(engine: Engine, send_rate: u32, dropped: bool) {
    let settings = impatient(|timeouts| (timeouts.write_stall, timeouts.send_rate) = (2 * SHORT, send_rate));
    let (sender, was_dropped) = channel();
    let server = Threads::start(engine, settings, move |_: &Request<'_>| {
        Response::bytes(Body::Stream(Box::new(Endless(sender.clone()))))
    });
    let mut client = Client::connect_narrow(server.address);
    client.send(get("/"));
    let (start, mut sip) = (Instant::now(), [0; 1024]);
    let mut is_dropped = false;
    while !is_dropped && start.elapsed() < 8 * SHORT {
        let count = uninterrupted(|| client.stream.read(&mut sip)).expect("there is always more to read");
        assert!(count > 0 || dropped, "it ends");
        is_dropped = was_dropped.recv_timeout(PACE).is_ok();
    }
    assert_eq!(is_dropped, dropped, "at {send_rate} bytes a second");
}

http_testing::both_engines! {
    fn heads_that_drip_come_to_an_end(engine: Engine) {
        check_let_go(impatient(|timeouts| timeouts.head = SHORT), engine, "GET / HTTP/1.1\r\nX: ", "x");
    }

    fn content_that_pauses_comes_to_an_end(engine: Engine) {
        let post = request("POST", "/", "Content-Length: 10\r\n");
        check_let_go(impatient(|timeouts| timeouts.body_idle = SHORT), engine, &post, "");
    }

    /// It never pauses, and is slower than it may be all the same.
    fn content_that_drips_comes_to_an_end(engine: Engine) {
        let settings = impatient(|timeouts| (timeouts.body_idle, timeouts.body_rate) = (SHORT, 1 << 20));
        check_let_go(settings, engine, &request("POST", "/", "Content-Length: 1000000\r\n"), "x");
    }

    fn answers_that_are_sipped_come_to_an_end(engine: Engine) {
        check_sips(engine, 1, false);
        check_sips(engine, 1 << 30, true);
    }
}
