//! Failures of the application that a client cannot report: the engine logs each once, with the request and the client.

use crate::{
    client::{Client, get, wait_for},
    recorder,
    server::{InProcessServer, settings},
};
use http_engine::{Body, Chunk, ChunkSource, FileSlice, Reply, Request, Response};
use std::{fs::File, io, mem, sync::Arc, thread, time::Duration};

/// A source that ends with an error or with a misuse.
enum BrokenSource {
    Fails,
    SendsNothing,
}

impl ChunkSource for BrokenSource {
    fn next_chunk(&mut self, _: &mut Vec<u8>) -> io::Result<Chunk> {
        match self {
            BrokenSource::Fails => Err(io::Error::other("the database is gone")),
            BrokenSource::SendsNothing => Ok(Chunk::Data),
        }
    }
}

fn handle(request: &Request<'_>) -> Reply {
    let stream = |source| Response::text(Body::Stream(Box::new(source)));
    match request.path() {
        "/fails" => stream(BrokenSource::Fails).into(),
        "/fails-late" => Reply::offload(move || stream(BrokenSource::Fails)),
        "/sends-nothing" => stream(BrokenSource::SendsNothing).into(),
        "/dropped" => Reply::Deferred(Box::new(drop)),
        "/dropped-elsewhere" => Reply::Deferred(Box::new(|responder| {
            thread::spawn(move || drop(responder));
        })),
        "/never" => Reply::Deferred(Box::new(mem::forget)),
        "/too-late" => Reply::after(Duration::from_secs(3600), || Response::text("too late")),
        "/short" => file(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).into(),
        "/unreadable" => file("/dev/null").into(),
        _ => Response::text("ok").into(),
    }
}

/// Returns a response whose body is a part of a file, far behind its end.
fn file(path: &str) -> Response {
    let file = Arc::new(File::open(path).expect("a file"));
    Response::bytes(Body::File(FileSlice { file, offset: 1 << 40, len: 10 }))
}

/// Requests `path`, and expects exactly one line in the log about this client. `CLIENT` in `expected` is the client's address.
fn check(server: &InProcessServer, path: &str, expected: &str) {
    let mut client = Client::connect(server.address);
    let address = client.stream.local_addr().expect("an address").to_string();
    client.send(get(path));
    let outcome = client.try_reply();
    assert!(outcome.is_err() || outcome.is_ok_and(|reply| reply.status >= 500), "{path}");
    let about = |line: &String| line.contains(&address);
    let line = wait_for(&format!("a line about {path}"), || recorder::logged().into_iter().find(about));
    assert_eq!(line, expected.replace("CLIENT", &address), "{path}");
    drop(client);
    // The connection has closed when another one has been served.
    assert_eq!(server.connect().fetch(get("/")).status, 200);
    assert_eq!(recorder::logged().into_iter().filter(about).count(), 1, "{path}");
}

http_testing::both_engines! {
    fn a_failure_of_the_application_is_logged_once(engine: Engine) {
        recorder::install();
        let mut settings = settings();
        settings.workers = 1;
        settings.protocol.timeouts.reply = Duration::from_millis(600);
        let server = InProcessServer::start(engine, settings, handle);
        let source = |path, error| {
            format!("cannot produce the rest of the response to {path} from CLIENT: {error}; closing the connection")
        };
        check(&server, "/fails?a=b", &source("/fails?a=b", "the database is gone"));
        check(&server, "/fails-late", &source("/fails-late", "the database is gone"));
        check(&server, "/sends-nothing", &source("/sends-nothing", "Chunk::Data without data"));
        for path in ["/dropped", "/dropped-elsewhere"] {
            check(&server, path, &format!("the handler dropped the responder of {path} from CLIENT; responding 500"));
        }
        for path in ["/never", "/too-late"] {
            let line = format!("no response to {path} from CLIENT within the reply timeout; responding 503");
            check(&server, path, &line);
        }
        let file = |cause| {
            format!("cannot send the rest of a file to a request from CLIENT: {cause}; closing the connection")
        };
        check(&server, "/short", &file("the file has become shorter"));
        check(&server, "/unreadable", &file("Invalid argument (os error 22)"));
    }
}
