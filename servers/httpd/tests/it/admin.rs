//! The admin server: `/healthz`, and the metrics of all workers.

use crate::{
    client::{Client, get, wait_for},
    handoff,
    program::{self, Program, begin_download, check_served},
};
use http_testing::ServerKind;
use rustix::process::Signal;
use std::net::SocketAddr;

/// The address of the program's admin server: the last in its startup line.
pub fn admin(program: &Program) -> SocketAddr {
    assert!(program.startup_line.contains(", admin at http://"), "{}", program.startup_line);
    *program.addresses.last().expect("addresses")
}

/// Returns the values of the samples of the metric `name` whose labels contain `label`.
pub fn values(admin: SocketAddr, name: &str, label: &str) -> Vec<f64> {
    let response = Client::connect(admin).fetch(get("/metrics"));
    assert_eq!(
        (response.status, response.header("Content-Type")),
        (200, Some("text/plain; version=0.0.4; charset=utf-8"))
    );
    let text = response.text();
    let samples = text.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '));
    let samples = samples
        .filter(|(labels, _)| (labels.is_empty() || labels.starts_with('{')) && labels.contains(label));
    samples.map(|(_, value)| value.parse().expect("a number")).collect()
}

/// Waits until the sum over all workers is `expected`: a response counts a moment after it has arrived.
fn check_sum(admin: SocketAddr, name: &str, label: &str, expected: f64) {
    wait_for(&format!("{name} of {expected}"), || {
        (values(admin, name, label).iter().sum::<f64>() == expected).then_some(())
    });
}

http_testing::both_engines! {
    fn reports_what_all_workers_have_counted(kind: ServerKind) {
        let program = program::serve(kind, &["--admin", "0"]);
        let admin = admin(&program);
        let mut clients = [(); 8].map(|()| Client::connect(program.address()));
        clients.iter_mut().for_each(|client| assert_eq!(client.fetch(get("/notes.txt")).status, 200));
        assert_eq!(clients[0].fetch(get("/nowhere")).status, 404);
        check_sum(admin, "http_responses_total", "class=\"2xx\"", 8.0);
        check_sum(admin, "http_responses_total", "class=\"4xx\"", 1.0);
        check_sum(admin, "http_response_latency_seconds_count", "", 9.0);
        check_sum(admin, "http_response_latency_seconds_bucket", "le=\"+Inf\"", 9.0);
        check_sum(admin, "http_idle_connections", "", 8.0);
        check_sum(admin, "http_open_connections", "", 8.0);
        // Each worker looks the files up for itself.
        let [hits, misses] = ["file_cache_hits_total", "file_cache_misses_total"].map(|name| values(admin, name, ""));
        assert_eq!((hits.len(), misses.len()), (2, 2));
        let (hits, misses) = (hits.iter().sum::<f64>(), misses.iter().sum::<f64>());
        assert!(hits + misses == 9.0 && misses >= 2.0, "{hits} {misses}");
        assert!(values(admin, "http_sent_bytes_total", "").iter().sum::<f64>() > 8.0 * 100.0);
        assert_eq!(values(admin, "http_active_connections", "").len(), 2, "one for each worker");
        for name in ["process_open_fds", "process_resident_memory_bytes", "process_start_time_seconds"] {
            let values = values(admin, name, "");
            assert_eq!(values.len(), if kind.is_prefork() { 3 } else { 1 }, "{name}");
            assert!(values.iter().all(|value| *value > 1.0), "{name}: {values:?}");
        }
        program.stop_cleanly();
    }

    /// More clients than the admin server holds connections open: none has sent a request, and half of the later ones
    /// have begun one.
    fn other_clients_do_not_keep_it_from_being_healthy(kind: ServerKind) {
        let program = program::serve(kind, &["--admin", "localhost:0"]);
        let admin = admin(&program);
        let _idle: Vec<_> = (0..128).map(|_| Client::connect(admin)).collect();
        let _slow: Vec<_> = (0..64).map(|_| {
            let mut client = Client::connect(admin);
            client.send("GET /healthz HTTP/1.1\r\n");
            client
        }).collect();
        assert_eq!(Client::connect(admin).fetch(get("/healthz")).text(), "ok\n");
        program.stop();
    }

    fn is_not_healthy_while_it_drains(kind: ServerKind) {
        let program = program::serve(kind, &["--admin", "0"]);
        let admin = admin(&program);
        assert_eq!(Client::connect(admin).fetch(get("/healthz")).text(), "ok\n");
        let _download = begin_download(program.address(), "/huge.bin");
        program.signal(Signal::TERM);
        wait_for("503", || (Client::connect(admin).fetch(get("/healthz")).status == 503).then_some(()));
        check_sum(admin, "http_active_connections", "", 1.0);
        program.signal(Signal::INT);
        assert_eq!(program.wait().code, Some(0));
    }

    fn a_successor_takes_the_admin_server_over(kind: ServerKind) {
        let generations = handoff::start(kind, &["--admin", "0"]);
        let admin = admin(generations.first());
        (0..5).for_each(|_| check_served(generations.first().address()));
        check_sum(admin, "http_responses_total", "class=\"2xx\"", 5.0);
        generations.check_upgrade();
        // Either of them has served one more file.
        wait_for("the successor", || {
            (values(admin, "http_responses_total", "2xx").iter().sum::<f64>() <= 1.0).then_some(())
        });
        generations.stop();
    }
}

/// A worker process that is stopped does not report, and the others do. All clients wait for it together: one after the
/// other, they would wait for longer than a client does.
#[test]
fn a_worker_that_hangs_is_left_out() {
    let program = program::serve(ServerKind::EventLoopPrefork, &["--admin", "127.0.0.1:0"]);
    let (worker, _) = program.workers()[0];
    rustix::process::kill_process(worker, Signal::STOP).expect("a worker");
    let mut clients: Vec<_> = (0..24).map(|_| Client::connect(admin(&program))).collect();
    clients.iter_mut().for_each(|client| client.send(get("/metrics")));
    assert!(clients.iter_mut().all(|client| client.response().status == 200));
    assert_eq!(values(admin(&program), "http_open_connections", "").len(), 1);
    rustix::process::kill_process(worker, Signal::CONT).expect("a worker");
    check_sum(admin(&program), "http_open_connections", "", 0.0);
}

#[test]
fn warns_of_an_address_that_others_can_reach() {
    let program = program::serve(ServerKind::EventLoop, &["--admin", ":0"]);
    let exit = program.stop();
    assert!(exit.stderr.contains("is open to other machines"), "{exit:?}");
}
