//! Application code that panics: its peer gets a 500 and loses the connection, and that is all.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

use http_engine::{Body, ChunkSource, Engine, Request, Response, Settings};
use http_testing::{
    client::{Client, PATIENCE, get},
    program::Program,
    reply::Asked,
    server::{Kind, Threads, settings},
    site::Site,
    subject::Subject,
};
use std::{io, panic, process::Command, sync::mpsc::channel};

/// How often each way of failing is taken: more often than its messages fit into a pipe that nobody reads.
const PANICS: usize = 400;

/// The demo application, whose `/error_task` panics on purpose.
fn start(kind: Kind, site: &Site) -> Program {
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
    fn handlers_that_panic(kind: Kind) {
        let site = Site::shared();
        let subject = Subject::of(kind, "/static/notes.txt", || start(kind, &site));
        let mut kept = subject.connect();
        assert_eq!(kept.ask(get("/static/notes.txt")).status, 200);
        let mut download = Client::connect_narrow(subject.address());
        download.send(get("/static/large.bin"));
        for target in ["/error_task", "/error_task?kind=panic-offload", "/error_task?kind=dropped"] {
            for _ in 0..PANICS {
                let mut client = subject.connect();
                client.send(get(target) + &get("/static/notes.txt"));
                let reply = client.reply(Asked::Http11);
                assert_eq!((reply.status, reply.close), (500, true), "{target}");
                client.ends();
            }
        }
        assert_eq!(kept.ask(get("/static/notes.txt")).text(), "notes\n");
        assert!(download.reply(Asked::Http11).content == site.large, "other bytes than the file's");
        kept.finish();
        download.finish();
        // The pools for offloaded work are started for the first of it, one in each process.
        subject.recovers_but_for(2 * Settings::default().pool_threads);
    }
}

/// Content that breaks off in the middle, by a panic or an error.
struct Faulty {
    panics: bool,
    yielded: bool,
}

impl ChunkSource for Faulty {
    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<()> {
        if !std::mem::replace(&mut self.yielded, true) {
            chunk.extend_from_slice(b"so far");
            return Ok(());
        }
        if self.panics { fail() } else { Err(io::Error::other("meant")) }
    }
}

/// Panics without a report: this one is meant.
fn fail() -> ! {
    panic::resume_unwind(Box::new("meant"))
}

http_testing::both_engines! {
    /// What runs behind a handler is the application's as well: the source of its content, and whoever hears that all
    /// is sent.
    fn code_behind_a_handler_that_panics(engine: Engine) {
        let (sender, heard) = channel();
        let server = Threads::start(engine, settings(), move |request: &Request<'_>| {
            let faulty = |panics| Response::bytes(Body::Stream(Box::new(Faulty { panics, yielded: false })));
            let sender = sender.clone();
            match request.path() {
                "/panics" => faulty(true),
                "/fails" => faulty(false),
                _ => Response::text("here").when_sent(move |_| {
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
                let fault = client.try_reply(Asked::Http11).expect_err("it breaks off");
                assert!(fault.contains("cut short") || fault.contains("unfinished"), "{target}: {fault}");
            }
            assert_eq!(kept.ask(get("/")).text(), "here");
            heard.recv_timeout(PATIENCE).expect("somebody hears of it");
        }
        kept.finish();
    }
}
