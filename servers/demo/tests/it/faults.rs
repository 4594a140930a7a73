//! Clients that leave before their response, and code that panics: the programs recover.

use crate::{
    client::{Client, get},
    demo::program,
    server::ServerKind,
};
use http_engine::Settings;
use http_testing::{program::Program, server_under_test::ServerUnderTest, site::Site};

/// How many clients request each task.
const CLIENTS: usize = 30;

/// Requests per kind of failure. Their log messages fill the pipe of standard error, which the test does not read.
const PANICS: usize = 200;

fn start(kind: ServerKind) -> ServerUnderTest {
    let site = Site::shared();
    ServerUnderTest::start(kind, "/static/notes.txt", || {
        Program::start(program(kind).arg("--root").arg(site.root())).with_site(site)
    })
}

http_testing::both_engines! {
    /// Without an end, the tasks would take longer than the test waits.
    fn tasks_end_when_their_clients_leave(kind: ServerKind) {
        let server = start(kind);
        for target in ["/io_task?ms=60000", "/cpu_task?n=5000000"] {
            let ask = |_| Client::connect_and_send(server.address(), get(target));
            let clients: Vec<Client> = (0..CLIENTS).map(ask).collect();
            server.wait_for_connections(CLIENTS);
            clients.into_iter().for_each(Client::reset);
            server.wait_until_idle();
        }
        // The threads that served the clients wait for others for some seconds.
        server.check_recovers_with_threads(CLIENTS + 2 * Settings::default().pool_threads);
    }

    fn panics_whose_messages_fill_standard_error_delay_no_request(kind: ServerKind) {
        let server = start(kind);
        for target in ["/error_task", "/error_task?kind=panic-offload", "/error_task?kind=dropped"] {
            for _ in 0..PANICS {
                let requests = get(target) + &get("/static/notes.txt");
                let mut client = Client::connect_and_send(server.address(), requests);
                let response = client.response();
                assert_eq!((response.status, response.keeps_alive), (500, false), "{target}");
                client.expect_eof();
            }
        }
        // Each process starts its thread pool with the first offloaded job.
        server.check_recovers_with_threads(2 * Settings::default().pool_threads);
    }
}
