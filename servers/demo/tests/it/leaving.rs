//! Clients that leave before their response: the work for them ends.

use crate::{
    client::{Client, get},
    demo::program,
};
use http_engine::Settings;
use http_testing::{program::Program, server_under_test::ServerUnderTest, site::Site};

/// How many clients request each task.
const CLIENTS: usize = 30;

http_testing::both_engines! {
    /// Without an end, the tasks would take longer than the test waits.
    fn tasks_end_when_their_clients_leave(kind: ServerKind) {
        let site = Site::shared();
        let server = ServerUnderTest::start(kind, "/static/notes.txt", || {
            Program::start(program(kind).arg("--root").arg(site.root()))
        });
        for target in ["/io_task?ms=60000", "/cpu_task?n=5000000"] {
            let ask = |_| {
                let mut client = server.connect();
                client.send(get(target));
                client
            };
            let clients: Vec<Client> = (0..CLIENTS).map(ask).collect();
            server.wait_for_connections(CLIENTS);
            clients.into_iter().for_each(Client::reset);
            server.wait_until_idle();
        }
        // Each process keeps the threads of its pool for some seconds.
        server.check_recovers_with_threads(2 * Settings::default().pool_threads);
    }
}
