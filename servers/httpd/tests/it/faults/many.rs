//! More connections than the limits allow, or than there are descriptors: some wait or are rejected, and the server
//! continues to serve.

use super::start;
use crate::{
    client::{Client, Response, get, wait_for},
    program::{Program, ServerKind},
};
use http_testing::server_under_test::ServerUnderTest;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::fs;

/// How many more descriptors a process may open after [`lower_descriptor_limits`].
const FREE_DESCRIPTORS: usize = 24;

/// The connection limit of the servers under test. A server that has recovered may still have a few of the connections
/// before, and has room for others in each process.
const MAX_CONNECTIONS: usize = 32;

/// How many clients connect to a server with this limit.
const CLIENTS: usize = 100;

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

/// Opens `count` connections, and sends a request and `rest` on each. Returns the connections with the responses, each
/// of which is a 200 or a 503.
fn connect(server: &ServerUnderTest, count: usize, rest: &str) -> Vec<(Client, Response)> {
    let send = |_| Client::connect_and_send(server.address(), get("/notes.txt") + rest);
    let clients: Vec<Client> = (0..count).map(send).collect();
    let receive = |mut client: Client| {
        let response = client.response();
        assert!(matches!(response.status, 200 | 503), "{response:?}");
        (client, response)
    };
    clients.into_iter().map(receive).collect()
}

/// Opens [`CLIENTS`] connections, and sends a request and the beginning of another one on each, so that none is idle.
/// Returns the connections that the server serves. Checks that it closes all others, and tells the clients to come
/// back.
fn connect_busy_clients(server: &ServerUnderTest) -> Vec<Client> {
    let clients = connect(server, CLIENTS, "GET / HT");
    let (served, rejected): (Vec<_>, Vec<_>) =
        clients.into_iter().partition(|(_, response)| response.status == 200);
    for (_, response) in rejected {
        assert_eq!((response.header("Retry-After"), !response.keeps_alive), (Some("1"), true));
    }
    served.into_iter().map(|(client, _)| client).collect()
}

http_testing::both_engines! {
    /// A new connection then replaces the connection that has been idle longest.
    fn serves_new_connections_when_idle_ones_have_all_descriptors(kind: ServerKind) {
        let server = start(kind, &[]);
        lower_descriptor_limits(kind, &server.program);
        // A request that finds no descriptor left for its file gets 503, too.
        let clients = connect(&server, 4 * FREE_DESCRIPTORS, "");
        // The kernel decides which worker process accepts a connection, so one of them may keep all of its idle ones.
        let first = if kind.is_prefork() { clients.len() } else { 1 };
        wait_for("the longest idle connection to be closed", || {
            clients[..first].iter().any(|(client, _)| client.is_closed()).then_some(())
        });
        server.check_low_cpu("no free descriptors", || {});
        drop(clients);
        server.check_recovers();
    }

    /// No connection is idle, so a new one cannot replace any. It gets 503 nevertheless, and does not wait.
    fn sends_503_when_busy_connections_have_all_descriptors(kind: ServerKind) {
        let server = start(kind, &["--head-timeout", "1h"]);
        lower_descriptor_limits(kind, &server.program);
        let clients = connect(&server, 4 * FREE_DESCRIPTORS, "GET / HT");
        let rejected = clients.iter().filter(|(_, response)| response.status == 503).count();
        assert!(rejected >= FREE_DESCRIPTORS, "only {rejected} rejected");
        server.check_low_cpu("no free descriptors", || {});
        drop(clients);
        server.check_recovers();
    }

    fn rejects_connections_beyond_a_limit(kind: ServerKind) {
        let processes = if kind.is_prefork() { 2 } else { 1 };
        for (option, served) in [
            // Workers divide this limit among them, so one worker may reach its part before the others do.
            ("--max-connections", 1..=MAX_CONNECTIONS),
            // Each process counts the connections of an address by itself.
            ("--max-connections-per-ip", MAX_CONNECTIONS..=MAX_CONNECTIONS * processes),
        ] {
            let server = start(kind, &[option, &MAX_CONNECTIONS.to_string(), "--head-timeout", "1h"]);
            let busy = connect_busy_clients(&server);
            assert!(served.contains(&busy.len()), "{option}: {} of {CLIENTS} are served", busy.len());
            if option == "--max-connections-per-ip" {
                let mut other = Client::connect_from("127.0.0.2:0", server.address());
                assert_eq!(other.fetch(get("/notes.txt")).text(), "notes\n");
            }
            server.check_low_cpu("as many busy connections as allowed", || {});
            drop(busy);
            server.check_recovers();
        }
    }
}
