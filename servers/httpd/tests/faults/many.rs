//! More connections than the limits allow, or than there are descriptors: some wait or are rejected, and the server
//! continues to serve.

use crate::{
    client::{Client, get, wait_for},
    program,
    program::Program,
    reply::ReplyReader,
    server::{InProcessServer, ServerKind, settings},
    server_under_test::{ServerUnderTest, connect_and_send, is_closed},
    start,
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
/// Returns these processes with their new limits.
fn lower_descriptor_limits(kind: ServerKind, program: &Program) -> Vec<(Pid, usize)> {
    let workers = program.workers().into_iter().map(|(pid, _)| pid);
    let accepting = if kind.is_prefork() { workers.collect() } else { vec![program.pid()] };
    let limited = accepting.into_iter().map(|pid| {
        let limit = descriptors(pid) + FREE_DESCRIPTORS;
        let new = Some(limit as u64);
        prlimit(Some(pid), Resource::Nofile, Rlimit { current: new, maximum: new }).expect("a lower limit");
        (pid, limit)
    });
    limited.collect()
}

/// Returns how many descriptors a process has open.
fn descriptors(pid: Pid) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("a running process").count()
}

/// Reads the response and returns its status, or returns `None` at once if nothing has arrived.
fn received_status(stream: &TcpStream) -> Option<u16> {
    stream.set_nonblocking(true).expect("a socket");
    let is_readable = stream.peek(&mut [0]).is_ok();
    stream.set_nonblocking(false).expect("a socket");
    is_readable.then(|| ReplyReader::new(stream).reply().expect("a response").status)
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
    fn waits_while_there_are_no_descriptors(kind: ServerKind) {
        let server = start(kind);
        let limits = lower_descriptor_limits(kind, &server.program);
        let connect = |_| connect_and_send(server.address(), get("/notes.txt"));
        let mut clients: Vec<TcpStream> = (0..4 * FREE_DESCRIPTORS).map(connect).collect();
        wait_for("all descriptors to be in use", || {
            limits.iter().all(|(pid, limit)| descriptors(*pid) >= *limit).then_some(())
        });
        server.check_low_cpu("no free descriptors", || {});
        // A connection that closes makes room for one that waits. A request that finds no descriptor left for its
        // file gets 503. Each client gets a response.
        let mut counts = [0, 0];
        wait_for("a response for each client", || {
            clients.retain(|stream| match received_status(stream) {
                None => true,
                Some(status) => {
                    assert!(matches!(status, 200 | 503), "{status}");
                    counts[usize::from(status == 503)] += 1;
                    false
                }
            });
            clients.is_empty().then_some(())
        });
        eprintln!("{kind:?}, no free descriptors: 200 for {}, 503 for {}", counts[0], counts[1]);
        server.check_recovers();
    }

    fn rejects_connections_beyond_the_limit(kind: ServerKind) {
        let limit = MAX_CONNECTIONS.to_string();
        let arguments = [kind.arguments(), &["--max-connections", &limit]].concat();
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
        let arguments = [kind.arguments(), &["--max-connections-per-ip", &limit]].concat();
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
