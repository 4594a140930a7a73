//! Application code that panics: the client gets a 500 and a closed connection, and nothing else is affected.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

use http_engine::{Body, Chunk, ChunkSource, Engine, Request, Response, Settings};
use http_testing::{
    client::{Client, TIMEOUT, get},
    program::Program,
    server::{InProcessServer, ServerKind, settings},
    server_under_test::ServerUnderTest,
    site::Site,
};
use std::{io, panic, process::Command, sync::mpsc::channel};

/// Requests per kind of failure. Their log messages fill the pipe of standard error, which the test does not read.
const PANICS: usize = 400;

/// The demo application, whose `/error_task` panics on purpose.
fn start(kind: ServerKind, site: &Site) -> Program {
    let program = match kind.engine() {
        Engine::Blocking => env!("CARGO_BIN_EXE_sync-server"),
        Engine::EventLoop => env!("CARGO_BIN_EXE_async-server"),
    };
    let mut command = Command::new(program);
    command.args(["-b", "127.0.0.1", "-p", "0", "-w", "2", "-r"]).arg(site.root());
    if kind.is_prefork() {
        command.arg("--prefork");
    }
    Program::start(&mut command)
}

http_testing::both_engines! {
    fn a_panicking_handler_closes_its_own_connection_only(kind: ServerKind) {
        let site = Site::shared();
        let server = ServerUnderTest::start(kind, "/static/notes.txt", || start(kind, &site));
        let mut kept = server.connect();
        assert_eq!(kept.fetch(get("/static/notes.txt")).status, 200);
        let mut download = Client::connect_with_small_buffer(server.address());
        download.send(get("/static/large.bin"));
        for target in ["/error_task", "/error_task?kind=panic-offload", "/error_task?kind=dropped"] {
            for _ in 0..PANICS {
                let mut client = server.connect();
                client.send(get(target) + &get("/static/notes.txt"));
                let reply = client.response();
                assert_eq!((reply.status, reply.close), (500, true), "{target}");
                client.expect_eof();
            }
        }
        assert_eq!(kept.fetch(get("/static/notes.txt")).text(), "notes\n");
        assert!(download.response().body == site.large, "not the bytes of the file");
        kept.finish();
        download.finish();
        // Each process starts its thread pool with the first offloaded job.
        server.check_recovers_with_threads(2 * Settings::default().pool_threads);
    }
}

/// A body that ends early, by a panic or by an error.
struct Faulty {
    panics: bool,
    yielded: bool,
}

impl ChunkSource for Faulty {
    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
        if !std::mem::replace(&mut self.yielded, true) {
            chunk.extend_from_slice(b"so far");
            return Ok(Chunk::Data);
        }
        if self.panics { fail() } else { Err(io::Error::other("on purpose")) }
    }
}

/// Panics without a message on standard error.
fn fail() -> ! {
    panic::resume_unwind(Box::new("on purpose"))
}

http_testing::both_engines! {
    /// The source of a body and the callback of `on_sent` are application code as well.
    fn a_panicking_body_or_callback_closes_its_own_connection_only(engine: Engine) {
        let (sender, called) = channel();
        let server = InProcessServer::start(engine, settings(), move |request: &Request<'_>| {
            let faulty = |panics| Response::bytes(Body::Stream(Box::new(Faulty { panics, yielded: false })));
            let sender = sender.clone();
            match request.path() {
                "/panics" => faulty(true),
                "/fails" => faulty(false),
                _ => Response::text("here").on_sent(move |_| {
                    let _ = sender.send(());
                    fail()
                }),
            }
        });
        let mut kept = server.connect();
        for _ in 0..20 {
            for target in ["/panics", "/fails"] {
                let mut client = server.connect();
                client.send(get(target) + &get("/"));
                let fault = client.try_response().expect_err("an incomplete response");
                assert!(fault.contains("cut short") || fault.contains("unfinished"), "{target}: {fault}");
            }
            assert_eq!(kept.fetch(get("/")).text(), "here");
            called.recv_timeout(TIMEOUT).expect("a call of the callback");
        }
        kept.finish();
    }
}
