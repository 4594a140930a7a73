//! More connections than the limits allow, or than there are descriptors: some wait or are rejected, and the server
//! continues to serve.

use crate::{
    client::{Client, get, wait_for},
    faults::start,
    program,
    program::Program,
    reply::ReplyReader,
    server::{InProcessServer, ServerKind, settings},
    server_under_test::{ServerUnderTest, connect_and_send, is_closed},
};
use http_engine::{Request, Response, Settings};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::{fs, net::TcpStream};

/// How many more descriptors a process may open after [`lower_descriptor_limits`].
const FREE_DESCRIPTORS: usize = 24;

/// The connection limit of the servers under test.
const MAX_CONNECTIONS: usize = 8;

/// How many clients connect to a server with this limit.
const CLIENTS: usize = 200;

/// Lowers the descriptor limit of each process that accepts connections to [`FREE_DESCRIPTORS`] above what it has open.
fn lower_descriptor_limits(kind: ServerKind, program: &Program) {
    let workers = program.workers().into_iter().map(|(pid, _)| pid);
    let accepting: Vec<Pid> = if kind.is_prefork() { workers.collect() } else { vec![program.pid()] };
    for pid in accepting {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).expect("a running process").count();
        let limit = Some((open + FREE_DESCRIPTORS) as u64);
        prlimit(Some(pid), Resource::Nofile, Rlimit { current: limit, maximum: limit })
            .expect("a lower limit");
    }
}

/// Reads a response and returns its status.
fn status(stream: &TcpStream) -> u16 {
    ReplyReader::new(stream).reply().expect("a response").status
}

/// Opens [`CLIENTS`] connections, and sends a request and the beginning of another one on each, so that none is idle.
/// Returns the connections that the server serves. Checks that it rejects all others with 503.
fn connect_busy_clients(server: &ServerUnderTest) -> Vec<TcpStream> {
    let clients: Vec<TcpStream> =
        (0..CLIENTS).map(|_| connect_and_send(server.address(), get("/notes.txt") + "GET / HT")).collect();
    let is_served = |(number, stream): (usize, TcpStream)| {
        let reply = ReplyReader::new(&stream).reply();
        let reply = reply.unwrap_or_else(|error| panic!("{error}, number {number}"));
        if reply.status == 200 {
            return Some(stream);
        }
        assert_eq!((reply.status, reply.header("Retry-After"), reply.close), (503, Some("1"), true));
        None
    };
    clients.into_iter().enumerate().filter_map(is_served).collect()
}

/// Waits until the server serves a new connection again, after clients have closed theirs.
fn wait_for_room(server: &ServerUnderTest) {
    wait_for("room for a connection", || {
        let reply = server.connect().try_fetch(get("/notes.txt"));
        reply.is_ok_and(|reply| reply.status == 200).then_some(())
    });
}

http_testing::both_engines! {
    /// A new connection then replaces the one that is idle for longest.
    fn serves_new_connections_when_idle_ones_have_all_descriptors(kind: ServerKind) {
        let server = start(kind);
        lower_descriptor_limits(kind, &server.program);
        let connect = |_| connect_and_send(server.address(), get("/notes.txt"));
        let clients: Vec<TcpStream> = (0..4 * FREE_DESCRIPTORS).map(connect).collect();
        // A request that finds no descriptor left for its file gets 503.
        let statuses: Vec<u16> = clients.iter().map(status).collect();
        assert!(statuses.iter().all(|status| matches!(status, 200 | 503)), "{statuses:?}");
        let served = statuses.iter().filter(|status| **status == 200).count();
        eprintln!("{kind:?}, no free descriptors: 200 for {served} of {}", statuses.len());
        // The kernel decides which worker process accepts a connection, so one of them may keep all of its idle ones.
        let first = if kind.is_prefork() { clients.len() } else { 1 };
        wait_for("the longest idle connection to be closed", || {
            clients[..first].iter().any(is_closed).then_some(())
        });
        server.check_low_cpu("no free descriptors", || {});
        drop(clients);
        wait_for_room(&server);
        server.check_recovers();
    }

    /// No connection is idle, so a new one cannot replace any. It gets 503 nevertheless, and does not wait.
    fn sends_503_when_busy_connections_have_all_descriptors(kind: ServerKind) {
        let arguments = [kind.arguments(), &["--head-timeout", "3600"]].concat();
        let server = ServerUnderTest::start(kind, "/notes.txt", || program::serve(&arguments));
        lower_descriptor_limits(kind, &server.program);
        let begin = |_| connect_and_send(server.address(), get("/notes.txt") + "GET / HT");
        let clients: Vec<TcpStream> = (0..4 * FREE_DESCRIPTORS).map(begin).collect();
        let statuses: Vec<u16> = clients.iter().map(status).collect();
        let rejected = statuses.iter().filter(|status| **status == 503).count();
        assert!(rejected >= FREE_DESCRIPTORS, "{statuses:?}");
        server.check_low_cpu("no free descriptors", || {});
        drop(clients);
        wait_for_room(&server);
        server.check_recovers();
    }

    fn rejects_connections_beyond_the_limit(kind: ServerKind) {
        let limit = MAX_CONNECTIONS.to_string();
        let limits = ["--max-connections", &limit, "--head-timeout", "1h"];
        let arguments = [kind.arguments(), &limits].concat();
        let server = ServerUnderTest::start(kind, "/notes.txt", || program::serve(&arguments));
        let busy = connect_busy_clients(&server);
        assert!((1..=MAX_CONNECTIONS).contains(&busy.len()), "{} of {CLIENTS} are served", busy.len());
        server.check_low_cpu("as many busy connections as allowed", || {});
        drop(busy);
        wait_for_room(&server);
        server.check_recovers();
    }

    fn rejects_connections_of_one_address_beyond_its_limit(kind: ServerKind) {
        let limit = MAX_CONNECTIONS.to_string();
        let limits = ["--max-connections-per-ip", &limit, "--head-timeout", "1h"];
        let arguments = [kind.arguments(), &limits].concat();
        let server = ServerUnderTest::start(kind, "/notes.txt", || program::serve(&arguments));
        let busy = connect_busy_clients(&server);
        // Each process counts its own connections.
        let most = MAX_CONNECTIONS * if kind.is_prefork() { 2 } else { 1 };
        assert!((MAX_CONNECTIONS..=most).contains(&busy.len()), "{} of {CLIENTS} are served", busy.len());
        let mut other = Client::connect_from("127.0.0.2:0", server.address());
        assert_eq!(other.fetch(get("/notes.txt")).text(), "notes\n");
        other.finish();
        drop(busy);
        wait_for_room(&server);
        server.check_recovers();
    }
}

http_testing::both_engines! {
    fn new_connections_evict_idle_ones(engine: Engine) {
        let settings = Settings { workers: 1, max_connections: Some(MAX_CONNECTIONS), ..settings() };
        let server = InProcessServer::start(engine, settings, |_: &Request<'_>| Response::text("here"));
        let mut rejected = 0;
        let clients: Vec<Client> = (0..CLIENTS)
            .map(|_| {
                let mut client = server.connect();
                rejected += usize::from(client.fetch(get("/")).status == 503);
                client
            })
            .collect();
        // A thread becomes idle a moment after its response has arrived, so some connections find none to evict.
        assert!(rejected < CLIENTS / 2, "{rejected} of {CLIENTS} were rejected");
        wait_for("the other connections to be closed", || {
            let open = clients.iter().filter(|client| !is_closed(&client.stream));
            (open.count() <= MAX_CONNECTIONS).then_some(())
        });
    }
}
