//! The two programs in processes of their own: a graceful shutdown, and a panic in the error log.

use http_engine::Engine;
use http_testing::{
    client::{Client, get},
    program::Program,
    reply::Asked,
    server::Kind,
};
use rustix::process::Signal;
use std::{fs, process::Command};
use tempfile::TempDir;

http_testing::both_engines! {
    fn what_is_in_flight_is_answered_and_that_is_all(kind: Kind) {
        let program = Program::start(&mut demo(kind));
        let mut idle = Client::connect(program.address());
        assert_eq!(idle.ask(get("/hello")).status, 200);
        let mut busy = Client::connect(program.address());
        busy.send(get("/io_task?ms=400"));
        program.signal(Signal::TERM);
        idle.ends();
        let reply = busy.reply(Asked::Http11);
        assert_eq!((reply.status, reply.field("Connection")), (200, Some("close")));
        busy.ends();
        assert_eq!(program.exit().code, Some(0));
    }
}

#[test]
fn a_panic_is_a_line_in_the_error_log() {
    let directory = TempDir::new().expect("a directory");
    let errors = directory.path().join("error.log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_async-server"));
    let program = Program::start(command.args(["-b", "127.0.0.1", "-p", "0", "--error-log"]).arg(&errors));
    let reply = Client::connect(program.address()).ask(get("/error_task?kind=panic"));
    assert_eq!(reply.status, 500);
    program.signal(Signal::TERM);
    assert_eq!(program.exit().stderr, "");
    let log = fs::read_to_string(&errors).expect("the error log");
    let [line] = log.lines().collect::<Vec<_>>()[..] else { panic!("one line") };
    assert!(line.contains("Z error ") && line.contains(" panicked at "), "{line}");
    assert!(line.ends_with(": this task panics on purpose"), "{line}");
}

/// The demo application.
fn demo(kind: Kind) -> Command {
    let mut command = Command::new(match kind.engine() {
        Engine::EventLoop => env!("CARGO_BIN_EXE_async-server"),
        Engine::Blocking => env!("CARGO_BIN_EXE_sync-server"),
    });
    command.args(["-w", "2", "-b", "127.0.0.1", "-p", "0"]);
    if kind.is_prefork() {
        command.arg("--prefork");
    }
    command
}
