//! What a server counts: responses, bytes, connections, latencies.

use crate::{
    client::{Client, get, request, wait_for},
    server::{InProcessServer, settings},
};
use http_engine::{Reply, Request, Response, Settings, Status, WorkerMetrics};
use std::time::Duration;

/// The sum of all workers. The latencies are left out.
fn totals(server: &InProcessServer) -> WorkerMetrics {
    server.running().metrics().iter().fold(WorkerMetrics::default(), |sum, worker| WorkerMetrics {
        responses: std::array::from_fn(|class| sum.responses[class] + worker.responses[class]),
        sent_bytes: sum.sent_bytes + worker.sent_bytes,
        // Two workers may each have half of a change.
        open_connections: sum.open_connections.wrapping_add(worker.open_connections),
        idle_connections: sum.idle_connections.wrapping_add(worker.idle_connections),
        refused_connections: sum.refused_connections + worker.refused_connections,
        ..WorkerMetrics::default()
    })
}

/// Waits until the server has counted exactly this: a client may have its response before the bytes are counted.
fn check(server: &InProcessServer, expected: WorkerMetrics) {
    let mut last = WorkerMetrics::default();
    wait_for(&format!("{expected:?}"), || {
        last = totals(server);
        (last == expected).then_some(())
    });
}

http_testing::both_engines! {
    fn counts_responses_bytes_and_connections(engine: Engine) {
        let settings = Settings { max_connections: Some(2), ..settings() };
        let server = InProcessServer::start(engine, settings, |request: &Request<'_>| match request.path() {
            "/late" => Reply::after(Duration::ZERO, || Response::text("late")),
            "/held" => Reply::after(Duration::from_secs(1000), || Response::text("never")),
            "/missing" => Response::error(Status::NOT_FOUND).into(),
            "/panic" => panic!("on purpose"),
            _ => Response::text("now").into(),
        });
        check(&server, WorkerMetrics::default());
        let (mut first, mut second) = (server.connect(), server.connect());
        let mut bytes = 0;
        let mut fetch = |client: &mut Client, sent: &str, status| {
            let response = client.fetch(sent);
            assert_eq!(response.status, status, "{sent}");
            bytes += response.head.len() as u64 + response.body.len() as u64;
        };
        fetch(&mut first, &get("/now"), 200);
        fetch(&mut first, &request("HEAD", "/now", ""), 200);
        fetch(&mut first, &get("/missing"), 404);
        fetch(&mut second, &get("/late"), 200);
        let expected = WorkerMetrics { responses: [0, 3, 0, 1, 0], open_connections: 2, ..WorkerMetrics::default() };
        check(&server, WorkerMetrics { sent_bytes: bytes, idle_connections: 2, ..expected });
        second.finish();
        check(&server, WorkerMetrics { open_connections: 1, idle_connections: 1, sent_bytes: bytes, ..expected });
        let mut second = server.connect();
        first.send(get("/held"));
        second.send(get("/held"));
        check(&server, WorkerMetrics { sent_bytes: bytes, ..expected });
        let mut refused = server.connect();
        let response = refused.response();
        bytes += response.head.len() as u64 + response.body.len() as u64;
        let responses = [0, 3, 0, 1, 1];
        check(&server, WorkerMetrics { responses, refused_connections: 1, sent_bytes: bytes, ..expected });
    }

    fn measures_latencies_if_asked(engine: Engine) {
        for (measure_latency, expected) in [(true, 3), (false, 0)] {
            let settings = Settings { measure_latency, ..settings() };
            let server = InProcessServer::start(engine, settings, |_: &Request<'_>| "Hello");
            let mut client = server.connect();
            ["/", "/late", "/"].iter().for_each(|path| assert_eq!(client.fetch(get(path)).status, 200));
            let measured: u64 = server.running().metrics().iter().flat_map(|worker| worker.latency).sum();
            assert_eq!(measured, expected);
        }
    }

    fn nothing_is_open_or_idle_after_the_grace_period(engine: Engine) {
        let server = InProcessServer::start(engine, settings(), |_: &Request<'_>| "Hello");
        let mut client = server.connect();
        assert_eq!(client.fetch(get("/")).status, 200);
        wait_for("an idle connection", || (totals(&server).idle_connections == 1).then_some(()));
        server.running().stopper().stop(Duration::ZERO);
        server.running().wait().expect("no failure");
        let stopped = totals(&server);
        assert_eq!((stopped.open_connections, stopped.idle_connections), (0, 0));
    }
}
