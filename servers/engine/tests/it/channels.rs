//! Bodies that other threads send ([`Body::channel`]) and bodies that a thread of the engine reads ([`Body::reader`]):
//! they arrive without delay, and each wait ends when the client leaves, when the server stops, and when a limit is
//! reached.

use crate::{
    app::settings_with,
    client::{Client, TIMEOUT, get, request, wait_for},
    server::{InProcessServer, settings},
};
use http_engine::{Body, BodySender, Engine, Headers, Reply, Request, Response, SendError, Settings, Status};
use std::{
    io::{self, Read},
    panic::resume_unwind,
    sync::{
        Mutex,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

/// What a reader does at its reads.
#[derive(Clone, Copy)]
enum Script {
    Text(&'static str),
    Fails,
    Panics,
    Endless,
}

/// A reader that says when it reads, and when it is dropped.
struct ScriptReader {
    script: Script,
    /// Whether a signal has interrupted the read.
    interrupted: bool,
    reads: Sender<()>,
}

impl Read for ScriptReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let _ = self.reads.send(());
        self.interrupted = !self.interrupted;
        match self.script {
            Script::Text(_) if self.interrupted => Err(io::ErrorKind::Interrupted.into()),
            Script::Text(text) => {
                // One byte at a time.
                let Some((first, rest)) = text.as_bytes().split_first() else { return Ok(0) };
                buffer[0] = *first;
                self.script = Script::Text(str::from_utf8(rest).expect("ASCII"));
                Ok(1)
            }
            Script::Fails => Err(io::Error::other("the disk is gone")),
            Script::Panics => crate::faults::fail(),
            Script::Endless => Ok(buffer.len()),
        }
    }
}

/// A reader that waits until the test drops the other end.
struct BlockedReader(Receiver<()>);

impl Read for BlockedReader {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        let _ = self.0.recv_timeout(TIMEOUT);
        Ok(0)
    }
}

/// A server, and the test's ends of its bodies.
struct Streaming {
    server: InProcessServer,
    senders: Receiver<BodySender>,
    /// Of each reader that exists.
    reads: Receiver<Receiver<()>>,
    /// Dropping one ends a `/blocked` reader.
    blocked: Receiver<Sender<()>>,
}

impl Streaming {
    fn start(engine: Engine, settings: Settings) -> Streaming {
        let ((send_sender, senders), (send_reads, reads), (send_blocked, blocked)) =
            (channel(), channel(), channel());
        let ends = Mutex::new((send_sender, send_reads, send_blocked));
        let handler = move |request: &Request<'_>| -> Reply {
            let (senders, reads, blocked) = &*ends.lock().expect("no panic");
            let read = |script, length| {
                let (seen, seen_by) = channel();
                let _ = reads.send(seen_by);
                Body::reader(ScriptReader { script, interrupted: false, reads: seen }, length)
            };
            let text = Script::Text("text");
            let body = match request.path() {
                "/channel" => {
                    let (sender, body) = Body::channel(64 * 1024);
                    let _ = senders.send(sender);
                    body
                }
                "/blocked" => {
                    let (end, ended) = channel();
                    let _ = blocked.send(end);
                    Body::reader(BlockedReader(ended), None)
                }
                "/known" => read(text, Some(4)),
                "/short" => read(text, Some(5)),
                "/long" => read(text, Some(3)),
                "/fails" => read(Script::Fails, None),
                "/panics" => read(Script::Panics, None),
                "/endless" => read(Script::Endless, None),
                "/parts" => Body::Parts(vec![read(text, Some(4))]),
                "/offload" => {
                    let body = read(text, None);
                    return Reply::offload(|| Response::text(body));
                }
                "/deferred" => {
                    let body = read(text, None);
                    return Reply::deferred(|responder| responder.respond(Response::text(body)));
                }
                "/ok" => Body::from("ok"),
                _ => read(text, None),
            };
            Response::text(body).into()
        };
        Streaming { server: InProcessServer::start(engine, settings, handler), senders, reads, blocked }
    }

    /// Requests `path` on a new connection.
    fn request(&self, path: &str) -> Client {
        Client::connect_and_send(self.server.address, get(path))
    }

    /// Requests `/channel`. Returns when its head has arrived.
    fn open_channel(&self) -> (Client, BodySender) {
        let client = self.request("/channel");
        let sender = self.senders.recv_timeout(TIMEOUT).expect("a request for /channel");
        client.await_status_line();
        (client, sender)
    }
}

/// Returns a receiver that is disconnected when the sender's body is no longer wanted. The callback panics.
fn on_closed(sender: &BodySender) -> Receiver<()> {
    let (closed, is_closed) = channel();
    sender.on_closed(move || {
        let _ = closed.send(());
        crate::faults::fail();
    });
    is_closed
}

/// Waits until the reader is dropped.
fn await_drop(reads: &Receiver<()>) {
    wait_for("the drop of a reader", || match reads.try_recv() {
        Err(std::sync::mpsc::TryRecvError::Disconnected) => Some(()),
        _ => None,
    });
}

http_testing::both_engines! {
    fn what_is_sent_arrives_without_delay(engine: Engine) {
        let streaming = Streaming::start(engine, settings());
        let (mut client, sender) = streaming.open_channel();
        let closed = on_closed(&sender);
        for text in ["one", "three"] {
            assert_eq!(sender.try_send(text), Ok(()));
            client.await_bytes(&format!("{:x}\r\n{text}\r\n", text.len()));
        }
        sender.finish();
        assert_eq!(client.response().text(), "onethree");
        assert_eq!(closed.recv_timeout(TIMEOUT), Err(RecvTimeoutError::Disconnected), "the client has not left");
        assert_eq!(client.fetch(get("/ok")).text(), "ok");
    }

    /// The reader of the tests takes no trailers, because the servers send none.
    fn trailers_follow_the_body(engine: Engine) {
        let streaming = Streaming::start(engine, settings());
        let (client, sender) = streaming.open_channel();
        let mut trailers = Headers::default();
        trailers.append("X-Sum", "8").expect("a valid header");
        sender.finish_with(trailers);
        client.await_bytes("\r\n\r\n0\r\nX-Sum: 8\r\n\r\n");
    }

    fn a_sender_that_is_dropped_or_panics_breaks_the_body(engine: Engine) {
        let streaming = Streaming::start(engine, settings());
        for end in [
            |sender: BodySender| drop(sender),
            |sender: BodySender| sender.fail(io::Error::other("no more")),
            |sender: BodySender| drop(thread::spawn(move || {
                let _sender = sender;
                resume_unwind(Box::new("on purpose"));
            }).join()),
        ] {
            let (mut client, sender) = streaming.open_channel();
            assert_eq!(sender.try_send("some"), Ok(()));
            end(sender);
            client.await_bytes("\r\n4\r\nsome\r\n");
            let error = client.try_response().expect_err("an incomplete response");
            assert!(error.contains("inside the body"), "{error}");
        }
    }

    /// The sender sends nothing. The client leaves before the head, or after it; or wants no body.
    fn a_sender_learns_that_its_client_has_left(engine: Engine) {
        let streaming = Streaming::start(engine, settings());
        for has_begun in [false, true] {
            let (client, sender) = streaming.open_channel();
            if has_begun {
                assert_eq!(sender.try_send("one"), Ok(()));
                client.await_bytes("\r\n3\r\none\r\n");
            }
            let closed = on_closed(&sender);
            assert!(!sender.is_closed());
            client.reset();
            assert_eq!(closed.recv_timeout(TIMEOUT), Ok(()));
            assert!(sender.is_closed());
            assert_eq!(sender.try_send("two"), Err(SendError::Closed(b"two".to_vec())));
        }
        let mut client = streaming.server.connect();
        let head = client.fetch(request("HEAD", "/channel", ""));
        assert_eq!((head.status, head.header("Transfer-Encoding")), (200, Some("chunked")));
        let sender = streaming.senders.recv_timeout(TIMEOUT).expect("a sender");
        wait_for("a closed sender", || sender.is_closed().then_some(()));
        assert_eq!(client.fetch(get("/ok")).text(), "ok");
    }

    fn a_half_closed_client_receives_the_rest(engine: Engine) {
        let streaming = Streaming::start(engine, settings());
        let (mut client, sender) = streaming.open_channel();
        client.shutdown_write();
        assert_eq!(streaming.request("/ok").response().text(), "ok");
        assert!(!sender.is_closed());
        assert_eq!(sender.try_send("rest"), Ok(()));
        sender.finish();
        assert_eq!(client.response().text(), "rest");
        client.expect_eof();
    }

    /// Waiting senders return, too.
    fn senders_learn_that_the_server_stops(engine: Engine) {
        let streaming = Streaming::start(engine, settings());
        let [(_first, idle), (_second, busy)] = [(); 2].map(|()| streaming.open_channel());
        let closed = on_closed(&idle);
        let busy = thread::spawn(move || {
            while busy.send(vec![b'x'; 64 * 1024], TIMEOUT).is_ok() {}
            busy.is_closed()
        });
        drop(streaming);
        assert_eq!(closed.try_recv(), Ok(()), "it was called when `stop` returned");
        assert!(idle.is_closed());
        assert!(busy.join().expect("no panic"));
    }

    /// It takes what fits into the sockets and the channel; then its sender waits, until the client is disconnected.
    fn a_client_that_reads_nothing_is_disconnected(engine: Engine) {
        let streaming = Streaming::start(engine, settings_with(|settings| {
            settings.protocol.timeouts.write_stall = Duration::from_millis(300);
        }));
        let (_client, sender) = streaming.open_channel();
        let piece = vec![b'x'; 256 * 1024];
        let outcome = (0..1_000).find_map(|_| sender.send(&piece[..], TIMEOUT).err());
        assert_eq!(outcome, Some(SendError::Closed(piece)));
    }

    fn a_slow_client_fills_its_channel_only(engine: Engine) {
        let streaming = Streaming::start(engine, settings());
        let (client, sender) = streaming.open_channel();
        let piece = vec![b'x'; 256 * 1024];
        let full = wait_for("a full channel", || sender.try_send(&piece[..]).err());
        assert_eq!(full, SendError::Full(piece));
        assert_eq!(streaming.request("/ok").response().text(), "ok");
        client.reset();
    }

    fn a_reader_is_read_to_its_end(engine: Engine) {
        let streaming = Streaming::start(engine, settings());
        let mut client = streaming.server.connect();
        for (path, length) in [("/known", Some("4")), ("/reader", None), ("/offload", None), ("/deferred", None)] {
            let response = client.fetch(get(path));
            assert_eq!((&*response.text(), response.header("Content-Length")), ("text", length), "{path}");
            await_drop(&streaming.reads.recv_timeout(TIMEOUT).expect("a reader"));
            let head = client.fetch(request("HEAD", path, ""));
            assert_eq!((head.status, head.header("Content-Length")), (200, length), "{path}");
            let reads = streaming.reads.recv_timeout(TIMEOUT).expect("a reader");
            assert_eq!(reads.recv_timeout(TIMEOUT), Err(RecvTimeoutError::Disconnected), "it was read for HEAD");
        }
        let old = "GET /known HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n";
        for _ in 0..2 {
            let response = client.fetch(old);
            assert_eq!((&*response.text(), response.header("Content-Length")), ("text", Some("4")));
        }
        assert_eq!(client.fetch(get("/parts")).status, Status::INTERNAL_SERVER_ERROR.code());
    }

    fn a_reader_that_fails_breaks_the_body(engine: Engine) {
        let streaming = Streaming::start(engine, settings());
        for path in ["/fails", "/panics", "/short"] {
            assert!(streaming.request(path).try_response().is_err(), "{path}");
            await_drop(&streaming.reads.recv_timeout(TIMEOUT).expect("a reader"));
        }
        let mut client = streaming.request("/long");
        if let Ok(response) = client.try_response() {
            assert_eq!(response.text(), "tex");
        }
        client.expect_eof();
    }

    fn a_reader_ends_when_its_client_leaves_or_does_not_read(engine: Engine) {
        let streaming = Streaming::start(engine, settings_with(|settings| {
            settings.protocol.timeouts.write_stall = Duration::from_millis(300);
        }));
        for leaves in [false, true] {
            let client = streaming.request("/endless");
            client.await_status_line();
            let reads = streaming.reads.recv_timeout(TIMEOUT).expect("a reader");
            let kept = if leaves {
                client.reset();
                None
            } else {
                Some(client)
            };
            await_drop(&reads);
            drop(kept);
        }
    }

    fn readers_beyond_the_limit_get_503(engine: Engine) {
        let streaming = Streaming::start(engine, settings_with(|settings| settings.streaming_threads = 2));
        let busy: Vec<(Client, Sender<()>)> = (0..2).map(|_| {
            let client = streaming.request("/blocked");
            client.await_status_line();
            (client, streaming.blocked.recv_timeout(TIMEOUT).expect("a reader"))
        }).collect();
        let response = streaming.request("/reader").response();
        assert_eq!((response.status, response.header("Retry-After")), (503, Some("1")));
        await_drop(&streaming.reads.recv_timeout(TIMEOUT).expect("a reader"));
        assert_eq!(streaming.request("/ok").response().text(), "ok");
        for (mut client, end) in busy {
            drop(end);
            assert_eq!(client.response().text(), "");
        }
        wait_for("a free thread", || {
            (streaming.request("/reader").response().status == 200).then_some(())
        });
    }

    fn of_many_readers_at_once_as_many_read_as_there_are_threads(engine: Engine) {
        let streaming = Streaming::start(engine, settings_with(|settings| settings.streaming_threads = 8));
        let clients: Vec<Client> = (0..9).map(|_| streaming.request("/blocked")).collect();
        clients.iter().for_each(Client::await_status_line);
        streaming.blocked.try_iter().for_each(drop);
        let mut statuses: Vec<u16> = clients.into_iter().map(|mut client| client.response().status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [&[200; 8][..], &[503]].concat());
    }

    /// The thread of the reader cannot be interrupted. Everything else ends.
    fn stop_does_not_wait_for_a_reader_that_blocks(engine: Engine) {
        let streaming = Streaming::start(engine, settings());
        let mut client = streaming.request("/blocked");
        client.await_status_line();
        let end = streaming.blocked.recv_timeout(TIMEOUT).expect("a reader");
        let (_idle, sender) = streaming.open_channel();
        drop(streaming.server);
        assert!(client.try_response().is_err());
        assert!(sender.is_closed());
        drop(end);
    }
}
