//! A host program in which SIGPIPE has its default action: the engine must not end it when a client leaves.
//!
//! sendfile(2) raises SIGPIPE when the client has closed the connection, and has no flag against that.

use crate::{
    client::{Client, get, wait_for},
    program::Program,
};
use http_engine::{Body, Engine, FileSlice, Request, Response, Server};
use std::{
    env, fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::{Arc, atomic::AtomicBool},
};

/// The environment variable that makes [`host`] run as the host program: the name of the engine.
const HOST: &str = "SIGPIPE_TEST_ENGINE";
/// The environment variable with the address to which the host program sends the address of its server.
const REPORT_TO: &str = "SIGPIPE_TEST_REPORT_TO";

/// The size of the file that is served: more than the sockets of both sides hold.
const SIZE: u64 = 64 * 1024 * 1024;

/// The host program. It runs in a process of its own, because it changes what SIGPIPE does in all threads.
#[test]
fn host() {
    let Ok(name) = env::var(HOST) else { return };
    let engine = if name == "blocking" { Engine::Blocking } else { Engine::EventLoop };
    // The standard library ignores SIGPIPE at the start of a program.
    let enabled = Arc::new(AtomicBool::new(true));
    signal_hook::flag::register_conditional_default(signal_hook::consts::SIGPIPE, enabled)
        .expect("a handler");
    let path = env::temp_dir().join(format!("sigpipe-{}", std::process::id()));
    let file = fs::File::create_new(&path).expect("a file");
    file.set_len(SIZE).expect("a sparse file");
    let file = Arc::new(fs::File::open(&path).expect("a file"));
    fs::remove_file(&path).expect("removed");
    let serve = move |_: &Request<'_>| {
        Response::bytes(Body::File(FileSlice { file: Arc::clone(&file), offset: 0, len: SIZE }))
    };
    let running = Server::bind("127.0.0.1:0").expect("a port").engine(engine).serve(serve).expect("a server");
    let mut report = TcpStream::connect(env::var(REPORT_TO).expect("an address")).expect("the test");
    report.write_all(running.addresses()[0].to_string().as_bytes()).expect("the test reads");
    drop(report);
    running.wait().expect("no failure");
}

http_testing::both_engines! {
    fn a_client_that_leaves_does_not_end_the_host_program(engine: Engine) {
        let name = if engine == Engine::Blocking { "blocking" } else { "event-loop" };
        let reports = TcpListener::bind("127.0.0.1:0").expect("a free port");
        reports.set_nonblocking(true).expect("a socket");
        let mut command = Command::new(env::current_exe().expect("this test"));
        command.args(["--exact", "sigpipe::host"]).env(HOST, name);
        command.env(REPORT_TO, reports.local_addr().expect("an address").to_string());
        let program = Program::spawn(&mut command).expect("the host program");
        let (mut report, _) = wait_for("the host program", || reports.accept().ok());
        report.set_nonblocking(false).expect("a socket");
        let mut address = String::new();
        report.read_to_string(&mut address).expect("an address");
        let address = address.parse().expect("an address");
        // Each client half-closes and leaves: the server's next send fails with EPIPE, which raises SIGPIPE.
        for _ in 0..50 {
            let mut client = Client::connect_and_send(address, get("/"));
            client.shutdown_write();
            client.stream.read_exact(&mut [0; 100_000]).expect("the program still serves");
        }
        drop(program);
    }
}
